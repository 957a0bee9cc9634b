"""Data sets, read back by independent libraries: pycocotools, OpenCV, Pillow, NumPy, PyYAML."""

import json
from dataclasses import replace
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
from scipy import ndimage

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.mattes import Label
from clipseg_live.core.settings.annotations import AnnotationSettings
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.datasets.instances import annotations_of
from clipseg_live.exporters.datasets.polygons import coco_polygons, corner_polygons, join_polygons
from clipseg_live.exporters.frame_files import indexed_palette
from clipseg_live.exporters.registry import open_data_sink
from tests.helpers.known_mattes import HEADER, LABELS, frames_with_mattes, mask, mattes_of, write_frames
from tests.helpers.rendered import rendered

INFO, FRAMES, MATTES = frames_with_mattes()
UNIQUE = ["red circle", 'étoile/青 "x": 1', "red circle (2)"]
MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14)))


def write_data(form: str, folder: Path, labels=LABELS, **annotations: object) -> Path:
    sink = open_data_sink(
        form, folder / form, DataOptions(HEADER, tuple(labels), annotations=AnnotationSettings(**annotations))
    )
    write_frames(sink, INFO, FRAMES, MATTES)
    return folder / form


def components(wanted: np.ndarray) -> list[np.ndarray]:
    """Return connected components with 8 neighbours, labelled by SciPy."""
    labels, count = ndimage.label(wanted, structure=np.ones((3, 3)))
    return [labels == number for number in range(1, count + 1)]


