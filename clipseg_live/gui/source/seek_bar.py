"""Slider for the position in a file, with in and out points that can be dragged."""

from fractions import Fraction

from PySide6.QtCore import QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QSlider, QStyle, QStyleOptionSlider

from clipseg_live.gui.source.playback_range import WHOLE_FILE, PlaybackRange
from clipseg_live.gui.widgets import theme

SEEK_STEPS = 10_000
_HEIGHT = 30
_FLAG = 7.0
"""Height and width of the flag of a point, in pixels."""
_REACH = 6.0
"""Farthest distance from a flag at which it can be taken, in pixels."""


class SeekBar(QSlider):
    """Slider that jumps to the position of a click. Flags below its groove are the in and out points.

    Attributes:
        range_dragged: signal with the new PlaybackRange and the time of the dragged point.
    """

    range_dragged = Signal(object, object)

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setRange(0, SEEK_STEPS)
        self.setPageStep(SEEK_STEPS // 20)
        self.setSingleStep(SEEK_STEPS // 200)
        self.setMinimumHeight(_HEIGHT)
        self._range = WHOLE_FILE
        self._duration: Fraction | None = None
        self._dragged = ""

    def show_range(self, playback_range: PlaybackRange, duration: Fraction | None) -> None:
        """Show the in and out points of a file of this duration in seconds."""
        if (playback_range, duration) != (self._range, self._duration):
            self._range, self._duration = playback_range, duration
            self.update()

    def x_of(self, time: Fraction) -> float:
        """Return the x of a time, in pixels of the slider."""
        handle = self._handle().width()
        share = float(time / self._duration) if self._duration else 0.0
        return handle / 2 + min(max(share, 0.0), 1.0) * (self.width() - handle)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the flag of a point, or jump to the pointer and begin a drag."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._dragged = self._point_at(event.position())
            if self._dragged:
                return
            if not self._handle().contains(event.position().toPoint()):
                self.setValue(round(self._share_at(event.position().x()) * self.maximum()))
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move the point that is dragged."""
        if not self._dragged:
            super().mouseMoveEvent(event)
        elif self._duration is not None:
            time = Fraction(self._share_at(event.position().x())).limit_denominator(SEEK_STEPS) * self._duration
            if self._dragged == "first":  # the points do not cross
                time = time if self._range.last is None else min(time, self._range.last)
                moved = self._range.with_first(time)
            else:
                time = time if self._range.first is None else max(time, self._range.first)
                moved = self._range.with_last(time)
            self.show_range(moved, self._duration)
            self.range_dragged.emit(moved, time)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End the drag."""
        if self._dragged:
            self._dragged = ""
        else:
            super().mouseReleaseEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Dim the parts outside the range and paint the flags."""
        super().paintEvent(event)
        if self._range.is_whole or not self._duration:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shade = theme.qcolour(theme.SURFACE, 0.65)
        first, last = self._range.first, self._range.last
        if first is not None:
            painter.fillRect(QRectF(0, 0, self.x_of(first) - 1, self.height()), shade)
        if last is not None:
            painter.fillRect(QRectF(self.x_of(last) + 1, 0, self.width(), self.height()), shade)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.qcolour(theme.WARNING))
        for time, side in ((first, 1), (last, -1)):
            if time is not None:
                x, bottom = self.x_of(time), float(self.height())
                painter.drawRect(QRectF(x - 0.75, 4, 1.5, bottom - 4))
                corners = (QPointF(x, bottom - _FLAG), QPointF(x + side * _FLAG, bottom), QPointF(x, bottom))
                painter.drawPolygon(QPolygonF(corners))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave letters to the shortcuts of the window."""
        if event.text().isalpha():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _point_at(self, position: QPointF) -> str:
        """Return the name of the point whose flag is at a position, "" for none."""
        if position.y() < self.height() - _FLAG - 2:
            return ""
        times = {"first": self._range.first, "last": self._range.last}
        distances = {name: abs(self.x_of(time) - position.x()) for name, time in times.items() if time is not None}
        nearest = min(distances, key=lambda name: distances[name], default="")
        return nearest if nearest and distances[nearest] <= _REACH + _FLAG / 2 else ""

    def _share_at(self, x: float) -> float:
        handle = self._handle().width()
        return min(max((x - handle / 2) / max(self.width() - handle, 1), 0.0), 1.0)

    def _handle(self) -> QRect:
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        part = QStyle.SubControl.SC_SliderHandle
        return self.style().subControlRect(QStyle.ComplexControl.CC_Slider, option, part, self)
