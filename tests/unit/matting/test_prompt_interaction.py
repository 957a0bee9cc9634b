"""Interaction of prompts: rules, unchanged maps, softness and limits. Presence over predictions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.matting.prompt_interaction import PresenceState, presence_of, resolve_overlaps, update_presence

INDEPENDENT = MatteSettings()
EXCLUSIVE = MatteSettings(overlap="exclusive", background_threshold=0.0)
probability = st.floats(0, 1, width=32)
inner = st.floats(0.0625, 0.9375, width=32)


def styles_of(*thresholds: float, role: str = "positive", against: tuple[int, ...] = ()) -> list[PromptStyle]:
    return [PromptStyle(threshold=threshold, role=role, targets=against) for threshold in thresholds]  # type: ignore[arg-type]


def show(threshold: float = 0.5) -> PromptStyle:
    return PromptStyle(threshold=threshold)


def passes(maps: np.ndarray, styles: list[PromptStyle], shown: tuple[int, ...]) -> np.ndarray:
    return np.stack([maps[row] >= np.float32(styles[position].threshold) for row, position in enumerate(shown)])


def pixels(*values: float) -> np.ndarray:
    """Return one map of one pixel for each prompt."""
    return np.array(values, np.float32).reshape(-1, 1, 1)


@st.composite
def scenes(draw, elements=probability, thresholds=probability, roles=("positive", "negative", "contrast")):
    count = draw(st.integers(0, 5))
    shape = (count, draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    maps = draw(arrays(np.float32, shape, elements=elements))
    ids = draw(st.permutations(range(10, 10 + count)))
    styles = [
        PromptStyle(
            threshold=draw(thresholds),
            role=draw(st.sampled_from(roles)),
            targets=tuple(draw(st.lists(st.sampled_from(ids), max_size=2))),
        )
        for _ in range(count)
    ]
    return maps, styles, list(ids)


matte_settings = st.builds(
    MatteSettings, together=st.sampled_from(["independent", "exclusive"]), none_level=st.floats(0, 1)
)


@pytest.mark.slow
@given(scenes(), matte_settings)
@hypothesis_settings(deadline=None)
def test_values_stay_in_range_and_never_increase(scene, chosen):
    maps, styles, ids = scene
    before = maps.copy()
    found, shown = resolve_overlaps(maps, styles, ids, chosen)
    assert found.dtype == np.float32 and found.shape == (len(shown), *maps.shape[1:])
    assert shown == tuple(position for position, style in enumerate(styles) if style.role == "positive")
    assert np.isfinite(found).all()
    assert (found >= 0).all() and (found <= maps[list(shown)]).all()
    assert np.array_equal(maps, before)


@pytest.mark.slow
@given(scenes(roles=("positive",)))
def test_independent_prompts_return_the_same_array(scene):
    maps, styles, ids = scene
    found, _ = resolve_overlaps(maps, styles, ids, INDEPENDENT)
    assert found is maps


@pytest.mark.slow
@given(scenes(elements=inner, thresholds=inner, roles=("positive",)))
@hypothesis_settings(deadline=None)
def test_an_exclusive_pixel_belongs_to_the_strongest_prompt_only(scene):
    maps, styles, ids = scene
    found, shown = resolve_overlaps(maps, styles, ids, EXCLUSIVE)
    if not shown:
        return
    thresholds = np.array([style.threshold for style in styles])[:, None, None]
    values = maps.astype(np.float64)
    odds = values / (1 - values) * (1 - thresholds) / thresholds
    gap = np.abs(odds[:, None] / odds[None] - 1)  # pairs that are equal except for rounding may have either order
    clear = (gap > 1e-4).sum(axis=1) == len(maps) - 1
    best = odds == odds.max(axis=0)
    wins = best & (maps >= thresholds.astype(np.float32))
    assert np.array_equal(passes(found, styles, shown)[clear], wins[clear])


@pytest.mark.slow
@given(scenes(roles=("positive",)), st.randoms(use_true_random=False))
@hypothesis_settings(deadline=None)
def test_the_order_of_exclusive_prompts_does_not_matter(scene, random):
    maps, styles, ids = scene
    chosen = MatteSettings(overlap="exclusive")
    found, _ = resolve_overlaps(maps, styles, ids, chosen)
    order = list(range(len(maps)))
    random.shuffle(order)
    shuffled, _ = resolve_overlaps(maps[order], [styles[i] for i in order], [ids[i] for i in order], chosen)
    assert np.array_equal(shuffled, found[order])


@pytest.mark.slow
@given(scenes(roles=("positive",)))
def test_a_prompt_without_a_rival_is_unchanged(scene):
    maps, styles, ids = scene
    under = np.stack([np.minimum(m, np.float32(s.threshold / 2)) for m, s in zip(maps, styles, strict=True)] or [maps])
    under = under.reshape(maps.shape)
    if len(under):
        under[0] = maps[0]
    styles = [style.model_copy(update={"threshold": max(style.threshold, 0.01)}) for style in styles]
    found, _ = resolve_overlaps(under, styles, ids, EXCLUSIVE)
    assert np.array_equal(found[:1], under[:1])


def test_equal_exclusive_prompts_are_at_their_thresholds():
    found, _ = resolve_overlaps(pixels(0.9, 0.9), styles_of(0.4, 0.4), [0, 1], EXCLUSIVE)
    assert np.array_equal(found, np.full_like(found, 0.4))


def test_the_border_between_exclusive_prompts_is_soft():
    ramp = np.linspace(0.05, 0.95, 91, dtype=np.float32)
    maps = np.stack([ramp, ramp[::-1]])[:, None]
    found, _ = resolve_overlaps(maps, styles_of(0.5, 0.5), [0, 1], EXCLUSIVE)
    assert np.abs(np.diff(found[0, 0])).max() < 0.03
    assert (np.diff(found[0, 0]) > 0).all()


def test_thresholds_affect_which_prompt_wins():
    found, shown = resolve_overlaps(pixels(0.7, 0.6), styles_of(0.6, 0.2), [0, 1], EXCLUSIVE)
    assert passes(found, styles_of(0.6, 0.2), shown).ravel().tolist() == [False, True]


@pytest.mark.slow
@given(scenes(roles=("positive",)), st.floats(0, 1))
@hypothesis_settings(deadline=None)
def test_pixels_below_none_level_are_cleared(scene, level):
    maps, styles, ids = scene
    if not len(maps):
        return
    styles = [style.model_copy(update={"threshold": max(style.threshold, 0.001)}) for style in styles]
    found, shown = resolve_overlaps(maps, styles, ids, MatteSettings(overlap="exclusive", background_threshold=level))
    # log-odds are compared within their limits and the precision of float32
    low = maps.max(axis=0) < min(level * 0.999, 0.9998) - 1e-4
    assert not passes(found, styles, shown)[:, low].any()


def test_pixels_at_none_level_are_unchanged():
    maps = pixels(0.45, 0.1)
    styles = styles_of(0.2, 0.2)
    found, shown = resolve_overlaps(maps, styles, [0, 1], MatteSettings(overlap="exclusive", background_threshold=0.4))
    assert passes(found, styles, shown).ravel().tolist() == [True, False]
    found, shown = resolve_overlaps(maps, styles, [0, 1], MatteSettings(overlap="exclusive", background_threshold=0.5))
    assert not passes(found, styles, shown).any()


def test_a_negative_prompt_removes_its_area_softly():
    values = np.linspace(0, 1, 101, dtype=np.float32)
    maps = np.stack([np.full(101, 0.9, np.float32), values])[:, None]
    found, shown = resolve_overlaps(maps, [show(), *styles_of(0.5, role="negative")], [0, 1], INDEPENDENT)
    assert shown == (0,)
    line = found[0, 0]
    assert np.array_equal(line[values < 0.26], maps[0, 0][values < 0.26])
    assert line[50] == pytest.approx(0.45, abs=1e-5)
    assert (line[values > 0.74] == 0).all()
    assert (np.diff(line) <= 0).all() and np.abs(np.diff(line)).max() < 0.05


def test_a_negative_prompt_affects_only_its_targets():
    styles = [show(), show(), PromptStyle(role="negative", targets=(7,))]
    found, shown = resolve_overlaps(pixels(0.8, 0.8, 1.0), styles, [5, 7, 9], INDEPENDENT)
    assert shown == (0, 1)
    assert found.ravel().tolist() == [np.float32(0.8), 0.0]


def test_a_rival_removed_by_a_negative_prompt_does_not_win():
    styles = [show(), show(), PromptStyle(role="negative", targets=(1,))]
    found, shown = resolve_overlaps(pixels(0.7, 0.95, 1.0), styles, [0, 1, 2], EXCLUSIVE)
    assert passes(found, styles, shown).ravel().tolist() == [True, False]
    assert found[0, 0, 0] == np.float32(0.7)


@pytest.mark.slow
@given(inner, inner, inner)
def test_a_prompt_needs_more_than_its_contrast(value, alternative, threshold):
    if abs(value - alternative) < 1e-3 or abs(value - threshold) < 1e-3:
        return
    styles = [show(threshold), PromptStyle(role="contrast")]
    found, shown = resolve_overlaps(pixels(value, alternative), styles, [0, 1], INDEPENDENT)
    assert bool(passes(found, styles, shown)) == (value > alternative and value >= threshold)
    if alternative < threshold:
        assert found[0, 0, 0] == np.float32(value), "a contrast under the threshold changes nothing"


def test_a_contrast_is_soft_and_affects_only_its_targets():
    ramp = np.linspace(0.6, 1, 81, dtype=np.float32)
    maps = np.stack([ramp, ramp, np.full(81, 0.8, np.float32)])[:, None]
    styles = [show(), show(), PromptStyle(role="contrast", targets=(1,))]
    found, _ = resolve_overlaps(maps, styles, [0, 1, 2], INDEPENDENT)
    assert np.array_equal(found[0], maps[0])
    assert found[1, 0, 40] == pytest.approx(0.5, abs=1e-5)
    assert (np.diff(found[1, 0]) > 0).all() and np.abs(np.diff(found[1, 0, :-8])).max() < 0.03


def test_a_missing_style_is_an_error():
    with pytest.raises(ValueError, match="2 maps"):
        resolve_overlaps(pixels(0.5, 0.5), styles_of(0.5), [0, 1], INDEPENDENT)


@pytest.mark.slow
@given(probability, st.integers(1, 40), st.integers(1, 40))
def test_presence_of_a_uniform_map_is_its_value(value, height, width):
    found = presence_of(np.full((2, height, width), value, np.float32))
    assert found.dtype == np.float32 and found == pytest.approx([value, value], abs=1e-5)


def test_presence_ignores_size_and_single_noise_pixels():
    maps = np.full((3, 180, 320), 0.02, np.float32)
    maps[0, 50:62, 50:62] = 0.9
    maps[1, :, 160:] = 0.9
    maps[2, 90, 160] = 0.9
    small, large, speck = presence_of(maps).tolist()
    assert small == pytest.approx(0.9, abs=1e-5) and large == pytest.approx(0.9, abs=1e-5)
    assert speck < 0.05


def run_presence(values: list[float], seconds: float = 0.1, present: float = 0.4) -> tuple[list[float], list[bool]]:
    state, smoothed, flags = PresenceState(), [], []
    for value in values:
        state, found, shown = update_presence(
            state, ["a"], np.array([value], np.float32), seconds, MatteSettings(presence_threshold=present)
        )
        smoothed.append(float(found[0]))
        flags.append(shown[0])
    return smoothed, flags


def test_presence_rises_quickly_and_falls_slowly():
    rising, _ = run_presence([0.0, 1.0, 1.0])
    falling, _ = run_presence([1.0, 0.0, 0.0])
    assert rising[0] == 0 and falling[0] == 1
    assert rising[1] > 0.6 and falling[1] > 0.8


def test_a_prompt_is_hidden_after_more_than_one_missed_detection():
    _, flags = run_presence([0.9, 0.0, 0.9, *[0.0] * 20])
    assert flags[:3] == [True] * 3
    assert not flags[-1]


def test_presence_has_hysteresis():
    _, shown = run_presence([0.9, *[0.35] * 60])
    _, hidden = run_presence([0.0, *[0.35] * 60])
    assert all(shown) and not any(hidden)


@pytest.mark.slow
@given(st.lists(probability, min_size=1, max_size=8), st.floats(0, 5), st.floats(0, 1))
def test_smoothed_presence_stays_in_range_and_no_level_shows_all(values, seconds, present):
    smoothed, flags = run_presence(values, seconds, present)
    for number, value in enumerate(smoothed):
        assert min(values[: number + 1]) - 1e-6 <= value <= max(values[: number + 1]) + 1e-6
    if present == 0:
        assert all(flags)


def test_presence_does_not_depend_on_the_rate_of_predictions():
    coarse, _ = run_presence([1.0, 0.0, 0.0], seconds=0.3)
    fine, _ = run_presence([1.0, *[0.0] * 6], seconds=0.1)
    assert coarse[-1] == pytest.approx(fine[-1], abs=1e-5)


def test_an_edit_resets_only_its_prompt():
    chosen = MatteSettings()
    high, low = np.array([1.0, 1.0], np.float32), np.array([0.0, 0.0], np.float32)
    state, _, _ = update_presence(PresenceState(), ["a", "b"], high, 0.1, chosen)
    edited, values, shown = update_presence(state, ["a", "c"], low, 0.1, chosen)
    assert values[0] > 0.8 and values[1] == 0.0
    assert shown == (True, False)
    assert set(edited.prompts) == {"a", "c"}
    assert set(state.prompts) == {"a", "b"}, "the state that was passed in is left alone"
