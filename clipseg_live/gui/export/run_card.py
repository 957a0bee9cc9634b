"""Card with the progress and the outcome of one export."""

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from clipseg_live.core.system.times import format_time
from clipseg_live.gui.export.run import ExportRun, RunState
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.controls import ElidedLabel, tool_button

_MOST_SENTENCES = 6
_BAR = 1000


class RunCard(QFrame):
    """Shows an ExportRun.

    Attributes:
        stop_requested: signal, the user wants to stop the export.
        resume_requested: signal, the user wants to continue it.
        folder_requested: signal, the user wants to see the results.
        remove_requested: signal, the user wants to remove the card.
    """

    stop_requested = Signal()
    resume_requested = Signal()
    folder_requested = Signal()
    remove_requested = Signal()

    def __init__(self, run: ExportRun, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.set_kind(self, "card")
        self.run = run
        title = ElidedLabel()
        title.show_text(run.job.title)
        self.state = QLabel()
        theme.set_kind(self.state, "figure")
        self.state.setFont(theme.figure_font())
        self.bar = QProgressBar()
        self.bar.setRange(0, _BAR)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(self.tr("Progress of {0}").format(run.job.title))
        self.problems = self._sentences("problem")
        self.notices = self._sentences("muted")
        self.stop_button = self._button(self.tr("Cancel"), self.stop_requested)
        self.resume_button = self._button(self.tr("Resume"), self.resume_requested)
        self.folder_button = self._button(self.tr("Open folder"), self.folder_requested)
        self.folder_button.setToolTip(str(run.job.folder))
        self.remove_button = tool_button("close", self.tr("Remove from list"))
        self.remove_button.clicked.connect(self.remove_requested)
        head = QHBoxLayout()
        head.addWidget(title, 1)
        head.addWidget(self.state)
        head.addWidget(self.remove_button)
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.UNIT)
        for button in (self.stop_button, self.resume_button, self.folder_button):
            buttons.addWidget(button)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, theme.UNIT, theme.UNIT, theme.UNIT)
        column.setSpacing(theme.UNIT)
        column.addLayout(head)
        column.addWidget(self.bar)
        column.addWidget(self.problems)
        column.addWidget(self.notices)
        column.addLayout(buttons)
        run.changed.connect(self.show_run)
        self.show_run()

    def show_run(self) -> None:
        """Show the present status of the export."""
        status = self.run.status
        active = status.state in (RunState.WAITING, RunState.RUNNING)
        self.state.setText(self._state_text())
        self.bar.setVisible(status.state is RunState.RUNNING)
        self.bar.setRange(0, 0 if status.state is RunState.RUNNING and not status.progress else _BAR)
        self.bar.setValue(round(status.progress * _BAR))
        self._show_sentences(self.problems, status.problems)
        self._show_sentences(self.notices, () if active else status.notices)
        self.stop_button.setVisible(active)
        self.resume_button.setText(self.tr("Retry") if status.state is RunState.FAILED else self.tr("Resume"))
        self.resume_button.setVisible(status.state in (RunState.STOPPED, RunState.FAILED))
        self.folder_button.setVisible(not active)
        self.remove_button.setVisible(not active)

    def _state_text(self) -> str:
        status = self.run.status
        if status.state is RunState.WAITING:
            return self.tr("Waiting")
        if status.state is RunState.STOPPED:
            return self.tr("Stopped")
        if status.state is RunState.DONE:
            return self.tr("Done")
        if status.state is RunState.FAILED:
            if not status.results:
                return self.tr("Failed")
            count = len(status.problems)
            return self.tr("Done with 1 problem") if count == 1 else self.tr("Done with {0} problems").format(count)
        if status.stage or not status.inputs:
            return status.stage or self.tr("Starting")
        parts = [f"{status.progress:.0%}"]
        if status.inputs > 1:
            parts.append(self.tr("{0} of {1} files").format(status.finished, status.inputs))
        if status.seconds_left is not None:
            parts.append(self.tr("{0} left").format(format_time(round(status.seconds_left))))
        return "  ·  ".join(parts)

    def _sentences(self, kind: str) -> QLabel:
        label = QLabel()
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        theme.set_kind(label, kind)
        return label

    def _show_sentences(self, label: QLabel, sentences: tuple[str, ...]) -> None:
        shown = list(sentences[:_MOST_SENTENCES])
        if len(sentences) > _MOST_SENTENCES:
            shown.append(self.tr("And {0} more.").format(len(sentences) - _MOST_SENTENCES))
        label.setText("\n".join(shown))
        label.setToolTip("\n".join(sentences[:100]))
        label.setVisible(bool(sentences))

    def _button(self, text: str, signal: SignalInstance) -> QPushButton:
        button = QPushButton(text)
        button.setAccessibleName(f"{text}: {self.run.job.title}")
        button.setAutoDefault(False)
        button.clicked.connect(lambda: signal.emit())
        return button
