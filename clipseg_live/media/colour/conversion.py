"""Conversion between video samples and RGB in both directions, with the matrix and range that apply.

A source without a matrix tag is read as players do: BT.709 from 720 lines, BT.601 below. The writer makes the same
assumption, so that an untagged video keeps its colours.
"""

from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from clipseg_live.core.frame import ColourInfo, Pixels, Signal
from clipseg_live.media.colour.hdr import BT709, BT2020, SRGB, UNSPECIFIED, ToSDR, completed, dynamic_range
from clipseg_live.media.colour.interlacing import fields_of, weave_frames, weave_rows
from clipseg_live.media.colour.planes import FULL_RANGE, can_convert, can_write, full_range_frame, is_full_range, rgb_of

RGB_FORMAT = 0
BT601 = 6
LIMITED_RANGE = 1
_HD_LINES = 720

# Matrices that the scaler supports, by FFmpeg's number: BT.709, FCC, BT.601 (625 and 525 lines), SMPTE 240M, BT.2020.
_KNOWN_MATRICES = (1, 4, 5, 6, 7, 9)
_BT2020_CONSTANT = 10
_FLAGS = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def assumed_matrix(matrix: int, height: int) -> int:
    """Return the matrix to convert with: the tagged one, or the one that players assume for the height."""
    if matrix in _KNOWN_MATRICES:
        return matrix
    if matrix == _BT2020_CONSTANT:
        return BT2020
    return BT709 if height >= _HD_LINES else BT601


def colour_of(frame: av.VideoFrame) -> ColourInfo:
    """Return the colour tags of a decoded frame."""
    return ColourInfo(
        range=FULL_RANGE if is_full_range(frame) else int(frame.color_range),
        matrix=int(frame.colorspace),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
    )


class FromVideo:
    """Converts decoded frames to 8-bit RGB; keeps the converters between frames.

    OpenCV converts the common formats (YUV in three planes of 8 bits) at a quarter of the scaler's cost. HDR and
    wide-gamut video is converted to BT.709 (see ``hdr``).
    """

    def __init__(self, container: ColourInfo | None = None) -> None:
        """Prepare a converter.

        Args:
            container: Colour tags of the container, for frames that have none.
        """
        self._container = container or ColourInfo()
        self._reformatter = VideoReformatter()
        self._sdr: dict[ColourInfo, ToSDR] = {}

    def colour_of(self, frame: av.VideoFrame) -> ColourInfo:
        """Return the tags of a frame, completed with those of the container."""
        own, container = colour_of(frame), self._container
        return completed(
            ColourInfo(
                range=own.range or container.range,
                matrix=container.matrix if own.matrix == UNSPECIFIED else own.matrix,
                primaries=container.primaries if own.primaries == UNSPECIFIED else own.primaries,
                transfer=container.transfer if own.transfer == UNSPECIFIED else own.transfer,
            )
        )

    def __call__(self, frame: av.VideoFrame) -> Pixels:
        """Return uint8 RGB (height, width, 3), C-contiguous; alpha is blended with black.

        The frame is unchanged except for its matrix and range tags, which are set to those that were used.
        """
        return self.picture(frame, keep=False)[0]

    def picture(self, frame: av.VideoFrame, keep: bool) -> tuple[Pixels, Signal | None]:
        """Return the pixels, and with ``keep`` the R'G'B' signal of an HDR frame (uint16, height, width, 3)."""
        colour = self.colour_of(frame)
        matrix = self._named(frame, colour)
        if dynamic_range(colour) is not None:
            to_sdr = self._to_sdr(colour)
            signal = to_sdr.signal(frame, matrix)
            pixels = to_sdr(signal)
            if _has_alpha(frame):
                alpha = self._reformatter.reformat(frame, format="rgba").to_ndarray()[..., 3:]
                pixels = over_black(np.concatenate([pixels, alpha], axis=2))
            return pixels, signal if keep else None
        if can_convert(frame, matrix) and frame.format.components[0].bits == 8:
            return rgb_of(frame, matrix, np.uint8), None
        if frame.interlaced_frame and _has_fields_of_chroma(frame):
            return weave_rows([self._scaled(field) for field in fields_of(frame)]), None
        return self._scaled(frame), None

    def _named(self, frame: av.VideoFrame, colour: ColourInfo) -> int:
        """Write the range and matrix to use into the frame's tags; return the matrix."""
        if not frame.color_range and colour.range:
            frame.color_range = colour.range
        if frame.format.is_rgb:
            return RGB_FORMAT
        matrix = assumed_matrix(colour.matrix, frame.height)
        frame.colorspace = matrix
        return matrix

    def _to_sdr(self, colour: ColourInfo) -> ToSDR:
        if colour not in self._sdr:
            self._sdr[colour] = ToSDR(colour)
        return self._sdr[colour]

    def _scaled(self, frame: av.VideoFrame) -> Pixels:
        alpha = _has_alpha(frame)
        converted = self._reformatter.reformat(frame, format="rgba" if alpha else "rgb24", interpolation=_FLAGS)
        pixels = np.ascontiguousarray(converted.to_ndarray(), dtype=np.uint8)
        return over_black(pixels) if alpha else pixels


