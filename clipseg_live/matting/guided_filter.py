"""Borders that follow the picture: a coarse map becomes a soft matte at the frame's own size.

The guided filter (He, Sun and Tang, PAMI 2013) explains a map near each pixel by the picture's colours there; its fast
form (He and Sun, arXiv:1505.00996) finds the coefficients in a small picture and applies them to the large one. It runs
twice: over the reach of one of the model's tokens to find what belongs together, then closely to place the border.
"""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import FloatPlane, Pixels
from clipseg_live.core.mattes import Box, disjoint
from clipseg_live.imaging.buffers import SCRATCH

"""float32 (h, w) on the working grid."""

Slices = tuple[slice, slice]
_WHOLE: Slices = (slice(None), slice(None))
_TOKENS = 22
"""The model's grid has this many tokens a side: a border in a map is as wide as one of them."""
_COARSE, _CLOSE = 6e-4, 1e-4
"""Variances of colour (0..1) that count as flat, in the first pass and in the second."""
_NEAR = 4
"""Reach of the second pass in pixels of the working grid."""
_STEEP = 4.0
"""How much steeper than the first pass leaves it a border is made."""
_CRISP = 1.4
_EXPLAINED = 0.1, 0.5
"""Under the first share of a map's variance that colours explain they have no say, over the second the map has none."""
_LEVEL = 1e-4
"""A variance of a map that counts as none."""
_TILE, _MOST_BOXES = 8, 24
_MOST_AT_ONCE = 8 << 20
"""Pixels of the frame that are worked on at once."""
_LEAST_RANGE = 0.15
_MIDDLE = 1.25
"""What is explained is blurred outwards more than inwards: the border lies that much above the threshold's share."""


class GuidedFilter:
    """The colours around each pixel, for any number of maps.

    picture: float32 (h, w, 3), 0..1. radius: pixels. flat: a variance of colour that counts as none.
    weights: float32 (h, w), how much each pixel of a map is to be believed, or None for all alike.
    """

    def __init__(self, picture: FloatPlane, radius: int, flat: float, weights: FloatPlane | None = None) -> None:
        self._side = 2 * radius + 1
        self._weights = None if weights is None else weights + np.float32(1e-3)
        self._share = None if self._weights is None else 1 / self._blur(self._weights)
        self._colours = red, green, blue = cv2.split(picture)
        self._means = r, g, b = [self._average(each) for each in self._colours]
        rr = self._average(red * red) - r * r + np.float32(flat)
        gg = self._average(green * green) - g * g + np.float32(flat)
        bb = self._average(blue * blue) - b * b + np.float32(flat)
        rg = self._average(red * green) - r * g
        rb = self._average(red * blue) - r * b
        gb = self._average(green * blue) - g * b
        irr, irg, irb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
        igg, igb, ibb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
        scale = 1 / (irr * rr + irg * rg + irb * rb)
        for each in (irr, irg, irb, igg, igb, ibb):
            each *= scale
        self._inverse = (irr, irg, irb), (irg, igg, igb), (irb, igb, ibb)

    def coefficients(self, plane: FloatPlane, area: Slices = _WHOLE) -> NDArray[np.float32]:
        """float32 (h, w, 4): near a pixel the map is the first three times the colour, plus the last.

        plane: float32 (h, w), a map, or its part in an area outside of which, and at whose border over twice the
        radius, it is 0.
        """
        mean = self._average(plane, area)
        slopes, _ = self._slopes(plane, mean, area)
        return self._merged(slopes, mean, area)

    def explained(self, plane: FloatPlane) -> tuple[NDArray[np.float32], FloatPlane]:
        """The coefficients of a whole map, and how much of its variance near each pixel they explain, about 0..1."""
        mean = self._average(plane)
        slopes, covariances = self._slopes(plane, mean, _WHOLE)
        explained = sum(slope * covariance for slope, covariance in zip(slopes, covariances, strict=True))
        variance = self._blur(self._average(plane * plane) - mean * mean)
        share = np.asarray(self._blur(explained) / (variance + np.float32(_LEVEL)), np.float32)
        return self._merged(slopes, mean, _WHOLE), share

    def _slopes(self, plane: FloatPlane, mean: FloatPlane, area: Slices) -> tuple[list[FloatPlane], list[FloatPlane]]:
        """How the map rises with each colour, and their covariances with it."""
        covariances = [
            self._average(colour[area] * plane, area) - at[area] * mean
            for colour, at in zip(self._colours, self._means, strict=True)
        ]
        slopes = []
        for row in self._inverse:
            slope = row[0][area] * covariances[0]
            slope += row[1][area] * covariances[1]
            slope += row[2][area] * covariances[2]
            slopes.append(slope)
        return slopes, covariances

    def _merged(self, slopes: list[FloatPlane], mean: FloatPlane, area: Slices) -> NDArray[np.float32]:
        rest = mean
        for slope, at in zip(slopes, self._means, strict=True):
            rest = rest - slope * at[area]
        return np.asarray(cv2.merge([self._blur(each) for each in (*slopes, rest)]), np.float32)

    def _average(self, plane: Any, area: Slices = _WHOLE) -> FloatPlane:
        if self._weights is None or self._share is None:
            return self._blur(plane)
        return np.asarray(self._blur(plane * self._weights[area]) * self._share[area], np.float32)

    def _blur(self, plane: Any) -> FloatPlane:
        blurred = cv2.blur(plane, (self._side, self._side), borderType=cv2.BORDER_REFLECT)
        return np.asarray(blurred, np.float32).reshape(plane.shape)


