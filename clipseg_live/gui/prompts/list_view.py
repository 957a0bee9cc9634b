"""Scrolling list of prompt rows that can be reordered by dragging."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPointF, QSize, Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from clipseg_live.gui.prompts.row import PromptRowWidget
from clipseg_live.gui.widgets import theme

_GAP = 6
_EDGE = 28
"""Distance from the ends of the list at which a drag scrolls it, in pixels."""
_SCROLL = 10
_TICK = 16


class RowList(QScrollArea):
    """Scroll area that is as high as its rows if there is room.

    Attributes:
        moved: signal with the id of a dropped row and its new gap: 0 is before the first row.
    """

    moved = Signal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[PromptRowWidget] = []
        self._dragged: PromptRowWidget | None = None
        self._pointer = QPointF()
        self._scroll_target: QWidget | None = None
        self._content = QWidget()
        self._column = QVBoxLayout(self._content)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(_GAP)
        self._column.addStretch(1)
        self._line = QFrame(self._content)
        self._line.setStyleSheet(f"background: {theme.ACCENT}; border-radius: 1px;")
        self._line.hide()
        self._content.installEventFilter(self)
        self._scroll_timer = QTimer(self)
        self._scroll_timer.setInterval(_TICK)
        self._scroll_timer.timeout.connect(self._scroll)
        self.setWidget(self._content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.verticalScrollBar().rangeChanged.connect(self._scroll_to_row)

    @property
    def rows(self) -> tuple[PromptRowWidget, ...]:
        """The rows in their order."""
        return tuple(self._rows)

    @property
    def drop_line(self) -> QWidget:
        """The line that marks the gap during a drag."""
        return self._line

    def show_rows(self, rows: Sequence[PromptRowWidget]) -> None:
        """Show these rows in this order. Widgets that are already in the list keep the focus."""
        for row in self._rows:
            if row not in rows:
                if row is self._dragged:
                    self._cancel()
                self._column.removeWidget(row)
        for index, row in enumerate(rows):
            if row not in self._rows:
                row.drag_handle.lifted.connect(self._lift)
                row.drag_handle.dragged.connect(self._drag)
                row.drag_handle.dropped.connect(self._drop)
                row.drag_handle.cancelled.connect(self._cancel)
            if self._column.indexOf(row) != index:
                self._column.removeWidget(row)
                self._column.insertWidget(index, row)
                row.show()
        self._rows = list(rows)
        self.updateGeometry()

    def scroll_to(self, row: QWidget) -> None:
        """Scroll to a row once it has been laid out."""
        self._scroll_target = row
        QTimer.singleShot(0, self._scroll_to_row)

    def sizeHint(self) -> QSize:
        """Return the size of all rows."""
        return QSize(self._content.sizeHint().width(), self._content.sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Return the smallest width of the rows and no height."""
        return QSize(self._content.minimumSizeHint().width(), 0)

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        """Follow the size of the rows."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)  # type: ignore[arg-type]

    def _scroll_to_row(self) -> None:
        if self._scroll_target is not None and self._scroll_target in self._rows:
            self._column.activate()
            self.ensureWidgetVisible(self._scroll_target, 0, _GAP)
        self._scroll_target = None

    # ---- dragging

    def _lift(self) -> None:
        drag_handle = self.sender()
        self._dragged = next((row for row in self._rows if row.drag_handle is drag_handle), None)
        if self._dragged is not None:
            self._dragged.set_lifted(True)
            self._scroll_timer.start()

    def _drag(self, pointer: QPointF) -> None:
        if self._dragged is None:
            return
        self._pointer = pointer
        gap = self._gap()
        above = self._rows[gap - 1].geometry().bottom() + 1 if gap else 0
        below = self._rows[gap].y() if gap < len(self._rows) else above
        middle = (above + below) // 2 if gap and gap < len(self._rows) else above if gap else below
        top = min(max(middle - 1, 0), self._content.height() - 2)
        self._line.setGeometry(2, top, self._content.width() - 4, 2)
        self._line.raise_()
        self._line.show()

    def _drop(self) -> None:
        row, gap = self._dragged, self._gap()
        self._cancel()
        if row is not None:
            self.moved.emit(row.row_id, gap)

    def _cancel(self) -> None:
        self._scroll_timer.stop()
        self._line.hide()
        if self._dragged is not None:
            self._dragged.set_lifted(False)
        self._dragged = None

    def _gap(self) -> int:
        """Return the gap between rows that is nearest to the pointer."""
        y = self._content.mapFromGlobal(self._pointer).y()
        return sum(row.geometry().center().y() < y for row in self._rows)

    def _scroll(self) -> None:
        y = self.viewport().mapFromGlobal(self._pointer).y()
        step = -_SCROLL if y < _EDGE else _SCROLL if y > self.viewport().height() - _EDGE else 0
        bar = self.verticalScrollBar()
        old_value = bar.value()
        bar.setValue(old_value + step)
        if bar.value() != old_value:
            self._drag(self._pointer)
