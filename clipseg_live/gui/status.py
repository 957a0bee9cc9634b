"""The status line: rates, delay, drops and what the worker is doing; and the panel with milliseconds by stage."""

import platform
import sys
from collections.abc import Mapping, Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QToolButton, QWidget

from clipseg_live import __version__
from clipseg_live.core.live import LiveSettings, SessionStatus, SourceState, WorkerState
from clipseg_live.gui import theme
from clipseg_live.gui.icons import icon

STAGE_COLOURS = ("#4c8dff", "#3ecf8e", "#f2b84b", "#c678dd", "#ff7a59", "#56b6c2", "#e06c9f", "#98a0ae")


class StatusLine(QWidget):
    """One line of figures. restart: the person wants the worker started again. details: the panel is wanted or not."""

    restart = Signal()
    details = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("bar")
        self.dot = QLabel("●")
        self.worker = QLabel()
        self.worker.setAccessibleName(self.tr("Segmentation"))
        self.loading = QProgressBar()
        self.loading.setRange(0, 0)
        self.loading.setTextVisible(False)
        self.loading.setFixedWidth(72)
        self.loading.setAccessibleName(self.tr("Loading"))
        self.restart_button = QPushButton(self.tr("Restart"))
        self.restart_button.setAccessibleName(self.tr("Restart the segmentation"))
        self.restart_button.clicked.connect(self.restart)
        self.rates = QLabel()
        self.rates.setProperty("role", "value")
        self.rates.setAccessibleName(self.tr("Rates"))
        self.rates.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.rates.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.details_button = QToolButton()
        self.details_button.setIcon(icon("chart-line", theme.MUTED))
        self.details_button.setCheckable(True)
        self.details_button.setToolTip(self.tr("Milliseconds by stage"))
        self.details_button.setAccessibleName(self.tr("Statistics"))
        self.details_button.toggled.connect(self.details)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 2, 8, 2)
        layout.setSpacing(8)
        for widget in (self.dot, self.worker, self.loading, self.restart_button):
            layout.addWidget(widget)
        layout.addWidget(self.rates, 1)
        layout.addWidget(self.details_button)

    def show_status(self, status: SessionStatus) -> None:
        worker, rates = status.worker, status.rates
        words, colour = self._words(status)
        self.worker.setText(words)
        self.worker.setToolTip(worker.problem)
        self.dot.setStyleSheet(f"color: {colour}")
        busy = worker.state in (WorkerState.STARTING, WorkerState.LOADING, WorkerState.RESTARTING)
        self.loading.setVisible(busy)
        self.restart_button.setVisible(worker.state is WorkerState.WAITING)
        if status.source.state in (SourceState.CLOSED, SourceState.OPENING, SourceState.FAILED):
            self.rates.setText("")
            return
        parts = [
            self.tr("camera {0:.0f}/s").format(rates.capture),
            self.tr("segmented {0:.1f}/s").format(rates.inference),
            self.tr("shown {0:.0f}/s").format(rates.display),
            self.tr("delay {0:.0f} ms").format(rates.delay[0]),
        ]
        self.rates.setText("   ".join(parts))
        self.rates.setToolTip(
            self.tr(
                "Capture to picture: median {0:.0f} ms, 95 % within {1:.0f} ms\n"
                "Frames never shown: {2}\nFrames not segmented: {3}, unchanged: {4}"
            ).format(*rates.delay, rates.dropped, rates.skipped, rates.unchanged)
        )

    def _words(self, status: SessionStatus) -> tuple[str, str]:
        worker = status.worker
        if worker.state is WorkerState.READY:
            short = worker.model.rsplit("/", 1)[-1]
            words = self.tr("{0} on {1}, {2}").format(short, worker.device, worker.dtype)
            return words, theme.WARNING if worker.problem else theme.GOOD
        if worker.state is WorkerState.WAITING:
            return self.tr("Segmentation stopped"), theme.DANGER
        if worker.state is WorkerState.LOADING:
            return worker.progress or self.tr("Loading the model"), theme.ACCENT
        if worker.state is WorkerState.RESTARTING:
            return self.tr("Starting again"), theme.WARNING
        return self.tr("Starting"), theme.MUTED


