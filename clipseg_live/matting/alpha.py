"""Conversion of steady probability maps to mattes: overlap rules, thresholds, shapes and edges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Box, Matte, MatteRequest, Mattes, disjoint
from clipseg_live.core.protocols import Maps
from clipseg_live.core.settings.base import MatteShape, PromptStyle
from clipseg_live.matting.edges.colour_model import ColourModel
from clipseg_live.matting.edges.feedback import Feedback, Observation
from clipseg_live.matting.edges.full_size import BorderFilter
from clipseg_live.matting.edges.refiner import EdgeRefiner, Level
from clipseg_live.matting.optical_flow import FlowField, resize_positions, warp
from clipseg_live.matting.thresholding import threshold_map
from clipseg_live.matting.working_grid import DownscaledFrame

_HYSTERESIS = 0.1
"""Change of the threshold at full smoothing, towards the coverage of the last frame."""
_UNSURE = 0.7
"""Share of the smoothed presence below which the newest presence of a prompt counts as unsure."""
_UNTRUSTED = np.float32(0.4)
"""Factor for probabilities that could not be tracked. It keeps areas of unknown content out of the matte."""
_CAUTIOUS = 0.7
"""Share of the threshold at which a cautious matte begins."""
_KEPT_GROWTH = 2
"""Growth of a matte for each frame in which it is only kept, in pixels of the working grid."""

Planes = NDArray[np.float32]
"""float32 (prompts, h, w) on the working grid."""


@dataclass(frozen=True, slots=True)
class PresenceFlags:
    """Presence of a prompt: its smoothed value, its visibility, and whether the last prediction dropped.

    Attributes:
        presence: smoothed presence, 0..1.
        shown: True if the presence is high enough to draw the prompt.
        unsure: True if the last prediction was less sure than those before it.
    """

    presence: float = 0.0
    shown: bool = True
    unsure: bool = False

    @classmethod
    def of(cls, presence: float, shown: bool, newest: float) -> "PresenceFlags":
        """Return the flags for a smoothed presence and ``newest``, the presence in the last prediction alone."""
        return cls(presence, shown, newest < _UNSURE * presence)


@dataclass(frozen=True, slots=True, eq=False)
class NewPrediction:
    """A prediction that was added to averaged maps.

    Attributes:
        maps: float32 (prompts, h, w) on the working grid, in the coordinates of its own frame.
        gain: weight of the prediction in an average over time, 0..1.
        coverage: for each caution, the coverage of the mattes of its frame, float32 (prompts, h, w). Empty if its frame
            is the shown one.
        back: float32 (h, w, 2), the position of each pixel of the shown frame in the frame of the prediction. None if
            both are the same frame.
    """

    maps: Planes
    gain: float
    coverage: Mapping[bool, Planes] = field(default_factory=dict)
    back: FlowField | None = None

    def observations(
        self, styles: Sequence[PromptStyle], flags: Sequence[PresenceFlags], cautious: bool
    ) -> list[Observation | None]:
        """Return an observation of each prompt; None for prompts whose presence in the prediction is unsure."""
        coverage = self.coverage.get(cautious)
        if coverage is None and self.back is not None:
            return [None] * len(styles)
        return [
            None
            if flag.unsure
            else Observation(
                plane,
                float(_level(style, cautious)),
                self.gain,
                None if coverage is None else coverage[number],
                self.back,
                only_grows=cautious,
            )
            for number, (plane, style, flag) in enumerate(zip(self.maps, styles, flags, strict=True))
        ]


@dataclass(frozen=True, slots=True, eq=False)
class DrawnMaps:
    """Steady maps of the drawn prompts for a frame.

    Attributes:
        maps: float32 (prompts, h, w) on the working grid, in the order of ``styles`` and ``flags``.
        styles: styles of the drawn prompts.
        flags: presence of the drawn prompts.
        own: True if the prediction belongs to this frame.
        is_average: True if the maps were averaged over time. Otherwise they are the prediction for this frame.
        is_new: True if the maps hold a prediction that earlier frames did not have.
        newest: the prediction for this very frame, shaped as ``maps``; None without one. Cautious mattes cover it in
            full, regardless of smoothing.
        prediction: the newest prediction in averaged maps; None if it has no part in them or is not new.
    """

    maps: Planes
    styles: Sequence[PromptStyle]
    flags: Sequence[PresenceFlags]
    own: bool
    is_average: bool = False
    is_new: bool = True
    newest: Planes | None = None
    prediction: NewPrediction | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Refinement:
    """Results of edge refinement that the next frame needs.

    Attributes:
        coverage: float32 (prompts, h, w), 0..1, the coverage of the mattes on the working grid.
        colours: the colour model of each prompt.
        feedback: the feedback of each prompt; None without one.
    """

    coverage: Planes
    colours: tuple[ColourModel, ...]
    feedback: tuple[Feedback | None, ...]

    def of(self, indices: Sequence[int]) -> "Refinement":
        """Return the results of some prompts."""
        colours = tuple(self.colours[index] for index in indices)
        return Refinement(self.coverage[list(indices)], colours, tuple(self.feedback[index] for index in indices))

    def warped(self, positions: FlowField) -> "Refinement":
        """Return the results moved to another frame by a backward flow, float32 (h, w, 2)."""
        coverage = np.stack([warp(plane, positions) for plane in self.coverage])
        feedback = self.feedback
        if any(one is not None for one in feedback):
            half = resize_positions(positions, positions.shape[0] // 2, positions.shape[1] // 2)
            feedback = tuple(None if one is None else one.warped(half) for one in feedback)
        return Refinement(coverage, self.colours, feedback)


class FrameFilters:
    """Filters of one frame for all of its mattes. Each is made when it is first needed.

    Args:
        small: the frame on the working grid.
        trust: float32 (h, w), 0..1, how far the maps of the frame can be trusted.
    """

    def __init__(self, small: DownscaledFrame, trust: NDArray[np.float32]) -> None:
        self.small, self.trust = small, trust

    @cached_property
    def refiner(self) -> EdgeRefiner:
        """The refiner of the frame."""
        small = self.small
        return EdgeRefiner(small.picture, (small.size[0] / small.factor, small.size[1] / small.factor), self.trust)

    @cached_property
    def exact_border(self) -> BorderFilter:
        """The filter that places borders exactly."""
        return BorderFilter(self.small.picture)

    @cached_property
    def smooth_border(self) -> BorderFilter:
        """The filter that leaves borders smooth."""
        return BorderFilter(self.small.picture, exact=False)


def build_mattes(
    drawn: DrawnMaps, filters: FrameFilters, pixels: Pixels, request: MatteRequest, previous: Refinement | None
) -> tuple[Mattes, Refinement | None]:
    """Build the mattes of a frame.

    Args:
        drawn: maps of the drawn prompts.
        filters: filters of the frame.
        pixels: uint8 (height, width, 3), the frame.
        request: settings and kind of the mattes.
        previous: results for the same mattes in the last frame, with the coverage warped to this one; None without.

    Returns:
        The mattes, and the results of edge refinement. The latter are None without prompts or edge refinement.
    """
    size = pixels.shape[0], pixels.shape[1]
    styles, settings = drawn.styles, request.settings
    if not styles:
        return Mattes(*size, own=drawn.own), None
    refinement, decisions = None, None
    planes = np.maximum(drawn.maps, drawn.newest) if request.cautious and drawn.newest is not None else drawn.maps
    if settings.edges == "off" or (request.effort == "least" and not request.cautious):
        mattes = binary_mattes(planes, styles, *size, cautious=bool(request.cautious))
    else:
        refinement, decisions = _refine(planes, drawn, filters, request, previous)
        border = filters.exact_border if request.effort == "full" else filters.smooth_border
        factor = filters.small.factor
        mattes = [read_only(*border.matte(plane).alpha(pixels, factor)) for plane in refinement.coverage]
        if request.cautious and drawn.newest is not None:
            binary = binary_mattes(drawn.newest, styles, *size, cautious=True)
            mattes = [_union(matte, other) for matte, other in zip(mattes, binary, strict=True)]
    mattes = [_apply_shape(matte, style.shape) for matte, style in zip(mattes, styles, strict=True)]
    if settings.auto_hide and not request.cautious:
        mattes = [matte if flag.shown else empty_matte(*size) for matte, flag in zip(mattes, drawn.flags, strict=True)]
    presence = tuple(flag.presence for flag in drawn.flags)
    return Mattes(*size, tuple(mattes), drawn.maps, presence, drawn.own, decisions=decisions), refinement


def _refine(
    planes: Planes, drawn: DrawnMaps, filters: FrameFilters, request: MatteRequest, previous: Refinement | None
) -> tuple[Refinement, NDArray[np.uint8] | None]:
    """Return the results of edge refinement, and the decisions, uint8 (prompts, height, width), if requested."""
    levels = _thresholds(drawn.styles, None if previous is None else previous.coverage, request)
    if not request.cautious:
        planes = planes * (_UNTRUSTED + (1 - _UNTRUSTED) * filters.trust)
    level: Level = "best" if request.settings.edges == "best" and request.effort == "full" else "fast"
    nothing = (None,) * len(planes)
    models, feedback = (nothing, nothing) if previous is None else (previous.colours, previous.feedback)
    prediction = drawn.prediction
    observations: Sequence[Observation | None] = nothing
    if prediction is not None:
        observations = prediction.observations(drawn.styles, drawn.flags, bool(request.cautious))
    refined = [
        filters.refiner.refine(
            plane,
            threshold,
            level,
            model,
            is_new=drawn.is_new,
            is_average=drawn.is_average,
            feedback=feedback_of_prompt,
            observation=observation,
            explain=request.explain,
        )
        for plane, threshold, model, feedback_of_prompt, observation in zip(
            planes, levels, models, feedback, observations, strict=True
        )
    ]
    coverage = np.stack([one.alpha for one in refined])
    if request.cautious and previous is not None:
        coverage = _add_previous(coverage, previous.coverage, drawn.flags)
    coverage = np.stack([_clean(plane, style.shape) for plane, style in zip(coverage, drawn.styles, strict=True)])
    decisions = [_at_full_size(one.decisions, filters.small) for one in refined if one.decisions is not None]
    colours, all_feedback = tuple(one.colours for one in refined), tuple(one.feedback for one in refined)
    return Refinement(coverage, colours, all_feedback), np.stack(decisions) if decisions else None


def _at_full_size(plane: NDArray[np.uint8], small: DownscaledFrame) -> NDArray[np.uint8]:
    """Return a plane of the working grid at the size of the frame, without interpolation."""
    size = plane.shape[1] * small.factor, plane.shape[0] * small.factor
    large = np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return large.reshape(size[1], size[0])[: small.size[0], : small.size[1]]


def _union(matte: Matte, other: Matte) -> Matte:
    """Return the union of two mattes, because the guided filter and the smallest part may drop small predictions."""
    return read_only(np.maximum(matte.alpha, other.alpha), disjoint([*matte.boxes, *other.boxes]))


def kinds_of(request: MatteRequest) -> tuple[MatteRequest, ...]:
    """Return one request for each requested kind of mattes, the cautious one last."""
    kinds = (False, True) if request.cautious is None else (request.cautious,)
    return tuple(replace(request, cautious=kind) for kind in kinds)


def join_mattes(mattes: Mapping[bool, Mattes]) -> Mattes:
    """Join the normal and the cautious mattes of a frame, keyed by caution."""
    if len(mattes) == 1:
        return next(iter(mattes.values()))
    return replace(mattes[False], cautious=mattes[True].each)


def binary_mattes(
    maps: Maps, styles: Sequence[PromptStyle], height: int, width: int, *, cautious: bool = False
) -> list[Matte]:
    """Return mattes that are 255 where a map reaches its threshold and 0 elsewhere.

    Args:
        maps: float32 (prompts, h, w) on any grid.
        styles: styles of the prompts, with their thresholds.
        height: height of the frame in pixels.
        width: width of the frame in pixels.
        cautious: use the lower threshold of cautious mattes.
    """
    return [
        read_only(*threshold_map(probability, _level(style, cautious), height, width))
        for probability, style in zip(maps, styles, strict=True)
    ]


def empty_matte(height: int, width: int) -> Matte:
    """Return a matte that covers nothing."""
    return read_only(np.zeros((height, width), np.uint8), ())


def read_only(alpha: NDArray[np.uint8], boxes: Sequence[Box]) -> Matte:
    """Return a matte of ``alpha``, uint8 (height, width), and make the array read-only."""
    alpha.setflags(write=False)
    return Matte(alpha, tuple(boxes))


def _thresholds(
    styles: Sequence[PromptStyle], previous: Planes | None, request: MatteRequest
) -> list[NDArray[np.float32] | np.float32]:
    """Return the threshold of each prompt with hysteresis: lower inside the last frame's coverage, higher outside."""
    levels = [_level(style, bool(request.cautious)) for style in styles]
    if previous is None or request.settings.smoothing <= 0:
        return list(levels)
    hysteresis = np.float32(2 * _HYSTERESIS * request.settings.smoothing)
    return [
        level - min(level, 1 - level) * hysteresis * (2 * plane - 1)
        for level, plane in zip(levels, previous, strict=True)
    ]


