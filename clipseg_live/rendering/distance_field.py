"""How far each pixel lies from a mask's border.

A blurred mask is a field in 0..255 whose value tells the distance: blurring a straight edge with deviation s gives
255 * Phi(d / s) at distance d (positive inside), which ``distances`` inverts. Whatever is drawn from it has the same
width everywhere and clean edges.
"""

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import BytePlane
from clipseg_live.imaging.buffers import SCRATCH

_INSIDE = np.uint8(118)
"""The least value of a field within its mask, just outside the border: even a mask of one pixel gets its line."""
_WINDOW = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class DistanceField:
    """A blurred mask, uint8 (h, w), valid until the next one is made in this thread, and what it was made from.

    scale: what it was computed smaller by. small, covered: the field and the mask on that smaller grid, uint8.
    """

    values: BytePlane
    scale: int
    small: BytePlane
    covered: BytePlane

    def marks(self, least: int, most: int) -> BytePlane:
        """Where values, once ``filled``, may lie from ``least`` to ``most``, which are below and above those just
        outside the border: uint8 on the smaller grid, 255 there and elsewhere 0, valid as long as the field."""
        marks, other = SCRATCH.take("marks", self.small.shape), SCRATCH.take("other marks", self.small.shape)
        cv2.threshold(self.small, least - 1, 255, cv2.THRESH_BINARY, dst=marks)
        cv2.threshold(self.covered, 0, 255, cv2.THRESH_BINARY, dst=other)
        cv2.max(marks, other, dst=marks)
        cv2.threshold(self.small, most, 255, cv2.THRESH_BINARY_INV, dst=other)
        cv2.min(marks, other, dst=marks)
        if self.scale == 1:
            return marks
        # values lie between those around them in the small field, which rises too slowly to skip any
        cv2.dilate(marks, _WINDOW, dst=other)
        return other


def blurred(mask: BytePlane, deviation: int) -> DistanceField:
    """The field of a mask, uint8 of 0 and 255, for a deviation in pixels. The mask is as many pixels high and wide as
    ``shrinkage`` of the deviation divides.

    A mask that touches the picture's edge goes on beyond it.
    """
    scale = shrinkage(deviation)
    if scale == 1:
        values = _smooth(mask, float(deviation))
        return DistanceField(values, 1, values, mask)
    size = mask.shape[1] // scale, mask.shape[0] // scale
    covered = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8).reshape(size[::-1])
    # Shrinking and growing blur as well: by the variance of a box, and of a tent.
    rest = deviation**2 - (scale**2 - 1) / 12 - scale**2 / 6
    small = _smooth(covered, rest**0.5 / scale)
    values = SCRATCH.take("field", mask.shape)
    cv2.resize(small, mask.shape[::-1], dst=values, interpolation=cv2.INTER_LINEAR)
    return DistanceField(values, scale, small, covered)


def filled(field: BytePlane, mask: BytePlane) -> BytePlane:
    """``field``, changed so that no pixel of the mask is far outside: small masks are washed out by blurring."""
    return np.maximum(field, np.bitwise_and(mask, _INSIDE), out=field)


@lru_cache(maxsize=64)
def distances(deviation: int) -> NDArray[np.float64]:
    """Distance from the border in pixels, inside positive, for each value of a field."""
    normal = NormalDist(0, deviation)
    return np.array([normal.inv_cdf(min(max(value / 255, 0.002), 0.998)) for value in range(256)])


def shrinkage(deviation: int) -> int:
    """What a field is computed smaller by; its deviation there is still over one pixel."""
    return (deviation + 1) // 2


def _smooth(mask: BytePlane, deviation: float) -> BytePlane:
    # twice as quick as GaussianBlur, which rounds more finely in between
    smooth = cv2.sepFilter2D(mask, -1, *_kernels(deviation), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smooth, np.uint8).reshape(mask.shape)


@lru_cache(maxsize=64)
def _kernels(deviation: float) -> tuple[Any, Any]:
    kernel = cv2.getGaussianKernel(2 * int(3 * deviation) + 1, deviation)
    return kernel, kernel
