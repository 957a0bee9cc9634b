"""Mattes for export: each frame has its own prediction, and later frames may be used too."""

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
"""Number of frames on each side that count at full smoothing."""
_UNLIKE = 0.3
"""Difference from the average of the surrounding predictions above which a prediction counts little."""


class CausalMattes:
    """Mattes as a live session in locked mode shows them for the same predictions."""

    def __init__(self, request: MatteRequest) -> None:
        self._request, self._pipeline = request, MattePipeline()

    def feed(self, frame: Frame, maps: Maps | None) -> Iterator[tuple[Frame, Mattes]]:
        """Take a frame and its maps, None for no prediction; yield the finished frame."""
        if maps is not None:
            self._pipeline.take(maps, self._request.keys, frame.index, frame.epoch)
        self._pipeline.show(frame, self._request.settings)
        mattes = self._pipeline.mattes(frame, self._request)
        known = len(mattes.each) == self._request.drawn
        yield frame, mattes if known else no_mattes(frame.height, frame.width, self._request.drawn)

    def finish(self) -> Iterator[tuple[Frame, Mattes]]:
        """Yield the remaining frames."""
        return iter(())


class IndependentMattes:
    """Mattes of unrelated photos: each has its own sequence, so nothing is carried from one to the next."""

    def __init__(self, make: Callable[[], MatteSequence]) -> None:
        self._make = make

    def feed(self, frame: Frame, maps: Maps | None) -> Iterator[tuple[Frame, Mattes]]:
        """Take a photo and its maps, None for no prediction; yield its mattes."""
        sequence = self._make()
        yield from sequence.feed(frame, maps)
        yield from sequence.finish()

    def finish(self) -> Iterator[tuple[Frame, Mattes]]:
        """Yield nothing, because no photo waits for another."""
        return iter(())


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """Frame that waits for the frames after it.

    Attributes:
        frame: the frame.
        small: the frame on the working grid.
        maps: float32 (h, w, prompts); None without a prediction.
        back: flow back to the item before; None at a cut.
        on: flow from the item before to this one; None at a cut.
    """

    frame: Frame
    small: DownscaledFrame
    maps: NDArray[np.float32] | None
    back: BackwardFlow | None
    on: BackwardFlow | None


class LookaheadMattes:
    """Mattes from a motion-compensated average of the predictions before and after each frame.

    The average neither lags nor flickers. A prediction that differs from all around it counts little.
    """

    def __init__(self, request: MatteRequest) -> None:
        settings = request.settings
        self._request, self._flow = request, FlowEstimator()
        self._reach = round(_REACH * settings.smoothing) if settings.follow else 0
        self._items: deque[_Item] = deque()
        self._done = 0
        self._presence = PresenceState()
        self._covers: dict[bool, Planes] = {}

    def feed(self, frame: Frame, maps: Maps | None) -> Iterator[tuple[Frame, Mattes]]:
        """Take a frame and its maps, None for no prediction; yield the finished frames."""
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
        """Yield the remaining frames."""
        while self._done < len(self._items):
            yield self._next()

    def _next(self) -> tuple[Frame, Mattes]:
        items, index = self._items, self._done
        item, average = items[index], self._averaged(index)
        height, width = item.frame.height, item.frame.width
        mattes = no_mattes(height, width, self._request.drawn) if average is None else self._fitted(index, average)
        if self._done >= self._reach:
            items.popleft()
        else:
            self._done += 1
        return item.frame, mattes

    def _fitted(self, place: int, average: NDArray[np.float32]) -> Mattes:
        """Return the mattes of an item from averaged maps, float32 (h, w, prompts)."""
        item, request = self._items[place], self._request
        maps, chosen = self._combined(average)
        newest = None if item.maps is None or request.cautious is False else self._combined(item.maps)[0]
        trust = np.ones(maps.shape[1:], np.float32)
        styles = [request.styles[position] for position in chosen]
        standings = self._standings(place, maps, [request.keys[position] for position in chosen])
        mattes: dict[bool, Mattes] = {}
        last, self._covers = self._covers, {}
        for kind in kinds_of(request):
            cautious, before = bool(kind.cautious), None
            if item.back is not None and cautious in last:
                before = np.stack([warp(plane, item.back.back) for plane in last[cautious]])
            mattes[cautious], covers = build_mattes(
                maps, styles, item.small, trust, before, item.frame.pixels, kind, standings, item.maps is not None,
                newest,
            )  # fmt: skip
            if covers is not None:
                self._covers[cautious] = covers
        return join_mattes(mattes)

    def _combined(self, maps: NDArray[np.float32]) -> tuple[Planes, tuple[int, ...]]:
        """Return the maps of the drawn prompts, and the positions of these prompts, from float32 (h, w, prompts)."""
        planes = np.ascontiguousarray(np.moveaxis(maps, 2, 0))
        planes.setflags(write=False)
        return resolve_overlaps(planes, self._request.styles, self._request.ids, self._request.settings)

    def _averaged(self, place: int) -> NDArray[np.float32] | None:
        """Return the average of the maps of an item and those around it, where they can be tracked.

        The result is float32 (h, w, prompts). It is None if none of these items has a prediction.
        """
        items = self._items
        samples: list[NDArray[np.float32]] = []
        weights: list[NDArray[np.float32]] = []
        own = items[place].maps
        if own is not None:
            samples.append(own)
            weights.append(np.ones(own.shape[:2], np.float32))
        for step in (-1, 1):
            flow: BackwardFlow | None = None
            for distance in range(1, self._reach + 1):
                other = place + step * distance
                if not 0 <= other < len(items):
                    break
                link = items[other + 1].back if step < 0 else items[other].on
                if link is None:
                    break
                flow = link if flow is None else flow.after(link)
                maps = items[other].maps
                if maps is None:
                    continue
                samples.append(warp(maps, flow.back))
                weights.append(flow.trust * np.float32(np.exp(-0.5 * (2 * distance / self._reach) ** 2)))
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
