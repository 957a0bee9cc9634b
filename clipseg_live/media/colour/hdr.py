"""Conversion of HDR (PQ, HLG) and wide-gamut video to 8-bit BT.709.

The conversion has two steps:

1. The transfer function is decoded, the primaries are converted in linear light, and the result is encoded with the
   display gamma of BT.1886 (sRGB stays sRGB). HDR reference white (203 cd/m², ITU-R BT.2408) becomes 1.0; highlights
   are above 1.0 ("extended" values). Colours outside BT.709 are desaturated at equal luminance until they fit.
2. Highlights are compressed. Values up to ``KNEE`` are exact. Values from ``KNEE`` to the brightest value of the frame
   are mapped to ``KNEE``..1 by one factor for all three channels, so that hues do not change. A frame without
   highlights is exact up to reference white.

HLG is decoded for its nominal display of 1000 cd/m². The system gamma of 1.2 is applied to each channel, as FFmpeg's
zscale does: SDR content in HLG keeps its saturation.
"""

from dataclasses import replace
from functools import lru_cache
from operator import itemgetter
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from clipseg_live.core.frame import ColourInfo, DynamicRange, Pixels, Signal
from clipseg_live.imaging.buffers import SCRATCH
from clipseg_live.media.colour.planes import LUMA, can_convert, plane_of, rgb_of

Floats = NDArray[np.floating]
Tile = tuple[tuple[slice, slice], int]
"""Rows and columns of a part of a frame, and its largest root of light."""

BT709 = 1
UNSPECIFIED = 2
BT2020 = 9
SRGB, PQ, HLG = 13, 16, 18
"""FFmpeg's numbers of transfer functions (AVCOL_TRC_*)."""
REFERENCE_WHITE = 203.0
"""Luminance of diffuse white in HDR video, in cd/m²."""
KNEE = 0.9

_PQ_PEAK, _HLG_PEAK = 10_000.0, 1000.0
_SYSTEM_GAMMA = 1.2
_DISPLAY_GAMMA = 2.4
_LARGEST = 65535
_STEP = 1 / 255
_BLOCK = 4
_TILE = (40, 640)
"""Rows and columns of a tile; multiples of a block."""
_ZERO: Any = 0.0  # typed for OpenCV's functions
_TINY: Any = 1e-6
_HIGHEST: Any = float(_LARGEST)
_TOLERANCE = 1e-3
_D65 = (0.3127, 0.3290)
_PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
"""CIE 1931 x and y of red, green, blue and white, by FFmpeg's number of the primaries (AVCOL_PRI_*)."""
_WIDE = (9, 11, 12)
_FLAGS = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def completed(colour: ColourInfo) -> ColourInfo:
    """Return the tags with the BT.2020 matrix and primaries where those of an HDR source are missing."""
    if colour.transfer not in (PQ, HLG):
        return colour
    matrix = BT2020 if colour.matrix == UNSPECIFIED else colour.matrix
    return replace(colour, matrix=matrix, primaries=BT2020 if colour.primaries == UNSPECIFIED else colour.primaries)


def dynamic_range(colour: ColourInfo) -> DynamicRange | None:
    """Return the kind of video that needs conversion to BT.709, None for colours that are displayed as they are."""
    if colour.transfer in (PQ, HLG):
        return "PQ" if colour.transfer == PQ else "HLG"
    return "wide gamut" if colour.primaries in _WIDE else None


