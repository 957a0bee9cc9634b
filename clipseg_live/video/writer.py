"""Video files as a place for frames: every timestamp, the colours, the pixel aspect and the sound kept."""

import contextlib
import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, cast, get_args

import av
import cv2
import numpy as np
from av.codec.context import Flags as CodecFlags

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import ColourInfo, Frame, Pixels, SourceInfo
from clipseg_live.core.settings import Codec
from clipseg_live.video.audio import Sound
from clipseg_live.video.colour import ToVideo, written_colour
from clipseg_live.video.place import Place


@dataclass(frozen=True, slots=True)
class _Container:
    format: str
    codecs: tuple[Codec, ...]


# The first codec of each is what a name alone asks for.
CONTAINERS = {
    ".mp4": _Container("mp4", ("h264", "vp9")),
    ".m4v": _Container("mp4", ("h264",)),
    ".mov": _Container("mov", ("h264",)),
    ".mkv": _Container("matroska", ("h264", "vp9", "ffv1")),
    ".webm": _Container("webm", ("vp9",)),
}
_ENCODERS = {"h264": ("libx264", "yuv420p"), "vp9": ("libvpx-vp9", "yuv420p"), "ffv1": ("ffv1", "bgr0")}
_LARGEST_H264 = 16384
_USUAL_RATE = Fraction(25)
_FINEST_CLOCK = 1_000_000_000


def choose_codec(path: str | Path, codec: Codec | None = None) -> Codec:
    """The codec for a file name. Raises UsageError for an unknown suffix, or a codec that the container cannot
    hold, naming one that can."""
    suffix = Path(path).suffix.lower()
    known = ", ".join(CONTAINERS)
    if codec is not None and codec not in get_args(Codec):
        raise UsageError(f"The codec {codec!r} is not known: use one of {', '.join(get_args(Codec))}.")
    if suffix not in CONTAINERS:
        raise UsageError(f"{Path(path).name} has no suffix of a video that can be written: use one of {known}.")
    if codec is None:
        return CONTAINERS[suffix].codecs[0]
    if codec not in CONTAINERS[suffix].codecs:
        able = [each for each, container in CONTAINERS.items() if codec in container.codecs]
        raise UsageError(f"A {suffix} file cannot hold {codec}: use {' or '.join(able)} for it.")
    return codec


