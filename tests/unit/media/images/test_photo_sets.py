"""Photo sets: files of a folder or pattern, their order, and their content."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipseg_live.core.errors import PhotoError, SourceError
from clipseg_live.core.settings.live import FrameTransform
from clipseg_live.media.images.photo_sets import Listing, PhotoSetSource, list_photos, natural_order
from clipseg_live.media.sources.framing import FramedSource
from clipseg_live.media.sources.registry import open_source


def put(*paths: Path, size: tuple[int, int] = (8, 6)) -> None:
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (number, 50, 60)).save(path, format="PNG")


def names(listing: Listing) -> list[str]:
    return [file.name for file in listing.files]


def test_a_folder_lists_images_and_counts_omitted_files(tmp_path: Path) -> None:
    put(tmp_path / "IMG_10.png", tmp_path / "IMG_2.JPG", tmp_path / ".hidden.png", tmp_path / "below" / "deep.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".DS_Store").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    listing = list_photos(tmp_path)
    assert names(listing) == ["IMG_2.JPG", "IMG_10.png"]
    assert (listing.skipped, listing.folders) == (5, 1)
    assert "5 files were skipped" in listing.notice and "1 sub-folder was not searched" in listing.notice
    assert listing.notice.count(".") == 1 or listing.notice.endswith(".")


def test_no_notice_without_omitted_files(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    assert list_photos(tmp_path).notice == ""


def test_an_animation_in_a_set_is_reported(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    pictures = [Image.new("RGB", (8, 6), (level, 0, 0)) for level in (0, 200)]
    pictures[0].save(tmp_path / "b.webp", save_all=True, append_images=pictures[1:], duration=100)
    assert "1 animation was read as the first image only" in list_photos(tmp_path).notice


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["1.png", "b.png"]),
        ("**/*.png", ["1.png", "b.png", "c 2.png", "c 10.png"]),
        ("deep/*", ["c 2.png", "c 10.png"]),
        ("%d.png", ["1.png"]),
        ("[b-z].png", ["b.png"]),
    ],
)
@pytest.mark.parametrize("folder", ["plain", "shots [2024] %d 100%", "фото 写真"])
def test_patterns_select_photos(tmp_path: Path, folder: str, pattern: str, expected: list[str]) -> None:
    """Pattern characters in the name of an existing folder are literal."""
    root = tmp_path / folder
    put(root / "b.png", root / "1.png", root / "deep" / "c 10.png", root / "deep" / "c 2.png", root / ".h.png")
    (root / "notes.txt").write_text("")
    assert names(list_photos(root / pattern)) == expected


def test_a_set_without_images_gives_a_one_sentence_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"contains no images \(.*\.png.*\)\.$"):
        list_photos(tmp_path)
    put(tmp_path / "below" / "a.png")
    with pytest.raises(SourceError, match=r"sub-folders are not searched: name one"):
        list_photos(tmp_path)
    with pytest.raises(SourceError, match="No image matches the pattern"):
        list_photos(tmp_path / "*.jpg")


NAME = st.text(st.sampled_from("aB01²٣ é-_"), min_size=1, max_size=8)


@pytest.mark.slow
@given(st.lists(st.builds("{}.png".format, NAME), unique=True, max_size=12), st.integers(0, 10**30))
def test_natural_order_is_a_total_order(found: list[str], number: int) -> None:
    paths = [Path("x", name) for name in found]
    backwards = paths[::-1]
    assert sorted(paths, key=natural_order) == sorted(backwards, key=natural_order)
    assert natural_order(Path(f"IMG_{number}.png")) < natural_order(Path(f"IMG_{number + 1}.png"))


def test_photos_are_independent_numbered_and_name_their_files(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "b.png", size=(20, 10))
    source = open_source(tmp_path)
    info = source.open()
    assert info.independent and (info.width, info.height, info.frame_count, info.rate) == (8, 6, 2, None)
    frames = [source.read(), source.read()]
    assert source.read() is None
    assert [frame.index for frame in frames if frame] == [0, 1]
    assert [frame.file for frame in frames if frame] == [tmp_path / "a.png", tmp_path / "b.png"]
    assert all(frame.independent for frame in frames if frame)
    assert frames[1] is not None and frames[1].pixels.shape == (10, 20, 3)
    source.close()
    assert source.read() is None


def read_all(source: PhotoSetSource | FramedSource) -> tuple[list[str], list[PhotoError]]:
    """Return the names of readable photos, and the errors of the others."""
    found: list[str] = []
    errors: list[PhotoError] = []
    while True:
        try:
            frame = source.read()
        except PhotoError as error:
            errors.append(error)
            continue
        if frame is None:
            return found, errors
        assert frame.file is not None
        found.append(frame.file.name)


@pytest.mark.parametrize("broken", [{"a.png"}, {"b.png"}, {"c.png"}, {"a.png", "b.png"}, {"a.png", "c.png"}])
@pytest.mark.parametrize("framing", [None, FrameTransform(turn=90, crop=(0.0, 0.0, 0.5, 0.5))])
def test_a_broken_photo_is_reported_once_and_others_are_read(
    tmp_path: Path, broken: set[str], framing: FrameTransform | None
) -> None:
    put(tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png")
    for name in broken:
        (tmp_path / name).write_bytes(b"no picture")
    source = open_source(tmp_path)
    read = source if framing is None else FramedSource(source, framing)
    info = read.open()
    assert (info.width, info.height) == ((8, 6) if framing is None else (3, 4))
    found, errors = read_all(read)  # type: ignore[arg-type]
    assert found == sorted({"a.png", "b.png", "c.png"} - broken)
    assert {error.file.name for error in errors} == broken
    assert all(error.file.name in str(error) for error in errors)


def test_missing_photos_are_reported(tmp_path: Path) -> None:
    put(tmp_path / "a.png", tmp_path / "b.png")
    source = open_source(tmp_path)
    source.open()
    (tmp_path / "b.png").unlink()
    found, errors = read_all(source)  # type: ignore[arg-type]
    assert found == ["a.png"] and "There is no file" in str(errors[0])


def test_a_set_without_any_readable_photo_cannot_be_opened(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"None of the 3 images can be read; the first: a\.png is not an image"):
        open_source(tmp_path).open()


def test_any_photo_can_be_reached_by_seeking(tmp_path: Path) -> None:
    put(*(tmp_path / f"{number}.png" for number in range(4)))
    source = open_source(tmp_path)
    assert isinstance(source, PhotoSetSource)
    source.open()
    for time, number in [(Fraction(2), 2), (Fraction(-1), 0), (Fraction(99), 3), (Fraction(5, 2), 2), (Fraction(0), 0)]:
        source.seek(time)
        frame = source.read()
        assert frame is not None and frame.index == frame.time == number


def test_orientation_is_applied_to_each_photo(tmp_path: Path) -> None:
    picture = Image.fromarray(np.arange(8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.png")
    picture.save(tmp_path / "b.png", exif=exif)
    source = open_source(tmp_path)
    source.open()
    first, second = source.read(), source.read()
    assert first is not None and second is not None
    np.testing.assert_array_equal(second.pixels, np.rot90(first.pixels, -1))
