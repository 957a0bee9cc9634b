"""Dragging of the line of a wipe on the canvas."""

from PySide6.QtCore import QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter
from PySide6.QtWidgets import QWidget

from clipseg_live.gui.canvas import painting
from clipseg_live.gui.canvas.viewport import Viewport

_REACH = 7.0
"""Distance from the line at which it can be dragged, in pixels of the canvas."""


class WipeTool(QObject):
    """Lets the user drag the line between the original and the rendered frame.

    Args:
        canvas: the widget that shows the frame.
        viewport: position and zoom of the frame.

    Attributes:
        moved: signal with the requested position of the line, as a share (0 to 1) of the width.
        released: signal, the drag has ended.
    """

    moved = Signal(float)
    released = Signal()

    def __init__(self, canvas: QWidget, viewport: Viewport) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._viewport = viewport
        self._position: float | None = None
        self._dragging = False

    @property
    def dragging(self) -> bool:
        """Return True during a drag."""
        return self._dragging

    def show_position(self, position: float | None) -> None:
        """Use a new position of the line, as a share (0 to 1) of the width; None for no line."""
        self._position = position

    def press(self, event: QMouseEvent) -> bool:
        """Begin a drag. Return whether the event was used."""
        if event.button() == Qt.MouseButton.LeftButton and self._touches(event.position()):
            self._dragging = True
            return True
        return False

    def move(self, point: QPointF) -> None:
        """Continue the drag."""
        if self._dragging:
            self.moved.emit(self._viewport.to_share_inside(point).x())

    def release(self) -> None:
        """Finish the drag."""
        if self._dragging:
            self._dragging = False
            self.released.emit()

    def hover(self, point: QPointF) -> None:
        """Show by the cursor whether the line is under the pointer."""
        touches = self._touches(point)
        if touches != (self._canvas.cursor().shape() == Qt.CursorShape.SplitHCursor):
            if touches:
                self._canvas.setCursor(Qt.CursorShape.SplitHCursor)
            else:
                self._canvas.unsetCursor()

    def paint(self, painter: QPainter, bounds: QRectF, pointer: QPointF | None) -> None:
        """Paint the handle of the line. It is highlighted under the pointer and during a drag."""
        line = self._line()
        if line is not None and bounds.left() <= line <= bounds.right():
            middle = self._viewport.frame_rect().intersected(bounds).center().y()
            painting.paint_grip(painter, QPointF(line, middle), self._dragging or self._touches(pointer))

    def _line(self) -> float | None:
        """Return the horizontal position of the line in pixels of the canvas; None without one."""
        if self._position is None or not self._viewport.has_frame:
            return None
        area = self._viewport.frame_rect()
        return area.x() + self._position * area.width()

    def _touches(self, point: QPointF | None) -> bool:
        line = self._line()
        if point is None or line is None or not self._viewport.frame_rect().contains(QPointF(line, point.y())):
            return False
        return abs(point.x() - line) <= _REACH
