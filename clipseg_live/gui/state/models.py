"""The known models, the requested one, and the one that runs."""

from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from clipseg_live.core.status import WorkerState, WorkerStatus
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.state.thread_bridge import BackgroundTask

if TYPE_CHECKING:
    from clipseg_live.model.store.catalogue import CatalogueEntry

BUSY = (WorkerState.STARTING, WorkerState.LOADING, WorkerState.RESTARTING)
"""States of the worker in which a model is being loaded."""


class Models(QObject):
    """Models of a window: what is on disk, what the settings request, and what the worker runs.

    Args:
        store: the settings.
        list_models: returns the known models; called in a background thread.
        parent: parent object.

    Attributes:
        changed: signal without arguments, emitted after every change.
        retry_requested: signal, the user wants to load the requested model again.
    """

    changed = Signal()
    retry_requested = Signal()

    def __init__(
        self, store: Store, list_models: Callable[[], Sequence["CatalogueEntry"]], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._store = store
        self._entries: Sequence[CatalogueEntry] = ()
        self._worker = WorkerStatus()
        self._task = BackgroundTask(list_models, self)
        self._task.succeeded.connect(self._show_entries)
        store.changed.connect(self.changed)

    @property
    def entries(self) -> Sequence["CatalogueEntry"]:
        """The known models; empty before the first list."""
        return self._entries

    @property
    def worker(self) -> WorkerStatus:
        """Status of the worker."""
        return self._worker

    @property
    def requested(self) -> str:
        """Full name, or folder, of the model that the settings request."""
        name = self._store.settings.engine.model
        return next((entry.name for entry in self._entries if name in entry.aliases), name)

    @property
    def running(self) -> str:
        """Full name, or folder, of the model that makes the masks now; "" for none."""
        return self._worker.model if self._worker.state is WorkerState.READY else ""

    @property
    def loading(self) -> str:
        """Full name, or folder, of the model that is being loaded; "" for none."""
        return self.requested if self._worker.state in BUSY else ""

    @property
    def problem(self) -> str:
        """One sentence on why the requested model does not run; "" if it does, or is being loaded."""
        if self._worker.state is WorkerState.WAITING:
            return self._worker.problem
        return self._worker.replaced if self._worker.state is WorkerState.READY else ""

    def refresh(self) -> None:
        """Read the state of the models on disk again, in the background."""
        self._task.start()

    def show_worker(self, worker: WorkerStatus) -> None:
        """Show the status of the worker."""
        if worker == self._worker:
            return
        was_running = self.running
        self._worker = worker
        if self.running != was_running and self._entries:
            self.refresh()  # a download may have ended
        self.changed.emit()

    def choose(self, name: str) -> None:
        """Request a model, or load it again if it is the requested one.

        Args:
            name: name or folder of the model.
        """
        if name == self.requested:
            self.retry_requested.emit()
        else:
            engine = self._store.settings.engine.model_copy(update={"model": name})
            self._store.update(engine=engine)

    def _show_entries(self, entries: Sequence["CatalogueEntry"]) -> None:
        self._entries = entries
        self.changed.emit()


def model_title(name: str) -> str:
    """Return the short name of a model: the last part of its name or folder, without the prefix of CLIPSeg."""
    return (PurePath(name).name or name).removeprefix("clipseg-")
