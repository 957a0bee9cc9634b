"""Widget of one prompt: its text or image, style, threshold and area."""

from PySide6.QtCore import QElapsedTimer, QEvent, Qt, Signal
from PySide6.QtGui import QAction, QEnterEvent, QKeyEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QLabel, QMenu, QVBoxLayout, QWidget

from clipseg_live.core.settings.base import RGB, MatteShape, PromptStyle
from clipseg_live.core.settings.effects import is_private
from clipseg_live.core.settings.live import PromptRow
from clipseg_live.core.system.quoting import shorten
from clipseg_live.gui.prompts import edits
from clipseg_live.gui.prompts.row_options import RowOptions
from clipseg_live.gui.prompts.row_widgets import DragHandle, PictureFrame, PromptThumbnail
from clipseg_live.gui.prompts.text_field import PromptField
from clipseg_live.gui.state.prompt_history import PromptHistory
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.accessible import ValueLabel
from clipseg_live.gui.widgets.buttons import IconButton, corner_under, hex_of, open_menu_under
from clipseg_live.gui.widgets.colour_picker import ColourChooser
from clipseg_live.gui.widgets.slider_field import SliderField

_WORD = 1500
"""Milliseconds without a key after which typing begins a new undo step."""

_ALT_SHIFT = Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ShiftModifier


