"""How far each pixel lies from a mask's border.

A blurred mask is a field in 0..255 whose value tells the distance: blurring a straight edge with deviation s gives
255 * Phi(d / s) at distance d (positive inside), which ``distances`` inverts. Whatever is drawn from it has the same
width everywhere and clean edges.
"""

from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.video.scratch import SCRATCH

Bytes = NDArray[np.uint8]

_INSIDE = np.uint8(118)
"""The least value of a field within its mask, just outside the border: even a mask of one pixel gets its line."""


def blurred(mask: Bytes, deviation: int) -> Bytes:
    """The field of a mask, uint8 of 0 and 255, for a deviation in pixels: uint8, the same shape.

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
