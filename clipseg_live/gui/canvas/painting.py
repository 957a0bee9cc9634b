"""What stands over the picture on the canvas: the read-out under the pointer, a box being drawn, and notices."""

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPen

from clipseg_live.gui.widgets import theme

RGB8 = tuple[int, int, int]
_MARGIN = 2 * theme.UNIT
_MOST_NAME = 180


@dataclass(frozen=True, slots=True)
class Notice:
    """What stands over the picture. text: one sentence. actions: (name, text) of buttons, the first is the main one.

    quiet: one line at the top edge, the picture stays bright; else in the middle, over the dimmed picture.
    """

    title: str
    text: str = ""
    actions: tuple[tuple[str, str], ...] = ()
    quiet: bool = False
    colour: str = theme.ACCENT


@dataclass(frozen=True, slots=True)
class Reading:
    """One prompt under the pointer. passes: whether the probability reaches the prompt's threshold."""

    name: str
    colour: RGB8
    probability: float
    passes: bool


def paint_readings(painter: QPainter, point: QPointF, bounds: QRectF, readings: Sequence[Reading]) -> None:
    """A card beside ``point``, within ``bounds``: one line for each prompt."""
    painter.setFont(theme.figure_font())
    metrics = painter.fontMetrics()
    names = [metrics.elidedText(each.name, Qt.TextElideMode.ElideRight, _MOST_NAME) for each in readings]
    line, wide = metrics.height() + 4, max(metrics.horizontalAdvance(name) for name in names)
    width, height = wide + 88.0, line * len(readings) + 12.0
    x = point.x() + 18 if point.x() + 18 + width < bounds.right() else point.x() - 18 - width
    x = max(x, bounds.left() + theme.UNIT)
    y = min(max(point.y() + 18, bounds.top() + theme.UNIT), bounds.bottom() - height - theme.UNIT)
    _card(painter, QRectF(x, y, width, height))
    for number, (each, name) in enumerate(zip(readings, names, strict=True)):
        top = y + 6 + number * line
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(*each.colour))
        painter.drawEllipse(QPointF(x + 14, top + line / 2), 4, 4)
        painter.setPen(QColor(theme.TEXT if each.passes else theme.MUTED))
        painter.drawText(QRectF(x + 26, top, wide + 4, line), Qt.AlignmentFlag.AlignVCenter, name)
        beside = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(x + width - 60, top, 48, line), beside, f"{each.probability:.2f}")


def paint_box(painter: QPainter, bounds: QRectF, target: QRectF, image: QImage | None, box: QRectF | None) -> None:
    """The picture dimmed but for the box. target: where the whole picture lies."""
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
    """One line at the top edge, with a dot."""
    painter.setFont(theme.text_font())
    metrics = painter.fontMetrics()
    text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, int(bounds.width()) - 4 * _MARGIN)
    width = metrics.horizontalAdvance(text) + 44.0
    card = QRectF(bounds.center().x() - width / 2, bounds.top() + _MARGIN, width, metrics.height() + 14.0)
    _card(painter, card, card.height() / 2)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawEllipse(QPointF(card.left() + 17, card.center().y()), 4, 4)
    painter.setPen(QColor(theme.TEXT))
    painter.drawText(card.adjusted(28, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)


def paint_grip(painter: QPainter, point: QPointF, held: bool) -> None:
    """The handle of the wipe's line: a disc with an arrow to either side."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(255, 255, 255, 235), 1.5))
    painter.setBrush(QColor(theme.ACCENT) if held else QColor(17, 18, 20, 200))
    painter.drawEllipse(point, 13, 13)
    for way in (-1, 1):
        tip = point + QPointF(8 * way, 0)
        painter.drawPolyline([tip + QPointF(-4 * way, -4), tip, tip + QPointF(-4 * way, 4)])


def paint_notice(painter: QPainter, bounds: QRectF, notice: Notice, dimmed: bool) -> None:
    """In the middle of ``bounds``; its buttons come below (``buttons_top``)."""
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
    """Where the buttons of a notice begin. text_height: of the notice's text, wrapped."""
    return _text_area(bounds).top() + text_height + 2 * theme.UNIT


def text_width(bounds: QRectF) -> int:
    """How wide the text of a notice may be."""
    return int(_text_area(bounds).width())


def _text_area(bounds: QRectF) -> QRectF:
    width = min(bounds.width() - 4 * _MARGIN, 520.0)
    return QRectF(bounds.center().x() - width / 2, bounds.center().y() - 32, width, 120)


def _card(painter: QPainter, card: QRectF, radius: float = theme.UNIT) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(255, 255, 255, 28), 1))
    painter.setBrush(QColor(17, 18, 20, 232))
    painter.drawRoundedRect(card, radius, radius)
