"""The cache of converted models."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from clipseg_live.model.store import catalogue, converted, layout, loading
from clipseg_live.model.store.layout import ModelFiles


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(converted, "cache_root", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    weights = folder / "model.safetensors"
    return ModelFiles("mine", folder, folder / "preprocessor_config.json", weights, (weights,))


def write(folder: Path) -> None:
    (folder / "network.bin").write_bytes(b"x" * 1000)


def stored(files: ModelFiles, key: str, used: float) -> Path:
    folder = converted.store(key, files, write)
    os.utime(folder / "manifest.json", (used, used))
    return folder


def test_what_was_stored_is_found(files: ModelFiles) -> None:
    assert converted.find("key") is None
    folder = converted.store("key", files, write)
    assert converted.find("key") == folder and (folder / "network.bin").read_bytes() == b"x" * 1000
    (entry,) = converted.converted_models()
    assert (entry.model, entry.folder) == ("mine", folder) and entry.bytes > 1000


def test_a_failure_leaves_nothing(files: ModelFiles, root: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        converted.store("key", files, fail)
    assert list(root.iterdir()) == [] and converted.find("key") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"files": {}}',
        b'{"files": {"network.bin": 7}}',
        b'{"files": {"network.bin": {}}}',
        b"\xff",
    ],
)
def test_an_incomplete_one_is_absent_and_replaced(files: ModelFiles, content: bytes) -> None:
    folder = converted.store("key", files, write)
    (folder / "manifest.json").write_bytes(content)
    assert converted.find("key") is None
    assert converted.find(converted.store("key", files, write).name) is not None


@pytest.mark.parametrize("change", [lambda content: b"y" + content[1:], lambda content: content[:-1]])
def test_a_changed_file_is_noticed(files: ModelFiles, change: Callable[[bytes], bytes]) -> None:
    path = converted.store("key", files, write) / "network.bin"
    path.write_bytes(change(path.read_bytes()))
    os.utime(path, (1, 1))
    assert converted.find("key") is None


def test_files_are_read_only_after_they_were_written(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = converted.store("key", files, write)
    read: list[str] = []
    record = converted._record

    def count(path: Path) -> dict[str, int | str]:
        read.append(path.name)
        return record(path)

    monkeypatch.setattr(converted, "_record", count)
    assert converted.find("key") == folder and read == []
    os.utime(folder / "network.bin", (1, 1))  # as by a copy
    assert converted.find("key") == folder and converted.find("key") == folder
    assert read == ["network.bin"]
    (entry,) = converted.converted_models()
    assert entry.model == "mine"


def test_the_faster_of_two_processes_wins(files: ModelFiles) -> None:
    def slow(folder: Path) -> None:
        converted.store("key", files, write)
        (folder / "network.bin").write_bytes(b"late")

    assert (converted.store("key", files, slow) / "network.bin").read_bytes() == b"x" * 1000
    assert len(converted.converted_models()) == 1


def test_the_key_is_that_of_the_content(files: ModelFiles, tmp_path: Path) -> None:
    key = converted.cache_key(files, ("1", "2026.4"))
    assert key == converted.cache_key(files, ("1", "2026.4"))
    assert key != converted.cache_key(files, ("1", "2026.5"))
    (files.folder / "config.json").write_text('{"a": 1}')
    other = converted.cache_key(files, ("1", "2026.4"))
    assert other != key
    files.weights.write_bytes(b"WEIGHTS")
    os.utime(files.weights, (1, 1))
    assert converted.cache_key(files, ("1", "2026.4")) not in (key, other)


def test_weights_that_stay_are_read_once(files: ModelFiles, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    key = converted.cache_key(files, ())
    monkeypatch.setattr(layout, "_sha256", lambda *arguments: pytest.fail("the weights were read again"))
    assert converted.cache_key(files, ()) == key
    monkeypatch.undo()
    monkeypatch.setattr(converted, "cache_root", lambda: root)
    (root / "digests.json").write_text("damaged")
    assert converted.cache_key(files, ()) == key
    assert len(json.loads((root / "digests.json").read_text())) == 1


def test_those_used_long_ago_make_room(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        stored(files, f"key{number}", used=1000.0 + number)
    converted.find("key0")  # is used now
    monkeypatch.setattr(converted, "LARGEST_CACHE", 2500)
    converted.store("key3", files, write)
    assert {entry.folder.name for entry in converted.converted_models()} == {"key3", "key0"}


def test_one_larger_than_the_cache_stays_alone(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    converted.store("old", files, write)
    monkeypatch.setattr(converted, "LARGEST_CACHE", 10)
    converted.store("new", files, write)
    assert [entry.folder.name for entry in converted.converted_models()] == ["new"]


def test_all_or_those_of_one_model_are_removed(files: ModelFiles) -> None:
    converted.store("a", files, write)
    converted.store("b", ModelFiles("other", files.folder, files.processor, files.weights, files.shards), write)
    assert converted.converted_bytes("mine") > 1000
    assert [entry.model for entry in converted.remove_converted("mine")] == ["mine"]
    assert [entry.model for entry in converted.converted_models()] == ["other"]
    assert [entry.model for entry in converted.remove_converted()] == ["other"]
    assert converted.converted_models() == ()


def test_a_folder_has_its_whole_path_as_its_name(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files.folder.parent)
    folder = ModelFiles("./model", files.folder, files.processor, files.weights, files.shards)
    converted.store("key", folder, write)
    assert [entry.model for entry in converted.converted_models()] == [str(files.folder.resolve())]
    assert [entry.model for entry in catalogue.converted_folders()] == [str(files.folder.resolve())]
    assert converted.remove_converted("\0") == () and converted.remove_converted("x" * 5000) == ()
    assert len(converted.remove_converted("model")) == 1


def test_the_catalogue_lists_them(files: ModelFiles) -> None:
    shapes = ModelFiles("shapes", files.folder, files.processor, files.weights, files.shards)
    converted.store("a", shapes, write)
    sizes = {entry.name: entry.converted_bytes for entry in catalogue.catalogue()}
    assert sizes["shapes"] > 1000 and not any(size for name, size in sizes.items() if name != "shapes")


def test_a_removed_model_takes_its_conversions_along(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    model = next(known for known in loading.KNOWN_MODELS.values() if known.repository)
    converted.store("a", ModelFiles(model.name, files.folder, files.processor, files.weights, files.shards), write)
    monkeypatch.setattr(loading.hub, "delete_repository", lambda repository: None)
    loading.remove_model(loading.Removable(model, files.folder, 1))
    assert converted.converted_models() == ()
