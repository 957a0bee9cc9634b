"""Edge refinement: a mask with exact borders from a coarse map, the edges of the picture and its colours.

The means of a refined mask over the tokens of the model should agree with the tokens of the map (``token_map``). Both
levels use this rule:

- "fast" applies a guided filter (He, Sun and Tang, PAMI 2013) to the map, adds the evidence of the colours and makes
  the result steep. It adds the difference of the tokens to the map and repeats this (iterative back-projection: Irani
  and Peleg, CVGIP 1991).
- "best" starts from "fast" and minimises the length of the border, weighted by the edges of the picture
  (``shortest_border``).
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import BytePlane, FloatPlane
from clipseg_live.core.mattes import Decision
from clipseg_live.matting.edges.colour_model import ColourCells, ColourModel, colour_cells, colour_evidence, fit_colours
from clipseg_live.matting.edges.feedback import MOST_GAIN, Feedback, Observation
from clipseg_live.matting.edges.guided_filter import GuidedFilter, apply_coefficients
from clipseg_live.matting.edges.shortest_border import border_costs, shortest_border
from clipseg_live.matting.edges.token_grid import TOKENS, Slices, TokenGrid
from clipseg_live.matting.edges.token_map import TokenMap
from clipseg_live.matting.optical_flow import resize_positions

Level = Literal["fast", "best"]

_ROUNDS = 4
"""Rounds of back-projection."""
_FLAT = 6e-4
"""Variance of colour (0..1) that counts as none in the guided filter."""
_EXPLAINED = np.float32(0.1), np.float32(0.5)
"""Shares of a map's variance explained by colour: below the first only the map counts, above the second only colour."""
_COLOURS = np.float32(0.1)
"""Weight of the evidence of the colours."""
_STEEP = np.float32(4.0)
"""Factor by which the guided filter's result is made steeper."""
_LEAST_RANGE = np.float32(0.15)
_MIDDLE = np.float32(1.25)
"""Rise of the border above the middle, because the guided filter blurs outwards more than inwards."""
_MAP_WEIGHT = np.float32(0.5)
"""Force of the map and of "fast" on the mask of "best"."""
_FAST_SHARE = np.float32(0.5)
"""Share of "fast" in this force."""
_MOST_NOISE = 0.3
"""Tolerance of a map above which its border is too uncertain for "best"."""
_NEAR_BORDER = np.ones((3, 3), np.uint8)
"""Window around pixels of the border that have a decision."""
_SOFT = 0.5
"""Standard deviation in pixels by which a sharp border is blurred."""


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """A refined mask.

    Attributes:
        alpha: float32 (h, w), 0..1, with 0.5 at the border.
        colours: the model of the colours that was used.
        feedback: the feedback that was used; None without one.
        decisions: uint8 (h, w), a ``Decision`` for each pixel; None if it was not asked for.
    """

    alpha: FloatPlane
    colours: ColourModel
    feedback: Feedback | None = None
    decisions: BytePlane | None = None


