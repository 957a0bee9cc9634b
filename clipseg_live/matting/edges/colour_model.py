"""Colour model: which colours belong to an object and which to its background, near each position.

The model holds two histograms of colour for each position of a coarse grid, one of the object and one of the
background. Both are smoothed over colour and position. This is a kernel density estimate in colour and position, as on
a bilateral grid (Chen, Paris and Durand, SIGGRAPH 2007). A model can be kept for later frames, and updated with them.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import FloatPlane
from clipseg_live.matting.edges.token_grid import WHOLE, Slices

_POSITIONS = 11
"""Positions on each side of the frame."""
_LEVELS = 16, 32, 32
"""Cells of colour along the axes of CIELAB."""
_COLOUR_SPREAD = 8.0
"""Standard deviation of the smoothing over colour, in units of CIELAB."""
_POSITION_SPREAD = 0.75
"""Standard deviation of the smoothing over position, in positions."""
_FLOOR = np.float32(0.02)
"""Density of colour that counts as no evidence."""
_LIMIT = np.float32(3)
"""Largest evidence, as the logarithm of a ratio of densities."""
_MOST_CELLS = 512
"""Number of used cells of colour; rarer ones are left out."""
_KEPT = np.float32(0.8)
"""Weight of the earlier frames when a model is updated."""
_RELIABLE = np.float32(0.8)
"""Agreement of a model with the sure pixels near a position below which it tells nothing there."""
_UNSURE = np.float32(0.2)
"""Distance of a probability from the border's, as a share of the largest, below which a pixel tells nothing."""

ColourCells = NDArray[np.int32]
"""int32 (h, w), the cell of colour of each pixel."""


@dataclass(frozen=True, slots=True, eq=False)
class ColourModel:
    """Colours of an object and of its background.

    Attributes:
        cells: int32 (n,), the used cells of colour, ascending.
        counts: float32 (2, n, positions²), the weight of the background's and the object's pixels.
        evidence: float32 ((n + 1) · positions²,), -3..3, positive for the object. The last row is for unused cells.
        offsets: intp (all cells,), the index of each cell's evidence.
    """

    cells: NDArray[np.int32]
    counts: NDArray[np.float32]
    evidence: NDArray[np.float32]
    offsets: NDArray[np.intp]


def colour_cells(picture: FloatPlane) -> ColourCells:
    """Return the cells of colour of a picture, float32 (h, w, 3) RGB, 0..1."""
    lab = cv2.cvtColor(np.rint(picture * np.float32(255)).astype(np.uint8), cv2.COLOR_RGB2Lab)
    light, green_red, blue_yellow = (
        channel.astype(np.int32) // (256 // levels) for channel, levels in zip(cv2.split(lab), _LEVELS, strict=True)
    )
    return np.asarray((light * _LEVELS[1] + green_red) * _LEVELS[2] + blue_yellow, np.int32)


def fit_colours(
    cells: ColourCells, plane: FloatPlane, trust: FloatPlane | None = None, earlier: ColourModel | None = None
) -> ColourModel:
    """Fit a colour model to a map. Pixels count that the map is sure about.

    Args:
        cells: int32 (h, w), cells of the picture.
        plane: float32 (h, w), 0..1, the map, with 0.5 at the border.
        trust: float32 (h, w), 0..1, how far the map can be trusted; None for everywhere.
        earlier: the model of the frames before, which is updated; None without one.
    """
    signed = 2 * plane - 1
    sure = np.clip((np.abs(signed) - _UNSURE) / (1 - _UNSURE), 0, 1)
    if trust is not None:
        sure = sure * trust
    used, counts = _most_used(cells, earlier)
    is_object = signed >= 0
    offsets = _rows(used) * _POSITIONS**2
    index = (offsets[cells] + _position_numbers(*cells.shape)).ravel()
    size = (len(used) + 1) * _POSITIONS**2
    for weights, count in zip((sure * ~is_object, sure * is_object), counts, strict=True):
        added = np.bincount(index, weights.ravel(), size).astype(np.float32).reshape(len(used) + 1, -1)
        count += added[:-1]
    return ColourModel(used, counts, _evidence(used, counts).ravel(), offsets)


