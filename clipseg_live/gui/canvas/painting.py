"""Painting of overlays on the canvas: box, wipe and notices."""

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPen

from clipseg_live.core.frame import Pixels
from clipseg_live.gui.widgets import theme

_MARGIN = 2 * theme.UNIT


@dataclass(frozen=True, slots=True)
class Notice:
    """Text over the frame on the canvas.

    Attributes:
        title: the first line.
        text: one sentence.
        actions: (name, text) of each button; the first is the main one.
        quiet: True: one line at the top edge, the frame is not dimmed. False: in the centre, over the dimmed frame.
        colour: colour of the dot of a quiet notice, "#rrggbb".
    """

    title: str
    text: str = ""
    actions: tuple[tuple[str, str], ...] = ()
    quiet: bool = False
    colour: str = theme.ACCENT


def paint_box(painter: QPainter, bounds: QRectF, target: QRectF, image: QImage | None, box: QRectF | None) -> None:
    """Dim the frame outside a box.

    Args:
        painter: the painter.
        bounds: the area to dim.
        target: rectangle of the whole frame.
        image: the frame; None for none.
        box: the box; None dims the whole area.
    """
    painter.fillRect(bounds, QColor(0, 0, 0, 110))
    if box is None:
        return
    box = box.intersected(target)
    if image is not None and not box.isEmpty():
        painter.save()
        painter.setClipRect(box)
        painter.drawImage(target, image)
        painter.restore()
    painter.setPen(QPen(QColor(theme.ACCENT), 1.5))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(box)


def paint_line(painter: QPainter, bounds: QRectF, text: str, colour: str) -> None:
    """Paint one line of text with a dot at the top edge."""
    painter.setFont(theme.text_font())
    metrics = painter.fontMetrics()
    text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, int(bounds.width()) - 4 * _MARGIN)
    width = metrics.horizontalAdvance(text) + 44.0
    card = QRectF(bounds.center().x() - width / 2, bounds.top() + _MARGIN, width, metrics.height() + 14.0)
    paint_card(painter, card, card.height() / 2)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawEllipse(QPointF(card.left() + 17, card.center().y()), 4, 4)
    painter.setPen(QColor(theme.TEXT))
    painter.drawText(card.adjusted(28, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)


def paint_grip(painter: QPainter, point: QPointF, is_dragged: bool) -> None:
    """Paint the handle of a wipe: a disc with an arrow to each side."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(255, 255, 255, 235), 1.5))
    painter.setBrush(QColor(theme.ACCENT) if is_dragged else QColor(17, 18, 20, 200))
    painter.drawEllipse(point, 13, 13)
    for direction in (-1, 1):
        tip = point + QPointF(8 * direction, 0)
        painter.drawPolyline([tip + QPointF(-4 * direction, -4), tip, tip + QPointF(-4 * direction, 4)])


def paint_notice(painter: QPainter, bounds: QRectF, notice: Notice, dimmed: bool) -> None:
    """Paint a notice in the centre of ``bounds``, above its buttons (``buttons_top``)."""
    if dimmed:
        painter.fillRect(bounds, QColor(10, 11, 13, 215))
    centre = Qt.AlignmentFlag.AlignHCenter
    font = theme.text_font()
    font.setPixelSize(20)
    font.setWeight(QFont.Weight.DemiBold)
    painter.setFont(font)
    painter.setPen(QColor(theme.TEXT))
    title = painter.fontMetrics().elidedText(
        notice.title, Qt.TextElideMode.ElideMiddle, int(bounds.width()) - 4 * _MARGIN
    )
    middle = bounds.center().y() - 36
    painter.drawText(QRectF(bounds.left(), middle - 34, bounds.width(), 32), centre | Qt.AlignmentFlag.AlignTop, title)
    painter.setFont(theme.text_font())
    painter.setPen(QColor(theme.MUTED))
    painter.drawText(_text_area(bounds), centre | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap, notice.text)


def buttons_top(bounds: QRectF, text_height: float) -> float:
    """Return the top of the buttons of a notice.

    Args:
        bounds: area of the notice.
        text_height: height of the wrapped text of the notice.
    """
    return _text_area(bounds).top() + text_height + 2 * theme.UNIT


def text_width(bounds: QRectF) -> int:
    """Return the largest width of the text of a notice."""
    return int(_text_area(bounds).width())


def _text_area(bounds: QRectF) -> QRectF:
    width = min(bounds.width() - 4 * _MARGIN, 520.0)
    return QRectF(bounds.center().x() - width / 2, bounds.center().y() - 32, width, 120)


def paint_card(painter: QPainter, card: QRectF, radius: float = theme.UNIT) -> None:
    """Paint a dark, rounded card."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(255, 255, 255, 28), 1))
    painter.setBrush(QColor(17, 18, 20, 232))
    painter.drawRoundedRect(card, radius, radius)


def rgb_image(pixels: Pixels) -> QImage:
    """Return a copy of uint8 RGB pixels, (height, width, 3), in the format that Qt draws fastest."""
    pixels = np.ascontiguousarray(pixels)  # the local name keeps the data alive while Qt reads it
    height, width = pixels.shape[:2]
    packed = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    # Converting to this format and scaling it is twice as fast as scaling the packed format.
    return packed.convertToFormat(QImage.Format.Format_RGB32)
