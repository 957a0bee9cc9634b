"""Interrupt recordings from outside at seeded random times, check the files with FFmpeg, and print a table.

    python -m scripts.reliability.recordings [--only killed,...] [--rounds 50] [--seed 1]

Run it from the checkout's folder. It needs ffmpeg. The scenes with full disks and locked folders need root on Linux,
because they mount a small disk.
"""

import argparse
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from clipseg_live.core.settings.base import CODECS
from clipseg_live.core.settings.recording import SUFFIXES
from clipseg_live.exporters.recovery import recover_interrupted
from scripts.reliability.actor import Actor, settle
from scripts.reliability.judging import Verdict, judge
from tests.helpers.servers import HTTPHandler, Server, jpeg

LOST = 1.0
"""Seconds that may be missing at the end of an interrupted recording."""


@dataclass
class Row:
    """One line of the table.

    Attributes:
        title: Fault.
        tried: Number of attempts.
        good: Number of attempts without problems.
        worst: Largest loss or longest gap, in seconds.
        notes: Problems and results.
    """

    title: str
    tried: int = 0
    good: int = 0
    worst: float = 0.0
    notes: list[str] = field(default_factory=list)

    def count(self, problems: list[str], worst: float = 0.0) -> None:
        self.tried += 1
        self.good += not problems
        self.worst = max(self.worst, worst)
        self.notes += [problem for problem in problems if problem not in self.notes]

    def __str__(self) -> str:
        notes = "; ".join(self.notes[:4]).replace("|", "/") or "–"
        return f"| {self.title} | {self.tried} | {self.good} | {self.worst:.2f} s | {notes} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"comma-separated scenes: {', '.join(SCENES)}")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"seed {options.seed}\n")
    print("| fault | tried | passed | worst | notes |\n|---|--:|--:|--:|---|")
    for name in options.only.split(",") if options.only else SCENES:
        with tempfile.TemporaryDirectory() as folder:
            for row in SCENES[name](Path(folder), options.rounds, random.Random(f"{options.seed} {name}")):
                print(row, flush=True)


