"""Locking and merging of settings files that several windows share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from PySide6.QtCore import QLockFile

_LOCK_MILLISECONDS = 2000
_NESTED = ("settings", "recording", "camera", "export")
"""Fields that are merged field by field."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file while it is read and replaced.

    A lock held by a dead process is ignored. If the lock is not free within two seconds, continue without it.
    """
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = QLockFile(str(path.with_name(f"{path.name}.lock")))
    lock.tryLock(_LOCK_MILLISECONDS)
    try:
        yield
    finally:
        lock.unlock()


def merge(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Apply the changes of this window to the content of the file.

    Args:
        base: values of this window when it last read or wrote the file.
        ours: current values of this window.
        theirs: values in the file, possibly changed by other windows.

    Returns:
        The merged values.
    """
    merged = dict(theirs)
    for name, value in ours.items():
        base_value = base.get(name)
        if value == base_value and name in theirs:
            continue
        file_value = theirs.get(name)
        if isinstance(value, list) and isinstance(base_value, list) and isinstance(file_value, list):
            merged[name] = _merge_lists(base_value, value, file_value)
        elif name in _NESTED and isinstance(base_value, dict) and isinstance(file_value, dict):
            merged[name] = {
                **file_value,
                **{key: field for key, field in value.items() if field != base_value.get(key)},
            }
        else:
            merged[name] = value
    return merged


def _merge_lists(base: list[Any], ours: list[Any], theirs: list[Any]) -> list[Any]:
    """Merge lists that have their newest entry first: entries that this window added, then the others."""
    front = [entry for index, entry in enumerate(ours) if entry not in base or (index == 0 and entry != base[0])]
    own_identities = [_identity(entry) for entry in ours]
    removed = [
        *map(_identity, front),
        *(_identity(entry) for entry in base if _identity(entry) not in own_identities),
    ]
    return [*front, *(entry for entry in theirs if _identity(entry) not in removed)]


def _identity(entry: Any) -> Any:
    """Return the identity of an entry: its name if it has one, else the entry."""
    return entry.get("name", entry) if isinstance(entry, dict) else entry
