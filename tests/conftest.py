"""What holds for every test: no network, and nothing left running."""

import atexit
import multiprocessing
import multiprocessing.resource_tracker
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("a busy machine", deadline=None, derandomize=True)  # the same examples in every run
settings.load_profile("a busy machine")
os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's client
_state = tempfile.TemporaryDirectory(prefix="clipseg-live-tests-")
atexit.register(_state.cleanup)
os.environ["XDG_STATE_HOME"] = _state.name  # the log of commands that tests start

_PATIENCE = 5.0


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """Fails a test after which a thread or process is there that was not there before."""
    threads, processes = set(threading.enumerate()), _children()
    yield
    for thread in set(threading.enumerate()) - threads:
        thread.join(_PATIENCE)
    left = [thread.name for thread in set(threading.enumerate()) - threads if _counts(thread)]
    assert not left, f"threads left running: {left}"
    multiprocessing.active_children()  # collects those that have ended
    assert not _children() - processes, "a process was left running"


def _counts(thread: threading.Thread) -> bool:
    """tqdm's monitor and hypothesis' own threads last as long as the process."""
    return not thread.name.startswith(("TMonitor", "tqdm", "hypothesis"))


def _children() -> set[str]:
    """Ids of this process's children, where the system tells."""
    listed: set[str] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread may end between being listed and being read
            listed.update(task.read_text().split())
    tracker = multiprocessing.resource_tracker._resource_tracker._pid  # Python's own, as old as the process
    return listed - {str(tracker)}
