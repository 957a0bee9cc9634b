"""Boxes that are drawn by keys: the arrows move one, with Shift its size."""

from PySide6.QtCore import QPointF, QRectF, Qt

ARROWS = {
    Qt.Key.Key_Left: QPointF(-1, 0), Qt.Key.Key_Right: QPointF(1, 0),
    Qt.Key.Key_Up: QPointF(0, -1), Qt.Key.Key_Down: QPointF(0, 1),
}  # fmt: skip


def nudged(box: QRectF, by: QPointF, within: QRectF, least: float, *, resize: bool) -> QRectF:
    """A box moved by a step, or made larger by it; it stays within, and at least ``least`` wide and high."""
    box = QRectF(box)
    if resize:
        box.setWidth(min(max(box.width() + by.x(), least), within.right() - box.left()))
        box.setHeight(min(max(box.height() + by.y(), least), within.bottom() - box.top()))
    else:
        box.moveLeft(min(max(box.left() + by.x(), within.left()), within.right() - box.width()))
        box.moveTop(min(max(box.top() + by.y(), within.top()), within.bottom() - box.height()))
    return box
