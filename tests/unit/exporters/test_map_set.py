"""Files of probability maps: what is written is read back, and damage is one sentence."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from clipseg_live import Prompt
from clipseg_live.core.errors import Failure, SinkError, UsageError
from clipseg_live.exporters.map_set import MapSet, MapSetWriter, frame_digest

PROMPTS = (Prompt.text("cup"), Prompt.text("mug"))
RECIPE = {"weights": "abc", "size": None}
MAPS = np.random.default_rng(0).random((2, 5, 6), np.float32)


def write(path: Path, *digests: str) -> Path:
    writer = MapSetWriter(path, RECIPE, PROMPTS)
    for number, digest in enumerate(digests):
        writer.add(digest, MAPS / np.float32(number + 1))
    writer.finish("torch on cpu in float32")
    return path


def test_maps_are_read_back_exactly_for_any_of_the_prompts(tmp_path: Path) -> None:
    found = MapSet(write(tmp_path / "ü.npz", "a", "b"))
    assert (found.recipe, found.made_by, found.frames) == (RECIPE, "torch on cpu in float32", ("a", "b"))
    np.testing.assert_array_equal(found.find("b", PROMPTS), MAPS / 2)
    np.testing.assert_array_equal(found.find("a", PROMPTS[::-1]), MAPS[::-1])
    np.testing.assert_array_equal(found.find("a", PROMPTS[1:]), MAPS[1:])
    assert found.find("c", PROMPTS) is None and found.find("a", [Prompt.text("jug")]) is None
    found.close()


def test_the_file_is_one_that_numpy_reads(tmp_path: Path) -> None:
    with np.load(write(tmp_path / "a.npz", "a"), allow_pickle=False) as read:
        assert sorted(read.files) == ["manifest", "maps_000000"]
        manifest = json.loads(bytes(read["manifest"]))
    assert manifest["prompts"] == ["cup", "mug"] and manifest["frames"] == ["a"]


def test_equal_frames_are_stored_once(tmp_path: Path) -> None:
    found = MapSet(write(tmp_path / "a.npz", "a", "a", "b"))
    np.testing.assert_array_equal(found.find("a", PROMPTS), MAPS)
    assert found.frames == ("a", "b")
    found.close()


def test_a_digest_depends_on_every_pixel_and_on_the_shape() -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    other = pixels.copy()
    other[3, 5, 2] = 1
    digests = {frame_digest(each) for each in (pixels, other, pixels.reshape(6, 4, 3))}
    assert len(digests) == 3 and frame_digest(pixels[:, ::-1]) == frame_digest(pixels)


def test_an_unfinished_file_leaves_the_old_one(tmp_path: Path) -> None:
    before = write(tmp_path / "a.npz", "a").read_bytes()
    writer = MapSetWriter(tmp_path / "a.npz", RECIPE, PROMPTS)
    writer.add("b", MAPS)
    writer.abort()
    writer.abort()
    assert (tmp_path / "a.npz").read_bytes() == before and list(tmp_path.iterdir()) == [tmp_path / "a.npz"]


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "other", "version", "array", "pickle"])
def test_a_damaged_or_foreign_file_is_one_sentence(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", "a")
    content = path.read_bytes()
    if kind == "other":
        np.savez(path, maps=MAPS)
    elif kind == "array":
        np.save(tmp_path / "b.npy", MAPS)
        (tmp_path / "b.npy").replace(path)
    elif kind == "pickle":
        np.savez(path, manifest=np.array([{"format": 1}], object))
    elif kind == "version":
        np.savez(path, manifest=np.frombuffer(b'{"format": "clipseg-live maps", "version": 99}', np.uint8))
    else:
        path.write_bytes({"empty": b"", "text": b"hello", "cut": content[: len(content) // 2]}[kind])
    with pytest.raises(Failure, match=r"is no file of maps, or it is damaged: delete it") as error:
        MapSet(path)
    assert "\n" not in str(error.value)


def test_a_flipped_bit_in_a_map_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", "a")
    with zipfile.ZipFile(path) as whole:
        start = whole.getinfo("maps_000000.npy").header_offset
    content = bytearray(path.read_bytes())
    content[start + 300] ^= 1
    path.write_bytes(content)
    found = MapSet(path)
    with pytest.raises(Failure, match="damaged"):
        found.find("a", PROMPTS)
    found.close()


def test_paths_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        MapSetWriter(tmp_path / "folder.npz", RECIPE, PROMPTS)
    with pytest.raises(SinkError, match="does not exist"):
        MapSetWriter(tmp_path / "none" / "a.npz", RECIPE, PROMPTS)
