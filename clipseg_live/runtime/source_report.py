"""The state of one source, as the thread that reads it reports it to others."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from clipseg_live.core.addresses import SourceName, redact
from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.frame import Frame
from clipseg_live.core.settings.live import SourceState, SourceStatus
from clipseg_live.core.state_machine import SOURCE, StateMachine

logger = logging.getLogger(__name__)


class SourceReport:
    """Holds the status of a source. The reading thread changes it; any thread may call ``now``."""

    def __init__(self, name: SourceName, on_change: Callable[[], None]) -> None:
        """Args: on_change: called in the reading thread after each change but that of the position."""
        self._machine = StateMachine(SourceState.CLOSED, SOURCE)
        self._on_change = on_change
        self._inside: tuple[str, float, float] | None = None
        self.status = SourceStatus(name=str(name))

    @property
    def state(self) -> SourceState:
        return self._machine.state

    def now(self) -> SourceStatus:
        """Return the status; a device that has not answered for too long counts as lost."""
        status, inside = self.status, self._inside
        if inside is None:
            return status
        what, since, limit = inside
        waited = time.monotonic() - since
        if waited < limit:
            return status
        never = status.state is SourceState.OPENING
        return replace(
            status,
            state=SourceState.FAILED if never else SourceState.RECONNECTING,
            problem=f"{status.name} has not answered for {waited:.0f} seconds ({what}).",
        )

    @contextmanager
    def entered(self, what: str, limit: float) -> Iterator[None]:
        """Note that the thread is inside a device, so that ``now`` can tell for how long."""
        self._inside = what, time.monotonic(), limit
        try:
            yield
        finally:
            self._inside = None

    def to(self, state: SourceState, **changes: object) -> None:
        """Go to a state."""
        if state is not self._machine.state:
            logger.info("The source is %s", state.value)
        self._machine.to(state)
        self.change(state=state, **changes)

    def change(self, **changes: object) -> None:
        """Change other values of the status."""
        self.status = replace(self.status, **changes)  # type: ignore[arg-type]
        self._on_change()

    def reached(self, frame: Frame) -> None:
        """Note the position of a frame, and of a photo its name and size."""
        self.status = replace(self.status, position=frame.time)
        if self.status.photos:
            name = frame.file.name if frame.file is not None else ""
            self.status = replace(
                self.status, photo=int(frame.time) + 1, file=name, width=frame.width, height=frame.height, problem=""
            )


def describe_read_failure(error: Exception, name: SourceName) -> str:
    """Return a sentence about an error of a source."""
    if isinstance(error, ClipsegLiveError):
        return str(error)
    return f"{name} broke off unexpectedly ({type(error).__name__}: {' '.join(redact(str(error)).split())[:160]})."
