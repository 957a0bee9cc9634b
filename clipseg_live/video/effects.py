"""Effects: how masks are drawn over a picture.

An effect makes a ``Layer`` from the maps, the look and the size alone, so that it is made once for an answer of the
model and laid over every frame until the next one.

Without a prompt, and where no prompt reaches its threshold, "tint", "outline" and "tint+outline" leave the picture as
it is, and "cutout" and "blur" show nothing of it but the backdrop or the blur: only what was asked for is seen there.
"heatmap" and "raw" know no thresholds; without a prompt they leave the picture as it is.

Tint and outline look every pixel's distance to the border up in tables of what is kept and added; see ``parts``.
"Heatmap" and "raw" mix the prompts on the maps' grid and resize the mixture.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.core.ports import Maps
from clipseg_live.core.effects import CutOut
from clipseg_live.core.look import Look
from clipseg_live.core.settings import RGB, PromptStyle
from clipseg_live.video.overlay import Box, Bytes, Matte, Overlay, Replacement, Tables, area_of, disjoint
from clipseg_live.video.parts import blurred, distances, filled, parts
from clipseg_live.video.resize import resized_strips

Styles = tuple[PromptStyle, ...]

_BACKDROP = ((38, 40, 46), (48, 51, 58))
_HEAT_FLOOR = 0.35


class Layer(Protocol):
    """What an effect makes: it may be laid over any number of pictures of one size."""

    def over(self, picture: Pixels) -> Pixels:
        """A new picture; ``picture``, uint8 (height, width, 3), is left as it is."""


Effect = Callable[[Maps, Look, Styles, int, int], Layer]
"""Makes the layer of maps (on any grid, one style for each) for pictures of (height, width)."""


def tint(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Layer:
    """Colour each mask with its opacity, a little stronger along the inside of its border.

    Not a single pixel outside the masks changes.
    """
    overlay, line = Overlay(), line_width(height, width)
    for style, probability in zip(styles, maps, strict=True):
        tables = _tint_tables(style.colour, style.opacity, line)
        for box, mask in parts(probability, style.threshold, height, width, line):
            field = filled(blurred(mask, line), mask)
            overlay.draw(box, np.asarray(cv2.bitwise_and(field, mask, dst=field), np.uint8), tables)
    return overlay


def outline(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Layer:
    """A line of even width around each mask, with a thin dark halo and a faint fill."""
    return _line_and_fill(maps, styles, height, width, fill=0.28)


def tint_and_outline(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Layer:
    """Each mask coloured and outlined, in one pass."""
    return _line_and_fill(maps, styles, height, width, fill=0.75)


def heatmap(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Layer:
    """The picture coloured by the largest probability of any prompt (the perceptual map "inferno")."""
    overlay = Overlay()
    if len(maps):
        strongest = maps[0] if len(maps) == 1 else np.max(maps, axis=0)
        field = np.empty((height, width), np.uint8)
        for rows, strip in resized_strips(strongest, height, width, slice(0, height), slice(0, width)):
            field[rows] = cv2.convertScaleAbs(strip, alpha=255.0)
        overlay.draw((0, 0, width, height), field, _heat_tables(max(style.opacity for style in styles)))
    return overlay


def raw(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Layer:
    """The probabilities themselves in place of the picture, each in its prompt's colour on black; no threshold counts.

    Overlapping prompts add up. Without a prompt the picture stays as it is.
    """
    if not len(maps):
        return Overlay()
    light = np.full((*maps.shape[1:], 3), 0.5, np.float32)
    for style, probability in zip(styles, maps, strict=True):
        light += probability[..., None] * np.array(style.colour, np.float32)
    shown = cv2.resize(np.minimum(light, 255.0).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    return Replacement(np.asarray(shown, np.uint8).reshape(height, width, 3))


def cutout(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Layer:
    """What is inside any mask, with a soft edge, on the look's backdrop."""
    if _backdrop(look).backdrop == "colour":
        backdrop = np.full((height, width, 3), _backdrop(look).colour, np.uint8)
    else:
        backdrop = _checkerboard(height, width)
    return Matte(*_kept(maps, styles, height, width), backdrop)


def blur(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Layer:
    """What is outside all masks blurred; without a mask that is everything."""
    return Matte(*_kept(maps, styles, height, width), None)


EFFECTS: dict[str, Effect] = {
    "tint": tint, "outline": outline, "tint+outline": tint_and_outline, "heatmap": heatmap, "cutout": cutout,
    "blur": blur, "raw": raw,
}  # fmt: skip


def line_width(height: int, width: int) -> int:
    """The width of lines in pixels: 2 up to 720 rows, growing with the picture's shorter side."""
    return max(2, round(min(height, width) / 360))


def _line_and_fill(maps: Maps, styles: Styles, height: int, width: int, fill: float) -> Layer:
    overlay, line = Overlay(), line_width(height, width)
    for style, probability in zip(styles, maps, strict=True):
        tables = _outline_tables(style.colour, style.opacity, line, fill)
        for box, mask in parts(probability, style.threshold, height, width, line):
            overlay.draw(box, filled(blurred(mask, line), mask), tables)
    return overlay


def _kept(maps: Maps, styles: Styles, height: int, width: int) -> tuple[Bytes, list[Box]]:
    """How much of each pixel stays, 0..255: the union of all masks with a soft edge; and boxes around all of it."""
    union, softness = np.zeros((height, width), np.uint8), max(line_width(height, width) // 2, 1)
    boxes: list[Box] = []
    for style, probability in zip(styles, maps, strict=True):
        for box, mask in parts(probability, style.threshold, height, width, softness):
            union[area_of(box)] |= mask
            boxes.append(box)
    boxes = disjoint(boxes)
    for area in map(area_of, boxes):
        union[area] = blurred(union[area], softness)
    return union, boxes


def _tables(colours: NDArray[np.float64], alphas: NDArray[np.float64]) -> Tables:
    """Tables that lay ``colours`` (256, 3) with ``alphas`` (256) over the picture."""
    keep = (255 * (1 - alphas)).round()
    add = (colours * alphas[:, None]).round()
    return Tables(keep.astype(np.uint8), add.astype(np.uint8).reshape(256, 1, 3))


@lru_cache(maxsize=64)
def _tint_tables(colour: RGB, opacity: float, width: int) -> Tables:
    distance = distances(width)
    edge = np.clip(width * 0.75 + 0.5 - distance, 0, 1) * np.clip(distance + 1, 0.6, 1)
    alphas = opacity + (min(opacity + 0.35, 1.0) - opacity) * edge if opacity > 0 else np.zeros(256)
    alphas[0] = 0
    return _tables(np.tile(np.array(colour, float), (256, 1)), alphas)


@lru_cache(maxsize=64)
def _outline_tables(colour: RGB, opacity: float, width: int, filling: float) -> Tables:
    distance = distances(width)
    line = np.clip(width * 0.85 + 0.5 - np.abs(distance), 0, 1)
    halo = np.clip(width * 0.85 + 1.9 - np.abs(distance), 0, 1) * 0.55
    fill = np.clip(distance + 0.5, 0, 1) * filling * opacity
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
def _checkerboard(height: int, width: int) -> Bytes:
    cell = max(4, min(height, width) // 40)
    rows, columns = np.arange(height) // cell, np.arange(width) // cell
    odd = (rows[:, None] + columns[None, :]) % 2
    board = np.array(_BACKDROP, np.uint8)[odd]
    board.setflags(write=False)
    return board


def _backdrop(look: Look) -> CutOut:
    return next((effect for effect in look.effects if isinstance(effect, CutOut)), CutOut())
