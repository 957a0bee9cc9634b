"""Colours, outlines, coverage, and random images of them."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipseg_live.demo.drawing import coverage, place_outline, shape_outline
from clipseg_live.demo.language import Meaning
from scripts.training.drawn_images import DrawnImage, draw_grid, draw_image
from scripts.training.outlines import (
    DISTRACTORS,
    NAMED_COLOURS,
    SHAPE_NAMES,
    TINTS,
    hsv,
    lightness_distance,
    random_outline,
    random_tint,
)


def area(contours: tuple[np.ndarray, ...]) -> float:
    return cv2.contourArea(contours[0]) - sum(cv2.contourArea(c) for c in contours[1:])


@pytest.mark.parametrize("shape", SHAPE_NAMES)
def test_outlines_have_area_one(shape: str) -> None:
    assert area(shape_outline(shape)) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
@given(st.sampled_from([*SHAPE_NAMES, *DISTRACTORS]), st.integers(0, 2**32 - 1))
def test_random_outlines_have_an_area_near_one(shape: str, seed: int) -> None:
    contours = random_outline(shape, np.random.default_rng(seed))
    assert 0.8 <= area(contours) <= 1.05
    assert all(np.isfinite(c).all() and c.dtype == np.float32 for c in contours)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SHAPE_NAMES), st.floats(12, 60), st.floats(0, 2 * math.pi), st.floats(0, 200), st.floats(0, 120))
def test_coverage_has_the_area_and_position_of_the_shape(
    shape: str, side: float, angle: float, x: float, y: float
) -> None:
    matrix = side * np.array([(math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))])
    x, y = 200 + x, 200 + y
    found = coverage(place_outline(shape_outline(shape), matrix, x, y), 600, 700)
    assert found is not None
    rows, columns, alpha = found
    assert alpha.dtype == np.float32 and alpha.min() >= 0 and alpha.max() <= 1
    assert alpha.sum() == pytest.approx(side * side, rel=0.03)
    v, u = np.mgrid[rows, columns] + 0.5
    assert (u * alpha).sum() / alpha.sum() == pytest.approx(x, abs=0.15 + side * 0.01)
    assert (v * alpha).sum() / alpha.sum() == pytest.approx(y, abs=0.15 + side * 0.01)


def test_coverage_is_none_outside_and_clipped_at_borders() -> None:
    circle = shape_outline("circle")
    assert coverage(place_outline(circle, np.eye(2) * 5, -20, 5), 30, 30) is None
    found = coverage(place_outline(circle, np.eye(2) * 20, 0, 15), 30, 30)
    assert found is not None and found[2].sum() == pytest.approx(200, rel=0.03)


def test_a_ring_has_a_hole() -> None:
    found = coverage(place_outline(shape_outline("ring"), np.eye(2) * 40, 50, 50), 100, 100)
    assert found is not None
    canvas = np.zeros((100, 100), np.float32)
    canvas[found[0], found[1]] = found[2]
    assert canvas[50, 50] == 0 and canvas.max() == 1


@pytest.mark.slow
@given(st.floats(-720, 720), st.floats(0, 1), st.floats(0, 1))
def test_hsv_agrees_with_opencv(hue: float, saturation: float, value: float) -> None:
    ours = hsv(hue, saturation, value)
    theirs = cv2.cvtColor(np.array([[(hue % 360, saturation, value)]], np.float32), cv2.COLOR_HSV2RGB)[0, 0]
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.slow
def test_tints_of_different_colours_stay_apart() -> None:
    rng = np.random.default_rng(0)
    tints = {c: [random_tint(c, rng) for _ in range(60)] for c in NAMED_COLOURS}
    for i, one in enumerate(NAMED_COLOURS):
        for other in NAMED_COLOURS[i + 1 :]:
            nearest = min(lightness_distance(a, b) for a in tints[one] for b in tints[other])
            assert nearest > 5, (one, other, nearest)
    assert set(TINTS) == set(NAMED_COLOURS)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(96, 96), (64, 112), (33, 41)]), st.booleans())
def test_labels_match_the_pixels(seed: int, size: tuple[int, int], orderly: bool) -> None:
    def make() -> DrawnImage:
        rng = np.random.default_rng(seed)
        return draw_grid(rng, *size) if orderly else draw_image(rng, *size, smallest=0.01)

    picture = make()
    assert picture.pixels.shape == (*size, 3) and picture.pixels.dtype == np.uint8
    assert picture.owner.max() == len(picture.objects)
    for number, thing in enumerate(picture.objects, start=1):
        mine = picture.owner == number
        assert mine.mean() == pytest.approx(thing.share)
        assert thing.share >= (0 if orderly else 0.01)
        colour = picture.mask(Meaning(colour=thing.colour))
        assert (colour & mine).sum() == mine.sum()
    everything, background = picture.mask(Meaning("everything")), picture.mask(Meaning("background"))
    assert (everything ^ background).all()
    np.testing.assert_array_equal(make().pixels, picture.pixels)


@pytest.mark.slow
def test_the_requested_object_is_first() -> None:
    rng = np.random.default_rng(3)
    first = [draw_image(rng, 64, 64, smallest=0.02, wish=("red", "star")).objects for _ in range(30)]
    met = [(t[0].colour, t[0].shape) == ("red", "star") for t in first if t]
    assert np.mean(met) > 0.7
