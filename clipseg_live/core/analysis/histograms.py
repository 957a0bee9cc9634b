"""Histograms of probability maps, and a threshold that follows from one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 100
"""Number of bins. Bin k holds probabilities from k/100 up to, but not including, (k+1)/100; the last one includes 1."""
_MOST_SIDE = 120
"""Maps with longer sides are sampled, which changes shares by less than the width of a pixel on the screen."""

BinCounts = NDArray[np.int64]
"""Number of samples in each bin, int64 (BINS,)."""


@dataclass(frozen=True, slots=True, eq=False)
class MapHistogram:
    """Histograms of the probability maps of one prompt.

    Attributes:
        frame: BinCounts of the newest predicted frame, read-only.
        clip: BinCounts of all frames that were predicted since the prompt or the source changed, read-only.
        frames: Number of these frames.
    """

    frame: BinCounts
    clip: BinCounts
    frames: int


def count_probabilities(prob_map: NDArray[np.float32]) -> BinCounts:
    """Return the histogram of a probability map, read-only.

    Args:
        prob_map: float32 (height, width), 0..1 and finite.
    """
    step = -(-max(prob_map.shape) // _MOST_SIDE)
    levels = (prob_map[::step, ::step] * np.float32(BINS)).astype(np.int64).clip(0, BINS - 1)
    counts = np.bincount(levels.ravel(), minlength=BINS)
    counts.setflags(write=False)
    return counts


def otsu_threshold(counts: BinCounts, least: float) -> float | None:
    """Return the threshold that separates a histogram best by Otsu's method, in steps of 1/BINS.

    It maximises the variance between the two classes (N. Otsu, A Threshold Selection Method from Gray-Level Histograms,
    IEEE Transactions on Systems, Man, and Cybernetics 9(1), 1979, equation 18).

    Args:
        counts: Histogram.
        least: Lowest mean probability of the upper class, 0..1.

    Returns:
        The threshold, or None if the mean above it is lower than ``least``: the prompt was probably in no frame, and
        the threshold would separate noise.
    """
    total = counts.sum()
    if total == 0:
        return None
    centres = (np.arange(BINS) + 0.5) / BINS
    below = np.cumsum(counts)[:-1] / total
    mean_below = np.cumsum(counts * centres)[:-1] / total
    mean = float(counts @ centres / total)
    product = below * (1 - below)
    between = np.zeros(BINS - 1)
    np.divide((mean * below - mean_below) ** 2, product, out=between, where=product > 0)
    if between.max() <= 0:
        return None
    # classes without samples between them give a range of equal maxima: take its middle
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    cut = round(float(best.mean()))
    upper = counts[cut + 1 :]
    mean_above = float(upper @ centres[cut + 1 :] / max(int(upper.sum()), 1))
    return None if mean_above < least else (cut + 1) / BINS
