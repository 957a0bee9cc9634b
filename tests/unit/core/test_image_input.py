"""Images of any type become the same pixels. Other values give a one-sentence error."""

import io
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from clipseg_live import Segmentation, UsageError, from_bgr, read_image
from clipseg_live.core.errors import SourceError
from clipseg_live.core.frame import Frame
from clipseg_live.core.image_input import as_pixels, is_batch
from clipseg_live.core.mattes import Matte, Mattes
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.system.png import figures, png
from tests.helpers.paths import DATA

PICTURE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
images = arrays(np.uint8, st.tuples(st.integers(5, 9), st.integers(5, 9), st.just(3)))


@pytest.mark.slow
@given(images)
def test_all_image_types_give_the_same_pixels(picture):
    tensor = torch.from_numpy(picture.copy())
    for form in (
        picture, np.asfortranarray(picture), picture.astype(np.int64), picture.astype(np.uint16) * 257,
        picture / 255, (picture / 255).astype(np.float32), picture.transpose(2, 0, 1), Image.fromarray(picture),
        tensor, tensor.permute(2, 0, 1), tensor / 255, tensor.permute(2, 0, 1).double() / 255,
        tensor.float().div(255).requires_grad_(), Frame(picture, 0, Fraction(0)),
        np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]),
    ):  # fmt: skip
        pixels = as_pixels(form)
        assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous
        assert np.array_equal(pixels, picture)
    for form in (picture[..., ::-1], tensor.flip(2), picture[..., ::-1] / 255):
        assert np.array_equal(from_bgr(form), picture)


def test_files_and_bytes_are_read(tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for form in (str(tmp_path / "a.png"), tmp_path / "a.png", data, bytearray(data), memoryview(data)):
        assert np.array_equal(as_pixels(form), PICTURE)
        assert not is_batch(form)
    with pytest.raises(UsageError, match="omit channels"):
        from_bgr(data)
    with pytest.raises(SourceError, match="The image is not an image"):
        as_pixels(b"text")
    with pytest.raises(SourceError, match="The image is empty"):
        as_pixels(b"")
    with pytest.raises(SourceError, match=r"no file .*none\.png"):
        as_pixels("none.png")


def test_pillow_images_equal_their_files(tmp_path):
    """Check profile, orientation and transparency."""
    p3 = DATA / "p3.png"
    with Image.open(p3) as image:
        assert np.array_equal(as_pixels(image), read_image(p3))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PICTURE).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as image:
        assert as_pixels(image).shape == (40, 30, 3)
    for mode in ("1", "L", "P", "RGBA", "CMYK", "YCbCr", "LA", "I", "F", "I;16"):
        assert as_pixels(Image.new(mode, (8, 4))).shape == (4, 8, 3)


def test_grey_and_transparent_images_become_rgb():
    grey = PICTURE[..., 0]
    for form in (grey, grey[..., None], grey / 255, torch.from_numpy(grey.copy())[None], grey > 127):
        assert np.array_equal(as_pixels(form)[..., 1], as_pixels(form)[..., 2])
    assert np.array_equal(as_pixels(grey)[..., 0], grey)
    assert as_pixels(grey > 127).max() == 255
    alpha = np.linspace(0, 255, grey.size).reshape(grey.shape).astype(np.uint8)
    wanted = PICTURE.astype(float) * alpha[..., None] / 255
    for form in (np.dstack([PICTURE, alpha]), Image.fromarray(np.dstack([PICTURE, alpha]))):
        assert np.abs(as_pixels(form) - wanted).max() <= 0.51
    assert np.abs(from_bgr(np.dstack([PICTURE[..., ::-1], alpha])) - wanted).max() <= 0.51


def test_ambiguous_shapes_depend_on_the_type():
    """Channels are last in an array and first in a tensor."""
    both = np.random.default_rng(0).integers(0, 256, (3, 7, 3), np.uint8)
    assert np.array_equal(as_pixels(both), both)
    assert np.array_equal(as_pixels(torch.from_numpy(both.copy())), both.transpose(1, 2, 0))


