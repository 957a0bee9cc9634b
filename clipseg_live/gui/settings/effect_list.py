"""List of the effects of a session, in drawing order, with their options."""

from collections.abc import Mapping, Sequence
from functools import partial

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QHBoxLayout, QMenu, QToolButton, QVBoxLayout, QWidget

from clipseg_live.core.settings.effects import EFFECT_KINDS, AnyEffect, EffectGroup, is_private
from clipseg_live.core.settings.presets import PRESETS, with_preset
from clipseg_live.gui.settings.effect_options import EffectOptions
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import IconButton, hint_label

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

    def __init__(self, store: Store, parent: QWidget) -> None:
        super().__init__(parent)
        self._store = store
        self._open_index: int | None = None
        self._kinds: list[str] = []
        self._options: EffectOptions | None = None
        self._rows = QVBoxLayout()
        self._rows.setSpacing(2)
        self.add_button = self._menu_button(_tr("Add effect"), self._add_menu())
        self.preset_button = self._menu_button(_tr("Preset"), self._preset_menu())
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
        column.addWidget(self._privacy_hint)
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

    def _preset_menu(self) -> QMenu:
        menu = QMenu(self)
        for name in PRESETS:
            menu.addAction(_tr(name.capitalize()), partial(self.use_preset, name))
        return menu

    def add(self, kind: str) -> None:
        """Append an effect and show its options."""
        effects = self._store.settings.effects
        effect = EFFECT_KINDS.get(kind)
        if effect is not None and len(effects) < MOST_EFFECTS:
            self._open_index = len(effects)
            self._edit((*effects, effect()))

    def remove(self, index: int) -> None:
        """Remove the effect at an index."""
        effects = self._store.settings.effects
        self._open_index = None
        self._edit((*effects[:index], *effects[index + 1 :]))

    def move_effect(self, index: int, step: int) -> None:
        """Move an effect one place. Nothing happens at the ends of the list.

        Args:
            index: index of the effect.
            step: -1 for up, 1 for down.
        """
        effects = list(self._store.settings.effects)
        target = index + step
        if 0 <= target < len(effects):
            effects[index], effects[target] = effects[target], effects[index]
            self._open_index = target if self._open_index == index else self._open_index
            self._edit(tuple(effects))

    def use_preset(self, name: str) -> None:
        """Replace effects and mask settings by those of a preset."""
        self._open_index = None
        self._store.edit(with_preset(self._store.settings, name))

    def toggle_options(self, index: int) -> None:
        """Show or hide the options of the effect at an index."""
        self._open_index = None if self._open_index == index else index
        self._build()

    def _edit(self, effects: Sequence[AnyEffect], merge: str = "") -> None:
        self._store.update(merge, effects=tuple(effects))

    def _change(self, values: dict[str, object], is_drag: bool) -> None:
        if self._open_index is None:
            return
        effects = list(self._store.settings.effects)
        before = effects[self._open_index]
        effects[self._open_index] = type(before).model_validate({**dict(before), **values})
        self._edit(effects, f"effect {self._open_index} {next(iter(values))}" if is_drag else "")

    def _show(self) -> None:
        effects = self._store.settings.effects
        kinds: list[str] = [effect.kind for effect in effects]
        if kinds != self._kinds:
            self._kinds = kinds
            self._build()
        elif self._options is not None and self._open_index is not None:
            self._options.show_effect(effects[self._open_index])
        hint = _tr("Privacy effects are drawn first. While the model is unsure, they hide the whole frame.")
        private = is_private(effects)
        self._privacy_hint.setText(hint if private else "")
        self._privacy_hint.setVisible(private)
        self.add_button.setEnabled(len(effects) < MOST_EFFECTS)

    def _build(self) -> None:
        while (item := self._rows.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        effects = self._store.settings.effects
        self._options = None
        if self._open_index is not None and self._open_index >= len(effects):
            self._open_index = None
        for index, effect in enumerate(effects):
            self._rows.addWidget(self._row(index, effect))
            if index == self._open_index and len(type(effect).model_fields) > 1:
                self._options = EffectOptions(effect, self._change, self._store.end_merge, self)
                self._rows.addWidget(self._options)

    def _row(self, index: int, effect: AnyEffect) -> QWidget:
        row, title = QWidget(self), effect_title(effect.kind)
        row.setStatusTip(effect_help(effect.kind))
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(2)
        name = QToolButton(row)
        name.setText(title)
        name.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        name.setIcon(theme.icon("down" if index == self._open_index else "right"))
        name.setIconSize(theme.icon_size())
        name.setEnabled(len(type(effect).model_fields) > 1)
        name.setAccessibleName(_tr("{0} options").format(title))
        name.clicked.connect(lambda: self.toggle_options(index))
        line.addWidget(name)
        line.addStretch(1)
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
