"""Mattes for export: each frame has its own answer, and what comes after it may be used as well."""

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import MatteRequest, Mattes
from clipseg_live.core.ports import Maps
from clipseg_live.core.together import PresenceState, combine, presence_of, update_presence
from clipseg_live.video.fitting import Planes, Standing, fit
from clipseg_live.video.flow import FlowEstimator, Step, carried
from clipseg_live.video.matting import MattePipeline
from clipseg_live.video.working import Small

_REACH = 8
"""Frames on each side that count at full steadiness."""
_UNLIKE = 0.3
"""Answers that differ by this much from the average of those around count little."""


class CausalMattes:
    """The mattes that a live session in locked mode would show, from the same answers."""

    def __init__(self, request: MatteRequest) -> None:
        self._request, self._pipeline = request, MattePipeline()

    def feed(self, frame: Frame, maps: Maps) -> Iterator[tuple[Frame, Mattes]]:
        """Take a frame and its maps; give what is done."""
        self._pipeline.take(maps, self._request.keys, frame.index, frame.epoch)
        self._pipeline.show(frame, self._request.settings)
        yield frame, self._pipeline.mattes(frame, self._request)

    def finish(self) -> Iterator[tuple[Frame, Mattes]]:
        """Give what is left."""
        return iter(())


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """A frame that waits. maps: float32 (h, w, prompts). back: the way to the item before; on: the way from that to
    this one. Both are None where a cut lies between."""

    frame: Frame
    small: Small
    maps: NDArray[np.float32]
    back: Step | None
    on: Step | None


class LookaheadMattes:
    """Averages each answer with those of the frames before and after it, carried to it along the motion, so that it
    neither lags nor flickers. An answer that is unlike all around it counts little."""

    def __init__(self, request: MatteRequest) -> None:
        settings = request.settings
        self._request, self._flow = request, FlowEstimator()
        self._reach = round(_REACH * settings.smoothing) if settings.follow else 0
        self._items: deque[_Item] = deque()
        self._done = 0
        self._presence = PresenceState()
        self._covers: Planes | None = None

    def feed(self, frame: Frame, maps: Maps) -> Iterator[tuple[Frame, Mattes]]:
        """Take a frame and its maps; give what is done."""
        small = Small.of(frame.pixels)
        back = on = None
        last = self._items[-1] if self._items else None
        goes_on = last is not None and last.small.size == small.size and last.frame.epoch == frame.epoch
        if last is not None and goes_on and not small.follows_cut(last.small):
            back, on = self._flow.steps(last.small.grey, small.grey)
        self._items.append(_Item(frame, small, small.on_grid(maps), back, on))
        if len(self._items) - self._done > self._reach:
            yield self._next()

    def finish(self) -> Iterator[tuple[Frame, Mattes]]:
        """Give what is left."""
        while self._done < len(self._items):
            yield self._next()

    def _next(self) -> tuple[Frame, Mattes]:
        items, place = self._items, self._done
        item = items[place]
        maps = np.ascontiguousarray(np.moveaxis(self._averaged(place), 2, 0))
        maps.setflags(write=False)
        before = None
        if item.back is not None and self._covers is not None:
            before = np.stack([carried(plane, item.back.back) for plane in self._covers])
        trust = np.ones(maps.shape[1:], np.float32)
        request = self._request
        maps, chosen = combine(maps, request.styles, request.ids, request.settings)
        styles = [request.styles[at] for at in chosen]
        standings = self._standings(place, maps, [request.keys[at] for at in chosen])
        mattes, self._covers = fit(
            maps, styles, item.small, trust, before, item.frame.pixels, request, standings, own=True
        )
        if self._done >= self._reach:
            items.popleft()
        else:
            self._done += 1
        return item.frame, mattes

    def _averaged(self, place: int) -> NDArray[np.float32]:
        """The maps of an item and of those around it, where they can be followed: float32 (h, w, prompts)."""
        items = self._items
        samples = [items[place].maps]
        weights = [np.ones(samples[0].shape[:2], np.float32)]
        for step in (-1, 1):
            way: Step | None = None
            for distance in range(1, self._reach + 1):
                there = place + step * distance
                if not 0 <= there < len(items):
                    break
                link = items[there + 1].back if step < 0 else items[there].on
                if link is None:
                    break
                way = link if way is None else way.after(link)
                samples.append(carried(items[there].maps, way.back))
                weights.append(way.trust * np.float32(np.exp(-0.5 * (2 * distance / self._reach) ** 2)))
        if len(samples) == 1:
            return samples[0]
        values, shares = np.stack(samples), np.stack(weights)[..., None]
        average = (values * shares).sum(axis=0) / shares.sum(axis=0)
        likely = shares * np.exp(-(((values - average) / np.float32(_UNLIKE)) ** 2))
        found: NDArray[np.float32] = (values * likely).sum(axis=0) / likely.sum(axis=0)
        return found

    def _standings(self, place: int, maps: Planes, keys: Sequence[Hashable]) -> list[Standing]:
        items = self._items
        newest = presence_of(maps)
        seconds = float(items[place].frame.time - items[place - 1].frame.time) if place else 0.0
        if items[place].back is None:
            self._presence = PresenceState()
        self._presence, values, drawn = update_presence(self._presence, keys, newest, seconds, self._request.settings)
        return [
            Standing.of(float(value), shown, float(now))
            for value, shown, now in zip(values, drawn, newest, strict=True)
        ]