class VideoWriter:
    """Writes frames as a video file.

    codec: None takes the usual one of the suffix. quality: 0 (smallest) to 100 (best); ffv1 is always lossless.
    start, end: the range of the source, in seconds, that the frames come from. With a ``start`` the file begins
        with the first frame at 0, and the sound is cut to match; without one every frame keeps its own time.
    live: frames come from a session that runs: a quick preset without look-ahead, so that encoding keeps up.
    padded: whether a line or column was repeated, because H.264 takes only even sizes.
    notices: sentences for the person, such as that a sound track was converted.

    The clock of ``.mp4``, ``.m4v`` and ``.mov`` is the source's, so that times come back exactly; Matroska and
    WebM count in milliseconds, to which they round. Times below 0 are moved so that the first frame is at 0.
    """

    _metadata: ClassVar[Mapping[str, str]] = {}
    """Of the video's stream."""

    def __init__(
        self,
        path: str | Path,
        codec: Codec | None = None,
        quality: int = 70,
        overwrite: bool = False,
        start: Fraction | None = None,
        end: Fraction | None = None,
        live: bool = False,
    ) -> None:
        """Raises UsageError for a name, codec or quality that cannot be, or a file that exists; SinkError for a
        folder that does not."""
        self.path = Path(path)
        self.codec = choose_codec(path, codec)
        if not 0 <= quality <= 100:
            raise UsageError(f"A quality of {quality} is not possible: it goes from 0 (smallest) to 100 (best).")
        self._quality, self._start, self._end, self._live = quality, start, end, live
        self._place = Place(path, overwrite)
        self._place.check()
        self.padded = False
        self.notices: list[str] = []
        self._container: av.container.OutputContainer | None = None
        self._sound: Sound | None = None
        self._count = 0
        self._offset: Fraction | None = None
        self._last: int | None = None

    @property
    def working(self) -> Path | None:
        """The hidden file that is being written."""
        return self._place.working

    def open(self, info: SourceInfo) -> None:
        """Start the file beside its place. Raises SinkError, or UsageError where a file stands there already."""
        self._info = info
        if self.codec == "h264" and max(info.width, info.height) > _LARGEST_H264:
            raise UsageError(
                f"{info.name} has {info.width}×{info.height} pixels, and H.264 takes at most {_LARGEST_H264} a side: "
                "write a .webm file, or use --codec vp9."
            )
        self._working = self._place.begin()
        try:
            try:
                self._start_file(info, with_sound=info.audio_path is not None)
            except (av.FFmpegError, ValueError):
                if info.audio_path is None:
                    raise
                self._close()
                self.notices = [f"The sound of {info.audio_path.name} was left out: it cannot be kept here."]
                self._start_file(info, with_sound=False)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._close()
            self._place.discard()
            raise self._failure(error) from error

    def write(self, frame: Frame) -> None:
        """Add a frame of the source's size. Raises SinkError."""
        container = self._opened()
        if (frame.width, frame.height) != (self._info.width, self._info.height):
            raise SinkError(
                f"A frame of {frame.width}×{frame.height} pixels does not fit {self.path.name}, "
                f"which has {self._info.width}×{self._info.height}."
            )
        if self._offset is None:
            self._offset = frame.time if self._start or frame.time < 0 else Fraction(0)
            if self._sound is not None:
                self._sound.begin(self._offset, frame.time if self._start else None, self._end)
        base = self._clock
        stamp = round((frame.time - self._offset) / base)
        if self._last is not None and stamp <= self._last:
            stamp = self._last + 1
        self._last = stamp
        duration = frame.duration or (1 / self._info.rate if self._info.rate else 1 / _USUAL_RATE)
        try:
            picture = self._convert(_even(frame.pixels) if self.padded else frame.pixels)
            picture.pts, picture.time_base = stamp, base
            picture.duration = max(round(duration / base), 1)
            container.mux(self._stream.encode(picture))
            if self._sound is not None:
                self._sound.advance(frame.time)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._failure(error) from error
        self._count += 1

    def finish(self) -> None:
        """Complete the file and move it to its place. Raises SinkError."""
        self._opened()
        if not self._count:
            raise SinkError(f"{self.path.name} was not written: there was not a single frame.")
        try:
            self._complete()
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._failure(error) from error
        self._place.commit()

    def abandon(self, keep_partial: bool = False) -> Path | None:
        """Stop: remove what was written, or complete and keep it as ``NAME.partial.SUFFIX``. Never raises."""
        kept = None
        keep = keep_partial and self._count > 0 and self._container is not None
        if keep:
            try:
                self._complete()
                kept = self._place.keep_partial()
            except (av.FFmpegError, OSError, ValueError):
                kept = None
        self._close()
        self._place.discard()
        return kept

    def _start_file(self, info: SourceInfo, with_sound: bool) -> None:
        suffix = self.path.suffix.lower()
        self._clock = _clock(info.time_base)
        container = av.open(
            f"file:{self._working}",
            "w",
            format=CONTAINERS[suffix].format,
            container_options=_container_options(suffix, self._clock),
        )
        self._container = container
        encoder, pixel_format, options = self._encoding(info)
        stream = cast(av.VideoStream, container.add_stream(encoder, rate=info.rate or _USUAL_RATE, options=options))
        context = stream.codec_context
        self.padded = self.codec == "h264" and (info.width % 2 or info.height % 2) == 1
        stream.width, stream.height = info.width, info.height
        if self.padded:
            stream.width, stream.height = info.width + info.width % 2, info.height + info.height % 2
        stream.pix_fmt = pixel_format
        context.time_base = self._clock
        stream.time_base = self._clock
        context.sample_aspect_ratio = info.pixel_aspect
        context.thread_type = "AUTO"
        context.flags |= int(CodecFlags.frame_duration)
        tags = self._tags(info)
        context.color_range, context.colorspace = tags.range, tags.matrix
        context.color_primaries, context.color_trc = tags.primaries, tags.transfer
        self._convert = self._converter(pixel_format, tags, info)
        stream.metadata.update(self._metadata)
        self._stream = stream
        if with_sound and info.audio_path is not None:
            self._sound = Sound(info.audio_path, container, suffix, self.notices)
        container.start_encoding()

    def _encoding(self, info: SourceInfo) -> tuple[str, str, dict[str, str]]:
        """The encoder, the format of its pixels, and its options. Writers of other pictures have others."""
        encoder, pixel_format = _ENCODERS[self.codec]
        return encoder, pixel_format, _encoder_options(self.codec, self._quality, info, self._live)

    def _tags(self, info: SourceInfo) -> ColourInfo:
        """How the file says that its samples mean colours."""
        return written_colour(info.colour, is_rgb=self.codec == "ffv1")

    def _converter(self, pixel_format: str, tags: ColourInfo, info: SourceInfo) -> Callable[[Pixels], av.VideoFrame]:
        return ToVideo(pixel_format, tags, info.height)

    def _complete(self) -> None:
        container = self._opened()
        container.mux(self._stream.encode(None))
        if self._sound is not None:
            self._sound.finish()
            self._sound.close()
        self._container = None
        container.close()

    def _opened(self) -> av.container.OutputContainer:
        if self._container is None:
            raise SinkError(f"{self.path.name} is not open.")
        return self._container

    def _close(self) -> None:
        container, self._container = self._container, None
        sound, self._sound = self._sound, None
        if sound is not None:
            sound.close()
        if container is not None:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                container.close()

    def _failure(self, error: Exception) -> SinkError:
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT):
            return SinkError(
                f"The disk with {self.path.parent} is full, so {self.path.name} broke off: make room, "
                "or write somewhere else."
            )
        if number == errno.EFBIG:
            return SinkError(f"{self.path.name} grew larger than the disk or system allows: write somewhere else.")
        reason = getattr(error, "strerror", None) or str(error)
        return SinkError(f"{self.path.name} could not be written: {reason}.")


