"""One time mapping for all packets of a source whose clock may jump (MPEG-TS, MPEG-PS, FLV, live streams).

A clock jumps when an encoder restarts, an advertisement is inserted, or a 33-bit counter overflows. The packets between
two jumps form a segment. A segment has one shift, which is added to the times of both its video and its audio. Video
and audio of a file are read separately. Each reader maps the same packets, so both get the same times.

Rules:

- A stream's decode time that steps back by more than ``_BACK`` seconds starts a segment. A smaller overlap does not.
- A step ahead of more than ``_AHEAD`` seconds starts a segment if no other stream has reached that time. A shorter step
  is a gap (lost packets), and is kept.
- A segment starts as soon as no stream of it overlaps with earlier packets. To know its first video and audio packet,
  packets are held back at a jump, at most ``_HELD_PACKETS``.
- A packet belongs to the newest segment that starts before it in the file and whose clock fits.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import dropwhile, takewhile
from typing import NamedTuple

import av
from av.format import Flags as FormatFlags
from av.stream import Disposition

from clipseg_live.media.ffmpeg.guarded_av import Packet, has_flag

_BACK = Fraction(1, 10)
_AHEAD = Fraction(10)
_TIGHT = Fraction(1, 200)
_BEFORE = Fraction(2)
"""Seconds that a stream may start before the packet that started its segment."""
_REORDERED = Fraction(1)
"""Seconds that presentation times may step back if there are no decode times."""
_HELD_PACKETS = 160
_HELD_SECONDS = Fraction(3, 2)

_STEADY_FORMATS = frozenset({"ogg"})
"""Formats that are marked as discontinuous but have one clock."""
_BACKWARD_FORMATS = frozenset({"flv", "live_flv"})
"""Formats whose times may step back after a restart, and in which every gap is intended."""


@dataclass(slots=True, eq=False)
class _Segment:
    """Packets with one clock; times are in units of the map.

    Attributes:
        shift: Added to their times, None while undecided.
        position: Byte offset of its start, -1 if unknown.
        low, high: Lowest and highest decode time of the source.
        starts: First presentation time of each stream.
    """

    shift: int | None
    position: int
    low: int
    high: int
    starts: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Track:
    """State of one stream; times are in units of the map.

    Attributes:
        segment: Segment of its last packet.
        due: Decode time of its next packet.
        end: Mapped end of its last frame or samples.
        position: Byte offset of its last packet.
        unordered: True if ``due`` comes from a presentation time because there is no decode time.
    """

    segment: _Segment
    due: int
    end: int
    position: int
    unordered: bool = False


class Keyframe(NamedTuple):
    """Mapped time (seconds) and byte offset of a key frame of the video."""

    time: Fraction
    position: int


@dataclass(frozen=True, slots=True)
class TimeIndex:
    """Result of reading all packets of a file.

    Attributes:
        segments: Position, shift, lowest and highest decode time of each, in units of the map.
        end: Mapped end of the last packet, in seconds.
        frames: Number of video packets.
        keyframes: Key frames of the video.
        mixed_sound: Numbers of audio streams that change their sample rate or channels.
    """

    segments: tuple[tuple[int, int, int, int], ...]
    end: Fraction
    frames: int
    keyframes: tuple[Keyframe, ...]
    mixed_sound: frozenset[int] = frozenset()

    @property
    def has_jumps(self) -> bool:
        """True if the clock jumps in the file."""
        return len(self.segments) > 1


class TimeMap:
    """Maps packets to one continuous timeline; the same packets always get the same times.

    Args:
        streams: Video and audio streams of one source.
        gaps_are_meant: True if only steps back start a segment.
        index: Index of the same file; packets may then be read from any position.
        endless: True for a live source, for which past segments are dropped.

    Attributes:
        unit: Unit of times, in seconds.
        segments: Segments in the order of the file.
    """

    def __init__(
        self,
        streams: Iterable[av.stream.Stream],
        *,
        gaps_are_meant: bool = False,
        index: TimeIndex | None = None,
        endless: bool = False,
    ) -> None:
        bases = {stream.index: Fraction(stream.time_base or Fraction(1, 90_000)) for stream in streams}
        unit = Fraction(1, math.lcm(*(base.denominator for base in bases.values())))
        self.unit = unit
        self._factors = {number: int(base / unit) for number, base in bases.items()}
        self._grid = math.lcm(*self._factors.values())
        self._back, self._ahead, self._tight = (int(each / unit) for each in (_BACK, _AHEAD, _TIGHT))
        self._before, self._reordered, self._most = (int(each / unit) for each in (_BEFORE, _REORDERED, _HELD_SECONDS))
        self._gaps_are_meant, self._endless = gaps_are_meant, endless
        self._tracks: dict[int, _Track] = {}
        self._held: list[tuple[Packet, _Segment | None]] = []
        self._undecided: _Segment | None = None
        self._followed: _Segment | None = None  # segment before the undecided one
        self.segments: list[_Segment] = []
        if index is not None:
            self.segments = [_Segment(shift, place, low, high) for place, shift, low, high in index.segments]

    def feed(self, packet: Packet) -> list[Packet]:
        """Add the next packet of the file; return the packets whose times are known, mapped in place."""
        self._held.append((packet, self._segment_of(packet)))
        if self._undecided is not None and not self._is_complete(self._undecided):
            return []
        return self.flush()

    def flush(self) -> list[Packet]:
        """Return the packets that are held back."""
        self._decide()
        ready, self._held = self._held, []
        for packet, segment in ready:
            if segment is not None and segment.shift:
                shift = segment.shift // self._factors[packet.stream_index]
                if packet.pts is not None:
                    packet.pts += shift
                if packet.dts is not None:
                    packet.dts += shift
        return [packet for packet, _ in ready]

    def _segment_of(self, packet: Packet) -> _Segment | None:
        """Return the segment of a packet, and update the state of its stream."""
        number = packet.stream_index
        factor = self._factors.get(number)
        stamp = packet.dts if packet.dts is not None else packet.pts
        if factor is None or stamp is None:
            return None
        tick = stamp * factor
        shown = tick if packet.pts is None else packet.pts * factor
        length = (packet.duration or 0) * factor
        track = self._tracks.get(number)
        position = packet.pos if packet.pos is not None and packet.pos >= 0 else (track.position if track else -1)
        if track is None:
            segment = self._first_segment(tick, position)
            track = self._tracks[number] = _Track(segment, tick, 0, position)
            track.end = (segment.shift or 0) + shown
        else:
            segment = self._next_segment(track, number, tick, position, packet.dts is None or track.unordered)
        track.segment, track.position, track.unordered = segment, position, packet.dts is None
        track.due = max(tick + length, track.due) if packet.dts is None and tick < track.due else tick + length
        segment.low, segment.high = min(segment.low, tick), max(segment.high, tick)
        segment.starts[number] = min(segment.starts.get(number, shown), shown)
        if segment.shift is not None:
            track.end = max(track.end, shown + length + segment.shift)
        return segment

    def _first_segment(self, at: int, place: int) -> _Segment:
        fitting = [each for each in self.segments if each.position <= place and self._fits(each, at)]
        if fitting:
            return fitting[-1]
        for each in reversed(self.segments):
            if self._fits(each, at):
                return each
        return self._begin(at, place, 0)  # the first of all, or the clock of another program

    def _next_segment(self, track: _Track, number: int, at: int, place: int, unordered: bool) -> _Segment:
        current, step = track.segment, at - track.due
        if abs(step) <= self._tight:
            return current
        following = list(takewhile(lambda each: each is not current, reversed(self.segments)))
        later = [each for each in reversed(following) if self._fits(each, at)]
        begun = [each for each in later if each.position <= place]
        if begun:
            return begun[-1]
        if -(self._reordered if unordered else self._back) <= step <= self._ahead:
            return current
        if step > 0 and (self._gaps_are_meant or self._is_reached(current, number, at)):
            return current
        if later:
            return later[0]
        self._decide()
        self._followed = current
        self._undecided = self._begin(at, place, None)
        return self._undecided

    def _begin(self, at: int, place: int, shift: int | None) -> _Segment:
        if self._endless:
            used = [track.segment for track in self._tracks.values()]
            self.segments = list(dropwhile(lambda each: each not in used, self.segments))
        self.segments.append(_Segment(shift, place, at, at))
        return self.segments[-1]

    def _fits(self, segment: _Segment, at: int) -> bool:
        return segment.low - self._before <= at <= segment.high + self._ahead

    def _is_reached(self, segment: _Segment, number: int, at: int) -> bool:
        """Return True if another stream with the same shift has reached a time, or nearly so."""
        return any(
            track.segment.shift == segment.shift and track.segment.low - self._ahead <= at <= track.due + self._ahead
            for each, track in self._tracks.items()
            if each != number
        )

    def _is_complete(self, segment: _Segment) -> bool:
        """Return True if no other stream can still join the segment."""
        if len(self._held) >= _HELD_PACKETS or segment.high - segment.low > self._most:
            return True
        return all(track.segment is not self._followed for track in self._tracks.values())

    def _decide(self) -> None:
        """Place the undecided segment after all earlier packets."""
        segment, self._undecided = self._undecided, None
        if segment is None:
            return
        first = min(segment.starts.values())
        shift = max(
            track.end - segment.starts.get(number, first)
            for number, track in self._tracks.items()
            if track.segment is segment or track.segment is self._followed
        )
        segment.shift = -(-shift // self._grid) * self._grid
        for packet, each in self._held:
            if each is segment and (stamp := packet.pts if packet.pts is not None else packet.dts) is not None:
                track, factor = self._tracks[packet.stream_index], self._factors[packet.stream_index]
                track.end = max(track.end, (stamp + (packet.duration or 0)) * factor + segment.shift)


def may_jump(container: av.container.InputContainer) -> bool:
    """Return True for a format whose times may jump within a file."""
    name = container.format.name
    return name in _BACKWARD_FORMATS or (has_flag(container, FormatFlags.ts_discont) and name not in _STEADY_FORMATS)


def timed_streams(container: av.container.InputContainer) -> list[av.stream.Stream]:
    """Return the streams that the time map of a container is built from."""
    pictures = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
    return [*pictures, *container.streams.audio]


def map_of(container: av.container.InputContainer, index: TimeIndex | None = None) -> TimeMap | None:
    """Return a new time map of a container, None if its times never jump."""
    streams = timed_streams(container)
    if not may_jump(container) or not streams:
        return None
    return TimeMap(streams, gaps_are_meant=container.format.name in _BACKWARD_FORMATS, index=index)


def timed_packets(
    container: av.container.InputContainer, wanted: Iterable[av.stream.Stream], times: TimeMap | None
) -> Iterator[Packet]:
    """Yield packets of some streams with mapped times; an empty packet ends each stream.

    Args:
        container: Container to read.
        wanted: Streams to yield.
        times: Map that has not read anything. None reads only the wanted streams, with their own times.
    """
    wanted = list(wanted)
    if times is None:
        packets = container.demux(wanted)
        yield from _contiguous(packets) if container.format.name == "avi" else packets
        return
    numbers = {stream.index for stream in wanted}
    for packet in container.demux(timed_streams(container)):
        ready = times.feed(packet) if packet.size else [*times.flush(), packet]
        for each in ready:
            if each.stream_index in numbers:
                yield each


def _contiguous(packets: Iterator[Packet]) -> Iterator[Packet]:
    """Place each audio packet at the end of the previous one.

    AVI has no times for them. Those that FFmpeg computes are wrong for codecs whose blocks are not declared (G.726).
    """
    due: dict[int, int] = {}
    for packet in packets:
        if packet.size and packet.pts is not None and packet.stream.type == "audio":
            packet.pts = packet.dts = due.pop(packet.stream_index, packet.pts)
            if packet.duration:
                due[packet.stream_index] = packet.pts + packet.duration
        yield packet
