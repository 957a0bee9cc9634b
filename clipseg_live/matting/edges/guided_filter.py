"""Guided filter: turns a coarse map into a soft matte at the size of the frame, with borders that follow the image.

The guided filter (He, Sun and Tang, PAMI 2013) models a map near each pixel as a linear function of the colours there.
Its fast form (He and Sun, arXiv:1505.00996) computes the coefficients on a small image and applies them to the large
one. It runs twice: over the radius of one token of the model to find connected areas, then over a small radius to place
the border.
"""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import FloatPlane, Pixels
from clipseg_live.core.mattes import Box, disjoint
from clipseg_live.imaging.buffers import SCRATCH

Slices = tuple[slice, slice]
_WHOLE: Slices = (slice(None), slice(None))
_TOKENS = 22
"""Tokens on each side of the grid of the model; a border in a map is as wide as one token."""
_COARSE, _CLOSE = 6e-4, 1e-4
"""Variances of colour (0..1) that count as flat, in the first pass and in the second."""
_NEAR = 4
"""Radius of the second pass in pixels of the working grid."""
_STEEP = 4.0
"""Factor by which a border is made steeper after the first pass."""
_CRISP = 1.4
_EXPLAINED = 0.1, 0.5
"""Shares of a map's variance explained by colour: below the first only the map counts, above the second only colour."""
_FLAT_VARIANCE = 1e-4
"""Variance of a map that counts as none."""
_TILE, _MOST_BOXES = 8, 24
_MAX_PIXELS = 8 << 20
"""Pixels of the frame that are processed at once."""
_LEAST_RANGE = 0.15
_MIDDLE = 1.25
"""Rise of the border above the threshold's share, because the first pass blurs outwards more than inwards."""


class GuidedFilter:
    """Guided filter of one image, for any number of maps.

    Args:
        picture: float32 (h, w, 3), 0..1.
        radius: radius of the filter in pixels.
        flat: variance of colour that counts as none.
        weights: float32 (h, w), the weight of each pixel of a map, or None for equal weights.
    """

    def __init__(self, picture: FloatPlane, radius: int, flat: float, weights: FloatPlane | None = None) -> None:
        self._side = 2 * radius + 1
        self._weights = None if weights is None else weights + np.float32(1e-3)
        self._share = None if self._weights is None else 1 / self._blur(self._weights)
        self._colours = red, green, blue = cv2.split(picture)
        self._means = r, g, b = [self._average(plane) for plane in self._colours]
        rr = self._average(red * red) - r * r + np.float32(flat)
        gg = self._average(green * green) - g * g + np.float32(flat)
        bb = self._average(blue * blue) - b * b + np.float32(flat)
        rg = self._average(red * green) - r * g
        rb = self._average(red * blue) - r * b
        gb = self._average(green * blue) - g * b
        irr, irg, irb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
        igg, igb, ibb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
        scale = 1 / (irr * rr + irg * rg + irb * rb)
        for plane in (irr, irg, irb, igg, igb, ibb):
            plane *= scale
        self._inverse = (irr, irg, irb), (irg, igg, igb), (irb, igb, ibb)

    def coefficients(self, plane: FloatPlane, area: Slices = _WHOLE) -> NDArray[np.float32]:
        """Return the coefficients of a map, float32 (h, w, 4).

        Near a pixel the map is the first three coefficients times the colour, plus the last.

        Args:
            plane: float32 (h, w), a map, or the part of it in ``area``. A part must be 0 outside the area, and within
                twice the radius of its border.
            area: rows and columns of ``plane`` in the image.
        """
        mean = self._average(plane, area)
        slopes, _ = self._slopes(plane, mean, area)
        return self._merge(slopes, mean, area)

    def fit_with_share(self, plane: FloatPlane, area: Slices = _WHOLE) -> tuple[NDArray[np.float32], FloatPlane]:
        """Return the coefficients of a map, and the share of its variance that they explain near each pixel.

        The share is float32 (h, w), about 0..1. Within twice the radius of the area's border, both are approximate.

        Args:
            plane: float32 (h, w), a map, or the part of it in ``area``.
            area: rows and columns of ``plane`` in the image.
        """
        mean = self._average(plane, area)
        slopes, covariances = self._slopes(plane, mean, area)
        explained_variance = sum(slope * covariance for slope, covariance in zip(slopes, covariances, strict=True))
        variance = self._blur(self._average(plane * plane, area) - mean * mean)
        share = np.asarray(self._blur(explained_variance) / (variance + np.float32(_FLAT_VARIANCE)), np.float32)
        return self._merge(slopes, mean, area), share

    def _slopes(self, plane: FloatPlane, mean: FloatPlane, area: Slices) -> tuple[list[FloatPlane], list[FloatPlane]]:
        """Return the slopes of the map over each colour, and the covariances of the map with each colour."""
        covariances = [
            self._average(colour[area] * plane, area) - average[area] * mean
            for colour, average in zip(self._colours, self._means, strict=True)
        ]
        slopes = []
        for row in self._inverse:
            slope = row[0][area] * covariances[0]
            slope += row[1][area] * covariances[1]
            slope += row[2][area] * covariances[2]
            slopes.append(slope)
        return slopes, covariances

    def _merge(self, slopes: list[FloatPlane], mean: FloatPlane, area: Slices) -> NDArray[np.float32]:
        rest = mean
        for slope, average in zip(slopes, self._means, strict=True):
            rest = rest - slope * average[area]
        return np.asarray(cv2.merge([self._blur(plane) for plane in (*slopes, rest)]), np.float32)

    def _average(self, plane: Any, area: Slices = _WHOLE) -> FloatPlane:
        if self._weights is None or self._share is None:
            return self._blur(plane)
        return np.asarray(self._blur(plane * self._weights[area]) * self._share[area], np.float32)

    def _blur(self, plane: Any) -> FloatPlane:
        blurred = cv2.blur(plane, (self._side, self._side), borderType=cv2.BORDER_REFLECT)
        return np.asarray(blurred, np.float32).reshape(plane.shape)


