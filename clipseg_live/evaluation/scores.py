"""Scores of probability maps against ground truth: the arithmetic of the published evaluation of CLIPSeg.

Lüddecke and Ecker (arXiv:2112.10003) and their published scorer use 49 thresholds, ``p > t`` in float32, counts that
are summed over the data set, and 1 added to every denominator. Sums of several images are sums of their counts, so
they can be merged, kept in files and resampled.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLDS: NDArray[np.float64] = np.linspace(0, 1, 51)[1:-1]
"""The 49 thresholds 0.02, 0.04, ... 0.98."""
LEVEL_COUNT = len(THRESHOLDS) + 1
_STEPS = THRESHOLDS.astype(np.float32)  # a map of float32 is compared with a threshold of float32
_BELOW = np.append(np.float32(-np.inf), _STEPS)
_ABOVE = np.append(_STEPS, np.float32(np.inf))
"""Threshold below and above each level."""
_GUESS = np.float32(LEVEL_COUNT)
_STRIP = 1 << 16
"""Pixels that are counted at once, so that intermediate values stay in the processor's cache."""

Counts = NDArray[np.int64]
"""Pixels by truth and level: int64 (2, 50). ``counts[1, k]`` is the number of object pixels whose probability is above
exactly k thresholds, ``counts[0, k]`` that of background pixels."""


