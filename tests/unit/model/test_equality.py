"""Our run of the published architecture against transformers' own forward, on seeded random weights."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

from clipseg_live import Prompt, Segmenter
from clipseg_live.model.clipseg import ClipSeg
from tests.tolerances import SAME_MAPS

PHRASES = ("cat", "a red mug", "hair", "anything wet", "sky", "the dog on the left", "wood", "x")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Keep all threads: the published architecture is large enough for them."""


@pytest.fixture(scope="module")
def segmenter(refined_folder: Path) -> Segmenter:
    return Segmenter.load(str(refined_folder), device="cpu")


@pytest.fixture(scope="module")
def reference(refined_folder: Path) -> CLIPSegForImageSegmentation:
    return CLIPSegForImageSegmentation.from_pretrained(refined_folder).eval()


@pytest.fixture(scope="module")
def pixel_values() -> torch.Tensor:
    coarse = torch.randn((1, 3, 44, 44), generator=torch.Generator().manual_seed(5))
    return torch.nn.functional.interpolate(coarse, size=(352, 352), mode="bicubic")


def ours(network: ClipSeg, pixel_values: torch.Tensor, conditional: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat(list(network.probabilities(network.features(pixel_values), conditional)))


def theirs(reference: CLIPSegForImageSegmentation, pixel_values: torch.Tensor, **conditions: torch.Tensor):
    count = len(next(iter(conditions.values())))
    with torch.inference_mode():
        logits = reference(pixel_values=pixel_values.expand(count, -1, -1, -1), **conditions).logits
    return logits.reshape(count, *logits.shape[-2:]).sigmoid()


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=SAME_MAPS)


def assert_meaningful(maps: torch.Tensor) -> None:
    """The reference itself spreads over 0..1, and differs from prompt to prompt: else equality says little."""
    assert maps.std() > 0.2
    assert maps.min() < 0.05 and maps.max() > 0.95
    for first, second in pairwise(maps):
        assert (first - second).abs().mean() > 0.03


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 8])
def test_text_prompts_equal(
    segmenter: Segmenter,
    reference: CLIPSegForImageSegmentation,
    refined_folder: Path,
    pixel_values: torch.Tensor,
    count: int,
) -> None:
    tokens = CLIPTokenizer.from_pretrained(refined_folder)(PHRASES[:count], padding=True, return_tensors="pt")
    expected = theirs(reference, pixel_values, **tokens)
    conditional = torch.from_numpy(segmenter.encode([Prompt.text(phrase) for phrase in PHRASES[:count]]))
    assert_meaningful(expected)
    assert_same(ours(segmenter.network, pixel_values, conditional), expected)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
def test_image_prompts_equal(
    segmenter: Segmenter, reference: CLIPSegForImageSegmentation, pixel_values: torch.Tensor, count: int
) -> None:
    coarse = torch.randn((count, 3, 11, 11), generator=torch.Generator().manual_seed(9))
    pictures = torch.nn.functional.interpolate(coarse, size=(352, 352), mode="bicubic")
    expected = theirs(reference, pixel_values, conditional_pixel_values=pictures)
    with torch.inference_mode():
        conditional = segmenter.network.image_embeddings(pictures)
    assert expected.std() > 0.2
    assert_same(ours(segmenter.network, pixel_values, conditional), expected)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 8])
def test_embedding_prompts_equal(
    segmenter: Segmenter, reference: CLIPSegForImageSegmentation, pixel_values: torch.Tensor, count: int
) -> None:
    values = torch.randn((count, 512), generator=torch.Generator().manual_seed(1))
    expected = theirs(reference, pixel_values, conditional_embeddings=values)
    conditional = torch.from_numpy(segmenter.encode([Prompt.embedding(row.numpy()) for row in values]))
    assert_meaningful(expected)
    assert_same(ours(segmenter.network, pixel_values, conditional), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_photographs_equal_through_the_checkpoints_own_processor(
    segmenter: Segmenter, reference: CLIPSegForImageSegmentation, refined_folder: Path, name: str
) -> None:
    from transformers import CLIPSegProcessor

    photograph: NDArray[np.uint8] = getattr(skimage.data, name)()
    processor = CLIPSegProcessor.from_pretrained(refined_folder)
    inputs = processor(
        text=list(PHRASES[:3]), images=[Image.fromarray(photograph)] * 3, padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        expected = reference(**inputs).logits.sigmoid()
    found = torch.from_numpy(
        segmenter.segment(photograph, [Prompt.text(phrase) for phrase in PHRASES[:3]]).probabilities.copy()
    )
    difference = (found - expected).abs()
    assert_meaningful(expected)
    assert difference.mean() < 0.01
    assert difference.flatten().quantile(0.99) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("grid", [(16, 30), (30, 16), (7, 40), (22, 22)])
def test_grids_of_any_shape_equal_an_independent_reference(
    segmenter: Segmenter, reference: CLIPSegForImageSegmentation, grid: tuple[int, int]
) -> None:
    """The reference: transformers' own layers, and its upsampling on the tokens laid out as rows × columns."""
    rows, columns = grid
    coarse = torch.randn((1, 3, rows * 2, columns * 2), generator=torch.Generator().manual_seed(2))
    pixels = torch.nn.functional.interpolate(coarse, size=(rows * 16, columns * 16), mode="bicubic")
    conditional = torch.randn((2, 512), generator=torch.Generator().manual_seed(3))
    captured: list[torch.Tensor] = []
    layer = reference.decoder.layers[-1]
    hook = layer.register_forward_hook(lambda module, args, output: captured.append(output))
    try:
        with torch.inference_mode():
            # 7 × 40 tokens are no square, so the reference's own reshape may fail after the hook has run
            try:
                theirs(reference, pixels, conditional_embeddings=conditional)
            except RuntimeError:
                assert rows != columns
            tokens = captured[0][:, 1:]
            laid = tokens.reshape(2, rows, columns, -1).permute(0, 3, 1, 2)
            expected = reference.decoder.transposed_convolution(laid)[:, 0].sigmoid()
    finally:
        hook.remove()
    assert expected.shape == (2, rows * 16, columns * 16)
    assert_same(ours(segmenter.network, pixels, conditional), expected)
