"""Probabilities of many words in one frame: which words fit a point of it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.protocols import Maps

LONGEST_MAP_SIDE = 64
"""Longest side of the kept maps. A point needs no finer ones: a value of the model covers 16 pixels of its input."""


def _no_maps() -> NDArray[np.float32]:
    return np.zeros((0, 1, 1), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class WordMaps:
    """Maps of the words that were asked so far.

    Attributes:
        words: The words, in the order of the maps.
        maps: float32 (words, h, w), 0 to 1, read-only.
        total: Number of words in the list.
    """

    words: tuple[str, ...] = ()
    maps: Maps = field(default_factory=_no_maps)
    total: int = 0

    def ranked(self, x: float, y: float, most: int) -> list[tuple[str, float]]:
        """Return the words with the highest probabilities at a point, highest first, each with its probability.

        Args:
            x: Position as a share (0 to 1) of the width.
            y: Position as a share (0 to 1) of the height.
            most: Largest number of words.
        """
        height, width = self.maps.shape[1:]
        values = self.maps[:, min(int(y * height), height - 1), min(int(x * width), width - 1)]
        best = np.argsort(-values, kind="stable")[:most]
        return [(self.words[place], float(values[place])) for place in best]


def shrink_maps(maps: Maps) -> Maps:
    """Return maps with sides of at most ``LONGEST_MAP_SIDE``, sampled evenly.

    Args:
        maps: float32 (words, h, w).
    """
    step = -(-max(maps.shape[1:]) // LONGEST_MAP_SIDE)
    start = (step - 1) // 2
    return np.ascontiguousarray(maps[:, start::step, start::step])