def colour_evidence(model: ColourModel, cells: ColourCells, area: Slices = WHOLE) -> FloatPlane:
    """Return the evidence of the colours for the object, float32 (h, w), -3..3, positive for the object.

    It is the logarithm of the ratio of two densities of a pixel's colour: that of the object near the pixel, and that
    of the background near it. It is 0 where both are equal, where the colour is unknown, and where the model does not
    agree with the map's sure pixels.

    Args:
        model: the model.
        cells: int32 (h, w), cells of the picture.
        area: rows and columns of the picture for which the evidence is returned.
    """
    height, width = cells.shape
    top, down = _between(height)
    left, across = _between(width)
    base = model.offsets[cells[area]]
    base += top[area[0], None] * _POSITIONS + left[area[1]]
    down, across = down[area[0], None], across[area[1]]
    upper = model.evidence[base]
    upper += across * (model.evidence[base + 1] - upper)
    base += _POSITIONS
    lower = model.evidence[base]
    lower += across * (model.evidence[base + 1] - lower)
    lower -= upper
    lower *= down
    lower += upper
    return np.asarray(lower, np.float32)


def _most_used(cells: ColourCells, earlier: ColourModel | None) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the most used cells, ascending, and their counts in the earlier frames, float32 (2, n, positions²)."""
    counted = np.bincount(cells.ravel(), minlength=int(np.prod(_LEVELS))).astype(np.float32)
    if earlier is not None:
        counted[earlier.cells] += earlier.counts.sum(axis=(0, 2))
    most = np.flatnonzero(counted)
    if len(most) > _MOST_CELLS:
        most = np.sort(np.argpartition(counted, -_MOST_CELLS)[-_MOST_CELLS:])
    used = np.asarray(most, np.int32)
    counts = np.zeros((2, len(used), _POSITIONS**2), np.float32)
    if earlier is not None:
        rows = _rows(used)[earlier.cells]
        kept = rows < len(used)
        counts[:, rows[kept]] = _KEPT * earlier.counts[:, kept]
    return used, counts


def _evidence(used: NDArray[np.int32], counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the evidence of each cell of colour at each position, float32 (n + 1, positions²)."""
    near = _nearness()
    local = np.matmul(counts, near)
    totals = local.sum(axis=1)
    colours = np.stack(np.unravel_index(used, _LEVELS), axis=1).astype(np.float32)
    colours *= np.array([100 / _LEVELS[0], 256 / _LEVELS[1], 256 / _LEVELS[2]], np.float32)
    squares = np.square(colours).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * colours @ colours.T, 0)
    densities = np.matmul(np.exp(distances * np.float32(-0.5 / _COLOUR_SPREAD**2)), local)
    least = np.float32(5e-4) * totals.sum(axis=0) + np.float32(1e-6)
    background, foreground = densities / (totals + least)[:, None] + _FLOOR
    evidence = np.clip(np.log(foreground / background), -_LIMIT, _LIMIT)
    reliability = np.ones(_POSITIONS**2, np.float32)
    for sign, count in zip((-1, 1), local, strict=True):
        agreement = (count * np.clip(sign * evidence, -1, 1)).sum(axis=0) / (count.sum(axis=0) + np.float32(1e-3))
        reliability = np.minimum(reliability, np.clip((agreement - _RELIABLE) / (1 - _RELIABLE), 0, 1))
    evidence *= reliability
    return np.concatenate([evidence, np.zeros((1, _POSITIONS**2), np.float32)])


def _rows(used: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the row of each cell of colour in the tables, intp (cells,); the last row for unused cells."""
    rows = np.full(int(np.prod(_LEVELS)), len(used), np.intp)
    rows[used] = np.arange(len(used))
    return rows


@lru_cache(maxsize=1)
def _nearness() -> NDArray[np.float32]:
    """Return the weight of each position at each position, float32 (positions², positions²)."""
    steps = np.arange(_POSITIONS)
    axis = np.exp(-0.5 * ((steps[:, None] - steps) / _POSITION_SPREAD) ** 2)
    return np.kron(axis, axis).astype(np.float32)


@lru_cache(maxsize=8)
def _position_numbers(height: int, width: int) -> NDArray[np.intp]:
    """Return the position of each pixel, intp (height, width)."""
    rows, columns = np.arange(height) * _POSITIONS // height, np.arange(width) * _POSITIONS // width
    return rows[:, None] * _POSITIONS + columns


@lru_cache(maxsize=16)
def _between(length: int) -> tuple[NDArray[np.intp], FloatPlane]:
    """Return the position before each pixel of an axis, and the distance from its centre, 0..1."""
    centres = np.clip((np.arange(length) + 0.5) * _POSITIONS / length - 0.5, 0, _POSITIONS - 1)
    before = np.minimum(centres.astype(np.intp), _POSITIONS - 2)
    return before, (centres - before).astype(np.float32)
