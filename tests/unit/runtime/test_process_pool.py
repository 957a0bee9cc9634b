"""A pool of real processes: shared jobs, a crash that costs one job, and released resources."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from clipseg_live.core.errors import ClipsegLiveError, Failure, UsageError
from clipseg_live.runtime.process_pool import run_jobs
from tests.helpers.paths import ROOT
from tests.helpers.pool_work import prepare

pytestmark = pytest.mark.usefixtures("quick_workers")


class Heard:
    """Keeps progress messages.

    Attributes:
        raises_at: Kind and number of the message at which Ctrl-C is simulated.
    """

    def __init__(self, raises_at: tuple[str, int] | None = None) -> None:
        self.raises_at = raises_at
        self.words: dict[int, list[Any]] = {}
        self.outcomes: dict[int, Any] = {}
        self.reasons: dict[int, str] = {}
        self.order: list[int] = []
        self._counts: dict[str, int] = {}

    def _count(self, kind: str) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self.raises_at == (kind, self._counts[kind]):
            raise KeyboardInterrupt

    def on_start(self, number: int) -> None:
        self.order.append(number)
        self._count("start")

    def on_progress(self, number: int, progress: Any) -> None:
        self.words.setdefault(number, []).append(progress)
        self._count("progress")

    def on_done(self, number: int, outcome: Any) -> None:
        self.outcomes[number] = outcome
        self._count("done")

    def on_lost(self, number: int, reason: str) -> None:
        self.reasons[number] = reason


def test_jobs_are_shared_and_each_is_done_once() -> None:
    heard = Heard()
    run_jobs(2, prepare, None, [("echo", number) for number in range(6)] + [("tell", "x")], heard)
    assert heard.order == list(range(7))
    assert [heard.outcomes[number][0] for number in range(7)] == [0, 1, 2, 3, 4, 5, "x"]
    assert heard.words == {6: ["x"]}
    assert {size for _, _, size in heard.outcomes.values()} == {2}
    assert os.getpid() not in {process for _, process, _ in heard.outcomes.values()}


def test_no_more_processes_than_jobs() -> None:
    heard = Heard()
    run_jobs(8, prepare, None, [("echo", "a")], heard)
    assert heard.outcomes[0][2] == 1


def test_a_crashing_process_fails_only_its_job() -> None:
    heard = Heard()
    jobs = [("crash", 7), ("echo", 1), ("raise", "slip"), ("echo", 3)]
    run_jobs(1, prepare, None, jobs, heard)
    assert heard.reasons == {0: "the process ended with code 7", 2: "the process ended with code 1"}
    assert {number: outcome[0] for number, outcome in heard.outcomes.items()} == {1: 1, 3: 3}


@pytest.mark.parametrize(
    ("argument", "kind", "words"),
    [
        ("usage", UsageError, "job is invalid"),
        ("failure", Failure, "job failed"),
        ("bug", Failure, "ZeroDivisionError: a slip"),
        ("dies", Failure, "the process was ended by signal 9"),
    ],
)
def test_failed_preparation_of_all_processes_is_reported(
    argument: str, kind: type[ClipsegLiveError], words: str
) -> None:
    heard = Heard()
    with pytest.raises(kind, match=words):
        run_jobs(2, prepare, argument, [("echo", 1), ("echo", 2)], heard)
    assert heard.order == []


def test_ctrl_c_stops_the_jobs_of_processes(tmp_path: Path) -> None:
    heard = Heard(raises_at=("progress", 2))
    jobs = [("wait", str(tmp_path / str(number))) for number in range(4)]
    with pytest.raises(KeyboardInterrupt):
        run_jobs(2, prepare, None, jobs, heard)
    assert {number: outcome[0] for number, outcome in heard.outcomes.items()} == {0: "stopped", 1: "stopped"}
    assert heard.order == [0, 1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("at", [("start", 1), ("done", 1)])
def test_ctrl_c_at_any_time_leaves_no_processes(tmp_path: Path, at: tuple[str, int]) -> None:
    jobs = [("echo", 1), ("wait", str(tmp_path / "x")), ("echo", 2)]
    with pytest.raises(KeyboardInterrupt):
        run_jobs(1, prepare, None, jobs, Heard(raises_at=at))
    assert list(tmp_path.iterdir()) == []


PROGRAM = """
import sys
from clipseg_live.runtime.process_pool import run_jobs
from tests.helpers.pool_work import prepare
from tests.unit.runtime.test_process_pool import Heard

if __name__ == "__main__":
    run_jobs(2, prepare, None, [("wait", path) for path in sys.argv[1:]], Heard())
"""


@pytest.mark.slow
def test_processes_of_a_killed_parent_clean_up_and_end(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(program), *map(str, paths)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        until(lambda: all(path.exists() and path.read_text() for path in paths))
        members = [int(path.read_text()) for path in paths]
        assert all(map(is_running, members))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    until(lambda: not any(map(is_running, members)))
    assert not any(path.exists() for path in paths)


def is_running(process: int) -> bool:
    """Return whether a process runs. A zombie process does not count."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def until(holds: Any, seconds: float = 60) -> None:
    deadline, tick = time.monotonic() + seconds, threading.Event()
    while not holds():
        assert time.monotonic() < deadline
        tick.wait(0.02)


def test_started_processes_do_all_jobs_if_others_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = SpawnProcess.start, []

    def limited(process: SpawnProcess) -> None:
        started.append(process)
        if len(started) != 2:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", limited)
    heard = Heard()
    run_jobs(3, prepare, None, [("echo", number) for number in range(3)], heard)
    assert [heard.outcomes[number][0] for number in range(3)] == [0, 1, 2] and len(started) == 3


def test_failed_start_of_all_processes_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(process: SpawnProcess) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(SpawnProcess, "start", start)
    with pytest.raises(Failure, match=r"could not be started: Cannot allocate memory\."):
        run_jobs(3, prepare, None, [("echo", 1)], Heard())
