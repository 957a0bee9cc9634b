"""Edge refinement: a mask with exact borders from a coarse map, the edges of the picture and its colours.

The means of a refined mask over the tokens of the model should agree with the tokens of the map (``token_grid``). Two
methods use this rule:

- "fast" applies a guided filter (He, Sun and Tang, PAMI 2013) to the map and makes the result steep. It adds the
  difference of the tokens to the map and repeats this (iterative back-projection: Irani and Peleg, CVGIP 1991).
- "best" minimises the length of the border, weighted by the edges of the picture (geodesic active contours as a convex
  problem: Bresson et al., JMIV 2007), with the first-order primal-dual method of Chambolle and Pock (JMIV 2011). One
  Lagrange multiplier for each token holds the means at the tokens of the map. A weak term for the colours decides
  where within a token the object lies.

A map may be more blurred than means over tokens. Its blur is estimated from the binary map and applied to the means
before they are compared. Only tokens at the border may differ from the map. Noise of the map is measured at the other
tokens. Differences that this noise explains are ignored.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import BytePlane, FloatPlane
from clipseg_live.matting.colour_model import ColourCells, colour_evidence
from clipseg_live.matting.guided_filter import GuidedFilter, apply_coefficients
from clipseg_live.matting.token_grid import TOKENS, TokenGrid

Level = Literal["fast", "best"]

_NOISE = 2.5
"""Difference of a token that counts as noise, in standard deviations of the noise."""
_SPREADS = (0.0, 0.35, 0.45, 0.55, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0)
"""Tried blurs of the map; the one that explains the map best is used."""
_BLURRED = 0.6
"""Share of the misfit without blur below which a blur is assumed."""
NMAX = 0.3
_COUNTS = TOKENS, 2 * TOKENS, 4 * TOKENS
"""Tokens on each side that a map may have. The first is CLIPSeg's, the others serve finer maps."""
_RESOLVED = 0.06
"""Misfit of a map from tokens, as a share of its deviation, above which the map has finer tokens."""
_DISPLACED, _LEAST_DISPLACEMENT, _LEAST_BORDER = 0.35, 0.12, 24
_SURE = 0.999
"""Mean of the binary map over a token above which the token counts as inside; below one minus this, as outside."""
_FAST_ROUNDS = 4
_BEST_ROUNDS = 80
_EVERY = 4
"""Rounds between two updates of the multipliers."""
_STEP = np.float32(0.35)
"""Step of the primal-dual method; its square times 8 must be at most 1."""
_GAIN = np.float32(1.0)
"""Step of the multipliers."""
_MOST_MULTIPLIER = np.float32(4.0)
_MAP_WEIGHT = np.float32(0.5)
_COLOUR_WEIGHT = np.float32(0.1)
_EDGE = 0.02
"""Difference of colour (CIELAB, black to white is 1) over a pixel that reduces the cost of a border to 1/e."""
_LEAST_COST = np.float32(0.02)
_SOFT = 0.5
"""Standard deviation in pixels by which a sharp border is blurred."""
_FLAT = 6e-4
"""Variance of colour (0..1) that counts as none in the guided filter."""
_EXPLAINED = 0.1, 0.5
"""Shares of a map's variance explained by colour: below the first only the map counts, above the second only colour."""
_STEEP = np.float32(4.0)
"""Factor by which the guided filter's result is made steeper."""
_LEAST_RANGE = np.float32(0.15)
_MIDDLE = np.float32(1.25)
"""Rise of the border above the middle, because the guided filter blurs outwards more than inwards."""
_GUIDED = np.float32(0.5)
"""Share of the guided filter's result in the map's force of "best"."""
_UNSURE = np.float32(0.2)
"""Distance of a probability from the border's, 0..1, below which a pixel tells nothing about colours."""


class Decision(IntEnum):
    """What decided about a pixel."""

    MAP = 0
    EDGES = 1
    COLOURS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """A refined mask.

    Attributes:
        alpha: float32 (h, w), 0..1, with 0.5 at the border.
        decisions: uint8 (h, w), a ``Decision`` for each pixel.
    """

    alpha: FloatPlane
    decisions: BytePlane


