"""Which sink an output names: a video file, or a picture for a source of one frame."""

from fractions import Fraction
from pathlib import Path

from PIL import Image

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
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
"""Kinds of pictures that can be written."""
_LARGEST_SIDES = {"JPEG": 65_500, "WEBP": 16_383, "GIF": 65_535}


def is_writable(path: str | Path) -> bool:
    """Tell if a name has a suffix of a video or picture that can be written."""
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
    """The sink that ``path`` means, not yet opened: a picture for a picture's suffix, otherwise a video.

    Raises UsageError for a suffix that cannot be written, a codec that the container cannot hold, or a file that
    exists already; SinkError for a folder that does not exist.
    """
    suffix = Path(path).suffix.lower()
    if suffix in _FORMATS:
        if codec is not None:
            raise UsageError(f"{Path(path).name} is a picture, which has no codec: leave out --codec.")
        return ImageWriter(path, quality=quality, overwrite=overwrite)
    if suffix not in CONTAINERS:
        known = ", ".join((*CONTAINERS, *_FORMATS))
        raise UsageError(f"{Path(path).name} has no suffix that can be written: use one of {known}.")
    return VideoWriter(path, codec, quality, overwrite, start, end)


class ImageWriter:
    """Writes the one frame of a source as a picture. ``quality`` (0 to 100) is for JPEG; WebP is lossless.

    padded and notices are there for the likeness with ``VideoWriter``: always False and empty.
    """

    def __init__(self, path: str | Path, quality: int = 70, overwrite: bool = False) -> None:
        """Raises UsageError for a file that exists or a suffix that is no picture's, SinkError as ``AtomicOutput``."""
        self.path = Path(path)
        if self.path.suffix.lower() not in _FORMATS:
            raise UsageError(f"{self.path.name} has no suffix of a picture: use one of {', '.join(_FORMATS)}.")
        if not 0 <= quality <= 100:
            raise UsageError(f"A quality of {quality} is not possible: it goes from 0 (smallest) to 100 (best).")
        self._quality = quality
        self._place = AtomicOutput(path, overwrite)
        self._place.check()
        self.padded = False
        self.notices: list[str] = []
        self._count = 0

    def open(self, info: SourceInfo) -> None:
        """Start the file beside its place. Raises SinkError, UsageError for a source of many frames."""
        if info.hdr is not None and info.hdr.kept:
            raise UsageError(
                f"{self.path.name} is a picture of 8 bits: leave out --hdr keep, or name a video such as .mov."
            )
        if info.frame_count is not None and info.frame_count > 1:
            raise UsageError(
                f"{self.path.name} is a single picture, but {info.name} has many frames: name a video such as .mp4."
            )
        self._count = 0
        self._working = self._place.begin()

    def write(self, frame: Frame) -> None:
        """Write the frame. Raises SinkError, also for a second one."""
        if self._count:
            raise SinkError(f"{self.path.name} is a single picture: name a video such as .mp4 for many frames.")
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
        """Move the picture to its place. Raises SinkError."""
        if not self._count:
            raise SinkError(f"{self.path.name} was not written: there was not a single frame.")
        self._place.commit()

    def abandon(self, keep_partial: bool = False) -> Path | None:
        """Remove what was written, or keep a whole picture as ``NAME.partial.SUFFIX``. Never raises."""
        kept = self._place.keep_partial() if keep_partial and self._count else None
        self._place.discard()
        return kept


def check_side(form: str, width: int, height: int) -> None:
    """Refuse a picture that is too long for its format. Raises SinkError."""
    most = _LARGEST_SIDES.get(form, max(width, height))
    if max(width, height) > most:
        raise SinkError(f"{width}×{height} pixels do not fit into a {form} picture, which has at most {most} a side.")
