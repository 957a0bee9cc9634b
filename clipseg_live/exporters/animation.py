"""Short animations with transparency: animated WebP and GIF, written frame by frame."""

import struct
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Matte, mask_of
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.exporters.alpha_video import empty_notice, require_video
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.folder import write_error
from clipseg_live.exporters.frame_files import encode_image
from clipseg_live.media.atomic_output import AtomicOutput
from clipseg_live.media.images.icc_profiles import srgb_profile
from clipseg_live.rendering.blending import union_of
from clipseg_live.rendering.foreground import transparent

RGBA = NDArray[np.uint8]

LONGEST_ANIMATION = Fraction(60)
"""Longest duration in seconds. Such files lack sound and an index, and compress little over time."""
LARGEST_SIDE = 640
_USUAL_DURATION = Fraction(1, 25)


@dataclass(frozen=True, slots=True)
class _Part:
    """Non-empty part of a frame.

    Attributes:
        x: left edge in pixels.
        y: top edge in pixels.
        pixels: uint8 RGBA (h, w, 4).
        start: start time in units of the format.
    """

    x: int
    y: int
    pixels: RGBA
    start: int


class AnimationSink(ABC):
    """Looped animation of everything that drawn mattes cover.

    It lasts at most a minute, and its longer side has at most 640 pixels. Times are rounded one by one, so that the
    total duration is right. Frames that follow the last one by less than ``min_units`` are left out. Memory holds one
    frame.

    Attributes:
        path: the file.
        notices: messages for the user.
    """

    units: ClassVar[int]
    """Units of time in a second."""
    min_units: ClassVar[int]
    """Shortest duration of a frame in units."""
    advice: ClassVar[str] = "cut it with --from and --to, or write a video with alpha (.mov, .webm)"

    def __init__(self, path: str | Path, overwrite: bool = False, live: bool = False) -> None:
        """Check the path.

        Raises:
            UsageError: if the path exists.
            SinkError: if its folder does not exist.
        """
        self.path = Path(path)
        self.notices: list[str] = []
        self._output = AtomicOutput(path, overwrite, visible=live)
        self._output.check()
        self._file: BinaryIO | None = None

    @classmethod
    def create(cls, path: Path, options: DataOptions) -> Self:
        """Return the exporter of an animation, not yet opened."""
        return cls(path, options.overwrite, options.live)

    def open(self, info: SourceInfo) -> None:
        """Start the file under a temporary name.

        Raises:
            UsageError: if the source is too long.
            SinkError: if the file cannot be started.
        """
        require_video(self.path, info)
        if info.duration is not None and info.duration > LONGEST_ANIMATION:
            raise UsageError(
                f"{info.name} lasts {float(info.duration):.0f} s, but {self.path.name} can last at most "
                f"{LONGEST_ANIMATION} s: {self.advice}."
            )
        scale = min(1.0, LARGEST_SIDE / max(info.width, info.height))
        self._size = max(round(info.width * scale), 1), max(round(info.height * scale), 1)
        self._first_time: Fraction | None = None
        self._pending: _Part | None = None
        self._end_time = 0
        self._is_full = False
        working = self._output.begin()
        try:
            self._file = working.open("wb")
            self._begin(self._file, *self._size)
        except OSError as error:
            raise write_error(self.path, error) from error

    def write(self, rendered: RenderedFrame) -> None:
        """Add a frame with its mattes.

        Raises:
            SinkError: if the frame cannot be written.
        """
        frame, mattes = rendered.frame, rendered.mattes
        file = self._require_file()
        if self._first_time is None:
            self._first_time = frame.time
        time = frame.time - self._first_time
        if self._is_full or time >= LONGEST_ANIMATION:
            if not self._is_full:
                self.notices.append(
                    f"{self.path.name} contains only the first {LONGEST_ANIMATION} seconds: {self.advice}."
                )
            self._is_full, self._end_time = True, round(LONGEST_ANIMATION * self.units)
            return
        start = round(time * self.units)
        self._end_time = max(round((time + (frame.duration or _USUAL_DURATION)) * self.units), start + self.min_units)
        if self._pending is not None and start - self._pending.start < self.min_units:
            return
        part = self._part_of(frame, union_of(mattes), start)
        if self._pending is not None:
            self._flush(file, self._pending, start)
        self._pending = part

    def finish(self) -> None:
        """Complete the file and move it to its path, or leave no file if there was no frame.

        Raises:
            SinkError: if the file cannot be completed.
        """
        if self._pending is None:
            self._require_file()
            self.abort()
            self.notices.append(empty_notice(self.path))
            return
        self._complete()
        self._output.commit()

    def abort(self, keep_partial: bool = False) -> Path | None:
        """Stop and delete the file, or complete and keep it as ``NAME.partial.SUFFIX``. Never raises."""
        kept = self._output.finished
        if keep_partial and self._output.working is not None and self._pending is not None:
            with suppress(SinkError):
                if self._file is not None:
                    self._complete()
                kept = self._output.keep_partial()
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:  # no space for buffered data
                kept = None
        self._output.discard()
        return kept

    @abstractmethod
    def _begin(self, file: BinaryIO, width: int, height: int) -> None:
        """Write the data before the first frame."""

    @abstractmethod
    def _add(self, file: BinaryIO, part: _Part, units: int) -> None:
        """Write a frame that is shown for this many units."""

    @abstractmethod
    def _end(self, file: BinaryIO) -> None:
        """Write the data after the last frame."""

    def _part_of(self, frame: Frame, matte: Matte, start: int) -> _Part:
        width, height = self._size
        pixels, alpha = frame.pixels, matte.alpha
        boxes = matte.boxes
        if (width, height) != (frame.width, frame.height):
            pixels = np.asarray(cv2.resize(pixels, self._size, interpolation=cv2.INTER_AREA), np.uint8)
            alpha = np.asarray(cv2.resize(alpha, self._size, interpolation=cv2.INTER_AREA), np.uint8)
            pixels, alpha = pixels.reshape(height, width, 3), alpha.reshape(height, width)
            boxes = ((0, 0, width, height),)
        x, y, part_width, part_height = cv2.boundingRect(alpha)
        left, top = x - x % 2, y - y % 2  # WebP supports only even positions
        right, bottom = x + part_width, y + part_height
        rgba = transparent(pixels, Matte(alpha, boxes))
        if not part_width or not part_height:
            return _Part(0, 0, np.zeros((1, 1, 4), np.uint8), start)
        return _Part(left, top, np.ascontiguousarray(rgba[top:bottom, left:right]), start)

    def _flush(self, file: BinaryIO, part: _Part, end: int) -> None:
        try:
            self._add(file, part, end - part.start)
            file.flush()
        except OSError as error:
            raise write_error(self.path, error) from error

    def _complete(self) -> None:
        file = self._require_file()
        if self._pending is not None:
            self._flush(file, self._pending, max(self._end_time, self._pending.start + self.min_units))
        try:
            self._end(file)
            file.close()
        except OSError as error:
            raise write_error(self.path, error) from error
        self._file = None

    def _require_file(self) -> BinaryIO:
        if self._file is None or self._file.closed:
            raise SinkError(f"{self.path.name} is not open.")
        return self._file


