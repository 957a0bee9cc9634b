"""Transport streams whose clock jumps, made by the ffmpeg command line: a flash and a beep mark every second."""

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np

from clipseg_live.video.files import VideoFileSource
from clipseg_live.video.writer import VideoWriter

MARK = 0.08
"""Length of a flash and of a beep, in seconds."""


def ffmpeg(*arguments: str) -> bytes:
    """Run the ffmpeg program and return what it prints."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments]
    return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout


@cache
def _segment(
    folder: Path, seconds: float, clock: float, size: str, rate: int, bframes: int, sound: tuple[str, ...], lead: float
) -> bytes:
    path = folder / f"part{abs(hash((seconds, clock, size, rate, bframes, sound, lead)))}.ts"
    lit = f"lt(mod(t\\,1)\\,{MARK})"
    picture = f"color=black:s={size}:r=25:d={seconds},drawbox=color=white:t=fill:enable='{lit}'"
    wave = f"aevalsrc='0.5*sin(2*PI*1000*t)*{lit}':s={rate}:d={seconds}"
    if lead > 0:
        picture += f",trim=start={lead}"
    if lead < 0:
        wave += f",atrim=start={-lead}"
    audio = ["-f", "lavfi", "-i", wave] if sound else []
    coded = ["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", str(bframes), "-c:a", *(sound or ["copy"])]
    offset = ["-output_ts_offset", str(clock)] if clock else []
    ffmpeg("-copyts", "-f", "lavfi", "-i", picture, *audio, *coded, *offset, "-f", "mpegts", str(path))
    return path.read_bytes()


def segment(
    folder: Path,
    seconds: float,
    clock: float = 0,
    *,
    size: str = "64x48",
    rate: int = 48000,
    bframes: int = 2,
    sound: Sequence[str] = ("aac",),
    lead: float = 0,
) -> bytes:
    """Return a piece of MPEG-TS. clock: seconds added to its times. lead: seconds by which sound begins earlier."""
    return _segment(folder, seconds, clock, size, rate, bframes, tuple(sound), lead)


def export(source: Path, target: Path, start: Fraction | None = None, end: Fraction | None = None) -> list[str]:
    """Copy frames as an export does; return its notices."""
    reader, writer = VideoFileSource(source, start, end), VideoWriter(target, start=start, end=end)
    writer.open(reader.open())
    while (frame := reader.read()) is not None:
        writer.write(frame)
    writer.finish()
    reader.close()
    return writer.notices


def flashes(path: Path) -> list[float]:
    """Times at which the picture turns white, as the ffmpeg program decodes it."""
    out = ffmpeg(
        "-copyts", "-i", str(path), "-an", "-vf", "signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-",
        "-fps_mode", "passthrough", "-f", "null", "-",
    ).decode()  # fmt: skip
    lines = out.splitlines()
    times = [float(line.partition("pts_time:")[2].split()[0]) for line in lines if "pts_time:" in line]
    bright = [float(line.partition("YAVG=")[2]) > 126 for line in lines if "YAVG=" in line]
    return [time for at, time in enumerate(times) if bright[at] and not (at and bright[at - 1])]


def beeps(path: Path) -> list[float]:
    """Times at which the sound begins, as the ffmpeg program decodes it."""
    out = ffmpeg(
        "-copyts", "-i", str(path), "-vn", "-af", "aresample=8000:async=1:min_hard_comp=0.01:first_pts=0",
        "-ac", "1", "-f", "s16le", "-",
    )  # fmt: skip
    wave = np.abs(np.frombuffer(out, np.int16).astype(int))
    loud = wave[: len(wave) // 40 * 40].reshape(-1, 40).max(axis=1) > 3000  # 5 ms
    found: list[float] = []
    for at in np.flatnonzero(loud):
        if not loud[max(at - 4, 0) : at].any():
            found.append(float(at) * 0.005)
    return found


def duration(path: Path, kind: str) -> tuple[float, float]:
    """Return the first time and the end of a file's video ("v") or audio ("a"), as ffprobe tells them."""
    command = ["ffprobe", "-v", "error", "-select_streams", f"{kind}:0", "-of", "csv=p=0"]
    command += ["-show_entries", "packet=pts_time,duration_time", str(path)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    times = [tuple(0.0 if each in ("N/A", "") else float(each) for each in line.split(",")[:2]) for line in out.split()]
    return min(time for time, _ in times), max(time + length for time, length in times)
