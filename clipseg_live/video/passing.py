"""Where maps reach a threshold, at a frame's size: the same as resizing first and comparing then, bit by bit.

Between the middles of four neighbouring cells of a map lies a square of pixels. Where all four are over the threshold
so are the pixels, where all are under it none is; only squares on a border are interpolated.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.mattes import Box
from clipseg_live.video.edges import boxes_of
from clipseg_live.video.resize import positions, resized_strips

Plane = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Positions = tuple[NDArray[np.intp], Plane]
"""What ``resize.positions`` gives."""

_ROUNDING = np.float32(1e-6)
"""By how much rounding may bring what lies between two values over or under both."""
_BORDER, _FULL = np.uint8(1), np.uint8(255)
_MANY = 0.1
"""Share of pixels on a border above which it is quicker to interpolate all."""


def passing(probability: Plane, threshold: np.float32, height: int, width: int) -> tuple[Bytes, list[Box]]:
    """Where a map, float32 (h, w) of 0..1, reaches a threshold: uint8 (height, width), 255 there and 0 elsewhere, and
    disjoint boxes around it."""
    if probability.shape == (height, width):
        alpha = (probability >= threshold) * _FULL
        return alpha, _tight(alpha, boxes_of(alpha > 0))
    cells = probability
    for axis in (0, 1):
        if probability.shape[axis] == 1:  # so that each cell has a next one
            cells = np.repeat(cells, 2, axis=axis)
    down, across = (positions(old, new) for old, new in zip(probability.shape, (height, width), strict=True))
    alpha = np.zeros((height, width), np.uint8)
    boxes = []
    for (left, top, right, bottom), squares in _parts(cells, threshold):
        y, b = np.searchsorted(down[0], (top, bottom)).tolist()
        x, r = np.searchsorted(across[0], (left, right)).tolist()
        if y == b or x == r:  # no pixel lies between cells of a map that is larger than the frame
            continue
        here = alpha[y:b, x:r]
        here[:] = squares.take(across[0][x:r] - left, axis=1).take(down[0][y:b] - top, axis=0)
        border = np.flatnonzero(here == _BORDER)
        if len(border) > _MANY * here.size:
            for strip, part in resized_strips(probability, height, width, slice(y, b), slice(x, r)):
                np.multiply(part >= threshold, _FULL, out=here[strip])
        else:
            at = np.unravel_index(border, here.shape)
            here[at] = (_between(cells, down, across, at[0] + y, at[1] + x) >= threshold) * _FULL
        boxes.append((x, y, r, b))
    return alpha, _tight(alpha, boxes)


def _parts(cells: Plane, threshold: np.float32) -> Iterator[tuple[Box, Bytes]]:
    """Boxes of squares between cells of which some may pass, and these: 255 where all of a square passes, 1 where some
    of it may, 0 where none does."""
    x, y, wide, high = cv2.boundingRect((cells >= threshold - _ROUNDING).view(np.uint8))
    if not wide:
        return
    left, top = max(x - 1, 0), max(y - 1, 0)
    near = cells[top : y + high + 1, left : x + wide + 1]
    reached, sure = (_fours(near >= level) for level in (threshold - _ROUNDING, threshold + _ROUNDING))
    squares = (reached > 0) * _BORDER
    squares[sure == 4] = _FULL
    for box in boxes_of(squares > 0):
        placed = box[0] + left, box[1] + top, box[2] + left, box[3] + top
        yield placed, squares[box[1] : box[3], box[0] : box[2]]


def _fours(marked: NDArray[np.bool_]) -> Bytes:
    """How many corners of each square are marked."""
    cells = marked.view(np.uint8)
    pairs = cells[:-1] + cells[1:]
    fours: Bytes = pairs[:, :-1] + pairs[:, 1:]
    return fours


def _between(
    cells: Plane, down: Positions, across: Positions, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> Plane:
    """The map at some of the frame's pixels, as ``resize_map`` rounds it."""
    flat, line = cells.ravel(), cells.shape[1]
    corner = down[0].take(rows) * line + across[0].take(columns)
    share = across[1].take(columns)
    upper, lower = flat.take(corner), flat.take(corner + line)
    upper += (flat.take(corner + 1) - upper) * share
    lower += (flat.take(corner + line + 1) - lower) * share
    lower -= upper
    lower *= down[1].take(rows)
    upper += lower
    return upper


def _tight(alpha: Bytes, boxes: Iterable[Box]) -> list[Box]:
    """The boxes as far as they hold something."""
    found = []
    for left, top, right, bottom in boxes:
        x, y, wide, high = cv2.boundingRect(alpha[top:bottom, left:right])
        if wide:
            found.append((left + x, top + y, left + x + wide, top + y + high))
    return found
