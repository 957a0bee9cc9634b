"""Token map: a probability map as the means of a mask over tokens, blurred, noisy or displaced.

A refined mask can be checked against the map: its means over the tokens should agree with the tokens of the map. The
agreement is limited. A map may be more blurred than means over tokens; its blur is estimated from the binary map. Its
noise is measured away from the border; differences that it explains are ignored. A map may lie beside the object, or be
larger or smaller; then its tokens are not compared. Nor are those of a map that was averaged over time, because motion
has moved its parts between the tokens.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import FloatPlane
from clipseg_live.matting.edges.token_grid import TOKENS, TokenGrid

_COUNTS = TOKENS, 2 * TOKENS, 4 * TOKENS
"""Tokens on each side that a map may have. The first is CLIPSeg's, the others serve finer maps."""
_RESOLVED = 0.06
"""Misfit of a map from tokens, as a share of its deviation, above which the map has finer tokens."""
_NOISE = 2.5
"""Difference of a token that counts as noise, in standard deviations of the noise."""
_SPREADS = (0.0, 0.35, 0.45, 0.55, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0)
"""Tried blurs of the map in tokens; the one that explains the map best is used."""
_BLURRED = 0.6
"""Share of the misfit without blur below which a blur is assumed."""
_SURE = 0.999
"""Mean of the binary map over a token above which the token counts as inside; below one minus this, as outside."""
_EXPLAINED, _LEAST_DISPLACEMENT, _LEAST_TOKENS = 0.35, 0.12, 24
"""A map counts as displaced if a displacement of at least this many tokens explains at least this share of the
difference at the border, which must have at least this many tokens."""
_IGNORED = np.float32(1)
"""Tolerance that ignores all tokens."""
_WINDOW, _WIDE = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class TokenMap:
    """A map and its tokens.

    Attributes:
        plane: float32 (h, w), 0..1, the map. A single prediction is stretched to 0 outside and 1 inside.
        border: the value of the plane at the border, float32 () or (h, w).
        inside: bool (h, w), where the map reaches its threshold.
        grid: the grid of the tokens.
        tokens: float32 (count, count), the tokens of the map.
        at_border: float32 (count, count), 1 for tokens that may differ from the map, else 0.
        tolerance: difference of a token that counts as noise, 0..1. At 1 the tokens are ignored.
        spread: standard deviation in tokens of the blur of the map beyond the means over tokens.
        levels: the probabilities outside, at the border and inside. The second is float32 () or (h, w).
    """

    plane: FloatPlane
    border: NDArray[np.float32]
    inside: NDArray[np.bool_]
    grid: TokenGrid
    tokens: FloatPlane
    at_border: FloatPlane
    tolerance: np.float32
    spread: float
    levels: tuple[float, NDArray[np.float32], float]

    @classmethod
    def averaged(
        cls, probability: FloatPlane, threshold: NDArray[np.float32], extent: tuple[float, float]
    ) -> "TokenMap":
        """Return the token map of an average over time, whose tokens are ignored. For the arguments see ``of``."""
        middle = np.clip(threshold, 0.02, 0.98).astype(np.float32)
        inside = probability >= middle
        grid = TokenGrid((probability.shape[0], probability.shape[1]), extent)
        means = grid.means(inside.astype(np.float32))
        outer, inner = np.asarray(cv2.dilate(means, _WINDOW)), np.asarray(cv2.erode(means, _WIDE))
        at_border = ((outer > 1 - _SURE) & (inner < _SURE)).reshape(means.shape).astype(np.float32)
        return cls(
            plane=probability,
            border=middle,
            inside=inside,
            grid=grid,
            tokens=means,
            at_border=at_border,
            tolerance=_IGNORED,
            spread=0.0,
            levels=(0.0, middle, 1.0),
        )

    @classmethod
    def of(cls, probability: FloatPlane, threshold: NDArray[np.float32], extent: tuple[float, float]) -> "TokenMap":
        """Return the token map of a single prediction.

        Args:
            probability: float32 (h, w), 0..1.
            threshold: probability at the border, float32 () or (h, w).
            extent: height and width of the frame in pixels of the map.
        """
        middle = np.clip(threshold, 0.02, 0.98).astype(np.float32)
        inside = probability >= middle
        grid = _grid_of(probability, extent)
        means = grid.means(inside.astype(np.float32))
        surely_inside, surely_outside = (_eroded(mask) for mask in (means > _SURE, means < 1 - _SURE))
        tokens = grid.fitted(probability)
        low, high = float(middle.min()) - 0.01, float(middle.max()) + 0.01
        low = min(_median(tokens[surely_outside], 0.0), low)
        high = max(_median(tokens[surely_inside], 1.0), high)
        plane = _stretched(probability, low, middle, high)
        tokens = grid.fitted(plane)
        predicted = _blurs(grid.count) @ means @ _blurs(grid.count).transpose(0, 2, 1)
        misfits = np.square(tokens - predicted).sum(axis=(1, 2))
        best = int(misfits.argmin())
        best = best if misfits[best] < _BLURRED * misfits[0] else 0
        sure = surely_inside | surely_outside
        deviations = (tokens - predicted[best])[sure]
        noise = float(np.sqrt(np.mean(deviations**2))) if deviations.size else 0.0
        return cls(
            plane=plane,
            border=np.asarray(0.5, np.float32),
            inside=inside,
            grid=grid,
            tokens=tokens,
            at_border=(~sure).astype(np.float32),
            tolerance=np.float32(min(_NOISE * noise, 1)),
            spread=_SPREADS[best],
            levels=(low, middle, high),
        )

    @staticmethod
    def is_finest(probability: FloatPlane, extent: tuple[float, float]) -> bool:
        """Return True if a map is about as fine as its pixels. For the arguments see ``of``."""
        return _grid_of(probability, extent).count == _COUNTS[-1]

    @property
    def is_ignored(self) -> bool:
        """True if the tokens are ignored, because the map is displaced or an average."""
        return bool(self.tolerance >= _IGNORED)

    def stretched(self, probability: FloatPlane, threshold: NDArray[np.float32]) -> FloatPlane:
        """Return the map on another grid, float32 (h, w), 0..1, with 0.5 at the threshold."""
        return _stretched(probability, self.levels[0], np.clip(threshold, 0.02, 0.98), self.levels[2])

    def difference(self, means: FloatPlane) -> FloatPlane:
        """Return how far the means of a mask over the tokens are below the tokens, beyond noise and at the border.

        Args:
            means: float32 (count, count), 0..1.
        """
        rest = self.tokens - self._blurred(means)
        rest -= np.clip(rest, -self.tolerance, self.tolerance)
        return np.asarray(rest * self.at_border, np.float32)

    def residual(self, means: FloatPlane) -> FloatPlane:
        """Return this difference with its noise, but without the part that a displacement of the map explains.

        Args:
            means: float32 (count, count), 0..1.
        """
        means, chosen = self._blurred(means), self.at_border > 0
        rest = (self.tokens - means) * self.at_border
        rest[chosen] -= _explained_by_displacement(rest, means, chosen)[0]
        return np.asarray(rest, np.float32)

    def checked(self, means: FloatPlane) -> "TokenMap":
        """Return this map; without its tokens if a displacement explains their difference from means.

        Args:
            means: float32 (count, count), the means of a mask that follows the edges of the picture.
        """
        step = self.grid.count // TOKENS
        means, tokens, at_border = (_reduced(one, step) for one in (self._blurred(means), self.tokens, self.at_border))
        chosen, difference = at_border > 0, tokens - means
        if np.count_nonzero(chosen) < _LEAST_TOKENS:
            return self
        part, displacement = _explained_by_displacement(difference, means, chosen)
        at_chosen = difference[chosen]
        rest = at_chosen - part
        explained = 1 - float(rest @ rest) / max(float(at_chosen @ at_chosen), 1e-9)
        is_displaced = explained > _EXPLAINED and float(np.linalg.norm(displacement)) > _LEAST_DISPLACEMENT
        return replace(self, tolerance=_IGNORED) if is_displaced else self

    def _blurred(self, tokens: FloatPlane) -> FloatPlane:
        if not self.spread:
            return tokens
        blur = _blurs(self.grid.count)[_SPREADS.index(self.spread)]
        return np.asarray(blur @ tokens @ blur.T, np.float32)