def apply_coefficients(coefficients: NDArray[np.float32], picture: NDArray[np.float32]) -> FloatPlane:
    """Apply coefficients, float32 (h, w, 4), to an image of the same size."""
    mixed = cv2.multiply(coefficients, cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA))
    return np.asarray(cv2.transform(mixed, np.ones((1, 4), np.float32)), np.float32).reshape(picture.shape[:2])


class MaskRefiner:
    """Refinement of the coverage of maps in one image.

    Args:
        picture: float32 (h, w, 3), 0..1.
        trust: float32 (h, w), 0..1, how far maps can be trusted; the colours decide elsewhere.
        close: run the second pass, which places borders exactly.
    """

    def __init__(self, picture: NDArray[np.float32], trust: FloatPlane, close: bool = True) -> None:
        self._picture = picture
        height, width = trust.shape
        self._half = max(width // 2, 1), max(height // 2, 1)
        self._token = max(round(max(self._half) / _TOKENS), 1)
        self._small = _resize(picture, self._half)
        self._far = GuidedFilter(self._small, self._token, _COARSE, _resize(trust, self._half))
        self._near = GuidedFilter(picture, _NEAR, _CLOSE) if close else None

    def coverage(self, plane: FloatPlane, threshold: "FloatPlane | np.float32") -> FloatPlane:
        """Return the coverage of a map, float32 (h, w), 0..1, with 0.5 at the border.

        Args:
            plane: float32 (h, w), the map.
            threshold: one threshold, or float32 (h, w) with one for each pixel.
        """
        half = _resize(plane, self._half)
        coefficients, r2 = self._far.fit_with_share(half)
        low = apply_coefficients(coefficients, self._small)
        # Keep the map where colours do not explain it, for example with equal colours on both sides.
        colour_weight = np.clip((r2 - np.float32(_EXPLAINED[0])) / np.float32(_EXPLAINED[1] - _EXPLAINED[0]), 0, 1)
        unexplained = (1 - colour_weight) * (half - low)
        low = np.clip(low + unexplained, 0, 1)
        border, contrast, reachable = self._border(low, plane, threshold)
        coverage = np.zeros_like(plane)
        box = _box_around(reachable > 0, 1, 1)
        if box is not None:
            left, top, right, bottom = box
            area = slices_of((2 * left, 2 * top, 2 * right, 2 * bottom))
            border, contrast, reachable = (_double(part, box) for part in (border, contrast, reachable))
            steep = apply_coefficients(_double(coefficients, box), self._picture[area]) + _double(unexplained, box)
            steep = (steep - border) / contrast
            steep *= np.float32(_STEEP)
            steep += np.float32(0.5)
            steep *= reachable
            coverage[area] = np.clip(steep, 0, 1, out=steep)
        return coverage

    def _border(
        self, low: FloatPlane, plane: FloatPlane, threshold: "FloatPlane | np.float32"
    ) -> tuple[FloatPlane, FloatPlane, FloatPlane]:
        """Return the level of the border, the contrast there, and where the map reaches the threshold nearby.

        The border lies at the threshold. An object smaller than a token reaches less than 1 in the map. Its border lies
        lower, between the minimum and the maximum around it. All three are on half the grid.
        """
        window, size = np.ones((2 * self._token + 1,) * 2, np.uint8), (2 * self._token + 1,) * 2
        level = threshold if isinstance(threshold, np.floating) else _resize(threshold, self._half)
        above_threshold = _resize((plane >= threshold).astype(np.float32), self._half)
        reachable = cv2.dilate((above_threshold > 0).astype(np.float32), window).reshape(low.shape)
        maximum = cv2.blur(cv2.dilate(low, window), size).reshape(low.shape)
        minimum = cv2.blur(cv2.erode(low, window), size).reshape(low.shape)
        contrast = np.clip(maximum - minimum, np.float32(_LEAST_RANGE), np.float32(1))
        border = np.minimum(level, minimum + np.float32(_MIDDLE) * level * contrast)
        return np.asarray(border, np.float32), contrast, np.asarray(reachable, np.float32)

    def refine_border(self, coverage: FloatPlane) -> "RefinedMatte":
        """Return the matte with the border of the covered area placed in the image."""
        box = _box_around(coverage > 0, 2 * _NEAR + 1, _TILE)
        if box is None:
            return RefinedMatte(np.zeros((0, 0, 4), np.float32), self._picture[:0, :0], 0, 0)
        area = slices_of(box)
        part = coverage[area]
        if self._near is None:
            flat = np.zeros_like(part)
            coefficients = np.asarray(cv2.merge([flat, flat, flat, part]), np.float32)
        else:
            coefficients = self._near.coefficients(part, area)
        return RefinedMatte(coefficients, self._picture[area], box[0], box[1])


class RefinedMatte:
    """Matte on the working grid, ready to be enlarged to full size.

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


def _double(plane: Any, box: Box) -> FloatPlane:
    """Return a part of ``plane`` at twice its size, bilinear, equal to the same part of the doubled whole."""
    left, top, right, bottom = box
    x0, y0 = max(left - 1, 0), max(top - 1, 0)
    part = plane[y0 : bottom + 1, x0 : right + 1]
    large = _resize(part, (2 * part.shape[1], 2 * part.shape[0]))
    y, x = 2 * (top - y0), 2 * (left - x0)
    return large[y : y + 2 * (bottom - top), x : x + 2 * (right - left)]


def mask_boxes(mask: NDArray[np.bool_]) -> list[Box]:
    """Return a box around each connected group of cells, or one box for all of many groups."""
    cells = mask.view(np.uint8)
    count, _, statistics, _ = cv2.connectedComponentsWithStats(cells)
    if count - 1 > _MOST_BOXES:
        x, y, width, height = cv2.boundingRect(cells)
        return [(x, y, x + width, y + height)]
    return disjoint([(x, y, x + width, y + height) for x, y, width, height, _ in statistics[1:].tolist()])


def _resize(plane: Any, size: tuple[int, int]) -> FloatPlane:
    """Resize bilinearly, or by averaging where it shrinks."""
    is_reduction = size[0] < plane.shape[1]
    resized = cv2.resize(plane, size, interpolation=cv2.INTER_AREA if is_reduction else cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32).reshape(size[1], size[0], *plane.shape[2:])


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
