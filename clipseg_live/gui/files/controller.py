"""Controller of the file list: opens its files one at a time, and keeps their state."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer

from clipseg_live.core.addresses import SourceName
from clipseg_live.core.protocols import LiveSession
from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.core.status import SourceState, SourceStatus
from clipseg_live.core.system.paths import is_folder_or_pattern
from clipseg_live.gui.files.media_types import is_list, is_photo
from clipseg_live.gui.files.model import FileModel
from clipseg_live.gui.files.panel import FilePanel
from clipseg_live.gui.state.thread_bridge import BackgroundTask

if TYPE_CHECKING:
    from clipseg_live.media.sources.file_list import FileList

_STEP_MILLISECONDS = 80
"""Shortest time between two files that are opened while a key is held."""
_SETTLE_SECONDS = 2.0
"""Longest time for the session to show the requested photo, during which its status is of another one."""


class FileController(QObject):
    """Opens sources in the session. A folder, a pattern or several files become a list.

    Photos are one source of the session, which goes through them. Of a list with videos, one file is open at a time. It
    continues at the position at which it was left.
    """

    def __init__(self, session: LiveSession, model: FileModel, panel: FilePanel) -> None:
        super().__init__(panel)
        self._session = session
        self._model = model
        self._panel = panel
        self._spec: SourceSpec | None = None
        self._is_photo_set = False
        self._row = 0
        self._wanted: _Request | None = None
        self._positions: dict[Path, Fraction] = {}
        self._status = SourceStatus()
        self._is_hidden_by_user = self._is_canvas_only = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_STEP_MILLISECONDS)
        self._timer.timeout.connect(self._open_pending)
        self._pending: int | None = None
        panel.chosen.connect(self.go_to)
        panel.step_requested.connect(self.step)
        panel.hide()

    @property
    def has_list(self) -> bool:
        """Return whether there is a list of at least two files."""
        return len(self._model.files) > 1

    @property
    def spec(self) -> SourceSpec | None:
        """The source as it was opened, which may be a list; None for none."""
        return self._spec

    @property
    def is_photo_set(self) -> bool:
        """Return whether the list is a set of photos, which are one source of the session."""
        return self.has_list and self._is_photo_set

    @property
    def file(self) -> Path | None:
        """The file of the list that is shown; None without a list."""
        return self._model.files[self._row] if self.has_list else None

    @property
    def source_name(self) -> str:
        """Name of the source that is open in the session: the file of a list, or the source itself; "" for none."""
        if self.file is not None and not self._is_photo_set:
            return str(self.file)
        return self._spec.name.reveal() if self._spec is not None else ""

    @property
    def title(self) -> str:
        """Name of the shown file of a list with videos, else ""."""
        return self.file.name if self.file is not None and not self._is_photo_set else ""

    def note_source(self, spec: SourceSpec) -> None:
        """Take note of the source that is open in the session, which ``open`` has not opened."""
        self._spec = spec

    def open(self, spec: SourceSpec) -> None:
        """Open a source. The files of a list are found in the background."""
        self._spec = spec
        self._wanted = None
        self._pending = None
        self._positions = {}
        self._set_files((), is_photo_set=False)
        if not is_list(spec):
            self._session.open(spec)
            return
        names = [name.reveal() for name in (spec.name, *spec.more)]
        opened: bool | None = None
        if spec.more and not any(is_folder_or_pattern(name) for name in names):  # the first is known without a search
            opened = all(is_photo(Path(name)) for name in names)
            self._session.open(spec if opened else _spec_of(spec, Path(names[0])))
        task = BackgroundTask(lambda: _list_files(names), self)
        task.succeeded.connect(self._when_current(spec, task, lambda found: self._show_list(found, opened)))
        task.failed.connect(self._when_current(spec, task, lambda _: self._session.open(spec)))  # it reports the error
        task.start()

    def reopen(self) -> None:
        """Open the shown file again, after an error."""
        if self.has_list and not self._is_photo_set:
            self._open_row(self._row)
        elif self._spec is not None:
            self.open(self._spec)

    def step(self, files: int) -> None:
        """Go forward by a number of files, negative for back, as far as the list reaches."""
        row = self._row if self._pending is None else self._pending
        self.go_to(min(max(row + files, 0), len(self._model.files) - 1))

    def go_to(self, row: int) -> None:
        """Show a file of the list. While a key is held, files in between are left out."""
        current = self._row if self._pending is None else self._pending
        if not self.has_list or not 0 <= row < len(self._model.files) or row == current:
            return
        self._panel.show_row(row)
        self._pending = row
        if not self._timer.isActive():
            self._open_pending()

    def toggle_panel(self) -> None:
        """Show or hide the list."""
        if self.has_list:
            self._is_hidden_by_user = not self._is_hidden_by_user
            self._show_panel()

    def show_canvas_only(self, canvas_only: bool) -> None:
        """Hide the list in full screen."""
        self._is_canvas_only = canvas_only
        self._show_panel()

    def show_status(self, status: SourceStatus) -> None:
        """Follow the session to the photo that it shows, and mark a file that it cannot read."""
        self._status = status
        if not self.has_list:
            return
        if self._is_photo_set and status.photos == len(self._model.files):
            row = status.photo - 1
            if self._wanted is not None and (row == self._wanted.row or time.monotonic() > self._wanted.until):
                self._wanted = None
            if self._wanted is None and self._pending is None and row != self._row:
                self._set_row(row)
            if self._wanted is None:
                self._model.set_problem(row, status.problem)
        elif not self._is_photo_set and self._pending is None:
            if status.state is SourceState.FAILED:
                self._model.set_problem(self._row, status.problem)
            elif status.state in (SourceState.RUNNING, SourceState.PAUSED):
                self._model.set_problem(self._row, "")

    def _when_current(
        self, spec: SourceSpec, task: BackgroundTask, action: Callable[[Any], None]
    ) -> Callable[[Any], None]:
        """Return a function that calls ``action`` unless another source was opened meanwhile."""

        def run(value: Any) -> None:
            task.deleteLater()
            if spec is self._spec:
                action(value)

        return run

    def _show_list(self, found: "FileList", opened: bool | None) -> None:
        """Show the list that was found.

        Args:
            found: the list.
            opened: whether a set of photos is open already (True) or its first file (False); None if nothing is.
        """
        assert self._spec is not None
        files, is_photo_set = found.files, found.is_photo_set
        first = Path(self._spec.name.reveal())
        row = files.index(first) if not is_photo_set and first in files else 0
        self._set_files(files, is_photo_set=is_photo_set)
        if opened is is_photo_set:
            self._set_row(row)
        elif is_photo_set:
            self._session.open(_spec_of(self._spec, *files) if self._spec.more and files else self._spec)
        else:
            self._open_row(row)

    def _set_files(self, files: tuple[Path, ...], *, is_photo_set: bool) -> None:
        self._is_photo_set = is_photo_set
        self._row = 0
        self._model.set_files(files)
        self._show_panel()
        if self.has_list:
            self._panel.show_row(0)

    def _show_panel(self) -> None:
        self._panel.setVisible(self.has_list and not self._is_canvas_only and not self._is_hidden_by_user)

    def _open_pending(self) -> None:
        if self._pending is not None:
            row, self._pending = self._pending, None
            self._open_row(row)
            self._timer.start()

    def _open_row(self, row: int) -> None:
        self._leave()
        self._set_row(row)
        if self._is_photo_set:
            self._wanted = _Request(row, time.monotonic() + _SETTLE_SECONDS)
            self._session.seek(Fraction(row))
        elif self._spec is not None:
            file = self._model.files[row]
            self._session.open(_spec_of(self._spec, file))
            if file in self._positions:
                self._session.seek(self._positions[file])

    def _leave(self) -> None:
        """Keep the position of the file that is left."""
        if self.file is None or self._is_photo_set or not self._status.seekable:
            return
        if self._status.state is SourceState.ENDED:
            self._positions.pop(self.file, None)  # it starts again
        else:
            self._positions[self.file] = self._status.position

    def _set_row(self, row: int) -> None:
        if not self.has_list:
            return
        self._row = row
        self._panel.show_row(row)


@dataclass(frozen=True, slots=True)
class _Request:
    """A photo that the session is about to show, and the time until which its status is waited for."""

    row: int
    until: float


def _spec_of(spec: SourceSpec, first: Path, *more: Path) -> SourceSpec:
    """Return a source of other files with the options of ``spec``."""
    names = tuple(SourceName(str(path)) for path in more)
    return spec.model_copy(update={"name": SourceName(str(first)), "more": names})


def _list_files(names: list[str]) -> "FileList":
    from clipseg_live.media.sources.file_list import list_files

    return list_files(names)
