"""Mattes for export: each frame has its own prediction, and later frames may be used too."""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import MatteRequest, Mattes, no_mattes
from clipseg_live.core.protocols import Maps
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.matting.alpha import (
    DrawnMaps,
    FrameFilters,
    NewPrediction,
    Planes,
    PresenceFlags,
    Refinement,
    build_mattes,
    join_mattes,
    kinds_of,
)
from clipseg_live.matting.optical_flow import BackwardFlow, FlowEstimator, warp
from clipseg_live.matting.prompt_interaction import PresenceState, presence_of, resolve_overlaps, update_presence
from clipseg_live.matting.temporal_filter import filter_gain
from clipseg_live.matting.working_grid import DownscaledFrame

_REACH = 8
"""Number of frames on each side that count at full smoothing."""
_UNLIKE = 0.3
"""Difference from the average of the surrounding predictions above which a prediction counts little."""


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """Frame that waits for the frames after it.

    Attributes:
        frame: the frame.
        small: the frame on the working grid.
        maps: float32 (h, w, prompts); None without a prediction.
        back: flow back to the item before; None at a cut.
        forward: flow from the item before to this one; None at a cut.
    """

    frame: Frame
    small: DownscaledFrame
    maps: NDArray[np.float32] | None
    back: BackwardFlow | None
    forward: BackwardFlow | None


class LookaheadMattes:
    """Mattes from a motion-compensated average of the predictions before and after each frame.

    The average neither lags nor flickers. A prediction that differs from all around it counts little. It is a
    ``core.protocols.Matting`` with a delay: call ``mattes`` once for each frame.

    Args:
        settings: settings of the mattes, which do not change.
        independent: the frames are unrelated photos, so nothing is carried from one to the next.
    """

    def __init__(self, settings: MatteSettings, independent: bool = False) -> None:
        self.delay = round(_REACH * settings.smoothing) if settings.motion_tracking and not independent else 0
        self._flow = FlowEstimator()
        self._items: deque[_Item] = deque()
        self._next_index = 0
        self._pending: tuple[Maps, int, int] | None = None
        self._presence = PresenceState()
        self._refined: dict[bool, Refinement] = {}

    def take(self, maps: Maps, keys: Sequence[Hashable], index: int, epoch: int = 0) -> None:
        """Store the prediction of the next frame that is shown."""
        self._pending = maps, index, epoch

    def show(self, frame: Frame, settings: MatteSettings) -> None:
        """Add the next frame, with the prediction if it is that of the frame."""
        pending, self._pending = self._pending, None
        small = DownscaledFrame.of(frame.pixels)
        back = forward = None
        last = self._items[-1] if self._items else None
        is_continuous = last is not None and last.small.size == small.size and last.frame.epoch == frame.epoch
        if last is not None and is_continuous and not small.follows_cut(last.small):
            back, forward = self._flow.steps(last.small.grey, small.grey)
        own = pending is not None and pending[1:] == (frame.index, frame.epoch)
        maps = small.on_grid(pending[0]) if pending is not None and own else None
        self._items.append(_Item(frame, small, maps, back, forward))

    def mattes(self, frame: Frame, request: MatteRequest) -> Mattes:
        """Return the mattes of the next frame, from its own prediction and those around it."""
        items, index = self._items, self._next_index
        average = self._average(index)
        mattes = (
            no_mattes(frame.height, frame.width, request.drawn)
            if average is None
            else self._build(index, average, request)
        )
        if self._next_index >= self.delay:
            items.popleft()
        else:
            self._next_index += 1
        return mattes

    def _build(self, index: int, average: NDArray[np.float32], request: MatteRequest) -> Mattes:
        """Return the mattes of an item from averaged maps, float32 (h, w, prompts)."""
        item = self._items[index]
        maps, shown = _combine(average, request)
        own = None if item.maps is None else _combine(item.maps, request)[0]
        trust = np.ones(maps.shape[1:], np.float32)
        styles = [request.styles[position] for position in shown]
        seconds = float(item.frame.time - self._items[index - 1].frame.time) if index else 0.0
        keys = [request.keys[position] for position in shown]
        flags = self._presence_flags(index, maps, keys, seconds, request.settings)
        newest = None if request.cautious is False else own
        added, is_average = None, average is not item.maps
        if own is not None and is_average:
            added = NewPrediction(own, filter_gain(request.settings.smoothing, seconds))
        drawn = DrawnMaps(maps, styles, flags, own is not None, is_average, newest=newest, prediction=added)
        filters = FrameFilters(item.small, trust)
        mattes: dict[bool, Mattes] = {}
        last, self._refined = self._refined, {}
        for kind in kinds_of(request):
            cautious, previous = bool(kind.cautious), None
            if item.back is not None and cautious in last:
                previous = last[cautious].warped(item.back.back)
            mattes[cautious], refinement = build_mattes(drawn, filters, item.frame.pixels, kind, previous)
            if refinement is not None:
                self._refined[cautious] = refinement
        return join_mattes(mattes)

    def _average(self, index: int) -> NDArray[np.float32] | None:
        """Return the average of the maps of an item and those around it, where they can be tracked.

        The result is float32 (h, w, prompts). It is None if none of these items has a prediction.
        """
        items = self._items
        samples: list[NDArray[np.float32]] = []
        weights: list[NDArray[np.float32]] = []
        own = items[index].maps
        if own is not None:
            samples.append(own)
            weights.append(np.ones(own.shape[:2], np.float32))
        for step in (-1, 1):
            flow: BackwardFlow | None = None
            for distance in range(1, self.delay + 1):
                other = index + step * distance
                if not 0 <= other < len(items):
                    break
                link = items[other + 1].back if step < 0 else items[other].forward
                if link is None:
                    break
                flow = link if flow is None else flow.compose(link)
                maps = items[other].maps
                if maps is None:
                    continue
                samples.append(warp(maps, flow.back))
                weights.append(flow.trust * np.float32(np.exp(-0.5 * (2 * distance / self.delay) ** 2)))
        if len(samples) == 1 and own is not None:
            return own
        if not samples:
            return None
        values, shares = np.stack(samples), np.stack(weights)[..., None]
        if own is None:
            shares = shares + np.float32(1e-6)  # pixels that cannot be tracked have no weight
        average = (values * shares).sum(axis=0) / shares.sum(axis=0)
        likely = shares * np.exp(-(((values - average) / np.float32(_UNLIKE)) ** 2))
        result: NDArray[np.float32] = (values * likely).sum(axis=0) / likely.sum(axis=0)
        return result

    def _presence_flags(
        self, index: int, maps: Planes, keys: Sequence[Hashable], seconds: float, settings: MatteSettings
    ) -> list[PresenceFlags]:
        newest = presence_of(maps)
        if self._items[index].back is None:
            self._presence = PresenceState()
        self._presence, values, is_drawn = update_presence(self._presence, keys, newest, seconds, settings)
        return [
            PresenceFlags.of(float(value), shown, float(now))
            for value, shown, now in zip(values, is_drawn, newest, strict=True)
        ]


def _combine(maps: NDArray[np.float32], request: MatteRequest) -> tuple[Planes, tuple[int, ...]]:
    """Return the maps of the drawn prompts, and the positions of these prompts, from float32 (h, w, prompts)."""
    planes = np.ascontiguousarray(np.moveaxis(maps, 2, 0))
    planes.setflags(write=False)
    return resolve_overlaps(planes, request.styles, request.ids, request.settings)
