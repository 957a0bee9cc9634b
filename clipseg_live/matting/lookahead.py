"""Mattes for export: each frame has its own answer, and what comes after it may be used as well."""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import MatteRequest, Mattes, no_mattes
from clipseg_live.core.protocols import Maps, MatteSequence
from clipseg_live.matting.alpha import Planes, PresenceFlags, build_mattes, join_mattes, kinds_of
from clipseg_live.matting.causal import MattePipeline
from clipseg_live.matting.optical_flow import BackwardFlow, FlowEstimator, warp
from clipseg_live.matting.prompt_interaction import PresenceState, presence_of, resolve_overlaps, update_presence
from clipseg_live.matting.working_grid import DownscaledFrame

_REACH = 8
"""Frames on each side that count at full steadiness."""
_UNLIKE = 0.3
"""Answers that differ by this much from the average of those around count little."""


class CausalMattes:
    """The mattes that a live session in locked mode would show, from the same answers."""

    def __init__(self, request: MatteRequest) -> None:
        self._request, self._pipeline = request, MattePipeline()

    def feed(self, frame: Frame, maps: Maps | None) -> Iterator[tuple[Frame, Mattes]]:
        """Take a frame and its maps, None for no prediction; give what is done."""
        if maps is not None:
            self._pipeline.take(maps, self._request.keys, frame.index, frame.epoch)
        self._pipeline.show(frame, self._request.settings)
        mattes = self._pipeline.mattes(frame, self._request)
        known = len(mattes.each) == self._request.drawn
        yield frame, mattes if known else no_mattes(frame.height, frame.width, self._request.drawn)

    def finish(self) -> Iterator[tuple[Frame, Mattes]]:
        """Give what is left."""
        return iter(())


class IndependentMattes:
    """Mattes of unrelated photos: each has a sequence of its own, so that nothing is carried from one to another."""

    def __init__(self, make: Callable[[], MatteSequence]) -> None:
        self._make = make

    def feed(self, frame: Frame, maps: Maps | None) -> Iterator[tuple[Frame, Mattes]]:
        """Take a photo and its maps, None for no prediction; give its mattes."""
        sequence = self._make()
        yield from sequence.feed(frame, maps)
        yield from sequence.finish()

    def finish(self) -> Iterator[tuple[Frame, Mattes]]:
        """Give nothing: no photo waits for another."""
        return iter(())


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """A frame that waits. maps: float32 (h, w, prompts), None without a prediction. back: the way to the item before;
    on: the way from that to this one. Both are None where a cut lies between."""

    frame: Frame
    small: DownscaledFrame
    maps: NDArray[np.float32] | None
    back: BackwardFlow | None
    on: BackwardFlow | None


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
        self._covers: dict[bool, Planes] = {}

    def feed(self, frame: Frame, maps: Maps | None) -> Iterator[tuple[Frame, Mattes]]:
        """Take a frame and its maps, None for no prediction; give what is done."""
        small = DownscaledFrame.of(frame.pixels)
        back = on = None
        last = self._items[-1] if self._items else None
        goes_on = last is not None and last.small.size == small.size and last.frame.epoch == frame.epoch
        if last is not None and goes_on and not small.follows_cut(last.small):
            back, on = self._flow.steps(last.small.grey, small.grey)
        self._items.append(_Item(frame, small, None if maps is None else small.on_grid(maps), back, on))
        if len(self._items) - self._done > self._reach:
            yield self._next()

    def finish(self) -> Iterator[tuple[Frame, Mattes]]:
        """Give what is left."""
        while self._done < len(self._items):
            yield self._next()

    def _next(self) -> tuple[Frame, Mattes]:
        items, place = self._items, self._done
        item, average = items[place], self._averaged(place)
        height, width = item.frame.height, item.frame.width
        mattes = no_mattes(height, width, self._request.drawn) if average is None else self._fitted(place, average)
        if self._done >= self._reach:
            items.popleft()
        else:
            self._done += 1
        return item.frame, mattes

    def _fitted(self, place: int, average: NDArray[np.float32]) -> Mattes:
        """The mattes of an item from averaged maps, float32 (h, w, prompts)."""
        item, request = self._items[place], self._request
        maps, chosen = self._combined(average)
        newest = None if item.maps is None or request.cautious is False else self._combined(item.maps)[0]
        trust = np.ones(maps.shape[1:], np.float32)
        styles = [request.styles[at] for at in chosen]
        standings = self._standings(place, maps, [request.keys[at] for at in chosen])
        found: dict[bool, Mattes] = {}
        last, self._covers = self._covers, {}
        for kind in kinds_of(request):
            cautious, before = bool(kind.cautious), None
            if item.back is not None and cautious in last:
                before = np.stack([warp(plane, item.back.back) for plane in last[cautious]])
            found[cautious], covers = build_mattes(
                maps, styles, item.small, trust, before, item.frame.pixels, kind, standings, item.maps is not None,
                newest,
            )  # fmt: skip
            if covers is not None:
                self._covers[cautious] = covers
        return join_mattes(found)

    def _combined(self, maps: NDArray[np.float32]) -> tuple[Planes, tuple[int, ...]]:
        """Maps, float32 (h, w, prompts), as those of the drawn prompts, and the drawn prompts' positions."""
        planes = np.ascontiguousarray(np.moveaxis(maps, 2, 0))
        planes.setflags(write=False)
        return resolve_overlaps(planes, self._request.styles, self._request.ids, self._request.settings)

    def _averaged(self, place: int) -> NDArray[np.float32] | None:
        """The maps of an item and of those around it, where they can be followed: float32 (h, w, prompts). None where
        none of them has any."""
        items = self._items
        samples: list[NDArray[np.float32]] = []
        weights: list[NDArray[np.float32]] = []
        own = items[place].maps
        if own is not None:
            samples.append(own)
            weights.append(np.ones(own.shape[:2], np.float32))
        for step in (-1, 1):
            way: BackwardFlow | None = None
            for distance in range(1, self._reach + 1):
                there = place + step * distance
                if not 0 <= there < len(items):
                    break
                link = items[there + 1].back if step < 0 else items[there].on
                if link is None:
                    break
                way = link if way is None else way.after(link)
                theirs = items[there].maps
                if theirs is None:
                    continue
                samples.append(warp(theirs, way.back))
                weights.append(way.trust * np.float32(np.exp(-0.5 * (2 * distance / self._reach) ** 2)))
        if len(samples) == 1 and own is not None:
            return own
        if not samples:
            return None
        values, shares = np.stack(samples), np.stack(weights)[..., None]
        if own is None:
            shares = shares + np.float32(1e-6)  # a place that cannot be followed has no weight at all
        average = (values * shares).sum(axis=0) / shares.sum(axis=0)
        likely = shares * np.exp(-(((values - average) / np.float32(_UNLIKE)) ** 2))
        found: NDArray[np.float32] = (values * likely).sum(axis=0) / likely.sum(axis=0)
        return found

    def _standings(self, place: int, maps: Planes, keys: Sequence[Hashable]) -> list[PresenceFlags]:
        items = self._items
        newest = presence_of(maps)
        seconds = float(items[place].frame.time - items[place - 1].frame.time) if place else 0.0
        if items[place].back is None:
            self._presence = PresenceState()
        self._presence, values, drawn = update_presence(self._presence, keys, newest, seconds, self._request.settings)
        return [
            PresenceFlags.of(float(value), shown, float(now))
            for value, shown, now in zip(values, drawn, newest, strict=True)
        ]
