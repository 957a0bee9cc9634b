"""Data read back by common programs. Each test runs if its reader is installed.

    python -m pytest tests/interop -rs

``-rs`` lists the missing readers. ``-m "not interop"`` excludes this group.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from scipy import ndimage

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Label
from clipseg_live.core.settings.annotations import AnnotationSettings
from clipseg_live.core.settings.base import DataFormat
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.registry import open_data_sink
from tests.helpers.known_mattes import frames_with_mattes, mattes_of, write_frames

pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("ignore")]

WIDTH, HEIGHT, COUNT = 160, 120, 10
LABELS = (Label("red circle", 0.5), Label('étoile "青" 😀', 0.3))
Masks = dict[tuple[int, int], np.ndarray]


def reader(name: str) -> ModuleType:
    """Import a reader, or skip the test with the error of the import."""
    return pytest.importorskip(name, exc_type=ImportError)


@pytest.fixture(scope="module")
def masks() -> Masks:
    """Return masks by frame and prompt: shapes with holes and several components. Some are empty."""
    found = {}
    for number in range(COUNT):
        for prompt in range(2):
            noise = np.random.default_rng(10 * number + prompt).random((HEIGHT, WIDTH))
            smooth = ndimage.gaussian_filter(noise, 7) > 0.51
            found[number, prompt] = smooth & (number not in (prompt, prompt + 1))
    return found


Write = Callable[..., Path]


@pytest.fixture
def write(masks: Masks, tmp_path: Path) -> Write:
    def written(form: DataFormat, name: str, **annotations: object) -> Path:
        info, frames, _ = frames_with_mattes(COUNT, (HEIGHT, WIDTH))
        mattes = [
            mattes_of([masks[number, prompt].astype(np.uint8) * np.uint8(255) for prompt in range(2)])
            for number in range(COUNT)
        ]
        settings = AnnotationSettings(**annotations)  # type: ignore[arg-type]
        sink = open_data_sink(form, tmp_path / name, DataOptions({"model": "shapes"}, LABELS, annotations=settings))
        write_frames(sink, info, frames, mattes, LABELS)
        return tmp_path / name

    return written


def described(folder: Path) -> Path:
    return folder / "annotations" / "instances_default.json"


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    union = (one | other).sum()
    return 1.0 if not union else float((one & other).sum() / union)


@pytest.mark.parametrize("segmentation", ["polygon", "rle"])
@pytest.mark.parametrize("instances", ["component", "prompt"])
def test_coco_is_read_by_pycocotools(write: Write, masks: Masks, segmentation: str, instances: str) -> None:
    coco = COCO(str(described(write("coco", "set", segmentation=segmentation, instances=instances))))
    for (number, prompt), wanted in masks.items():
        found = coco.loadAnns(coco.getAnnIds(imgIds=[number], catIds=[prompt + 1]))
        whole = sum((coco.annToMask(each) for each in found), np.zeros((HEIGHT, WIDTH), int))
        assert np.array_equal(whole, wanted)


@pytest.mark.slow
def test_coco_is_converted_by_torchvision(write: Write, masks: Masks) -> None:
    """The code of ``references/detection/coco_utils.py``, which accepts only polygons."""
    content = json.loads(described(write("coco", "set")).read_text("utf-8"))
    whole = {key: np.zeros((HEIGHT, WIDTH), int) for key in masks}
    for one in content["annotations"]:
        decoded = rle.decode(rle.frPyObjects(one["segmentation"], HEIGHT, WIDTH))
        part = (decoded if decoded.ndim == 3 else decoded[..., None]).any(axis=2)
        x, y, width, height = one["bbox"]
        assert width > 0 and height > 0 and part[y : y + height, x : x + width].sum() == part.sum() == one["area"]
        whole[one["image_id"], one["category_id"] - 1] += part
    assert all(np.array_equal(whole[key], wanted) for key, wanted in masks.items())


@pytest.mark.slow
def test_coco_is_read_by_transformers_detr(write: Write, masks: Masks) -> None:
    try:
        from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil as Processor
    except ImportError:  # its name in early releases of transformers 5
        from transformers.models.detr.image_processing_detr import DetrImageProcessor as Processor
    folder = write("coco", "set")
    content = json.loads(described(folder).read_text("utf-8"))
    processor = Processor(format="coco_detection", do_resize=False, do_pad=False)
    for image in content["images"]:
        with Image.open(folder / "images" / image["file_name"]) as picture:
            ours = [each for each in content["annotations"] if each["image_id"] == image["id"]]
            target = {"image_id": image["id"], "annotations": ours}
            encoded = processor(picture, annotations=target, return_segmentation_masks=True, return_tensors="np")
        (found,) = encoded["labels"]
        assert len(found["class_labels"]) == len(ours)
        for prompt in range(2):
            chosen = found["masks"][found["class_labels"] == prompt + 1]
            wanted = masks[image["id"], prompt]
            assert np.array_equal(chosen.sum(axis=0) if len(chosen) else np.zeros(wanted.shape), wanted)


def test_coco_is_read_by_supervision(write: Write, masks: Masks) -> None:
    supervision = reader("supervision")
    for form, least in (("rle", 1.0), ("polygon", 0.9)):
        folder = write("coco", form, segmentation=form)
        read = supervision.DetectionDataset.from_coco(str(folder / "images"), str(described(folder)), force_masks=True)
        assert read.classes == [label.name for label in LABELS] and len(read) == COUNT
        _compare(read, masks, least)


@pytest.mark.parametrize("instances", ["component", "prompt"])
def test_yolo_is_read_by_supervision(write: Write, masks: Masks, instances: str) -> None:
    supervision = reader("supervision")
    folder = write("yolo", "set", instances=instances)
    read = supervision.DetectionDataset.from_yolo(
        str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"), force_masks=True
    )
    assert read.classes == [label.name for label in LABELS]
    _compare(read, masks, 1.0 if instances == "component" else 0.9)


def _compare(read: object, masks: Masks, least: float) -> None:
    for path, _, found in read:  # type: ignore[attr-defined]
        for prompt in range(2):
            wanted = masks[int(Path(path).stem), prompt]
            chosen = found.mask[found.class_id == prompt] if len(found) else np.zeros((0, HEIGHT, WIDTH), bool)
            assert overlap(chosen.any(axis=0), wanted) >= least


@pytest.fixture
def ultralytics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    return reader("ultralytics")


@pytest.mark.parametrize("split", [None, 0.8])
def test_yolo_is_read_by_ultralytics(write: Write, masks: Masks, ultralytics: ModuleType, split: float | None) -> None:
    from ultralytics.data.utils import (  # type: ignore[import-not-found]
        check_det_dataset,
        img2label_paths,
        polygons2masks,
        verify_image_label,
    )

    folder = write("yolo", "set", split=split)
    data = check_det_dataset(str(folder / "data.yaml"), autodownload=False)
    assert [data["names"][number] for number in range(2)] == [label.name for label in LABELS]
    train, val = sorted(Path(data["train"]).glob("*.jpg")), sorted(Path(data["val"]).glob("*.jpg"))
    if split is None:
        assert train == val and len(train) == COUNT
    else:
        assert (len(train), len(val)) == (8, 2) and not {path.name for path in train} & {path.name for path in val}
    for image in {*train, *val}:
        (label,) = img2label_paths([str(image)])
        _, boxes, shape, segments, _, missing, found, empty, corrupt, message = verify_image_label(
            (str(image), label, "", False, 2, 0, 0, False)
        )
        assert (missing, found, corrupt, message, shape) == (0, 1, 0, "", (HEIGHT, WIDTH))
        number = int(image.stem)
        wanted = [masks[number, prompt] for prompt in range(2)]
        assert bool(empty) == (not np.any(wanted))
        pixels = [segment * np.array([WIDTH, HEIGHT], np.float32) for segment in segments]
        drawn = polygons2masks((HEIGHT, WIDTH), pixels, color=1) if pixels else np.zeros((0, HEIGHT, WIDTH))
        for prompt in range(2):
            chosen = drawn[boxes[:, 0] == prompt] if len(drawn) else drawn
            assert np.array_equal(chosen.sum(axis=0), wanted[prompt])


def test_ultralytics_cache_does_not_block_export(write: Write, ultralytics: ModuleType, tmp_path: Path) -> None:
    from ultralytics.data.utils import save_dataset_cache_file  # type: ignore[import-not-found]

    folder = write("yolo", "set")
    save_dataset_cache_file("", folder / "labels.cache", {"labels": []}, "1")
    assert (folder / "labels.cache").exists()
    open_data_sink("yolo", folder, DataOptions(overwrite=True))


@pytest.mark.parametrize("segmentation", ["polygon", "rle"])
def test_coco_is_read_by_datumaro(write: Write, masks: Masks, segmentation: str) -> None:
    datumaro = reader("datumaro")
    folder = write("coco", "set", segmentation=segmentation)
    read = datumaro.Dataset.import_from(str(folder), "coco_instances")
    labels = read.categories()[datumaro.AnnotationType.label]
    assert [each.name for each in labels] == [label.name for label in LABELS]
    items = list(read)
    assert len(items) == COUNT and {item.subset for item in items} == {"default"}
    for item in items:
        assert item.media.data.shape[:2] == (HEIGHT, WIDTH), "the image was not found"
        whole = [np.zeros((HEIGHT, WIDTH), int) for _ in LABELS]
        for one in item.annotations:
            if one.type == datumaro.AnnotationType.polygon:
                drawn = rle.decode(rle.frPyObjects([one.points], HEIGHT, WIDTH))[..., 0]
            elif one.type == datumaro.AnnotationType.mask:
                drawn = np.asarray(one.image, int)
            else:
                continue
            whole[one.label] += drawn
        for prompt in range(2):
            assert np.array_equal(whole[prompt], masks[item.attributes["id"], prompt])


def test_coco_is_read_by_label_studio(write: Write, masks: Masks, tmp_path: Path) -> None:
    converter = reader("label_studio_converter.imports.coco")
    folder = write("coco", "set")
    converter.convert_coco_to_ls(str(described(folder)), str(tmp_path / "tasks.json"))
    tasks = json.loads((tmp_path / "tasks.json").read_text("utf-8"))
    assert len(tasks) == COUNT
    for number, task in enumerate(tasks):
        whole = {label.name: np.zeros((HEIGHT, WIDTH), bool) for label in LABELS}
        for one in task["annotations"][0]["result"]:
            if one["type"] == "polygonlabels":
                points = np.array(one["value"]["points"]) / 100 * (WIDTH, HEIGHT)
                (name,) = one["value"]["polygonlabels"]
                whole[name] |= rle.decode(rle.frPyObjects([points.ravel().tolist()], HEIGHT, WIDTH))[..., 0] > 0
        for prompt, label in enumerate(LABELS):
            assert overlap(whole[label.name], masks[number, prompt]) > 0.95


def test_tables_are_read_by_pandas(write: Write, masks: Masks) -> None:
    pandas = reader("pandas")
    table = pandas.read_json(write("jsonl", "m.jsonl"), lines=True)
    assert not table.isna().any().any()
    areas = table.groupby(["frame", "prompt"])["area"].sum()
    for (number, prompt), wanted in masks.items():
        assert areas[number, LABELS[prompt].name] == wanted.sum()
    found = rle.decode(table["rle"].iloc[-1])
    assert found.sum() == table["area"].iloc[-1]
    rows = pandas.read_csv(write("csv", "m.csv"))
    assert not rows.isna().any().any() and len(rows) == 2 * COUNT and rows["present"].dtype == bool
    assert rows["area"].tolist() == [masks[key].sum() for key in sorted(masks)]


def test_tables_are_read_by_polars(write: Write, masks: Masks) -> None:
    polars = reader("polars")
    table = polars.read_ndjson(write("jsonl", "m.jsonl"))
    assert dict(table.schema)["box"] == polars.List(polars.Int64) and table.null_count().sum_horizontal().item() == 0
    areas = table.group_by("frame", "prompt").agg(polars.col("area").sum())
    for number, prompt, area in areas.iter_rows():
        assert area == masks[number, [label.name for label in LABELS].index(prompt)].sum()
    rows = polars.read_csv(write("csv", "m.csv"))
    assert rows["area"].to_list() == [masks[key].sum() for key in sorted(masks)]
    assert rows.schema["present"] == polars.Boolean and rows.schema["time"] == polars.Float64


def test_tables_are_read_by_duckdb(write: Write, masks: Masks) -> None:
    duckdb = reader("duckdb")
    path, rows = write("jsonl", "m.jsonl"), write("csv", "m.csv")
    with duckdb.connect() as connection:
        found = connection.execute(
            "select frame, prompt, sum(area) from read_json(?) group by all order by all", [str(path)]
        ).fetchall()
        assert len(found) == 2 * COUNT
        for number, prompt, area in found:
            assert area == masks[number, [label.name for label in LABELS].index(prompt)].sum()
        columns = connection.execute("describe select * from read_json(?)", [str(path)]).fetchall()
        types = {name: kind for name, kind, *_ in columns}
        assert types["box"] == "BIGINT[]" and types["time"] == types["probability"] == "DOUBLE"
        areas = connection.execute("select area, present from read_csv(?) order by frame", [str(rows)]).fetchall()
        assert sorted(area for area, _ in areas) == sorted(int(masks[key].sum()) for key in masks)
        assert all(present is (area > 0) for area, present in areas)


def test_a_photo_is_found_by_name(tmp_path: Path, masks: Masks) -> None:
    supervision = reader("supervision")
    (tmp_path / "in").mkdir()
    photo = tmp_path / "in" / "IMG_4003.png"
    info, frames, _ = frames_with_mattes(1, (HEIGHT, WIDTH))
    Image.fromarray(frames[0].pixels).save(photo)
    frame = Frame(frames[0].pixels, 0, frames[0].time, file=photo)
    mattes = mattes_of([masks[5, 0].astype(np.uint8) * np.uint8(255)])
    write_frames(open_data_sink("coco", tmp_path / "set"), info, [frame], [mattes])
    folder = tmp_path / "set"
    read = supervision.DetectionDataset.from_coco(str(folder / "images"), str(described(folder)), force_masks=True)
    ((path, image, found),) = read
    assert os.path.basename(path) == "IMG_4003.png" and len(found) == ndimage.label(masks[5, 0], np.ones((3, 3)))[1]
    assert np.array_equal(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), frame.pixels)