class ToSDR:
    """Converts frames of one kind of HDR or wide-gamut video. Use it from one thread at a time."""

    def __init__(self, colour: ColourInfo) -> None:
        """Prepare a converter.

        Args:
            colour: Tags of the frames; ``dynamic_range`` must not be None for them.
        """
        colour = completed(colour)
        self._transfer, self._is_hdr = colour.transfer, colour.transfer in (PQ, HLG)
        # Light is scaled so that the root of its maximum is ``_LARGEST``.
        self._white = _LARGEST**2 / _most_light(colour.transfer)
        self._matrix = (between(colour.primaries, BT709) * self._white).astype(np.float32)
        self._luminance = _to_xyz(BT709)[1:2].astype(np.float32)
        self._reformatter = VideoReformatter()

    def signal(self, frame: av.VideoFrame, matrix: int) -> Signal:
        """Return the R'G'B' signal of a decoded frame.

        Args:
            frame: Its matrix tag may be overwritten.
            matrix: FFmpeg's number of the matrix of its samples.

        Returns:
            uint16 (height, width, 3), full range.
        """
        if frame.format.is_rgb:
            converted = self._reformatter.reformat(frame, format="gbrp16le")
            green, blue, red = (plane_of(plane, 16) for plane in converted.planes)
            return np.asarray(cv2.merge([red, green, blue]), np.uint16)
        matrix = BT2020 if matrix not in LUMA else matrix
        if not can_convert(frame, matrix):
            frame.colorspace = matrix
            frame = self._reformatter.reformat(frame, format="yuv444p16le", interpolation=_FLAGS)
        return rgb_of(frame, matrix, np.uint16)

    def __call__(self, signal: Signal) -> Pixels:
        """Convert a signal to uint8 RGB (height, width, 3) in BT.709."""
        roots, tiles = self._roots(signal)
        values, plain = _values(self._transfer), _bytes(self._transfer)
        white = round(_LARGEST * _most_light(self._transfer) ** -0.5)
        peak = effective_peak(float(values[_peak(roots, tiles, white)])) if self._is_hdr else 1.0
        if peak <= 1 + _STEP / 2:
            return np.asarray(cv2.LUT(roots, plain), np.uint8)
        factor = (255 * compressed(values, peak) / np.maximum(values, _STEP)).astype(np.float32)
        pixels = np.empty(signal.shape, np.uint8)
        for tile, highest in tiles:
            if values[highest] <= KNEE:
                cv2.LUT(roots[tile], plain, dst=pixels[tile])
                continue
            parts = _split(roots[tile])
            factors = cv2.LUT(cv2.max(cv2.max(parts[0], parts[1]), parts[2]), factor)
            parts = [cv2.multiply(cv2.LUT(part, values), factors, dtype=cv2.CV_8U) for part in parts]
            cv2.merge(parts, dst=pixels[tile])
        return pixels

    def extended(self, signal: Signal) -> NDArray[np.float32]:
        """Convert a signal to BT.709 with display gamma, float32 (height, width, 3); 1.0 is reference white."""
        return np.asarray(cv2.LUT(self._roots(signal)[0], _values(self._transfer)), np.float32)

    def _roots(self, signal: Signal) -> tuple[NDArray[np.uint16], list[Tile]]:
        """Return the square roots of linear light, which are uniform enough for tables of 16 bits.

        They are valid until the next call in this thread. Tiles fit into the processor's cache; few of them need all
        steps.
        """
        roots = SCRATCH.take("roots", signal.shape, np.uint16)
        table = _light(self._transfer)
        margin = _TOLERANCE * self._white
        highest = float("inf") if self._is_hdr else self._white
        tiles: list[Tile] = []
        for tile in _places(*signal.shape[:2]):
            light: Any = cv2.transform(cv2.LUT(signal[tile], table), self._matrix)
            # In this shape the search is much faster than for a single column, and scalars apply to all channels.
            numbers: Any = light.reshape(light.shape[0], -1)
            least, most, _, _ = cv2.minMaxLoc(numbers)
            if least < -margin or most > highest + margin:
                _move_into_gamut(light, cv2.transform(light, self._luminance), highest, margin)
            if least < 0:
                cv2.max(numbers, _ZERO, dst=numbers)
            cv2.sqrt(numbers, dst=numbers)
            if most > _LARGEST**2:
                cv2.min(numbers, _HIGHEST, dst=numbers)
            np.copyto(roots[tile], light, casting="unsafe")  # rounds down, several times faster than rounding
            tiles.append((tile, int(min(max(most, 0) ** 0.5, _LARGEST))))
        return roots, tiles


def effective_peak(peak: float) -> float:
    """Return the value that is mapped to 1.

    Coding errors raise the brightest value of a frame without highlights slightly above reference white. This must not
    darken its whites, so small excesses are reduced. From 1.5 on the peak counts in full.
    """
    share = min(max((peak - 1) / 0.5, 0.0), 1.0)
    return 1 + max(peak - 1, 0.0) * share**2 * (3 - 2 * share)


def compressed(values: Floats, peak: float) -> Floats:
    """Map 0..peak to 0..1: the identity up to ``KNEE``, then a smooth curve without a flat end."""
    if peak <= 1:
        return np.asarray(np.minimum(values, 1.0))
    above = np.maximum(values - KNEE, 0) / (1 - KNEE)
    most = (peak - KNEE) / (1 - KNEE)
    bent: Floats = np.minimum(np.minimum(values, KNEE) + (1 - KNEE) * above * (1 + above / most**2) / (1 + above), 1.0)
    return bent


def to_linear(values: Floats, transfer: int) -> Floats:
    """Decode a transfer function.

    Args:
        values: Signal from 0 to 1.
        transfer: FFmpeg's number of the function; unknown ones are decoded as BT.1886.

    Returns:
        Linear light; 1.0 is (reference) white.
    """
    if transfer == PQ:
        powered = values ** (32 / 2523)
        nits = _PQ_PEAK * (np.maximum(powered - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * powered)) ** (8192 / 1305)
        linear: Floats = nits / REFERENCE_WHITE
    elif transfer == HLG:
        scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        linear = scene**_SYSTEM_GAMMA * (_HLG_PEAK / REFERENCE_WHITE)
    elif transfer == SRGB:
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    else:
        linear = values**_DISPLAY_GAMMA
    return linear


