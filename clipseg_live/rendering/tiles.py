"""Tiles: selected parts of an image, packed side by side and processed together.

Most pixels in the box around an object are fully covered or not at all. Only pixels near a border need more than the
cheapest formula. Tiles with a border are copied out, changed together and written back. The number of calls does not
grow with the number of tiles.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_CHUNK = 512
"""Tiles that are processed together; their intermediate values fit the processor cache."""

TileSize = tuple[int, int]
"""Height and width in pixels."""

TILE: TileSize = (8, 16)
"""Divides the usual frame sizes."""


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """Selected tiles of planes that are whole tiles high and wide.

    Attributes:
        rows: row of each tile, counted in tiles.
        columns: column of each tile, counted in tiles.
        size: height and width of a tile in pixels.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    size: TileSize

    @classmethod
    def from_marks(cls, marks: NDArray[np.uint8], size: TileSize, scale: int = 1) -> "Tiles":
        """Return the tiles that contain a mark.

        Args:
            marks: uint8 (h, w), 255 or 0; each covers ``scale`` by ``scale`` pixels.
            size: height and width of a tile in pixels.
            scale: width of a mark in pixels.
        """
        high, wide = size[0] // scale, size[1] // scale
        grid = marks.shape[1] // wide, marks.shape[0] // high
        if high % 2 == wide % 2 == 0:  # halving is far faster than any other factor
            halves = marks.shape[1] // 2, marks.shape[0] // 2
            marks = np.asarray(cv2.resize(marks, halves, interpolation=cv2.INTER_AREA), np.uint8).reshape(halves[::-1])
        means = np.asarray(cv2.resize(marks, grid, interpolation=cv2.INTER_AREA), np.uint8).reshape(grid[::-1])
        rows, columns = np.nonzero(means)  # one mark in the largest tile still has a mean of 1
        return cls(rows, columns, size)

    def __len__(self) -> int:
        return len(self.rows)

    def chunks(self) -> Iterator["Tiles"]:
        """Yield the same tiles in chunks."""
        for first in range(0, len(self), _CHUNK):
            chunk = slice(first, first + _CHUNK)
            yield Tiles(self.rows[chunk], self.columns[chunk], self.size)

    def extract(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a copy of these tiles of a plane, uint8 (tiles, pixels) or (tiles, pixels, 3)."""
        copy: NDArray[np.uint8] = self._view(plane)[self.rows, self.columns].view(np.uint8)
        return copy.reshape(len(self), self.size[0] * self.size[1], *plane.shape[2:])

    def put(self, tiles: NDArray[np.uint8], plane: NDArray[np.uint8]) -> None:
        """Write changed tiles back to the plane."""
        view = self._view(plane)
        view[self.rows, self.columns] = tiles.reshape(len(self), -1).view(view.dtype)

    def _view(self, plane: NDArray[np.uint8]) -> NDArray[Any]:
        """Return a view of a plane as (rows, columns, lines) of tiles, each line one item, which is faster to copy."""
        (high, wide), (height, width) = self.size, plane.shape[:2]
        line = wide * (plane.size // (height * width))
        lines = plane.reshape(height // high, high, width // wide, line).view(np.dtype((np.void, line)))
        return lines[..., 0].swapaxes(1, 2)
