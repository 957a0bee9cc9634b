"""Reader of image files, used for every image file in the project."""

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.system.packages import missing_package
from clipseg_live.core.system.paths import check_input
from clipseg_live.core.system.quoting import shorten
from clipseg_live.media.colour.conversion import over_black
from clipseg_live.media.images import heif
from clipseg_live.media.images.headers import png_colour
from clipseg_live.media.images.icc_profiles import lab_profile, profile_of, to_srgb

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm", ".tga", ".jp2",
     ".avif", ".heic", ".heif", ".hif"}
)  # fmt: skip
"""Suffixes of image files; some formats can hold several images."""
_MOST_PIXELS = 178_000_000
# Content decides, not the file name. PostScript is excluded because another program would run it.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "PPM", "TGA", "JPEG2000", "GIF", "ICO")

# Errors of Pillow's decoders for damaged data.
IMAGE_READ_ERRORS = (
    OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, AttributeError,
    struct.error, zlib.error,
)  # fmt: skip


def read_image(source: str | PathLike[str] | bytes | Image.Image, *, longest: int | None = None) -> Pixels:
    """Read an image as pixels.

    The image is rotated by its EXIF orientation and converted to sRGB by its colour profile. Transparent parts are
    blended with black. 16 bits per channel are scaled to 8, floating-point values from 0..1. Grey, palette, CMYK and
    Lab images become RGB. Only the first image of an animation or a multi-page file is read.

    Args:
        source: Path of a file, the bytes of one, or a Pillow image.
        longest: Limit for the longer side in pixels; larger images are scaled down.

    Returns:
        uint8 RGB (height, width, 3).

    Raises:
        UsageError: If the source has another type.
        SourceError: If the file is missing, empty, damaged, not an image, over 178 megapixels, or HEIC without
            pillow-heif.
    """
    if isinstance(source, Image.Image):
        with image_errors(b""):
            check_size("The image", *source.size)
            return pixels_of(source, profile_of(source.info), longest)
    if source == "" or (isinstance(source, str) and "\0" in source):
        raise UsageError(f"{shorten(source)} is not the name of an image file.")
    if not isinstance(source, (str, PathLike, bytes)):
        raise UsageError(f"{type(source).__name__} is not an image file: give a path, bytes or a PIL image.")
    with open_image(source if isinstance(source, bytes) else Path(source)) as (image, profile):
        if longest is not None:
            image.draft(None, (longest, longest))  # decodes a JPEG at a smaller size, which saves time and memory
        return pixels_of(image, profile, longest)


class OpenedImage(NamedTuple):
    """An image file opened by Pillow, and its ICC profile; None for sRGB."""

    image: Image.Image
    profile: bytes | None


@contextmanager
def open_image(source: str | Path | bytes) -> Iterator[OpenedImage]:
    """Open an image file with Pillow. Errors in the body are translated as by ``image_errors``."""
    with image_errors(source), ExitStack() as stack:
        yield open_in(stack, source)


def open_in(stack: ExitStack, source: str | Path | bytes) -> OpenedImage:
    """Open an image file with Pillow until ``stack`` is closed. Call it within ``image_errors``."""
    name = _name_of(source)
    file = stack.enter_context(bytes_of(source))
    image = stack.enter_context(Image.open(file, formats=_formats(file, name)))
    check_size(name, *image.size)
    return OpenedImage(image, profile_of({**image.info, **_coded_colour(file, image)}))


@contextmanager
def image_errors(source: str | Path | bytes) -> Iterator[None]:
    """Translate errors of reading an image file into SourceError, and suppress Pillow's warnings."""
    name = _name_of(source)
    try:
        with warnings.catch_warnings():
            # Large images are allowed up to our limit, and damage is reported as SourceError.
            warnings.simplefilter("ignore")
            yield
    except Image.DecompressionBombError as error:
        raise SourceError(_too_large(name)) from error
    except FileNotFoundError as error:
        raise SourceError(f"There is no file {source!s}.") from error
    except PermissionError as error:
        raise SourceError(f"{source!s} is not readable: change its permissions.") from error
    except UnidentifiedImageError as error:
        raise SourceError(f"{name} is not an image that can be read.") from error
    except IMAGE_READ_ERRORS as error:
        logger.warning("An image could not be read", exc_info=True)
        raise SourceError(f"{name} cannot be read: the image is damaged or truncated.") from error


