"""Sound that belongs to a video: copied untouched where the new container can hold it, else encoded anew."""

import contextlib
import errno
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.stream import Discard

from clipseg_live.core.errors import SourceError
from clipseg_live.video.container import clock_zero, has_running_clock, open_input
from clipseg_live.video.guarded import READ_ERRORS, SoundLayout, sound_layout

logger = logging.getLogger(__name__)

_MP4 = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "alac"})
_MOV = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac"})
_COPIED = {".mp4": _MP4, ".m4v": _MP4, ".mov": _MOV, ".webm": frozenset({"opus", "vorbis"})}
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
_DISK_ERRORS = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, errno.EDQUOT)


def can_copy(codec: str, suffix: str) -> bool:
    """Whether a container (by its suffix) holds sound coded like that, in a way that players know."""
    if suffix == ".mkv":
        return True
    return codec in _COPIED[suffix] or (suffix == ".mov" and codec.startswith("pcm_"))


class Sound:
    """Feeds the sound of ``path`` into ``output``, up to whatever time the pictures have reached.

    The output's streams are added here, before its header is written. ``notices`` grows by a sentence for each
    thing a person should know. What cannot be decoded is left out, also where packets are copied, so that the result
    plays whole; worse damage ends a track, never the video; an error of the disk is raised.
    """

    def __init__(self, path: Path, output: av.container.OutputContainer, suffix: str, notices: list[str]) -> None:
        self._path, self._name, self._notices = path, path.name, notices
        self._tracks: dict[int, Track] = {}
        self._input: av.container.InputContainer | None = None
        self._packets: Iterator[av.Packet] = iter(())
        self._ahead: av.Packet | None = None
        try:
            self._input = open_input(path)
        except SourceError as error:
            notices.append(f"The sound was left out: {error}")
            return
        self._zero = clock_zero(self._input)
        for number, stream in enumerate(self._input.streams.audio, start=1):
            try:
                track = self._track(stream, output, suffix)
            except READ_ERRORS as error:
                logger.warning("A sound track was left out", exc_info=True)
                notices.append(f"Sound track {number} of {path.name} was left out: {_reason(error)}.")
                continue
            if track.target:
                notices.append(
                    f"Sound track {number} ({track.codec}) cannot be kept as it is in {suffix}: "
                    f"it is converted to {track.target}."
                )
            if "language" in stream.metadata:
                track.stream.metadata["language"] = stream.metadata["language"]
            self._tracks[stream.index] = track
        for other in self._input.streams:
            if other.index not in self._tracks:
                other.discard = Discard.all

    def _track(self, stream: av.AudioStream, output: av.container.OutputContainer, suffix: str) -> "Track":
        """One track for a stream. Raises ValueError and av.FFmpegError for a stream that cannot be kept."""
        codec = coding_of(stream)
        layout = sound_layout(stream, self._path)
        if can_copy(codec, suffix):
            return _Copied(stream, output)
        return _Encoded(stream, output, codec, target_of(suffix), layout)

    def begin(self, offset: Fraction, start: Fraction | None, end: Fraction | None) -> None:
        """From here on: sound with start ≤ time < end is taken, and ``offset`` seconds are taken off its times."""
        if self._input is None or not self._tracks:
            return
        self._end = end
        if start is not None and start > 1 and not has_running_clock(self._input):
            # Without a usable index, what comes before is read and left out.
            with contextlib.suppress(*READ_ERRORS):
                self._input.seek(int((start - 1) * av.time_base))
        for track in self._tracks.values():
            track.begin(self._zero, offset, start, end)
        self._packets = self._input.demux([self._input.streams[index] for index in self._tracks])

    def advance(self, until: Fraction | None) -> None:
        """Write the sound up to a time of the source, or (None) all that is left."""
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
        """Write what is left and end the tracks."""
        self.advance(None)
        for index in list(self._tracks):
            self._guarded(index, None)
        if any(track.lost for track in self._tracks.values()):
            self._notices.append(f"The sound of {self._name} is damaged: what could not be played was left out.")

    def close(self) -> None:
        """Close the file."""
        container, self._input = self._input, None
        self._packets, self._ahead = iter(()), None
        if container is not None:
            container.close()

    def _time_of(self, packet: av.Packet) -> Fraction | None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        return None if stamp is None else stamp * packet.time_base - self._zero

    def _next(self) -> av.Packet | None:
        try:
            return next(self._packets, None)
        except READ_ERRORS:
            logger.warning("The sound of a file could not be read further", exc_info=True)
            self._packets = iter(())
            self._notices.append(f"The sound of {self._name} is damaged: the rest of it was left out.")
            return None

    def _take(self, packet: av.Packet) -> None:
        index = packet.stream.index
        if packet.size and index in self._tracks:
            self._guarded(index, packet)

    def _guarded(self, index: int, packet: av.Packet | None) -> None:
        try:
            self._tracks[index].take(packet)
        except READ_ERRORS as error:
            if getattr(error, "errno", None) in _DISK_ERRORS:
                raise
            logger.warning("A sound track broke off", exc_info=True)
            del self._tracks[index]
            self._notices.append(f"A sound track of {self._name} is damaged: the rest of it was left out.")


