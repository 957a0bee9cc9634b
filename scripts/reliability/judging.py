"""Checks of a media file by FFmpeg, an independent program: whether it decodes completely, and its contents."""

import json
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of the check of one file.

    Attributes:
        path: The file.
        frames: Number of frames.
        seconds: End of the last frame, from the start of the file.
        sound_seconds: End of the audio; None if there is none.
        longest_gap: Longest time between two frames, in seconds.
        problems: One sentence each; empty for a valid file.
    """

    path: Path
    frames: int = 0
    seconds: float = 0.0
    sound_seconds: float | None = None
    longest_gap: float = 0.0
    problems: tuple[str, ...] = ()


def judge(path: Path) -> Verdict:
    """Decode the file completely, and check every timestamp."""
    decoded = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-fps_mode", "passthrough",
         "-enc_time_base", "1:90000", "-f", "null", "-"],
        capture_output=True, text=True,
    )  # fmt: skip
    problems = [line for line in decoded.stderr.splitlines() if line.strip()][:3]
    if decoded.returncode:
        problems.append(f"ffmpeg ended with {decoded.returncode}")
    frames, sounds = _stamps(path, "v:0"), _stamps(path, "a:0")
    times = sorted(time for time, _ in frames)
    if not times:
        return Verdict(path, problems=(*problems, "it has no frames"))
    if times[0] != 0:
        problems.append(f"its first frame is at {float(times[0]):.3f} s")
    if len(set(times)) != len(times):
        problems.append("two frames have the same time")
    end = max(time + length for time, length in frames)
    sound_end = max((time + length for time, length in sounds), default=None)
    gap = max((after - before for before, after in pairwise(times)), default=Fraction(0))
    return Verdict(
        path, len(times), float(end), None if sound_end is None else float(sound_end), float(gap), tuple(problems)
    )


def _stamps(path: Path, stream: str) -> list[tuple[Fraction, Fraction]]:
    """Return the time and the duration of every packet, in seconds."""
    probe = subprocess.run(
        ["ffprobe", "-v", "quiet", "-of", "json", "-select_streams", stream, "-show_entries",
         "packet=pts,duration:stream=time_base", str(path)],
        capture_output=True, text=True,
    )  # fmt: skip
    if probe.returncode:
        return []
    entries = json.loads(probe.stdout)
    streams = entries.get("streams", [])
    if not streams:
        return []
    base = Fraction(streams[0]["time_base"])
    return [
        (int(packet["pts"]) * base, int(packet.get("duration", 0)) * base)
        for packet in entries.get("packets", [])
        if "pts" in packet
    ]
