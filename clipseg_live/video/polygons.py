"""Masks as polygons, exact to the pixel."""

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.int32]
"""Corners of a polygon, int32 (n, 2), x and y of pixels. The polygon is what ``cv2.fillPoly`` fills."""


def polygons_of(mask: NDArray[np.uint8]) -> list[Points]:
    """One polygon for each connected part of a mask, uint8 (height, width), 0 or not; corners touch as neighbours do.

    A hole is joined to the border by a cut of no width, to its left, so that one line goes around all of the part.
    """
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if tree is None:
        return []
    lines = [np.asarray(each, np.int32).reshape(-1, 2) for each in contours]
    holes: dict[int, list[Points]] = {}
    for line, (_, _, _, parent) in zip(lines, np.asarray(tree)[0], strict=True):
        if parent >= 0:
            holes.setdefault(int(parent), []).append(line)
    found = []
    for number, line in enumerate(lines):
        if np.asarray(tree)[0][number][3] < 0:
            found.append(_with_three(_corners(_joined(line, holes.get(number, ()), mask))))
    return found


def _joined(border: Points, holes: "list[Points] | tuple[()]", mask: NDArray[np.uint8]) -> Points:
    """Border and holes as one closed line."""
    joined = border
    # What lies left of a hole is the border, or a hole that begins further left and is joined already.
    for hole in sorted(holes, key=lambda line: int(line[:, 0].min())):
        first = int(hole[:, 0].argmin())
        x, y = (int(value) for value in hole[first])
        row = mask[y, : x + 1]
        empty = np.flatnonzero(row == 0)
        edge = int(empty[-1]) + 1 if len(empty) else 0
        at = int(np.flatnonzero((joined[:, 0] == edge) & (joined[:, 1] == y))[0])
        around = np.concatenate([hole[first:], hole[: first + 1]])
        joined = np.concatenate([joined[: at + 1], around, joined[at:]])
    return joined


def _corners(line: Points) -> Points:
    """Without the points between two others on a straight way."""
    if len(line) < 3:
        return line
    before, after = line - np.roll(line, 1, axis=0), np.roll(line, -1, axis=0) - line
    return line[(before != after).any(axis=1)]


def _with_three(line: Points) -> Points:
    """A polygon has three corners: a part of one or two pixels repeats them."""
    return line if len(line) >= 3 else np.resize(line, (3, 2))
