"""The published evaluation of CLIPSeg written out plainly: loops over thresholds, images and classes, without reuse.

Nothing of ``clipseg_live.evaluation`` is used here, so that tests can compare with it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.integrate import simpson


def scores(samples: Sequence[tuple[Any, Any, str]], threshold: float) -> dict[str, float]:
    """Return mIoU, IoU_FG, IoU_BIN and AP in percent.

    Args:
        samples: Probability map, truth and class of each sample; maps and truths have the same size.
        threshold: One of the 49 thresholds.
    """
    thresholds = [number / 50 for number in range(1, 50)]
    chosen = [round(t, 2) for t in thresholds].index(round(threshold, 2))
    tp, fp, fn, tn = ([0] * 49 for _ in range(4))
    by_class: dict[str, list[list[int]]] = {}
    for probability, truth, name in samples:
        own = by_class.setdefault(name, [[0] * 49 for _ in range(3)])
        for index, t in enumerate(thresholds):
            predicted = probability > np.float32(t)
            hits = int((predicted & truth).sum())
            false = int((predicted & ~truth).sum())
            missed = int((~predicted & truth).sum())
            tp[index] += hits
            fp[index] += false
            fn[index] += missed
            tn[index] += int((~predicted & ~truth).sum())
            for row, value in enumerate((hits, false, missed)):
                own[row][index] += value
    pairs = set()
    for index in range(49):
        if tp[index] + fp[index] > 0:
            recall = tp[index] / (1 + tp[index] + fn[index])
            pairs.add((recall, tp[index] / (1 + tp[index] + fp[index])))
    curve = sorted(pairs)
    ap = simpson([precision for _, precision in curve], x=[recall for recall, _ in curve])
    foreground = tp[chosen] / (1 + tp[chosen] + fp[chosen] + fn[chosen])
    background = tn[chosen] / (1 + tn[chosen] + fp[chosen] + fn[chosen])
    ious = []
    for hits, false, missed in by_class.values():
        if hits[0] + missed[0]:
            ious.append(hits[chosen] / (1 + hits[chosen] + false[chosen] + missed[chosen]))
    return {
        "mIoU": 100 * sum(ious) / len(ious),
        "IoU_FG": 100 * foreground,
        "IoU_BIN": 100 * (foreground + background) / 2,
        "AP": 100 * float(ap),
    }
