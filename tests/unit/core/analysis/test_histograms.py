"""Histograms of probability maps, and Otsu's threshold."""

import cv2
import numpy as np
import pytest

from clipseg_live.core.analysis.histograms import BINS, count_probabilities, otsu_threshold


def test_every_pixel_of_a_small_map_is_counted_in_its_bin() -> None:
    counts = count_probabilities(np.array([[0, 0.004, 0.01], [0.5, 0.999, 1]], np.float32))
    assert counts.sum() == 6 and dict(enumerate(counts)) | {0: 2, 1: 1, 50: 1, 99: 2} == dict(enumerate(counts))


def test_large_maps_are_sampled_evenly() -> None:
    values = np.random.default_rng(0).random((704, 700), np.float32)
    counts = count_probabilities(values)
    np.testing.assert_allclose(counts / counts.sum(), 1 / BINS, atol=0.005)
    assert 100**2 < counts.sum() <= 120**2


@pytest.mark.parametrize("seed", range(8))
def test_the_threshold_is_that_of_opencv(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.beta(1, 8, 20000), rng.beta(8, 2 + seed, 900 * (seed + 1))])
    levels = np.minimum((values * BINS).astype(np.uint8), BINS - 1)
    expected, _ = cv2.threshold(levels.reshape(1, -1), 0, 255, cv2.THRESH_OTSU)  # the upper class is above it
    assert otsu_threshold(np.bincount(levels, minlength=BINS), 0.3) == pytest.approx((expected + 1) / BINS)


def test_an_empty_range_between_two_classes_is_cut_in_its_middle() -> None:
    counts = np.zeros(BINS, np.int64)
    counts[10], counts[90] = 100, 50
    assert otsu_threshold(counts, 0.35) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("bins", [(), (3,), (0, 1, 2, 20)])
def test_nothing_is_suggested_without_a_probable_class(bins: tuple[int, ...]) -> None:
    counts = np.zeros(BINS, np.int64)
    counts[list(bins)] = 10
    assert otsu_threshold(counts, 0.35) is None
