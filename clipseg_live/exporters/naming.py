"""Names of frames in data sets: one policy for every data format."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

from clipseg_live.core.frame import Frame

_LONGEST = 150
"""Longest stem in bytes; formats add further parts to it."""


class FrameNames:
    """Unique names for the frames of one data set.

    Frames of a video are named by their number (``000123``). A photo keeps the stem of its file. If that is taken, the
    name of its folder is prepended, its suffix is appended, or a number is appended. Names that differ only in case
    count as the same.
    """

    def __init__(self) -> None:
        self._stems: dict[str, Path] = {}
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(2))  # next to try
        self._files: dict[Path, str] = {}
        self._used_names: set[str] = set()

    def stem(self, frame: Frame) -> str:
        """Return the name of the frame's files without suffix.

        Call it once for each frame.
        """
        if frame.file is None:
            return video_stem(frame.index)
        path = Path(os.path.abspath(frame.file))
        photo_stem = _clean(path.stem)
        numbered = (f"{photo_stem}-{number}" for number in self._numbers[photo_stem])
        candidates = chain(_candidates(photo_stem, path, self._stems), numbered)
        stem = next(name for name in candidates if fold_name(name) not in self._stems)
        self._stems[fold_name(stem)] = path
        return stem

    def file(self, frame: Frame, source: str) -> str:
        """Return the name of the file that the frame came from.

        The name of a photo is its file name, with as many of its folders as needed to differ from the photos before it.

        Args:
            frame: the frame.
            source: name of the source, for frames of a video.
        """
        if frame.file is None:
            return source
        path = Path(os.path.abspath(frame.file))
        if path not in self._files:
            parts = [_readable(part) for part in path.parts]
            names = ("/".join(parts[-length:]) for length in range(1, len(parts) + 1))
            self._files[path] = next((name for name in names if name not in self._used_names), "/".join(parts))
            self._used_names.add(self._files[path])
        return self._files[path]


def video_stem(index: int) -> str:
    """Return the name of a frame that is not a photo."""
    return f"{index:06}"


def fold_name(name: str) -> str:
    """Return a key that is equal for names that some file systems do not distinguish."""
    return unicodedata.normalize("NFC", name).casefold()


def _candidates(stem: str, path: Path, stems: dict[str, Path]) -> Iterator[str]:
    yield stem
    owner = stems.get(fold_name(stem), path)
    folder, suffix = _clean(path.parent.name), path.suffix.lstrip(".")
    if owner.parent != path.parent and path.parent.name:
        yield f"{folder}-{stem}"
    if owner.suffix != path.suffix and suffix:
        yield f"{stem}-{suffix}"


def _clean(stem: str) -> str:
    """Return a stem that every format can write: readable, without control characters, not hidden, not too long."""
    text = re.sub(r"[\x00-\x1f\x7f/\\]", "-", _readable(stem)).lstrip(".")
    return text.encode()[:_LONGEST].decode(errors="ignore") or "image"


def _readable(name: str) -> str:
    """Return a name that can be encoded as UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")
