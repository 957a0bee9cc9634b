"""A live session on a terminal, without a window: its line of figures, what is said meanwhile, and its end."""

import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol

from clipseg_live.cli.export_run import clock, terminated_like_interrupted

if TYPE_CHECKING:
    from clipseg_live.core.live import LiveSettings, Message, SessionStatus, SourceSpec
    from clipseg_live.pipeline.session import Session

_LOOK_SECONDS = 0.1
_RESTART_SECONDS = 60.0
"""Until a worker that failed too often is started again: there is no window to do it in."""


class Job(Protocol):
    """What a session is run for."""

    def begin(self, session: "Session") -> None:
        """Once, when the source has been asked for."""

    def look(self, session: "Session", status: "SessionStatus") -> bool:
        """Many times a second; False when the job is done. Raises Failure for what cannot be had."""

    def hear(self, message: "Message") -> bool:
        """What the session says; whether it is to be told at once."""

    def describe(self, status: "SessionStatus") -> str:
        """What is done now, in one line."""


def run_session(settings: "LiveSettings", spec: "SourceSpec", job: Job, *, loop: bool = False) -> "SessionStatus":
    """Run until the job is done, Ctrl-C or SIGTERM; the last status. loop: files begin anew at their end.

    Raises Failure where source or model cannot be had at the beginning, what the job raises, and where something had to
    be left behind at the end.
    """
    from clipseg_live.assemble.live import make_session, open_live_source
    from clipseg_live.core.errors import Failure

    open_live_source(spec)  # a name that means nothing is told at once
    begun = time.monotonic()
    said: queue.SimpleQueue[Message] = queue.SimpleQueue()
    with terminated_like_interrupted():
        session = make_session(settings)
        session.on_message = said.put
        told = _Told(begun)
        try:
            session.start()
            session.set_loop(loop)
            session.open(spec)
            job.begin(session)
            with told:
                watch = _Watch()
                going = True
                while going:
                    messages = [said.get() for _ in range(said.qsize())]
                    status = session.status()
                    watch.check(status)  # before what was said about the same
                    going = job.look(session, status)
                    for message in messages:
                        if job.hear(message):
                            told.message(message)
                    if watch.wants_restart(status):
                        session.restart_worker()
                    told.status(status, job.describe(status))
                    threading.Event().wait(_LOOK_SECONDS if going else 0)
        except KeyboardInterrupt:
            pass
        finally:
            left = session.stop()
            for message in [said.get() for _ in range(said.qsize())]:
                if job.hear(message):
                    told.message(message)
    if left:
        raise Failure(f"{', '.join(left)} did not end in time and was left behind: a device or file holds it.")
    return session.status()


class _Watch:
    """What was there once may go and come back; what never was there ends the command."""

    def __init__(self) -> None:
        self._had_worker = self._had_source = False
        self._restart_at: float | None = None

    def check(self, status: "SessionStatus") -> None:
        """Raises Failure."""
        from clipseg_live.core.errors import Failure
        from clipseg_live.core.live import SourceState, WorkerState

        self._had_worker |= status.worker.state is WorkerState.READY
        self._had_source |= status.source.state is SourceState.RUNNING
        if status.source.state is SourceState.FAILED and not self._had_source:
            raise Failure(status.source.problem)
        if status.worker.state is WorkerState.WAITING and not self._had_worker:
            raise Failure(status.worker.problem)

    def wants_restart(self, status: "SessionStatus") -> bool:
        from clipseg_live.core.live import WorkerState

        if status.worker.state is not WorkerState.WAITING:
            self._restart_at = None
            return False
        now = time.monotonic()
        self._restart_at = self._restart_at or now + _RESTART_SECONDS
        return now >= self._restart_at


class _Told:
    """On a terminal one line that changes; elsewhere a line for each change of what is done."""

    def __init__(self, begun: float) -> None:
        from rich.console import Console
        from rich.live import Live

        self._begun = begun
        self._console = Console(stderr=True, highlight=False)
        self._line = Live(console=self._console, transient=True, auto_refresh=False)
        self._last = ""
        self._problems: dict[str, str] = {}

    def __enter__(self) -> "_Told":
        if self._console.is_terminal:
            self._line.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._line.stop()

    def message(self, message: "Message") -> None:
        """Each sentence once; one that is taken back may come again."""
        if message.text and self._problems.get(message.topic) != message.text:
            if self._console.is_terminal:
                self._console.print(message.text, markup=False, soft_wrap=True)
            else:
                print(message.text, file=sys.stderr, flush=True)  # noqa: T201
        self._problems[message.topic] = message.text

    def status(self, status: "SessionStatus", words: str) -> None:
        if self._console.is_terminal:
            from rich.text import Text

            rates = status.rates
            figures = f"{rates.inference:.1f} segmented, {rates.display:.0f} drawn a second"
            line = f"{words} · {figures} · {clock(time.monotonic() - self._begun)}"
            self._line.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        elif words != self._last:
            self._last = words
            print(words, flush=True)  # noqa: T201
