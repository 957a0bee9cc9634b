"""Animated images (GIF, WebP, APNG, AVIF) and multi-page TIFF files as sources of frames."""

import io
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.system.times import format_time
from clipseg_live.media.colour.conversion import over_black
from clipseg_live.media.ffmpeg.container import open_input
from clipseg_live.media.ffmpeg.guarded_av import MEDIA_READ_ERRORS as VIDEO_ERRORS
from clipseg_live.media.images import heif
from clipseg_live.media.images.headers import (
    GIF,
    PNG,
    TIFF,
    FramePart,
    FrameParts,
    GifParts,
    PngParts,
    shown_for,
    webp_durations,
    whole_frames_of_webp,
)
from clipseg_live.media.images.icc_profiles import profile_of
from clipseg_live.media.images.reader import (
    IMAGE_READ_ERRORS,
    IMAGE_SUFFIXES,
    OpenedImage,
    bytes_of,
    check_size,
    eight_bits,
    image_errors,
    open_image,
    open_in,
    pixels_of,
)
from clipseg_live.media.images.sequences import DEFAULT_IMAGE_RATE

logger = logging.getLogger(__name__)

ImageKind = Literal["still", "animation", "video"]

_SUBFILE_TYPE, _OLD_SUBFILE_TYPE = 254, 255
_REDUCED_OR_MASK = 0b101
_FINEST = 1_000_000
"""Finest time unit, in units per second, for times whose exact unit would be finer."""


def kind_of(path: Path) -> ImageKind:
    """Return what a file holds: one image, an animation, or a video.

    The content decides. The suffix decides for unknown formats and unreadable files.
    """
    by_suffix: ImageKind = "still" if path.suffix.lower() in IMAGE_SUFFIXES else "video"
    if not os.path.isfile(path):  # opening a named pipe could block forever
        return by_suffix
    try:
        with path.open("rb") as file:
            head = file.read(16)
            if head.startswith(PNG):
                return "animation" if len(PngParts(file).each) > 1 else "still"
            if head.startswith(GIF):
                return "animation" if len(GifParts(file, most=2).each) > 1 else "still"
            if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
                return "animation" if len(webp_durations(file)) > 1 else "still"
            heif_file = heif.identify(file)
            if heif_file is not None:
                if not heif_file.is_sequence:
                    return "still"
                return "animation" if heif_file.kind == "avif" else "video"
        # Raw photos of some cameras are TIFF files too, so the suffix must agree.
        if head.startswith(TIFF) and by_suffix == "still":
            with open_image(path) as (image, _):
                return "animation" if len(_pages(image)) > 1 else "still"
    except (*IMAGE_READ_ERRORS, SourceError):
        logger.debug("The kind of a file cannot be told", exc_info=True)
    return by_suffix


class _Frames(Protocol):
    """Frames in order, each composited onto the previous ones as its format defines.

    Attributes:
        durations: Seconds that each frame is shown.
        independent: True for pages of different sizes.
        is_cut_short: True if the file ends early.
    """

    durations: Sequence[Fraction]
    independent: bool
    is_cut_short: bool

    def read(self, first: int) -> Iterator[Pixels]:
        """Yield uint8 RGB pixels of all frames, starting with frame number ``first``."""


