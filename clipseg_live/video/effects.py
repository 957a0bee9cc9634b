"""Effects: how masks are drawn over a picture.

Tint and outline work on one field per prompt, a blurred mask in 0..255 whose value tells how far a pixel lies from the
mask's border, and lay colour over the picture through two tables. Blurring a straight edge with deviation s gives
255 * Phi(d / s) at distance d (positive inside), which ``_distances`` inverts; lines therefore have the same width
everywhere and clean edges. Only the parts of the picture that hold a piece of a mask are touched, so the cost follows
what is found and not the picture's size.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.core.ports import Maps
from clipseg_live.core.settings import RGB, Look, PromptStyle
from clipseg_live.video.resize import resize_map

Bytes = NDArray[np.uint8]
Styles = tuple[PromptStyle, ...]
Area = tuple[slice, slice]
Effect = Callable[[Pixels, Maps, Look, Styles], None]
"""Draws into ``picture`` (uint8, (height, width, 3)). Maps are on any grid; one style for each of them."""

_BACKDROP = ((38, 40, 46), (48, 51, 58))
_HEAT_FLOOR = 0.35
_COARSER = 4
_MOST_PARTS = 24


@dataclass(frozen=True, slots=True)
class Tables:
    """What a field's value does: the picture is multiplied by ``keep`` / 255, then ``add`` is added.

    keep: uint8 (256,). add: uint8 (3, 256), a table for each channel.
    """

    keep: Bytes
    add: Bytes


def tint(picture: Pixels, maps: Maps, look: Look, styles: Styles) -> None:
    """Colour each mask in place with its opacity, a little stronger along the inside of its border.

    Not a single pixel outside the masks changes.
    """
    width = line_width(picture)
    for style, probability in zip(styles, maps, strict=True):
        tables = _tint_tables(style.colour, style.opacity, width)
        for area, mask in _parts(probability, style.threshold, picture, margin=0):
            field = np.asarray(cv2.bitwise_and(_blurred(mask, width), mask), np.uint8)
            _lay(picture[area], field, tables)


def outline(picture: Pixels, maps: Maps, look: Look, styles: Styles) -> None:
    """Draw in place a line of even width around each mask, with a thin dark halo and a faint fill."""
    _line_and_fill(picture, maps, styles, fill=0.28)


def tint_and_outline(picture: Pixels, maps: Maps, look: Look, styles: Styles) -> None:
    """Colour each mask in place and draw its outline, in one pass."""
    _line_and_fill(picture, maps, styles, fill=0.75)


def heatmap(picture: Pixels, maps: Maps, look: Look, styles: Styles) -> None:
    """Colour the picture in place by the largest probability of any prompt (the perceptual map "inferno")."""
    if not len(maps):
        return
    strongest = maps[0] if len(maps) == 1 else np.max(maps, axis=0)
    field = np.asarray(cv2.convertScaleAbs(resize_map(strongest, *picture.shape[:2]), alpha=255.0), np.uint8)
    _lay(picture, field, _heat_tables(max(style.opacity for style in styles)))


def raw(picture: Pixels, maps: Maps, look: Look, styles: Styles) -> None:
    """Replace the picture by the probabilities themselves, each in its prompt's colour on black; no threshold counts.

    Overlapping prompts add up. Without a prompt the picture stays as it is.
    """
    if not len(maps):
        return
    light = np.full((*maps.shape[1:], 3), 0.5, np.float32)
    for style, probability in zip(styles, maps, strict=True):
        light += probability[..., None] * np.array(style.colour, np.float32)
    height, width = picture.shape[:2]
    shown = cv2.resize(np.minimum(light, 255.0).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    picture[...] = shown.reshape(picture.shape)


def cutout(picture: Pixels, maps: Maps, look: Look, styles: Styles) -> None:
    """Keep in place what is inside any mask, with a soft edge; the rest becomes the look's backdrop."""
    height, width = picture.shape[:2]
    if look.backdrop == "colour":
        backdrop = np.full((height, width, 3), look.backdrop_colour, np.uint8)
    else:
        backdrop = _checkerboard(height, width)
    _mix(picture, backdrop, _kept(picture, maps, styles))


