"""Lists of photos and videos, and thumbnails."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipseg_live.core.errors import SourceError
from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.media.sources.file_list import list_files, read_thumbnail
from clipseg_live.media.sources.live_sources import open_live


def save(path: Path, size: tuple[int, int] = (8, 6), colour: str = "red", **options: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)
    return path


def test_photos_of_a_folder_are_in_the_order_of_their_source(tmp_path: Path) -> None:
    for name in ("b10.png", "b2.png", ".hidden.png"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("")
    found = list_files([str(tmp_path)])
    assert found.is_photo_set and [file.name for file in found.files] == ["b2.png", "b10.png"]
    source = open_live(SourceSpec(name=str(tmp_path)))
    source.open()
    assert [source.read().file for _ in found.files] == list(found.files)
    source.close()


def test_videos_and_photos_are_one_list_in_natural_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.mp4", "c.MOV"):
        (tmp_path / name).touch()
    found = list_files([str(tmp_path)])
    assert not found.is_photo_set and [file.name for file in found.files] == ["a.mp4", "b.png", "c.MOV"]


def test_several_names_are_one_list(tmp_path: Path) -> None:
    first, second = save(tmp_path / "one" / "a.png"), save(tmp_path / "b.png")
    names = [str(second), str(tmp_path / "one"), str(second), str(tmp_path / "missing.png")]
    assert set(list_files(names).files) == {first, second} and len(list_files(names).files) == 2
    with_video = list_files([*names, "gone.mp4"])  # their errors are shown
    assert {Path("gone.mp4"), tmp_path / "missing.png"} <= set(with_video.files) and not with_video.is_photo_set


@pytest.mark.parametrize("name", ["", "*.mp4"])
def test_a_folder_without_files_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError):
        list_files([str(tmp_path / name)])


def test_thumbnails_of_photos_videos_and_animations(tmp_path: Path) -> None:
    tall = Image.new("RGB", (400, 200), "red")
    tall.save(tmp_path / "photo.jpg", exif=_turned())
    tall.save(tmp_path / "film.gif", save_all=True, append_images=[Image.new("RGB", (400, 200), "blue")])
    for name, shape in (("photo.jpg", (100, 50, 3)), ("film.gif", (50, 100, 3))):
        pixels = read_thumbnail(tmp_path / name, 100)
        assert pixels.shape == shape and pixels.dtype == np.uint8
        assert np.abs(pixels[5, 5].astype(int) - (255, 0, 0)).max() < 8


@pytest.mark.parametrize("name", ["missing.png", "empty.png", "broken.mp4", "folder.png"])
def test_unreadable_files_have_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SourceError, match=r"^[^\n]+\.$"):
        read_thumbnail(tmp_path / name, 64)


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif
