"""Smoothing over time: bounds, identity, reset, convergence; and what counts as a cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clipseg_live.core.errors import UsageError
from clipseg_live.core.temporal import PromptStates, TemporalState, is_cut, smooth, smooth_each

probability = st.floats(0, 1, width=32)
shapes = st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 4))
strengths = st.floats(0, 0.999)


@st.composite
def sequences(draw):
    shape = draw(shapes)
    count = draw(st.integers(1, 5))
    return [draw(arrays(np.float32, shape, elements=probability)) for _ in range(count)]


@given(sequences(), strengths)
def test_smoothed_maps_stay_between_the_smallest_and_the_largest_seen(frames, strength):
    state = TemporalState()
    for number, maps in enumerate(frames):
        before = maps.copy()
        state, mixed = smooth(state, maps, strength)
        assert mixed.shape == maps.shape and mixed.dtype == np.float32
        assert np.array_equal(maps, before)
        if mixed.size:
            seen = np.stack(frames[: number + 1])
            assert mixed.min() >= 0 and mixed.max() <= 1
            assert (mixed >= seen.min(axis=0) - 1e-6).all() and (mixed <= seen.max(axis=0) + 1e-6).all()


@given(sequences())
def test_no_smoothing_is_the_identity_bit_for_bit(frames):
    state = TemporalState()
    for maps in frames:
        state, mixed = smooth(state, maps, 0.0)
        assert mixed is maps


@given(arrays(np.float32, (2, 3, 3), elements=probability), strengths)
def test_an_unchanging_scene_is_never_changed(maps, strength):
    state = TemporalState()
    for _ in range(4):
        state, mixed = smooth(state, maps, strength)
        assert np.array_equal(mixed, maps)


@given(
    arrays(np.float32, (1, 2, 2), elements=probability),
    arrays(np.float32, (1, 2, 2), elements=probability),
    st.floats(0.01, 0.9),
)
def test_the_past_fades_by_the_strength_each_frame(first, then, strength):
    state, _ = smooth(TemporalState(), first, strength)
    for step in range(1, 8):
        state, mixed = smooth(state, then, strength)
        expected = then + (first.astype(np.float64) - then) * strength**step
        assert np.allclose(mixed, expected, atol=1e-5)


@pytest.mark.parametrize(
    "reset",
    [
        lambda state, maps: smooth(state, maps, 0.9, cut=True, key=1),
        lambda state, maps: smooth(state, maps, 0.9, key=2),
        lambda state, maps: smooth(state, np.concatenate([maps, maps]), 0.9, key=1),
        lambda state, maps: smooth(state, maps[:, 1:], 0.9, key=1),
    ],
    ids=["cut", "epoch", "prompts", "size"],
)
def test_the_past_is_forgotten(reset):
    state, _ = smooth(TemporalState(), np.zeros((1, 3, 3), np.float32), 0.9, key=1)
    _, mixed = smooth(state, np.ones((1, 3, 3), np.float32), 0.9, key=1)
    assert mixed.max() < 0.2  # what would happen without a reset
    _, mixed = reset(state, np.ones((1, 3, 3), np.float32))
    assert mixed.min() == 1.0


def test_a_state_is_a_value():
    state, _ = smooth(TemporalState(), np.zeros((1, 2, 2), np.float32), 0.5)
    first = smooth(state, np.ones((1, 2, 2), np.float32), 0.5)[1]
    again = smooth(state, np.ones((1, 2, 2), np.float32), 0.5)[1]
    assert np.array_equal(first, again)
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0, 0] = 1


@pytest.mark.parametrize("strength", [-0.1, 1.0, float("nan")])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(UsageError, match="smoothing"):
        smooth(TemporalState(), np.zeros((1, 2, 2), np.float32), strength)


def scene(seed: int, size: int = 128) -> np.ndarray:
    """A picture of soft blobs in random colours, larger than a thumbnail so that it can be moved about."""
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
def test_a_hard_cut_is_seen(seed):
    before, after = thumbnail(scene(seed)), thumbnail(scene(seed + 100))
    assert is_cut(before, after)


def test_grey_thumbnails_serve_too():
    found = [
        is_cut(*(thumbnail(scene(each)).mean(axis=2).astype(np.uint8) for each in (seed, seed + 100)))
        for seed in range(12)
    ]
    assert sum(found) >= 10


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("move", [(0, 0), (3, 0), (0, 8), (-6, 6)], ids=str)
def test_motion_is_no_cut(seed, move):
    picture = scene(seed)
    assert not is_cut(thumbnail(picture), thumbnail(picture, 16 + move[0], 16 + move[1]))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("gain", "offset"), [(1.4, 0), (0.6, 0), (1, 50), (1, -50), (0.6, 90)])
def test_a_change_of_light_is_no_cut(seed, gain, offset):
    picture = scene(seed)
    assert not is_cut(thumbnail(picture), thumbnail(picture * gain + offset, 18, 17))


def test_empty_pictures():
    black, white = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    picture = thumbnail(scene(1))
    assert not is_cut(black, black) and is_cut(black, white)
    assert is_cut(black, picture) and is_cut(picture, black)
    assert not is_cut(black, (black + 3).astype(np.uint8))
    assert is_cut(black, black[:16])


@settings(max_examples=30)
@given(arrays(np.uint8, (32, 32, 3)))
def test_a_picture_is_never_cut_from_itself(picture):
    assert is_cut(picture, picture) is False


@given(st.lists(st.tuples(st.sets(st.integers(0, 5), min_size=1), st.integers(0, 9)), min_size=2, max_size=6))
def test_smoothing_each_prompt_is_smoothing_it_alone(steps: list[tuple[set[int], int]]) -> None:
    """Prompts come and go; each is averaged over the frames since it came."""
    past, alone = PromptStates(), {}
    for keys, seed in steps:
        maps = np.random.default_rng(seed).random((len(keys), 3, 4), dtype=np.float32)
        past, mixed = smooth_each(past, sorted(keys), maps, 0.4, epoch=0)
        alone = {key: alone.get(key, TemporalState()) for key in keys}
        for number, key in enumerate(sorted(keys)):
            alone[key], wanted = smooth(alone[key], maps[number : number + 1], 0.4)
            np.testing.assert_array_equal(mixed[number], wanted[0])


def test_a_new_epoch_forgets_every_prompt() -> None:
    ones, zeros = np.ones((2, 2, 2), np.float32), np.zeros((2, 2, 2), np.float32)
    past, _ = smooth_each(PromptStates(), ["a", "b"], ones, 0.5, epoch=3)
    _, kept = smooth_each(past, ["a", "b"], zeros, 0.5, epoch=3)
    _, forgotten = smooth_each(past, ["a", "b"], zeros, 0.5, epoch=4)
    assert (kept == 0.5).all() and (forgotten == 0).all()
    _, off = smooth_each(past, ["a", "b"], zeros, 0.0, epoch=3)
    assert off is zeros
