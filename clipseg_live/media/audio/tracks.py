"""Audio tracks of a video: copied if the new container supports their codec, otherwise converted."""

import contextlib
import errno
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.stream import Discard

from clipseg_live.core.errors import SourceError
from clipseg_live.media.audio.codecs import can_copy, coding_of, converted_layout
from clipseg_live.media.audio.pcm_track import PcmTrack, Samples
from clipseg_live.media.ffmpeg.container import clock_zero, open_input
from clipseg_live.media.ffmpeg.guarded_av import MEDIA_READ_ERRORS, Packet, SoundLayout, samples_of, sound_layout
from clipseg_live.media.sources.time_index import clock_of_file, seek_to
from clipseg_live.media.sources.timestamps import TimeIndex, TimeMap, may_jump, timed_packets, timed_streams
from clipseg_live.media.writers.metadata import keep_track

logger = logging.getLogger(__name__)

_ROUNDING = Fraction(3, 1000)
"""Tolerance for packet times in seconds, because container clocks are coarse."""
_CUT_PACKETS = 2
"""Packets that an undamaged broadcast may lack: one is cut at its start, one at its end."""
_DISK_ERRORS = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, errno.EDQUOT)


class AudioTracks:
    """Copies the audio of a file to an output, up to the time of the frames written so far.

    The streams are added to the output in the constructor, before its header is written. Audio that cannot be decoded
    is left out, also where packets are copied, so that the result plays completely. Worse damage ends a track but not
    the video. Disk errors are raised.

    Args:
        path: File with the audio.
        output: Container to write to.
        suffix: Suffix of the output, in lower case with its dot.
        notices: List that gets messages for the user.
    """

    def __init__(self, path: Path, output: av.container.OutputContainer, suffix: str, notices: list[str]) -> None:
        self._path, self._name, self._notices = path, path.name, notices
        self._tracks: dict[int, AudioTrack] = {}
        self._input: av.container.InputContainer | None = None
        self._packets: Iterator[Packet] = iter(())
        self._ahead: Packet | None = None
        self._times: TimeMap | None = None
        self._index: TimeIndex | None = None
        try:
            self._input = open_input(path)
        except SourceError as error:
            notices.append(f"The audio was left out: {error}")
            return
        self._zero = clock_zero(self._input)
        self._times, self._index = clock_of_file(path, self._input, indexed=True)
        for number, stream in enumerate(self._input.streams.audio, start=1):
            try:
                track = self._track(stream, output, suffix)
            except MEDIA_READ_ERRORS as error:
                logger.warning("A sound track was left out", exc_info=True)
                notices.append(f"Audio track {number} of {path.name} was left out: {_reason(error)}.")
                continue
            if track.target:
                why = f"cannot be kept as it is in {suffix}"
                if self._is_mixed(stream):
                    why = "changes its sample rate or channels"
                notices.append(f"Audio track {number} ({track.codec}) {why}: it is converted to {track.target}.")
            keep_track(stream, track.stream)
            self._tracks[stream.index] = track
        kept = [] if self._times is None else timed_streams(self._input)
        for other in self._input.streams:
            if other.index not in self._tracks and other not in kept:
                other.discard = Discard.all

    def _is_mixed(self, stream: av.AudioStream) -> bool:
        """Return True if a stream changes its parameters, so that one header cannot describe all its packets."""
        return self._index is not None and stream.index in self._index.mixed_sound

    def _track(self, stream: av.AudioStream, output: av.container.OutputContainer, suffix: str) -> "AudioTrack":
        """Return the track for a stream.

        Raises:
            ValueError: If the stream cannot be kept.
            av.FFmpegError: If PyAV cannot read it.
        """
        codec = coding_of(stream)
        layout = sound_layout(stream, self._path)
        if can_copy(codec, suffix) and not self._is_mixed(stream):
            return _Copied(stream, output, suffix)
        return _Encoded(stream, output, codec, suffix, layout)

    def begin(self, offset: Fraction, start: Fraction | None, end: Fraction | None) -> None:
        """Start to write audio in a range of the source.

        Args:
            offset: Seconds to subtract from all times.
            start: Start of the range in seconds, None for no limit.
            end: End of the range in seconds (not included), None for no limit.
        """
        if self._input is None or not self._tracks:
            return
        self._end = end
        for track in self._tracks.values():
            track.begin(self._zero, offset, start, end)
        if start is not None and start > 1:
            self._go_to(start - 1)
        else:
            self._packets = timed_packets(self._input, self._wanted_streams(), self._times)

    def _go_to(self, start: Fraction) -> None:
        """Continue at a time of the source, or at an earlier one if there is no usable index."""
        assert self._input is not None
        if self._times is None:
            with contextlib.suppress(*MEDIA_READ_ERRORS):
                self._input.seek(int((start + self._zero) * av.time_base))
        else:
            self._times, self._index = clock_of_file(self._path, self._input, indexed=True)
            if self._index is not None:
                seek_to(self._input, self._index, start + self._zero)
        self._packets = timed_packets(self._input, self._wanted_streams(), self._times)

    def _wanted_streams(self) -> list[av.stream.Stream]:
        assert self._input is not None
        return [self._input.streams[index] for index in self._tracks]

    def advance(self, until: Fraction | None) -> None:
        """Write the audio up to a time of the source; None writes the rest."""
        while self._tracks:
            packet = self._ahead
            self._ahead = None
            if packet is None:
                packet = self._next()
                if packet is None:
                    return
            time = self._time_of(packet)
            if until is not None and time is not None and time > until:
                self._ahead = packet
                return
            if self._end is not None and time is not None and time >= self._end + 1:
                self._packets = iter(())
                return
            self._take(packet)

    def finish(self) -> None:
        """Write the rest and end the tracks."""
        self.advance(None)
        for index in list(self._tracks):
            self._guarded(index, None)
        accepted = _CUT_PACKETS if self._input is not None and may_jump(self._input) else 0
        if any(track.lost > accepted for track in self._tracks.values()):
            self._notices.append(f"The audio of {self._name} is damaged: parts that cannot be decoded were left out.")

    def close(self) -> None:
        """Close the file."""
        container, self._input = self._input, None
        self._packets, self._ahead = iter(()), None
        if container is not None:
            container.close()

    def _time_of(self, packet: Packet) -> Fraction | None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        return None if stamp is None else stamp * packet.time_base - self._zero

    def _next(self) -> Packet | None:
        try:
            return next(self._packets, None)
        except MEDIA_READ_ERRORS:
            logger.warning("The sound of a file could not be read further", exc_info=True)
            self._packets = iter(())
            self._notices.append(f"The audio of {self._name} is damaged: the rest of it was left out.")
            return None

    def _take(self, packet: Packet) -> None:
        index = packet.stream.index
        if packet.size and index in self._tracks:
            self._guarded(index, packet)

    def _guarded(self, index: int, packet: Packet | None) -> None:
        try:
            self._tracks[index].take(packet)
        except MEDIA_READ_ERRORS as error:
            if getattr(error, "errno", None) in _DISK_ERRORS:
                raise
            logger.warning("A sound track broke off", exc_info=True)
            del self._tracks[index]
            self._notices.append(f"An audio track of {self._name} is damaged: the rest of it was left out.")


