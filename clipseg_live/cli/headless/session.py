"""Live session on a terminal, without a window: its status line, its messages and its end."""

import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol

from clipseg_live.cli.headless.source_messages import SourceMessages
from clipseg_live.core.system import console, signals
from clipseg_live.core.system.times import format_time

if TYPE_CHECKING:
    from clipseg_live.core.settings.live import LiveSettings, SourceSpec
    from clipseg_live.core.status import Message, SessionStatus
    from clipseg_live.runtime.session import Session

_LOOK_SECONDS = 0.1
_FIRST_SECONDS = 120.0
"""Longest wait for the first frame with masks, from the first prediction."""
_STOP_SECONDS = 10.0
"""Longest wait for the end of all threads except the recording. A window, where a user waits, has less time."""


class Job(Protocol):
    """The purpose of a session."""

    def begin(self, session: "Session") -> None:
        """Start the job. Called once, after the source was requested."""

    def look(self, session: "Session", status: "SessionStatus") -> bool:
        """Continue the job, and return False when it is done. Called many times a second.

        Raises:
            Failure: The job cannot be done.
        """

    def hear(self, message: "Message") -> bool:
        """Take a message of the session, and return whether to print it now."""

    def describe(self, status: "SessionStatus") -> str:
        """Return the present state in one line."""


def run_session(settings: "LiveSettings", spec: "SourceSpec", job: Job, *, loop: bool = False) -> "SessionStatus":
    """Run a session until the job is done, or a signal or closed output ends it, and return its last status.

    Args:
        settings: Settings of the session.
        spec: Source.
        job: Purpose of the session.
        loop: Whether files start again at their end.

    Raises:
        Failure: The source or the model cannot be used, the worker failed too often, the job failed, or a thread did
            not end.
    """
    from clipseg_live.app.session import make_session, open_session_source
    from clipseg_live.core.errors import Failure

    open_session_source(spec)  # reject an unknown name at once
    begun = time.monotonic()
    said: queue.SimpleQueue[Message] = queue.SimpleQueue()
    with signals.raising():
        session = make_session(settings, exact_model=True)
        session.on_message = said.put
        told = _Told(begun)
        try:
            session.start()
            session.set_loop(loop)
            session.open(spec)
            job.begin(session)
            with told:
                watch = ResponseWatch()
                source = SourceMessages()
                going = True
                while going:
                    messages = [said.get() for _ in range(said.qsize())]
                    status = session.status()
                    watch.check(session, status)  # before the messages about the same problem
                    going = job.look(session, status) and not console.is_closed()
                    for message in messages:
                        if job.hear(message):
                            told.message(message)
                    told.sentence(source.news(status.source))
                    told.status(status, job.describe(status))
                    threading.Event().wait(_LOOK_SECONDS if going else 0)
        except KeyboardInterrupt:
            pass
        finally:
            left = session.stop(_STOP_SECONDS)
            ending = str(sys.exc_info()[1] or "")
            for message in [said.get() for _ in range(said.qsize())]:
                if job.hear(message) and message.text != ending:
                    told.message(message)
    if left:
        raise Failure(f"{', '.join(left)} did not stop in time, because a device or file blocks it.")
    return session.status()


class ResponseWatch:
    """Ends a command that would wait for ever, because no user can restart or change anything.

    A source that was open may be lost and come back. The worker is restarted a few times by itself.
    """

    def __init__(self) -> None:
        self._had_source = self._had_masks = False
        self._answered_at: float | None = None

    def check(self, session: "Session", status: "SessionStatus") -> None:
        """Check the status of the session.

        Args:
            session: Session.
            status: Present status of the session.

        Raises:
            Failure: The source cannot be opened, the worker waits for a restart or rejects the prompts or frames, or
                no frame gets masks although the worker gives predictions.
        """
        from clipseg_live.core.errors import Failure
        from clipseg_live.core.status import SourceState, WorkerState

        source, worker = status.source, status.worker
        self._had_source |= source.state is SourceState.RUNNING
        if source.state is SourceState.FAILED and not self._had_source:
            raise Failure(source.problem)
        if worker.state is WorkerState.WAITING or (worker.state is WorkerState.READY and worker.problem):
            raise Failure(worker.problem)
        self._had_masks = self._had_masks or has_masks(session)
        waits = worker.version > 0 and source.state in (SourceState.RUNNING, SourceState.PAUSED, SourceState.ENDED)
        if self._had_masks or not waits:
            self._answered_at = None
        elif self._answered_at is None:
            self._answered_at = time.monotonic()
        elif time.monotonic() > self._answered_at + _FIRST_SECONDS:
            raise Failure(f"No frame with masks could be drawn within {_FIRST_SECONDS:g} seconds: the log has details.")


def has_masks(session: "Session") -> bool:
    """Return whether the session shows a frame with masks."""
    picture = session.picture()
    return picture is not None and picture.mattes is not None and bool(picture.mattes.each)


class _Told:
    """Prints the state of a session: on a terminal in one line that changes, elsewhere a line for each change."""

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
        """Print each message once. One that was cleared may be printed again."""
        if self._problems.get(message.topic) != message.text:
            self.sentence(message.text)
        self._problems[message.topic] = message.text

    def sentence(self, text: str) -> None:
        """Print a text on standard error, unless it is empty."""
        if text and self._console.is_terminal:
            self._console.print(text, markup=False, soft_wrap=True)
        elif text:
            print(text, file=sys.stderr, flush=True)  # noqa: T201

    def status(self, status: "SessionStatus", words: str) -> None:
        """Print the present state."""
        if self._console.is_terminal:
            from rich.text import Text

            rates = status.rates
            figures = f"{rates.inference:.1f} predictions and {rates.display:.0f} frames per second"
            line = f"{words} · {figures} · {format_time(time.monotonic() - self._begun)}"
            self._line.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        elif words != self._last:
            self._last = words
            print(words, flush=True)  # noqa: T201
