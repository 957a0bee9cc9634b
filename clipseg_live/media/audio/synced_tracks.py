"""Audio of a file during playback, loops and seeks, synchronised with the frames of a recording."""

import logging
import re
from abc import abstractmethod
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags as CodecFlags

from clipseg_live.media.audio.codecs import can_copy, coding_of
from clipseg_live.media.audio.pcm_track import Samples
from clipseg_live.media.audio.tracks import AudioTrack, AudioTracks, ConvertedTrack
from clipseg_live.media.ffmpeg.guarded_av import Packet, SoundLayout, frame_of, sound_layout
from clipseg_live.media.ffmpeg.muxing import DurationFixingMuxer, needs_spacing

logger = logging.getLogger(__name__)

STEADY = Fraction(1, 50)
"""Deviation of frame times in seconds that counts as no jump."""
_ENCODED_AS = {"aac": "fltp", "libopus": "flt"}
_PCM_SAMPLES = 1024
_NEARBY = Fraction(3)
_NUDGE = Fraction(3, 250)
# The header of a growing file is written before any packet is available.
_HEADER_IN_PACKETS = ("ac3", "eac3")
_HEADER_BESIDE = ("aac", "opus", "flac", "vorbis")


class SyncedAudio(AudioTracks):
    """Audio that follows the frames of a recording.

    After a jump, audio continues at the new time. While the frames stand still or run at another speed, there is
    silence. A jump is accepted when a second frame confirms it. Packets are copied if the container supports their
    codec. They are moved by at most 12 ms, so that the track has no gaps.
    """

    def __init__(self, path: Path, output: av.container.OutputContainer, suffix: str, notices: list[str]) -> None:
        self._run: Fraction | None = None  # time in the file minus time in the source, while audio runs
        self._place: tuple[Fraction, Fraction] | None = None  # possible restart: time in the file, time in the source
        self._last = Fraction(0), Fraction(0)
        self._read: Fraction | None = None
        super().__init__(path, output, suffix, notices)

    def sync_to(self, time: Fraction, source_time: Fraction | None, duration: Fraction) -> None:
        """Write the audio up to a frame.

        Args:
            time: Time of the frame in the file, in seconds.
            source_time: Time in the source of the audio that belongs to the frame, in seconds. None for silence.
            duration: Duration of the frame, in seconds.
        """
        last, self._last = self._last, (time, duration)
        if source_time is not None and self._run is not None and abs(time - source_time - self._run) <= STEADY:
            self.advance(source_time)
            return
        if self._run is not None:  # up to this frame
            self.advance(min(time, last[0] + 2 * last[1]) - self._run)
            self._run = None
        place, self._place = self._place, None if source_time is None else (time, source_time)
        if place is not None and source_time is not None and abs(time - source_time - place[0] + place[1]) <= STEADY:
            self._begin_at(*place)
            self.advance(source_time)
            return
        self._write_silence(time)

    def finish(self) -> None:
        """Write the audio of the last frame, and end the tracks."""
        if self._run is not None:
            self.advance(sum(self._last) - self._run)
        for index in list(self._tracks):
            self._guarded(index, None)

    def _track(self, stream: av.AudioStream, output: av.container.OutputContainer, suffix: str) -> AudioTrack:
        codec = coding_of(stream)
        layout = sound_layout(stream, self._path)
        lacks = self._is_mixed(stream) or (codec in _HEADER_IN_PACKETS and suffix != ".mkv")
        lacks = lacks or (codec in _HEADER_BESIDE and not stream.codec_context.extradata)
        if can_copy(codec, suffix) and not lacks:
            return _Copied(stream, output, suffix, layout)
        return _Converted(stream, output, codec, suffix, layout)

    def _begin_at(self, time: Fraction, source_time: Fraction) -> None:
        self._place, self._run, self._end = None, time - source_time, None
        if self._input is None or not self._tracks:
            return
        for track in self._tracks.values():
            track.begin(self._zero, -self._run, source_time, None)
        if self._read is not None and 0 <= source_time - self._read < _NEARBY:
            return  # reading on is faster than seeking
        for start in (source_time - 1, Fraction(0)):
            self._go_to(max(start, Fraction(0)))
            packet = self._next()
            self._ahead = packet
            time_ahead = None if packet is None else self._time_of(packet)
            if time_ahead is not None and time_ahead <= source_time:
                return

    def _write_silence(self, until: Fraction) -> None:
        for track in self._tracks.values():
            assert isinstance(track, _ResumableTrack)
            track.write_silence(until)

    def _take(self, packet: Packet) -> None:
        time = self._time_of(packet)
        if time is not None:
            self._read = time
        super()._take(packet)


class _ResumableTrack(AudioTrack):
    """A track that can continue after a jump."""

    def begin(self, zero: Fraction, offset: Fraction, start: Fraction | None, end: Fraction | None) -> None:
        """Continue at another time of the source."""
        super().begin(zero, offset, start, end)
        self._joining = True

    @abstractmethod
    def write_silence(self, until: Fraction) -> None:
        """Write silence up to a time of the file, in seconds."""


