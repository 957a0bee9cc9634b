"""What each effect changes, and what it must not."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings import EFFECTS, Look, PromptStyle, prompt_styles
from clipseg_live.video.compose import OverlayComposer
from clipseg_live.video.effects import line_width
from clipseg_live.video.resize import resize_map, resized_strips
from tests.unit.video.clips import picture

HEIGHT, WIDTH = 121, 203


def disc(x, y, radius, height=HEIGHT, width=WIDTH):
    rows, columns = np.mgrid[0:height, 0:width]
    return (1 / (1 + np.exp(((np.hypot(columns - x, rows - y) - radius) / 2).clip(-40, 40)))).astype(np.float32)


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
@given(st.tuples(*[st.integers(1, 40)] * 4), st.integers(0, 99))
def test_resize_agrees_with_the_segmentation(sizes, seed):
    coarse = np.random.default_rng(seed).random((1, *sizes[:2]), dtype=np.float32)
    resized = resize_map(coarse[0], *sizes[2:])
    wanted = Segmentation(coarse, (), (sizes[2], sizes[3])).at()[0]
    assert resized.shape == wanted.shape and resized.dtype == np.float32
    assert np.abs(resized - wanted).max() <= 1e-5


def grids(seed, count, rows, columns, sparse):
    """Maps with a few spots, or with something everywhere."""
    generator = np.random.default_rng(seed)
    maps = generator.random((count, rows, columns), dtype=np.float32)
    return np.where(generator.random(maps.shape) < 0.02, maps, 0).astype(np.float32) if sparse else maps


EXACT = ["tint", "outline", "tint+outline", "cutout", "blur"]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(EXACT),
    st.tuples(st.integers(1, 90), st.integers(1, 90), st.integers(1, 200), st.integers(1, 200)),
    st.integers(0, 3), st.booleans(), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.integers(0, 99),
)  # fmt: skip
def test_maps_on_their_grid_and_resized_beforehand_give_the_same_pixels(effect, sizes, count, sparse, level, seed):
    rows, columns, height, width = sizes
    assert_same_from_grid(effect, grids(seed, count, rows, columns, sparse), height, width, level)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(EXACT), st.integers(40, 400), st.integers(40, 400), st.integers(880, 2300), st.integers(880, 1300),
    st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_large_pictures_have_the_same_pixels_from_a_grid_too(effect, rows, columns, height, width, smooth, seed):
    # Lines are wider here, so that fields are computed smaller, and boxes must lie on the same cells.
    maps = grids(seed, 2, rows, columns, sparse=True) * 8
    maps = cv2.GaussianBlur(maps.transpose(1, 2, 0), (0, 0), 2).transpose(2, 0, 1).clip(0, 1).copy() if smooth else maps
    assert_same_from_grid(effect, maps, height, width, 0.5)


def assert_same_from_grid(effect, maps, height, width, level):
    resized = np.empty((len(maps), height, width), np.float32)
    for number, coarse in enumerate(maps):
        resized[number] = resize_map(coarse, height, width)
    look = Look(effect=effect, styles=prompt_styles(len(maps), thresholds=[level] if len(maps) else []))
    pixels = np.full((height, width, 3), 128, np.uint8)
    assert np.array_equal(OverlayComposer(look).compose(pixels, maps), OverlayComposer(look).compose(pixels, resized))


@settings(max_examples=100, deadline=None)
@given(st.tuples(*[st.integers(1, 300)] * 4), st.data())
def test_a_part_of_a_resized_map_is_the_same_bit_by_bit(sizes, data):
    rows, columns, height, width = sizes
    coarse = np.random.default_rng(rows * columns).random((rows, columns), dtype=np.float32)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    part = np.full((bottom - top, right - left), np.nan, np.float32)
    for where, strip in resized_strips(coarse, height, width, slice(top, bottom), slice(left, right)):
        part[where] = strip
    assert np.array_equal(part, resize_map(coarse, height, width)[top:bottom, left:right])


@pytest.mark.parametrize("effect", ["heatmap", "raw"])
def test_what_is_mixed_on_the_grid_is_close_to_what_would_be_mixed_afterwards(effect):
    maps = np.stack([cv2.resize(each, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA) for each in MAPS])
    resized = np.stack([resize_map(each, HEIGHT, WIDTH) for each in maps])
    pure = prompt_styles(3, colours=[(255, 0, 0), (0, 255, 0), (0, 0, 255)])  # nothing saturates
    composer = OverlayComposer(Look(effect=effect, styles=pure))
    first, second = (composer.compose(picture(0, HEIGHT, WIDTH), each).astype(int) for each in (maps, resized))
    assert np.abs(first - second).max() <= 12 and np.abs(first - second).mean() <= 0.5


@pytest.mark.parametrize("effect", ["tint", "outline", "tint+outline"])
@pytest.mark.parametrize("height", [400, 1080, 1440, 2160])
def test_overlapping_prompts_are_drawn_as_one_after_the_other(effect, height):
    rows, columns = np.mgrid[0:90, 0:120]
    places = [(20, 20, 14), (100, 20, 9), (30, 30, 18), (60, 45, 38), (110, 80, 9), (60, 45, 6)]
    maps = np.stack([(np.hypot(columns - x, rows - y) < radius) for x, y, radius in places]).astype(np.float32)
    styles = prompt_styles(len(maps), opacity=0.4)
    pixels = np.full((height, height * 4 // 3, 3), 128, np.uint8)
    together = OverlayComposer(Look(effect=effect, styles=styles)).compose(pixels, maps)
    one_by_one = pixels
    for style, each in zip(styles, maps, strict=True):
        one_by_one = OverlayComposer(Look(effect=effect, styles=(style,))).compose(one_by_one, each[None])
    assert np.abs(together.astype(int) - one_by_one).max() <= 4  # rounded at each step


@pytest.mark.parametrize("effect", ["tint+outline", "cutout"])
def test_many_scattered_masks_are_all_drawn(effect):
    maps = np.zeros((16, 128, 128), np.float32)
    spots = [(number, 4 + 8 * row, 4 + 8 * column) for row in range(16) for column in range(16)
             for number in [(5 * row + 3 * column) % 16]]  # fmt: skip
    for number, row, column in spots:
        maps[number, row - 1 : row + 2, column - 1 : column + 2] = 1
    look = Look(effect=effect, styles=prompt_styles(16, opacity=1.0))
    drawn = OverlayComposer(look).compose(np.full((512, 512, 3), 128, np.uint8), maps)
    for number, row, column in spots:
        wanted = (128, 128, 128) if effect == "cutout" else look.styles[number].colour
        middle = drawn[4 * row + 2, 4 * column + 2].astype(int)
        assert np.abs(middle - wanted).max() <= (2 if effect == "cutout" else 40)


@pytest.mark.parametrize("effect", ["outline", "tint+outline"])
@pytest.mark.parametrize(("height", "width"), [(720, 1280), (1080, 1920), (1440, 2560), (2160, 3840)])
def test_lines_have_the_same_width_in_every_direction(effect, height, width):
    radius = height / 3
    mask = disc(width / 2, height / 2, radius, height, width)[None]
    style = PromptStyle(colour=(255, 255, 255), opacity=1.0)
    drawn = OverlayComposer(Look(effect=effect, styles=(style,))).compose(np.zeros((height, width, 3), np.uint8), mask)
    line = line_width(height, width)
    steps = np.arange(-4 * line, 4 * line, 0.25)
    widths = []
    for angle in np.linspace(0, 2 * np.pi, 180):
        down, across = (radius + steps[steps > 0])[:, None].T * [[np.sin(angle)], [np.cos(angle)]]
        along = drawn[np.round(down + height / 2).astype(int), np.round(across + width / 2).astype(int), 0]
        widths.append(along.astype(float).sum() / 255 * 0.25)  # the outer half: the inner one lies on what is filled
    assert abs(np.mean(widths) - 0.85 * line) < 0.6 and np.std(widths) < 0.35 and np.ptp(widths) < 1.6


@pytest.mark.parametrize("height", [360, 1080, 2160])
def test_a_mask_of_one_pixel_is_seen(height):
    maps = np.zeros((1, height, height), np.float32)
    maps[0, height // 2, height // 3] = 1
    for effect in ("tint", "outline", "tint+outline"):
        look = Look(effect=effect, styles=(PromptStyle(colour=(255, 255, 255), opacity=1.0),))
        drawn = OverlayComposer(look).compose(np.zeros((height, height, 3), np.uint8), maps)
        assert drawn[height // 2, height // 3].min() > 250


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.booleans(), st.integers(1, 300), st.integers(1, 300))
def test_tint_reaches_every_pixel_of_a_mask(seed, sparse, height, width):
    maps = grids(seed, 1, 37, 91, sparse)
    look = Look(effect="tint", styles=(PromptStyle(colour=(255, 255, 255), opacity=1.0),))
    drawn = OverlayComposer(look).compose(np.zeros((height, width, 3), np.uint8), maps)
    assert np.array_equal(drawn[..., 0] == 255, resize_map(maps[0], height, width) >= np.float32(0.5))


def test_tint_and_outline_fills_and_draws_the_line():
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    style = PromptStyle(colour=(255, 220, 0), opacity=0.6)
    drawn = OverlayComposer(Look(effect="tint+outline", styles=(style,))).compose(pixels, MAPS[:1])
    faint = OverlayComposer(Look(effect="outline", styles=(style,))).compose(pixels, MAPS[:1])
    distance = np.hypot(*(np.mgrid[0:HEIGHT, 0:WIDTH][::-1] - np.array([60, 60])[:, None, None])) - 40
    assert np.array_equal(drawn[distance > 10], pixels[distance > 10])
    assert np.abs(drawn[60, 60] - (128 * 0.55 + np.array(style.colour) * 0.45)).max() <= 2
    assert drawn[60, 60, 0] > faint[60, 60, 0] > 128
    assert np.abs(np.median(drawn[np.abs(distance) < 0.5].astype(int), axis=0) - style.colour).max() < 40


def test_cutout_on_a_colour():
    look = Look(effect="cutout", styles=prompt_styles(1), backdrop="colour", backdrop_colour=(1, 200, 3))
    drawn = OverlayComposer(look).compose(np.full((HEIGHT, WIDTH, 3), 250, np.uint8), MAPS[:1])
    assert (drawn[MAPS[0] < 0.01] == (1, 200, 3)).all() and (drawn[MAPS[0] > 0.99] == 250).all()


def test_blur_leaves_the_inside_sharp_and_flattens_the_rest():
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, ::2] = 255
    drawn = OverlayComposer(Look(effect="blur", styles=prompt_styles(1))).compose(pixels, MAPS[:1])
    inside, outside = MAPS[0] > 0.99, MAPS[0] < 0.01
    assert np.array_equal(drawn[inside], pixels[inside])
    assert np.abs(drawn[outside].astype(int) - 127).max() < 25


def test_blur_spreads_no_colour_of_what_is_in_front():
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    pixels[MAPS[0] > 0.01] = (255, 0, 0)
    look = Look(effect="blur", styles=prompt_styles(1, thresholds=[0.02]))
    drawn = OverlayComposer(look).compose(pixels, MAPS[:1]).astype(int)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    assert np.abs(drawn[np.hypot(columns - 60, rows - 60) > 58] - 90).max() <= 8


def test_blur_without_a_mask_hides_all_detail():
    pixels = np.zeros((720, 1280, 3), np.uint8)
    pixels[::4] = 255
    nothing = np.zeros((1, 9, 9), np.float32)
    drawn = OverlayComposer(Look(effect="blur", styles=prompt_styles(1))).compose(pixels, nothing)
    assert np.abs(drawn.astype(int) - 64).max() <= 2


def test_raw_shows_probabilities_in_the_prompts_colours():
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    maps = np.stack([ramp, np.zeros_like(ramp)])
    look = Look(effect="raw", styles=(PromptStyle(colour=(255, 0, 0)), PromptStyle(colour=(0, 255, 0), threshold=0.9)))
    drawn = OverlayComposer(look).compose(np.full((1, 256, 3), 77, np.uint8), maps)
    assert np.abs(drawn[0, :, 0].astype(int) - np.arange(256)).max() <= 1 and not drawn[..., 1:].any()
    other = OverlayComposer(look).compose(np.full((1, 256, 3), 77, np.uint8), maps[::-1])
    assert np.abs(other[0, :, 1].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("effect", EFFECTS)
def test_maps_that_come_again_give_the_same_pixels_on_every_frame(effect):
    maps = np.ascontiguousarray(MAPS[:, ::2, ::2])
    maps.setflags(write=False)
    look = Look(effect=effect, styles=prompt_styles(3))
    composer = OverlayComposer(look)
    for frame in (picture(0, HEIGHT, WIDTH), picture(1, HEIGHT, WIDTH), picture(2, HEIGHT // 2, WIDTH)):
        assert np.array_equal(composer.compose(frame, maps), OverlayComposer(look).compose(frame, maps))
    other = composer.compose(picture(0, HEIGHT, WIDTH), np.zeros_like(maps))
    assert np.array_equal(other, OverlayComposer(look).compose(picture(0, HEIGHT, WIDTH), np.zeros_like(maps)))


def test_maps_that_may_be_written_to_are_looked_at_again():
    maps = np.zeros((1, 8, 8), np.float32)
    composer = OverlayComposer(Look(effect="tint", styles=prompt_styles(1)))
    pixels = picture(0, HEIGHT, WIDTH)
    assert np.array_equal(composer.compose(pixels, maps), pixels)
    maps[:] = 1
    assert not np.array_equal(composer.compose(pixels, maps), pixels)
