"""Conversion of steady probability maps to mattes: overlap rules, thresholds, shapes and edges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Box, Matte, MatteRequest, Mattes, disjoint
from clipseg_live.core.protocols import Maps
from clipseg_live.core.settings.base import MatteShape, PromptStyle
from clipseg_live.matting import guided_filter
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


def build_mattes(
    maps: Planes,
    styles: Sequence[PromptStyle],
    small: DownscaledFrame,
    trust: NDArray[np.float32],
    before: Planes | None,
    pixels: Pixels,
    request: MatteRequest,
    standings: Sequence[PresenceFlags],
    own: bool,
    newest: Planes | None = None,
) -> tuple[Mattes, Planes | None]:
    """Build the mattes of a frame.

    Args:
        maps: float32 (prompts, h, w), one map for each drawn prompt, in the order of ``styles`` and ``standings``.
        styles: styles of the drawn prompts.
        small: the frame on the working grid.
        trust: float32 (h, w), 0..1, how far the maps can be trusted.
        before: coverage of the same mattes in the last frame, warped to this one; None without one.
        pixels: uint8 (height, width, 3), the frame.
        request: settings and kind of the mattes.
        standings: presence of the drawn prompts.
        own: True if the prediction belongs to this frame.
        newest: the prediction for this very frame, shaped as ``maps``; None without one. Cautious mattes cover it in
            full, regardless of smoothing.

    Returns:
        The mattes, and their coverage on the working grid, float32 (prompts, h, w). The coverage is None without
            prompts or without edge refinement.
    """
    if not styles:
        return Mattes(pixels.shape[0], pixels.shape[1], own=own), None
    covers = None
    seen = np.maximum(maps, newest) if request.cautious and newest is not None else maps
    if not request.settings.edge_refinement or (request.effort == "least" and not request.cautious):
        mattes = binary_mattes(seen, styles, *pixels.shape[:2], cautious=bool(request.cautious))
    else:
        shaper = guided_filter.MaskRefiner(small.picture, trust, close=request.effort == "full")
        levels = _thresholds(styles, before, request)
        if not request.cautious:
            seen = seen * (_UNTRUSTED + (1 - _UNTRUSTED) * trust)
        covers = np.stack([shaper.covers(plane, level) for plane, level in zip(seen, levels, strict=True)])
        if request.cautious and before is not None:
            covers = _kept(covers, before, standings)
        covers = np.stack([_cleaned(plane, style.shape) for plane, style in zip(covers, styles, strict=True)])
        mattes = [read_only(*shaper.placed(plane).alpha(pixels, small.factor)) for plane in covers]
        if request.cautious and newest is not None:
            binary = binary_mattes(newest, styles, *pixels.shape[:2], cautious=True)
            mattes = [_union(matte, other) for matte, other in zip(mattes, binary, strict=True)]
    mattes = [_moved_border(matte, style.shape) for matte, style in zip(mattes, styles, strict=True)]
    if request.settings.auto_hide and not request.cautious:
        mattes = [
            matte if one.shown else empty_matte(*pixels.shape[:2]) for matte, one in zip(mattes, standings, strict=True)
        ]
    presence = tuple(one.presence for one in standings)
    return Mattes(pixels.shape[0], pixels.shape[1], tuple(mattes), maps, presence, own), covers


def _union(matte: Matte, other: Matte) -> Matte:
    """Return the union of two mattes, because the guided filter and the smallest part may drop small predictions."""
    return read_only(np.maximum(matte.alpha, other.alpha), disjoint([*matte.boxes, *other.boxes]))


def kinds_of(request: MatteRequest) -> tuple[MatteRequest, ...]:
    """Return one request for each requested kind of mattes, the cautious one last."""
    kinds = (False, True) if request.cautious is None else (request.cautious,)
    return tuple(replace(request, cautious=kind) for kind in kinds)


def join_mattes(found: Mapping[bool, Mattes]) -> Mattes:
    """Join the normal and the cautious mattes of a frame, keyed by caution."""
    if len(found) == 1:
        return next(iter(found.values()))
    return replace(found[False], cautious=found[True].each)


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
    styles: Sequence[PromptStyle], before: Planes | None, request: MatteRequest
) -> list[NDArray[np.float32] | np.float32]:
    """Return the threshold of each prompt with hysteresis: lower inside the last frame's coverage, higher outside."""
    levels = [_level(style, bool(request.cautious)) for style in styles]
    if before is None or request.settings.smoothing <= 0:
        return list(levels)
    give = np.float32(2 * _HYSTERESIS * request.settings.smoothing)
    return [level - min(level, 1 - level) * give * (2 * plane - 1) for level, plane in zip(levels, before, strict=True)]


