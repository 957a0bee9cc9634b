"""Measures of masks beside the overlap: the boundary, and for video flicker and delay."""

import math
from collections import deque
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

_BOUNDARY_SHARE = 0.008
"""Tolerance of boundaries as a share of the image's diagonal, as in DAVIS."""
MEMORY = 15
"""Number of true masks with which ``delay_of`` compares."""


def boundary_tolerance(height: int, width: int) -> int:
    """Return the tolerance in pixels for an image: 0.8 % of its diagonal, rounded up."""
    return math.ceil(_BOUNDARY_SHARE * math.hypot(height, width))


def boundary_f(mask: NDArray[np.bool_], true: NDArray[np.bool_], tolerance: int) -> float:
    """Return the boundary F-measure of DAVIS (Perazzi et al., CVPR 2016).

    It is the harmonic mean of the shares of either border that lie within ``tolerance`` pixels of the other; 1 if both
    are empty.

    Args:
        mask: bool (height, width).
        true: bool (height, width).
        tolerance: Radius in pixels.
    """
    one, other = _border(mask), _border(true)
    if not one.any() or not other.any():
        return float(not one.any() and not other.any())
    left, top, width, height = cv2.boundingRect(one | other)  # the rest has no border, and dilation takes long
    part = slice(top, top + height), slice(left, left + width)
    one, other = one[part], other[part]
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * tolerance + 1, 2 * tolerance + 1))
    precision = cv2.dilate(other, disc)[one > 0].mean()
    recall = cv2.dilate(one, disc)[other > 0].mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _border(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    filled = mask.astype(np.uint8)
    inner = cv2.erode(filled, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=(1,))
    return np.asarray(filled - inner, np.uint8)


def unexplained_change(
    plane: NDArray[np.float32], past: NDArray[np.float32], true: NDArray[np.float32], true_past: NDArray[np.float32]
) -> float:
    """Return the flicker of one frame: the mean absolute change of a map that the change of the truth does not explain.

    Args:
        plane: Map of this frame, float32 (height, width), 0..1.
        past: Map of the last frame, already moved with the image if the motion is known.
        true: Truth of this frame, 0..1.
        true_past: Truth of the last frame, moved in the same way.
    """
    return float(np.abs((plane - past) - (true - true_past)).mean())


def delay_of(plane: NDArray[np.float32], truths: Iterable[NDArray[np.float32]]) -> int:
    """Return the age in frames of the truth that is most similar to a map.

    Args:
        plane: Map, float32 (height, width), 0..1.
        truths: Truths of the same size, the newest first.
    """
    return int(np.argmin([float(np.abs(plane - true).mean()) for true in truths]))


class StabilityMeter:
    """Measures flicker and delay of one object over the frames of a video, in order."""

    def __init__(self) -> None:
        self._past: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._truths: deque[NDArray[np.float32]] = deque(maxlen=MEMORY)

    def add(self, plane: NDArray[np.float32], truth: NDArray[np.bool_]) -> tuple[float | None, int | None]:
        """Add a frame.

        Args:
            plane: Map of the frame, float32 (height, width), 0..1.
            truth: bool, of any size; it is compared at the map's size.

        Returns:
            Flicker, None for the first frame; and delay in frames, None if the object is absent.
        """
        height, width = plane.shape
        small = cv2.resize(truth.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        true = np.asarray(small, np.float32)
        self._truths.appendleft(true)
        flicker = None if self._past is None else unexplained_change(plane, self._past[0], true, self._past[1])
        self._past = plane, true
        return flicker, delay_of(plane, self._truths) if truth.any() else None
