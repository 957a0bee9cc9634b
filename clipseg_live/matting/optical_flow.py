"""Where things were in the frame before: dense optical flow, and how far it can be trusted."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FlowField = NDArray[np.float32]
"""For each pixel where it was: float32 (height, width, 2), x and y in pixels."""

_LEAST_SIDE = 64
"""DIS reads beyond its memory in smaller pictures."""
_AGREES = 1.0, 0.05
"""Forward and backward may miss each other by this many pixels, and this share of the way's length."""
_COLOUR_STEP = 0.08
"""How far a colour may change, 0..1, from the frame of an answer until now."""
_LIGHT_STEP = 24.0
"""Levels by which a pixel may change on its way before it counts as another one."""


@dataclass(frozen=True, slots=True, eq=False)
class BackwardFlow:
    """The way from one frame back to an earlier one.

    back: float32 (h, w, 2), where each pixel of the later frame was. trust: float32 (h, w), 0..1, how sure that is; 0
    for what was not visible in the earlier one.
    """

    back: FlowField
    trust: NDArray[np.float32]

    @classmethod
    def still(cls, height: int, width: int) -> "BackwardFlow":
        """Nothing moves."""
        return cls(pixel_grid(height, width), np.ones((height, width), np.float32))

    @classmethod
    def nowhere(cls, height: int, width: int) -> "BackwardFlow":
        """Nothing is known, as at a cut."""
        return cls(pixel_grid(height, width), np.zeros((height, width), np.float32))

    def calm(self, half: float) -> NDArray[np.float32]:
        """float32 (h, w), 1 where the way is no way at all, 0.5 where it is ``half`` pixels long, towards 0 beyond."""
        here = pixel_grid(*self.trust.shape)
        return np.asarray(half / (half + _length(self.back - here)), np.float32)

    def after(self, earlier: "BackwardFlow") -> "BackwardFlow":
        """This way, and on along the earlier one."""
        back = warp(earlier.back, self.back)
        return BackwardFlow(back, self.trust * warp(earlier.trust, self.back))


class FlowEstimator:
    """DIS optical flow (Kroeger et al., ECCV 2016, arXiv:1603.03590) in both directions. For one thread at a time."""

    def __init__(self) -> None:
        self._fine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._fast = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def step(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> BackwardFlow:
        """The way back from ``after`` to ``before``, grey uint8 (h, w) both.

        It is trusted where forward and backward flow agree (Sundaram et al., ECCV 2010), lie within the picture, and
        meet the same light.
        """
        return self._steps(before, after, forth=False)[0]

    def steps(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[BackwardFlow, BackwardFlow]:
        """The way back from ``after`` to ``before``, and the way on from ``before`` to ``after``."""
        back, on = self._steps(before, after, forth=True)
        return back, on

    def _steps(self, before: Any, after: Any, forth: bool) -> list[BackwardFlow]:
        height, width = after.shape
        size = max(width, _LEAST_SIDE), max(height, _LEAST_SIDE)
        if size != (width, height):
            before, after = _resized(before, size), _resized(after, size)
        backward = self._flow(self._fine, after, before)
        # only to check with, the way on may be rough
        forward = self._flow(self._fine if forth else self._fast, before, after)
        found = [_step(before, after, backward, forward)]
        if forth:
            found.append(_step(after, before, forward, backward))
        if size != (width, height):
            scale = np.array([width / size[0], height / size[1]], np.float32)
            half = np.float32(0.5)  # places are counted from the centre of the first pixel
            found = [
                BackwardFlow(
                    (_resized(each.back, (width, height)) + half) * scale - half,
                    _resized(each.trust, (width, height)),
                )
                for each in found
            ]
        return found

    def _flow(self, estimator: cv2.DISOpticalFlow, here: Any, there: Any) -> FlowField:
        start = np.zeros((*here.shape, 2), np.float32)
        return np.asarray(estimator.calc(here, there, start), np.float32)


def _step(there: Any, here: Any, flow: FlowField, counter: FlowField) -> BackwardFlow:
    """The way from ``here`` to ``there`` along ``flow``; ``counter`` leads back."""
    places = pixel_grid(*here.shape) + flow
    return BackwardFlow(
        places,
        _forward_backward_consistency(flow, warp(counter, places), places)
        * _photometric_consistency(there, here, places),
    )


def colour_consistency(before: NDArray[np.float32], now: NDArray[np.float32], back: FlowField) -> NDArray[np.float32]:
    """float32 (h, w), 1 where the way leads to the same colour, 0 where to quite another: over many steps small errors
    add up that no single step shows. What changes in the whole picture is light. before, now: pictures, float32
    (h, w, 3), 0..1."""
    change = cv2.subtract(_fetched(before, back), now)
    light = np.array(cv2.mean(change)[:3], np.float32)
    red, green, blue = cv2.split(np.abs(change - light))
    most = cv2.blur(cv2.max(cv2.max(red, green), blue), (3, 3))
    return np.asarray(np.clip(2 - most / np.float32(_COLOUR_STEP), 0, 1), np.float32)


def warp(values: NDArray[np.float32], back: FlowField) -> NDArray[np.float32]:
    """What was where the field points: float32 (h, w) or (h, w, n), of the field's height and width."""
    if not values.size:
        return np.zeros((*back.shape[:2], *values.shape[2:]), np.float32)
    fetched: NDArray[np.float32] = _fetched(values, back).reshape(*back.shape[:2], *values.shape[2:])
    return fetched


@lru_cache(maxsize=8)
def pixel_grid(height: int, width: int) -> FlowField:
    """Every pixel's own place; read-only."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    places = np.stack([x, y], axis=-1)
    places.setflags(write=False)
    return places


def _forward_backward_consistency(backward: FlowField, forward: FlowField, back: FlowField) -> NDArray[np.float32]:
    """1 where the way there and back ends where it began, falling to 0 over the same distance again."""
    missed = _length(backward + forward)
    allowed = _AGREES[0] + _AGREES[1] * (_length(backward) + _length(forward))
    height, width = back.shape[:2]
    x, y = back[..., 0], back[..., 1]
    within = (x > -1) & (y > -1) & (x < width) & (y < height)
    trust: NDArray[np.float32] = np.clip(2 - missed / allowed, 0, 1) * within
    return trust


def _photometric_consistency(before: Any, after: Any, back: FlowField) -> NDArray[np.float32]:
    change = cv2.blur(cv2.absdiff(_fetched(before, back), after), (3, 3))
    return np.clip(2 - np.asarray(change, np.float32) / np.float32(_LIGHT_STEP), 0, 1)


def _fetched(values: Any, back: FlowField) -> Any:
    return cv2.remap(values, back, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]


def _resized(values: Any, size: tuple[int, int]) -> Any:
    return cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)


def _length(vectors: FlowField) -> NDArray[np.float32]:
    return np.asarray(cv2.magnitude(vectors[..., 0], vectors[..., 1]), np.float32)
