"""Which source an input names: a video file, a picture, a folder or a pattern of pictures."""

import glob
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from clipseg_live.core.errors import SourceError
from clipseg_live.core.ports import FrameSource
from clipseg_live.video.files import VideoFileSource
from clipseg_live.video.stills import (
    DEFAULT_RATE,
    IMAGE_SUFFIXES,
    SequenceSource,
    StillSource,
    natural_order,
    pictures_in,
    read_image,
)

__all__ = ["SequenceSource", "StillSource", "VideoFileSource", "open_source", "read_image"]

_NUMBERED = re.compile(r"%0?\d*d")


def open_source(
    name: str | Path,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    rate: Fraction = DEFAULT_RATE,
) -> FrameSource:
    """The source that ``name`` means, not yet opened.

    A folder, a pattern with ``*``, ``?`` or ``[...]``, or a numbered name such as ``shot_%04d.png`` gives a
    sequence of pictures at ``rate``; a file with a picture's suffix a single picture; anything else a video file.
    ``start`` and ``end`` (seconds) limit videos and sequences to start ≤ time < end.
    Raises SourceError for a folder or pattern without pictures, UsageError for a range that cannot be.
    """
    path = Path(name)
    if path.is_dir():
        try:
            pictures = pictures_in(path)
        except OSError as error:
            raise SourceError(f"The folder {path} cannot be read: {error.strerror}.") from error
        if not pictures:
            raise SourceError(f"The folder {path} holds no pictures ({_endings()}).")
        return SequenceSource(pictures, rate, start, end, name=path.resolve().name)
    if not path.exists() and _is_pattern(str(path)):
        pictures = sorted(_matching(str(path)), key=natural_order)
        if not pictures:
            raise SourceError(f"No picture fits the pattern {path}.")
        return SequenceSource(pictures, rate, start, end, name=path.name)
    if path.exists() and not path.is_file():
        raise SourceError(f"{path} is neither a file nor a folder, so it cannot be read from its beginning.")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return StillSource(path)
    return VideoFileSource(path, start, end)


def _is_pattern(name: str) -> bool:
    return glob.has_magic(name) or _NUMBERED.search(Path(name).name) is not None


def _matching(pattern: str) -> Iterator[Path]:
    numbered = _NUMBERED.search(Path(pattern).name)
    if numbered is None:
        found = (Path(path) for path in glob.glob(pattern))
        return (path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    name = Path(pattern).name
    before, after = re.escape(name[: numbered.start()]), re.escape(name[numbered.end() :])
    fits = re.compile(rf"{before}\d+{after}")
    folder = Path(pattern).parent
    candidates = folder.iterdir() if folder.is_dir() else iter(())
    return (path for path in candidates if fits.fullmatch(path.name) and path.is_file())


def _endings() -> str:
    return ", ".join(sorted(IMAGE_SUFFIXES))
