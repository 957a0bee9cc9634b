"""Operations on probability maps that arrays of NumPy and PyTorch do not share."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class MapOperations(Protocol):
    """Operations on maps of one library, float (prompts, rows, columns)."""

    def floats(self, maps: Any) -> Any:
        """Return maps in float32."""

    def zeros_like(self, maps: Any) -> Any:
        """Return zeros of the same shape and type."""

    def centres(self, length: int, like: Any) -> Any:
        """Return the centres of ``length`` equal parts of 0..1."""

    def resized(self, maps: Any, size: tuple[int, int]) -> Any:
        """Return maps of another size by antialiased bilinear interpolation, limited to 0..1."""

    def cells(self, maps: Any, count: int) -> NDArray[np.float32]:
        """Return the largest value in each of ``count`` × ``count`` cells, on the host."""

    def dilated(self, maps: Any, box: int) -> Any:
        """Return the largest value in a box around each value; ``box`` is odd."""

    def averaged(self, maps: Any) -> Any:
        """Return the mean of the 3 × 3 values around each value, of those inside the map."""

    def minimum(self, first: Any, second: Any) -> Any:
        """Return the smaller values."""

    def maximum(self, first: Any, second: Any) -> Any:
        """Return the larger values."""

    def log_odds(self, maps: Any, least: float) -> Any:
        """Return the logarithms of the odds of probabilities, limited to ``least`` and 1 - ``least``."""

    def probabilities(self, odds: Any) -> Any:
        """Return the probabilities of logarithms of odds."""

    def mixed(self, first: Any, second: Any, share: Any) -> Any:
        """Return ``first`` where the share is 0, ``second`` where it is 1, and a mixture between."""