class StatsPanel(QWidget):
    """Milliseconds by stage over the last half minute, as a plot, with medians. copy: diagnostics are wanted."""

    copy = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("bar")
        self.setAccessibleName(self.tr("Milliseconds by stage"))
        self.setFixedHeight(148)
        self._rows: Sequence[tuple[float, Mapping[str, float]]] = ()
        self._medians: Mapping[str, float] = {}
        self.copy_button = QPushButton(self.tr("Copy diagnostics"), self)
        self.copy_button.setAccessibleName(self.tr("Copy diagnostics"))
        self.copy_button.clicked.connect(self.copy)

    def sizeHint(self) -> QSize:
        return QSize(600, 148)

    def show_timings(
        self, rows: Sequence[tuple[float, Mapping[str, float]]], medians: Mapping[str, float]
    ) -> None:
        self._rows, self._medians = rows, medians
        self.update()

    def resizeEvent(self, event: object) -> None:
        self.copy_button.adjustSize()
        self.copy_button.move(self.width() - self.copy_button.width() - 12, 8)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(theme.SURFACE))
        plot = QRectF(44, 12, self.width() - 260, self.height() - 32)
        names = [name for name in self._medians if self._medians[name] >= 0.05]
        largest = max((row.get(name, 0.0) for _, row in self._rows for name in names), default=0.0)
        top = _round_up(largest)
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        for share in (0.0, 0.5, 1.0):
            y = plot.bottom() - share * plot.height()
            painter.setPen(QPen(QColor(theme.BORDER), 1))
            painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))
            painter.setPen(QColor(theme.MUTED))
            painter.drawText(QRectF(0, y - 8, 38, 16), Qt.AlignmentFlag.AlignRight, f"{top * share:g}")
        painter.drawText(
            QRectF(plot.left(), plot.bottom() + 4, plot.width(), 16), Qt.AlignmentFlag.AlignRight, self.tr("now")
        )
        painter.drawText(
            QRectF(plot.left(), plot.bottom() + 4, plot.width(), 16), Qt.AlignmentFlag.AlignLeft, self.tr("30 s ago")
        )
        for number, name in enumerate(names):
            colour = QColor(STAGE_COLOURS[number % len(STAGE_COLOURS)])
            points = QPolygonF(
                [
                    QPointF(plot.right() - ago / 30 * plot.width(), plot.bottom() - row[name] / top * plot.height())
                    for ago, row in self._rows
                    if name in row and ago <= 30
                ]
            )
            painter.setPen(QPen(colour, 1.5))
            painter.drawPolyline(points)
            y = 44 + 15 * number
            painter.fillRect(QRectF(plot.right() + 16, y + 4, 8, 8), colour)
            painter.setPen(QColor(theme.TEXT))
            painter.drawText(
                QRectF(plot.right() + 30, y, 170, 16), 0, f"{name}  {self._medians[name]:.1f} ms"
            )
        painter.end()


def diagnostics(status: SessionStatus, settings: LiveSettings) -> str:
    """What to paste into a report: versions, what runs and how fast; no prompts, no paths, no addresses."""
    source, worker, rates = status.source, status.worker, status.rates
    kind = "file" if source.seekable else "live"
    stages = ", ".join(f"{name} {value:.1f}" for name, value in rates.stages.items())
    return "\n".join(
        (
            f"clipseg-live {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"source: {kind}, {source.width}×{source.height}, {source.state.value}",
            f"worker: {worker.state.value}, {worker.device or '-'} {worker.dtype}, restarts {worker.restarts}"
            + (f", {worker.problem}" if worker.problem else ""),
            f"prompts {len(settings.rows)}, effect {settings.effect}, mode {settings.mode}, "
            f"smoothing {settings.smoothing:g}, size {settings.engine.size or 'own'}, fit {settings.engine.fit}",
            f"per second: capture {rates.capture:.1f}, inference {rates.inference:.1f}, display {rates.display:.1f}",
            f"delay: median {rates.delay[0]:.0f} ms, 95 % {rates.delay[1]:.0f} ms; dropped {rates.dropped}, "
            f"skipped {rates.skipped}, unchanged {rates.unchanged}",
            f"stages (ms): {stages or '-'}",
            f"platform: {sys.platform}",
        )
    )


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... that is at least ``value``."""
    step = 1.0
    while True:
        for factor in (1, 2, 5):
            if factor * step >= value:
                return factor * step
        step *= 10
