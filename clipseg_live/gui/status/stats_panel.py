"""Plot of the milliseconds of each stage over the last half minute."""

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF, QResizeEvent
from PySide6.QtWidgets import QFrame, QPushButton, QWidget

from clipseg_live.gui.widgets import theme

SECONDS = 30.0
STAGE_COLOURS = ("#6cb2ff", "#4fd29a", "#ffbd4a", "#c79bff", "#ff8a65", "#5cc8d8", "#f083b5", "#a4abb4")
_HEIGHT = 168
_LEGEND = 200
_LEAST = 0.05

Rows = Sequence[tuple[float, Mapping[str, float]]]


class StatsPanel(QFrame):
    """Plot with one line and the median of each stage.

    Attributes:
        copy_requested: signal, the user wants the diagnostics on the clipboard.
    """

    copy_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.set_kind(self, "bar")
        self.setAccessibleName(self.tr("Milliseconds per stage"))
        self.setFixedHeight(_HEIGHT)
        self._rows: Rows = ()
        self._medians: Mapping[str, float] = {}
        self.copy_button = QPushButton(self.tr("Copy diagnostics"), self)
        self.copy_button.setAccessibleName(self.tr("Copy diagnostics"))
        self.copy_button.clicked.connect(self.copy_requested)

    def sizeHint(self) -> QSize:
        """Return the default size."""
        return QSize(640, _HEIGHT)

    def show_timings(self, rows: Rows, medians: Mapping[str, float]) -> None:
        """Show measurements.

        Args:
            rows: (seconds ago, {stage: milliseconds}), oldest first.
            medians: milliseconds by stage.
        """
        self._rows = rows
        self._medians = {name: value for name, value in medians.items() if value >= _LEAST}
        text = ", ".join(f"{name} {value:.1f} ms" for name, value in self._medians.items())
        self.setAccessibleDescription(text)
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Move the button to the right edge."""
        self.copy_button.adjustSize()
        side = 2 * theme.UNIT
        self.copy_button.move(self.width() - self.copy_button.width() - side, side - theme.UNIT // 2)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the axes, the lines and the legend."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(theme.SURFACE))
        painter.setFont(theme.figure_font(11))
        plot = QRectF(52, 24, self.width() - 52 - _LEGEND, self.height() - 48)
        largest = max((row.get(name, 0.0) for _, row in self._rows for name in self._medians), default=0.0)
        top = round_up(largest)
        self._paint_axes(painter, plot, top)
        if not self._medians:
            painter.setPen(QColor(theme.MUTED))
            painter.drawText(plot, Qt.AlignmentFlag.AlignCenter, self.tr("No measurements yet."))
        for number, name in enumerate(self._medians):
            self._paint_stage(painter, plot, top, number, name)
        painter.end()

    def _paint_axes(self, painter: QPainter, plot: QRectF, top: float) -> None:
        for share in (0.0, 0.5, 1.0):
            y = plot.bottom() - share * plot.height()
            painter.setPen(QPen(QColor(theme.LINE_COLOUR), 1))
            painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))
            painter.setPen(QColor(theme.MUTED))
            alignment = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(0, y - 8, plot.left() - 8, 16), alignment, f"{top * share:g}")
        below = QRectF(plot.left(), plot.bottom() + 4, plot.width(), 16)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, self.tr("{0:.0f} s ago").format(SECONDS))
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, self.tr("now"))
        above = QRectF(plot.left(), plot.top() - 20, plot.width(), 16)
        painter.drawText(above, Qt.AlignmentFlag.AlignLeft, self.tr("milliseconds per stage"))

    def _paint_stage(self, painter: QPainter, plot: QRectF, top: float, number: int, name: str) -> None:
        colour = QColor(STAGE_COLOURS[number % len(STAGE_COLOURS)])
        points = [
            QPointF(plot.right() - ago / SECONDS * plot.width(), plot.bottom() - row[name] / top * plot.height())
            for ago, row in self._rows
            if name in row and ago <= SECONDS
        ]
        painter.setPen(QPen(colour, 1.5))
        painter.drawPolyline(QPolygonF(points))
        y = 52.0 + 16 * number
        painter.fillRect(QRectF(plot.right() + 20, y + 4, 8, 8), colour)
        painter.setPen(QColor(theme.TEXT))
        metrics = painter.fontMetrics()
        label = metrics.elidedText(name, Qt.TextElideMode.ElideRight, _LEGEND - 108)
        painter.drawText(QRectF(plot.right() + 36, y, _LEGEND - 100, 16), Qt.AlignmentFlag.AlignVCenter, label)
        alignment = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        value = f"{self._medians[name]:.1f}"
        painter.drawText(QRectF(plot.right(), y, _LEGEND - 16, 16), alignment, value)


def round_up(value: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, ... that is at least ``value``."""
    step = 1.0
    while True:
        for factor in (1, 2, 5):
            if factor * step >= value:
                return factor * step
        step *= 10
