"""The status line, and the diagnostics as text."""

import platform
from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QToolButton, QWidget

from clipseg_live._version import __version__
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.status import SessionStatus, SourceState, WorkerState
from clipseg_live.gui.model.picker import worker_text
from clipseg_live.gui.state.models import BUSY
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.controls import tool_button
from clipseg_live.gui.widgets.figures import parse_progress

_GAP = "     "
_WITHOUT_PICTURE = (SourceState.CLOSED, SourceState.OPENING, SourceState.FAILED)


class ElidedStats(QLabel):
    """Label with parts of a line, most important first. Parts that do not fit are omitted."""

    def __init__(self) -> None:
        super().__init__()
        theme.set_kind(self, "figure")
        self.setFont(theme.figure_font())
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._parts: tuple[str, ...] = ()

    def show_parts(self, parts: Sequence[str]) -> None:
        """Show parts, most important first."""
        self._parts = tuple(parts)
        self.setToolTip("\n".join(parts))
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the parts to the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        metrics, width = self.fontMetrics(), self.width()
        parts = list(self._parts)
        while len(parts) > 1 and metrics.horizontalAdvance(_GAP.join(parts)) > width:
            parts.pop()
        self.setText(metrics.elidedText(_GAP.join(parts), Qt.TextElideMode.ElideRight, width))


class StatusLine(QFrame):
    """Status of the worker and the rates in one line.

    Less important values are omitted if they do not fit; the tool tip has all.

    Attributes:
        models_requested: signal, the user wants to choose a model.
        restart_requested: signal, the user wants to restart the worker.
        details_toggled: signal with True if the statistics are wanted, else False.
    """

    models_requested = Signal()
    restart_requested = Signal()
    details_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.set_kind(self, "bar")
        self.status_dot = QLabel("●")
        self.worker = QToolButton()
        theme.set_kind(self.worker, "plain")
        self.worker.setFont(theme.figure_font())
        self.worker.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.worker.setStatusTip(self.tr("The model that runs. Press the button to choose or download another one."))
        self.worker.clicked.connect(self.models_requested)
        self.loading = QProgressBar()
        self.loading.setTextVisible(False)
        self.loading.setFixedWidth(80)
        self.loading.setAccessibleName(self.tr("Loading"))
        self.restart_button = QPushButton(self.tr("Restart"))
        self.restart_button.setAccessibleName(self.tr("Restart model"))
        self.restart_button.clicked.connect(self.restart_requested)
        self.rates_label = ElidedStats()
        self.rates_label.setAccessibleName(self.tr("Frame rates and lag"))
        self.details_button = tool_button("chart", self.tr("Statistics"), checkable=True)
        self.details_button.toggled.connect(self.details_toggled)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 2, theme.UNIT, 2)
        row.setSpacing(theme.UNIT // 2)
        for widget in (self.status_dot, self.worker, self.loading, self.restart_button):
            row.addWidget(widget)
        row.addWidget(self.rates_label, 1)
        row.addWidget(self.details_button)

    def show_status(self, status: SessionStatus) -> None:
        """Show the status of a session."""
        worker = status.worker
        text, colour = worker_text(worker)
        self.worker.setText(text)
        self.worker.setAccessibleName(self.tr("Model: {0}").format(text))
        self.worker.setToolTip(worker.problem or worker.replaced)
        self.status_dot.setStyleSheet(f"color: {colour}; font-size: 11px")
        self.loading.setVisible(worker.state in BUSY)
        fraction = parse_progress(worker.progress)
        self.loading.setRange(0, 0 if fraction is None else 1000)
        if fraction is not None:
            self.loading.setValue(round(1000 * fraction))
        self.restart_button.setVisible(worker.state is WorkerState.WAITING)
        self.rates_label.show_parts([] if status.source.state in _WITHOUT_PICTURE else self._rate_texts(status))

    def _rate_texts(self, status: SessionStatus) -> list[str]:
        """Return the values as texts, most important first."""
        rates, source = status.rates, status.source
        steps = {"reduced": self.tr("simpler edges to keep up"), "least": self.tr("edge refinement off to keep up")}
        saved = [steps[status.effort]] if status.effort in steps else []
        return [
            self.tr("Video {0:.0f} fps · masks {1:.1f} fps · lag {2:.2f} s").format(
                rates.display, rates.inference, rates.delay[0] / 1000
            ),
            *saved,
            self.tr("source {0:.0f} fps · lag (95 %) {1:.2f} s").format(rates.capture, rates.delay[1] / 1000),
            self.tr("{0} dropped · {1} skipped").format(rates.dropped, rates.skipped),
            f"{source.width} × {source.height}",
        ]


def diagnostics(status: SessionStatus, settings: LiveSettings) -> str:
    """Return versions, configuration and rates as text for a bug report.

    It contains no prompts, paths or addresses.
    """
    source, worker, rates = status.source, status.worker, status.rates
    kind = "with a timeline" if source.seekable else "live"
    stages = ", ".join(f"{name} {value:.1f}" for name, value in rates.stages.items())
    rate = f"{float(source.rate):.3f}" if source.rate else "-"
    effects = "+".join(effect.kind for effect in settings.effects) or "none"
    return "\n".join(
        (
            f"clipseg-live {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"source: {kind}, {source.width}×{source.height}, {rate} fps, {source.state.value}",
            f"worker: {worker.state.value}, {worker.engine or '-'} {worker.device} {worker.dtype}, "
            f"{worker.restarts} restarts",
            f"prompts: {len(settings.rows)}, effects {effects}, mode {settings.display}, "
            f"smoothing {settings.matte.smoothing:g}, size {settings.engine.size or 'own'}, "
            f"resize mode {settings.engine.resize_mode}",
            f"fps: {rates.capture:.1f} captured, {rates.inference:.1f} segmented, {rates.display:.1f} shown",
            f"delay: median {rates.delay[0]:.0f} ms, 95 % {rates.delay[1]:.0f} ms",
            f"frames: {rates.dropped} dropped, {rates.skipped} skipped, {rates.unchanged} unchanged, "
            f"{'-' if rates.recomputed is None else f'{rates.recomputed:.0%}'} computed",
            f"stages, ms: {stages or '-'}; edges: {status.effort}",
        )
    )
