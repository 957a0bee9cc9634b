"""Effects: how masks are drawn over a picture.

Every effect is an ``Overlay``: a share of each pixel of the picture is kept, and light is added. An overlay depends on the
maps, the look and the size alone, so that it is made once for an answer of the model and laid over every frame until the
next one.

Tint and outline work on one field per prompt, a blurred mask in 0..255 whose value tells how far a pixel lies from the
mask's border; tables turn it into what is kept and added. Blurring a straight edge with deviation s gives
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
Box = tuple[int, int, int, int]
"""Left, top, right and bottom; the last two are just outside."""

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


class Overlay:
    """What is laid over a picture of one size: ``keep`` / 255 of it, and ``add``.

    keep: uint8 (height, width). add: uint8 (height, width, 3). areas: where anything happens; they do not overlap.
    blurs: what is not kept shows the picture itself, blurred, instead of ``add``.
    """

    def __init__(self, height: int, width: int, blurs: bool = False) -> None:
        self.keep: Bytes = np.full((height, width), 255, np.uint8)
        self.add: Bytes = np.zeros((height, width, 3), np.uint8)
        self.areas: list[Area] = []
        self.blurs = blurs
        self._boxes: list[Box] = []

    @classmethod
    def whole(cls, keep: Bytes, add: Bytes | None = None) -> "Overlay":
        """One that reaches over the whole picture; without ``add`` it blurs."""
        overlay = cls.__new__(cls)
        overlay.keep, overlay.blurs = keep, add is None
        overlay.add = np.zeros((*keep.shape, 3), np.uint8) if add is None else add
        overlay.areas = [(slice(None), slice(None))]
        overlay._boxes = []
        return overlay

    def draw(self, box: Box, field: Bytes, tables: Tables) -> None:
        """Lay what the tables make of ``field`` (of the box's size) over what is there already."""
        left, top, right, bottom = box
        area = slice(top, bottom), slice(left, right)
        one, two, three, share, light = _SCRATCH.take(*field.shape)
        for channel, table in zip((one, two, three), tables.add, strict=True):
            cv2.LUT(field, table, dst=channel)
        cv2.merge((one, two, three), dst=light)
        cv2.LUT(field, tables.keep, dst=one)
        if any(_overlap(box, other) for other in self._boxes):
            cv2.merge((one, one, one), dst=share)
            cv2.add(cv2.multiply(self.add[area], share, scale=1 / 255), light, dst=light)
            one[...] = cv2.multiply(self.keep[area], one, scale=1 / 255)
        self.keep[area], self.add[area] = one, light
        self._boxes.append(box)
        self.areas = [_area(each) for each in _disjoint(self._boxes)]

    def lay(self, picture: Pixels) -> None:
        """Change ``picture``, uint8 (height, width, 3), in place."""
        added = self._light_of(picture) if self.blurs else self.add
        for area in self.areas:
            keep, part = self.keep[area], picture[area]
            _, _, _, share, light = _SCRATCH.take(*keep.shape)
            cv2.merge((keep, keep, keep), dst=share)
            cv2.multiply(part, share, dst=light, scale=1 / 255)
            part[...] = cv2.add(light, added[area], dst=light)

    def _light_of(self, picture: Pixels) -> Bytes:
        """The picture as a lens out of focus shows it, where it is not kept."""
        height, width = picture.shape[:2]
        shrink = max(1, min(height, width) // 180)
        size = max(width // shrink, 1), max(height // shrink, 1)
        small = cv2.GaussianBlur(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), (0, 0), 5)
        blurred = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).reshape(picture.shape)
        rest = cv2.bitwise_not(cv2.merge((self.keep, self.keep, self.keep)))
        return np.asarray(cv2.multiply(blurred, rest.reshape(picture.shape), scale=1 / 255), np.uint8)


Effect = Callable[[Maps, Look, Styles, int, int], Overlay]
"""Makes the overlay of maps (on any grid, one style for each) for pictures of (height, width)."""


def tint(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Overlay:
    """Colour each mask with its opacity, a little stronger along the inside of its border.

    Not a single pixel outside the masks changes.
    """
    overlay, line = Overlay(height, width), line_width(height, width)
    for style, probability in zip(styles, maps, strict=True):
        tables = _tint_tables(style.colour, style.opacity, line)
        for box, mask in _parts(probability, style.threshold, height, width, margin=0):
            overlay.draw(box, np.asarray(cv2.bitwise_and(_blurred(mask, line), mask), np.uint8), tables)
    return overlay


def outline(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Overlay:
    """A line of even width around each mask, with a thin dark halo and a faint fill."""
    return _line_and_fill(maps, styles, height, width, fill=0.28)


def tint_and_outline(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Overlay:
    """Each mask coloured and outlined, in one pass."""
    return _line_and_fill(maps, styles, height, width, fill=0.75)


def heatmap(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Overlay:
    """The picture coloured by the largest probability of any prompt (the perceptual map "inferno")."""
    overlay = Overlay(height, width)
    if len(maps):
        strongest = maps[0] if len(maps) == 1 else np.max(maps, axis=0)
        field = np.asarray(cv2.convertScaleAbs(resize_map(strongest, height, width), alpha=255.0), np.uint8)
        overlay.draw((0, 0, width, height), field, _heat_tables(max(style.opacity for style in styles)))
    return overlay


def raw(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Overlay:
    """The probabilities themselves in place of the picture, each in its prompt's colour on black; no threshold counts.

    Overlapping prompts add up. Without a prompt the picture stays as it is.
    """
    if not len(maps):
        return Overlay(height, width)
    light = np.full((*maps.shape[1:], 3), 0.5, np.float32)
    for style, probability in zip(styles, maps, strict=True):
        light += probability[..., None] * np.array(style.colour, np.float32)
    shown = cv2.resize(np.minimum(light, 255.0).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    return Overlay.whole(np.zeros((height, width), np.uint8), np.asarray(shown, np.uint8).reshape(height, width, 3))


def cutout(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Overlay:
    """What is inside any mask, with a soft edge, on the look's backdrop."""
    kept = _kept(maps, styles, height, width)
    if look.backdrop == "colour":
        backdrop = np.full((height, width, 3), look.backdrop_colour, np.uint8)
    else:
        backdrop = _checkerboard(height, width)
    rest = np.asarray(cv2.bitwise_not(cv2.merge((kept, kept, kept))), np.uint8).reshape(backdrop.shape)
    return Overlay.whole(kept, np.asarray(cv2.multiply(backdrop, rest, scale=1 / 255), np.uint8))


def blur(maps: Maps, look: Look, styles: Styles, height: int, width: int) -> Overlay:
    """What is outside all masks blurred; without a mask that is everything."""
    return Overlay.whole(_kept(maps, styles, height, width))


EFFECTS: dict[str, Effect] = {
    "tint": tint, "outline": outline, "tint+outline": tint_and_outline, "heatmap": heatmap, "cutout": cutout,
    "blur": blur, "raw": raw,
}  # fmt: skip


def line_width(height: int, width: int) -> int:
    """The width of lines in pixels: 2 up to 720 lines, growing with the picture's shorter side."""
    return max(2, round(min(height, width) / 360))


def _line_and_fill(maps: Maps, styles: Styles, height: int, width: int, fill: float) -> Overlay:
    overlay, line = Overlay(height, width), line_width(height, width)
    for style, probability in zip(styles, maps, strict=True):
        tables = _outline_tables(style.colour, style.opacity, line, fill)
        for box, mask in _parts(probability, style.threshold, height, width, margin=4 * line):
            field = _blurred(mask, line)
            if min(field.shape) < 14 * line:  # so small that blurring may have washed it out
                peak = float(field.max())
                if 0 < peak < 200:
                    field = np.asarray(cv2.convertScaleAbs(field, alpha=255 / peak), np.uint8)
            overlay.draw(box, field, tables)
    return overlay


def _parts(
    probability: NDArray[np.float32], threshold: float, height: int, width: int, margin: int
) -> Iterator[tuple[Box, Bytes]]:
    """The mask of a map in pieces: boxes that do not overlap, and 255 where a pixel of one belongs to the mask.

    Together they hold all of it, with ``margin`` pixels around. Nothing where the threshold is not reached.
    """
    level = np.float32(threshold)
    seen = (probability >= level).view(np.uint8)
    if not seen.any():  # interpolation never exceeds what it interpolates
        return
    full = resize_map(probability, height, width)
    for box in _boxes(seen, height, width, margin):
        yield box, (full[_area(box)] >= level).view(np.uint8) * np.uint8(255)


def _boxes(seen: Bytes, height: int, width: int, margin: int) -> list[Box]:
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
    return _disjoint(boxes)


def _area(box: Box) -> Area:
    left, top, right, bottom = box
    return slice(top, bottom), slice(left, right)


def _disjoint(boxes: list[Box]) -> list[Box]:
    """The boxes with those that overlap made into one, until none do."""
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


def _kept(maps: Maps, styles: Styles, height: int, width: int) -> Bytes:
    """How much of each pixel stays, 0..255: the union of all masks with a soft edge."""
    union = np.zeros((height, width), np.uint8)
    for style, probability in zip(styles, maps, strict=True):
        for box, mask in _parts(probability, style.threshold, height, width, margin=0):
            union[_area(box)] |= mask
    return _blurred(union, max(line_width(height, width) // 2, 1)).reshape(height, width)


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
