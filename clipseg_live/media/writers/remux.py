"""Remuxing of finished recordings: converts fragmented MP4 and MOV files to plain ones with the index in front."""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from zlib import crc32

import av

from clipseg_live.core.errors import SourceError
from clipseg_live.media.ffmpeg.container import open_input, whole_clusters_end, whole_end
from clipseg_live.media.ffmpeg.guarded_av import Packet, layout_name
from clipseg_live.media.writers.video import CONTAINERS, fast_start_options

FRAGMENTED = (".mp4", ".m4v", ".mov")
_SPARE_BYTES = 64 << 20
_HEVC_ARRAYS = 23
_INDEX_BYTES, _PACKET_BYTES = 32 << 10, 40
"""Upper limits of the index size for a file, and for each packet in it."""
PLAIN_COPY = re.compile(r"\..*\.plain-[0-9a-f]{8}")


def remux_to_faststart(path: str | Path, stop: Callable[[], bool] = lambda: False) -> str:
    """Remux a finished, fragmented MP4 or MOV file to a plain one with its index in front.

    Packets, times and tags stay the same. The copy is written to the same folder, compared, and then replaces the file
    in one step. After any failure the file is unchanged. Files of other containers are left alone. Never raises.

    Args:
        path: File to convert.
        stop: Called often; True gives up without a message.

    Returns:
        "", or a sentence with the reason why the file was left unchanged.
    """
    path = Path(path)
    if path.suffix.lower() not in FRAGMENTED:
        return ""
    beside = path.with_name(f".{path.stem[:60]}.plain-{secrets.token_hex(4)}{path.suffix}")
    stays = f"{path.name} is playable but remains fragmented"
    try:
        before = path.stat()
        tracks = _summary(path, stop)
        index = _INDEX_BYTES + _PACKET_BYTES * sum(track.count for track in tracks)
        free = shutil.disk_usage(path.parent).free
        if free < (needed := before.st_size + index + _SPARE_BYTES):
            return f"{stays}: converting it needs {_in_words(needed)} of free disk space."
        _copy(path, beside, index, stop)
        same = tracks == _summary(beside, stop)
        after = path.stat()
        if not same:
            return f"{stays}: its converted copy differs."
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            return f"{stays}: another program is writing to it."
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        shutil.copymode(path, beside)
        os.replace(beside, path)
    except _Stopped:
        return ""
    except (SourceError, av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        return f"{stays}: it could not be converted ({reason})."
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return ""


def is_playable(path: Path) -> bool:
    """Return True if at least one frame of a file can be decoded."""
    try:
        with open_input(path) as container:
            return next(container.decode(video=0), None) is not None
    except (SourceError, av.FFmpegError, OSError, ValueError, IndexError):
        return False


def truncate_to_last_fragment(path: Path) -> None:
    """Truncate an incomplete fragment (MP4, MOV) or cluster (Matroska) at the end of a file. Never raises.

    Decoders report errors for such incomplete ends.
    """
    with contextlib.suppress(OSError), path.open("rb+") as file:
        size = os.fstat(file.fileno()).st_size
        end = whole_end(file, size) if path.suffix.lower() in FRAGMENTED else whole_clusters_end(file, size)
        if 0 < end < size:
            os.truncate(file.fileno(), end)


class _Stopped(Exception):
    pass


@dataclass
class _Track:
    """Properties to compare: codec with headers and tags, and times and contents of all packets."""

    kind: tuple[object, ...]
    count: int = 0
    times: int = 0
    contents: int = 0
    first: Fraction | None = None
    last: Fraction = field(default_factory=Fraction)


def _copy(path: Path, beside: Path, index: int, stop: Callable[[], bool]) -> None:
    """Copy all packets to a plain file.

    Args:
        path: File to copy.
        beside: File to write.
        index: Bytes to reserve for the index in front.
        stop: Called for each packet; True stops.

    Raises:
        av.FFmpegError: If a file cannot be read or written. PyAV can also raise OSError and ValueError.
        _Stopped: If ``stop`` returned True.
    """
    form = CONTAINERS[path.suffix.lower()].format
    with open_input(path) as source:
        clocks = [stream.time_base for stream in source.streams if stream.time_base]
        options = fast_start_options(max(clock.denominator for clock in clocks))
        del options["movflags"]  # moving the index afterwards takes as long again, and cannot be stopped
        options["moov_size"] = str(index)
        with av.open(f"file:{beside}", "w", format=form, container_options=options) as output:
            tracks = {}
            for stream in source.streams:
                if isinstance(stream, av.VideoStream | av.AudioStream):
                    made = output.add_stream_from_template(stream, opaque=True)
                    made.time_base = stream.time_base
                    made.codec_context.codec_tag = stream.codec_context.codec_tag
                    aspect = stream.sample_aspect_ratio if isinstance(stream, av.VideoStream) else None
                    if aspect and isinstance(made, av.VideoStream):
                        made.codec_context.sample_aspect_ratio = aspect
                    made.metadata.update(stream.metadata)
                    tracks[stream.index] = made
            for packet in _packets(source, stop):
                if packet.stream.index in tracks:
                    packet.stream = tracks[packet.stream.index]
                    output.mux(packet)


def _summary(path: Path, stop: Callable[[], bool]) -> list[_Track]:
    with open_input(path) as container:
        tracks = {}
        for stream in container.streams:
            if isinstance(stream, av.VideoStream | av.AudioStream):
                tracks[stream.index] = _Track(_kind(stream, path))
        for packet in _packets(container, stop):
            track = tracks.get(packet.stream.index)
            if track is None or packet.pts is None:
                continue
            time_ = packet.pts * packet.time_base
            track.first = time_ if track.first is None else track.first
            track.last = max(track.last, time_)
            track.count += 1
            track.times = crc32(f"{time_} {packet.is_keyframe}".encode(), track.times)
            track.contents = crc32(bytes(packet), track.contents)
    return list(tracks.values())


def _kind(stream: av.VideoStream | av.AudioStream, path: Path) -> tuple[object, ...]:
    context = stream.codec_context
    headers = bytes(context.extradata or b"")
    if context.codec.canonical_name == "hevc":
        headers = headers[:_HEVC_ARRAYS]  # the rest says whether packets repeat the headers
    shared = (context.name, context.codec_tag, headers, stream.metadata.get("language"))
    if not isinstance(stream, av.VideoStream):
        return (*shared, stream.codec_context.sample_rate, layout_name(stream, path))
    assert isinstance(context, av.VideoCodecContext)
    tags = context.color_range, context.colorspace, context.color_primaries, context.color_trc
    return (*shared, context.width, context.height, stream.sample_aspect_ratio or 1, *(int(tag) for tag in tags))


def _packets(container: av.container.InputContainer, stop: Callable[[], bool]) -> Iterator[Packet]:
    for packet in container.demux():
        if stop():
            raise _Stopped
        if packet.size:
            yield packet


def _in_words(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
