"""The fast conversion of planar YUV compared with FFmpeg's scaler."""

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from clipseg_live.media.colour.conversion import _FLAGS, FromVideo


def smooth_picture(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"])
@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
def test_conversion_equals_the_scaler(pixel_format, matrix):
    picture = av.VideoFrame.from_ndarray(smooth_picture(240, 320), "rgb24")
    frame = VideoReformatter().reformat(picture, format=pixel_format, interpolation=_FLAGS)
    frame.colorspace = matrix
    ours = FromVideo()(frame)
    scaled = VideoReformatter().reformat(frame, format="rgb24", interpolation=_FLAGS).to_ndarray()
    assert ours.shape == (240, 320, 3) and ours.dtype == np.uint8 and ours.flags.c_contiguous
    difference = np.abs(ours.astype(int) - scaled)
    assert difference.mean() < 0.8 and np.percentile(difference, 99) <= 6  # chroma is bilinear or bicubic


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (6, 7), (47, 62), (47, 63)])
def test_an_odd_frame_is_a_crop_of_an_even_one(pixel_format, size):
    """Its last chroma samples are half outside; nothing is stretched."""
    height, width = size
    even = av.VideoFrame(width + width % 2, height + height % 2, pixel_format)
    odd = av.VideoFrame(width, height, pixel_format)
    noise = np.random.default_rng(1)
    for whole, part in zip(even.planes, odd.planes, strict=True):
        samples = noise.integers(16, 236, (whole.height, whole.line_size), np.uint8)
        whole.update(samples)
        kept = np.zeros((part.height, part.line_size), np.uint8)
        kept[:, : part.width] = samples[: part.height, : part.width]
        part.update(kept)
    np.testing.assert_array_equal(FromVideo()(odd), FromVideo()(even)[:height, :width])


def test_frames_do_not_share_memory():
    convert = FromVideo()
    frames = [av.VideoFrame.from_ndarray(np.full((48, 64, 3), value, np.uint8), "rgb24") for value in (10, 200)]
    first, second = (convert(frame.reformat(format="yuv420p")) for frame in frames)
    assert abs(int(first[0, 0, 0]) - 10) <= 2 and abs(int(second[0, 0, 0]) - 200) <= 2
