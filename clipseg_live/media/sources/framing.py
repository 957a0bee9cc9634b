"""Framing of a source: crop, rotation and mirroring, and the way back from the framed frame."""

from dataclasses import replace
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import FieldOrder, Frame, Pixels, Signal, SourceInfo
from clipseg_live.core.protocols import FrameSource
from clipseg_live.core.settings.live import FrameTransform

AnyPixels = TypeVar("AnyPixels", Pixels, Signal)
Crop = tuple[float, float, float, float]
"""x, y, width and height as fractions (0 to 1) of a frame."""

_ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_SMALLEST = 1e-6


def apply_framing(pixels: AnyPixels, framing: FrameTransform) -> AnyPixels:
    """Crop, then rotate, then mirror a frame.

    Args:
        pixels: uint8 or uint16 (height, width, 3); it is not changed.
        framing: Crop, rotation and mirroring.

    Returns:
        C-contiguous array of at least one pixel; the same array if there is nothing to do.
    """
    framed: NDArray[Any] = pixels
    if framing.crop is not None:
        height, width = pixels.shape[:2]
        x, y, share_x, share_y = framing.crop
        left, right = _span(x, share_x, width)
        top, bottom = _span(y, share_y, height)
        if (left, top, right, bottom) != (0, 0, width, height):
            framed = framed[top:bottom, left:right]
    if framing.turn:
        framed = np.asarray(cv2.rotate(framed, _ROTATIONS[framing.turn]))
    if framing.mirror:
        framed = np.asarray(cv2.flip(framed, 1))
    return framed if framed is pixels else np.ascontiguousarray(framed)


def framed_size(width: int, height: int, framing: FrameTransform) -> tuple[int, int]:
    """Return the width and height of a frame of this size after framing."""
    if framing.crop is not None:
        x, y, share_x, share_y = framing.crop
        left, right = _span(x, share_x, width)
        top, bottom = _span(y, share_y, height)
        width, height = right - left, bottom - top
    return (height, width) if framing.turn in (90, 270) else (width, height)


def framed_fields(info: SourceInfo, framing: FrameTransform) -> FieldOrder | None:
    """Return the field order after framing; None if the frames are progressive, or rotated so that rows mix.

    Args:
        info: Source before framing.
        framing: Crop, rotation and mirroring.
    """
    if info.fields is None or framing.turn:
        return None
    top = 0 if framing.crop is None else _span(framing.crop[1], framing.crop[3], info.height)[0]
    if top % 2 == 0:
        return info.fields
    return "bff" if info.fields == "tff" else "tff"


def to_source(x: float, y: float, width: float, height: float, framing: FrameTransform) -> Crop:
    """Convert a box on the framed frame to a crop of the source's frame.

    The result replaces ``framing.crop``: with the same rotation and mirroring, it frames the content of the box.

    Args:
        x: Left edge, as a fraction (0 to 1) of the framed frame. All values are clipped to the frame.
        y: Top edge.
        width: Width of the box.
        height: Height of the box.
        framing: Current framing.

    Returns:
        The crop, which is never empty.
    """
    left, right = _clipped(x), _clipped(x + width)
    top, bottom = _clipped(y), _clipped(y + height)
    if framing.mirror:
        left, right = 1 - right, 1 - left
    if framing.turn == 90:  # left moves to the top, bottom moves to the left
        left, right, top, bottom = top, bottom, 1 - right, 1 - left
    elif framing.turn == 180:
        left, right, top, bottom = 1 - right, 1 - left, 1 - bottom, 1 - top
    elif framing.turn == 270:
        left, right, top, bottom = 1 - bottom, 1 - top, left, right
    crop_x, crop_y, crop_width, crop_height = framing.crop or (0.0, 0.0, 1.0, 1.0)
    start_x, length_x = _within(crop_x, crop_width, left, right)
    start_y, length_y = _within(crop_y, crop_height, top, bottom)
    return start_x, start_y, length_x, length_y


def _span(start: float, share: float, size: int) -> tuple[int, int]:
    """Return the first pixel and the one after the last, at least one pixel apart."""
    first = min(round(start * size), size - 1)
    return first, min(max(round((start + share) * size), first + 1), size)


def _clipped(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _within(start: float, length: float, low: float, high: float) -> tuple[float, float]:
    """Return the part from ``low`` to ``high`` of a span, as start and length within 0..1."""
    length_inside = max((high - low) * length, _SMALLEST)
    inside = min(start + low * length, 1 - length_inside)
    return max(inside, 0.0), length_inside


class FramedSource:
    """Frames of another source (a ``FrameSource``) after framing; its size is that of the framed frames."""

    def __init__(self, source: FrameSource, framing: FrameTransform) -> None:
        self._source, self._framing = source, framing

    def open(self) -> SourceInfo:
        """Open the source and return its description after framing."""
        info = self._source.open()
        width, height = framed_size(info.width, info.height, self._framing)
        aspect = 1 / info.pixel_aspect if self._framing.turn in (90, 270) else info.pixel_aspect
        fields = framed_fields(info, self._framing)
        return replace(info, width=width, height=height, pixel_aspect=aspect, fields=fields)

    def read(self) -> Frame | None:
        """Return the next framed frame, or None after the last."""
        frame = self._source.read()
        if frame is None:
            return None
        signal = None if frame.signal is None else apply_framing(frame.signal, self._framing)
        return replace(frame, pixels=apply_framing(frame.pixels, self._framing), signal=signal)

    def close(self) -> None:
        """Close the source."""
        self._source.close()
