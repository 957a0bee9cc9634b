"""Effects: how masks are drawn over a picture.

Every effect works on one field per prompt, a blurred mask in 0..255 whose value tells how far a pixel lies from
the mask's border, and lays colour over the picture through two tables, so the cost is a few passes over the
mask's bounding box. Blurring a straight edge with deviation s gives 255 * Phi(d / s) at distance d (positive
inside), which ``_distances`` inverts; lines therefore have the same width everywhere and clean edges.
"""

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.core.ports import Maps
from clipseg_live.core.settings import RGB, PromptStyle

Bytes = NDArray[np.uint8]

_BACKDROP = ((38, 40, 46), (48, 51, 58))
_HEAT_FLOOR = 0.35


@dataclass(frozen=True, slots=True)
class Tables:
    """What a field's value does: the picture is multiplied by ``keep`` / 255, then ``add`` is added.

    keep, add: uint8 (256, 1, 3).
    """

    keep: Bytes
    add: Bytes


def tint(picture: Pixels, maps: Maps, styles: tuple[PromptStyle, ...]) -> None:
    """Colour each mask in place with its opacity, a little stronger along the inside of its border.

    Not a single pixel outside the masks changes.
    """
    width = line_width(picture)
    for style, probability in zip(styles, maps, strict=True):
        mask = _mask(probability, style.threshold)
        box = _box(mask, margin=0)
        if box is None:
            continue
        field = np.minimum(_blurred(mask[box], width), mask[box])
        _lay(picture[box], field, _tint_tables(style.colour, style.opacity, width))


def outline(picture: Pixels, maps: Maps, styles: tuple[PromptStyle, ...]) -> None:
    """Draw in place a line of even width around each mask, with a thin dark halo and a faint fill."""
    width = line_width(picture)
    for style, probability in zip(styles, maps, strict=True):
        mask = _mask(probability, style.threshold)
        box = _box(mask, margin=4 * width)
        if box is None:
            continue
        field = _blurred(mask[box], width)
        if min(field.shape) < 14 * width:  # so small that blurring may have washed it out
            peak = float(field.max())
            if peak < 200:
                field = np.asarray(cv2.convertScaleAbs(field, alpha=255 / peak), np.uint8)
        _lay(picture[box], field, _outline_tables(style.colour, style.opacity, width))


def heatmap(picture: Pixels, maps: Maps, styles: tuple[PromptStyle, ...]) -> None:
    """Colour the picture in place by the largest probability of any prompt (the perceptual map "inferno")."""
    if not len(maps):
        return
    strongest = maps[0] if len(maps) == 1 else np.max(maps, axis=0)
    field = cv2.convertScaleAbs(strongest, alpha=255.0)
    _lay(picture, field, _heat_tables(max(style.opacity for style in styles)))


