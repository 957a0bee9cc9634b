"""Full size: the matte of a frame from its coverage on the working grid.

A guided filter with a small radius places the border of the coverage in the image. Its coefficients are enlarged and
applied to the frame, in tiles, and only where the border lies.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import FloatPlane, Pixels
from clipseg_live.core.mattes import Box, disjoint
from clipseg_live.imaging.buffers import SCRATCH
from clipseg_live.matting.edges.guided_filter import GuidedFilter, apply_coefficients
from clipseg_live.matting.edges.token_grid import Slices

_RADIUS = 4
"""Radius of the filter in pixels of the working grid."""
_FLAT = 1e-4
"""Variance of colour (0..1) that counts as none."""
_CRISP = 1.4
"""Factor by which the filtered border is made steeper."""
_TILE, _MOST_BOXES = 8, 24
_MAX_PIXELS = 8 << 20
"""Pixels of the frame that are processed at once."""


class BorderFilter:
    """Exact borders of any number of coverages of one image.

    Args:
        picture: float32 (h, w, 3), 0..1, the frame on the working grid.
        exact: place borders exactly. Otherwise they are as smooth as the coverage.
    """

    def __init__(self, picture: NDArray[np.float32], exact: bool = True) -> None:
        self._picture = picture
        self._filter = GuidedFilter(picture, _RADIUS, _FLAT) if exact else None

    def matte(self, coverage: FloatPlane) -> "SmallMatte":
        """Return the matte with the border of a coverage placed in the image.

        Args:
            coverage: float32 (h, w), 0..1, with 0.5 at the border.
        """
        box = _box_around(coverage > 0, 2 * _RADIUS + 1, _TILE)
        if box is None:
            return SmallMatte(np.zeros((0, 0, 4), np.float32), self._picture[:0, :0], 0, 0)
        area = slices_of(box)
        part = coverage[area]
        if self._filter is None:
            flat = np.zeros_like(part)
            coefficients = np.asarray(cv2.merge([flat, flat, flat, part]), np.float32)
        else:
            coefficients = self._filter.coefficients(part, area)
        return SmallMatte(coefficients, self._picture[area], box[0], box[1])


class SmallMatte:
    """Matte on the working grid, which can be enlarged to full size.

    Args:
        coefficients: float32 (h, w, 4) of ``GuidedFilter``, for a part of the working grid.
        picture: float32 (h, w, 3), the frame in that part.
        left: first column of the part, a multiple of the tile size.
        top: first row of the part, a multiple of the tile size.
    """

    def __init__(self, coefficients: NDArray[np.float32], picture: NDArray[np.float32], left: int, top: int) -> None:
        self._coefficients, self._left, self._top = coefficients, left, top
        self._full = self._border = np.zeros((0, 0), np.bool_)
        if not coefficients.size:
            return
        minimum, maximum = _extremes(
            (apply_coefficients(coefficients, picture) - np.float32(0.5)) * np.float32(_CRISP) + 0.5
        )
        self._full = minimum > 0.996
        self._border = (maximum > 0.004) & ~self._full

    def alpha(self, pixels: Pixels, factor: int) -> tuple[NDArray[np.uint8], list[Box]]:
        """Return the matte over the frame, uint8 (height, width), and boxes around everything it covers.

        Only tiles with a border are computed.

        Args:
            pixels: uint8 (height, width, 3), the frame.
            factor: width and height of a pixel of the grid in pixels of the frame.
        """
        height, width = pixels.shape[:2]
        alpha = np.zeros((height, width), np.uint8)
        if not self._full.size:
            return alpha, []
        side, x0, y0 = _TILE * factor, self._left * factor, self._top * factor
        target = alpha[y0:, x0:]
        for top, bottom, left, right in _runs(self._full):
            target[top * side : bottom * side, left * side : right * side] = 255
        # Tiles of a thin frame are many pixels long: enlarge a run of them in parts.
        step = max(_MAX_PIXELS // (min(side, height) * min(side, width)), 1)
        for top, bottom, left, right in _runs(self._border):
            for start in range(left, right, step):
                self._fill(target, pixels[y0:, x0:], factor, top, bottom, start, min(start + step, right))
        tiles = mask_boxes(self._border | self._full)
        boxes = [
            (x0 + x * side, y0 + y * side, min(x0 + r * side, width), min(y0 + b * side, height))
            for x, y, r, b in tiles
        ]
        return alpha, [box for box in boxes if box[0] < box[2] and box[1] < box[3]]

    def _fill(
        self, alpha: NDArray[np.uint8], pixels: Pixels, factor: int, top: int, bottom: int, left: int, right: int
    ) -> None:
        """Fill one run of tiles, with positions in tiles."""
        grid = self._coefficients
        rows = slice(max(top * _TILE - 1, 0), min(bottom * _TILE + 1, grid.shape[0]))
        columns = slice(max(left * _TILE - 1, 0), min(right * _TILE + 1, grid.shape[1]))
        part = grid[rows, columns]
        y, x = top * _TILE * factor, left * _TILE * factor
        inner = pixels[y : bottom * _TILE * factor, x : right * _TILE * factor]
        y0, x0 = y - rows.start * factor, x - columns.start * factor
        height, width = inner.shape[:2]
        spread = _enlarge(part, factor, (slice(y0, y0 + height), slice(x0, x0 + width)))
        colours = SCRATCH.take("colours", (height, width, 4), np.float32)
        cv2.cvtColor(inner.astype(np.float32), cv2.COLOR_RGB2RGBA, dst=colours)
        colours[..., 3] = 255
        np.multiply(colours, spread, out=colours)
        mixed = cv2.transform(colours, np.full((1, 4), 1 / 255, np.float32))
        cv2.addWeighted(
            mixed, 255 * _CRISP, mixed, 0, 255 * 0.5 * (1 - _CRISP), dst=alpha[y : y + height, x : x + width],
            dtype=cv2.CV_8U,
        )  # fmt: skip


def _enlarge(part: NDArray[np.float32], factor: int, area: Slices) -> NDArray[np.float32]:
    """Return an area of a part of the grid that is enlarged by a factor, bilinear."""
    size = part.shape[1] * factor, part.shape[0] * factor
    area_pixels = (area[0].stop - area[0].start) * (area[1].stop - area[1].start)
    if factor == 1:
        return part[area]
    if size[0] * size[1] <= max(_MAX_PIXELS // 2, 4 * area_pixels):
        return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR), np.float32)[area]
    # Most of it is outside a thin frame: enlarge the thin side first, and keep only the rows or columns needed.
    if (area[0].stop - area[0].start) < (area[1].stop - area[1].start):
        tall = cv2.resize(part, (part.shape[1], size[1]), interpolation=cv2.INTER_LINEAR)[area[0]]
        return np.asarray(cv2.resize(tall, (size[0], tall.shape[0])), np.float32)[:, area[1]]
    wide = cv2.resize(part, (size[0], part.shape[0]), interpolation=cv2.INTER_LINEAR)[:, area[1]]
    return np.asarray(cv2.resize(np.ascontiguousarray(wide), (wide.shape[1], size[1])), np.float32)[area[0]]


def slices_of(box: Box) -> Slices:
    """Return the rows and columns of a box as slices."""
    return slice(box[1], box[3]), slice(box[0], box[2])


def _box_around(mask: NDArray[np.bool_], margin: int, step: int) -> Box | None:
    """Return the box around marked cells with a margin, on whole steps within the array, or None without marks."""
    x, y, wide, high = cv2.boundingRect(mask.view(np.uint8))
    if wide == 0:
        return None
    height, width = mask.shape
    return (
        max(x - margin, 0) // step * step,
        max(y - margin, 0) // step * step,
        min(-(-(x + wide + margin) // step) * step, width),
        min(-(-(y + high + margin) // step) * step, height),
    )


def mask_boxes(mask: NDArray[np.bool_]) -> list[Box]:
    """Return a box around each connected group of cells, or one box for all of many groups."""
    cells = mask.view(np.uint8)
    count, _, statistics, _ = cv2.connectedComponentsWithStats(cells)
    if count - 1 > _MOST_BOXES:
        x, y, width, height = cv2.boundingRect(cells)
        return [(x, y, x + width, y + height)]
    return disjoint([(x, y, x + width, y + height) for x, y, width, height, _ in statistics[1:].tolist()])


def _extremes(low: FloatPlane) -> tuple[FloatPlane, FloatPlane]:
    """Return the minimum and the maximum of each tile with one pixel around it."""
    height, width = low.shape
    down, across = -height % _TILE, -width % _TILE
    padded = cv2.copyMakeBorder(low, 0, down, 0, across, cv2.BORDER_REPLICATE)
    window, middle = np.ones((_TILE + 2, _TILE + 2), np.uint8), slice(_TILE // 2, None, _TILE)
    minimum, maximum = (
        np.asarray(plane, np.float32) for plane in (cv2.erode(padded, window), cv2.dilate(padded, window))
    )
    shape = height + down, width + across
    return minimum.reshape(shape)[middle, middle], maximum.reshape(shape)[middle, middle]


def _runs(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int, int, int]]:
    """Yield top, bottom, left and right of each run of marked tiles in a row."""
    padded = np.pad(mask, ((0, 0), (1, 1)))
    steps = np.diff(padded.view(np.int8), axis=1)
    for row, (left, right) in zip(
        np.nonzero(steps == 1)[0].tolist(),
        zip(np.nonzero(steps == 1)[1].tolist(), np.nonzero(steps == -1)[1].tolist(), strict=True),
        strict=True,
    ):
        yield row, row + 1, left, right
