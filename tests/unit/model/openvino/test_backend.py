"""The network converted for OpenVINO gives the maps of PyTorch, for every kind of prompt and any grid."""

import copy
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from clipseg_live import Prompt, Segmenter
from clipseg_live.core.errors import ModelError, NoPrediction
from clipseg_live.demo.scenes import Scene
from clipseg_live.model.benchmark import benchmark_all
from clipseg_live.model.openvino import backend as openvino_backend
from clipseg_live.model.openvino import conversion
from clipseg_live.model.store import converted
from tests.helpers.tolerances import SAME_EMBEDDINGS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_openvino")]

SAME = 1e-5
"""Largest difference of a probability between engines, in float32."""

TEXTS = [Prompt.text("red circle"), Prompt.text("sky")]


def every_kind(picture: np.ndarray) -> list[Prompt]:
    mask = np.zeros(picture.shape[:2], bool)
    mask[20:50, 10:70] = True
    return [
        Prompt.text("a red circle"),
        Prompt.text("mug", ["a photo of a {}", "{} on a long wooden table"]),
        Prompt.text("word " * 40),
        Prompt.image(picture[:, ::-1].copy()),
        Prompt.image(picture, mask=mask),
        Prompt.mix((Prompt.text("sky"), 1), (Prompt.image(picture), 2)),
        Prompt.embedding(np.linspace(-1, 1, 24, dtype=np.float32)),
    ]


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "aspect"])
@pytest.mark.parametrize("name", ["tiny_folder", "other_folder"])
def test_maps_and_embeddings_are_those_of_pytorch(
    request: pytest.FixtureRequest, picture: np.ndarray, name: str, fit: str
) -> None:
    folder = str(request.getfixturevalue(name))
    converted_one = Segmenter.load(folder, device="cpu", size=64, fit=fit)  # type: ignore[arg-type]
    original = Segmenter.load(folder, device="cpu", size=64, fit=fit, engine="torch")  # type: ignore[arg-type]
    assert (converted_one.engine, original.engine) == ("openvino", "torch")
    prompts = every_kind(picture)
    np.testing.assert_allclose(converted_one.encode(prompts), original.encode(prompts), atol=SAME_EMBEDDINGS)
    for count in (1, 3, len(prompts)):
        found = converted_one.segment(picture, prompts[:count]).probabilities
        expected = original.segment(picture, prompts[:count]).probabilities
        assert expected.std() > 0.05
        np.testing.assert_allclose(found, expected, atol=SAME)
    assert converted_one.notices == original.notices


@pytest.mark.parametrize("size", [16, 48, 160])
def test_any_size_is_that_of_pytorch(tiny_folder: Path, picture: np.ndarray, size: int) -> None:
    pair = [Segmenter.load(str(tiny_folder), device="cpu", size=size, engine=name) for name in ("openvino", "torch")]
    found, expected = (each.segment(picture, TEXTS).probabilities for each in pair)
    np.testing.assert_allclose(found, expected, atol=SAME)


def test_the_shapes_model_finds_the_same_shapes() -> None:
    frame = Scene(3).picture(0)
    prompts = [Prompt.text(words) for words in ("red circle", "blue square", "everything")]
    pair = [Segmenter.load("shapes", device="cpu", engine=name) for name in ("openvino", "torch")]
    found, expected = (each.segment(frame, prompts) for each in pair)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=SAME)
    assert expected.masks().any()
    np.testing.assert_array_equal(found.masks(), expected.masks())


@pytest.mark.parametrize("detail", ["zoom", "tiles"])
def test_detail_is_that_of_pytorch(tiny_folder: Path, picture: np.ndarray, detail: str) -> None:
    large = picture.repeat(3, axis=0).repeat(3, axis=1)
    found, expected = (
        Segmenter.load(str(tiny_folder), device="cpu", size=64, detail=detail, engine=name)  # type: ignore[arg-type]
        .segment(large, TEXTS)
        .probabilities
        for name in ("openvino", "torch")
    )
    np.testing.assert_allclose(found, expected, atol=10 * SAME)  # log-odds of parts are moved


def test_a_frame_changed_in_place_is_seen_anew_and_the_same_one_is_not(tiny_folder: Path) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64)
    frame = np.zeros((64, 64, 3), np.uint8)  # of the network's own size: nothing is resized
    before = segmenter.segment(frame, TEXTS).probabilities
    segmenter.segment(frame.copy(), [*TEXTS, Prompt.text("new")])
    passes = segmenter.vision_passes
    frame[:, 32:] = 255
    after = segmenter.segment(frame, TEXTS).probabilities
    assert passes == 1 and segmenter.vision_passes == 2
    assert np.abs(before - after).max() > 0.01


