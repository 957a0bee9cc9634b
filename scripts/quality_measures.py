"""Measures of mattes against ground truth, for ``bench_quality.py``."""

from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.demo.scenes import Matrix
from clipseg_live.evaluation.stability import boundary_f, delay_of, unexplained_change

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

_TOLERANCE = 2
"""Distance in pixels within which borders agree."""
_NEAR = 12
"""Radius in pixels of half size around an object within which pixels are assumed to move with it."""


def iou(mask: Mask, true: Mask) -> float:
    """Return the intersection over union; 1 if both masks are empty."""
    union = np.count_nonzero(mask | true)
    return 1.0 if not union else np.count_nonzero(mask & true) / union


def halved(plane: Plane) -> Plane:
    """Return a plane at half of its size. Each pixel is the mean of four."""
    height, width = plane.shape
    return np.asarray(cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.float32)


def flicker(matte: Plane, past: Plane, true: Plane, true_past: Plane, step: Matrix, camera: Matrix) -> float:
    """Return the mean absolute change of a matte between two frames that the true motion does not explain.

    The last matte is warped: with the object near the object, with the background elsewhere. The remaining change
    counts, minus the change of the true matte after the same warp (where another object covers it).

    Args:
        matte: Matte of this frame. All planes have half of the frame's size.
        past: Matte of the last frame.
        true: True matte of this frame.
        true_past: True matte of the last frame.
        step: Map from the last frame's pixels to this frame's for the object, at full size.
        camera: The same map for the background.
    """
    near = cv2.dilate((true_past > 0).astype(np.uint8), np.ones((2 * _NEAR + 1, 2 * _NEAR + 1), np.uint8))
    with_object = _warped(near.astype(np.float32), step) > 0.5
    moved, true_moved = (np.where(with_object, _warped(p, step), _warped(p, camera)) for p in (past, true_past))
    return unexplained_change(matte, moved, true, true_moved)


def _warped(plane: Plane, step: Matrix) -> Plane:
    half = np.array(step, np.float64)
    # a pixel's centre is (0.5, 0.5) in a step, and (0, 0) in OpenCV
    half[:, 2] = step[:, 2] / 2 + step[:, :2] @ (0.5, 0.5) - 0.5
    height, width = plane.shape
    return np.asarray(cv2.warpAffine(plane, half, (width, height), flags=cv2.INTER_LINEAR), np.float32)


@dataclass
class Figures:
    """Values of one run for each object and frame.

    Attributes:
        iou: Intersection over union.
        boundary: Boundary F-measure.
        error: Mean absolute error of the matte, times 1000.
        flicker: Flicker, times 1000.
        delay: Delay in frames.
    """

    iou: list[float] = field(default_factory=list)
    boundary: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    flicker: list[float] = field(default_factory=list)
    delay: list[float] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        for name, values in vars(other).items():
            getattr(self, name).extend(values)

    def means(self) -> dict[str, float | None]:
        """Return the mean of each measure, and the median of the delay; None if nothing was measured."""
        means: dict[str, float | None] = {
            name: float(np.mean(values)) if values else None for name, values in vars(self).items()
        }
        means["delay"] = float(np.median(self.delay)) if self.delay else None
        return means


class Judge:
    """Measures one method's mattes of one object in a clip.

    Args:
        has_exact_matte: Whether the true matte is exact. Otherwise only flicker is measured.
        timed_from: First frame whose delay is measured; None to measure no delay.
    """

    _MEMORY = 15

    def __init__(self, has_exact_matte: bool, timed_from: int | None = None) -> None:
        self.figures = Figures()
        self._has_exact_matte, self._timed_from = has_exact_matte, timed_from
        self._past: tuple[Plane, Plane] | None = None
        self._truths: deque[Plane] = deque(maxlen=self._MEMORY)

    def skip(self, true: Plane) -> None:
        """Add a frame before the first prediction."""
        self._truths.appendleft(halved(true))

    def judge(self, number: int, matte: Plane, true: Plane, step: Matrix | None, camera: Matrix | None) -> None:
        """Measure the matte of a frame."""
        half, true_half = halved(matte), halved(true)
        self._truths.appendleft(true_half)
        if self._has_exact_matte:
            self.figures.iou.append(iou(matte > 0.5, true > 0.5))
            self.figures.error.append(float(np.abs(matte - true).mean()) * 1000)
            if number % 3 == 0:  # the slowest measure
                self.figures.boundary.append(boundary_f(matte > 0.5, true > 0.5, _TOLERANCE))
        if self._past is not None and step is not None and camera is not None:
            self.figures.flicker.append(flicker(half, self._past[0], true_half, self._past[1], step, camera) * 1000)
        if self._timed_from is not None and number >= self._timed_from and true.any():
            self.figures.delay.append(delay_of(half, self._truths))
        self._past = half, true_half