class WebpAnimation(AnimationSink):
    """Animated WebP with lossy colours and exact alpha at the written size; at most 100 frames per second."""

    units = 1000
    min_units = 10

    def _begin(self, file: BinaryIO, width: int, height: int) -> None:
        file.write(b"RIFF\0\0\0\0WEBP")
        flags = 0x32  # a profile, alpha, several frames
        file.write(_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + _three(width - 1) + _three(height - 1)))
        file.write(_chunk(b"ICCP", srgb_profile()))
        file.write(_chunk(b"ANIM", struct.pack("<IH", 0, 0)))

    def _add(self, file: BinaryIO, part: _Part, units: int) -> None:
        part_height, part_width = part.pixels.shape[:2]
        webp = encode_image(Image.fromarray(part.pixels), "WEBP", quality=82, alpha_quality=100, method=3)
        chunks = b"".join(_chunk(name, data) for name, data in _chunks(webp) if name in (b"ALPH", b"VP8 ", b"VP8L"))
        dispose_flags = 0b11
        position = _three(part.x // 2) + _three(part.y // 2) + _three(part_width - 1) + _three(part_height - 1)
        file.write(_chunk(b"ANMF", position + _three(units) + bytes([dispose_flags]) + chunks))

    def _end(self, file: BinaryIO) -> None:
        size = file.tell()
        file.seek(4)
        file.write(struct.pack("<I", size - 8))


class GifAnimation(AnimationSink):
    """Animated GIF with 255 colours for each frame; a pixel is opaque where the matte is at least one half.

    It has at most 50 frames per second, because players slow down faster ones.
    """

    units = 100
    min_units = 2

    def _begin(self, file: BinaryIO, width: int, height: int) -> None:
        file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0))
        file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")  # repeat forever

    def _add(self, file: BinaryIO, part: _Part, units: int) -> None:
        milliseconds = 1000 // self.units * units
        picture = _to_palette_image(part.pixels)
        blocks = GifImagePlugin.getdata(
            picture, (part.x, part.y), duration=milliseconds, transparency=_CLEAR, disposal=2, include_color_table=True
        )
        file.write(b"".join(blocks))

    def _end(self, file: BinaryIO) -> None:
        file.write(b";")


