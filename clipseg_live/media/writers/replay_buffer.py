"""Replay: the last seconds of video and audio, kept in memory as a fragmented MP4 without its oldest fragments."""

import contextlib
import io
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from clipseg_live.core.errors import SinkError
from clipseg_live.core.frame import SourceInfo
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import Codec
from clipseg_live.core.settings.recording import Encoding
from clipseg_live.media.atomic_output import AtomicOutput, write_failure
from clipseg_live.media.audio.synced_tracks import SyncedAudio
from clipseg_live.media.ffmpeg.guarded_av import Packet
from clipseg_live.media.ffmpeg.thread_priority import keep_priority
from clipseg_live.media.writers.adaptive_encoder import AdaptiveEncoder
from clipseg_live.media.writers.encoders import choose_encoder, clock_of
from clipseg_live.media.writers.muxer import MUX_ERRORS, Muxer, SideTrack
from clipseg_live.media.writers.video import CONTAINERS

_OPTIONS = {
    "movflags": "+empty_moov+default_base_moof+frag_discont", "frag_duration": "400000", "use_editlist": "0",
    "flush_packets": "1", "avoid_negative_ts": "disabled", "max_interleave_delta": "200000",
}  # fmt: skip
_MARGIN = 2.0
"""Seconds to keep in addition to those requested: a key frame comes every second, a fragment lasts 0.4 s."""


class ReplayBuffer(Muxer):
    """Keeps the last seconds in memory (a ``core.protocols.Output``). Use it from one thread.

    Args:
        seconds: Least time to keep, in seconds.
        codec: Codec of the video. H.264 replaces codecs that MP4 cannot hold or that need too much memory.
        encoder: "auto" tries hardware encoders first.
        quality: 0 (smallest) to 100 (best).
    """

    def __init__(self, seconds: float, codec: Codec = "h264", *, encoder: Encoding = "auto", quality: int = 70) -> None:
        super().__init__()
        self._wanted = seconds
        self._codec: Codec = "h264" if codec in ("ffv1", "prores", "av1") else codec
        self._auto, self._quality = encoder == "auto", quality
        self._ring = _Ring()
        self._sound: SyncedAudio | None = None

    def open(self, info: SourceInfo) -> None:
        """Start, and drop what was kept before.

        Raises:
            SinkError: If no encoder can be opened.
        """
        self.abort()
        self._info, self._clock = info, clock_of(info.time_base)
        encoder = choose_encoder(self._codec, info, auto=self._auto)
        try:
            self._container = av.open(self._ring, "w", format="mp4", container_options=_OPTIONS)
            self._video = AdaptiveEncoder(self._container, encoder, self._quality, info, self._clock)
            if info.audio_path is not None:
                self._sound = SyncedAudio(info.audio_path, self._container, ".mp4", [])
            with keep_priority():
                self._container.start_encoding()
        except MUX_ERRORS as error:
            self.abort()
            raise SinkError(
                f"The replay buffer cannot be written: {getattr(error, 'strerror', None) or error}."
            ) from error

    def write(self, rendered: RenderedFrame) -> None:
        """Keep a frame.

        Raises:
            SinkError: If encoding fails; the replay is then lost.
        """
        frame = rendered.output_frame
        if self._container is None:
            raise SinkError("The replay buffer is closed.")
        stamp, duration = self._timed(frame)
        try:
            self._container.mux(self._video.change_speed())
            self._container.mux(self._video.encode(frame.pixels, stamp, self._ticks(duration)))
            if self._sound is not None:
                self._sound.sync_to(stamp * self._clock, rendered.source_time, duration)
        except MUX_ERRORS as error:
            self.abort()
            raise SinkError(f"The replay was lost: {getattr(error, 'strerror', None) or error}.") from error
        self._last = stamp
        self._ring.drop_before(float(stamp * self._clock), self._wanted + _MARGIN)

    def speed_up(self) -> bool:
        """Use the next faster preset from the next frame on; return False if there is none."""
        return self._container is not None and self._video.speed_up()

    def seconds(self) -> float:
        """Return the number of seconds that can be saved."""
        return min(self._ring.seconds, self._wanted)

    def save(self, path: Path) -> None:
        """Write the last seconds as a plain file, from the last key frame before them.

        Raises:
            SinkError: If nothing can be saved or the file cannot be written.
            UsageError: If ``path`` exists.
        """
        place = AtomicOutput(path, overwrite=False)
        working = place.begin()
        form = CONTAINERS[path.suffix.lower()].format if path.suffix.lower() in CONTAINERS else "mp4"
        try:
            if not _copy(self._ring.content(), working, form, self._wanted):
                raise SinkError("The replay buffer is still empty.")
            place.commit()
        except MUX_ERRORS as error:
            raise write_failure(path, error) from error
        finally:
            place.discard()

    def finish(self) -> None:
        """Do nothing: the frames stay in memory until ``abort``."""

    def abort(self, keep_partial: bool = False) -> None:
        """Drop everything; may be called more than once."""
        if self._container is not None:
            with contextlib.suppress(*MUX_ERRORS):
                self._video.flush()
        self._close()
        self._ring.clear()
        self._last = None

    def _tracks_beside(self) -> tuple[SideTrack | None, ...]:
        sound, self._sound = self._sound, None
        return (sound,)


