"""From steady maps to mattes: several prompts together, thresholds, shapes, edges."""

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
"""How far the threshold gives way, at full steadiness, to what was there before."""
_UNSURE = 0.7
"""Share of its smoothed presence under which a prompt's newest presence is a doubt."""
_UNTRUSTED = np.float32(0.4)
"""What a probability counts where it could not be followed: what is not known to be there is left out."""
_CAUTIOUS = 0.7
"""Share of its threshold at which a cautious matte begins."""
_KEPT_GROWTH = 2
"""Pixels of the working grid by which a matte that is only kept grows with every frame."""

Planes = NDArray[np.float32]
"""float32 (prompts, h, w) on the working grid."""


@dataclass(frozen=True, slots=True)
class PresenceFlags:
    """How a prompt stands: its smoothed presence, whether it is drawn by it, and whether the last answer was less sure
    than those before."""

    presence: float = 0.0
    shown: bool = True
    unsure: bool = False

    @classmethod
    def of(cls, presence: float, shown: bool, newest: float) -> "PresenceFlags":
        """With the presence that the last answer alone has."""
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
    """The mattes of a frame, and what they cover on the working grid.

    maps: float32 (prompts, h, w), one for each prompt that is drawn, as are ``styles`` and ``standings``. trust:
    float32 (h, w), where they are to be believed. before: what the same mattes covered in the last frame, carried to
    this one. newest: the model's answer for this very frame, as ``maps``; None where there is none. Cautious mattes
    cover it in full, whatever steadiness makes of it.
    """
    if not styles:
        return Mattes(pixels.shape[0], pixels.shape[1], own=own), None
    covers = None
    seen = np.maximum(maps, newest) if request.cautious and newest is not None else maps
    if not request.settings.refine or (request.effort == "least" and not request.cautious):
        each = binary_mattes(seen, styles, *pixels.shape[:2], cautious=bool(request.cautious))
    else:
        shaper = guided_filter.MaskRefiner(small.picture, trust, close=request.effort == "full")
        levels = _thresholds(styles, before, request)
        if not request.cautious:
            seen = seen * (_UNTRUSTED + (1 - _UNTRUSTED) * trust)
        covers = np.stack([shaper.covers(plane, level) for plane, level in zip(seen, levels, strict=True)])
        if request.cautious and before is not None:
            covers = _kept(covers, before, standings)
        covers = np.stack([_cleaned(plane, style.shape) for plane, style in zip(covers, styles, strict=True)])
        each = [read_only(*shaper.placed(plane).alpha(pixels, small.factor)) for plane in covers]
        if request.cautious and newest is not None:
            found = binary_mattes(newest, styles, *pixels.shape[:2], cautious=True)
            each = [_union(matte, other) for matte, other in zip(each, found, strict=True)]
    each = [_moved_border(matte, style.shape) for matte, style in zip(each, styles, strict=True)]
    if request.settings.auto_hide and not request.cautious:
        each = [
            matte if one.shown else empty_matte(*pixels.shape[:2]) for matte, one in zip(each, standings, strict=True)
        ]
    presence = tuple(one.presence for one in standings)
    return Mattes(pixels.shape[0], pixels.shape[1], tuple(each), maps, presence, own), covers


def _union(matte: Matte, other: Matte) -> Matte:
    """Return what either matte covers: the guided filter and the smallest part may drop small predictions."""
    return read_only(np.maximum(matte.alpha, other.alpha), disjoint([*matte.boxes, *other.boxes]))


def kinds_of(request: MatteRequest) -> tuple[MatteRequest, ...]:
    """Return a request for each kind of mattes that is wanted, the cautious one last."""
    kinds = (False, True) if request.cautious is None else (request.cautious,)
    return tuple(replace(request, cautious=kind) for kind in kinds)


def join_mattes(found: Mapping[bool, Mattes]) -> Mattes:
    """Return the mattes of a frame from those of each kind, by caution."""
    if len(found) == 1:
        return next(iter(found.values()))
    return replace(found[False], cautious=found[True].each)