@pytest.mark.parametrize("segmentation", ["polygon", "rle"])
@pytest.mark.parametrize("instances", ["component", "prompt"])
def test_coco_is_read_by_pycocotools(
    segmentation: str, instances: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = (*LABELS, Label("never there", 0.5))
    folder = write_data("coco", tmp_path, labels, segmentation=segmentation, instances=instances)
    coco = COCO(str(folder / "annotations" / "instances_default.json"))
    capsys.readouterr()  # it prints
    assert [each["name"] for each in coco.loadCats(coco.getCatIds())] == [*UNIQUE, "never there"]
    assert coco.dataset["info"]["made_with"] == HEADER
    assert sorted(path.name for path in folder.iterdir()) == ["annotations", "images"]
    for frame, mattes in zip(FRAMES, MATTES, strict=True):
        image = coco.loadImgs([frame.index])[0]
        assert (image["width"], image["height"], image["time"]) == (53, 37, float(frame.time))
        with Image.open(folder / "images" / image["file_name"]) as picture:
            assert np.abs(np.asarray(picture, int) - frame.pixels).mean() < 3
        for category, matte in enumerate(mattes.each, start=1):
            found = coco.loadAnns(coco.getAnnIds(imgIds=[frame.index], catIds=[category]))
            wanted = mask(matte)
            parts = components(wanted) if instances == "component" else [wanted] * bool(wanted.any())
            assert len(found) == len(parts)
            for one in found:
                assert isinstance(one["segmentation"], list if segmentation == "polygon" else dict)
                drawn = coco.annToMask(one).astype(bool)
                assert any(np.array_equal(drawn, part) for part in parts)
                rows, columns = np.nonzero(drawn)
                assert one["bbox"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
                assert (one["area"], one["iscrowd"]) == (drawn.sum(), 0)
                assert one["threshold"] == LABELS[category - 1].threshold
                assert one["presence"] == pytest.approx(mattes.presence[category - 1], abs=1e-4)
    ids = coco.getAnnIds()
    assert ids == list(range(1, len(ids) + 1)) and len(ids) >= 8


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(MASKS, st.sampled_from(["component", "prompt"]))
def test_any_mask_is_restored_from_its_annotations(wanted: np.ndarray, rule: str) -> None:
    _, frames, _ = frames_with_mattes(1, wanted.shape)
    mattes = mattes_of([wanted.astype(np.uint8) * np.uint8(255)])
    found = annotations_of(frames[0], mattes, 0, rule)
    parts = components(wanted) if rule == "component" else [wanted] * bool(wanted.any())
    assert len(found) == len(parts)
    whole = np.zeros(wanted.shape, int)
    for one in found:
        decoded = rle.decode(one.rle()).astype(bool)
        assert any(np.array_equal(decoded, part) for part in parts)
        assert one.area == decoded.sum() and one.box == tuple(rle.toBbox(one.rle()))
        drawn = rle.decode(rle.frPyObjects([each.ravel().tolist() for each in one.coco_polygons()], *wanted.shape))
        assert np.array_equal(drawn.any(axis=2), decoded)
        whole += decoded
    assert np.array_equal(whole, wanted)


@pytest.mark.slow
@settings(deadline=None, max_examples=250)
@given(MASKS)
def test_coco_polygons_are_exact_in_pycocotools(wanted: np.ndarray) -> None:
    polygons = coco_polygons(wanted.astype(np.uint8))
    parts = components(wanted)
    assert len(polygons) == len(parts)
    for polygon in polygons:
        assert len(polygon) >= 3
        drawn = rle.decode(rle.frPyObjects([polygon.ravel().tolist()], *wanted.shape))[..., 0].astype(bool)
        assert any(np.array_equal(drawn, part) for part in parts)
        truncated = np.zeros(wanted.shape, np.uint8)
        cv2.fillPoly(truncated, [polygon.astype(np.int32)], 1)
        assert np.array_equal(truncated.astype(bool), drawn), "not exact for readers that truncate"


@pytest.mark.slow
def test_polygons_of_large_masks_are_exact_with_known_size() -> None:
    """Agreement as documented: exact in pycocotools. supervision rounds COCO's vertices and adds pixels at borders."""
    overlaps = []
    for number in range(20):
        noise = np.random.default_rng(number).random((300, 400))
        wanted = ndimage.gaussian_filter(noise, 9) > 0.5
        rounded = np.zeros(wanted.shape, np.uint8)
        drawn = np.zeros(wanted.shape, bool)
        for polygon in coco_polygons(wanted.astype(np.uint8)):
            drawn |= rle.decode(rle.frPyObjects([polygon.ravel().tolist()], *wanted.shape))[..., 0].astype(bool)
            cv2.fillPoly(rounded, [np.round(polygon).astype(np.int32)], 1)
        assert np.array_equal(drawn, wanted)
        overlaps.append((rounded.astype(bool) & wanted).sum() / (rounded.astype(bool) | wanted).sum())
    assert min(overlaps) > 0.95


def supervision_mask(line: str, width: int, height: int) -> np.ndarray:
    """Return a mask as ``supervision.dataset.formats.yolo`` reads a line: float32, rounded, filled with its border."""
    polygon = np.array(line.split()[1:], np.float32).reshape(-1, 2) * np.array([width, height], np.float32)
    drawn = np.zeros((height, width), np.uint8)
    cv2.fillPoly(drawn, [np.round(polygon).astype(np.int32)], 1)
    return drawn.astype(bool)


def ultralytics_mask(line: str, width: int, height: int) -> np.ndarray:
    """Return a mask as ``ultralytics.data.utils.polygons2masks`` at the image's size: float32, truncated, filled."""
    polygon = np.array(line.split()[1:], np.float32).reshape(-1, 2)
    polygon[:, 0] *= width
    polygon[:, 1] *= height
    drawn = np.zeros((height, width), np.uint8)
    cv2.fillPoly(drawn, np.asarray([polygon.reshape(-1)], np.int32).reshape(1, -1, 2), 1)
    return drawn.astype(bool)


def test_filled_yolo_polygons_equal_the_masks(tmp_path: Path) -> None:
    folder = write_data("yolo", tmp_path)
    described = yaml.safe_load((folder / "data.yaml").read_text("utf-8"))
    assert described == {"train": "images", "val": "images", "names": dict(enumerate(UNIQUE))}
    for frame, mattes in zip(FRAMES, MATTES, strict=True):
        assert (folder / "images" / f"{frame.index:06}.jpg").exists()
        drawn = np.zeros((3, 37, 53), bool)
        for line in (folder / "labels" / f"{frame.index:06}.txt").read_text("ascii").splitlines():
            category, *numbers = line.split()
            corners = np.array(numbers, float).reshape(-1, 2)
            assert len(corners) >= 3 and (corners > 0).all() and (corners < 1).all()
            part = supervision_mask(line, 53, 37)
            assert np.array_equal(part, ultralytics_mask(line, 53, 37))
            drawn[int(category)] |= part
        for part, matte in zip(drawn, mattes.each, strict=True):
            assert np.array_equal(part, mask(matte))


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(st.integers(1, 5000), st.integers(1, 5000), st.data())
def test_yolo_corners_survive_rounding_and_truncation(width: int, height: int, data: st.DataObject) -> None:
    """Six decimals, float32, and large images."""
    pixels = data.draw(st.lists(st.tuples(st.integers(0, width - 1), st.integers(0, height - 1)), min_size=3))
    text = " ".join(f"{(x + 0.25) / width:.6f} {(y + 0.25) / height:.6f}" for x, y in pixels)
    read = np.array(text.split(), np.float32).reshape(-1, 2) * np.array([width, height], np.float32)
    assert np.array_equal(np.round(read).astype(np.int32), pixels)
    assert np.array_equal(read.astype(np.int32), pixels)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(MASKS)
def test_polygons_are_exact_with_holes_and_islands(wanted: np.ndarray) -> None:
    polygons = corner_polygons(wanted.astype(np.uint8))
    parts = components(wanted)
    assert len(polygons) == len(parts)
    for corners in polygons:
        one = np.zeros(wanted.shape, np.uint8)
        cv2.fillPoly(one, [corners.astype(np.int32)], 1)
        assert any(np.array_equal(one.astype(bool), part) for part in parts)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(MASKS)
def test_one_polygon_of_a_prompt_covers_its_parts_and_bridges(wanted: np.ndarray) -> None:
    polygons = corner_polygons(wanted.astype(np.uint8))
    if not polygons:
        return
    one = np.zeros(wanted.shape, np.uint8)
    cv2.fillPoly(one, [join_polygons(polygons).astype(np.int32)], 1)
    assert (one.astype(bool) >= wanted).all()
    assert one.sum() - wanted.sum() <= (len(polygons) - 1) * max(wanted.shape)
    assert len(polygons) > 1 or np.array_equal(one.astype(bool), wanted)


@pytest.mark.parametrize("instances", ["component", "prompt"])
def test_all_formats_have_the_same_annotations(instances: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    info, frames, _ = frames_with_mattes(3, (40, 60))
    smooth = [ndimage.gaussian_filter(rng.random((40, 60)), 3) > 0.5 for _ in range(9)]
    alphas = [each.astype(np.uint8) * np.uint8(255) for each in smooth]
    mattes = [mattes_of(alphas[3 * number : 3 * number + 3]) for number in range(3)]
    for form, name in (("coco", "coco"), ("yolo", "yolo"), ("jsonl", "m.jsonl")):
        sink = open_data_sink(form, tmp_path / name, DataOptions(annotations=AnnotationSettings(instances=instances)))
        write_frames(sink, info, frames, mattes)
    described = json.loads((tmp_path / "coco" / "annotations" / "instances_default.json").read_text("utf-8"))
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text("utf-8").splitlines()]
    for frame in range(3):
        labelled = (tmp_path / "yolo" / "labels" / f"{frame:06}.txt").read_text("ascii").splitlines()
        for prompt in range(3):
            wanted = len(components(alphas[3 * frame + prompt] > 0)) if instances == "component" else 1
            assert wanted > 0
            found = [(each["image_id"], each["category_id"]) for each in described["annotations"]]
            assert found.count((frame, prompt + 1)) == wanted
            assert sum(line.startswith(f"{prompt} ") for line in labelled) == wanted
    numbers = [(line["frame"], line["instance"]) for line in lines if line["prompt"] == LABELS[1].name]
    assert len(numbers) == len(set(numbers)) and {instance for _, instance in numbers} >= {1}
    assert len(lines) == len(described["annotations"])


@pytest.mark.slow
def test_splits_are_seeded_and_by_source(tmp_path: Path) -> None:
    info, frames, _ = frames_with_mattes(10, (12, 14))
    photos = [replace(frame, file=tmp_path / f"IMG_{frame.index // 2}.png") for frame in frames]  # two pages each
    mattes = [mattes_of([np.full((12, 14), 255, np.uint8)])] * 10
    divisions = []
    for number, seed in enumerate((0, 0, 1, 2)):
        folder = tmp_path / f"set{number}"
        sink = open_data_sink("yolo", folder, DataOptions(annotations=AnnotationSettings(split=0.6, seed=seed)))
        write_frames(sink, info, photos, mattes)
        described = yaml.safe_load((folder / "data.yaml").read_text("utf-8"))
        assert (described["train"], described["val"]) == ("images/train", "images/val")
        parts = {}
        for part in ("train", "val"):
            names = sorted(path.stem for path in (folder / "images" / part).iterdir())
            assert names == sorted(path.stem for path in (folder / "labels" / part).iterdir())
            parts[part] = {name[:5] for name in names}
        assert len(parts["train"]) == 3 and len(parts["val"]) == 2 and not parts["train"] & parts["val"]
        assert not [path for path in (folder / "images").iterdir() if path.is_file()]
        divisions.append(frozenset(parts["val"]))
        with pytest.raises(UsageError, match="exists already"):
            open_data_sink("yolo", folder)
        open_data_sink("yolo", folder, DataOptions(overwrite=True))  # no background pixel is included
    assert divisions[0] == divisions[1] and len(set(divisions)) > 1


@pytest.mark.parametrize(
    ("count", "share", "train"), [(10, 0.8, 8), (2, 0.99, 1), (2, 0.01, 1), (3, 0.6, 2), (1, 0.5, 0)]
)
def test_a_video_is_split_by_time(count: int, share: float, train: int, tmp_path: Path) -> None:
    info, frames, _ = frames_with_mattes(count, (12, 14))
    sink = open_data_sink("yolo", tmp_path / "set", DataOptions(annotations=AnnotationSettings(split=share)))
    write_frames(sink, info, frames, [mattes_of([np.full((12, 14), 255, np.uint8)])] * count)
    if count == 1:
        assert sink.notices == ["set was not split, because a split needs at least two images."]
        return
    names = [sorted(path.stem for path in (tmp_path / "set" / "images" / part).iterdir()) for part in ("train", "val")]
    assert [*names[0], *names[1]] == [f"{number:06}" for number in range(count)] and len(names[0]) == train


def test_indexed_masks_have_the_topmost_prompt(tmp_path: Path) -> None:
    folder = write_data("indexed", tmp_path)
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


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(st.lists(MASKS, min_size=1, max_size=6), st.data())
def test_any_masks_are_restored_from_indexed_images(tmp_path_factory, masks: list[np.ndarray], data) -> None:
    height, width = masks[0].shape
    same = [data.draw(arrays.arrays(bool, (height, width))) for _ in masks[1:]]
    wanted = np.zeros((height, width), int)
    for number, one in enumerate([masks[0], *same], start=1):
        wanted[one] = number
    folder = tmp_path_factory.mktemp("any") / "set"
    info, frames, _ = frames_with_mattes(1, (height, width))
    mattes = mattes_of([one.astype(np.uint8) * np.uint8(255) for one in [masks[0], *same]])
    labels = [Label(str(number), 0.5) for number in range(len(masks))]
    write_frames(open_data_sink("indexed", folder), info, frames, [mattes], labels)
    with Image.open(folder / "000000.png") as picture:
        assert np.array_equal(np.asarray(picture), wanted)


def test_indexed_images_are_limited_to_255_prompts(tmp_path: Path) -> None:
    info, frames, _ = frames_with_mattes(2, (2, 3))
    sink = open_data_sink("indexed", tmp_path / "set")
    sink.open(info)
    alphas = [np.full((2, 3), 255, np.uint8)] * 128
    sink.write(rendered(frames[0], mattes_of(alphas), [Label(f"{number}", 0.5) for number in range(128)]))
    with pytest.raises(SinkError, match="at most 255 prompts"):
        sink.write(rendered(frames[1], mattes_of(alphas), [Label(f"{number}", 0.5) for number in range(200, 328)]))
    sink.abort()


def test_probability_maps_are_read_without_pickles(tmp_path: Path) -> None:
    folder = write_data("npz", tmp_path)
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


def test_prompts_that_change_keep_their_earlier_data(tmp_path: Path) -> None:
    """As in a live session: a prompt is removed, another is added, a threshold is changed."""
    info, frames, _ = frames_with_mattes(3, (4, 5))
    full, none = np.full((4, 5), 255, np.uint8), np.zeros((4, 5), np.uint8)
    left = full.copy()
    left[:, 2:] = 0
    steps = [
        ([full, none], [Label("a", 0.5), Label("b", 0.5)]),
        ([left], [Label("b", 0.7)]),
        ([none, left], [Label("c", 0.2), Label("a", 0.6)]),
    ]
    for form in ("coco", "indexed", "png", "yolo"):
        sink = open_data_sink(form, tmp_path / form)
        sink.open(info)
        for frame, (alphas, labels) in zip(frames, steps, strict=True):
            sink.write(rendered(frame, mattes_of(alphas), labels))
        sink.finish()
    coco = json.loads((tmp_path / "coco" / "annotations" / "instances_default.json").read_text("utf-8"))
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
