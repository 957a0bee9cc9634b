"""Images: every format becomes upright 8-bit RGB. Sequences have natural order and exact times."""

from contextlib import suppress
from fractions import Fraction

import cv2
import numpy as np
import pytest
from PIL import Image

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.media.images.reader import read_image
from clipseg_live.media.sources.registry import ImageSequenceSource, ImageSource, PhotoSetSource, open_source
from clipseg_live.media.sources.video_file import VideoFileSource
from tests.helpers.clips import make_clip, numbered_image, read_all


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "näme mit Leer 例.png"])
def test_lossless_images_are_exact(tmp_path, name):
    Image.fromarray(numbered_image(0)).save(tmp_path / name)
    assert np.array_equal(read_image(tmp_path / name), numbered_image(0))


def test_grey_palette_and_cmyk_become_rgb(tmp_path):
    image = Image.fromarray(numbered_image(0))
    image.convert("L").save(tmp_path / "grey.png")
    image.quantize(64).save(tmp_path / "palette.png")
    image.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=98)
    assert np.array_equal(read_image(tmp_path / "grey.png")[..., 1], np.array(image.convert("L")))
    assert np.array_equal(read_image(tmp_path / "palette.png"), np.array(image.quantize(64).convert("RGB")))
    difference = read_image(tmp_path / "cmyk.jpg").astype(int) - numbered_image(0)
    assert np.abs(difference).mean() < 6


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bit_images_are_scaled(tmp_path, channels):
    deep = np.linspace(0, 65535, 64 * 48 * channels).astype(np.uint16).reshape(48, 64, channels)
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    seen = read_image(tmp_path / "deep.png").astype(int)
    assert seen.shape == (48, 64, 3) and np.abs(seen - deep / 257).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_images_are_composited_on_black(tmp_path, mode):
    rgba = np.full((4, 4, 4), 200, np.uint8)
    rgba[..., 3] = 255
    rgba[:2, :, 3] = 0
    image = Image.fromarray(rgba)
    (image.quantize(4) if mode == "P" else image.convert(mode)).save(tmp_path / "t.png")
    seen = read_image(tmp_path / "t.png")
    assert (seen[:2] == 0).all() and np.abs(seen[2:].astype(int) - 200).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(numbered_image(0)).save(tmp_path / "o.png", exif=exif)
    wanted = {
        1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2), 6: lambda p: np.rot90(p, 3),
        7: lambda p: np.rot90(p.transpose(1, 0, 2), 2), 8: lambda p: np.rot90(p),
    }[orientation](numbered_image(0))  # fmt: skip
    assert np.array_equal(read_image(tmp_path / "o.png"), wanted)


@pytest.mark.slow
def test_image_sizes_are_limited(tmp_path):
    Image.new("RGB", (20000, 5), (1, 2, 3)).save(tmp_path / "wide.png")
    assert read_image(tmp_path / "wide.png").shape == (5, 20000, 3)
    Image.new("RGB", (1, 1), (9, 8, 7)).save(tmp_path / "one.png")
    assert read_image(tmp_path / "one.png").tolist() == [[[9, 8, 7]]]
    Image.new("1", (10000, 10000)).save(tmp_path / "big.png")  # above Pillow's warning and below its limit
    with Image.open(tmp_path / "one.png") as image:
        assert image.size == (1, 1)
    Image.new("1", (20000, 20000)).save(tmp_path / "huge.png")
    with pytest.raises(SourceError, match="too large"):
        read_image(tmp_path / "huge.png")


def test_other_files_give_an_error(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_bytes(b"hello" * 100)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50, 3), dtype=np.uint8)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:2000])
    for name, says in [
        ("empty.png", "is empty"), ("text.png", "not an image"), ("cut.png", "damaged"), ("none.png", "no file")
    ]:  # fmt: skip
        with pytest.raises(SourceError, match=says):
            read_image(tmp_path / name)
    with pytest.raises(SourceError, match="folder"):
        read_image(tmp_path)


def test_a_still_image_is_one_frame(tmp_path):
    Image.fromarray(numbered_image(0)).save(tmp_path / "a.png")
    info, frames = read_all(ImageSource(tmp_path / "a.png"))
    assert info.rate is None and info.frame_count == 1 and len(frames) == 1
    assert frames[0].time == 0 and np.array_equal(frames[0].pixels, numbered_image(0))


@pytest.fixture
def folder(tmp_path):
    for number in (1, 2, 9, 10, 11):
        Image.fromarray(numbered_image(number)).save(tmp_path / f"shot{number}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.mark.parametrize("pattern", ["", "*.png", "shot%d.png", "shot?*.png"])
def test_a_sequence_has_natural_order(folder, pattern):
    info, frames = read_all(open_source(folder / pattern, sequence=Fraction(25)))
    assert [frame.time for frame in frames] == [Fraction(number, 25) for number in range(5)]
    for frame, number in zip(frames, (1, 2, 9, 10, 11), strict=True):
        assert np.array_equal(frame.pixels, numbered_image(number))
    assert info.rate == 25 and info.frame_count == 5 and info.time_base == Fraction(1, 25)


def test_a_range_of_a_sequence_is_read(folder):
    _, frames = read_all(open_source(folder, start=Fraction(1, 30), end=Fraction(3, 25), sequence=Fraction(25)))
    assert [frame.time for frame in frames] == [Fraction(1, 25), Fraction(2, 25)]
    assert np.array_equal(frames[0].pixels, numbered_image(2))
    with pytest.raises(SourceError, match="range"):
        open_source(folder, start=Fraction(9), sequence=Fraction(25)).open()


def test_an_image_of_another_size_is_named(folder):
    Image.fromarray(numbered_image(0, 30, 30)).save(folder / "shot3.png")
    with pytest.raises(SourceError, match=r"shot3\.png has 30×30 pixels.*64×48"):
        read_all(open_source(folder, sequence=Fraction(25)))


def test_the_right_source_is_chosen(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no images"):
        open_source(tmp_path / "empty")
    with pytest.raises(SourceError, match="No image matches"):
        open_source(tmp_path / "*.png")
    Image.fromarray(numbered_image(0)).save(tmp_path / "odd [1].png")
    assert isinstance(open_source(tmp_path / "odd [1].png"), ImageSource)
    assert isinstance(open_source(str(make_clip(tmp_path / "a.mp4"))), VideoFileSource)
    assert isinstance(open_source(tmp_path), PhotoSetSource)
    assert isinstance(open_source(tmp_path, sequence=Fraction(25)), ImageSequenceSource)
    with pytest.raises(UsageError, match="--sequence needs a folder"):
        open_source(tmp_path / "odd [1].png", sequence=Fraction(25))
    with pytest.raises(UsageError, match="no times: omit --from"):
        open_source(tmp_path, start=Fraction(1))


def test_postscript_is_not_executed(tmp_path, monkeypatch):
    """Pillow passes PostScript to Ghostscript, for any file name."""
    interpreter = tmp_path / "bin" / "gs"
    interpreter.parent.mkdir()
    interpreter.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    interpreter.chmod(0o755)
    monkeypatch.setenv("PATH", str(interpreter.parent), prepend=":")
    Image.new("RGB", (8, 8)).save(tmp_path / "x.eps")
    (tmp_path / "x.eps").rename(tmp_path / "x.png")
    with pytest.raises(SourceError, match="not an image"):
        read_image(tmp_path / "x.png")
    assert not (tmp_path / "was-run").exists()
    with Image.open(tmp_path / "x.png") as image, suppress(OSError):
        image.load()
    assert (tmp_path / "was-run").exists(), "without the list it would be"
