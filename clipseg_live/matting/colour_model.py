"""Local colour model: which colours belong to an object and which to its background, near each token.

The model holds two histograms of colour for each token, one of the object and one of the background. Both are smoothed
over colour and position. This is a kernel density estimate in colour and position, as on a bilateral grid (Chen, Paris
and Durand, SIGGRAPH 2007). Only pixels that the map is sure about are counted.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import FloatPlane
from clipseg_live.matting.token_grid import TOKENS

_CELL = 6.0
"""Side of a histogram's cell in units of CIELAB."""
_COLOUR_SPREAD = 8.0
"""Standard deviation of the smoothing over colour, in units of CIELAB."""
_TOKEN_SPREAD = 1.5
"""Standard deviation of the smoothing over position, in tokens."""
_FLOOR = 0.02
"""Density of colour that counts as no evidence."""
_LIMIT = 3.0
"""Largest evidence, as the logarithm of a ratio of densities."""
_MOST_CELLS = 768
"""Number of cells above which the cells are made larger."""


@dataclass(frozen=True, slots=True, eq=False)
class ColourCells:
    """Cells of colour of a picture.

    Attributes:
        cells: intp (h, w), the cell of each pixel.
        centres: float32 (cells, 3), the colour of each cell in CIELAB.
    """

    cells: NDArray[np.intp]
    centres: FloatPlane

    @classmethod
    def of(cls, picture: FloatPlane) -> "ColourCells":
        """Return the cells of a picture, float32 (h, w, 3) RGB, 0..1."""
        lab = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2Lab), np.float32).reshape(picture.shape)
        side = _CELL
        while True:
            steps = np.floor(lab * np.float32(1 / side)).astype(np.intp)
            low = steps.min(axis=(0, 1))
            counts = steps.max(axis=(0, 1)) - low + 1
            steps -= low
            line = (steps[..., 0] * counts[1] + steps[..., 1]) * counts[2] + steps[..., 2]
            used = np.flatnonzero(np.bincount(line.ravel(), minlength=int(counts.prod())))
            if len(used) <= _MOST_CELLS:
                break
            side *= 1.5
        numbers = np.zeros(int(counts.prod()), np.intp)
        numbers[used] = np.arange(len(used))
        centres = np.stack(np.unravel_index(used, tuple(counts.tolist())), axis=1).astype(np.float32)
        return cls(numbers[line], centres * np.float32(side))


def colour_evidence(colours: ColourCells, inside: FloatPlane, outside: FloatPlane) -> FloatPlane:
    """Return the evidence of the colours near each pixel for the object.

    The evidence is the logarithm of the ratio of two densities of the pixel's colour: that of the object near the
    pixel, and that of the background near it. It is 0 where both are equal, and where the colour was not seen.

    Args:
        colours: cells of the picture, with cells of shape (h, w).
        inside: float32 (h, w), 0..1, how surely each pixel belongs to the object.
        outside: float32 (h, w), 0..1, the same for the background.

    Returns:
        float32 (h, w), -3..3, positive for the object.
    """
    height, width = colours.cells.shape
    rows = np.arange(height) * TOKENS // height
    columns = np.arange(width) * TOKENS // width
    count = len(colours.centres)
    index = (colours.cells * TOKENS**2 + (rows[:, None] * TOKENS + columns)).ravel()
    squares = (colours.centres**2).sum(axis=1)
    far = np.maximum(squares[:, None] + squares - 2 * colours.centres @ colours.centres.T, 0)
    similar = np.exp(far * np.float32(-0.5 / _COLOUR_SPREAD**2))
    steps = np.arange(TOKENS)
    near = np.exp(-0.5 * ((steps[:, None] - steps) / _TOKEN_SPREAD) ** 2).astype(np.float32)
    densities, totals = [], []
    for weights in (inside, outside):
        counted = np.bincount(index, weights.ravel(), count * TOKENS**2).astype(np.float32)
        local = near @ counted.reshape(count, TOKENS, TOKENS) @ near
        totals.append(local.sum(axis=0))
        densities.append((similar @ local.reshape(count, -1)).reshape(local.shape))
    least = np.float32(5e-4) * (totals[0] + totals[1]) + np.float32(1e-6)
    object_density, background_density = (
        density / (total + least) + np.float32(_FLOOR) for density, total in zip(densities, totals, strict=True)
    )
    evidence = np.clip(np.log(object_density / background_density), -_LIMIT, _LIMIT)
    return _sampled(np.asarray(evidence, np.float32), colours.cells)


def _sampled(table: FloatPlane, cells: NDArray[np.intp]) -> FloatPlane:
    """Return the value of each pixel's cell in a table, float32 (cells, 22, 22), bilinear between tokens."""
    height, width = cells.shape
    (top, down), (left, across) = (_between(length) for length in (height, width))
    base = cells * TOKENS**2 + (top[:, None] * TOKENS + left)
    values, down = table.ravel(), down[:, None]
    upper = (1 - across) * values[base] + across * values[base + 1]
    base += TOKENS
    lower = (1 - across) * values[base] + across * values[base + 1]
    return np.asarray((1 - down) * upper + down * lower, np.float32)


def _between(length: int) -> tuple[NDArray[np.intp], FloatPlane]:
    """Return the token before each pixel of an axis, and the distance from its centre, 0..1."""
    positions = np.clip((np.arange(length) + 0.5) * TOKENS / length - 0.5, 0, TOKENS - 1)
    before = np.minimum(positions.astype(np.intp), TOKENS - 2)
    return before, (positions - before).astype(np.float32)
