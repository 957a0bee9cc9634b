"""Pictures and maps of an object with exact borders, for tests of edge refinement."""

import cv2
import numpy as np

from clipseg_live.matting.edges.token_grid import TOKENS, TokenGrid

RED, BLUE, GREY = (0.8, 0.1, 0.1), (0.1, 0.2, 0.7), (0.5, 0.5, 0.5)
HEIGHT, WIDTH = 180, 320


def star(height: int = HEIGHT, width: int = WIDTH, size: float = 0.36) -> np.ndarray:
    """Return a matte of a star with antialiased borders, float32 (height, width)."""
    angles = np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2 == 0, 1, 0.55) * size * height
    points = np.stack([width * 0.52 + radii * np.sin(angles), height * 0.5 - radii * np.cos(angles)], axis=1)
    large = np.zeros((8 * height, 8 * width), np.uint8)
    cv2.fillPoly(large, [np.rint(points * 8).astype(np.int32)], 255)
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def painted(matte: np.ndarray, front: tuple[float, ...], behind: tuple[float, ...], grain: float = 0.02) -> np.ndarray:
    noise = np.random.default_rng(5).normal(0, grain, (*matte.shape, 3)) if grain else 0
    picture = np.array(front) * matte[..., None] + np.array(behind) * (1 - matte[..., None]) + noise
    return np.clip(picture, 0, 1).astype(np.float32)


def token_map(matte: np.ndarray, noise: float = 0, seed: int = 3) -> np.ndarray:
    """Return the means of a matte over the tokens, with noise, interpolated bilinearly."""
    grid = TokenGrid(matte.shape, matte.shape)
    tokens = grid.means(matte) + np.random.default_rng(seed).normal(0, 1, (TOKENS, TOKENS)) * noise
    return grid.interpolated(np.clip(tokens, 0, 1).astype(np.float32))


def error(mask: np.ndarray, matte: np.ndarray) -> float:
    """Return 1 − IoU."""
    one, other = mask >= 0.5, matte >= 0.5
    return 1 - np.count_nonzero(one & other) / np.count_nonzero(one | other)
