"""Conversion of planar YUV samples to RGB with OpenCV: faster than FFmpeg's scaler, and exact for 16 bits."""

from functools import lru_cache
from typing import Any

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from clipseg_live.imaging.buffers import SCRATCH

FULL_RANGE = 2
"""FFmpeg's number of the range 0..255 (AVCOL_RANGE_JPEG)."""
LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Weights of red and blue in the luma, by FFmpeg's number of the matrix."""

_SAMPLINGS = ("420", "422", "444")
_BITS = {f"yuv{sampling}p{suffix}": bits for sampling in _SAMPLINGS
         for suffix, bits in (("", 8), ("10le", 10), ("12le", 12), ("16le", 16))}  # fmt: skip
_BITS |= {f"yuvj{sampling}p": 8 for sampling in _SAMPLINGS}


def can_convert(frame: av.VideoFrame, matrix: int) -> bool:
    """Return True if ``rgb_of`` supports the format of the frame and the matrix."""
    return frame.format.name in _BITS and matrix in LUMA


def is_full_range(frame: av.VideoFrame) -> bool:
    """Return True if the samples of a frame span the full range."""
    return int(frame.color_range) == FULL_RANGE or frame.format.name.startswith("yuvj")


def rgb_of(frame: av.VideoFrame, matrix: int, dtype: type[np.uint8] | type[np.uint16]) -> NDArray[Any]:
    """Convert a frame to RGB.

    Chroma is interpolated bilinearly about the centres of its samples; in interlaced frames within each field.

    Args:
        frame: Frame in a format for which ``can_convert`` is true.
        matrix: FFmpeg's number of its matrix.
        dtype: Type of the result, whose whole range is used.

    Returns:
        RGB (height, width, 3), C-contiguous.
    """
    planes = [plane_of(plane, _BITS[frame.format.name]) for plane in frame.planes]
    coefficients = _to_rgb(matrix, is_full_range(frame), _BITS[frame.format.name], int(np.iinfo(dtype).max))
    if frame.interlaced_frame and planes[1].shape[0] < planes[0].shape[0] > 1:
        rgb = np.empty((frame.height, frame.width, 3), dtype)
        for parity in (0, 1):
            luma, *chroma = (plane[parity::2] for plane in planes)
            lines = -(-luma.shape[0] // 2)
            # With an odd number of chroma lines the bottom field lacks one.
            chroma = [np.concatenate([part, part[-1:]]) if len(part) < lines else part for part in chroma]
            rgb[parity::2] = _converted([luma, *chroma], coefficients, dtype)
        return rgb
    return _converted(planes, coefficients, dtype)


def plane_of(plane: VideoPlane, bits: int) -> NDArray[Any]:
    """Return the samples of a plane: uint8 or uint16 (height, width), without a copy."""
    dtype = np.uint8 if bits == 8 else np.uint16
    samples = np.frombuffer(memoryview(plane), dtype)
    return samples.reshape(-1, plane.line_size // samples.itemsize)[: plane.height, : plane.width]


def can_write(pixel_format: str, matrix: int) -> bool:
    """Return True if ``full_range_frame`` supports the format and the matrix."""
    return _BITS.get(pixel_format) == 8 and matrix in LUMA


def full_range_frame(pixels: NDArray[np.uint8], pixel_format: str, matrix: int) -> av.VideoFrame:
    """Convert RGB to full-range YUV.

    FFmpeg's scaler lowers chroma by half a step each time, which adds up when a video is rewritten several times.
    """
    height, width = pixels.shape[:2]
    frame = av.VideoFrame(width, height, pixel_format)
    planes = [plane_of(plane, 8) for plane in frame.planes]
    rows = np.linalg.inv(_to_rgb(matrix, True, 8, 255)[:, :3].astype(float))
    offsets = (0, 128, 128)
    luma, *chroma = cv2.split(cv2.transform(pixels.astype(np.float32), np.column_stack([rows, offsets])))
    planes[0][:] = _rounded(luma)
    for place, part in zip(planes[1:], chroma, strict=True):
        down, across = -(-height // place.shape[0]), -(-width // place.shape[1])
        bottom, right = down * place.shape[0] - height, across * place.shape[1] - width
        whole = cv2.copyMakeBorder(np.asarray(part), 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        place[:] = _rounded(cv2.resize(whole, place.shape[::-1], interpolation=cv2.INTER_AREA))
    return frame


def _rounded(samples: Any) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = np.clip(np.rint(samples), 0, 255).astype(np.uint8)
    return rounded


def _converted(planes: list[NDArray[Any]], coefficients: NDArray[np.float32], dtype: Any) -> NDArray[Any]:
    luma, *chroma = planes
    height, width = luma.shape
    across, down = -(-width // chroma[0].shape[1]), -(-height // chroma[0].shape[0])
    if across * down > 1:
        # In a frame with an odd side, the last chroma sample covers only one pixel.
        size = across * chroma[0].shape[1], down * chroma[0].shape[0]
        chroma = [cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)[:height, :width] for part in chroma]
    samples = SCRATCH.take(f"samples {luma.itemsize}", (height, width, 3), luma.dtype)
    cv2.merge([luma, *chroma], dst=samples)
    if samples.dtype == np.uint8 and dtype == np.uint16:
        samples = samples.astype(np.uint16)
    rgb = np.asarray(cv2.transform(samples, coefficients))
    return rgb if rgb.dtype == dtype else rgb.astype(dtype)


@lru_cache(maxsize=32)
def _to_rgb(matrix: int, is_full: bool, bits: int, largest: int) -> NDArray[np.float32]:
    """Return the (3, 4) matrix from Y, Cb, Cr to R, G, B in 0..largest, by ITU-R BT.601, BT.709 and BT.2020."""
    red, blue = LUMA[matrix]
    green = 1 - red - blue
    unit, top = 1 << (bits - 8), (1 << bits) - 1
    luma, chroma, black = (top, top, 0) if is_full else (219 * unit, 224 * unit, 16 * unit)
    rows = np.array(
        [
            [1 / luma, 0, 2 * (1 - red) / chroma],
            [1 / luma, -2 * (1 - blue) * blue / green / chroma, -2 * (1 - red) * red / green / chroma],
            [1 / luma, 2 * (1 - blue) / chroma, 0],
        ]
    )
    rows *= largest
    return np.column_stack([rows, -rows @ (black, 128 * unit, 128 * unit)]).astype(np.float32)