def coding_of(stream: av.AudioStream) -> str:
    """By which codec a stream is coded. Raises ValueError for one that nothing can be made of."""
    if stream.codec_context is None:
        raise ValueError("it is coded in a way that is not known here")
    if not stream.codec_context.sample_rate:
        raise ValueError("it is damaged")
    return stream.codec_context.codec.canonical_name


def target_of(suffix: str) -> str:
    """What sound is converted to where it cannot be kept."""
    return "Opus" if suffix in (".webm", ".mkv") else "AAC"


def converted_layout(layout: SoundLayout) -> str:
    """Return the layout that sound is converted to. Raises ValueError if these channels cannot be mixed down to it."""
    if layout.channels in LAYOUTS:
        return LAYOUTS[layout.channels]
    frame = av.AudioFrame("flt", layout.name, samples=1024)
    frame.sample_rate = 48000
    try:
        av.AudioResampler("flt", "stereo", 48000).resample(frame)
    except (av.FFmpegError, ValueError) as error:
        raise ValueError(f"its {layout.channels} channels cannot be converted to stereo") from error
    return LAYOUTS[2]


def _reason(error: Exception) -> str:
    plain = isinstance(error, ValueError) and not isinstance(error, av.FFmpegError | UnicodeError)
    return str(error).rstrip(".") if plain else "it is damaged or of a kind that cannot be kept"


class Track(ABC):
    """One track: takes packets of the source in their order, None at the end.

    codec: by which the source is coded. target: what it is converted to, "" where packets are copied. lost: packets
    that were left out because they cannot be decoded.
    """

    stream: av.AudioStream
    codec = ""
    target = ""
    lost = 0

    def begin(self, zero: Fraction, offset: Fraction, start: Fraction | None, end: Fraction | None) -> None:
        self._zero, self._offset = zero, offset
        self._start, self._end = start, end

    def _wanted(self, time: Fraction) -> bool:
        return (self._start is None or time >= self._start) and (self._end is None or time < self._end)

    def _decoded(self, source: av.AudioStream, packet: av.Packet | None) -> list[av.AudioFrame] | None:
        """What a packet holds, None where it is damaged."""
        try:
            return source.decode(packet)
        except av.error.InvalidDataError:
            self.lost += 1
            return None

    @abstractmethod
    def take(self, packet: av.Packet | None) -> None: ...


class _Copied(Track):
    def __init__(self, source: av.AudioStream, output: av.container.OutputContainer) -> None:
        self.stream: av.AudioStream = output.add_stream_from_template(source)
        self._source, self._output = source, output
        self._last: int | None = None
        self._next = 0

    def take(self, packet: av.Packet | None) -> None:
        if packet is None or self._decoded(self._source, packet) is None:
            return
        base = packet.time_base
        shift = round((self._zero + self._offset) / base)
        decode = packet.dts if packet.dts is not None else packet.pts
        stamp = packet.pts if packet.pts is not None else packet.dts
        if decode is None or stamp is None:
            decode = stamp = self._next + shift
        if not self._wanted(stamp * base - self._zero):
            return
        decode, stamp = decode - shift, stamp - shift
        if self._last is not None and decode <= self._last:  # a muxer takes only times that grow
            decode = self._last + 1
        packet.dts, packet.pts = decode, max(stamp, decode)
        self._last = decode
        self._next = packet.pts + (packet.duration or 0)
        packet.stream = self.stream
        self._output.mux(packet)


class _Encoded(Track):
    def __init__(
        self,
        source: av.AudioStream,
        output: av.container.OutputContainer,
        codec: str,
        target: str,
        layout: SoundLayout,
    ) -> None:
        self.codec, self.target, self._layout = codec, target, layout
        context = source.codec_context
        rate = 48000 if target == "Opus" or context.sample_rate not in AAC_RATES else context.sample_rate
        wanted = converted_layout(layout)
        channels = av.AudioLayout(wanted).nb_channels
        stream = output.add_stream("libopus" if target == "Opus" else "aac", rate=rate, bit_rate=96_000 * channels)
        stream.layout = wanted
        self.stream = stream
        self._source, self._output = source, output
        self._reached = Fraction(0)

    def take(self, packet: av.Packet | None) -> None:
        for frame in self._decoded(self._source, packet) or ():
            if frame.pts is None or not frame.time_base:
                time = self._reached
            else:
                time = frame.pts * frame.time_base - self._zero
            self._reached = time + Fraction(frame.samples, frame.sample_rate)
            if not self._wanted(time):
                continue
            frame.time_base = Fraction(1, frame.sample_rate)
            frame.pts = round((time - self._offset) * frame.sample_rate)
            self._output.mux(self.stream.encode(self._layout.ordered(frame)))
        if packet is None:
            self._output.mux(self.stream.encode(None))