def apply_coefficients(coefficients: NDArray[np.float32], picture: NDArray[np.float32]) -> FloatPlane:
    """What coefficients, float32 (h, w, 4), make of a picture of the same size."""
    mixed = cv2.multiply(coefficients, cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA))
    return np.asarray(cv2.transform(mixed, np.ones((1, 4), np.float32)), np.float32).reshape(picture.shape[:2])


class MaskRefiner:
    """Finds what maps cover in one picture, float32 (h, w, 3), 0..1.

    trust: float32 (h, w), where maps are to be believed; elsewhere the colours decide. close: whether borders are
    placed closely, or left as the first pass finds them.
    """

    def __init__(self, picture: NDArray[np.float32], trust: FloatPlane, close: bool = True) -> None:
        self._picture = picture
        height, width = trust.shape
        self._half = max(width // 2, 1), max(height // 2, 1)
        self._token = max(round(max(self._half) / _TOKENS), 1)
        self._small = _resized(picture, self._half)
        self._far = GuidedFilter(self._small, self._token, _COARSE, _resized(trust, self._half))
        self._near = GuidedFilter(picture, _NEAR, _CLOSE) if close else None

    def covers(self, plane: FloatPlane, threshold: "FloatPlane | np.float32") -> FloatPlane:
        """What a map covers, float32 (h, w), 0..1, 0.5 at the border. threshold: one, or pixel by pixel."""
        half = _resized(plane, self._half)
        coefficients, explained = self._far.explained(half)
        low = apply_coefficients(coefficients, self._small)
        # what colours do not explain, as where they are the same on both sides, stays as the map has it
        known = np.clip((explained - np.float32(_EXPLAINED[0])) / np.float32(_EXPLAINED[1] - _EXPLAINED[0]), 0, 1)
        unexplained = (1 - known) * (half - low)
        low = np.clip(low + unexplained, 0, 1)
        border, contrast, passes = self._border(low, plane, threshold)
        covers = np.zeros_like(plane)
        box = _box_around(passes > 0, 1, 1)
        if box is not None:
            left, top, right, bottom = box
            area = slices_of((2 * left, 2 * top, 2 * right, 2 * bottom))
            border, contrast, passes = (_doubled(each, box) for each in (border, contrast, passes))
            steep = apply_coefficients(_doubled(coefficients, box), self._picture[area]) + _doubled(unexplained, box)
            steep = (steep - border) / contrast
            steep *= np.float32(_STEEP)
            steep += np.float32(0.5)
            steep *= passes
            covers[area] = np.clip(steep, 0, 1, out=steep)
        return covers

    def _border(
        self, low: FloatPlane, plane: FloatPlane, threshold: "FloatPlane | np.float32"
    ) -> tuple[FloatPlane, FloatPlane, FloatPlane]:
        """Where the border lies: at the threshold. What is too small to fill a token reaches less than 1 in the map, so
        that its border lies lower, between the least and the most around it. With the contrast there, and where the
        map reaches the threshold nearby; on half the grid."""
        window, size = np.ones((2 * self._token + 1,) * 2, np.uint8), (2 * self._token + 1,) * 2
        level = threshold if isinstance(threshold, np.floating) else _resized(threshold, self._half)
        reached = _resized((plane >= threshold).astype(np.float32), self._half)
        passes = cv2.dilate((reached > 0).astype(np.float32), window).reshape(low.shape)
        most = cv2.blur(cv2.dilate(low, window), size).reshape(low.shape)
        least = cv2.blur(cv2.erode(low, window), size).reshape(low.shape)
        contrast = np.clip(most - least, np.float32(_LEAST_RANGE), np.float32(1))
        border = np.minimum(level, least + np.float32(_MIDDLE) * level * contrast)
        return np.asarray(border, np.float32), contrast, np.asarray(passes, np.float32)

    def placed(self, covers: FloatPlane) -> "RefinedMatte":
        """The border of what is covered, where it lies in the picture."""
        box = _box_around(covers > 0, 2 * _NEAR + 1, _TILE)
        if box is None:
            return RefinedMatte(np.zeros((0, 0, 4), np.float32), self._picture[:0, :0], 0, 0)
        area = slices_of(box)
        part = covers[area]
        if self._near is None:
            flat = np.zeros_like(part)
            coefficients = np.asarray(cv2.merge([flat, flat, flat, part]), np.float32)
        else:
            coefficients = self._near.coefficients(part, area)
        return RefinedMatte(coefficients, self._picture[area], box[0], box[1])


class RefinedMatte:
    """One matte, ready to be brought to full size.

    coefficients: float32 (h, w, 4) of ``GuidedFilter``, for a part of the working grid that begins at ``left`` and
    ``top``, which are whole tiles. picture: float32 (h, w, 3), the frame there.
    """

    def __init__(self, coefficients: NDArray[np.float32], picture: NDArray[np.float32], left: int, top: int) -> None:
        self._coefficients, self._left, self._top = coefficients, left, top
        self._full = self._border = np.zeros((0, 0), np.bool_)
        if not coefficients.size:
            return
        least, most = _extremes(
            (apply_coefficients(coefficients, picture) - np.float32(0.5)) * np.float32(_CRISP) + 0.5
        )
        self._full = least > 0.996
        self._border = (most > 0.004) & ~self._full

    def alpha(self, pixels: Pixels, factor: int) -> tuple[NDArray[np.uint8], list[Box]]:
        """The matte over the frame, uint8 (height, width), and boxes around all that it holds. Only tiles with a border
        are worked on. factor: frame pixels that a pixel of the grid is wide and high."""
        height, width = pixels.shape[:2]
        alpha = np.zeros((height, width), np.uint8)
        if not self._full.size:
            return alpha, []
        side, x0, y0 = _TILE * factor, self._left * factor, self._top * factor
        here = alpha[y0:, x0:]
        for top, bottom, left, right in _runs(self._full):
            here[top * side : bottom * side, left * side : right * side] = 255
        # Tiles of a thin frame are many pixels long; a run of them is brought to full size in pieces.
        step = max(_MOST_AT_ONCE // (min(side, height) * min(side, width)), 1)
        for top, bottom, left, right in _runs(self._border):
            for start in range(left, right, step):
                self._fill(here, pixels[y0:, x0:], factor, top, bottom, start, min(start + step, right))
        found = mask_boxes(self._border | self._full)
        boxes = [
            (x0 + x * side, y0 + y * side, min(x0 + r * side, width), min(y0 + b * side, height))
            for x, y, r, b in found
        ]
        return alpha, [box for box in boxes if box[0] < box[2] and box[1] < box[3]]

    def _fill(
        self, alpha: NDArray[np.uint8], pixels: Pixels, factor: int, top: int, bottom: int, left: int, right: int
    ) -> None:
        """One run of tiles, counted in tiles."""
        grid = self._coefficients
        rows = slice(max(top * _TILE - 1, 0), min(bottom * _TILE + 1, grid.shape[0]))
        columns = slice(max(left * _TILE - 1, 0), min(right * _TILE + 1, grid.shape[1]))
        part = grid[rows, columns]
        y, x = top * _TILE * factor, left * _TILE * factor
        inner = pixels[y : bottom * _TILE * factor, x : right * _TILE * factor]
        y0, x0 = y - rows.start * factor, x - columns.start * factor
        height, width = inner.shape[:2]
        spread = _enlarged(part, factor, (slice(y0, y0 + height), slice(x0, x0 + width)))
        colours = SCRATCH.take("colours", (height, width, 4), np.float32)
        cv2.cvtColor(inner.astype(np.float32), cv2.COLOR_RGB2RGBA, dst=colours)
        colours[..., 3] = 255
        np.multiply(colours, spread, out=colours)
        mixed = cv2.transform(colours, np.full((1, 4), 1 / 255, np.float32))
        cv2.addWeighted(
            mixed, 255 * _CRISP, mixed, 0, 255 * 0.5 * (1 - _CRISP), dst=alpha[y : y + height, x : x + width],
            dtype=cv2.CV_8U,
        )  # fmt: skip


def _enlarged(part: NDArray[np.float32], factor: int, area: Slices) -> NDArray[np.float32]:
    """Return an area of a part of the grid that is enlarged by a factor, bilinear."""
    size = part.shape[1] * factor, part.shape[0] * factor
    wanted = (area[0].stop - area[0].start) * (area[1].stop - area[1].start)
    if factor == 1:
        return part[area]
    if size[0] * size[1] <= max(_MOST_AT_ONCE // 2, 4 * wanted):
        return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR), np.float32)[area]
    # Most of it lies beyond a thin frame: enlarge the thin side first, and keep only the rows or columns needed.
    if (area[0].stop - area[0].start) < (area[1].stop - area[1].start):
        tall = cv2.resize(part, (part.shape[1], size[1]), interpolation=cv2.INTER_LINEAR)[area[0]]
        return np.asarray(cv2.resize(tall, (size[0], tall.shape[0])), np.float32)[:, area[1]]
    wide = cv2.resize(part, (size[0], part.shape[0]), interpolation=cv2.INTER_LINEAR)[:, area[1]]
    return np.asarray(cv2.resize(np.ascontiguousarray(wide), (wide.shape[1], size[1])), np.float32)[area[0]]


def slices_of(box: Box) -> Slices:
    return slice(box[1], box[3]), slice(box[0], box[2])


def _box_around(marked: NDArray[np.bool_], margin: int, step: int) -> Box | None:
    """The box around what is marked with a margin, on whole steps within the array; None where nothing is."""
    x, y, wide, high = cv2.boundingRect(marked.view(np.uint8))
    if wide == 0:
        return None
    height, width = marked.shape
    return (
        max(x - margin, 0) // step * step,
        max(y - margin, 0) // step * step,
        min(-(-(x + wide + margin) // step) * step, width),
        min(-(-(y + high + margin) // step) * step, height),
    )


def _doubled(plane: Any, box: Box) -> FloatPlane:
    """A part of ``plane``, brought to twice its size as the whole would be, bilinear."""
    left, top, right, bottom = box
    x0, y0 = max(left - 1, 0), max(top - 1, 0)
    part = plane[y0 : bottom + 1, x0 : right + 1]
    large = _resized(part, (2 * part.shape[1], 2 * part.shape[0]))
    y, x = 2 * (top - y0), 2 * (left - x0)
    return large[y : y + 2 * (bottom - top), x : x + 2 * (right - left)]


def mask_boxes(marked: NDArray[np.bool_]) -> list[Box]:
    """Boxes around the cells that lie together; one for all where there are many."""
    cells = marked.view(np.uint8)
    count, _, statistics, _ = cv2.connectedComponentsWithStats(cells)
    if count - 1 > _MOST_BOXES:
        x, y, width, height = cv2.boundingRect(cells)
        return [(x, y, x + width, y + height)]
    return disjoint([(x, y, x + width, y + height) for x, y, width, height, _ in statistics[1:].tolist()])


def _resized(plane: Any, size: tuple[int, int]) -> FloatPlane:
    """Bilinear, or means where it shrinks."""
    shrinks = size[0] < plane.shape[1]
    resized = cv2.resize(plane, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32).reshape(size[1], size[0], *plane.shape[2:])


def _extremes(low: FloatPlane) -> tuple[FloatPlane, FloatPlane]:
    """The least and the most of each tile, a pixel around it included."""
    height, width = low.shape
    down, across = -height % _TILE, -width % _TILE
    padded = cv2.copyMakeBorder(low, 0, down, 0, across, cv2.BORDER_REPLICATE)
    window, middle = np.ones((_TILE + 2, _TILE + 2), np.uint8), slice(_TILE // 2, None, _TILE)
    least, most = (np.asarray(each, np.float32) for each in (cv2.erode(padded, window), cv2.dilate(padded, window)))
    shape = height + down, width + across
    return least.reshape(shape)[middle, middle], most.reshape(shape)[middle, middle]


def _runs(marked: NDArray[np.bool_]) -> Iterator[tuple[int, int, int, int]]:
    """Top, bottom, left and right of the rows of marked tiles that lie together."""
    padded = np.pad(marked, ((0, 0), (1, 1)))
    steps = np.diff(padded.view(np.int8), axis=1)
    for row, (left, right) in zip(
        np.nonzero(steps == 1)[0].tolist(),
        zip(np.nonzero(steps == 1)[1].tolist(), np.nonzero(steps == -1)[1].tolist(), strict=True),
        strict=True,
    ):
        yield row, row + 1, left, right
