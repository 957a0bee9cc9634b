"""Token grid: means of a plane over the tokens of a map, their interpolation, and the tokens of a map.

CLIPSeg predicts on 22 by 22 tokens. Its map is close to the mean of the object's mask over each token, interpolated
between the centres of the tokens.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import FloatPlane

TOKENS = 22
"""Tokens on each side of the grid of CLIPSeg."""
Slices = tuple[slice, slice]
WHOLE: Slices = (slice(None), slice(None))
_Matrix = NDArray[np.float32]


class TokenGrid:
    """Conversions between a plane of pixels and tokens.

    Args:
        shape: height and width of the plane in pixels.
        extent: height and width of the frame in pixels of the plane. A plane may extend beyond the frame.
        count: tokens on each side, at least 2.
    """

    def __init__(self, shape: tuple[int, int], extent: tuple[float, float], count: int = TOKENS) -> None:
        self.count = count
        self._down = _axis(shape[0], float(extent[0]), count)
        self._across = _axis(shape[1], float(extent[1]), count)

    def means(self, plane: FloatPlane, area: Slices = WHOLE) -> FloatPlane:
        """Return the mean of a plane over each token, float32 (count, count).

        Args:
            plane: float32 (h, w), a plane, or the part of it in ``area``. The rest of the plane counts as 0.
            area: rows and columns of ``plane``.
        """
        return np.asarray(self._down[0][:, area[0]] @ plane @ self._across[0][:, area[1]].T, np.float32)

    def interpolated(self, tokens: FloatPlane, area: Slices = WHOLE) -> FloatPlane:
        """Return tokens, float32 (count, count), interpolated bilinearly at each pixel of an area, float32 (h, w)."""
        return np.asarray(self._down[1][area[0]] @ tokens @ self._across[1][area[1]].T, np.float32)

    def fitted(self, plane: FloatPlane) -> FloatPlane:
        """Return the tokens whose interpolation is closest to a map, float32 (h, w), in the least-squares sense."""
        return np.asarray(self._down[2] @ plane @ self._across[2].T, np.float32)


@lru_cache(maxsize=32)
def _axis(length: int, extent: float, count: int) -> tuple[_Matrix, _Matrix, _Matrix]:
    """Return the matrices of one axis: means (count, length), interpolation (length, count), fit (count, length).

    Args:
        length: pixels of the axis.
        extent: length of the frame in pixels, above 0.
        count: tokens.
    """
    edges = np.linspace(0, extent, count + 1)
    pixels = np.arange(length)
    means = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    means = np.clip(means, 0, None)
    means /= np.maximum(means.sum(axis=1, keepdims=True), 1e-9)
    positions = np.clip((pixels + 0.5) * count / extent - 0.5, 0, count - 1)
    before = np.minimum(positions.astype(np.intp), count - 2)
    interpolation = np.zeros((length, count))
    interpolation[pixels, before] = 1 - (positions - before)
    interpolation[pixels, before + 1] = positions - before
    fit = np.linalg.pinv(interpolation.T, rcond=1e-3).T
    return means.astype(np.float32), interpolation.astype(np.float32), np.ascontiguousarray(fit, np.float32)
