"""Checks of paths that users name: what they mean, that inputs are files, and that outputs replace only files."""

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
    """Tell if a name stands for several files."""
    # os.path.isdir accepts names that are too long, unlike Path.is_dir.
    return os.path.isdir(name) or is_pattern(name)


def is_pattern(name: str | Path) -> bool:
    """Tell if a name stands for other names: it has ``*``, ``?``, ``[...]`` or ``%d``, and is not itself a file."""
    return not os.path.exists(name) and (glob.has_magic(str(name)) or number_place(name) is not None)


def searches(name: str | Path, folder: str | Path) -> bool:
    """Tell if a folder or pattern would find files that lie in another folder."""
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
    """Return the place of a number such as ``%04d`` in the last part of a name."""
    return _NUMBERED.search(Path(name).name)


def check_input(path: str | Path, error: type[ClipsegLiveError] = SourceError) -> None:
    """Refuse a path to read from that is neither a file nor a folder; opening one could wait for ever.

    A path that does not exist is left to whoever opens it.

    Args:
        path: Links are followed.
        error: Raised for a named pipe, a socket or a device.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return
    kind = _special(mode)
    if kind:
        raise error(f"{path} is {kind}, not a file: copy what it gives into a file first.")


def check_replaceable(path: Path) -> None:
    """Refuse a path to write to where something other than a file or a folder is.

    Links are refused too: the file they lead to has a name of its own.

    Raises:
        UsageError: In one sentence.
    """
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return
    if stat.S_ISLNK(mode):
        raise UsageError(f"{path} is a link, which is never replaced: name the file or folder that it leads to.")
    kind = _special(mode)
    if kind:
        raise UsageError(f"{path} is {kind}, which is never replaced: name a file or folder.")


def _special(mode: int) -> str:
    return next((kind for is_kind, kind in _SPECIAL if is_kind(mode)), "")
