"""Data sets, read back by others: pycocotools, OpenCV, Pillow, NumPy, PyYAML."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO

from clipseg_live.core.errors import SinkError
from clipseg_live.core.mattes import Label
from clipseg_live.video.data_sinks import open_data_sink
from clipseg_live.video.masks import measure
from clipseg_live.video.polygons import polygons_of
from clipseg_live.video.sequences import indexed_palette
from tests.unit.video.findings import HEADER, LABELS, findings, mask, mattes_of, write_into

INFO, FRAMES, MATTES = findings()
UNIQUE = ["red circle", 'étoile/青 "x": 1', "red circle (2)"]
MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14)))


def written(form: str, folder: Path, labels=LABELS) -> Path:
    write_into(open_data_sink(form, folder / form, HEADER, labels), INFO, FRAMES, MATTES)
    return folder / form


def test_coco_is_read_by_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written("coco", tmp_path, (*LABELS, Label("never there", 0.5)))
    coco = COCO(str(folder / "annotations.json"))
    capsys.readouterr()  # it prints
    assert [each["name"] for each in coco.loadCats(coco.getCatIds())] == [*UNIQUE, "never there"]
    assert coco.dataset["info"]["made_with"] == HEADER
    count = 0
    for frame, mattes in zip(FRAMES, MATTES, strict=True):
        image = coco.loadImgs([frame.index])[0]
        assert (image["width"], image["height"], image["time"]) == (53, 37, float(frame.time))
        with Image.open(folder / "images" / image["file_name"]) as picture:
            assert np.abs(np.asarray(picture, int) - frame.pixels).mean() < 3
        for category, matte in enumerate(mattes.each, start=1):
            found = coco.loadAnns(coco.getAnnIds(imgIds=[frame.index], catIds=[category]))
            wanted = mask(matte)
            assert len(found) == wanted.any()
            for one in found:
                count += 1
                assert np.array_equal(coco.annToMask(one).astype(bool), wanted)
                rows, columns = np.nonzero(wanted)
                assert one["bbox"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
                assert (one["area"], one["iscrowd"]) == (wanted.sum(), 0)
                assert one["threshold"] == LABELS[category - 1].threshold
                assert one["presence"] == pytest.approx(mattes.presence[category - 1], abs=1e-4)
    assert count == 3 + 2 + 3


@settings(deadline=None, max_examples=200)
@given(MASKS)
def test_any_mask_comes_back_from_its_run_lengths(wanted: np.ndarray) -> None:
    _, frames, _ = findings(1, wanted.shape)
    measured = measure(frames[0], mattes_of([wanted.astype(np.uint8) * np.uint8(255)]), 0)
    assert np.array_equal(rle.decode(measured.rle).astype(bool), wanted)
    assert measured.area == wanted.sum() and measured.box == tuple(rle.toBbox(measured.rle))
    assert (measured.probability is None) == (not wanted.any())


def test_yolo_polygons_fill_to_the_masks(tmp_path: Path) -> None:
    folder = written("yolo", tmp_path)
    described = yaml.safe_load((folder / "data.yaml").read_text("utf-8"))
    assert described == {"train": "images", "val": "images", "names": dict(enumerate(UNIQUE))}
    for frame, mattes in zip(FRAMES, MATTES, strict=True):
        assert (folder / "images" / f"{frame.index:06}.jpg").exists()
        drawn = np.zeros((3, 37, 53), np.uint8)
        for line in (folder / "labels" / f"{frame.index:06}.txt").read_text("ascii").splitlines():
            category, *numbers = line.split()
            corners = np.array(numbers, float).reshape(-1, 2)
            assert len(corners) >= 3 and (corners > 0).all() and (corners < 1).all()
            cv2.fillPoly(drawn[int(category)], [(corners * (53, 37)).astype(np.int32)], 1)
        for part, matte in zip(drawn, mattes.each, strict=True):
            assert np.array_equal(part.astype(bool), mask(matte))


@settings(deadline=None, max_examples=300)
@given(MASKS)
def test_polygons_are_exact_with_holes_and_islands(wanted: np.ndarray) -> None:
    polygons = polygons_of(wanted.astype(np.uint8))
    count, _ = cv2.connectedComponents(wanted.astype(np.uint8), connectivity=8)
    assert len(polygons) == count - 1
    drawn = np.zeros(wanted.shape, bool)
    for corners in polygons:
        one = np.zeros(wanted.shape, np.uint8)
        cv2.fillPoly(one, [corners], 1)
        assert not (drawn & one.astype(bool)).any()
        drawn |= one.astype(bool)
    assert np.array_equal(drawn, wanted)


def test_indexed_masks_hold_the_topmost_prompt(tmp_path: Path) -> None:
    folder = written("indexed", tmp_path)
    index = json.loads((folder / "index.json").read_text("utf-8"))
    assert [(each["value"], each["prompt"]) for each in index["prompts"]] == [
        (number, label.name) for number, label in enumerate(LABELS, start=1)
    ]
    for entry, frame, mattes in zip(index["frames"], FRAMES, MATTES, strict=True):
        assert (entry["frame"], entry["time"]) == (frame.index, float(frame.time))
        assert entry["thresholds"] == {"1": 0.5, "2": 0.3, "3": 0.9}
        wanted = np.zeros((37, 53), int)
        for number, matte in enumerate(mattes.each, start=1):
            wanted[mask(matte)] = number
        with Image.open(folder / entry["file"]) as picture:
            assert picture.mode == "P" and np.array_equal(np.asarray(picture), wanted)
            colours = np.asarray(picture.convert("RGB"))
            assert np.array_equal(colours, indexed_palette()[wanted])
        for number, each in enumerate(index["prompts"], start=1):
            assert each["colour"] == indexed_palette()[number].tolist()
    assert len({tuple(colour) for colour in indexed_palette()}) == 256


@settings(deadline=None, max_examples=40)
@given(st.lists(MASKS, min_size=1, max_size=6), st.data())
def test_any_masks_come_back_from_indexed_pictures(tmp_path_factory, masks: list[np.ndarray], data) -> None:
    height, width = masks[0].shape
    same = [data.draw(arrays.arrays(bool, (height, width))) for _ in masks[1:]]
    wanted = np.zeros((height, width), int)
    for number, one in enumerate([masks[0], *same], start=1):
        wanted[one] = number
    folder = tmp_path_factory.mktemp("any") / "set"
    info, frames, _ = findings(1, (height, width))
    mattes = mattes_of([one.astype(np.uint8) * np.uint8(255) for one in [masks[0], *same]])
    labels = [Label(str(number), 0.5) for number in range(len(masks))]
    write_into(open_data_sink("indexed", folder, {}), info, frames, [mattes], labels)
    with Image.open(folder / "000000.png") as picture:
        assert np.array_equal(np.asarray(picture), wanted)


def test_indexed_pictures_end_at_255_prompts(tmp_path: Path) -> None:
    info, frames, _ = findings(2, (2, 3))
    sink = open_data_sink("indexed", tmp_path / "set", {})
    sink.open(info)
    alphas = [np.full((2, 3), 255, np.uint8)] * 128
    sink.write(frames[0], mattes_of(alphas), [Label(f"{number}", 0.5) for number in range(128)])
    with pytest.raises(SinkError, match="at most 255 prompts"):
        sink.write(frames[1], mattes_of(alphas), [Label(f"{number}", 0.5) for number in range(200, 328)])
    sink.abandon()


def test_probability_maps_are_read_without_pickles(tmp_path: Path) -> None:
    folder = written("npz", tmp_path)
    index = json.loads((folder / "index.json").read_text("utf-8"))
    assert index["header"] == HEADER and index["prompts"] == UNIQUE
    for entry, frame, mattes in zip(index["frames"], FRAMES, MATTES, strict=True):
        with np.load(folder / entry["file"], allow_pickle=False) as read:
            assert read["maps"].dtype == np.float16 and read["maps"].shape == mattes.maps.shape
            assert np.abs(read["maps"].astype(np.float32) - mattes.maps).max() <= 2**-11 / 2
            assert read["prompts"].tolist() == [label.name for label in LABELS]
            assert np.allclose(read["thresholds"], [0.5, 0.3, 0.9]) and read["size"].tolist() == [37, 53]
            assert np.allclose(read["presence"], mattes.presence)
            assert (read["frame"], read["time"]) == (frame.index, float(frame.time))


def test_prompts_that_change_in_the_middle_keep_what_they_were(tmp_path: Path) -> None:
    """As in a live session: one goes, another comes, a threshold is moved."""
    info, frames, _ = findings(3, (4, 5))
    full, none = np.full((4, 5), 255, np.uint8), np.zeros((4, 5), np.uint8)
    left = full.copy()
    left[:, 2:] = 0
    steps = [
        ([full, none], [Label("a", 0.5), Label("b", 0.5)]),
        ([left], [Label("b", 0.7)]),
        ([none, left], [Label("c", 0.2), Label("a", 0.6)]),
    ]
    for form in ("coco", "indexed", "png", "yolo"):
        sink = open_data_sink(form, tmp_path / form, {})
        sink.open(info)
        for frame, (alphas, labels) in zip(frames, steps, strict=True):
            sink.write(frame, mattes_of(alphas), labels)
        sink.finish()
    coco = json.loads((tmp_path / "coco" / "annotations.json").read_text("utf-8"))
    assert [each["name"] for each in coco["categories"]] == ["a", "b", "c"]
    found = [(each["image_id"], each["category_id"], each["threshold"]) for each in coco["annotations"]]
    assert found == [(0, 1, 0.5), (1, 2, 0.7), (2, 1, 0.6)]
    values = [np.unique(np.asarray(Image.open(tmp_path / "indexed" / f"00000{n}.png"))).tolist() for n in range(3)]
    assert values == [[1], [0, 2], [0, 1]]
    names = sorted(each.name for each in (tmp_path / "png").glob("*.png"))
    assert names == ["000000_1-a.png", "000000_2-b.png", "000001_2-b.png", "000002_1-a.png", "000002_3-c.png"]
    index = json.loads((tmp_path / "png" / "index.json").read_text("utf-8"))
    assert index["frames"][2]["thresholds"] == {"3-c": 0.2, "1-a": 0.6}
    lines = [(tmp_path / "yolo" / "labels" / f"00000{n}.txt").read_text("ascii")[:1] for n in range(3)]
    assert lines == ["0", "1", "0"]
