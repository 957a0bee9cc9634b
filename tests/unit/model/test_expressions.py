"""The engine gives one map for each expression: arithmetic of embeddings, and logic of maps."""

import numpy as np
import pytest

from clipseg_live import Prompt, Segmenter, UsageError
from clipseg_live.model.driver import DriverSegmenter
from tests.helpers.tolerances import SAME_EMBEDDINGS, SAME_INTERPOLATION

TEXTS = ("dog", "cat", "sky")


@pytest.mark.slow
def test_embeddings_are_added_and_blended(tiny: Segmenter) -> None:
    dog, cat, sky = tiny.encode(TEXTS)
    (found,) = tiny.encode(Prompt.parse("dog + 0.5 * cat - sky"))
    total = dog + 0.5 * cat - sky
    lengths = [np.linalg.norm(each) for each in (dog, cat, sky)]
    expected = total / np.linalg.norm(total) * (lengths[0] + 0.5 * lengths[1] + lengths[2]) / 2.5
    np.testing.assert_allclose(found, expected, atol=SAME_EMBEDDINGS)
    (blend,) = tiny.encode(Prompt.parse("dog ~ 0.25 cat"))
    np.testing.assert_allclose(blend, 0.75 * dog + 0.25 * cat, atol=SAME_EMBEDDINGS)
    with pytest.raises(UsageError, match="cancel"):
        tiny.encode(Prompt.parse("dog - dog"))


@pytest.mark.slow
@pytest.mark.parametrize("detail", ["off", "tiles"])
def test_maps_are_combined_in_the_order_of_the_prompts(tiny: Segmenter, picture: np.ndarray, detail: str) -> None:
    tiny.configure(size=64, detail=detail)
    dog, cat, sky = tiny.segment(picture, TEXTS).probabilities
    prompts = [Prompt.text("cat"), Prompt.parse("sky and not (dog or cat)"), Prompt.parse("not sky")]
    found = tiny.segment(picture, prompts)
    assert found.prompts == tuple(prompts) and found.probabilities.shape == (3, *dog.shape)
    expected = [cat, np.minimum(sky, 1 - np.maximum(dog, cat)), 1 - sky]
    np.testing.assert_allclose(found.probabilities, expected, atol=SAME_INTERPOLATION)
    assert not found.probabilities.flags.writeable


@pytest.mark.slow
def test_a_changed_expression_needs_only_the_decoder(tiny_folder: object, picture: np.ndarray) -> None:
    engine = DriverSegmenter.load(str(tiny_folder), device="cpu", size=64)
    engine.segment(picture, TEXTS)
    passes = engine.vision_passes
    wanted = (Prompt.parse("dog and cat"),)
    last = engine.segment_last(wanted)
    assert last is not None and engine.vision_passes == passes and last.prompts == wanted
    np.testing.assert_allclose(last.probabilities, engine.segment(picture, wanted).probabilities, atol=1e-6)
    assert engine.vision_passes == passes
