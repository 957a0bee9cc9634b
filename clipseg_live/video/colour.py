"""Between a video's samples and RGB: which matrix and range apply, and the conversion both ways.

A source that names no matrix is read as players read it: BT.709 for high definition (from 720 lines), BT.601
below. The writer makes the same assumption, so that an untagged video comes out with the colours it went in with.
"""

from functools import lru_cache

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from clipseg_live.core.frame import ColourInfo, Pixels
from clipseg_live.video.scratch import SCRATCH

RGB = 0
BT709 = 1
UNSPECIFIED = 2
BT601 = 6
FULL_RANGE = 2
LIMITED_RANGE = 1
_HD_LINES = 720

# FFmpeg's numbers of matrices that the scaler knows: BT.709, FCC, BT.601 (625 and 525 lines), SMPTE 240M, BT.2020.
_KNOWN_MATRICES = (1, 4, 5, 6, 7, 9)
_BT2020_CONSTANT = 10
_PLANAR = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")
_LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""How much of the luma is red, and blue, by the number of the matrix."""
_FLAGS = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def assumed_matrix(matrix: int, height: int) -> int:
    """The matrix to convert with: the one named, or what players assume for that many lines."""
    if matrix in _KNOWN_MATRICES:
        return matrix
    if matrix == _BT2020_CONSTANT:
        return 9
    return BT709 if height >= _HD_LINES else BT601


def colour_of(frame: av.VideoFrame) -> ColourInfo:
    """How a decoded frame says that its samples mean colours."""
    return ColourInfo(
        range=int(frame.color_range),
        matrix=int(frame.colorspace),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
    )


class FromVideo:
    """Decoded frames to RGB pixels; keeps the converter between frames.

    The usual formats (YUV in three planes of 8 bits) are converted by OpenCV, at a quarter of the scaler's cost.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Pixels:
        """uint8 RGB (height, width, 3), C-contiguous; alpha is laid over black. The frame is left untouched but for
        its matrix tag, which names the matrix that was used."""
        layout = frame.format
        if not layout.is_rgb:
            frame.colorspace = assumed_matrix(int(frame.colorspace), frame.height)
        if layout.name in _PLANAR and int(frame.colorspace) in _LUMA:
            return _from_planes(frame)
        alpha = layout.name == "pal8" or any(component.is_alpha for component in layout.components)
        target = "rgba" if alpha else "rgb24"
        converted = self._reformatter.reformat(frame, format=target, interpolation=_FLAGS)
        pixels = np.ascontiguousarray(converted.to_ndarray(), dtype=np.uint8)
        return over_black(pixels) if alpha else pixels


def _from_planes(frame: av.VideoFrame) -> Pixels:
    """YUV in three planes, 8 bits each; chroma is interpolated bilinearly about the centres of its samples."""
    height, width = frame.height, frame.width
    luma, *chroma = (_plane(plane) for plane in frame.planes)
    across, down = -(-width // chroma[0].shape[1]), -(-height // chroma[0].shape[0])
    if across * down > 1:
        # An odd picture's last sample covers one pixel of it only.
        size = across * chroma[0].shape[1], down * chroma[0].shape[0]
        chroma = [
            np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR), np.uint8)[:height, :width]
            for part in chroma
        ]
    samples = SCRATCH.take("samples", (height, width, 3))
    cv2.merge([luma, *chroma], dst=samples)
    is_full = int(frame.color_range) == FULL_RANGE or frame.format.name.startswith("yuvj")
    return np.asarray(cv2.transform(samples, _to_rgb(int(frame.colorspace), is_full)), np.uint8)


def _plane(plane: VideoPlane) -> Pixels:
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


@lru_cache(maxsize=16)
def _to_rgb(matrix: int, is_full: bool) -> NDArray[np.float32]:
    """From Y, Cb and Cr (0..255) to R, G and B, float32 (3, 4): the equations of ITU-R BT.601, BT.709 and BT.2020."""
    red, blue = _LUMA[matrix]
    green = 1 - red - blue
    luma, chroma, black = (1.0, 1.0, 0) if is_full else (255 / 219, 255 / 224, 16)
    rows = np.array(
        [
            [luma, 0, 2 * (1 - red) * chroma],
            [luma, -2 * (1 - blue) * blue / green * chroma, -2 * (1 - red) * red / green * chroma],
            [luma, 2 * (1 - blue) * chroma, 0],
        ]
    )
    return np.column_stack([rows, -rows @ (black, 128, 128)]).astype(np.float32)


class ToVideo:
    """RGB pixels to frames for an encoder, in the colours a source is tagged with."""

    def __init__(self, pixel_format: str, colour: ColourInfo, height: int) -> None:
        self._format = pixel_format
        self._matrix = assumed_matrix(colour.matrix, height)
        self._range = ColorRange.JPEG if colour.range == FULL_RANGE else ColorRange.MPEG
        self._is_rgb = av.VideoFormat(pixel_format).is_rgb
        self._reformatter = VideoReformatter()

    def __call__(self, pixels: Pixels) -> av.VideoFrame:
        """uint8 RGB (height, width, 3), or RGBA (4), as a frame in the encoder's pixel format."""
        layout = "rgba" if pixels.shape[2] == 4 else "rgb24"
        frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(pixels), layout)
        if self._is_rgb:
            return self._reformatter.reformat(frame, format=self._format)
        return self._reformatter.reformat(
            frame,
            format=self._format,
            interpolation=_FLAGS,
            dst_colorspace=_SCALER_NUMBERS[self._matrix],
            dst_color_range=self._range,
        )


# The scaler's own numbers (SWS_CS_*), which differ from FFmpeg's for BT.601.
_SCALER_NUMBERS = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}


def written_colour(colour: ColourInfo, is_rgb: bool) -> ColourInfo:
    """The tags to write for frames made by ``ToVideo``: the source's, but for a matrix that cannot be written."""
    if is_rgb:
        return ColourInfo(FULL_RANGE, RGB, colour.primaries, colour.transfer)
    if colour.matrix in _KNOWN_MATRICES:
        return colour
    matrix = 9 if colour.matrix == _BT2020_CONSTANT else UNSPECIFIED
    # Samples of an RGB source are full range; what is written from them in YUV is not.
    limited = 0 if colour.matrix == RGB else colour.range
    return ColourInfo(limited, matrix, colour.primaries, colour.transfer)


def over_black(rgba: Pixels) -> Pixels:
    """uint8 RGBA (height, width, 4), straight alpha, laid over black: uint8 RGB."""
    alpha = rgba[..., 3]
    rgb = np.ascontiguousarray(rgba[..., :3])
    if alpha.min(initial=255) == 255:
        return rgb
    return np.asarray(cv2.multiply(rgb, cv2.merge([alpha, alpha, alpha]), scale=1 / 255), np.uint8)
