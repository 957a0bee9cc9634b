"""Effects on HDR frames: drawn in SDR, then transferred to the HDR signal."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Frame, HDRInfo, Pixels, Signal
from clipseg_live.media.colour.hdr import BT709, ToSDR, between, from_linear, to_linear

_NOTICEABLE = 2 / 255
_LARGEST = 65535
_DARKEST = 0.9
_ROUNDING = 1.5


class HDRBlend:
    """Transfer of the changes that effects made in the SDR image to the HDR signal.

    Pixels that no effect changed keep their signal. The others are mapped from SDR to HDR with SDR white at reference
    white (203 cd/m²). Highlights lose a part of their brightness in the SDR image. The share of it that an effect lets
    through is measured by drawing the effects a second time, over an image that is darker by that part.
    """

    def __init__(self, hdr: HDRInfo) -> None:
        self._transfer = hdr.colour.transfer
        self._matrix = between(BT709, hdr.colour.primaries).astype(np.float32)
        self._to_sdr = ToSDR(hdr.colour)

    def __call__(self, frame: Frame, drawn: Pixels, draw: Callable[[Pixels], Pixels]) -> Signal:
        """Return the signal of the drawn frame.

        Args:
            frame: a frame with a ``signal``.
            drawn: its pixels with the effects.
            draw: draws the same effects over other pixels.
        """
        signal = frame.signal
        assert signal is not None
        changed = _differs(cv2.absdiff(drawn, frame.pixels), 0)
        transmitted: NDArray[np.float32] | None = None
        lost_brightness = self._to_sdr.extended(signal) - frame.pixels / np.float32(255)
        largest_loss = float(lost_brightness.max())
        if largest_loss > _NOTICEABLE:
            scale = 255 * min(1.0, _DARKEST / largest_loss)
            step = np.clip(np.round(lost_brightness * scale), 0, frame.pixels).astype(np.uint8)
            response = cv2.subtract(drawn, draw(frame.pixels - step), dtype=cv2.CV_32F)
            # White drawn over a white highlight does not change the SDR image.
            changed |= _differs(cv2.absdiff(response, step.astype(np.float32)), _ROUNDING)
            transmitted = np.asarray(response, np.float32)[changed] / np.float32(scale)
        if not changed.any():
            return signal
        values = drawn[changed] / np.float32(255)
        if transmitted is not None:
            values += transmitted
        result = signal.copy()
        result[changed] = self._encode(values)
        return result

    def _encode(self, values: NDArray[np.floating]) -> NDArray[np.uint16]:
        light = to_linear(np.maximum(values, 0), BT709) @ self._matrix.T
        return np.round(from_linear(light, self._transfer) * _LARGEST).astype(np.uint16)


def _differs(difference: Any, tolerance: float) -> NDArray[np.bool_]:
    """Return where any channel of a non-negative difference exceeds ``tolerance``."""
    return np.asarray(np.asarray(cv2.inRange(difference, (0,) * 3, (tolerance,) * 3)) == 0)
