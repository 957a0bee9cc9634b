"""Folders of photos on the command line and in Python, with the built-in model."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipseg_live import stream
from clipseg_live.demo.scenes import Scene
from tests.e2e.conftest import Completed, pictures_of

Run = Callable[..., Completed]
OPTIONS = ("-p", "red circle", "--model", "shapes")
SIZES = {"IMG_2.png": (256, 192), "IMG_10.jpg": (192, 256), "写真 100%.png": (320, 180)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three photos of different sizes, a damaged photo, and another file."""
    folder = tmp_path_factory.mktemp("set") / "shots"
    (folder / "below").mkdir(parents=True)
    for seed, (name, size) in enumerate(SIZES.items()):
        Image.fromarray(Scene(seed, *size, Fraction(30)).picture(0)).save(folder / name)
    (folder / "IMG_3.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("")
    return folder


def test_each_photo_of_a_folder_is_exported(clipseg_live: Run, photos: Path, tmp_path: Path) -> None:
    done = clipseg_live("export", photos, *OPTIONS, "-o", "out", "--masks", "m.jsonl")
    assert done.code == 1 and done.out.startswith("out: 3 photos in ")
    assert done.err.splitlines() == [
        f"{photos}: 1 file was skipped (hidden or not an image), and 1 sub-folder was not searched (a pattern with "
        "** searches them).",
        "1 photo could not be read:",
        "  IMG_3.png is not an image that can be read.",
    ]
    for name, size in SIZES.items():
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.size == size
    alone = clipseg_live("export", photos / "IMG_2.png", *OPTIONS, "-o", "alone.png")
    assert alone.code == 0, alone.err
    with Image.open(tmp_path / "alone.png") as one, Image.open(tmp_path / "out" / "IMG_2.png") as other:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_photos_listed_by_the_shell_are_one_set(clipseg_live: Run, photos: Path, tmp_path: Path) -> None:
    files = [photos / name for name in SIZES]
    first = clipseg_live("export", *files, *OPTIONS, "--into", "results", "--data", "coco")
    assert first.code == 0, first
    assert first.out.splitlines()[0].startswith("results: done, 3 photos in ")
    found = sorted(path.name for path in (tmp_path / "results").iterdir() if not path.name.startswith("."))
    assert found == sorted([*SIZES, "shots-coco"])
    again = clipseg_live("export", *files, *OPTIONS, "--into", "results", "--data", "coco")
    assert again.out.splitlines()[0] == "results: already finished"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "shots", "-o", "faces.mkv"], ["photos, not a video", "--sequence", "faces.mkv"]),
        (["record", "shots"], ["separate photos, not a video", "--sequence"]),
        (["virtual-camera", "shots"], ["separate photos, not a video", "--sequence"]),
        (["export", "shots", "-o", "out", "--rate", "5"], ["--rate", "--sequence"]),
        (["export", "shots", "-o", "a.mkv", "--sequence", "--rate", "x"], ["'x' is not a rate"]),
        (["export", "shots/IMG_2.png", "-o", "a.mkv", "--sequence"], ["not single images"]),
        (["watch", "a.mp4", "--sequence"], ["--sequence takes a folder"]),
        (["export", "empty", "-o", "out"], ["contains no images"]),
    ],
)
def test_invalid_use_gives_a_one_sentence_error(
    clipseg_live: Run, photos: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    (tmp_path / "shots").symlink_to(photos)
    (tmp_path / "empty").mkdir()
    done = clipseg_live(*arguments, *OPTIONS)
    assert done.code == (1 if "empty" in arguments else 2) and done.out == ""
    assert done.err.count("\n") == 1 and all(word in done.err for word in words), done.err


def test_a_sequence_is_exported_as_video(clipseg_live: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    scene = Scene(0, 128, 96, Fraction(30))
    for number in range(3):
        Image.fromarray(scene.picture(number)).save(tmp_path / "in" / f"{number}.png")
    done = clipseg_live("export", "in", *OPTIONS, "--sequence", "--rate", "30000/1001", "-o", "a.mkv")
    assert done.code == 0, done.err
    assert len(pictures_of(tmp_path / "a.mkv")) == 3


def test_watch_and_stream_give_each_photo_once(clipseg_live: Run, photos: Path) -> None:
    done = clipseg_live("watch", photos, *OPTIONS)
    entries = [json.loads(line) for line in done.out.splitlines()]
    assert [Path(entry["file"]).name for entry in entries] == list(SIZES)
    assert done.code == 1 and done.err == "IMG_3.png is not an image that can be read.\n"
    problems: list[str] = []
    with stream(photos, ["red circle"], model="shapes", on_status=lambda status: problems.append(status.problem)) as it:
        frames = [item.frame for item in it]
    assert [(frame.width, frame.height) for frame in frames] == list(SIZES.values())
    assert [frame.index for frame in frames] == [0, 2, 3] and len(set(filter(None, problems))) == 1
