"""One way to bring a probability map to a picture's size, for everything that is drawn or written."""

from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.video.scratch import SCRATCH

_STRIP = 1 << 16
"""Pixels of a strip: what is between stays in the processor's cache."""


def resize_map(probability: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """float32 (h, w) as (height, width): bilinear with half-pixel centres; the same array where the size is right."""
    if probability.shape == (height, width):
        return probability
    resized = np.empty((height, width), np.float32)
    for rows, strip in resized_strips(probability, height, width, slice(0, height), slice(0, width)):
        resized[rows] = strip
    return resized


def resized_strips(
    probability: NDArray[np.float32], height: int, width: int, rows: slice, columns: slice
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """A part of what ``resize_map`` gives, bit by bit the same, at a cost that follows the part's size.

    It comes strip after strip from top to bottom, each with its rows within the part; a strip is valid until the next
    one is asked for.
    """
    if probability.shape == (height, width):
        yield slice(0, rows.stop - rows.start), probability[rows, columns]
        return
    above, weights = _rows(probability.shape[0], height)
    above, weights = above[rows], weights[rows]
    first, last = int(above[0]), min(int(above[-1]) + 2, probability.shape[0])
    wide = cv2.resize(probability[first:last], (width, last - first), interpolation=cv2.INTER_LINEAR)
    wide = np.ascontiguousarray(np.asarray(wide, np.float32).reshape(last - first, width)[:, columns])
    steps = np.zeros_like(wide)
    np.subtract(wide[1:], wide[:-1], out=steps[:-1])
    most = max(1, _STRIP // wide.shape[1])
    for top in range(0, len(above), most):
        near, weight = above[top : top + most] - first, weights[top : top + most]
        strip = SCRATCH.take("resized", (len(near), wide.shape[1]), np.float32)
        step = SCRATCH.take("resized steps", strip.shape, np.float32)
        np.take(wide, near, axis=0, out=strip, mode="clip")
        np.take(steps, near, axis=0, out=step, mode="clip")
        step *= weight
        strip += step
        yield slice(top, top + len(near)), strip


@lru_cache(maxsize=16)
def _rows(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """For each of ``new`` rows the one of ``old`` above it, and how far it lies below that, (new, 1)."""
    centres = ((np.arange(new) + 0.5) * (old / new) - 0.5).clip(0, old - 1)
    above = np.minimum(centres.astype(np.intp), max(old - 2, 0))
    return above, (centres - above).astype(np.float32)[:, None]
