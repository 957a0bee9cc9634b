"""Probabilities of the prompts under the pointer."""

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter

from clipseg_live.core.analysis.word_maps import WordMaps
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import RGB
from clipseg_live.core.settings.live import PromptRow
from clipseg_live.gui.canvas.painting import paint_card, paint_line
from clipseg_live.gui.widgets import theme

_WIDEST_NAME = 180
_MOST_WORDS = 8
"""Number of words that are listed for a pixel."""
_READABLE = 0.005
"""Lowest probability that is not written as 0.00."""
_LIKELY = 0.5
"""Probability from which a word is written in bright."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Probability of one prompt under the pointer.

    Attributes:
        name: text of the prompt.
        colour: colour of the prompt.
        probability: 0 to 1.
        passes: whether the probability reaches the threshold of the prompt.
    """

    name: str
    colour: RGB
    probability: float
    passes: bool


def readings_at(frame: RenderedFrame | None, point: QPointF, rows: Sequence[PromptRow]) -> list[Reading]:
    """Return the probability of each prompt at a point; empty outside the frame or without a prediction.

    Args:
        frame: the frame; None for none.
        point: the point in shares (0 to 1) of the frame.
        rows: the prompts.
    """
    if frame is None or not len(frame.ids) or not (0 <= point.x() < 1 and 0 <= point.y() < 1):
        return []
    map_height, map_width = frame.maps.shape[1:]
    values = frame.maps[:, int(point.y() * map_height), int(point.x() * map_width)]
    rows_by_id = {row.id: row for row in rows}
    unnamed = QCoreApplication.translate("Readings", "image")
    return [
        Reading(row.text or unnamed, row.style.colour, float(value), value >= row.style.threshold)
        for row_id, value in zip(frame.ids, values, strict=True)
        if (row := rows_by_id.get(row_id)) is not None
    ]


def word_readings(words: WordMaps, point: QPointF) -> list[Reading]:
    """Return the words that fit a point best, highest probability first; empty outside the frame.

    Words whose probability would read 0.00 are left out, except for the first.

    Args:
        words: maps of the words.
        point: the point in shares (0 to 1) of the frame.
    """
    if not words.words or not (0 <= point.x() < 1 and 0 <= point.y() < 1):
        return []
    grey = QColor(theme.MUTED)
    colour = grey.red(), grey.green(), grey.blue()
    found = words.ranked(point.x(), point.y(), _MOST_WORDS)
    return [
        Reading(word, colour, probability, probability >= _LIKELY)
        for place, (word, probability) in enumerate(found)
        if place == 0 or probability >= _READABLE
    ]


def paint_words(painter: QPainter, point: QPointF, bounds: QRectF, words: WordMaps, share: QPointF) -> None:
    """Paint a card with the words that fit best at ``point``, and say how many have been asked.

    Args:
        painter: the painter.
        point: the pointer.
        bounds: area of the canvas.
        words: maps of the words.
        share: the pointer in shares (0 to 1) of the frame.
    """
    text = QCoreApplication.translate("Readings", "Which words fit here? {0} of {1} asked")
    paint_line(painter, bounds, text.format(len(words.words), words.total), theme.ACCENT)
    readings = word_readings(words, share)
    if readings:
        paint_readings(painter, point, bounds, readings)


def paint_readings(painter: QPainter, point: QPointF, bounds: QRectF, readings: Sequence[Reading]) -> None:
    """Paint a card with one line for each prompt next to ``point``, within ``bounds``."""
    painter.setFont(theme.figure_font())
    metrics = painter.fontMetrics()
    names = [metrics.elidedText(reading.name, Qt.TextElideMode.ElideRight, _WIDEST_NAME) for reading in readings]
    line, name_width = metrics.height() + 4, max(metrics.horizontalAdvance(name) for name in names)
    width, height = name_width + 88.0, line * len(readings) + 12.0
    x = point.x() + 18 if point.x() + 18 + width < bounds.right() else point.x() - 18 - width
    x = max(x, bounds.left() + theme.UNIT)
    y = min(max(point.y() + 18, bounds.top() + theme.UNIT), bounds.bottom() - height - theme.UNIT)
    paint_card(painter, QRectF(x, y, width, height))
    for number, (reading, name) in enumerate(zip(readings, names, strict=True)):
        top = y + 6 + number * line
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(*reading.colour))
        painter.drawEllipse(QPointF(x + 14, top + line / 2), 4, 4)
        painter.setPen(QColor(theme.TEXT if reading.passes else theme.MUTED))
        painter.drawText(QRectF(x + 26, top, name_width + 4, line), Qt.AlignmentFlag.AlignVCenter, name)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(x + width - 60, top, 48, line), right, f"{reading.probability:.2f}")