class AnimationSource:
    """Frames of an animated image file, read one at a time.

    The times are those of the file. In GIF, WebP and APNG, delays of 10 ms and less count as 100 ms, as in browsers.
    The pages of a TIFF file have the constant frame rate ``rate``. Pages of different sizes are independent images.
    Their time is their number, as for photos of a folder. If the file is damaged, ``read`` raises SourceError after the
    last complete frame.

    Args:
        path: File to read.
        start: Start of the range, in seconds.
        end: End of the range, in seconds; it is not included.
        rate: Pages per second of a TIFF file.

    Raises:
        UsageError: If the range is invalid.
    """

    def __init__(
        self,
        path: str | Path,
        start: Fraction | None = None,
        end: Fraction | None = None,
        rate: Fraction = DEFAULT_IMAGE_RATE,
    ) -> None:
        if start is not None and start < 0:
            raise UsageError(f"A start of {float(start):g} s is invalid: the animation begins at 0.")
        if end is not None and end <= (start or 0):
            raise UsageError(f"The end ({float(end):g} s) must come after the start ({float(start or 0):g} s).")
        self.path = Path(path)
        self._start, self._end, self._rate = start or Fraction(0), end, rate
        self._stack = ExitStack()
        self._pixels: Iterator[Pixels] = iter(())
        self._shown: list[tuple[Fraction, Fraction]] = []
        self._next = 0
        self._first: Pixels | None = None
        self._cut_at: Fraction | None = None
        self._independent = False

    def open(self) -> SourceInfo:
        """Open the file and read its first frame.

        Raises:
            SourceError: If the file cannot be read, or has no frames in the range.
        """
        self.close()
        try:
            with image_errors(self.path):
                frames = self._frames()
                return self._begin(frames)
        except BaseException:
            self.close()
            raise

    def read(self) -> Frame | None:
        """Return the next frame, or None after the last.

        Raises:
            SourceError: If the file is damaged or cut short.
        """
        if self._next >= len(self._shown):
            self._check_end()
            return None
        time, duration = self._shown[self._next]
        if self._first is not None:
            pixels, self._first = self._first, None
        else:
            pixels = self._advance(time)
        shown = None if self._independent else duration
        frame = Frame(pixels, self._next, time, shown, independent=self._independent)
        self._next += 1
        return frame

    def close(self) -> None:
        """Close the file; may be called more than once."""
        self._pixels, self._shown, self._first, self._cut_at = iter(()), [], None, None
        self._stack.close()

    def _begin(self, frames: _Frames) -> SourceInfo:
        durations = _in_units(frames.durations)
        times = [Fraction(0), *accumulate(durations)]
        whole = times.pop()
        chosen = [k for k, time in enumerate(times) if time >= self._start and (self._end is None or time < self._end)]
        if not chosen:
            raise SourceError(
                f"{self.path.name} has no frames in the requested range; it ends at {format_time(whole, 3)}."
            )
        self._pixels = iter(frames.read(chosen[0]))
        self._shown = [(times[k], durations[k]) for k in chosen]
        self._next, self._independent = 0, frames.independent
        self._cut_at = whole if frames.is_cut_short and (self._end is None or self._end > whole) else None
        self._first = first = next(self._pixels)
        height, width = first.shape[:2]
        length = sum((duration for _, duration in self._shown), Fraction(0))
        return SourceInfo(
            name=self.path.name,
            width=width,
            height=height,
            rate=len(chosen) / length if len(chosen) > 1 and not frames.independent else None,
            time_base=Fraction(1, math.lcm(*(duration.denominator for duration in durations))),
            frame_count=len(chosen),
            duration=length if len(chosen) > 1 else None,
            independent=frames.independent,
        )

    def _advance(self, time: Fraction) -> Pixels:
        try:
            with image_errors(self.path):
                return next(self._pixels)
        except (SourceError, StopIteration) as error:
            logger.warning("An animation breaks off", exc_info=True)
            self._shown = []
            raise self._broken(time) from error

    def _check_end(self) -> None:
        """Report once that the file ended early.

        Raises:
            SourceError: If it did.
        """
        cut_at, self._cut_at = self._cut_at, None
        if cut_at is not None:
            raise self._broken(cut_at)

    def _broken(self, time: Fraction) -> SourceError:
        return SourceError(f"{self.path.name} ends at {format_time(time, 3)}: the rest is damaged or missing.")

    def _frames(self) -> _Frames:
        file = self._stack.enter_context(bytes_of(self.path))
        head = file.read(16)
        if head.startswith(GIF):
            return _ComposedFrames(self.path.name, GifParts(file))
        is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
        whole_frames = whole_frames_of_webp(file) if is_webp else None  # Pillow rejects a file that is cut short
        opened_image = open_in(self._stack, whole_frames or self.path)
        image = opened_image.image
        if image.format == "PNG":
            return _ComposedFrames(self.path.name, PngParts(file), opened_image)
        numbers: Sequence[int] = range(getattr(image, "n_frames", 1))
        if image.format == "TIFF":
            numbers = _pages(image)
            is_mixed = len({_size_of(image, number) for number in numbers}) > 1
            durations = [Fraction(1) if is_mixed else 1 / self._rate] * len(numbers)
            return _PillowFrames(self.path.name, opened_image, numbers, durations, is_mixed)
        durations = webp_durations(file) if image.format == "WEBP" else _track_durations(self.path)
        if len(numbers) > len(durations):
            logger.warning("%d of %d frames have no duration", len(numbers) - len(durations), len(numbers))
            durations += [1 / DEFAULT_IMAGE_RATE] * (len(numbers) - len(durations))
        return _PillowFrames(
            self.path.name,
            opened_image,
            numbers,
            durations[: len(numbers)],
            is_cut_short=whole_frames is not None,
        )


