"""Shortest border: the mask whose border is short where the picture has no edges, and which agrees with a map.

The length of the border is weighted by the edges of the picture (geodesic active contours as a convex problem: Bresson
et al., JMIV 2007). It is minimised by the first-order primal-dual method of Chambolle and Pock (JMIV 2011). A Lagrange
multiplier for each token holds the means of the mask at the tokens of the map.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import FloatPlane
from clipseg_live.matting.edges.token_grid import TokenGrid

_ROUNDS = 80
_EVERY = 4
"""Rounds between two updates of the multipliers."""
_STEP = np.float32(0.35)
"""Step of the primal-dual method; its square times 8 must be at most 1."""
_GAIN = np.float32(1.0)
"""Step of the multipliers."""
_MOST_MULTIPLIER = np.float32(4.0)
_EDGE = 0.02
"""Difference of colour (CIELAB, black to white is 1) over a pixel that reduces the cost of a border to 1/e."""
_LEAST_COST = np.float32(0.02)


@dataclass(frozen=True, slots=True, eq=False)
class ShortestBorder:
    """Result of the minimisation.

    Attributes:
        mask: float32 (h, w), 0..1.
        border: float32 (h, w), the force of the border's length on each pixel.
        tokens: float32 (h, w), the force of the multipliers on each pixel.
    """

    mask: FloatPlane
    border: FloatPlane
    tokens: FloatPlane


def border_costs(picture: FloatPlane) -> tuple[FloatPlane, FloatPlane]:
    """Return the cost of a border between each pixel and the next one to the right, and the next one below.

    Args:
        picture: float32 (h, w, 3) RGB, 0..1.

    Returns:
        Two planes, float32 (h, w), 0.02..1.02.
    """
    lab = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2Lab), np.float32).reshape(picture.shape)
    lab = np.asarray(cv2.GaussianBlur(lab * np.float32(0.01), (0, 0), 0.8), np.float32).reshape(picture.shape)
    costs = []
    for axis in (1, 0):
        steps = np.diff(lab, axis=axis, append=lab.take([-1], axis=axis))
        length = np.sqrt(np.square(steps).sum(axis=2))
        costs.append(np.exp(length * np.float32(-1 / _EDGE)) + _LEAST_COST)
    return costs[0], costs[1]


def shortest_border(
    start: FloatPlane,
    free: NDArray[np.bool_],
    force: FloatPlane,
    costs: tuple[FloatPlane, FloatPlane],
    grid: TokenGrid,
    difference: Callable[[FloatPlane], FloatPlane],
) -> ShortestBorder:
    """Minimise the length of the border minus the force on the mask.

    Args:
        start: float32 (h, w), 0..1, the mask to start with.
        free: bool (h, w), where the mask may differ from the start.
        force: float32 (h, w), towards the object if positive.
        costs: costs of a border, see ``border_costs``.
        grid: the grid of the map's tokens.
        difference: returns how far means over the tokens, float32 (count, count), are below the tokens of the map.
    """
    whole = start.copy()
    result = ShortestBorder(whole, np.zeros_like(whole), np.zeros_like(whole))
    x, y, wide, high = cv2.boundingRect(free.view(np.uint8))
    if not wide:
        return result
    area = slice(max(y - 1, 0), y + high + 1), slice(max(x - 1, 0), x + wide + 1)
    mask, force = whole[area], force[area]
    least, most = np.where(free[area], 0, mask), np.where(free[area], 1, mask)
    across_scale, down_scale = (1 / cost[area] for cost in costs)
    across, down = np.zeros_like(mask), np.zeros_like(mask)
    ahead, flux = mask.copy(), np.zeros_like(mask)
    multipliers = np.zeros((grid.count, grid.count), np.float32)
    total = force
    for number in range(_ROUNDS):
        across[:, :-1] += _STEP * (ahead[:, 1:] - ahead[:, :-1])
        down[:-1] += _STEP * (ahead[1:] - ahead[:-1])
        size = np.asarray(cv2.magnitude(across * across_scale, down * down_scale), np.float32).reshape(mask.shape)
        np.maximum(size, 1, out=size)
        across /= size
        down /= size
        np.add(across, down, out=flux)
        flux[:, 1:] -= across[:, :-1]
        flux[1:] -= down[:-1]
        if number % _EVERY == 0:
            multipliers += _GAIN * difference(grid.means(whole))
            np.clip(multipliers, -_MOST_MULTIPLIER, _MOST_MULTIPLIER, out=multipliers)
            result.tokens[area] = grid.interpolated(multipliers)[area]
            total = force + result.tokens[area]
        np.add(flux, total, out=ahead)
        ahead *= _STEP
        ahead += mask
        np.clip(ahead, least, most, out=ahead)
        step = ahead - mask
        mask += step
        ahead += step
    result.border[area] = flux
    return result