def cutout(picture: Pixels, maps: Maps, styles: tuple[PromptStyle, ...]) -> None:
    """Keep in place what is inside any mask, with a soft edge; the rest becomes a dark chequerboard."""
    height, width = picture.shape[:2]
    union = np.zeros((height, width), np.uint8)
    for style, probability in zip(styles, maps, strict=True):
        cv2.bitwise_or(union, _mask(probability, style.threshold), dst=union)
    kept = cv2.cvtColor(_blurred(union, max(line_width(picture) // 2, 1)), cv2.COLOR_GRAY2RGB)
    cv2.multiply(picture, kept, dst=picture, scale=1 / 255)
    backdrop = _backdrop(height, width)
    cv2.add(picture, cv2.multiply(backdrop, cv2.bitwise_not(kept), scale=1 / 255), dst=picture)


EFFECTS = {"tint": tint, "outline": outline, "heatmap": heatmap, "cutout": cutout}


def line_width(picture: Pixels) -> int:
    """The width of lines in pixels: 2 up to 720 lines, growing with the picture's shorter side."""
    return max(2, round(min(picture.shape[:2]) / 360))


def _mask(probability: NDArray[np.float32], threshold: float) -> Bytes:
    return (probability >= np.float32(threshold)).view(np.uint8) * np.uint8(255)


def _box(mask: Bytes, margin: int) -> tuple[slice, slice] | None:
    """The part of the picture that a mask touches, with a margin; None for an empty mask."""
    x, y, width, height = cv2.boundingRect(mask)
    if not width:
        return None
    return (
        slice(max(y - margin, 0), min(y + height + margin, mask.shape[0])),
        slice(max(x - margin, 0), min(x + width + margin, mask.shape[1])),
    )


def _blurred(mask: Bytes, deviation: int) -> Bytes:
    # A mask that touches the picture's edge goes on beyond it.
    side = 6 * deviation + 1
    return np.asarray(
        cv2.GaussianBlur(mask, (side, side), deviation, borderType=cv2.BORDER_REPLICATE), np.uint8
    )


def _lay(picture: Pixels, field: Bytes, tables: Tables) -> None:
    """Change ``picture`` (a view) as the tables say for each value of ``field``."""
    spread = cv2.cvtColor(field, cv2.COLOR_GRAY2RGB)
    kept = cv2.multiply(picture, cv2.LUT(spread, tables.keep), scale=1 / 255)
    cv2.add(kept, cv2.LUT(spread, tables.add), dst=kept)
    picture[...] = kept


def _tables(colours: NDArray[np.float64], alphas: NDArray[np.float64]) -> Tables:
    """Tables that lay ``colours`` (256, 3) with ``alphas`` (256) over the picture."""
    keep = np.repeat((255 * (1 - alphas)).round()[:, None], 3, axis=1)
    add = (colours * alphas[:, None]).round()
    return Tables(keep.astype(np.uint8)[:, None], add.astype(np.uint8)[:, None])


@lru_cache(maxsize=64)
def _distances(deviation: int) -> NDArray[np.float64]:
    """Distance from the border in pixels, inside positive, for each value of a blurred mask."""
    normal = NormalDist(0, deviation)
    return np.array([normal.inv_cdf(min(max(value / 255, 0.002), 0.998)) for value in range(256)])


@lru_cache(maxsize=64)
def _tint_tables(colour: RGB, opacity: float, width: int) -> Tables:
    distance = _distances(width)
    edge = np.clip(width * 0.75 + 0.5 - distance, 0, 1) * np.clip(distance + 1, 0.6, 1)
    alphas = opacity + (min(opacity + 0.35, 1.0) - opacity) * edge if opacity > 0 else np.zeros(256)
    alphas[0] = 0
    return _tables(np.tile(np.array(colour, float), (256, 1)), alphas)


@lru_cache(maxsize=64)
def _outline_tables(colour: RGB, opacity: float, width: int) -> Tables:
    distance = _distances(width)
    line = np.clip(width * 0.85 + 0.5 - np.abs(distance), 0, 1)
    halo = np.clip(width * 0.85 + 1.9 - np.abs(distance), 0, 1) * 0.55
    fill = np.where(distance > 0, 0.28 * opacity, 0.0)
    strength = min(1.0, 0.35 + opacity)
    shown = np.zeros((256, 3))
    alphas = np.zeros(256)
    for shade, alpha in ((colour, fill), ((0, 0, 0), halo * strength), (colour, line * strength)):
        shown = shown * (1 - alpha)[:, None] + np.array(shade, float) * alpha[:, None]
        alphas = alphas + alpha * (1 - alphas)
    alphas[0] = 0
    return _tables(shown / np.maximum(alphas, 1e-9)[:, None], alphas)


@lru_cache(maxsize=16)
def _heat_tables(opacity: float) -> Tables:
    levels = np.arange(256, dtype=np.uint8)[:, None]
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[:, 0, ::-1].astype(float)
    alphas = opacity + (1 - opacity) * opacity * np.linspace(-_HEAT_FLOOR, 1 - _HEAT_FLOOR, 256)
    return _tables(colours, alphas)


@lru_cache(maxsize=4)
def _backdrop(height: int, width: int) -> Bytes:
    cell = max(4, min(height, width) // 40)
    rows, columns = np.arange(height) // cell, np.arange(width) // cell
    odd = (rows[:, None] + columns[None, :]) % 2
    board = np.array(_BACKDROP, np.uint8)[odd]
    board.setflags(write=False)
    return board
