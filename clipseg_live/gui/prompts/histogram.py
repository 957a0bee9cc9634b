"""Histogram of the probabilities of a prompt, in which its threshold is dragged."""

import math

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QSlider, QWidget

from clipseg_live.core.analysis.histograms import BINS, BinCounts, MapHistogram, otsu_threshold
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.accessible import report_values

_HEIGHT = 56
_INSET = 6
_LEAST_SHARE = 1e-4
"""Share of the pixels that is drawn as a bar without height; the scale is logarithmic."""


class HistogramField(QSlider):
    """Slider for a threshold, drawn over the histograms of the present frame (bars) and of the clip (line).

    Attributes:
        edited: signal with the threshold, the user has changed it.
        released: signal, the user has finished the change.
    """

    edited = Signal(float)
    released = Signal()

    def __init__(self, label: str, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        report_values()
        self._histogram: MapHistogram | None = None
        self._suggested: float | None = None
        self._colour = theme.ACCENT
        self.setRange(0, BINS)
        self.setSingleStep(1)
        self.setPageStep(10)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setAccessibleName(label)
        self.setToolTip(
            self.tr("Pixels by probability, logarithmic. Bars: this frame. Line: the clip so far. Drag the threshold.")
        )
        self.valueChanged.connect(lambda value: self.edited.emit(value / BINS))

    def show_threshold(self, threshold: float, colour: str) -> None:
        """Show the threshold (0 to 1) and the colour ("#rrggbb") of the prompt without emitting ``edited``."""
        self.blockSignals(True)
        self.setValue(round(threshold * BINS))
        self.blockSignals(False)
        self._colour = colour
        self.update()

    def show_histogram(self, histogram: MapHistogram | None, suggested: float | None) -> None:
        """Show the histograms, None for none, and mark the suggested threshold."""
        self._histogram = histogram
        self._suggested = suggested
        self.update()

    def value_text(self) -> str:
        """Return the threshold, also for screen readers."""
        return f"{self.value() / BINS:.2f}"

    def position_of(self, probability: float) -> float:
        """Return the horizontal position of a probability in the widget."""
        return _INSET + probability * (self.width() - 2 * _INSET)

    def _jump(self, x: float) -> None:
        self.setValue(round((x - _INSET) / max(1, self.width() - 2 * _INSET) * BINS))

    def sizeHint(self) -> QSize:
        """Return room for the bars."""
        return QSize(160, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Return room for a few bars."""
        return QSize(80, _HEIGHT)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Move the threshold to the pointer and begin a drag."""
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        self.setSliderDown(True)
        self._jump(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the pointer."""
        if self.isSliderDown():
            self._jump(event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Finish the drag."""
        if self.isSliderDown() and event.button() == Qt.MouseButton.LeftButton:
            self.setSliderDown(False)
            self.released.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave keys with modifiers to the row."""
        if event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Finish the change."""
        super().focusOutEvent(event)
        self.released.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the list."""
        event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the histograms, the threshold and the suggestion."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        outline = QPainterPath()
        outline.addRoundedRect(frame, 5, 5)
        painter.fillPath(outline, theme.qcolour(theme.BACKGROUND_COLOUR))
        for quarter in (0.25, 0.5, 0.75):
            x = self.position_of(quarter)
            painter.fillRect(QRectF(x, self.height() - 5, 1, 4), theme.qcolour(theme.EDGE))
        threshold = self.value() / BINS
        if self._histogram is None:
            painter.setPen(theme.qcolour(theme.MUTED))
            painter.setFont(theme.figure_font())
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, self.tr("No probabilities yet"))
        else:
            self._paint_bars(painter, self._histogram.frame, threshold)
            self._paint_line(painter, self._histogram.clip)
            if self._suggested is not None:
                x = self.position_of(self._suggested)
                painter.setPen(QPen(theme.qcolour(theme.GOOD), 1.4, Qt.PenStyle.DashLine))
                painter.drawLine(QPointF(x, 2), QPointF(x, self.height() - 2))
        self._paint_threshold(painter, self.position_of(threshold))
        painter.setPen(theme.qcolour(theme.ACCENT if self.hasFocus() or self.isSliderDown() else theme.EDGE))
        painter.drawPath(outline)
        painter.end()

    def _paint_bars(self, painter: QPainter, counts: BinCounts, threshold: float) -> None:
        heights = _heights(counts) * (self.height() - 8)
        width = (self.width() - 2 * _INSET) / BINS
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)  # no gaps between bars
        inside, outside = theme.qcolour(self._colour), theme.qcolour(self._colour, 0.4)
        for number, height in enumerate(heights):
            if height > 0:
                bar = QRectF(_INSET + number * width, self.height() - 2 - height, width, height)
                painter.fillRect(bar, inside if number / BINS >= threshold - 1e-9 else outside)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def _paint_line(self, painter: QPainter, counts: BinCounts) -> None:
        heights = _heights(counts) * (self.height() - 8)
        width = (self.width() - 2 * _INSET) / BINS
        points = [
            QPointF(_INSET + (number + 0.5) * width, self.height() - 2 - height)
            for number, height in enumerate(heights)
        ]
        painter.setPen(QPen(theme.qcolour(theme.MUTED), 1))
        painter.drawPolyline(points)

    def _paint_threshold(self, painter: QPainter, x: float) -> None:
        painter.fillRect(QRectF(x - 1, 1, 2, self.height() - 2), theme.qcolour(theme.TEXT))
        handle = QPainterPath()
        handle.moveTo(x - 5, 1)
        handle.lineTo(x + 5, 1)
        handle.lineTo(x, 8)
        handle.closeSubpath()
        painter.fillPath(handle, theme.qcolour(theme.TEXT))


class HistogramStrip(QWidget):
    """A ``HistogramField`` with a button for the suggested threshold.

    Attributes:
        field: the histogram.
        suggestion: the button.
        edited: signal with the threshold, the user has changed it.
        released: signal, the user has finished the change.
    """

    edited = Signal(float)
    released = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = HistogramField(self.tr("Threshold in the histogram"), self)
        self.field.edited.connect(self.edited)
        self.field.released.connect(self.released)
        self.suggestion = QPushButton(self)
        theme.set_kind(self.suggestion, "mini-text")
        self.suggestion.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.suggestion.clicked.connect(self._use_suggestion)
        self._suggested: float | None = None
        self.setFixedHeight(_HEIGHT)  # the style sheet resets the least height of a slider
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 2, 0)
        row.setSpacing(6)
        row.addWidget(self.field, 1)
        row.addWidget(self.suggestion, 0, Qt.AlignmentFlag.AlignVCenter)
        self.show_histogram(None)

    def show_histogram(self, histogram: MapHistogram | None) -> None:
        """Show the histograms of the prompt, None for none, and the threshold that they suggest."""
        least = MatteSettings().presence_threshold
        self._suggested = None if histogram is None else otsu_threshold(histogram.clip, least)
        self.field.show_histogram(histogram, self._suggested)
        known = self._suggested is not None
        self.suggestion.setText(self.tr("Otsu {:.2f}").format(self._suggested) if known else self.tr("Otsu –"))
        self.suggestion.setEnabled(known)
        text = (
            self.tr("Use the threshold that separates the probabilities of the clip best, by Otsu's method")
            if known
            else self.tr("No threshold is suggested: no frame of the clip has a probable pixel")
        )
        self.suggestion.setToolTip(text)
        self.suggestion.setAccessibleName(self.tr("Suggested threshold"))
        self.suggestion.setAccessibleDescription(f"{self.suggestion.text()}. {text}")

    def _use_suggestion(self) -> None:
        if self._suggested is not None:
            self.edited.emit(self._suggested)
            self.released.emit()


def _heights(counts: BinCounts) -> NDArray[np.float64]:
    """Return the heights of the bars, 0 to 1, on a logarithmic scale of the share of the pixels."""
    shares = counts / max(int(counts.sum()), 1)
    scale = -math.log10(_LEAST_SHARE)
    return np.clip(1 + np.log10(np.maximum(shares, _LEAST_SHARE)) / scale, 0, 1)
