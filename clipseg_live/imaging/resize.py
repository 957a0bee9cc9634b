"""One way to bring a probability map to a picture's size, for everything that is drawn or written."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.imaging.buffers import SCRATCH

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
    across, down = (
        _Ramp.between(probability.shape[1], width, columns),
        _Ramp.between(probability.shape[0], height, rows),
    )
    part = cv2.transpose(probability[down.needed, across.needed])
    wide = np.empty((across.count, part.shape[1]), np.float32)
    for where, strip in across.strips(part, "resized columns"):
        wide[where] = strip
    yield from down.strips(cv2.transpose(wide), "resized rows")


@dataclass(frozen=True, slots=True, eq=False)
class _Ramp:
    """Linear interpolation from lines to others between them.

    needed: the lines that are used. above: for each new line the one of these before it, intp (count,). weights: how
    far it lies after that, float32 (count, 1).
    """

    needed: slice
    above: NDArray[np.intp]
    weights: NDArray[np.float32]

    @classmethod
    def between(cls, old: int, new: int, part: slice) -> "_Ramp":
        """From ``old`` lines to those of ``new`` that are in ``part``."""
        above, weights = positions(old, new)
        above = above[part]
        needed = slice(int(above[0]), min(int(above[-1]) + 2, old))
        return cls(needed, above - needed.start, weights[part])

    @property
    def count(self) -> int:
        return len(self.above)

    def strips(self, lines: NDArray[Any], name: str) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """New lines, several at a time; ``lines`` are the needed ones, contiguous."""
        rises = SCRATCH.take(name + " rises", lines.shape, np.float32)
        np.subtract(lines[1:], lines[:-1], out=rises[:-1])
        rises[-1] = 0
        most = max(1, _STRIP // lines.shape[1])
        for first in range(0, self.count, most):
            where = slice(first, min(first + most, self.count))
            near = self.above[where]
            strip = SCRATCH.take(name, (len(near), lines.shape[1]), np.float32)
            rise = SCRATCH.take(name + " rise", strip.shape, np.float32)
            np.take(lines, near, axis=0, out=strip, mode="clip")
            np.take(rises, near, axis=0, out=rise, mode="clip")
            rise *= self.weights[where]
            strip += rise
            yield where, strip


@lru_cache(maxsize=16)
def positions(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """For each of ``new`` lines the one of ``old`` before it, and how far it lies after that, (new, 1)."""
    centres = ((np.arange(new) + 0.5) * (old / new) - 0.5).clip(0, old - 1)
    above = np.minimum(centres.astype(np.intp), max(old - 2, 0))
    return above, (centres - above).astype(np.float32)[:, None]
