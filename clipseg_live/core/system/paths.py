"""Checks of paths that users give: patterns, inputs that must be files, and outputs that must not replace devices."""

import glob
import os
import re
import stat
from pathlib import Path

from clipseg_live.core.errors import ClipsegLiveError, SourceError, UsageError

_SPECIAL = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

_NUMBERED = re.compile(r"%0?\d*d")


def is_folder_or_pattern(name: str | Path) -> bool:
    """Return whether a name refers to several files."""
    # Unlike Path.is_dir, os.path.isdir accepts names that are too long.
    return os.path.isdir(name) or is_pattern(name)


def is_pattern(name: str | Path) -> bool:
    """Return whether a name is a pattern: it has ``*``, ``?``, ``[...]`` or ``%d``, and is not itself a file."""
    return not os.path.exists(name) and (glob.has_magic(str(name)) or number_place(name) is not None)


def searches(name: str | Path, folder: str | Path) -> bool:
    """Return whether a folder or pattern would match files in another folder."""
    if os.path.isdir(name):
        return os.path.realpath(name) == os.path.realpath(folder)
    if not is_pattern(name):
        return False
    root, _, deep = str(name).partition("**")
    if deep:
        top, inner = os.path.realpath(os.path.dirname(root)), os.path.realpath(folder)
        return inner == top or inner.startswith(top.rstrip(os.sep) + os.sep)
    return os.path.realpath(os.path.dirname(root)) == os.path.realpath(folder)


def number_place(name: str | Path) -> re.Match[str] | None:
    """Return the match of a number such as ``%04d`` in the last part of a name."""
    return _NUMBERED.search(Path(name).name)


def check_input(path: str | Path, error: type[ClipsegLiveError] = SourceError) -> None:
    """Reject an input path that is neither a file nor a folder, as opening one could block for ever.

    A path that does not exist is accepted.

    Args:
        path: Path to read from. Links are followed.
        error: Class of the error to raise for a named pipe, a socket or a device.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return
    kind = _special(mode)
    if kind:
        raise error(f"{path} is {kind}, not a file: copy its content into a file first.")


def check_replaceable(path: Path) -> None:
    """Reject an output path at which there is something other than a file or a folder.

    Links are rejected too, as the file that they lead to has its own path.

    Raises:
        UsageError: If the path must not be replaced. The message is one sentence.
    """
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return
    if stat.S_ISLNK(mode):
        raise UsageError(f"{path} is a link, which is never replaced: name its target.")
    kind = _special(mode)
    if kind:
        raise UsageError(f"{path} is {kind}, which is never replaced: name a file or folder.")


def _special(mode: int) -> str:
    return next((kind for is_kind, kind in _SPECIAL if is_kind(mode)), "")
