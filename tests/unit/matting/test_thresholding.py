"""Hard masks equal resizing and comparing bit by bit, and their boxes contain all pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipseg_live.imaging.resize import resize_map
from clipseg_live.matting.thresholding import threshold_map
from tests.helpers.patterns import coarse, disc

MANY = settings(max_examples=150, deadline=None)


def checked(probability: np.ndarray, threshold: float, height: int, width: int) -> tuple[np.ndarray, list]:
    level = np.float32(threshold)
    alpha, boxes = threshold_map(probability, level, height, width)
    wanted = resize_map(probability, height, width) >= level
    assert alpha.dtype == np.uint8 and alpha.shape == (height, width)
    np.testing.assert_array_equal(alpha, wanted * np.uint8(255))
    held = np.zeros((height, width), int)
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        held[top:bottom, left:right] += 1
    assert held.max(initial=0) <= 1 and not alpha[held == 0].any()
    return alpha, boxes


@pytest.mark.slow
@MANY
@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1),
    st.sampled_from([2, 5, 1000]), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
)  # fmt: skip
def test_hard_masks_equal_resize_and_compare(rows, columns, height, width, seed, levels, threshold):
    """Maps with few levels have many values exactly at the threshold."""
    maps = np.random.default_rng(seed).integers(0, levels, (rows, columns)) / np.float32(max(levels - 1, 1))
    checked(maps.astype(np.float32), threshold, height, width)


@pytest.mark.parametrize("size", [(1080, 1920), (301, 257), (40, 30)])
def test_smooth_maps_of_several_objects_equal_resize_and_compare(size):
    maps = [coarse(disc(176, 176, x, y, 25))[0] for x, y in ((40, 40), (140, 120), (0, 176))]
    alpha, boxes = checked(np.maximum.reduce(maps), 0.5, *size)
    assert len(boxes) == 3
    for left, top, right, bottom in boxes:  # no row and no column of a box is empty
        part = alpha[top:bottom, left:right]
        assert part.any(axis=0)[[0, -1]].all() and part.any(axis=1)[[0, -1]].all()


@pytest.mark.parametrize("value", [0.0, np.nextafter(np.float32(0.5), np.float32(0)), 0.5, 1.0])
def test_uniform_maps_are_completely_inside_or_outside(value):
    alpha, boxes = checked(np.full((22, 22), value, np.float32), 0.5, 45, 80)
    assert boxes == ([(0, 0, 80, 45)] if value >= 0.5 else []) and (alpha == 255).all() == (value >= 0.5)
