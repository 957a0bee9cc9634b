"""FrameTransform: crop, rotation, mirroring, and boxes drawn on the result."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core.settings.live import FrameTransform
from clipseg_live.media.sources.framing import apply_framing, to_source

SIZES = st.integers(1, 40)
TURNS = st.sampled_from([0, 90, 180, 270])


def distinct_pixels(height, width):
    """Return an image whose pixels all differ."""
    numbers = np.arange(height * width)
    return np.stack([numbers % 251, numbers // 251, numbers % 7], axis=1).reshape(height, width, 3).astype(np.uint8)


@st.composite
def boxes(draw, width, height):
    """Draw a box of whole pixels in an image: x, y, width, height in pixels."""
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))


def relative_box(box, width, height):
    x, y, box_width, box_height = box
    return x / width, y / height, box_width / width, box_height / height


def cut(pixels, box):
    x, y, width, height = box
    return pixels[y : y + height, x : x + width]


@pytest.mark.slow
@given(st.data(), SIZES, SIZES, TURNS, st.booleans())
def test_crop_is_applied_before_rotation_and_mirroring(data, height, width, turn, mirror):
    pixels = distinct_pixels(height, width)
    box = data.draw(boxes(width, height))
    framed = apply_framing(pixels, FrameTransform(crop=relative_box(box, width, height), turn=turn, mirror=mirror))
    wanted = np.rot90(cut(pixels, box), -turn // 90)
    np.testing.assert_array_equal(framed, wanted[:, ::-1] if mirror else wanted)
    assert framed.flags.c_contiguous and framed.dtype == np.uint8


@pytest.mark.slow
@given(st.data(), SIZES, SIZES, TURNS, st.booleans(), st.booleans())
def test_a_box_on_the_transformed_frame_selects_its_content(data, height, width, turn, mirror, is_cut):
    pixels = distinct_pixels(height, width)
    crop = relative_box(data.draw(boxes(width, height)), width, height) if is_cut else None
    framing = FrameTransform(crop=crop, turn=turn, mirror=mirror)
    framed = apply_framing(pixels, framing)
    box = data.draw(boxes(framed.shape[1], framed.shape[0]))
    within = to_source(*relative_box(box, framed.shape[1], framed.shape[0]), framing)
    again = apply_framing(pixels, FrameTransform(crop=within, turn=turn, mirror=mirror))
    np.testing.assert_array_equal(again, cut(framed, box))


REAL = st.floats(-2, 3, allow_nan=False)
INSIDE = st.tuples(*[st.floats(0, 1)] * 4).filter(
    lambda box: box[2] > 1e-9 and box[3] > 1e-9 and box[0] + box[2] <= 1 and box[1] + box[3] <= 1
)


@pytest.mark.slow
@given(REAL, REAL, REAL, REAL, st.none() | INSIDE, TURNS, st.booleans(), SIZES, SIZES)
def test_any_drawn_box_is_a_valid_crop(x, y, width, height, crop, turn, mirror, rows, columns):
    within = to_source(x, y, width, height, FrameTransform(crop=crop, turn=turn, mirror=mirror))
    framing = FrameTransform(crop=within, turn=turn, mirror=mirror)  # rejects boxes outside the frame
    framed = apply_framing(distinct_pixels(rows, columns), framing)
    assert framed.shape[0] >= 1 and framed.shape[1] >= 1


@pytest.mark.parametrize("crop", [None, (0.0, 0.0, 1.0, 1.0), (0.001, 0.0, 0.999, 0.999)])
def test_an_identity_transform_copies_nothing(crop):
    pixels = distinct_pixels(48, 64)
    pixels.setflags(write=False)
    assert apply_framing(pixels, FrameTransform(crop=crop)) is pixels


def test_the_source_frame_is_not_changed():
    pixels = distinct_pixels(5, 7)
    before = pixels.copy()
    framed = apply_framing(pixels, FrameTransform(crop=(0, 0, 0.5, 1.0)))
    framed[:] = 0
    np.testing.assert_array_equal(pixels, before)


def test_a_box_of_the_whole_frame_keeps_the_crop():
    crop = (0.25, 0.5, 0.5, 0.25)
    for turn in (0, 90, 180, 270):
        assert to_source(0, 0, 1, 1, FrameTransform(crop=crop, turn=turn, mirror=True)) == pytest.approx(crop)