@dataclass(frozen=True, slots=True, eq=False)
class _Calibrated:
    """A map with 0 outside, 0.5 at the border and 1 inside.

    Attributes:
        inside: bool (h, w), where the map reaches the threshold.
        small: float32 (h / 2, w / 2), 0..1, the map at half the size.
        grid: the tokens of the map on half the grid of the picture.
        tokens: float32 (count, count), the tokens of the map.
        at_border: float32 (count, count), 1 for tokens that may differ from the map, else 0.
        tolerance: difference of a token that counts as noise.
        lowest: probability that is 0 in the map.
        level: float32 () or (h, w), probability that is 0.5 in the map.
        highest: probability that is 1 in the map.
        spread: standard deviation in tokens of the blur of the map beyond the means over tokens.
    """

    inside: NDArray[np.bool_]
    small: FloatPlane
    grid: TokenGrid
    tokens: FloatPlane
    at_border: FloatPlane
    tolerance: np.float32
    lowest: float
    level: NDArray[np.float32]
    highest: float
    spread: float

    def displaced(self, means: FloatPlane) -> bool:
        """Return True if the map is that of a mask with these means which lies elsewhere, or is larger or smaller."""
        step = self.grid.count // TOKENS
        means, tokens, border = (_reduced(p, step) for p in (_blurred(means, self.spread), self.tokens, self.at_border))
        at_border = border > 0
        difference = (tokens - means)[at_border]
        if difference.size < _LEAST_BORDER:
            return False
        features = _displacements(means)[:, at_border]
        displacement = np.linalg.lstsq(features.T, difference, rcond=None)[0].astype(np.float32)
        rest = difference - displacement @ features
        explained = 1 - float(rest @ rest) / max(float(difference @ difference), 1e-9)
        return explained > _DISPLACED and float(np.linalg.norm(displacement)) > _LEAST_DISPLACEMENT

    def difference(self, means: FloatPlane) -> FloatPlane:
        """Return how much the means of a mask are below the tokens, beyond the noise and at the border."""
        means = _blurred(means, self.spread)
        rest = self.tokens - means
        rest -= np.clip(rest, -self.tolerance, self.tolerance)
        return np.asarray(rest * self.at_border, np.float32)


