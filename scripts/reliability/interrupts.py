"""Send signals to starting programs at random delays and check how they end; print a table.

    python scripts/reliability/interrupts.py [--count 60] [--seed 1] [--most 4.0] [--display offscreen]
        [--signals SIGINT,SIGTERM] [--commands window,watch,record,camera,export,models,doctor]

Each run starts a command in its own process group and settings folder, waits for a random delay of up to ``--most``
seconds, sends the signal, and waits for the end. A run is good if the process ends within SECONDS, by itself (not by a
crash), with an exit code that the command documents, without a traceback, and without leaving processes or folders.
``--display xvfb`` runs the window on a virtual X server.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SECONDS = 30.0
"""Longest time from the signal to the end of the process."""
BEFORE_PYTHON = 0.4
"""Delay up to which the signal may end the interpreter itself, which has no handlers yet."""
STOPPED, FINISHED = 1, 0
COMMANDS: dict[str, tuple[tuple[str, ...], frozenset[int]]] = {
    "window": (("live", "--demo"), frozenset({STOPPED, FINISHED})),
    "watch": (("watch", "demo:", "-p", "red circle"), frozenset({STOPPED})),
    "record": (("record", "demo:", "-p", "red circle"), frozenset({STOPPED, FINISHED})),
    "camera": (("camera", "demo:", "-p", "red circle"), frozenset({STOPPED, FINISHED})),
    "export": (("export", "demo:", "-p", "red circle", "--to", "3600", "-o", "out.mkv"), frozenset({STOPPED})),
    "models": (("models",), frozenset({STOPPED, FINISHED})),
    "doctor": (("doctor",), frozenset({STOPPED, FINISHED})),
}
"""Arguments of each command, and the exit codes that a signal may lead to: a recording is finished with code 0."""


@dataclass(frozen=True, slots=True)
class Run:
    """One interrupted process.

    Attributes:
        command: Name of the command.
        number: Signal.
        delay: Time from the start to the signal, in seconds.
        code: Exit code; None if the process did not end.
        took: Time from the signal to the end, in seconds.
        problem: Description of the failure, or "".
        errors: Standard error.
    """

    command: str
    number: signal.Signals
    delay: float
    code: int | None
    took: float
    problem: str
    errors: str


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="runs of each command with each signal")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=float, default=4.0, help="longest delay in seconds")
    parser.add_argument("--display", choices=["offscreen", "xvfb"], default="offscreen")
    parser.add_argument("--signals", default="SIGINT,SIGTERM")
    parser.add_argument("--commands", default="window")
    options = parser.parse_args(arguments)
    numbers = [signal.Signals[name] for name in options.signals.split(",")]
    names = options.commands.split(",")
    chance = random.Random(options.seed)
    with display(options.display) as variables:
        runs = [
            interrupt(name, number, chance.uniform(0.0, options.most), variables)
            for _ in range(options.count)
            for name in names
            for number in numbers
        ]
    print_table(runs)
    return int(any(run.problem for run in runs))


def print_table(runs: Sequence[Run]) -> None:
    """Print a row for each command and signal, then every failed run."""
    print("| command | signal | runs | passed | exit codes | longest end |\n|---|---|--:|--:|---|--:|")
    for name, number in dict.fromkeys((run.command, run.number) for run in runs):
        selected = [run for run in runs if (run.command, run.number) == (name, number)]
        good = sum(not run.problem for run in selected)
        codes = Counter("none" if run.code is None else str(run.code) for run in selected)
        counts = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
        longest = max(run.took for run in selected)
        print(f"| {name} | {number.name} | {len(selected)} | {good} | {counts} | {longest:.1f} s |")
    for run in runs:
        if run.problem:
            print(f"\n{run.command}, {run.number.name} after {run.delay:.3f} s: {run.problem}\n{run.errors[-2000:]}")


@contextmanager
def display(kind: str) -> Iterator[dict[str, str]]:
    """Provide the environment variables of a display to open windows on."""
    if kind == "offscreen":
        yield {"QT_QPA_PLATFORM": "offscreen"}
        return
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24", "-nolisten", "tcp"],
        pass_fds=[write], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    try:
        with os.fdopen(read) as lines:
            number = lines.readline().strip()
        if not number:
            raise SystemExit("Xvfb did not start.")
        yield {"DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb"}
    finally:
        server.terminate()
        server.wait()


def interrupt(name: str, number: signal.Signals, delay: float, variables: dict[str, str]) -> Run:
    """Start a command, send it a signal after ``delay`` seconds, and check its end."""
    given, codes = COMMANDS[name]
    folder = Path(tempfile.mkdtemp(prefix="interrupts-"))
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = {
        **os.environ, **variables, "CLIPSEG_LIVE_CONFIG": str(folder / "settings"), "HF_HUB_OFFLINE": "1",
        "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "clipseg_live", *given], cwd=folder, env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=_default_signals,
    )  # fmt: skip
    try:
        time.sleep(delay)
        sent = time.monotonic()
        process.send_signal(number)
        try:
            _, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            problem, errors = f"ignored for {SECONDS:g} s", ""
        else:
            problem = _problem(process.returncode, errors, codes, delay)
        took = time.monotonic() - sent
        left = [f"{path.name} left in the temporary folder" for path in temporary.iterdir()]
        problem = problem or ", ".join(left) or _left_over(process.pid)
        return Run(name, number, delay, process.poll(), took, problem, errors)
    finally:
        _end_group(process.pid)
        process.communicate()
        shutil.rmtree(folder, ignore_errors=True)


def _default_signals() -> None:
    """Reset the signals that a shell ignores for a program in its background."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _problem(code: int, errors: str, codes: frozenset[int], delay: float) -> str:
    if delay < BEFORE_PYTHON and (code < 0 or "KeyboardInterrupt" in errors):
        return ""
    if code < 0:
        return f"ended by signal {-code}"
    if "Traceback" in errors or "Exception ignored" in errors or "Fatal" in errors:
        return "a traceback on standard error"
    return "" if code in codes else f"exit code {code}"


def _left_over(group: int) -> str:
    """Return a problem if processes still exist two seconds after the end of their parent."""
    end = time.monotonic() + 2.0
    while _is_alive(group):
        if time.monotonic() > end:
            return "a process was left behind"
        time.sleep(0.05)
    return ""


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.exit(main())
