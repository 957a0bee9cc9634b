"""Widget of one prompt: its text or image, style, threshold and area."""

from dataclasses import replace

from PySide6.QtCore import QElapsedTimer, QEvent, Qt, Signal
from PySide6.QtGui import QAction, QEnterEvent, QKeyEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QLabel, QMenu, QVBoxLayout, QWidget

from clipseg_live.core.settings.base import RGB, MatteShape, PromptStyle
from clipseg_live.core.settings.effects import is_private
from clipseg_live.core.settings.live import PromptRow
from clipseg_live.core.system.quoting import shorten
from clipseg_live.demo.language import is_known
from clipseg_live.gui.prompts import edits
from clipseg_live.gui.prompts.completer import PromptWords
from clipseg_live.gui.prompts.histogram import HistogramStrip
from clipseg_live.gui.prompts.row_options import RowOptions
from clipseg_live.gui.prompts.row_widgets import ImageDropFrame, PromptThumbnail
from clipseg_live.gui.prompts.text_field import PromptField
from clipseg_live.gui.state.prompt_history import PromptHistory
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.accessible import ValueLabel
from clipseg_live.gui.widgets.buttons import (
    IconButton,
    open_menu_below,
    position_below,
    problem_label,
    show_problem,
    to_hex,
)
from clipseg_live.gui.widgets.colour_picker import ColourChooser
from clipseg_live.gui.widgets.drag_handle import DragHandle
from clipseg_live.gui.widgets.number_range import PERCENT, NumberRange
from clipseg_live.gui.widgets.slider_field import SliderField

_TYPING_PAUSE = 1500
"""Milliseconds without a key after which typing begins a new undo step."""

_ALT_SHIFT = Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ShiftModifier


