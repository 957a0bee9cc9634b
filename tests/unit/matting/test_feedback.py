"""Feedback: predictions of several frames correct a mask; noise and wrong predictions do not."""

import cv2
import numpy as np
import pytest

from clipseg_live.matting.edges.feedback import Feedback, Observation
from clipseg_live.matting.edges.refiner import EdgeRefiner
from clipseg_live.matting.edges.token_map import TokenMap
from clipseg_live.matting.optical_flow import pixel_grid
from tests.helpers.edges import GREY, HEIGHT, WIDTH, error, painted, star, token_map

HALF = np.asarray(0.5, np.float32)
PICTURE = painted(star(), GREY, GREY)
"""A picture without a border: only the tokens tell the object."""


def moved(plane: np.ndarray, across: int, down: int) -> np.ndarray:
    shift = np.array([(1, 0, across), (0, 1, down)], np.float32)
    return cv2.warpAffine(plane, shift, (plane.shape[1], plane.shape[0]))


def observed(matte: np.ndarray, threshold: float = 0.5, **options) -> Observation:
    return Observation(token_map(matte), threshold, 0.3, **options)


def refined(average: np.ndarray, feedback=None, observation=None):
    refiner = EdgeRefiner(PICTURE)
    return refiner.refine(average, 0.5, "fast", is_average=True, feedback=feedback, observation=observation)


def small(plane: np.ndarray) -> np.ndarray:
    return cv2.resize(plane, (plane.shape[1] // 2, plane.shape[0] // 2), interpolation=cv2.INTER_AREA)


def fed(predictions, mask: np.ndarray, **options) -> Feedback:
    """Return the feedback of predictions for a mask that does not change."""
    feedback = Feedback.before(Observation(predictions[0], 0.5, 0.3, **options), small(mask).shape)
    for probability in predictions:
        tokens = TokenMap.of(small(probability), HALF, small(mask).shape)
        feedback = feedback.updated(tokens, small(mask), 0.3)
    return feedback


def test_predictions_of_the_shown_frames_correct_an_average():
    matte, average = star(), token_map(star())
    alone = refined(average)
    assert alone.feedback is None
    feedback = None
    for _ in range(8):
        result = refined(average, feedback, observed(matte))
        feedback = result.feedback
    assert feedback.count == 8
    assert error(result.alpha, matte) < 0.75 * error(alone.alpha, matte)
    kept = refined(average, feedback)  # a frame without a new prediction
    assert kept.feedback is feedback
    assert error(kept.alpha, matte) < 0.75 * error(alone.alpha, matte)


def test_predictions_of_earlier_frames_correct_a_moving_object():
    matte, feedback, coverage = star(), None, {}
    path = [(5 * step, 3 * (step % 3)) for step in range(12)]
    average = np.mean([moved(token_map(moved(matte, *at)), -at[0], -at[1]) for at in path], axis=0)
    alone = refined(average)
    for step, at in enumerate(path):
        observation = None
        if step:
            shift = np.subtract(path[step - 1], at, dtype=np.float32)
            feedback = None if feedback is None else feedback.warped(pixel_grid(HEIGHT // 2, WIDTH // 2) + shift / 2)
            back = pixel_grid(HEIGHT, WIDTH) + shift
            observation = observed(moved(matte, *path[step - 1]), coverage=coverage[step - 1], back=back)
        result = refined(moved(average, *at), feedback, observation)
        feedback, coverage[step] = result.feedback, result.alpha
    assert error(result.alpha, moved(matte, *path[-1])) < 0.75 * error(alone.alpha, matte)


def test_noise_of_predictions_is_not_added():
    matte = star()
    noisy = fed([token_map(matte, 0.06, seed) for seed in range(20)], matte)
    missing = fed([token_map(matte, 0.06, seed) for seed in range(20)], np.where(np.arange(WIDTH) < 165, matte, 0))
    assert np.abs(noisy.correction).mean() < 0.1 * np.abs(missing.correction).mean()


def test_a_wrong_prediction_changes_little():
    matte = star()
    predictions = [token_map(matte)] * 6
    wrong = fed([*predictions, np.zeros_like(matte)], matte)
    assert -0.15 < wrong.correction.min() < 0


@pytest.mark.parametrize("mask", [np.zeros((HEIGHT, WIDTH), np.float32), np.ones((HEIGHT, WIDTH), np.float32)])
def test_corrections_are_bounded(mask):
    correction = fed([token_map(star(), 0.06, seed) for seed in range(40)], mask).correction
    assert np.isfinite(correction).all() and np.abs(correction).max() <= 1


def test_feedback_of_cautious_mattes_only_adds():
    mask = np.ones((HEIGHT, WIDTH), np.float32)
    assert fed([token_map(star())] * 3, mask).correction.min() < 0
    assert fed([token_map(star())] * 3, mask, only_grows=True).correction.min() == 0


def test_another_threshold_starts_anew():
    average, matte = token_map(star()), star()
    feedback = refined(average, None, observed(matte)).feedback
    feedback = refined(average, feedback, observed(matte)).feedback
    assert feedback.count == 2
    changed = refined(average, feedback, observed(matte, 0.6)).feedback
    assert (changed.count, changed.threshold) == (1, 0.6)


def test_a_map_without_a_border_keeps_the_feedback():
    feedback = refined(token_map(star()), None, observed(star())).feedback
    empty = np.zeros((HEIGHT, WIDTH), np.float32)
    result = refined(empty, feedback, observed(star()))
    assert result.feedback is feedback and not result.alpha.any()


@pytest.mark.parametrize("displacement", ["moved", "grown", "shrunk"])
def test_a_displaced_map_is_hardly_followed(displacement):
    matte, window = star(), np.ones((9, 9), np.uint8)
    other = {"moved": moved(matte, 4, 2), "grown": cv2.dilate(matte, window), "shrunk": cv2.erode(matte, window)}
    tokens = TokenMap.of(small(token_map(other[displacement])), HALF, small(matte).shape)
    means = tokens.grid.means(small(matte))
    residual = np.square(tokens.residual(means)).sum()
    assert 0 < residual < 0.4 * np.square(tokens.at_border * (tokens.tokens - means)).sum()


def test_the_residual_of_a_mask_without_a_part_of_the_object_remains():
    matte = star()
    tokens = TokenMap.of(small(token_map(matte)), HALF, small(matte).shape)
    means = tokens.grid.means(small(np.where(np.arange(WIDTH) < 190, matte, 0)))
    residual = np.square(tokens.residual(means)).sum()
    assert residual > 0.7 * np.square(tokens.at_border * (tokens.tokens - means)).sum()


def test_maps_as_fine_as_their_pixels_need_no_feedback():
    matte = star()
    feedback = refined(matte, None, Observation(matte, 0.5, 0.3)).feedback
    assert feedback.count == 0 and not feedback.correction.any()


def test_rare_predictions_give_no_feedback():
    matte = star()
    feedback = refined(token_map(matte), None, observed(matte)).feedback
    rare = Observation(token_map(matte), 0.5, 0.6)
    assert refined(token_map(matte), feedback, rare).feedback is None
