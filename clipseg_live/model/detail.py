"""Detail where it pays: further passes of the model over parts of a frame, merged into the maps of the whole.

The model sees every picture at one small size, so an object that covers little of a frame covers few of its tokens. A
part of the frame, seen by itself, gives it more of them, but lacks what lies around it. So within a part

- a large object stays as the whole picture has it, since a part may hold only a piece of it;
- so does one of which the part sees nothing at all, so that nothing drops out by looking closer;
- elsewhere the part's log-odds count, drawn towards the whole picture's by a bounded step: what that missed can still
  be found, but what it denies must be plain in the part.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

CELLS = 32
"""Parts of a frame are cut along a grid of this many cells each way."""
FIRES = 0.3
"""Probability from which a cell counts as covered when a place to zoom into is looked for."""
SMALL_CELLS = 64
"""A connected part is small where its box has at most this many of the 1024 cells."""
SPECK = 0.5
"""A small part that has less than this share of the heaviest one's probability is left out, so that a false alarm
elsewhere does not keep the model from looking closer."""
GROWN = 1.5
"""How much larger than the box around the small parts the zoomed part is, along each side."""
ZOOM_SIDES = (8, 12, 16)
"""Possible sides of a zoomed part, in cells; few, so that it changes rarely. The largest is a quarter of the frame."""

TILE_PIXELS = 1000
"""Tiles are as many as make them at most about this large."""
MOST_TILES = 4
"""Along each side, however large the frame."""
OVERLAP = 1.25
"""Tiles are this much longer than their distance at two, so that their borders fade into one another."""

LONGEST_FRAME_SIDE = 1056
"""Longest side of the finer grid, unless the model's own maps are larger."""
LARGE_SHARE = 0.12
"""An object is large where it holds a box of this share of the frame's height and width."""
PULL = 0.3
MOST_PULL = 1.0
"""A part's log-odds go this share of the way to the whole picture's, but never further than this."""

_COARSE = 56
_STEPS = 20
_SURE = 1e-4


