"""The Python interface beyond the examples of docs/python.md: errors, and equal results of different functions."""

import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import clipseg_live
from clipseg_live import (
    ExportSettings,
    LiveSettings,
    MatteSettings,
    Prompt,
    PromptStyle,
    Segmentation,
    Segmenter,
    UsageError,
    draw,
    export,
    make_mattes,
    read_image,
    stream,
)
from clipseg_live.core.settings.effects import AnyEffect, BlackOut, Outline, Tint

PICTURE = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)


def left_half_result(*labels: str) -> Segmentation:
    """Return maps that detect the left half for each prompt."""
    maps = np.zeros((len(labels), 12, 16), np.float32)
    maps[..., :8] = 0.9
    return Segmentation(maps, tuple(Prompt.text(label) for label in labels), (48, 64))


def test_every_public_name_exists() -> None:
    for name in clipseg_live.__all__:
        assert getattr(clipseg_live, name) is not None


def test_mattes_of_an_image_accept_threshold_and_settings() -> None:
    plain = MatteSettings(smoothing=0, motion_tracking=False, edges="off")
    half = make_mattes(PICTURE, left_half_result("a"), plain).each[0].alpha
    assert (half[:, :30] == 255).all() and (half[:, 34:] == 0).all()
    assert not make_mattes(PICTURE, left_half_result("a"), plain, threshold=0.95).each[0].alpha.any()


def test_wrong_sizes_and_missing_styles_are_rejected() -> None:
    with pytest.raises(UsageError, match=r"64×48"):
        make_mattes(PICTURE[:24], left_half_result("a"))
    with pytest.raises(UsageError, match="1 styles for 2 prompts"):
        make_mattes(PICTURE, left_half_result("a", "b"), styles=[PromptStyle()])
    with pytest.raises(UsageError, match="threshold"):
        make_mattes(PICTURE, left_half_result("a"), threshold=2)


def test_effects_can_be_given_as_text() -> None:
    mattes, before = make_mattes(PICTURE, left_half_result("a")), PICTURE.copy()
    drawn = draw(PICTURE, mattes, "tint+outline(width=2)")
    assert np.array_equal(drawn, draw(PICTURE, mattes, [Tint(), Outline(width=2)]))
    assert not np.array_equal(drawn, PICTURE) and np.array_equal(PICTURE, before)
    red = draw(PICTURE, mattes, [Tint()], styles=[PromptStyle(colour=(255, 0, 0), opacity=1)])
    assert (red[:, :20, 0] > 240).all() and (red[:, :20, 1] < 15).all()
    with pytest.raises(UsageError, match="is not an effect"):
        draw(PICTURE, mattes, "sparkle")


def test_an_export_validates_arguments_before_loading_a_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="where the result goes"):
        export("demo:", ["a"], model="shapes")
    with pytest.raises(UsageError, match="no prompt"):
        export("demo:", [], tmp_path / "out.mp4")
    with pytest.raises(UsageError, match="2 styles for 1 prompts"):
        export("demo:", ["a"], tmp_path / "out.mp4", styles=[PromptStyle()] * 2)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_threads_can_make_mattes_and_render_concurrently() -> None:
    looks = ["spotlight+outline+glow+labels", "heatmap+labels", "cutout+desaturate", "blur+tint", "pixelate", "raw"]
    pictures = [np.random.default_rng(n).integers(0, 255, (48 + 16 * n, 64, 3), dtype=np.uint8) for n in range(6)]

    def drawn(number: int) -> np.ndarray:
        answer = left_half_result("a", "b")
        own = Segmentation(answer.probabilities, answer.prompts, pictures[number].shape[:2])
        mattes = make_mattes(pictures[number], own)
        return draw(pictures[number], mattes, looks[number], names=["a", f"b{number}"])

    expected = [drawn(number) for number in range(6)]
    start = threading.Barrier(6)

    def together(number: int) -> list[np.ndarray]:
        start.wait(10)
        return [drawn(number) for _ in range(5)]

    with ThreadPoolExecutor(6) as pool:
        for one, several in zip(expected, pool.map(together, range(6)), strict=True):
            assert all(np.array_equal(one, each) for each in several)


