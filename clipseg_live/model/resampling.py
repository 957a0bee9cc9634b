"""Antialiased resampling in NumPy with the values of PyTorch's resampling on a CPU, without importing PyTorch.

PyTorch follows Pillow: each axis is a weighted sum over a support that grows with the reduction, columns first, and the
result of each axis is rounded to a whole level. Weights are whole numbers of 16 bits. Matrix products give the sums of
their products with levels exactly, in any order: in float32 if sums stay below 2**24, else in float64.
"""

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clipseg_live.model import threads

Resampling = Literal["nearest-exact", "bilinear", "bicubic", "bilinear-corners"]
"""Interpolation of frames. "bilinear-corners" has aligned corners, and is neither antialiased nor rounded."""

_COLUMNS = 8
_ROWS = 4
"""Outputs of one matrix product: their supports overlap, so small blocks multiply by few zeros."""

_CUBIC = -0.5
"""Parameter of the cubic kernel, as in Pillow."""


def resize_pixels(
    pixels: NDArray[np.uint8], size: tuple[int, int], method: Resampling = "bilinear"
) -> NDArray[np.uint8]:
    """Return an image resized to ``size``; the same array if it has this size.

    Args:
        pixels: uint8 (h, w, 3).
        size: rows and columns.
        method: the interpolation.
    """
    height, width = pixels.shape[:2]
    if (height, width) == size:
        return pixels
    if method == "nearest-exact":
        rows, columns = _nearest(height, size[0]), _nearest(width, size[1])
        return pixels[rows[:, None], columns]
    if width != size[1]:
        pixels = _columns(np.ascontiguousarray(pixels), size[1], method)
    if height != size[0]:
        pixels = _rows(pixels, size[0], method)
    return pixels


