"""Lists of photos and videos that are opened together, and their thumbnails."""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from clipseg_live.core.errors import SourceError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.system.paths import is_folder_or_pattern
from clipseg_live.media.images.animations import kind_of
from clipseg_live.media.images.photo_sets import list_photos, natural_order, photos_among
from clipseg_live.media.images.reader import IMAGE_SUFFIXES, read_image
from clipseg_live.media.sources.registry import list_videos, open_source


@dataclass(frozen=True, slots=True)
class FileList:
    """Photos and videos that are opened together, in natural order.

    Attributes:
        files: The files.
        is_photo_set: All are photos, in the order in which a ``PhotoSetSource`` reads them.
    """

    files: tuple[Path, ...]
    is_photo_set: bool


def list_files(names: Sequence[str]) -> FileList:
    """Return the photos and videos that names stand for.

    Args:
        names: Files, folders, and patterns. Missing files are kept in a list with videos, so that their error is shown.
            A set of photos leaves them out.

    Raises:
        SourceError: If a single folder or pattern has neither photos nor videos.
    """
    photos: list[Path] = []
    videos: list[Path] = []
    for name in names:
        if is_folder_or_pattern(name):
            found = list_videos(name)
            videos += found
            try:
                photos += list_photos(name).files
            except SourceError:
                if not found and len(names) == 1:
                    raise
        else:
            (photos if Path(name).suffix.lower() in IMAGE_SUFFIXES else videos).append(Path(name))
    if videos:
        return FileList(tuple(sorted({*photos, *videos}, key=natural_order)), is_photo_set=False)
    if len(names) > 1:
        photos = list(photos_among([str(photo) for photo in photos]).files)
    return FileList(tuple(photos), is_photo_set=True)


def read_thumbnail(path: Path, longest: int) -> Pixels:
    """Read a photo, or the first frame of a video, as a small image.

    Args:
        path: File to read.
        longest: Limit for the longer side in pixels.

    Returns:
        uint8 RGB (height, width, 3).

    Raises:
        SourceError: If the file cannot be read.
    """
    if not os.path.exists(path):
        raise SourceError(f"There is no file {path}.")
    if kind_of(path) == "still":
        return read_image(path, longest=longest)
    with closing(open_source(path)) as source:
        source.open()
        frame = source.read()
    if frame is None:
        raise SourceError(f"{path.name} contains no frames.")
    image = Image.fromarray(frame.pixels)
    image.thumbnail((longest, longest), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(image)
