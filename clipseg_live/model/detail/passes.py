"""Finer maps from further passes of the model over parts of a frame, merged into the maps of the whole frame.

The model sees every image at one small size, so an object that covers little of a frame covers few of its tokens. A
part of the frame alone gives the object more tokens, but lacks the surroundings. Within a part the maps are therefore
merged by these rules:

- A large object keeps the map of the whole frame, because the part may contain only a fraction of it.
- An object that the part does not detect at all keeps it too, so that a closer view removes nothing.
- Elsewhere the log-odds of the part count, moved towards those of the whole frame by a bounded step. The part can add
  objects that the whole frame missed, but it must be clear about those that the whole frame rejects.

Maps are tensors of PyTorch or arrays of NumPy.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.settings.base import Detail
from clipseg_live.model.detail.numpy_maps import NumpyMaps
from clipseg_live.model.detail.operations import MapOperations

CELLS = 32
"""Cells along each side of the grid along which parts of a frame are cut."""
FIRES = 0.3
"""Probability from which a cell counts as covered when the part to zoom into is chosen."""
SMALL_CELLS = 64
"""Largest box of a small connected part, of the 1024 cells."""
SPECK = 0.5
"""Share of the largest total probability of a small part, below which a small part is ignored.

A false detection elsewhere then does not prevent the zoom.
"""
GROWN = 1.5
"""Size of the zoomed part over the box around the small parts, along each side."""
ZOOM_SIDES = (8, 12, 16)
"""Possible sides of a zoomed part in cells, at most a quarter of the frame; they are few, so that it changes rarely."""

TILE_PIXELS = 1000
"""Largest side of a tile in pixels, approximately; it sets the number of tiles."""
MOST_TILES = 4
"""Largest number of tiles along each side, for frames of any size."""
OVERLAP = 1.25
"""Length of a tile over its distance from the next, at two tiles, so that borders fade into one another."""

LONGEST_FRAME_SIDE = 1056
"""Longest side of the finer grid, unless the maps of the model are larger."""
LARGE_SHARE = 0.12
"""Share of the frame's height and width; an object is large if it contains a box of this size."""
PULL = 0.3
MOST_PULL = 1.0
"""The log-odds of a part move by the share ``PULL`` towards those of the whole frame, but at most by ``MOST_PULL``."""

_COARSE = 56
_STEPS = 20
_SURE = 1e-4


@dataclass(frozen=True, slots=True)
class DetailTile:
    """Part of a frame, in cells: from ``top`` and ``left`` to just before ``bottom`` and ``right``."""

    top: int
    bottom: int
    left: int
    right: int

    def slices(self, height: int, width: int) -> tuple[slice, slice]:
        """Return the rows and columns of this part in an image or map of (height, width), at least one of each."""
        return _span(self.top, self.bottom, height), _span(self.left, self.right, width)


PredictView = Callable[[int, DetailTile], Any]
"""Function that runs the model on a part: (its number, from 1; the part) → maps (prompts, rows, columns)."""


def with_detail(
    maps: Any, detail: Detail, frame: tuple[int, int], size: int, predict: Callable[[int, slice, slice], Any]
) -> Any:
    """Return the maps of a frame with those of its parts merged in.

    Args:
        maps: (prompts, rows, columns), maps of the whole frame.
        detail: "zoom" or "tiles".
        frame: height and width of the frame in pixels.
        size: side of the network's square in pixels.
        predict: runs the model on a part: (its number, from 1; its rows; its columns) → maps.
    """

    def look(number: int, part: DetailTile) -> Any:
        return predict(number, *part.slices(*frame))

    return zoomed(maps, look) if detail == "zoom" else tiled(maps, *frame, size, look)


def zoomed(whole: Any, look: PredictView) -> Any:
    """Return the maps on a grid twice as fine, with one further pass over small objects that are close together.

    The grid is the same whether or not an object was small enough for the further pass.

    Args:
        whole: float (prompts, rows, columns), 0..1, maps of the whole frame.
        look: runs the model on a part.
    """
    operations = _operations(whole)
    finer = operations.resized(operations.floats(whole), _finer(whole, 2))
    part = zoom_part(cells_of(whole))
    return finer if part is None else merged(finer, [(part, look(1, part))])


def tiled(whole: Any, height: int, width: int, size: int, look: PredictView) -> Any:
    """Return the maps on a finer grid, with a further pass for each tile.

    The grid is finer by the number of tiles along a side. A frame that is hardly larger than the network's square has
    no tiles, and ``whole`` is returned.

    Args:
        whole: float (prompts, rows, columns), 0..1, maps of the whole frame.
        height: height of the frame in pixels.
        width: width of the frame in pixels.
        size: side of the network's square in pixels.
        look: runs the model on a part.
    """
    parts = tile_parts(height, width, size)
    if not parts:
        return whole
    operations = _operations(whole)
    finer = operations.resized(operations.floats(whole), _finer(whole, math.isqrt(len(parts))))
    return merged(finer, [(part, look(number, part)) for number, part in enumerate(parts, start=1)])


def cells_of(maps: Any) -> NDArray[np.float32]:
    """Return the largest probability in each cell: float32 (prompts, CELLS, CELLS), on the host."""
    return _operations(maps).cells(maps, CELLS)


