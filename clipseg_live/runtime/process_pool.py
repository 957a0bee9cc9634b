"""Pool of processes that do jobs in parallel.

Each process prepares itself once and then does one job after the other. It ends when its parent ends, for any reason.
A process that dies loses only its job, and another process replaces it.
"""

import logging
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any, Protocol

from clipseg_live.core.errors import ClipsegLiveError, Failure, UsageError
from clipseg_live.core.system import console, logs, signals
from clipseg_live.runtime.process_exit import end_process, exit_reason
from clipseg_live.runtime.threads import StopSwitch

logger = logging.getLogger(__name__)

STOP_SECONDS = 15.0
"""Longest time for a process to abandon its job after a request, before it is killed."""

_EXIT_SECONDS = 2.0
_KILL_SECONDS = 5.0

SendProgress = Callable[[Any], None]
"""Sends the progress of a job to the parent's ``PoolListener.on_progress``."""
Work = Callable[[Any, SendProgress, StopSwitch], Any]
"""Does a job and returns its outcome, which is sent to the parent. The switch stops it."""
Prepare = Callable[[Any, int], Work]
"""Prepares a process, from an argument and the number of processes. It must be importable by name."""


class PoolListener(Protocol):
    """Listener for the jobs of a pool, called in the thread of ``run_jobs``. ``number`` is the index of the job."""

    def on_start(self, number: int) -> None:
        """Take note that a process has started the job."""

    def on_progress(self, number: int, progress: Any) -> None:
        """Take a progress report of the job."""

    def on_done(self, number: int, outcome: Any) -> None:
        """Take the outcome of the job."""

    def on_lost(self, number: int, reason: str) -> None:
        """Take note that the process died during the job.

        Args:
            number: Index of the job.
            reason: Reason such as "the process was ended by signal 9".
        """


def run_jobs(size: int, prepare: Prepare, argument: Any, jobs: Sequence[Any], listener: PoolListener) -> None:
    """Do all jobs in at most ``size`` processes, and return when each one is done or lost.

    On KeyboardInterrupt the processes are asked to stop, their last reports are passed on, and it is raised again. No
    process is left in any case.

    Args:
        size: Largest number of processes.
        prepare: Prepares a process.
        argument: Argument of ``prepare``.
        jobs: Jobs to do.
        listener: Listener for the jobs.

    Raises:
        UsageError: No process could be prepared.
        Failure: No process could be prepared.
    """
    pool = _ProcessPool(size, prepare, argument, jobs, listener)
    try:
        pool.run()
    except KeyboardInterrupt:
        pool.stop()
        raise
    finally:
        pool.end()


class _ProcessPool:
    def __init__(self, size: int, prepare: Prepare, argument: Any, jobs: Sequence[Any], listener: PoolListener) -> None:
        self._prepare, self._argument, self._listener = prepare, argument, listener
        self._queue = deque(enumerate(jobs))
        self._size = min(size, len(jobs))
        self._workers: list[_PoolWorker] = []
        self._start_error: ClipsegLiveError | None = None

    def run(self) -> None:
        for _ in range(self._size):
            self._start()
        while self._workers:
            self._receive_all(0.5)
        if self._queue:
            raise self._start_error or Failure("All export processes ended unexpectedly: see the log.")

    def stop(self) -> None:
        """Ask the processes to abandon their jobs, and receive their last reports."""
        self._queue.clear()
        for worker in list(self._workers):
            if worker.job is None or not worker.has_job:
                self._remove(worker)
            else:
                worker.send("stop")
        deadline = time.monotonic() + STOP_SECONDS
        while self._workers and time.monotonic() < deadline:
            self._receive_all(max(0.0, deadline - time.monotonic()))

    def end(self) -> None:
        for worker in list(self._workers):
            self._remove(worker)

    def _start(self) -> None:
        try:
            self._workers.append(_PoolWorker(self._prepare, self._argument, self._size))
        except (OSError, RuntimeError) as error:  # the other processes do its jobs
            logger.exception("An export process could not be started")
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            self._start_error = Failure(f"An export process could not be started: {reason}.")

    def _remove(self, worker: "_PoolWorker") -> None:
        self._workers.remove(worker)
        worker.end()

    def _receive_all(self, seconds: float) -> None:
        by_connection = {worker.connection: worker for worker in self._workers}
        for ready in wait(list(by_connection), seconds):
            self._receive(by_connection[ready])  # type: ignore[index]

    def _receive(self, worker: "_PoolWorker") -> None:
        try:
            kind, *values = worker.connection.recv()
        except (EOFError, OSError):
            self._handle_loss(worker)
            return
        if kind == "log":
            logs.handle(values[0])
        elif kind == "progress" and worker.job is not None:
            self._listener.on_progress(worker.job, values[0])
        elif kind == "ready":
            worker.ready = True
            self._assign(worker)
        elif kind == "done" and worker.job is not None:
            number, worker.job = worker.job, None
            self._listener.on_done(number, values[0])
            self._assign(worker)
        elif kind == "failed":
            text, exit_code = values
            self._start_error = UsageError(text) if exit_code == UsageError.exit_code else Failure(text)
            self._remove(worker)

    def _assign(self, worker: "_PoolWorker") -> None:
        if not self._queue:
            self._remove(worker)
            return
        worker.has_job = False
        worker.job, job = self._queue.popleft()
        self._listener.on_start(worker.job)
        worker.has_job = True
        worker.send("job", job)

    def _handle_loss(self, worker: "_PoolWorker") -> None:
        reason = worker.exit_reason()
        logger.error("An export process was lost: %s", reason)
        self._remove(worker)
        if worker.job is not None:
            self._listener.on_lost(worker.job, reason)
        if worker.ready and self._queue:
            self._start()
        elif not worker.ready:
            self._start_error = Failure(f"An export process could not be started: {reason}.")


