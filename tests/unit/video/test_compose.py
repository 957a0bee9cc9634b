"""What each effect changes, and what it must not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings import EFFECTS, Look, PromptStyle, prompt_styles
from clipseg_live.video.compose import OverlayComposer
from tests.unit.video.clips import picture

HEIGHT, WIDTH = 121, 203


def disc(x, y, radius, height=HEIGHT, width=WIDTH):
    rows, columns = np.mgrid[0:height, 0:width]
    return (1 / (1 + np.exp((np.hypot(columns - x, rows - y) - radius) / 2))).astype(np.float32)


MAPS = np.stack([disc(60, 60, 40), disc(90, 60, 30), disc(202, 0, 20)])


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("count", [0, 1, 3, 16])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (37, 53), (HEIGHT, WIDTH)], ids=str)
def test_a_new_picture_comes_out_and_the_input_stays(effect, count, size):
    pixels = picture(0, *size)
    maps = np.random.default_rng(0).random((count, *size), dtype=np.float32)
    before = pixels.copy(), maps.copy()
    pixels.setflags(write=False)
    maps.setflags(write=False)
    composer = OverlayComposer(Look(effect=effect, styles=prompt_styles(min(count, 2))))
    drawn = composer.compose(pixels, maps)
    assert drawn.shape == pixels.shape and drawn.dtype == np.uint8 and not np.shares_memory(drawn, pixels)
    assert np.array_equal(pixels, before[0]) and np.array_equal(maps, before[1])
    assert np.array_equal(drawn, composer.compose(pixels, maps))


@pytest.mark.parametrize("count", [1, 3])
def test_tint_changes_no_pixel_outside_the_masks_and_every_one_inside(count):
    pixels = picture(0, HEIGHT, WIDTH)
    styles = prompt_styles(count, thresholds=[0.4], colours=[(255, 255, 255)])
    drawn = OverlayComposer(Look(effect="tint", styles=styles)).compose(pixels, MAPS[:count])
    inside = (MAPS[:count] >= np.float32(0.4)).any(axis=0)
    assert np.array_equal(drawn[~inside], pixels[~inside])
    assert (drawn[inside].astype(int).sum(axis=1) > pixels[inside].astype(int).sum(axis=1)).all()


def test_tint_blends_by_its_opacity():
    pixels = picture(0, HEIGHT, WIDTH)
    style = PromptStyle(colour=(10, 200, 90), opacity=0.3)
    drawn = OverlayComposer(Look(effect="tint", styles=(style,))).compose(pixels, MAPS[:1])
    assert np.abs(drawn[60, 60] - (pixels[60, 60] * 0.7 + np.array(style.colour) * 0.3)).max() <= 2


def test_later_prompts_lie_above_earlier_ones():
    style = [PromptStyle(colour=colour, opacity=1.0) for colour in ((255, 0, 0), (0, 0, 255))]
    drawn = OverlayComposer(Look(effect="tint", styles=tuple(style))).compose(
        np.zeros((HEIGHT, WIDTH, 3), np.uint8), MAPS[:2]
    )
    assert tuple(drawn[60, 90]) == (0, 0, 255) and tuple(drawn[60, 30]) == (255, 0, 0)


def test_outline_draws_at_the_border_and_leaves_what_is_far_away():
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    style = PromptStyle(colour=(255, 220, 0), opacity=1.0)
    drawn = OverlayComposer(Look(effect="outline", styles=(style,))).compose(pixels, MAPS[:1])
    distance = np.hypot(*(np.mgrid[0:HEIGHT, 0:WIDTH][::-1] - np.array([60, 60])[:, None, None])) - 40
    assert np.array_equal(drawn[distance > 10], pixels[distance > 10])
    on_line = drawn[np.abs(distance) < 0.5].astype(int)
    assert np.abs(np.median(on_line, axis=0) - style.colour).max() < 40
    assert drawn[(distance > 2) & (distance < 4)].min() < 100  # the dark halo
    tiny = np.zeros((1, HEIGHT, WIDTH), np.float32)
    tiny[0, 50, 50] = 1
    assert (OverlayComposer(Look(effect="outline")).compose(pixels, tiny) != pixels).any()


def test_cutout_keeps_the_inside_and_nothing_of_the_outside():
    light, dark = (np.full((HEIGHT, WIDTH, 3), value, np.uint8) for value in (250, 5))
    composer = OverlayComposer(Look(effect="cutout", styles=prompt_styles(1)))
    on_light, on_dark = (composer.compose(pixels, MAPS[:1]) for pixels in (light, dark))
    inside, outside = MAPS[0] > 0.99, MAPS[0] < 0.01
    assert (on_light[inside] == 250).all() and np.array_equal(on_light[outside], on_dark[outside])
    nothing = composer.compose(light, np.zeros((0, HEIGHT, WIDTH), np.float32))
    assert nothing.max() < 80


def test_heatmap_follows_the_largest_probability():
    pixels = np.full((1, 256, 3), 128, np.uint8)
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    composer = OverlayComposer(Look(effect="heatmap", styles=prompt_styles(2, opacity=0.8)))
    drawn = composer.compose(pixels, np.stack([ramp, ramp * 0.5]))
    assert np.array_equal(drawn, composer.compose(pixels, np.stack([ramp * 0.5, ramp])))
    luma = drawn[0] @ [0.299, 0.587, 0.114]
    assert luma[-1] > 200 > 60 > luma[0] and (np.diff(luma) > -3).all()


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 40)] * 4), st.integers(0, 3), st.integers(0, 99))
def test_resize_agrees_with_the_segmentation(sizes, count, seed):
    maps = np.random.default_rng(seed).random((count, *sizes[:2]), dtype=np.float32)
    resized = OverlayComposer(Look()).resize(maps, *sizes[2:])
    wanted = Segmentation(maps, (), (sizes[2], sizes[3])).at()
    assert resized.shape == wanted.shape and resized.dtype == np.float32
    assert not count or np.abs(resized - wanted).max() <= 1e-5
