"""Pool of processes that work off jobs in parallel.

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
"""Sends the progress of a job to the parent's ``PoolListener.word``."""
Work = Callable[[Any, SendProgress, StopSwitch], Any]
"""Does a job and returns its outcome, which is sent to the parent. The switch stops it."""
Prepare = Callable[[Any, int], Work]
"""Prepares a process, from an argument and the number of processes. It must be importable by name."""


class PoolListener(Protocol):
    """Listener for the jobs of a pool, called in the thread of ``run_jobs``. ``number`` is the index of the job."""

    def begun(self, number: int) -> None:
        """Take note that a process has started the job."""

    def word(self, number: int, word: Any) -> None:
        """Take a progress report of the job."""

    def done(self, number: int, outcome: Any) -> None:
        """Take the outcome of the job."""

    def lost(self, number: int, reason: str) -> None:
        """Take note that the process died during the job.

        Args:
            number: Index of the job.
            reason: Reason such as "it was ended by signal 9".
        """


def run_jobs(size: int, prepare: Prepare, argument: Any, jobs: Sequence[Any], watch: PoolListener) -> None:
    """Do all jobs in at most ``size`` processes, and return when each one is done or lost.

    On KeyboardInterrupt the processes are asked to stop, their last reports are passed on, and it is raised again. No
    process is left in any case.

    Args:
        size: Largest number of processes.
        prepare: Prepares a process.
        argument: Argument of ``prepare``.
        jobs: Jobs to do.
        watch: Listener for the jobs.

    Raises:
        UsageError: No process could be prepared.
        Failure: No process could be prepared.
    """
    pool = _ProcessPool(size, prepare, argument, jobs, watch)
    try:
        pool.run()
    except KeyboardInterrupt:
        pool.stop()
        raise
    finally:
        pool.end()


class _ProcessPool:
    def __init__(self, size: int, prepare: Prepare, argument: Any, jobs: Sequence[Any], watch: PoolListener) -> None:
        self._prepare, self._argument, self._watch = prepare, argument, watch
        self._waiting = deque(enumerate(jobs))
        self._size = min(size, len(jobs))
        self._members: list[_PoolWorker] = []
        self._unable: ClipsegLiveError | None = None

    def run(self) -> None:
        for _ in range(self._size):
            self._start()
        while self._members:
            self._hear_all(0.5)
        if self._waiting:
            raise self._unable or Failure("The processes that export ended before their time.")

    def stop(self) -> None:
        """Ask the processes to abandon their jobs, and receive their last reports."""
        self._waiting.clear()
        for member in list(self._members):
            if member.job is None or not member.has_job:
                self._dismiss(member)
            else:
                member.send("stop")
        deadline = time.monotonic() + STOP_SECONDS
        while self._members and time.monotonic() < deadline:
            self._hear_all(max(0.0, deadline - time.monotonic()))

    def end(self) -> None:
        for member in list(self._members):
            self._dismiss(member)

    def _start(self) -> None:
        try:
            self._members.append(_PoolWorker(self._prepare, self._argument, self._size))
        except (OSError, RuntimeError) as error:  # the other processes do its jobs
            logger.exception("A process for exports could not be started")
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            self._unable = Failure(f"A process that was to export could not be started: {reason}.")

    def _dismiss(self, member: "_PoolWorker") -> None:
        self._members.remove(member)
        member.end()

    def _hear_all(self, seconds: float) -> None:
        by_connection = {member.connection: member for member in self._members}
        for ready in wait(list(by_connection), seconds):
            self._hear(by_connection[ready])  # type: ignore[index]

    def _hear(self, member: "_PoolWorker") -> None:
        try:
            kind, *values = member.connection.recv()
        except (EOFError, OSError):
            self._lose(member)
            return
        if kind == "log":
            logs.handle(values[0])
        elif kind == "word" and member.job is not None:
            self._watch.word(member.job, values[0])
        elif kind == "ready":
            member.ready = True
            self._give(member)
        elif kind == "done" and member.job is not None:
            number, member.job = member.job, None
            self._watch.done(number, values[0])
            self._give(member)
        elif kind == "unable":
            sentence, exit_code = values
            self._unable = UsageError(sentence) if exit_code == UsageError.exit_code else Failure(sentence)
            self._dismiss(member)

    def _give(self, member: "_PoolWorker") -> None:
        if not self._waiting:
            self._dismiss(member)
            return
        member.has_job = False
        member.job, job = self._waiting.popleft()
        self._watch.begun(member.job)
        member.has_job = True
        member.send("job", job)

    def _lose(self, member: "_PoolWorker") -> None:
        reason = member.exit_reason()
        logger.error("An export process was lost: %s", reason)
        self._dismiss(member)
        if member.job is not None:
            self._watch.lost(member.job, reason)
        if member.ready and self._waiting:
            self._start()
        elif not member.ready:
            self._unable = Failure(f"A process that was to export could not be started: {reason}.")


class _PoolWorker:
    """One process, as the parent sees it. ``job`` is the index of its job, which it has received if ``has_job``."""

    def __init__(self, prepare: Prepare, argument: Any, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=run_pool_worker, args=(theirs, prepare, argument, size), name="clipseg-live export", daemon=True
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
            theirs.close()

    def send(self, *message: object) -> None:
        with suppress(OSError, ValueError):  # the process is gone; the pipe reports its end
            self.connection.send(message)

    def exit_reason(self) -> str:
        return exit_reason(self.process, _EXIT_SECONDS)

    def end(self) -> None:
        pid = self.process.pid
        if not end_process(self.process, _KILL_SECONDS):
            logger.error("Process %s hangs and was left behind", pid)
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
        self._quiet = threading.Event()
        self._quiet.set()

    def run(self, prepare: Prepare, argument: Any, size: int) -> None:
        flush_log = logs.start_child(lambda record: self._send("log", record))
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        try:
            work = prepare(argument, size)
        except ClipsegLiveError as error:
            logger.warning("A worker process could not be prepared", exc_info=True)
            flush_log()
            self._send("unable", str(error), error.exit_code)
            return
        except Exception as error:
            logger.exception("A worker process could not be prepared")
            flush_log()
            words = " ".join(str(error).split())[:200]
            self._send("unable", f"The export could not be prepared ({type(error).__name__}: {words}).", 1)
            return
        self._send("ready")
        while True:
            job = self._jobs.get()
            outcome = work(job, lambda word: self._send("word", word), self._stop)
            self._quiet.set()
            flush_log()
            self._send("done", outcome)

    def _listen(self) -> None:
        try:
            while True:
                kind, *values = self._connection.recv()
                if kind == "job":
                    self._quiet.clear()
                    self._jobs.put(values[0])
                elif kind == "stop":
                    self._stop.throw()
        except (EOFError, OSError):
            pass
        # The parent is gone: abandon the files that are being written, then end.
        self._stop.throw()
        self._quiet.wait(STOP_SECONDS)
        os._exit(0)

    def _send(self, *message: object) -> None:
        with self._sending, suppress(OSError, ValueError):  # ``_listen`` notices that the parent is gone
            self._connection.send(message)
