"""From the model's answers to the mattes of every frame: carried along, steadied, and fitted to the picture's edges."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Frame, Pixels
from clipseg_live.core.look import MatteSettings
from clipseg_live.core.mattes import Box, Matte, Mattes
from clipseg_live.core.ports import Maps
from clipseg_live.core.settings import PromptStyle
from clipseg_live.core.temporal import THUMBNAIL, Belief, believe, is_cut
from clipseg_live.video import edges
from clipseg_live.video.flow import FlowEstimator, Step, carried
from clipseg_live.video.resize import resize_map

_WORKING_SIDE = 320
"""The longer side of the working grid, at most."""
_LONGEST_WAY = 90
"""Frames that the way back is kept for: answers that are older come too late."""
_STILL, _SUDDEN = 0.25, 6.0
"""Mean change of light, in levels, below which nothing moves, and above which a cut is looked for."""
_BOX_CELLS = 80
_HYSTERESIS = 0.1
"""How far the threshold gives way, at full steadiness, to what was there before."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the model found in a frame. maps: float32 (prompts, h, w), 0..1, read-only. keys: what tells the prompts
    apart, one for each map."""

    maps: Maps
    keys: tuple[Hashable, ...]
    index: int
    epoch: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """All that is remembered when frame ``index`` of an epoch is shown.

    size: the frame's height and width. grey, picture: the frame on the working grid, uint8 and float32 0..1; each of
    its pixels is ``factor`` frame pixels wide and high. ways: the step back from each of the last frames to the one
    before it, on half the grid.
    answer: the last one. belief: what is held since, and ``way`` the way back to the frame it was formed at.
    trust: float32 (h, w), where that was sure. before, covers: float32 (prompts, h, w), what was covered in the last
    frame, carried to this one, and what is covered in this one; for the prompts ``shown``.
    """

    index: int
    epoch: int
    time: Fraction
    size: tuple[int, int]
    factor: int
    grey: NDArray[np.uint8]
    picture: NDArray[np.float32]
    ways: tuple[tuple[int, Fraction, Step], ...]
    way: Step
    answer: Answer | None = None
    answered: Fraction | None = None
    belief: Belief | None = None
    trust: NDArray[np.float32] | None = None
    before: NDArray[np.float32] | None = None
    covers: NDArray[np.float32] | None = None
    shown: tuple[Hashable, ...] = ()


class MattePipeline:
    """Give it every answer, and every frame that is shown, in order. For one thread at a time.

    An answer is taken in with the next frame that is not older than its own; its own may be some way back. What belongs
    to another epoch, or lies before a cut, is left out.
    """

    def __init__(self) -> None:
        self._flow = FlowEstimator()
        self._state: State | None = None
        self._waiting: Answer | None = None

    def take(self, maps: Maps, keys: Sequence[Hashable], index: int, epoch: int = 0) -> None:
        """An answer for frame ``index``. maps: float32 (prompts, h, w), 0..1."""
        self._waiting = Answer(maps, tuple(keys), index, epoch)

    def show(self, frame: Frame, settings: MatteSettings) -> None:
        """Go on to a frame, or stay with it, and take in the answer that waits."""
        state = self._state = self._moved(frame, settings)
        waiting = self._waiting
        if waiting is not None and waiting.epoch == frame.epoch and waiting.index <= frame.index:
            self._waiting = None
            self._state = _told(state, waiting, frame.time, settings)

    def mattes(
        self, frame: Frame, styles: Sequence[PromptStyle], settings: MatteSettings, keys: Sequence[Hashable]
    ) -> Mattes:
        """Of the frame that is shown. keys: which of the last answer's prompts; styles: one for each."""
        state = self._state
        height, width = frame.pixels.shape[:2]
        if state is None or state.answer is None or state.belief is None or not keys:
            return Mattes(height, width, own=state is not None and not keys)
        own = (state.answer.index, state.answer.epoch) == (frame.index, frame.epoch)
        places = [state.answer.keys.index(key) for key in keys]
        if (settings.smoothing, settings.follow, settings.refine) == (0, False, False):
            maps = state.answer.maps[places]
            return Mattes(height, width, tuple(_hard(maps, styles, height, width)), maps, own=own)
        believed = carried(state.belief.maps[..., places], state.way.back)
        maps = np.ascontiguousarray(np.moveaxis(believed, 2, 0))
        maps.setflags(write=False)
        if not settings.refine:
            return Mattes(height, width, tuple(_hard(maps, styles, height, width)), maps, own=own)
        assert state.trust is not None
        thresholds = _thresholds(state, styles, tuple(keys), settings)
        trust = carried(state.trust, state.way.back) * state.way.trust
        shaper = edges.Shaper(state.picture, trust)
        covers = np.stack([shaper.covers(plane, level) for plane, level in zip(maps, thresholds, strict=True)])
        self._state = replace(state, covers=covers, shown=tuple(keys))
        each = tuple(_frozen(*shaper.placed(plane).alpha(frame.pixels, state.factor)) for plane in covers)
        return Mattes(height, width, each, maps, own=own)

    def _moved(self, frame: Frame, settings: MatteSettings) -> State:
        past = self._state
        if past is not None and (past.index, past.epoch) == (frame.index, frame.epoch):
            return past
        grey, picture, factor = _working(frame.pixels)
        if past is None or past.epoch != frame.epoch or past.size != frame.pixels.shape[:2]:
            return _begun(frame, grey, picture, factor)
        change = float(cv2.absdiff(grey, past.grey).mean())
        if change > _SUDDEN and is_cut(_thumbnail(past.picture), _thumbnail(picture)):
            return _begun(frame, grey, picture, factor)
        follows = settings.follow and change > _STILL
        step = self._flow.step(past.grey, grey) if follows else Step.still(*grey.shape)
        before = past.covers if past.covers is not None else past.before
        return replace(
            past,
            index=frame.index,
            time=frame.time,
            grey=grey,
            picture=picture,
            ways=(*past.ways[-_LONGEST_WAY:], (frame.index, frame.time, _halved(step))),
            way=step.after(past.way) if follows else past.way,
            before=_carried_planes(before, step) if before is not None and follows else before,
            covers=None,
        )


