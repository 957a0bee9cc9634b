"""Cut-outs without a fringe of the old background.

A pixel of a soft matte mixes the colour of the object with its old background. The colour of the object is estimated
from its neighbourhood (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021). It is mixed with the new
background in linear light, as in a lens.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Matte, disjoint
from clipseg_live.rendering.blending import area_of, grow_box

_Means = Callable[[Pixels, Any, tuple[int, int]], NDArray[np.float32]]

_SMALL_SIDE, _SIDE = 240, 15
"""The neighbourhood is ``_SIDE`` pixels wide in an image whose shorter side is about ``_SMALL_SIDE``."""
_SOLID = ((np.arange(256) / 255) ** 12 * 255 + 0.5).astype(np.uint8)
"""Weights over alpha: nearly solid pixels count most."""
_WEIGHTS = ((np.arange(256) / 255) ** 8).astype(np.float32)
_REACHES = ((_SIDE, np.float32(1)), (4 * _SIDE + 1, np.float32(1e-2)))
"""Sides of neighbourhoods and their weights; the near one decides wherever it contains solid pixels."""
_LINEAR_LEVELS = 4095
_BLEED = 4
"""Pixels by which the colours of the object continue outside the matte in a transparent image."""


def cut_out_foreground(picture: Pixels, alpha: NDArray[np.uint8], drawn: Pixels) -> None:
    """Blend the image over ``drawn`` in place, weighted by alpha, uint8 (h, w)."""
    solid = alpha == 255
    np.copyto(drawn, picture, where=solid[..., None])
    band = (alpha > 0) & ~solid
    rows, columns = np.nonzero(band)
    if not len(rows):
        return
    share = alpha[rows, columns].astype(np.float32)[:, None] / np.float32(255)
    colours = _foreground(picture, alpha, rows, columns, share, _near_mean)
    linear = _to_linear()[np.clip(colours + 0.5, 0, 255).astype(np.uint8)] * share
    linear += _to_linear()[drawn[rows, columns]] * (1 - share)
    drawn[rows, columns] = _to_srgb()[(linear * _LINEAR_LEVELS + 0.5).astype(np.int32)]


def transparent(picture: Pixels, matte: Matte) -> NDArray[np.uint8]:
    """Return the area of the matte with straight alpha, without the old background.

    Just outside, where alpha is 0, the colours of the object continue, so that scaling and coding leave no dark rim.
    Farther away the image is black.

    Returns:
        uint8 RGBA (height, width, 4).
    """
    size = matte.alpha.shape[0], matte.alpha.shape[1]
    drawn = np.zeros((*size, 4), np.uint8)
    drawn[..., 3] = matte.alpha
    for area in map(area_of, disjoint([grow_box(box, _BLEED, size) for box in matte.boxes])):
        alpha, colours = matte.alpha[area], drawn[area][..., :3]
        solid = alpha == 255
        np.copyto(colours, picture[area], where=solid[..., None])
        near = cv2.dilate(alpha, np.ones((2 * _BLEED + 1,) * 2, np.uint8)).reshape(alpha.shape)
        rows, columns = np.nonzero((near > 0) & ~solid)
        if len(rows):
            share = alpha[rows, columns].astype(np.float32)[:, None] / np.float32(255)
            foreground = _foreground(picture[area], alpha, rows, columns, share, _far_mean)
            colours[rows, columns] = (foreground + np.float32(0.5)).astype(np.uint8)
    return drawn


def _foreground(
    picture: Pixels, alpha: NDArray[np.uint8], rows: NDArray[np.intp], columns: NDArray[np.intp],
    share: NDArray[np.float32], mean_of: _Means,
) -> NDArray[np.float32]:  # fmt: skip
    """Return the colour of the object at pixels of the soft border, float32 (n, 3), 0..255."""
    height, width = alpha.shape
    shrink = max(1, min(height, width) // _SMALL_SIDE)
    size = -(-width // shrink), -(-height // shrink)
    small = rows * size[1] // height, columns * size[0] // width
    front = mean_of(picture, alpha, size)[small]
    behind = _mean(picture, cv2.LUT(cv2.bitwise_not(alpha), _SOLID), size)[small]
    colours = picture[rows, columns].astype(np.float32)
    estimate = front + share * (colours - share * front - (1 - share) * behind)
    return np.asarray(np.clip(estimate, 0, 255), np.float32)


def _near_mean(picture: Pixels, alpha: Any, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the object's colour near each cell of a smaller grid, float32 (h, w, 3); 0 without solid pixels nearby."""
    return _mean(picture, cv2.LUT(alpha, _SOLID), size)


def _mean(picture: Pixels, weight: Any, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the weighted mean of the colours near each cell of a smaller grid, float32 (h, w, 3)."""
    weight_rgb = cv2.cvtColor(weight, cv2.COLOR_GRAY2RGB)
    weighted = cv2.multiply(picture, weight_rgb, scale=1 / 255)
    shape = size[1], size[0], 3
    sums = []
    for plane in (weighted, weight_rgb):
        small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA).reshape(shape).astype(np.float32)
        sums.append(cv2.blur(small, (_SIDE, _SIDE)).reshape(shape))
    return np.asarray(sums[0] * 255 / (sums[1] + np.float32(1e-3)), np.float32)


def _far_mean(picture: Pixels, alpha: Any, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the same as ``_near_mean`` at any distance from solid pixels, exact for small alpha too, but slower."""
    weight = _WEIGHTS[alpha]
    sums = [
        cv2.resize(plane, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
        for plane in (picture * weight[..., None], weight)
    ]
    totals = [np.zeros_like(plane) for plane in sums]
    for side, factor in _REACHES:
        for total, plane in zip(totals, sums, strict=True):
            total += factor * cv2.blur(plane, (side, side), borderType=cv2.BORDER_REPLICATE).reshape(plane.shape)
    for total, plane in zip(totals, sums, strict=True):
        total += np.float32(1e-6) * plane.mean(axis=(0, 1))
    return np.asarray(totals[0] / np.maximum(totals[1], np.float32(1e-35)), np.float32)


@lru_cache(maxsize=1)
def _to_linear() -> NDArray[np.float32]:
    """Return the linear value of each of 256 sRGB values (IEC 61966-2-1)."""
    value = np.arange(256) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


@lru_cache(maxsize=1)
def _to_srgb() -> NDArray[np.uint8]:
    linear = np.arange(_LINEAR_LEVELS + 1) / _LINEAR_LEVELS
    value = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (value * 255 + 0.5).astype(np.uint8)
