"""Handle that drags a row of a list."""

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QWidget

from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import FIELD_HEIGHT


class DragHandle(QWidget):
    """Handle that drags a row.

    Attributes:
        lifted: signal, the drag has begun.
        dragged: signal with the position of the pointer on the screen.
        dropped: signal, the row was dropped.
        cancelled: signal, the drag was cancelled.
    """

    lifted = Signal()
    dragged = Signal(QPointF)
    dropped = Signal()
    cancelled = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedSize(14, FIELD_HEIGHT)
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        self.setAccessibleName(name)
        self.setToolTip(name)
        self._pressed: QPointF | None = None
        self._dragging = False

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Remember where a drag may begin."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed = event.globalPosition()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Begin or continue the drag."""
        if self._pressed is None:
            return
        position = event.globalPosition()
        if not self._dragging:
            if (position - self._pressed).manhattanLength() < QApplication.startDragDistance():
                return
            self._dragging = True
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
            self.grabKeyboard()
            self.lifted.emit()
        self.dragged.emit(position)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Drop the row."""
        if event.button() == Qt.MouseButton.LeftButton and self._end():
            self.dropped.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Cancel the drag on Escape. Other keys are ignored during a drag."""
        if event.key() == Qt.Key.Key_Escape and self._end():
            self.cancelled.emit()

    def hideEvent(self, event: QEvent) -> None:
        """Cancel the drag, for example if an undo has removed the row."""
        if self._end():
            self.cancelled.emit()

    def _end(self) -> bool:
        was_dragging = self._dragging
        self._dragging = False
        self._pressed = None
        if was_dragging:
            self.releaseKeyboard()
            self.setCursor(Qt.CursorShape.OpenHandCursor)
        return was_dragging

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the dots."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.qcolour(theme.MUTED if self.underMouse() else theme.FAINT))
        middle = QRectF(self.rect()).center()
        for x in (-2.5, 2.5):
            for y in (-5.0, 0.0, 5.0):
                painter.drawEllipse(middle + QPointF(x, y), 1.2, 1.2)
        painter.end()