def _grid_of(probability: FloatPlane, extent: tuple[float, float]) -> TokenGrid:
    """Return the coarsest grid whose tokens explain a map."""
    shape = probability.shape[0], probability.shape[1]
    limit = _RESOLVED**2 * float(probability.var())
    for count in _COUNTS[:-1]:
        grid = TokenGrid(shape, extent, count)
        misfit = probability - grid.interpolated(grid.fitted(probability))
        if float(np.vdot(misfit, misfit)) <= limit * misfit.size:
            return grid
    return TokenGrid(shape, extent, _COUNTS[-1])


@lru_cache(maxsize=4)
def _blurs(count: int) -> NDArray[np.float32]:
    """Return a matrix for each of the spreads that blurs an axis of tokens, float32 (spreads, count, count)."""
    distances = np.subtract.outer(np.arange(count), np.arange(-count, 2 * count))
    matrices = []
    for spread in _SPREADS:
        weights = np.exp(-0.5 * (distances / spread) ** 2) if spread else (distances == 0).astype(np.float64)
        inner = weights[:, count : 2 * count]
        inner[:, 0] += weights[:, :count].sum(axis=1)  # tokens beyond the frame equal the last ones
        inner[:, -1] += weights[:, 2 * count :].sum(axis=1)
        matrices.append(inner / inner.sum(axis=1, keepdims=True))
    return np.stack(matrices).astype(np.float32)


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(cv2.erode(mask.astype(np.uint8), _WINDOW), np.uint8).reshape(mask.shape) > 0


