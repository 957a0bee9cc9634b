"""Images of data sets: a copy of the photo's own file if its pixels are those of the frame, otherwise a new file."""

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.frame import Frame
from clipseg_live.exporters.frame_files import encode_image
from clipseg_live.media.images.reader import read_image

logger = logging.getLogger(__name__)

try:
    from fcntl import ioctl
except ImportError:  # not available on Windows
    ioctl = None  # type: ignore[assignment]

JPEG_QUALITY = 95
_KEPT_FORMATS = {
    "JPEG": (".jpg", ".jpeg"), "MPO": (".jpg", ".jpeg"), "PNG": (".png",), "BMP": (".bmp",), "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}  # fmt: skip
"""Formats that trainers and annotation tools read, with the suffixes by which they recognise them."""
_KEPT_SUFFIXES = frozenset(suffix for suffixes in _KEPT_FORMATS.values() for suffix in suffixes)
_ORIENTATION = 0x0112
_UPRIGHT = (0, 1)
_FICLONE = 0x40049409


def write_image(folder: Path, stem: str, frame: Frame) -> tuple[str, bool]:
    """Write the image of a frame to a folder.

    A photo is copied byte by byte (as a reflink if the file system supports it) if its file shows exactly the pixels of
    the frame. It is encoded again if the frame was rotated by EXIF, cropped, mirrored or otherwise changed, or if few
    tools read the format. It is never hard-linked, because some trainers rewrite images in place.

    Args:
        folder: an existing folder.
        stem: name of the image without suffix.
        frame: the frame.

    Returns:
        The name of the image, and True if a photo had to be encoded again.

    Raises:
        OSError: if the image cannot be written.
        SinkError: if the image is too large for its format.
    """
    photo = frame.file
    if photo is not None and _has_pixels(photo, frame):
        name = f"{stem}{photo.suffix}"
        _copy(photo, folder / name)
        return name, False
    if photo is not None and photo.suffix.lower() == ".png":
        name, data = f"{stem}.png", encode_image(Image.fromarray(frame.pixels), "PNG")
    else:
        name, data = f"{stem}.jpg", jpeg_of(frame)
    path = folder / name
    try:
        path.write_bytes(data)
    except OSError:
        _remove(path)
        raise
    return name, photo is not None


def jpeg_of(frame: Frame) -> bytes:
    """Return a frame as a JPEG file."""
    return encode_image(Image.fromarray(frame.pixels), "JPEG", quality=JPEG_QUALITY, subsampling=0)


def reencoded_notice(photos: int) -> str:
    """Return the notice about photos whose files could not be copied."""
    subject = "1 photo was" if photos == 1 else f"{photos} photos were"
    return (
        f"{subject} written as a new PNG or JPEG file, because the photo's own file is rotated, cropped, or of a "
        "format that few tools read. All others were copied unchanged."
    )


def _has_pixels(photo: Path, frame: Frame) -> bool:
    """Return True if any reader of the file gets the pixels of the frame at its size."""
    if photo.suffix.lower() not in _KEPT_SUFFIXES:
        return False
    try:
        with Image.open(photo) as picture:
            is_known = photo.suffix.lower() in _KEPT_FORMATS.get(picture.format or "", ())
            if not is_known or picture.size != (frame.width, frame.height):
                return False
            if picture.getexif().get(_ORIENTATION, 1) not in _UPRIGHT:
                return False
        return bool(np.array_equal(read_image(photo), frame.pixels))
    except (OSError, ValueError, SyntaxError, ClipsegLiveError):
        logger.warning("A photo could not be read again", exc_info=True)
        return False


def _copy(source: Path, target: Path) -> None:
    try:
        with source.open("rb") as source_file, target.open("xb") as target_file:
            if not _clone(source_file.fileno(), target_file.fileno()):
                shutil.copyfileobj(source_file, target_file, 1 << 20)
    except OSError:
        _remove(target)
        raise


def _clone(source: int, target: int) -> bool:
    """Share the blocks of a file if the file system supports it; return True on success."""
    if ioctl is None or os.name != "posix":
        return False
    try:
        ioctl(target, _FICLONE, source)
    except OSError:  # not supported by most file systems
        return False
    return True


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
