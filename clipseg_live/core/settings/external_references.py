"""What a session file may read: what lies in its own folder. Anything else wants a person's word first.

A session file comes by mail as easily as it is saved. It never runs code: it is values, checked one by one. But it can
name files (a backdrop) and a model; this module says which of them reach out of the folder that the person opened.
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
"""The models that a session may ask for: those that ``model.loading`` knows by name. Others are folders."""

_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[\\/]{2}|\\")  # of a drive, an address, another machine, a root

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class ExternalReference:
    """Something that a session wants read and that lies outside its folder.

    name: the file's path or the model's name, as a person may read it: without characters that are not shown.
    """

    kind: Literal["file", "model"]
    name: str


def resolve_paths(settings: LiveSettings, folder: Path) -> LiveSettings:
    """The settings with every path made absolute; what is relative is beside the session file, in ``folder``."""
    here = os.path.abspath(folder)
    return _mapped(settings, lambda path: Path(os.path.normpath(os.path.join(here, path))))


def external_references(settings: LiveSettings, folder: Path) -> tuple[ExternalReference, ...]:
    """What the settings name that lies outside ``folder``, each once, by where it lies."""
    found: dict[ExternalReference, None] = {}

    def note(path: Path) -> Path:
        if (place := escapes_folder(path, folder)) is not None:
            found[ExternalReference("file", _readable(place))] = None
        return path

    _mapped(settings, note)
    if settings.engine.model not in NAMED_MODELS:
        found[ExternalReference("model", _readable(settings.engine.model))] = None
    return tuple(found)


def sandboxed(settings: LiveSettings, folder: Path) -> LiveSettings:
    """The settings without what lies outside ``folder``: a backdrop becomes a checkerboard, a model the default."""
    kept = _mapped(settings, lambda path: path if escapes_folder(path, folder) is None else None)
    if kept.engine.model in NAMED_MODELS:
        return kept
    return kept.model_copy(update={"engine": kept.engine.model_copy(update={"model": DEFAULT_MODEL})})


def escapes_folder(path: Path, folder: Path) -> str | None:
    """Where a path of a session file, relative to ``folder``, leads to, if that is outside it; None if it stays.

    Links are followed. What leaves the folder by its very name is not touched: the look alone could tell another
    machine who is asking.
    """
    here, name = os.path.abspath(folder), str(path)
    if not path.is_absolute() and _PREFIX.match(name):
        return name
    place = os.path.normpath(os.path.join(here, name))
    if not _holds(here, place):
        return place
    try:
        target = os.path.realpath(place)
        return None if _holds(os.path.realpath(here), target) else target
    except (OSError, ValueError):  # a name that no file can have
        return place


def portable(settings: LiveSettings, folder: Path) -> LiveSettings:
    """The settings for a session file in ``folder``: relative where a file lies in it, so that the folder may move."""
    here = os.path.abspath(folder)

    def shortened(path: Path) -> Path:
        place = os.path.abspath(path)
        return Path(os.path.relpath(place, here)) if _holds(here, place) else Path(place)

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
    """The value with each path in it changed, wherever it stands."""
    if isinstance(value, Path):
        return change(value)  # type: ignore[return-value]
    if isinstance(value, tuple):
        return tuple(_mapped(each, change) for each in value)  # type: ignore[return-value]
    if not isinstance(value, Frozen):
        return value
    changed = {name: new for name, old in value if (new := _mapped(old, change)) is not old and new != old}
    needs_file = isinstance(value, CutOut) and value.backdrop in ("picture", "video")
    if needs_file and changed.get("file", value) is None:
        changed["backdrop"] = "checkerboard"
    return value.model_copy(update=changed) if changed else value


def _readable(name: str) -> str:
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)