def _clock(time_base: Fraction) -> Fraction:
    """A time base 1/n of which ``time_base`` is a multiple, or nanoseconds where that would be too fine."""
    denominator = Fraction(time_base).denominator
    return Fraction(1, denominator if denominator <= _FINEST_CLOCK else _FINEST_CLOCK)


def _container_options(suffix: str, clock: Fraction) -> dict[str, str]:
    if suffix in (".mkv", ".webm"):
        return {"avoid_negative_ts": "disabled"}
    scale = clock.denominator
    while scale < 10_000:  # as FFmpeg does for the track; edit lists are then as exact as the frames
        scale *= 2
    return {"movflags": "+faststart", "movie_timescale": str(scale)}


def _encoder_options(codec: Codec, quality: int, info: SourceInfo, live: bool) -> dict[str, str]:
    if codec == "h264":
        crf = f"{38 - 0.26 * quality:.2f}"
        return {"crf": crf, "preset": "superfast", "tune": "zerolatency"} if live else {"crf": crf, "preset": "fast"}
    if codec == "vp9":
        return {
            "crf": str(round(55 - 0.4 * quality)),
            "deadline": "realtime" if live else "good",
            "cpu-used": "7" if live else "4",
            "row-mt": "1",
            "tile-columns": "2" if info.width >= 1024 else "0",
        }
    return {"level": "3", "slices": "4", "slicecrc": "1"}


def _even(pixels: Pixels) -> Pixels:
    """The picture with its last column and row repeated where a side is odd."""
    height, width = pixels.shape[:2]
    padded = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)