def count_levels(
    probability: NDArray[np.float32], truth: NDArray[np.bool_], valid: NDArray[np.bool_] | None = None
) -> Counts:
    """Return the counts of one map.

    Args:
        probability: float32 (height, width), 0..1.
        truth: bool (height, width), True for object pixels.
        valid: bool (height, width), False for pixels that are left out. None: all pixels count.

    Returns:
        int64 (2, 50), as ``Counts`` describes.
    """
    if valid is not None:
        probability, truth = probability[valid], truth[valid]
    total = np.zeros(2 * LEVEL_COUNT, np.int64)
    values, objects = probability.ravel(), truth.ravel()
    for first in range(0, values.size, _STRIP):
        strip = values[first : first + _STRIP]
        level = np.minimum(strip * _GUESS, np.float32(LEVEL_COUNT - 1)).astype(np.uint8)
        # Rounding of the product may be one level off in either direction.
        level -= strip <= _BELOW[level]
        level += strip > _ABOVE[level]
        level += objects[first : first + _STRIP] * np.uint8(LEVEL_COUNT)
        total += np.bincount(level, minlength=2 * LEVEL_COUNT)
    return total.reshape(2, LEVEL_COUNT)


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """Pixels at each threshold, of any number of sums at once: (..., 49) each.

    Attributes:
        tp: True positives.
        fp: False positives.
        fn: False negatives.
        tn: True negatives.
    """

    tp: NDArray[Any]
    fp: NDArray[Any]
    fn: NDArray[Any]
    tn: NDArray[Any]

    @staticmethod
    def of(counts: NDArray[Any]) -> "Confusion":
        """Return the pixels at each threshold.

        Args:
            counts: (..., 2, 50), integers or, for weighted sums, floating-point numbers.
        """
        below = counts.cumsum(axis=-1)[..., :-1]
        above = counts.sum(axis=-1, keepdims=True) - below
        return Confusion(above[..., 1, :], above[..., 0, :], below[..., 1, :], below[..., 0, :])

    @property
    def foreground_iou(self) -> NDArray[np.float64]:
        """IoU_FG, (..., 49): tp / (1 + tp + fp + fn)."""
        return np.asarray(self.tp / (1 + self.tp + self.fp + self.fn))

    @property
    def binary_iou(self) -> NDArray[np.float64]:
        """IoU_BIN, (..., 49): the mean of IoU_FG and of the IoU of the background."""
        return np.asarray(0.5 * self.foreground_iou + 0.5 * (self.tn / (1 + self.tn + self.fn + self.fp)))

    @property
    def precision(self) -> NDArray[np.float64]:
        """Precision, (..., 49): tp / (1 + tp + fp)."""
        return np.asarray(self.tp / (1 + self.tp + self.fp))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Recall, (..., 49): tp / (1 + tp + fn)."""
        return np.asarray(self.tp / (1 + self.tp + self.fn))


def average_precision(counts: NDArray[Any]) -> float:
    """Return AP: Simpson's rule over the unique pairs of recall and precision, sorted by recall, then precision.

    Thresholds above which there is no pixel have no precision and are left out. Without any pixel above a threshold the
    result is 0.

    Args:
        counts: (2, 50), as for ``Confusion.of``.
    """
    at = Confusion.of(counts)
    predicted = at.tp + at.fp > 0
    pairs = np.unique(np.stack([at.recall[predicted], at.precision[predicted]], axis=1), axis=0)
    return simpson(pairs[:, 1], pairs[:, 0])


def simpson(values: NDArray[np.float64], positions: NDArray[np.float64]) -> float:
    """Integrate samples at uneven positions by Simpson's rule.

    Two intervals at a time are integrated by the parabola through their three samples. The last of an odd number of
    intervals is integrated by the parabola through the last three samples (Cartwright, JMLR 18, 2017, equation 8).
    A term whose denominator is 0, at repeated positions, is left out. These are the conventions of SciPy since 1.11.

    Args:
        values: float64 (samples,).
        positions: float64 (samples,), ascending.
    """
    count = len(values)
    if count < 2:
        return 0.0
    steps = np.diff(positions)
    if count == 2:
        return float(0.5 * steps[0] * values.sum())
    paired = (count - 1) // 2 * 2
    first, second = steps[0:paired:2], steps[1:paired:2]
    both, ratio = first + second, _quotient(first, second)
    left, middle, right = values[0:paired:2], values[1:paired:2], values[2 : paired + 1 : 2]
    parabolas = left * (2 - _quotient(np.ones_like(ratio), ratio)) + right * (2 - ratio)
    total = (both / 6 * (parabolas + middle * both * _quotient(both, first * second))).sum()
    if paired < count - 1:
        before, last = steps[-2:]
        weights = [
            _quotient(2 * last**2 + 3 * before * last, 6 * (before + last)),
            _quotient(last**2 + 3 * before * last, 6 * before),
            -_quotient(last**3, 6 * before * (before + last)),
        ]
        total += sum(float(weight) * value for weight, value in zip(weights, values[:-4:-1], strict=True))
    return float(total)


def _quotient(numerator: Any, denominator: Any) -> Any:
    """Return a quotient; 0 where the denominator is 0."""
    denominator = np.asarray(denominator, np.float64)
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator != 0)


def sum_by_group(counts: NDArray[Any], groups: NDArray[np.intp], count: int) -> NDArray[Any]:
    """Return the sums of counts by group.

    Args:
        counts: (targets, 2, 50).
        groups: Group of each target, from 0.
        count: Number of groups.

    Returns:
        (count, 2, 50), of the same type.
    """
    sums = np.zeros((count, *counts.shape[1:]), counts.dtype)
    np.add.at(sums, groups, counts)
    return sums


def mean_iou(sums: NDArray[Any]) -> NDArray[np.float64]:
    """Return mIoU at each threshold, (49,): the mean of IoU_FG over the classes that have an object.

    A class without any object pixel in the data set has no IoU. Its false positives count in IoU_FG and AP.

    Args:
        sums: (classes, 2, 50).
    """
    present = sums[:, 1].sum(axis=-1) > 0
    if not present.any():
        return np.zeros(len(THRESHOLDS))
    return np.asarray(Confusion.of(sums[present]).foreground_iou.mean(axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of a data set. All are shares, 0..1; curves have one value for each of ``THRESHOLDS``.

    Attributes:
        threshold: Threshold of the single scores.
        mean_iou: mIoU.
        foreground_iou: IoU_FG.
        binary_iou: IoU_BIN.
        ap: AP.
        precision: Precision at the threshold.
        recall: Recall at the threshold.
        best_threshold: The lowest threshold with the largest mIoU.
        best_mean_iou: mIoU at ``best_threshold``.
        curves: Curves of mIoU, IoU_FG, IoU_BIN, precision and recall, float64 (5, 49).
    """

    threshold: float
    mean_iou: float
    foreground_iou: float
    binary_iou: float
    ap: float
    precision: float
    recall: float
    best_threshold: float
    best_mean_iou: float
    curves: NDArray[np.float64]

    @staticmethod
    def of(counts: NDArray[Any], classes: NDArray[np.intp], threshold: int) -> "Scores":
        """Return the scores of some targets.

        Args:
            counts: (targets, 2, 50).
            classes: Class of each target.
            threshold: Index of the threshold.
        """
        _, groups = np.unique(classes, return_inverse=True)
        total = counts.sum(axis=0)
        at = Confusion.of(total)
        means = mean_iou(sum_by_group(counts, groups.astype(np.intp), int(groups.max(initial=-1)) + 1))
        best = int(means.argmax())
        curves = np.stack([means, at.foreground_iou, at.binary_iou, at.precision, at.recall])
        single = [float(value) for value in curves[:, threshold]]
        return Scores(
            threshold=float(THRESHOLDS[threshold]), mean_iou=single[0], foreground_iou=single[1], binary_iou=single[2],
            ap=average_precision(total), precision=single[3], recall=single[4],
            best_threshold=float(THRESHOLDS[best]), best_mean_iou=float(means[best]), curves=curves,
        )  # fmt: skip


def threshold_index(value: float) -> int | None:
    """Return the index of a threshold in ``THRESHOLDS``; None if it is not one of them."""
    index = int(np.abs(THRESHOLDS - value).argmin())
    return index if abs(THRESHOLDS[index] - value) < 1e-9 else None