def _carried_planes(planes: NDArray[np.float32], step: Step) -> NDArray[np.float32]:
    return np.stack([carried(plane, step.back) for plane in planes])


def _begun(frame: Frame, grey: NDArray[np.uint8], picture: NDArray[np.float32], factor: int) -> State:
    """A first frame, or one after a cut."""
    way = Step.still(*grey.shape)
    ways = ((frame.index, frame.time, _halved(way)),)
    return State(frame.index, frame.epoch, frame.time, (frame.height, frame.width), factor, grey, picture, ways, way)


def _told(state: State, answer: Answer, time: Fraction, settings: MatteSettings) -> State:
    """Take an answer in that is for the state's frame, or for one of the last."""
    if answer.index < state.ways[0][0]:
        return state
    height, width = state.grey.shape
    taken = time
    back: Step | None = None
    for index, at, way in reversed(state.ways):
        taken = at
        if index <= answer.index:
            break
        back = way if back is None else back.after(way)
    maps = _on_grid(answer.maps, state)
    sure = np.ones((height, width), np.float32)
    if back is not None:
        step = _doubled(back, height, width)
        maps, sure = carried(maps, step.back), step.trust
    past, trust = state.belief, None
    if past is not None and state.trust is not None:
        trust = carried(state.trust, state.way.back) * state.way.trust
        past = replace(past, maps=carried(past.maps, state.way.back), doubt=past.doubt)
    seconds = float(taken - state.answered) if state.answered is not None else 0.0
    belief = believe(past, answer.keys, maps, trust if trust is not None else sure, sure, settings.smoothing, seconds)
    return replace(
        state,
        answer=answer,
        answered=taken,
        belief=belief,
        trust=sure if trust is None else np.maximum(sure, trust),
        way=Step.still(height, width),
    )


def _working(pixels: Pixels) -> tuple[NDArray[np.uint8], NDArray[np.float32], int]:
    """The frame on the working grid, grey and in colour, and how many frame pixels wide each of its pixels is."""
    height, width = pixels.shape[:2]
    factor = -(-max(height, width) // _WORKING_SIDE)
    down, across = -height % factor, -width % factor
    if down or across:
        pixels = np.asarray(cv2.copyMakeBorder(pixels, 0, down, 0, across, cv2.BORDER_REPLICATE), np.uint8)
    size = pixels.shape[1] // factor, pixels.shape[0] // factor
    small = pixels if factor == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    small = np.asarray(small, np.uint8).reshape(size[1], size[0], 3)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).reshape(size[1], size[0])
    return np.asarray(grey, np.uint8), small.astype(np.float32) * np.float32(1 / 255), factor


