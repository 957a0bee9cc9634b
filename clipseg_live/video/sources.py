"""Which source an input names: a video file, a picture, a folder or a pattern of pictures."""

import glob
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from clipseg_live.core.errors import SourceError
from clipseg_live.core.paths import check_input
from clipseg_live.core.ports import FrameSource
from clipseg_live.video.animated import AnimationSource, kind_of
from clipseg_live.video.files import VideoFileSource
from clipseg_live.video.images import IMAGE_SUFFIXES
from clipseg_live.video.stills import DEFAULT_RATE, SequenceSource, StillSource, natural_order, pictures_in

__all__ = ["SequenceSource", "StillSource", "VideoFileSource", "open_source"]

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob", ".wmv", ".flv",
     ".ogv", ".3gp", ".mxf", ".gif", ".apng", ".avifs", ".heics", ".heifs"}
)  # fmt: skip
"""What a folder's videos are known by; a file that is named itself may have any suffix."""

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
    sequence of pictures at ``rate``. The content of a file tells if it is an image, an animation or a video.
    ``start`` and ``end`` (seconds) limit videos, animations and sequences to start ≤ time < end.
    Raises SourceError for a folder or pattern without pictures, UsageError for a range that cannot be.
    """
    path = Path(name)
    if os.path.isdir(path):  # unlike a path's own, it has nothing against a name that is too long
        return SequenceSource(files_of(path), rate, start, end, name=path.resolve().name)
    if is_pattern(path):
        return SequenceSource(files_of(path), rate, start, end, name=path.name)
    check_input(path)
    kind = kind_of(path)
    if kind == "animation":
        return AnimationSource(path, start, end, rate)
    return StillSource(path) if kind == "still" else VideoFileSource(path, start, end)


def files_of(name: str | Path) -> list[Path]:
    """The files that the source of this name reads: its pictures, in their order, or the one file itself.

    Raises SourceError for a folder or pattern without pictures.
    """
    path = Path(name)
    if os.path.isdir(path):
        try:
            pictures = pictures_in(path)
        except OSError as error:
            raise SourceError(f"The folder {path} cannot be read: {error.strerror}.") from error
        if not pictures:
            raise SourceError(f"The folder {path} holds no pictures ({_endings()}).")
        return pictures
    if is_pattern(path):
        pictures = sorted(_matching(str(path)), key=natural_order)
        if not pictures:
            raise SourceError(f"No picture fits the pattern {path}.")
        return pictures
    return [path]


def videos_of(name: str | Path) -> list[Path]:
    """The videos in a folder, or those that fit a pattern, in natural order; hidden files are left out.

    They are known by their suffix; a pattern that ends in a suffix of its own, such as ``*.dv``, means every file
    with it that is no picture. Raises SourceError for a folder that cannot be read.
    """
    path = Path(name)
    try:
        found = list(path.iterdir()) if path.is_dir() else [Path(each) for each in glob.glob(str(path))]
    except OSError as error:
        raise SourceError(f"The folder {path} cannot be read: {error.strerror}.") from error
    suffix = path.suffix.lower()
    known = VIDEO_SUFFIXES if path.is_dir() or glob.has_magic(suffix) else (VIDEO_SUFFIXES | {suffix}) - IMAGE_SUFFIXES
    videos = (each for each in found if each.suffix.lower() in known and not each.name.startswith("."))
    return sorted((each for each in videos if each.is_file()), key=natural_order)


def is_pattern(name: str | Path) -> bool:
    """Whether it stands for other names: it has ``*``, ``?``, ``[...]`` or a number's place, and is no file itself."""
    text = str(name)
    return not os.path.exists(name) and (glob.has_magic(text) or _NUMBERED.search(Path(name).name) is not None)


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