def _level(style: PromptStyle, cautious: bool) -> np.float32:
    return np.float32(style.threshold * (_CAUTIOUS if cautious else 1.0))


def _add_previous(coverage: Planes, previous: Planes, flags: Sequence[PresenceFlags]) -> Planes:
    """Add the grown coverage of the last frame for prompts whose presence is unsure."""
    window = np.ones((2 * _KEPT_GROWTH + 1,) * 2, np.uint8)
    return np.stack(
        [
            np.maximum(plane, cv2.dilate(last, window).reshape(plane.shape)) if flag.unsure else plane
            for plane, last, flag in zip(coverage, previous, flags, strict=True)
        ]
    )


def _clean(coverage: NDArray[np.float32], shape: MatteShape) -> NDArray[np.float32]:
    """Remove parts and fill holes that are smaller than the shape allows."""
    min_cells, max_cells = shape.min_area / 100 * coverage.size, shape.fill_holes / 100 * coverage.size
    mask = coverage > 0.5
    if min_cells > 1 and (spots := _small_parts(mask, min_cells)) is not None:
        window = np.ones((5, 5), np.uint8)  # include their soft border
        coverage = np.where(cv2.dilate(spots.view(np.uint8), window).reshape(coverage.shape) > 0, 0, coverage)
    if max_cells > 0 and (holes := _small_parts(~mask, max_cells)) is not None:
        coverage = np.where(holes, 1, coverage)
    return np.asarray(coverage, np.float32)


