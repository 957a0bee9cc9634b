"""Line plots as inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

COLOURS = ("#2e6fd8", "#d9662b", "#2f9e57", "#a44fc4", "#c43c58", "#7a7f16", "#178f9e", "#8a5a35")
_WIDTH, _HEIGHT = 420, 270
_LEFT, _TOP, _RIGHT, _BOTTOM = 44, 26, 16, 36


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One line of a plot.

    Attributes:
        name: Name in the legend.
        x: float (points,), 0..1.
        y: float (points,), 0..1.
        is_dashed: Draw the line dashed.
        colour: Number of the colour.
    """

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    colour: int = 0
    is_dashed: bool = False


def plot(title: str, x_name: str, lines: Sequence[Line]) -> str:
    """Return a plot of lines over 0..1 in both directions, in percent, as an SVG element.

    Args:
        title: Title of the plot.
        x_name: Name of the horizontal axis.
        lines: The lines.
    """
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">',
        f'<text class="title" x="{_LEFT}" y="15">{escape(title)}</text>',
    ]
    for tick in np.linspace(0, 1, 6):
        x, y = _place(tick, tick)
        left, top = _place(0, 1)
        right, bottom = _place(1, 0)
        parts.append(f'<path class="grid" d="M{left:.1f} {y:.1f}H{right:.1f}M{x:.1f} {top:.1f}V{bottom:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{100 * tick:.0f}</text>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 15:.1f}" text-anchor="middle">{tick:.1f}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="tick" x="{middle:.1f}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(x_name)}</text>')
    for line in lines:
        points = " ".join("{:.1f},{:.1f}".format(*_place(*each)) for each in zip(line.x, line.y, strict=True))
        dash = ' stroke-dasharray="5 4"' if line.is_dashed else ""
        colour = COLOURS[line.colour % len(COLOURS)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}>')
        parts.append(f"<title>{escape(line.name)}</title></polyline>")
    parts.append("</svg>")
    return "".join(parts)


def _place(x: float, y: float) -> tuple[float, float]:
    """Return the position of a point in the SVG element."""
    across, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    return _LEFT + float(np.clip(x, 0, 1)) * across, _TOP + (1 - float(np.clip(y, 0, 1))) * down
