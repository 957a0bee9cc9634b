"""Export of frames as a video file, with exact timestamps, colours, pixel aspect and audio."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, cast, get_args

import av
from numpy.typing import NDArray

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import ColourInfo, HDRInfo, SourceInfo
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import Codec
from clipseg_live.media.atomic_output import AtomicOutput, write_failure
from clipseg_live.media.audio.tracks import AudioTracks
from clipseg_live.media.colour.conversion import ToVideo, written_colour
from clipseg_live.media.colour.hdr_metadata import loss_of_metadata
from clipseg_live.media.colour.interlacing import FieldFlags
from clipseg_live.media.ffmpeg.guarded_av import Packet
from clipseg_live.media.ffmpeg.thread_priority import keep_priority
from clipseg_live.media.writers.encoders import (
    DEFAULT_VIDEO_RATE,
    HEVC_TAG,
    SOFTWARE,
    check_interlaced,
    clock_of,
    even,
    export_options,
    hdr_codec,
    hdr_encoding,
    interlaced_options,
    live_options,
    padded,
    prepare_encoder,
)
from clipseg_live.media.writers.metadata import MetadataCopier
from clipseg_live.media.writers.muxer import MUX_ERRORS, FileMuxer, SideTrack

FRAGMENT = Fraction(3, 10)
"""Duration of a fragment in seconds: a growing file lacks at most this, besides what the encoder holds."""
_INTERLEAVE = Fraction(1, 5)
_LONGEST_DELAY = 60
"""Longest time from decoding to presentation in seconds; longer ones are errors of the encoder."""


@dataclass(frozen=True, slots=True)
class _Container:
    format: str
    codecs: tuple[Codec, ...]


# The first codec of each container is its default.
CONTAINERS = {
    ".mp4": _Container("mp4", ("h264", "h265", "vp9", "av1")),
    ".m4v": _Container("mp4", ("h264", "h265")),
    ".mov": _Container("mov", ("h264", "h265", "prores")),
    ".mkv": _Container("matroska", ("h264", "h265", "vp9", "av1", "ffv1", "prores")),
    ".webm": _Container("webm", ("vp9", "av1")),
}


def choose_codec(path: str | Path, codec: Codec | None = None) -> Codec:
    """Return the codec for a file name.

    Args:
        path: File to write.
        codec: Codec to check, None for the default of the suffix.

    Raises:
        UsageError: If the suffix or codec is unknown, or the container cannot hold the codec.
    """
    suffix = Path(path).suffix.lower()
    known = ", ".join(CONTAINERS)
    if codec is not None and codec not in get_args(Codec):
        raise UsageError(f"The codec {codec!r} is not known: use one of {', '.join(get_args(Codec))}.")
    if suffix not in CONTAINERS:
        raise UsageError(f"{Path(path).name} has no supported video suffix: use one of {known}.")
    if codec is None:
        return CONTAINERS[suffix].codecs[0]
    if codec not in CONTAINERS[suffix].codecs:
        able = [other for other, container in CONTAINERS.items() if codec in container.codecs]
        raise UsageError(f"A {suffix} file cannot hold {codec}: use {' or '.join(able)} for it.")
    return codec


class VideoWriter(FileMuxer):
    """Writes frames as a video file.

    The clock of ``.mp4``, ``.m4v`` and ``.mov`` files is that of the source, so times are exact. Matroska and WebM
    round to milliseconds. Times below 0 are shifted so that the first frame is at 0.

    Args:
        path: File to write.
        codec: Codec, None for the default of the suffix.
        quality: 0 (smallest) to 100 (best). ffv1 is always lossless.
        overwrite: True to replace an existing file.
        start: Start of the source's range, in seconds. The file then starts with the first frame at 0, and the audio is
            cut to match. With None, every frame keeps its own time.
        end: End of the source's range, in seconds.
        live: True for frames of a live session. A fast preset without look-ahead is used. The file is visible, and can
            be recovered while it is written.

    Attributes:
        padded: True if a row or column was repeated because H.264 and H.265 take only even sizes.
        notices: Messages for the user, such as that an audio track was converted.
    """

    _metadata: ClassVar[Mapping[str, str]] = {}
    """Metadata of the video stream."""
    _takes_hdr: ClassVar = True
    """False for writers of images other than the source's frames, such as mattes."""

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
        """Check the settings.

        Raises:
            UsageError: If the name, codec or quality is invalid, or the file exists.
            SinkError: If the folder does not exist.
        """
        place = AtomicOutput(path, overwrite, visible=live)
        super().__init__(Path(path), choose_codec(path, codec), quality, place)
        self._given_codec = codec
        self._start, self._end, self._live = start, end, live
        self.padded = False
        self._sound: AudioTracks | None = None
        self._extras: MetadataCopier | None = None
        self._hdr: HDRInfo | None = None
        self._flag_fields: FieldFlags | None = None
        self._is_whole = False
        self._offset: Fraction | None = None

    def open(self, info: SourceInfo) -> None:
        """Start a temporary file in the folder of the result.

        Raises:
            SinkError: If the file cannot be written, or the source has images of different sizes.
            UsageError: If the file exists already, or the codec does not fit the source.
        """
        self._info = info
        if info.independent and info.frame_count != 1:
            raise SinkError(
                f"{info.name} contains images of different sizes, which {self.path.name} cannot hold: "
                "write data, such as --data png=FOLDER, or save the images as separate files."
            )
        self._hdr = info.hdr if info.hdr is not None and info.hdr.kept and self._takes_hdr else None
        if self._hdr is not None:
            self.codec = hdr_codec(self._given_codec, CONTAINERS[self.path.suffix.lower()].codecs)
        check_interlaced(self.codec, info)
        self._check_side(info, "write a .webm file, or use --codec vp9")
        self._working = self._place.begin()
        try:
            try:
                self._start_file(info, with_sound=info.audio_path is not None)
            except (av.FFmpegError, ValueError):
                if info.audio_path is None:
                    raise
                self._close()
                self.notices = [f"The audio of {info.audio_path.name} was left out: the output format cannot store it."]
                self._start_file(info, with_sound=False)
        except MUX_ERRORS as error:
            self._close()
            self._place.discard()
            raise write_failure(self.path, error) from error
        loss = None if self._hdr is None else loss_of_metadata(self.codec, self._hdr)
        if loss is not None:
            self.notices.append(loss)

    def write(self, rendered: RenderedFrame) -> None:
        """Add a frame of the source's size.

        Raises:
            SinkError: If the frame has another size, or writing fails.
        """
        frame = rendered.output_frame
        container = self._opened()
        self._check_frame(frame)
        if self._offset is None:
            self._offset = frame.time if self._start or frame.time < 0 else Fraction(0)
            if self._sound is not None:
                self._sound.begin(self._offset, frame.time if self._start else None, self._end)
            if self._extras is not None:
                self._extras.begin(self._offset)
        stamp, duration = self._timed(frame, self._offset)
        self._last = stamp
        try:
            pixels: NDArray[Any] = frame.pixels if self._hdr is None or frame.signal is None else frame.signal
            picture = self._convert(even(pixels) if self.padded else pixels)
            if self._flag_fields is not None:
                picture = self._flag_fields(picture)
            picture.pts, picture.time_base, picture.duration = stamp, self._clock, self._ticks(duration)
            container.mux(self._packets(picture))
            if self._sound is not None:
                self._sound.advance(frame.time)
            if self._extras is not None:
                self._extras.advance(frame.time)
        except MUX_ERRORS as error:
            raise write_failure(self.path, error) from error
        self._count += 1

    def abort(self, keep_partial: bool = False) -> Path | None:
        """Stop, and remove the file or complete it as ``NAME.partial.SUFFIX``. Never raises.

        Args:
            keep_partial: True to keep what was written.

        Returns:
            The file that was kept, None if nothing was kept.
        """
        kept = None
        if keep_partial and self._count > 0 and (self._is_whole or self._container is not None):
            try:
                if not self._is_whole:
                    self._complete()
                kept = self._place.keep_partial()
            except MUX_ERRORS:
                kept = None
        self._close()
        self._place.discard()
        return kept

    def _start_file(self, info: SourceInfo, with_sound: bool) -> None:
        suffix = self.path.suffix.lower()
        self._clock = clock_of(info.time_base)
        form = CONTAINERS[suffix].format
        options = fragment_options(form) if self._live else _container_options(suffix, self._clock)
        container = av.open(f"file:{self._working}", "w", format=form, container_options=options)
        self._container = container
        encoder, pixel_format, encoding = self._encoding(info)
        if info.fields is not None:
            encoding = interlaced_options(self.codec, encoding, info.fields)
            self._flag_fields = FieldFlags(info.fields)
        stream = cast(
            av.VideoStream, container.add_stream(encoder, rate=info.rate or DEFAULT_VIDEO_RATE, options=encoding)
        )
        context = stream.codec_context
        whole = padded(SOFTWARE[self.codec], info)
        self.padded = whole != info
        tags = self._tags(info)
        prepare_encoder(context, whole, self._clock, pixel_format, tags)
        stream.time_base = self._clock
        if self.codec == "h265" and CONTAINERS[suffix].format in ("mp4", "mov"):
            context.codec_tag = HEVC_TAG
        self._convert = self._converter(pixel_format, tags, info)
        stream.metadata.update(self._metadata)
        self._stream = stream
        if with_sound and info.audio_path is not None:
            self._sound = AudioTracks(info.audio_path, container, suffix, self.notices)
        if info.media_path is not None and not self._live:
            self._extras = MetadataCopier(
                info.media_path, container, stream, suffix, self.notices,
                rate=info.rate, start=self._start, end=self._end,
            )  # fmt: skip
        with keep_priority():
            container.start_encoding()

    def _encoding(self, info: SourceInfo) -> tuple[str, str, dict[str, str]]:
        """Return the encoder, its pixel format and its options. Subclasses override it."""
        if self._hdr is not None:
            return hdr_encoding(self.codec, self._quality, info, self._hdr)
        encoder = SOFTWARE[self.codec]
        if self._live:
            return encoder.name, encoder.pixel_format, live_options(encoder, self._quality, info)[0]
        return encoder.name, encoder.pixel_format, export_options(self.codec, self._quality, info)

    def _tags(self, info: SourceInfo) -> ColourInfo:
        """Return the colour tags of the file."""
        colour = info.colour if self._hdr is None else self._hdr.colour
        return written_colour(colour, is_rgb=self.codec == "ffv1", height=info.height)

    def _converter(self, pixel_format: str, tags: ColourInfo, info: SourceInfo) -> Callable[[Any], av.VideoFrame]:
        return ToVideo(pixel_format, tags, interlaced=info.fields is not None)

    def _packets(self, picture: av.VideoFrame | None) -> list[Packet]:
        """Return the encoder's packets with valid decoding times; libx265 leaves them undefined for 1 or 2 frames."""
        packets = self._stream.encode(picture)
        for packet in packets:
            delay = None if packet.dts is None or packet.pts is None else (packet.pts - packet.dts) * self._clock
            if delay is None or not 0 <= delay <= _LONGEST_DELAY:
                packet.dts = packet.pts
        return packets

    def _complete(self) -> None:
        container = self._opened()
        container.mux(self._packets(None))
        if self._sound is not None:
            self._sound.finish()
            self._sound.close()
        if self._extras is not None:
            self._extras.advance(None)
            self._extras.close()
        self._container = None
        container.close()
        self._is_whole = True

    def _tracks_beside(self) -> tuple[SideTrack | None, ...]:
        tracks = self._sound, self._extras
        self._sound = self._extras = None
        return tracks


