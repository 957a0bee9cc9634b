"""Where a map reaches its threshold: the mask, in boxes, and how far each pixel of them lies from its border.

A blurred mask is a field in 0..255 whose value tells the distance: blurring a straight edge with deviation s gives
255 * Phi(d / s) at distance d (positive inside), which ``distances`` inverts. Whatever is drawn from it has the same
width everywhere and clean edges.

A box reaches further than any blur of its mask, and no two boxes overlap. What is drawn from a box is therefore what
would be drawn from the whole picture, however the boxes were found.
"""

from collections.abc import Iterator
from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.video.overlay import Box, Bytes, disjoint
from clipseg_live.video.resize import resized_strips
from clipseg_live.video.scratch import SCRATCH

_COARSER = 4
_MOST_PARTS = 24
_DENSE = 0.3
_ROUNDING = np.float32(1 - 1e-6)
_INSIDE = np.uint8(118)
"""The least value of a field within its mask, just outside the border: even a mask of one pixel gets its line."""


def parts(
    probability: NDArray[np.float32], threshold: float, height: int, width: int, deviation: int
) -> Iterator[tuple[Box, Bytes]]:
    """The mask of a map, for a picture of (height, width), in boxes for ``blurred`` with ``deviation``.

    A mask is uint8 of its box's size, 255 inside, valid until the next one is asked for. Nothing comes where the
    threshold is not reached: interpolation does not exceed what it interpolates, but by rounding.
    """
    level = np.float32(threshold)
    seen = (probability >= level * _ROUNDING).view(np.uint8)
    for box in _boxes(seen, height, width, deviation):
        left, top, right, bottom = box
        mask = SCRATCH.take("mask", (bottom - top, right - left))
        strips = resized_strips(probability, height, width, slice(top, bottom), slice(left, right))
        for rows, strip in strips:
            np.greater_equal(strip, level, out=mask[rows].view(np.bool_))
        yield box, np.negative(mask, out=mask)  # 0 stays, 1 becomes 255


def blurred(mask: Bytes, deviation: int) -> Bytes:
    """The field of a mask that ``parts`` gave for this deviation: uint8, the same shape.

    A mask that touches the picture's edge goes on beyond it.
    """
    shrink = _shrink(deviation)
    if shrink == 1:
        return _smooth(mask, float(deviation))
    height, width = mask.shape
    if height % shrink or width % shrink:
        mask = np.pad(mask, ((0, -height % shrink), (0, -width % shrink)), mode="edge")
    size = mask.shape[1] // shrink, mask.shape[0] // shrink
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).reshape(size[::-1])
    # Shrinking and growing blur as well: by the variance of a box, and of a tent.
    rest = deviation**2 - (shrink**2 - 1) / 12 - shrink**2 / 6
    field = SCRATCH.take("field", mask.shape)
    cv2.resize(_smooth(small, rest**0.5 / shrink), mask.shape[::-1], dst=field, interpolation=cv2.INTER_LINEAR)
    return field[:height, :width]


def filled(field: Bytes, mask: Bytes) -> Bytes:
    """``field``, changed so that no pixel of the mask is far outside: small masks are washed out by blurring."""
    return np.maximum(field, np.bitwise_and(mask, _INSIDE), out=field)


@lru_cache(maxsize=64)
def distances(deviation: int) -> NDArray[np.float64]:
    """Distance from the border in pixels, inside positive, for each value of a field."""
    normal = NormalDist(0, deviation)
    return np.array([normal.inv_cdf(min(max(value / 255, 0.002), 0.998)) for value in range(256)])


def _shrink(deviation: int) -> int:
    """What a field is computed smaller by; its deviation there is still over one pixel."""
    return (deviation + 1) // 2


def _smooth(mask: Bytes, deviation: float) -> Bytes:
    side = 2 * int(3 * deviation) + 1
    smooth = cv2.GaussianBlur(mask, (side, side), deviation, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smooth, np.uint8).reshape(mask.shape)


def _boxes(seen: Bytes, height: int, width: int, deviation: int) -> list[Box]:
    """Where the marked cells of a grid reach in the picture: half a cell further than they lie, and a blur's reach."""
    across, down = width / seen.shape[1], height / seen.shape[0]
    step = _shrink(deviation)
    margin = 3 * deviation + 3 * step
    boxes = [
        (
            max(int((left - 0.5) * across - margin) // step * step, 0),
            max(int((top - 0.5) * down - margin) // step * step, 0),
            min((int((right + 0.5) * across + margin) // step + 1) * step, width),
            min((int((bottom + 0.5) * down + margin) // step + 1) * step, height),
        )
        for left, top, right, bottom in _clusters(seen)
    ]
    return disjoint(boxes)


def _clusters(seen: Bytes) -> list[Box]:
    """Boxes around marked cells that lie together; every marked cell is in one.

    They are told apart on a coarser grid; a cell that lies across two of its cells may be seen in one alone, hence the
    cell more on each side.
    """
    whole = _bounds(seen, 0, 0, seen.shape[1], seen.shape[0])
    size = (whole[2] - whole[0]) * (whole[3] - whole[1])
    if size == 0:
        return []
    if cv2.countNonZero(seen) > _DENSE * size:  # there is little to be left out
        return [whole]
    rows, columns = (max(1, side // _COARSER) for side in seen.shape)
    coarse = cv2.resize(seen * np.uint8(255), (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows, columns)
    count, _, statistics, _ = cv2.connectedComponentsWithStats((coarse > 0).view(np.uint8))
    if count > _MOST_PARTS:
        return [whole]
    down, across = seen.shape[0] / rows, seen.shape[1] / columns
    return [
        _bounds(
            seen,
            max(int(x * across) - 1, 0),
            max(int(y * down) - 1, 0),
            int((x + w) * across) + 2,
            int((y + h) * down) + 2,
        )
        for x, y, w, h, _ in statistics[1:].tolist()
    ]


def _bounds(seen: Bytes, left: int, top: int, right: int, bottom: int) -> Box:
    """The box around the marked cells within these bounds."""
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(seen[top:bottom, left:right]))
    return left + x, top + y, left + x + width, top + y + height
