"""Protection of thread scheduling against encoders that change it."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

logger = logging.getLogger(__name__)


@contextmanager
def keep_priority() -> Iterator[None]:
    """Undo real-time scheduling that starts in the body. Open encoders within it.

    If root runs libsvtav1, it makes the calling thread and its own threads real-time. Threads that the calling thread
    starts later inherit this. They would starve all other work on the machine.
    """
    if sys.platform != "linux":
        yield
        return
    before = _real_time()
    try:
        yield
    finally:
        for thread in _real_time() - before:
            try:
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
            except OSError:
                logger.debug("A thread keeps its real-time priority", exc_info=True)


def _real_time() -> set[int]:
    """Return the threads of this process with real-time scheduling; Linux only."""
    threads = set()
    for name in os.listdir("/proc/self/task") if sys.platform == "linux" else ():
        with suppress(OSError):  # a thread may have ended since it was listed
            if os.sched_getscheduler(int(name)) in (os.SCHED_FIFO, os.SCHED_RR):
                threads.add(int(name))
    return threads
