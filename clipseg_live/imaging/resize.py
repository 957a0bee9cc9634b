"""Resizing of probability maps to the frame's size, for everything that is drawn or written."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.imaging.buffers import SCRATCH

_STRIP = 1 << 16
"""Pixels of a strip, so that intermediate values stay in the processor's cache."""


def resize_map(probability: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Resize a map to (height, width), bilinear with half-pixel centres.

    Args:
        probability: float32 (h, w).
        height: Height of the result in pixels.
        width: Width of the result in pixels.

    Returns:
        float32 (height, width); the same array if the size is right.
    """
    if probability.shape == (height, width):
        return probability
    resized = np.empty((height, width), np.float32)
    for rows, strip in resized_strips(probability, height, width, slice(0, height), slice(0, width)):
        resized[rows] = strip
    return resized


def resized_strips(
    probability: NDArray[np.float32], height: int, width: int, rows: slice, columns: slice
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Resize a part of a map; bit-identical to ``resize_map``, at a cost that depends on the size of the part.

    Args:
        probability: float32 (h, w).
        height: Height of the whole resized map in pixels.
        width: Width of the whole resized map in pixels.
        rows: Rows of the part.
        columns: Columns of the part.

    Yields:
        Strips from top to bottom, each with its rows within the part. A strip is valid until the next one is requested.
    """
    if probability.shape == (height, width):
        yield slice(0, rows.stop - rows.start), probability[rows, columns]
        return
    across, down = (
        _Ramp.between(probability.shape[1], width, columns),
        _Ramp.between(probability.shape[0], height, rows),
    )
    part = cv2.transpose(probability[down.used_lines, across.used_lines])
    wide = np.empty((across.count, part.shape[1]), np.float32)
    for span, strip in across.strips(part, "resized columns"):
        wide[span] = strip
    yield from down.strips(cv2.transpose(wide), "resized rows")


@dataclass(frozen=True, slots=True, eq=False)
class _Ramp:
    """Linear interpolation between lines.

    Attributes:
        used_lines: Lines that are used.
        above: Index of the used line before each new line, intp (count,).
        weights: Distance of each new line from that line, float32 (count, 1).
    """

    used_lines: slice
    above: NDArray[np.intp]
    weights: NDArray[np.float32]

    @classmethod
    def between(cls, old: int, new: int, part: slice) -> "_Ramp":
        """Return the interpolation from ``old`` lines to ``part`` of ``new`` lines."""
        above, weights = positions(old, new)
        above = above[part]
        used_lines = slice(int(above[0]), min(int(above[-1]) + 2, old))
        return cls(used_lines, above - used_lines.start, weights[part])

    @property
    def count(self) -> int:
        """Number of new lines."""
        return len(self.above)

    def strips(self, lines: NDArray[Any], name: str) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield new lines, several at a time.

        Args:
            lines: The needed lines, contiguous.
            name: Name of the buffer.
        """
        rises = SCRATCH.take(name + " rises", lines.shape, np.float32)
        np.subtract(lines[1:], lines[:-1], out=rises[:-1])
        rises[-1] = 0
        step = max(1, _STRIP // lines.shape[1])
        for first in range(0, self.count, step):
            span = slice(first, min(first + step, self.count))
            near = self.above[span]
            strip = SCRATCH.take(name, (len(near), lines.shape[1]), np.float32)
            rise = SCRATCH.take(name + " rise", strip.shape, np.float32)
            np.take(lines, near, axis=0, out=strip, mode="clip")
            np.take(rises, near, axis=0, out=rise, mode="clip")
            rise *= self.weights[span]
            strip += rise
            yield span, strip


@lru_cache(maxsize=16)
def positions(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the position of each of ``new`` lines among ``old`` lines.

    Returns:
        Index of the old line before each new line, (new,), and the distance from it, (new, 1).
    """
    centres = ((np.arange(new) + 0.5) * (old / new) - 0.5).clip(0, old - 1)
    above = np.minimum(centres.astype(np.intp), max(old - 2, 0))
    return above, (centres - above).astype(np.float32)[:, None]
