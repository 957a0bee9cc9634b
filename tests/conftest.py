"""Rules for every test: no network, nothing left running, and the order in which tests are run.

Tests in ``tests/e2e`` and ``tests/gui`` are marked by their folder, those in ``tests/e2e`` as slow, too. Mark a test
``slow`` if it takes more than 0.15 seconds of one core: ``scripts/test --quick`` leaves it out. ``scripts/test`` runs
the tests of one file in one process, so they may share fixtures.
"""

import atexit
import gc
import multiprocessing
import multiprocessing.resource_tracker
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from multiprocessing import util
from pathlib import Path

import pytest
from hypothesis import settings

from tests.helpers.quick_workers import Server, new_interpreter

settings.register_profile("a busy machine", deadline=None, derandomize=True, max_examples=60)  # the same in every run
settings.load_profile("a busy machine")
os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's client
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch: test processes run side by side
_state = tempfile.TemporaryDirectory(prefix="clipseg-live-tests-")
atexit.register(_state.cleanup)
os.environ["XDG_STATE_HOME"] = _state.name  # the log of commands that tests start
os.environ.setdefault("XDG_CACHE_HOME", _state.name)  # converted models; processes of pytest-xdist share the folder
gc.disable()  # until the tests are collected: each collection would visit every imported object

_PATIENCE = 5.0
_FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before pytest selects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder, and order the files for several processes.

    Files with slow tests come first, so that none of them is the last. End-to-end tests mostly wait, so their files are
    spread among those that compute.
    """
    waiting: dict[Path, None] = {}
    computing: dict[Path, None] = {}
    for item in items:
        folder = item.path.relative_to(_FOLDER).parts[0]
        if folder in ("e2e", "gui"):
            item.add_marker(folder)
        if folder == "e2e":
            item.add_marker("slow")
            waiting[item.path] = None
        elif item.get_closest_marker("slow"):
            computing[item.path] = None
    places = {path: number / len(paths) for paths in (waiting, computing) for number, path in enumerate(paths)}
    items.sort(key=lambda item: places.get(item.path, 1.0))


def pytest_collection_finish() -> None:
    """Let the garbage collector skip what was imported and collected: no test frees it."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """Fails a test after which a thread or process is there that was not there before."""
    threads, processes = set(threading.enumerate()), _children()
    yield
    for thread in filter(_counts, set(threading.enumerate()) - threads):
        thread.join(_PATIENCE)
    left = [thread.name for thread in set(threading.enumerate()) - threads if _counts(thread)]
    assert not left, f"threads left running: {left}"
    multiprocessing.active_children()  # collects those that have ended
    assert not _children() - processes, "a process was left running"


@pytest.fixture(scope="session")
def worker_server() -> Iterator[Server | None]:
    """Provide the process that workers are forked from; None where that is not possible."""
    server = Server() if sys.platform == "linux" else None
    yield server
    if server is not None:
        server.close()


@pytest.fixture(scope="module")
def quick_workers(worker_server: Server | None) -> Iterator[None]:
    """Start worker processes at once, without a new interpreter for each."""
    with worker_server.replacing_spawning() if worker_server is not None else nullcontext():
        yield


@pytest.fixture
def new_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start worker processes as the program does, where a test needs the time that they take."""
    monkeypatch.setattr(util, "spawnv_passfds", new_interpreter)


def _counts(thread: threading.Thread) -> bool:
    """tqdm's monitor and hypothesis' own threads last as long as the process."""
    return not thread.name.startswith(("TMonitor", "tqdm", "hypothesis"))


def _children(process: str = "self") -> set[str]:
    """Ids of this process's children and of theirs, where the system tells."""
    listed: set[str] = set()
    with suppress(OSError):  # no such folder: another system, or the process has ended
        for task in os.listdir(f"/proc/{process}/task"):
            with suppress(OSError), open(f"/proc/{process}/task/{task}/children") as children:  # the thread may end
                listed.update(children.read().split())
    tracker = multiprocessing.resource_tracker._resource_tracker._pid  # Python's own, as old as the process
    listed.discard(str(tracker))
    return listed.union(*map(_children, listed))
