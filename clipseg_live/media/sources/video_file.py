"""Video files as a source of frames, with exact timestamps, upright pixels and correct colours."""

import logging
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
import cv2
import numpy as np
from av.stream import Discard, Disposition

from clipseg_live.core.errors import SourceBroken, SourceError, UsageError
from clipseg_live.core.frame import Frame, Pixels, Signal, SourceInfo
from clipseg_live.core.settings.rendering import Deinterlace
from clipseg_live.core.system.paths import check_input
from clipseg_live.core.system.times import format_time
from clipseg_live.imaging.letterbox import letterbox
from clipseg_live.media.colour.conversion import FromVideo, shown_colour
from clipseg_live.media.colour.hdr import dynamic_range
from clipseg_live.media.colour.hdr_metadata import hdr_info
from clipseg_live.media.colour.interlacing import Deinterlacer, field_order, order_of
from clipseg_live.media.ffmpeg.container import clock_zero, has_running_clock, is_cut_short, open_input, status_of
from clipseg_live.media.ffmpeg.decoders import container_colour, decoder_of
from clipseg_live.media.ffmpeg.guarded_av import MEDIA_READ_ERRORS, display_matrix, media_errors
from clipseg_live.media.sources.time_index import clock_of_file, decoding_delay, seek_to
from clipseg_live.media.sources.timestamps import timed_packets, timed_streams

logger = logging.getLogger(__name__)

Orientation = tuple[int, int, int, int]
FramePixels = TypeVar("FramePixels", Pixels, Signal)
UPRIGHT: Orientation = (1, 0, 0, 1)
_SEEK_MARGINS = (Fraction(0), Fraction(2), Fraction(15))
_CLOCK_JUMP = Fraction(1)
_HIGHEST_RATE = 10_000
"""Frames per second. A larger number (raw DV) is the clock of the format."""
_REORDERED = 8
"""Number of frames after a gap that wait for an earlier one."""


