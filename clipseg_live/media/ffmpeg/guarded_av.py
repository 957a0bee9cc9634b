"""Guarded access to PyAV: side data, format flags, channel layouts, and readable read errors.

PyAV 17.1 to 18.1 has three faults that media files can trigger:

- Side data of a kind that its enumeration does not contain raises ValueError for the whole frame.
- A custom channel layout (channels not in FFmpeg's own order) is copied without its map, which is then freed twice. The
  process aborts at the first access to the layout, or at the first decoded frame.
- The planes of a planar frame with eight or more channels are counted past their end, which crashes. Samples are
  therefore exchanged in packed frames (``samples_of``, ``frame_of``).

All modules that read media files use these functions instead of the properties concerned.
"""

import json
import logging
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import av
import numpy as np
from av.format import Flags as FormatFlags
from av.sidedata.sidedata import Type as SideDataType
from numpy.typing import NDArray

from clipseg_live.core.errors import ClipsegLiveError, SourceError

if TYPE_CHECKING:
    Packet = av.Packet[Any]
else:
    Packet = av.Packet  # generic for type checkers only

logger = logging.getLogger(__name__)

MEDIA_READ_ERRORS = (
    av.FFmpegError, OSError, ValueError, RuntimeError, TypeError, LookupError, ArithmeticError, AttributeError,
    AssertionError, MemoryError,
)  # fmt: skip
"""Exceptions that PyAV raises for media files that it cannot read."""

_PROBE_SECONDS = 20.0
_DISPLAY_MATRIX_BYTES = 36

# Containers whose demuxers never return a custom layout, by FFmpeg's name.
_NATIVE_LAYOUTS = frozenset(
    {"matroska,webm", "avi", "wav", "ogg", "flac", "mp3", "mpegts", "mpeg", "flv", "asf", "gif", "aac", "ac3"}
)
_MOV = "mov,mp4,m4a,3gp,3g2,mj2"
_MOOV_BYTES = 64 << 20
_ORDINARY = tuple(bytes(4) + struct.pack(">I", tag << 16 | count) for tag, count in ((1, 0), (100, 1), (101, 2)))
"""First bytes of chan boxes with Core Audio's layout tags for a channel bitmap, mono and stereo."""
_USAC = 42
_CHANNEL_ORDER = (
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR",
    "DL", "DR", "WL", "WR", "SDL", "SDR", "LFE2", "TSL", "TSR", "BFC", "BFL", "BFR", "SSL", "SSR", "TTL", "TTR",
)  # fmt: skip
_NAMED_LAYOUTS = (
    "mono", "stereo", "2.1", "3.0", "3.0(back)", "4.0", "quad", "quad(side)", "3.1", "5.0", "5.0(side)", "4.1", "5.1",
    "5.1(side)", "6.0", "6.0(front)", "hexagonal", "6.1", "6.1(back)", "6.1(front)", "7.0", "7.0(front)", "7.1",
    "7.1(wide)", "7.1(wide-side)", "octagonal", "hexadecagonal", "22.2",
)  # fmt: skip


def _unknown_side_data(kind: type[SideDataType], value: object) -> SideDataType:
    """Return a member for side data that PyAV does not know, so that the other side data stays readable."""
    member: Any = object.__new__(kind)
    member._name_, member._value_ = f"UNKNOWN_{value}", value
    return cast(SideDataType, member)


cast(Any, SideDataType)._missing_ = classmethod(_unknown_side_data)


