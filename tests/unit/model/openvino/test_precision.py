"""Lower precisions of the vision encoder: used where they are faster and give the same masks, else replaced."""

import gc
import itertools
import shutil
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from clipseg_live import Prompt, Segmenter
from clipseg_live.core.errors import UsageError
from clipseg_live.model import precision
from clipseg_live.model.benchmark import benchmark_all, precisions
from clipseg_live.model.openvino import backend as openvino_backend
from clipseg_live.model.openvino import library, quantization
from clipseg_live.model.openvino.files import VISION_ENCODER

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_openvino")]

TEXTS = [Prompt.text("red circle"), Prompt.text("sky")]


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every other precision be faster than float32."""
    seconds = {"float32": 2.0}
    monkeypatch.setattr(openvino_backend, "_vision_seconds", lambda backend: seconds.get(backend.dtype_name, 1.0))


@pytest.mark.usefixtures("faster")
def test_eight_bits_give_nearly_the_same_maps(tiny_folder: Path, picture: np.ndarray) -> None:
    full, low = (Segmenter.load(str(tiny_folder), device="cpu", size=64, dtype=name) for name in ("float32", "int8"))
    assert (low.engine, low.dtype, low.notices) == ("openvino", "int8", ())
    difference = np.abs(low.segment(picture, TEXTS).probabilities - full.segment(picture, TEXTS).probabilities)
    assert 0 < difference.mean() < precision.MOST_MEAN


@pytest.mark.usefixtures("faster")
def test_outliers_never_change_the_masks_visibly(tiny_folder: Path, tmp_path: Path, picture: np.ndarray) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "outliers")
    state = load_file(folder / "model.safetensors")
    for layer in range(3):  # a few channels of the activations grow, as in the weights of CLIP
        name = f"clip.vision_model.encoder.layers.{layer}"
        state[f"{name}.mlp.fc2.weight"][:3].mul_(50)
        state[f"{name}.layer_norm1.weight"][5:8].mul_(50)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    full, low = (Segmenter.load(str(folder), device="cpu", size=64, dtype=name) for name in ("float32", "int8"))
    difference = np.abs(low.segment(picture, TEXTS).probabilities - full.segment(picture, TEXTS).probabilities)
    assert difference.mean() < 2 * precision.MOST_MEAN
    assert (low.dtype == "int8") == (low.notices == ())


@pytest.mark.usefixtures("faster")
def test_a_precision_that_changes_masks_is_replaced_with_a_notice(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "_LEVELS", 1)  # as if there were two bits
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64, dtype="int8")
    assert segmenter.dtype in ("bfloat16", "float32")
    assert segmenter.notices[0] == f"int8 changes this model's masks visibly on cpu, so {segmenter.dtype} is used."


@pytest.mark.usefixtures("faster")
def test_the_precisions_of_openvino_are_measured(tiny_folder: Path) -> None:
    found = {each.dtype: each for each in precisions("cpu", model=str(tiny_folder))}
    assert list(found) == ["bfloat16", "int8"]
    assert all(each.engine == "openvino" for each in found.values())
    low = found["int8"]
    assert low.refusal is None and low.milliseconds and low.largest is not None and 0 < low.largest < 0.5
    engine = Segmenter.load(str(tiny_folder), device="cpu", size=64, dtype="int8")
    rows = list(benchmark_all([engine], (1, 2), rounds=3))  # more than the frames that are compared
    assert [(row.dtype, "comparison" in row.stages) for row in rows] == [("int8", False)] * 2


def test_a_precision_that_is_slower_is_replaced_with_a_notice(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"float32": 1.0}
    monkeypatch.setattr(openvino_backend, "_vision_seconds", lambda backend: seconds.get(backend.dtype_name, 2.0))
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64, dtype="bfloat16")
    assert segmenter.dtype == "float32"
    assert segmenter.notices == ("bfloat16 is not faster than float32 on this processor, so float32 is used.",)


def inverted(segmenter: Segmenter, patch: pytest.MonkeyPatch) -> None:
    """Let the network of a segmenter give other maps from now on."""
    real: Callable[..., np.ndarray] = segmenter.backend.maps
    patch.setattr(segmenter.backend, "maps", lambda *arguments: 1 - real(*arguments))


def frames(picture: np.ndarray) -> Iterator[np.ndarray]:
    return (np.roll(picture, number, axis=1) for number in itertools.count())


@pytest.mark.usefixtures("faster")
def test_a_precision_that_changes_the_first_frame_is_replaced(
    tiny_folder: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, low = (Segmenter.load(str(tiny_folder), device="cpu", size=64, dtype=name) for name in ("float32", "int8"))
    inverted(low, monkeypatch)
    found = low.segment(picture, TEXTS)
    assert low.dtype in ("bfloat16", "float32") and found.timings["comparison"] > 0
    assert low.notices[0] == f"int8 changes the masks of this source visibly on cpu, so {low.dtype} is used."
    difference = np.abs(found.probabilities - full.segment(picture, TEXTS).probabilities)
    assert difference.mean() < precision.MOST_MEAN


@pytest.mark.usefixtures("faster")
def test_without_a_prediction_the_next_precision_is_used(
    tiny_folder: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    low = Segmenter.load(str(tiny_folder), device="cpu", size=64, dtype="int8")
    monkeypatch.setattr(low.backend, "maps", lambda *_: np.full((2, 64, 64), np.nan, np.float32))
    assert np.isfinite(low.segment(picture, TEXTS).probabilities).all()
    assert low.dtype != "int8"


@pytest.mark.usefixtures("faster")
def test_later_frames_are_compared_once_more_and_then_float32_is_released(
    tiny_folder: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, changed = (Segmenter.load(str(tiny_folder), device="cpu", size=64, dtype="int8") for _ in range(2))
    pictures = frames(picture)
    first, last = precision.COMPARED_FRAMES
    for number in range(first, last + 1):
        if number == last:
            inverted(changed, monkeypatch)
            assert whole._reference is not None
            released = weakref.ref(whole._reference.backend)
        pixels = next(pictures)
        for each in (whole, changed):
            each.segment(pixels, TEXTS)
    assert (whole.dtype, whole.notices, whole._reference) == ("int8", (), None)
    gc.collect()
    assert released() is None
    assert changed.dtype != "int8" and changed.notices[0].startswith("int8 changes the masks of this source")
    assert changed._reference is None


@pytest.mark.usefixtures("faster")
def test_a_refused_prompt_does_not_count_as_a_frame(
    tiny_folder: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    low = Segmenter.load(str(tiny_folder), device="cpu", size=64, dtype="int8")
    with pytest.raises(UsageError):
        low.segment(picture, [Prompt.embedding(np.ones(3, np.float32))])
    inverted(low, monkeypatch)
    low.segment(picture, TEXTS)
    assert low.dtype != "int8"


def test_only_the_layers_of_the_encoder_are_compressed(tiny_folder: Path, cache: Path) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", engine="openvino")
    folder = segmenter.backend._folder  # type: ignore[attr-defined]
    network = library.load().Core().read_model(folder / VISION_ENCODER)
    assert quantization.compress_weights(network) == 3 * 6  # three layers of six products
    kinds = [str(each.get_element_type()) for op in network.get_ops() for each in op.outputs()]
    assert sum("i8" in kind or "int8" in kind for kind in kinds) == 3 * 6
