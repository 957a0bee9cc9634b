"""What comes back at the next start: settings, sources, the window's place. Kept as JSON in the user's own folder."""

import base64
import json
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from PySide6.QtCore import QObject, QTimer

from clipseg_live.core.addresses import REVEAL
from clipseg_live.core.settings.external_references import ExternalReference
from clipseg_live.core.settings.live import LiveSettings, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings
from clipseg_live.gui.state.shared_file import locked, merge

logger = logging.getLogger(__name__)

MOST_RECENT = 10
MOST_ALLOWED = 100
SAVE_AFTER = 1.0
"""Seconds after the last change."""
_FILE = "preferences.json"


class Preferences(BaseModel):
    """recent: sources, newest first; the first of them is opened at the next start. geometry, panels: how the window
    and the parts of it lie, as Qt's own bytes in base 64. folder: where recordings and pictures go, "" for the usual.
    recording: what is recorded, and how. camera: the virtual one.
    allowed: what sessions may use outside their folders, because the person said so or saved it here, newest first.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    settings: LiveSettings = Field(default_factory=LiveSettings)
    recent: tuple[SourceSpec, ...] = ()
    geometry: str = ""
    panels: str = ""
    folder: str = ""
    recording: RecordingSettings = Field(default_factory=RecordingSettings)
    camera: VirtualCameraSettings = Field(default_factory=VirtualCameraSettings)
    allowed: tuple[ExternalReference, ...] = ()

    def with_source(self, spec: SourceSpec) -> "Preferences":
        """With this source as the newest. A name that no JSON can hold is left out."""
        try:
            for name in (spec.name, *spec.more):
                name.reveal().encode()
        except UnicodeEncodeError:
            return self
        others = tuple(each for each in self.recent if (each.name, each.more) != (spec.name, spec.more))
        return self.model_copy(update={"recent": (spec, *others)[:MOST_RECENT]})

    def allowing(self, found: Sequence[ExternalReference]) -> "Preferences":
        """With this allowed from now on."""
        others = tuple(each for each in self.allowed if each not in found)
        return self.model_copy(update={"allowed": (*found, *others)[:MOST_ALLOWED]})


def preferences_path() -> Path:
    """Where they are kept: in $CLIPSEG_LIVE_CONFIG where that is set, else in the user's folder for settings."""
    chosen = os.environ.get("CLIPSEG_LIVE_CONFIG")
    if chosen:
        return Path(chosen) / _FILE
    from platformdirs import user_config_path

    return user_config_path("clipseg-live", appauthor=False) / _FILE


def load_preferences(path: Path) -> tuple[Preferences, str]:
    """The preferences, and a sentence for the person where the file was no good; it is set aside then."""
    try:
        return Preferences.model_validate_json(path.read_bytes()), ""
    except FileNotFoundError:
        return Preferences(), ""
    except (OSError, ValidationError, ValueError):
        aside = path.with_name(path.name + ".broken")
        try:
            path.replace(aside)
        except OSError as error:
            why = error.strerror or error
            return Preferences(), f"The settings in {path} cannot be read ({why}): the window begins with its defaults."
        return Preferences(), f"The settings were damaged: the window begins with its defaults, the old are in {aside}."


def save_preferences(path: Path, preferences: Preferences) -> str:
    """Write them beside ``path``, for this user alone, and move them there; a sentence where that failed, else ""."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    text = json.dumps(preferences.model_dump(mode="json", context=REVEAL), ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # addresses of cameras hold passwords
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        return f"The settings could not be saved to {path}: {error.strerror or error}."
    return ""


class PreferencesStore(QObject):
    """Holds the preferences of a running window and writes them a moment after the last change. Changes that other
    windows have made to the same file are kept.

    failed: called with a sentence when they could not be written.
    """

    def __init__(
        self, path: Path, preferences: Preferences, failed: Callable[[str], None], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._path, self._failed = path, failed
        self.value = preferences
        self._written = preferences
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(int(SAVE_AFTER * 1000))
        self._timer.timeout.connect(self.write)

    def update(self, **values: object) -> None:
        """Change some fields."""
        self.change(self.value.model_copy(update=values))

    def change(self, preferences: Preferences) -> None:
        if preferences != self.value:
            self.value = preferences
            self._timer.start()

    def write(self) -> None:
        """Write now what has changed."""
        self._timer.stop()
        if self.value is not self._written:
            with locked(self._path):
                problem = save_preferences(self._path, self._on_top_of_file())
            if problem:
                self._failed(problem)
            else:
                self._written = self.value

    def _on_top_of_file(self) -> Preferences:
        """Return what to write: another window may have changed the file since this one last read or wrote it."""
        try:
            there = Preferences.model_validate_json(self._path.read_bytes())
            base, ours, theirs = (
                each.model_dump(mode="json", context=REVEAL) for each in (self._written, self.value, there)
            )
            merged = Preferences.model_validate(merge(base, ours, theirs))
        except FileNotFoundError:
            return self.value
        except (OSError, ValueError):
            logger.warning("The settings of another window could not be merged", exc_info=True)
            return self.value
        most = {"recent": merged.recent[:MOST_RECENT], "allowed": merged.allowed[:MOST_ALLOWED]}
        return merged.model_copy(update=most)


def encode_bytes(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def decode_bytes(text: str) -> bytes:
    """The bytes of ``encode_bytes``; none for a text that it cannot have made."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
