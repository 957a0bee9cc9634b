"""Recovery of recordings whose process was killed: videos and data are completed and renamed."""

import contextlib
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

from clipseg_live.core.errors import Failure
from clipseg_live.core.settings.data_formats import FORMAT_SPECS
from clipseg_live.exporters.folder import complete_folder
from clipseg_live.media.atomic_output import RECORDING_MARK, is_claimed, move_without_replacing
from clipseg_live.media.writers.remux import FRAGMENTED, PLAIN_COPY, is_playable, truncate_to_last_fragment
from clipseg_live.media.writers.video import CONTAINERS

logger = logging.getLogger(__name__)

_RECORDING_NAME = re.compile(r"(?P<name>.+)" + re.escape(RECORDING_MARK) + r"(-\d+)?(?P<suffix>\.[A-Za-z0-9]+)?")
_MOST_NUMBERS = 1000
_IDLE_SECONDS = 30.0
_STALE_SECONDS = 3600.0
_STILL_RECORDING = re.compile(re.escape(RECORDING_MARK) + r"(-\d+)?$")


def recover_interrupted(folder: str | Path, idle_seconds: float = _IDLE_SECONDS) -> list[Path]:
    """Recover the recordings of killed processes in a folder, and name them ``NAME (recovered).SUFFIX``.

    Data exported with them is completed as far as possible, and named alike. A file counts as abandoned if it has not
    been written to for ``idle_seconds`` seconds. A live recording is written to or touched every few seconds. Files
    without any frame keep their name. Nothing is replaced, and only unfinished plain copies of complete files are
    deleted. Never raises.
    """
    recovered = []
    _clear_copies(Path(folder))
    with contextlib.suppress(OSError):
        for entry in sorted(Path(folder).iterdir()):
            with contextlib.suppress(OSError, Failure):
                name = _STILL_RECORDING.sub("", entry.stem)
                if name == entry.stem or entry.suffix.lower() not in CONTAINERS or entry.is_symlink():
                    continue
                if abs(time.time() - entry.stat().st_mtime) < idle_seconds or is_claimed(entry):
                    continue
                if not is_playable(entry):
                    continue
                truncate_to_last_fragment(entry)
                recovered.append(_rename(entry, name, entry.suffix))
    with contextlib.suppress(OSError):
        recovered += _recover_data(Path(folder), idle_seconds)
    return recovered


def _clear_copies(folder: Path) -> None:
    """Delete hidden, unfinished plain copies that an ended run left; they can be as large as the recordings."""
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            if PLAIN_COPY.fullmatch(entry.stem) and entry.suffix.lower() in FRAGMENTED:
                with contextlib.suppress(OSError):
                    if time.time() - entry.lstat().st_mtime > _STALE_SECONDS:
                        entry.unlink()


def _recover_data(folder: Path, idle_seconds: float) -> list[Path]:
    """Complete the data of killed recordings in a folder, and name it ``NAME (recovered).SUFFIX``.

    Data counts as abandoned if no process has claimed it and nothing has been written for ``idle_seconds`` seconds.
    Formats that are kept in memory (contact sheets) leave an empty file, which is deleted. Data that cannot be
    completed is kept.

    Args:
        folder: the folder.
        idle_seconds: seconds without a change.
    """
    recovered = []
    for entry in sorted(folder.iterdir()):
        name_and_suffix = _split_name(entry)
        if name_and_suffix is None or entry.is_symlink():
            continue
        try:
            if _idle_seconds(entry) < idle_seconds or is_claimed(entry):
                continue
            if entry.is_dir():
                _complete(entry)
            elif not _repair(entry):
                continue
            recovered.append(_rename(entry, *name_and_suffix))
        except (OSError, Failure):
            logger.warning("The data of a recording could not be recovered", exc_info=True)
    return recovered


def _rename(entry: Path, name: str, suffix: str) -> Path:
    """Move a file or folder to ``NAME (recovered).SUFFIX``, with a number if that is taken.

    Raises:
        OSError: if it cannot be moved.
        Failure: if all numbers are taken.
    """
    for number in range(1, _MOST_NUMBERS):
        extra = " (recovered)" if number == 1 else f" (recovered {number})"
        target = entry.with_name(f"{name}{extra}{suffix}")
        if entry.is_dir():
            if not target.exists() and not target.is_symlink():
                return entry.rename(target)
            continue
        try:
            move_without_replacing(entry, target)
        except FileExistsError:
            continue
        return target
    raise Failure(f"{entry} could not be renamed: its folder has too many recovered files.")


def _split_name(entry: Path) -> tuple[str, str] | None:
    """Return the name without its mark and the suffix of the remains of a recording, or None for other entries."""
    match = _RECORDING_NAME.fullmatch(entry.name)
    if match is None or entry.name.startswith("."):
        return None
    suffix = match["suffix"] or ""
    is_known = not suffix if entry.is_dir() else suffix.lower() in _repairs()
    return (match["name"], suffix) if is_known else None


def _idle_seconds(entry: Path) -> float:
    newest = max((path.lstat().st_mtime for path in (entry, *_children(entry))), default=0.0)
    return abs(time.time() - newest)


def _children(entry: Path) -> Iterator[Path]:
    return entry.iterdir() if entry.is_dir() else iter(())


def _repair(entry: Path) -> bool:
    """Complete a file; return False if nothing in it can be used."""
    if not entry.stat().st_size:
        entry.unlink()
        return False
    return bool(resolve_name(_repairs()[entry.suffix.lower()])(entry))


def _complete(folder: Path) -> None:
    """Complete a folder: its videos and its JSON file."""
    for entry in sorted(folder.iterdir()):
        match = _RECORDING_NAME.fullmatch(entry.name)
        if (
            match is not None
            and entry.is_file()
            and (match["suffix"] or "").lower() in CONTAINERS
            and is_playable(entry)
        ):
            truncate_to_last_fragment(entry)
            move_without_replacing(entry, folder / f"{match['name']}{match['suffix']}")
    complete_folder(folder)


def _repairs() -> dict[str, str]:
    """Return the functions that complete files, as "module:function", by suffix."""
    return {suffix: spec.repair for spec in FORMAT_SPECS.all().values() if spec.repair for suffix in spec.suffixes}
