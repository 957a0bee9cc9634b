"""Transport streams with clock discontinuities, made by the ffmpeg command line. Each second has a flash and a beep."""

import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from clipseg_live.media.sources.video_file import VideoFileSource
from clipseg_live.media.writers.video import VideoWriter
from tests.helpers.rendered import rendered

MARK = 0.08
"""Duration of a flash and of a beep, in seconds."""


def ffmpeg(*arguments: str) -> bytes:
    """Run the ffmpeg program and return what it prints."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments]
    return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout


class Segment(NamedTuple):
    """A segment of MPEG-TS.

    Attributes:
        clock: Seconds added to its times.
        lead: Seconds by which audio starts earlier.
    """

    seconds: float
    clock: float = 0
    size: str = "64x48"
    rate: int = 48000
    bframes: int = 2
    sound: tuple[str, ...] = ("aac",)
    lead: float = 0


def encoded(folder: Path, segments: Sequence[Segment]) -> dict[Segment, bytes]:
    """Encode all segments with one run of ffmpeg. Starting ffmpeg takes longer than encoding a segment."""
    inputs: list[str] = []
    outputs: list[str] = []
    count = 0
    for number, (seconds, clock, size, rate, bframes, sound, lead) in enumerate(segments):
        lit = f"lt(mod(t\\,1)\\,{MARK})"
        light = f"color=black:s={size}:r=25:d={seconds},drawbox=color=white:t=fill:enable='{lit}'"
        wave = f"aevalsrc='0.5*sin(2*PI*1000*t)*{lit}':s={rate}:d={seconds}"
        if lead > 0:
            light += f",trim=start={lead}"
        if lead < 0:
            wave += f",atrim=start={-lead}"
        for graph in [light, wave] if sound else [light]:
            inputs += ["-f", "lavfi", "-i", graph]
            outputs += ["-map", str(count)]
            count += 1
        outputs += ["-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-g", "25", "-bf", str(bframes)]
        outputs += ["-c:a", *sound] if sound else []
        outputs += ["-output_ts_offset", str(clock)] if clock else []
        outputs += ["-f", "mpegts", str(folder / f"part{number}.ts")]
    ffmpeg("-copyts", *inputs, *outputs)
    return {segment: (folder / f"part{number}.ts").read_bytes() for number, segment in enumerate(segments)}


def export(source: Path, target: Path, start: Fraction | None = None, end: Fraction | None = None) -> list[str]:
    """Copy frames like an export. Return the notices."""
    (notices,) = export_all(source, [target], start, end)
    return notices


def export_all(
    source: Path, targets: Sequence[Path], start: Fraction | None = None, end: Fraction | None = None, *, every: int = 1
) -> list[list[str]]:
    """Read a source once, and copy its frames to all targets like one export to each. Return the notices.

    Args:
        source: Source file.
        targets: Output files.
        start: First time of the copy.
        end: End of the copy.
        every: Keep every n-th row and column of a frame, for tests of times and audio only.
    """
    reader = VideoFileSource(source, start, end)
    writers = [VideoWriter(target, start=start, end=end) for target in targets]
    info = reader.open()
    info = replace(info, width=-(-info.width // every), height=-(-info.height // every))
    for writer in writers:
        writer.open(info)
    while (frame := reader.read()) is not None:
        if every > 1:
            frame = replace(frame, pixels=np.ascontiguousarray(frame.pixels[::every, ::every]))
        for writer in writers:
            writer.write(rendered(frame))
    for writer in writers:
        writer.finish()
    reader.close()
    return [writer.notices for writer in writers]


_LIGHT = "signalstats,metadata=print:key=lavfi.signalstats.YAVG:file="
_DECODED = ("-fps_mode", "passthrough", "-f", "null", "-")


class VideoTimes(NamedTuple):
    """Times of all frames, and of those that turn white."""

    times: list[float]
    flashes: list[float]


def video_times(paths: Sequence[Path]) -> list[VideoTimes]:
    """Decode the frames of all files with one run of ffmpeg."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [Path(folder) / str(number) for number in range(len(paths))]
        inputs = [part for path in paths for part in ("-i", str(path))]
        outputs = [
            part
            for number, path in enumerate(lines)
            for part in ("-map", f"{number}:v", "-vf", f"{_LIGHT}{path}", *_DECODED)
        ]
        ffmpeg("-copyts", *inputs, *outputs)
        return [_parse_frames(path.read_text()) for path in lines]


def playback_times(paths: Sequence[Path]) -> list[tuple[VideoTimes, list[float]]]:
    """Return the video times of each file and the times at which its beeps start, with one run of ffmpeg."""
    with tempfile.TemporaryDirectory() as folder:
        lights = [Path(folder) / f"{number}.txt" for number in range(len(paths))]
        waves = [Path(folder) / f"{number}.pcm" for number in range(len(paths))]
        inputs = [part for path in paths for part in ("-i", str(path))]
        outputs: list[str] = []
        for number, (light, wave) in enumerate(zip(lights, waves, strict=True)):
            outputs += ["-map", f"{number}:v", "-vf", f"{_LIGHT}{light}", *_DECODED, "-map", f"{number}:a", "-af"]
            outputs += ["aresample=8000:async=1:min_hard_comp=0.01:first_pts=0", "-ac", "1", "-f", "s16le", str(wave)]
        ffmpeg("-copyts", *inputs, *outputs)
        return [
            (_parse_frames(light.read_text()), _beep_starts(wave)) for light, wave in zip(lights, waves, strict=True)
        ]


def _beep_starts(path: Path) -> list[float]:
    wave = np.abs(np.fromfile(path, np.int16).astype(int))
    loud = wave[: len(wave) // 40 * 40].reshape(-1, 40).max(axis=1) > 3000  # 5 ms
    return [float(at) * 0.005 for at in np.flatnonzero(loud) if not loud[max(at - 4, 0) : at].any()]


def _parse_frames(printed: str) -> VideoTimes:
    lines = printed.splitlines()
    times = [float(line.partition("pts_time:")[2].split()[0]) for line in lines if "pts_time:" in line]
    bright = [float(line.partition("YAVG=")[2]) > 126 for line in lines if "YAVG=" in line]
    return VideoTimes(times, [time for at, time in enumerate(times) if bright[at] and not (at and bright[at - 1])])


def durations(path: Path) -> dict[str, tuple[float, float]]:
    """Return the first time and the end of the packets of "video" and "audio"."""
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                begin = float((packet.pts or 0) * packet.time_base)
                times[packet.stream.type].append((begin, begin + float((packet.duration or 0) * packet.time_base)))
    return {kind: (min(begin for begin, _ in each), max(end for _, end in each)) for kind, each in times.items()}