def test_output_that_is_not_finite_is_no_prediction(tiny_folder: Path, tmp_path: Path, picture: np.ndarray) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "broken")
    state = load_file(folder / "model.safetensors")
    for name in ("weight", "bias"):
        state[f"decoder.transposed_convolution.4.{name}"].fill_(3e38)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    segmenter = Segmenter.load(str(folder), device="cpu", size=64)
    assert segmenter.engine == "openvino"
    with pytest.raises(NoPrediction):
        segmenter.segment(picture, TEXTS)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda segmenter: pickle.loads(pickle.dumps(segmenter))])
def test_a_copy_works(tiny_folder: Path, picture: np.ndarray, copied: object) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64)
    expected = segmenter.segment(picture, TEXTS).probabilities
    other = copied(segmenter)  # type: ignore[operator]
    np.testing.assert_array_equal(other.segment(picture, TEXTS).probabilities, expected)


_SECOND_START = """
import sys
import numpy as np
from pathlib import Path
from clipseg_live.model.store import converted
converted.cache_root = lambda: Path(sys.argv[2])
from clipseg_live import Prompt
from clipseg_live.model.driver import DriverSegmenter
from clipseg_live.model.threads import leave_a_core
leave_a_core()
engine = DriverSegmenter.load(sys.argv[1], size=64)
picture = np.zeros((40, 60, 3), np.uint8)
found = engine.segment(picture, [Prompt.text("red circle"), Prompt.image(picture, box=(5, 5, 20, 20))])
assert np.isfinite(found.probabilities).all()
print(engine.engine, *[name for name in ("torch", "transformers", "openvino_telemetry") if name in sys.modules])
"""


def test_from_the_second_start_on_neither_torch_nor_transformers_is_imported(tiny_folder: Path, cache: Path) -> None:
    Segmenter.load(str(tiny_folder), device="cpu", engine="openvino")
    done = subprocess.run(
        [sys.executable, "-c", _SECOND_START, str(tiny_folder), str(cache)],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, timeout=150,
    )  # fmt: skip
    assert done.stdout.split() == ["openvino"], done.stderr


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, cache: Path) -> Path:
    """A cache with the tiny model, in a folder; return the model's folder in it."""
    Segmenter.load(str(tiny_folder), device="cpu", engine="openvino")
    own = shutil.copytree(cache, tmp_path / "cache")
    monkeypatch.setattr(converted, "cache_root", lambda: own)
    (found,) = (each.folder for each in converted.converted_models() if each.model == str(tiny_folder))
    return found


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    """Flip bits in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)


def overwrite(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("vision.bin", cut),
        ("decoder.bin", flip),
        ("text.json", overwrite),
        ("text.npy", flip),
        ("tokenizer.json", overwrite),
        ("positions.npy", Path.unlink),
    ],
)
def test_a_damaged_conversion_is_converted_again(
    tiny_folder: Path, picture: np.ndarray, own_cache: Path, name: str, damage: object
) -> None:
    damage(own_cache / name)  # type: ignore[operator]
    damaged = (own_cache / name).read_bytes() if (own_cache / name).exists() else b""
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64)
    assert np.isfinite(segmenter.segment(picture, TEXTS).probabilities).all()
    assert (own_cache / name).read_bytes() != damaged


def test_a_whole_conversion_is_not_converted_again(
    tiny_folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("it was converted again")

    monkeypatch.setattr(conversion, "convert", never)
    assert Segmenter.load(str(tiny_folder), device="cpu", engine="openvino").engine == "openvino"


def test_where_openvino_fails_pytorch_is_used_unless_openvino_was_asked_for(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("not on this processor")

    monkeypatch.setattr(openvino_backend, "open_model", fail)
    assert Segmenter.load(str(tiny_folder), device="cpu").engine == "torch"
    with pytest.raises(ModelError, match=r"not on this processor.*engine torch"):
        Segmenter.load(str(tiny_folder), device="cpu", engine="openvino")


def test_engines_are_measured_in_one_run(tiny_folder: Path) -> None:
    engines = [Segmenter.load(str(tiny_folder), device="cpu", size=64, engine=name) for name in ("openvino", "torch")]
    rows = list(benchmark_all(engines, (1, 3), rounds=1))
    assert [(row.prompts, row.engine, row.dtype) for row in rows] == [
        (count, engine, "float32") for count in (1, 3) for engine in ("openvino", "torch")
    ]
    assert all(row.max_difference < SAME for row in rows)
    assert [row.matrix_share is None for row in rows] == [True, False] * 2


def test_threads_are_limited(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert Segmenter.load(str(tiny_folder), device="cpu", engine="openvino").backend.threads == 1
    assert torch.get_num_threads() >= 1