class PromptRowWidget(PictureFrame):
    """Widget that shows one PromptRow of the Store and requests edits of it.

    Attributes:
        duplicate_asked: signal with the row id.
        remove_asked: signal with the row id.
        move_asked: signal with the row id and the number of places, negative for up.
        file_wanted: signal with the row id, the user wants an image from a file.
        clipboard_wanted: signal with the row id, the user wants the image of the clipboard.
        box_wanted: signal with the row id, the user wants to draw a box.
        pasted: signal with the row id and the QMimeData.
    """

    duplicate_asked = Signal(int)
    remove_asked = Signal(int)
    move_asked = Signal(int, int)
    file_wanted = Signal(int)
    clipboard_wanted = Signal(int)
    box_wanted = Signal(int)
    pasted = Signal(int, object)

    def __init__(self, row: PromptRow, store: Store, history: PromptHistory, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.row_id = row.id
        self._row = row
        self._store, self._history = store, history
        self._shown = True
        self._room = True
        self._share: float | None = None
        self._presence: float | None = None
        self._typing = QElapsedTimer()
        theme.set_kind(self, "row")
        self._make_controls()
        self._lay_out()
        self._connect()
        self.set_lively(False)

    # ---- construction

    def _make_controls(self) -> None:
        self.grip = DragHandle(self.tr("Drag to reorder"), self)
        self.swatch = ColourChooser(self.tr("Colour"), parent=self)
        self.thumbnail = PromptThumbnail(self.tr("Prompt image"), self)
        self.field = PromptField(self._history.model, self)
        self.field.setAccessibleName(self.tr("Prompt"))
        self.badge = QLabel(self)
        theme.set_kind(self.badge, "figure")
        self.delete = IconButton("delete", self.tr("Delete"), parent=self)
        self.solo = IconButton("solo", self.tr("Show only this prompt"), checked_icon="solo", parent=self)
        self.eye = IconButton("eye-off", self.tr("Show"), checked_icon="eye", checked_colour=theme.TEXT, parent=self)
        self.more = IconButton("more", self.tr("More"), parent=self)
        self.threshold = SliderField(self.tr("Threshold"), short="≥", default=PromptStyle().threshold, parent=self)
        self.threshold.setToolTip(self.tr("Pixels with at least this probability are masked. Lower = larger mask."))
        self.share = ValueLabel(self.tr("Area"), self)
        theme.set_kind(self.share, "figure")
        self.share.setFont(theme.figure_font())
        self.share.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.share.setFixedWidth(self.share.fontMetrics().horizontalAdvance("100 %") + 2)
        self.share.setToolTip(self.tr("Area: share of the frame that the mask covers"))
        self.mix = SliderField(self.tr("Image"), glyph="image", write=_per_cent, parent=self)
        self.mix.setToolTip(self.tr("Weight of the image; the rest is the text"))
        self.opacity = SliderField(
            self.tr("Opacity"), glyph="half", default=PromptStyle().opacity, write=_per_cent, parent=self
        )
        self.opacity.setToolTip(self.tr("Opacity"))

    def _lay_out(self) -> None:
        first = QHBoxLayout()
        first.setSpacing(2)
        for widget in (self.grip, self.swatch, self.thumbnail):
            first.addWidget(widget)
        first.addWidget(self.field, 1)
        first.addWidget(self.badge)
        for button in (self.delete, self.solo, self.eye, self.more):
            first.addWidget(button)
        second = QHBoxLayout()
        second.setSpacing(6)
        second.setContentsMargins(4, 0, 2, 0)
        second.addWidget(self.threshold, 10)
        second.addWidget(self.share)
        second.addWidget(self.mix, 7)
        second.addWidget(self.opacity, 7)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 6, 6, 8)
        column.setSpacing(5)
        column.addLayout(first)
        column.addLayout(second)

    def _connect(self) -> None:
        self.swatch.picked.connect(self._set_colour)
        self.field.settled.connect(self._set_text)
        self.field.entered.connect(self._finish_text)
        self.field.editingFinished.connect(lambda: self._finish_text(self.field.text()))
        self.field.image_pasted.connect(lambda content: self.pasted.emit(self.row_id, content))
        self.picture_dropped.connect(lambda content: self.pasted.emit(self.row_id, content))
        self.thumbnail.clicked.connect(lambda: self._open_menu(self.thumbnail))
        self.more.clicked.connect(lambda: self._open_menu(self.more))
        self.delete.clicked.connect(lambda: self.remove_asked.emit(self.row_id))
        self.eye.clicked.connect(lambda on: self._edit(visible=on))
        self.solo.clicked.connect(lambda on: self._edit(solo=on))
        self.threshold.edited.connect(lambda value: self._edit_style("threshold", threshold=value))
        self.opacity.edited.connect(lambda value: self._edit_style("opacity", opacity=value))
        self.mix.edited.connect(lambda value: self._edit("mix", share=value))
        for slider in (self.threshold, self.opacity, self.mix):
            slider.released.connect(self._store.end_merge)

    def tab_stops(self) -> list[QWidget]:
        """Return the controls in the order of the Tab key."""
        return [
            self.swatch, self.thumbnail, self.field, self.delete, self.solo, self.eye, self.more,
            self.threshold, self.mix, self.opacity,
        ]  # fmt: skip

    # ---- showing

    def show_row(self, row: PromptRow, *, shown: bool, room: bool) -> None:
        """Show a row.

        Args:
            row: the row.
            shown: whether its mask is drawn.
            room: whether the list has room for another row.
        """
        self._room, style = room, row.style
        self._show_picture(row)
        self.field.hold(is_private(self._store.settings.effects))
        self.field.show_text(row.text)
        self.field.setPlaceholderText(self.tr("Add text") if row.picture is not None else self.tr("What to look for"))
        self.field.setToolTip(row.text if len(row.text) > 18 else "")
        self.swatch.show_colour(style.colour, hollow=not shown)
        self.threshold.show_value(style.threshold)
        self.opacity.show_value(style.opacity)
        self.mix.show_value(row.share)
        self.eye.setChecked(row.visible)
        self.eye.name(self.tr("Hide") if row.visible else self.tr("Show"))
        self.solo.setChecked(row.solo)
        self.solo.name(self.tr("Show all prompts") if row.solo else self.tr("Show only this prompt"))
        self._row, self._shown = row, shown
        if self.field.property("quiet") != (not shown):
            self.field.setProperty("quiet", not shown)
            self.field.style().polish(self.field)
        self._show_badge(style)
        name = shorten(row.text).strip('"') or self.tr("image")
        self.setAccessibleName(self.tr("Prompt {}").format(name))
        self.threshold.setAccessibleName(self.tr("Threshold of {}").format(name))
        self.opacity.setAccessibleName(self.tr("Opacity of {}").format(name))
        self.mix.setAccessibleName(self.tr("Image weight of {}").format(name))
        self.share.rename(self.tr("Area of {}").format(name))
        self._show_buttons()
        self._draw_share()

    def show_share(self, share: float | None, presence: float | None = None) -> None:
        """Show area and presence.

        Args:
            share: area of the mask as a share (0 to 1) of the frame; None if unknown.
            presence: presence of the prompt, 0 to 1; None if unknown.
        """
        if (share, presence) != (self._share, self._presence):
            self._share, self._presence = share, presence
            self._draw_share()

    def set_lively(self, lively: bool) -> None:
        """Show the secondary buttons while the row has the pointer or the focus."""
        if self.property("lively") != lively:
            self.setProperty("lively", lively)
            self.style().polish(self)
            self._show_buttons()

    def set_lifted(self, lifted: bool) -> None:
        """Mark the row while it is dragged."""
        self.setProperty("lifted", lifted)
        self.style().polish(self)

    def _show_picture(self, row: PromptRow) -> None:
        self.thumbnail.show_picture(row.picture)
        self.thumbnail.setVisible(row.picture is not None)
        self.mix.setVisible(row.picture is not None and bool(row.text.strip()))

    def _show_buttons(self) -> None:
        lively = bool(self.property("lively"))
        self.delete.setVisible(lively)
        self.solo.setVisible(lively or self._row.solo)

    def _draw_share(self) -> None:
        colour = hex_of(self._row.style.colour) if self._shown else theme.FAINT
        self.threshold.show_share(self._share if self._share is not None else 0.0, colour)
        text = "" if self._share is None else written_share(self._share)
        if text != self.share.text():
            self.share.show_value(text)
        present = self._presence is None or self._presence >= self._store.settings.matte.present
        theme.set_kind(self.share, "figure" if present else "absent")
        if self._presence is not None:
            text = self.tr("Area {0}, presence {1:.2f}").format(text, self._presence)
        if text != self.share.accessibleDescription():
            self.share.setAccessibleDescription(text)
            self.share.setToolTip(text or self.tr("Area: share of the frame that the mask covers"))

    def _show_badge(self, style: PromptStyle) -> None:
        marks = {
            "negative": ("−", self.tr("Subtracted from the other masks")),
            "contrast": ("vs", self.tr("Other prompts must score higher than this one")),
        }
        mark, sentence = marks.get(style.role, ("", ""))
        self.badge.setText(mark)
        self.badge.setToolTip(sentence)
        self.badge.setAccessibleName(sentence)
        self.badge.setVisible(bool(mark))
        self.more.name(self.tr("More (mask options changed)") if style.shape != MatteShape() else self.tr("More"))

    # ---- edits

    def _now(self) -> PromptRow | None:
        return edits.row_of(self._store.settings, self.row_id)

    def _edit(self, merge: str = "", **values: object) -> None:
        row = self._now()
        if row is not None:
            changed = row.model_copy(update=values)
            self._store.edit_row(changed, f"{merge} {row.id}" if merge else "")

    def _edit_style(self, merge: str = "", **values: object) -> None:
        row = self._now()
        if row is not None:
            self._edit(merge, style=row.style.model_copy(update=values))

    def _set_colour(self, colour: RGB) -> None:
        self._edit_style(colour=colour)

    def _set_text(self, text: str) -> None:
        if self._typing.isValid() and self._typing.elapsed() > _WORD:
            self._store.end_merge()
        self._typing.start()
        self._edit("text", text=text, embedding=())  # a typed text replaces the embedding of a command line

    def _finish_text(self, text: str) -> None:
        self._typing.invalidate()
        self._store.end_merge()
        self._history.add(text)

    # ---- the menu

    def menu(self) -> QMenu:
        """Return the menu of the row."""
        menu = QMenu(self)
        picture = self._row.picture is not None
        self._add(menu, "image", self.tr("Use image from file…"), lambda: self.file_wanted.emit(self.row_id))
        self._add(
            menu, "clipboard", self.tr("Use image from clipboard"), lambda: self.clipboard_wanted.emit(self.row_id)
        )
        self._add(menu, "box", self.tr("Select object in frame…"), lambda: self.box_wanted.emit(self.row_id))
        self._add(menu, "close", self.tr("Remove image"), lambda: self._edit(picture=None)).setEnabled(picture)
        menu.addSeparator()
        self._add(menu, "sliders", self.tr("Mask options…\tAlt+Return"), self.open_options)
        menu.addSeparator()
        self._add(menu, "up", self.tr("Move up\tAlt+Up"), lambda: self.move_asked.emit(self.row_id, -1))
        self._add(menu, "down", self.tr("Move down\tAlt+Down"), lambda: self.move_asked.emit(self.row_id, 1))
        menu.addSeparator()
        duplicate = self.tr("Duplicate\tAlt+Shift+Down")
        copy = self._add(menu, "copy", duplicate, lambda: self.duplicate_asked.emit(self.row_id))
        copy.setEnabled(self._room)
        self._add(menu, "delete", self.tr("Delete\tAlt+Delete"), lambda: self.remove_asked.emit(self.row_id))
        return menu

    def _add(self, menu: QMenu, icon: str, text: str, do: object) -> QAction:
        action = menu.addAction(theme.icon(icon, theme.MUTED), text)
        action.triggered.connect(do)
        return action

    def open_options(self) -> RowOptions:
        """Open the panel with role and edges."""
        options = RowOptions(self.row_id, self._store, self)
        options.adjustSize()
        options.move(corner_under(self.more, options.width()))
        options.show()
        return options

    def _open_menu(self, button: QWidget) -> None:
        open_menu_under(self.menu(), button)

    # ---- keys and pointer

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Handle keys that no control of the row has used."""
        key = event.key()
        held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if held == Qt.KeyboardModifier.AltModifier and key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.move_asked.emit(self.row_id, -1 if key == Qt.Key.Key_Up else 1)
        elif held == Qt.KeyboardModifier.AltModifier and key == Qt.Key.Key_Delete:
            self.remove_asked.emit(self.row_id)
        elif held == Qt.KeyboardModifier.AltModifier and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.open_options()
        elif held == _ALT_SHIFT and key == Qt.Key.Key_Down:
            self.duplicate_asked.emit(self.row_id)
        else:
            super().keyPressEvent(event)

    def has_focus(self) -> bool:
        """Return whether the row or one of its controls has the focus."""
        focus = QApplication.focusWidget()
        return focus is not None and (focus is self or self.isAncestorOf(focus))

    def enterEvent(self, event: QEnterEvent) -> None:
        """Show the secondary buttons."""
        super().enterEvent(event)
        self.set_lively(True)

    def leaveEvent(self, event: QEvent) -> None:
        """Hide the secondary buttons, unless the row has the focus."""
        super().leaveEvent(event)
        self.set_lively(self.has_focus())


def written_share(share: float) -> str:
    """Return a share of the frame (0 to 1) in whole per cent.

    Values above 0 and below 1 % give "<1 %", so only an empty mask gives "0 %".
    """
    if 0.0 < share < 0.01:
        return "<1 %"
    return _per_cent(share)


def _per_cent(value: float) -> str:
    return f"{value * 100:.0f} %"