def from_linear(light: Floats, transfer: int) -> Floats:
    """Encode linear light; the inverse of ``to_linear``. Values that cannot be encoded are clipped."""
    light = np.maximum(light, 0)
    if transfer == PQ:
        powered = np.minimum(light * REFERENCE_WHITE / _PQ_PEAK, 1) ** (1305 / 8192)
        signal: Floats = ((107 / 128 + 2413 / 128 * powered) / (1 + 2392 / 128 * powered)) ** (2523 / 32)
    elif transfer == HLG:
        scene = np.minimum(light * (REFERENCE_WHITE / _HLG_PEAK), 1) ** (1 / _SYSTEM_GAMMA)
        logarithm = np.log(np.maximum(12 * scene - 0.28466892, 1e-9))
        signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * logarithm + 0.55991073)
    elif transfer == SRGB:
        signal = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    else:
        signal = light ** (1 / _DISPLAY_GAMMA)
    return signal


@lru_cache(maxsize=16)
def between(source: int, target: int) -> Floats:
    """Return the 3×3 matrix from linear RGB of one set of primaries to that of another, with equal white."""
    matrix: Floats = np.linalg.inv(_to_xyz(target)) @ _to_xyz(source)
    matrix /= matrix.sum(axis=1, keepdims=True)  # white stays white, also between D65 and DCI white
    return matrix


def _to_xyz(primaries: int) -> Floats:
    x, y = np.array(_PRIMARIES.get(primaries, _PRIMARIES[BT709])).T
    columns = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


def _most_light(transfer: int) -> float:
    """Return the largest linear value of the tables; HLG in saturated BT.2020 exceeds its peak white in BT.709."""
    return {PQ: _PQ_PEAK, HLG: 1.7 * _HLG_PEAK}.get(transfer, REFERENCE_WHITE) / REFERENCE_WHITE


@lru_cache(maxsize=8)
def _light(transfer: int) -> NDArray[np.float32]:
    """Return the table from signal to linear light."""
    return to_linear(np.arange(_LARGEST + 1) / _LARGEST, transfer).astype(np.float32)


@lru_cache(maxsize=8)
def _values(transfer: int) -> NDArray[np.float32]:
    """Return the table from roots of light to extended values."""
    # The roots were rounded down; 0 and the maximum stay as they are.
    middles = np.arange(_LARGEST + 1) + 0.5
    middles[[0, -1]] = 0, _LARGEST
    light = (middles / _LARGEST) ** 2 * _most_light(transfer)
    return from_linear(light, SRGB if transfer == SRGB else BT709).astype(np.float32)


@lru_cache(maxsize=8)
def _bytes(transfer: int) -> NDArray[np.uint8]:
    return np.round(255 * np.minimum(_values(transfer), 1)).astype(np.uint8)


def _move_into_gamut(light: Any, grey: Any, highest: Any, margin: float) -> None:
    """Mix colours outside the gamut with grey of their luminance until they are between 0 and ``highest``."""
    parts = _split(light)
    least = cv2.min(cv2.min(parts[0], parts[1]), parts[2])
    cv2.threshold(least, -margin, 0, cv2.THRESH_TOZERO_INV, dst=least)
    share = cv2.divide(grey, cv2.max(cv2.subtract(grey, cv2.min(least, _ZERO)), _TINY))
    if highest < float("inf"):
        most = cv2.max(cv2.max(parts[0], parts[1]), parts[2])
        cv2.threshold(most, highest + margin, 0, cv2.THRESH_TOZERO, dst=most)
        above = cv2.max(cv2.subtract(cv2.max(most, highest), grey), _TINY)
        share = cv2.min(share, cv2.divide(cv2.subtract(highest, grey), above))
    rest = cv2.subtract(grey, cv2.multiply(grey, share))
    for part in parts:
        cv2.add(cv2.multiply(part, share, dst=part), rest, dst=part)
    cv2.merge(parts, dst=light)


def _split(tile: NDArray[Any]) -> list[Any]:
    """Return the three channels, valid until the next call in this thread with the same dtype."""
    planes = SCRATCH.take(f"planes {tile.dtype}", (3, *tile.shape[:2]), tile.dtype)
    return list(cv2.split(tile, list(planes)))


@lru_cache(maxsize=8)
def _places(height: int, width: int) -> list[tuple[slice, slice]]:
    rows, columns = _TILE
    return [
        (slice(top, top + rows), slice(left, left + columns))
        for top in range(0, height, rows)
        for left in range(0, width, columns)
    ]


def _peak(roots: NDArray[np.uint16], tiles: list[Tile], least: int) -> int:
    """Return the largest mean of a block of 4×4 pixels, which resists noise and ringing; at least ``least``."""
    peak = least
    for area, highest in sorted(tiles, key=itemgetter(1), reverse=True):
        if highest <= peak:
            break
        tile = roots[area]
        size = max(tile.shape[1] // _BLOCK, 1), max(tile.shape[0] // _BLOCK, 1)
        peak = max(peak, int(cv2.resize(tile, size, interpolation=cv2.INTER_AREA).max()))
    return peak
