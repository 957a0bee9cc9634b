"""Drawing of a box on the canvas, with the mouse or the keyboard."""

from PySide6.QtCore import QCoreApplication, QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QWidget

from clipseg_live.gui.canvas import painting
from clipseg_live.gui.canvas.viewport import Viewport
from clipseg_live.gui.widgets import theme

ARROWS = {
    Qt.Key.Key_Left: QPointF(-1, 0), Qt.Key.Key_Right: QPointF(1, 0),
    Qt.Key.Key_Up: QPointF(0, -1), Qt.Key.Key_Down: QPointF(0, 1),
}  # fmt: skip
_SMALLEST_BOX = 6.0
"""Smallest width and height of a box, in pixels of the canvas."""
_NUDGE = 0.02
_WHOLE_FRAME = QRectF(0, 0, 1, 1)
_FIRST_BOX = QRectF(0.3, 0.3, 0.4, 0.4)


class BoxTool(QObject):
    """Lets the user draw a box on the frame.

    The box is drawn with a drag, or with the arrow keys (with Shift they resize it) and Enter. Esc or another mouse
    button cancels it.

    Args:
        canvas: the widget that shows the frame.
        viewport: position and zoom of the frame.

    Attributes:
        shows_original: the box is drawn on the frame without effects.
        changed: signal, drawing has begun or ended.
        drawn: signal with the purpose and the box, a QRectF in shares (0 to 1) of the frame.
        cancelled: signal with the purpose.
    """

    changed = Signal()
    drawn = Signal(object, QRectF)
    cancelled = Signal(object)

    def __init__(self, canvas: QWidget, viewport: Viewport) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._viewport = viewport
        self._purpose: object = None
        self.shows_original = False
        self._corner: QPointF | None = None
        self._box: QRectF | None = None

    @property
    def purpose(self) -> object:
        """The purpose of the box that is being drawn; None without one."""
        return self._purpose

    @property
    def active(self) -> bool:
        """Return True while a box is being drawn."""
        return self._purpose is not None

    @property
    def dragging(self) -> bool:
        """Return True during a drag."""
        return self._corner is not None

    def begin(self, purpose: object, *, on_original: bool = False) -> None:
        """Let the user draw a box. Nothing happens without a frame.

        Args:
            purpose: passed on by the signals.
            on_original: show the frame without effects until the end.
        """
        if not self._viewport.has_frame or purpose is None:
            return
        self._purpose = purpose
        self.shows_original = on_original
        self._corner = self._box = None
        self._canvas.setCursor(Qt.CursorShape.CrossCursor)
        self._canvas.setFocus()
        self._canvas.update()
        self.changed.emit()

    def cancel(self) -> None:
        """Cancel the box that is being drawn, if any."""
        if self.active:
            self.cancelled.emit(self._end())

    def press(self, event: QMouseEvent) -> bool:
        """Begin a drag, or cancel the box. Return whether the event was used."""
        if not self.active:
            return False
        if event.button() == Qt.MouseButton.LeftButton:
            self._corner = self._viewport.to_share_inside(event.position())
            self._box = QRectF(self._corner, self._corner)
        else:
            self.cancel()
        return True

    def move(self, point: QPointF) -> None:
        """Continue the drag."""
        if self._corner is not None:
            self._box = QRectF(self._corner, self._viewport.to_share_inside(point)).normalized()

    def release(self) -> None:
        """Finish the drag."""
        if self._corner is None:
            return
        self._corner = None
        box = self._box_on_canvas()
        if box is None or min(box.width(), box.height()) < _SMALLEST_BOX:
            self._box = None  # a click or a line is not a box: let the user try again
        else:
            self._finish()

    def press_key(self, event: QKeyEvent) -> bool:
        """Move, resize, finish or cancel the box. Return whether the event was used."""
        if not self.active:
            return False
        arrow = ARROWS.get(Qt.Key(event.key()))
        if event.key() == Qt.Key.Key_Escape:
            self.cancel()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._box is not None:
            self._finish()
        elif arrow is not None and self._box is None:
            self._box = QRectF(_FIRST_BOX)
        elif arrow is not None and self._box is not None:
            resize = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self._box = nudge_box(self._box, arrow * _NUDGE, _WHOLE_FRAME, _NUDGE, resize=resize)
        self._canvas.update()
        return True

    def paint(self, painter: QPainter, bounds: QRectF, image: QImage | None) -> None:
        """Dim the frame outside the box and paint the instructions."""
        painting.paint_box(painter, bounds, self._viewport.frame_rect(), image, self._box_on_canvas())
        painting.paint_line(painter, bounds, self._instructions(), theme.ACCENT)

    def _instructions(self) -> str:
        if self._box is not None and not self.dragging:
            return _tr("Arrow keys move the box, Shift+arrow keys resize it. Enter to confirm, Esc to cancel.")
        return _tr("Drag to draw a box. Esc to cancel.")

    def _box_on_canvas(self) -> QRectF | None:
        return self._viewport.to_canvas(self._box) if self._box is not None else None

    def _finish(self) -> None:
        box = self._box
        purpose = self._end()
        if box is not None:
            self.drawn.emit(purpose, box)

    def _end(self) -> object:
        purpose = self._purpose
        self._purpose = self._corner = self._box = None
        self.shows_original = False
        self._canvas.unsetCursor()
        self._canvas.update()
        self.changed.emit()
        return purpose


def nudge_box(box: QRectF, step: QPointF, bounds: QRectF, smallest: float, *, resize: bool) -> QRectF:
    """Return a box moved or resized by one step.

    Args:
        box: the box.
        step: the step.
        bounds: the result stays inside this rectangle.
        smallest: smallest width and height of the result.
        resize: whether to resize the box instead of moving it.
    """
    box = QRectF(box)
    if resize:
        box.setWidth(min(max(box.width() + step.x(), smallest), bounds.right() - box.left()))
        box.setHeight(min(max(box.height() + step.y(), smallest), bounds.bottom() - box.top()))
    else:
        box.moveLeft(min(max(box.left() + step.x(), bounds.left()), bounds.right() - box.width()))
        box.moveTop(min(max(box.top() + step.y(), bounds.top()), bounds.bottom() - box.height()))
    return box


def _tr(text: str) -> str:
    return QCoreApplication.translate("BoxTool", text)
