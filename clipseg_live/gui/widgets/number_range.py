"""A number of the settings: its range, step and default, and how it is written and read."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NumberRange:
    """Range of a number, and its text.

    Attributes:
        low: left end of the slider.
        top: right end of the slider.
        default: value that a reset restores.
        least: smallest value that can be typed; None for ``low``.
        most: largest value that can be typed; None for ``top``.
        step: change by one press of an arrow key.
        decimals: digits after the point in the text.
        factor: the text shows the value times this number, 100 for percent.
        unit: written after the number.
        shortest: omit zeros at the end of the decimals.
    """

    low: float = 0.0
    top: float = 1.0
    default: float = 0.5
    least: float | None = None
    most: float | None = None
    step: float = 0.01
    decimals: int = 2
    factor: float = 1.0
    unit: str = ""
    shortest: bool = False

    @property
    def smallest(self) -> float:
        """Smallest value."""
        return self.low if self.least is None else self.least

    @property
    def largest(self) -> float:
        """Largest value."""
        return self.top if self.most is None else self.most

    def digits(self, value: float) -> str:
        """Return a value as text without its unit."""
        text = f"{value * self.factor:.{self.decimals}f}"
        return text.rstrip("0").rstrip(".") if self.shortest and "." in text else text

    def text(self, value: float) -> str:
        """Return a value as text with its unit."""
        return f"{self.digits(value)} {self.unit}".strip()

    def bounds(self) -> str:
        """Return the range as text, such as "0 to 100 %"."""
        low, top = (f"{value * self.factor:g}" for value in (self.smallest, self.largest))
        return f"{low} to {top} {self.unit}".strip()

    def parse(self, text: str) -> float | None:
        """Return the value of a text, with or without its unit; None if it is no number of the range."""
        number = text.strip().removesuffix(self.unit).strip().replace(",", ".").replace("−", "-")
        try:
            value = float(number) / self.factor
        except ValueError:
            return None
        is_inside = math.isfinite(value) and self.smallest - 1e-9 <= value <= self.largest + 1e-9
        return value if is_inside else None


PERCENT = NumberRange(factor=100, decimals=0, unit="%")
"""A share from 0 to 1, shown as 0 to 100 %."""


def bound(field: Any, name: str, default: Any = None) -> Any:
    """Return a bound of a field of settings by its name ("ge", "gt", "le"), or the default without one."""
    bounds = (getattr(item, name, None) for item in field.metadata)
    return next((float(found) for found in bounds if found is not None), default)
