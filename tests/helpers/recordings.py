"""Clips with a click at each flash, and checks of recordings by independent programs."""

import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

from clipseg_live.core.frame import Frame, SourceInfo
from tests.helpers.rendered import rendered

RATE = 48_000
CLOCK = Fraction(1, 90_000)
FLASHES = (Fraction(1, 2), Fraction(13, 10), Fraction(2), Fraction(3))
SECONDS = 4


def flashing(number: int, rate: int = 30) -> bool:
    return any(int(flash * rate) == number for flash in FLASHES)


def frame_index_at(time: Fraction | None) -> np.ndarray:
    lit = time is not None and flashing(int(time * 30))
    return np.full((48, 64, 3), 250 if lit else 20, np.uint8)


def clicking_clip(path: Path, sound: str) -> Path:
    """Return a clip of four seconds with a bright frame and a click of 10 ms at each of ``FLASHES``."""
    path.write_bytes(_clicking_clip(path.suffix, sound))
    return path


@cache
def _clicking_clip(suffix: str, sound: str) -> bytes:
    wave = np.zeros(RATE * SECONDS, np.int16)
    tone = (20_000 * np.sign(np.sin(np.arange(480) * 2 * np.pi * 1000 / RATE))).astype(np.int16)
    for flash in FLASHES:
        wave[int(flash * RATE) : int(flash * RATE) + 480] = tone
    with tempfile.TemporaryDirectory() as folder, av.open(f"{folder}/clip{suffix}", "w") as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        track = container.add_stream(sound, rate=RATE)
        track.layout = "stereo"
        for number in range(30 * SECONDS):
            frame = av.VideoFrame.from_ndarray(frame_index_at(Fraction(number, 30)), "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(video.encode(frame))
        audio = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
        audio.sample_rate, audio.pts = RATE, 0
        container.mux(track.encode(audio))
        container.mux(track.encode(None))
        container.mux(video.encode(None))
        container.close()
        return Path(container.name).read_bytes()


def source(**fields: object) -> SourceInfo:
    return SourceInfo(**({"name": "x", "width": 64, "height": 48, "rate": Fraction(30), "time_base": CLOCK} | fields))


def played_frames(*runs: tuple[int, Fraction | None]) -> list[tuple[Frame, Fraction | None]]:
    """Yield frames of a recording.

    Each run plays a number of frames of the clip from a start time. None is a gap in the audio.
    """
    made: list[tuple[Frame, Fraction | None]] = []
    for count, start in runs:
        for step in range(count):
            source_time = None if start is None else start + Fraction(step, 30)
            number = len(made)
            made.append(
                (Frame(frame_index_at(source_time), number, Fraction(number, 30), Fraction(1, 30)), source_time)
            )
    return made


def flashes_in(path: Path) -> list[float]:
    times, before = [], False
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            lit = frame.to_ndarray(format="gray").mean() > 120
            if lit and not before:
                times.append(float(frame.pts * frame.time_base))
            before = lit
    return times


def clicks_in(path: Path) -> list[float]:
    """Return the times of clicks, by PyAV and the time of each frame."""
    times, loud = [], []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", RATE)
        for frame in container.decode(audio=0):
            begin = float(frame.pts * frame.time_base)
            for part in resampler.resample(frame):
                samples = np.abs(part.to_ndarray()[0])
                times.append(begin + np.arange(len(samples)) / RATE)
                loud.append(samples)
    return _clicks(np.concatenate(loud), np.concatenate(times))


def clicks_by_ffmpeg(path: Path) -> list[float]:
    """Return the times of clicks in the output of FFmpeg, with the times of the container."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:a:0", "-af", "aresample=async=1:first_pts=0",
               "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert not done.stderr, done.stderr.decode()
    samples = np.abs(np.frombuffer(done.stdout, np.float32))
    return _clicks(samples, np.arange(len(samples)) / RATE)


def _clicks(samples: np.ndarray, times: np.ndarray) -> list[float]:
    clicks: list[float] = []
    last = -1.0
    for time in times[samples > 0.2]:
        if time > last + 0.1:
            clicks.append(float(time))
        last = float(time)
    return clicks


def probe(path: Path, *entries: str) -> list[str]:
    """Return the lines of ffprobe's output. Fail if it reports an error."""
    command = ["ffprobe", "-v", "error", *entries, "-of", "csv=p=0", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert not done.stderr, done.stderr
    return [line.strip(",") for line in done.stdout.split()]


def times_by_ffprobe(path: Path) -> dict[str, list[float]]:
    """Return the times of the packets by the type of their stream: "video" or "audio"."""
    times: dict[str, list[float]] = defaultdict(list)
    for line in probe(path, "-show_entries", "packet=codec_type,pts_time"):
        kind, time = line.split(",")[:2]
        times[kind].append(float(time))
    return times


def frames_by_ffmpeg(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Return all frames that FFmpeg decodes: uint8 (count, height, width, 3)."""
    (frames,) = decode_all_by_ffmpeg([(path, ())], size)
    return frames


def decode_all_by_ffmpeg(inputs: Sequence[tuple[Path, Sequence[str]]], size: tuple[int, int]) -> list[np.ndarray]:
    """Decode several files, each with its own options, with one run of FFmpeg. Fail if it reports an error."""
    command = ["ffmpeg", "-v", "error"]
    with tempfile.TemporaryDirectory() as folder:
        raws = [Path(folder) / str(number) for number in range(len(inputs))]
        for path, options in inputs:
            command += [*options, "-i", str(path)]
        for number, raw in enumerate(raws):
            command += ["-map", f"{number}:v", "-fps_mode", "passthrough", "-enc_time_base", "1:90000"]
            command += ["-f", "rawvideo", "-pix_fmt", "rgb24", str(raw)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        assert not done.stderr, done.stderr.decode()
        return [np.fromfile(raw, np.uint8).reshape(-1, *size, 3) for raw in raws]


def write(writer: object, info: SourceInfo, frames: Sequence[tuple[Frame, Fraction | None]]) -> None:
    writer.open(info)
    for frame, source_time in frames:
        writer.write(rendered(frame, source_time=source_time))
    writer.finish()
