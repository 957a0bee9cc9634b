"""Image files as pixels: the one reader behind every use of an image file."""

import logging
import struct
import warnings
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from clipseg_live.core.errors import SourceError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.paths import check_input
from clipseg_live.video.colour import over_black

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm", ".tga", ".jp2", ".avif"}
)
_MOST_PIXELS = 178_000_000
# Whatever a file calls itself, its content decides: PostScript, for one, would be run by another program.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF", "GIF", "ICO")


# Pillow's decoders raise these for damaged data.
_READ_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, AttributeError,
    struct.error, zlib.error,
)  # fmt: skip


def read_image(path: str | Path) -> Pixels:
    """Read a picture file as uint8 RGB (height, width, 3).

    It is turned upright as its EXIF orientation says; transparency is laid over black; 16 bits a channel are
    scaled to 8; grey, palette and CMYK become RGB. Of an animation or a multi-page file the first picture is read.
    Raises SourceError for a file that is missing, empty, damaged, no picture, or over 178 megapixels.
    """
    path = Path(path)
    check_input(path)
    try:
        if path.is_dir():
            raise SourceError(f"{path} is a folder, not a picture.")
        if path.stat().st_size == 0:
            raise SourceError(f"{path.name} is empty: it holds not a single byte.")
        with warnings.catch_warnings():
            # Large pictures are welcome, the limit below speaks for itself; damage is told in words of our own.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_formats()) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise SourceError(_too_large(path))
                return _to_rgb(path, image)
    except Image.DecompressionBombError as error:
        raise SourceError(_too_large(path)) from error
    except FileNotFoundError as error:
        raise SourceError(f"There is no file {path}.") from error
    except PermissionError as error:
        raise SourceError(f"{path} may not be read: change its permissions.") from error
    except UnidentifiedImageError as error:
        raise SourceError(f"{path.name} is not a picture that can be read.") from error
    except _READ_ERRORS as error:
        logger.warning("A picture could not be read", exc_info=True)
        raise SourceError(f"{path.name} cannot be read: the picture is damaged or cut short.") from error


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _too_large(path: Path) -> str:
    return f"{path.name} is too large: at most {_MOST_PIXELS // 1_000_000} megapixels can be read; make it smaller."


def _to_rgb(path: Path, image: Image.Image) -> Pixels:
    image.load()
    upright = ImageOps.exif_transpose(image)
    mode = upright.mode
    if mode.startswith("I"):
        grey = np.asarray(upright).astype(np.int64).clip(0, 65535)
        eight = ((grey * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(eight[..., None], 3, axis=2)
    if mode == "F":
        raise SourceError(f"{path.name} holds floating-point values: save it with 8 or 16 bits a channel first.")
    if mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in upright.info:
        return over_black(np.array(upright.convert("RGBA")))
    return np.array(upright if mode == "RGB" else upright.convert("RGB"))
