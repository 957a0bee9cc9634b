"""Give damaged files to ``clipseg-live export`` and to the live player, check the results, and print a table.

    python scripts/reliability/corrupt_inputs.py [--count 200] [--seed 1] [--keep FOLDER]

Valid files of many kinds are damaged from a seed (``mutations.py``). A separate process reads them, so a crash is
detected and counted. A process without an answer for SECONDS is killed and counted as a hang. Each file must lead to a
result or to an error of one sentence. A result must decode with FFmpeg without an error, and have the number of frames
that the export reports. Without a result there must be no file. Files that fail are copied to the folder of --keep.
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
"""Timeout for one file, on a machine with other load."""
OUTCOMES = ("exported", "kept in part", "refused", "crashed", "hung", "unclear", "not whole", "left a file")
"""Outcomes of an export. The last five are failures.

"unclear": the error is not one sentence. "not whole": the result does not decode.
"""
_FAILURES = OUTCOMES[3:]
_FRAMES_READ = 60
_SEEKS = 4


@dataclass
class Verdict:
    """Outcome of one damaged file.

    Attributes:
        number: Number of the damaged file.
        name: Name of the valid file.
        damage: Kind of damage.
        outcome: One of OUTCOMES for the export.
        live: One of OUTCOMES for the player, or "played" or "refused".
        why: Error message, or a description of the failure.
        megabytes: Peak memory of the process.
    """

    number: int
    name: str
    damage: str
    outcome: str = ""
    live: str = ""
    why: str = ""
    megabytes: int = 0

    @property
    def failed(self) -> bool:
        return self.outcome in _FAILURES or self.live in _FAILURES


@dataclass
class Worker:
    """A process that reads damaged files in turn. It is restarted if it dies."""

    program: Sequence[str] = (sys.executable, str(Path(__file__).resolve()), "--work")
    reports: "queue.Queue[str | None]" = field(default_factory=queue.Queue)
    process: "subprocess.Popen[str] | None" = None

    def ask(self, task: dict[str, Any]) -> dict[str, Any] | str:
        """Return the report of the process, or "crashed" or "hung"."""
        process = self.process or self._start()
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has died since its last report; the listener notices
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
        try:
            report = self.reports.get(timeout=SECONDS)
        except queue.Empty:
            self.stop()
            return "hung"
        if report is None:
            self.stop()
            return f"crashed {process.returncode}"
        result: dict[str, Any] = json.loads(report)
        return result

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
        reports = self.reports = queue.Queue()

        def listen() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                reports.put(line)
            reports.put(None)

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
    """Yield a verdict for each damaged file of a seed."""
    from scripts.reliability.mutations import mutated

    worker = Worker()
    with tempfile.TemporaryDirectory() as name:
        valid = valid_files(Path(name) / "good")
        try:
            for number in range(count):
                folder = Path(name) / str(number)
                folder.mkdir()
                base, damage, data = mutated(valid, seed, number)
                path = folder / base
                path.write_bytes(data)
                verdict = Verdict(number, base, damage)
                _judge(verdict, path, worker, seed)
                if verdict.failed and keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, keep / f"{seed}-{number}-{base}")
                shutil.rmtree(folder)
                yield verdict
        finally:
            worker.stop()


def valid_files(folder: Path) -> list[tuple[str, bytes]]:
    """Return the name and the bytes of small valid files, of common kinds."""
    from PIL import Image

    from tests.helpers.clips import make_clip, numbered_image

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
    images = [Image.fromarray(numbered_image(number, 48, 64)) for number in range(4)]
    images[0].save(folder / "moving.gif", save_all=True, append_images=images[1:], duration=100)
    images[0].save(folder / "still.webp", lossless=True)
    for suffix in ("png", "jpg", "tiff", "bmp"):
        Image.fromarray(numbered_image(3, 47, 63)).save(folder / f"odd.{suffix}")
    return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]


def _judge(verdict: Verdict, path: Path, worker: Worker, seed: int) -> None:
    output = path.with_name("out.mp4")
    keeps = bool(Random(f"{seed}/{verdict.number}/keep").randrange(2))
    task = {"input": str(path), "output": str(output), "keep": keeps, "seed": f"{seed}/{verdict.number}"}
    report = worker.ask(task)
    if isinstance(report, str):
        verdict.outcome = report.split()[0]
        verdict.why = report
        return
    verdict.megabytes = report["megabytes"]
    verdict.live, live_why = report["live"], report["live_error"]
    error = report["error"].strip()
    sentence = error.startswith("clipseg-live: ") and "\n" not in error and "unexpected" not in error.lower()
    partial = path.with_name("out.partial.mp4")
    remaining = {each.name for each in path.parent.iterdir()} - {path.name}
    verdict.why = f"{error} | {live_why}" if live_why else error
    if report["code"] == 0:
        reported = re.search(r"(\d+) frames? in", report["printed"])
        fault = whole(output, int(reported[1]) if reported else -1)
        verdict.outcome = "not whole" if fault else "exported" if remaining == {output.name} else "left a file"
        verdict.why = fault or verdict.why
    elif report["code"] not in (1, 2) or not sentence:
        verdict.outcome = "unclear"
    elif remaining == {partial.name} and keeps:
        fault = whole(partial)
        verdict.outcome, verdict.why = ("not whole", fault) if fault else ("kept in part", verdict.why)
    else:
        verdict.outcome = "left a file" if remaining else "refused"


def whole(path: Path, frames: int | None = None) -> str:
    """Check a result with FFmpeg. Return the problem, or "" if it decodes completely."""
    if not path.is_file():
        return f"{path.name} does not exist"
    decoded = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v:0", "-map", "0:a?",
         "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-f", "framemd5", "-"],
        capture_output=True, text=True,
    )  # fmt: skip
    if decoded.returncode or decoded.stderr.strip():
        return f"{path.name} does not decode: {decoded.stderr.strip()[:300]}"
    counted = sum(line.startswith("0,") for line in decoded.stdout.splitlines())
    if frames not in (None, counted):
        return f"{path.name} has {counted} frames, not {frames}"
    return ""


def work() -> None:
    """Run as the separate process: export and play each file whose task is on standard input."""
    import functools
    import resource

    from clipseg_live.cli.main import run
    from clipseg_live.model.segmenter import Segmenter

    reports = os.fdopen(os.dup(1), "w")
    load = Segmenter.load
    # loading the model again for each file would take most of the time
    Segmenter.load = staticmethod(functools.lru_cache(maxsize=2)(lambda *_, **options: load("shapes", **options)))  # type: ignore[method-assign, assignment]
    for line in sys.stdin:
        task = json.loads(line)
        errors, printed = io.StringIO(), io.StringIO()
        options = [
            "-p",
            "red circle",
            "--model",
            "shapes",
            "--size",
            "64",
            *(["--keep-partial"] if task["keep"] else []),
        ]
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(printed):
            code = run(["export", task["input"], "-o", task["output"], *options])
            live, live_error = play(Path(task["input"]), Random(task["seed"]))
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        report = {
            "code": code, "error": errors.getvalue() if code else "", "printed": printed.getvalue(), "live": live,
            "live_error": live_error, "megabytes": megabytes,
        }  # fmt: skip
        reports.write(json.dumps(report) + "\n")
        reports.flush()


def play(path: Path, random: Random) -> tuple[str, str]:
    """Read a file like the window, with seeks."""
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
        return ("refused", str(error)) if "\n" not in str(error) else ("unclear", str(error))
    except BaseException as error:
        return "unclear", f"{type(error).__name__}: {error}"
    return "played", ""


def show(verdicts: Sequence[Verdict], seed: int, seconds: float) -> None:
    """Print the table, and every failure with its number."""
    failures = [verdict for verdict in verdicts if verdict.failed]
    largest = max((verdict.megabytes for verdict in verdicts), default=0)
    print(f"{len(verdicts)} damaged files, seed {seed}, {seconds:.0f} s, {largest} MB: {len(failures)} failures.\n")
    print(f"| file | damaged | {' | '.join(OUTCOMES)} | played | player refused |\n|---|{'--:|' * (len(OUTCOMES) + 3)}")
    names = sorted({verdict.name for verdict in verdicts})
    for name in [*names, "all"]:
        rows = [verdict for verdict in verdicts if name in (verdict.name, "all")]
        outcomes, live = Counter(each.outcome for each in rows), Counter(each.live for each in rows)
        cells = [len(rows), *(outcomes[outcome] for outcome in OUTCOMES), live["played"], live["refused"]]
        print(f"| {name} | {' | '.join(str(cell) for cell in cells)} |")
    for verdict in failures:
        print(f"\nnumber {verdict.number}, {verdict.name} ({verdict.damage}): {verdict.outcome}, {verdict.live}: "
              f"{verdict.why}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
