"""Panel that shows the models, their state and which one runs, and that chooses, downloads and retries one."""

from dataclasses import dataclass, replace
from pathlib import PurePath

from PySide6.QtCore import QCoreApplication, QEvent, QPoint, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from clipseg_live.core.status import WorkerState, WorkerStatus
from clipseg_live.gui.state.models import Models, model_title
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import hint_label
from clipseg_live.gui.widgets.controls import ElidedLabel, line
from clipseg_live.gui.widgets.figures import parse_progress, size_text

PICKER_WIDTH = 440
_BUTTON_MARGINS = 40
"""Width of the margins and the arrow of the button, in pixels."""


def _tr(text: str) -> str:
    return QCoreApplication.translate("Models", text)


def worker_text(worker: WorkerStatus) -> tuple[str, str]:
    """Return the state of the worker in a few words, with the running model, and its colour."""
    if worker.state is WorkerState.READY:
        text = " · ".join(part for part in (model_title(worker.model), worker.device, worker.dtype) if part)
        return text, theme.WARNING if worker.problem or worker.replaced else theme.GOOD
    if worker.state is WorkerState.LOADING:
        return worker.progress or _tr("Loading model"), theme.ACCENT
    return {
        WorkerState.WAITING: (_tr("Model stopped"), theme.DANGER),
        WorkerState.RESTARTING: (_tr("Restarting model"), theme.WARNING),
        WorkerState.STARTING: (_tr("Starting model"), theme.ACCENT),
    }.get(worker.state, (_tr("Model off"), theme.FAINT))


@dataclass(frozen=True, slots=True)
class ModelLine:
    """State of one model in the panel.

    Attributes:
        name: full name or folder.
        title: short name.
        summary: description, or the path of a folder.
        state: state in a few words.
        colour: colour of the state, "#rrggbb".
        action: text of its button, "" for none.
        problem: one sentence on why it cannot be used, "" for none.
        progress: progress of loading, 0 to 1; -1 if it is unknown; None if it is not being loaded.
    """

    name: str
    title: str
    summary: str
    state: str
    colour: str = theme.MUTED
    action: str = ""
    problem: str = ""
    progress: float | None = None


def model_lines(models: Models) -> list[ModelLine]:
    """Return a line for each known model, and for the folder that is requested or runs; none before the first list."""
    lines: list[ModelLine] = []
    if not models.entries:
        return lines
    for entry in models.entries:
        if entry.whole:
            state = size_text(entry.bytes) if entry.ships else _tr("Installed, {0}").format(size_text(entry.bytes))
        else:
            state = _tr("Incomplete") if entry.path is not None else _tr("Not installed")
        download = _tr("Download (about {0})").format(size_text(entry.download_bytes)) if entry.download_bytes else ""
        action = _tr("Use") if entry.whole else download
        problem = "" if entry.whole or entry.path is None else entry.problem or ""
        lines.append(ModelLine(entry.name, model_title(entry.name), entry.summary, state, theme.MUTED, action, problem))
    names = {entry.name for entry in models.entries}
    for folder in dict.fromkeys((models.requested, models.running)):
        if folder and folder not in names:
            lines.append(ModelLine(folder, PurePath(folder).name or folder, folder, _tr("Folder"), action=_tr("Use")))
    return [_with_worker(found, models) for found in lines]


def _with_worker(found: ModelLine, models: Models) -> ModelLine:
    """Return the line with what the worker does with its model."""
    if found.name == models.running:
        return replace(found, state=_tr("Running"), colour=theme.GOOD, action="", problem="")
    if found.name == models.loading:
        progress = parse_progress(models.worker.progress)
        text = models.worker.progress or _tr("Loading")
        shown = -1 if progress is None else progress
        return replace(found, state=text, colour=theme.ACCENT, action="", problem="", progress=shown)
    if found.name == models.requested and models.problem:
        return replace(found, colour=theme.WARNING, action=_tr("Retry"), problem=models.problem)
    return found


