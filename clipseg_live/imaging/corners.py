"""Bilinear resizing with aligned corners, as the published evaluation of CLIPSeg resizes images and maps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def resize_corners(values: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """Resize an image or a map, bilinear with aligned corners and without antialiasing.

    The first and last lines keep their values, as in torch with ``align_corners=True``. The published evaluation of
    CLIPSeg (arXiv:2112.10003) resizes in this way; everything that is drawn uses ``resize_map``.

    Args:
        values: Numbers, (h, w) or (h, w, channels).
        height: Height of the result in pixels.
        width: Width of the result in pixels.

    Returns:
        float32 (height, width) or (height, width, channels), not rounded.
    """
    resized = values.astype(np.float32)
    for axis, length in ((1, width), (0, height)):
        old = resized.shape[axis]
        if old == length:
            continue
        scale = np.float32(old - 1) / np.float32(max(length - 1, 1))  # rounded as in torch
        places = np.arange(length, dtype=np.float32) * scale
        lower = np.minimum(places.astype(np.intp), max(old - 2, 0))
        shape = [1] * resized.ndim
        shape[axis] = length
        weight = (places - lower.astype(np.float32)).reshape(shape)
        below = resized.take(lower, axis)
        above = resized.take(np.minimum(lower + 1, old - 1), axis)
        resized = below + (above - below) * weight
    return resized
