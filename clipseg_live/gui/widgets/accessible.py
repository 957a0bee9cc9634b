"""Text values of sliders and labels for screen readers.

Qt reports the raw number of a slider (50 for "50 %" and for "0.50"). For a label it reports the accessible name
instead of the text. A widget with a ``value_text`` method gets an interface that reports that text as its value.
"""

import weakref
from functools import cache
from typing import Any, Protocol, cast

from PySide6.QtCore import QObject
from PySide6.QtGui import QAccessible, QAccessibleInterface, QAccessibleValueInterface
from PySide6.QtWidgets import QAbstractSlider, QLabel, QWidget
from PySide6.QtWidgets import QAccessibleWidget as Base


class HasValue(Protocol):
    """A widget with a value for screen readers."""

    def value_text(self) -> str:
        """Return the value as text."""


class ValueLabel(QLabel):
    """Label whose text is a value: screen readers get its name and its text."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        report_values()
        self._name = name
        self.setAccessibleName(name)

    def value_text(self) -> str:
        """Return the text of the label."""
        return self.text()

    def show_value(self, text: str) -> None:
        """Show a text and report it to screen readers.

        The accessible name contains the text too, because some screen readers do not read values of labels.
        """
        self.setText(text)
        self.rename(self._name)

    def rename(self, name: str) -> None:
        """Change the name of the value."""
        self._name = name
        self.setAccessibleName(f"{name}: {self.text()}" if self.text() else name)


@cache
def report_values() -> None:
    """Install the accessible interfaces of this module in Qt. Further calls have no effect."""
    QAccessible.installFactory(_make)


def _make(_key: str, made_for: QObject) -> QAccessibleInterface | None:
    if isinstance(made_for, QAbstractSlider) and hasattr(made_for, "value_text"):
        return _Slider(made_for)
    return _Value(made_for, QAccessible.Role.StaticText) if isinstance(made_for, ValueLabel) else None


class _Value(Base):
    """An interface that reports a widget's own text as its value."""

    def __init__(self, widget: QWidget, role: QAccessible.Role) -> None:
        super().__init__(widget, role)
        self._widget = weakref.ref(widget)

    def text(self, kind: QAccessible.Text) -> str:
        widget = self._widget()
        if kind == QAccessible.Text.Value and widget is not None:
            return cast(HasValue, widget).value_text()
        return super().text(kind)


class _Slider(_Value):
    def __init__(self, slider: QAbstractSlider) -> None:
        super().__init__(slider, QAccessible.Role.Slider)
        self._number = _Number(slider)

    def interface_cast(self, kind: QAccessible.InterfaceType) -> Any:
        return self._number if kind == QAccessible.InterfaceType.ValueInterface else super().interface_cast(kind)


class _Number(QAccessibleValueInterface):
    """Number and range of a slider, which screen readers can change."""

    def __init__(self, slider: QAbstractSlider) -> None:
        super().__init__()
        self._slider = weakref.ref(slider)

    def currentValue(self) -> int:
        slider = self._slider()
        return slider.value() if slider is not None else 0

    def setCurrentValue(self, value: object) -> None:
        slider = self._slider()
        if slider is not None and isinstance(value, int | float):
            slider.setValue(round(value))

    def minimumValue(self) -> int:
        slider = self._slider()
        return slider.minimum() if slider is not None else 0

    def maximumValue(self) -> int:
        slider = self._slider()
        return slider.maximum() if slider is not None else 0

    def minimumStepSize(self) -> int:
        slider = self._slider()
        return slider.singleStep() if slider is not None else 0
