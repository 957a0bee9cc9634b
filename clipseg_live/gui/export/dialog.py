"""Export dialog: what to export, where to, the options, and the exports that were requested."""

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from clipseg_live.core.settings.export_choices import ExportChoices
from clipseg_live.gui.export.options import ExportForm
from clipseg_live.gui.export.run import ExportQueue, ExportRun
from clipseg_live.gui.export.run_card import RunCard
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import SegmentedControl, hint_label, panel_style_sheet
from clipseg_live.gui.widgets.controls import ElidedLabel, line

_WIDTH = 520
FILE, RANGE, LIST = "file", "range", "list"


@dataclass(frozen=True, slots=True)
class ExportScope:
    """Files that can be exported now.

    Attributes:
        texts: description of what is exported, by ``FILE``, ``RANGE`` and ``LIST``; only those that are possible.
        problem: why nothing can be exported, "" if something can.
    """

    texts: tuple[tuple[str, str], ...] = ()
    problem: str = ""


class ExportDialog(QDialog):
    """Modeless dialog with the options of an export and a list of the requested ones.

    Attributes:
        export_requested: signal with the part to export: ``FILE``, ``RANGE`` or ``LIST``.
        copy_requested: signal with that part, the user wants the command.
        choices_changed: signal with new ExportChoices.
        folder_changed: signal with the Path of another folder for results.
        show_folder_requested: signal with the Path of a folder that the user wants to see.
    """

    export_requested = Signal(str)
    copy_requested = Signal(str)
    choices_changed = Signal(object)
    folder_changed = Signal(object)
    show_folder_requested = Signal(object)

    def __init__(self, choices: ExportChoices, folder: Path, queue: ExportQueue, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Export"))
        self.setStyleSheet(
            panel_style_sheet()
            + f"QPushButton[kind='segment']:disabled {{ color: {theme.FAINT}; border-color: {theme.LINE_COLOUR}; }}"
        )
        self._queue = queue
        self._scope = ExportScope()
        self._chosen = FILE
        self._folder = folder
        parts: list[tuple[object, str]] = [
            (FILE, self.tr("This file")), (RANGE, self.tr("In to out point")), (LIST, self.tr("All files")),
        ]  # fmt: skip
        self.scope = SegmentedControl(self.tr("Export"), parts, self)
        self.scope.picked.connect(self._choose)
        self.scope.button(RANGE).setToolTip(self.tr("Set in and out points below the video, with I and O."))
        self.summary = hint_label("", self)
        self.folder_label = ElidedLabel()
        self.folder_button = QPushButton(self.tr("Choose…"))
        self.folder_button.setAccessibleName(self.tr("Choose folder for results"))
        self.folder_button.clicked.connect(self._ask_folder)
        self.form = ExportForm(choices)
        self.form.changed.connect(self.choices_changed)
        self.copy_button = QPushButton(self.tr("Copy command"))
        self.copy_button.setToolTip(self.tr("Copy a command that writes the same results."))
        self.copy_button.clicked.connect(lambda: self.copy_requested.emit(self._chosen))
        self.export_button = QPushButton(self.tr("Export"))
        theme.set_kind(self.export_button, "primary")
        self.export_button.clicked.connect(lambda: self.export_requested.emit(self._chosen))
        self.problem = hint_label("", self)
        theme.set_kind(self.problem, "problem")
        self._lay_out()
        for run in queue.runs:
            self.add_run(run)
        queue.added.connect(self.add_run)
        self.show_folder(folder)
        for button in self.findChildren(QPushButton):
            button.setAutoDefault(False)  # Enter ends the input of a number, and must not start an export
        screen = QGuiApplication.primaryScreen().availableGeometry()
        self.resize(_WIDTH, min(680, screen.height() - 40))

    def show_scope(self, scope: ExportScope) -> None:
        """Show what can be exported. The chosen part is kept if it is possible."""
        self._scope = scope
        texts = dict(scope.texts)
        for part in (FILE, RANGE, LIST):
            self.scope.button(part).setEnabled(part in texts)
        if self._chosen not in texts and texts:
            self._chosen = next(iter(texts))
        self.scope.show_value(self._chosen)
        self.summary.setText(texts.get(self._chosen, ""))
        self.problem.setText(scope.problem)
        for button in (self.export_button, self.copy_button):
            button.setEnabled(not scope.problem and self._chosen in texts)

    def show_folder(self, folder: Path) -> None:
        """Show the folder for results."""
        self._folder = folder
        self.folder_label.show_text(str(folder))

    def add_run(self, run: ExportRun) -> None:
        """Add the card of an export, the newest first."""
        card = RunCard(run)
        card.stop_requested.connect(lambda: self._queue.stop(run))
        card.resume_requested.connect(lambda: self._queue.resume(run))
        card.folder_requested.connect(lambda: self.show_folder_requested.emit(run.job.folder))
        card.remove_requested.connect(lambda: self._remove(card))
        self._cards.insertWidget(0, card)

    def cards(self) -> list[RunCard]:
        """Return the cards, the newest first."""
        items = (self._cards.itemAt(index) for index in range(self._cards.count()))
        widgets = (item.widget() for item in items if item is not None)
        return [widget for widget in widgets if isinstance(widget, RunCard)]

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(*[2 * theme.UNIT] * 4)
        column.setSpacing(theme.UNIT)
        column.addWidget(self.scope)
        column.addWidget(self.summary)
        place = QHBoxLayout()
        label = QLabel(self.tr("Folder"))
        theme.set_kind(label, "muted")
        label.setMinimumWidth(112)
        place.addWidget(label)
        place.addWidget(self.folder_label, 1)
        place.addWidget(self.folder_button)
        column.addLayout(place)
        column.addWidget(self.form)
        self._cards = QVBoxLayout()
        self._cards.setSpacing(theme.UNIT)
        column.addSpacing(theme.UNIT)
        column.addLayout(self._cards)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidget(content)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setAccessibleName(self.tr("Options and exports"))
        buttons = QHBoxLayout()
        buttons.setContentsMargins(*[2 * theme.UNIT] * 4)
        buttons.setSpacing(theme.UNIT)
        buttons.addWidget(self.problem, 1)
        buttons.addWidget(self.copy_button)
        buttons.addWidget(self.export_button)
        buttons.setAlignment(Qt.AlignmentFlag.AlignRight)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(area, 1)
        outer.addWidget(line())
        outer.addLayout(buttons)

    def _choose(self, part: object) -> None:
        self._chosen = str(part)
        self.show_scope(self._scope)

    def _ask_folder(self) -> None:
        dialog = QFileDialog(self, self.tr("Folder for results"), str(self._folder))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.folder_changed.emit(Path(path)))
        dialog.open()

    def _remove(self, card: RunCard) -> None:
        self._cards.removeWidget(card)
        card.hide()
        card.deleteLater()
        self._queue.remove(card.run)
