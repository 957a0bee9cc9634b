"""Dense optical flow between frames, and its reliability."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FlowField = NDArray[np.float32]
"""Position of each pixel in the earlier frame: float32 (height, width, 2), x and y in pixels."""

_LEAST_SIDE = 64
"""Smallest side in pixels for DIS, which reads beyond its memory in smaller images."""
_TOLERANCE = 1.0, 0.05
"""Allowed difference of forward and backward flow: pixels, plus a share of the flow's length."""
_COLOUR_STEP = 0.08
"""Allowed change of a colour, 0..1, between the frame of a prediction and the current one."""
_LIGHT_STEP = 24.0
"""Change of a pixel along the flow, in levels, from which it counts as a different point."""


@dataclass(frozen=True, slots=True, eq=False)
class BackwardFlow:
    """Flow from a frame back to an earlier one.

    Attributes:
        back: float32 (h, w, 2), position of each pixel of the later frame in the earlier one.
        trust: float32 (h, w), 0..1, reliability of the position; 0 for pixels not visible in the earlier frame.
    """

    back: FlowField
    trust: NDArray[np.float32]

    @classmethod
    def identity(cls, height: int, width: int) -> "BackwardFlow":
        """Return a flow without motion."""
        return cls(pixel_grid(height, width), np.ones((height, width), np.float32))

    def stillness(self, half: float) -> NDArray[np.float32]:
        """Return the calm, float32 (h, w): 1 for zero displacement, 0.5 at ``half`` pixels, towards 0 beyond."""
        start = pixel_grid(*self.trust.shape)
        return np.asarray(half / (half + _length(self.back - start)), np.float32)

    def compose(self, earlier: "BackwardFlow") -> "BackwardFlow":
        """Return this flow followed by the earlier one."""
        back = warp(earlier.back, self.back)
        return BackwardFlow(back, self.trust * warp(earlier.trust, self.back))