SCENE = "docs/pictures/scene.png"
WORDS = ("red circle", "blue star")


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, Segmentation]:
    picture = read_image(SCENE)
    return picture, Segmenter.load("shapes").segment(picture, [Prompt.text(word) for word in WORDS])


@pytest.mark.slow
@pytest.mark.parametrize(
    "matte",
    [
        MatteSettings(),
        MatteSettings(smoothing=0, motion_tracking=False, edges="off"),
        MatteSettings(auto_hide=True, presence_threshold=1.0),
        MatteSettings(overlap="exclusive", edges="off"),
    ],
)
def test_a_privacy_effect_hides_the_same_in_every_function(
    scene: tuple[np.ndarray, Segmentation], matte: MatteSettings, tmp_path: Path
) -> None:
    """From mattes, from a stream with and without the effect in its settings, and in an export."""
    picture, found_ = scene
    out = tmp_path / "out.png"
    export(SCENE, WORDS, out, ExportSettings(matte=matte), effects="blackout", model="shapes")
    exported = read_image(out)
    assert 0.001 < (exported != picture).any(axis=2).mean() < 0.2
    np.testing.assert_array_equal(draw(picture, make_mattes(picture, found_, matte), "blackout"), exported)
    none: tuple[AnyEffect, ...] = ()
    for effects in (none, (BlackOut(),)):
        with stream(SCENE, WORDS, LiveSettings(matte=matte, effects=effects), model="shapes") as items:
            item = next(items)
        np.testing.assert_array_equal(draw(item.frame.pixels, item.mattes, "blackout"), exported)


def test_a_stream_accepts_a_style_for_each_prompt_and_has_the_notices_of_the_engine() -> None:
    styles = [PromptStyle(threshold=1.0), PromptStyle(role="negative")]
    with stream(SCENE, ["red circle " * 100, "star"], model="shapes", styles=styles) as items:
        item = next(items)
        assert len(items.notices) == 1 and "was cut off" in items.notices[0]
    assert [prompt.label[:11] for prompt in item.drawn] == ["red circle "] and not item.mattes.each[0].alpha.any()
    with pytest.raises(UsageError, match="1 styles for 2 prompts"):
        stream(SCENE, ["a", "b"], model="shapes", styles=styles[:1])
    with pytest.raises(UsageError, match="threshold"):
        stream(SCENE, ["a"], model="shapes", threshold=2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_maps_hide_everything(value: float) -> None:
    broken = left_half_result("a", "b")
    maps = broken.probabilities.copy()
    maps[1, 3, 4] = value
    mattes = make_mattes(PICTURE, Segmentation(maps, broken.prompts, broken.frame_size))
    assert len(mattes.each) == 2 and not any(each.alpha.any() for each in mattes.each)
    assert not draw(PICTURE, mattes, "blackout").any()
    assert np.array_equal(draw(PICTURE, mattes, "tint"), PICTURE)


def test_a_privacy_effect_without_prompts_hides_everything() -> None:
    assert not draw(PICTURE, make_mattes(PICTURE, left_half_result()), "blackout").any()
    taken_out = make_mattes(PICTURE, left_half_result("a"), styles=[PromptStyle(role="negative")])
    assert not draw(PICTURE, taken_out, "blackout").any()


@pytest.mark.parametrize("effects", ["blackout", "pixelate", "tint"])
@pytest.mark.parametrize("scale", [1, 3])
def test_mattes_of_another_size_are_rejected(effects: str, scale: int) -> None:
    mattes = make_mattes(PICTURE, left_half_result("a"))
    other = np.zeros((PICTURE.shape[0] * scale // 2, PICTURE.shape[1] * scale // 2, 3), np.uint8)
    with pytest.raises(UsageError, match="mattes are of an image of"):
        draw(other, mattes, effects)


@pytest.mark.slow
def test_an_export_warns_of_data_with_hidden_pixels(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="nothing is hidden in them"):
        export(
            "demo:1",
            ["red circle"],
            settings=ExportSettings(end=Fraction(1, 10)),
            effects="blackout",
            data={"coco": tmp_path / "coco"},
            model="shapes",
        )
