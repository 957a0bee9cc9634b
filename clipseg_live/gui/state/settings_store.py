"""The one owner of a window's settings: edits with undo and redo; widgets show it and ask it for changes."""

from PySide6.QtCore import QObject, Signal

from clipseg_live.core.settings.live import LiveSettings, PromptRow

UNDO_STEPS = 200


class Store(QObject):
    """The settings of a window, and the way back.

    changed: emitted after every change, without a payload; read ``settings``.
    """

    changed = Signal()

    def __init__(self, settings: LiveSettings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._past: list[LiveSettings] = []
        self._future: list[LiveSettings] = []
        self._merging = ""

    @property
    def settings(self) -> LiveSettings:
        return self._settings

    @property
    def can_undo(self) -> bool:
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    def edit(self, settings: LiveSettings, merge: str = "") -> None:
        """Change over to ``settings``. Edits in a row with the same non-empty ``merge`` ("threshold of row 3") are one
        step of undo, as when a slider is dragged."""
        if settings == self._settings:
            return
        if not (merge and merge == self._merging):
            self._past = [*self._past, self._settings][-UNDO_STEPS:]
        self._future = []
        self._merging = merge
        self._settings = settings
        self.changed.emit()

    def update(self, merge: str = "", **values: object) -> None:
        """``edit`` with some fields of the settings changed. Raises pydantic's ValidationError for impossible ones."""
        self.edit(type(self._settings).model_validate({**dict(self._settings), **values}), merge)

    def edit_row(self, row: PromptRow, merge: str = "") -> None:
        """``edit`` with the row of the same id replaced; nothing happens where there is none."""
        rows = tuple(row if each.id == row.id else each for each in self._settings.rows)
        self.update(merge, rows=rows)

    def end_merge(self) -> None:
        """The next edit is a step of its own, as when a slider is let go."""
        self._merging = ""

    def undo(self) -> None:
        if self._past:
            self._future.append(self._settings)
            self._settings = self._past.pop()
            self._merging = ""
            self.changed.emit()

    def redo(self) -> None:
        if self._future:
            self._past.append(self._settings)
            self._settings = self._future.pop()
            self._merging = ""
            self.changed.emit()
