"""Give ``clipseg-live export`` and the live player damaged files, and judge what they make of them; print a table.

    python scripts/reliability/corrupt_inputs.py [--count 200] [--seed 1] [--keep FOLDER]

Good files of many kinds are damaged by seed (``mutations.py``). A process of its own reads them, so that a crash is
seen and counted; one that says nothing for SECONDS is ended and counted as a hang. Each file must end in one sentence
or in a result. A result must decode without an error by FFmpeg's own program, and have as many frames as were told;
without a result there must be no file. What fails is kept in the folder that --keep names.
"""

import argparse
import contextlib
import io
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

SECONDS = 120.0
"""For one file, on a machine that has other things to do."""
OUTCOMES = ("exported", "kept in part", "refused", "crashed", "hung", "unsaid", "not whole", "left a file")
"""The last five are failures. unsaid: something else than one sentence. not whole: a result that does not decode."""
_FAILURES = OUTCOMES[3:]
_FRAMES_READ = 60
_SEEKS = 4


@dataclass
class Verdict:
    """number: of the damaged file. outcome: one of OUTCOMES for the export. live: likewise for the player, "played" or
    "refused". why: what was said, or what is wrong."""

    number: int
    name: str
    what: str
    outcome: str = ""
    live: str = ""
    why: str = ""
    megabytes: int = 0

    @property
    def failed(self) -> bool:
        return self.outcome in _FAILURES or self.live in _FAILURES


@dataclass
class Worker:
    """A process that reads damaged files, one after the other, and is started again when it has died."""

    program: Sequence[str] = (sys.executable, str(Path(__file__).resolve()), "--work")
    answers: "queue.Queue[str | None]" = field(default_factory=queue.Queue)
    process: "subprocess.Popen[str] | None" = None

    def ask(self, task: dict[str, Any]) -> dict[str, Any] | str:
        """What the process found, or "crashed" or "hung"."""
        process = self.process or self._start()
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has died since its last answer, which the listener tells
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
        try:
            answer = self.answers.get(timeout=SECONDS)
        except queue.Empty:
            self.stop()
            return "hung"
        if answer is None:
            self.stop()
            return f"crashed {process.returncode}"
        found: dict[str, Any] = json.loads(answer)
        return found

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            self.listener.join()
            with contextlib.suppress(OSError):  # as above
                process.communicate()

    def _start(self) -> "subprocess.Popen[str]":
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        process = self.process = subprocess.Popen(
            self.program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        answers = self.answers = queue.Queue()

        def listen() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                answers.put(line)
            answers.put(None)

        self.listener = threading.Thread(target=listen, daemon=True)
        self.listener.start()
        return process


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.work:
        work()
        return 0
    began = time.monotonic()
    verdicts = list(judge_all(options.count, options.seed, options.keep))
    show(verdicts, options.seed, time.monotonic() - began)
    return int(any(verdict.failed for verdict in verdicts))


def judge_all(count: int, seed: int, keep: Path | None = None) -> Iterator[Verdict]:
    """A verdict for each damaged file of a seed."""
    from scripts.reliability.mutations import mutated

    worker = Worker()
    with tempfile.TemporaryDirectory() as name:
        good = good_files(Path(name) / "good")
        try:
            for number in range(count):
                folder = Path(name) / str(number)
                folder.mkdir()
                base, what, data = mutated(good, seed, number)
                path = folder / base
                path.write_bytes(data)
                verdict = Verdict(number, base, what)
                _judge(verdict, path, worker, seed)
                if verdict.failed and keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, keep / f"{seed}-{number}-{base}")
                shutil.rmtree(folder)
                yield verdict
        finally:
            worker.stop()


def good_files(folder: Path) -> list[tuple[str, bytes]]:
    """Name and bytes of small whole files, of the kinds that people have."""
    from PIL import Image

    from tests.helpers.clips import make_clip, picture

    folder.mkdir(parents=True)
    clip: dict[str, Any] = {"count": 8, "size": (48, 64), "options": {"g": "4"}}
    make_clip(folder / "sound.mp4", sound=("aac",), **clip)
    make_clip(folder / "turned.mov", rotation=(90, False, False), **clip)
    make_clip(folder / "reordered.mp4", **{**clip, "options": {"g": "4", "bf": "2"}})
    make_clip(folder / "sound.mkv", sound=("libopus",), **clip)
    make_clip(folder / "film.webm", codec="libvpx-vp9", sound=("libopus",), **clip)
    make_clip(folder / "old.avi", codec="mjpeg", pixel_format="yuvj420p", **clip)
    make_clip(folder / "broadcast.ts", sound=("mp2",), **clip)
    make_clip(folder / "lossless.mkv", codec="ffv1", **clip)
    pictures = [Image.fromarray(picture(number, 48, 64)) for number in range(4)]
    pictures[0].save(folder / "moving.gif", save_all=True, append_images=pictures[1:], duration=100)
    pictures[0].save(folder / "still.webp", lossless=True)
    for suffix in ("png", "jpg", "tiff", "bmp"):
        Image.fromarray(picture(3, 47, 63)).save(folder / f"odd.{suffix}")
    return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]


