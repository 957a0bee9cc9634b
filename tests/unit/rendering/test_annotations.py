"""Tint and outline, which use tiles, compared with the formulas on the whole frame."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipseg_live.core.mattes import Matte, Mattes
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.effects import Outline, Tint
from clipseg_live.core.settings.rendering import RenderSettings
from clipseg_live.matting.alpha import read_only
from clipseg_live.rendering import tiles
from clipseg_live.rendering.distance_field import blur_mask, distances, shrinkage
from clipseg_live.rendering.renderer import EffectRenderer
from clipseg_live.rendering.tiles import TILE, Tiles
from tests.helpers.patterns import disc, matte_of, texture

MANY = settings(max_examples=60, deadline=None)
STYLE = PromptStyle(colour=(200, 30, 255), opacity=0.55)
SIZES = st.tuples(st.integers(1, 90), st.integers(1, 110))
KINDS = ["hard", "soft", "noise", "full", "empty", "one pixel", "corner", "stripes"]


def rendered(effect, mattes: list[Matte], picture: np.ndarray, styles: list[PromptStyle]) -> np.ndarray:
    look = RenderSettings(effects=(effect,), styles=tuple(styles), names=())
    size = picture.shape[:2]
    return EffectRenderer(look).compose(picture, Mattes(*size, tuple(mattes)), Fraction(0))


def alpha_of(kind: str, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    y, x = rng.random(2) * (height, width)
    share = np.zeros((height, width))
    if kind in ("hard", "soft"):
        share = disc(height, width, x, y, rng.random() * min(height, width))
        share = np.round(share) if kind == "hard" else cv2.GaussianBlur(share, (0, 0), 3).reshape(share.shape)
    elif kind == "noise":
        share = rng.random((height, width)) * (rng.random((height, width)) > rng.random())
    elif kind == "full":
        share[:] = 1
    elif kind == "one pixel":
        share[int(y), int(x)] = 1
    elif kind == "corner":
        share[int(y) :, : int(x) + 1] = 1
    elif kind == "stripes":
        share[:, :: rng.integers(2, 9)] = rng.random()
    return (share * 255).round().astype(np.uint8)


def tint_formula(picture: np.ndarray, alpha: np.ndarray, style: PromptStyle) -> np.ndarray:
    share = alpha[..., None] / 255 * style.opacity
    return picture * (1 - share) + np.array(style.colour) * share


def outline_formula(picture: np.ndarray, alpha: np.ndarray, style: PromptStyle, width: int) -> np.ndarray:
    """Draw a line and its halo by the distance from the border, over the whole frame."""
    scale = shrinkage(width)
    tile = [max(round(side / scale), 1) * scale for side in TILE]
    padding = [(0, -length % side) for length, side in zip(alpha.shape, tile, strict=True)]
    mask = np.pad((alpha >= 128) * np.uint8(255), padding, mode="edge")
    field = np.maximum(blur_mask(mask, width).values, mask & 118)[: alpha.shape[0], : alpha.shape[1]]
    distance = np.abs(distances(width))[field][..., None]
    strength = min(1.0, 0.35 + style.opacity)
    line = np.clip(width * 0.85 + 0.5 - distance, 0, 1) * strength * (field[..., None] > 0)
    halo = np.clip(width * 0.85 + 1.9 - distance, 0, 1) * 0.55 * strength * (field[..., None] > 0)
    return picture * (1 - halo) * (1 - line) + np.array(style.colour) * line


def near(found: np.ndarray, plain: np.ndarray) -> bool:
    """Return whether images differ by at most one level plus the rounding of shares to eight bits."""
    return bool((np.abs(found - plain) <= 1.5).all())


@pytest.mark.slow
@MANY
@given(SIZES, st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.55, 1.0]))
def test_a_tint_equals_the_formula(size, kind, seed, opacity):
    rng = np.random.default_rng(seed)
    picture, alpha = rng.integers(0, 256, (*size, 3), dtype=np.uint8), alpha_of(kind, *size, rng)
    style = PromptStyle(colour=STYLE.colour, opacity=opacity)
    found = rendered(Tint(), [matte_of(alpha)], picture, [style])
    assert near(found, tint_formula(picture, alpha, style))
    np.testing.assert_array_equal(found[alpha == 0], picture[alpha == 0])


@pytest.mark.slow
@MANY
@given(SIZES, st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.sampled_from([0.5, 2.0, 4.0, 7.0, 12.0, 25.0]))
def test_an_outline_equals_the_formula(size, kind, seed, percent):
    rng = np.random.default_rng(seed)
    picture, alpha = rng.integers(0, 256, (*size, 3), dtype=np.uint8), alpha_of(kind, *size, rng)
    found = rendered(Outline(width=percent), [read_only(alpha, [(0, 0, size[1], size[0])])], picture, [STYLE])
    width = max(round(min(size) * percent / 100), 1)
    assert near(found, outline_formula(picture, alpha, STYLE, width))


@pytest.mark.parametrize("percent", [0.5, 2.5, 5.0, 8.0])
def test_a_single_pixel_mask_is_drawn(percent):
    """A mask that the blur removes completely is drawn at its position."""
    picture, alpha = texture(120, 150, 7), np.zeros((120, 150), np.uint8)
    alpha[63, 97] = alpha[5, 5] = 255
    found = rendered(Outline(width=percent), [matte_of(alpha)], picture, [STYLE])
    assert near(found, outline_formula(picture, alpha, STYLE, round(1.2 * percent)))
    assert (found[[63, 5], [97, 5]] != picture[[63, 5], [97, 5]]).any(axis=1).all()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(540, 960), (383, 685)])
@pytest.mark.parametrize("effect", [Tint(), Outline(), Outline(width=1.6)])
def test_annotations_at_full_size_equal_the_formula(size, effect):
    picture = texture(*size, 3)
    alphas = [
        (disc(*size, 0.3 * size[1], 0.4 * size[0], 0.25 * size[0]) * 255).round().astype(np.uint8),
        alpha_of("soft", *size, np.random.default_rng(4)),
        (disc(*size, size[1], size[0], 0.5 * size[0]) * 255).round().astype(np.uint8),
    ]
    styles = [PromptStyle(colour=colour, opacity=0.55) for colour in ((255, 0, 0), (0, 255, 9), (0, 10, 250))]
    for alpha, style in zip(alphas, styles, strict=True):
        found = rendered(effect, [matte_of(alpha)], picture, [style])
        if isinstance(effect, Tint):
            plain = tint_formula(picture, alpha, style)
        else:
            plain = outline_formula(picture, alpha, style, round(size[0] * effect.width / 100))
        assert (found != picture).any()
        assert near(found, plain)
    np.testing.assert_array_equal(
        rendered(effect, [matte_of(alpha) for alpha in alphas], picture, styles),
        rendered(effect, [matte_of(alpha) for alpha in alphas], picture, styles),
    )


@pytest.mark.parametrize("effect", [Tint(), Outline(), Outline(width=1.6)])
def test_pixels_do_not_depend_on_the_number_of_threads(effect):
    """A window limits OpenCV to one thread, an export does not. Both must render the same frame."""
    size = 541, 961
    picture, before = texture(*size, 8), cv2.getNumThreads()
    mattes = [matte_of(alpha_of(kind, *size, np.random.default_rng(9))) for kind in ("soft", "hard")]
    try:
        found = []
        for threads in (1, 2, 5):
            cv2.setNumThreads(threads)
            found.append(rendered(effect, mattes, picture, [STYLE, STYLE]))
    finally:
        cv2.setNumThreads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@pytest.mark.parametrize("effect", [Tint(), Outline(width=2.0)])
def test_adjacent_boxes_are_drawn_once(effect):
    """The result does not depend on the boxes of a matte, although lines extend beyond them."""
    alpha = np.zeros((160, 240), np.uint8)
    alpha[40:120, 50:110] = alpha[40:120, 113:190] = 255
    alpha[60:100, 106:117] = 90
    picture = texture(160, 240, 5)
    whole = rendered(effect, [read_only(alpha, [(0, 0, 240, 160)])], picture, [STYLE])
    cut = rendered(effect, [read_only(alpha, [(50, 40, 112, 120), (112, 40, 190, 120)])], picture, [STYLE])
    np.testing.assert_array_equal(cut, whole)
    assert (whole != picture).any()


def test_marked_tiles_are_extracted_and_put_back(monkeypatch):
    monkeypatch.setattr(tiles, "_CHUNK", 3)
    rng = np.random.default_rng(6)
    for size, scale in ((TILE, 1), (TILE, 2), ((9, 15), 3), ((25, 25), 25)):
        grid = 7, 9
        plane = rng.integers(0, 256, (grid[0] * size[0], grid[1] * size[1], 3), dtype=np.uint8)
        marks = np.zeros((plane.shape[0] // scale, plane.shape[1] // scale), np.uint8)
        rows, columns = np.unravel_index(rng.choice(marks.size, 12, replace=False), marks.shape)
        marks[rows, columns] = 255
        wanted = np.zeros(grid, bool)
        wanted[rows * scale // size[0], columns * scale // size[1]] = True
        found = Tiles.from_marks(marks, size, scale)
        assert len(found) == wanted.sum()
        before, changed = plane.copy(), np.zeros(grid, int)
        for some in found.chunks():
            assert 0 < len(some) <= 3
            changed[some.rows, some.columns] += 1
            some.put(255 - some.extract(plane), plane)
        np.testing.assert_array_equal(changed, wanted)
        everywhere = np.repeat(np.repeat(wanted, size[0], axis=0), size[1], axis=1)
        np.testing.assert_array_equal(plane, np.where(everywhere[..., None], 255 - before, before))


@pytest.mark.parametrize("width", [1, 2, 3, 6, 11, 40])
def test_the_distance_field_is_constant_far_from_borders(width):
    side = 16 * shrinkage(width)
    even = np.full((side, side), 255, np.uint8)
    assert (blur_mask(even, width).values == 255).all() and not blur_mask(even * 0, width).values.any()
    mask = np.zeros((200 - 200 % shrinkage(width),) * 2, np.uint8)
    mask[:, 90:] = 255
    exact = cv2.GaussianBlur(mask, (0, 0), width, borderType=cv2.BORDER_REPLICATE).astype(int)
    assert np.abs(blur_mask(mask, width).values - exact).max() <= 8
