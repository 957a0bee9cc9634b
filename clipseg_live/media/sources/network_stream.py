"""Network streams through PyAV: RTSP, RTMP, HLS, MJPEG and files over HTTP, as live sources."""

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any

import av
from av.format import Flags as FormatFlags
from av.stream import Discard

from clipseg_live.core.addresses import SECURE_PORTS, address_problem, host_and_port, openable, redact, safe_name
from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.settings.live import RTSPTransport
from clipseg_live.core.settings.rendering import Deinterlace
from clipseg_live.imaging.letterbox import letterbox
from clipseg_live.media.colour.conversion import FromVideo, shown_colour
from clipseg_live.media.colour.hdr_metadata import hdr_info
from clipseg_live.media.colour.interlacing import Deinterlacer, field_order
from clipseg_live.media.ffmpeg.certificates import certificate_problem, tls_options
from clipseg_live.media.ffmpeg.container import TEXT_FORMATS
from clipseg_live.media.ffmpeg.decoders import container_colour, decoder_of
from clipseg_live.media.ffmpeg.guarded_av import has_flag
from clipseg_live.media.ffmpeg.memory_limit import MemoryLimit
from clipseg_live.media.ffmpeg.whitelist import network_options, without_format
from clipseg_live.media.sources import hls
from clipseg_live.media.sources.hls import Resources
from clipseg_live.media.sources.timestamps import TimeMap
from clipseg_live.media.sources.video_file import orientation_of, turned

logger = logging.getLogger(__name__)

STREAM_OPEN_SECONDS = 10.0
STREAM_READ_SECONDS = 10.0

_CLOCK_TICK = Fraction(1, 1_000_000)
_JUMP = Fraction(10)
"""Seconds that timestamps may be ahead of the clock before they count as those of another recording."""
_STEP_BACK = Fraction(1)
_LATE = 0.5
_LONGEST_WAIT = 1.5
_ENDING = Fraction(1)
_SEGMENTED = ("hls", "dash")

# Five frames are enough for a rate; FFmpeg's twenty take most of a second on a live stream. fflags=nobuffer is not
# used: it drops the packets read to probe the stream, including the first key frame, and would delay the first frame by
# a whole key frame interval.
_OPTIONS = {"flags": "low_delay", "fpsprobesize": "5"}
_TRANSPORTS: dict[RTSPTransport, dict[str, str]] = {
    "auto": {"rtsp_flags": "prefer_tcp"},
    "tcp": {"rtsp_transport": "tcp"},
    "udp": {"rtsp_transport": "udp"},
}
_MOST_PIXELS = 36_000_000
"""An 8K frame has 35 million pixels."""