@contextmanager
def media_errors(sentence: str) -> Iterator[None]:
    """Convert every error of PyAV in the block to a SourceError with this message; log its cause."""
    try:
        yield
    except ClipsegLiveError:
        raise
    except MEDIA_READ_ERRORS as error:
        logger.warning("PyAV could not read a media file", exc_info=True)
        raise SourceError(sentence) from error


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """Return the entries (a, b, c, d) of the display matrix that rotate and mirror; None without a matrix."""
    try:
        data = cast(Any, frame.side_data).get(SideDataType.DISPLAYMATRIX)  # PyAV does not declare its type
        raw = b"" if data is None else bytes(data)
    except MEDIA_READ_ERRORS:
        logger.warning("The side data of a frame could not be read", exc_info=True)
        return _rotation_matrix(frame)
    if len(raw) < _DISPLAY_MATRIX_BYTES:
        return None
    a, b, _, c, d = (int(value) for value in np.frombuffer(raw, np.int32)[:5])
    return a, b, c, d


def _rotation_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """Return the matrix for the frame's rotation alone."""
    quarters = round(frame.rotation / 90) % 4
    return {1: (0, -1, 1, 0), 2: (-1, 0, 0, -1), 3: (0, 1, -1, 0)}.get(quarters)


def has_flag(container: av.container.InputContainer, flag: FormatFlags) -> bool:
    """Return True if the container's format has a flag, even next to flags that PyAV does not know."""
    return bool(int(container.format.flags) & cast(Any, flag).value)


@dataclass(frozen=True, slots=True)
class SoundLayout:
    """The channels of an audio track, in a form that is safe for PyAV.

    Attributes:
        name: Layout that PyAV supports.
        order: Position in the track for each channel of ``name``, None if the track has that order already.
    """

    name: str
    order: tuple[int, ...] | None = None

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(av.AudioLayout(self.name).nb_channels)

    def ordered(self, frame: av.AudioFrame) -> av.AudioFrame:
        """Return a decoded frame with its channels in the order of ``name``."""
        if self.order is None:
            return frame
        samples = cast(Any, frame.to_ndarray()).reshape(-1, len(self.order))[:, list(self.order)].reshape(1, -1)
        made = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), frame.format.name, self.name)
        made.sample_rate, made.pts = frame.sample_rate, frame.pts
        if frame.time_base:
            made.time_base = frame.time_base
        return made


def samples_of(frame: av.AudioFrame) -> NDArray[np.float32]:
    """Return the samples of a frame in the format "flt" as float32 (channels, samples)."""
    packed = np.asarray(frame.to_ndarray(), np.float32)
    return np.ascontiguousarray(packed.reshape(-1, frame.layout.nb_channels).T)


def frame_of(samples: NDArray[np.float32], layout: str) -> av.AudioFrame:
    """Return a frame in the format "flt" with these samples, float32 (channels, samples)."""
    return av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T).reshape(1, -1), format="flt", layout=layout)


def sound_layout(stream: av.AudioStream, path: Path) -> SoundLayout:
    """Return the layout of a track, and make its decoder safe to use.

    Call it before anything else that accesses the track's layout or decodes it.

    Raises:
        ValueError: If PyAV cannot decode the track without a crash; the text completes "it was left out: ...".
    """
    context = stream.codec_context
    if not _may_be_custom(stream, path):
        return SoundLayout(_plain_name(context.layout))
    name, names = _description_of(stream, path)
    if not names:
        return SoundLayout(_plain_name(context.layout))
    codec = context.codec.canonical_name
    if not codec.startswith("pcm_") or codec.endswith("_planar"):
        raise ValueError(f"its channel layout ({name}) is not supported")
    layout = _native(names)
    # The option replaces the custom layout before PyAV copies it.
    context.options = {**context.options, "ch_layout": layout.name}
    context.open(strict=False)
    return layout


def layout_name(stream: av.AudioStream, path: Path) -> str:
    """Return FFmpeg's description of a track's layout without changing its decoder."""
    if not _may_be_custom(stream, path):
        return str(stream.codec_context.layout.name)
    try:
        return _description_of(stream, path)[0]
    except ValueError:
        return ""


def _description_of(stream: av.AudioStream, path: Path) -> tuple[str, tuple[str, ...]]:
    """Return FFmpeg's description of a layout, and the channels of a custom one.

    Raises:
        ValueError: If the layout cannot be read.
    """
    try:
        return _described(str(path), _version(path))[stream.index]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        logger.warning("The sound tracks of a file could not be examined", exc_info=True)
        raise ValueError("its channel layout cannot be read here") from error


