"""Overlays: what is laid over every picture until the model's next answer.

Each has ``over``, which makes a new picture and leaves the given one as it is. Only the boxes that hold something are
worked on, so the cost follows what is found and not the picture's size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.video.scratch import SCRATCH

Bytes = NDArray[np.uint8]
Area = tuple[slice, slice]
Box = tuple[int, int, int, int]
"""Left, top, right and bottom; the last two are just outside."""

_MOST_PIECES = 48
_STRIP = 1 << 16
"""Pixels of a strip: what is between stays in the processor's cache."""
_LENS_SIDE, _LENS_DEVIATION = 180, 5
"""What is out of focus is blurred by this deviation, at a size whose shorter side is about this many pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """What a field's value does: the picture is multiplied by ``keep`` / 255, then ``add`` is added.

    keep: uint8 (256,). add: uint8 (256, 1, 3).
    """

    keep: Bytes
    add: Bytes


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    box: Box
    keep: Bytes
    add: Bytes


class Overlay:
    """A share of each pixel of the picture is kept, and light is added; until something is drawn, all stays as it is.

    It consists of pieces that do not overlap, each with ``keep``, uint8 (h, w), and ``add``, uint8 (h, w, 3).
    """

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []

    def draw(self, box: Box, field: Bytes, tables: Tables) -> None:
        """Lay what the tables make of ``field``, uint8 of the box's size, over what is there already."""
        keep = np.asarray(cv2.LUT(field, tables.keep), np.uint8)
        add = np.asarray(cv2.applyColorMap(field, tables.add), np.uint8)
        for each in self._pieces:
            if _overlap(each.box, box):
                common = _common(each.box, box)
                here, there = _within(common, box), _within(common, each.box)
                _lay(each.add[there], keep[here], add[here], add[here])
                cv2.multiply(each.keep[there], keep[here], dst=keep[here], scale=1 / 255)
        self._insert(_Piece(box, keep, add))

    def over(self, picture: Pixels) -> Pixels:
        drawn = picture.copy()
        for piece in self._pieces:
            area = area_of(piece.box)
            _lay(picture[area], piece.keep, piece.add, drawn[area])
        return drawn

    def _insert(self, piece: _Piece) -> None:
        """Take the piece in, in place of what is under it, and as one with every other that it overlaps."""
        outer, others = piece.box, self._pieces
        crowded = len(others) >= _MOST_PIECES
        while touched := [each for each in others if crowded or _overlap(each.box, outer)]:
            wider = _around([outer, *(each.box for each in touched)])
            if wider == outer:
                break
            outer = wider
        if not touched:
            self._pieces.append(piece)
            return
        joined = next((each for each in touched if each.box == outer), None) or _nothing(outer)
        for each in [*touched, piece]:
            if each is not joined:
                area = _within(each.box, outer)
                joined.keep[area], joined.add[area] = each.keep, each.add
        self._pieces = [each for each in others if each not in touched] + [joined]


def _nothing(box: Box) -> _Piece:
    shape = box[3] - box[1], box[2] - box[0]
    return _Piece(box, np.full(shape, 255, np.uint8), np.zeros((*shape, 3), np.uint8))


class Matte:
    """The picture in front of something else.

    keep: uint8 (height, width), how much of the picture is there (/ 255); 0 outside ``boxes``, which do not overlap.
    behind: uint8 (height, width, 3), or None for the rest of the picture itself, out of focus.
    """

    def __init__(self, keep: Bytes, boxes: Sequence[Box], behind: Bytes | None) -> None:
        self._areas = [area_of(box) for box in boxes]
        self._keep, self._rest = keep, np.bitwise_not(keep)
        self._behind = _Lens(self._rest) if behind is None else behind

    def over(self, picture: Pixels) -> Pixels:
        drawn = self._behind.blur(picture) if isinstance(self._behind, _Lens) else self._behind.copy()
        for area in self._areas:
            dimmed = SCRATCH.take("dimmed", drawn[area].shape)
            dimmed[...] = 0
            _lay(drawn[area], self._rest[area], dimmed, dimmed)
            _lay(picture[area], self._keep[area], dimmed, drawn[area])
        return drawn


class _Lens:
    """Blurs what is behind, seen: uint8 (height, width), at a reduced size. What is in front gives its place no colour,
    or it would glow."""

    def __init__(self, seen: Bytes) -> None:
        height, width = seen.shape
        shrink = max(1, min(height, width) // _LENS_SIDE)
        self._size = max(width // shrink, 1), max(height // shrink, 1)
        small = cv2.resize(seen, self._size, interpolation=cv2.INTER_AREA).reshape(self._size[::-1])
        # Never zero: far behind what is in front, the picture must still have some colour.
        self._weight = np.repeat((small / np.float32(255) + np.float32(1e-3))[..., None], 3, axis=2)
        self._total = self._spread(self._weight)

    def blur(self, picture: Pixels) -> Pixels:
        small = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA).reshape(self._weight.shape)
        mixed = self._spread(small * self._weight) / self._total
        height, width = picture.shape[:2]
        blurred = cv2.resize((mixed + 0.5).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(blurred, np.uint8).reshape(picture.shape)

    def _spread(self, light: NDArray[np.float32]) -> NDArray[np.float32]:
        side = 6 * _LENS_DEVIATION + 1
        spread = cv2.GaussianBlur(light, (side, side), _LENS_DEVIATION)
        return np.asarray(spread, np.float32).reshape(light.shape)


class Replacement:
    """``shown``, uint8 (height, width, 3), in place of every picture."""

    def __init__(self, shown: Bytes) -> None:
        self._shown = shown

    def over(self, picture: Pixels) -> Pixels:
        return self._shown.copy()


def _lay(picture: Bytes, keep: Bytes, add: Bytes, drawn: Bytes) -> None:
    """``picture * keep / 255 + add`` into ``drawn``, which may be any of them; ``keep`` has one channel."""
    height = max(1, _STRIP // keep.shape[1])
    for top in range(0, len(keep), height):
        strip = slice(top, top + height)
        share = SCRATCH.take("strip", (*keep[strip].shape, 3))
        cv2.cvtColor(keep[strip], cv2.COLOR_GRAY2RGB, dst=share)
        cv2.multiply(picture[strip], share, dst=share, scale=1 / 255)
        cv2.add(share, add[strip], dst=drawn[strip])


def area_of(box: Box) -> Area:
    left, top, right, bottom = box
    return slice(top, bottom), slice(left, right)


def _within(box: Box, outer: Box) -> Area:
    """Where the box is in an array of the outer one's size."""
    left, top, right, bottom = box
    return slice(top - outer[1], bottom - outer[1]), slice(left - outer[0], right - outer[0])


def disjoint(boxes: Sequence[Box]) -> list[Box]:
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


def _common(one: Box, other: Box) -> Box:
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])


def _around(boxes: Sequence[Box]) -> Box:
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)
