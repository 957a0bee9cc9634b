"""``MapOperations`` of NumPy, with the values of PyTorch's."""

import math

import numpy as np
from numpy.typing import NDArray

from clipseg_live.model.resampling import resample_maps

_Maps = NDArray[np.float32]


class NumpyMaps:
    """Operations on float32 arrays."""

    def floats(self, maps: _Maps) -> _Maps:
        """Return the maps."""
        return maps

    def zeros_like(self, maps: _Maps) -> _Maps:
        """Return zeros of the same shape and type."""
        return np.zeros_like(maps)

    def centres(self, length: int, like: _Maps) -> _Maps:
        """Return the centres of ``length`` equal parts of 0..1."""
        return (np.arange(length, dtype=np.float32) + np.float32(0.5)) / np.float32(length)

    def resized(self, maps: _Maps, size: tuple[int, int]) -> _Maps:
        """Return maps of another size."""
        return maps if maps.shape[1:] == size else resample_maps(maps, size).clip(0, 1)

    def cells(self, maps: _Maps, count: int) -> NDArray[np.float32]:
        """Return the largest value in each cell."""
        for axis in (1, 2):
            length = maps.shape[axis]
            spans = [(number * length // count, math.ceil((number + 1) * length / count)) for number in range(count)]
            parts = [maps.take(range(start, stop), axis=axis).max(axis=axis) for start, stop in spans]
            maps = np.stack(parts, axis=axis)
        return maps

    def dilated(self, maps: _Maps, box: int) -> _Maps:
        """Return the largest value in a box around each value."""
        for axis in (1, 2):
            maps = np.moveaxis(maps, axis, 0)
            grown = maps.copy()
            for step in range(1, min(box // 2, len(maps) - 1) + 1):
                np.maximum(grown[step:], maps[:-step], out=grown[step:])
                np.maximum(grown[:-step], maps[step:], out=grown[:-step])
            maps = np.moveaxis(grown, 0, axis)
        return maps

    def averaged(self, maps: _Maps) -> _Maps:
        """Return the mean of the values around each value."""
        counts = np.ones(maps.shape[1:], np.float32)[None]
        return self._sums(maps) / self._sums(counts)

    def minimum(self, first: _Maps, second: _Maps) -> _Maps:
        """Return the smaller values."""
        return np.minimum(first, second)

    def maximum(self, first: _Maps, second: _Maps) -> _Maps:
        """Return the larger values."""
        return np.maximum(first, second)

    def log_odds(self, maps: _Maps, least: float) -> _Maps:
        """Return the logarithms of the odds of probabilities."""
        limited = maps.clip(np.float32(least), np.float32(1 - least))
        odds: _Maps = np.log(limited / (1 - limited))
        return odds

    def probabilities(self, odds: _Maps) -> _Maps:
        """Return the probabilities of logarithms of odds."""
        probabilities: _Maps = np.float32(1) / (np.float32(1) + np.exp(-odds))
        return probabilities

    def mixed(self, first: _Maps, second: _Maps, share: _Maps) -> _Maps:
        """Return a mixture."""
        return first + share * (second - first)

    def _sums(self, maps: _Maps) -> _Maps:
        padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
        rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
        sums: _Maps = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
        return sums
