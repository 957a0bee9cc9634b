"""Time index of a file whose clock may jump: its duration, and access to any time in it.

Seeking by time fails in such a file, because times occur twice in it. The index is built by reading all packets once
(about 0.4 GB/s) without decoding frames. It is cached until the file changes.
"""

import contextlib
import logging
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av

from clipseg_live.core.errors import SourceError
from clipseg_live.media.ffmpeg.container import open_input, status_of
from clipseg_live.media.ffmpeg.guarded_av import MEDIA_READ_ERRORS, Packet, sound_layout
from clipseg_live.media.sources.timestamps import Keyframe, TimeIndex, TimeMap, map_of, may_jump, timed_streams

logger = logging.getLogger(__name__)

QUICK_BYTES = 1 << 30
"""Size in bytes up to which a file is indexed when opened; larger files are indexed at the first seek."""
_PROBED_EVERY = 16
"""Interval of audio packets that are decoded to see whether the sample rate or the channels change."""


def index_of(path: Path) -> TimeIndex | None:
    """Return the index of a file, None if its clock cannot jump or it cannot be read."""
    status = status_of(path)
    if status is None:
        return None
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return None
    return _read_index(str(path), (status, changed))


def clock_of_file(
    path: Path, container: av.container.InputContainer, *, indexed: bool
) -> tuple[TimeMap | None, TimeIndex | None]:
    """Return a new time map for a container of the file, and the file's index.

    Args:
        path: File.
        container: The file opened for reading.
        indexed: True to read the whole file, however large it is.

    Returns:
        Both None if the times of the file never jump. The index is None if it was not built.
    """
    if not may_jump(container):
        return None, None
    if not indexed and (container.size or 0) > QUICK_BYTES:
        return map_of(container), None
    index = index_of(path)
    if index is None:
        return map_of(container), None
    return (map_of(container, index) if index.has_jumps else None), index


def seek_to(container: av.container.InputContainer, index: TimeIndex, time: Fraction) -> bool:
    """Move to the last key frame at or before a mapped time (seconds) of a file with jumps; return True if done."""
    position = max((keyframe.position for keyframe in index.keyframes if keyframe.time <= time), default=0)
    try:
        container.seek(position, unsupported_byte_offset=True)
    except MEDIA_READ_ERRORS:
        logger.warning("A file could not be searched by position", exc_info=True)
        return False
    return True


def decoding_delay(path: Path, number: int) -> Fraction:
    """Return the seconds from the decode time of a stream's first packet to its presentation time.

    AVI has no presentation times. Those that FFmpeg creates for H.264 start later by this delay.
    """
    try:
        with open_input(path) as container:
            for packet in container.demux(container.streams[number]):
                if packet.pts is not None and packet.dts is not None:
                    return (packet.pts - packet.dts) * packet.time_base
    except (SourceError, *MEDIA_READ_ERRORS):
        logger.warning("The first packet of a file could not be read", exc_info=True)
    return Fraction(0)


@lru_cache(maxsize=16)
def _read_index(path: str, version: object) -> TimeIndex | None:
    """Read all packets of a file; ``version`` changes when the file does."""
    try:
        container = open_input(Path(path))
    except SourceError:
        logger.warning("A file could not be indexed", exc_info=True)
        return None
    with container:
        times = map_of(container)
        return None if times is None else _index(Path(path), container, times)


def _index(path: Path, container: av.container.InputContainer, times: TimeMap) -> TimeIndex:
    video = container.streams.best("video")
    video_number = -1 if video is None else video.index
    sound = _SoundKinds(path, container)
    keyframes: list[Keyframe] = []
    end, frames = Fraction(0), 0
    try:
        for packet in container.demux(timed_streams(container)):
            if packet.size:
                sound.take(packet, len(times.segments))
            for mapped in times.feed(packet) if packet.size else times.flush():
                stamp = mapped.pts if mapped.pts is not None else mapped.dts
                if stamp is None or not mapped.time_base:
                    continue
                time = stamp * mapped.time_base
                end = max(end, time + (mapped.duration or 0) * mapped.time_base)
                if mapped.stream_index == video_number:
                    frames += 1
                    if mapped.is_keyframe and mapped.pos is not None and mapped.pos >= 0:
                        keyframes.append(Keyframe(time, mapped.pos))
    except MEDIA_READ_ERRORS:
        logger.warning("A file could not be indexed to its end", exc_info=True)
    times.flush()
    segments = tuple((segment.position, segment.shift or 0, segment.low, segment.high) for segment in times.segments)
    return TimeIndex(segments, end, frames, tuple(keyframes), frozenset(sound.mixed))


class _SoundKinds:
    """Finds the audio streams whose sample rate or channels change.

    Attributes:
        mixed: Numbers of these streams.
    """

    def __init__(self, path: Path, container: av.container.InputContainer) -> None:
        self.mixed: set[int] = set()
        self._decoded: set[int] = set()
        for stream in container.streams.audio:
            with contextlib.suppress(*MEDIA_READ_ERRORS):
                sound_layout(stream, path)
                self._decoded.add(stream.index)
        self._kinds: dict[int, tuple[int, int]] = {}
        self._counts: dict[int, int] = {}
        self._segments = 0

    def take(self, packet: Packet, segments: int) -> None:
        """Examine a packet, given the number of segments so far."""
        number = packet.stream_index
        if number not in self._decoded:
            return
        if segments != self._segments:
            self._segments, self._counts = segments, {}
        count = self._counts[number] = self._counts.get(number, -1) + 1
        if count > 2 and count % _PROBED_EVERY:
            return
        with contextlib.suppress(*MEDIA_READ_ERRORS):
            for frame in packet.decode():
                assert isinstance(frame, av.AudioFrame)
                kind = frame.sample_rate, frame.layout.nb_channels
                if self._kinds.setdefault(number, kind) != kind:
                    self.mixed.add(number)
