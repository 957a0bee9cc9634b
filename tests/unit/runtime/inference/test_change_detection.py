"""Frames count as unchanged if they differ only by noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipseg_live.runtime.inference.change_detection import block_means, is_static


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(40, 216, (height // 40 + 1, width // 40 + 1, 3), np.uint8)
    return np.repeat(np.repeat(coarse, 40, axis=0), 40, axis=1)[:height, :width]


def noisy(pixels: np.ndarray, deviation: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, deviation, pixels.shape)
    return (pixels + noise).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("deviation", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("size", [(480, 640), (477, 630), (721, 1281)])
def test_camera_noise_is_not_a_change(deviation: float, size: tuple[int, int]) -> None:
    pixels = scene(*size)
    assert is_static(block_means(noisy(pixels, deviation, 1)), block_means(noisy(pixels, deviation, 2)))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 463), st.integers(0, 623), st.integers(0, 15), st.integers(0, 15))
def test_a_small_new_object_is_a_change(top: int, left: int, more: int, wider: int) -> None:
    pixels = scene(480 + more, 640 + wider)
    top, left = min(top + more, 464 + more), min(left + wider, 624 + wider)
    other = pixels.copy()
    spot = other[top : top + 16, left : left + 16]
    # one direction in a whole channel: opposite changes in a cell cancel each other
    way = np.where(spot.mean(axis=(0, 1)) > 127, -60, 60)
    spot[...] = np.clip(spot.astype(int) + way, 0, 255)
    assert not is_static(block_means(pixels), block_means(other))


def test_a_slow_change_of_light_is_detected() -> None:
    pixels = scene(480, 640)
    assert not is_static(block_means(pixels), block_means(pixels + np.uint8(2)))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (7, 9), (33, 65), (719, 1279)])
def test_any_size_is_supported(size: tuple[int, int]) -> None:
    pixels = scene(*size)
    assert is_static(block_means(pixels), block_means(pixels.copy()))
    assert not is_static(block_means(pixels), block_means(255 - pixels))
    assert not is_static(block_means(pixels), block_means(scene(size[0] + 64, size[1] + 64)))
