"""Canvas of the effects: the image drawn so far, the mattes, and functions that blend one over the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import cv2
import numpy as np

from clipseg_live.core.frame import BytePlane, Pixels
from clipseg_live.core.mattes import Box, Matte, Mattes, disjoint
from clipseg_live.core.settings.base import PALETTE, RGB, PromptStyle
from clipseg_live.imaging.buffers import SCRATCH
from clipseg_live.rendering.tiles import TILE, Tiles, TileSize

Area = tuple[slice, slice]
Kept = TypeVar("Kept")

_STRIP = 1 << 16
"""Pixels of a strip; the intermediate values of a strip fit the processor cache."""
_FLAT_STRIP = 1 << 15
"""Pixels of an evenly covered strip; narrow strips follow the outline of the object."""


@dataclass(slots=False)
class EffectCanvas:
    """Frame that is being drawn.

    Attributes:
        picture: uint8 (height, width, 3), drawn so far; effects write to it or replace it.
        original: the frame as it may be shown without effects, which is after privacy effects.
        mattes: mattes of the frame.
        styles: styles of the prompts that have a matte.
        names: names of the prompts that have a matte.
        time: time of the frame in seconds.
        kept: what effects of the same renderer keep from frame to frame; see ``keep``.
    """

    picture: Pixels
    original: Pixels
    mattes: Mattes
    styles: Sequence[PromptStyle]
    names: Sequence[str]
    time: Fraction = Fraction(0)
    kept: dict[Any, Any] = field(default_factory=dict)

    def keep(self, make: Callable[[], Kept]) -> Kept:
        """Return the object that ``make`` returned for the first frame.

        It belongs to the renderer, which calls its method ``close``, if it has one, in the end. The same frame must
        give the same pixels whatever was drawn before, so keep files and tables here, but no frames.
        """
        if make not in self.kept:
            self.kept[make] = make()
        kept: Kept = self.kept[make]
        return kept

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.picture.shape[0], self.picture.shape[1]

    def length(self, percent: float) -> float:
        """Return a length in pixels, from percent of the shorter side of the frame."""
        return min(self.size) * percent / 100

    def each(self) -> Iterator[tuple[Matte, PromptStyle]]:
        """Yield the mattes from the lowest to the topmost, with their styles."""
        for number, matte in enumerate(self.mattes.each):
            default = PromptStyle(colour=PALETTE[number % len(PALETTE)])
            yield matte, self.styles[number] if number < len(self.styles) else default

    def parts(self, matte: Matte, margin: int, tile: TileSize) -> Iterator[tuple[Pixels, BytePlane]]:
        """Yield parts of the image, to be drawn into, with the same parts of the matte.

        The parts cover the matte with a margin. Both are whole tiles high and wide. Beyond the frame they repeat its
        edge.
        """
        high, wide = tile
        for left, top, right, bottom in disjoint(
            [_align_to_tiles(box, margin, self.size, tile) for box in matte.boxes]
        ):
            drawn, alpha = self.picture[top:bottom, left:right], matte.alpha[top:bottom, left:right]
            down, across = -drawn.shape[0] % high, -drawn.shape[1] % wide
            if not (down or across):
                yield drawn, alpha
                continue
            padded, padded_alpha = (np.asarray(_extend(plane, down, across), np.uint8) for plane in (drawn, alpha))
            yield padded, padded_alpha.reshape(padded.shape[:2])
            drawn[:] = padded[: drawn.shape[0], : drawn.shape[1]]

    @cached_property
    def union(self) -> Matte:
        """Union of all mattes."""
        return union_of(self.mattes)


def union_of(mattes: Mattes) -> Matte:
    """Return the union of all mattes: the largest alpha at each pixel."""
    parts = mattes.each
    if len(parts) == 1:
        return parts[0]
    boxes = disjoint([box for matte in parts for box in matte.boxes])
    alpha = np.zeros((mattes.height, mattes.width), np.uint8)
    for matte in parts:
        for box in matte.boxes:
            area = area_of(box)
            np.maximum(alpha[area], matte.alpha[area], out=alpha[area])
    alpha.setflags(write=False)
    return Matte(alpha, tuple(boxes))


def area_of(box: Box) -> Area:
    """Return the rows and columns of a box as slices."""
    return slice(box[1], box[3]), slice(box[0], box[2])


def grow_box(box: Box, margin: int, size: tuple[int, int]) -> Box:
    """Return the box with a margin, clipped to an image of (height, width)."""
    left, top, right, bottom = box
    return max(left - margin, 0), max(top - margin, 0), min(right + margin, size[1]), min(bottom + margin, size[0])


def _align_to_tiles(box: Box, margin: int, size: tuple[int, int], tile: TileSize) -> Box:
    """Return the box with a margin, extended to whole tiles and clipped to an image of (height, width)."""
    left, top, right, bottom = grow_box(box, margin, size)
    high, wide = tile
    right, bottom = -(-right // wide) * wide, -(-bottom // high) * high
    return left // wide * wide, top // high * high, min(right, size[1]), min(bottom, size[0])


def _extend(plane: BytePlane, down: int, across: int) -> Any:
    return cv2.copyMakeBorder(plane, 0, down, 0, across, cv2.BORDER_REPLICATE)


def cover_with(drawn: Pixels, alpha: BytePlane, colour: RGB, opacity: float) -> None:
    """Blend a colour over ``drawn`` in place, weighted by an alpha, uint8 (h, w), and an opacity.

    Both arrays must be whole tiles high and wide.
    """
    inside = SCRATCH.take("inside", alpha.shape)
    cv2.threshold(alpha, 254, 255, cv2.THRESH_BINARY, dst=inside)
    _cover_evenly(drawn, inside, colour, opacity)
    soft = cv2.compare(alpha, inside, cv2.CMP_NE, dst=inside)
    if not cv2.hasNonZero(soft):
        return
    keep, add = _soft_tables(colour, opacity)
    for tiles in Tiles.from_marks(inside, TILE).chunks():
        part = tiles.extract(drawn)
        blend_evenly(part, tiles.extract(alpha), keep, add)
        tiles.put(part, drawn)


def blend_evenly(drawn: Pixels, field: BytePlane, keep: BytePlane, add: BytePlane) -> None:
    """Compute ``drawn * keep / 255 + add`` in place, with factors from the values of a field.

    Args:
        drawn: uint8 (h, w, 3).
        field: uint8 (h, w).
        keep: uint8 (256,), for each value of the field.
        add: uint8 (256, 1, 3), for each value of the field.
    """
    share = cv2.cvtColor(cv2.LUT(field, keep), cv2.COLOR_GRAY2RGB)
    cv2.multiply(drawn, share, dst=share, scale=1 / 255)
    cv2.add(share, cv2.applyColorMap(field, add), dst=drawn)


def _cover_evenly(drawn: Pixels, inside: BytePlane, colour: RGB, opacity: float) -> None:
    """Blend a colour over ``drawn`` in place where ``inside``, uint8 (h, w), is not 0."""
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
        blended = mixed[:size].reshape(high, wide, 3)
        cv2.addWeighted(part, 1 - opacity, paint[:size].reshape(high, wide, 3), opacity, 0, dst=blended)
        cv2.copyTo(blended, inside[rows, columns], part)


@lru_cache(maxsize=64)
def _soft_tables(colour: RGB, opacity: float) -> tuple[BytePlane, BytePlane]:
    """Return the tables of ``blend_evenly`` over alpha; an alpha of 255 changes nothing."""
    share = np.arange(256)[:, None] / 255 * opacity
    share[255] = 0
    add = (share * np.array(colour, float)).round().astype(np.uint8).reshape(256, 1, 3)
    return (255 * (1 - share[:, 0])).round().astype(np.uint8), add


@lru_cache(maxsize=32)
def _paint(colour: RGB, count: int) -> BytePlane:
    """Return a colour repeated for ``count`` pixels, uint8 (count, 3)."""
    paint = np.full((count, 3), colour, np.uint8)
    paint.setflags(write=False)
    return paint


def blend_over(drawn: Pixels, above: BytePlane | RGB, share: BytePlane) -> None:
    """Blend ``above``, an image or one colour, over ``drawn`` in place, weighted by ``share``, uint8 (h, w)."""
    height = max(1, _STRIP // max(share.shape[1], 1))
    for top in range(0, len(share), height):
        rows = slice(top, top + height)
        part = share[rows]
        weight = SCRATCH.take("cover", (*part.shape, 3))
        rest = SCRATCH.take("rest", weight.shape)
        cv2.cvtColor(part, cv2.COLOR_GRAY2RGB, dst=weight)
        cv2.bitwise_not(weight, dst=rest)
        cv2.multiply(drawn[rows], rest, dst=rest, scale=1 / 255)
        if isinstance(above, tuple):
            colour = SCRATCH.take("colour", weight.shape)
            cv2.applyColorMap(part, _ramp(above), dst=colour)
            cv2.add(rest, colour, dst=drawn[rows])
        else:
            cv2.multiply(above[rows], weight, dst=weight, scale=1 / 255)
            cv2.add(rest, weight, dst=drawn[rows])


@lru_cache(maxsize=64)
def _ramp(colour: RGB) -> BytePlane:
    """Return a colour at each of 256 strengths, uint8 (256, 1, 3)."""
    levels = np.arange(256, dtype=np.float32)[:, None] / 255 * np.array(colour, np.float32)
    return (levels + 0.5).astype(np.uint8).reshape(256, 1, 3)


def draw_text(canvas: EffectCanvas, chip: Pixels, alpha: BytePlane, x: int, y: int) -> None:
    """Blend a small image over the canvas at a position, clipped to the frame."""
    drawn = canvas.picture[y : y + alpha.shape[0], x : x + alpha.shape[1]]
    height, width = drawn.shape[:2]
    if height and width:
        blend_over(drawn, chip[:height, :width], np.ascontiguousarray(alpha[:height, :width]))