def _on_grid(maps: Maps, state: State) -> NDArray[np.float32]:
    """Maps over the frame as float32 (h, w, prompts) on the working grid, bilinear."""
    places = _places(maps.shape[1], maps.shape[2], state.size, state.factor, state.grey.shape)
    return carried(np.ascontiguousarray(np.moveaxis(maps, 0, 2)), places)


@lru_cache(maxsize=8)
def _places(rows: int, columns: int, size: tuple[int, int], factor: int, grid: tuple[int, ...]) -> NDArray[np.float32]:
    """Where the working grid's pixels lie in maps of (rows, columns) over a frame of ``size``, float32 (h, w, 2)."""
    down = (np.arange(grid[0]) + 0.5) * factor * rows / size[0] - 0.5
    across = (np.arange(grid[1]) + 0.5) * factor * columns / size[1] - 0.5
    return np.stack(np.meshgrid(across, down), axis=-1).astype(np.float32)


def _halved(step: Step) -> Step:
    height, width = step.trust.shape
    size = max(width // 2, 1), max(height // 2, 1)
    scale = np.array([size[0] / width, size[1] / height], np.float32)
    back = (cv2.resize(step.back, size, interpolation=cv2.INTER_AREA) + 0.5) * scale - 0.5
    trust = cv2.resize(step.trust, size, interpolation=cv2.INTER_AREA)
    return Step(np.asarray(back, np.float32), np.asarray(trust, np.float32).reshape(size[::-1]))


def _doubled(step: Step, height: int, width: int) -> Step:
    """A step on half the grid on the whole of it."""
    rows, columns = step.trust.shape
    scale = np.array([width / columns, height / rows], np.float32)
    back = (cv2.resize(step.back, (width, height), interpolation=cv2.INTER_LINEAR) + 0.5) * scale - 0.5
    trust = cv2.resize(step.trust, (width, height), interpolation=cv2.INTER_LINEAR)
    return Step(np.asarray(back, np.float32), np.asarray(trust, np.float32).reshape(height, width))


def _thumbnail(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    small = cv2.resize(picture, THUMBNAIL[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small * 255, np.uint8)


def _thresholds(
    state: State, styles: Sequence[PromptStyle], keys: tuple[Hashable, ...], settings: MatteSettings
) -> list[NDArray[np.float32] | np.float32]:
    """Each prompt's threshold: lower where it covered the last frame and higher where it did not (hysteresis)."""
    levels = [np.float32(style.threshold) for style in styles]
    if state.before is None or state.shown != keys or settings.smoothing <= 0:
        return list(levels)
    give = np.float32(2 * _HYSTERESIS * settings.smoothing)
    return [
        level - min(level, 1 - level) * give * (2 * before - 1)
        for level, before in zip(levels, state.before, strict=True)
    ]


def _hard(maps: Maps, styles: Sequence[PromptStyle], height: int, width: int) -> list[Matte]:
    """What reaches the threshold, wholly; the rest not at all."""
    return [
        _bounded((resize_map(each, height, width) >= np.float32(style.threshold)).view(np.uint8) * np.uint8(255))
        for each, style in zip(maps, styles, strict=True)
    ]


def _frozen(alpha: NDArray[np.uint8], boxes: Sequence[Box]) -> Matte:
    alpha.setflags(write=False)
    return Matte(alpha, tuple(boxes))


def _bounded(alpha: NDArray[np.uint8]) -> Matte:
    """With boxes found on a coarser grid."""
    height, width = alpha.shape
    side = max(1, max(height, width) // _BOX_CELLS)
    rows = np.maximum.reduceat(alpha, np.arange(0, height, side), axis=0)
    found = edges.boxes_of(np.maximum.reduceat(rows, np.arange(0, width, side), axis=1) > 0)
    boxes = [(x * side, y * side, min(r * side, width), min(b * side, height)) for x, y, r, b in found]
    return _frozen(alpha, boxes)