class EdgeRefiner:
    """Refinement of any number of maps over one picture.

    Args:
        picture: float32 (h, w, 3) RGB, 0..1.
        extent: height and width of the frame in pixels of the picture, which may extend beyond the frame. None for the
            whole picture.
        trust: float32 (h, w), 0..1, how far the maps can be trusted; None for everywhere.
    """

    def __init__(
        self,
        picture: FloatPlane,
        extent: tuple[float, float] | None = None,
        trust: FloatPlane | None = None,
    ) -> None:
        self._picture = picture
        self._shape = height, width = picture.shape[:2]
        self._extent = extent
        rows, columns = self._shape if extent is None else extent
        self._half = max(width // 2, 1), max(height // 2, 1)
        scale = self._half[1] / height, self._half[0] / width
        self._half_extent = rows * scale[0], columns * scale[1]
        self._trust = trust
        self._filters: dict[int, GuidedFilter] = {}
        self._small = picture
        self._costs: tuple[FloatPlane, FloatPlane] | None = None
        self._colours: ColourCells | None = None

    def refine(self, probability: FloatPlane, threshold: "FloatPlane | np.float32 | float", level: Level) -> Refined:
        """Refine a map.

        Args:
            probability: float32 (h, w), 0..1, on the grid of the picture.
            threshold: probability at the border of the object: one for all pixels, or float32 (h, w).
            level: "fast" or "best".
        """
        calibrated = self._calibrate(probability, np.asarray(threshold, np.float32))
        if not calibrated.at_border.any():
            return Refined(calibrated.inside.astype(np.float32), np.zeros(self._shape, np.uint8))
        return self._fast(calibrated)[0] if level == "fast" else self._best(probability, calibrated)

    def _calibrate(self, probability: FloatPlane, threshold: NDArray[np.float32]) -> _Calibrated:
        """Return a map whose values are 0 outside, 0.5 at the threshold and 1 inside, linear in between."""
        small = _resize(probability, self._half)
        grid = self._half_grid(small)
        level = np.clip(threshold, 0.02, 0.98).astype(np.float32)
        small_level = _resize(level, self._half) if level.ndim else level
        means = grid.means((small >= small_level).astype(np.float32))
        window = np.ones((3, 3), np.uint8)
        inside, outside = (
            np.asarray(cv2.erode(mask.astype(np.uint8), window), np.uint8).reshape(means.shape) > 0
            for mask in (means > _SURE, means < 1 - _SURE)
        )
        at_border = (~(inside | outside)).astype(np.float32)
        tokens = grid.fitted(small)
        lowest = min(float(np.median(tokens[outside])) if outside.any() else 0.0, float(level.min()) - 0.01)
        highest = max(float(np.median(tokens[inside])) if inside.any() else 1.0, float(level.max()) + 0.01)
        stretched = _stretched(small, lowest, small_level, highest)
        tokens = grid.fitted(stretched)
        predicted = [_blurred(means, spread) for spread in _SPREADS]
        misfits = [float(np.square(tokens - one).sum()) for one in predicted]
        best = int(np.argmin(misfits))
        best = best if misfits[best] < _BLURRED * misfits[0] else 0
        deviations = (tokens - predicted[best])[inside | outside]
        noise = float(np.sqrt(np.mean(deviations**2))) if deviations.size else 0.0
        tolerance = np.float32(_NOISE * noise)
        return _Calibrated(
            probability >= level, stretched, grid, tokens, at_border, tolerance, lowest, level, highest, _SPREADS[best],
        )

    def _half_grid(self, small: FloatPlane) -> TokenGrid:
        """Return the coarsest grid whose tokens explain a map on half the grid of the picture."""
        shape = small.shape[0], small.shape[1]
        limit = np.float32(_RESOLVED) * small.std()
        for count in _COUNTS[:-1]:
            grid = TokenGrid(shape, self._half_extent, count)
            misfit = small - grid.interpolated(grid.fitted(small))
            if float(np.sqrt(np.square(misfit).mean())) <= limit:
                return grid
        return TokenGrid(shape, self._half_extent, _COUNTS[-1])

    def _fast(self, calibrated: _Calibrated) -> tuple[Refined, _Calibrated]:
        grid = calibrated.grid
        radius = max(round(max(self._half) / TOKENS), 1)
        if radius not in self._filters:
            self._small = _resize(self._picture, self._half)
            weights = None if self._trust is None else _resize(self._trust, self._half)
            self._filters[radius] = GuidedFilter(self._small, radius, _FLAT, weights)
        least = np.minimum(_LEAST_RANGE + 2 * calibrated.tolerance, np.float32(1))
        plane = calibrated.small
        coefficients, explained = self._filters[radius].fit_with_share(plane)
        low = apply_coefficients(coefficients, self._small)
        weight = (explained - np.float32(_EXPLAINED[0])) / np.float32(_EXPLAINED[1] - _EXPLAINED[0])
        weight = np.clip(weight, 0, 1)
        added = (1 - weight) * (plane - low)
        low += added
        border, contrast = _local_border(np.clip(low, 0, 1), radius, least)
        for number in range(_FAST_ROUNDS):
            mask = np.clip((low - border) * (_STEEP / contrast) + np.float32(0.5), 0, 1)
            means = grid.means(mask)
            if number == 0 and calibrated.displaced(means):
                calibrated = replace(calibrated, tolerance=np.float32(1))
                break
            missing = grid.interpolated(calibrated.difference(means))
            low += missing
            added += missing
        size = self._shape[::-1]
        alpha = apply_coefficients(_resize(coefficients, size), self._picture)
        alpha += _resize(added - border, size)
        alpha *= _resize(_STEEP / contrast, size)
        alpha += np.float32(0.5)
        free = _resize(grid.interpolated(calibrated.at_border), size) > 0
        alpha = np.clip(np.where(free, alpha, calibrated.inside), 0, 1).astype(np.float32)
        edges = _resize(weight, size) > 0.5
        return Refined(alpha, (free & edges).astype(np.uint8) * np.uint8(Decision.EDGES)), calibrated

    def _best(self, probability: FloatPlane, calibrated: _Calibrated) -> Refined:
        if self._costs is None or self._colours is None:
            self._costs = _border_costs(self._picture)
            self._colours = ColourCells.of(self._picture)
        signed = 2 * _stretched(probability, calibrated.lowest, calibrated.level, calibrated.highest) - 1
        sure = np.clip((np.abs(signed) - _UNSURE) / (1 - _UNSURE), 0, 1)
        if self._trust is not None:
            sure = sure * self._trust
        colour = _COLOUR_WEIGHT * colour_evidence(self._colours, sure * (signed >= 0), sure * (signed < 0))
        refined, calibrated = self._fast(calibrated)
        if NMAX < calibrated.tolerance < 1:
            return refined
        share = np.float32(1) if calibrated.tolerance >= 1 else _GUIDED
        prior = _MAP_WEIGHT * (signed + share * (2 * refined.alpha - 1 - signed))
        grid = TokenGrid(self._shape, self._extent, calibrated.grid.count)
        free = grid.interpolated(calibrated.at_border) > 0.5
        result = self._minimise(calibrated, grid, prior + colour, free)
        forces = np.stack([np.abs(_MAP_WEIGHT * signed + result.tokens), np.abs(result.border), np.abs(colour)])
        decisions = np.where(free, forces.argmax(axis=0), Decision.MAP).astype(np.uint8)
        alpha = cv2.GaussianBlur(result.mask, (0, 0), _SOFT, borderType=cv2.BORDER_REPLICATE)
        return Refined(np.asarray(alpha, np.float32).reshape(self._shape), decisions)

    def _minimise(self, calibrated: _Calibrated, grid: TokenGrid, force: FloatPlane, free: NDArray[np.bool_]) -> "_Minimum":
        """Minimise the length of the border plus the forces against the mask.

        Args:
            calibrated: the map.
            grid: its tokens on the grid of the picture.
            force: float32 (h, w), the force towards the object.
            free: bool (h, w), False where the mask is that of the map.
        """
        assert self._costs is not None
        whole = calibrated.inside.astype(np.float32)
        minimum = _Minimum(whole, np.zeros_like(whole), np.zeros_like(whole))
        x, y, wide, high = cv2.boundingRect(free.view(np.uint8))
        if not wide:
            return minimum
        area = slice(max(y - 1, 0), y + high + 1), slice(max(x - 1, 0), x + wide + 1)
        mask, force = whole[area], force[area]
        least, most = np.where(free[area], 0, mask), np.where(free[area], 1, mask)
        across_scale, down_scale = (1 / cost[area] for cost in self._costs)
        across, down = np.zeros_like(mask), np.zeros_like(mask)
        ahead, flux = mask.copy(), np.zeros_like(mask)
        multipliers = np.zeros((grid.count, grid.count), np.float32)
        total = force
        for number in range(_BEST_ROUNDS):
            across[:, :-1] += _STEP * (ahead[:, 1:] - ahead[:, :-1])
            down[:-1] += _STEP * (ahead[1:] - ahead[:-1])
            size = cv2.magnitude(across * across_scale, down * down_scale)
            size = np.maximum(np.asarray(size, np.float32).reshape(mask.shape), 1)
            across /= size
            down /= size
            flux = across + down
            flux[:, 1:] -= across[:, :-1]
            flux[1:] -= down[:-1]
            if number % _EVERY == 0:
                multipliers += _GAIN * calibrated.difference(grid.means(whole))
                np.clip(multipliers, -_MOST_MULTIPLIER, _MOST_MULTIPLIER, out=multipliers)
                minimum.tokens[area] = grid.interpolated(multipliers)[area]
                total = force + minimum.tokens[area]
            ahead = _STEP * (flux + total)
            ahead += mask
            np.clip(ahead, least, most, out=ahead)
            step = ahead - mask
            mask += step
            ahead += step
        minimum.border[area] = flux
        return minimum


@dataclass(frozen=True, slots=True, eq=False)
class _Minimum:
    """Result of the minimisation.

    Attributes:
        mask: float32 (h, w), 0..1.
        border: float32 (h, w), the force of the border's length on each pixel.
        tokens: float32 (h, w), the force of the multipliers on each pixel.
    """

    mask: FloatPlane
    border: FloatPlane
    tokens: FloatPlane


def refine(
    picture: FloatPlane,
    probability: FloatPlane,
    threshold: "FloatPlane | np.float32 | float" = 0.5,
    level: Level = "best",
    extent: tuple[float, float] | None = None,
) -> Refined:
    """Refine one map over one picture; see ``EdgeRefiner``."""
    return EdgeRefiner(picture, extent).refine(probability, threshold, level)


def _blurred(tokens: FloatPlane, spread: float) -> FloatPlane:
    """Return tokens, float32 (count, count), blurred by a Gaussian with a standard deviation of ``spread`` tokens."""
    if not spread:
        return tokens
    return np.asarray(cv2.GaussianBlur(tokens, (0, 0), spread, borderType=cv2.BORDER_REPLICATE), np.float32)


def _reduced(tokens: FloatPlane, step: int) -> FloatPlane:
    """Return the means over squares of ``step`` tokens."""
    return tokens if step == 1 else tokens.reshape(TOKENS, step, TOKENS, step).mean(axis=(1, 3))


def _displacements(means: FloatPlane) -> NDArray[np.float32]:
    """Return the change of means over tokens by a displacement of one token, float32 (3, count, count).

    The displacements are to the left, upwards, and outwards along the border.
    """
    down, across = np.gradient(means)
    return np.stack([across, down, np.hypot(across, down)]).astype(np.float32)


def _stretched(probability: FloatPlane, low: float, level: NDArray[np.float32], high: float) -> FloatPlane:
    """Return a map with 0 at ``low``, 0.5 at ``level`` and 1 at ``high``, linear in between and constant beyond."""
    below = (probability - np.float32(low)) * (np.float32(0.5) / (level - np.float32(low)))
    above = (probability - level) * (np.float32(0.5) / (np.float32(high) - level)) + np.float32(0.5)
    return np.asarray(np.clip(np.where(probability >= level, above, below), 0, 1), np.float32)


def _border_costs(picture: FloatPlane) -> tuple[FloatPlane, FloatPlane]:
    """Return the cost of a border between each pixel and the next one to the right, and the next one below.

    Both are float32 (h, w), 0.02..1.02.
    """
    lab = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2Lab), np.float32).reshape(picture.shape)
    lab = np.asarray(cv2.GaussianBlur(lab * np.float32(0.01), (0, 0), 0.8), np.float32).reshape(picture.shape)
    costs = []
    for axis in (1, 0):
        steps = np.diff(lab, axis=axis, append=lab.take([-1], axis=axis))
        length = np.sqrt(np.square(steps).sum(axis=2))
        costs.append(np.exp(length * np.float32(-1 / _EDGE)) + _LEAST_COST)
    return costs[0], costs[1]


def _local_border(low: FloatPlane, radius: int, least: np.float32) -> tuple[FloatPlane, FloatPlane]:
    """Return the level of the border and the contrast there, both float32 (h, w).

    The border lies at 0.5. An object smaller than a token reaches less than 1. Its border lies lower, between the
    minimum and the maximum around it.
    """
    size = (2 * radius + 1,) * 2
    window = np.ones(size, np.uint8)
    maximum = np.asarray(cv2.blur(cv2.dilate(low, window), size), np.float32).reshape(low.shape)
    minimum = np.asarray(cv2.blur(cv2.erode(low, window), size), np.float32).reshape(low.shape)
    contrast = np.clip(maximum - minimum, least, np.float32(1))
    return np.minimum(np.float32(0.5), minimum + _MIDDLE * np.float32(0.5) * contrast), contrast


def _resize(plane: FloatPlane, size: tuple[int, int]) -> FloatPlane:
    """Resize to (width, height), bilinear, or by averaging where it shrinks."""
    is_reduction = size[0] < plane.shape[1]
    resized = cv2.resize(plane, size, interpolation=cv2.INTER_AREA if is_reduction else cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32).reshape(size[1], size[0], *plane.shape[2:])
