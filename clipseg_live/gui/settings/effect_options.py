"""Controls for the options of an effect, generated from its fields."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QFileDialog, QGridLayout, QLabel, QPushButton, QWidget

from clipseg_live.core.settings.base import RGB
from clipseg_live.core.settings.effects import LONGEST_LENGTH, AnyEffect
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import ChoiceBox, SegmentedControl
from clipseg_live.gui.widgets.colour_picker import ColourChooser
from clipseg_live.gui.widgets.number_range import NumberRange, bound
from clipseg_live.gui.widgets.slider_field import SliderField

_LARGEST_LENGTH = 10.0
"""End of the slider of a length, in percent; longer ones can be typed."""
_SMALLEST_LENGTH = 0.05

OnEdit = Callable[[dict[str, object], bool], None]
"""Called with changed values and whether the change may continue, as with a slider."""


def _tr(text: str) -> str:
    return QCoreApplication.translate("EffectOptions", text)


class EffectOptions(QWidget):
    """Controls for the fields of one effect. New effects need no code here.

    Args:
        effect: the effect.
        on_edit: called with changed values, see ``OnEdit``.
        on_done: called when a slider is released.
        parent: parent widget.
    """

    def __init__(self, effect: AnyEffect, on_edit: OnEdit, on_done: Callable[[], None], parent: QWidget) -> None:
        super().__init__(parent)
        self._effect = effect
        self._on_edit = on_edit
        self._on_done = on_done
        self._setters: dict[str, Callable[[Any], None]] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(22, 0, 0, 4)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(6)
        grid.setColumnMinimumWidth(0, 64)
        grid.setColumnStretch(1, 1)
        for name, field in type(effect).model_fields.items():
            if name == "kind":
                continue
            title = _tr(field.title or name.replace("_", " ").capitalize())
            control = self._control(name, title, field)
            if control is None:
                continue
            if field.description is not None:
                control.setToolTip(_tr(field.description))
            label = QLabel(title, self)
            theme.set_kind(label, "muted")
            label.setBuddy(control)
            row = grid.rowCount()
            grid.addWidget(label, row, 0)
            grid.addWidget(control, row, 1)
        self.show_effect(effect)

    def show_effect(self, effect: AnyEffect) -> None:
        """Show an effect of the same kind."""
        self._effect = effect
        for name, show in self._setters.items():
            show(getattr(effect, name))

    def _control(self, name: str, title: str, field: Any) -> QWidget | None:
        """Return the control for a field, or None for a type that has none."""
        kind = field.annotation
        if kind is bool:
            return self._segments(name, title, [(True, _tr("On")), (False, _tr("Off"))])
        if kind in (float, int):
            return self._add_slider(name, title, field)
        if choices := [choice for choice in get_args(kind) if isinstance(choice, str)]:
            named_choices = [(choice, _tr(choice.capitalize())) for choice in choices]
            return (
                self._segments(name, title, named_choices)
                if len(named_choices) < 3
                else self._choice(name, title, named_choices)
            )
        if kind == RGB:
            chooser = ColourChooser(title, 30, self)
            chooser.picked.connect(lambda colour: self._edit(name, colour))
            self._setters[name] = chooser.show_colour
            return chooser
        return self._file(name) if Path in get_args(kind) else None

    def _add_slider(self, name: str, title: str, field: Any) -> SliderField:
        is_integer = field.annotation is int
        top, low = bound(field, "le", 1.0), bound(field, "ge", 0.0)
        if (above := bound(field, "gt")) is not None:
            low = above + (1.0 if is_integer else _SMALLEST_LENGTH)
        numbers = NumberRange(
            low=low,
            top=_LARGEST_LENGTH if top == LONGEST_LENGTH else top,
            most=top,
            default=field.default,
            step=1.0 if is_integer else 0.01,
            decimals=0 if is_integer else 2,
        )
        slider = SliderField(title, numbers, bare=True, parent=self)
        slider.setFixedHeight(theme.CONTROL)
        convert = round if is_integer else float
        slider.edited.connect(lambda value: self._on_edit({name: convert(value)}, True))
        slider.released.connect(self._on_done)
        self._setters[name] = slider.show_value
        return slider

    def _segments(self, name: str, title: str, choices: list[tuple[Any, str]]) -> SegmentedControl:
        segments = SegmentedControl(title, choices, self)
        segments.picked.connect(lambda value: self._edit(name, value))
        self._setters[name] = segments.show_value
        return segments

    def _choice(self, name: str, title: str, choices: list[tuple[Any, str]]) -> ChoiceBox:
        choice = ChoiceBox(title, self)
        choice.set_choices(choices)
        choice.picked.connect(lambda value: self._edit(name, value))
        self._setters[name] = choice.show_value
        return choice

    def _file(self, name: str) -> QPushButton:
        button = QPushButton(self)
        button.clicked.connect(lambda: self._ask_file(name))
        self._setters[name] = lambda path: button.setText(path.name if path is not None else _tr("Choose…"))
        return button

    def _ask_file(self, name: str) -> None:
        dialog = QFileDialog(self, _tr("Choose a backdrop image or video"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(lambda path: self._edit(name, Path(path)))
        dialog.open()

    def _edit(self, name: str, value: object) -> None:
        self._on_edit({name: value}, False)
