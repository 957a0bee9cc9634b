"""Parsers for image headers that Pillow does not report: coded colours, and parts and times of animations."""

import os
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import BinaryIO

PNG = b"\x89PNG\r\n\x1a\n"
GIF = (b"GIF87a", b"GIF89a")
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_SHORTEST, _INSTEAD = Fraction(1, 100), Fraction(1, 10)
_MOST_FRAMES = 1_000_000


def shown_for(duration: Fraction) -> Fraction:
    """Return how long browsers show a GIF, WebP or APNG frame: 100 ms if the file asks for 10 ms or less."""
    return _INSTEAD if duration <= _SHORTEST else duration


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, content offset and length of each chunk of a PNG file."""
    position = len(PNG)
    while True:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return
        length, name = struct.unpack(">I4s", head)
        yield name, position + 8, length
        if name == b"IEND":
            return
        position += 12 + length


def png_colour(file: BinaryIO) -> tuple[int, int] | None:
    """Return colour primaries and transfer characteristics (ITU-T H.273) of a PNG file's cICP chunk."""
    for name, position, length in png_chunks(file):
        if name == b"cICP" and length == 4:
            file.seek(position)
            primaries, transfer, _, _ = file.read(4)
            return primaries, transfer
        if name == b"IDAT":
            break
    return None


def webp_durations(file: BinaryIO) -> list[Fraction]:
    """Return the frame durations of an animated WebP file; an empty list for a still image."""
    durations: list[Fraction] = []
    position = 12
    while len(durations) < _MOST_FRAMES:
        file.seek(position)
        head = file.read(8 + 16)
        if len(head) < 8:
            break
        if head[:4] == b"ANMF" and len(head) == 24:
            durations.append(shown_for(Fraction(int.from_bytes(head[20:23], "little"), 1000)))
        elif head[:4] in (b"VP8 ", b"VP8L"):
            break
        length = int.from_bytes(head[4:8], "little")
        position += 8 + length + length % 2
    return durations


def whole_frames_of_webp(file: BinaryIO) -> bytes | None:
    """Return a truncated animated WebP file as a valid file of its complete frames.

    Returns:
        None if the file is not truncated, or no frame is complete.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if 8 + int.from_bytes(head[4:8], "little") <= size:
        return None
    position = end = 12
    while (chunk := _chunk_of_webp(file, position)) is not None:
        name, after = chunk
        if after > size:
            break
        position = after
        if name == b"ANMF":
            end = after
    if end == 12:
        return None
    file.seek(12)
    return head[:4] + (end - 8).to_bytes(4, "little") + head[8:] + file.read(end - 12)


def _chunk_of_webp(file: BinaryIO, position: int) -> tuple[bytes, int] | None:
    """Return the name of the chunk at an offset and the offset of the next one; None at the end of the file."""
    file.seek(position)
    head = file.read(8)
    if len(head) < 8:
        return None
    length = int.from_bytes(head[4:], "little")
    return head[:4], position + 8 + length + length % 2


@dataclass(frozen=True, slots=True)
class FramePart:
    """The part of the canvas that one frame of a GIF or APNG file draws.

    Attributes:
        left, top, width, height: Area, in pixels.
        duration: Seconds that the frame is shown.
        replaces: True if it replaces the area, transparency included, instead of being drawn over it.
        clears: True if the area becomes transparent afterwards.
        restores: True if the area is restored afterwards.
        data: Offset and length of each section of image data in the file.
        transparent: Transparent palette index (GIF), None if there is none.
    """

    left: int
    top: int
    width: int
    height: int
    duration: Fraction
    replaces: bool = False
    clears: bool = False
    restores: bool = False
    data: tuple[tuple[int, int], ...] = ()
    transparent: int | None = None


class FrameParts(ABC):
    """The parts of a GIF or APNG file; each can be extracted as an image file.

    Attributes:
        width, height: Size of the canvas, in pixels.
        each: Parts in order.
        is_cut_short: True if the file ends before its last part does.
    """

    width: int
    height: int
    each: list[FramePart]
    is_cut_short: bool

    @abstractmethod
    def image(self, part: FramePart) -> bytes:
        """Return a part as an image file of the same format."""


class PngParts(FrameParts):
    """Parts of an animated PNG file (third edition of the specification); none for a still image."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._header, self._palette = bytes(13), b""
        self.width = self.height = 0
        self.each = []
        self.is_cut_short = True
        is_animated = False
        for name, position, length in png_chunks(file):
            if name == b"IHDR":
                self._header = self._read(position, 13).ljust(13, b"\0")
                self.width, self.height = struct.unpack(">II", self._header[:8])
            elif name in (b"PLTE", b"tRNS"):
                self._palette += _png_chunk(name, self._read(position, length))
            elif name == b"acTL":
                is_animated = True
            elif name == b"IDAT" and not is_animated:
                break
            elif name == b"fcTL" and length == 26 and len(self.each) < _MOST_FRAMES:
                self._add(self._read(position, length))
            elif name in (b"IDAT", b"fdAT") and self.each:  # an IDAT without an fcTL does not belong to the animation
                skipped = 4 if name == b"fdAT" else 0
                last = self.each[-1]
                data = (*last.data, (position + skipped, length - skipped))
                self.each[-1] = replace(last, data=data)
            elif name == b"IEND":
                self.is_cut_short = False

    def _add(self, control: bytes) -> None:
        if len(control) < 26:
            return
        _, width, height, left, top, over, under, disposal, blend = struct.unpack(">5I2H2B", control)
        duration = shown_for(Fraction(over, under or 100))
        self.each.append(FramePart(left, top, width, height, duration, blend == 0, disposal == 1, disposal == 2))

    def image(self, part: FramePart) -> bytes:
        """Return a part as a PNG file."""
        header = struct.pack(">II", part.width, part.height) + self._header[8:]
        data = b"".join(self._read(position, length) for position, length in part.data)
        return PNG + _png_chunk(b"IHDR", header) + self._palette + _png_chunk(b"IDAT", data) + _png_chunk(b"IEND", b"")

    def _read(self, position: int, length: int) -> bytes:
        self._file.seek(position)
        return self._file.read(length)


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


