"""References of a session file to files and models outside its own folder, which the user must allow.

A session file may come from somebody else. It never runs code: it holds values that are validated. But it can name
files (a backdrop) and a model. This module finds those that lie outside the folder of the session file.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from clipseg_live.core.settings.base import DEFAULT_MODEL, Frozen
from clipseg_live.core.settings.effects import CutOut
from clipseg_live.core.settings.live import LiveSettings

NAMED_MODELS = frozenset(
    {DEFAULT_MODEL, "rd64-refined", "CIDAS/clipseg-rd64", "rd64", "CIDAS/clipseg-rd16", "rd16", "shapes"}
)
"""Models that a session may name: those that ``model.loading`` knows by name. Other models are folders."""

_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[\\/]{2}|\\")  # prefix of a drive, an address, a network path or a root

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class ExternalReference:
    """A file or model outside the folder of a session file.

    Attributes:
        kind: "file" or "model".
        name: Path of the file or name of the model, without invisible characters.
    """

    kind: Literal["file", "model"]
    name: str


def resolve_paths(settings: LiveSettings, folder: Path) -> LiveSettings:
    """Return the settings with absolute paths. Relative paths start at ``folder``, that of the session file."""
    here = os.path.abspath(folder)
    return _mapped(settings, lambda path: Path(os.path.normpath(os.path.join(here, path))))


def external_references(settings: LiveSettings, folder: Path) -> tuple[ExternalReference, ...]:
    """Return the references of the settings that lie outside ``folder``, without duplicates."""
    references: dict[ExternalReference, None] = {}

    def note(path: Path) -> Path:
        if (target := escapes_folder(path, folder)) is not None:
            references[ExternalReference("file", _readable(target))] = None
        return path

    _mapped(settings, note)
    if settings.engine.model not in NAMED_MODELS:
        references[ExternalReference("model", _readable(settings.engine.model))] = None
    return tuple(references)


def sandboxed(settings: LiveSettings, folder: Path) -> LiveSettings:
    """Return the settings without external references.

    A backdrop outside ``folder`` becomes a checkerboard, an external model the default model.
    """
    kept = _mapped(settings, lambda path: path if escapes_folder(path, folder) is None else None)
    if kept.engine.model in NAMED_MODELS:
        return kept
    return kept.model_copy(update={"engine": kept.engine.model_copy(update={"model": DEFAULT_MODEL})})


def escapes_folder(path: Path, folder: Path) -> str | None:
    """Return the target of a path if it is outside ``folder``; None if it is inside.

    Links are followed. A path whose text already leads out of the folder is not accessed: on a network path, access
    alone could reveal the user to another machine.

    Args:
        path: A path of a session file, relative to ``folder``.
        folder: Folder of the session file.
    """
    here, name = os.path.abspath(folder), str(path)
    if not path.is_absolute() and _PREFIX.match(name):
        return name
    full = os.path.normpath(os.path.join(here, name))
    if not _holds(here, full):
        return full
    try:
        target = os.path.realpath(full)
        return None if _holds(os.path.realpath(here), target) else target
    except (OSError, ValueError):  # not a valid file name
        return full


def portable(settings: LiveSettings, folder: Path) -> LiveSettings:
    """Return the settings for a session file in ``folder``.

    Paths of files in the folder become relative, so that the folder can be moved.
    """
    here = os.path.abspath(folder)

    def shortened(path: Path) -> Path:
        full = os.path.abspath(path)
        return Path(os.path.relpath(full, here)) if _holds(here, full) else Path(full)

    saved = _mapped(settings, shortened)
    model = saved.engine.model
    if model in NAMED_MODELS or not os.path.isdir(os.path.expanduser(model)):
        return saved
    whole = os.path.abspath(os.path.expanduser(model))
    return saved.model_copy(update={"engine": saved.engine.model_copy(update={"model": whole})})


def _holds(folder: str, place: str) -> bool:
    try:
        return os.path.commonpath((folder, place)) == folder
    except ValueError:  # on another drive
        return False


def _mapped(value: Value, change: Callable[[Path], Path | None]) -> Value:
    """Return the value with each nested path changed."""
    if isinstance(value, Path):
        return change(value)  # type: ignore[return-value]
    if isinstance(value, tuple):
        return tuple(_mapped(item, change) for item in value)  # type: ignore[return-value]
    if not isinstance(value, Frozen):
        return value
    changed = {name: new for name, old in value if (new := _mapped(old, change)) is not old and new != old}
    needs_file = isinstance(value, CutOut) and value.backdrop in ("image", "video")
    if needs_file and changed.get("file", value) is None:
        changed["backdrop"] = "checkerboard"
    return value.model_copy(update=changed) if changed else value


def _readable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
