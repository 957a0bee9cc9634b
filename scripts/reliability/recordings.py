"""Break recordings from outside, at moments that a seed chooses, and let ffmpeg say what is left; prints a table.

    python -m scripts.reliability.recordings [--only killed,...] [--rounds 50] [--seed 1]

Run from the checkout's folder. Needs ffmpeg. Disks that fill and folders that are locked need root on Linux, for they
mount a small disk.
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
"""Seconds that may be missing at the end of what broke off."""


@dataclass
class Row:
    """One line of the table. worst: the most that was lost, or the longest gap, in seconds."""

    what: str
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
        return f"| {self.what} | {self.tried} | {self.good} | {self.worst:.2f} s | {notes} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"of {', '.join(SCENES)}")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"seed {given.seed}\n")
    print("| what happens | tried | as it should be | worst | what else was seen |\n|---|--:|--:|--:|---|")
    for name in given.only.split(",") if given.only else SCENES:
        with tempfile.TemporaryDirectory() as folder:
            for row in SCENES[name](Path(folder), given.rounds, random.Random(f"{given.seed} {name}")):
                print(row, flush=True)


def killed(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """The whole application, by SIGKILL, with each codec in turn; every other one with sound, all with two files."""
    clip = clip_with_sound(folder / "clip.mp4")
    row, again = Row("kill -9 of the application"), Row("… found again at the next start")
    for number in range(rounds):
        codec = CODECS[number % len(CODECS)]
        place = folder / f"killed {number}"
        place.mkdir()
        with_sound = number % 2 == 1
        actor = Actor(str(clip) if with_sound else "demo:", place, "--loop", tracks=["composed", "camera"], codec=codec)
        actor.recorded(0.1)
        settle(chance.uniform(0.3, 3.0))
        recorded = actor.kill()
        problems, lost, playable = [], 0.0, 0
        names = [f"r.recording{SUFFIXES[codec]}", f"r camera.recording{SUFFIXES[codec]}"]
        if sorted(path.name for path in place.iterdir()) != sorted(names):
            problems.append(f"{codec}: found {[path.name for path in place.iterdir()]}")
        for path in place.iterdir():
            verdict = judge(path)
            lost = max(lost, recorded - verdict.seconds)
            playable += verdict.frames > 0
            if verdict.frames or recorded > LOST:  # what was only just begun may not have come to the disk
                problems += in_words(codec, verdict, recorded)
            if with_sound and path.name == names[0] and (verdict.sound_seconds or 0) < recorded - LOST:
                problems.append(f"{codec}: sound to {verdict.sound_seconds} of {recorded:.2f} s")
        row.count(problems, lost)
        for path in place.iterdir():
            os.utime(path, (1, 1))
        found = recover_interrupted(place)
        whole = len(found) == playable and not any(judge(path).problems for path in found)
        again.count([] if whole else [f"{codec}: {found}"])
        shutil.rmtree(place)
    yield row
    yield again


def in_words(what: str, verdict: Verdict, recorded: float) -> list[str]:
    problems = [f"{what}: {problem}" for problem in verdict.problems]
    if verdict.seconds < recorded - LOST:
        problems.append(f"{what}: {verdict.seconds:.2f} of {recorded:.2f} s")
    return problems


def workers(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """The inference worker, by SIGKILL, at so many moments of one recording."""
    row = Row("kill -9 of the worker")
    actor = Actor("demo:", folder)
    actor.recorded(0.1)
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
    row.notes += in_words("the recording", verdict, recorded)
    row.notes.append(f"one recording of {verdict.seconds:.0f} s, {verdict.frames} frames")
    yield row


def files(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """A system that lets a file grow to so many bytes and no further: the encoder fails at that write."""
    row = Row("an encoder that fails at a write (a file may not grow further)")
    for number in range(max(rounds // 2, 1)):
        codec = CODECS[number % len(CODECS)]
        place = folder / f"limited {number}"
        place.mkdir()
        limit = chance.randrange(60_000, 400_000)
        actor = Actor("demo:", place, "--largest-file", str(limit), "--seconds", "60", codec=codec)
        actor.join(120)
        problems = [f"{codec}: {problem}" for path in place.iterdir() for problem in judge(path).problems]
        if not any("is larger than" in message or "could not be written" in message for message in actor.messages):
            problems.append(f"{codec}: it said {actor.messages[-1:]}")
        names = [path.name for path in place.iterdir()]
        if names != [f"r.partial{SUFFIXES[codec]}"] and (names or actor.now["seconds"] > LOST):
            problems.append(f"{codec}: found {names}")
        if actor.left:
            problems.append(f"{codec}: left {actor.left}")
        row.count(problems)
        shutil.rmtree(place)
    yield row


def disks(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """A small disk that the recording fills, and one that something else fills at once."""
    slow, sudden = Row("a disk that fills, warned and stopped"), Row("a disk that something else fills at once")
    for number in range(max(rounds // 10, 1)):
        with small_disk(folder / f"disk {number}", 72) as place:
            actor = Actor("demo:", place, "--size", "1280x720", "--seconds", "120", codec="ffv1")
            actor.join(200)
            said = " ".join(actor.messages)
            problems = [problem for path in place.iterdir() for problem in judge(path).problems]
            if "or recording will stop" not in said or "nearly full, so recording stopped" not in said:
                problems.append(f"it said {actor.messages}")
            if [path.name for path in place.iterdir()] != ["r.mkv"]:
                problems.append(f"found {[path.name for path in place.iterdir()]}")
            slow.count(problems)
        with small_disk(folder / f"full {number}", 80) as place:
            actor = Actor("demo:", place, "--seconds", "60")
            actor.recorded(0.5)
            settle(chance.uniform(0.2, 2.0))
            before = actor.now["seconds"]
            subprocess.run(["dd", "if=/dev/zero", f"of={place}/filler", "bs=64k"], stderr=subprocess.DEVNULL)
            actor.join(120)
            verdicts = [judge(path) for path in place.glob("r*")]
            problems = [problem for verdict in verdicts for problem in in_words("after it", verdict, before)]
            if not verdicts or not any("full" in message for message in actor.messages):
                problems.append(f"it said {actor.messages}, left {[path.name for path in place.iterdir()]}")
            sudden.count(problems)
    yield slow
    yield sudden


def folders(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """A folder that is moved away, and one in which nothing may be made or renamed from some moment on."""
    moved, locked = Row("a folder that vanishes"), Row("a folder that is locked from some moment on")
    for number in range(max(rounds // 10, 1)):
        place = folder / f"there {number}"
        place.mkdir()
        actor = Actor("demo:", place, "--seconds", "60")
        actor.recorded(0.5)
        settle(chance.uniform(0.2, 2.0))
        before = actor.now["seconds"]
        elsewhere = place.rename(folder / f"elsewhere {number}")
        actor.join(120)
        verdicts = [judge(path) for path in elsewhere.iterdir()]
        problems = [problem for verdict in verdicts for problem in in_words("after it", verdict, before)]
        told = any("was moved or deleted" in each or "Cannot record in" in each for each in actor.messages)
        if len(verdicts) != 1 or actor.left or not told:
            problems.append(f"it said {actor.messages}, left {actor.left}, found {len(verdicts)}")
        moved.count(problems)
        with small_disk(folder / f"read {number}", 80) as place:
            actor = Actor("demo:", place, "--seconds", "20")
            actor.recorded(0.5)
            settle(chance.uniform(0.2, 2.0))
            before = actor.now["seconds"]
            subprocess.run(["chattr", "+i", str(place)], check=True, capture_output=True)
            actor.stop()
            verdicts = [judge(path) for path in place.iterdir()]
            problems = [problem for verdict in verdicts for problem in in_words("after it", verdict, before)]
            refused = any("could not be renamed" in message for message in actor.messages)
            if len(verdicts) != 1 or not refused or actor.left:
                problems.append(f"it said {actor.messages}, found {[path.name for path in place.iterdir()]}")
            locked.count(problems)
            subprocess.run(["chattr", "-i", str(place)], capture_output=True)
    yield moved
    yield locked


def cameras(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """A network camera that goes and comes back, in one recording."""
    row = Row("a network camera gone and back")
    with Server(HTTPHandler) as server:
        actor = Actor(f"http://127.0.0.1:{server.port}/live.mjpg", folder)
        actor.recorded(0.2)
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
    row.notes += in_words("the recording", verdict, recorded)
    row.notes.append(f"one recording of {verdict.seconds:.0f} s")
    row.worst = verdict.longest_gap
    yield row


class RestlessHandler(HTTPHandler):
    """A camera that changes its size, rate and kind of pixels every second or so."""

    given = 0
    """Pictures that were sent, whoever asked for them: it does not begin anew with a connection."""

    def picture(self, number: int) -> bytes:
        type(self).given += 1
        turn = self.given // 60
        type(self).rate = (50.0, 15.0, 90.0)[turn % 3]
        size = ((320, 180), (240, 240), (641, 359))[turn % 3]
        return jpeg(number, size, ("RGB", "L", "CMYK")[turn % 3])


def sources(folder: Path, rounds: int, chance: random.Random) -> Iterator[Row]:
    """A source that changes its size, rate and kind of pixels in the middle, by either policy."""
    for policy in ("letterbox", "part"):
        row = Row(f"a source of changing size, rate and pixels ({policy})")
        place = folder / policy
        place.mkdir()
        with Server(RestlessHandler) as server:
            actor = Actor(f"http://127.0.0.1:{server.port}/live.mjpg", place, on_change=policy,
                          tracks=["composed", "camera"], data=["jsonl"])  # fmt: skip
            actor.recorded(15)
            recorded = actor.now["seconds"]
            actor.stop()
        verdicts = {path: judge(path) for path in sorted(place.glob("*.mp4"))}
        problems = [f"{path.name}: {problem}" for path, verdict in verdicts.items() for problem in verdict.problems]
        seconds = sum(verdict.seconds for path, verdict in verdicts.items() if "camera" not in path.name)
        if seconds < recorded - LOST or (len(verdicts) == 2) != (policy == "letterbox"):
            problems.append(f"{len(verdicts)} files with {seconds:.1f} of {recorded:.1f} s")
        row.count([*problems, *([f"left {actor.left}"] if actor.left else [])])
        row.worst = max(verdict.longest_gap for verdict in verdicts.values())
        row.notes.append(f"{seconds:.0f} s in {len(verdicts)} files")
        yield row


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """A disk in memory; needs root."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def clip_with_sound(path: Path) -> Path:
    """Ten seconds of a moving picture with a tone, by ffmpeg."""
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