def _reason(error: Exception) -> str:
    plain = isinstance(error, ValueError) and not isinstance(error, av.FFmpegError | UnicodeError)
    return str(error).rstrip(".") if plain else "it is damaged or not supported"


class AudioTrack(ABC):
    """An audio track that takes the packets of the source in order.

    Attributes:
        stream: Stream of the output.
        codec: Codec of the source.
        target: Codec to which it is converted, "" if packets are copied.
        lost: Number of packets that were left out because they cannot be decoded.
    """

    stream: av.AudioStream
    codec = ""
    target = ""
    lost = 0

    def begin(self, zero: Fraction, offset: Fraction, start: Fraction | None, end: Fraction | None) -> None:
        """Set the zero and the offset of times, and the range of the source; all in seconds."""
        self._zero, self._offset = zero, offset
        self._start, self._end = start, end

    def _wanted(self, time: Fraction) -> bool:
        return (self._start is None or time >= self._start) and (self._end is None or time < self._end)

    def _decoded(self, source: av.AudioStream, packet: Packet | None) -> list[av.AudioFrame] | None:
        """Return the frames of a packet, None if it is damaged."""
        try:
            return source.decode(packet)
        except av.error.InvalidDataError:
            self.lost += 1
            return None

    @abstractmethod
    def take(self, packet: Packet | None) -> None:
        """Write a packet; None ends the track."""


