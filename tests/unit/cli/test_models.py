"""``models``: models on disk are listed without the network."""

import json
import re
import shutil
import socket
from pathlib import Path

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from clipseg_live.cli.main import app
from clipseg_live.core.settings.base import DEFAULT_MODEL
from clipseg_live.model.random_weights import write_random_model
from clipseg_live.model.store import converted, hub, loading
from clipseg_live.model.store.layout import ModelFiles

RUNNER = CliRunner()
REVISION = "0" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide an empty hub cache without network."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(folder))

    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import CLIPSegConfig

    sides = {"intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2, "hidden_size": 32}
    configuration = CLIPSegConfig(
        vision_config={**sides, "patch_size": 16, "image_size": 64},
        text_config={**sides, "vocab_size": 600, "eos_token_id": 599, "bos_token_id": 598, "pad_token_id": 599},
        projection_dim=24,
        extract_layers=[0, 1, 2],
        reduce_dim=16,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=64,
        use_complex_transposed_convolution=True,
    )
    return write_random_model(tmp_path_factory.mktemp("models") / "tiny", configuration=configuration)


def keep_in_cache(cache: Path, model: Path) -> Path:
    """Copy a folder into the hub's cache as the default model."""
    home = cache / f"models--{DEFAULT_MODEL.replace('/', '--')}"
    snapshot = home / "snapshots" / REVISION
    shutil.copytree(model, snapshot)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(REVISION)
    return snapshot


def list_models() -> dict[str, dict[str, object]]:
    result = RUNNER.invoke(app, ["models", "--json"])
    assert result.exit_code == 0, result.output
    return {entry["name"]: entry for entry in json.loads(result.stdout)}


def test_all_known_models_are_listed_and_one_is_the_default(cache: Path) -> None:
    entries = list_models()
    assert list(entries) == list(loading.KNOWN_MODELS)
    assert [name for name, entry in entries.items() if entry["default"]] == [DEFAULT_MODEL]
    absent = entries[DEFAULT_MODEL]
    assert (absent["path"], absent["bytes"], absent["whole"], absent["problem"]) == (None, 0, False, None)


@pytest.mark.slow
def test_a_complete_model_in_the_cache_is_listed(cache: Path, tiny: Path) -> None:
    snapshot = keep_in_cache(cache, tiny)
    entry = list_models()[DEFAULT_MODEL]
    assert entry["whole"] is True and entry["problem"] is None
    assert Path(str(entry["path"])) == snapshot
    files = sum(file.stat().st_size for file in snapshot.iterdir())
    assert entry["bytes"] == files + len(REVISION)


def test_truncated_weights_are_reported(cache: Path, tiny: Path) -> None:
    weights = keep_in_cache(cache, tiny) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    entry = list_models()[DEFAULT_MODEL]
    assert entry["whole"] is False
    assert "truncated" in str(entry["problem"]) and "model.safetensors" in str(entry["problem"])


@pytest.mark.parametrize(("start", "whole"), [(b"", False), (b"PK\x03\x04cut", False), (b"\x80\x02older", True)])
def test_weights_in_older_formats_are_listed(cache: Path, tiny: Path, start: bytes, whole: bool) -> None:
    snapshot = keep_in_cache(cache, tiny)
    (snapshot / "model.safetensors").unlink()
    (snapshot / "pytorch_model.bin").write_bytes(start)
    assert list_models()[DEFAULT_MODEL]["whole"] is whole


def test_an_interrupted_download_is_reported(cache: Path, tiny: Path) -> None:
    (keep_in_cache(cache, tiny) / "model.safetensors").unlink()
    entry = list_models()[DEFAULT_MODEL]
    assert entry["whole"] is False and "weights are not downloaded" in str(entry["problem"])


def test_a_missing_file_is_named(cache: Path, tiny: Path) -> None:
    (keep_in_cache(cache, tiny) / "vocab.json").unlink()
    assert "vocab.json" in str(list_models()[DEFAULT_MODEL]["problem"])


def test_the_text_output_lists_models(cache: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    snapshot = keep_in_cache(cache, tiny)
    (snapshot / "merges.txt").unlink()
    monkeypatch.setattr(loading, "KNOWN_MODELS", {DEFAULT_MODEL: loading.KNOWN_MODELS[DEFAULT_MODEL]})
    page = RUNNER.invoke(app, ["models"]).stdout
    assert f"{DEFAULT_MODEL}  rd64-refined  default" in page
    assert "incomplete" in page and "merges.txt" in page
    assert str(cache) in page  # on one line, to be copied


def keep_converted(root: Path, model: str) -> Path:
    """Lay a converted model of about 5 kB into the cache, and return its folder."""
    files = ModelFiles(model, root / "elsewhere", root, root, (root,))
    return converted.store(model.rpartition("/")[2], files, lambda folder: (folder / "a.bin").write_bytes(b"x" * 5020))


@pytest.fixture
def conversions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Three models in a cache of converted ones, by their names."""
    monkeypatch.setattr(converted, "cache_root", lambda: tmp_path / "converted")
    return {name: keep_converted(tmp_path, name) for name in (DEFAULT_MODEL, "shapes", "/my/own")}


def test_converted_models_are_listed_with_their_sizes(
    cache: Path, conversions: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    page = RUNNER.invoke(app, ["models"]).stdout
    assert len(re.findall(r"converted for OpenVINO, 5\.\d kB", page)) == 3 and "\n/my/own\n" in page
    sizes = {name: entry["converted_bytes"] for name, entry in list_models().items() if entry["converted_bytes"]}
    assert set(sizes) == {DEFAULT_MODEL, "shapes"} and all(5020 < int(str(size)) < 5900 for size in sizes.values())


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ((), set()),
        (("rd64-refined",), {"shapes", "/my/own"}),
        (("/my/own",), {DEFAULT_MODEL, "shapes"}),
        (("nothing",), {DEFAULT_MODEL, "shapes", "/my/own"}),
    ],
)
def test_converted_models_are_cleared(
    cache: Path, conversions: dict[str, Path], arguments: tuple[str, ...], left: set[str]
) -> None:
    result = RUNNER.invoke(app, ["models", "clear", *arguments])
    assert result.exit_code == 0, result.output
    assert {name for name, folder in conversions.items() if folder.exists()} == left
    gone = set(conversions) - left
    assert len(re.findall(r"was deleted; 5\.\d kB are free again\.", result.stdout)) == len(gone)
    assert ("There is no converted model" in result.stdout) is (not gone)


def test_a_removed_model_frees_its_conversions_too(cache: Path, tiny: Path, conversions: dict[str, Path]) -> None:
    keep_in_cache(cache, tiny)
    assert loading.find_removable("rd64-refined").bytes > hub.folder_bytes(cache) + 5020
    result = RUNNER.invoke(app, ["models", "remove", "rd64-refined", "--yes"])
    assert result.exit_code == 0, result.output
    assert [name for name, folder in conversions.items() if folder.exists()] == ["shapes", "/my/own"]


def test_links_are_counted_once(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"x" * 100_000)
    link = tmp_path / "snapshot"
    try:
        link.symlink_to(tmp_path / "blob")
    except OSError:
        pytest.skip("this system makes no links for this user")
    assert 100_000 <= hub.folder_bytes(tmp_path) < 101_000
