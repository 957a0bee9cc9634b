"""Long thin frames need memory in proportion to their pixels, not to the square of their length."""

import subprocess
import sys
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core.errors import SinkError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.matting.edges.full_size import _enlarge
from clipseg_live.matting.working_grid import GRID_SIDE, DownscaledFrame
from clipseg_live.media.images.writers import ImageWriter
from tests.helpers.paths import ROOT
from tests.helpers.rendered import rendered

PER_PIXEL = 128
"""Maximum bytes of a step for each pixel of the frame."""


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(100_000, 20), (20, 100_000)])
def test_mattes_effects_and_data_of_a_thin_frame_need_little_memory(tmp_path, width, height):
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.thin_frames", str(width), str(height), str(tmp_path)],
        capture_output=True, text=True, timeout=120, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    peaks = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    before = int(peaks["frame"][0])
    assert float(peaks["mattes"][1]) < 0.01
    assert {"blur", "blackout", "npz", "sheet"} <= peaks.keys()
    assert max(int(values[0]) for values in peaks.values()) - before < PER_PIXEL * width * height / 2**20 + 64


@pytest.mark.slow
@given(st.integers(2, 900), st.integers(2, 900))
def test_the_grid_of_a_common_frame_is_unchanged(width, height):
    pixels = np.arange(width * height * 3, dtype=np.uint32).astype(np.uint8).reshape(height, width, 3)
    factor = -(-max(height, width) // GRID_SIDE)
    down, across = -height % (2 * factor), -width % (2 * factor)
    padded = cv2.copyMakeBorder(pixels, 0, down, 0, across, cv2.BORDER_REPLICATE)
    size = padded.shape[1] // factor, padded.shape[0] // factor
    whole = cv2.resize(padded, size, interpolation=cv2.INTER_AREA) if factor > 1 else padded
    grey = cv2.cvtColor(np.asarray(whole, np.uint8).reshape(size[1], size[0], 3), cv2.COLOR_RGB2GRAY)
    found = DownscaledFrame.of(pixels)
    assert found.grey.shape == (size[1], size[0])
    is_thin = padded.size > 2 * pixels.size
    assert np.abs(found.grey.astype(int) - grey.reshape(size[1], size[0])).max() <= (2 if is_thin else 0)


@pytest.mark.slow
@pytest.mark.parametrize("transposed", [False, True])
def test_enlarging_in_two_steps_equals_one_step(transposed):
    part = np.random.default_rng(1).random((3, 12, 4), np.float32)
    area = slice(500, 530), slice(1100, 11_000)
    if transposed:
        part, area = np.ascontiguousarray(part.transpose(1, 0, 2)), area[::-1]
    whole = cv2.resize(part, (part.shape[1] * 1000, part.shape[0] * 1000), interpolation=cv2.INTER_LINEAR)
    assert whole.shape[0] * whole.shape[1] > 1 << 23
    np.testing.assert_allclose(_enlarge(part, 1000, area), whole[area], atol=1e-5)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_an_image_too_long_for_its_format_gives_an_error(tmp_path, name):
    writer = ImageWriter(tmp_path / name)
    writer.open(SourceInfo("thin", 70_000, 2, None, Fraction(1, 25), 1))
    with pytest.raises(SinkError, match=r"70000×2 pixels exceed the limit of \w+, which is"):
        writer.write(rendered(Frame(np.zeros((2, 70_000, 3), np.uint8), 0, Fraction(0))))
    writer.abort()
    assert not list(tmp_path.iterdir())
