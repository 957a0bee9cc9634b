"""Scores equal a plain transcription of the published arithmetic, and intervals cover the true value."""

import numpy as np
import pytest
import scipy.integrate

from clipseg_live.evaluation import bootstrap
from clipseg_live.evaluation.scores import (
    LEVEL_COUNT,
    THRESHOLDS,
    Confusion,
    Scores,
    average_precision,
    count_levels,
    mean_iou,
    simpson,
    threshold_index,
)
from tests.helpers import transcription


def samples(seed: int, count: int = 12) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Return maps of which some values are exactly those of thresholds, with truths; class "c" is always absent."""
    random = np.random.default_rng(seed)
    drawn = []
    for number in range(count):
        truth = random.random((31, 23)) < 0.2 + 0.05 * (number % 5)
        maps = (0.5 * truth + 0.5 * random.random((31, 23))).astype(np.float32)
        exact = random.random((31, 23)) < 0.3
        maps[exact] = random.choice(np.append(THRESHOLDS, (0, 1)).astype(np.float32), exact.sum())
        name = "abc"[number % 3]
        drawn.append((maps, truth & (name != "c"), name))
    return drawn


def arrays(drawn: list[tuple[np.ndarray, np.ndarray, str]]) -> tuple[np.ndarray, np.ndarray]:
    counts = np.stack([count_levels(maps, truth) for maps, truth, _ in drawn])
    return counts, np.array([ord(name) for _, _, name in drawn])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.02, 0.3, 0.5, 0.98])
def test_scores_equal_the_transcription(seed: int, threshold: float) -> None:
    drawn = samples(seed)
    found = Scores.of(*arrays(drawn), threshold_index(threshold))
    values = (found.mean_iou, found.foreground_iou, found.binary_iou, found.ap)
    expected = transcription.scores(drawn, threshold)
    assert [100 * value for value in values] == pytest.approx(list(expected.values()), abs=1e-10)


def test_every_float_near_a_threshold_is_on_the_right_side() -> None:
    steps = THRESHOLDS.astype(np.float32)
    values = np.concatenate([steps, np.nextafter(steps, np.float32(0)), np.nextafter(steps, np.float32(1))])
    values = np.append(values, np.float32([0, 1]))[None]
    at = Confusion.of(count_levels(values, np.ones_like(values, bool)))
    assert at.tp.tolist() == [int((values > step).sum()) for step in steps]
    assert at.fn.tolist() == [int((values <= step).sum()) for step in steps]


def test_sums_of_images_are_the_counts_of_all_pixels_and_invalid_ones_are_left_out() -> None:
    (first, true, _), (second, other, _), *_ = samples(1)
    both = count_levels(np.vstack([first, second]), np.vstack([true, other]))
    assert np.array_equal(both, count_levels(first, true) + count_levels(second, other))
    valid = np.vstack([np.ones_like(true), np.zeros_like(true)])
    left = count_levels(np.vstack([first, second]), np.vstack([true, other]), valid)
    assert np.array_equal(left, count_levels(first, true))


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 49])
def test_integrals_are_those_of_scipy(count: int) -> None:
    random = np.random.default_rng(count)
    positions = np.sort(random.random(count))
    for repeated in (False, True):
        if repeated:
            positions[count // 2] = positions[count // 2 - 1]
            positions[-1] = positions[-2]
        values = random.random(count)
        assert simpson(values, positions) == pytest.approx(scipy.integrate.simpson(values, x=positions), abs=1e-12)
    assert simpson(np.ones(1), np.ones(1)) == 0


def test_nothing_predicted_has_a_precision_of_zero() -> None:
    counts = count_levels(np.zeros((4, 4), np.float32), np.ones((4, 4), bool))
    assert average_precision(counts) == 0 and not Confusion.of(counts).foreground_iou.any()
    assert not mean_iou(np.zeros((0, 2, LEVEL_COUNT), np.int64)).any()


@pytest.mark.parametrize("per_target", [False, True])
def test_resampled_scores_are_those_of_the_drawn_images(per_target: bool) -> None:
    """Draw images as the module does, and score the repeated targets plainly."""
    drawn = samples(2, 9)
    images = np.repeat(np.arange(3), 3)
    counts, classes = arrays(drawn)
    if per_target:
        classes = np.arange(9)
    found = bootstrap.resample(counts, classes, images, threshold_index(0.5), per_target=per_target)
    draws = np.random.default_rng(0).multinomial(3, np.full(3, 1 / 3), 50)
    for row, weights in list(zip(found, draws, strict=False))[:8]:
        repeated = [
            (*drawn[target][:2], f"{copy} {target}" if per_target else drawn[target][2])
            for image, weight in enumerate(weights)
            for copy in range(weight)
            for target in np.flatnonzero(images == image)
        ]
        assert 100 * row == pytest.approx(list(transcription.scores(repeated, 0.5).values()), abs=1e-9)


def test_an_interval_has_the_score_inside_and_shrinks_with_more_images() -> None:
    widths = []
    for count in (6, 60):
        counts, classes = arrays(samples(3, count))
        resampled = bootstrap.resample(counts, classes, np.arange(count), threshold_index(0.5), per_target=False)
        interval = bootstrap.intervals(resampled)[1]
        assert interval.low < Scores.of(counts, classes, threshold_index(0.5)).foreground_iou < interval.high
        widths.append(interval.high - interval.low)
    assert widths[1] < widths[0] / 2


def test_only_the_49_thresholds_have_an_index() -> None:
    assert [threshold_index(value) for value in (0.02, 0.3, 0.98)] == [0, 14, 48]
    assert threshold_index(0.35) is None and threshold_index(0) is None and threshold_index(1) is None
