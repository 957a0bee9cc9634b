"""Model of the file list: files with thumbnails, which are read in the background when they are shown."""

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QStringListModel, Qt, Signal
from PySide6.QtGui import QImage, QPixmap

from clipseg_live.gui.state.thread_bridge import BackgroundTask

THUMBNAIL_SIDE = 144
"""Longest side of a thumbnail in pixels, twice the size at which it is drawn."""
MOST_THUMBNAILS = 600
"""Largest number of thumbnails in memory, about 50 MB."""
_MOST_WAITING = 24
PROBLEM_ROLE = Qt.ItemDataRole.UserRole + 1
NOTE_ROLE = Qt.ItemDataRole.UserRole + 2

ModelIndex = QModelIndex | QPersistentModelIndex


@dataclass(slots=True)
class _Pictures:
    """Thumbnails by row, with the most recently used last."""

    by_row: OrderedDict[int, QPixmap] = field(default_factory=OrderedDict)

    def get(self, row: int) -> QPixmap | None:
        if row in self.by_row:
            self.by_row.move_to_end(row)
        return self.by_row.get(row)

    def put(self, row: int, picture: QPixmap) -> None:
        self.by_row[row] = picture
        while len(self.by_row) > MOST_THUMBNAILS:
            self.by_row.popitem(last=False)


class FileModel(QStringListModel):
    """The files of a list, each with a thumbnail, a problem and a note.

    A view asks for the thumbnails of the rows that it paints. They are read one after the other in the background.
    Requests for rows that were scrolled away are dropped.

    Names and the number of rows are in the base class, whose methods need no Python code: views call them once for each
    row, and each call would wait for background threads.

    Attributes:
        row_changed: signal with a row that looks different. It replaces ``dataChanged``, after which a QListView lays
            out all rows again, which takes a tenth of a second for 10,000 files.
        all_changed: signal, all rows look different.
    """

    row_changed = Signal(int)
    all_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.files: tuple[Path, ...] = ()
        self._problems: dict[int, str] = {}
        self._notes: dict[str, str] = {}
        self._pictures = _Pictures()
        self._waiting: OrderedDict[int, None] = OrderedDict()
        self._generation = 0
        self._rows: dict[str, int] = {}
        self._task: BackgroundTask | None = None
        self._hides_thumbnails = False

    def set_files(self, files: Sequence[Path]) -> None:
        """Show other files. Notes are kept by file."""
        self.files = tuple(files)
        self._rows = {}
        self._problems = {}
        self._pictures = _Pictures()
        self._waiting.clear()
        self._generation += 1
        self.setStringList([shown_name(file) for file in self.files])

    def hide_thumbnails(self, hidden: bool) -> None:
        """Show no thumbnails, because an effect hides something in the frames that they would show."""
        if hidden != self._hides_thumbnails:
            self._hides_thumbnails = hidden
            self.all_changed.emit()

    def problem(self, row: int) -> str:
        """Return why a file cannot be read, "" if nothing is known against it."""
        return self._problems.get(row, "")

    def set_problem(self, row: int, problem: str) -> None:
        """Mark a file that cannot be read; "" removes the mark."""
        if problem != self.problem(row) and row < len(self.files):
            self._problems.pop(row, None)
            if problem:
                self._problems[row] = problem
            self.row_changed.emit(row)

    def show_export(self, file: str, problem: str) -> None:
        """Note the outcome of the export of a file below its name. It is kept when another list is shown.

        Args:
            file: absolute path.
            problem: why the result is missing, "" if it is complete.
        """
        self._notes[file] = self.tr("Export failed: {0}").format(problem) if problem else self.tr("Exported")
        if not self._rows:
            self._rows = {os.path.abspath(listed): row for row, listed in enumerate(self.files)}
        if file in self._rows:
            self.row_changed.emit(self._rows[file])

    def _note(self, row: int) -> str:
        return self._notes.get(os.path.abspath(self.files[row]), "")

    def data(self, index: ModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return the name, thumbnail, problem or note of a file."""
        row = index.row()
        if not index.isValid() or row >= len(self.files):
            return None
        file = self.files[row]
        if role == Qt.ItemDataRole.DecorationRole:
            return None if self._hides_thumbnails else self._thumbnail(row)
        if role == PROBLEM_ROLE:
            return self.problem(row)
        if role == NOTE_ROLE:
            return self._note(row)
        texts = [text for text in (self.problem(row), self._note(row)) if text]
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join([shown_name(file, whole=True), *texts])
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ", ".join([shown_name(file), *texts])
        return super().data(index, role)

    def _thumbnail(self, row: int) -> QPixmap | None:
        picture = self._pictures.get(row)
        if picture is None and row not in self._problems:
            self._waiting[row] = None
            self._waiting.move_to_end(row)
            while len(self._waiting) > _MOST_WAITING:
                self._waiting.popitem(last=False)
            self._read_next()
        return picture

    def _read_next(self) -> None:
        if self._task is not None or not self._waiting:
            return
        row, _ = self._waiting.popitem(last=False)
        generation, file = self._generation, self.files[row]
        task = self._task = BackgroundTask(lambda: _read(file), self)
        task.succeeded.connect(lambda image: self._finish(generation, row, image, ""))
        task.failed.connect(lambda problem: self._finish(generation, row, None, problem))
        task.start()

    def _finish(self, generation: int, row: int, image: QImage | None, problem: str) -> None:
        if self._task is not None:
            self._task.deleteLater()
            self._task = None
        if generation == self._generation:
            if image is not None:
                self._pictures.put(row, QPixmap.fromImage(image))
                self.row_changed.emit(row)
            self.set_problem(row, problem)
        self._read_next()


def shown_name(file: Path, *, whole: bool = False) -> str:
    """Return the name of a file for display, which may have bytes that are not text; with ``whole`` its path."""
    return os.fsencode(file if whole else file.name).decode(errors="replace")


def _read(file: Path) -> QImage:
    from clipseg_live.media.sources.file_list import read_thumbnail

    pixels = read_thumbnail(file, THUMBNAIL_SIDE)
    height, width = pixels.shape[:2]
    return QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()
