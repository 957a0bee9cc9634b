"""One way to bring a probability map to a picture's size, for everything that is drawn or written."""

import cv2
import numpy as np
from numpy.typing import NDArray


def resize_map(probability: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """float32 (h, w) as (height, width): bilinear with half-pixel centres; the same array where the size is right."""
    if probability.shape == (height, width):
        return probability
    resized = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32).reshape(height, width)