_CLEAR = 255
"""Palette index of transparent pixels."""


def _to_palette_image(pixels: RGBA) -> Image.Image:
    """Return RGBA as a palette image whose last index is transparent; colours are chosen from the opaque pixels."""
    opaque = mask_of(pixels[..., 3])
    colours = pixels[..., :3]
    opaque_colours = colours[opaque]
    if not len(opaque_colours):
        opaque_colours = np.zeros((1, 3), np.uint8)
    sample = Image.fromarray(np.ascontiguousarray(opaque_colours[None]))
    palette = sample.quantize(_CLEAR, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    quantized = Image.fromarray(np.ascontiguousarray(colours)).quantize(palette=palette, dither=Image.Dither.NONE)
    indices = np.array(quantized)
    indices[~opaque] = _CLEAR
    picture = Image.fromarray(indices).convert("P")
    table = np.zeros((256, 3), np.uint8)
    flat = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)[:_CLEAR]
    table[: len(flat)] = flat
    picture.putpalette(table.tobytes())
    return picture


def _three(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _chunks(riff: bytes) -> list[tuple[bytes, bytes]]:
    """Return the names and contents of the chunks of a WebP file."""
    chunks, offset = [], 12
    while offset + 8 <= len(riff):
        (size,) = struct.unpack_from("<I", riff, offset + 4)
        chunks.append((riff[offset : offset + 4], riff[offset + 8 : offset + 8 + size]))
        offset += 8 + size + size % 2
    return chunks


def repair_webp(path: Path) -> bool:
    """Cut an animation after its last complete frame, and write its size."""
    with path.open("rb+") as file:
        data = file.read()
        offset, frames = 12, 0
        while offset + 8 <= len(data):
            (size,) = struct.unpack_from("<I", data, offset + 4)
            end = offset + 8 + size + size % 2
            if end > len(data):
                break
            frames += data[offset : offset + 4] == b"ANMF"
            offset = end
        if data[:4] != b"RIFF" or not frames:
            return False
        file.truncate(offset)
        file.seek(4)
        file.write(struct.pack("<I", offset - 8))
    return True


def repair_gif(path: Path) -> bool:
    """Cut an animation after its last complete frame, and write its end."""
    with path.open("rb+") as file:
        data = file.read()
        end = _end_of_gif_frames(data)
        if not end:
            return False
        file.truncate(end)
        file.seek(end)
        file.write(b";")
    return True


def _end_of_gif_frames(data: bytes) -> int:
    """Return the end of the last complete frame, or 0 if there is none."""
    try:
        offset, end = 13, 0
        while True:
            kind = data[offset]
            if kind == 0x21:
                offset += 2
            elif kind == 0x2C:
                colours = data[offset + 9]
                offset += 10 + (3 << ((colours & 7) + 1) if colours & 0x80 else 0) + 1
            else:
                return end
            while data[offset]:
                offset += 1 + data[offset]
            offset += 1
            if kind == 0x2C:
                end = offset
    except IndexError:
        return end
