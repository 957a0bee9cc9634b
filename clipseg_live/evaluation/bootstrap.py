"""Confidence intervals by the bootstrap: images are drawn again with replacement (Efron, 1979)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipseg_live.evaluation.scores import Confusion, average_precision

RESAMPLES = 1000
CONFIDENCE = 95.0
"""Percent of the resampled scores inside an interval."""
_SEED = 0
_BLOCK = 50
"""Resamples that are computed at once, which limits the memory."""

RESAMPLED = ("mIoU", "IoU_FG", "IoU_BIN", "AP")
"""Scores of ``resample``, in its order."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of a score, as shares 0..1 (-1..1 for a difference)."""

    low: float
    high: float

    @staticmethod
    def of(values: NDArray[np.float64]) -> "Interval":
        """Return the percentile interval of resampled scores; not finite ones are left out."""
        finite = values[np.isfinite(values)]
        if not finite.size:
            return Interval(0.0, 0.0)
        tail = (100 - CONFIDENCE) / 2
        low, high = np.percentile(finite, (tail, 100 - tail))
        return Interval(float(low), float(high))


def resample(
    counts: NDArray[Any], classes: NDArray[np.intp], images: NDArray[np.intp], threshold: int, *, per_target: bool
) -> NDArray[np.float64]:
    """Return scores of resampled data sets.

    The draws depend only on the number of images, so resamples of several runs on one data set are paired.

    Args:
        counts: int64 (targets, 2, 50).
        classes: Class of each target.
        images: Number of the image of each target, from 0.
        threshold: Index of the threshold.
        per_target: Every target is a class of its own, as in PhraseCut. A target that is drawn twice counts twice.

    Returns:
        float64 (``RESAMPLES``, 4), in the order of ``RESAMPLED``.
    """
    number = int(images.max(initial=0)) + 1
    random = np.random.default_rng(_SEED)
    _, groups = np.unique(classes, return_inverse=True)
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    own = Confusion.of(counts)
    parts = np.stack([each[:, threshold] for each in (own.tp, own.fp, own.fn)], axis=1).astype(np.float64)
    has_object = counts[:, 1].sum(axis=-1) > 0
    results = []
    for first in range(0, RESAMPLES, _BLOCK):
        draws = random.multinomial(number, np.full(number, 1 / number), min(_BLOCK, RESAMPLES - first))
        weights = draws[:, images].astype(np.float64)
        sums = (weights @ flat).reshape(len(weights), *counts.shape[1:])
        if per_target:
            means = _mean_of_targets(weights, parts, has_object)
        else:
            means = _mean_of_classes(weights, parts, has_object, groups)
        at = Confusion.of(sums)
        ap = [average_precision(each) for each in sums]
        columns = [means, at.foreground_iou[:, threshold], at.binary_iou[:, threshold], np.array(ap)]
        results.append(np.stack(columns, axis=1))
    return np.concatenate(results)


def _mean_of_targets(
    weights: NDArray[np.float64], parts: NDArray[np.float64], has_object: NDArray[np.bool_]
) -> NDArray[np.float64]:
    iou = parts[:, 0] / (1 + parts.sum(axis=1))
    used = weights * has_object
    with np.errstate(invalid="ignore"):
        return np.asarray(used @ iou / used.sum(axis=1))


def _mean_of_classes(
    weights: NDArray[np.float64], parts: NDArray[np.float64], has_object: NDArray[np.bool_], groups: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return mIoU of each resample: the mean over the classes of which it has an object."""
    ious, present = [], []
    for group in range(int(groups.max(initial=-1)) + 1):
        members = groups == group
        tp, fp, fn = (weights[:, members] @ parts[members]).T
        ious.append(tp / (1 + tp + fp + fn))
        present.append(weights[:, members] @ has_object[members] > 0)
    shown = np.array(present)
    with np.errstate(invalid="ignore"):
        return np.asarray((np.array(ious) * shown).sum(axis=0) / shown.sum(axis=0))


def intervals(resampled: NDArray[np.float64]) -> Sequence[Interval]:
    """Return the interval of each score of ``resample``."""
    return [Interval.of(column) for column in resampled.T]
