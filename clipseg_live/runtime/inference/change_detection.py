"""Change detection: a frame that looks like the last segmented one need not be segmented again."""

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels

_CELL = 8
_MEAN = 0.6
_LARGEST = 4.0

BlockMeans = NDArray[np.float32]


def block_means(pixels: Pixels) -> BlockMeans:
    """Return the means of cells of 8 by 8 samples: float32 (rows, columns, 3).

    Samples are two pixels apart, or one in a small frame. A change of 60 levels in a spot of 16 by 16 pixels changes a
    cell by some 15 levels. Noise is averaged out.

    Args:
        pixels: Pixels of a frame, uint8 (height, width, 3).
    """
    step = 2 if min(pixels.shape[:2]) >= 4 * _CELL else 1
    coarse = pixels[::step, ::step]
    height, width = coarse.shape[:2]
    starts_down, starts_across = _starts(height), _starts(width)
    sums = np.add.reduceat(np.add.reduceat(coarse, starts_down, axis=0, dtype=np.uint32), starts_across, axis=1)
    counts = np.diff(np.append(starts_down, height))[:, None] * np.diff(np.append(starts_across, width))[None]
    means: BlockMeans = (sums / counts[..., None]).astype(np.float32)
    return means


def is_static(previous: BlockMeans, current: BlockMeans) -> bool:
    """Return whether two samples differ by less than a camera's noise, on average and in every cell."""
    if previous.shape != current.shape:
        return False
    difference = np.abs(previous - current)
    return bool(difference.mean() < _MEAN and difference.max() < _LARGEST)


def _starts(size: int) -> NDArray[np.intp]:
    """Return the starts of the cells. The last cell takes the remaining pixels, so that no cell is tiny."""
    return np.arange(0, max(size - _CELL // 2, 1), _CELL)
