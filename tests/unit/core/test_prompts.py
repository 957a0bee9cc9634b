"""Prompts are frozen values with keys from their content."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from clipseg_live import Prompt, UsageError
from clipseg_live.core.errors import SourceError
from clipseg_live.core.prompts import require_prompts

phrases = st.text(min_size=1).filter(str.strip)


@pytest.mark.slow
@given(phrases, phrases)
def test_equal_phrases_have_equal_keys(first: str, second: str) -> None:
    same = first.split() == second.split()
    assert (Prompt.text(first).key == Prompt.text(second).key) is same
    assert (Prompt.text(first) == Prompt.text(second)) is same


@pytest.mark.slow
@given(phrases)
def test_surrounding_space_is_ignored(phrase: str) -> None:
    assert Prompt.text(f"  {phrase}\n") == Prompt.text(phrase)


@pytest.mark.slow
@given(arrays(np.uint8, (3, 4, 3)), arrays(np.uint8, (3, 4, 3)))
def test_images_with_different_pixels_have_different_keys(first: np.ndarray, second: np.ndarray) -> None:
    assert (Prompt.image(first).key == Prompt.image(second).key) is bool((first == second).all())


def test_the_shape_is_part_of_the_key_of_an_image() -> None:
    assert Prompt.image(np.zeros((2, 6, 3), np.uint8)).key != Prompt.image(np.zeros((3, 4, 3), np.uint8)).key


def test_an_image_prompt_copies_its_pixels() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    prompt = Prompt.image(pixels)
    pixels[:] = 255
    assert prompt.pixels.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        prompt.pixels[0, 0] = 1


@pytest.mark.parametrize("phrase", ["", "   ", "\n\t"])
def test_an_empty_phrase_is_rejected(phrase: str) -> None:
    with pytest.raises(UsageError, match="empty"):
        Prompt.text(phrase)


@pytest.mark.parametrize("templates", [[], ["a photo"]])
def test_templates_need_a_place_for_the_phrase(templates: list[str]) -> None:
    with pytest.raises(UsageError, match="template"):
        Prompt.text("mug", templates)


def test_a_box_is_clipped_to_the_image() -> None:
    assert Prompt.image(np.zeros((10, 20, 3), np.uint8), box=(-5, 2, 100, 100)).box == (0, 2, 20, 8)


@pytest.mark.parametrize("box", [(30, 0, 5, 5), (0, 0, 0, 5), (1, 2, 3)])
def test_an_empty_box_is_rejected(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(UsageError, match="box"):
        Prompt.image(np.zeros((10, 20, 3), np.uint8), box=box)


def test_masks_must_match_the_size_and_not_be_empty() -> None:
    pixels = np.zeros((10, 20, 3), np.uint8)
    with pytest.raises(UsageError, match="size"):
        Prompt.image(pixels, mask=np.ones((9, 20), bool))
    with pytest.raises(UsageError, match="empty"):
        Prompt.image(pixels, mask=np.zeros((10, 20), bool))
    with pytest.raises(UsageError, match="not both"):
        Prompt.image(pixels, mask=np.ones((10, 20), bool), box=(0, 0, 2, 2))


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 2)), np.full((4, 4, 3), 7.0), np.zeros((0, 4, 3), np.uint8)])
def test_other_arrays_are_not_images(pixels: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"array of the shape|go from 0 to 1"):
        Prompt.image(pixels)


def test_a_missing_file_gives_an_error() -> None:
    with pytest.raises(SourceError, match=r"There is no file mug\.png"):
        Prompt.image("mug.png")


def test_prompts_are_parsed_from_texts_and_images(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "red mug.png")
    found = require_prompts(["a dog", tmp_path / "red mug.png", picture, Image.fromarray(picture), Prompt.text("cat")])
    assert [prompt.label for prompt in found] == ["a dog", "red mug", "image", "image", "cat"]
    assert found[1].key == found[2].key == found[3].key == Prompt.image(picture).key
    assert require_prompts("a dog") == (Prompt.text("a dog"),)
    assert require_prompts(Prompt.text("a dog")) == (Prompt.text("a dog"),)
    assert require_prompts(picture)[0].key == found[1].key, "an array is one image, not rows of several"
    for other in (None, 5, ["a dog"], {"a": 1}, object()):
        with pytest.raises(UsageError, match=r"not a prompt|Cannot make an image"):
            require_prompts([other])


def test_prompts_have_short_labels() -> None:
    picture = np.zeros((60, 80, 3), np.uint8)
    image, vector = Prompt.image(picture, box=(1, 2, 3, 4)), Prompt.embedding(np.ones(512), label="mine")
    assert repr(Prompt.text("red mug")) == "<TextPrompt 'red mug'>"
    assert repr(image) == "<ImagePrompt 'image' 80×60, box (1, 2, 3, 4)>"
    assert repr(vector) == "<EmbeddingPrompt 'mine' of 512 values>"
    assert repr(Prompt.mix((image, 0.5), (vector, 0.5))) == "<MixPrompt 'image + mine'>"
    assert Image.open(io.BytesIO(image._repr_png_())).size == (80, 60)


@pytest.mark.slow
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5))
def test_weights_of_a_mix_are_normalised(weights: list[float]) -> None:
    mix = Prompt.mix(*((Prompt.text(f"thing {number}"), weight) for number, weight in enumerate(weights)))
    assert sum(weight for _, weight in mix.parts) == pytest.approx(1)


@pytest.mark.parametrize("weights", [(0, 0), (-1, 2), (float("nan"), 1), (float("inf"), 1)])
def test_invalid_weights_are_rejected(weights: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="weights"):
        Prompt.mix((Prompt.text("a"), weights[0]), (Prompt.text("b"), weights[1]))


def test_a_mix_needs_parts() -> None:
    with pytest.raises(UsageError, match="at least one part"):
        Prompt.mix()
    with pytest.raises(UsageError, match="pairs"):
        Prompt.mix(Prompt.text("a"))  # type: ignore[arg-type]


def test_invalid_unicode_is_rejected() -> None:
    with pytest.raises(UsageError, match="bytes that are not characters"):
        Prompt.text("mug\udcff")
    with pytest.raises(UsageError, match="bytes that are not characters"):
        Prompt.text("mug", ["\ud800{}"])