@contextmanager
def bytes_of(source: str | Path | bytes) -> Iterator[BinaryIO]:
    """Open an image for reading. Call it within ``image_errors``, which translates the errors."""
    if isinstance(source, bytes):
        if not source:
            raise SourceError("The image is empty (0 bytes).")
        yield io.BytesIO(source)
        return
    path = Path(source)
    check_input(path)
    if path.is_dir():
        raise SourceError(f"{path} is a folder, not an image.")
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise SourceError(f"{path.name} is empty (0 bytes).")
        yield file


def _formats(file: BinaryIO, name: str) -> tuple[str, ...]:
    """Return Pillow's names of the formats to try for a file."""
    heif_file = heif.identify(file)
    if heif_file is None:
        return _known_formats()
    if heif_file.kind == "avif":
        return ("AVIF",)
    if not heif.can_read_heic():
        raise SourceError(missing_package(f"{name} is a HEIC image that", "pillow_heif"))
    if heif_file.is_cut_short:
        raise SourceError(f"{name} cannot be read: the image is damaged or truncated.")
    return ("HEIF",)


@lru_cache(maxsize=1)
def _known_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _name_of(source: str | Path | bytes) -> str:
    return "The image" if isinstance(source, bytes) else Path(source).name


def check_size(name: str, width: int, height: int) -> None:
    """Reject images without pixels, and those that need too much memory.

    Raises:
        SourceError: If the size is invalid.
    """
    if width < 1 or height < 1:
        raise SourceError(f"{name} has no pixels: its size is {width}×{height}.")
    if width * height > _MOST_PIXELS:
        raise SourceError(_too_large(name))


def _too_large(name: str) -> str:
    return f"{name} is too large: at most {_MOST_PIXELS // 1_000_000} megapixels can be read; make it smaller."


def pixels_of(image: Image.Image, profile: bytes | None = None, longest: int | None = None) -> Pixels:
    """Return the pixels of an image, or of the current frame of an animation, as ``read_image`` describes them.

    Args:
        image: Image as Pillow opened it.
        profile: ICC profile, None for sRGB.
        longest: Limit for the longer side in pixels; larger images are scaled down.
    """
    image.load()
    upright = eight_bits(_upright(image))
    if longest is not None:
        # Do not blend palette indices, nor transparent pixels with the colours under them.
        upright = _thumbnail(upright, longest)
    if upright.mode == "LAB":
        profile = lab_profile()
    if profile is not None:
        upright = to_srgb(upright, profile)
    if upright.has_transparency_data:
        return over_black(np.array(upright.convert("RGBA")))
    return np.array(upright if upright.mode == "RGB" else upright.convert("RGB"))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except IMAGE_READ_ERRORS:
        logger.warning("The EXIF data of an image are ignored: they are damaged", exc_info=True)
        return image


def _thumbnail(image: Image.Image, longest: int) -> Image.Image:
    if max(image.size) <= longest:
        return image
    if image.mode in ("1", "P", "PA") or image.has_transparency_data:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    else:
        image = image.copy()
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return image


def eight_bits(image: Image.Image) -> Image.Image:
    """Convert grey images of integers or floating-point values to 8 bits per pixel; return others as they are."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if image.mode == "F":
        values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
        limits: tuple[float, ...] = (1, 255, 65535)
    else:
        values, limits = values.astype(np.int64), (65535,)
    return Image.fromarray(_scaled(values, limits))


def _scaled(values: NDArray[Any], limits: tuple[float, ...]) -> NDArray[np.uint8]:
    """Scale values to 0..255 by the first limit that is not exceeded, otherwise by minimum and maximum."""
    low, high = values.min(), values.max()
    limit = next((limit for limit in limits if low >= 0 and high <= limit), None)
    if limit is None:
        logger.info("Values from %s to %s are stretched to 8 bits", low, high)
        return np.asarray((values - low) * (255 / max(high - low, 1e-9)) + 0.5).astype(np.uint8)
    if values.dtype == np.int64:
        return np.asarray((values * 255 + int(limit) // 2) // int(limit)).astype(np.uint8)
    return np.asarray(values * (255 / limit) + 0.5).astype(np.uint8)


def _coded_colour(file: BinaryIO, image: Image.Image) -> dict[str, dict[str, int]]:
    """Return coded colours of AVIF and PNG, which Pillow omits, in the form that pillow-heif uses for HEIC."""
    if image.format == "AVIF":
        file.seek(0)
        colour = heif.coded_colour(file.read(heif.LARGEST_META))
    elif image.format == "PNG":
        position = file.tell()
        colour = png_colour(file)
        file.seek(position)
    else:
        return {}
    if colour is None:
        return {}
    return {"nclx_profile": {"color_primaries": colour[0], "transfer_characteristics": colour[1]}}
