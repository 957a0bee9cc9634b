"""Settings files that several windows share: a lock, and the changes of one window on top of the others'."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from PySide6.QtCore import QLockFile

_LOCK_MILLISECONDS = 2000
_NESTED = ("settings", "recording", "camera")
"""Fields that are merged by their own fields."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file from reading it until it is replaced. The lock of a dead process does not count; where no
    lock can be had within two seconds, go on without."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = QLockFile(str(path.with_name(f"{path.name}.lock")))
    lock.tryLock(_LOCK_MILLISECONDS)
    try:
        yield
    finally:
        lock.unlock()


def merge(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Put what this window has changed on top of the file.

    Args:
        base: the values of this window when it last read or wrote the file.
        ours: its values now.
        theirs: the values in the file, which other windows may have changed.
    """
    merged = dict(theirs)
    for name, value in ours.items():
        before = base.get(name)
        if value == before and name in theirs:
            continue
        there = theirs.get(name)
        if isinstance(value, list) and isinstance(before, list) and isinstance(there, list):
            merged[name] = _merge_lists(before, value, there)
        elif name in _NESTED and isinstance(before, dict) and isinstance(there, dict):
            merged[name] = {**there, **{key: each for key, each in value.items() if each != before.get(key)}}
        else:
            merged[name] = value
    return merged


def _merge_lists(base: list[Any], ours: list[Any], theirs: list[Any]) -> list[Any]:
    """Merge lists that have their newest entry first: first what this window has put in front, then the others."""
    front = [entry for place, entry in enumerate(ours) if entry not in base or (place == 0 and entry != base[0])]
    kept = [_identity(entry) for entry in ours]
    left_out = [*map(_identity, front), *(_identity(entry) for entry in base if _identity(entry) not in kept)]
    return [*front, *(entry for entry in theirs if _identity(entry) not in left_out)]


def _identity(entry: Any) -> Any:
    """Tell entries apart by their names, if they have any."""
    return entry.get("name", entry) if isinstance(entry, dict) else entry