class _Copied(_ResumableTrack):
    def __init__(
        self, source: av.AudioStream, output: av.container.OutputContainer, suffix: str, layout: SoundLayout
    ) -> None:
        self.stream = output.add_stream_from_template(source)
        self._spacing = DurationFixingMuxer(output, needs_spacing(suffix))
        self._silent = _silent_packet(source, layout)
        self._next = Fraction(0)  # where the track continues, in seconds of the file
        self._begun = False
        self._shift = Fraction(0)
        self._usual = self._silent[1] if self._silent is not None else Fraction(1, 50)

    def take(self, packet: Packet | None) -> None:
        """Write a packet; None ends the track."""
        if packet is None:
            self._spacing.finish()
            return
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            return
        base = packet.time_base
        length = packet.duration * base if packet.duration else self._usual
        time = stamp * base - self._zero - self._offset
        if self._joining:
            slack = min(length / 2, _NUDGE) if self._begun else Fraction(0)
            first = self._next  # silence ends just before audio resumes
            if self._silent is None and self._start is not None:
                first = max(first, self._start - self._offset)
            if time < first - slack:
                return
            self.write_silence(time)
            near = abs(time - self._next) <= slack
            self._shift, self._joining = (self._next - time if near else Fraction(0)), False
        time += self._shift
        tick = round(time / base)
        packet.pts = packet.dts = max(tick, self._last_tick(base) + 1)
        packet.stream = self.stream
        self._stamped = packet.pts * base
        self._next, self._begun, self._usual = time + length, True, length
        self._spacing.mux(packet)

    def write_silence(self, until: Fraction) -> None:
        """Write silence up to a time of the file, if the codec has a packet for it."""
        if self._silent is None:
            return
        data, length = self._silent
        while self._next + length <= until:
            packet = av.Packet(data)
            base = Fraction(1, self.stream.codec_context.sample_rate if self.stream.codec_context else 48000)
            packet.time_base, packet.stream = base, self.stream
            packet.pts = packet.dts = max(round(self._next / base), self._last_tick(base) + 1)
            packet.duration = round(length / base)
            packet.is_keyframe = True
            self._stamped = packet.pts * base
            self._next, self._begun = self._next + length, True
            self._spacing.mux(packet)

    def _last_tick(self, base: Fraction) -> int:
        """Return the tick of the previous packet; muxers require increasing times."""
        return round(self._stamped / base) if self._begun else -1


class _Converted(ConvertedTrack, _ResumableTrack):
    def __init__(
        self,
        source: av.AudioStream,
        output: av.container.OutputContainer,
        codec: str,
        suffix: str,
        layout: SoundLayout,
    ) -> None:
        super().__init__(source, output, codec, suffix, layout, fragmented=True)

    def _is_heard(self, time: Fraction, length: Fraction) -> bool:
        return True  # the excess is cut when samples are placed

    def _place(self, samples: Samples, at: int) -> None:
        if self._joining:
            if at + samples.shape[1] <= self._pcm.position:
                return
            self._joining = False
            self._pcm.put(samples, at)
        else:
            super()._place(samples, at)

    def write_silence(self, until: Fraction) -> None:
        """Write silence up to a time of the file."""
        self._pcm.silence(round(until * self._pcm.rate))


def _silent_packet(source: av.AudioStream, layout: SoundLayout) -> tuple[bytes, Fraction] | None:
    """Return a packet of silence for the source's decoder and its length, None if there is none."""
    context = source.codec_context
    pcm = re.fullmatch(r"pcm_[sf](\d+)[lb]e", context.codec.canonical_name)
    if pcm is not None:
        size = int(pcm[1]) // 8 * layout.channels * _PCM_SAMPLES
        return bytes(size), Fraction(_PCM_SAMPLES, context.sample_rate)
    name = {"aac": "aac", "opus": "libopus"}.get(context.codec.canonical_name)
    if name is None or not context.extradata:
        return None
    try:
        made = av.CodecContext.create(name, "w")
        assert isinstance(made, av.AudioCodecContext)
        made.sample_rate, made.layout, made.format = context.sample_rate, layout.name, _ENCODED_AS[name]
        made.time_base = Fraction(1, context.sample_rate)
        made.flags |= int(CodecFlags.global_header)
        made.open()
        if name == "aac" and bytes(made.extradata or b"")[:2] != bytes(context.extradata)[:2]:
            return None  # another profile: the source's decoder cannot read this encoder's packets
        quiet = np.zeros((layout.channels, 8192), np.float32)
        frame = frame_of(quiet, layout.name)
        frame.sample_rate, frame.pts = context.sample_rate, 0
        packets = [packet for packet in made.encode(frame) if packet.size]
        last = packets[-1]
        return bytes(last), Fraction(made.frame_size or 960, context.sample_rate)
    except (av.FFmpegError, ValueError, IndexError, TypeError):
        logger.debug("No packet of silence can be made", exc_info=True)
        return None
