"""Masks as polygons, exact to the pixel.

Two groups of readers treat the pixels at the border of a polygon differently, so there are two kinds of outline:

- pycocotools (and everything built on it) fills pixels whose centre lies inside, on a grid of a fifth of a pixel.
  ``coco_polygons`` puts vertices between a quarter and a half pixel from the pixel's top left corner.
- ``cv2.fillPoly`` also fills the border, after vertices have become integers. Ultralytics truncates them, supervision
  rounds them. ``corner_polygons`` gives the integer pixels; a quarter added to each works with both.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

PolygonPoints = NDArray[np.int32]
"""Pixels of a border: int32 (n, 2), x and y."""
Vertices = NDArray[np.float64]
"""Vertices of a polygon: float64 (n, 2), x and y; the pixel at x, y covers x to x + 1 and y to y + 1."""

CORNER = 0.25
"""Position of a vertex within its pixel that both truncation and rounding turn into the pixel."""
_NEAR, _MIDDLE, _FAR = 0.25, 0.5, 0.5
"""Positions within a border pixel: at its left or top side, between two sides, at its right or bottom side."""

# Counter-clockwise on the screen, beginning to the right. Even directions are the sides of a pixel.
_DIRECTIONS = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))


def coco_polygons(mask: NDArray[np.uint8]) -> list[Vertices]:
    """Return a polygon for each connected component (8 neighbours) of a mask, uint8 (height, width), 0 or not.

    pycocotools decodes them to the mask, to the pixel. A hole is joined to the border by a cut of zero width.
    """
    return [_remove_collinear(line) for line in _lines(mask, _outline)]


def corner_polygons(mask: NDArray[np.uint8]) -> list[Vertices]:
    """Return the same polygons with integer vertices: the pixels that ``cv2.fillPoly`` joins."""
    return [_pad_to_three(_remove_collinear(line)) for line in _lines(mask, lambda chain: chain.astype(np.float64))]


def join_polygons(polygons: Sequence[Vertices]) -> Vertices:
    """Return all polygons as one, joined by bridges of zero width between their nearest vertices."""
    vertices = np.concatenate(polygons)
    owners = np.repeat(np.arange(len(polygons)), [len(polygon) for polygon in polygons])
    numbers = np.arange(len(vertices))
    distances, nearest = np.full(len(vertices), np.inf), np.zeros(len(vertices), np.intp)
    joined: NDArray[np.intp] = numbers[owners == 0]
    new_indices, remaining = joined, owners != 0
    while remaining.any():
        _update_nearest(vertices, numbers[remaining], new_indices, distances, nearest)
        end = int(numbers[remaining][distances[remaining].argmin()])
        new_indices = numbers[owners == owners[end]]
        index = int(np.flatnonzero(joined == nearest[end])[0])
        ring = np.roll(new_indices, new_indices[0] - end)
        joined = np.concatenate([joined[: index + 1], ring, ring[:1], joined[index:]])
        remaining &= owners != owners[end]
    return vertices[joined]


def _update_nearest(
    vertices: Vertices,
    remaining: NDArray[np.intp],
    new_indices: NDArray[np.intp],
    distances: NDArray[np.float64],
    nearest: NDArray[np.intp],
) -> None:
    """Update the nearest joined vertex of each waiting vertex with the newly added ones."""
    rows = max((1 << 20) // len(new_indices), 1)
    for start in range(0, len(remaining), rows):
        chunk = remaining[start : start + rows]
        squares = np.square(vertices[chunk, None, :] - vertices[new_indices][None]).sum(axis=2)
        nearest_column = squares.argmin(axis=1)
        values = squares[np.arange(len(chunk)), nearest_column]
        closer = values < distances[chunk]
        distances[chunk[closer]], nearest[chunk[closer]] = values[closer], new_indices[nearest_column[closer]]


def _lines(mask: NDArray[np.uint8], outline: Callable[[PolygonPoints], Vertices]) -> list[Vertices]:
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if tree is None:
        return []
    lines = [outline(np.asarray(contour, np.int32).reshape(-1, 2)) for contour in contours]
    parents = [int(entry[3]) for entry in np.asarray(tree)[0]]
    holes: dict[int, list[Vertices]] = {}
    for line, parent in zip(lines, parents, strict=True):
        if parent >= 0:
            holes.setdefault(parent, []).append(line)
    return [
        _join_holes(line, holes.get(number, []), mask)
        for number, (line, parent) in enumerate(zip(lines, parents, strict=True))
        if parent < 0
    ]


def _join_holes(border: Vertices, holes: Sequence[Vertices], mask: NDArray[np.uint8]) -> Vertices:
    """Join a border and its holes to one closed line."""
    joined: Vertices = border
    # To the left of a hole is the border, or a hole that begins further left and is already joined.
    for hole in sorted(holes, key=lambda line: int(line[:, 0].min())):
        first = int(np.floor(hole[:, 0]).argmin())
        x, y = (int(value) for value in hole[first])
        row = mask[y, : x + 1]
        empty = np.flatnonzero(row == 0)
        edge = int(empty[-1]) + 1 if len(empty) else 0
        pixels = np.floor(joined)
        index = int(np.flatnonzero((pixels[:, 0] == edge) & (pixels[:, 1] == y))[0])
        ring = np.concatenate([hole[first:], hole[: first + 1]])
        joined = np.concatenate([joined[: index + 1], ring, joined[index:]])
    return joined


def _outline(chain: PolygonPoints) -> Vertices:
    """Move the pixels of a border outwards, towards the sides at which the mask ends.

    A pixel with one such side has one vertex. A pixel with several has one for each corner between them.
    """
    if len(chain) == 1:
        return np.asarray(chain + _SINGLE)
    direction_in = _direction(np.roll(chain, 1, axis=0) - chain)
    direction_out = _direction(np.roll(chain, -1, axis=0) - chain)
    positions = chain[:, None, :] + _CORNERS[direction_in, direction_out]
    return np.asarray(positions[_COUNTED[direction_in, direction_out]], np.float64)


def _direction(step: PolygonPoints) -> NDArray[np.intp]:
    return _NUMBERS[step[:, 1] + 1, step[:, 0] + 1]


def _position(first: int, second: int) -> tuple[float, float]:
    """Return the position of the corner between two sides within a pixel, or the middle of a side."""
    steps = (_DIRECTIONS[first], _DIRECTIONS[second])
    x, y = (sum(step[axis] for step in steps) for axis in (0, 1))
    offsets = {-1: _NEAR, -2: _NEAR, 0: _MIDDLE, 1: _FAR, 2: _FAR}
    return offsets[x], offsets[y]


def _tables() -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.bool_]]:
    """Return direction numbers by step, and the vertices of a pixel by its directions of entry and exit.

    The mask ends at the sides between these directions, counter-clockwise, because borders run with the mask on their
    left.
    """
    numbers = np.zeros((3, 3), np.intp)
    for number, (x, y) in enumerate(_DIRECTIONS):
        numbers[y + 1, x + 1] = number
    corners, is_used = np.zeros((8, 8, 3, 2)), np.zeros((8, 8, 3), bool)
    for direction_in in range(8):
        for direction_out in range(8):
            turns = (direction_out - direction_in - 1) % 8
            sides = [(direction_in + turn) % 8 for turn in range(1, turns + 1) if (direction_in + turn) % 2 == 0]
            pairs = list(pairwise(sides)) or [(side, side) for side in sides]
            offsets = [_position(*pair) for pair in pairs] or [(_MIDDLE, _MIDDLE)]
            corners[direction_in, direction_out, : len(offsets)] = offsets
            is_used[direction_in, direction_out, : len(offsets)] = True
    return numbers, corners, is_used


_NUMBERS, _CORNERS, _COUNTED = _tables()
_SINGLE = np.array([(_NEAR, _NEAR), (_NEAR, _FAR), (_FAR, _FAR), (_FAR, _NEAR)])


def _remove_collinear(line: Vertices) -> Vertices:
    """Remove repeated vertices, and those on a straight line between two others."""
    is_repeated = (line == np.roll(line, 1, axis=0)).all(axis=1)
    line = line[:1] if is_repeated.all() else line[~is_repeated]
    if len(line) < 3:
        return line
    step_before, step_after = line - np.roll(line, 1, axis=0), np.roll(line, -1, axis=0) - line
    turns = step_before[:, 0] * step_after[:, 1] != step_before[:, 1] * step_after[:, 0]
    returns = (step_before * step_after).sum(axis=1) < 0
    return np.asarray(line[turns | returns])


def _pad_to_three(line: Vertices) -> Vertices:
    """Repeat vertices up to three, because a component of one or two pixels has fewer corners."""
    return line if len(line) >= 3 else np.resize(line, (3, 2))
