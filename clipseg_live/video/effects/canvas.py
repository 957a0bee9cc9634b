"""What every effect draws with: the picture so far, the mattes, and how to lay one over the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Box, Matte, Mattes, disjoint
from clipseg_live.core.settings import PALETTE, PromptStyle
from clipseg_live.video.scratch import SCRATCH

Bytes = NDArray[np.uint8]
Area = tuple[slice, slice]

_STRIP = 1 << 16
"""Pixels of a strip: what is between stays in the processor's cache."""


@dataclass(slots=False)
class Canvas:
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

    @cached_property
    def union(self) -> Matte:
        """All mattes as one."""
        each = self.mattes.each
        if len(each) == 1:
            return each[0]
        boxes = disjoint([box for matte in each for box in matte.boxes])
        alpha = np.zeros(self.size, np.uint8)
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


def lay(drawn: Pixels, above: Bytes | tuple[int, int, int], share: Bytes) -> None:
    """Lay ``above``, a picture or one colour, over ``drawn`` in place; share: uint8 (h, w), how much of it covers."""
    height = max(1, _STRIP // max(share.shape[1], 1))
    for top in range(0, len(share), height):
        rows = slice(top, top + height)
        part = share[rows]
        cover = SCRATCH.take("cover", (*part.shape, 3))
        rest = SCRATCH.take("rest", cover.shape)
        cv2.cvtColor(part, cv2.COLOR_GRAY2RGB, dst=cover)
        cv2.bitwise_not(cover, dst=rest)
        cv2.multiply(drawn[rows], rest, dst=rest, scale=1 / 255)
        if isinstance(above, tuple):
            colour = SCRATCH.take("colour", cover.shape)
            cv2.applyColorMap(part, _ramp(above), dst=colour)
            cv2.add(rest, colour, dst=drawn[rows])
        else:
            cv2.multiply(above[rows], cover, dst=cover, scale=1 / 255)
            cv2.add(rest, cover, dst=drawn[rows])


def _ramp(colour: tuple[int, int, int]) -> Bytes:
    """A colour at each of 256 strengths, uint8 (256, 1, 3)."""
    levels = np.arange(256, dtype=np.float32)[:, None] / 255 * np.array(colour, np.float32)
    return (levels + 0.5).astype(np.uint8).reshape(256, 1, 3)


def stamp(canvas: Canvas, chip: Pixels, alpha: Bytes, x: int, y: int) -> None:
    """Lay a small picture at a place, as far as it lies within the frame."""
    drawn = canvas.picture[y : y + alpha.shape[0], x : x + alpha.shape[1]]
    height, width = drawn.shape[:2]
    if height and width:
        lay(drawn, chip[:height, :width], np.ascontiguousarray(alpha[:height, :width]))


def scaled(alpha: Any, opacity: float) -> Bytes:
    """A share of an alpha, uint8."""
    return np.asarray(cv2.convertScaleAbs(alpha, alpha=opacity), np.uint8).reshape(alpha.shape)
