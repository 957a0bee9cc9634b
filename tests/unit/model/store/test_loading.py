"""Models are found, validated and loaded. Errors are one sentence."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from clipseg_live import Prompt, Segmenter, UsageError
from clipseg_live.core.errors import ModelError
from clipseg_live.core.settings import external_references
from clipseg_live.model.preprocess import Preprocessing
from clipseg_live.model.store import loading
from tests.helpers.tolerances import SAME_MAPS


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the model that a test can damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "a model ü"))


@pytest.mark.parametrize(
    "missing", ["config.json", "preprocessor_config.json", "vocab.json", "merges.txt", "model.safetensors"]
)
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=missing.replace(".", r"\.")):
        Segmenter.load(str(folder))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_truncated_weights_are_named(folder: Path, share: float) -> None:
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match="damaged or truncated"):
        Segmenter.load(str(folder))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"size": 352}', '{"size": "x", "image_mean": 1}', "[" * 5000])
def test_a_damaged_preprocessor_configuration_is_named(folder: Path, content: str) -> None:
    (folder / "preprocessor_config.json").write_text(content)
    with pytest.raises(ModelError, match="preprocessor_config"):
        Segmenter.load(str(folder))


def test_another_architecture_is_rejected(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="not a CLIPSeg model"):
        Segmenter.load(str(folder))


@pytest.mark.parametrize("content", ["{", "[]", "[" * 5000])
def test_a_damaged_configuration_is_rejected(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match="damaged"):
        Segmenter.load(str(folder))


def test_weights_of_another_size_are_rejected(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    values["reduce_dim"] = 32
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(ModelError, match="different models"):
        Segmenter.load(str(folder))


def test_weights_without_a_layer_are_rejected(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    values["vision_config"]["num_hidden_layers"] = 6
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(ModelError, match="lack"):
        Segmenter.load(str(folder))


@pytest.mark.slow
def test_pytorch_weights_are_read_without_executing_code(folder: Path, picture) -> None:  # type: ignore[no-untyped-def]
    expected = Segmenter.load(str(folder), device="cpu").segment(picture, [Prompt.text("x")])
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    found = Segmenter.load(str(folder), device="cpu").segment(picture, [Prompt.text("x")])
    # the last bit also depends on the memory address of the weights
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=SAME_MAPS)


class Malicious:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("/tmp/clipseg-live-was-run"),))


def test_weights_with_code_are_rejected(folder: Path) -> None:
    torch.save({"clip.logit_scale": Malicious()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="objects other than tensors"):
        Segmenter.load(str(folder))
    assert not Path("/tmp/clipseg-live-was-run").exists()


def test_weights_that_are_not_tensors_are_rejected(folder: Path) -> None:
    torch.save({"clip.logit_scale": 3}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"pytorch_model\.bin are damaged"):
        Segmenter.load(str(folder))


@pytest.mark.slow
def test_an_unknown_resampling_is_named(folder: Path) -> None:
    values = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps({**values, "resample": 1}))
    with pytest.raises(ModelError, match="resampling mode 1"):
        Segmenter.load(str(folder))


@pytest.mark.parametrize("options", [{"device": "tpu"}, {"dtype": "int4"}, {"fit": "zoom"}])
def test_invalid_options_are_rejected_before_a_download(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr("huggingface_hub.snapshot_download", never)
    with pytest.raises(UsageError):
        Segmenter.load("rd64", **options)  # type: ignore[arg-type]


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"rd64-refined.*shapes"):
        Segmenter.load("no-such-model")


def test_a_file_is_not_a_model(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.touch()
    with pytest.raises(UsageError, match="is a file"):
        Segmenter.load(str(path))


def test_missing_network_error_names_the_built_in_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*arguments: object, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(ModelError, match="--model shapes"):
        loading.find_model_files("rd64-refined")


def test_the_digest_depends_on_the_weights_only(tiny_folder: Path) -> None:
    files = loading.find_model_files(str(tiny_folder))
    assert files.digest() == hashlib.sha256((tiny_folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("size", [352, {"height": 352, "width": 352}, {"shortest_edge": 352}])
def test_current_and_legacy_preprocessing_are_read(folder: Path, size: object) -> None:
    path = folder / "preprocessor_config.json"
    values = json.loads(path.read_text())
    values["size"] = size
    path.write_text(json.dumps(values))
    assert Preprocessing.read(path) == Preprocessing(352, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_known_models_are_allowed_in_sessions() -> None:
    assert {
        name for one in loading.KNOWN_MODELS.values() for name in (one.name, *one.aliases)
    } == external_references.NAMED_MODELS


def test_code_in_a_model_folder_is_not_executed(folder: Path, tmp_path: Path) -> None:
    ran = tmp_path / "was-run"
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Evil: ...\n")
    for name, kinds in {
        "config.json": ("AutoConfig", "AutoModel"),
        "tokenizer_config.json": ("AutoTokenizer",),
        "preprocessor_config.json": ("AutoImageProcessor",),
    }.items():
        path = folder / name
        values = json.loads(path.read_text()) if path.is_file() else {}
        values["auto_map"] = dict.fromkeys(kinds, "evil.Evil")
        values["chat_template"] = "{{ ''.__class__ }}"
        path.write_text(json.dumps(values))
    Segmenter.load(str(folder), device="cpu")
    assert not ran.exists()


@pytest.mark.parametrize("name", ["somebody/clipseg", "https://there/model", "hf://a/b", "../nowhere"])
def test_unknown_names_are_not_looked_up_on_the_network(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr("huggingface_hub.snapshot_download", never)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", never)
    with pytest.raises(UsageError, match="There is no model named"):
        Segmenter.load(name)


@pytest.mark.parametrize("name", ["~no-such-user/model", "x" * 5000, "x/" * 3000])
def test_an_unreadable_folder_is_named(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        Segmenter.load(name)
    assert "cannot be read" in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "changes",
    [
        {"return_dict": False},
        {"extract_layers": []},
        {"extract_layers": [0, 99]},
        {"conditional_layer": 99},
        {"conditional_layer": -7},
        {"decoder_num_attention_heads": 0},
        {"vision_config": {"patch_size": 0}},
        {"vision_config": {"hidden_act": "no such"}},
        {"text_config": {"vocab_size": 3}},
        {"text_config": {"max_position_embeddings": 1}},
    ],
)
def test_an_inconsistent_configuration_gives_a_one_sentence_error(folder: Path, changes: dict[str, object]) -> None:
    """Including configurations that can be built but not run."""
    values = json.loads((folder / "config.json").read_text())
    for name, value in changes.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(ModelError) as caught:
        Segmenter.load(str(folder)).segment(np.zeros((30, 40, 3), np.uint8), [Prompt.text("a"), Prompt.text("a b")])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_tokenizer_of_another_model_is_named(folder: Path) -> None:
    vocabulary = json.loads((folder / "vocab.json").read_text())
    (folder / "vocab.json").write_text(json.dumps({**vocabulary, "zebra</w>": 49000}))
    with pytest.raises(ModelError, match=r"has 49001 tokens where its config\.json says"):
        Segmenter.load(str(folder))