@dataclass(frozen=True, slots=True)
class _Fragment:
    """A moof box with its mdat box (ISO/IEC 14496-12, section 8.8).

    Attributes:
        data: Both boxes.
        time: Time of the newest frame when the fragment arrived, in seconds.
    """

    data: bytes
    time: float


class _Ring(io.RawIOBase):
    """File object that takes a fragmented MP4, and keeps its header and the newest fragments."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._head, self._waiting, self._moof = bytearray(), bytearray(), bytearray()
        self._fragments: deque[_Fragment] = deque()
        self._now = 0.0

    @property
    def seconds(self) -> float:
        return self._now - self._fragments[0].time if self._fragments else 0.0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]
        self._waiting += part
        while (box := self._next_box()) is not None:
            if box[4:8] in (b"moof", b"mdat"):
                self._moof += box
                if box[4:8] == b"mdat":
                    self._fragments.append(_Fragment(bytes(self._moof), self._now))
                    self._moof.clear()
            elif box[4:8] in (b"ftyp", b"moov"):
                self._head += box
        return len(part)

    def drop_before(self, now: float, seconds: float) -> None:
        """Drop fragments that are older than ``seconds`` at the time ``now``."""
        self._now = now
        while self._fragments and self._fragments[0].time < now - seconds:
            self._fragments.popleft()

    def content(self) -> bytes:
        """Return a playable file; the newest fragment may be incomplete."""
        return b"".join((bytes(self._head), *(fragment.data for fragment in self._fragments)))

    def _next_box(self) -> bytes | None:
        length = int.from_bytes(self._waiting[:4], "big")
        if len(self._waiting) < 8 or len(self._waiting) < length or length < 8:
            return None
        box = bytes(self._waiting[:length])
        del self._waiting[:length]
        return box


def _copy(content: bytes, working: Path, form: str, seconds: float) -> int:
    """Write the last seconds of a file in memory to a plain file that starts at zero.

    Args:
        content: Fragmented MP4.
        working: File to write.
        form: Format of the file, as FFmpeg names it.
        seconds: Seconds to write.

    Returns:
        The number of video frames written.
    """
    if not content:
        return 0
    with av.open(io.BytesIO(content), "r", format="mp4") as source:
        packets = [packet for packet in source.demux() if packet.pts is not None]
        pictures = [packet for packet in packets if packet.stream.type == "video"]
        keys = [_time(packet) for packet in pictures if packet.is_keyframe]
        if not keys:
            return 0
        wanted = _time(pictures[-1]) - Fraction(seconds)
        begin = max((time for time in keys if time <= wanted), default=keys[0])
        options = {"movflags": "+faststart"} if form in ("mp4", "mov") else {}
        with av.open(f"file:{working}", "w", format=form, container_options=options) as output:
            streams = {stream.index: output.add_stream_from_template(stream, opaque=True) for stream in source.streams}
            written = 0
            for packet in packets:
                if _time(packet) < begin:
                    continue
                written += packet.stream.type == "video"
                shift = round(begin / packet.time_base)
                stamp = packet.pts or 0
                packet.pts, packet.dts = stamp - shift, (stamp if packet.dts is None else packet.dts) - shift
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    return written


def _time(packet: Packet) -> Fraction:
    assert packet.pts is not None
    return packet.pts * Fraction(packet.time_base)