def fast_start_options(clock: int) -> dict[str, str]:
    """Return options for a plain MP4 or MOV file with its index in front; ``clock`` is in ticks per second."""
    scale = clock
    while scale < 10_000:  # as FFmpeg does for the track: edit lists are then as exact as the frames
        scale *= 2
    return {"movflags": "+faststart", "movie_timescale": str(scale)}


def fragment_options(form: str) -> dict[str, str]:
    """Return options for a file that is playable while it grows.

    Fragments are short and written as soon as they are complete. The muxer does not wait for a silent track.
    """
    shared = {
        "flush_packets": "1",
        "avoid_negative_ts": "disabled",
        "max_interleave_delta": str(round(_INTERLEAVE * 1_000_000)),
    }
    if form in ("matroska", "webm"):
        return shared | {"cluster_time_limit": str(round(FRAGMENT * 1000))}
    return shared | {
        # Each fragment starts at its own time, also in a track that starts late.
        "movflags": "+empty_moov+default_base_moof+frag_discont",
        "frag_duration": str(round(FRAGMENT * 1_000_000)),
        "use_editlist": "0",
    }


def _container_options(suffix: str, clock: Fraction) -> dict[str, str]:
    if suffix in (".mkv", ".webm"):
        return {"avoid_negative_ts": "disabled"}
    return fast_start_options(clock.denominator)
