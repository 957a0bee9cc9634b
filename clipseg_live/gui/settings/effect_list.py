"""List of the effects of a session, in drawing order, with their options."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from PySide6.QtCore import QCoreApplication, QPointF, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QInputDialog, QMenu, QToolButton, QVBoxLayout, QWidget

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.settings.effects import EFFECT_KINDS, AnyEffect, EffectGroup, is_private
from clipseg_live.core.settings.presets import PRESETS, with_preset
from clipseg_live.gui.settings.effect_options import EffectOptions
from clipseg_live.gui.settings.effect_rows import EffectRow, effect_rows, with_effect_moved, with_effect_rows
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.state.user_presets import UserPresets
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import IconButton, hint_label
from clipseg_live.gui.widgets.drag_handle import DragHandle

MOST_EFFECTS = 16
_GROUPS: dict[EffectGroup, str] = {
    "mark": "Mark", "change": "Change the frame", "inspect": "Inspect", "hide": "Hide",
}  # fmt: skip


def _tr(text: str) -> str:
    return QCoreApplication.translate("EffectList", text)


def effect_title(kind: str) -> str:
    """Return the name of an effect shown to the user."""
    effect = EFFECT_KINDS.get(kind)
    return kind if effect is None else _tr(effect.info.title)


def effect_help(kind: str) -> str:
    """Return one sentence on what an effect does."""
    effect = EFFECT_KINDS.get(kind)
    return "" if effect is None else _tr(effect.info.help)


class EffectList(QWidget):
    """List with one row for each effect. The options of the open row are shown below it."""

    def __init__(self, store: Store, presets: UserPresets, parent: QWidget) -> None:
        super().__init__(parent)
        self._store = store
        self._presets = presets
        self._open_index: int | None = None
        self._kinds: list[tuple[str, bool]] = []
        self._row_widgets: list[QWidget] = []
        self._gap = 0
        self._drop_line = QFrame(self)
        self._drop_line.setStyleSheet(f"background: {theme.ACCENT}; border-radius: 1px;")
        self._drop_line.hide()
        self._options: EffectOptions | None = None
        self._rows = QVBoxLayout()
        self._rows.setSpacing(2)
        self.add_button = self._menu_button(_tr("Add effect"), self._add_menu())
        self.preset_button = self._menu_button(_tr("Preset"), QMenu(self))
        self._fill_preset_menu()
        self.preset_button.menu().aboutToShow.connect(self._fill_preset_menu)  # other windows save presets too
        self.add_button.setStatusTip(_tr("Adds an effect. Effects are drawn from top to bottom."))
        self.preset_button.setStatusTip(_tr("Replaces the effects and mask settings with a preset."))
        buttons = QHBoxLayout()
        buttons.addWidget(self.add_button)
        buttons.addWidget(self.preset_button)
        buttons.addStretch(1)
        self._privacy_hint = hint_label("", self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self._rows)
        column.addLayout(buttons)
        self._problem = hint_label("", self)
        theme.set_kind(self._problem, "problem")
        self._problem.hide()
        column.addWidget(self._privacy_hint)
        column.addWidget(self._problem)
        store.changed.connect(self._show)
        self._show()

    def _menu_button(self, text: str, menu: QMenu) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setAccessibleName(text)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setMenu(menu)
        return button

    def _add_menu(self) -> QMenu:
        menu = QMenu(self)
        self._add_group(menu, EFFECT_KINDS.own)
        menu.aboutToShow.connect(
            lambda: self._add_group(menu, EFFECT_KINDS.all())
        )  # imports the effects of other packages
        return menu

    def _add_group(self, menu: QMenu, effects: Mapping[str, type[AnyEffect]]) -> None:
        menu.clear()
        for group, name in _GROUPS.items():
            menu.addSection(_tr(name))
            for kind, effect in effects.items():
                if effect.info.group == group:
                    menu.addAction(effect_title(kind), partial(self.add, kind)).setStatusTip(effect_help(kind))

    def _fill_preset_menu(self) -> None:
        menu, own = self.preset_button.menu(), self._presets.names()
        menu.clear()
        for name in PRESETS:
            menu.addAction(_tr(name.capitalize()), partial(self.use_preset, name))
        if own:
            menu.addSection(_tr("My presets"))
        for name in own:
            menu.addAction(name.replace("&", "&&"), partial(self.use_own_preset, name))
        menu.addSeparator()
        menu.addAction(theme.icon("save"), _tr("Save as preset…"), self.ask_preset_name)
        if own:
            removal = QMenu(_tr("Delete preset"), menu)
            removal.setIcon(theme.icon("delete"))
            for name in own:
                removal.addAction(name.replace("&", "&&"), partial(self._change_presets, self._presets.delete, name))
            menu.addMenu(removal)

    def add(self, kind: str) -> None:
        """Append an effect and show its options."""
        rows = self._items()
        effect = EFFECT_KINDS.get(kind)
        if effect is not None and len(rows) < MOST_EFFECTS:
            self._open_index = len(rows)
            self._edit((*rows, EffectRow(effect())))

    def remove(self, index: int) -> None:
        """Remove the effect at an index."""
        rows = self._items()
        self._open_index = None
        self._edit((*rows[:index], *rows[index + 1 :]))

    def toggle_effect(self, index: int) -> None:
        """Draw the effect at an index, or stop drawing it and keep it in the list."""
        rows = self._items()
        changed = replace(rows[index], enabled=not rows[index].enabled)
        self._edit((*rows[:index], changed, *rows[index + 1 :]))

    def move_effect(self, index: int, step: int) -> None:
        """Move an effect one place. Nothing happens at the ends of the list.

        Args:
            index: index of the effect.
            step: -1 for up, 1 for down.
        """
        if 0 <= index + step < len(self._items()):
            self.move_to_gap(index, index + step + (step > 0))

    def move_to_gap(self, index: int, gap: int) -> None:
        """Move an effect to a gap: 0 is before the first effect."""
        if gap in (index, index + 1):
            return
        if self._open_index is not None:
            order = with_effect_moved(range(len(self._items())), index, gap)
            self._open_index = order.index(self._open_index)
        self._edit(with_effect_moved(self._items(), index, gap))

    def use_preset(self, name: str) -> None:
        """Replace effects and mask settings by those of a preset."""
        self._open_index = None
        self._store.edit(with_preset(self._store.settings, name))

    def use_own_preset(self, name: str) -> None:
        """Replace effects and mask settings by those of a preset of the user."""
        self._open_index = None
        self._store.edit(self._presets.apply(self._store.settings, name))

    def ask_preset_name(self) -> None:
        """Let the user name a preset of the drawn effects and the mask settings, and save it."""
        dialog = QInputDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(_tr("Save as preset"))
        dialog.setLabelText(_tr("Name of the preset. An own preset of this name is replaced."))
        dialog.textValueSelected.connect(
            lambda name: self._change_presets(self._presets.save, name, self._store.settings)
        )
        dialog.open()

    def _change_presets(self, change: Callable[..., None], *arguments: object) -> None:
        """Change the presets of the user, and show why that is not possible."""
        try:
            change(*arguments)
        except ClipsegLiveError as error:
            self._problem.setText(str(error))
            self._problem.show()
        else:
            self._problem.hide()

    def toggle_options(self, index: int) -> None:
        """Show or hide the options of the effect at an index."""
        self._open_index = None if self._open_index == index else index
        self._build()

    def _items(self) -> tuple[EffectRow, ...]:
        return effect_rows(self._store.settings)

    def _edit(self, rows: Sequence[EffectRow], merge: str = "") -> None:
        self._store.edit(with_effect_rows(self._store.settings, rows), merge)

    def _change(self, values: dict[str, object], is_drag: bool) -> None:
        if self._open_index is None:
            return
        rows = list(self._items())
        row = rows[self._open_index]
        rows[self._open_index] = replace(row, effect=type(row.effect).model_validate({**dict(row.effect), **values}))
        self._edit(rows, f"effect {self._open_index} {next(iter(values))}" if is_drag else "")

    def _show(self) -> None:
        rows = self._items()
        kinds = [(row.effect.kind, row.enabled) for row in rows]
        if kinds != self._kinds:
            self._kinds = kinds
            self._build()
        elif self._options is not None and self._open_index is not None:
            self._options.show_effect(rows[self._open_index].effect)
        hint = _tr("Privacy effects are drawn first. While the model is unsure, they hide the whole frame.")
        private = is_private(self._store.settings.effects)
        self._privacy_hint.setText(hint if private else "")
        self._privacy_hint.setVisible(private)
        self.add_button.setEnabled(len(rows) < MOST_EFFECTS)

    def _build(self) -> None:
        while (item := self._rows.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        rows = self._items()
        self._options = None
        self._row_widgets = []
        if self._open_index is not None and self._open_index >= len(rows):
            self._open_index = None
        for index, row in enumerate(rows):
            self._row_widgets.append(self._row(index, row))
            self._rows.addWidget(self._row_widgets[-1])
            if index == self._open_index and len(type(row.effect).model_fields) > 1:
                self._options = EffectOptions(row.effect, self._change, self._store.end_merge, self)
                self._rows.addWidget(self._options)

    def _row(self, index: int, item: EffectRow) -> QWidget:
        row, title = QWidget(self), effect_title(item.effect.kind)
        row.setStatusTip(effect_help(item.effect.kind))
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(2)
        line.addWidget(self._drag_handle(index, row))
        name = QToolButton(row)
        name.setText(title)
        name.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        name.setIcon(theme.icon("down" if index == self._open_index else "right"))
        name.setIconSize(theme.icon_size())
        name.setEnabled(len(type(item.effect).model_fields) > 1)
        name.setAccessibleName(_tr("{0} options").format(title))
        name.setStyleSheet(f"color: {theme.TEXT if item.enabled else theme.FAINT}")  # also without options
        name.clicked.connect(lambda: self.toggle_options(index))
        line.addWidget(name)
        line.addStretch(1)
        eye = IconButton(
            "eye-off", _tr("Enable {0}").format(title), checked_icon="eye", checked_colour=theme.TEXT, parent=row
        )
        eye.setChecked(item.enabled)
        if item.enabled:
            eye.set_name(_tr("Disable {0}").format(title), _tr("Stop drawing {0}, and keep it here").format(title))
        eye.clicked.connect(lambda: self.toggle_effect(index))
        line.addWidget(eye)
        buttons = (
            ("up", _tr("Draw {0} earlier"), lambda: self.move_effect(index, -1)),
            ("down", _tr("Draw {0} later"), lambda: self.move_effect(index, 1)),
            ("close", _tr("Remove {0}"), lambda: self.remove(index)),
        )
        for icon, text, action in buttons:
            button = IconButton(icon, text.format(title), parent=row)
            button.clicked.connect(action)
            line.addWidget(button)
        return row

    # ---- dragging

    def _drag_handle(self, index: int, row: QWidget) -> DragHandle:
        handle = DragHandle(_tr("Drag to reorder"), row)
        handle.dragged.connect(self._show_gap)
        handle.cancelled.connect(self._drop_line.hide)
        handle.dropped.connect(lambda: self._drop(index))
        return handle

    def _gap_at(self, y: int) -> int:
        """Return the gap between rows that is nearest to a height in this widget."""
        return sum(row.geometry().center().y() < y for row in self._row_widgets)

    def _show_gap(self, pointer: QPointF) -> None:
        self._gap = self._gap_at(round(self.mapFromGlobal(pointer).y()))
        rows = self._row_widgets
        top = rows[self._gap].y() - 2 if self._gap < len(rows) else rows[-1].geometry().bottom() + 1
        self._drop_line.setGeometry(0, max(top, 0), self.width(), 2)
        self._drop_line.raise_()
        self._drop_line.show()

    def _drop(self, index: int) -> None:
        self._drop_line.hide()
        self.move_to_gap(index, self._gap)