def zoom_part(cells: NDArray[np.float32]) -> DetailTile | None:
    """Return the part to zoom into: all small objects of all prompts, with some surroundings.

    The part has the aspect ratio of the frame. It is None if no object is small, or if the small ones are too far apart
    for a quarter of the frame.

    Args:
        cells: float32 (prompts, CELLS, CELLS).
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
    """Return overlapping tiles with the aspect ratio of the frame that cover it, row by row, as many down as across.

    The result is empty if the frame has hardly more pixels than the network's square.
    """
    side = math.sqrt(height * width)
    if side < 1.25 * size:
        return ()
    count = min(max(2, math.ceil(side * OVERLAP / TILE_PIXELS)), MOST_TILES)
    span = math.ceil(OVERLAP * CELLS / count)
    starts = [round(number * (CELLS - span) / (count - 1)) for number in range(count)]
    return tuple(DetailTile(top, top + span, left, left + span) for top in starts for left in starts)


def merged(whole: Any, found: list[tuple[DetailTile, Any]]) -> Any:
    """Return the maps of the whole frame with those of its parts merged in, fading towards borders inside the frame.

    Args:
        whole: float32 (prompts, rows, columns), already on the finer grid.
        found: parts with maps on any grid.
    """
    rows, columns = whole.shape[1:]
    operations = _operations(whole)
    total, weights = operations.zeros_like(whole), operations.zeros_like(whole[0])
    for part, maps in found:
        down, across = part.slices(rows, columns)
        own = operations.resized(operations.floats(maps), (down.stop - down.start, across.stop - across.start))
        weight = _window(part.top, part.bottom, down, whole)[:, None] * _window(part.left, part.right, across, whole)
        total[:, down, across] += weight * own
        weights[down, across] += weight
    parts = total / weights.clip(1e-6, None)
    odds = operations.log_odds(parts, _SURE)
    difference = operations.log_odds(whole, _SURE) - odds
    pulled = operations.probabilities(odds + (PULL * difference).clip(-MOST_PULL, MOST_PULL))
    return operations.mixed(whole, pulled, weights.clip(None, 1) * (1 - _kept(whole, parts, operations)))


def _kept(whole: Any, parts: Any, operations: MapOperations) -> Any:
    """Return how far each pixel keeps the map of the whole frame, 0..1.

    It is kept for large objects, and for objects that no part detects.
    """
    coarse, seen = (operations.resized(maps, (_COARSE, _COARSE)) for maps in (whole, parts))
    box = 2 * round(LARGE_SHARE * _COARSE / 2) + 1
    cores = operations.dilated(-operations.dilated(-coarse, box), box)
    large = _rebuilt(cores, coarse, operations)
    unseen = coarse - _rebuilt(operations.minimum(coarse, seen), coarse, operations)
    kept = operations.dilated(operations.maximum(large, unseen), 3)  # include the border
    soft = operations.averaged(kept)
    return operations.resized(((soft - 0.2) / 0.4).clip(0, 1), (whole.shape[1], whole.shape[2]))


def _rebuilt(seeds: Any, under: Any, operations: MapOperations) -> Any:
    """Return the part of ``under`` that is connected with the seeds.

    This is grey reconstruction by dilation (Vincent, 1993), with a limited number of steps.

    Args:
        seeds: (prompts, rows, columns), nowhere above ``under``.
        under: (prompts, rows, columns).
        operations: operations of their library.
    """
    for _ in range(_STEPS):
        seeds = operations.minimum(operations.dilated(seeds, 3), under)
    return seeds


def _window(start: int, stop: int, inside: slice, like: Any) -> Any:
    """Return the weights of a part along one side: 1, falling smoothly to 0 at a border inside the frame."""
    length = inside.stop - inside.start
    position = _operations(like).centres(length, like)
    fade = 1 - 1 / OVERLAP
    weight = position * 0 + 1
    if start > 0:
        weight = weight * (position / fade).clip(None, 1)
    if stop < CELLS:
        weight = weight * ((1 - position) / fade).clip(None, 1)
    return weight * weight * (3 - 2 * weight)


def _connected(cells: NDArray[np.float32]) -> list[tuple[float, DetailTile]]:
    """Return the connected parts (by sides) of each prompt's covered cells: sum of their probabilities, and their box.

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
    for side, positions in enumerate((row, column)):
        np.minimum.at(lowest[side], which, positions)
        np.maximum.at(highest[side], which, positions + 1)
    boxes = zip(weights.tolist(), *lowest.tolist(), *highest.tolist(), strict=True)
    return [(weight, DetailTile(top, bottom, left, right)) for weight, top, left, bottom, right in boxes]


def _area(box: DetailTile) -> int:
    return (box.bottom - box.top) * (box.right - box.left)


def _span(start: int, stop: int, length: int) -> slice:
    first = min(round(start * length / CELLS), length - 1)
    return slice(first, max(first + 1, round(stop * length / CELLS)))


def _finer(maps: Any, factor: int) -> tuple[int, int]:
    rows, columns = maps.shape[1:]
    scale = max(1.0, min(factor, LONGEST_FRAME_SIDE / max(rows, columns)))
    return round(rows * scale), round(columns * scale)


def _operations(maps: Any) -> MapOperations:
    """Return the operations of the library of maps. PyTorch is imported only for its own."""
    if isinstance(maps, np.ndarray):
        return NumpyMaps()
    from clipseg_live.model.detail.torch_maps import TorchMaps

    return TorchMaps()
