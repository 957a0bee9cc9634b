"""Drawn pictures and maps for tests of mattes."""

import cv2
import numpy as np

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Matte
from clipseg_live.matting.alpha import read_only
from clipseg_live.matting.guided_filter import mask_boxes


def texture(height: int, width: int, seed: int) -> Pixels:
    """Soft spots of all sizes: something that flow can follow."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for cell in (4, 12, 40):
        noise = rng.random((-(-height // cell) + 1, -(-width // cell) + 1, 3), np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, 3)
    return np.clip(picture * 85, 0, 255).astype(np.uint8)


def disc(height: int, width: int, x: float, y: float, radius: float) -> np.ndarray:
    """How much of each pixel a disc covers, float32 (height, width), with a border of one pixel."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(columns + 0.5 - x, rows + 0.5 - y)
    return np.clip(radius - distance + 0.5, 0, 1).astype(np.float32)


def with_disc(
    background: Pixels, x: float, y: float, radius: float, colour: tuple[int, int, int]
) -> tuple[Pixels, np.ndarray]:
    """A picture with a disc on it, and the disc's matte."""
    matte = disc(*background.shape[:2], x, y, radius)
    picture = background * (1 - matte[..., None]) + np.float32(colour) * matte[..., None]
    return picture.astype(np.uint8), matte


def coarse(matte: np.ndarray, tokens: int = 22) -> np.ndarray:
    """A map as the model gives it: means over tokens, interpolated; float32 (1, 352, 352)."""
    means = cv2.resize(matte, (tokens, tokens), interpolation=cv2.INTER_AREA)
    return cv2.resize(means, (352, 352), interpolation=cv2.INTER_LINEAR)[None]


def matte_of(alpha: np.ndarray) -> Matte:
    """uint8 (height, width) as a matte, with boxes around its parts, or one around all where there are many."""
    return read_only(alpha, mask_boxes(alpha > 0))
