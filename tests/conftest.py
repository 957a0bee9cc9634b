"""Rules for every test: no network, no leaked threads or processes, and the order of the tests.

Tests in ``tests/e2e`` and ``tests/gui`` are marked by their folder; those in ``tests/e2e`` are also marked slow. Mark a
test ``slow`` if it takes more than 0.1 seconds of one core: ``scripts/test --quick`` skips it. ``scripts/test`` runs
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
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch: test processes run in parallel
_state = tempfile.TemporaryDirectory(prefix="clipseg-live-tests-")
atexit.register(_state.cleanup)
os.environ["XDG_STATE_HOME"] = _state.name  # the log of commands that tests start
os.environ.setdefault("XDG_CACHE_HOME", _state.name)  # converted models; processes of pytest-xdist share the folder
gc.disable()  # until the tests are collected: each collection would visit every imported object

_JOIN_SECONDS = 5.0
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
    positions = {path: number / len(paths) for paths in (waiting, computing) for number, path in enumerate(paths)}
    items.sort(key=lambda item: positions.get(item.path, 1.0))


def pytest_collection_finish() -> None:
    """Exclude imported and collected objects from garbage collection, because no test frees them."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def no_leaked_threads_or_processes() -> Iterator[None]:
    """Fail a test after which there is a new thread or process."""
    threads, processes = set(threading.enumerate()), _children()
    yield
    for thread in filter(_is_counted, set(threading.enumerate()) - threads):
        thread.join(_JOIN_SECONDS)
    left = [thread.name for thread in set(threading.enumerate()) - threads if _is_counted(thread)]
    assert not left, f"threads left running: {left}"
    multiprocessing.active_children()  # reaps ended processes
    assert not _children() - processes, "a process was left running"


@pytest.fixture(scope="session")
def worker_server() -> Iterator[Server | None]:
    """Provide the process from which workers are forked; None where this is not possible."""
    server = Server() if sys.platform == "linux" else None
    yield server
    if server is not None:
        server.close()


@pytest.fixture(scope="module")
def quick_workers(worker_server: Server | None) -> Iterator[None]:
    """Fork worker processes, without a new interpreter for each."""
    with worker_server.replacing_spawning() if worker_server is not None else nullcontext():
        yield


@pytest.fixture
def new_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start worker processes like the program, for tests of their start."""
    monkeypatch.setattr(util, "spawnv_passfds", new_interpreter)


def _is_counted(thread: threading.Thread) -> bool:
    """Return whether a thread is counted. Threads of tqdm and hypothesis last as long as the process."""
    return not thread.name.startswith(("TMonitor", "tqdm", "hypothesis"))


def _children(process: str = "self") -> set[str]:
    """Return the ids of the children of a process and of their children, if the system provides them."""
    listed: set[str] = set()
    with suppress(OSError):  # no such folder: another system, or the process has ended
        for task in os.listdir(f"/proc/{process}/task"):
            with suppress(OSError), open(f"/proc/{process}/task/{task}/children") as children:  # the thread may end
                listed.update(children.read().split())
    tracker = multiprocessing.resource_tracker._resource_tracker._pid  # Python's own, as old as the process
    listed.discard(str(tracker))
    return listed.union(*map(_children, listed))
