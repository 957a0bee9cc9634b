"""Controls for the options of an effect, generated from its fields."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QFileDialog, QGridLayout, QLabel, QPushButton, QWidget

from clipseg_live.core.settings.effects import AnyEffect
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import ChoiceBox, SegmentedControl
from clipseg_live.gui.widgets.colour_picker import ColourChooser
from clipseg_live.gui.widgets.slider_field import SliderField

_LONGEST = 10.0
_LEAST = 0.05

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
        self._effect, self._on_edit, self._on_done = effect, on_edit, on_done
        self._shows: dict[str, Callable[[Any], None]] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(22, 0, 0, 4)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(6)
        grid.setColumnMinimumWidth(0, 64)
        grid.setColumnStretch(1, 1)
        for name, field in type(effect).model_fields.items():
            if name == "kind":
                continue
            control = self._control(name, field)
            label = QLabel(self.title(name), self)
            theme.set_kind(label, "muted")
            label.setBuddy(control)
            row = grid.rowCount()
            grid.addWidget(label, row, 0)
            grid.addWidget(control, row, 1)
        self.show_effect(effect)

    @staticmethod
    def title(name: str) -> str:
        """Return the label of a field."""
        names = {
            "width": _tr("Width"), "reach": _tr("Radius"), "strength": _tr("Strength"), "opacity": _tr("Opacity"),
            "scale": _tr("Legend"), "dim": _tr("Darkness"), "what": _tr("Area"), "amount": _tr("Amount"),
            "backdrop": _tr("Backdrop"), "colour": _tr("Colour"), "file": _tr("File"), "cell": _tr("Square size"),
            "grow": _tr("Margin"), "presence": _tr("Presence"), "at": _tr("Line position"),
        }  # fmt: skip
        return names.get(name, name.replace("_", " ").capitalize())

    def show_effect(self, effect: AnyEffect) -> None:
        """Show an effect of the same kind."""
        self._effect = effect
        for name, show in self._shows.items():
            show(getattr(effect, name))

    def _control(self, name: str, field: Any) -> QWidget:
        title = self.title(name)
        if field.annotation is bool:
            return self._segments(name, title, [(True, _tr("On")), (False, _tr("Off"))])
        if field.annotation is float:
            return self._slide(name, title, field)
        if choices := [choice for choice in get_args(field.annotation) if isinstance(choice, str)]:
            named = [(choice, _tr("Image") if choice == "picture" else _tr(choice.capitalize())) for choice in choices]
            return self._segments(name, title, named) if len(named) < 3 else self._choice(name, title, named)
        if name == "colour":
            chooser = ColourChooser(title, 30, self)
            chooser.picked.connect(lambda colour: self._edit(name, colour))
            self._shows[name] = chooser.show_colour
            return chooser
        return self._file(name)

    def _slide(self, name: str, title: str, field: Any) -> SliderField:
        most = next((item.le for item in field.metadata if getattr(item, "le", None) is not None), 1.0)
        least = _LEAST if any(getattr(item, "gt", None) is not None for item in field.metadata) else 0.0
        slide = SliderField(title, bare=True, default=field.default, top=min(most, _LONGEST), parent=self)
        slide.setFixedHeight(theme.CONTROL)
        slide.edited.connect(lambda value: self._on_edit({name: max(value, least)}, True))
        slide.released.connect(self._on_done)
        self._shows[name] = slide.show_value
        return slide

    def _segments(self, name: str, title: str, choices: list[tuple[Any, str]]) -> SegmentedControl:
        segments = SegmentedControl(title, choices, self)
        segments.picked.connect(lambda value: self._edit(name, value))
        self._shows[name] = segments.show_value
        return segments

    def _choice(self, name: str, title: str, choices: list[tuple[Any, str]]) -> ChoiceBox:
        choice = ChoiceBox(title, self)
        choice.offer(choices)
        choice.picked.connect(lambda value: self._edit(name, value))
        self._shows[name] = choice.show_value
        return choice

    def _file(self, name: str) -> QPushButton:
        button = QPushButton(self)
        button.clicked.connect(lambda: self._ask_file(name))
        self._shows[name] = lambda path: button.setText(path.name if path is not None else _tr("Choose…"))
        return button

    def _ask_file(self, name: str) -> None:
        dialog = QFileDialog(self, _tr("Choose a backdrop image or video"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(lambda path: self._edit(name, Path(path)))
        dialog.open()

    def _edit(self, name: str, value: object) -> None:
        self._on_edit({name: value}, False)
