"""The engine equals transformers' forward pass, on the published architecture with seeded random weights."""

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
from clipseg_live.model.pytorch.clipseg import ClipSeg, Features
from tests.helpers.tolerances import SAME_MAPS

Activations = tuple[torch.Tensor, ...]

PHRASES = ("cat", "a red mug", "hair", "anything wet", "sky", "the dog on the left", "wood", "x")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Keep all threads, because the published architecture is large enough for them."""


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


@pytest.fixture(scope="module")
def features(segmenter: Segmenter, pixel_values: torch.Tensor) -> Features:
    """Return the engine's features of the shared image."""
    with torch.inference_mode():
        return segmenter.network.features(pixel_values)


@pytest.fixture(scope="module")
def activations(reference: CLIPSegForImageSegmentation, pixel_values: torch.Tensor) -> Activations:
    """Return the reference's activations of the shared image."""
    return encode(reference, pixel_values)


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """Return three images for prompts, small because each runs through the whole encoder."""
    coarse = torch.randn((3, 3, 4, 4), generator=torch.Generator().manual_seed(9))
    return torch.nn.functional.interpolate(coarse, size=(128, 128), mode="bicubic")


@pytest.fixture(scope="module")
def picture_embeddings(reference: CLIPSegForImageSegmentation, pictures: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return reference.get_conditional_embeddings(batch_size=3, conditional_pixel_values=pictures)


def ours(network: ClipSeg, features: Features, conditional: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat(list(network.probabilities(features, conditional)))


def encode(reference: CLIPSegForImageSegmentation, pixel_values: torch.Tensor) -> Activations:
    """Return the decoder's input from one image, like ``forward`` of the reference."""
    with torch.inference_mode():
        hidden = reference.clip.get_image_features(
            pixel_values, interpolate_pos_encoding=True, output_hidden_states=True
        ).hidden_states
    return tuple(hidden[i + 1] for i in reference.extract_layers)


def reference_maps(
    reference: CLIPSegForImageSegmentation, activations: Activations, **conditions: torch.Tensor
) -> torch.Tensor:
    """Return the maps of transformers' modules for one image and several prompts.

    ``forward`` encodes the image again for each prompt, which would take most of the time of these tests.
    ``test_the_reference_is_the_forward_pass_of_transformers`` compares the two.
    """
    embeddings = conditions.get("conditional_embeddings")
    with torch.inference_mode():
        if embeddings is None:
            count = len(next(iter(conditions.values())))
            embeddings = reference.get_conditional_embeddings(batch_size=count, **conditions)
        repeated = [layer.expand(len(embeddings), -1, -1) for layer in activations]
        logits = reference.decoder(repeated, embeddings).logits
    return logits.reshape(len(embeddings), *logits.shape[-2:]).sigmoid()


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=SAME_MAPS)


def assert_meaningful(maps: torch.Tensor) -> None:
    """Check that the reference covers 0..1 and differs between prompts. Otherwise equality proves little."""
    assert maps.std() > 0.2
    assert maps.min() < 0.05 and maps.max() > 0.95
    for first, second in pairwise(maps):
        assert (first - second).abs().mean() > 0.03


@pytest.mark.slow
def test_the_reference_is_the_forward_pass_of_transformers(
    reference: CLIPSegForImageSegmentation, refined_folder: Path, pictures: torch.Tensor
) -> None:
    tokens = CLIPTokenizer.from_pretrained(refined_folder)(PHRASES[:2], padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = reference(pixel_values=pictures[:1].expand(2, -1, -1, -1), **tokens).logits
    assert_same(reference_maps(reference, encode(reference, pictures[:1]), **tokens), logits.sigmoid())


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 8])
def test_text_prompts_equal_transformers(
    segmenter: Segmenter,
    reference: CLIPSegForImageSegmentation,
    refined_folder: Path,
    features: Features,
    activations: Activations,
    count: int,
) -> None:
    tokens = CLIPTokenizer.from_pretrained(refined_folder)(PHRASES[:count], padding=True, return_tensors="pt")
    expected = reference_maps(reference, activations, **tokens)
    conditional = torch.from_numpy(segmenter.encode([Prompt.text(phrase) for phrase in PHRASES[:count]]))
    assert_meaningful(expected)
    assert_same(ours(segmenter.network, features, conditional), expected)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