def _small_parts(mask: NDArray[np.bool_], min_cells: float) -> NDArray[np.bool_] | None:
    """Return the connected parts of fewer than ``min_cells`` cells, or None without any."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    small = statistics[:, cv2.CC_STAT_AREA] < min_cells
    small[0] = False
    return np.asarray(small[labels].reshape(mask.shape), np.bool_) if count > 1 and small.any() else None


def _apply_shape(matte: Matte, shape: MatteShape) -> Matte:
    """Grow or shrink a matte and feather its border, according to the shape."""
    height, width = matte.alpha.shape
    unit = min(height, width) / 100
    grow, feather = shape.grow * unit, shape.feather * unit
    if abs(grow) < 0.5 and abs(feather) < 0.5:
        return matte
    margin = int(max(grow, 0) + max(feather, 0)) + 2
    boxes = disjoint(
        [
            (max(x - margin, 0), max(y - margin, 0), min(r + margin, width), min(b + margin, height))
            for x, y, r, b in matte.boxes
        ]
    )
    alpha = np.zeros_like(matte.alpha)
    for left, top, right, bottom in boxes:
        area = slice(top, bottom), slice(left, right)
        alpha[area] = _feather(_move_border(matte.alpha[area], grow), feather)
    return read_only(alpha, boxes)


def _move_border(alpha: NDArray[np.uint8], length: float) -> NDArray[np.uint8]:
    """Move the border by ``length`` pixels, outwards if positive; the values at the edge continue beyond the array."""
    if abs(length) < 0.5:
        return alpha
    shrink = max(1, int(abs(length) // 4))
    height, width = alpha.shape
    size = -(-width // shrink), -(-height // shrink)
    small = alpha if shrink == 1 else cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    reach = max(round(abs(length) / shrink), 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    result = (cv2.dilate if length > 0 else cv2.erode)(small, disc)
    if shrink > 1:
        result = cv2.resize(result, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(result, np.uint8).reshape(alpha.shape)


def _feather(alpha: NDArray[np.uint8], length: float) -> NDArray[np.uint8]:
    """Fade the border over ``length`` pixels outside it, or inside if negative."""
    if abs(length) < 0.5:
        return alpha
    soft = cv2.GaussianBlur(
        _move_border(alpha, length / 2), (0, 0), max(abs(length) / 4, 0.5), borderType=cv2.BORDER_REPLICATE
    )
    result = (np.maximum if length > 0 else np.minimum)(alpha, np.asarray(soft, np.uint8).reshape(alpha.shape))
    return np.asarray(result, np.uint8)
