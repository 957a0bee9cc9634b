"""Images of one aspect ratio inside another: with black bars, or cropped."""

from typing import Any

import cv2
from numpy.typing import NDArray


def letterbox(picture: NDArray[Any], width: int, height: int, *, quick: bool = False) -> NDArray[Any]:
    """Return an image, scaled to fit and centred in the given size, with black bars.

    Args:
        picture: Image or plane of any type, (h, w) or (h, w, 3).
        width: Width of the result in pixels.
        height: Height of the result in pixels.
        quick: Average pixels only for reductions to a half and below. This takes a fifth of the time between them.
    """
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inner_size = max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1)
    resized = cv2.resize(picture, inner_size, interpolation=_interpolation(scale, quick))
    if inner_size == (width, height):
        return resized
    left, top = (width - inner_size[0]) // 2, (height - inner_size[1]) // 2
    return cv2.copyMakeBorder(
        resized, top, height - inner_size[1] - top, left, width - inner_size[0] - left, cv2.BORDER_CONSTANT, value=0
    )


def cover(picture: NDArray[Any], width: int, height: int, *, quick: bool = False) -> NDArray[Any]:
    """Return an image, scaled to fill the given size and cropped around its centre.

    Args:
        picture: Image, (h, w, 3).
        width: Width of the result in pixels.
        height: Height of the result in pixels.
        quick: See ``letterbox``.
    """
    scale = max(width / picture.shape[1], height / picture.shape[0])
    columns, rows = min(round(width / scale), picture.shape[1]), min(round(height / scale), picture.shape[0])
    left, top = (picture.shape[1] - columns) // 2, (picture.shape[0] - rows) // 2
    part = picture[top : top + max(rows, 1), left : left + max(columns, 1)]
    return cv2.resize(part, (width, height), interpolation=_interpolation(scale, quick))


def _interpolation(scale: float, quick: bool) -> int:
    is_reduction = scale <= 0.5 if quick else scale < 1
    return cv2.INTER_AREA if is_reduction else cv2.INTER_LINEAR
