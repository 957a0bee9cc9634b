"""Keyboard control of boxes: the arrow keys move a box, with Shift they resize it."""

from PySide6.QtCore import QPointF, QRectF, Qt

ARROWS = {
    Qt.Key.Key_Left: QPointF(-1, 0), Qt.Key.Key_Right: QPointF(1, 0),
    Qt.Key.Key_Up: QPointF(0, -1), Qt.Key.Key_Down: QPointF(0, 1),
}  # fmt: skip


def nudged(box: QRectF, by: QPointF, within: QRectF, least: float, *, resize: bool) -> QRectF:
    """Return a box moved or resized by one step.

    Args:
        box: the box.
        by: the step.
        within: the result stays inside this rectangle.
        least: smallest width and height of the result.
        resize: whether to resize the box instead of moving it.
    """
    box = QRectF(box)
    if resize:
        box.setWidth(min(max(box.width() + by.x(), least), within.right() - box.left()))
        box.setHeight(min(max(box.height() + by.y(), least), within.bottom() - box.top()))
    else:
        box.moveLeft(min(max(box.left() + by.x(), within.left()), within.right() - box.width()))
        box.moveTop(min(max(box.top() + by.y(), within.top()), within.bottom() - box.height()))
    return box