class EdgeRefiner:
    """Refinement of any number of maps over one picture.

    Args:
        picture: float32 (h, w, 3) RGB, 0..1, with even sides.
        extent: height and width of the frame in pixels of the picture, which may extend beyond the frame. None for the
            whole picture.
        trust: float32 (h, w), 0..1, how far the maps can be trusted; None for everywhere.
    """

    def __init__(
        self, picture: FloatPlane, extent: tuple[float, float] | None = None, trust: FloatPlane | None = None
    ) -> None:
        self._picture = picture
        self._shape = height, width = picture.shape[:2]
        self._extent = float(height), float(width)
        if extent is not None:
            self._extent = extent
        self._half = width // 2, height // 2
        self._half_extent = self._extent[0] * self._half[1] / height, self._extent[1] * self._half[0] / width
        self._small = _resize(picture, self._half)
        self._trust = None if trust is None else _resize(trust, self._half)
        self._radius = max(round(max(self._half) / TOKENS), 1)
        self._filter = GuidedFilter(self._small, self._radius, _FLAT, self._trust)
        self._small_cells = colour_cells(self._small)
        self._cells: ColourCells | None = None
        self._costs: tuple[FloatPlane, FloatPlane] | None = None

    def refine(
        self,
        probability: FloatPlane,
        threshold: "FloatPlane | np.float32 | float",
        level: Level,
        colours: ColourModel | None = None,
        *,
        is_new: bool = True,
        is_average: bool = False,
        feedback: Feedback | None = None,
        observation: Observation | None = None,
        explain: bool = False,
    ) -> Refined:
        """Refine a map.

        Args:
            probability: float32 (h, w), 0..1, on the grid of the picture.
            threshold: probability at the border of the object: one for all pixels, or float32 (h, w).
            level: "fast" or "best".
            colours: the model of the colours of the frames before; None without one.
            is_new: fit the colours to this map, and update ``colours`` with it. Otherwise ``colours`` are used.
            is_average: the map was averaged over time, so its own tokens are not compared.
            feedback: the feedback of the frames before, on half the grid, for an average; None without one.
            observation: a prediction that is part of the average and that ``feedback`` does not know; None without one.
            explain: return the decisions.
        """
        middle = np.asarray(threshold, np.float32)
        small_middle = _resize(middle, self._half) if middle.ndim else middle
        make_tokens = TokenMap.averaged if is_average else TokenMap.of
        small = _resize(probability, self._half)
        tokens = make_tokens(small, small_middle, self._half_extent)
        if colours is None or is_new:
            plane = tokens.stretched(small, small_middle) if is_average else tokens.plane
            colours = fit_colours(self._small_cells, plane, self._trust, colours)
        inside = probability >= middle
        fast, tokens = self._fast(inside, tokens, colours, feedback, observation, explain)
        noisy = tokens.tolerance > _MOST_NOISE and not tokens.is_ignored
        if level == "fast" or noisy or not tokens.at_border.any():
            return fast
        return self._best(tokens.stretched(probability, middle), fast, tokens, explain)

    def _fast(
        self,
        inside: NDArray[np.bool_],
        tokens: TokenMap,
        colours: ColourModel,
        feedback: Feedback | None,
        observation: Observation | None,
        explain: bool,
    ) -> tuple[Refined, TokenMap]:
        grid, plane, size = tokens.grid, tokens.plane, self._shape[::-1]
        alpha = inside.astype(np.float32)
        marks = grid.interpolated(tokens.at_border)
        free = _resize(marks, size) > 0
        x, y, wide, high = cv2.boundingRect(free.view(np.uint8))
        if not wide:
            return Refined(alpha, colours, feedback, np.zeros(self._shape, np.uint8) if explain else None), tokens
        near = self._half_area(marks > 0)
        small, part = self._small[near], plane[near]
        coefficients, explained = self._filter.fit_with_share(part, near)
        filtered = apply_coefficients(coefficients, small)
        weight = np.clip((explained - _EXPLAINED[0]) / (_EXPLAINED[1] - _EXPLAINED[0]), 0, 1)
        evidence = _COLOURS * colour_evidence(colours, self._small_cells, near)
        added = (1 - weight) * (part - filtered)
        added += evidence
        low = filtered + added
        least = _LEAST_RANGE if tokens.is_ignored else min(_LEAST_RANGE + 2 * tokens.tolerance, np.float32(1))
        level = tokens.border[near] if tokens.border.ndim else tokens.border
        border, contrast = _local_border(np.clip(low, 0, 1), self._radius, least, level)
        slope = _STEEP / contrast
        low -= border
        added -= border
        if tokens.is_ignored:
            if observation is not None:
                feedback = self._observe(observation, feedback, tokens.inside, near, low, slope)
            if feedback is not None:
                correction = feedback.correction[near]
                low += correction
                added += correction
        else:
            rest = tokens.inside.astype(np.float32)
            rest[near] = 0
            means_of_rest = grid.means(rest)
        for number in range(_ROUNDS):
            if tokens.is_ignored:
                break
            mask = low * slope
            mask += np.float32(0.5)
            means = means_of_rest + grid.means(np.clip(mask, 0, 1, out=mask), near)
            if number == 0:
                tokens = tokens.checked(means)
            missing = grid.interpolated(tokens.difference(means), near)
            low += missing
            added += missing
        area = slice(y, y + high), slice(x, x + wide)
        part_of_double = tuple(
            slice(one.start - 2 * two.start, one.stop - 2 * two.start) for one, two in zip(area, near, strict=True)
        )
        double = 2 * part.shape[1], 2 * part.shape[0]
        coefficients, added, slope = (_resize(one, double)[part_of_double] for one in (coefficients, added, slope))
        steep = apply_coefficients(coefficients, self._picture[area])
        steep += added
        steep *= slope
        steep += np.float32(0.5)
        np.copyto(alpha[area], np.clip(steep, 0, 1, out=steep), where=free[area])
        decisions = None
        if explain:
            colours_won = np.zeros(self._shape, np.float32)
            stronger = np.abs(evidence) > weight * np.abs(filtered - part)
            colours_won[area] = _resize(stronger.astype(np.float32), double)[part_of_double]
            decisions = _decisions(inside, alpha, colours_won > 0.5)
        return Refined(alpha, colours, feedback, decisions), tokens

    def _observe(
        self,
        observation: Observation,
        feedback: Feedback | None,
        inside: NDArray[np.bool_],
        near: Slices,
        low: FloatPlane,
        slope: FloatPlane,
    ) -> Feedback | None:
        """Return the feedback after an observation; None if predictions are too rare.

        Args:
            observation: the prediction.
            feedback: the feedback before it; None without one.
            inside: bool (h, w) on half the grid, where the map reaches its threshold.
            near: rows and columns of half the grid that are refined.
            low: float32, the refined map there, with 0 at the border.
            slope: float32, the factor there that makes it steep.
        """
        if observation.gain > MOST_GAIN:
            return None
        if feedback is None or feedback.threshold != observation.threshold:
            feedback = Feedback.before(observation, (inside.shape[0], inside.shape[1]))
        plane = _resize(observation.probability, self._half)
        if TokenMap.is_finest(plane, self._half_extent):  # its tokens tell no more than the map itself
            return feedback
        tokens = TokenMap.of(plane, np.asarray(observation.threshold, np.float32), self._half_extent)
        if observation.coverage is not None and observation.back is not None:
            positions = resize_positions(observation.back, inside.shape[0], inside.shape[1])
            return feedback.updated(tokens, _resize(observation.coverage, self._half), observation.gain, positions)
        mask = inside.astype(np.float32)
        mask[near] = np.clip((low + feedback.correction[near]) * slope + np.float32(0.5), 0, 1)
        return feedback.updated(tokens, mask, observation.gain)

    def _half_area(self, marks: NDArray[np.bool_]) -> Slices:
        """Return the rows and columns around marked pixels of half the grid, with twice the radius around them."""
        x, y, wide, high = cv2.boundingRect(marks.view(np.uint8))
        margin = 2 * self._radius
        rows = slice(max(y - margin, 0), min(y + high + margin, marks.shape[0]))
        return rows, slice(max(x - margin, 0), min(x + wide + margin, marks.shape[1]))

    def _best(self, plane: FloatPlane, fast: Refined, tokens: TokenMap, explain: bool) -> Refined:
        if self._costs is None or self._cells is None:
            self._costs = border_costs(self._picture)
            self._cells = colour_cells(self._picture)
        grid = TokenGrid(self._shape, self._extent, tokens.grid.count)
        signed = 2 * plane - 1
        evidence = _COLOURS * colour_evidence(fast.colours, self._cells)
        share = np.float32(1) if tokens.is_ignored else _FAST_SHARE
        prior = _MAP_WEIGHT * (signed + share * (2 * fast.alpha - 1 - signed))
        free = grid.interpolated(tokens.at_border) > 0.5
        start = (plane >= np.float32(0.5)).astype(np.float32)
        result = shortest_border(start, free, prior + evidence, self._costs, grid, tokens.difference)
        alpha = cv2.GaussianBlur(result.mask, (0, 0), _SOFT, borderType=cv2.BORDER_REPLICATE)
        alpha = np.asarray(alpha, np.float32).reshape(self._shape)
        decisions = _decisions(start > 0, alpha, np.abs(evidence) > np.abs(result.border)) if explain else None
        return Refined(alpha, fast.colours, fast.feedback, decisions)


