"""Opening and inspection of container files: format, clock, and truncation."""

import os
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

import av
from av.format import Flags as FormatFlags

from clipseg_live.core.errors import SourceError
from clipseg_live.core.system.paths import check_input
from clipseg_live.media.ffmpeg.guarded_av import has_flag, media_errors
from clipseg_live.media.ffmpeg.whitelist import file_options, is_playlist
from clipseg_live.media.images import heif

# FFmpeg renders text files as "ANSI art", which no user expects.
TEXT_FORMATS = frozenset({"tty", "bin", "xbin", "adf", "idf"})
_HEAD = 4096
_BOXES = frozenset(
    (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"moof", b"mfra", b"sidx", b"styp", b"uuid", b"meta",
     b"pdin", b"pnot", b"ssix", b"prft", b"emsg", b"udta")
)  # fmt: skip


def open_input(path: Path) -> av.container.InputContainer:
    """Open a local media file.

    Raises:
        SourceError: If it is not a media file, or cannot be read.
    """
    name = path.name
    check_input(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(_HEAD)
            still = heif.identify(file)
    except (FileNotFoundError, ValueError) as error:  # invalid file names
        raise SourceError(f"There is no file {path}.") from error
    except IsADirectoryError as error:
        raise SourceError(f"{path} is a folder, not a video file.") from error
    except PermissionError as error:
        raise SourceError(f"{path} is not readable: change its permissions.") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    if size == 0:
        raise SourceError(f"{name} is empty (0 bytes): record or download it again.")
    if still is not None and not still.is_sequence:  # FFmpeg would take one of its tiles for the whole image
        raise SourceError(f"{name} is a still image, not a video: open it as an image.")
    if is_playlist(head):
        raise SourceError(
            f"{name} is a playlist, which only lists addresses: open a listed file, or the address of the playlist."
        )
    with media_errors(f"{name} is not a video or is truncated: nothing in it can be played."):
        # "file:" prevents a name with a colon from being read as a protocol.
        container = av.open(f"file:{path}", mode="r", metadata_errors="replace", container_options=file_options())
    if container.format.name in TEXT_FORMATS:
        container.close()
        raise SourceError(f"{name} is not a video: it contains text.")
    return container


class FileStatus(NamedTuple):
    """Identity of the file behind a path, and its size in bytes."""

    device: int
    inode: int
    size: int


def status_of(path: Path) -> FileStatus | None:
    """Return the status of a file, None if it does not exist."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return FileStatus(status.st_dev, status.st_ino, status.st_size)


def has_running_clock(container: av.container.InputContainer) -> bool:
    """Return True if timestamps may start anywhere and jump, as in a broadcast (MPEG-TS, MPEG-PS)."""
    return has_flag(container, FormatFlags.ts_discont)


def clock_zero(container: av.container.InputContainer) -> Fraction:
    """Return the seconds to subtract from every timestamp.

    This is the first timestamp if the clock of the format may start anywhere (MPEG-TS, MPEG-PS). Otherwise it is 0,
    because the zero of the container holds.
    """
    if has_running_clock(container) and container.start_time is not None:
        # The clock ticks at 90 kHz, but the container's start is given in whole microseconds.
        return Fraction(round(Fraction(container.start_time * 90_000, av.time_base)), 90_000)
    return Fraction(0)


def is_cut_short(path: Path) -> bool:
    """Return True if a file is shorter than the sizes it declares (ISO media, Matroska, AVI)."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(12)
            if head[4:8] in _BOXES:
                return _boxes_end(file, size) > size
            if head[:4] == b"\x1a\x45\xdf\xa3":
                return _segment_end(file) > size
            if head[:4] == b"RIFF":
                return 8 + int.from_bytes(head[4:8], "little") > size
    except OSError:
        pass
    return False


def whole_end(file: BinaryIO, size: int) -> int:
    """Return where the last complete fragment of an ISO media file ends, or the part before the first; 0 otherwise."""
    position = end = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(8)
        length = int.from_bytes(head[:4], "big")
        if length < 8 or head[4:8] not in _BOXES or position + length > size:
            break
        position += length
        if head[4:8] != b"moof":  # a moof without its mdat is useless
            end = position
    return end


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Return where the last top-level box of an ISO media file ends (ISO/IEC 14496-12, section 4.2)."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            return size
        if length < 8 or head[4:8] not in _BOXES:  # other data was appended to a complete file
            return position
        position += length
    return position


def whole_clusters_end(file: BinaryIO, size: int) -> int:
    """Return where the last complete element of a Matroska segment ends; 0 for other files."""
    end = 0
    if _segment_start(file):
        _ebml_size(file)
        while (start := file.tell()) < size:
            first = file.read(1)
            if not first or not first[0]:
                break
            file.seek(start + 9 - first[0].bit_length())  # after the element ID
            length, known = _ebml_size(file)
            if not known or file.tell() + length > size:
                break
            end = file.tell() + length
            file.seek(end)
    return end


def _segment_end(file: BinaryIO) -> int:
    """Return where the segment of a Matroska file ends (RFC 8794 and 9559); 0 if its size is unknown."""
    if not _segment_start(file):
        return 0
    length, known = _ebml_size(file)
    return file.tell() + length if known else 0


def _segment_start(file: BinaryIO) -> bool:
    """Move to the size of a Matroska file's segment; return False if there is none."""
    file.seek(4)
    header, known = _ebml_size(file)
    if not known:
        return False
    file.seek(file.tell() + header)
    return file.read(4) == b"\x18\x53\x80\x67"


def _ebml_size(file: BinaryIO) -> tuple[int, bool]:
    """Return a variable-length integer, and False if it means "unknown" (all ones) or is missing."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, False
    extra = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> extra)]) + file.read(extra), "big")
    return value, value != (1 << 7 * (extra + 1)) - 1