def binary_mattes(
    maps: Maps, styles: Sequence[PromptStyle], height: int, width: int, *, cautious: bool = False
) -> list[Matte]:
    """What reaches the threshold, wholly; the rest not at all. maps: float32 (prompts, h, w) on any grid."""
    return [
        read_only(*threshold_map(each, _level(style, cautious), height, width))
        for each, style in zip(maps, styles, strict=True)
    ]


def empty_matte(height: int, width: int) -> Matte:
    """The matte of what is not there."""
    return read_only(np.zeros((height, width), np.uint8), ())


def read_only(alpha: NDArray[np.uint8], boxes: Sequence[Box]) -> Matte:
    alpha.setflags(write=False)
    return Matte(alpha, tuple(boxes))


def _thresholds(
    styles: Sequence[PromptStyle], before: Planes | None, request: MatteRequest
) -> list[NDArray[np.float32] | np.float32]:
    """Each prompt's threshold: lower where it covered the last frame and higher where it did not (hysteresis)."""
    levels = [_level(style, bool(request.cautious)) for style in styles]
    if before is None or request.settings.smoothing <= 0:
        return list(levels)
    give = np.float32(2 * _HYSTERESIS * request.settings.smoothing)
    return [level - min(level, 1 - level) * give * (2 * plane - 1) for level, plane in zip(levels, before, strict=True)]


def _level(style: PromptStyle, cautious: bool) -> np.float32:
    return np.float32(style.threshold * (_CAUTIOUS if cautious else 1.0))


def _kept(covers: Planes, before: Planes, standings: Sequence[PresenceFlags]) -> Planes:
    """With what was covered before, grown, for prompts that the model has become unsure of."""
    window = np.ones((2 * _KEPT_GROWTH + 1,) * 2, np.uint8)
    return np.stack(
        [
            np.maximum(plane, cv2.dilate(last, window).reshape(plane.shape)) if standing.unsure else plane
            for plane, last, standing in zip(covers, before, standings, strict=True)
        ]
    )


def _cleaned(covers: NDArray[np.float32], shape: MatteShape) -> NDArray[np.float32]:
    """Without parts and holes that are smaller than the shape allows."""
    least, most = shape.smallest / 100 * covers.size, shape.fill / 100 * covers.size
    inside = covers > 0.5
    if least > 1 and (spots := _small_parts(inside, least)) is not None:
        window = np.ones((5, 5), np.uint8)  # with their soft border
        covers = np.where(cv2.dilate(spots.view(np.uint8), window).reshape(covers.shape) > 0, 0, covers)
    if most > 0 and (holes := _small_parts(~inside, most)) is not None:
        covers = np.where(holes, 1, covers)
    return np.asarray(covers, np.float32)


def _small_parts(marked: NDArray[np.bool_], least: float) -> NDArray[np.bool_] | None:
    """Connected parts of fewer cells than ``least``; None where there are none."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(marked.view(np.uint8), connectivity=4)
    small = statistics[:, cv2.CC_STAT_AREA] < least
    small[0] = False
    return np.asarray(small[labels].reshape(marked.shape), np.bool_) if count > 1 and small.any() else None


def _moved_border(matte: Matte, shape: MatteShape) -> Matte:
    """Grown or shrunk, and faded over a length, as the shape asks."""
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
    """The border moved outwards by ``length`` pixels, inwards where negative. Beyond the part it goes on as it ends."""
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
    """Faded over ``length`` pixels outside the border, or inside where negative."""
    if abs(length) < 0.5:
        return alpha
    soft = cv2.GaussianBlur(
        _grown(alpha, length / 2), (0, 0), max(abs(length) / 4, 0.5), borderType=cv2.BORDER_REPLICATE
    )
    faded = (np.maximum if length > 0 else np.minimum)(alpha, np.asarray(soft, np.uint8).reshape(alpha.shape))
    return np.asarray(faded, np.uint8)
