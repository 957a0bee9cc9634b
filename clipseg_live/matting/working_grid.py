"""Working grid: a downscaled frame on which maps are tracked, smoothed and shaped."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.core.protocols import Maps
from clipseg_live.matting.optical_flow import warp
from clipseg_live.matting.temporal_filter import THUMBNAIL, is_cut

GRID_SIDE = 320
"""Largest length of the longer side of the working grid."""
_MOST_PADDING = 2
"""Pixels of the padded frame for each pixel of the frame, above which the frame is reduced in two steps."""
_SUDDEN = 6.0
"""Mean change of brightness in levels above which cuts are checked for."""


@dataclass(frozen=True, slots=True, eq=False)
class DownscaledFrame:
    """Frame on the working grid.

    Attributes:
        size: height and width of the frame in pixels.
        factor: width and height of a pixel of the grid in pixels of the frame. The grid has even sides, and may extend
            beyond the frame by less than two of its pixels.
        grey: uint8 (h, w).
        picture: float32 (h, w, 3), 0..1.
    """

    size: tuple[int, int]
    factor: int
    grey: NDArray[np.uint8]
    picture: NDArray[np.float32]

    @classmethod
    def of(cls, pixels: Pixels) -> "DownscaledFrame":
        """Downscale a frame, uint8 (height, width, 3)."""
        height, width = pixels.shape[:2]
        factor = -(-max(height, width) // GRID_SIDE)
        down, across = -height % (2 * factor), -width % (2 * factor)  # makes the sides of the grid even
        size = (width + across) // factor, (height + down) // factor
        if (height + down) * (width + across) > _MOST_PADDING * height * width:
            # A thin frame: shorten its longer side first, so that the padding of the other stays small.
            if width > height:
                pixels, across = _reduce(_pad(pixels, 0, across), (size[0], height)), 0
            else:
                pixels, down = _reduce(_pad(pixels, down, 0), (width, size[1])), 0
        small = _reduce(_pad(pixels, down, across), size)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8).reshape(size[1], size[0])
        return cls((height, width), factor, grey, small.astype(np.float32) * np.float32(1 / 255))

    def change(self, other: "DownscaledFrame") -> float:
        """Return the mean change of brightness since another frame of the same size, in levels."""
        return float(cv2.absdiff(self.grey, other.grey).mean())

    def follows_cut(self, earlier: "DownscaledFrame") -> bool:
        """Return True if a cut lies between ``earlier`` and this frame."""
        return self.change(earlier) > _SUDDEN and is_cut(_thumbnail(earlier.picture), _thumbnail(self.picture))

    def on_grid(self, maps: Maps) -> NDArray[np.float32]:
        """Resample maps over the frame to the grid, bilinear.

        Args:
            maps: float32 (prompts, rows, columns), over the frame.

        Returns:
            float32 (h, w, prompts), on the grid.
        """
        positions = _positions(maps.shape[1], maps.shape[2], self.size, self.factor, self.grey.shape)
        return warp(np.ascontiguousarray(np.moveaxis(maps, 0, 2)), positions)


@lru_cache(maxsize=8)
def _positions(
    rows: int, columns: int, size: tuple[int, int], factor: int, grid: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the positions of the grid's pixels in maps over a frame.

    Args:
        rows: rows of the maps.
        columns: columns of the maps.
        size: height and width of the frame.
        factor: see ``DownscaledFrame``.
        grid: height and width of the grid.

    Returns:
        float32 (h, w, 2), x and y.
    """
    down = (np.arange(grid[0]) + 0.5) * factor * rows / size[0] - 0.5
    across = (np.arange(grid[1]) + 0.5) * factor * columns / size[1] - 0.5
    return np.stack(np.meshgrid(across, down), axis=-1).astype(np.float32)


def _pad(pixels: Pixels, down: int, across: int) -> Pixels:
    if not (down or across):
        return pixels
    return np.asarray(cv2.copyMakeBorder(pixels, 0, down, 0, across, cv2.BORDER_REPLICATE), np.uint8)


def _reduce(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return pixels reduced to a size of (width, height) by averaging; the same array if they have that size."""
    if size == (pixels.shape[1], pixels.shape[0]):
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8).reshape(size[1], size[0], 3)


def _thumbnail(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    small = cv2.resize(picture, THUMBNAIL[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small * 255, np.uint8)