def blur(picture: Pixels, maps: Maps, look: Look, styles: Styles) -> None:
    """Blur in place what is outside all masks, as a lens would; without a mask that is everything."""
    height, width = picture.shape[:2]
    shrink = max(1, min(height, width) // 180)
    size = max(width // shrink, 1), max(height // shrink, 1)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 5)
    blurred = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    _mix(picture, np.asarray(blurred, np.uint8), _kept(picture, maps, styles))


EFFECTS: dict[str, Effect] = {
    "tint": tint, "outline": outline, "tint+outline": tint_and_outline, "heatmap": heatmap, "cutout": cutout,
    "blur": blur, "raw": raw,
}  # fmt: skip


def line_width(picture: Pixels) -> int:
    """The width of lines in pixels: 2 up to 720 lines, growing with the picture's shorter side."""
    return max(2, round(min(picture.shape[:2]) / 360))


def _line_and_fill(picture: Pixels, maps: Maps, styles: Styles, fill: float) -> None:
    width = line_width(picture)
    for style, probability in zip(styles, maps, strict=True):
        tables = _outline_tables(style.colour, style.opacity, width, fill)
        for area, mask in _parts(probability, style.threshold, picture, margin=4 * width):
            field = _blurred(mask, width)
            if min(field.shape) < 14 * width:  # so small that blurring may have washed it out
                peak = float(field.max())
                if 0 < peak < 200:
                    field = np.asarray(cv2.convertScaleAbs(field, alpha=255 / peak), np.uint8)
            _lay(picture[area], field, tables)


def _parts(
    probability: NDArray[np.float32], threshold: float, picture: Pixels, margin: int
) -> Iterator[tuple[Area, Bytes]]:
    """The mask of a map in pieces: areas of the picture that do not overlap, and 255 where a pixel of one belongs to
    the mask. Together they hold all of it, with ``margin`` pixels around. Nothing where the threshold is not reached.
    """
    level = np.float32(threshold)
    seen = (probability >= level).view(np.uint8)
    if not seen.any():  # interpolation never exceeds what it interpolates
        return
    height, width = picture.shape[:2]
    full = resize_map(probability, height, width)
    for area in _areas(seen, height, width, margin):
        yield area, (full[area] >= level).view(np.uint8) * np.uint8(255)


def _areas(seen: Bytes, height: int, width: int, margin: int) -> list[Area]:
    """Where the marked cells of a grid reach in the picture: half a cell further than they lie, and the margin.

    Components are looked for on a coarser grid; a cell that lies across two of its cells may be seen in one alone,
    hence the cell and a half.
    """
    rows, columns = (max(1, side // _COARSER) for side in seen.shape)
    coarse = cv2.resize(seen * np.uint8(255), (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows, columns)
    _, _, statistics, _ = cv2.connectedComponentsWithStats((coarse > 0).view(np.uint8))
    across, down = width / columns, height / rows
    beyond_x, beyond_y = 1.5 * width / seen.shape[1], 1.5 * height / seen.shape[0]
    boxes = [
        (
            max(int(x * across - beyond_x) - 1 - margin, 0),
            max(int(y * down - beyond_y) - 1 - margin, 0),
            min(int((x + w) * across + beyond_x) + 2 + margin, width),
            min(int((y + h) * down + beyond_y) + 2 + margin, height),
        )
        for x, y, w, h, _ in statistics[1:].tolist()
    ]
    if len(boxes) > _MOST_PARTS:
        boxes = [_around(boxes)]
    return [(slice(top, bottom), slice(left, right)) for left, top, right, bottom in _disjoint(boxes)]


Box = tuple[int, int, int, int]


def _disjoint(boxes: list[Box]) -> list[Box]:
    """The boxes (left, top, right, bottom) with those that overlap made into one, until none do."""
    found: list[Box] = []
    for box in boxes:
        while (other := next((each for each in found if _overlap(each, box)), None)) is not None:
            found.remove(other)
            box = _around([box, other])
        found.append(box)
    return found


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _around(boxes: list[Box]) -> Box:
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _blurred(mask: Bytes, deviation: int) -> Bytes:
    # A mask that touches the picture's edge goes on beyond it.
    side = 6 * deviation + 1
    return np.asarray(cv2.GaussianBlur(mask, (side, side), deviation, borderType=cv2.BORDER_REPLICATE), np.uint8)


def _kept(picture: Pixels, maps: Maps, styles: Styles) -> Bytes:
    """How much of each pixel stays, 0..255: the union of all masks with a soft edge."""
    union = np.zeros(picture.shape[:2], np.uint8)
    for style, probability in zip(styles, maps, strict=True):
        for area, mask in _parts(probability, style.threshold, picture, margin=0):
            union[area] |= mask
    return _blurred(union, max(line_width(picture) // 2, 1))


def _mix(picture: Pixels, other: Bytes, kept: Bytes) -> None:
    """``kept`` / 255 of the picture and the rest of ``other``, into the picture."""
    share = cv2.cvtColor(kept, cv2.COLOR_GRAY2RGB)
    cv2.multiply(picture, share, dst=picture, scale=1 / 255)
    cv2.add(picture, cv2.multiply(other, cv2.bitwise_not(share), scale=1 / 255), dst=picture)


def _lay(picture: Pixels, field: Bytes, tables: Tables) -> None:
    """Change ``picture`` (a view) as the tables say for each value of ``field``."""
    one, two, three, kept, added = _SCRATCH.take(*field.shape)
    cv2.LUT(field, tables.keep, dst=one)
    cv2.merge((one, one, one), dst=kept)
    cv2.multiply(picture, kept, dst=kept, scale=1 / 255)
    for channel, table in zip((one, two, three), tables.add, strict=True):
        cv2.LUT(field, table, dst=channel)
    cv2.merge((one, two, three), dst=added)
    cv2.add(kept, added, dst=kept)
    picture[...] = kept


class _Scratch(threading.local):
    """Memory that is used again, each thread its own: fresh megabytes cost more in page faults than their filling."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def take(self, height: int, width: int) -> tuple[Bytes, Bytes, Bytes, Bytes, Bytes]:
        """Three arrays (height, width) and two (height, width, 3), valid until the next call."""
        size = height * width
        if self._memory.size < 9 * size:
            self._memory = np.empty(9 * size, np.uint8)
        singles = [self._memory[n * size : (n + 1) * size].reshape(height, width) for n in range(3)]
        triples = [self._memory[n * size : (n + 3) * size].reshape(height, width, 3) for n in (3, 6)]
        return singles[0], singles[1], singles[2], triples[0], triples[1]


_SCRATCH = _Scratch()


def _tables(colours: NDArray[np.float64], alphas: NDArray[np.float64]) -> Tables:
    """Tables that lay ``colours`` (256, 3) with ``alphas`` (256) over the picture."""
    keep = (255 * (1 - alphas)).round()
    add = (colours * alphas[:, None]).round()
    return Tables(keep.astype(np.uint8), np.ascontiguousarray(add.astype(np.uint8).T))


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
def _outline_tables(colour: RGB, opacity: float, width: int, filling: float) -> Tables:
    distance = _distances(width)
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