@pytest.mark.parametrize(
    "other",
    [
        None, 5, 0.5, object(), {"a": 1}, {1}, [1, 2], np.zeros(3), np.zeros((4, 4, 2)), np.zeros((0, 4, 3), np.uint8),
        np.array("text"), np.array([[None]]), np.zeros((4, 4, 3), complex), np.full((4, 4, 3), 255.0),
        np.full((4, 4, 3), -1), np.full((4, 4, 3), 256), np.full((4, 4, 3), np.nan), torch.zeros(3),
        torch.full((3, 4, 4), 255.0), np.zeros((2, 2, 4, 4, 3)),
    ],
    ids=lambda other: f"{type(other).__name__} {getattr(other, 'shape', '')}",
)  # fmt: skip
def test_other_values_give_a_clear_error(other):
    with pytest.raises(UsageError) as caught:
        as_pixels(other)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 300
    assert "give a path" in sentence or "uint8" in sentence


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_unusual_arrays_are_accepted():
    assert np.array_equal(as_pixels(np.asmatrix(PICTURE[..., 0])), as_pixels(PICTURE[..., 0]))
    assert np.array_equal(as_pixels((PICTURE.astype(np.uint16) * 257).astype(">u2")), PICTURE)
    levels = torch.tensor([[0.0, 0.5], [0.25, 1.0]])
    assert np.array_equal(as_pixels(levels.to(torch.float8_e4m3fn)), as_pixels(levels))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (torch.empty(3, 4, 4, device="meta"), "tensor without data"), (np.array(["a", "b"]), "values of type <U1"),
        ("", '"" is not the name'), ("a\0b.png", "is not the name"),
    ],
    ids=["meta", "texts", "nothing", "NUL"],
)  # fmt: skip
def test_errors_name_the_argument(other, told):
    with pytest.raises(UsageError, match=told):
        as_pixels(other)


def test_an_empty_image_is_rejected():
    with pytest.raises(SourceError, match="0×0"):
        as_pixels(Image.new("RGB", (0, 0)))


def test_a_long_prompt_is_shortened_in_a_repr():
    prompt = Prompt.text("red circle " * 300)
    found = Segmentation(np.zeros((1, 4, 4), np.float32), (prompt,), (4, 4))
    assert len(repr(found)) < 150 and len(repr(prompt)) < 100


def test_channel_order_must_be_known():
    with pytest.raises(UsageError, match="'gbr' is not a channel order"):
        as_pixels(PICTURE, "gbr")


def test_results_have_a_short_repr_and_a_notebook_image():
    maps = np.linspace(0, 1, 2 * 24 * 32, dtype=np.float32).reshape(2, 24, 32)
    found = Segmentation(maps, (Prompt.text("a <b>"), Prompt.text("sky")), (30, 40))
    assert repr(found) == "<Segmentation of 40×30: a <b>, sky; maps of 32×24>"
    shown = found._repr_html_()
    assert shown.count("data:image/png;base64,") == 2 and "a &lt;b&gt;" in shown and "<b>" not in shown
    frame = Frame(PICTURE, 3, Fraction(1, 10))
    assert repr(frame) == "<Frame 3 at 0.1 s, 40×30>"
    assert np.array_equal(read_image(frame._repr_png_()), PICTURE)
    matte = Matte(np.full((30, 40), 255, np.uint8), ((0, 0, 40, 30),))
    assert repr(matte) == "<Matte 40×30, 100.0% covered>"
    assert repr(Mattes(30, 40, (matte,))) == "<Mattes of 1 prompts, 40×30>"
    with Image.open(io.BytesIO(matte._repr_png_())) as image:
        assert image.mode == "L"


@pytest.mark.slow
@given(images, st.booleans())
def test_png_bytes_can_be_read_by_pillow(picture, is_grey):
    pixels = picture[..., 0] if is_grey else picture
    with Image.open(io.BytesIO(png(pixels))) as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_large_images_are_scaled_down_in_notebooks():
    with Image.open(io.BytesIO(png(np.zeros((100, 5000, 3), np.uint8)))) as image:
        assert image.width <= 960
    assert figures([]) == ""
