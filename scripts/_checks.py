"""The checks of ``scripts/test``: lint, types, import rules and tests.

The module uses only the standard library, so any Python can run it on any system.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from _environment import ROOT, say

QUICK = "--quick"
MOST_PROCESSES = 8
"""Each test process imports torch and takes 1 GB of memory."""

_IMPORT_RULES = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
_SINGLE_PROCESS_OPTIONS = (
    "-n", "--numprocesses", "--dist", "--pdb", "--trace", "--collect-only", "--co", "--fixtures", "--markers",
    "--version", "-h", "--help",
)  # fmt: skip
"""Options with which pytest is not started with several processes."""


@dataclass(frozen=True)
class CheckResult:
    """Result of a check.

    Attributes:
        name: Name of the check.
        code: Exit code.
        seconds: Duration in seconds.
    """

    name: str
    code: int
    seconds: float


class _BackgroundCheck:
    """A check in a background process. Its output is kept until it has ended."""

    def __init__(self, name: str, command: Sequence[str], output: BinaryIO) -> None:
        self._name, self._output = name, output
        self._start = time.monotonic()
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        self._seconds = 0.0
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._waiter.start()

    def _wait(self) -> None:
        self._process.wait()
        self._seconds = time.monotonic() - self._start

    def finish(self) -> CheckResult:
        """Wait for the end of the process, and print its output."""
        self._waiter.join()
        say(f"Checking: {self._name}")
        self._output.seek(0)
        sys.stdout.buffer.write(self._output.read())
        sys.stdout.flush()
        return CheckResult(self._name, self._process.returncode, self._seconds)

    def end(self) -> None:
        """Kill the process if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._waiter.join()


def run(python: Path, arguments: Sequence[str]) -> int:
    """Run all checks. The output of pytest is shown live.

    Args:
        python: The Python of the environment.
        arguments: Arguments of ``scripts/test``.

    Returns:
        The exit code: 0 if all checks succeed, otherwise 1.
    """
    background = {
        "ruff": [str(python), "-m", "ruff", "check", "."],
        "mypy": [str(python), "-m", "mypy"],
        "names": [str(python), "scripts/check_names.py"],
        "import rules": [str(python), "-c", _IMPORT_RULES],
    }
    with ExitStack() as stack:
        running = []
        for name, command in background.items():
            output = stack.enter_context(tempfile.TemporaryFile())
            running.append(_BackgroundCheck(name, command, output))
            stack.callback(running[-1].end)
        say("Checking: pytest")
        start = time.monotonic()
        code = subprocess.call([str(python), "-m", "pytest", *pytest_arguments(arguments)], cwd=ROOT, env=variables())
        tests = CheckResult("pytest", code, time.monotonic() - start)
        results = [*(each.finish() for each in running), tests]
    say(summary(results))
    return 1 if any(each.code for each in results) else 0


def pytest_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of pytest: number of processes, selection of slow tests, and the given arguments."""
    given = [each for each in arguments if each != QUICK]
    options = ["--durations=15"]
    quick = QUICK in arguments
    if not _is_narrow(given):
        options += ["-n", str(processes(quick=quick)), "--dist=loadfile", "--no-loadscope-reorder"]
        options += ["--max-worker-restart=0"]  # a process that replaced a crashed one would wait for ever
    if quick:
        options += ["-m", "not slow"]
    return [*options, *given]


def processes(*, quick: bool = False) -> int:
    """Return the number of test processes: one for each core, and one more where few cores wait for slow tests."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 1 if cores < 4 and not quick else cores, MOST_PROCESSES)


def variables() -> dict[str, str]:
    """Return the environment of pytest.

    PYTHONDONTWRITEBYTECODE is removed; otherwise each process would compile the package again.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def summary(results: Sequence[CheckResult]) -> str:
    """Return a line with the seconds of each check, and one with the checks that failed."""
    lines = [", ".join(f"{each.name} {each.seconds:.0f} s" for each in results)]
    failed = [each.name for each in results if each.code]
    if failed:
        lines.append(f"Failed: {', '.join(failed)}")
    return "\n".join(lines)


def _is_narrow(arguments: Sequence[str]) -> bool:
    """Return whether the arguments select some tests, or choose the processes themselves."""
    has_process_option = any(
        each.split("=")[0] in _SINGLE_PROCESS_OPTIONS or (each.startswith("-n") and each[2:].isdigit())
        for each in arguments
    )
    return has_process_option or any(
        (ROOT / each.split("::")[0]).exists() for each in arguments if not each.startswith("-")
    )