class _Copied(AudioTrack):
    """Track of copied packets with the times of the source; equal times (TrueHD in milliseconds) stay equal."""

    def __init__(self, source: av.AudioStream, output: av.container.OutputContainer, suffix: str) -> None:
        self.stream: av.AudioStream = output.add_stream_from_template(source)
        self._source, self._output = source, output
        # MP4 and MOV require increasing times, and count audio in samples.
        self._clock = None if suffix in (".mkv", ".webm") else Fraction(1, source.codec_context.sample_rate)
        self._lead = _codec_delay(source)
        self._last: int | None = None
        self._next = Fraction(0)

    def take(self, packet: Packet | None) -> None:
        """Write a packet; None ends the track."""
        if packet is None:
            return
        base = packet.time_base
        length = (packet.duration or 0) * base
        stamp = packet.pts if packet.pts is not None else packet.dts
        time = self._next if stamp is None else stamp * base - self._zero
        lost = self.lost
        decoded = self._decoded(self._source, packet)
        if not self._wanted(time):
            self.lost = lost  # after a seek, a decoder may need some packets to start
            return
        if decoded is None:
            return
        self._next = time + length
        clock = self._clock or base
        tick = round((time - self._offset) / clock)
        if tick < 0 and self._clock is None:
            # Matroska has no edit list. Some players treat a time below 0 as 0 and play all that follows too late. So
            # the samples that an encoder adds before the start are left out. A delay that the track declares is
            # harmless, because the muxer adds it to the times.
            first = -math.ceil(self._lead / clock)
            if tick < first and time + length / 2 < self._offset - self._lead:
                return
            tick = max(tick, first)
        if self._last is not None:
            tick = max(tick, self._last + (0 if self._clock is None else 1))
        self._last = tick
        packet.time_base = clock
        packet.pts = packet.dts = tick
        packet.duration = round(length / clock)
        packet.stream = self.stream
        self._output.mux(packet)


def _codec_delay(stream: av.AudioStream) -> Fraction:
    """Return the seconds that Opus declares to skip at the start (RFC 7845, section 5.1); 0 for other codecs."""
    header = bytes(stream.codec_context.extradata or b"")
    if stream.codec_context.name not in ("opus", "libopus") or header[:8] != b"OpusHead":
        return Fraction(0)
    return Fraction(int.from_bytes(header[10:12], "little"), 48_000)


class ConvertedTrack(AudioTrack):
    """Track that is decoded and encoded with ``PcmTrack``; the source may change its sample rate and channels."""

    def __init__(
        self,
        source: av.AudioStream,
        output: av.container.OutputContainer,
        codec: str,
        suffix: str,
        layout: SoundLayout,
        *,
        fragmented: bool,
    ) -> None:
        self._layout = layout
        channels = av.AudioLayout(converted_layout(layout)).nb_channels
        self._pcm = PcmTrack(output, suffix, source.codec_context.sample_rate, channels, fragmented=fragmented)
        self.codec, self.target, self.stream = codec, self._pcm.target, self._pcm.stream
        self._source = source
        self._reached = Fraction(0)

    def begin(self, zero: Fraction, offset: Fraction, start: Fraction | None, end: Fraction | None) -> None:
        """Set the zero and the offset of times, and the range of the source; reset the decoder."""
        super().begin(zero, offset, start, end)
        self._source.codec_context.flush_buffers()
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[int, int, str] | None = None

    def take(self, packet: Packet | None) -> None:
        """Convert a packet; None ends the track."""
        for frame in self._decoded(self._source, packet) or ():
            time = self._reached
            if frame.pts is not None and frame.time_base:
                time = frame.pts * frame.time_base - self._zero
            self._reached = time + Fraction(frame.samples, frame.sample_rate)
            for samples in self._resampled(frame):
                length = Fraction(samples.shape[1], self._pcm.rate)
                if self._is_heard(time, length):
                    self._place(samples, round((time - self._offset) * self._pcm.rate))
                time += length
        if packet is None:
            self._pcm.finish()

    def _is_heard(self, time: Fraction, length: Fraction) -> bool:
        return (self._start is None or time + length > self._start) and (self._end is None or time < self._end)

    def _resampled(self, frame: av.AudioFrame) -> Iterator[Samples]:
        """Yield the samples of a frame in the format of ``PcmTrack``."""
        kind = frame.sample_rate, frame.layout.nb_channels, frame.format.name
        if self._resampler is None or kind != self._kind:
            self._resampler, self._kind = av.AudioResampler("flt", self._pcm.layout, self._pcm.rate), kind
        frame.pts = None
        ordered = self._layout.ordered(frame) if kind[1] == self._layout.channels else frame
        for part in self._resampler.resample(ordered):
            yield samples_of(part)

    def _place(self, samples: Samples, at: int) -> None:
        """Place samples; rounding of the source's clock must not cause gaps or overlaps."""
        near = abs(at - self._pcm.position) <= round(_ROUNDING * self._pcm.rate)
        self._pcm.put(samples, self._pcm.position if near else at)


class _Encoded(ConvertedTrack):
    def __init__(
        self,
        source: av.AudioStream,
        output: av.container.OutputContainer,
        codec: str,
        suffix: str,
        layout: SoundLayout,
    ) -> None:
        super().__init__(source, output, codec, suffix, layout, fragmented=False)
