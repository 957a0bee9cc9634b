"""Presets of the user: effects and mask settings by name, kept as a small JSON file."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clipseg_live.core.errors import Failure, UsageError
from clipseg_live.core.settings.base import Frozen
from clipseg_live.core.settings.effects import Effects
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.presets import PRESETS, with_look
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.core.system.files import replace_file, set_aside
from clipseg_live.gui.state.shared_file import locked

logger = logging.getLogger(__name__)

MOST_PRESETS = 100
LONGEST_NAME = 60
"""Longest name of a preset, in characters."""


class UserPreset(Frozen):
    """Effects and mask settings.

    Attributes:
        effects: Effects in drawing order.
        matte: Mask settings.
    """

    effects: Effects
    matte: MatteSettings


class UserPresets:
    """Presets of the user, read from the file each time, because other windows change it too.

    A damaged file is renamed at the next change. A preset that cannot be used, such as one with an effect of a package
    that was removed, is not offered and stays in the file.

    Args:
        path: the file; None keeps the presets in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._in_memory: dict[str, Any] = {}

    def names(self) -> tuple[str, ...]:
        """Return the names of the presets that can be used, sorted."""
        usable = (name for name, values in (self._read() or {}).items() if _preset_of(name, values) is not None)
        return tuple(sorted(usable, key=str.casefold))

    def apply(self, settings: LiveSettings, name: str) -> LiveSettings:
        """Return the settings with the effects and mask settings of a preset; unchanged if it is gone."""
        preset = _preset_of(name, (self._read() or {}).get(name))
        if preset is None:
            return settings
        return with_look(settings, preset.effects, preset.matte)

    def save(self, name: str, settings: LiveSettings) -> None:
        """Save the drawn effects and the mask settings. A preset of this name is replaced.

        Raises:
            UsageError: if the name is empty, too long, or that of a built-in preset, or if there are too many presets.
            Failure: if the file cannot be written.
        """
        name = " ".join(name.split())
        if not name or len(name) > LONGEST_NAME:
            raise UsageError(f"The name of a preset has 1 to {LONGEST_NAME} characters.")
        if name.casefold() in PRESETS:
            raise UsageError(f"{name} is a built-in preset: choose another name.")
        preset = UserPreset(effects=settings.effects, matte=settings.matte)
        with self._changing() as presets:
            if name not in presets and len(presets) >= MOST_PRESETS:
                raise UsageError(f"There are {MOST_PRESETS} presets already: delete one first.")
            presets[name] = preset.model_dump(mode="json")

    def delete(self, name: str) -> None:
        """Delete a preset. Nothing happens if it is gone.

        Raises:
            Failure: if the file cannot be written.
        """
        with self._changing() as presets:
            presets.pop(name, None)

    def _read(self) -> dict[str, Any] | None:
        """Return the presets of the file by name; None if it is damaged."""
        if self._path is None:
            return self._in_memory
        try:
            content = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError):
            logger.warning("The presets in %s cannot be read", self._path, exc_info=True)
            return None
        return content if isinstance(content, dict) else None

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """Yield the presets, and write them after the block."""
        if self._path is None:
            yield self._in_memory
            return
        try:
            with locked(self._path):
                presets = self._read()
                if presets is None:
                    set_aside(self._path)
                    presets = {}
                yield presets
                self._path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(self._path, json.dumps(presets, ensure_ascii=False, indent=1))
        except (OSError, UnicodeEncodeError) as error:
            logger.warning("The presets cannot be saved", exc_info=True)
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "its text cannot be stored"
            raise Failure(f"The presets could not be saved to {self._path}: {reason}.") from error


def _preset_of(name: str, values: object) -> UserPreset | None:
    """Return a preset of the file; None if it cannot be used."""
    try:
        return UserPreset.model_validate(values)
    except ValidationError:
        logger.debug("The preset %s cannot be used", name, exc_info=True)
        return None
