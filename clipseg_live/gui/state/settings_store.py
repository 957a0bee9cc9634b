"""The window's settings, with undo and redo."""

from PySide6.QtCore import QObject, Signal

from clipseg_live.core.settings.live import LiveSettings, PromptRow

UNDO_STEPS = 200


class Store(QObject):
    """Owner of the settings of a window. Widgets show the settings and request edits.

    Attributes:
        changed: signal without arguments, emitted after every change.
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
        """The current settings."""
        return self._settings

    @property
    def can_undo(self) -> bool:
        """Return True if there is an edit to undo."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Return True if there is an edit to redo."""
        return bool(self._future)

    def edit(self, settings: LiveSettings, merge: str = "") -> None:
        """Replace the settings.

        Args:
            settings: the new settings.
            merge: key of the edit, for example "threshold of row 3". Consecutive edits with the same non-empty key are
                one undo step, as when a slider is dragged.
        """
        if settings == self._settings:
            return
        if not (merge and merge == self._merging):
            self._past = [*self._past, self._settings][-UNDO_STEPS:]
        self._future = []
        self._merging = merge
        self._settings = settings
        self.changed.emit()

    def update(self, merge: str = "", **values: object) -> None:
        """Edit some fields of the settings.

        Args:
            merge: as for ``edit``.
            **values: new values by field name.

        Raises:
            ValidationError: pydantic's, if a value is invalid.
        """
        self.edit(type(self._settings).model_validate({**dict(self._settings), **values}), merge)

    def edit_row(self, row: PromptRow, merge: str = "") -> None:
        """Replace the row with the same id. Nothing happens if there is none."""
        rows = tuple(row if other.id == row.id else other for other in self._settings.rows)
        self.update(merge, rows=rows)

    def end_merge(self) -> None:
        """Make the next edit a separate undo step, as when a slider is released."""
        self._merging = ""

    def undo(self) -> None:
        """Undo the last edit."""
        if self._past:
            self._future.append(self._settings)
            self._settings = self._past.pop()
            self._merging = ""
            self.changed.emit()

    def redo(self) -> None:
        """Redo the last undone edit."""
        if self._future:
            self._past.append(self._settings)
            self._settings = self._future.pop()
            self._merging = ""
            self.changed.emit()
