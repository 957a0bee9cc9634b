"""HEIC and AVIF images with orientation and colours, or one clear error."""

import builtins
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from clipseg_live.core.errors import SourceError
from clipseg_live.media.images import heif
from clipseg_live.media.images.reader import read_image
from clipseg_live.media.images.sequences import ImageSource
from clipseg_live.media.sources.registry import open_source
from clipseg_live.media.sources.video_file import VideoFileSource
from tests.helpers.clips import numbered_image, read_all
from tests.helpers.paths import DATA
from tests.unit.media.images.test_colours import P3_XY, difference, in_srgb, srgb_light

GRID = DATA / "grid.heic"
"""640×480 in tiles of 256×256."""
BIG = np.asarray(Image.fromarray(numbered_image(0)).resize((256, 192)))


def save(path: Path, pixels: np.ndarray = BIG, **options: object) -> Path:
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(path, quality=98, chroma=444, **options)
    return path


def test_a_grid_of_tiles_is_one_image():
    seen = read_image(GRID)
    assert seen.shape == (480, 640, 3)
    assert np.array_equal(seen, np.asarray(pillow_heif.read_heif(GRID)))
    _, frames = read_all(open_source(GRID))
    assert len(frames) == 1 and np.array_equal(frames[0].pixels, seen)


@pytest.mark.parametrize("name", ["a.heic", "a.mov", "a", "a.jpg"])
def test_the_format_is_detected_from_content(tmp_path, name):
    (tmp_path / name).write_bytes(GRID.read_bytes())
    assert isinstance(open_source(tmp_path / name), ImageSource)
    assert read_image(tmp_path / name).shape == (480, 640, 3)
    with pytest.raises(SourceError, match="is a still image, not a video"):
        VideoFileSource(tmp_path / name).open()


@pytest.mark.parametrize("name", ["a.heic", "a.mov"])
def test_a_missing_package_gives_an_error(tmp_path, name, monkeypatch):
    (tmp_path / name).write_bytes(GRID.read_bytes())
    real = builtins.__import__

    def missing(name: str, *arguments: object, **keywords: object) -> object:
        if name.startswith("pillow_heif"):
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", missing)
    heif.can_read_heic.cache_clear()
    try:
        with pytest.raises(SourceError, match=rf'^{name} is a HEIC image.*pip install "pillow-heif>=') as caught:
            open_source(tmp_path / name).open()
    finally:
        heif.can_read_heic.cache_clear()
    assert ". " not in str(caught.value) and "\n" not in str(caught.value), "one sentence"


def test_avif_needs_no_package(tmp_path, monkeypatch):
    monkeypatch.setattr(heif, "can_read_heic", lambda: False)
    Image.fromarray(BIG).save(tmp_path / "a.avif", quality=98)
    assert difference(read_image(tmp_path / "a.avif"), BIG) < 3
    with pytest.raises(SourceError, match="still image"):
        VideoFileSource(tmp_path / "a.avif").open()


@pytest.mark.slow
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.heic", "a.avif"])
def test_orientation_is_applied_once(tmp_path, name, orientation):
    """Writers store the orientation as irot and imir, and keep it in the EXIF data."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    if name == "a.heic":
        data = save(tmp_path / name, exif=exif.tobytes()).read_bytes()
        entry = b"\x01\x12\0\x03\0\0\0\x01\0"
        (tmp_path / name).write_bytes(data.replace(entry + b"\x01", entry + bytes([orientation])))
        assert pillow_heif.open_heif(tmp_path / name).info["exif"].count(entry + bytes([orientation])) == 1
    else:
        Image.fromarray(BIG).save(tmp_path / name, quality=98, exif=exif)
    wanted = {
        1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2), 6: lambda p: np.rot90(p, 3),
        7: lambda p: np.rot90(p.transpose(1, 0, 2), 2), 8: lambda p: np.rot90(p),
    }[orientation](BIG)  # fmt: skip
    seen = read_image(tmp_path / name)
    assert seen.shape == wanted.shape and difference(seen, wanted) < 3


@pytest.mark.slow
def test_ten_bit_images_are_read(tmp_path):
    deep = (BIG.astype(np.uint16) * 257).tobytes()
    image = pillow_heif.from_bytes(mode="RGB;16", size=(256, 192), data=deep)
    image.save(tmp_path / "deep.heic", quality=98, chroma=444)
    assert pillow_heif.open_heif(tmp_path / "deep.heic", convert_hdr_to_8bit=False).info["bit_depth"] == 10
    assert difference(read_image(tmp_path / "deep.heic"), BIG) < 3


@pytest.mark.slow
def test_transparent_images_are_composited_on_black(tmp_path):
    rgba = np.dstack([BIG, np.full(BIG.shape[:2], 255, np.uint8)])
    rgba[:96, :, 3] = 0
    save(tmp_path / "a.heic", rgba)
    seen = read_image(tmp_path / "a.heic")
    assert seen[:90].max() <= 3 and difference(seen[100:], BIG[100:]) < 3


@pytest.mark.slow
def test_nclx_colours_are_converted(tmp_path):
    """Display P3 without an ICC profile, only with nclx code points."""
    wanted = in_srgb(BIG, P3_XY, srgb_light)
    save(tmp_path / "p3.heic", color_primaries=12, transfer_characteristics=13, matrix_coefficients=6)
    assert difference(read_image(tmp_path / "p3.heic"), wanted) < 3
    Image.fromarray(BIG).save(tmp_path / "p3.avif", quality=99)
    data = (tmp_path / "p3.avif").read_bytes()
    place = data.index(b"colrnclx") + 8
    (tmp_path / "p3.avif").write_bytes(data[:place] + b"\0\x0c\0\x0d" + data[place + 4 :])
    assert difference(read_image(tmp_path / "p3.avif"), wanted) < 3


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_damaged_files_give_a_one_sentence_error(tmp_path, share):
    data = GRID.read_bytes()
    (tmp_path / "cut.heic").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SourceError, match=r"^cut\.heic (cannot be read|is not an image)"):
        open_source(tmp_path / "cut.heic").open()


def test_other_files_of_the_isobmff_family_are_videos():
    with (GRID.parent / "spatial.mov").open("rb") as file:
        assert heif.identify(file) is None