def _judge(verdict: Verdict, path: Path, worker: Worker, seed: int) -> None:
    output = path.with_name("out.mp4")
    keeps = bool(Random(f"{seed}/{verdict.number}/keep").randrange(2))
    task = {"input": str(path), "output": str(output), "keep": keeps, "seed": f"{seed}/{verdict.number}"}
    answer = worker.ask(task)
    if isinstance(answer, str):
        verdict.outcome = answer.split()[0]
        verdict.why = answer
        return
    verdict.megabytes = answer["megabytes"]
    verdict.live, live_why = answer["live"], answer["live_said"]
    said = answer["said"].strip()
    sentence = said.startswith("clipseg-live: ") and "\n" not in said and "unexpected" not in said.lower()
    kept = path.with_name("out.partial.mp4")
    rest = {each.name for each in path.parent.iterdir()} - {path.name}
    verdict.why = f"{said} | {live_why}" if live_why else said
    if answer["code"] == 0:
        told = re.search(r"(\d+) frames? in", answer["printed"])
        fault = whole(output, int(told[1]) if told else -1)
        verdict.outcome = "not whole" if fault else "exported" if rest == {output.name} else "left a file"
        verdict.why = fault or verdict.why
    elif answer["code"] not in (1, 2) or not sentence:
        verdict.outcome = "unsaid"
    elif rest == {kept.name} and keeps:
        fault = whole(kept)
        verdict.outcome, verdict.why = ("not whole", fault) if fault else ("kept in part", verdict.why)
    else:
        verdict.outcome = "left a file" if rest else "refused"


def whole(path: Path, frames: int | None = None) -> str:
    """What is wrong with a result, by FFmpeg's own programs; nothing where it decodes from end to end."""
    if not path.is_file():
        return f"there is no {path.name}"
    decoded = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v:0", "-map", "0:a?",
         "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-f", "framemd5", "-"],
        capture_output=True, text=True,
    )  # fmt: skip
    if decoded.returncode or decoded.stderr.strip():
        return f"{path.name} does not decode: {decoded.stderr.strip()[:300]}"
    counted = sum(line.startswith("0,") for line in decoded.stdout.splitlines())
    if frames not in (None, counted):
        return f"{path.name} holds {counted} frames, not {frames}"
    return ""


def work() -> None:
    """What the process does: export each file that it is told of, and play it."""
    import functools
    import resource

    from clipseg_live.cli.main import run
    from clipseg_live.model.segmenter import Segmenter

    answers = os.fdopen(os.dup(1), "w")
    load = Segmenter.load
    # a model that is loaded anew for each file would take most of the time
    Segmenter.load = staticmethod(functools.lru_cache(maxsize=2)(lambda *_, **options: load("shapes", **options)))  # type: ignore[method-assign, assignment]
    for line in sys.stdin:
        task = json.loads(line)
        said, printed = io.StringIO(), io.StringIO()
        options = [
            "-p",
            "red circle",
            "--model",
            "shapes",
            "--size",
            "64",
            *(["--keep-partial"] if task["keep"] else []),
        ]
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed):
            code = run(["export", task["input"], "-o", task["output"], *options])
            live, live_said = play(Path(task["input"]), Random(task["seed"]))
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        answer = {
            "code": code, "said": said.getvalue() if code else "", "printed": printed.getvalue(), "live": live,
            "live_said": live_said, "megabytes": megabytes,
        }  # fmt: skip
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def play(path: Path, random: Random) -> tuple[str, str]:
    """Read a file as the window does, going here and there."""
    from clipseg_live.core.errors import ClipsegLiveError
    from clipseg_live.core.settings.live import SourceSpec
    from clipseg_live.media.sources.live_sources import open_live

    try:
        source = open_live(SourceSpec(name=str(path)))
        try:
            source.open()
            for _ in range(_SEEKS):
                for _ in range(random.randrange(_FRAMES_READ)):
                    if source.read() is None:
                        break
                source.seek(Fraction(random.randrange(-100, 1500), 1000))
        finally:
            source.close()
    except ClipsegLiveError as error:
        return ("refused", str(error)) if "\n" not in str(error) else ("unsaid", str(error))
    except BaseException as error:
        return "unsaid", f"{type(error).__name__}: {error}"
    return "played", ""


def show(verdicts: Sequence[Verdict], seed: int, seconds: float) -> None:
    """Print the table, and every failure with its number."""
    failures = [verdict for verdict in verdicts if verdict.failed]
    largest = max((verdict.megabytes for verdict in verdicts), default=0)
    print(f"{len(verdicts)} damaged files, seed {seed}, {seconds:.0f} s, {largest} MB: {len(failures)} failures.\n")
    print(f"| file | damaged | {' | '.join(OUTCOMES)} | played | player refused |\n|---|{'--:|' * (len(OUTCOMES) + 3)}")
    names = sorted({verdict.name for verdict in verdicts})
    for name in [*names, "all"]:
        mine = [verdict for verdict in verdicts if name in (verdict.name, "all")]
        found, live = Counter(each.outcome for each in mine), Counter(each.live for each in mine)
        cells = [len(mine), *(found[outcome] for outcome in OUTCOMES), live["played"], live["refused"]]
        print(f"| {name} | {' | '.join(str(cell) for cell in cells)} |")
    for verdict in failures:
        print(f"\nnumber {verdict.number}, {verdict.name} ({verdict.what}): {verdict.outcome}, {verdict.live}: "
              f"{verdict.why}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
