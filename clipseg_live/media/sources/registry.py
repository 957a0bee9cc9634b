"""Choice of the source for an input: a video file, an image, or a folder or pattern of images."""

import glob
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.protocols import FrameSource
from clipseg_live.core.settings.rendering import Deinterlace
from clipseg_live.core.system.paths import check_input, is_folder_or_pattern
from clipseg_live.media.images.animations import AnimationSource, kind_of
from clipseg_live.media.images.photo_sets import PhotoSetSource, globbed, list_photos, natural_order
from clipseg_live.media.images.reader import IMAGE_SUFFIXES
from clipseg_live.media.images.sequences import ImageSequenceSource, ImageSource
from clipseg_live.media.sources.video_file import VideoFileSource

__all__ = ["ImageSequenceSource", "ImageSource", "PhotoSetSource", "VideoFileSource", "open_source"]

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob", ".wmv", ".flv",
     ".ogv", ".3gp", ".mxf", ".gif", ".apng", ".avifs", ".heics", ".heifs"}
)  # fmt: skip
"""Suffixes of videos in a folder; a file that is named itself may have any suffix."""


def open_source(
    name: str | Path,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    sequence: Fraction | None = None,
    deinterlace: Deinterlace = "auto",
    keep_hdr: bool = False,
    select: Callable[[Fraction], bool] | None = None,
) -> FrameSource:
    """Return the source for a name, not yet opened.

    A folder, a pattern with ``*``, ``?``, ``[...]`` or ``**``, or a numbered name such as ``shot_%04d.png`` stands for
    images: a set of independent photos, or the frames of a film if ``sequence`` is given. The content of a file decides
    whether it is an image, an animation or a video.

    Args:
        name: File, folder or pattern.
        start: Videos and films begin with the first frame at or after this time, in seconds.
        end: Videos and films end before this time, in seconds.
        sequence: Frames per second of a film that consists of images.
        deinterlace: "off" keeps both fields in the frames of interlaced videos.
        keep_hdr: True to keep the signal in frames of HDR videos.
        select: Option of ``VideoFileSource``. Other sources return all frames.

    Raises:
        SourceError: If a folder or pattern contains no images.
        UsageError: If the range or the rate is invalid, or does not fit the kind of source.
    """
    path = Path(name)
    if is_folder_or_pattern(name):
        listing = list_photos(path)
        if sequence is not None:
            return ImageSequenceSource(
                listing.files, sequence, start, end, name=listing.title, notices=(listing.notice,)
            )
        refuse_range_of_photos(start, end)
        return PhotoSetSource(lambda: listing)
    if sequence is not None:
        raise UsageError(f"--sequence needs a folder or a pattern of images, which {path} is not: omit it.")
    check_input(path)
    kind = kind_of(path)
    if kind == "animation":
        return AnimationSource(path, start, end)
    if kind == "still":
        return ImageSource(path)
    return VideoFileSource(path, start, end, deinterlace=deinterlace, keep_hdr=keep_hdr, select=select)


def refuse_range_of_photos(start: Fraction | None, end: Fraction | None) -> None:
    """Raise UsageError if a time range is given for a photo set."""
    if start is not None or end is not None:
        raise UsageError("Photos have no times: omit --from and --to, or add --sequence to make a video of them.")


def list_images(name: str | Path) -> list[Path]:
    """Return the files that the source of this name reads: its images in order, or the file itself.

    Raises:
        SourceError: If a folder or pattern contains no images.
    """
    return list(list_photos(name).files) if is_folder_or_pattern(name) else [Path(name)]


def list_videos(name: str | Path) -> list[Path]:
    """Return the videos in a folder, or those that match a pattern, in natural order, without hidden files.

    The suffix identifies videos. A pattern with its own suffix, such as ``*.dv``, matches every file with that suffix
    except images.

    Raises:
        SourceError: If the folder cannot be read.
    """
    path = Path(name)
    try:
        paths = list(path.iterdir()) if path.is_dir() else globbed(str(path))
    except OSError as error:
        raise SourceError(f"The folder {path} cannot be read: {error.strerror}.") from error
    suffix = path.suffix.lower()
    known = VIDEO_SUFFIXES if path.is_dir() or glob.has_magic(suffix) else (VIDEO_SUFFIXES | {suffix}) - IMAGE_SUFFIXES
    videos = (file for file in paths if file.suffix.lower() in known and not file.name.startswith("."))
    return sorted((file for file in videos if file.is_file()), key=natural_order)
