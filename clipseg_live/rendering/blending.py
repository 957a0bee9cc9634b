"""What every effect draws with: the picture so far, the mattes, and how to lay one over the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

import cv2
import numpy as np

from clipseg_live.core.frame import BytePlane, Pixels
from clipseg_live.core.mattes import Box, Matte, Mattes, disjoint
from clipseg_live.core.settings.base import PALETTE, RGB, PromptStyle
from clipseg_live.imaging.buffers import SCRATCH
from clipseg_live.rendering.tiles import TILE, Tiles, TileSize

Area = tuple[slice, slice]

_STRIP = 1 << 16
"""Pixels of a strip: what is between stays in the processor's cache."""
_FLAT_STRIP = 1 << 15
"""Pixels of a strip that is covered evenly: narrow ones follow the object's outline."""


@dataclass(slots=False)
class EffectCanvas:
    """One frame being drawn.

    picture: uint8 (height, width, 3), drawn so far; effects write into it or put another one in its place. original:
    the frame as it may be shown untouched: after privacy effects. styles, names: of the prompts that have a matte.
    time: the frame's own, in seconds.
    """

    picture: Pixels
    original: Pixels
    mattes: Mattes
    styles: Sequence[PromptStyle]
    names: Sequence[str]
    time: Fraction = Fraction(0)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.picture.shape[0], self.picture.shape[1]

    def length(self, percent: float) -> float:
        """Pixels for a length in percent of the picture's shorter side."""
        return min(self.size) * percent / 100

    def each(self) -> Iterator[tuple[Matte, PromptStyle]]:
        """The mattes from the lowest to the topmost, with their styles."""
        for number, matte in enumerate(self.mattes.each):
            spare = PromptStyle(colour=PALETTE[number % len(PALETTE)])
            yield matte, self.styles[number] if number < len(self.styles) else spare

    def parts(self, matte: Matte, margin: int, tile: TileSize) -> Iterator[tuple[Pixels, BytePlane]]:
        """The picture, to be drawn into, and the matte beside it wherever the matte is, with a margin.

        Both are whole tiles high and wide; what they hold beyond the frame goes on as the frame ends.
        """
        high, wide = tile
        for left, top, right, bottom in disjoint([_on_tiles(box, margin, self.size, tile) for box in matte.boxes]):
            drawn, alpha = self.picture[top:bottom, left:right], matte.alpha[top:bottom, left:right]
            down, across = -drawn.shape[0] % high, -drawn.shape[1] % wide
            if not (down or across):
                yield drawn, alpha
                continue
            whole, beside = (np.asarray(_extended(each, down, across), np.uint8) for each in (drawn, alpha))
            yield whole, beside.reshape(whole.shape[:2])
            drawn[:] = whole[: drawn.shape[0], : drawn.shape[1]]

    @cached_property
    def union(self) -> Matte:
        """All mattes as one."""
        return union_of(self.mattes)


def union_of(mattes: Mattes) -> Matte:
    """All mattes as one: the largest alpha at each pixel."""
    each = mattes.each
    if len(each) == 1:
        return each[0]
    boxes = disjoint([box for matte in each for box in matte.boxes])
    alpha = np.zeros((mattes.height, mattes.width), np.uint8)
    for matte in each:
        for box in matte.boxes:
            area = area_of(box)
            np.maximum(alpha[area], matte.alpha[area], out=alpha[area])
    alpha.setflags(write=False)
    return Matte(alpha, tuple(boxes))


def area_of(box: Box) -> Area:
    return slice(box[1], box[3]), slice(box[0], box[2])


def grown(box: Box, margin: int, size: tuple[int, int]) -> Box:
    """The box with a margin, within a picture of (height, width)."""
    left, top, right, bottom = box
    return max(left - margin, 0), max(top - margin, 0), min(right + margin, size[1]), min(bottom + margin, size[0])


