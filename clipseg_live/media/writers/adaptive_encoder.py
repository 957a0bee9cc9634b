"""Real-time encoding with little or no delay, and a key frame at least every second."""

import contextlib
from fractions import Fraction

import av
from av.video.frame import PictureType

from clipseg_live.core.frame import Pixels, SourceInfo
from clipseg_live.media.colour.conversion import ToVideo, written_colour
from clipseg_live.media.colour.interlacing import FieldFlags
from clipseg_live.media.ffmpeg.guarded_av import Packet
from clipseg_live.media.writers.encoders import (
    DEFAULT_VIDEO_RATE,
    HEVC_TAG,
    Encoder,
    Options,
    even,
    interlaced_options,
    live_options,
    new_context,
    padded,
    prepare_encoder,
)

KEYFRAME_SECONDS = Fraction(1)
"""Longest time between two key frames, in seconds."""
_START_CODES = (b"\0\0\0\1", b"\0\0\1")


class AdaptiveEncoder:
    """A video stream of a growing file, whose encoder can be exchanged for a faster one.

    After a change, packets continue in the same stream. Each key frame carries its own headers. An encoder that takes
    no requests for key frames is opened again for each of them.

    Args:
        container: Output that gets the stream; its header is not written yet.
        encoder: Encoder to start with.
        quality: 0 (smallest) to 100 (best).
        info: Source of the frames.
        clock: Time base of the stream, in seconds per tick.

    Attributes:
        encoder: Encoder in use.
        stream: Stream of the output.
        padded: True if a column or row is repeated because the encoder takes even sizes only.

    Raises:
        av.FFmpegError: If the encoder cannot be opened, or fails.
        ValueError: If PyAV does not know the encoder or an option.
    """

    def __init__(
        self, container: av.container.OutputContainer, encoder: Encoder, quality: int, info: SourceInfo, clock: Fraction
    ) -> None:
        self.encoder = encoder
        self._quality, self._info, self._clock = quality, info, clock
        self._ladder = self._presets(encoder)
        self._rung = 0
        stream = container.add_stream(encoder.name, rate=info.rate or DEFAULT_VIDEO_RATE, options=self._ladder[0])
        assert isinstance(stream, av.VideoStream)
        self.stream = stream
        self._context = stream.codec_context
        tags = written_colour(info.colour, is_rgb=encoder.codec == "ffv1", height=info.height)
        self._whole = padded(encoder, info)
        self.padded = self._whole != info
        prepare_encoder(self._context, self._whole, clock, encoder.pixel_format, tags)
        self._convert = ToVideo(encoder.pixel_format, tags, interlaced=info.fields is not None)
        self._flag_fields = None if info.fields is None else FieldFlags(info.fields)
        if encoder.codec == "h265" and container.format.name in ("mp4", "mov"):
            self._context.codec_tag = HEVC_TAG
        stream.time_base = clock
        self._last: int | None = None
        self._key: int | None = None
        self._faster = False

    def encode(self, pixels: Pixels, stamp: int, duration: int) -> list[Packet]:
        """Encode a frame.

        Args:
            pixels: uint8 RGB (height, width, 3) at the size of the source.
            stamp: Presentation time, in ticks of the clock. It grows with every call.
            duration: Duration, in ticks of the clock.

        Returns:
            The packets that the encoder released.
        """
        picture = self._convert(even(pixels) if self.padded else pixels)
        if self._flag_fields is not None:
            picture = self._flag_fields(picture)
        picture.pts, picture.time_base, picture.duration = stamp, self._clock, duration
        step = 0 if self._last is None else stamp - self._last
        packets: list[Packet] = []
        if self._key is None or (stamp + step - self._key) * self._clock > KEYFRAME_SECONDS:
            if self.encoder.takes_key_requests:
                picture.pict_type = PictureType.I
            elif self._key is not None:
                packets = self._packets(None)
                self._change(self.encoder)
            self._key = stamp
        packets += self._packets(picture)
        self._last = stamp
        return packets

    def flush(self) -> list[Packet]:
        """Flush the encoder and return its last packets; encode nothing afterwards without a change of encoder."""
        return self._packets(None)

    def speed_up(self) -> bool:
        """Use the next faster preset from the next frame on; return False if there is none, or one was asked for."""
        if self._faster or self._rung + 1 >= len(self._ladder):
            return False
        self._faster = True
        return True

    def change_speed(self) -> list[Packet]:
        """Change to the preset that ``speed_up`` asked for, and return the last packets of the previous one."""
        faster, self._faster = self._faster, False
        if not faster or self._last is None:
            return []
        left = self._packets(None)
        self._rung += 1
        self._change(self.encoder)
        return left

    def change_to(self, encoder: Encoder) -> list[Packet]:
        """Change to another encoder of the same codec after a failure, and return what the old one released."""
        left: list[Packet] = []
        with contextlib.suppress(av.FFmpegError, OSError, ValueError):
            left = self._packets(None)
        self._ladder = self._presets(encoder)
        self._rung = 0
        self._change(encoder)
        return left

    def _presets(self, encoder: Encoder) -> tuple[Options, ...]:
        """Return the options of the encoder, from the most careful preset to the fastest."""
        presets, fields = live_options(encoder, self._quality, self._info), self._info.fields
        if fields is None:
            return presets
        return tuple(interlaced_options(encoder.codec, options, fields) for options in presets)

    def _change(self, encoder: Encoder) -> None:
        options = self._ladder[self._rung]
        self._context, self._convert = new_context(encoder, self._whole, self._clock, options)
        self.encoder = encoder
        self._key = None

    def _packets(self, picture: av.VideoFrame | None) -> list[Packet]:
        made = [self._with_headers(packet) for packet in self._context.encode(picture)]
        for packet in made:
            packet.stream = self.stream
        return made

    def _with_headers(self, packet: Packet) -> Packet:
        """Return the packet with headers: hardware encoders mostly omit them at key frames, software ones do not."""
        headers = bytes(self._context.extradata or b"")
        data = bytes(packet) if self.encoder.hardware and packet.is_keyframe else b""
        if not data or not headers.startswith(_START_CODES) or headers in data:
            return packet
        longer = av.Packet(headers + data)
        longer.pts, longer.dts, longer.time_base = packet.pts, packet.dts, packet.time_base
        longer.duration, longer.is_keyframe = packet.duration, True
        return longer
