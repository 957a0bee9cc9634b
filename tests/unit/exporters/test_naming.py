"""Photos keep their names and files in every data set."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from clipseg_live.core.errors import SinkError, UsageError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.exporters import naming
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.naming import FrameNames, fold_name
from clipseg_live.exporters.registry import open_data_sink
from clipseg_live.media.images.sequences import read_image
from tests.helpers.known_mattes import LABELS, frames_with_mattes, mattes_of, write_frames

PIXELS = np.zeros((1, 1, 3), np.uint8)
FOLDERS = {"png": "{}_1-red-circle.png", "indexed": "{}.png", "npz": "{}.npz", "alpha-png": "{}.png",
           "alpha-webp": "{}.webp"}  # fmt: skip
FILMS = {"mask-video": "m.mkv", "alpha-prores": "m.mov", "alpha-vp9": "m.webm", "animation-webp": "m.webp",
         "animation-gif": "m.gif"}  # fmt: skip


def frame_of(path: Path | str | None, index: int = 0) -> Frame:
    return Frame(PIXELS, index, Fraction(0), file=None if path is None else Path(path))


def photos(folder: Path, names: Sequence[str], **options: object) -> tuple[SourceInfo, list[Frame], list[Mattes]]:
    """Return photos of different sizes, each with a square."""
    frames, mattes = [], []
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = 20 + 3 * index, 30 + 2 * index
        pixels = np.random.default_rng(index).integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(path, **options)
        alpha = np.zeros((height, width), np.uint8)
        alpha[4:12, 5:20] = 255
        frames.append(Frame(read_image(path), index, Fraction(index), file=path))
        mattes.append(mattes_of([alpha]))
    info = SourceInfo("in", 30, 20, None, Fraction(1), len(frames), independent=True)
    return info, frames, mattes


def test_frames_of_a_video_are_numbered() -> None:
    names = FrameNames()
    assert [names.stem(frame_of(None, index)) for index in (0, 123, 1_234_567)] == ["000000", "000123", "1234567"]
    assert names.file(frame_of(None), "walk.mp4") == "walk.mp4"


@pytest.mark.parametrize(
    ("paths", "stems", "files"),
    [
        (["a/IMG_1.png", "a/IMG_2.JPG"], ["IMG_1", "IMG_2"], ["IMG_1.png", "IMG_2.JPG"]),
        (["a/x.png", "a/x.jpg"], ["x", "x-jpg"], ["x.png", "x.jpg"]),
        (["a/x.png", "b/x.png"], ["x", "b-x"], ["x.png", "b/x.png"]),
        (["a/b-x.png", "a/x.png", "b/x.png"], ["b-x", "x", "x-2"], ["b-x.png", "x.png", "b/x.png"]),
        (["a/x.png", "b/x.jpg", "b/x.png"], ["x", "b-x", "x-2"], ["x.png", "x.jpg", "b/x.png"]),
        (["a/X.png", "a/x.png"], ["X", "x-2"], ["X.png", "x.png"]),
        (["a/scan.tif", "a/scan.tif"], ["scan", "scan-2"], ["scan.tif", "scan.tif"]),
        (["a/étoile 青.png", "a/e\u0301toile 青.png"], ["étoile 青", "e\u0301toile 青-2"], None),
        (["a/.hidden.png", "a/a.b.c.png"], ["hidden", "a.b.c"], None),
    ],
)
def test_names_are_kept_and_unique(paths: list[str], stems: list[str], files: list[str] | None) -> None:
    names = FrameNames()
    assert [names.stem(frame_of(path)) for path in paths] == stems
    if files is not None:
        assert [names.file(frame_of(path), "") for path in paths] == files


@pytest.mark.slow
@given(st.lists(st.text(st.characters(exclude_characters="/\x00", codec="utf-8"), min_size=1), max_size=12))
def test_any_names_become_unique_valid_names(given_names: list[str]) -> None:
    names = FrameNames()
    stems = [names.stem(frame_of(f"folder/{name}.png")) for name in given_names]
    assert len({fold_name(stem) for stem in stems}) == len(stems)
    for stem in stems:
        assert stem and "/" not in stem and "\n" not in stem and not stem.startswith(".") and len(stem.encode()) < 200


def test_names_with_invalid_unicode_can_be_written() -> None:
    name = os.fsdecode(b"caf\xe9.png")
    names = FrameNames()
    assert names.stem(frame_of(name)).encode() and names.file(frame_of(name), "").encode()


@pytest.mark.parametrize("form", FOLDERS)
def test_folders_of_photos_keep_names_and_can_be_replaced(form: str, tmp_path: Path) -> None:
    info, frames, mattes = photos(tmp_path / "in", ["IMG_4003.png", "b/IMG_4003.png", "été.jpg"])
    folder = tmp_path / "set"
    write_frames(open_data_sink(form, folder), info, frames, mattes)
    names = sorted(path.name for path in folder.iterdir() if path.name != "index.json")
    assert names == sorted(FOLDERS[form].format(stem) for stem in ("IMG_4003", "b-IMG_4003", "été"))
    write_frames(open_data_sink(form, folder, DataOptions(overwrite=True)), info, frames[:1], mattes[:1])
    assert len(list(folder.iterdir())) == 2
    Image.fromarray(frames[0].pixels).save(folder / "holiday.png")  # not listed in the index
    with pytest.raises(UsageError, match=r"contains other files \(holiday\.png\)"):
        open_data_sink(form, folder, DataOptions(overwrite=True))


@pytest.mark.parametrize("form", [*FOLDERS, "coco", "yolo", "mask-video"])
def test_a_folder_of_photos_is_not_treated_as_data(form: str, tmp_path: Path) -> None:
    photos(tmp_path / "in", ["IMG_1.png", "images/IMG_2.jpg", "labels/a.png"])
    with pytest.raises(UsageError, match="contains other files"):
        open_data_sink(form, tmp_path / "in", DataOptions(overwrite=True))


def test_coco_keeps_photos_byte_by_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["IMG_4003.png", "b/IMG_4003.png", "c.JPG", "d.webp", "e.bmp", "f.tiff"]
    info, frames, mattes = photos(tmp_path / "in", names)
    sink = open_data_sink("coco", tmp_path / "set")
    write_frames(sink, info, frames, mattes)
    assert sink.notices == []
    coco = COCO(str(tmp_path / "set" / "annotations" / "instances_default.json"))
    capsys.readouterr()
    images = coco.loadImgs(coco.getImgIds())
    kept = ["IMG_4003.png", "b-IMG_4003.png", "c.JPG", "d.webp", "e.bmp", "f.tiff"]
    assert [image["file_name"] for image in images] == kept
    for image, frame in zip(images, frames, strict=True):
        assert frame.file is not None
        copied = tmp_path / "set" / "images" / image["file_name"]
        assert copied.read_bytes() == frame.file.read_bytes()
        assert copied.stat().st_ino != frame.file.stat().st_ino, "a trainer would change the photo itself"
        assert (image["width"], image["height"]) == (frame.width, frame.height)
        (one,) = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
        assert coco.annToMask(one).shape == frame.pixels.shape[:2] and one["area"] == 8 * 15
    write_frames(open_data_sink("coco", tmp_path / "set", DataOptions(overwrite=True)), info, frames[:2], mattes[:2])
    assert len(list((tmp_path / "set" / "images").iterdir())) == 2


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_rotated_photos_are_written_upright(form: str, tmp_path: Path) -> None:
    names = ["plain.jpg", "turned.jpg", "mirrored.png", "cropped.jpg", "old.gif"]
    info, frames, mattes = photos(tmp_path / "in", names)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert frames[1].file is not None
    Image.fromarray(np.rot90(frames[1].pixels)).save(frames[1].file, exif=exif, quality=100, subsampling=0)
    frames[1] = replace(frames[1], pixels=read_image(frames[1].file))  # upright, unlike its file
    frames[2] = replace(frames[2], pixels=np.ascontiguousarray(frames[2].pixels[:, ::-1]))  # the same size
    frames[3] = replace(frames[3], pixels=np.ascontiguousarray(frames[3].pixels[:-4, :-2]))
    mattes[3] = mattes_of([np.full(frames[3].pixels.shape[:2], 255, np.uint8)])
    sink = open_data_sink(form, tmp_path / "set")
    write_frames(sink, info, frames, mattes)
    names = sorted(path.name for path in (tmp_path / "set" / "images").iterdir())
    assert names == ["cropped.jpg", "mirrored.png", "old.jpg", "plain.jpg", "turned.jpg"]
    assert len(sink.notices) == 1 and sink.notices[0].startswith("4 photos were written as a new PNG or JPEG file")
    for frame in frames:
        assert frame.file is not None
        (path,) = (tmp_path / "set" / "images").glob(f"{frame.file.stem}.*")
        with Image.open(path) as picture:
            assert picture.getexif().get(0x0112, 1) == 1 and picture.size == (frame.width, frame.height)
            assert np.abs(np.asarray(picture.convert("RGB"), int) - frame.pixels).mean() < 12


def test_yolo_pairs_photos_and_labels_by_name(tmp_path: Path) -> None:
    info, frames, mattes = photos(tmp_path / "in", ["IMG_4003.png", "IMG_4003.jpg", "x/IMG_4003.png"])
    write_frames(open_data_sink("yolo", tmp_path / "set"), info, frames, mattes)
    images = sorted((tmp_path / "set" / "images").iterdir())
    labels = sorted((tmp_path / "set" / "labels").iterdir())
    assert [path.stem for path in images] == [path.stem for path in labels]
    assert [path.name for path in images] == ["IMG_4003-jpg.jpg", "IMG_4003.png", "x-IMG_4003.png"]
    for name in ("labels.cache", ".DS_Store", "images/Thumbs.db", "labels/desktop.ini", "images/IMG_4003.npy"):
        (tmp_path / "set" / name).write_bytes(b"x")
    write_frames(open_data_sink("yolo", tmp_path / "set", DataOptions(overwrite=True)), info, frames[:1], mattes[:1])
    assert len(list((tmp_path / "set" / "images").iterdir())) == 1


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_tables_name_the_photo_of_each_line(form: str, tmp_path: Path) -> None:
    info, frames, mattes = photos(tmp_path / "in", ["IMG_4003.png", "b/IMG_4003.png", "c.jpg"])
    write_frames(open_data_sink(form, tmp_path / f"m.{form}"), info, frames, mattes)
    text = (tmp_path / f"m.{form}").read_text("utf-8")
    if form == "jsonl":
        found = [json.loads(line)["file"] for line in text.splitlines()]
    else:
        found = [line.split(",")[0] for line in text.splitlines()[1:]]
    assert found == ["IMG_4003.png", "b/IMG_4003.png", "c.jpg"]


@pytest.mark.parametrize(("form", "name"), [*FILMS.items(), ("mask-video", "folder")])
def test_photos_cannot_be_written_as_video(form: str, name: str, tmp_path: Path) -> None:
    info, _, _ = photos(tmp_path / "in", ["a.png", "b.png"])
    sink = open_data_sink(form, tmp_path / name, DataOptions({}, (Label("a", 0.5),)))
    with pytest.raises(SinkError, match=r"in is a set of photos, which .* cannot hold: .*--sequence"):
        sink.open(info)
    sink.abort()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


LITTER = [".DS_Store", "._x.png", "Thumbs.db", "desktop.ini", "Desktop.ini", ".directory"]


@pytest.mark.parametrize("form", [*FOLDERS, "coco", "yolo", "mask-video"])
@pytest.mark.parametrize("name", [*LITTER, "labels.cache", "train.cache"])
def test_files_of_other_programs_do_not_block(form: str, name: str, tmp_path: Path) -> None:
    info, frames, mattes = frames_with_mattes(2)
    folder = tmp_path / "set"
    write_frames(open_data_sink(form, folder, DataOptions({}, LABELS)), info, frames, mattes)
    for place in (folder, *(each for each in folder.iterdir() if each.is_dir())):
        (place / name).write_bytes(b"x")
    with pytest.raises(UsageError, match="exists already"):
        open_data_sink(form, folder, DataOptions({}, LABELS))
    write_frames(open_data_sink(form, folder, DataOptions({}, LABELS, overwrite=True)), info, frames, mattes)
    assert not list(folder.rglob(name))


@pytest.mark.parametrize("name", LITTER)
def test_a_folder_with_only_system_files_is_empty(name: str, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / name).write_bytes(b"x")
    info, frames, mattes = frames_with_mattes(2)
    write_frames(open_data_sink("png", tmp_path / "set"), info, frames, mattes)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.cache").write_bytes(b"x")  # may be a file of the user
    with pytest.raises(UsageError, match="exists already"):
        open_data_sink("png", tmp_path / "other")


def test_many_photos_of_one_name_are_named_quickly(monkeypatch):
    tried = []
    monkeypatch.setattr(naming, "fold_name", lambda name: tried.append(name) or name)
    names = FrameNames()
    files = [Path(f"/data/shot{number}/rgb/image.jpg") for number in range(300)]
    stems = [names.stem(Frame(PIXELS, number, Fraction(number), file=file)) for number, file in enumerate(files)]
    assert len(set(stems)) == 300 and len(tried) < 10 * 300