@dataclass(frozen=True, slots=True)
class DetailTile:
    """A part of a frame, in cells: from ``top`` and ``left`` to just before ``bottom`` and ``right``."""

    top: int
    bottom: int
    left: int
    right: int

    def slices(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of this part in a picture or map of (height, width); at least one of each."""
        return _span(self.top, self.bottom, height), _span(self.left, self.right, width)


WHOLE = DetailTile(0, CELLS, 0, CELLS)

PredictView = Callable[[int, DetailTile], Tensor]
"""Runs the model on a part of the frame: (its number, from 1; the part) → maps (prompts, rows, columns)."""


def zoomed(whole: Tensor, look: PredictView) -> Tensor:
    """The maps on a grid twice as fine, small objects seen by one further pass where they lie close together.

    whole: float (prompts, rows, columns), 0..1, of the whole frame. The grid is the same whether or not something was
    small enough to look closer at.
    """
    finer = _resized(whole.float(), _finer(whole, 2))
    part = zoom_part(cells_of(whole))
    return finer if part is None else merged(finer, [(part, look(1, part))])


def tiled(whole: Tensor, height: int, width: int, size: int, look: PredictView) -> Tensor:
    """The maps on a grid as much finer as there are tiles along a side, each tile seen by a pass of its own.

    whole: float (prompts, rows, columns), 0..1, of the whole frame. height, width: of the frame, in pixels. size: side
    of the network's square; a frame that is hardly larger than it has nothing to gain, and ``whole`` comes back.
    """
    parts = tile_parts(height, width, size)
    if not parts:
        return whole
    finer = _resized(whole.float(), _finer(whole, math.isqrt(len(parts))))
    return merged(finer, [(part, look(number, part)) for number, part in enumerate(parts, start=1)])


def cells_of(maps: Tensor) -> NDArray[np.float32]:
    """The largest probability in each cell: float32 (prompts, CELLS, CELLS), on the host."""
    found: NDArray[np.float32] = functional.adaptive_max_pool2d(maps.float().cpu(), CELLS).numpy()
    return found


def zoom_part(cells: NDArray[np.float32]) -> DetailTile | None:
    """Where to look closer: around all that is small, of all prompts, with what lies about it.

    cells: float32 (prompts, CELLS, CELLS). The part has the frame's own shape. None where nothing is small, or what is
    small lies too far apart for a quarter of the frame.
    """
    small = [(weight, box) for weight, box in _connected(cells) if _area(box) <= SMALL_CELLS]
    if not small:
        return None
    heaviest = max(weight for weight, _ in small)
    boxes = [box for weight, box in small if weight >= SPECK * heaviest]
    top, bottom = min(box.top for box in boxes), max(box.bottom for box in boxes)
    left, right = min(box.left for box in boxes), max(box.right for box in boxes)
    needed = GROWN * max(bottom - top, right - left)
    side = next((side for side in ZOOM_SIDES if side >= needed), None)
    if side is None:
        return None
    above = min(max((top + bottom - side) // 2, 0), CELLS - side)
    before = min(max((left + right - side) // 2, 0), CELLS - side)
    return DetailTile(above, above + side, before, before + side)


def tile_parts(height: int, width: int, size: int) -> tuple[DetailTile, ...]:
    """Overlapping tiles of the frame's own shape that cover it, row by row, as many down as across.

    Empty where the frame has hardly more pixels than the network's square.
    """
    side = math.sqrt(height * width)
    if side < 1.25 * size:
        return ()
    count = min(max(2, math.ceil(side * OVERLAP / TILE_PIXELS)), MOST_TILES)
    span = math.ceil(OVERLAP * CELLS / count)
    starts = [round(number * (CELLS - span) / (count - 1)) for number in range(count)]
    return tuple(DetailTile(top, top + span, left, left + span) for top in starts for left in starts)


def merged(whole: Tensor, found: list[tuple[DetailTile, Tensor]]) -> Tensor:
    """Maps of the whole frame with those of its parts laid in, fading towards borders inside the frame.

    whole: float32 (prompts, rows, columns), on the finer grid already. found: parts with maps on any grid.
    """
    rows, columns = whole.shape[1:]
    total, weights = torch.zeros_like(whole), torch.zeros_like(whole[0])
    for part, maps in found:
        down, across = part.slices(rows, columns)
        own = _resized(maps.float(), (down.stop - down.start, across.stop - across.start))
        weight = _window(part.top, part.bottom, down, whole)[:, None] * _window(part.left, part.right, across, whole)
        total[:, down, across] += weight * own
        weights[down, across] += weight
    parts = total / weights.clamp(min=1e-6)
    odds = _logit(parts)
    pulled = (odds + (PULL * (_logit(whole) - odds)).clamp(-MOST_PULL, MOST_PULL)).sigmoid()
    return torch.lerp(whole, pulled, weights.clamp(max=1) * (1 - _kept(whole, parts)))


def _kept(whole: Tensor, parts: Tensor) -> Tensor:
    """How much each place stays as the whole picture has it, 0..1: what is large, or what no part sees."""
    coarse, seen = _resized(whole, (_COARSE, _COARSE)), _resized(parts, (_COARSE, _COARSE))
    box = 2 * round(LARGE_SHARE * _COARSE / 2) + 1
    cores = _dilated(-_dilated(-coarse, box), box)
    large = _rebuilt(cores, coarse)
    unseen = coarse - _rebuilt(torch.minimum(coarse, seen), coarse)
    kept = _dilated(torch.maximum(large, unseen), 3)  # with its border
    soft = functional.avg_pool2d(kept[None], 3, 1, 1, count_include_pad=False)[0]
    return _resized(((soft - 0.2) / 0.4).clamp(0, 1), (whole.shape[1], whole.shape[2]))


def _rebuilt(seeds: Tensor, under: Tensor) -> Tensor:
    """What of ``under`` is connected with the seeds: grey reconstruction by dilation (Vincent, 1993), bounded in steps.

    seeds: nowhere above ``under``; both (prompts, rows, columns).
    """
    for _ in range(_STEPS):
        seeds = torch.minimum(_dilated(seeds, 3), under)
    return seeds


def _dilated(maps: Tensor, box: int) -> Tensor:
    return functional.max_pool2d(maps[None], box, 1, box // 2)[0]


def _window(start: int, stop: int, inside: slice, like: Tensor) -> Tensor:
    """Weights of a part along one side: 1, but falling smoothly to 0 at a border that lies inside the frame."""
    length = inside.stop - inside.start
    place = (torch.arange(length, device=like.device, dtype=torch.float32) + 0.5) / length
    fade = 1 - 1 / OVERLAP
    weight = torch.ones_like(place)
    if start > 0:
        weight = weight * (place / fade).clamp(max=1)
    if stop < CELLS:
        weight = weight * ((1 - place) / fade).clamp(max=1)
    return weight * weight * (3 - 2 * weight)


def _connected(cells: NDArray[np.float32]) -> list[tuple[float, DetailTile]]:
    """The parts of each prompt's covered cells that are connected by sides: (sum of their probabilities, their box).

    Cells are numbered, and the largest number spreads through each part.
    """
    covered = cells >= FIRES
    numbers = np.arange(1, covered.size + 1).reshape(covered.shape)
    labels = np.where(covered, numbers, 0)
    while True:
        spread = labels.copy()
        np.maximum(spread[:, 1:], labels[:, :-1], out=spread[:, 1:])
        np.maximum(spread[:, :-1], labels[:, 1:], out=spread[:, :-1])
        np.maximum(spread[:, :, 1:], labels[:, :, :-1], out=spread[:, :, 1:])
        np.maximum(spread[:, :, :-1], labels[:, :, 1:], out=spread[:, :, :-1])
        spread[~covered] = 0
        if np.array_equal(spread, labels):
            break
        labels = spread
    prompt, row, column = np.nonzero(labels)
    _, which = np.unique(labels[prompt, row, column], return_inverse=True)
    weights = np.bincount(which, cells[prompt, row, column])
    count = len(weights)
    lowest, highest = np.full((2, count), CELLS), np.zeros((2, count), np.intp)
    for side, place in enumerate((row, column)):
        np.minimum.at(lowest[side], which, place)
        np.maximum.at(highest[side], which, place + 1)
    found = zip(weights.tolist(), *lowest.tolist(), *highest.tolist(), strict=True)
    return [(weight, DetailTile(top, bottom, left, right)) for weight, top, left, bottom, right in found]


def _area(box: DetailTile) -> int:
    return (box.bottom - box.top) * (box.right - box.left)


def _span(start: int, stop: int, length: int) -> slice:
    first = min(round(start * length / CELLS), length - 1)
    return slice(first, max(first + 1, round(stop * length / CELLS)))


def _finer(maps: Tensor, factor: int) -> tuple[int, int]:
    rows, columns = maps.shape[1:]
    scale = max(1.0, min(factor, LONGEST_FRAME_SIDE / max(rows, columns)))
    return round(rows * scale), round(columns * scale)


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if maps.shape[1:] == size:
        return maps
    found = functional.interpolate(maps[None], size=size, mode="bilinear", antialias=True, align_corners=False)
    return found[0].clamp(0, 1)


def _logit(maps: Tensor) -> Tensor:
    return torch.logit(maps, eps=_SURE)
