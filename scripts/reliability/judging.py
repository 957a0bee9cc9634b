"""What an independent program, ffmpeg, says of a file: whether it plays from end to end, and what is in it."""

import json
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Verdict:
    """seconds: of the last picture's end, and of the last sound's, from the file's beginning. longest_gap: seconds
    between two pictures. problems: each one sentence; none for a file that is as it should be."""

    path: Path
    frames: int = 0
    seconds: float = 0.0
    sound_seconds: float | None = None
    longest_gap: float = 0.0
    problems: tuple[str, ...] = ()


def judge(path: Path) -> Verdict:
    """Decode everything and look at every timestamp."""
    decoded = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-fps_mode", "passthrough",
         "-enc_time_base", "1:90000", "-f", "null", "-"],
        capture_output=True, text=True,
    )  # fmt: skip
    problems = [line for line in decoded.stderr.splitlines() if line.strip()][:3]
    if decoded.returncode:
        problems.append(f"ffmpeg ended with {decoded.returncode}")
    pictures, sounds = _stamps(path, "v:0"), _stamps(path, "a:0")
    times = sorted(time for time, _ in pictures)
    if not times:
        return Verdict(path, problems=(*problems, "it holds no picture"))
    if times[0] != 0:
        problems.append(f"its first picture is at {float(times[0]):.3f} s")
    if len(set(times)) != len(times):
        problems.append("two pictures have the same time")
    end = max(time + length for time, length in pictures)
    heard = max((time + length for time, length in sounds), default=None)
    gap = max((after - before for before, after in pairwise(times)), default=Fraction(0))
    return Verdict(path, len(times), float(end), None if heard is None else float(heard), float(gap), tuple(problems))


def _stamps(path: Path, stream: str) -> list[tuple[Fraction, Fraction]]:
    """Time and length, in seconds, of every packet."""
    probe = subprocess.run(
        ["ffprobe", "-v", "quiet", "-of", "json", "-select_streams", stream, "-show_entries",
         "packet=pts,duration:stream=time_base", str(path)],
        capture_output=True, text=True,
    )  # fmt: skip
    if probe.returncode:
        return []
    found = json.loads(probe.stdout)
    streams = found.get("streams", [])
    if not streams:
        return []
    base = Fraction(streams[0]["time_base"])
    return [
        (int(packet["pts"]) * base, int(packet.get("duration", 0)) * base)
        for packet in found.get("packets", [])
        if "pts" in packet
    ]
