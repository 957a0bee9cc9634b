"""Maps resized to the frame."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live import Prompt, Segmentation, UsageError
from clipseg_live.core.errors import NoPrediction
from tests.helpers.tolerances import SAME_INTERPOLATION

sides = st.integers(1, 60)


def segmentation(maps: np.ndarray, frame_size: tuple[int, int] = (30, 40)) -> Segmentation:
    return Segmentation(maps.astype(np.float32), (Prompt.text("x"),) * len(maps), frame_size)


@pytest.mark.slow
@given(sides, sides, sides, sides, st.integers(0, 2**32 - 1))
def test_resizing_equals_opencv(rows: int, columns: int, height: int, width: int, seed: int) -> None:
    maps = np.random.default_rng(seed).random((2, rows, columns), np.float32)
    found = segmentation(maps).at(height, width)
    for one, resized in zip(maps, found, strict=True):
        expected = cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(resized, expected, atol=SAME_INTERPOLATION)
    assert found.min() >= maps.min() - SAME_INTERPOLATION and found.max() <= maps.max() + SAME_INTERPOLATION


def test_the_frames_own_size_is_the_default() -> None:
    assert segmentation(np.zeros((1, 5, 5))).at().shape == (1, 30, 40)


def test_the_threshold_itself_is_inside_the_mask() -> None:
    found = segmentation(np.full((1, 2, 2), 0.5), (2, 2))
    assert found.masks(0.5).all()
    assert not found.masks(0.51).any()
    with pytest.raises(UsageError, match="threshold of 2"):
        found.masks(2)


def test_sizes_below_one_are_rejected() -> None:
    with pytest.raises(UsageError, match="at least 1 pixel"):
        segmentation(np.zeros((1, 2, 2))).at(0, 5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_maps_have_no_masks(value: float) -> None:
    maps = np.zeros((2, 5, 5))
    maps[1, 2, 3] = value
    with pytest.raises(NoPrediction, match="NaN or infinite values"):
        segmentation(maps).masks()