def killed(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """Kill the application, with each codec in turn. Every other run has audio; all record two files."""
    clip = clip_with_sound(folder / "clip.mp4")
    row, again = Row("kill -9 of the application"), Row("… recovered at the next start")
    for number in range(rounds):
        codec = CODECS[number % len(CODECS)]
        run_folder = folder / f"killed {number}"
        run_folder.mkdir()
        with_sound = number % 2 == 1
        actor = Actor(
            str(clip) if with_sound else "demo:", run_folder, "--loop", tracks=["composed", "camera"], codec=codec
        )
        actor.wait_recorded(0.1)
        settle(chance.uniform(0.3, 3.0))
        recorded = actor.kill()
        problems, lost, playable = [], 0.0, 0
        names = [f"r.recording{SUFFIXES[codec]}", f"r camera.recording{SUFFIXES[codec]}"]
        if sorted(path.name for path in run_folder.iterdir()) != sorted(names):
            problems.append(f"{codec}: files {[path.name for path in run_folder.iterdir()]}")
        for path in run_folder.iterdir():
            verdict = judge(path)
            lost = max(lost, recorded - verdict.seconds)
            playable += verdict.frames > 0
            if verdict.frames or recorded > LOST:  # a recording that has just started may not be on disk yet
                problems += problems_of(codec, verdict, recorded)
            if with_sound and path.name == names[0] and (verdict.sound_seconds or 0) < recorded - LOST:
                problems.append(f"{codec}: sound to {verdict.sound_seconds} of {recorded:.2f} s")
        row.count(problems, lost)
        for path in run_folder.iterdir():
            os.utime(path, (1, 1))
        recovered = recover_interrupted(run_folder)
        whole = len(recovered) == playable and not any(judge(path).problems for path in recovered)
        again.count([] if whole else [f"{codec}: {recovered}"])
        shutil.rmtree(run_folder)
    yield row
    yield again


def problems_of(title: str, verdict: Verdict, recorded: float) -> list[str]:
    """Return the problems of a verdict, with one for missing seconds."""
    problems = [f"{title}: {problem}" for problem in verdict.problems]
    if verdict.seconds < recorded - LOST:
        problems.append(f"{title}: {verdict.seconds:.2f} of {recorded:.2f} s")
    return problems


def workers(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """Kill the inference worker several times during one recording."""
    row = Row("kill -9 of the worker")
    actor = Actor("demo:", folder)
    actor.wait_recorded(0.1)
    for _ in range(rounds):
        actor.wait(lambda: actor.now["ready"])
        settle(chance.uniform(0.0, 0.6))
        before, victim = actor.now["seconds"], actor.now["worker"]
        try:
            os.kill(victim, 9)
        except ProcessLookupError:
            continue
        actor.wait(lambda: actor.now["worker"] not in (victim, None) or actor.now["seconds"] > before + 1)  # noqa: B023
        row.count([] if actor.process.poll() is None else ["the application ended with its worker"])
    recorded = actor.now["seconds"]
    actor.stop()
    verdict = judge(folder / "r.mp4")
    row.worst = verdict.longest_gap
    row.notes += problems_of("the recording", verdict, recorded)
    row.notes.append(f"one recording of {verdict.seconds:.0f} s, {verdict.frames} frames")
    yield row


def files(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """Limit the size of files, so the encoder fails at a write."""
    row = Row("encoder fails at a write (file size limit)")
    for number in range(max(rounds // 2, 1)):
        codec = CODECS[number % len(CODECS)]
        run_folder = folder / f"limited {number}"
        run_folder.mkdir()
        limit = chance.randrange(60_000, 400_000)
        actor = Actor("demo:", run_folder, "--largest-file", str(limit), "--seconds", "60", codec=codec)
        actor.join(120)
        problems = [f"{codec}: {problem}" for path in run_folder.iterdir() for problem in judge(path).problems]
        if not any("is larger than" in message or "could not be written" in message for message in actor.messages):
            problems.append(f"{codec}: message {actor.messages[-1:]}")
        names = [path.name for path in run_folder.iterdir()]
        if names != [f"r.partial{SUFFIXES[codec]}"] and (names or actor.now["seconds"] > LOST):
            problems.append(f"{codec}: files {names}")
        if actor.left:
            problems.append(f"{codec}: left {actor.left}")
        row.count(problems)
        shutil.rmtree(run_folder)
    yield row


def disks(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """Record to a small disk until it is full, and to one that another program fills at once."""
    slow, sudden = Row("disk fills slowly: warning and stop"), Row("disk filled by another program")
    for number in range(max(rounds // 10, 1)):
        with small_disk(folder / f"disk {number}", 72) as disk:
            actor = Actor("demo:", disk, "--size", "1280x720", "--seconds", "120", codec="ffv1")
            actor.join(200)
            messages = " ".join(actor.messages)
            problems = [problem for path in disk.iterdir() for problem in judge(path).problems]
            if "or recording will stop" not in messages or "nearly full, so recording stopped" not in messages:
                problems.append(f"messages {actor.messages}")
            if [path.name for path in disk.iterdir()] != ["r.mkv"]:
                problems.append(f"files {[path.name for path in disk.iterdir()]}")
            slow.count(problems)
        with small_disk(folder / f"full {number}", 80) as disk:
            actor = Actor("demo:", disk, "--seconds", "60")
            actor.wait_recorded(0.5)
            settle(chance.uniform(0.2, 2.0))
            before = actor.now["seconds"]
            subprocess.run(["dd", "if=/dev/zero", f"of={disk}/filler", "bs=64k"], stderr=subprocess.DEVNULL)
            actor.join(120)
            verdicts = [judge(path) for path in disk.glob("r*")]
            problems = [problem for verdict in verdicts for problem in problems_of("after the fault", verdict, before)]
            if not verdicts or not any("full" in message for message in actor.messages):
                problems.append(f"messages {actor.messages}, files {[path.name for path in disk.iterdir()]}")
            sudden.count(problems)
    yield slow
    yield sudden


def folders(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """Move the folder of a recording away, and lock a folder during a recording."""
    moved, locked = Row("folder moved away"), Row("folder locked")
    for number in range(max(rounds // 10, 1)):
        run_folder = folder / f"there {number}"
        run_folder.mkdir()
        actor = Actor("demo:", run_folder, "--seconds", "60")
        actor.wait_recorded(0.5)
        settle(chance.uniform(0.2, 2.0))
        before = actor.now["seconds"]
        elsewhere = run_folder.rename(folder / f"elsewhere {number}")
        actor.join(120)
        verdicts = [judge(path) for path in elsewhere.iterdir()]
        problems = [problem for verdict in verdicts for problem in problems_of("after the fault", verdict, before)]
        reported = any("was moved or deleted" in each or "Cannot record in" in each for each in actor.messages)
        if len(verdicts) != 1 or actor.left or not reported:
            problems.append(f"messages {actor.messages}, left {actor.left}, {len(verdicts)} files")
        moved.count(problems)
        with small_disk(folder / f"read {number}", 80) as run_folder:
            actor = Actor("demo:", run_folder, "--seconds", "20")
            actor.wait_recorded(0.5)
            settle(chance.uniform(0.2, 2.0))
            before = actor.now["seconds"]
            subprocess.run(["chattr", "+i", str(run_folder)], check=True, capture_output=True)
            actor.stop()
            verdicts = [judge(path) for path in run_folder.iterdir()]
            problems = [problem for verdict in verdicts for problem in problems_of("after the fault", verdict, before)]
            refused = any("could not be renamed" in message for message in actor.messages)
            if len(verdicts) != 1 or not refused or actor.left:
                problems.append(f"messages {actor.messages}, files {[path.name for path in run_folder.iterdir()]}")
            locked.count(problems)
            subprocess.run(["chattr", "-i", str(run_folder)], capture_output=True)
    yield moved
    yield locked


def cameras(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """Disconnect and reconnect a network camera during one recording."""
    row = Row("network camera disconnected")
    with Server(HTTPHandler) as server:
        actor = Actor(f"http://127.0.0.1:{server.port}/live.mjpg", folder)
        actor.wait_recorded(0.2)
        for _ in range(20):
            settle(chance.uniform(0.1, 0.5))
            server.kill()
            actor.wait(lambda: actor.now["source"] == "reconnecting", 30)
            server.start()
            actor.wait(lambda: actor.now["source"] == "running", 30)
            before = actor.now["seconds"]
            actor.wait(lambda: actor.now["seconds"] > before, 30)  # noqa: B023
            row.count([] if actor.process.poll() is None else [f"it ended: {actor.errors[-200:]}"])
        recorded = actor.now["seconds"]
        actor.stop()
    verdict = judge(folder / "r.mp4")
    row.notes += problems_of("the recording", verdict, recorded)
    row.notes.append(f"one recording of {verdict.seconds:.0f} s")
    row.worst = verdict.longest_gap
    yield row


class ChangingHandler(HTTPHandler):
    """A camera that changes its size, rate and pixel format about every second."""

    sent = 0
    """Number of frames sent to all connections."""

    def picture(self, number: int) -> bytes:
        type(self).sent += 1
        turn = self.sent // 60
        type(self).rate = (50.0, 15.0, 90.0)[turn % 3]
        size = ((320, 180), (240, 240), (641, 359))[turn % 3]
        return jpeg(number, size, ("RGB", "L", "CMYK")[turn % 3])


def sources(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """Change the size, rate and pixel format of the source during a recording, with either policy."""
    for policy in ("letterbox", "part"):
        row = Row(f"source changes size, rate and pixel format ({policy})")
        run_folder = folder / policy
        run_folder.mkdir()
        with Server(ChangingHandler) as server:
            actor = Actor(f"http://127.0.0.1:{server.port}/live.mjpg", run_folder, on_change=policy,
                          tracks=["composed", "camera"], data=["jsonl"])  # fmt: skip
            actor.wait_recorded(15)
            recorded = actor.now["seconds"]
            actor.stop()
        verdicts = {path: judge(path) for path in sorted(run_folder.glob("*.mp4"))}
        problems = [f"{path.name}: {problem}" for path, verdict in verdicts.items() for problem in verdict.problems]
        seconds = sum(verdict.seconds for path, verdict in verdicts.items() if "camera" not in path.name)
        if seconds < recorded - LOST or (len(verdicts) == 2) != (policy == "letterbox"):
            problems.append(f"{len(verdicts)} files with {seconds:.1f} of {recorded:.1f} s")
        row.count([*problems, *([f"left {actor.left}"] if actor.left else [])])
        row.worst = max(verdict.longest_gap for verdict in verdicts.values())
        row.notes.append(f"{seconds:.0f} s in {len(verdicts)} files")
        yield row


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a disk in memory. This needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def clip_with_sound(path: Path) -> Path:
    """Write a clip of ten seconds with moving frames and a tone, by ffmpeg."""
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-f", "lavfi", "-i",
         "sine=frequency=440:sample_rate=48000", "-t", "10", "-c:v", "libx264", "-g", "30", "-c:a", "aac", str(path)],
        check=True,
    )  # fmt: skip
    return path


SCENES: dict[str, Callable[[Path, int, random.Random], Iterator[Row]]] = {
    "killed": killed, "workers": workers, "files": files, "disks": disks, "folders": folders, "cameras": cameras,
    "sources": sources,
}  # fmt: skip

if __name__ == "__main__":
    main()
