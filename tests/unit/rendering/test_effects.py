"""Effects at any size and with any number of prompts: which pixels change and which do not."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from clipseg_live.core.errors import ClipsegLiveError, UsageError
from clipseg_live.core.mattes import Decision, Mattes
from clipseg_live.core.settings.base import PALETTE, PromptStyle, prompt_styles
from clipseg_live.core.settings.effects import (
    KINDS,
    BlackOut,
    Blur,
    CutOut,
    Desaturate,
    EdgeView,
    Glow,
    Heatmap,
    Invert,
    Labels,
    MatteView,
    Outline,
    Pixelate,
    Raw,
    SideBySide,
    Spotlight,
    Tint,
    Wipe,
)
from clipseg_live.core.settings.rendering import RenderSettings
from clipseg_live.media.images.reader import read_image
from clipseg_live.rendering.renderer import EffectRenderer
from tests.helpers.clips import make_clip
from tests.helpers.patterns import disc, matte_of, texture

SIZE = 120, 200
PICTURE = texture(*SIZE, 1)
PICTURE.setflags(write=False)
DISC = disc(*SIZE, 70, 60, 30)


def mattes_of(*shares: np.ndarray, size: tuple[int, int] = SIZE, own: bool = True) -> Mattes:
    each = tuple(matte_of((share * 255).round().astype(np.uint8)) for share in shares)
    maps = np.stack(shares).astype(np.float32) if shares else np.zeros((0, 1, 1), np.float32)
    return Mattes(*size, each, maps, tuple(float(share.max()) for share in shares), own)


ONE = mattes_of(DISC)
OUTSIDE = DISC == 0
INSIDE = DISC == 1


def rendered(
    *effects, mattes: Mattes = ONE, picture: np.ndarray = PICTURE, styles=None, names=("disc",), time=Fraction(0)
):
    look = RenderSettings(
        effects=effects, styles=prompt_styles(len(mattes.each)) if styles is None else styles, names=names
    )
    composer = EffectRenderer(look)
    try:
        return composer.compose(picture, mattes, time)
    finally:
        composer.close()


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 301), (64, 2), (97, 131)])
@pytest.mark.parametrize("count", [0, 1, 16])
def test_effects_support_any_size_and_number_of_prompts(kind, size, count):
    rng = np.random.default_rng(count)
    picture = texture(*size, 2)
    before = picture.copy()
    picture.setflags(write=False)
    mattes = mattes_of(*(rng.random(size) * (rng.random() > 0.3) for _ in range(count)), size=size)
    found = rendered(KINDS[kind](), mattes=mattes, picture=picture)
    assert found.shape == (*size, 3) and found.dtype == np.uint8
    assert np.array_equal(picture, before) and not np.shares_memory(found, picture)
    np.testing.assert_array_equal(found, rendered(KINDS[kind](), mattes=mattes, picture=picture))


@pytest.mark.parametrize(
    "effect", [Tint(), Outline(), Glow(), Labels(), Invert(), Heatmap(), Raw(), Blur(what="object")]
)
def test_frames_without_prompts_are_unchanged(effect):
    np.testing.assert_array_equal(rendered(effect, mattes=mattes_of()), PICTURE)


@pytest.mark.parametrize(
    "effect", [Tint(), Invert(), Blur(what="object"), Pixelate(grow=0, cell=1.7), BlackOut(grow=0)]
)
def test_pixels_outside_mattes_are_unchanged(effect):
    far = cv2.dilate((~OUTSIDE).astype(np.uint8), np.ones((7, 7))) == 0
    found = rendered(effect)
    np.testing.assert_array_equal(found[far], PICTURE[far])
    if not isinstance(effect, Pixelate):
        np.testing.assert_array_equal(found[OUTSIDE], PICTURE[OUTSIDE])
    assert (found[INSIDE] != PICTURE[INSIDE]).any()


@pytest.mark.parametrize(
    "effect", [Spotlight(), Blur(), Desaturate(), CutOut(), CutOut(backdrop="colour"), Wipe(at=1.0)]
)
def test_pixels_inside_mattes_are_unchanged(effect):
    found = rendered(effect)
    np.testing.assert_array_equal(found[INSIDE], PICTURE[INSIDE])


@pytest.mark.parametrize("effect", [Outline(width=1.0), Glow(reach=5.0)])
def test_outline_and_glow_stay_near_the_border(effect):
    border = cv2.morphologyEx((DISC >= 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3)))
    distance = cv2.distanceTransform(1 - border, cv2.DIST_L2, 5)
    changed = (rendered(effect) != PICTURE).any(axis=2)
    assert changed[(distance < 2) & (DISC < 0.5)].mean() > 0.9 and not changed[distance > 16].any()
    if isinstance(effect, Glow):
        assert not changed[INSIDE].any()


def test_an_outline_has_a_constant_width():
    wide = mattes_of(disc(400, 400, 200, 200, 120), size=(400, 400))
    black = np.zeros((400, 400, 3), np.uint8)
    style = (PromptStyle(colour=(255, 255, 255), opacity=1.0),)
    found = rendered(Outline(width=1.5), mattes=wide, picture=black, styles=style)[..., 0].astype(float) / 255
    angles = np.linspace(0, 2 * np.pi, 73)
    radii = np.arange(100, 140, 0.25)
    widths = []
    for angle in angles:
        x = np.clip((200 + radii * np.cos(angle)).astype(int), 0, 399)
        y = np.clip((200 + radii * np.sin(angle)).astype(int), 0, 399)
        widths.append(found[y, x].sum() * 0.25)
    assert 0.85 * np.mean(widths) < min(widths) and max(widths) < 1.15 * np.mean(widths)


def test_tint_blends_by_alpha_and_opacity():
    style = (PromptStyle(colour=(200, 100, 0), opacity=0.5),)
    soft = np.full(SIZE, 0.4)
    found = rendered(Tint(), mattes=mattes_of(soft), styles=style).astype(float)
    alpha = round(0.4 * 255) / 255 * 0.5
    np.testing.assert_allclose(found, PICTURE * (1 - alpha) + np.array([200, 100, 0]) * alpha, atol=2)


def test_later_prompts_are_drawn_above_earlier_ones():
    styles = tuple(PromptStyle(colour=colour, opacity=1.0) for colour in ((255, 0, 0), (0, 255, 0)))
    found = rendered(Tint(), mattes=mattes_of(DISC, DISC), styles=styles)
    assert (found[INSIDE] == (0, 255, 0)).all()


def test_effects_are_drawn_in_order():
    both = rendered(Desaturate(), Tint())
    np.testing.assert_array_equal(both, rendered(Tint(), picture=rendered(Desaturate())))
    assert (both != rendered(Tint(), Desaturate())).any()


def test_prompts_without_a_style_have_palette_colours():
    found = rendered(Raw(), mattes=mattes_of(np.ones(SIZE)), styles=())
    assert tuple(found[5, 5]) == PALETTE[0]


# ---- cut-outs


def test_a_cutout_has_no_fringe_of_the_background():
    """With known foreground, background and alpha, the result is near the true composite in linear light."""
    front, behind, ahead = np.array([200, 40, 40.0]), np.array([20, 220, 60.0]), (10, 10, 10)
    alpha = cv2.GaussianBlur(DISC, (0, 0), 3)[..., None]
    picture = np.rint(front * alpha + behind * (1 - alpha)).astype(np.uint8)
    found = rendered(CutOut(backdrop="colour", colour=ahead), mattes=mattes_of(alpha[..., 0]), picture=picture)

    def linear(value):
        value = np.asarray(value) / 255
        return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)

    light = linear(front) * alpha + linear(ahead) * (1 - alpha)
    true = 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    band = (alpha[..., 0] > 0.05) & (alpha[..., 0] < 0.95)
    naive = picture * alpha + np.array(ahead) * (1 - alpha)
    error, naive_error = (np.abs(each - true)[band].mean() for each in (found, naive))
    assert error < 4 and error < 0.3 * naive_error
    assert found[band][:, 1].max() < 60  # no green is left


def test_backdrops_are_drawn(tmp_path):
    Image.fromarray(np.full((50, 400, 3), (1, 2, 3), np.uint8)).save(tmp_path / "b.png")
    found = rendered(CutOut(backdrop="image", file=tmp_path / "b.png"))
    assert (found[OUTSIDE] == (1, 2, 3)).all()
    clip = make_clip(tmp_path / "b.mkv", codec="ffv1", pixel_format="bgr0", count=5, rate=Fraction(10), options={})
    composer = EffectRenderer(RenderSettings(effects=(CutOut(backdrop="video", file=clip),), styles=prompt_styles(1)))
    seen = {}
    for tenths in (0, 2, 4, 7, 1, 52, 0):
        seen.setdefault(tenths % 5, []).append(composer.compose(PICTURE, ONE, Fraction(tenths, 10)))
    composer.close()
    composer.close()
    for number, shown in seen.items():
        assert all(np.array_equal(each, shown[0]) for each in shown), number
    assert len({each[0].tobytes() for each in seen.values()}) == len(seen)


@pytest.mark.parametrize(
    ("effect", "said"),
    [
        (CutOut(backdrop="image"), "needs a file"),
        (CutOut(backdrop="video", file=Path("gone.mp4")), r"gone\.mp4"),
        (CutOut(backdrop="image", file=Path("gone.png")), r"gone\.png"),
    ],
)
def test_a_missing_backdrop_gives_a_one_sentence_error(effect, said):
    with pytest.raises(ClipsegLiveError, match=said) as raised:
        rendered(effect)
    assert "\n" not in str(raised.value)


def test_a_broken_backdrop_gives_a_one_sentence_error(tmp_path):
    for name, backdrop in (("b.png", "image"), ("b.mp4", "video")):
        (tmp_path / name).write_bytes(b"not a picture")
        with pytest.raises(ClipsegLiveError, match=name):
            rendered(CutOut(backdrop=backdrop, file=tmp_path / name))
    with pytest.raises(UsageError):
        rendered(CutOut(backdrop="video"))
    with pytest.raises(ClipsegLiveError):
        read_image(tmp_path / "b.png")


# ---- privacy


@pytest.mark.parametrize("effect", [Pixelate(), BlackOut()])
@pytest.mark.parametrize(
    "mattes", [mattes_of(DISC, own=False), mattes_of(own=False), mattes_of()], ids=["not its own", "none", "missing"]
)
def test_a_frame_without_own_mattes_is_hidden_completely(effect, mattes):
    found = rendered(effect, mattes=mattes, styles=prompt_styles(1))
    if isinstance(effect, BlackOut):
        assert not found.any()
    else:
        same = (found == PICTURE).all(axis=2).mean()
        assert same < 0.05 and len(np.unique(found.reshape(-1, 3), axis=0)) < 2 * (120 / 4.8) * (200 / 4.8)


def test_a_frame_without_prompts_is_hidden_completely():
    assert not rendered(BlackOut(), mattes=mattes_of(), styles=()).any()
    assert not (rendered(Pixelate(), mattes=mattes_of(), styles=()) == PICTURE).all(axis=2).mean() > 0.05


def test_only_privacy_effects_use_cautious_mattes():
    small = mattes_of(disc(*SIZE, 70, 60, 10))
    both = replace(small, cautious=ONE.each)
    np.testing.assert_array_equal(rendered(BlackOut(), mattes=both), rendered(BlackOut(), mattes=ONE))
    np.testing.assert_array_equal(rendered(Invert(), mattes=both), rendered(Invert(), mattes=small))


@pytest.mark.parametrize("effect", [Pixelate(grow=2.0), BlackOut(grow=2.0)])
def test_hidden_pixels_do_not_leak(effect):
    """Two frames that differ only under a matte look the same, except for the means of squares."""
    soft = DISC * (1 / 255)
    soft[DISC < 0.5] = 0
    other = PICTURE.copy()
    rows, columns = np.nonzero(soft)
    other[rows, columns] = np.random.default_rng(0).permutation(other[rows, columns])
    mattes = mattes_of(soft)
    first, second = (rendered(effect, mattes=mattes, picture=each) for each in (PICTURE, other))
    if isinstance(effect, BlackOut):
        np.testing.assert_array_equal(first, second)
        assert not first[soft > 0].any()
    else:
        visible = (first == PICTURE).all(axis=2) & (soft > 0)
        assert visible.mean() < 0.01
        cell = round(120 * effect.cell / 100)
        blocks = first[: 120 // cell * cell, : 200 // cell * cell].reshape(120 // cell, cell, 200 // cell, cell, 3)
        flat = (blocks == blocks[:, :1, :, :1]).all(axis=(1, 3, 4))
        covered = (soft[: 120 // cell * cell, : 200 // cell * cell] > 0).reshape(120 // cell, cell, 200 // cell, cell)
        assert flat[covered.any(axis=(1, 3))].all()


@pytest.mark.parametrize("after", [Wipe(at=1.0), SideBySide(), CutOut(), Blur(), Tint(), Invert()])
def test_other_effects_do_not_show_hidden_pixels(after):
    """In any order of effects. Under BlackOut the hidden pixels have no influence at all."""
    other = PICTURE.copy()
    other[DISC > 0] = 255 - other[DISC > 0]
    for effects in ((BlackOut(), after), (after, BlackOut())):
        first, second = (rendered(*effects, picture=picture) for picture in (PICTURE, other))
        np.testing.assert_array_equal(first, second)


# ---- before and after, labels, views


def test_the_wipe_shows_the_original_on_the_left():
    found = rendered(Tint(), Wipe(at=0.5))
    np.testing.assert_array_equal(found[:, :97], PICTURE[:, :97])
    np.testing.assert_array_equal(found[:, 103:], rendered(Tint())[:, 103:])


def test_side_by_side_shows_both():
    plain = np.full((*SIZE, 3), 80, np.uint8)
    found = rendered(Invert(), SideBySide(), picture=plain)
    assert found[60, 35].tolist() == [80] * 3 and found[60, 135].tolist() == [175] * 3 and not found[5].any()


def test_the_matte_view_is_the_union():
    second = disc(*SIZE, 150, 60, 20)
    found = rendered(MatteView(), mattes=mattes_of(DISC, second))
    np.testing.assert_array_equal(found[..., 1], np.rint(np.maximum(DISC, second) * 255).astype(np.uint8))


def test_the_edge_view_colours_decisions_over_a_grey_frame():
    decisions = np.zeros((2, *SIZE), np.uint8)
    decisions[0, 10:20], decisions[1, 15:25], decisions[1, 30:40] = Decision.EDGES, Decision.COLOURS, Decision.MAP
    found = rendered(EdgeView(opacity=1.0), mattes=replace(mattes_of(DISC, DISC), decisions=decisions)).astype(int)
    blue, orange, white, rest = found[12, 100], found[20, 100], found[35, 100], found[50, 100]
    assert blue.argmax() == 2 and orange.argmax() == 0 and (found[17, 100] == orange).all()
    assert white.min() > 190 and np.ptp(rest) == 0
    alone = rendered(EdgeView(opacity=1.0)).astype(int)
    assert (alone[50, 100] == rest).all() and np.ptp(alone[12, 100]) == 0


def test_labels_are_at_their_objects_with_different_names():
    plain = np.full((400, 600, 3), 90, np.uint8)
    mattes = mattes_of(disc(400, 600, 300, 250, 50), size=(400, 600))
    found = rendered(Labels(), mattes=mattes, picture=plain, names=("a mug",))
    rows, columns = np.nonzero((found != plain).any(axis=2))
    assert rows.max() < 205 and rows.min() > 160 and columns.min() > 240 and columns.max() < 360
    other = rendered(Labels(), mattes=mattes, picture=plain, names=("青い カップ",))
    assert (found != other).any()


@pytest.mark.slow
def test_the_heat_map_follows_the_probability():
    ramp = np.tile(np.linspace(0, 1, 200), (120, 1))
    found = rendered(Heatmap(scale=False, opacity=1.0), mattes=mattes_of(ramp)).astype(float).sum(axis=2)
    assert found[60, 5] < found[60, 60] < found[60, 120] < found[60, 195]
    assert (rendered(Heatmap(), mattes=mattes_of(ramp)) != rendered(Heatmap(scale=False), mattes=mattes_of(ramp))).any()
