"""Placement of frames, resizing like Pillow, and prepared image prompts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipseg_live import Prompt, UsageError
from clipseg_live.model.preprocess import DIMMED, Preprocessing, as_tensor, place_frame, prepare_image_prompt, resize

PREPROCESSING = Preprocessing(352, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

sides = st.integers(1, 20000)


@given(sides, sides, st.sampled_from(["stretch", "letterbox", "aspect"]), st.sampled_from([64, 224, 352]))
def test_every_frame_has_a_place(height: int, width: int, fit: str, size: int) -> None:
    placement = place_frame(height, width, size=size, patch=16, fit=fit)  # type: ignore[arg-type]
    assert placement.height % 16 == placement.width % 16 == 0
    assert 0 < placement.height * placement.width <= size * size
    assert placement.inner_height >= 1 and placement.inner_width >= 1
    assert 0 <= placement.top <= placement.height - placement.inner_height
    assert 0 <= placement.left <= placement.width - placement.inner_width
    maps = torch.zeros(2, placement.height, placement.width)
    assert placement.crop(maps, 1.0).shape == (2, placement.inner_height, placement.inner_width)


@given(st.floats(0.25, 4.0))
def test_aspect_keeps_the_frames_shape_and_the_squares_cost(ratio: float) -> None:
    placement = place_frame(1000, round(1000 * ratio), size=352, patch=16, fit="aspect")
    assert placement.width / placement.height == pytest.approx(ratio, rel=0.12)
    assert placement.height * placement.width >= 0.85 * 352 * 352


def test_unknown_fits_are_refused() -> None:
    with pytest.raises(UsageError, match="squash"):
        place_frame(10, 10, size=352, patch=16, fit="squash")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(720, 1280), (53, 37), (1, 1), (352, 352), (3, 2000)])
def test_resizing_is_pillows(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    found = resize(as_tensor(pixels), place_frame(*shape, size=352, patch=16, fit="stretch"), PREPROCESSING)
    expected = np.asarray(Image.fromarray(pixels).resize((352, 352), Image.Resampling.BILINEAR))
    difference = np.abs(found[0].permute(1, 2, 0).numpy().astype(int) - expected)
    assert difference.max() <= 1


def test_letterbox_pads_with_the_mean_which_normalises_to_almost_nothing() -> None:
    pixels = np.full((100, 200, 3), 255, np.uint8)
    picture = resize(as_tensor(pixels), place_frame(100, 200, size=352, patch=16, fit="letterbox"), PREPROCESSING)
    values = PREPROCESSING.normalise(picture, torch.float32)
    assert values[:, :, :88].abs().max() < 0.01
    assert values[:, :, 88:264].min() > 2
    assert values[:, :, 264:].abs().max() < 0.01


def test_a_box_is_cropped_square_and_its_outside_dimmed() -> None:
    pixels = np.full((200, 300, 3), 100, np.uint8)
    pixels[50:90, 100:180] = 200
    prepared = prepare_image_prompt(Prompt.image(pixels, box=(100, 50, 80, 40)), PREPROCESSING, 96)
    assert prepared.shape == (1, 3, 96, 96)
    assert prepared[0, :, 48, 48].tolist() == pytest.approx([200] * 3, abs=1)
    assert prepared[0, :, 5, 48].tolist() == pytest.approx([100 * DIMMED] * 3, abs=1)


def test_a_box_at_the_border_reaches_beyond_the_picture() -> None:
    pixels = np.full((40, 40, 3), 250, np.uint8)
    prepared = prepare_image_prompt(Prompt.image(pixels, box=(0, 0, 40, 2)), PREPROCESSING, 96)
    assert prepared.max() > 100
    assert prepared[0, :, 0, 48].max() < 1