def _median(values: FloatPlane, otherwise: float) -> float:
    return float(np.median(values)) if values.size else otherwise


def _explained_by_displacement(
    difference: FloatPlane, means: FloatPlane, chosen: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the part of a difference that a displacement explains, and the displacement in tokens.

    A displacement by d changes the means by d times their gradient. A larger or smaller object changes them by the
    length of the gradient. Both are fitted by least squares.

    Args:
        difference: float32 (count, count), tokens minus means.
        means: float32 (count, count), the means of a mask.
        chosen: bool (count, count), n tokens that count.

    Returns:
        float32 (n,), the part at these tokens; float32 (3,), the displacement to the right and downwards, and the
        growth.
    """
    across, down = _gradient(means.T).T[chosen], _gradient(means)[chosen]
    changes = np.stack([across, down, np.hypot(across, down)], axis=1)
    normal = changes.T @ changes + np.float32(1e-6) * np.eye(3, dtype=np.float32)
    displacement = np.linalg.solve(normal, changes.T @ difference[chosen])
    return np.asarray(changes @ displacement, np.float32), np.asarray(displacement, np.float32)


def _gradient(tokens: FloatPlane) -> FloatPlane:
    """Return the change from one row to the next: central differences, and one-sided ones at the first and last row."""
    padded = np.concatenate([tokens[:1], tokens, tokens[-1:]])
    change = padded[2:] - padded[:-2]
    change[1:-1] *= np.float32(0.5)
    return np.asarray(change, np.float32)


def _reduced(tokens: FloatPlane, step: int) -> FloatPlane:
    """Return the means over squares of ``step`` by ``step`` tokens."""
    if step == 1:
        return tokens
    return np.asarray(tokens.reshape(TOKENS, step, TOKENS, step).mean(axis=(1, 3)), np.float32)


def _stretched(probability: FloatPlane, low: float, middle: NDArray[np.float32], high: float) -> FloatPlane:
    """Return a map with 0 at ``low``, 0.5 at ``middle`` and 1 at ``high``, linear in between and constant beyond."""
    below = (probability - np.float32(low)) * (np.float32(0.5) / (middle - np.float32(low)))
    above = (probability - middle) * (np.float32(0.5) / (np.float32(high) - middle)) + np.float32(0.5)
    return np.clip(np.minimum(below, np.float32(0.5)) + np.maximum(above, np.float32(0.5)) - np.float32(0.5), 0, 1)
