"""Measures of mattes against the truth, for ``bench_quality.py``."""

from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.demo.scenes import Matrix

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

_NEAR = 12
"""Pixels of half size around an object within which pixels are thought to move with it."""


def iou(found: Mask, true: Mask) -> float:
    """Intersection over union; 1 where both are empty."""
    union = np.count_nonzero(found | true)
    return 1.0 if not union else np.count_nonzero(found & true) / union


def boundary_f(found: Mask, true: Mask, tolerance: int = 2) -> float:
    """The boundary F-measure of DAVIS (Perazzi et al., CVPR 2016): harmonic mean of the shares of either border that
    lie within ``tolerance`` pixels of the other; 1 where both are empty."""
    one, other = _border(found), _border(true)
    if not one.any() or not other.any():
        return float(not one.any() and not other.any())
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * tolerance + 1, 2 * tolerance + 1))
    precision = cv2.dilate(other, disc)[one > 0].mean()
    recall = cv2.dilate(one, disc)[other > 0].mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _border(mask: Mask) -> NDArray[np.uint8]:
    filled = mask.astype(np.uint8)
    inner = cv2.erode(filled, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=(1,))
    return np.asarray(filled - inner, np.uint8)


def halved(plane: Plane) -> Plane:
    """At half of the size, each pixel the mean of four."""
    height, width = plane.shape
    return np.asarray(cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.float32)


def flicker(found: Plane, past: Plane, true: Plane, true_past: Plane, step: Matrix, camera: Matrix) -> float:
    """Mean absolute change of a matte from one frame to the next that the true motion does not explain.

    All planes at half size; ``step`` and ``camera`` map the last frame's pixels to this one's at full size. The last
    matte is carried along: with the object where the object is near, with what is behind elsewhere. What then still
    changes counts, less what changes of the true matte carried in the same way (where something else covers it).
    """
    near = cv2.dilate((true_past > 0).astype(np.uint8), np.ones((2 * _NEAR + 1, 2 * _NEAR + 1), np.uint8))
    with_object = _carried(near.astype(np.float32), step) > 0.5
    change = found - np.where(with_object, _carried(past, step), _carried(past, camera))
    true_change = true - np.where(with_object, _carried(true_past, step), _carried(true_past, camera))
    return float(np.abs(change - true_change).mean())


def _carried(plane: Plane, step: Matrix) -> Plane:
    half = np.array(step, np.float64)
    # a pixel's centre is (0.5, 0.5) in a step, and (0, 0) in OpenCV
    half[:, 2] = step[:, 2] / 2 + step[:, :2] @ (0.5, 0.5) - 0.5
    height, width = plane.shape
    return np.asarray(cv2.warpAffine(plane, half, (width, height), flags=cv2.INTER_LINEAR), np.float32)


def delay(found: Plane, truths: "deque[Plane]") -> int:
    """Of how many frames ago the true matte is that a matte is most like. truths: the newest first."""
    return int(np.argmin([float(np.abs(found - true).mean()) for true in truths]))


@dataclass
class Figures:
    """Means over objects and frames of one run. error and flicker are shares of the frame times 1000."""

    iou: list[float] = field(default_factory=list)
    boundary: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    flicker: list[float] = field(default_factory=list)
    delay: list[float] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        for name, values in vars(other).items():
            getattr(self, name).extend(values)

    def means(self) -> dict[str, float | None]:
        """By measure; the delay as the median. None where nothing was measured."""
        found: dict[str, float | None] = {
            name: float(np.mean(values)) if values else None for name, values in vars(self).items()
        }
        found["delay"] = float(np.median(self.delay)) if self.delay else None
        return found


class Judge:
    """Follows one method's mattes of one object through a clip. judged: whether the truth is good enough for more than
    flicker. timed: frames from which the delay is measured, None for not at all."""

    _MEMORY = 15

    def __init__(self, judged: bool, timed: int | None = None) -> None:
        self.figures = Figures()
        self._judged, self._timed = judged, timed
        self._past: tuple[Plane, Plane] | None = None
        self._truths: deque[Plane] = deque(maxlen=self._MEMORY)

    def miss(self, true: Plane) -> None:
        """A frame before the first answer."""
        self._truths.appendleft(halved(true))

    def see(self, number: int, found: Plane, true: Plane, step: Matrix | None, camera: Matrix | None) -> None:
        half, true_half = halved(found), halved(true)
        self._truths.appendleft(true_half)
        if self._judged:
            self.figures.iou.append(iou(found > 0.5, true > 0.5))
            self.figures.error.append(float(np.abs(found - true).mean()) * 1000)
            if number % 3 == 0:  # the dearest measure
                self.figures.boundary.append(boundary_f(found > 0.5, true > 0.5))
        if self._past is not None and step is not None and camera is not None:
            self.figures.flicker.append(flicker(half, self._past[0], true_half, self._past[1], step, camera) * 1000)
        if self._timed is not None and number >= self._timed and true.any():
            self.figures.delay.append(delay(half, self._truths))
        self._past = half, true_half