def _has_alpha(frame: av.VideoFrame) -> bool:
    layout = frame.format
    return layout.name == "pal8" or any(component.is_alpha for component in layout.components)


def _has_fields_of_chroma(frame: av.VideoFrame) -> bool:
    """Return True if lines share chroma samples, which then must not be mixed across fields."""
    return frame.height > 1 and any(plane.height < frame.height for plane in frame.planes)


class ToVideo:
    """Converts RGB pixels to frames for an encoder, with the colour tags of the file.

    Args:
        pixel_format: Pixel format of the encoder.
        tags: Complete set of tags, as ``written_colour`` returns it.
        interlaced: True to average chroma within each field only.
    """

    def __init__(self, pixel_format: str, tags: ColourInfo, interlaced: bool = False) -> None:
        self._format, self._tags = pixel_format, tags
        layout = av.VideoFormat(pixel_format)
        self._is_rgb = layout.is_rgb
        self._by_fields = interlaced and not layout.is_rgb and layout.chroma_height(2) == 1
        self._reformatter = VideoReformatter()

    def __call__(self, pixels: NDArray[Any]) -> av.VideoFrame:
        """Convert RGB (height, width, 3), uint8 or uint16, or RGBA (4), uint8, to a frame in the encoder's format."""
        if pixels.dtype == np.uint16:
            layout = "rgb48le"
        else:
            layout = "rgba" if pixels.shape[2] == 4 else "rgb24"
        if self._by_fields and pixels.shape[0] > 1:
            frame = weave_frames([self._converted(pixels[parity::2], layout) for parity in (0, 1)])
        else:
            frame = self._converted(pixels, layout)
        return tagged(frame, self._tags)

    def _converted(self, pixels: NDArray[Any], layout: str) -> av.VideoFrame:
        if layout == "rgb24" and self._tags.range == FULL_RANGE and can_write(self._format, self._tags.matrix):
            return full_range_frame(pixels, self._format, self._tags.matrix)
        frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(pixels), layout)
        if self._is_rgb:
            return self._reformatter.reformat(frame, format=self._format)
        return self._reformatter.reformat(
            frame,
            format=self._format,
            interpolation=_FLAGS,
            dst_colorspace=_SCALER_NUMBERS[self._tags.matrix],
            dst_color_range=ColorRange.JPEG if self._tags.range == FULL_RANGE else ColorRange.MPEG,
        )


# Numbers of the scaler (SWS_CS_*), which differ from FFmpeg's for BT.601.
_SCALER_NUMBERS = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}


def tagged(frame: av.VideoFrame, tags: ColourInfo) -> av.VideoFrame:
    """Write the tags into a frame: some encoders (ProRes) read them from there, not from their context."""
    frame.color_range, frame.colorspace = tags.range, tags.matrix
    frame.color_primaries, frame.color_trc = tags.primaries, tags.transfer
    return frame


def shown_colour(colour: ColourInfo) -> ColourInfo:
    """Return the tags for the pixels of ``FromVideo``: BT.709 for a source that is converted to it."""
    if dynamic_range(colour) is None:
        return colour
    return ColourInfo(LIMITED_RANGE, BT709, BT709, SRGB if colour.transfer == SRGB else BT709)


def written_colour(colour: ColourInfo, is_rgb: bool, height: int) -> ColourInfo:
    """Return the complete set of tags for frames of ``ToVideo``.

    The tags are those of the source. Missing ones are set as the source is displayed: the assumed matrix, and BT.709 as
    primaries and transfer, because these are not converted.
    """
    primaries = BT709 if colour.primaries in (0, UNSPECIFIED) else colour.primaries
    transfer = BT709 if colour.transfer in (0, UNSPECIFIED) else colour.transfer
    if is_rgb:
        return ColourInfo(FULL_RANGE, RGB_FORMAT, primaries, transfer)
    # Samples of an RGB source are full range, but YUV written from them is not.
    is_full = colour.range == FULL_RANGE and colour.matrix != RGB_FORMAT
    matrix = assumed_matrix(colour.matrix, height)
    return ColourInfo(FULL_RANGE if is_full else LIMITED_RANGE, matrix, primaries, transfer)


def over_black(rgba: Pixels) -> Pixels:
    """Blend uint8 RGBA (height, width, 4) with straight alpha over black; return uint8 RGB."""
    alpha = rgba[..., 3]
    rgb = np.ascontiguousarray(rgba[..., :3])
    if alpha.min(initial=255) == 255:
        return rgb
    return np.asarray(cv2.multiply(rgb, cv2.merge([alpha, alpha, alpha]), scale=1 / 255), np.uint8)
