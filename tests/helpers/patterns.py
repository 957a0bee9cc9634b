"""Synthetic images and maps for tests of mattes."""

import cv2
import numpy as np

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Matte
from clipseg_live.matting.alpha import read_only
from clipseg_live.matting.edges.full_size import mask_boxes


def texture(height: int, width: int, seed: int) -> Pixels:
    """Return soft spots of all sizes, a texture that optical flow can track."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for cell in (4, 12, 40):
        noise = rng.random((-(-height // cell) + 1, -(-width // cell) + 1, 3), np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, 3)
    return np.clip(image * 85, 0, 255).astype(np.uint8)


def disc(height: int, width: int, x: float, y: float, radius: float) -> np.ndarray:
    """Return the coverage of each pixel by a disc, float32 (height, width), with a border of one pixel."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(columns + 0.5 - x, rows + 0.5 - y)
    return np.clip(radius - distance + 0.5, 0, 1).astype(np.float32)


def with_disc(
    background: Pixels, x: float, y: float, radius: float, colour: tuple[int, int, int]
) -> tuple[Pixels, np.ndarray]:
    """Return an image with a disc on it, and the matte of the disc."""
    matte = disc(*background.shape[:2], x, y, radius)
    image = background * (1 - matte[..., None]) + np.float32(colour) * matte[..., None]
    return image.astype(np.uint8), matte


def coarse(matte: np.ndarray, tokens: int = 22) -> np.ndarray:
    """Return a map at the model's resolution: means over tokens, interpolated; float32 (1, 352, 352)."""
    means = cv2.resize(matte, (tokens, tokens), interpolation=cv2.INTER_AREA)
    return cv2.resize(means, (352, 352), interpolation=cv2.INTER_LINEAR)[None]


def matte_of(alpha: np.ndarray) -> Matte:
    """Return a matte from uint8 (height, width), with boxes around its parts, or one box if there are many parts."""
    return read_only(alpha, mask_boxes(alpha > 0))
