"""Every layout gives the masks that were drawn, and damaged data sets give one sentence with the file's name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from skimage.draw import polygon2mask

from clipseg_live.core.errors import ClipsegLiveError, SourceError, UsageError
from clipseg_live.evaluation.dataset import TrueSet
from clipseg_live.evaluation.readers.registry import read_data_set
from clipseg_live.evaluation.truths import CocoTruth, MaskFile, decompress_runs, mask_of_runs, read_mask_values
from clipseg_live.media.images.reader import read_image
from tests.helpers.paths import ROOT
from tests.helpers.true_sets import (
    PROMPTS,
    SIZE,
    Drawn,
    drawn_images,
    write_davis,
    write_export,
    write_folder,
    write_one_shot,
    write_phrasecut,
    write_voc,
)

SAMPLE = ROOT.parent / "shared" / "facts" / "fss-1000-sample"


@pytest.fixture(scope="module")
def images() -> list[Drawn]:
    drawn = drawn_images()
    present = [image.masks[PROMPTS[2]].any() for image in drawn]
    assert any(present) and not all(present)
    return drawn


def masks_of(data: TrueSet) -> list[dict[str, np.ndarray]]:
    return [{each.category: each.truth.read(*SIZE).object for each in image.targets} for image in data.images]


def assert_drawn(data: TrueSet, images: list[Drawn], prompts: tuple[str, ...] = PROMPTS) -> None:
    assert data.words == {prompt: prompt for prompt in prompts}
    for found, image in zip(masks_of(data), images, strict=True):
        assert found.keys() == set(prompts)
        assert all(np.array_equal(found[prompt], image.masks[prompt]) for prompt in prompts)


def test_folders_of_prompts_are_read_and_missing_masks_are_empty(images: list[Drawn], tmp_path: Path) -> None:
    data = read_data_set(write_folder(tmp_path, images))
    assert data.layout == "folder" and not data.per_target
    assert data.words == {prompt: prompt for prompt in sorted(PROMPTS)}
    for found, image, listed in zip(masks_of(data), images, data.images, strict=True):
        assert all(np.array_equal(found[prompt], mask) for prompt, mask in image.masks.items())
        assert np.array_equal(read_image(listed.file), image.pixels)


@pytest.mark.parametrize("shared", [False, True])
def test_folders_of_classes_are_read(images: list[Drawn], tmp_path: Path, shared: bool) -> None:
    data = read_data_set(write_one_shot(tmp_path, images, shared=shared))
    assert data.layout == "one-shot" and data.words == {"blue_star": "blue star", "red_circle": "red circle"}
    assert [image.name for image in data.images] == [f"{name}/{n}" for name in data.words for n in (1, 2, 3, 4)]
    expected = [image.masks[data.words[name]] for name in data.words for image in images]
    found = [mask for each in masks_of(data) for mask in each.values()]
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("segmentation", ["polygon", "rle"])
@pytest.mark.parametrize("instances", ["component", "prompt"])
def test_exported_coco_is_read(images: list[Drawn], tmp_path: Path, segmentation: str, instances: str) -> None:
    folder = write_export("coco", tmp_path / "set", images, segmentation=segmentation, instances=instances)
    assert_drawn(read_data_set(folder), images)
    assert_drawn(read_data_set(folder / "annotations" / "instances_default.json"), images)


def test_whole_run_lengths_and_split_folders_of_coco_are_read(images: list[Drawn], tmp_path: Path) -> None:
    """The layout of COCO 2017 with an uncompressed group, as ``iscrowd`` annotations have it."""
    folder = write_export("coco", tmp_path / "set", images, segmentation="rle")
    (folder / "images").rename(folder / "val2017")
    path = folder / "annotations" / "instances_default.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        mask = coco.decode(annotation["segmentation"])
        flat = mask.ravel(order="F")
        runs = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]]))
        annotation["segmentation"]["counts"] = [0, *runs.tolist()] if flat[0] else runs.tolist()
    path.write_text(json.dumps(content))
    assert_drawn(read_data_set(path.rename(path.with_name("instances_val2017.json"))), images)


@pytest.mark.parametrize("split", [None, 0.5])
def test_exported_yolo_is_read(images: list[Drawn], tmp_path: Path, split: float | None) -> None:
    data = read_data_set(write_export("yolo", tmp_path / "set", images, split=split, instances="prompt"))
    assert_drawn(data, images)
    names = [image.name for image in data.images]
    assert names == (["000000", "000001", "000002", "000003"] if split is None else
                     ["train/000000", "train/000001", "val/000002", "val/000003"])  # fmt: skip


@pytest.mark.parametrize("form", ["png", "indexed"])
def test_exported_masks_are_read_with_their_images(images: list[Drawn], tmp_path: Path, form: str) -> None:
    folder = write_export(form, tmp_path / "set", images)
    photos = write_folder(tmp_path / "photos", images) / "images"
    with pytest.raises(SourceError, match="--images"):
        read_data_set(folder)
    data = read_data_set(folder, images=photos)
    assert data.layout == "masks"
    covered = np.zeros(SIZE, bool)
    for found, image in zip(masks_of(data), images, strict=True):
        covered = np.zeros(SIZE, bool)  # later prompts cover earlier ones in indexed masks
        for prompt in reversed(PROMPTS):
            expected = image.masks[prompt] & ~covered
            covered |= image.masks[prompt] if form == "indexed" else False
            assert np.array_equal(found[prompt], expected)


@pytest.mark.parametrize("listing", [None, "pfenet.txt"])
def test_voc_is_read_with_its_own_and_other_lists(tmp_path: Path, listing: str | None) -> None:
    size = (240, 320)
    folder, values = write_voc(tmp_path, drawn_images(3, size))
    data = read_data_set(folder, listing=None if listing is None else folder / listing)
    assert data.layout == "voc" and len(data.words) == 20 and data.words["tvmonitor"] == "tv monitor"
    left_out = 0
    for image in data.images:
        labels = values[image.name]
        present = {"cat": 8, "dog": 12}
        assert {each.category for each in image.targets} == {
            name for name, value in present.items() if (labels == value).sum() >= 2048
        }
        left_out += 2 - len(image.targets)
        for target in image.targets:
            truth = target.truth.read(*size)
            assert np.array_equal(truth.object, labels == present[target.category])
            assert np.array_equal(truth.valid, labels != 255)
    assert 0 < left_out < 6


def test_videos_of_davis_are_read_in_order(tmp_path: Path) -> None:
    frames = drawn_images(3, step=5)
    data = read_data_set(write_davis(tmp_path, frames))
    assert data.layout == "davis" and data.words == {"red-circle": "red circle"}
    assert [(image.name, image.sequence) for image in data.images] == [
        (f"red-circle/{frame.name}", "red-circle") for frame in frames
    ]
    found = [each["red-circle"] for each in masks_of(data)]
    assert all(np.array_equal(one, frame.masks["red circle"]) for one, frame in zip(found, frames, strict=True))
    (tmp_path / "none.txt").write_text("another\n")
    with pytest.raises(SourceError, match="another"):
        read_data_set(tmp_path, listing=tmp_path / "none.txt")


def test_phrases_are_read_as_scikit_image_draws_them(images: list[Drawn], tmp_path: Path) -> None:
    folder, phrases = write_phrasecut(tmp_path, images)
    data = read_data_set(folder)
    assert data.layout == "phrasecut" and data.per_target
    assert data.notices == ("Images left out because their size differs from that of their annotations: 1.",)
    targets = [target for image in data.images for target in image.targets]
    for target, (phrase, polygons) in zip(targets, phrases, strict=True):
        assert target.category == phrase
        expected = np.any([polygon2mask(SIZE, polygon[:, ::-1]) for polygon in polygons], axis=0)
        assert expected.any() and np.array_equal(target.truth.read(*SIZE).object, expected)


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the sample of FSS-1000 is not here")
def test_the_sample_of_fss_1000_is_read() -> None:
    data = read_data_set(SAMPLE)
    assert data.layout == "one-shot" and len(data.images) == 10
    for image in data.images:
        truth = image.targets[0].truth.read(*read_image(image.file).shape[:2])
        assert 0.01 < truth.object.mean() < 0.9


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_masks_of_every_mode_are_read(tmp_path: Path, mode: str) -> None:
    mask = np.zeros((7, 9), bool)
    mask[2:5, 3:8] = True
    grey = Image.fromarray(mask * np.uint8(1 if mode == "P" else 255))
    if mode == "I;16":
        grey = Image.fromarray(mask * np.uint16(300))
    grey.convert(mode).save(tmp_path / "mask.png")
    assert np.array_equal(MaskFile(tmp_path / "mask.png").read(7, 9).object, mask)
    assert read_mask_values(tmp_path / "mask.png").shape == (7, 9)


def test_compressed_run_lengths_are_those_of_pycocotools() -> None:
    random = np.random.default_rng(0)
    for density in (0.0, 0.001, 0.1, 0.5, 1.0):
        mask = random.random((67, 101)) < density
        text = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode("ascii")
        assert np.array_equal(mask_of_runs(decompress_runs(text), 67, 101), mask)


@pytest.mark.parametrize("text", ["O", "PPPPPPPPP1", "0\x00", "1é", "S5O", "0" * 40])
def test_damaged_run_lengths_are_rejected(text: str) -> None:
    """pycocotools itself crashes with some of them."""
    with pytest.raises(SourceError, match="damaged"):
        CocoTruth((text,), (6, 7), Path("a.json")).read(6, 7)


@pytest.mark.parametrize(
    "polygon",
    [(1.0, 1, 5, 5), (0, 0, 5, 5, 1e9, 3), (0, 0, 5, 5, float("nan"), 3), (1, 2, 3, 4, 5, 6, 7), (-1e308,) * 6],
)
def test_polygons_that_do_not_fit_are_rejected(polygon: tuple[float, ...]) -> None:
    with pytest.raises(SourceError, match="damaged"):
        CocoTruth(((polygon,),), (6, 7), Path("a.json")).read(6, 7)
    inside = (-1.0, -1, 5, 5, 9, 3)
    assert CocoTruth(((inside,),), (6, 7), Path("a.json")).read(6, 7).object.any()


def _folder(change: Callable[[Path], object]) -> Callable[[Path, list[Drawn]], Path]:
    def write(path: Path, images: list[Drawn]) -> Path:
        change(write_folder(path, images))
        return path

    return write


def _coco(change: Callable[[dict[str, list]], object]) -> Callable[[Path, list[Drawn]], Path]:
    def write(path: Path, images: list[Drawn]) -> Path:
        file = write_export("coco", path / "set", images) / "annotations" / "instances_default.json"
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))
        return path / "set"

    return write


def _yolo(change: Callable[[Path], object]) -> Callable[[Path, list[Drawn]], Path]:
    def write(path: Path, images: list[Drawn]) -> Path:
        change(write_export("yolo", path / "set", images))
        return path / "set"

    return write


DAMAGED = {
    "missing": (lambda path, images: path / "nowhere", "nowhere"),
    "empty folder": (lambda path, images: path, "no known layout"),
    "a text file": (lambda path, images: path / "x.txt" if (path / "x.txt").write_text("") == 0 else path, r"x\.txt"),
    "no images": (_folder(lambda path: shutil.rmtree(path / "images")), "images"),
    "no masks": (_folder(lambda path: [shutil.rmtree(each) for each in (path / "masks").iterdir()]), "masks"),
    "mask of no image": (_folder(lambda path: (path / "images" / "000001.png").unlink()), r"000001\.png"),
    "two images for a mask": (
        _folder(lambda path: shutil.copy(path / "images/000001.png", path / "images/000001.jpg")), r"000001\.jpg",
    ),
    "truncated mask": (
        _folder(lambda path: (path / "masks/red circle/000001.png").write_bytes(b"\x89PNG")), r"000001\.png",
    ),
    "mask of another size": (
        _folder(lambda path: Image.new("L", (3, 5)).save(path / "masks/red circle/000001.png")),
        r"000001\.png has 3×5 pixels",
    ),
    "empty coco": (_coco(lambda content: content.update(images=[])), r"instances_default\.json"),
    "coco without a field": (_coco(lambda content: content["images"][1].pop("width")), r"images → 1 → width"),
    "coco with a missing image": (_coco(lambda content: content["images"][0].update(file_name="x.jpg")), r"x\.jpg"),
    "coco that leaves its folder": (
        _coco(lambda content: content["images"][0].update(file_name="../../x.jpg")), r"outside its folder",
    ),
    "coco with an unknown category": (
        _coco(lambda content: content["annotations"][0].update(category_id=99)), "category 99",
    ),
    "coco with wrong run lengths": (
        _coco(lambda content: content["annotations"][0].update(segmentation={"size": [1, 1], "counts": [1, 2]})),
        r"instances_default\.json has a segmentation that is damaged",
    ),
    "coco of another size": (_coco(lambda content: content["images"][0].update(width=9)), "9×120"),
    "damaged yaml": (_yolo(lambda path: (path / "data.yaml").write_text("names: [")), r"data\.yaml"),
    "yaml of another form": (_yolo(lambda path: (path / "data.yaml").write_text("names: 3")), r"data\.yaml"),
    "damaged labels": (_yolo(lambda path: (path / "labels/000000.txt").write_text("0 0.1 nan 1")), r"Line 1.*000000"),
    "labels out of range": (_yolo(lambda path: (path / "labels/000000.txt").write_text("0 5 5 6 6 7 5")), "Line 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_data_sets_give_one_sentence(name: str, images: list[Drawn], tmp_path: Path) -> None:
    write, message = DAMAGED[name]
    path = write(tmp_path, images)
    with pytest.raises(SourceError, match=message) as error:
        masks_of(read_data_set(path))
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_truncated_lists_give_one_sentence(images: list[Drawn], tmp_path: Path) -> None:
    folder, _ = write_phrasecut(tmp_path / "cut", images)
    whole = (folder / "refer_test.json").read_text()
    for content in ("", whole[:200], "[]", "[" * 100_000, '[{"task_id": 1}]'):
        (folder / "refer_test.json").write_text(content)
        with pytest.raises(SourceError, match=r"refer_test\.json"):
            read_data_set(folder)
    for value in ("NaN", "1e300", "-Infinity"):
        (folder / "refer_test.json").write_text(whole.replace("[[[[", f"[[[[{value}, 1], [", 1))
        with pytest.raises(SourceError, match=r"refer_test\.json has a polygon that is damaged"):
            read_data_set(folder)
    folder, _ = write_voc(tmp_path / "voc", images[:1])
    (folder / "pfenet.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match=r"pfenet\.txt"):
        read_data_set(folder, listing=folder / "pfenet.txt")


def test_a_set_has_the_name_of_its_folder(images: list[Drawn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_folder(tmp_path / "Mugs 杯", images))
    assert read_data_set(Path()).name == "Mugs 杯"


def test_unknown_layouts_and_unused_lists_are_rejected(images: list[Drawn], tmp_path: Path) -> None:
    write_folder(tmp_path, images)
    with pytest.raises(UsageError, match="phrasecut"):
        read_data_set(tmp_path, "pascal")
    with pytest.raises(ClipsegLiveError, match="layout folder"):
        read_data_set(tmp_path, listing=tmp_path / "list.txt")
    with pytest.raises(SourceError, match="no folder"):
        read_data_set(tmp_path, images=tmp_path / "gone")