def _decisions(inside: NDArray[np.bool_], alpha: FloatPlane, colours_won: NDArray[np.bool_]) -> BytePlane:
    """Return the ``Decision`` for each pixel near the border, uint8 (h, w).

    Args:
        inside: bool (h, w), where the map alone reaches its threshold.
        alpha: float32 (h, w), the refined mask.
        colours_won: bool (h, w), where the colours have more weight than the edges.
    """
    mask = alpha >= np.float32(0.5)
    is_changed = mask != inside
    near = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, _NEAR_BORDER)
    decisions = np.where(np.asarray(near).reshape(mask.shape) > 0, Decision.MAP, Decision.NONE)
    decisions[is_changed] = np.where(colours_won[is_changed], Decision.COLOURS, Decision.EDGES)
    return decisions.astype(np.uint8)


def _local_border(
    low: FloatPlane, radius: int, least: np.float32, level: NDArray[np.float32]
) -> tuple[FloatPlane, FloatPlane]:
    """Return the level of the border and the contrast there, both float32 (h, w).

    The border lies at ``level``. An object smaller than a token reaches less than 1. Its border lies lower, between the
    minimum and the maximum around it.
    """
    size = (2 * radius + 1,) * 2
    window = np.ones(size, np.uint8)
    maximum = np.asarray(cv2.blur(cv2.dilate(low, window), size), np.float32).reshape(low.shape)
    minimum = np.asarray(cv2.blur(cv2.erode(low, window), size), np.float32).reshape(low.shape)
    contrast = np.clip(maximum - minimum, least, np.float32(1))
    return np.minimum(level, minimum + _MIDDLE * level * contrast), contrast


def _resize(plane: FloatPlane, size: tuple[int, int]) -> FloatPlane:
    """Resize to (width, height), bilinear, or by averaging where it shrinks."""
    is_reduction = size[0] < plane.shape[1]
    resized = cv2.resize(plane, size, interpolation=cv2.INTER_AREA if is_reduction else cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32).reshape(size[1], size[0], *plane.shape[2:])
