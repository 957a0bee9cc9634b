"""The temporal filter: bounds, identity, convergence, outliers, and detection of cuts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clipseg_live.matting.temporal_filter import FilterState, filter_gain, is_cut, update_filter

probability = st.floats(0, 1, width=32)


def state_of(maps: np.ndarray, keys: tuple[int, ...] | None = None) -> FilterState:
    return FilterState(keys or tuple(range(maps.shape[2])), maps, np.zeros_like(maps))


def filtered(
    past: FilterState | None,
    answer: np.ndarray,
    *,
    trust: float = 1,
    sure: float = 1,
    calm: float = 1,
    strength=0.5,
    seconds=0.1,
):
    planes = [np.full(answer.shape[:2], value, np.float32) for value in (trust, sure, calm)]
    return update_filter(past, tuple(range(answer.shape[2])), answer, *planes, strength, seconds)


cubes = arrays(np.float32, (3, 4, 2), elements=probability)
strengths = st.floats(0, 1)


@pytest.mark.slow
@given(cubes, cubes, *[st.floats(0, 1)] * 3, strengths, st.floats(0, 5))
def test_the_result_stays_between_past_and_prediction(past, answer, trust, sure, calm, strength, seconds):
    copies = past.copy(), answer.copy()
    found = filtered(state_of(past), answer, trust=trust, sure=sure, calm=calm, strength=strength, seconds=seconds).maps
    assert found.dtype == np.float32 and found.shape == answer.shape
    assert (found >= np.minimum(past, answer) - 1e-6).all() and (found <= np.maximum(past, answer) + 1e-6).all()
    assert np.array_equal(past, copies[0]) and np.array_equal(answer, copies[1])


@pytest.mark.slow
@given(cubes, cubes)
def test_the_prediction_is_used_without_strength_or_past(past, answer):
    assert filtered(state_of(past), answer, strength=0).maps is answer
    assert filtered(None, answer).maps is answer


@pytest.mark.slow
@given(cubes, strengths)
def test_a_constant_scene_is_unchanged(maps, strength):
    belief = state_of(maps)
    for _ in range(4):
        belief = filtered(belief, maps, strength=strength)
    np.testing.assert_array_equal(belief.maps, maps)


@pytest.mark.slow
@given(cubes, cubes, st.floats(0, 0.99), strengths)
def test_large_motion_is_smoothed_less(past, answer, calm, strength):
    def distance(calm: float) -> np.ndarray:
        return np.abs(filtered(state_of(past), answer, calm=calm, strength=strength).maps - answer)

    assert (distance(calm) <= distance(1) + 1e-6).all()


def test_noise_is_smoothed_during_motion():
    past, answer = np.full((2, 2, 1), 0.5, np.float32), np.full((2, 2, 1), 0.54, np.float32)
    still, moved = (float(filtered(state_of(past), answer, calm=calm).maps[0, 0, 0]) for calm in (1, 0.1))
    assert 0.5 < still < moved < 0.53


def test_only_an_edited_prompt_is_reset():
    past = state_of(np.zeros((2, 2, 2), np.float32), (0, 7))
    found = filtered(past, np.full((2, 2, 2), 0.3, np.float32)).maps
    assert (found[..., 1] == np.float32(0.3)).all() and (found[..., 0] < 0.2).all()


@pytest.mark.slow
@given(st.floats(0.05, 1), st.integers(2, 30))
def test_the_past_fades_independently_of_the_rate(strength, parts):
    past, answer = np.zeros((1, 1, 1), np.float32), np.full((1, 1, 1), 0.3, np.float32)
    at_once = filtered(state_of(past), answer, strength=strength, seconds=1.0).maps
    belief = state_of(past)
    for _ in range(parts):
        belief = filtered(belief, answer, strength=strength, seconds=1.0 / parts)
    np.testing.assert_allclose(belief.maps, at_once, atol=1e-4)


def test_a_single_outlier_is_delayed_by_one_prediction():
    there, gone = np.full((2, 2, 1), 0.9, np.float32), np.zeros((2, 2, 1), np.float32)
    once = filtered(filtered(filtered(None, there), there), gone, seconds=0.3)
    assert not once.support.any() and once.maps.min() > 0.75
    back = filtered(once, there, seconds=0.3)
    assert back.maps.min() > 0.85 and (back.support == 1).all()
    twice = filtered(once, gone, seconds=0.3)
    assert twice.maps.max() < 0.5


def test_a_change_in_the_frame_is_accepted_at_once():
    there, gone = np.full((2, 2, 1), 0.9, np.float32), np.zeros((2, 2, 1), np.float32)
    assert filtered(state_of(there), gone, trust=0, strength=1.0).maps.max() < 0.01
    assert filtered(state_of(there), gone, trust=0, sure=0).maps.min() > 0.89  # there is no prediction there


@pytest.mark.slow
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 10))
def test_more_strength_and_shorter_intervals_reduce_the_weight(one, other, seconds):
    weak, strong = sorted((one, other))
    assert 0 < filter_gain(strong, seconds) <= filter_gain(weak, seconds) <= 1


def scene(seed: int, size: int = 128) -> np.ndarray:
    """Return an image of soft blobs in random colours, larger than a thumbnail, so it can be moved."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:size, 0:size]
    picture = np.full((size, size, 3), generator.uniform(30, 200, 3))
    for _ in range(25):
        x, y, radius = *generator.uniform(0, size, 2), generator.uniform(6, 28)
        inside = ((columns - x) ** 2 + (rows - y) ** 2) < radius**2
        picture[inside] = generator.uniform(0, 255, 3)
    return picture


def thumbnail(picture: np.ndarray, top: int = 16, left: int = 16) -> np.ndarray:
    part = picture[top : top + 96, left : left + 96]
    return part.reshape(32, 3, 32, 3, 3).mean(axis=(1, 3)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_a_hard_cut_is_detected(seed):
    before, after = thumbnail(scene(seed)), thumbnail(scene(seed + 100))
    assert is_cut(before, after)


@pytest.mark.slow
def test_grey_thumbnails_are_supported():
    found = [
        is_cut(*(thumbnail(scene(each)).mean(axis=2).astype(np.uint8) for each in (seed, seed + 100)))
        for seed in range(12)
    ]
    assert sum(found) >= 10


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("move", [(0, 0), (3, 0), (0, 8), (-6, 6)], ids=str)
def test_motion_is_not_a_cut(seed, move):
    picture = scene(seed)
    assert not is_cut(thumbnail(picture), thumbnail(picture, 16 + move[0], 16 + move[1]))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("gain", "offset"), [(1.4, 0), (0.6, 0), (1, 50), (1, -50), (0.6, 90)])
def test_a_change_of_light_is_not_a_cut(seed, gain, offset):
    picture = scene(seed)
    assert not is_cut(thumbnail(picture), thumbnail(picture * gain + offset, 18, 17))


def test_empty_images_are_supported():
    black, white = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    picture = thumbnail(scene(1))
    assert not is_cut(black, black) and is_cut(black, white)
    assert is_cut(black, picture) and is_cut(picture, black)
    assert not is_cut(black, (black + 3).astype(np.uint8))
    assert is_cut(black, black[:16])


@pytest.mark.slow
@settings(max_examples=30)
@given(arrays(np.uint8, (32, 32, 3)))
def test_identical_frames_are_never_a_cut(picture):
    assert is_cut(picture, picture) is False
