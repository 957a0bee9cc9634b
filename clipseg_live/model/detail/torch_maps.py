"""``MapOperations`` of PyTorch."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


class TorchMaps:
    """Operations on tensors, on their device."""

    def floats(self, maps: Tensor) -> Tensor:
        """Return maps in float32."""
        return maps.float()

    def zeros_like(self, maps: Tensor) -> Tensor:
        """Return zeros of the same shape and type."""
        return torch.zeros_like(maps)

    def centres(self, length: int, like: Tensor) -> Tensor:
        """Return the centres of ``length`` equal parts of 0..1."""
        return (torch.arange(length, device=like.device, dtype=torch.float32) + 0.5) / length

    def resized(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Return maps of another size."""
        if maps.shape[1:] == size:
            return maps
        resized = functional.interpolate(maps[None], size=size, mode="bilinear", antialias=True, align_corners=False)
        return resized[0].clamp(0, 1)

    def cells(self, maps: Tensor, count: int) -> NDArray[np.float32]:
        """Return the largest value in each cell."""
        cells: NDArray[np.float32] = functional.adaptive_max_pool2d(maps.float().cpu(), count).numpy()
        return cells

    def dilated(self, maps: Tensor, box: int) -> Tensor:
        """Return the largest value in a box around each value."""
        return functional.max_pool2d(maps[None], box, 1, box // 2)[0]

    def averaged(self, maps: Tensor) -> Tensor:
        """Return the mean of the values around each value."""
        return functional.avg_pool2d(maps[None], 3, 1, 1, count_include_pad=False)[0]

    def minimum(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the smaller values."""
        return torch.minimum(first, second)

    def maximum(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the larger values."""
        return torch.maximum(first, second)

    def log_odds(self, maps: Tensor, least: float) -> Tensor:
        """Return the logarithms of the odds of probabilities."""
        return torch.logit(maps, eps=least)

    def probabilities(self, odds: Tensor) -> Tensor:
        """Return the probabilities of logarithms of odds."""
        return odds.sigmoid()

    def mixed(self, first: Tensor, second: Tensor, share: Any) -> Tensor:
        """Return a mixture."""
        return torch.lerp(first, second, share)