class StreamSource:
    """Frames of a network stream (rtsp, rtsps, rtmp, rtmps, http, https), as a ``LiveSource``.

    ``Frame.time`` comes from the stream's timestamps and starts at 0. For formats without timestamps, such as MJPEG, it
    is the clock: exact microseconds since ``open``. It always grows; jumps to other recordings are bridged. Streams
    that can be read faster than they play (HLS, a file over HTTP) return frames when they are due, others without
    delay. ``read`` raises SourceError if the stream is cut off or silent, and returns None at the end of a complete
    file. ``close`` and ``open`` start again. User name and password of an address never appear in a message or name.

    Args:
        address: Address of the stream.
        open_seconds: Longest silence of the network while opening.
        read_seconds: Longest silence of the network while reading.
        rtsp_transport: "auto" tries TCP first, and UDP if the server offers nothing else.
        insecure: True to accept any certificate.
        deinterlace: "off" keeps both fields in the frames of interlaced video.
        clock: Returns the time in seconds.
        wait: Sleeps for a number of seconds.

    Raises:
        UsageError: If the address is invalid.
    """

    live = True

    def __init__(
        self,
        address: str,
        open_seconds: float = STREAM_OPEN_SECONDS,
        read_seconds: float = STREAM_READ_SECONDS,
        *,
        rtsp_transport: RTSPTransport = "auto",
        insecure: bool = False,
        deinterlace: Deinterlace = "auto",
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._address = check_address(address)
        self.name = safe_name(self._address)
        self._openable = openable(self._address)
        self._scheme = self._address.partition("://")[0].lower()
        self._limits = open_seconds, read_seconds
        self._transport, self._insecure = rtsp_transport, insecure
        self._deinterlace = deinterlace
        self._bound = MemoryLimit()
        self._deadline = 0.0
        self._clock, self._wait = clock, wait or threading.Event().wait
        self._container: av.container.InputContainer | None = None
        self._decoded: Iterator[av.VideoFrame] = iter(())

    def open(self) -> SourceInfo:
        """Connect, and wait for the first frame.

        Raises:
            SourceError: If the stream cannot be opened.
        """
        self.close()
        try:
            return self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> SourceInfo:
        self._container = container = self._connected()
        stream = container.streams.best("video")
        if not isinstance(stream, av.VideoStream):
            what = "only audio" if container.streams.audio else "no video"
            raise SourceError(f"{self.name} contains {what}: an address with video is needed.")
        if stream.width * stream.height > _MOST_PIXELS:
            raise SourceError(f"{self.name} sends frames of {stream.width} × {stream.height}, which are too large.")
        stream.codec_context.options = {"max_pixels": str(_MOST_PIXELS)}
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        stream.thread_type = "SLICE"  # frame threads would hold back one frame each
        self._stream = stream
        self._convert = FromVideo(container_colour(stream))
        decoded = self._decode(container, stream)
        order = field_order(stream.codec_context)
        self._decoded = decoded if self._deinterlace == "off" else Deinterlacer(order).frames(decoded)
        first = next(self._decoded, None)
        if first is None:
            raise SourceError(f"{self.name} ended before the first frame: check the address.")
        self._first: av.VideoFrame | None = first
        self._orientation = orientation_of(first)
        self._size = first.width, first.height
        length = container.duration or 0
        duration = Fraction(length, av.time_base) if length > 0 else None
        stamped = not has_flag(container, FormatFlags.no_timestamps)
        reported = (stream.average_rate or stream.guessed_rate) if stamped else None
        rate = Fraction(reported) if reported else None
        tick = (stream.time_base if stamped else None) or _CLOCK_TICK
        self._timeline = StreamClock(tick, rate, self._clock()) if stamped else None
        self._paced = stamped and (duration is not None or container.format.name in _SEGMENTED)
        self._due: tuple[float, Fraction] | None = None
        self._duration = duration
        self._began = self._clock()
        self._reached = -_CLOCK_TICK
        self._index = 0
        colour = self._convert.colour_of(first)
        pixels = turned(self._convert(first), self._orientation)
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        is_turned = self._orientation[0] == 0
        return SourceInfo(
            name=self.name,
            width=int(pixels.shape[1]),
            height=int(pixels.shape[0]),
            rate=rate,
            time_base=tick,
            duration=duration,
            pixel_aspect=1 / aspect if is_turned else aspect,
            colour=shown_colour(colour),
            hdr=hdr_info(first, colour, keep=False),
        )

    def read(self) -> Frame | None:
        """Wait for the next frame and return it.

        Returns:
            None if the stream is not open or its file has ended.

        Raises:
            SourceError: If the stream breaks off.
        """
        if self._container is None:
            return None
        first, self._first = self._first, None
        picture = first or next(self._decoded, None)
        if picture is None:
            self._check_ending()
            return None
        changed = (picture.width, picture.height) != self._size
        if changed and not self._paced:
            raise SourceError(f"{self.name} changed its frame size and is reopened.")
        now = self._clock()
        pixels: Pixels = turned(self._convert(picture), self._orientation)
        if changed:  # e.g. an advertisement; reopening would restart the stream
            width, height = reversed(self._size) if self._orientation[0] == 0 else self._size
            pixels = letterbox(pixels, width, height)
        duration = None
        if self._timeline is None:
            elapsed = Fraction(round((now - self._began) * 1_000_000), 1_000_000)
            moment = max(elapsed, self._reached + _CLOCK_TICK)
        else:
            length = picture.duration or 0
            moment = self._timeline.time(picture.pts, length, now)
            duration = length * self._timeline.tick if length else None
            if self._paced:
                self._pace(moment)
        self._reached = moment
        self._index += 1
        return Frame(pixels, self._index - 1, moment, duration)

    def close(self) -> None:
        """Disconnect; may be called more than once."""
        container, self._container = self._container, None
        self._decoded, self._first = iter(()), None
        if container is not None:
            container.close()

    def seek(self, time: Fraction) -> None:
        """Raise SourceError: a stream is live."""
        raise SourceError(f"{self.name} is live and cannot seek.")

    def controls(self) -> Mapping[str, float]:
        """Return no controls: a stream has none."""
        return {}

    def set_control(self, name: str, value: float) -> None:
        """Do nothing: a stream has no controls."""

    def _connected(self) -> av.container.InputContainer:
        began = self._clock()
        try:
            container = self._container_of_address()
        except (av.FFmpegError, OSError, ValueError) as error:
            logger.warning("%s cannot be opened: %s", self.name, redact(str(error)))  # a traceback contains the address
            waited = self._clock() - began >= self._limits[0]  # RTSP does not report this as a timeout
            # FFmpeg's message contains the whole address: it is neither repeated nor chained.
            raise SourceError(self._in_words(TimeoutError() if waited else error)) from None
        if container.format.name in TEXT_FORMATS:
            container.close()
            raise SourceError(f"{self.name} sends text instead of video: check the address.")
        return container

    def _container_of_address(self) -> av.container.InputContainer:
        options = {
            **_OPTIONS, **_TRANSPORTS[self._transport], **tls_options(self._insecure), **network_options(self._address),
        }  # fmt: skip
        with self._call(self._limits[0]):
            try:
                return self._av_open(without_format(options, "hls"))
            except av.error.ArgumentError:  # FFmpeg's error for a format that is not allowed
                if self._scheme not in ("http", "https"):
                    raise
        with self._call(2 * self._limits[0]):  # FFmpeg opens a stream in two calls
            options |= hls.OPTIONS
            resources = Resources(options, lambda: self._deadline - time.monotonic())
            return self._av_open(options, format="hls", io_open=resources.open)

    def _av_open(self, options: dict[str, str], **more: Any) -> av.container.InputContainer:
        container: av.container.InputContainer = av.open(
            self._openable,
            mode="r",
            metadata_errors="replace",
            options={"max_pixels": str(_MOST_PIXELS)},
            container_options=options,
            timeout=self._limits,
            **more,
        )
        return container

    @contextmanager
    def _call(self, seconds: float) -> Iterator[None]:
        """Limit the memory and the time of one FFmpeg call.

        Raises:
            SourceError: If the call needs too much memory.
        """
        self._deadline = time.monotonic() + seconds
        try:
            with self._bound:
                yield
        except (av.FFmpegError, OSError, ValueError):
            if not self._bound.exceeded:
                raise
        if self._bound.exceeded:  # FFmpeg may continue with what it has
            logger.warning("%s needs too much memory", self.name)
            raise SourceError(f"{self.name} sends more data at once than fits into memory: check the address.")

    def _decode(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        """Yield frames from the first complete one on; skip damaged packets.

        Raises:
            SourceError: If the stream breaks off or returns no frame.
        """
        started = False
        decoder = decoder_of(stream)
        silent_since = self._clock()
        # ``StreamClock`` compares forward jumps with the clock.
        times = TimeMap([stream], gaps_are_meant=True, endless=True)
        try:
            packets = container.demux(stream)
            while True:
                with self._call(self._limits[1]):
                    packet = next(packets, None)
                if packet is None:
                    return
                pictures = []
                for ready in times.feed(packet) if packet.size else [*times.flush(), packet]:
                    with suppress(av.error.InvalidDataError):
                        pictures += decoder.decode(ready)
                for picture in pictures:
                    started = started or not picture.is_corrupt
                    if started:
                        yield picture
                        silent_since = self._clock()
                if self._clock() - silent_since > self._limits[1]:
                    raise SourceError(f"{self.name} sends data but no frame that can be decoded.")
        except av.error.EOFError:
            return
        except (av.FFmpegError, OSError) as error:
            raise SourceError(self._in_words(error) if not started else self._cut(error)) from None

    def _check_ending(self) -> None:
        """Raise SourceError if the stream ended before the end of a complete file."""
        self._decoded = iter(())
        if self._duration is None or self._reached < self._duration - _ENDING - (self._usual_gap() or 0):
            raise SourceError(f"{self.name} was disconnected.")

    def _usual_gap(self) -> Fraction | None:
        rate = self._stream.average_rate
        return 2 / Fraction(rate) if rate else None

    def _pace(self, moment: Fraction) -> None:
        """Wait until a frame is due; reset the pace after one that is too late or too far ahead."""
        now = self._clock()
        began, first = self._due or (now, moment)
        due = began + float(moment - first)
        if now - _LATE <= due <= now + _LONGEST_WAIT:
            self._due = began, first
            while (rest := due - self._clock()) > 0:
                self._wait(rest)
            return
        if due > now:
            self._wait(_LONGEST_WAIT)
        self._due = self._clock(), moment

    def _certificate_problem(self) -> str:
        if self._insecure or self._scheme not in SECURE_PORTS:
            return ""
        host, port = host_and_port(self._openable)
        return certificate_problem(host, port or SECURE_PORTS[self._scheme], self._limits[0])

    def _cut(self, error: Exception) -> str:
        if isinstance(error, av.error.ExitError | TimeoutError):
            return f"{self.name} has sent nothing for {self._limits[1]:g} seconds."
        return f"{self.name} was disconnected."

    def _in_words(self, error: Exception) -> str:
        """Return the message for an error while opening the stream."""
        name = self.name
        if isinstance(error, av.error.ExitError | TimeoutError):
            return f"{name} did not respond within {self._limits[0]:g} seconds: check the address and the network."
        if isinstance(error, ConnectionRefusedError):
            return f"{name} refuses the connection: check that it is switched on and that the port is correct."
        if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
            return f"{name} rejects the user name or password: write them into the address, before the host."
        if isinstance(error, av.error.HTTPNotFoundError):
            return f"There is nothing at {name}: check the address."
        if isinstance(error, av.error.HTTPError):
            return f"{name} reports a server error: check the address, or try later."
        if isinstance(error, av.error.InvalidDataError):
            return f"{name} sends no playable video: check the address."
        if isinstance(error, av.error.ProtocolNotFoundError):
            return f"{name} needs a protocol that this build of FFmpeg lacks: use another address of the stream."
        if error.args and error.args[0] == errno.EPROTONOSUPPORT and self._scheme == "rtsp":
            return f"{name} does not send video over {self._transport.upper()}: choose another --rtsp-transport."
        if problem := self._certificate_problem():
            return (
                f"The certificate of {name} cannot be verified ({problem}): if you trust the server, "
                'open it with --insecure, or with "Accept any certificate" in the window.'
            )
        return f"{name} cannot be reached: check the address and the network."


class StreamClock:
    """Converts timestamps of a live stream to times that start at 0 and always grow.

    For a frame without a timestamp, the clock gives the time since the previous one.

    Args:
        tick: Unit of the timestamps, in seconds.
        rate: Frames per second, None where unknown.
        now: Time of the clock, in seconds.
    """

    def __init__(self, tick: Fraction, rate: Fraction | None, now: float) -> None:
        self.tick = tick
        self._length = max(round(1 / rate / tick), 1) if rate else 1
        self._shift: int | None = None
        self._last: int | None = None
        self._now = now

    def time(self, stamp: int | None, length: int, now: float) -> Fraction:
        """Return the time of the next frame in seconds.

        Args:
            stamp: Timestamp in ticks, None where unknown.
            length: Duration in ticks, 0 where unknown.
            now: Time of the clock, in seconds.
        """
        elapsed, self._now = Fraction(now - self._now), now
        usual, self._length = self._length, length or self._length
        if self._last is None:
            self._last, self._shift = 0, None if stamp is None else -stamp
            return Fraction(0)
        if stamp is None:
            number = self._last + round(elapsed / self.tick)
        elif self._shift is None or self._is_elsewhere(stamp + self._shift, elapsed):
            number = self._last + usual
            self._shift = number - stamp
        else:
            number = stamp + self._shift
        self._last = max(number, self._last + 1)
        return self._last * self.tick

    def _is_elsewhere(self, number: int, elapsed: Fraction) -> bool:
        """Return True if a timestamp is so far off that it must belong to another recording."""
        ahead = (number - (self._last or 0)) * self.tick
        return ahead > elapsed + _JUMP or ahead < -_STEP_BACK


def check_address(address: str) -> str:
    """Return the address without surrounding whitespace.

    Raises:
        UsageError: If it is not the address of a stream.
    """
    if problem := address_problem(address):
        raise UsageError(problem)
    return address.strip()
