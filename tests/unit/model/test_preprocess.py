"""Placement of frames, resizing equal to Pillow, and preparation of image prompts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional

from clipseg_live import Prompt, UsageError
from clipseg_live.model import preprocess
from clipseg_live.model.preprocess import DIMMED, Preprocessing, place_frame, prepare_image_prompt, resize_frame
from clipseg_live.model.pytorch.images import as_tensor, normalise, resize
from clipseg_live.model.resampling import bicubic_matrix, resample_maps, resize_pixels
from tests.helpers.tolerances import SAME_INTERPOLATION

PREPROCESSING = Preprocessing(352, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

sides = st.integers(1, 20000)


@pytest.mark.slow
@given(sides, sides, st.sampled_from(["stretch", "letterbox", "aspect"]), st.sampled_from([64, 224, 352]))
def test_every_frame_is_placed_in_the_input(height: int, width: int, fit: str, size: int) -> None:
    placement = place_frame(height, width, size=size, patch=16, fit=fit)  # type: ignore[arg-type]
    assert placement.height % 16 == placement.width % 16 == 0
    assert 0 < placement.height * placement.width <= size * size
    assert placement.inner_height >= 1 and placement.inner_width >= 1
    assert 0 <= placement.top <= placement.height - placement.inner_height
    assert 0 <= placement.left <= placement.width - placement.inner_width
    maps = torch.zeros(2, placement.height, placement.width)
    assert placement.crop(maps, 1.0).shape == (2, placement.inner_height, placement.inner_width)


@given(st.floats(0.25, 4.0))
def test_aspect_fit_keeps_the_aspect_ratio_and_the_cost(ratio: float) -> None:
    placement = place_frame(1000, round(1000 * ratio), size=352, patch=16, fit="aspect")
    assert placement.width / placement.height == pytest.approx(ratio, rel=0.12)
    assert placement.height * placement.width >= 0.85 * 352 * 352


def test_unknown_fits_are_rejected() -> None:
    with pytest.raises(UsageError, match="squash"):
        place_frame(10, 10, size=352, patch=16, fit="squash")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(720, 1280), (53, 37), (1, 1), (352, 352), (3, 2000)])
def test_resizing_equals_pillow(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    found = resize(as_tensor(pixels), place_frame(*shape, size=352, patch=16, fit="stretch"), PREPROCESSING)
    expected = np.asarray(Image.fromarray(pixels).resize((352, 352), Image.Resampling.BILINEAR))
    difference = np.abs(found[0].permute(1, 2, 0).numpy().astype(int) - expected)
    assert difference.max() <= 1


@pytest.mark.parametrize("shape", [(720, 1280), (53, 37), (1, 1), (352, 352), (1, 300)])
def test_resizing_with_aligned_corners_is_that_of_torch(shape: tuple[int, int]) -> None:
    """The published evaluation passes floating-point values, neither antialiased nor rounded."""
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    corners = replace(PREPROCESSING, resampling="bilinear-corners")
    place = place_frame(*shape, size=352, patch=16, fit="stretch")
    expected = functional.interpolate(
        torch.from_numpy(pixels).permute(2, 0, 1)[None].float(), size=(352, 352), mode="bilinear", align_corners=True
    )
    assert torch.equal(resize(as_tensor(pixels), place, corners), expected)
    found = resize_frame(pixels, place, corners)
    assert found.dtype == np.float32
    assert np.abs(found - expected[0].permute(1, 2, 0).numpy()).max() < 1e-3  # of 255
    assert np.abs(found - resize_frame(pixels, place, PREPROCESSING)).max() > 10 or shape in ((1, 1), (352, 352))


def test_letterbox_pads_with_the_mean() -> None:
    pixels = np.full((100, 200, 3), 255, np.uint8)
    picture = resize(as_tensor(pixels), place_frame(100, 200, size=352, patch=16, fit="letterbox"), PREPROCESSING)
    values = normalise(picture, PREPROCESSING, torch.float32)
    assert values[:, :, :88].abs().max() < 0.01
    assert values[:, :, 88:264].min() > 2
    assert values[:, :, 264:].abs().max() < 0.01


def test_a_box_is_cropped_to_a_square_and_dimmed_outside() -> None:
    pixels = np.full((200, 300, 3), 100, np.uint8)
    pixels[50:90, 100:180] = 200
    prepared = prepare_image_prompt(Prompt.image(pixels, box=(100, 50, 80, 40)), PREPROCESSING, 96)
    assert prepared.shape == (96, 96, 3)
    assert prepared[48, 48].tolist() == pytest.approx([200] * 3, abs=1)
    assert prepared[5, 48].tolist() == pytest.approx([100 * DIMMED] * 3, abs=1)


def test_a_box_at_the_border_extends_beyond_the_image() -> None:
    pixels = np.full((40, 40, 3), 250, np.uint8)
    prepared = prepare_image_prompt(Prompt.image(pixels, box=(0, 0, 40, 2)), PREPROCESSING, 96)
    assert prepared.max() > 100
    assert prepared[0, 48].max() < 1


@pytest.mark.parametrize("resampling", ["nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("shape", "target"),
    [((90, 160), (44, 44)), ((53, 37), (64, 64)), ((1, 1), (64, 64)), ((3, 2000), (64, 64)), ((700, 40), (16, 96))],
)
def test_without_pytorch_the_levels_are_the_same(
    shape: tuple[int, int], target: tuple[int, int], resampling: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    smooth = resampling != "nearest-exact"
    expected = torch.nn.functional.interpolate(as_tensor(pixels), size=target, mode=resampling, antialias=smooth)
    found = resize_pixels(pixels, target, resampling)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, expected[0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "aspect"])
def test_without_pytorch_a_frame_has_the_same_place(fit: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 90, 3), np.uint8)
    placement = place_frame(50, 90, size=64, patch=16, fit=fit)  # type: ignore[arg-type]
    expected = resize(as_tensor(pixels), placement, PREPROCESSING)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(preprocess.resize_frame(pixels, placement, PREPROCESSING), expected)


@pytest.mark.parametrize("target", [(22, 22), (7, 40), (14, 14), (2, 4)])
def test_without_pytorch_maps_are_interpolated_the_same(target: tuple[int, int]) -> None:
    values = np.random.default_rng(0).random((14, 14), np.float32)
    tensor = torch.from_numpy(values)[None, None]
    soft = torch.nn.functional.interpolate(tensor, size=target, mode="bilinear", antialias=True)[0, 0].numpy()
    np.testing.assert_allclose(resample_maps(values, target), soft, atol=SAME_INTERPOLATION)
    cubic = torch.nn.functional.interpolate(tensor, size=target, mode="bicubic", align_corners=False)[0, 0].numpy()
    found = bicubic_matrix(14, target[0]) @ values @ bicubic_matrix(14, target[1]).T
    np.testing.assert_allclose(found, cubic, atol=SAME_INTERPOLATION)