class FlowEstimator:
    """DIS optical flow (Kroeger et al., ECCV 2016, arXiv:1603.03590) in both directions. For one thread at a time."""

    def __init__(self) -> None:
        self._fine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._fast = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def step(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> BackwardFlow:
        """Return the flow back from ``after`` to ``before``, both grey uint8 (h, w).

        It is trusted where three conditions hold. Forward and backward flow agree (Sundaram et al., ECCV 2010). The
        position lies within the image. The brightness is the same.
        """
        return self._steps(before, after, both_ways=False)[0]

    def steps(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[BackwardFlow, BackwardFlow]:
        """Return the flow back from ``after`` to ``before``, and the flow from ``before`` to ``after``."""
        back, forward = self._steps(before, after, both_ways=True)
        return back, forward

    def _steps(self, before: Any, after: Any, both_ways: bool) -> list[BackwardFlow]:
        height, width = after.shape
        size = max(width, _LEAST_SIDE), max(height, _LEAST_SIDE)
        if size != (width, height):
            before, after = _resize(before, size), _resize(after, size)
        backward = self._flow(self._fine, after, before)
        # the forward flow may be rough if it only checks the backward one
        forward = self._flow(self._fine if both_ways else self._fast, before, after)
        flows = [_step(before, after, backward, forward)]
        if both_ways:
            flows.append(_step(after, before, forward, backward))
        if size != (width, height):
            scale = np.array([width / size[0], height / size[1]], np.float32)
            half = np.float32(0.5)  # positions are relative to the centre of the first pixel
            flows = [
                BackwardFlow(
                    (_resize(flow.back, (width, height)) + half) * scale - half,
                    _resize(flow.trust, (width, height)),
                )
                for flow in flows
            ]
        return flows

    def _flow(self, estimator: cv2.DISOpticalFlow, source: Any, target: Any) -> FlowField:
        start = np.zeros((*source.shape, 2), np.float32)
        return np.asarray(estimator.calc(source, target, start), np.float32)


def _step(target: Any, source: Any, flow: FlowField, reverse_flow: FlowField) -> BackwardFlow:
    """Return the flow from ``source`` to ``target`` along ``flow``, checked with ``reverse_flow``."""
    positions = pixel_grid(*source.shape) + flow
    return BackwardFlow(
        positions,
        _forward_backward_consistency(flow, warp(reverse_flow, positions), positions)
        * _photometric_consistency(target, source, positions),
    )


def colour_consistency(
    earlier: NDArray[np.float32], current: NDArray[np.float32], back: FlowField
) -> NDArray[np.float32]:
    """Return float32 (h, w), 1 where the flow leads to the same colour and 0 where it leads to a different one.

    Small errors that no single step shows add up over many steps. A change of the whole image counts as light and is
    removed first.

    Args:
        earlier: earlier image, float32 (h, w, 3), 0..1.
        current: current image, float32 (h, w, 3), 0..1.
        back: position of each current pixel in the earlier image.
    """
    change = cv2.subtract(_sample(earlier, back), current)
    light = np.array(cv2.mean(change)[:3], np.float32)
    red, green, blue = cv2.split(np.abs(change - light))
    largest = cv2.blur(cv2.max(cv2.max(red, green), blue), (3, 3))
    return np.asarray(np.clip(2 - largest / np.float32(_COLOUR_STEP), 0, 1), np.float32)


def warp(values: NDArray[np.float32], back: FlowField) -> NDArray[np.float32]:
    """Return the values at the positions of the field, float32 (h, w) or (h, w, n), of the field's height and width."""
    if not values.size:
        return np.zeros((*back.shape[:2], *values.shape[2:]), np.float32)
    warped: NDArray[np.float32] = _sample(values, back).reshape(*back.shape[:2], *values.shape[2:])
    return warped


def resize_positions(back: FlowField, height: int, width: int) -> FlowField:
    """Return a flow field on another grid over the same two frames, float32 (height, width, 2)."""
    rows, columns = back.shape[:2]
    interpolation = cv2.INTER_AREA if width < columns else cv2.INTER_LINEAR
    scale = np.array([width / columns, height / rows], np.float32)
    half = np.float32(0.5)  # positions are relative to the centre of the first pixel
    resized = (cv2.resize(back, (width, height), interpolation=interpolation) + half) * scale - half
    return np.asarray(resized, np.float32)


@lru_cache(maxsize=8)
def pixel_grid(height: int, width: int) -> FlowField:
    """Return the position of every pixel, read-only."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    positions = np.stack([x, y], axis=-1)
    positions.setflags(write=False)
    return positions


def _forward_backward_consistency(backward: FlowField, forward: FlowField, back: FlowField) -> NDArray[np.float32]:
    """Return 1 where flow and counter flow end at the start, falling to 0 over the allowed distance beyond it."""
    error = _length(backward + forward)
    allowed = _TOLERANCE[0] + _TOLERANCE[1] * (_length(backward) + _length(forward))
    height, width = back.shape[:2]
    x, y = back[..., 0], back[..., 1]
    is_inside = (x > -1) & (y > -1) & (x < width) & (y < height)
    trust: NDArray[np.float32] = np.clip(2 - error / allowed, 0, 1) * is_inside
    return trust


def _photometric_consistency(before: Any, after: Any, back: FlowField) -> NDArray[np.float32]:
    change = cv2.blur(cv2.absdiff(_sample(before, back), after), (3, 3))
    trust: NDArray[np.float32] = np.clip(2 - np.asarray(change, np.float32) / np.float32(_LIGHT_STEP), 0, 1)
    return trust


def _sample(values: Any, back: FlowField) -> Any:
    return cv2.remap(values, back, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]


def _resize(values: Any, size: tuple[int, int]) -> Any:
    return cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)


def _length(vectors: FlowField) -> NDArray[np.float32]:
    return np.asarray(cv2.magnitude(vectors[..., 0], vectors[..., 1]), np.float32)
