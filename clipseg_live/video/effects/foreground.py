"""Putting an object before another background without a fringe of the old one.

Where a matte is soft, a pixel mixes the object's colour with its old background. The object's own colour is estimated
from its neighbourhood (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021), and mixed with the new
background in linear light, as lenses do.
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels

_SMALL_SIDE, _SIDE = 240, 15
"""The neighbourhood is this many pixels wide in a picture whose shorter side is about so large."""
_SOLID = ((np.arange(256) / 255) ** 12 * 255 + 0.5).astype(np.uint8)
"""What is nearly solid counts most."""
_LINEAR_LEVELS = 4095


def cut_out(picture: Pixels, alpha: NDArray[np.uint8], drawn: Pixels) -> None:
    """Lay the picture over ``drawn`` in place, as far as alpha, uint8 (h, w), says."""
    solid = alpha == 255
    np.copyto(drawn, picture, where=solid[..., None])
    band = (alpha > 0) & ~solid
    rows, columns = np.nonzero(band)
    if not len(rows):
        return
    share = alpha[rows, columns].astype(np.float32)[:, None] / np.float32(255)
    colours = _foreground(picture, alpha, rows, columns, share)
    linear = _to_linear()[np.clip(colours + 0.5, 0, 255).astype(np.uint8)] * share
    linear += _to_linear()[drawn[rows, columns]] * (1 - share)
    drawn[rows, columns] = _to_srgb()[(linear * _LINEAR_LEVELS + 0.5).astype(np.int32)]


def _foreground(
    picture: Pixels, alpha: NDArray[np.uint8], rows: NDArray[np.intp], columns: NDArray[np.intp],
    share: NDArray[np.float32],
) -> NDArray[np.float32]:  # fmt: skip
    """The object's colour at pixels of the band, float32 (n, 3), 0..255."""
    height, width = alpha.shape
    shrink = max(1, min(height, width) // _SMALL_SIDE)
    size = -(-width // shrink), -(-height // shrink)
    small = rows * size[1] // height, columns * size[0] // width
    front = _mean(picture, cv2.LUT(alpha, _SOLID), size)[small]
    behind = _mean(picture, cv2.LUT(cv2.bitwise_not(alpha), _SOLID), size)[small]
    seen = picture[rows, columns].astype(np.float32)
    found = front + share * (seen - share * front - (1 - share) * behind)
    return np.asarray(np.clip(found, 0, 255), np.float32)


def _mean(picture: Pixels, weight: Any, size: tuple[int, int]) -> NDArray[np.float32]:
    """Weighted mean of the colours near each place of a smaller grid, float32 (h, w, 3)."""
    cover = cv2.cvtColor(weight, cv2.COLOR_GRAY2RGB)
    lit = cv2.multiply(picture, cover, scale=1 / 255)
    shape = size[1], size[0], 3
    sums = []
    for each in (lit, cover):
        shrunk = cv2.resize(each, size, interpolation=cv2.INTER_AREA).reshape(shape).astype(np.float32)
        sums.append(cv2.blur(shrunk, (_SIDE, _SIDE)).reshape(shape))
    return np.asarray(sums[0] * 255 / (sums[1] + np.float32(1e-3)), np.float32)


@lru_cache(maxsize=1)
def _to_linear() -> NDArray[np.float32]:
    """IEC 61966-2-1, for each of 256 values."""
    value = np.arange(256) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


@lru_cache(maxsize=1)
def _to_srgb() -> NDArray[np.uint8]:
    linear = np.arange(_LINEAR_LEVELS + 1) / _LINEAR_LEVELS
    value = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (value * 255 + 0.5).astype(np.uint8)
