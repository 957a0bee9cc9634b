"""Type and coded colours of HEIF files (HEIC, AVIF); Pillow and pillow-heif read the pixels."""

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO, Literal, NamedTuple

HeifKind = Literal["avif", "heic"]

_AVIF = frozenset({b"avif", b"avis"})
_HEIF = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"})
_SEQUENCES = frozenset({b"avis", b"hevc", b"hevx", b"hevm", b"hevs", b"msf1"})
LARGEST_META = 2**20
"""Bytes at the start of a file that hold its properties; a photo of a thousand tiles needs less."""


class HeifFile(NamedTuple):
    """Type of a HEIF file.

    Attributes:
        kind: Format according to the brands.
        is_sequence: True if its images are a track with times, as in a video.
        is_cut_short: True if its end is missing, which libheif does not report.
    """

    kind: HeifKind
    is_sequence: bool
    is_cut_short: bool


@lru_cache(maxsize=1)
def can_read_heic() -> bool:
    """Return True if pillow-heif is installed, and register it with Pillow."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return True


def identify(file: BinaryIO) -> HeifFile | None:
    """Return the type of a HEIF file, None for other files. The position in the file is kept."""
    start = file.tell()
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(512)
        if head[4:8] != b"ftyp":
            return None
        length = min(int.from_bytes(head[:4], "big"), len(head))
        major = head[8:12]
        brands = {major, *(head[offset : offset + 4] for offset in range(16, length - 3, 4))}
        if major not in _AVIF | _HEIF:
            return None
        boxes = list(_boxes(file, size))
        is_sequence = major in _SEQUENCES and any(name == b"moov" for name, _ in boxes)
        return HeifFile("avif" if brands & _AVIF else "heic", is_sequence, boxes[-1][1] > size)
    finally:
        file.seek(start)


def coded_colour(data: bytes) -> tuple[int, int] | None:
    """Return colour primaries and transfer characteristics (ITU-T H.273) of an AVIF file; None if it has none."""
    properties = data.find(b"ipco")
    end = properties + int.from_bytes(data[max(properties - 4, 0) : properties], "big")
    box = data.find(b"colrnclx", properties, end) if properties > 0 else -1
    if box < 0 or box + 12 > len(data):
        return None
    return int.from_bytes(data[box + 8 : box + 10], "big"), int.from_bytes(data[box + 10 : box + 12], "big")


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield name and end of each top-level box of a file (ISO/IEC 14496-12, section 4.2)."""
    start = 0
    while start + 8 <= size:
        file.seek(start)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        yield head[4:8], start + length
        if length < 8:  # 0 means up to the end of the file
            return
        start += length