def test_image_prompts_equal_transformers(
    segmenter: Segmenter,
    reference: CLIPSegForImageSegmentation,
    features: Features,
    activations: Activations,
    pictures: torch.Tensor,
    picture_embeddings: torch.Tensor,
    count: int,
) -> None:
    expected = reference_maps(reference, activations, conditional_embeddings=picture_embeddings[:count])
    with torch.inference_mode():
        conditional = segmenter.network.image_embeddings(pictures[:count])
    assert expected.std() > 0.2
    assert_same(ours(segmenter.network, features, conditional), expected)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 8])
def test_embedding_prompts_equal_transformers(
    segmenter: Segmenter,
    reference: CLIPSegForImageSegmentation,
    features: Features,
    activations: Activations,
    count: int,
) -> None:
    values = torch.randn((count, 512), generator=torch.Generator().manual_seed(1))
    expected = reference_maps(reference, activations, conditional_embeddings=values)
    conditional = torch.from_numpy(segmenter.encode([Prompt.embedding(row.numpy()) for row in values]))
    assert_meaningful(expected)
    assert_same(ours(segmenter.network, features, conditional), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_photographs_equal_transformers_with_the_checkpoint_processor(
    segmenter: Segmenter, reference: CLIPSegForImageSegmentation, refined_folder: Path, name: str
) -> None:
    from transformers import CLIPSegProcessor

    photograph: NDArray[np.uint8] = getattr(skimage.data, name)()
    processor = CLIPSegProcessor.from_pretrained(refined_folder)
    inputs = processor(text=list(PHRASES[:3]), images=Image.fromarray(photograph), padding=True, return_tensors="pt")
    activations = encode(reference, inputs.pop("pixel_values"))
    expected = reference_maps(reference, activations, **inputs)
    found = torch.from_numpy(
        segmenter.segment(photograph, [Prompt.text(phrase) for phrase in PHRASES[:3]]).probabilities.copy()
    )
    difference = (found - expected).abs()
    assert_meaningful(expected)
    assert difference.mean() < 0.01
    assert difference.flatten().quantile(0.99) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("grid", [(8, 15), (15, 8), (4, 20), (11, 11)])
def test_grids_of_any_shape_equal_an_independent_reference(
    segmenter: Segmenter, reference: CLIPSegForImageSegmentation, grid: tuple[int, int]
) -> None:
    """The reference uses transformers' layers and its upsampling on tokens in rows × columns."""
    rows, columns = grid
    coarse = torch.randn((1, 3, rows * 2, columns * 2), generator=torch.Generator().manual_seed(2))
    pixels = torch.nn.functional.interpolate(coarse, size=(rows * 16, columns * 16), mode="bicubic")
    conditional = torch.randn((2, 512), generator=torch.Generator().manual_seed(3))
    captured: list[torch.Tensor] = []
    layer = reference.decoder.layers[-1]
    hook = layer.register_forward_hook(lambda module, args, output: captured.append(output))
    try:
        with torch.inference_mode():
            # 4 × 20 tokens are not a square, so the reshape of the reference may fail after the hook has run
            try:
                reference_maps(reference, encode(reference, pixels), conditional_embeddings=conditional)
            except RuntimeError:
                assert rows != columns
            tokens = captured[0][:, 1:]
            laid = tokens.reshape(2, rows, columns, -1).permute(0, 3, 1, 2)
            expected = reference.decoder.transposed_convolution(laid)[:, 0].sigmoid()
    finally:
        hook.remove()
    assert expected.shape == (2, rows * 16, columns * 16)
    with torch.inference_mode():
        features = segmenter.network.features(pixels)
    assert_same(ours(segmenter.network, features, conditional), expected)
