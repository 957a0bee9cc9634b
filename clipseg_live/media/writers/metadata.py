"""Metadata of a media file: titles, chapters, subtitles, timecode and attachments.

What the new container supports is kept, shifted and cut with the range of an export. Text subtitles are converted. The
rest is listed in one message.
"""

import logging
import math
import re
import struct
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.stream import AttachmentStream, Disposition
from av.subtitles.codeccontext import SubtitleCodecContext

from clipseg_live.core.errors import SourceError
from clipseg_live.media.ffmpeg.container import clock_zero, open_input
from clipseg_live.media.ffmpeg.guarded_av import MEDIA_READ_ERRORS, Packet
from clipseg_live.media.sources.timestamps import may_jump

logger = logging.getLogger(__name__)

_MATROSKA = (".mkv", ".webm")
_TECHNICAL = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "encoded_by", "duration", "bps", "timecode",
     "number_of_frames", "number_of_bytes", "handler_name", "vendor_id", "software", "mpeg7description",
     "service_name", "service_provider", "variant_bitrate", "id3v2_priv.com.apple.streaming.transportstreamtimestamp"}
)  # fmt: skip
"""Metadata about the old file itself, in lower case. ``_STATISTICS`` tags are dropped as well."""
_STATISTICS = "_statistics_"
_MP4_KEYS = frozenset(
    {"title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping",
     "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "location", "creation_time",
     "compilation", "media_type", "hd_video", "gapless_playback", "track", "disc", "episode_sort", "season_number",
     "make", "model"}
)  # fmt: skip
"""Metadata keys that FFmpeg's muxer for MP4 and MOV supports."""
_ALIASES = {"com.apple.quicktime.location.iso6709": "location", "location-eng": "", "com.apple.quicktime.make": "make",
            "com.apple.quicktime.model": "model", "com.apple.quicktime.creationdate": "date"}  # fmt: skip
_MOV_LANGUAGES = {"deu": "ger", "nld": "dut", "ell": "gre", "isl": "ice", "zho": "chi", "fre": "fra"}
"""Language codes of QuickTime that differ from ISO 639-2/T."""
_KEPT_FLAGS = (
    Disposition.default | Disposition.forced | Disposition.dub | Disposition.original | Disposition.comment
    | Disposition.hearing_impaired | Disposition.visual_impaired | Disposition.captions | Disposition.descriptions
)  # fmt: skip

