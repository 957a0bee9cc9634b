"""A virtual camera on a terminal: its line of figures, what is said meanwhile, and its end."""

import queue
import sys
import threading
import time
from typing import TYPE_CHECKING

from clipseg_live.cli.export_run import clock, terminated_like_interrupted

if TYPE_CHECKING:
    from clipseg_live.core.live import LiveSettings, Message, SessionStatus, SourceSpec
    from clipseg_live.core.virtual_camera import CameraSettings

_LOOK_SECONDS = 0.1
_RESTART_SECONDS = 60.0
"""Until a worker that failed too often is started again: there is no window to do it in."""


def run_camera(settings: "LiveSettings", spec: "SourceSpec", wanted: "CameraSettings") -> None:
    """Run until Ctrl-C or SIGTERM. Files begin anew at their end.

    Raises Failure where source, model or virtual camera cannot be had at the beginning, and where something had to be
    left behind at the end.
    """
    from clipseg_live.assemble.live import make_session, open_live_source
    from clipseg_live.core.errors import Failure

    open_live_source(spec)  # a name that means nothing is told at once
    begun = time.monotonic()
    said: queue.SimpleQueue[Message] = queue.SimpleQueue()
    with terminated_like_interrupted():
        session = make_session(settings)
        session.on_message = said.put
        try:
            session.start()
            session.set_loop(True)
            session.open(spec)
            session.start_camera(wanted)
            with _Told(begun) as told:
                watch = _Watch()
                while True:
                    messages = [said.get() for _ in range(said.qsize())]
                    status = session.status()
                    watch.check(status)  # before what was said about the same
                    for message in messages:
                        told.message(message)
                    if watch.wants_restart(status):
                        session.restart_worker()
                    told.status(status)
                    threading.Event().wait(_LOOK_SECONDS)
        except KeyboardInterrupt:
            pass
        finally:
            left = session.stop()
            sent = session.status().camera.sent
    if left:
        raise Failure(f"{', '.join(left)} did not end in time and was left behind: a device or file holds it.")
    print(f"{sent} pictures in {clock(time.monotonic() - begun)}.", flush=True)  # noqa: T201


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
        if status.camera.problem and not status.camera.sent:
            raise Failure(status.camera.problem)
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
    """On a terminal one line that changes; elsewhere a line for each change of what is shown."""

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

    def status(self, status: "SessionStatus") -> None:
        words = describe(status)
        if self._console.is_terminal:
            from rich.text import Text

            rates = status.rates
            figures = f"{rates.inference:.1f} segmented, {rates.display:.0f} drawn a second"
            line = f"{words} · {figures} · {clock(time.monotonic() - self._begun)}"
            self._line.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        elif words != self._last:
            self._last = words
            print(words, flush=True)  # noqa: T201


def describe(status: "SessionStatus") -> str:
    """What the virtual camera shows, and why, in one line."""
    camera = status.camera
    if not camera.device:
        return "The virtual camera opens" if not camera.problem else "The virtual camera is away"
    where = f"{camera.device}, {camera.width}×{camera.height}, {camera.rate:g} a second"
    return f"{where}: {'the safe picture, ' + why_safe(status) if camera.safe else 'on'}"


def why_safe(status: "SessionStatus") -> str:
    """Why the safe picture is shown."""
    from clipseg_live.core.live import SourceState, WorkerState

    source = {
        SourceState.OPENING: "the source opens", SourceState.RECONNECTING: "the source is away",
        SourceState.FAILED: "the source is away", SourceState.CLOSED: "there is no source",
    }.get(status.source.state)  # fmt: skip
    worker = {
        WorkerState.STOPPED: "the model is not loaded", WorkerState.STARTING: "the model loads",
        WorkerState.LOADING: "the model loads", WorkerState.RESTARTING: "the segmentation starts again",
        WorkerState.WAITING: "the segmentation stopped and is tried again in a minute",
    }.get(status.worker.state)  # fmt: skip
    return source or worker or "the first picture is on its way"
