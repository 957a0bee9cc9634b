"""NaN and infinity: such weights are rejected, and such outputs are not predictions."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from clipseg_live import Prompt, Segmenter, export
from clipseg_live.core.errors import ModelError, NoPrediction
from clipseg_live.model.driver import DriverSegmenter
from clipseg_live.model.preprocess import Preprocessing
from clipseg_live.model.pytorch.clipseg import ClipSeg

TEXTS = [Prompt.text("red circle"), Prompt.text("sky")]
PLACES = (
    "clip.logit_scale",
    "clip.text_model.embeddings.token_embedding.weight",
    "clip.vision_model.embeddings.patch_embedding.weight",
    "clip.vision_model.encoder.layers.3.mlp.fc2.weight",
    "decoder.film_mul.bias",
    "decoder.transposed_convolution.4.bias",
)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def changed(source: Path, folder: Path, change: Callable[[dict[str, Tensor]], object], suffix: str = "") -> Path:
    """Return a copy of a model's folder with changed weights, as safetensors or in PyTorch's format."""
    shutil.copytree(source, folder)
    weights = folder / "model.safetensors"
    state = load_file(weights)
    weights.unlink()
    change(state)
    if suffix == ".bin":
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, weights, metadata={"format": "pt"})
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_non_finite_weights_are_rejected(tiny_folder: Path, tmp_path: Path, place: str, value: float) -> None:
    folder = changed(tiny_folder, tmp_path / "model", lambda state: state[place].view(-1)[-1].fill_(value))
    with pytest.raises(ModelError, match=r"model\.safetensors contain NaN or infinite values") as caught:
        Segmenter.load(str(folder), device="cpu")
    assert place in str(caught.value) and caught.value.exit_code == 1


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_non_finite_weights_are_rejected_in_every_precision_and_format(
    tiny_folder: Path, tmp_path: Path, dtype: torch.dtype, suffix: str
) -> None:
    def change(state: dict[str, Tensor]) -> None:
        state.update({name: values.to(dtype) for name, values in state.items() if values.is_floating_point()})

    def damage(state: dict[str, Tensor]) -> None:
        change(state)
        state[PLACES[1]][5, 3] = float("nan")

    Segmenter.load(str(changed(tiny_folder, tmp_path / "whole", change, suffix)), device="cpu")
    with pytest.raises(ModelError, match="NaN or infinite values"):
        Segmenter.load(str(changed(tiny_folder, tmp_path / "damaged", damage, suffix)), device="cpu")


@pytest.mark.slow
def test_large_weights_whose_sum_overflows_are_finite(tiny_folder: Path, tmp_path: Path, picture: np.ndarray) -> None:
    unused = PLACES[3]  # in a layer that the decoder does not read
    folder = changed(tiny_folder, tmp_path / "model", lambda state: state[unused].fill_(3e38))
    assert np.isfinite(Segmenter.load(str(folder), device="cpu").segment(picture, TEXTS).probabilities).all()


def test_an_export_with_non_finite_weights_fails_without_output(tiny_folder: Path, tmp_path: Path) -> None:
    folder = changed(tiny_folder, tmp_path / "model", lambda state: state[PLACES[4]].fill_(float("nan")))
    with pytest.raises(ModelError, match="NaN or infinite values"):
        export("demo:", ["red circle"], tmp_path / "out.mp4", model=str(folder))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("field", ["image_mean", "image_std"])
def test_preprocessing_constants_must_be_finite(tiny_folder: Path, tmp_path: Path, field: str, value: float) -> None:
    values = json.loads((tiny_folder / "preprocessor_config.json").read_text())
    values[field][1] = value
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(values))
    with pytest.raises(ModelError, match="damaged"):
        Preprocessing.read(path)


def overflowing(state: dict[str, Tensor]) -> None:
    """Return finite weights that give infinite logits."""
    for name in ("weight", "bias"):
        state[f"decoder.transposed_convolution.4.{name}"].fill_(3e38)


@pytest.fixture(scope="module")
def broken_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return changed(tiny_folder, tmp_path_factory.mktemp("models") / "broken", overflowing)


@pytest.mark.slow
@pytest.mark.parametrize("detail", ["off", "zoom", "tiles"])
def test_non_finite_output_is_not_a_prediction(broken_folder: Path, picture: np.ndarray, detail: str) -> None:
    large = picture.repeat(4, axis=0).repeat(4, axis=1)
    segmenter = Segmenter.load(str(broken_folder), device="cpu", size=64, detail=detail)  # type: ignore[arg-type]
    with pytest.raises(NoPrediction, match=r"no prediction \(NaN or infinite values\).*fetch the model again"):
        segmenter.segment(large, TEXTS)


@pytest.mark.slow
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("stage", ["features", "logits", "embeddings"])
def test_one_non_finite_value_rejects_the_prediction_and_the_next_call_works(
    tiny: Segmenter, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, stage: str, value: float
) -> None:
    expected = tiny.segment(picture, TEXTS).probabilities
    name = {"features": "_embed", "logits": "_logits", "embeddings": "text_embeddings"}[stage]
    real = getattr(tiny.network, name)

    def bad(*arguments: object, **options: object) -> Tensor:
        found: Tensor = real(*arguments, **options).clone()
        found.view(-1)[7] = value
        return found

    other, words = picture[::-1].copy(), [Prompt.text("new words"), *TEXTS]
    with monkeypatch.context() as patch:
        patch.setattr(tiny.network, name, bad)
        for _ in range(2):  # nothing of the first failure is cached
            with pytest.raises(NoPrediction):
                tiny.segment(other, words)
    assert np.isfinite(tiny.segment(other, words).probabilities).all()
    np.testing.assert_array_equal(tiny.segment(picture, TEXTS).probabilities, expected)


@pytest.mark.slow
def test_a_non_finite_embedding_is_not_returned(tiny_folder: Path, tmp_path: Path) -> None:
    folder = changed(tiny_folder, tmp_path / "model", lambda state: state["clip.text_projection.weight"].fill_(3e38))
    segmenter = Segmenter.load(str(folder), device="cpu")
    with pytest.raises(NoPrediction):
        segmenter.encode(TEXTS)
    assert segmenter.prompt_cache.size == 0


@pytest.mark.slow
def test_float16_overflow_falls_back_to_float32(tiny_folder: Path, tmp_path: Path, picture: np.ndarray) -> None:
    def large(state: dict[str, Tensor]) -> None:  # the layer norm of the reduction cancels the factor
        state["decoder.film_mul.weight"].mul_(1e6)
        state["decoder.film_mul.bias"].mul_(1e6)

    folder = changed(tiny_folder, tmp_path / "model", large)
    segmenter = Segmenter.load(str(folder), device="cpu", dtype="float16")
    assert segmenter.dtype == "float32" and "float32 is used" in segmenter.notices[0]
    assert np.isfinite(segmenter.segment(picture, TEXTS).probabilities).all()


@pytest.mark.slow
def test_low_precision_that_fails_later_names_a_solution(
    tiny_folder: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", dtype="float32")
    low = copy.deepcopy(segmenter.network.network).to(torch.bfloat16)
    segmenter._adopt(ClipSeg(low))
    monkeypatch.setattr(segmenter.network, "_logits", lambda *_: torch.full((2, 64, 64), float("inf")))
    # some CPUs lack the fused attention in bfloat16
    with (
        sdpa_kernel(SDPBackend.MATH),
        pytest.raises(NoPrediction, match="precision bfloat16 is too small for it; use --dtype float32"),
    ):
        segmenter.segment(picture, TEXTS)


@pytest.mark.slow
def test_a_model_without_float32_predictions_is_rejected_at_the_precision_test(broken_folder: Path) -> None:
    with pytest.raises(NoPrediction):
        Segmenter.load(str(broken_folder), device="cpu", dtype="bfloat16")


@pytest.mark.slow
def test_drivers_get_nan_maps_and_continue(
    tiny_folder: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = DriverSegmenter.load(str(tiny_folder), device="cpu", size=64)
    assert isinstance(engine, DriverSegmenter)
    with monkeypatch.context() as patch:
        patch.setattr(engine.network, "_logits", lambda *_: torch.full((2, 64, 64), float("nan")))
        found = engine.segment(picture, TEXTS)
    assert len(found.probabilities) == 2 and np.isnan(found.probabilities).all()
    assert found.prompts == tuple(TEXTS) and found.frame_size == picture.shape[:2]
    assert [record.levelname for record in caplog.records if record.name == "clipseg_live.model.driver"] == ["WARNING"]
    assert np.isfinite(engine.segment(picture, TEXTS).probabilities).all()