class VideoFileSource:
    """The frames of a video file.

    Time is that of the container: presentation timestamp times time base. Broadcast formats (MPEG-TS, MPEG-PS), whose
    clock has no zero, count from the start of the file; the time map in ``timestamps.py`` bridges jumps of their clock.

    ``Frame.time`` always grows. A frame without a timestamp follows the previous one by the duration of that one. A
    timestamp that repeats or steps back is moved to one unit after the previous one. In other than broadcast formats,
    after a jump back of more than a second, the rest is shifted to continue from there. ``Frame.index`` counts the
    frames that are returned. Frames of another size than the first are scaled to fit, with black bars.

    Quarter turns and mirroring from the display matrix are applied to the pixels. Interlaced video is deinterlaced. HDR
    and wide-gamut video is converted to BT.709. Alpha is blended with black. If a file is damaged, the complete frames
    before that point are returned, and ``read`` then raises SourceError with the time. Broadcast formats are read on,
    as players do.

    Args:
        path: File to read.
        start: Start of the range, in seconds of ``Frame.time``.
        end: End of the range in seconds; it is not included.
        deinterlace: "off" keeps both fields in each frame.
        keep_hdr: True to keep the signal in frames of HDR video.
        select: Called with the time of each frame in seconds, in order. Frames for which it returns False are left out,
            without the work of converting them.
    """

    def __init__(
        self,
        path: str | Path,
        start: Fraction | None = None,
        end: Fraction | None = None,
        *,
        deinterlace: Deinterlace = "auto",
        keep_hdr: bool = False,
        select: Callable[[Fraction], bool] | None = None,
    ) -> None:
        """Check the range.

        Raises:
            UsageError: If the range is invalid.
        """
        if start is not None and start < 0:
            raise UsageError(f"A start of {float(start):g} s is invalid: the video begins at 0.")
        if end is not None and end <= (start or 0):
            raise UsageError(f"The end ({float(end):g} s) must come after the start ({float(start or 0):g} s).")
        self.path = Path(path)
        self._start, self._end = start, end
        self._container: av.container.InputContainer | None = None
        self._frames: Iterator[Frame] = iter(())
        self._first: Frame | None = None
        self._deinterlace, self._keep_hdr, self._select = deinterlace, keep_hdr, select
        self._convert = FromVideo()

    def open(self) -> SourceInfo:
        """Open the file and read its first frame.

        Raises:
            SourceError: If the file cannot be read, or has no frames in the range.
        """
        self.close()
        check_input(self.path)
        self._cut_short = is_cut_short(self.path)
        self._status = status_of(self.path)
        self._orientation: Orientation | None = None
        self._reached: Fraction | None = None
        with media_errors(self._broken_off()):
            self._open_stream()
            self._frames = self._read_range()
            self._first = next(self._frames, None)
            if self._first is None:
                self.close()
                raise SourceError(self._nothing_there())
            # Finding the start may have opened the file again, so use the current stream.
            return self._describe(self._stream, self._first)

    def read(self) -> Frame | None:
        """Return the next frame, or None after the last.

        Raises:
            SourceError: If the file is damaged.
        """
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        with media_errors(self._broken_off()):
            return next(self._frames, None)

    def close(self) -> None:
        """Close the file; may be called more than once."""
        container, self._container = self._container, None
        self._frames, self._first = iter(()), None
        if container is not None:
            container.close()

    def _open_stream(self) -> None:
        container = open_input(self.path)
        self._container = container
        streams = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
        if not streams:
            what = "only audio" if container.streams.audio else "no video"
            self.close()
            raise SourceError(f"{self.path.name} contains {what}: a file with a video track is needed.")
        best = container.streams.best("video")
        stream = best if best in streams else streams[0]
        if stream.frames == 1 and stream.duration is None:  # the cover image of a HEIF sequence, next to its track
            stream = max(streams, key=lambda each: each.frames)
        if stream.codec_context is None:
            self.close()
            raise SourceError(f"{self.path.name} has a codec that cannot be decoded: convert it first.")
        stream.thread_type = "AUTO"
        self._times, self._index = clock_of_file(self.path, container, indexed=bool(self._start))
        kept = [stream] if self._times is None else timed_streams(container)
        for other in container.streams:
            if other not in kept:
                other.discard = Discard.all
        self._convert = FromVideo(container_colour(stream))
        self._decoder = decoder_of(stream)
        self._order = field_order(stream.codec_context)
        self._stream = stream
        self._tick = stream.time_base or Fraction(1, 1000)
        self._zero = clock_zero(container)
        if container.format.name == "avi":
            self._zero += decoding_delay(self.path, stream.index)
        self._broadcast = has_running_clock(container)
        rates = (Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate)
        self._rate = next((rate for rate in rates if rate <= _HIGHEST_RATE), None)

    def _describe(self, stream: av.VideoStream, first: Frame) -> SourceInfo:
        assert self._container is not None
        aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        if _is_turned(self._orientation or UPRIGHT):
            aspect = 1 / aspect
        count, duration = self._expected(stream)
        return SourceInfo(
            name=self.path.name,
            width=first.width,
            height=first.height,
            rate=self._rate,
            time_base=self._tick,
            frame_count=count,
            duration=duration,
            pixel_aspect=aspect,
            colour=shown_colour(self._colour),
            hdr=self._hdr,
            fields=self._fields,
            audio_path=self.path if self._container.streams.audio else None,
            media_path=self.path,
        )

    def _expected(self, stream: av.VideoStream) -> tuple[int | None, Fraction | None]:
        """Return the number of frames and seconds to come, as far as the container declares them."""
        whole: Fraction | None = None
        frames = stream.frames
        if self._index is not None:
            whole, frames = self._index.end - self._zero, self._index.frames
        elif stream.duration:
            whole = stream.duration * self._tick
        elif self._container is not None and self._container.duration:
            whole = Fraction(self._container.duration, av.time_base)
        if whole is None:
            return (frames or None if self._start is None and self._end is None else None), None
        start = self._start or Fraction(0)
        duration = max(min(whole, self._end or whole) - start, Fraction(0))
        if frames and duration == whole:
            return frames, duration
        return (max(round(duration * self._rate), 1) if self._rate else None), duration

    def _nothing_there(self) -> str:
        if self._start is None and self._end is None:
            return f"{self.path.name} has a video track without a readable frame."
        until = "" if self._reached is None else f"; it ends at {format_time(self._reached, 3)}"
        return f"{self.path.name} has no frames in the requested range{until}."

    def _read_range(self) -> Iterator[Frame]:
        """Yield frames that last until the next: with reordered frames, containers use durations in coding order."""
        held: tuple[av.VideoFrame, Fraction] | None = None
        index = 0
        try:
            for frame, time in self._timed_from_start():
                if self._select is not None and not self._select(time):
                    continue
                if held is not None:
                    yield self._made(held, index, time - held[1])
                    held, index = None, index + 1
                if self._end is not None and time >= self._end:
                    return
                held = frame, time
        except SourceError:
            if held is not None:
                yield self._made(held, index, None)
            raise
        if held is not None:
            yield self._made(held, index, self._last_duration(held))

    def _made(self, held: tuple[av.VideoFrame, Fraction], index: int, duration: Fraction | None) -> Frame:
        pixels, signal = self._picture(held[0])
        return Frame(pixels, index, held[1], duration, signal=signal)

    def _last_duration(self, held: tuple[av.VideoFrame, Fraction]) -> Fraction | None:
        frame, time = held
        stream = self._stream
        if self._times is None and stream.duration and stream.start_time is not None:
            rest = (stream.start_time + stream.duration) * self._tick - self._zero - time
            if rest > 0:
                return rest
        return frame.duration * self._tick if frame.duration else None

    def _timed_from_start(self) -> Iterator[tuple[av.VideoFrame, Fraction]]:
        """Yield frames from ``start`` on, by a seek to the previous key frame and decoding."""
        if not self._start:
            yield from self._timed()
            return
        for margin in (*_SEEK_MARGINS, None):
            if margin is None:  # the index is wrong: read the file from its beginning
                self._close_container()
                self._open_stream()
            elif not self._seek(max(self._start - margin, Fraction(0))):
                continue
            frames = self._timed()
            first = next(frames, None)
            if margin is not None and (first is None or first[1] > self._start):
                frames.close()  # before its container is closed
                continue
            if first is not None and first[1] >= self._start:
                yield first
            for frame, time in frames:
                if time >= self._start:
                    yield frame, time
            return

    def _close_container(self) -> None:
        """Close only the file, so that it can be opened again while frames are being read."""
        if self._container is not None:
            self._container.close()

    def _seek(self, time: Fraction) -> bool:
        assert self._container is not None
        if self._times is not None:
            self._times, _ = clock_of_file(self.path, self._container, indexed=True)  # a map that has read nothing
            return self._index is not None and seek_to(self._container, self._index, time + self._zero)
        try:
            self._container.seek(int((time + self._zero) / self._tick), stream=self._stream)
            if self._decoder is not self._stream.codec_context and self._decoder.is_open:
                self._decoder.flush_buffers()
        except MEDIA_READ_ERRORS:
            logger.warning("A video file could not be searched", exc_info=True)
            return False
        return True

    def _timed(self) -> Generator[tuple[av.VideoFrame, Fraction], None, None]:
        """Yield frames with times that always grow."""
        last: int | None = None
        length = self._usual_length()
        shift = 0
        for frame in self._progressive():
            stamp = frame.pts if frame.pts is not None else frame.dts
            if stamp is None:
                stamp = round(self._zero / self._tick) if last is None else last + length
            else:
                stamp += shift
            if last is not None and stamp <= last:
                if self._times is None and (last - stamp) * self._tick > _CLOCK_JUMP:
                    shift += last + length - stamp
                    stamp = last + length
                else:
                    stamp = last + 1
            last = stamp
            length = frame.duration or length
            time = stamp * self._tick - self._zero
            self._reached = time + length * self._tick
            yield frame, time

    def _ordered(self) -> Iterator[av.VideoFrame]:
        """Yield frames in the order of their times; decoders may return another order after lost packets."""
        if not self._broadcast:
            yield from self._decoded()
            return
        held: list[av.VideoFrame] = []
        due: int | None = None
        for frame in self._decoded():
            held.append(frame)
            held.sort(key=lambda each: -1 if each.pts is None else each.pts)
            while held and (len(held) > _REORDERED or due is None or (held[0].pts or 0) <= due):
                first = held.pop(0)
                if first.pts is not None:
                    due = first.pts + (first.duration or self._usual_length())
                yield first
        yield from held

    def _usual_length(self) -> int:
        return max(round(1 / self._rate / self._tick), 1) if self._rate else 1

    def _progressive(self) -> Iterator[av.VideoFrame]:
        """Return the decoded frames, deinterlaced unless that is switched off."""
        return self._ordered() if self._deinterlace == "off" else Deinterlacer(self._order).frames(self._ordered())

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Yield frames in order of presentation, until the end or the first damaged one."""
        assert self._container is not None
        started = False
        try:
            for packet in timed_packets(self._container, [self._stream], self._times):
                if packet.is_corrupt and packet.size and not self._broadcast:
                    yield from self._drained()
                    raise self._broken()
                try:
                    frames = self._decoder.decode(packet)
                except av.error.InvalidDataError:
                    if self._broadcast or not started:
                        continue
                    yield from self._drained()
                    raise
                for frame in frames:
                    if frame.is_corrupt and started and not self._broadcast:
                        raise self._broken()
                    started = started or not frame.is_corrupt
                    yield frame
        except av.error.EOFError:
            pass
        except MEDIA_READ_ERRORS as error:
            logger.warning("A video file could not be decoded", exc_info=True)
            raise self._broken() from error
        if self._cut_short:
            raise self._broken()
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        """Check at the end of the file that its size is the same as at the beginning.

        Raises:
            SourceError: If the size has changed.
        """
        before, now = self._status, status_of(self.path)
        if before is None or now is None or before[:2] != now[:2] or before.size == now.size:
            return  # a removed or replaced file is still read to its own end
        if now.size < before.size:
            raise self._broken()
        reached = format_time(self._reached or Fraction(0), 3)
        raise SourceError(
            f"{self.path.name} ends at {reached}: another program is still writing to it; try again later."
        )

    def _drained(self) -> Iterator[av.VideoFrame]:
        """Yield the complete frames that the decoder still holds."""
        try:
            for frame in self._decoder.decode(None):
                if frame.is_corrupt:
                    return
                yield frame
        except MEDIA_READ_ERRORS:
            logger.warning("The decoder of a video file could not be drained", exc_info=True)

    def _broken(self) -> SourceError:
        """Return the error; frames are kept if the file is damaged, but not if it changes while it is read."""
        if status_of(self.path) != self._status:
            return SourceError(self._broken_off())
        return SourceBroken(self._broken_off())

    def _broken_off(self) -> str:
        if self._reached is None:
            return f"{self.path.name} cannot be decoded: it is damaged or truncated."
        return f"{self.path.name} ends at {format_time(self._reached, 3)}: the rest is damaged or missing."

    def _picture(self, frame: av.VideoFrame) -> tuple[Pixels, Signal | None]:
        if self._orientation is None:
            self._orientation = orientation_of(frame)
            self._size = frame.width, frame.height
            self._colour = self._convert.colour_of(frame)
            self._hdr = hdr_info(frame, self._colour, self._keep_hdr)
            self._fields = None if _is_turned(self._orientation) else order_of(frame)  # fields would be columns
        keep = self._hdr is not None and self._hdr.kept
        if keep and dynamic_range(self._convert.colour_of(frame)) is None:
            raise SourceError(
                f"{self.path.name} changes from HDR to SDR at {format_time(self._reached or Fraction(0), 3)}: "
                "omit --hdr keep."
            )
        pixels, signal = self._convert.picture(frame, keep)
        return self._upright(pixels, frame), None if signal is None else self._upright(signal, frame)

    def _upright(self, picture: FramePixels, frame: av.VideoFrame) -> FramePixels:
        """Return a frame rotated, and scaled to fit the size of the first one."""
        assert self._orientation is not None
        upright = turned(picture, self._orientation)
        if (frame.width, frame.height) == self._size:
            return upright
        width, height = reversed(self._size) if _is_turned(self._orientation) else self._size
        return letterbox(upright, width, height)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return the frame's display matrix as (a, b, c, d).

    A stored point (x, y) is displayed at (a·x + c·y, b·x + d·y). Quarter turns and mirroring have entries of -1, 0 and
    1. Any other angle counts as upright.
    """
    matrix = display_matrix(frame)
    if matrix is None:
        return UPRIGHT
    a, b, c, d = (float(value) for value in matrix)
    scale = max(abs(a), abs(b), abs(c), abs(d)) or 1.0
    signs = (round(a / scale), round(b / scale), round(c / scale), round(d / scale))
    exact = all(abs(value / scale - whole) < 0.05 for value, whole in zip((a, b, c, d), signs, strict=True))
    quarter = abs(signs[0]) == abs(signs[3]) != abs(signs[1]) == abs(signs[2])
    return signs if exact and quarter else UPRIGHT


def turned(pixels: FramePixels, orientation: Orientation) -> FramePixels:
    """Return the image rotated by the orientation; the same array if it is upright already."""
    a, b, c, d = orientation
    if (a, d) == (1, 1):
        return pixels
    if a:
        code = -1 if (a, d) == (-1, -1) else (1 if a < 0 else 0)
        return np.asarray(cv2.flip(pixels, code), pixels.dtype)
    if (b, c) == (1, -1):
        return np.asarray(cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE), pixels.dtype)
    if (b, c) == (-1, 1):
        return np.asarray(cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE), pixels.dtype)
    transposed = cv2.transpose(pixels)
    return np.asarray(transposed if b > 0 else cv2.rotate(transposed, cv2.ROTATE_180), pixels.dtype)


def _is_turned(orientation: Orientation) -> bool:
    return orientation[0] == 0