class GifParts(FrameParts):
    """Parts of a GIF file.

    Args:
        file: File to read; it must stay open.
        most: Number of parts to look for, at most.
    """

    def __init__(self, file: BinaryIO, most: int = _MOST_FRAMES) -> None:
        self._file = file
        file.seek(0)
        head = file.read(13).ljust(13, b"\0")
        self.width, self.height, flags = struct.unpack("<HHB", head[6:11])
        self._palette = file.read(3 << (flags & 7) + 1) if flags & 0x80 else b""
        self.each = []
        self.is_cut_short = False
        self._control = bytes(4)
        while len(self.each) < most and not self.is_cut_short:
            kind = file.read(1)
            if kind == b"!":
                self._read_extension()
            elif kind == b",":
                self._read_image()
            elif kind != b"\0":  # trailer, end of file or unknown; some encoders pad with zeros
                break
        self.width = self.width or max((part.left + part.width for part in self.each), default=0)
        self.height = self.height or max((part.top + part.height for part in self.each), default=0)

    def _read_extension(self) -> None:
        label = self._file.read(1)
        start = self._file.tell()
        if label == b"\xf9":
            self._control = self._file.read(5)[1:].ljust(4, b"\0")
        self._file.seek(start)
        self.is_cut_short = not self._skip_blocks()

    def _read_image(self) -> None:
        start = self._file.tell()
        descriptor = self._file.read(9)
        if len(descriptor) == 9:
            left, top, width, height, flags = struct.unpack("<4HB", descriptor)
            self._file.seek((3 << (flags & 7) + 1 if flags & 0x80 else 0) + 1, 1)
            if self._skip_blocks():
                packed, hundredths, transparent = struct.unpack("<BHB", self._control)
                disposal = packed >> 2 & 7
                self.each.append(
                    FramePart(
                        left, top, width, height, shown_for(Fraction(hundredths, 100)),
                        clears=disposal == 2, restores=disposal == 3, data=((start, self._file.tell() - start),),
                        transparent=transparent if packed & 1 else None,
                    )
                )  # fmt: skip
                self._control = bytes(4)
                return
        self.is_cut_short = True

    def image(self, part: FramePart) -> bytes:
        """Return a part as a GIF file, without its transparency."""
        position, length = part.data[0]
        self._file.seek(position)
        content = self._file.read(length)
        flags, content = content[8], content[9:]
        palette = self._palette
        if flags & 0x80:
            size = 3 << (flags & 7) + 1
            palette, content = content[:size], content[size:]
        table = 0x80 | max(len(palette) // 3, 2).bit_length() - 2 if palette else 0
        size_bytes = struct.pack("<HH", part.width, part.height)
        head = b"GIF89a" + size_bytes + bytes((table, 0, 0)) + palette
        return head + b",\0\0\0\0" + size_bytes + bytes((flags & 0x40,)) + content + b";"

    def _skip_blocks(self) -> bool:
        """Skip data blocks; return True if their end was found."""
        while True:
            length = self._file.read(1)
            if not length:
                return False
            if length == b"\0":
                return True
            self._file.seek(length[0], 1)
