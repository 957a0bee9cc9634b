"""Tiles: where something happens in a picture, packed side by side and worked on as one.

Most of what lies inside the box around an object is wholly covered, or not at all; only what is near a border needs
more than the cheapest of formulas. Tiles with a border are taken out, changed together and put back, in a number of
calls that does not grow with their number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_CHUNK = 512
"""Tiles that are worked on together: what is between stays in the processor's cache."""

TileSize = tuple[int, int]
"""Height and width in pixels."""

TILE: TileSize = (8, 16)
"""Of the usual frame sizes, both are divisors."""


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """Some tiles of planes that are whole tiles high and wide. rows, columns: where each is, counted in tiles."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    size: TileSize

    @classmethod
    def marked(cls, marks: NDArray[np.uint8], size: TileSize, scale: int = 1) -> "Tiles":
        """Those that hold a mark. marks: uint8 (h, w), 255 or 0, one for ``scale`` pixels each way."""
        high, wide = size[0] // scale, size[1] // scale
        grid = marks.shape[1] // wide, marks.shape[0] // high
        if high % 2 == wide % 2 == 0:  # halving is far quicker than any other way to shrink
            halves = marks.shape[1] // 2, marks.shape[0] // 2
            marks = np.asarray(cv2.resize(marks, halves, interpolation=cv2.INTER_AREA), np.uint8).reshape(halves[::-1])
        means = np.asarray(cv2.resize(marks, grid, interpolation=cv2.INTER_AREA), np.uint8).reshape(grid[::-1])
        rows, columns = np.nonzero(means)  # one mark in the largest tile still has a mean of 1
        return cls(rows, columns, size)

    def __len__(self) -> int:
        return len(self.rows)

    def chunks(self) -> Iterator["Tiles"]:
        """The same tiles, some at a time."""
        for first in range(0, len(self), _CHUNK):
            some = slice(first, first + _CHUNK)
            yield Tiles(self.rows[some], self.columns[some], self.size)

    def taken(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy of these tiles of a plane, uint8 (tiles, pixels) or (tiles, pixels, 3)."""
        found: NDArray[np.uint8] = self._view(plane)[self.rows, self.columns].view(np.uint8)
        return found.reshape(len(self), self.size[0] * self.size[1], *plane.shape[2:])

    def put(self, changed: NDArray[np.uint8], plane: NDArray[np.uint8]) -> None:
        """Write what was taken back into the plane."""
        view = self._view(plane)
        view[self.rows, self.columns] = changed.reshape(len(self), -1).view(view.dtype)

    def _view(self, plane: NDArray[np.uint8]) -> NDArray[Any]:
        """A plane as (rows, columns, lines) of tiles, each line in one piece: that is quicker to copy."""
        (high, wide), (height, width) = self.size, plane.shape[:2]
        line = wide * (plane.size // (height * width))
        lines = plane.reshape(height // high, high, width // wide, line).view(np.dtype((np.void, line)))
        return lines[..., 0].swapaxes(1, 2)