def _plain_name(layout: av.AudioLayout) -> str:
    name = str(layout.name)
    try:
        known = av.AudioLayout(name).nb_channels == layout.nb_channels
    except ValueError:
        known = False
    return name if known else f"{layout.nb_channels} channels"


def _native(names: tuple[str, ...]) -> SoundLayout:
    """Return the named layout of these channels, or an unnamed one with the same number of channels."""
    for name in _NAMED_LAYOUTS:
        wanted = [channel.name for channel in av.AudioLayout(name).channels]
        if sorted(wanted) == sorted(names):
            return SoundLayout(name, tuple(names.index(each) for each in wanted))
    return SoundLayout(f"{len(names)} channels")


def _may_be_custom(stream: av.AudioStream, path: Path) -> bool:
    """Return False if the container and the codec rule out a custom layout."""
    form = stream.container.format.name
    extra = bytes(stream.codec_context.extradata or b"")
    if stream.codec_context.codec.canonical_name == "aac" and _object_type(extra) == _USAC:
        return True
    if form == _MOV:
        return _names_channels(str(path), _version(path))
    return form not in _NATIVE_LAYOUTS


def _object_type(extra: bytes) -> int:
    """Return the audio object type of an AAC track (ISO/IEC 14496-3, 1.6.2.1); 0 without a header."""
    if len(extra) < 2:
        return 0
    first = extra[0] >> 3
    return first if first != 31 else 32 + ((extra[0] & 7) << 3 | extra[1] >> 5)


def _version(path: Path) -> tuple[int, int]:
    """Return size and modification time in ns as a key for caches."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=64)
def _names_channels(path: str, version: tuple[int, int]) -> bool:
    """Return True if the header of an ISO media file may describe channels one by one (boxes chan and chnl).

    A chan box with a bitmap, mono or stereo does not, so most files need no probing process.
    """
    try:
        with Path(path).open("rb") as file:
            header = _movie_header(file, version[0])
    except OSError:
        return True
    if header is None or b"chnl" in header:
        return True
    return not all(rest.startswith(_ORDINARY) for rest in header.split(b"chan")[1:])


def _movie_header(file: BinaryIO, size: int) -> bytes | None:
    """Return the moov box of an ISO media file, None if it is missing or too large to search."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - position
        if length < 8:
            return None
        if head[4:8] == b"moov":
            file.seek(position)
            return file.read(length) if length <= _MOOV_BYTES else None
        position += length
    return None


@lru_cache(maxsize=64)
def _described(path: str, version: tuple[int, int]) -> Mapping[int, tuple[str, tuple[str, ...]]]:
    """Return the layout of each audio track by its index: its description, and the channels of a custom layout.

    The description is in FFmpeg's log, which is the only safe access to a custom layout. A separate process reads it,
    because log levels apply to the whole process.

    Raises:
        OSError: If the process cannot be started.
        subprocess.SubprocessError: If it fails or takes too long.
        ValueError: If its output is invalid.
    """
    program = f"import sys; sys.path[:] = {sys.path!r}\nfrom clipseg_live.media.ffmpeg.layout_probe import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_PROBE_SECONDS,
        check=True,
    )
    return {int(index): (name, _custom_channels(name)) for index, name in json.loads(done.stdout)}


def _custom_channels(description: str) -> tuple[str, ...]:
    """Return the channels of a custom layout; empty if the layout is in FFmpeg's own order."""
    _, separator, rest = description.partition(" channels (")
    if not separator:
        return ()
    names = tuple(name.partition("@")[0] for name in rest.rstrip(")").split("+"))
    positions = [_CHANNEL_ORDER.index(name) if name in _CHANNEL_ORDER else -1 for name in names]
    is_native = positions[0] >= 0 and positions == sorted(set(positions))
    return () if is_native else names
