"""Letterboxing: images of one aspect ratio inside another, with black bars."""

from typing import Any

import cv2
from numpy.typing import NDArray


def letterbox(picture: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Return an image, scaled to fit and centred in the given size, with black bars.

    Args:
        picture: Image or plane of any type, (h, w) or (h, w, 3).
        width: Width of the result in pixels.
        height: Height of the result in pixels.
    """
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inner = max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1)
    resized = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    return cv2.copyMakeBorder(
        resized, top, height - inner[1] - top, left, width - inner[0] - left, cv2.BORDER_CONSTANT, value=0
    )