class _PillowFrames:
    """Frames composited by Pillow."""

    def __init__(
        self,
        name: str,
        opened_image: OpenedImage,
        numbers: Sequence[int],
        durations: Sequence[Fraction],
        independent: bool = False,
        is_cut_short: bool = False,
    ) -> None:
        self.is_cut_short = is_cut_short
        self._name, self._numbers = name, numbers
        self._image, self._profile = opened_image
        self.durations, self.independent = durations, independent

    def read(self, first: int) -> Iterator[Pixels]:
        """Yield uint8 RGB pixels of all frames, starting with frame number ``first``."""
        for number in self._numbers[first:]:
            self._image.seek(number)
            check_size(self._name, *self._image.size)
            is_page = self._image.format == "TIFF"  # each page has its own profile
            yield pixels_of(self._image, profile_of(self._image.info) if is_page else self._profile)


class _ComposedFrames:
    """Frames of a GIF or APNG file, composited as in browsers: cleared areas become transparent."""

    independent = False

    def __init__(self, name: str, parts: FrameParts, opened_image: OpenedImage | None = None) -> None:
        check_size(name, parts.width, parts.height)
        self._name, self._parts = name, parts
        self._opened = opened_image
        self.durations: Sequence[Fraction] = [part.duration for part in parts.each]
        self.is_cut_short = parts.is_cut_short

    def read(self, first: int) -> Iterator[Pixels]:
        """Yield uint8 RGB pixels of all frames, starting with frame number ``first``."""
        canvas = np.zeros((self._parts.height, self._parts.width, 4), np.uint8)
        for number, part in enumerate(self._parts.each):
            area = canvas[part.top : part.top + part.height, part.left : part.left + part.width]
            before = area.copy() if part.restores else None
            if area.size:
                self._draw(part, area)
            if number >= first:
                yield self._pixels(canvas)
            if before is not None:
                area[:] = before
            elif part.clears:
                area[:] = 0

    def _draw(self, part: FramePart, area: NDArray[np.uint8]) -> None:
        check_size(self._name, part.width, part.height)
        height, width = area.shape[:2]
        with Image.open(io.BytesIO(self._parts.image(part)), formats=("GIF", "PNG")) as image:
            image.load()
            pixels = np.array(eight_bits(image).convert("RGBA"))[:height, :width]
            if part.transparent is not None:
                pixels[np.asarray(image)[:height, :width] == part.transparent, 3] = 0
        area[:] = pixels if part.replaces else _over(pixels, area)

    def _pixels(self, canvas: NDArray[np.uint8]) -> Pixels:
        if self._opened is None:
            return over_black(canvas)
        image = Image.fromarray(canvas)
        image.info["exif"] = self._opened.image.info.get("exif")
        return pixels_of(image, self._opened.profile)


def _over(above: NDArray[np.uint8], below: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blend RGBA pixels, straight alpha, with those below them."""
    alpha = above[..., 3:]
    if ((alpha == 0) | (alpha == 255)).all():
        return np.where(alpha == 255, above, below)
    upper = alpha.astype(np.float32) / 255
    lower = below[..., 3:].astype(np.float32) / 255 * (1 - upper)
    whole = upper + lower
    colour = (above[..., :3] * upper + below[..., :3] * lower) / np.maximum(whole, 1e-6)
    return np.concatenate([colour + 0.5, whole * 255 + 0.5], axis=2).astype(np.uint8)


def _pages(image: Image.Image) -> list[int]:
    """Return the numbers of a TIFF file's images, without reduced copies and masks."""
    numbers = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        tags = image.tag_v2  # type: ignore[attr-defined]
        kind = tags.get(_SUBFILE_TYPE, 0)
        is_copy = kind & _REDUCED_OR_MASK if isinstance(kind, int) else 0
        if not is_copy and tags.get(_OLD_SUBFILE_TYPE) != 2:
            numbers.append(number)
    image.seek(0)
    return numbers or [0]


def _size_of(image: Image.Image, number: int) -> tuple[int, int]:
    image.seek(number)
    return image.size


def _track_durations(path: Path) -> list[Fraction]:
    """Return the durations of the samples of an ISO media file's first video track."""
    durations: list[Fraction] = []
    try:
        with open_input(path) as container:
            stream = max(container.streams.video, key=lambda video: video.frames)  # another may be a cover image
            for packet in container.demux(stream):
                if packet.size and packet.time_base:
                    durations.append(Fraction(packet.duration or 0) * packet.time_base)
    except (*VIDEO_ERRORS, *IMAGE_READ_ERRORS):
        logger.warning("The times of an animation cannot be read", exc_info=True)
    return [duration or shown_for(duration) for duration in durations]


def _in_units(durations: Sequence[Fraction]) -> list[Fraction]:
    """Return the durations as multiples of one unit that is not too fine for a video file."""
    if math.lcm(*(duration.denominator for duration in durations)) <= _FINEST:
        return list(durations)
    return [Fraction(max(round(duration * _FINEST), 1), _FINEST) for duration in durations]