class ModelPicker(QFrame):
    """Popup with one row for each model. It closes on Escape and on a click elsewhere.

    Args:
        models: the models.
        parent: the button that opens it.
    """

    def __init__(self, models: Models, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._models = models
        self._opener = parent
        self._lines: list[ModelLine] = []
        self.rows: dict[str, ModelRow] = {}
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        theme.set_kind(self, "card")
        self.setAccessibleName(_tr("Models"))
        self.setFixedWidth(PICKER_WIDTH)
        heading = QLabel(_tr("Model"), self)
        theme.set_kind(heading, "heading")
        heading.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._column = QVBoxLayout()
        self._column.setSpacing(12)
        self.folder_button = QPushButton(_tr("Choose folder…"), self)
        self.folder_button.setAccessibleName(_tr("Choose model folder"))
        self.folder_button.setToolTip(_tr("Use your own CLIPSeg weights: a folder with config.json and the weights."))
        self.folder_button.clicked.connect(self.ask_folder)
        self.searching = hint_label(_tr("Looking for installed models…"), self)
        last = QHBoxLayout()
        last.addStretch(1)
        last.addWidget(self.folder_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(10)
        column.addWidget(heading)
        column.addWidget(self.searching)
        column.addLayout(self._column)
        column.addWidget(line())
        column.addLayout(last)
        models.changed.connect(self._show)
        models.refresh()
        self._show()

    def open(self) -> None:
        """Show the panel below its button, or above it if there is no room below."""
        self.show()
        self._place()
        self.folder_button.setFocus()

    def event(self, event: QEvent) -> bool:
        """Fit the panel to its rows after a change."""
        handled = super().event(event)
        if event.type() == QEvent.Type.LayoutRequest and self.isVisible():
            self._place()
        return handled

    def ask_folder(self) -> None:
        """Let the user choose the folder of a model."""
        self.close()
        dialog = QFileDialog(self._opener.window(), _tr("Choose model folder"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(self._models.choose)
        dialog.open()

    def _show(self) -> None:
        lines = model_lines(self._models)
        self.searching.setVisible(not self._models.entries)
        if lines == self._lines:
            return
        self._lines = lines
        for name in self.rows.keys() - {found.name for found in lines}:
            self.rows.pop(name).deleteLater()
        for index, found in enumerate(lines):
            if found.name not in self.rows:
                self.rows[found.name] = ModelRow(self._models, found, self)
                self._column.insertWidget(index, self.rows[found.name])
            self.rows[found.name].show_line(found)

    def _place(self) -> None:
        layout = self.layout()
        assert layout is not None
        self.resize(PICKER_WIDTH, layout.totalHeightForWidth(PICKER_WIDTH))
        self.move(_place_at(self._opener, self))


class ModelRow(QWidget):
    """Row of one model: name, description, state, progress, problem, and a button."""

    def __init__(self, models: Models, found: ModelLine, parent: QWidget) -> None:
        super().__init__(parent)
        self._name = found.name
        title = QLabel(found.title, self)
        title.setTextFormat(Qt.TextFormat.PlainText)
        self.state = ElidedLabel(self)
        self.state.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.button = QPushButton(self)
        self.button.clicked.connect(lambda: models.choose(self._name))
        self.progress = QProgressBar(self)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(_tr("Progress of {0}").format(found.title))
        summary = hint_label(found.summary, self)
        summary.setTextFormat(Qt.TextFormat.PlainText)
        summary.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)  # wraps long paths' row
        self.problem = hint_label("", self)
        theme.set_kind(self.problem, "problem")
        first = QHBoxLayout()
        first.setSpacing(theme.UNIT)
        first.addWidget(title)
        first.addWidget(self.state, 1)
        first.addWidget(self.button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(first)
        for widget in (summary, self.progress, self.problem):
            column.addWidget(widget)
        self._title = found.title

    def show_line(self, found: ModelLine) -> None:
        """Show the state of the model."""
        self.state.show_text(found.state)
        self.state.setStyleSheet(f"color: {found.colour}; font-size: {theme.SMALL_SIZE}px")
        self.setAccessibleName(f"{found.title}: {found.state}")
        self.button.setText(found.action)
        self.button.setAccessibleName(f"{found.action} {found.title}".strip())
        self.button.setVisible(bool(found.action))
        theme.set_kind(self.button, "primary" if found.problem and found.action else "")
        self.progress.setVisible(found.progress is not None)
        if found.progress is not None:
            self.progress.setRange(0, 0 if found.progress < 0 else 1000)
            self.progress.setValue(round(1000 * max(found.progress, 0)))
        self.problem.setText(found.problem)
        self.problem.setVisible(bool(found.problem))


class ModelButton(QPushButton):
    """Button with the running model. It opens the panel with all models.

    Args:
        models: the models.
        parent: parent widget.
    """

    def __init__(self, models: Models, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._models = models
        self._text = ""
        theme.set_kind(self, "choice")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setStatusTip(_tr("The model that runs. Press the button to choose or download another one."))
        self.clicked.connect(self.open_picker)
        models.changed.connect(self._show)
        self._show()

    def open_picker(self) -> ModelPicker:
        """Open the panel with all models."""
        picker = ModelPicker(self._models, self)
        picker.open()
        return picker

    def _show(self) -> None:
        text, _ = worker_text(self._models.worker)
        if self._models.running:
            text = model_title(self._models.running)
        self._text = text
        self._fit()
        self.setAccessibleName(_tr("Model: {0}").format(text))
        self.setToolTip(self._models.problem or self._models.running or text)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the text to the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        room = self.width() - _BUTTON_MARGINS
        self.setText(self.fontMetrics().elidedText(self._text, Qt.TextElideMode.ElideRight, room))


def _place_at(button: QWidget, popup: QWidget) -> QPoint:
    """Return a position for a popup at a button in screen coordinates: below it, or above it without room below."""
    window = button.window()
    corner = button.mapToGlobal(QPoint(0, button.height() + 2))
    low = window.mapToGlobal(QPoint(0, 0))
    right = low.x() + window.width() - popup.width() - theme.UNIT
    if corner.y() + popup.height() > low.y() + window.height():
        corner.setY(max(low.y(), button.mapToGlobal(QPoint(0, 0)).y() - popup.height() - 2))
    return QPoint(max(low.x(), min(corner.x(), right)), corner.y())
