"""Guided filter: makes the borders of a map follow the colours of an image.

The guided filter (He, Sun and Tang, PAMI 2013) models a map near each pixel as a linear function of the colours there.
Its fast form (He and Sun, arXiv:1505.00996) computes the coefficients on a small image and applies them to a large one.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import FloatPlane
from clipseg_live.matting.edges.token_grid import WHOLE, Slices

_FLAT_VARIANCE = 1e-4
"""Variance of a map that counts as none."""


class GuidedFilter:
    """Guided filter of one image, for any number of maps.

    Args:
        picture: float32 (h, w, 3), 0..1.
        radius: radius of the filter in pixels.
        flat: variance of colour that counts as none.
        weights: float32 (h, w), the weight of each pixel of a map, or None for equal weights.
    """

    def __init__(self, picture: FloatPlane, radius: int, flat: float, weights: FloatPlane | None = None) -> None:
        self._side = 2 * radius + 1
        self._weights = None if weights is None else weights + np.float32(1e-3)
        self._share = None if self._weights is None else 1 / self._blur(self._weights)
        self._colours = red, green, blue = cv2.split(picture)
        self._means = r, g, b = [self._average(plane) for plane in self._colours]
        rr = self._average(red * red) - r * r + np.float32(flat)
        gg = self._average(green * green) - g * g + np.float32(flat)
        bb = self._average(blue * blue) - b * b + np.float32(flat)
        rg = self._average(red * green) - r * g
        rb = self._average(red * blue) - r * b
        gb = self._average(green * blue) - g * b
        irr, irg, irb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
        igg, igb, ibb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
        scale = 1 / (irr * rr + irg * rg + irb * rb)
        for plane in (irr, irg, irb, igg, igb, ibb):
            plane *= scale
        self._inverse = (irr, irg, irb), (irg, igg, igb), (irb, igb, ibb)

    def coefficients(self, plane: FloatPlane, area: Slices = WHOLE) -> NDArray[np.float32]:
        """Return the coefficients of a map, float32 (h, w, 4).

        Near a pixel the map is the first three coefficients times the colour, plus the last.

        Args:
            plane: float32 (h, w), a map, or the part of it in ``area``. A part must be 0 outside the area, and within
                twice the radius of its border.
            area: rows and columns of ``plane`` in the image.
        """
        mean = self._average(plane, area)
        slopes, _ = self._slopes(plane, mean, area)
        return self._merge(slopes, mean, area)

    def fit_with_share(self, plane: FloatPlane, area: Slices = WHOLE) -> tuple[NDArray[np.float32], FloatPlane]:
        """Return the coefficients of a map, and the share of its variance that they explain near each pixel.

        The share is float32 (h, w), about 0..1. Within twice the radius of the area's border, both are approximate.

        Args:
            plane: float32 (h, w), a map, or the part of it in ``area``.
            area: rows and columns of ``plane`` in the image.
        """
        mean = self._average(plane, area)
        slopes, covariances = self._slopes(plane, mean, area)
        explained_variance = sum(slope * covariance for slope, covariance in zip(slopes, covariances, strict=True))
        variance = self._blur(self._average(plane * plane, area) - mean * mean)
        share = np.asarray(self._blur(explained_variance) / (variance + np.float32(_FLAT_VARIANCE)), np.float32)
        return self._merge(slopes, mean, area), share

    def _slopes(self, plane: FloatPlane, mean: FloatPlane, area: Slices) -> tuple[list[FloatPlane], list[FloatPlane]]:
        """Return the slopes of the map over each colour, and the covariances of the map with each colour."""
        covariances = [
            self._average(colour[area] * plane, area) - average[area] * mean
            for colour, average in zip(self._colours, self._means, strict=True)
        ]
        slopes = []
        for row in self._inverse:
            slope = row[0][area] * covariances[0]
            slope += row[1][area] * covariances[1]
            slope += row[2][area] * covariances[2]
            slopes.append(slope)
        return slopes, covariances

    def _merge(self, slopes: list[FloatPlane], mean: FloatPlane, area: Slices) -> NDArray[np.float32]:
        rest = mean
        for slope, average in zip(slopes, self._means, strict=True):
            rest = rest - slope * average[area]
        return np.asarray(cv2.merge([self._blur(plane) for plane in (*slopes, rest)]), np.float32)

    def _average(self, plane: Any, area: Slices = WHOLE) -> FloatPlane:
        if self._weights is None or self._share is None:
            return self._blur(plane)
        return np.asarray(self._blur(plane * self._weights[area]) * self._share[area], np.float32)

    def _blur(self, plane: Any) -> FloatPlane:
        blurred = cv2.blur(plane, (self._side, self._side), borderType=cv2.BORDER_REFLECT)
        return np.asarray(blurred, np.float32).reshape(plane.shape)


def apply_coefficients(coefficients: NDArray[np.float32], picture: NDArray[np.float32]) -> FloatPlane:
    """Apply coefficients, float32 (h, w, 4), to an image of the same size."""
    mixed = cv2.multiply(coefficients, cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA))
    return np.asarray(cv2.transform(mixed, np.ones((1, 4), np.float32)), np.float32).reshape(picture.shape[:2])
