"""Embeddings of every kind of prompt, and their cache."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from clipseg_live import Failure, Prompt, Segmenter, UsageError
from clipseg_live.model.preprocess import Preprocessing
from clipseg_live.model.prompt_encoder import PromptEncoder
from clipseg_live.model.pytorch.backend import TorchBackend
from clipseg_live.model.store.loading import check_folder, load_network
from clipseg_live.model.tokenizer import Tokenizer
from tests.helpers.tolerances import SAME_EMBEDDINGS


@pytest.mark.slow
def test_templates_are_averaged(tiny: Segmenter) -> None:
    both = tiny.encode([Prompt.text("mug", ["a photo of a {}", "{} on a table"])])[0]
    parts = tiny.encode([Prompt.text("a photo of a mug"), Prompt.text("mug on a table")])
    np.testing.assert_allclose(both, parts.mean(axis=0), atol=SAME_EMBEDDINGS)


@pytest.mark.slow
def test_a_mix_is_the_weighted_mean(tiny: Segmenter, picture: np.ndarray) -> None:
    text, image = Prompt.text("mug"), Prompt.image(picture)
    mixed, first, second = tiny.encode([Prompt.mix((text, 1), (image, 3)), text, image])
    np.testing.assert_allclose(mixed, 0.25 * first + 0.75 * second, atol=SAME_EMBEDDINGS)


@pytest.mark.slow
def test_texts_do_not_depend_on_their_batch(tiny: Segmenter, tiny_folder: Path) -> None:
    alone = tiny.encode([Prompt.text("a")])[0]
    other = Segmenter.load(str(tiny_folder), device="cpu")
    beside = other.encode([Prompt.text("a much longer phrase"), Prompt.text("a")])[1]
    np.testing.assert_allclose(alone, beside, atol=SAME_EMBEDDINGS)


@pytest.mark.slow
def test_a_box_a_mask_and_the_whole_image_are_different_prompts(tiny: Segmenter, picture: np.ndarray) -> None:
    mask = np.zeros(picture.shape[:2], bool)
    mask[20:40, 30:50] = True
    whole, boxed, masked = tiny.encode(
        [Prompt.image(picture), Prompt.image(picture, box=(30, 20, 40, 40)), Prompt.image(picture, mask=mask)]
    )
    assert np.abs(whole - boxed).max() > 1e-3
    assert np.abs(boxed - masked).max() > 1e-3


@pytest.mark.slow
def test_a_mask_that_is_a_box_equals_the_box(tiny: Segmenter, picture: np.ndarray) -> None:
    mask = np.zeros(picture.shape[:2], bool)
    mask[20:60, 30:70] = True
    boxed, masked = tiny.encode([Prompt.image(picture, box=(30, 20, 40, 40)), Prompt.image(picture, mask=mask)])
    np.testing.assert_array_equal(boxed, masked)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_embeddings_are_restored_from_files(tiny: Segmenter, tmp_path: Path, suffix: str) -> None:
    values = np.linspace(-1, 1, 24, dtype=np.float32)
    path = tmp_path / f"embedding{suffix}"
    if suffix == ".npy":
        np.save(path, values)
    else:
        save_file({"values": values}, path)
    np.testing.assert_array_equal(tiny.encode([Prompt.embedding(path)])[0], values)


@pytest.mark.slow
def test_an_embedding_of_another_length_is_rejected(tiny: Segmenter) -> None:
    with pytest.raises(UsageError, match="23 values; this model needs 24"):
        tiny.encode([Prompt.embedding(np.zeros(23))])


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.0, float("nan")], "NaN"), (np.zeros((3, 4)), "one vector"), (["a"], "real numbers"), ([], "one vector")],
)
def test_invalid_embeddings_are_rejected(values: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Prompt.embedding(values)  # type: ignore[arg-type]


def test_damaged_embedding_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.npy"
    path.write_bytes(b"not numbers")
    with pytest.raises(Failure, match=r"broken\.npy cannot be read"):
        Prompt.embedding(path)
    with pytest.raises(Failure, match="no embedding file"):
        Prompt.embedding(tmp_path / "missing.npy")


@pytest.mark.slow
def test_truncated_words_are_named_once(tiny: Segmenter) -> None:
    long = Prompt.text("one " * 30 + "and the last words")
    tiny.encode([long])
    tiny.encode([long, Prompt.text("short")])
    assert len(tiny.notices) == 1
    assert "77 tokens" in tiny.notices[0]
    assert 'and the last words" was cut off' in tiny.notices[0]


@pytest.mark.slow
def test_a_prompt_of_exactly_the_limit_is_not_truncated(tiny: Segmenter) -> None:
    tiny.encode([Prompt.text("x" * 75)])  # one token for each byte, plus start and end
    assert tiny.notices == ()
    tiny.encode([Prompt.text("x" * 76)])
    assert len(tiny.notices) == 1


@pytest.mark.slow
def test_any_text_is_accepted(tiny: Segmenter) -> None:
    found = tiny.encode([Prompt.text(text) for text in ("é", "红色的圆", "🦆", "<|endoftext|>", "a\tb")])
    assert np.isfinite(found).all()


@pytest.mark.slow
def test_the_cache_is_bounded_and_keeps_used_entries(tiny_folder: Path) -> None:
    model = load_network(check_folder(tiny_folder, "tiny"))
    preprocessing = Preprocessing.read(tiny_folder / "preprocessor_config.json")
    encoder = PromptEncoder(
        TorchBackend(model.network), Tokenizer.of(model.tokenizer), preprocessing, "tiny", capacity=3
    )
    kept = Prompt.text("kept")
    for number in range(5):
        encoder.encode([kept, Prompt.text(f"other {number}")])
    assert encoder.statistics.size == 3
    assert encoder.statistics.hits == 4
    assert encoder.statistics.misses == 6
