"""Results of an evaluation as a CSV table: a row for each run, class and size."""

import csv
import io

from clipseg_live.evaluation.summary import Evaluation, GroupScores, RunResult

COLUMNS = (
    "data", "protocol", "model", "dtype", "prompts", "group", "name", "targets", "threshold", "mIoU", "IoU_FG",
    "IoU_BIN", "AP", "precision", "recall", "boundary_F", "best_threshold", "best_mIoU",
)  # fmt: skip
"""Columns. Shares are in percent; ``group`` is "all", "class" or "size"."""


def to_csv(evaluation: Evaluation) -> str:
    """Return the table."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for run in evaluation.runs:
        groups = [("all", run.whole), *(("class", each) for each in run.by_class)]
        for kind, group in (*groups, *(("size", each) for each in run.by_size)):
            writer.writerow(_row(evaluation, run, kind, group))
    return file.getvalue()


def _row(evaluation: Evaluation, run: RunResult, kind: str, group: GroupScores) -> list[object]:
    scores = group.scores
    shares = (
        scores.mean_iou, scores.foreground_iou, scores.binary_iou, scores.ap, scores.precision, scores.recall,
        group.boundary,
    )  # fmt: skip
    percents = ["" if share is None else repr(100 * share) for share in shares]
    return [
        evaluation.data, evaluation.protocol, run.name.model, run.name.dtype, run.name.prompts, kind, group.name,
        group.targets, f"{scores.threshold:.2f}", *percents, f"{scores.best_threshold:.2f}",
        repr(100 * scores.best_mean_iou),
    ]  # fmt: skip
