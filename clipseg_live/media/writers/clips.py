"""Clips of video files by stream copy: packets are copied, nothing is encoded again."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from clipseg_live.core.errors import SinkError, SourceError
from clipseg_live.media.atomic_output import AtomicOutput, write_failure
from clipseg_live.media.ffmpeg.container import clock_zero, open_input
from clipseg_live.media.ffmpeg.guarded_av import Packet, media_errors
from clipseg_live.media.sources.time_index import clock_of_file, seek_to
from clipseg_live.media.sources.timestamps import timed_packets
from clipseg_live.media.writers.muxer import MUX_ERRORS
from clipseg_live.media.writers.video import CONTAINERS

_SEEK_MARGINS = (Fraction(0), Fraction(2), Fraction(15))
"""Seconds before the start to which a file is searched, until a key frame lies before the start."""
_INTERLEAVING = Fraction(1)
"""Longest distance in seconds between packets of the same time in a file."""


def clip_suffix(path: Path) -> str:
    """Return the suffix of clips of a video: its own if that is a format that is written, else Matroska's."""
    suffix = path.suffix.lower()
    return suffix if suffix in CONTAINERS else ".mkv"


def copy_clip(path: Path, target: Path, start: Fraction, end: Fraction, *, overwrite: bool = False) -> Fraction:
    """Copy a part of a video with its audio into a new file. It begins with the last key frame at or before ``start``.

    Args:
        path: Video to read.
        target: File to write, with a suffix from ``clip_suffix``.
        start: Start in seconds.
        end: End in seconds; frames from there on are left out.
        overwrite: Replace an existing file.

    Returns:
        The time at which the clip begins, in seconds of the video.

    Raises:
        SourceError: If the video cannot be read.
        UsageError: If the target exists.
        SinkError: If the target cannot be written, or its format cannot hold the codecs of the video.
    """
    place = AtomicOutput(target, overwrite)
    working = place.begin()
    try:
        with media_errors(f"{path.name} cannot be read from {float(start):.2f} s on: it is damaged or truncated."):
            begin = _copy_packets(path, working, CONTAINERS[target.suffix.lower()].format, start, end)
    except BaseException:
        place.discard()
        raise
    place.commit()
    return begin


def _copy_packets(path: Path, working: Path, form: str, start: Fraction, end: Fraction) -> Fraction:
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_input(path))
        video = source.streams.best("video")
        if not isinstance(video, av.VideoStream):
            raise SourceError(f"{path.name} contains no video.")
        try:
            output = stack.enter_context(av.open(f"file:{working}", "w", format=form))
            streams: list[av.VideoStream | av.AudioStream] = [video, *source.streams.audio]
            tracks = {each.index: output.add_stream_from_template(each, opaque=True) for each in streams}
        except MUX_ERRORS as error:
            raise write_failure(working, error) from error
        zero = clock_zero(source)
        begin: Fraction | None = None
        for packet, time in _from_key_frame(_packets_before(path, source, streams, start + zero), streams, zero, end):
            begin = time if begin is None else begin
            clock = packet.time_base
            shift = round((begin + zero) / clock)
            packet.stream = tracks[packet.stream.index]
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            try:
                output.mux(packet)
            except MUX_ERRORS as error:
                raise write_failure(working, error) from error
    if begin is None:
        raise SinkError(f"{path.name} has no key frame before {float(end):.2f} s, so nothing can be copied.")
    return begin


def _packets_before(
    path: Path, source: av.container.InputContainer, streams: list[av.VideoStream | av.AudioStream], start: Fraction
) -> Iterator[Packet]:
    """Return the packets from a key frame on that lies at or before ``start``, in seconds of the container's clock."""
    times, index = clock_of_file(path, source, indexed=True)
    if index is not None:
        seek_to(source, index, start)
        return timed_packets(source, streams, times)
    for margin in _SEEK_MARGINS:
        source.seek(max(int((start - margin) * av.time_base), 0))
        key = next((each for each in source.demux(streams[0]) if each.size and each.is_keyframe), None)
        stamp = None if key is None else key.pts if key.pts is not None else key.dts
        if key is not None and stamp is not None and stamp * key.time_base <= start:
            source.seek(max(int((start - margin) * av.time_base), 0))
            return timed_packets(source, streams, None)
    source.seek(0)
    return timed_packets(source, streams, None)


def _from_key_frame(
    packets: Iterator[Packet], streams: list[av.VideoStream | av.AudioStream], zero: Fraction, end: Fraction
) -> Iterator[tuple[Packet, Fraction]]:
    """Yield packets with their times in seconds, from the first key frame on, up to the end. The key frame is first."""
    begin: Fraction | None = None
    early: list[tuple[Packet, Fraction]] = []
    for packet in packets:
        stamp = packet.dts if packet.dts is not None else packet.pts
        if not packet.size or stamp is None:
            continue
        decoded = stamp * packet.time_base - zero
        time = decoded if packet.pts is None else packet.pts * packet.time_base - zero
        is_video = packet.stream.index == streams[0].index
        if begin is None and is_video and packet.is_keyframe:
            begin = time
            yield packet, time
            yield from (each for each in early if each[1] >= time)
        elif begin is None and not is_video:
            early.append((packet, time))
        elif begin is not None and decoded < end and (is_video or time >= begin):
            yield packet, time
        elif is_video and decoded >= end + _INTERLEAVING:
            return
