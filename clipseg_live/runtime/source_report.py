"""Status of one source, as its reading thread reports it to other threads."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from clipseg_live.core.addresses import SourceName, redact
from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.frame import Frame
from clipseg_live.core.state_machine import SOURCE, StateMachine
from clipseg_live.core.status import SourceState, SourceStatus

logger = logging.getLogger(__name__)


class SourceReport:
    """The status of a source. The reading thread changes it; any thread may call ``current_status``."""

    def __init__(self, name: SourceName, on_change: Callable[[], None]) -> None:
        """Create the report of a closed source.

        Args:
            name: Name of the source.
            on_change: Called in the reading thread after each change, except for changes of the position.
        """
        self._machine = StateMachine(SourceState.CLOSED, SOURCE)
        self._on_change = on_change
        self._operation: tuple[str, float, float] | None = None
        self.status = SourceStatus(name=str(name))

    @property
    def state(self) -> SourceState:
        """Return the state of the source."""
        return self._machine.state

    def current_status(self) -> SourceStatus:
        """Return the status. A device that has not responded for too long counts as lost."""
        status, operation = self.status, self._operation
        if operation is None:
            return status
        name, start, limit = operation
        waited = time.monotonic() - start
        if waited < limit:
            return status
        is_opening = status.state is SourceState.OPENING
        return replace(
            status,
            state=SourceState.FAILED if is_opening else SourceState.RECONNECTING,
            problem=f"{status.name} has not responded for {waited:.0f} seconds ({name}): check its connection.",
        )

    @contextmanager
    def operation(self, name: str, limit: float) -> Iterator[None]:
        """Note that the thread waits for a device, so that ``current_status`` knows for how long.

        Args:
            name: Name of the operation, for messages.
            limit: Seconds after which the device counts as lost.
        """
        self._operation = name, time.monotonic(), limit
        try:
            yield
        finally:
            self._operation = None

    def set_state(self, state: SourceState, **changes: object) -> None:
        """Change the state, and other values of the status."""
        if state is not self._machine.state:
            logger.info("The source is %s", state.value)
        self._machine.to(state)
        self.change(state=state, **changes)

    def change(self, **changes: object) -> None:
        """Change values of the status other than the state."""
        self.status = replace(self.status, **changes)  # type: ignore[arg-type]
        self._on_change()

    def set_position(self, frame: Frame) -> None:
        """Note the position of a frame, and the name and size of a photo."""
        self.status = replace(self.status, position=frame.time)
        if self.status.photos:
            name = frame.file.name if frame.file is not None else ""
            self.status = replace(
                self.status, photo=int(frame.time) + 1, file=name, width=frame.width, height=frame.height, problem=""
            )


def describe_read_failure(error: Exception, name: SourceName) -> str:
    """Return a message for an error of a source."""
    if isinstance(error, ClipsegLiveError):
        return str(error)
    return f"{name} failed unexpectedly ({type(error).__name__}: {' '.join(redact(str(error)).split())[:160]})."