def _on_tiles(box: Box, margin: int, size: tuple[int, int], tile: TileSize) -> Box:
    """The box with a margin, on whole tiles as far as a picture of (height, width) has them."""
    left, top, right, bottom = grown(box, margin, size)
    high, wide = tile
    right, bottom = -(-right // wide) * wide, -(-bottom // high) * high
    return left // wide * wide, top // high * high, min(right, size[1]), min(bottom, size[0])


def _extended(plane: BytePlane, down: int, across: int) -> Any:
    return cv2.copyMakeBorder(plane, 0, down, 0, across, cv2.BORDER_REPLICATE)


def cover_with(drawn: Pixels, alpha: BytePlane, colour: RGB, opacity: float) -> None:
    """Lay a colour over ``drawn`` in place, as far as alpha, uint8 (h, w), and an opacity say. Whole tiles."""
    inside = SCRATCH.take("inside", alpha.shape)
    cv2.threshold(alpha, 254, 255, cv2.THRESH_BINARY, dst=inside)
    _cover_evenly(drawn, inside, colour, opacity)
    soft = cv2.compare(alpha, inside, cv2.CMP_NE, dst=inside)
    if not cv2.hasNonZero(soft):
        return
    keep, add = _soft_tables(colour, opacity)
    for tiles in Tiles.marked(inside, TILE).chunks():
        part = tiles.taken(drawn)
        blend_evenly(part, tiles.taken(alpha), keep, add)
        tiles.put(part, drawn)


def blend_evenly(drawn: Pixels, field: BytePlane, keep: BytePlane, add: BytePlane) -> None:
    """``drawn * keep / 255 + add``, in place. keep: uint8 (256,), and add: uint8 (256, 1, 3), for each value of a
    field, uint8 (h, w)."""
    share = cv2.cvtColor(cv2.LUT(field, keep), cv2.COLOR_GRAY2RGB)
    cv2.multiply(drawn, share, dst=share, scale=1 / 255)
    cv2.add(share, cv2.applyColorMap(field, add), dst=drawn)


def _cover_evenly(drawn: Pixels, inside: BytePlane, colour: RGB, opacity: float) -> None:
    """Lay a colour over ``drawn`` in place where ``inside``, uint8 (h, w), is not 0."""
    paint = _paint(colour, max(_FLAT_STRIP, inside.shape[1]))
    mixed = SCRATCH.take("mixed", paint.shape)
    height = max(1, _FLAT_STRIP // inside.shape[1])
    for top in range(0, len(inside), height):
        strip = inside[top : top + height]
        left, first, wide, high = cv2.boundingRect(strip)
        if not wide:
            continue
        rows, columns, size = slice(top + first, top + first + high), slice(left, left + wide), high * wide
        part = drawn[rows, columns]
        there = mixed[:size].reshape(high, wide, 3)
        cv2.addWeighted(part, 1 - opacity, paint[:size].reshape(high, wide, 3), opacity, 0, dst=there)
        cv2.copyTo(there, inside[rows, columns], part)


@lru_cache(maxsize=64)
def _soft_tables(colour: RGB, opacity: float) -> tuple[BytePlane, BytePlane]:
    """Of ``blend_evenly``, for each alpha; where that is 255 nothing changes."""
    share = np.arange(256)[:, None] / 255 * opacity
    share[255] = 0
    add = (share * np.array(colour, float)).round().astype(np.uint8).reshape(256, 1, 3)
    return (255 * (1 - share[:, 0])).round().astype(np.uint8), add


@lru_cache(maxsize=32)
def _paint(colour: RGB, count: int) -> BytePlane:
    """A colour for each of some pixels, uint8 (count, 3)."""
    paint = np.full((count, 3), colour, np.uint8)
    paint.setflags(write=False)
    return paint


def blend_over(drawn: Pixels, above: BytePlane | RGB, share: BytePlane) -> None:
    """Lay ``above``, a picture or one colour, over ``drawn`` in place; share: uint8 (h, w), how much of it covers."""
    height = max(1, _STRIP // max(share.shape[1], 1))
    for top in range(0, len(share), height):
        rows = slice(top, top + height)
        part = share[rows]
        cover_with = SCRATCH.take("cover", (*part.shape, 3))
        rest = SCRATCH.take("rest", cover_with.shape)
        cv2.cvtColor(part, cv2.COLOR_GRAY2RGB, dst=cover_with)
        cv2.bitwise_not(cover_with, dst=rest)
        cv2.multiply(drawn[rows], rest, dst=rest, scale=1 / 255)
        if isinstance(above, tuple):
            colour = SCRATCH.take("colour", cover_with.shape)
            cv2.applyColorMap(part, _ramp(above), dst=colour)
            cv2.add(rest, colour, dst=drawn[rows])
        else:
            cv2.multiply(above[rows], cover_with, dst=cover_with, scale=1 / 255)
            cv2.add(rest, cover_with, dst=drawn[rows])


@lru_cache(maxsize=64)
def _ramp(colour: RGB) -> BytePlane:
    """A colour at each of 256 strengths, uint8 (256, 1, 3)."""
    levels = np.arange(256, dtype=np.float32)[:, None] / 255 * np.array(colour, np.float32)
    return (levels + 0.5).astype(np.uint8).reshape(256, 1, 3)


def draw_text(canvas: EffectCanvas, chip: Pixels, alpha: BytePlane, x: int, y: int) -> None:
    """Lay a small picture at a place, as far as it lies within the frame."""
    drawn = canvas.picture[y : y + alpha.shape[0], x : x + alpha.shape[1]]
    height, width = drawn.shape[:2]
    if height and width:
        blend_over(drawn, chip[:height, :width], np.ascontiguousarray(alpha[:height, :width]))


def scaled(alpha: Any, opacity: float) -> BytePlane:
    """A share of an alpha, uint8."""
    return np.asarray(cv2.convertScaleAbs(alpha, alpha=opacity), np.uint8).reshape(alpha.shape)
