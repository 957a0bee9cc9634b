"""Results of an evaluation: the scores of each run, by class and by size, and its worst targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipseg_live.evaluation.bootstrap import RESAMPLED, Interval, intervals, resample
from clipseg_live.evaluation.dataset import TrueSet
from clipseg_live.evaluation.runner import TargetScore
from clipseg_live.evaluation.scores import THRESHOLDS, Confusion, Scores, threshold_index

SIZES = (("absent", 0.0), ("small", 0.01), ("medium", 0.1), ("large", 1.0))
"""Name of each size, and the largest share of the image that its objects cover."""
CURVES = ("mIoU", "IoU_FG", "IoU_BIN", "precision", "recall")
"""Names of the rows of ``Scores.curves``."""


@dataclass(frozen=True, slots=True)
class RunName:
    """Model, precision, engine and prompts of a run.

    Attributes:
        model: Name of the model.
        dtype: Precision that was used.
        engine: Library and device that ran the model.
        prompts: Name of the set of prompts; "" if there is only one.
    """

    model: str
    dtype: str
    engine: str
    prompts: str = ""

    def __str__(self) -> str:
        return " · ".join(filter(None, (self.model, self.dtype, self.prompts)))


@dataclass(frozen=True, slots=True)
class GroupScores:
    """Scores of a part of the targets: a class or a size.

    Attributes:
        name: Name of the group.
        targets: Number of targets.
        boundary: Mean boundary F-measure, 0..1; None without an object.
        scores: Scores of the group.
    """

    name: str
    targets: int
    boundary: float | None
    scores: Scores


@dataclass(frozen=True, slots=True)
class WorstTarget:
    """A target with a low overlap.

    Attributes:
        image: Name of the image.
        category: Class.
        iou: IoU at the threshold, 0..1.
        wrong: Share of the pixels that are wrong, 0..1.
        number: Number of the image in the data set.
        picture: JPEG with the hits in green, false pixels in red and missed ones in blue; empty if it was not drawn.
    """

    image: str
    category: str
    iou: float
    wrong: float
    number: int
    picture: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class RunResult:
    """Result of one run.

    Attributes:
        name: What was run.
        whole: Scores of all targets.
        intervals: Confidence interval of each score in ``bootstrap.RESAMPLED``, by its name.
        differences: Confidence interval of the difference from the first run, by the name of the score; empty for the
            first run.
        by_class: Scores of each class, the worst first.
        by_size: Scores by the size of the object.
        worst: The worst targets, the worst first.
        images: Number of images.
        flicker: Mean flicker of the videos, 0..1; None without videos.
        delay: Median delay in frames; None without videos.
        notices: Sentences for the user.
    """

    name: RunName
    whole: GroupScores
    intervals: Mapping[str, Interval]
    differences: Mapping[str, Interval]
    by_class: tuple[GroupScores, ...]
    by_size: tuple[GroupScores, ...]
    worst: tuple[WorstTarget, ...]
    images: int
    flicker: float | None
    delay: float | None
    notices: tuple[str, ...] = ()

    def figures(self) -> dict[str, Any]:
        """Return the single scores as plain values: shares in percent, thresholds from 0 to 1."""
        scores = self.whole.scores
        values = (scores.mean_iou, scores.foreground_iou, scores.binary_iou, scores.ap)
        return {
            "threshold": _threshold(scores.threshold),
            **{name: 100 * value for name, value in zip(RESAMPLED, values, strict=True)},
            "precision": 100 * scores.precision,
            "recall": 100 * scores.recall,
            "boundary_F": _percent(self.whole.boundary),
            "best_threshold": _threshold(scores.best_threshold),
            "best_mIoU": 100 * scores.best_mean_iou,
            "flicker": _percent(self.flicker),
            "delay": self.delay,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all results as plain values for JSON, shares in percent."""
        return {
            "model": self.name.model, "dtype": self.name.dtype, "engine": self.name.engine,
            "prompts": self.name.prompts, "images": self.images, "targets": self.whole.targets,
            **self.figures(),
            "intervals": _plain_intervals(self.intervals),
            "difference_intervals": _plain_intervals(self.differences),
            "by_class": [_plain_group(group) for group in self.by_class],
            "by_size": [_plain_group(group) for group in self.by_size],
            "worst": [
                {"image": each.image, "class": each.category, "IoU": 100 * each.iou, "wrong": 100 * each.wrong}
                for each in self.worst
            ],
            "thresholds": [_threshold(value) for value in THRESHOLDS],
            "curves": {
                name: (100 * row).tolist() for name, row in zip(CURVES, self.whole.scores.curves, strict=True)
            },
            "notices": list(self.notices),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Result of an evaluation.

    Attributes:
        data: Name of the data set.
        layout: Its layout.
        protocol: "app" or "paper".
        runs: Results, in the order of models, precisions and prompts.
        notices: Sentences for the user about the data set.
    """

    data: str
    layout: str
    protocol: str
    runs: tuple[RunResult, ...]
    notices: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return all results as plain values for JSON. The single scores are those of the first run."""
        return {
            "data": self.data,
            "layout": self.layout,
            "protocol": self.protocol,
            **self.runs[0].figures(),
            "runs": [run.to_dict() for run in self.runs],
            "notices": list(self.notices),
        }


@dataclass(frozen=True, slots=True, eq=False)
class RunScores:
    """Results of a run as arrays, in the order of the targets.

    Attributes:
        targets: The results.
        counts: int64 (targets, 2, 50).
        classes: Class of each target in mIoU.
        images: Number of the image of each target, from 0 without gaps.
        per_target: Every target is a class of its own in mIoU.
    """

    targets: Sequence[TargetScore]
    counts: NDArray[np.int64]
    classes: NDArray[np.intp]
    images: NDArray[np.intp]
    per_target: bool

    @staticmethod
    def of(data: TrueSet, targets: Sequence[TargetScore]) -> "RunScores":
        """Return the results of a run.

        Args:
            data: The data set.
            targets: Results, at least one.
        """
        numbers = {name: number for number, name in enumerate(data.categories)}
        classes = range(len(targets)) if data.per_target else [numbers[each.category] for each in targets]
        _, images = np.unique([each.number for each in targets], return_inverse=True)
        counts = np.stack([each.sums.counts for each in targets])
        return RunScores(targets, counts, np.array(classes, np.intp), images.astype(np.intp), data.per_target)

    def scores(self, threshold: int, members: Sequence[int]) -> Scores:
        """Return the scores of some targets."""
        chosen = np.array(members, np.intp)
        return Scores.of(self.counts[chosen], self.classes[chosen], threshold)

    def resampled(self, threshold: int) -> NDArray[np.float64]:
        """Return the scores of resampled data sets, as ``bootstrap.resample``."""
        return resample(self.counts, self.classes, self.images, threshold, per_target=self.per_target)


def summarise(
    name: RunName,
    scores: RunScores,
    threshold: float,
    *,
    first: NDArray[np.float64] | None,
    worst: int,
    notices: tuple[str, ...] = (),
) -> tuple[RunResult, NDArray[np.float64]]:
    """Return the result of a run, and its resampled scores.

    Args:
        name: What was run.
        scores: Results of its targets.
        threshold: Threshold of the single scores.
        first: Resampled scores of the first run; None for the first run itself.
        worst: Number of worst targets to list.
        notices: Sentences for the user.
    """
    index = threshold_index(threshold)
    assert index is not None
    resampled = scores.resampled(index)
    shares = np.array([each.sums.share for each in scores.targets])
    places: dict[str, list[int]] = {}
    for place, target in enumerate(scores.targets):
        places.setdefault(target.category, []).append(place)
    by_class = [_group(category, scores, index, members) for category, members in places.items()]
    by_class.sort(key=lambda group: group.scores.foreground_iou)
    sizes = np.searchsorted([limit for _, limit in SIZES], shares)
    by_size = [
        _group(size, scores, index, members.tolist())
        for number, (size, _) in enumerate(SIZES)
        if (members := np.flatnonzero(sizes == number)).size
    ]
    flickers = [each.sums.flicker for each in scores.targets if each.sums.flicker is not None]
    delays = [each.sums.delay for each in scores.targets if each.sums.delay is not None]
    result = RunResult(
        name,
        _group("all", scores, index, range(len(shares))),
        dict(zip(RESAMPLED, intervals(resampled), strict=True)),
        {} if first is None else dict(zip(RESAMPLED, intervals(resampled - first), strict=True)),
        tuple(by_class),
        tuple(by_size),
        worst_targets(scores, index, worst),
        int(scores.images.max()) + 1,
        float(np.mean(flickers)) if flickers else None,
        float(np.median(delays)) if delays else None,
        notices,
    )
    return result, resampled


def _group(name: str, scores: RunScores, index: int, members: Sequence[int]) -> GroupScores:
    chosen = [scores.targets[member].sums for member in members]
    boundaries = [sums.boundary for sums in chosen if sums.share > 0]
    boundary = float(np.mean(boundaries)) if boundaries else None
    return GroupScores(name, len(chosen), boundary, scores.scores(index, members))


def worst_targets(scores: RunScores, index: int, count: int) -> tuple[WorstTarget, ...]:
    """Return the targets with the lowest IoU; among equal ones, those with the most wrong pixels.

    Targets without an object count if pixels are wrong: their IoU is 0.

    Args:
        scores: Results of the targets.
        index: Index of the threshold.
        count: Number of targets.
    """
    at = Confusion.of(scores.counts)
    tp, wrong = at.tp[:, index], at.fp[:, index] + at.fn[:, index]
    shown = np.flatnonzero(tp + wrong > 0)
    iou = tp[shown] / (tp + wrong)[shown]
    share = wrong[shown] / scores.counts[shown].sum(axis=(1, 2))
    found = []
    for place in np.lexsort((-share, iou))[:count]:
        target = scores.targets[int(shown[place])]
        found.append(WorstTarget(target.image, target.category, float(iou[place]), float(share[place]), target.number))
    return tuple(found)


def _plain_group(group: GroupScores) -> dict[str, Any]:
    scores = group.scores
    return {
        "name": group.name, "targets": group.targets, "IoU_FG": 100 * scores.foreground_iou, "AP": 100 * scores.ap,
        "precision": 100 * scores.precision, "recall": 100 * scores.recall, "boundary_F": _percent(group.boundary),
    }  # fmt: skip


def _plain_intervals(values: Mapping[str, Interval]) -> dict[str, list[float]]:
    return {name: [100 * interval.low, 100 * interval.high] for name, interval in values.items()}


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _threshold(value: float) -> float:
    return round(float(value), 2)