class PromptRowWidget(ImageDropFrame):
    """Widget that shows one PromptRow of the Store and requests edits of it.

    Attributes:
        duplicate_requested: signal with the row id.
        remove_requested: signal with the row id.
        move_requested: signal with the row id and the number of places, negative for up.
        file_requested: signal with the row id, the user wants an image from a file.
        clipboard_requested: signal with the row id, the user wants the image of the clipboard.
        box_requested: signal with the row id, the user wants to draw a box.
        image_pasted: signal with the row id and the QMimeData.
    """

    duplicate_requested = Signal(int)
    remove_requested = Signal(int)
    move_requested = Signal(int, int)
    file_requested = Signal(int)
    clipboard_requested = Signal(int)
    box_requested = Signal(int)
    image_pasted = Signal(int, object)

    def __init__(
        self, row: PromptRow, store: Store, history: PromptHistory, words: PromptWords, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.row_id = row.id
        self._row = row
        self._store = store
        self._history = history
        self._drawn = True
        self._can_add = True
        self._area: float | None = None
        self._presence: float | None = None
        self._typing_timer = QElapsedTimer()
        theme.set_kind(self, "row")
        self._make_controls(words)
        self._lay_out()
        self._connect()
        self.set_highlighted(False)

    # ---- construction

    def _make_controls(self, words: PromptWords) -> None:
        self.drag_handle = DragHandle(self.tr("Drag to reorder"), self)
        self.colour_button = ColourChooser(self.tr("Colour"), parent=self)
        self.thumbnail = PromptThumbnail(self.tr("Prompt image"), self)
        self.field = PromptField(words, self.row_id, self)
        self.field.setAccessibleName(self.tr("Prompt"))
        self.problem = problem_label(self)
        self.badge = QLabel(self)
        theme.set_kind(self.badge, "figure")
        self.model_note = problem_label(self)
        self.model_note.setText(self.tr("The demo model only knows coloured shapes."))
        self.delete_button = IconButton("delete", self.tr("Delete"), parent=self)
        self.solo_button = IconButton("solo", self.tr("Show only this prompt"), checked_icon="solo", parent=self)
        self.visible_button = IconButton(
            "eye-off", self.tr("Show"), checked_icon="eye", checked_colour=theme.TEXT, parent=self
        )
        self.menu_button = IconButton("more", self.tr("More"), parent=self)
        threshold = NumberRange(default=PromptStyle().threshold)
        self.threshold = SliderField(self.tr("Threshold"), threshold, short="≥", parent=self)
        self.threshold.setToolTip(self.tr("Pixels with at least this probability are masked. Lower = larger mask."))
        self.area_label = ValueLabel(self.tr("Area"), self)
        theme.set_kind(self.area_label, "figure")
        self.area_label.setFont(theme.figure_font())
        self.area_label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.area_label.setFixedWidth(self.area_label.fontMetrics().horizontalAdvance("100 %") + 2)
        self.area_label.setToolTip(self.tr("Area: share of the frame that the mask covers"))
        self.histogram = HistogramStrip(self)
        self.histogram.hide()
        self.image_weight = SliderField(self.tr("Image"), PERCENT, glyph="image", parent=self)
        self.image_weight.setToolTip(self.tr("Weight of the image; the rest is the text"))
        opacity = replace(PERCENT, default=PromptStyle().opacity)
        self.opacity = SliderField(self.tr("Opacity"), opacity, glyph="half", parent=self)
        self.opacity.setToolTip(self.tr("Opacity"))

    def _lay_out(self) -> None:
        first = QHBoxLayout()
        first.setSpacing(2)
        for widget in (self.drag_handle, self.colour_button, self.thumbnail):
            first.addWidget(widget)
        first.addWidget(self.field, 1)
        first.addWidget(self.badge)
        for button in (self.delete_button, self.solo_button, self.visible_button, self.menu_button):
            first.addWidget(button)
        second = QHBoxLayout()
        second.setSpacing(6)
        second.setContentsMargins(4, 0, 2, 0)
        second.addWidget(self.threshold, 10)
        second.addWidget(self.area_label)
        second.addWidget(self.image_weight, 7)
        second.addWidget(self.opacity, 7)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 6, 6, 8)
        column.setSpacing(5)
        column.addLayout(first)
        column.addWidget(self.problem)
        column.addWidget(self.model_note)
        column.addLayout(second)
        column.addWidget(self.histogram)

    def _connect(self) -> None:
        self.colour_button.picked.connect(self._set_colour)
        self.field.text_applied.connect(self._set_text)
        self.field.submitted.connect(self._finish_text)
        self.field.editingFinished.connect(lambda: self._finish_text(self.field.text()))
        self.field.problem_changed.connect(lambda text: show_problem(self.problem, text))
        self.field.image_pasted.connect(lambda content: self.image_pasted.emit(self.row_id, content))
        self.image_dropped.connect(lambda content: self.image_pasted.emit(self.row_id, content))
        self.thumbnail.clicked.connect(lambda: self._open_menu(self.thumbnail))
        self.menu_button.clicked.connect(lambda: self._open_menu(self.menu_button))
        self.delete_button.clicked.connect(lambda: self.remove_requested.emit(self.row_id))
        self.visible_button.clicked.connect(lambda checked: self._edit(visible=checked))
        self.solo_button.clicked.connect(lambda checked: self._edit(solo=checked))
        self.threshold.edited.connect(lambda value: self._edit_style("threshold", threshold=value))
        self.histogram.edited.connect(lambda value: self._edit_style("threshold", threshold=value))
        self.opacity.edited.connect(lambda value: self._edit_style("opacity", opacity=value))
        self.image_weight.edited.connect(lambda value: self._edit("mix", share=value))
        for slider in (self.threshold, self.opacity, self.image_weight, self.histogram):
            slider.released.connect(self._store.end_merge)

    def tab_stops(self) -> list[QWidget]:
        """Return the controls in the order of the Tab key."""
        return [
            self.colour_button, self.thumbnail, self.field, self.delete_button, self.solo_button,
            self.visible_button, self.menu_button, self.threshold, self.image_weight, self.opacity,
            self.histogram.field, self.histogram.suggestion,
        ]  # fmt: skip

    # ---- showing

    def show_row(self, row: PromptRow, *, drawn: bool, can_add: bool) -> None:
        """Show a row.

        Args:
            row: the row.
            drawn: whether its mask is drawn.
            can_add: whether the list has room for another row.
        """
        self._can_add = can_add
        style = row.style
        self._show_image(row)
        self.field.set_apply_on_finish(is_private(self._store.settings.effects))
        self.field.show_text(row.text)
        self.field.setPlaceholderText(self.tr("Add text") if row.image is not None else self.tr("What to look for"))
        self.field.setToolTip(row.text if len(row.text) > 18 else "")
        self.colour_button.show_colour(style.colour, hollow=not drawn)
        self.threshold.show_value(style.threshold)
        self.opacity.show_value(style.opacity)
        self.histogram.field.show_threshold(style.threshold, to_hex(style.colour) if drawn else theme.FAINT)
        self.image_weight.show_value(row.share)
        self.visible_button.setChecked(row.visible)
        self.visible_button.set_name(self.tr("Hide") if row.visible else self.tr("Show"))
        self.solo_button.setChecked(row.solo)
        self.solo_button.set_name(self.tr("Show all prompts") if row.solo else self.tr("Show only this prompt"))
        self._row = row
        self._drawn = drawn
        if self.field.property("quiet") != (not drawn):
            self.field.setProperty("quiet", not drawn)
            self.field.style().polish(self.field)
        self._show_badge(style)
        name = shorten(row.text).strip('"') or self.tr("image")
        self.setAccessibleName(self.tr("Prompt {}").format(name))
        self.threshold.setAccessibleName(self.tr("Threshold of {}").format(name))
        self.opacity.setAccessibleName(self.tr("Opacity of {}").format(name))
        self.image_weight.setAccessibleName(self.tr("Image weight of {}").format(name))
        self.area_label.rename(self.tr("Area of {}").format(name))
        self._show_buttons()
        self._update_area()

    def show_model(self, is_demo_model: bool) -> None:
        """Say so if the demo model runs and cannot know the prompt."""
        prompt = self._row.prompt if is_demo_model else None
        self.model_note.setVisible(prompt is not None and not is_known(prompt))

    def show_area(self, area: float | None, presence: float | None = None) -> None:
        """Show area and presence.

        Args:
            area: area of the mask as a share (0 to 1) of the frame; None if unknown.
            presence: presence of the prompt, 0 to 1; None if unknown.
        """
        if (area, presence) != (self._area, self._presence):
            self._area = area
            self._presence = presence
            self._update_area()

    def set_highlighted(self, highlighted: bool) -> None:
        """Show the secondary buttons while the row has the pointer or the focus."""
        if self.property("highlighted") != highlighted:
            self.setProperty("highlighted", highlighted)
            self.style().polish(self)
            self._show_buttons()

    def set_lifted(self, lifted: bool) -> None:
        """Mark the row while it is dragged."""
        self.setProperty("lifted", lifted)
        self.style().polish(self)

    def _show_image(self, row: PromptRow) -> None:
        self.thumbnail.show_image(row.image)
        self.thumbnail.setVisible(row.image is not None)
        self.image_weight.setVisible(row.image is not None and bool(row.text.strip()))

    def _show_buttons(self) -> None:
        highlighted = bool(self.property("highlighted"))
        self.delete_button.setVisible(highlighted)
        self.solo_button.setVisible(highlighted or self._row.solo)

    def _update_area(self) -> None:
        colour = to_hex(self._row.style.colour) if self._drawn else theme.FAINT
        self.threshold.show_bar(self._area if self._area is not None else 0.0, colour)
        text = "" if self._area is None else format_area(self._area)
        if text != self.area_label.text():
            self.area_label.show_value(text)
        present = self._presence is None or self._presence >= self._store.settings.matte.presence_threshold
        theme.set_kind(self.area_label, "figure" if present else "absent")
        if self._presence is not None:
            text = self.tr("Area {0}, presence {1:.2f}").format(text, self._presence)
        if text != self.area_label.accessibleDescription():
            self.area_label.setAccessibleDescription(text)
            self.area_label.setToolTip(text or self.tr("Area: share of the frame that the mask covers"))

    def _show_badge(self, style: PromptStyle) -> None:
        marks = {
            "negative": ("−", self.tr("Subtracted from the other masks")),
            "contrast": ("vs", self.tr("Other prompts must score higher than this one")),
        }
        mark, description = marks.get(style.role, ("", ""))
        self.badge.setText(mark)
        self.badge.setToolTip(description)
        self.badge.setAccessibleName(description)
        self.badge.setVisible(bool(mark))
        is_changed = style.shape != MatteShape()
        self.menu_button.set_name(self.tr("More (mask options changed)") if is_changed else self.tr("More"))

    # ---- edits

    def _current_row(self) -> PromptRow | None:
        return edits.row_of(self._store.settings, self.row_id)

    def _edit(self, merge: str = "", **values: object) -> None:
        row = self._current_row()
        if row is not None:
            changed = row.model_copy(update=values)
            self._store.edit_row(changed, f"{merge} {row.id}" if merge else "")

    def _edit_style(self, merge: str = "", **values: object) -> None:
        row = self._current_row()
        if row is not None:
            self._edit(merge, style=row.style.model_copy(update=values))

    def _set_colour(self, colour: RGB) -> None:
        self._edit_style(colour=colour)

    def _set_text(self, text: str) -> None:
        if self._typing_timer.isValid() and self._typing_timer.elapsed() > _TYPING_PAUSE:
            self._store.end_merge()
        self._typing_timer.start()
        row = self._current_row()
        if row is not None:
            self._store.edit_row(edits.with_text(self._store.settings, row, text), f"text {row.id}")

    def _finish_text(self, text: str) -> None:
        self._typing_timer.invalidate()
        self._store.end_merge()
        if not self.field.problem:
            self._history.add(text)

    # ---- the menu

    def menu(self) -> QMenu:
        """Return the menu of the row."""
        menu = QMenu(self)
        picture = self._row.image is not None
        self._add(menu, "image", self.tr("Use image from file…"), lambda: self.file_requested.emit(self.row_id))
        self._add(
            menu, "clipboard", self.tr("Use image from clipboard"), lambda: self.clipboard_requested.emit(self.row_id)
        )
        self._add(menu, "box", self.tr("Select object in frame…"), lambda: self.box_requested.emit(self.row_id))
        self._add(menu, "close", self.tr("Remove image"), lambda: self._edit(image=None)).setEnabled(picture)
        menu.addSeparator()
        self._add(menu, "sliders", self.tr("Mask options…\tAlt+Return"), self.open_options)
        menu.addSeparator()
        self._add(menu, "up", self.tr("Move up\tAlt+Up"), lambda: self.move_requested.emit(self.row_id, -1))
        self._add(menu, "down", self.tr("Move down\tAlt+Down"), lambda: self.move_requested.emit(self.row_id, 1))
        menu.addSeparator()
        duplicate = self.tr("Duplicate\tAlt+Shift+Down")
        copy = self._add(menu, "copy", duplicate, lambda: self.duplicate_requested.emit(self.row_id))
        copy.setEnabled(self._can_add)
        self._add(menu, "delete", self.tr("Delete\tAlt+Delete"), lambda: self.remove_requested.emit(self.row_id))
        return menu

    def _add(self, menu: QMenu, icon: str, text: str, handler: object) -> QAction:
        action = menu.addAction(theme.icon(icon, theme.MUTED), text)
        action.triggered.connect(handler)
        return action

    def open_options(self) -> RowOptions:
        """Open the panel with role and edges."""
        options = RowOptions(self.row_id, self._store, self)
        options.adjustSize()
        options.move(position_below(self.menu_button, options.width()))
        options.show()
        return options

    def _open_menu(self, button: QWidget) -> None:
        open_menu_below(self.menu(), button)

    # ---- keys and pointer

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Handle keys that no control of the row has used."""
        key = event.key()
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if modifiers == Qt.KeyboardModifier.AltModifier and key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.move_requested.emit(self.row_id, -1 if key == Qt.Key.Key_Up else 1)
        elif modifiers == Qt.KeyboardModifier.AltModifier and key == Qt.Key.Key_Delete:
            self.remove_requested.emit(self.row_id)
        elif modifiers == Qt.KeyboardModifier.AltModifier and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.open_options()
        elif modifiers == _ALT_SHIFT and key == Qt.Key.Key_Down:
            self.duplicate_requested.emit(self.row_id)
        else:
            super().keyPressEvent(event)

    def has_focus(self) -> bool:
        """Return whether the row or one of its controls has the focus."""
        focus = QApplication.focusWidget()
        return focus is not None and (focus is self or self.isAncestorOf(focus))

    def enterEvent(self, event: QEnterEvent) -> None:
        """Show the secondary buttons."""
        super().enterEvent(event)
        self.set_highlighted(True)

    def leaveEvent(self, event: QEvent) -> None:
        """Hide the secondary buttons, unless the row has the focus."""
        super().leaveEvent(event)
        self.set_highlighted(self.has_focus())


def format_area(area: float) -> str:
    """Return an area as a share of the frame (0 to 1) in whole per cent.

    Values above 0 and below 1 % give "<1 %", so only an empty mask gives "0 %".
    """
    if 0.0 < area < 0.01:
        return "<1 %"
    return PERCENT.text(area)
