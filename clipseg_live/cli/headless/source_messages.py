"""Messages on standard error about a live source that is lost and comes back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clipseg_live.core.status import SourceStatus


class SourceMessages:
    """Messages about a source, one for each loss and one for each return."""

    def __init__(self) -> None:
        self._lost = False
        self._photo = ""
        self.photos = 0
        """Number of photos that could not be read."""

    def news(self, status: "SourceStatus") -> str:
        """Return a message about changes since the last call, or "".

        Changes are: the source was lost or came back, or a photo could not be read.
        """
        from clipseg_live.core.status import SourceState

        if status.photos:
            problem, self._photo = self._photo, status.problem
            if not status.problem or status.problem == problem:
                return ""
            self.photos += 1
            return status.problem

        lost = status.state is SourceState.RECONNECTING
        if lost == self._lost or (self._lost and status.state is not SourceState.RUNNING):
            return ""
        self._lost = lost
        return f"{status.problem} Reconnecting..." if lost else f"{status.name} is back."