class _PoolWorker:
    """One process, as the parent sees it. ``job`` is the index of its job, which it has received if ``has_job``."""

    def __init__(self, prepare: Prepare, argument: Any, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, child_connection = context.Pipe()
        self.process = context.Process(
            target=run_pool_worker,
            args=(child_connection, prepare, argument, size),
            name="clipseg-live export",
            daemon=True,
        )
        self.job: int | None = None
        self.ready = self.has_job = False
        try:
            with signals.held_back():
                self.process.start()
        except BaseException:
            self.connection.close()
            raise
        finally:
            child_connection.close()

    def send(self, *message: object) -> None:
        with suppress(OSError, ValueError):  # the process has ended; the pipe reports it
            self.connection.send(message)

    def exit_reason(self) -> str:
        return exit_reason(self.process, _EXIT_SECONDS)

    def end(self) -> None:
        pid = self.process.pid
        if not end_process(self.process, _KILL_SECONDS):
            logger.error("Process %s hangs and was abandoned", pid)
        self.connection.close()


def run_pool_worker(connection: Connection, prepare: Prepare, argument: Any, size: int) -> None:
    """Run the main function of a process."""
    signals.ignore()  # the parent receives signals and stops its processes
    console.protect()
    _Process(connection).run(prepare, argument, size)


class _Process:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._jobs: SimpleQueue[Any] = SimpleQueue()
        self._stop = StopSwitch()
        self._idle = threading.Event()
        self._idle.set()

    def run(self, prepare: Prepare, argument: Any, size: int) -> None:
        flush_log = logs.start_child(lambda record: self._send("log", record))
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        try:
            work = prepare(argument, size)
        except ClipsegLiveError as error:
            logger.warning("An export process could not be prepared", exc_info=True)
            flush_log()
            self._send("failed", str(error), error.exit_code)
            return
        except Exception as error:
            logger.exception("An export process could not be prepared")
            flush_log()
            details = " ".join(str(error).split())[:200]
            self._send("failed", f"The export could not be prepared ({type(error).__name__}: {details}).", 1)
            return
        self._send("ready")
        while True:
            job = self._jobs.get()
            outcome = work(job, lambda progress: self._send("progress", progress), self._stop)
            self._idle.set()
            flush_log()
            self._send("done", outcome)

    def _listen(self) -> None:
        try:
            while True:
                kind, *values = self._connection.recv()
                if kind == "job":
                    self._idle.clear()
                    self._jobs.put(values[0])
                elif kind == "stop":
                    self._stop.throw()
        except (EOFError, OSError):
            pass
        # The parent has ended: abandon the files that are being written, then end.
        self._stop.throw()
        self._idle.wait(STOP_SECONDS)
        os._exit(0)

    def _send(self, *message: object) -> None:
        with self._sending, suppress(OSError, ValueError):  # ``_listen`` notices the end of the parent
            self._connection.send(message)
