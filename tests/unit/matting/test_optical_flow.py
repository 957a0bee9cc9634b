"""Optical flow on images with known motion."""

import cv2
import numpy as np
import pytest

from clipseg_live.matting.optical_flow import BackwardFlow, FlowEstimator, colour_consistency, pixel_grid, warp
from tests.helpers.patterns import texture


def grey(seed: int = 0, height: int = 180, width: int = 320) -> np.ndarray:
    return texture(height, width, seed)[..., 0].copy()


@pytest.mark.parametrize(("right", "down"), [(0, 0), (5, 0), (0, -4), (-11, 7)])
def test_a_shift_is_measured_with_confidence(right, down):
    before = grey()
    after = np.roll(before, (down, right), axis=(0, 1))
    step = FlowEstimator().step(before, after)
    inner = slice(30, -30), slice(30, -30)
    np.testing.assert_allclose(
        step.back[inner] - pixel_grid(180, 320)[inner], np.broadcast_to((-right, -down), (120, 260, 2)), atol=0.6
    )
    assert step.trust[inner].mean() > 0.9


def test_another_scene_has_no_confidence():
    assert FlowEstimator().step(grey(1), grey(2)).trust.mean() < 0.35


def test_uncovered_pixels_have_no_confidence():
    before, after = grey(3), grey(3)
    square = grey(4)[:60, :60]
    before[60:120, 100:160] = square
    after[60:120, 116:176] = square
    step = FlowEstimator().step(before, after)
    uncovered, inside = step.trust[66:114, 102:112], step.trust[70:110, 126:166]
    assert uncovered.mean() < 0.4 and inside.mean() > 0.8


def test_forward_and_backward_flow_cancel():
    before = grey()
    back, on = FlowEstimator().steps(before, np.roll(before, 6, axis=1))
    inner = slice(30, -30), slice(30, -30)
    there_and_back = back.compose(on)
    np.testing.assert_allclose(there_and_back.back[inner], pixel_grid(180, 320)[inner], atol=0.6)


def test_successive_flows_are_composed():
    first, second = FlowEstimator().step(grey(), np.roll(grey(), 4, axis=1)), BackwardFlow.identity(180, 320)
    assert np.allclose(second.compose(first).back, first.back, atol=1e-3)
    nowhere = BackwardFlow(pixel_grid(180, 320), np.zeros((180, 320), np.float32))
    assert nowhere.compose(first).trust.max() == 0


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (2, 320), (63, 64), (320, 7)])
def test_small_images_are_supported(size):
    picture = texture(*size, 5)[..., 0].copy()
    step = FlowEstimator().step(picture, picture)
    assert step.back.shape == (*size, 2) and step.trust.shape == size and np.isfinite(step.back).all()
    np.testing.assert_allclose(step.back, pixel_grid(*size), atol=0.1)


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_several_maps_are_warped_together(count):
    maps = np.random.default_rng(0).random((20, 30, count), np.float32)
    moved = warp(maps, pixel_grid(20, 30) - np.float32([3, 0]))
    np.testing.assert_allclose(moved[:, 3:], maps[:, :-3], atol=1e-6)
    np.testing.assert_allclose(moved[:, :3], np.repeat(maps[:, :1], 3, axis=1), atol=1e-6)


def test_long_motion_is_checked_by_colour() -> None:
    rng = np.random.default_rng(3)
    picture = cv2.GaussianBlur(rng.random((60, 90, 3), dtype=np.float32), (0, 0), 3)
    picture[20:40, 30:50] = (1, 0, 0)
    back = pixel_grid(60, 90)
    assert (colour_consistency(picture, picture, back) == 1).all()
    moved = picture.copy()
    moved[20:40, 30:50] = (0, 0, 1)
    found = colour_consistency(picture, moved, back)
    assert found[30, 40] == 0 and found[5, 5] == 1 and found[50, 80] == 1
    lit = np.clip(picture * 0.8 + 0.1, 0, 1)  # the same objects in another light
    assert np.median(colour_consistency(picture, lit, back)) == 1
