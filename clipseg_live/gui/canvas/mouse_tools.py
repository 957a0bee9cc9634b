"""Interface of the mouse tools of the canvas, and the tool that moves the frame."""

from typing import Protocol

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QMouseEvent

from clipseg_live.gui.canvas.viewport import Viewport


class MouseTool(Protocol):
    """A tool that uses drags on the canvas. Points are in pixels of the canvas."""

    @property
    def dragging(self) -> bool:
        """Return True during a drag."""

    def press(self, event: QMouseEvent) -> bool:
        """Begin a drag. Return whether the event was used."""

    def move(self, point: QPointF) -> None:
        """Continue the drag."""

    def release(self) -> None:
        """Finish the drag."""


class PanTool:
    """Moves the frame with the left or the middle mouse button.

    Args:
        viewport: position and zoom of the frame.
    """

    def __init__(self, viewport: Viewport) -> None:
        self._viewport = viewport
        self._start: tuple[QPointF, QPointF] | None = None

    @property
    def dragging(self) -> bool:
        """Return True during a drag."""
        return self._start is not None

    def press(self, event: QMouseEvent) -> bool:
        """Begin a drag. Return whether the event was used."""
        if event.button() not in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            return False
        self._start = event.position(), self._viewport.centre
        return True

    def move(self, point: QPointF) -> None:
        """Continue the drag."""
        if self._start is not None:
            pointer, centre = self._start
            moved = point - pointer
            self._viewport.move_by(moved.x(), moved.y(), centre)

    def release(self) -> None:
        """Finish the drag."""
        self._start = None