def _level(style: PromptStyle, cautious: bool) -> np.float32:
    return np.float32(style.threshold * (_CAUTIOUS if cautious else 1.0))


def _kept(covers: Planes, before: Planes, standings: Sequence[PresenceFlags]) -> Planes:
    """Add the grown coverage of the last frame for prompts whose presence is unsure."""
    window = np.ones((2 * _KEPT_GROWTH + 1,) * 2, np.uint8)
    return np.stack(
        [
            np.maximum(plane, cv2.dilate(last, window).reshape(plane.shape)) if standing.unsure else plane
            for plane, last, standing in zip(covers, before, standings, strict=True)
        ]
    )


def _cleaned(covers: NDArray[np.float32], shape: MatteShape) -> NDArray[np.float32]:
    """Remove parts and fill holes that are smaller than the shape allows."""
    least, most = shape.min_area / 100 * covers.size, shape.fill_holes / 100 * covers.size
    inside = covers > 0.5
    if least > 1 and (spots := _small_parts(inside, least)) is not None:
        window = np.ones((5, 5), np.uint8)  # include their soft border
        covers = np.where(cv2.dilate(spots.view(np.uint8), window).reshape(covers.shape) > 0, 0, covers)
    if most > 0 and (holes := _small_parts(~inside, most)) is not None:
        covers = np.where(holes, 1, covers)
    return np.asarray(covers, np.float32)


def _small_parts(marked: NDArray[np.bool_], least: float) -> NDArray[np.bool_] | None:
    """Return the connected parts of fewer than ``least`` cells, or None without any."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(marked.view(np.uint8), connectivity=4)
    small = statistics[:, cv2.CC_STAT_AREA] < least
    small[0] = False
    return np.asarray(small[labels].reshape(marked.shape), np.bool_) if count > 1 and small.any() else None


def _moved_border(matte: Matte, shape: MatteShape) -> Matte:
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
        alpha[area] = _feathered(_grown(matte.alpha[area], grow), feather)
    return read_only(alpha, boxes)


def _grown(alpha: NDArray[np.uint8], length: float) -> NDArray[np.uint8]:
    """Move the border by ``length`` pixels, outwards if positive; the values at the edge continue beyond the array."""
    if abs(length) < 0.5:
        return alpha
    shrink = max(1, int(abs(length) // 4))
    height, width = alpha.shape
    size = -(-width // shrink), -(-height // shrink)
    small = alpha if shrink == 1 else cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    reach = max(round(abs(length) / shrink), 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    moved = (cv2.dilate if length > 0 else cv2.erode)(small, disc)
    if shrink > 1:
        moved = cv2.resize(moved, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(moved, np.uint8).reshape(alpha.shape)


def _feathered(alpha: NDArray[np.uint8], length: float) -> NDArray[np.uint8]:
    """Fade the border over ``length`` pixels outside it, or inside if negative."""
    if abs(length) < 0.5:
        return alpha
    soft = cv2.GaussianBlur(
        _grown(alpha, length / 2), (0, 0), max(abs(length) / 4, 0.5), borderType=cv2.BORDER_REPLICATE
    )
    faded = (np.maximum if length > 0 else np.minimum)(alpha, np.asarray(soft, np.uint8).reshape(alpha.shape))
    return np.asarray(faded, np.uint8)
