"""Distance of each pixel from the border of a mask.

A blurred mask is a field in 0..255 whose values give the distance. Blurring a straight edge with deviation s gives 255
* Phi(d / s) at distance d (positive inside), which ``distances`` inverts. Lines drawn from it have the same width
everywhere and clean edges.
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
"""Smallest value of a field within its mask, just outside the border, so that a mask of one pixel gets a line too."""
_WINDOW = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class DistanceField:
    """Blurred mask, valid until the next one is made in this thread.

    Attributes:
        values: uint8 (h, w), the field.
        scale: factor by which the field was computed smaller.
        small: uint8, the field on the smaller grid.
        covered: uint8, the mask on the smaller grid.
    """

    values: BytePlane
    scale: int
    small: BytePlane
    covered: BytePlane

    def marks(self, lowest: int, highest: int) -> BytePlane:
        """Return where values, after ``fill_small_masks``, may be from ``lowest`` to ``highest``.

        Args:
            lowest: a value below those just outside the border.
            highest: a value above those just outside the border.

        Returns:
            uint8 on the smaller grid, 255 there and 0 elsewhere, valid as long as the field.
        """
        marks, buffer = SCRATCH.take("marks", self.small.shape), SCRATCH.take("other marks", self.small.shape)
        cv2.threshold(self.small, lowest - 1, 255, cv2.THRESH_BINARY, dst=marks)
        cv2.threshold(self.covered, 0, 255, cv2.THRESH_BINARY, dst=buffer)
        cv2.max(marks, buffer, dst=marks)
        cv2.threshold(self.small, highest, 255, cv2.THRESH_BINARY_INV, dst=buffer)
        cv2.min(marks, buffer, dst=marks)
        if self.scale == 1:
            return marks
        # values are between their neighbours in the small field, which is too smooth to skip any
        cv2.dilate(marks, _WINDOW, dst=buffer)
        return buffer


def blur_mask(mask: BytePlane, deviation: int) -> DistanceField:
    """Return the distance field of a mask.

    A mask that touches the edge of the image continues beyond it.

    Args:
        mask: uint8, 0 or 255; height and width are multiples of ``shrinkage(deviation)``.
        deviation: standard deviation of the blur in pixels.
    """
    scale = shrinkage(deviation)
    if scale == 1:
        values = _smooth(mask, float(deviation))
        return DistanceField(values, 1, values, mask)
    size = mask.shape[1] // scale, mask.shape[0] // scale
    covered = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8).reshape(size[::-1])
    # Shrinking and enlarging blur too: by the variance of a box, and of a tent.
    rest = deviation**2 - (scale**2 - 1) / 12 - scale**2 / 6
    small = _smooth(covered, rest**0.5 / scale)
    values = SCRATCH.take("field", mask.shape)
    cv2.resize(small, mask.shape[::-1], dst=values, interpolation=cv2.INTER_LINEAR)
    return DistanceField(values, scale, small, covered)


def fill_small_masks(field: BytePlane, mask: BytePlane) -> BytePlane:
    """Raise ``field`` in place so that no pixel of the mask is far outside; blurring washes out small masks."""
    return np.maximum(field, np.bitwise_and(mask, _INSIDE), out=field)


@lru_cache(maxsize=64)
def distances(deviation: int) -> NDArray[np.float64]:
    """Return the distance from the border in pixels, positive inside, for each value of a field."""
    normal = NormalDist(0, deviation)
    return np.array([normal.inv_cdf(min(max(value / 255, 0.002), 0.998)) for value in range(256)])


def shrinkage(deviation: int) -> int:
    """Return the factor by which a field is computed smaller; its deviation there is still over one pixel."""
    return (deviation + 1) // 2


def _smooth(mask: BytePlane, deviation: float) -> BytePlane:
    # twice as fast as GaussianBlur, whose intermediate rounding is finer
    smooth = cv2.sepFilter2D(mask, -1, *_kernels(deviation), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smooth, np.uint8).reshape(mask.shape)


@lru_cache(maxsize=64)
def _kernels(deviation: float) -> tuple[Any, Any]:
    kernel = cv2.getGaussianKernel(2 * int(3 * deviation) + 1, deviation)
    return kernel, kernel
