"""Panel with the list of prompts."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import QMimeData, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QLabel, QMenu, QVBoxLayout, QWidget

from clipseg_live.app.words.vocabulary import model_words
from clipseg_live.core.analysis.histograms import MapHistogram
from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.settings.base import BUILT_IN_MODEL
from clipseg_live.core.settings.live import MOST_ROWS, PromptImage
from clipseg_live.gui.prompts import edits
from clipseg_live.gui.prompts.completer import PromptWords
from clipseg_live.gui.prompts.list_view import RowList
from clipseg_live.gui.prompts.row import PromptRowWidget
from clipseg_live.gui.prompts.row_widgets import ImageDropFrame
from clipseg_live.gui.prompts.text_field import PromptField
from clipseg_live.gui.prompts.thumbnails import clipboard_image, file_patterns, read_prompt_image
from clipseg_live.gui.state.prompt_history import PromptHistory
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import (
    IconButton,
    hint_label,
    open_menu_below,
    panel_style_sheet,
    problem_label,
    show_problem,
)


class PromptPanel(QWidget):
    """Panel with one row for each prompt of the Store and a row for a new prompt.

    Attributes:
        box_requested: signal with the id of the row to draw a box for, None for a new row. The window answers with
            ``set_image`` or ``add_crop``.
    """

    box_requested = Signal(object)

    def __init__(self, store: Store, history: PromptHistory, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._history = history
        self._row_widgets: dict[int, PromptRowWidget] = {}
        self._areas: Mapping[int, float] = {}
        self._is_demo_model = False
        self._words = PromptWords(store, history)
        self.setStyleSheet(panel_style_sheet())
        self.setMinimumWidth(300)
        self.setAccessibleName(self.tr("Prompts"))
        self._make_header()
        self.list = RowList(self)
        self.list.moved.connect(self._move_to_gap)
        self.hint = hint_label("", self)
        self.hint.setContentsMargins(4, 2, 4, 0)
        self.problem = problem_label(self)
        self._make_new_row()
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 8, 10, 10)
        column.setSpacing(6)
        column.addLayout(self._header)
        column.addWidget(self.list)
        column.addWidget(self.new_row)
        column.addWidget(self.hint)
        column.addWidget(self.problem)
        column.addStretch(1)
        store.changed.connect(self._show)
        QApplication.instance().focusChanged.connect(self._follow_focus)  # type: ignore[union-attr]
        self._show()

    # ---- called by the window

    def show_model(self, name: str) -> None:
        """Suggest prompts that the running model knows, and mark those that it cannot know.

        Args:
            name: name of the model that runs, "" for none.
        """
        self._words.suggestions = model_words(name)
        self._is_demo_model = name == BUILT_IN_MODEL
        self._show_model()

    def show_areas(self, areas: Mapping[int, float], presence: Mapping[int, float]) -> None:
        """Show the area and presence of the prompts. Rows without values show none.

        Args:
            areas: area of the mask by row id, as a share (0 to 1) of the frame.
            presence: presence by row id, 0 to 1.
        """
        self._areas = dict(areas)
        for row_id, row in self._row_widgets.items():
            row.show_area(self._areas.get(row_id), presence.get(row_id))

    @property
    def shows_histograms(self) -> bool:
        """True if the histograms are shown."""
        return self.histogram_button.isChecked()

    def toggle_histograms(self) -> None:
        """Show or hide the histograms of all rows."""
        self.histogram_button.toggle()

    def show_histograms(self, histograms: Mapping[int, MapHistogram]) -> None:
        """Show histograms by row id. Rows without one show none."""
        for row_id, row in self._row_widgets.items():
            row.histogram.show_histogram(histograms.get(row_id))

    def _show_histogram_strips(self, shown: bool) -> None:
        for row in self._row_widgets.values():
            row.histogram.setVisible(shown)

    def set_image(self, row_id: int | None, picture: PromptImage) -> None:
        """Set the image of a row. Nothing happens if the row is gone.

        Args:
            row_id: id of the row; None adds a new row.
            picture: the image.
        """
        if row_id is None:
            self._try(lambda: self._store.edit(edits.with_new_row(self._store.settings, image=picture)))
            return
        row = edits.row_of(self._store.settings, row_id)
        if row is not None:
            self._store.edit_row(row.model_copy(update={"image": picture}))

    def add_crop(self, picture: PromptImage) -> None:
        """Add a row for a part of a frame, and select its name."""
        rows = len(self._store.settings.rows)
        self._try(lambda: self._store.edit(edits.with_new_crop(self._store.settings, picture)))
        if len(self._store.settings.rows) > rows:
            self._focus_index(rows)
            self.list.rows[rows].field.selectAll()

    def focus_new_row(self) -> None:
        """Focus the field of the new row, or the last prompt if the list is full."""
        self._focus_index(len(self._store.settings.rows))

    def focus_first_row(self) -> None:
        """Focus the text of the first prompt, or the new row if there are no prompts."""
        self._focus_index(0)

    # ---- construction

    def _make_header(self) -> None:
        self.count = QLabel(self)
        theme.set_kind(self.count, "muted")
        self.more = IconButton("more", self.tr("More actions"), parent=self)
        self.more.clicked.connect(self._open_menu)
        self.undo = IconButton("undo", self.tr("Undo"), parent=self)
        self.undo.clicked.connect(self._store.undo)
        self.redo = IconButton("redo", self.tr("Redo"), parent=self)
        self.redo.clicked.connect(self._store.redo)
        self._header = QHBoxLayout()
        self._header.setContentsMargins(4, 0, 6, 0)
        self._header.setSpacing(2)
        self._header.addWidget(self.count)
        self._header.addStretch(1)
        self.histogram_button = IconButton(
            "histogram", self.tr("Show histograms"), checked_icon="histogram", parent=self
        )
        self.histogram_button.toggled.connect(self._show_histogram_strips)
        for button in (self.histogram_button, self.undo, self.redo, self.more):
            self._header.addWidget(button)

    def _make_new_row(self) -> None:
        self.new_row = ImageDropFrame(self)
        theme.set_kind(self.new_row, "new-row")
        self.add = IconButton("plus", self.tr("Add prompt"), parent=self.new_row)
        self.add.clicked.connect(self._add_from_field)
        self.field = PromptField(self._words, parent=self.new_row)
        self.field.setAccessibleName(self.tr("New prompt"))
        self.field.problem_changed.connect(lambda text: show_problem(self.problem, text))
        self.field.submitted.connect(self._add)
        self.field.image_pasted.connect(lambda content: self._paste(None, content))
        self.new_row.image_dropped.connect(lambda content: self._paste(None, content))
        self.picture = IconButton("image", self.tr("Add image prompt"), parent=self.new_row)
        self.picture.clicked.connect(self._open_picture_menu)
        line = QHBoxLayout(self.new_row)
        line.setContentsMargins(16, 5, 6, 5)
        line.setSpacing(2)
        line.addWidget(self.add)
        line.addWidget(self.field, 1)
        line.addWidget(self.picture)

    def menu(self) -> QMenu:
        """Return the menu of the whole list."""
        menu = QMenu(self)
        clear = menu.addAction(theme.icon("history", theme.MUTED), self.tr("Clear prompt history"))
        clear.triggered.connect(self._history.clear)
        clear.setEnabled(bool(self._history.texts))
        empty = menu.addAction(theme.icon("delete", theme.MUTED), self.tr("Delete all prompts"))
        empty.triggered.connect(lambda: self._store.update(rows=()))
        empty.setEnabled(bool(self._store.settings.rows))
        return menu

    def picture_menu(self) -> QMenu:
        """Return the menu with the sources of an image for a new row."""
        menu = QMenu(self)
        entries: tuple[tuple[str, str, Callable[[], object]], ...] = (
            ("image", self.tr("Use image from file…"), lambda: self._ask_file(None)),
            ("clipboard", self.tr("Use image from clipboard"), lambda: self._paste_clipboard(None)),
            ("box", self.tr("Select object in frame…"), lambda: self.box_requested.emit(None)),
        )
        for icon, text, edit in entries:
            menu.addAction(theme.icon(icon, theme.MUTED), text).triggered.connect(edit)
        return menu

    def _open_menu(self) -> None:
        open_menu_below(self.menu(), self.more)

    def _open_picture_menu(self) -> None:
        open_menu_below(self.picture_menu(), self.picture)

    # ---- showing the Store

    def _show(self) -> None:
        settings = self._store.settings
        self.problem.hide()
        drawn = {row.id for row in settings.shown()}
        can_add = len(settings.rows) < MOST_ROWS
        focus = self._focused_index()
        removed = self._row_widgets.keys() - {row.id for row in settings.rows}
        added = [row for row in settings.rows if row.id not in self._row_widgets]
        for row in added:
            self._row_widgets[row.id] = self._make_row(row.id)
        ordered = [self._row_widgets[row.id] for row in settings.rows]
        reordered = ordered != list(self.list.rows)
        for row in settings.rows:
            self._row_widgets[row.id].show_row(row, drawn=row.id in drawn, can_add=can_add)
        self._show_model()
        if reordered:
            self.list.show_rows(ordered)
            self._order_tabs(ordered)
        self._show_room(can_add, len(settings.rows))
        for row_id in removed:
            self._remove_row(self._row_widgets.pop(row_id))
        if removed and focus is not None and ordered[focus : focus + 1] != [self._focused_row()]:
            self._focus_index(focus)
        if added and len(added) == 1:
            self.list.scroll_to(self._row_widgets[added[0].id])

    def _show_model(self) -> None:
        for row in self._row_widgets.values():
            row.show_model(self._is_demo_model)
        self.hint.setText(
            self.tr("The demo model only knows coloured shapes, for example “red circle”, “star” or “everything blue”.")
            if self._is_demo_model
            else self.tr("Enter what to look for, for example “a red mug”, “hair” or “anything wet”.")
        )

    def _show_room(self, can_add: bool, count: int) -> None:
        self.hint.setVisible(count == 0)
        self.count.setText(self.tr("{} of {} prompts").format(count, MOST_ROWS) if count else "")
        self.list.setVisible(count > 0)
        self.undo.setEnabled(self._store.can_undo)
        self.redo.setEnabled(self._store.can_redo)
        had_focus = self.field.hasFocus()
        for widget in (self.field, self.add, self.picture):
            widget.setEnabled(can_add)
        self.field.setPlaceholderText(self.tr("Add prompt") if can_add else self.tr("Prompt list is full"))
        if had_focus and not can_add:
            self._focus_index(count)

    def _make_row(self, row_id: int) -> PromptRowWidget:
        row = edits.row_of(self._store.settings, row_id)
        assert row is not None
        widget = PromptRowWidget(row, self._store, self._history, self._words, self.list.widget())
        widget.duplicate_requested.connect(self._duplicate)
        widget.remove_requested.connect(self._remove)
        widget.move_requested.connect(self._move)
        widget.file_requested.connect(self._ask_file)
        widget.clipboard_requested.connect(self._paste_clipboard)
        widget.box_requested.connect(self.box_requested.emit)
        widget.image_pasted.connect(self._paste)
        widget.show_area(self._areas.get(row_id))
        widget.histogram.setVisible(self.histogram_button.isChecked())
        return widget

    def _remove_row(self, row: PromptRowWidget) -> None:
        if not row.field.problem:
            self._history.add(row.field.text())
        row.hide()
        row.deleteLater()

    def _order_tabs(self, ordered: list[PromptRowWidget]) -> None:
        stops = [stop for row in ordered for stop in row.tab_stops()]
        stops = [self.histogram_button, self.undo, self.redo, self.more, *stops, self.add, self.field, self.picture]
        for before, after in pairwise(stops):
            QWidget.setTabOrder(before, after)

    # ---- the focus

    def _focused_row(self) -> PromptRowWidget | None:
        return next((row for row in self._row_widgets.values() if row.has_focus()), None)

    def _focused_index(self) -> int | None:
        row = self._focused_row()
        return self.list.rows.index(row) if row in self.list.rows else None

    def _focus_index(self, index: int) -> None:
        """Focus the text at an index of the list; past the end the new row, or the last text without one."""
        rows = self.list.rows
        if index >= len(rows) and (self.field.isEnabled() or not rows):
            self.field.setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            row = rows[min(index, len(rows) - 1)]
            row.field.setFocus(Qt.FocusReason.OtherFocusReason)
            self.list.scroll_to(row)

    def _follow_focus(self, old_widget: QWidget | None, new_widget: QWidget | None) -> None:
        for row in self.list.rows:
            is_inside = new_widget is not None and row.isAncestorOf(new_widget)
            row.set_highlighted(is_inside or row.underMouse())
            if is_inside:
                self.list.ensureWidgetVisible(row, 0, 6)

    # ---- edits

    def _add(self, text: str) -> None:
        text = text.strip()
        if not text:
            return
        self._history.add(text)
        self.field.clear()
        self._try(lambda: self._store.edit(edits.with_new_row(self._store.settings, text)))

    def _add_from_field(self) -> None:
        self.field.setFocus(Qt.FocusReason.OtherFocusReason)
        self.field.submit()

    def _duplicate(self, row_id: int) -> None:
        self._try(lambda: self._store.edit(edits.with_duplicate(self._store.settings, row_id)))

    def _remove(self, row_id: int) -> None:
        self._store.edit(edits.without_row(self._store.settings, row_id))

    def _move(self, row_id: int, step: int) -> None:
        index = edits.row_index(self._store.settings, row_id)
        if index is not None and 0 <= index + step < len(self._store.settings.rows):
            self._move_to_gap(row_id, index + step + (step > 0))
            self.list.scroll_to(self._row_widgets[row_id])

    def _move_to_gap(self, row_id: int, gap: int) -> None:
        self._store.edit(edits.with_row_moved(self._store.settings, row_id, gap))

    # ---- images

    def _paste_clipboard(self, row_id: int | None) -> None:
        self._paste(row_id, QGuiApplication.clipboard().mimeData())

    def _paste(self, row_id: int | None, content: QMimeData) -> None:
        self._try(lambda: self.set_image(row_id, clipboard_image(content)))

    def _ask_file(self, row_id: int | None) -> None:
        dialog = QFileDialog(self, self.tr("Choose prompt image"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters([self.tr("Images ({})").format(file_patterns()), self.tr("All files (*)")])
        dialog.fileSelected.connect(
            lambda path: self._try(lambda: self.set_image(row_id, read_prompt_image(Path(path))))
        )
        dialog.open()

    def _try(self, edit: Callable[[], None]) -> None:
        """Run an edit and show its error in the panel."""
        self.problem.hide()
        try:
            edit()
        except ClipsegLiveError as error:
            show_problem(self.problem, str(error))
