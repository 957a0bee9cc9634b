"""Threshold a low-resolution map at full resolution, bit-identical to resizing it first.

The centres of four neighbouring cells of a map enclose a square of pixels. If all four cells are over the threshold, so
are the pixels. If all four are below it, so are the pixels. Only squares on a border are interpolated.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import BytePlane, FloatPlane
from clipseg_live.core.mattes import Box
from clipseg_live.imaging.resize import positions, resized_strips
from clipseg_live.matting.edges.full_size import mask_boxes

Indices = NDArray[np.intp]

_ROUNDING = np.float32(1e-6)
"""Largest error by which rounding moves a value outside the range of the two values it lies between."""
_BORDER, _FULL = np.uint8(1), np.uint8(255)
_STEP = 4
_WINDOW = np.ones((_STEP, _STEP), np.uint8)
_MANY = 0.4
"""Share of pixels on a border above which interpolating all pixels is faster."""


def threshold_map(
    probability: FloatPlane, threshold: np.float32, height: int, width: int
) -> tuple[BytePlane, list[Box]]:
    """Return where a map reaches a threshold.

    Args:
        probability: float32 (h, w), 0..1.
        threshold: smallest probability that counts.
        height: height of the frame in pixels.
        width: width of the frame in pixels.

    Returns:
        uint8 (height, width), 255 where the map reaches the threshold and 0 elsewhere, and disjoint boxes around it.
    """
    if probability.shape == (height, width):
        alpha = (probability >= threshold) * _FULL
        return alpha, _tighten(alpha, mask_boxes(alpha > 0))
    cells = probability
    for axis in (0, 1):
        if probability.shape[axis] == 1:  # each cell needs a next one
            cells = np.repeat(cells, 2, axis=axis)
    down, across = (_Line.between(old, new) for old, new in zip(probability.shape, (height, width), strict=True))
    alpha = np.zeros((height, width), np.uint8)
    boxes = []
    for (left, top, right, bottom), squares in _parts(cells, threshold):
        x, y, r, b = across.starts[left], down.starts[top], across.starts[right], down.starts[bottom]
        if x == r or y == b:  # if the map is larger than the frame, some squares hold no pixel
            continue
        target = alpha[y:b, x:r]
        target[:] = squares.take(across.above[x:r] - left, axis=1).take(down.above[y:b] - top, axis=0)
        rows, columns = np.unravel_index(np.flatnonzero(squares == _BORDER), squares.shape)
        if min(down.min_count, across.min_count) == 0:
            is_used = down.has_pixels(rows + top) & across.has_pixels(columns + left)
            rows, columns = rows[is_used], columns[is_used]
        if len(rows) * down.max_count * across.max_count > _MANY * target.size:
            for strip, part in resized_strips(probability, height, width, slice(y, b), slice(x, r)):
                np.multiply(part >= threshold, _FULL, out=target[strip])
        else:
            _interpolate_border(alpha, cells, threshold, (down, rows + top), (across, columns + left))
        boxes.append((int(x), int(y), int(r), int(b)))
    return alpha, _tighten(alpha, boxes)


def _parts(cells: FloatPlane, threshold: np.float32) -> Iterator[tuple[Box, BytePlane]]:
    """Yield boxes of squares between cells that may reach the threshold, and the marks of these squares.

    A mark is 255 where the whole square reaches the threshold, 1 where a part may, and 0 elsewhere.
    """
    x, y, wide, high = cv2.boundingRect((cells >= threshold - _ROUNDING).view(np.uint8))
    if not wide:
        return
    left, top = max(x - 1, 0), max(y - 1, 0)
    near = cells[top : y + high + 1, left : x + wide + 1]
    any_corner, all_corners = (
        _corners(near >= level, reduce)
        for level, reduce in ((threshold - _ROUNDING, np.maximum), (threshold + _ROUNDING, np.minimum))
    )
    squares = np.maximum(any_corner, all_corners * _FULL)  # the mark of a border is 1
    # find connected squares on a coarser grid
    coarse = np.asarray(cv2.dilate(squares, _WINDOW, anchor=(0, 0)), np.uint8).reshape(squares.shape)[::_STEP, ::_STEP]
    for x, y, right, bottom in mask_boxes(coarse > 0):
        part = squares[y * _STEP : bottom * _STEP, x * _STEP : right * _STEP]
        origin = left + x * _STEP, top + y * _STEP
        yield (*origin, origin[0] + part.shape[1], origin[1] + part.shape[0]), part


def _corners(mask: NDArray[np.bool_], reduce: np.ufunc) -> BytePlane:
    """Return the maximum or the minimum of the marks, 1 or 0, at the corners of each square."""
    cells = mask.view(np.uint8)
    pairs = reduce(cells[:-1], cells[1:])
    corners: BytePlane = reduce(pairs[:, :-1], pairs[:, 1:])
    return corners


def _interpolate_border(
    alpha: BytePlane,
    cells: FloatPlane,
    threshold: np.float32,
    down: tuple["_Line", Indices],
    across: tuple["_Line", Indices],
) -> None:
    """Compute the pixels of some squares in place, with the rounding of ``resize_map``."""
    (rows, upper), (columns, left) = down, across
    y, x = rows.pixels(upper), columns.pixels(left)
    share = columns.shares[x]
    over, under = (
        (cells[line, left + 1] - cells[line, left]) * share + cells[line, left] for line in (upper, upper + 1)
    )
    values = (under - over) * rows.shares[y][:, None]
    values += over
    alpha.ravel()[(y * alpha.shape[1])[:, None] + x] = (values >= threshold) * _FULL


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """Positions of pixels between cells along one axis.

    Attributes:
        above: the cell before each pixel.
        shares: the distance of each pixel from that cell, 0..1.
        starts: the first pixel of each cell, and the end.
        min_count: smallest number of pixels of a cell.
        max_count: largest number of pixels of a cell.
    """

    above: Indices
    shares: FloatPlane
    starts: Indices
    min_count: int
    max_count: int

    @classmethod
    @lru_cache(maxsize=16)
    def between(cls, old: int, new: int) -> "_Line":
        """Return the positions of ``new`` pixels between ``old`` cells."""
        above, shares = positions(old, new)
        starts = np.searchsorted(above, np.arange(max(old, 2)))
        counts = np.diff(starts)
        return cls(above, shares[:, 0], starts, int(counts.min()), int(counts.max()))

    def has_pixels(self, cells: Indices) -> NDArray[np.bool_]:
        """Return which of the cells have a pixel."""
        return self.starts[cells] < self.starts[cells + 1]

    def pixels(self, cells: Indices) -> Indices:
        """Return the pixels of the cells, intp (most, cells); the last one is repeated for cells with fewer."""
        pixels = self.starts[cells] + np.arange(self.max_count)[:, None]
        clipped: Indices = np.minimum(pixels, self.starts[cells + 1] - 1)
        return clipped


def _tighten(alpha: BytePlane, boxes: Iterable[Box]) -> list[Box]:
    """Return the boxes shrunk to their non-zero pixels, without empty ones."""
    result = []
    for left, top, right, bottom in boxes:
        x, y, wide, high = cv2.boundingRect(alpha[top:bottom, left:right])
        if wide:
            result.append((left + x, top + y, left + x + wide, top + y + high))
    return result