_TEXT = frozenset({"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"})
_COPIED_TO_MATROSKA = frozenset({"subrip", "ass", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle"})
_ASS_HEADER = (
    b"[Script Info]\r\nScriptType: v4.00+\r\nPlayResX: 384\r\nPlayResY: 288\r\n\r\n[V4+ Styles]\r\nFormat: Name, "
    b"Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, "
    b"StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, "
    b"Encoding\r\nStyle: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1\r\n\r\n"
    b"[Events]\r\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
)


class MetadataCopier:
    """Copies the metadata of a file into an output.

    Args:
        path: File to copy from.
        output: Output whose header is not written yet.
        video: Video stream of the output.
        suffix: Suffix of the output, in lower case with its dot.
        notices: List that gets a message if something cannot be kept.
        rate: Frame rate of the video, None where unknown.
        start: Start of the exported range, in seconds.
        end: End of the exported range, in seconds.
    """

    def __init__(
        self,
        path: Path,
        output: av.container.OutputContainer,
        video: av.VideoStream,
        suffix: str,
        notices: list[str],
        *,
        rate: Fraction | None,
        start: Fraction | None,
        end: Fraction | None,
    ) -> None:
        self._output, self._suffix = output, suffix
        self._start, self._end = start, end
        self._dropped: list[str] = []
        self._subtitles: dict[int, _Subtitles] = {}
        self._packets: Iterator[Packet] = iter(())
        self._ahead: Packet | None = None
        self._input: av.container.InputContainer | None = None
        self._begun = False
        try:
            self._input = container = open_input(path)
        except SourceError:  # reading the video or the audio reports it
            return
        self._zero = clock_zero(container)
        first = _first_frame(start, rate)
        self._keep_metadata(container)
        self._keep_chapters(container, first)
        self._keep_video(container, video, rate, first)
        for stream in container.streams:
            try:
                self._keep_stream(stream, may_jump(container))
            except MEDIA_READ_ERRORS:
                logger.warning("A track could not be kept", exc_info=True)
                self._dropped.append(_name_of(stream))
        if self._dropped:
            notices.append(f"Not kept from {path.name} in {suffix}: {', '.join(dict.fromkeys(self._dropped))}.")

    def begin(self, offset: Fraction) -> None:
        """Subtract ``offset`` seconds from all times from now on."""
        self._offset, self._begun = offset, True
        if self._input is not None and self._subtitles:
            self._packets = self._input.demux([self._input.streams[number] for number in self._subtitles])

    def advance(self, until: Fraction | None) -> None:
        """Write the subtitles up to a time of the source; None writes the rest."""
        while self._begun and self._subtitles:
            packet, self._ahead = self._ahead, None
            try:
                packet = packet or next(self._packets, None)
            except MEDIA_READ_ERRORS:
                logger.warning("Subtitles could not be read further", exc_info=True)
                packet = None
            if packet is None:
                return
            if not packet.size or packet.pts is None:
                continue
            time = packet.pts * packet.time_base - self._zero
            if until is not None and time > until:
                self._ahead = packet
                return
            self._write(packet, time)

    def close(self) -> None:
        """Close the file."""
        container, self._input = self._input, None
        self._packets, self._ahead = iter(()), None
        if container is not None:
            container.close()

    def _write(self, packet: Packet, time: Fraction) -> None:
        finish = time + (packet.duration or 0) * packet.time_base
        start, end = self._start, self._end
        if (start is not None and finish <= start) or (end is not None and time >= end):
            return
        time = time if start is None else max(time, start)
        finish = max(finish if end is None else min(finish, end), time)
        track = self._subtitles[packet.stream_index]
        data = track.converted(bytes(packet))
        if data is None:
            return
        made = packet if data == bytes(packet) else av.Packet(data)
        base = Fraction(1, 1000)
        made.time_base, made.stream = base, track.stream
        made.pts = made.dts = max(round((time - self._offset) / base), 0)
        made.duration = round((finish - time) / base)
        if track.last is not None and made.dts < track.last:
            made.pts = made.dts = track.last
        track.last = made.dts
        made.is_keyframe = True
        self._output.mux(made)

    def _keep_metadata(self, container: av.container.InputContainer) -> None:
        kept = _plain(container.metadata)
        if self._suffix not in _MATROSKA:
            for key in list(kept):
                alias = _ALIASES.get(key.lower())
                if alias is not None:
                    value = kept.pop(key)
                    if alias:
                        kept.setdefault(alias, value)
            unknown = [key for key in kept if key.lower() not in _MP4_KEYS]
            for key in unknown:
                del kept[key]
            self._dropped += [f"metadata {key}" for key in unknown]
        self._output.metadata.update(kept)

    def _keep_chapters(self, container: av.container.InputContainer, first: Fraction) -> None:
        made: list[Any] = []
        for chapter in container.chapters():
            base = chapter["time_base"] or Fraction(1, 1000)
            begin, finish = chapter["start"] * base - self._zero, chapter["end"] * base - self._zero
            if finish <= first or (self._end is not None and begin >= self._end):
                continue
            finish = finish if self._end is None else min(finish, self._end)
            times = (round((max(time, first) - first) * 1000) for time in (begin, finish))
            begin_at, end_at = times
            made.append(
                {
                    "id": len(made) + 1,
                    "start": begin_at,
                    "end": end_at,
                    "time_base": Fraction(1, 1000),
                    "metadata": dict(chapter["metadata"]),
                }
            )
        self._chapters = len(container.chapters())
        if made:
            self._output.set_chapters(made)

    def _keep_video(
        self, container: av.container.InputContainer, video: av.VideoStream, rate: Fraction | None, first: Fraction
    ) -> None:
        source = container.streams.best("video")
        metadata: Mapping[str, str] = source.metadata if source is not None else {}
        keep_track(source, video)
        if "creation_time" in metadata:
            video.metadata["creation_time"] = metadata["creation_time"]
        candidates = (metadata, container.metadata, *(stream.metadata for stream in container.streams))
        code = next((code for candidate in candidates if (code := _timecode_of(candidate))), None)
        if code is not None:
            shifted = None if rate is None else shifted_timecode(code, round(first * rate), rate)
            if shifted is None:
                self._dropped.append("the timecode")
            else:
                video.metadata["timecode"] = shifted

    def _keep_stream(self, stream: av.stream.Stream, jumps: bool) -> None:
        if stream.type == "audio":
            return
        if stream.type == "video":
            if stream.disposition & Disposition.attached_pic:
                self._dropped.append("the cover picture")
            elif stream is not self._input_video():
                self._dropped.append(_name_of(stream))
        elif stream.type == "subtitle":
            self._keep_subtitles(stream, jumps)
        elif stream.type == "attachment" and self._suffix == ".mkv" and isinstance(stream, AttachmentStream):
            kept = self._output.add_attachment(stream.name or "attachment", stream.mimetype or "", stream.data)
            kept.metadata.update(stream.metadata)
        elif not _timecode_of(stream.metadata) and not (self._chapters and stream.frames == self._chapters):
            self._dropped.append(_name_of(stream))  # MOV keeps timecode and chapters in such tracks

    def _input_video(self) -> av.stream.Stream | None:
        return None if self._input is None else self._input.streams.best("video")

    def _keep_subtitles(self, stream: av.stream.Stream, jumps: bool) -> None:
        codec = stream.codec_context.codec.canonical_name if stream.codec_context is not None else ""
        if jumps or not codec:
            self._dropped.append(_name_of(stream))
        elif self._suffix == ".mkv" and codec in _COPIED_TO_MATROSKA:
            made = self._output.add_stream_from_template(stream)
            self._add(stream, made, codec, codec)
        elif codec in _TEXT:
            target = {".mkv": "subrip", ".webm": "webvtt"}.get(self._suffix, "mov_text")
            if target == "mov_text":
                made = self._output.add_stream(target)
                context = cast(SubtitleCodecContext, made.codec_context)
                context.subtitle_header = _ASS_HEADER
                context.time_base = Fraction(1, 1000)
            else:
                made = self._output.add_mux_stream(target)
            self._add(stream, made, codec, target)
        else:
            self._dropped.append(_name_of(stream))

    def _add(self, stream: av.stream.Stream, made: av.stream.Stream, codec: str, target: str) -> None:
        made.time_base = Fraction(1, 1000)
        keep_track(stream, made)
        self._subtitles[stream.index] = _Subtitles(made, codec, target)


class _Subtitles:
    """A subtitle track: its output stream, and its codec in the source and in the output.

    Attributes:
        stream: Stream of the output.
        last: Time of its last packet, in ticks.
    """

    def __init__(self, stream: av.stream.Stream, codec: str, target: str) -> None:
        self.stream, self._codec, self._target = stream, codec, target
        self.last: int | None = None

    def converted(self, data: bytes) -> bytes | None:
        """Return the content of a packet in the codec of the output, None without text."""
        if self._codec == self._target:
            return data if self._codec != "mov_text" or any(data[:2]) else None
        text = _text_of(data, self._codec)
        if not text.strip():
            return None
        if self._target == "mov_text":
            raw = re.sub(r"</?[a-zA-Z][^>]*>", "", text).encode()[:0xFFFF]
            return struct.pack(">H", len(raw)) + raw
        return text.encode()


def _text_of(data: bytes, codec: str) -> str:
    """Return the text of a subtitle packet."""
    if codec == "mov_text":
        length = int.from_bytes(data[:2], "big")
        return data[2 : 2 + length].decode(errors="replace")
    text = data.decode(errors="replace")
    if codec in ("ass", "ssa"):
        text = text.split(",", 8)[-1]
        return re.sub(r"\{[^}]*\}", "", text).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
    return text


def keep_track(source: av.stream.Stream | None, made: av.stream.Stream) -> None:
    """Copy the title, language and flags (default, forced and others) of a track."""
    if source is None:
        return
    for key, name in (("name", "title"), ("title", "title"), ("language", "language")):  # MP4 names it "name"
        if key in source.metadata:
            made.metadata[name] = source.metadata[key]
    if made.container.format.name == "mov" and "language" in made.metadata:
        made.metadata["language"] = _MOV_LANGUAGES.get(made.metadata["language"], made.metadata["language"])
    name = source.metadata.get("handler_name", "")
    if "title" not in made.metadata and name and not name.lower().endswith("handler"):
        made.metadata["title"] = name
    made.disposition = source.disposition & _KEPT_FLAGS


def _timecode_of(metadata: Mapping[str, str]) -> str | None:
    """Return the timecode from metadata; Matroska writes the key in capitals."""
    return next((value for key, value in metadata.items() if key.lower() == "timecode"), None)


def shifted_timecode(code: str, frames: int, rate: Fraction) -> str | None:
    """Return a timecode shifted by some frames, None if it is invalid.

    Args:
        code: Timecode as hh:mm:ss:ff, with ``;`` for drop frame.
        frames: Frames to add.
        rate: Frame rate.
    """
    match = re.fullmatch(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)", code)
    if match is None:
        return None
    hours, minutes, seconds, number = (int(match[group]) for group in (1, 2, 3, 5))
    whole = math.ceil(rate)
    skipped = 2 * (whole // 30) if match[4] != ":" else 0  # numbers dropped each minute, except each tenth
    minute = 60 * hours + minutes
    count = (60 * minute + seconds) * whole + number - skipped * (minute - minute // 10) + frames
    count %= 24 * 3600 * whole - skipped * (1440 - 144)
    if skipped:
        tens, rest = divmod(count, 600 * whole - 9 * skipped)
        count += 9 * skipped * tens + skipped * max((rest - skipped) // (60 * whole - skipped), 0)
    seconds, number = divmod(count, whole)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{match[4]}{number:02}"


def _first_frame(start: Fraction | None, rate: Fraction | None) -> Fraction:
    """Return the time of the first frame of a range, in seconds."""
    if not start:
        return Fraction(0)
    return Fraction(math.ceil(start * rate)) / rate if rate else start


def _plain(metadata: Mapping[str, str]) -> dict[str, str]:
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _TECHNICAL and not key.lower().startswith(_STATISTICS)
    }


def _name_of(stream: av.stream.Stream) -> str:
    context = stream.codec_context
    codec = f" ({context.codec.canonical_name})" if context is not None else ""
    kind = {"subtitle": "subtitle track", "video": "video track", "attachment": "attachment"}.get(
        stream.type or "", "data track"
    )
    return f"{kind} {stream.index}{codec}"
