"""Kinds of files, judged by their names, and sources that are lists of files."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QMimeDatabase

from clipseg_live.core.addresses import SourceName
from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.core.settings.source_schemes import find_scheme
from clipseg_live.core.system.paths import is_folder_or_pattern


def is_photo(path: Path) -> bool:
    """Return whether a file is an image, judging by its name."""
    return _mime_name(path).startswith("image/") and path.suffix.lower() != ".gif"


def is_media(path: Path) -> bool:
    """Return whether a file is an image or a video, judging by its name."""
    return _mime_name(path).startswith(("image/", "video/"))


def is_list(spec: SourceSpec) -> bool:
    """Return whether a source is a list of files: a folder, a pattern or several files."""
    name = spec.name.reveal()
    if spec.sequence is not None or spec.name.is_address or name.startswith(("camera:", "screen:")):
        return False
    try:
        if find_scheme(name) is not None:
            return False
    except UsageError:  # opening the source reports it
        return False
    return bool(spec.more) or is_folder_or_pattern(name)


def spec_of(paths: Sequence[Path]) -> SourceSpec:
    """Return the source of dropped or chosen files: those that are media or folders, or else the first one.

    Args:
        paths: at least one file or folder.
    """
    usable = [path for path in paths if is_media(path) or path.is_dir()] or paths[:1]
    first, *more = (SourceName(str(path)) for path in usable)
    return SourceSpec(name=first, more=tuple(more))


def _mime_name(path: Path) -> str:
    return QMimeDatabase().mimeTypeForFile(str(path), QMimeDatabase.MatchMode.MatchExtension).name()
