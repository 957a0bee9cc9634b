"""Choice of the writer for an output file: a video, or an image for a source of one frame."""

from fractions import Fraction
from pathlib import Path

from PIL import Image

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import SourceInfo
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import Codec
from clipseg_live.media.atomic_output import AtomicOutput
from clipseg_live.media.images.icc_profiles import srgb_tag
from clipseg_live.media.writers.video import CONTAINERS, VideoWriter

__all__ = ["IMAGE_WRITER_SUFFIXES", "ImageWriter", "VideoWriter", "open_sink"]

_FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF",
    ".tiff": "TIFF",
}  # fmt: skip
IMAGE_WRITER_SUFFIXES = frozenset(_FORMATS)
"""Suffixes of image files that can be written."""
_LARGEST_SIDES = {"JPEG": 65_500, "WEBP": 16_383, "GIF": 65_535}


def is_writable(path: str | Path) -> bool:
    """Return True if the suffix is that of a video or image that can be written."""
    return Path(path).suffix.lower() in (*_FORMATS, *CONTAINERS)


def open_sink(
    path: str | Path,
    *,
    codec: Codec | None = None,
    quality: int = 70,
    overwrite: bool = False,
    start: Fraction | None = None,
    end: Fraction | None = None,
) -> "VideoWriter | ImageWriter":
    """Return the writer for a path, not yet opened: an image for an image suffix, otherwise a video.

    Args:
        path: File to write.
        codec: Codec of a video, None for the default of the suffix.
        quality: 0 (smallest) to 100 (best).
        overwrite: True to replace an existing file.
        start: Start of the source's range, in seconds.
        end: End of the source's range, in seconds.

    Raises:
        UsageError: If the suffix is unknown, the container cannot hold the codec, or the file exists.
        SinkError: If the folder does not exist.
    """
    suffix = Path(path).suffix.lower()
    if suffix in _FORMATS:
        if codec is not None:
            raise UsageError(f"{Path(path).name} is an image, which has no codec: omit --codec.")
        return ImageWriter(path, quality=quality, overwrite=overwrite)
    if suffix not in CONTAINERS:
        known = ", ".join((*CONTAINERS, *_FORMATS))
        raise UsageError(f"{Path(path).name} has no supported suffix: use one of {known}.")
    return VideoWriter(path, codec, quality, overwrite, start, end)


class ImageWriter:
    """Writes the only frame of a source as an image. WebP is lossless.

    Args:
        path: File to write.
        quality: 0 (smallest) to 100 (best), for JPEG.
        overwrite: True to replace an existing file.

    Attributes:
        padded: Always False, for the same interface as ``VideoWriter``.
        notices: Always empty, for the same interface as ``VideoWriter``.
    """

    def __init__(self, path: str | Path, quality: int = 70, overwrite: bool = False) -> None:
        """Check the settings.

        Raises:
            UsageError: If the file exists, or the suffix or quality is invalid.
            SinkError: If the folder does not exist, as in ``AtomicOutput``.
        """
        self.path = Path(path)
        if self.path.suffix.lower() not in _FORMATS:
            raise UsageError(f"{self.path.name} has no image suffix: use one of {', '.join(_FORMATS)}.")
        if not 0 <= quality <= 100:
            raise UsageError(f"A quality of {quality} is invalid: use 0 (smallest) to 100 (best).")
        self._quality = quality
        self._place = AtomicOutput(path, overwrite)
        self._place.check()
        self.padded = False
        self.notices: list[str] = []
        self._count = 0

    def open(self, info: SourceInfo) -> None:
        """Start a temporary file in the folder of the result.

        Raises:
            SinkError: If it cannot be created.
            UsageError: If the source has many frames, or HDR is to be kept.
        """
        if info.hdr is not None and info.hdr.kept:
            raise UsageError(
                f"{self.path.name} is an image with 8 bits: omit --hdr keep, or write a video such as .mov."
            )
        if info.frame_count is not None and info.frame_count > 1:
            raise UsageError(
                f"{self.path.name} is a single image, but {info.name} has many frames: write a video such as .mp4."
            )
        self._count = 0
        self._working = self._place.begin()

    def write(self, rendered: RenderedFrame) -> None:
        """Write the frame.

        Raises:
            SinkError: If it cannot be written, or is a second frame.
        """
        frame = rendered.output_frame
        if self._count:
            raise SinkError(f"{self.path.name} is a single image: write a video such as .mp4 for many frames.")
        name = _FORMATS[self.path.suffix.lower()]
        options: dict[str, object] = {}
        check_side(name, frame.width, frame.height)
        if name == "JPEG":
            options = {"quality": round(40 + 0.58 * self._quality), "subsampling": 0}
        elif name == "WEBP":
            options = {"lossless": True}
        try:
            Image.fromarray(frame.pixels).save(self._working, format=name, **srgb_tag(name), **options)
        except OSError as error:
            raise SinkError(f"{self.path.name} could not be written: {error.strerror or error}.") from error
        except ValueError as error:
            raise SinkError(f"{self.path.name} could not be written: {error}.") from error
        self._count = 1

    def finish(self) -> None:
        """Move the image to its path.

        Raises:
            SinkError: If there is no frame, or the move fails.
        """
        if not self._count:
            raise SinkError(f"{self.path.name} was not written: there were no frames.")
        self._place.commit()

    def abort(self, keep_partial: bool = False) -> Path | None:
        """Remove what was written, or keep a complete image as ``NAME.partial.SUFFIX``. Never raises."""
        kept = self._place.keep_partial() if keep_partial and self._count else None
        self._place.discard()
        return kept


def check_side(form: str, width: int, height: int) -> None:
    """Reject an image that is too large for its format.

    Raises:
        SinkError: If a side is too long.
    """
    most = _LARGEST_SIDES.get(form, max(width, height))
    if max(width, height) > most:
        raise SinkError(f"{width}×{height} pixels exceed the limit of {form}, which is {most} per side.")