def resample_maps(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return maps, float32 (..., h, w), resized to ``size`` with antialiased bilinear interpolation, not rounded."""
    for axis, length in ((-1, size[1]), (-2, size[0])):
        if values.shape[axis] != length:
            columns = np.moveaxis(values, axis, -1)
            total: NDArray[np.float32] | None = None
            for indices, weights in _taps(values.shape[axis], length):
                part = columns[..., indices] * weights
                total = part if total is None else np.add(total, part, out=total)
            assert total is not None
            values = np.moveaxis(total, -1, axis)
    return np.ascontiguousarray(values)


@lru_cache(maxsize=32)
def _taps(length: int, target: int) -> tuple[tuple[NDArray[np.intp], NDArray[np.float32]], ...]:
    """Return the inputs of each output of bilinear interpolation one after another: their indices and weights."""
    rows = _weights(length, target, "bilinear")
    taps = []
    for number in range(max(len(weights) for _, weights in rows)):
        indices = [min(start + number, length - 1) for start, _ in rows]
        shares = [weights[number] if number < len(weights) else 0.0 for _, weights in rows]
        taps.append((np.array(indices, np.intp), np.array(shares, np.float32)))
    return tuple(taps)


def _nearest(length: int, target: int) -> NDArray[np.intp]:
    centres = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * np.float32(length / target)
    indices: NDArray[np.intp] = np.minimum(np.floor(centres), length - 1).astype(np.intp)
    return indices


def _columns(pixels: NDArray[np.uint8], target: int, method: Resampling) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    flat = pixels.reshape(height, width * 3)
    result = np.empty((height, target * 3), np.uint8)
    for first, start, matrix, shift in _interleaved(width, target, method):
        count = max(1, threads.SINGLE_THREAD // matrix.size)
        part = np.zeros((-(-height // count), count, len(matrix)), matrix.dtype)
        part.reshape(-1, len(matrix))[:height] = flat[:, start : start + len(matrix)]
        sums = (part @ matrix).reshape(-1, matrix.shape[1])[:height]
        result[:, first : first + matrix.shape[1]] = _levels(sums, shift)
    return result.reshape(height, target, 3)


def _rows(pixels: NDArray[np.uint8], target: int, method: Resampling) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    flat = pixels.reshape(height, width * 3)
    result = np.empty((target, width * 3), np.uint8)
    for first, start, matrix, shift in _blocks(height, target, method, _ROWS):
        part = flat[start : start + matrix.shape[1]].astype(matrix.dtype)
        result[first : first + len(matrix)] = _levels(matrix @ part, shift)
    return result.reshape(target, width, 3)


def _levels(sums: NDArray[np.floating], shift: int) -> NDArray[np.uint8]:
    """Divide by 2**shift, round halves up, and limit to 0..255; ``sums`` is overwritten."""
    sums += 2 ** (shift - 1)  # still a whole number that is exact
    sums *= 0.5**shift
    levels: NDArray[np.uint8] = np.floor(sums, out=sums).clip(0, 255, out=sums).astype(np.uint8)
    return levels


@lru_cache(maxsize=16)
def _blocks(
    length: int, target: int, method: Resampling, size: int
) -> tuple[tuple[int, int, NDArray[np.floating], int], ...]:
    """Return the products of an axis: first output, first input, whole weights (outputs, inputs), and their shift."""
    rows = _weights(length, target, method)
    largest = max(float(weights.max()) for _, weights in rows)
    shift = next((s for s in range(22) if int(0.5 + largest * (1 << (s + 1))) >= 1 << 15), 22)
    blocks = []
    for first in range(0, target, size):
        group = rows[first : first + size]
        start = min(begin for begin, _ in group)
        stop = max(begin + len(weights) for begin, weights in group)
        matrix = np.zeros((len(group), stop - start), np.float32)
        for row, (begin, weights) in zip(matrix, group, strict=True):
            scaled = weights.astype(np.float64) * (1 << shift)
            row[begin - start : begin - start + len(weights)] = np.trunc(scaled + np.copysign(0.5, scaled))
        blocks.append((first, start, matrix, shift))
    most = max(float(np.abs(matrix).sum(axis=1).max()) for _, _, matrix, _ in blocks)
    exact = np.float32 if 255 * most + (1 << shift >> 1) < 1 << 24 else np.float64
    return tuple((first, start, matrix.astype(exact), shift) for first, start, matrix, shift in blocks)


@lru_cache(maxsize=16)
def _interleaved(
    length: int, target: int, method: Resampling
) -> tuple[tuple[int, int, NDArray[np.floating], int], ...]:
    """Return ``_blocks`` for rows of interleaved channels, with matrices of (inputs, outputs)."""
    blocks = _blocks(length, target, method, _COLUMNS)
    return tuple(
        (3 * first, 3 * start, np.kron(matrix.T, np.eye(3, dtype=matrix.dtype)), shift)
        for first, start, matrix, shift in blocks
    )


def _weights(length: int, target: int, method: Resampling) -> list[tuple[int, NDArray[np.float64]]]:
    """Return for each output the first input and the normalised weights."""
    scale = length / target
    reduction = max(scale, 1.0)
    support = (1.0 if method == "bilinear" else 2.0) * reduction
    rows = []
    for index in range(target):
        centre = scale * (index + 0.5)
        start = max(int(centre - support + 0.5), 0)
        stop = min(int(centre + support + 0.5), length)
        distances = np.abs((np.arange(stop - start) + (start - centre) + 0.5) * (1.0 / reduction))
        weights = np.maximum(1 - distances, 0) if method == "bilinear" else _cubic(distances)
        total = weights.cumsum()[-1]  # in order, as PyTorch adds
        rows.append((start, weights / total if total else weights))
    return rows


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    near = ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * _CUBIC
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def bicubic_matrix(length: int, target: int) -> NDArray[np.float32]:
    """Return the weights (target, length) of bicubic interpolation without antialiasing, as PyTorch interpolates maps.

    The kernel's parameter is -0.75, and inputs beyond the border repeat it.
    """
    matrix = np.zeros((target, length), np.float64)
    a = -0.75
    for index in range(target):
        position = (index + 0.5) * (length / target) - 0.5
        below = math.floor(position)
        t = position - below
        for offset in range(-1, 3):
            x = abs(offset - t)
            weight = ((a + 2) * x - (a + 3)) * x * x + 1 if x <= 1 else ((x - 5) * x + 8) * x * a - 4 * a
            matrix[index, min(max(below + offset, 0), length - 1)] += weight
    return matrix.astype(np.float32)
