"""Causal matting: mattes of every shown frame, tracked and smoothed from earlier predictions."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import MatteRequest, Mattes, no_mattes
from clipseg_live.core.protocols import Maps
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.matting.alpha import Planes, PresenceFlags, binary_mattes, build_mattes, join_mattes, kinds_of
from clipseg_live.matting.optical_flow import BackwardFlow, FlowEstimator, colour_consistency, warp
from clipseg_live.matting.prompt_interaction import PresenceState, presence_of, resolve_overlaps, update_presence
from clipseg_live.matting.temporal_filter import FilterState, update_filter
from clipseg_live.matting.working_grid import DownscaledFrame

_LONGEST_WAY = 90
"""Number of frames for which the backward flow is kept; older predictions are dropped."""
_SPARSE = 2
"""Step in pixels at which maps are sampled to measure presence."""
_FAR = 2.5
"""Motion in pixels of the working grid that halves the calm."""
_STILL = 0.25
"""Mean change of brightness in levels below which a frame counts as still."""


@dataclass(frozen=True, slots=True, eq=False)
class MapAnswer:
    """Prediction of the model for a frame.

    Attributes:
        maps: float32 (prompts, h, w), 0..1, read-only.
        keys: identity of each prompt, in the order of the maps.
        index: index of the frame.
        epoch: epoch of the frame.
    """

    maps: Maps
    keys: tuple[Hashable, ...]
    index: int
    epoch: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """Soft coverage of the drawn prompts on the working grid.

    Attributes:
        keys: identity of each drawn prompt, in the order of the planes.
        planes: float32 (prompts, h, w), 0..1.
    """

    keys: tuple[Hashable, ...]
    planes: Planes

    def planes_of(self, keys: Sequence[Hashable]) -> Planes | None:
        """Return the planes of these prompts in this order, or None if one of them is missing."""
        if tuple(keys) == self.keys:
            return self.planes
        if not set(keys) <= set(self.keys):
            return None
        return self.planes[[self.keys.index(key) for key in keys]]


@dataclass(frozen=True, slots=True, eq=False)
class MattingState:
    """State of the pipeline at frame ``index`` of an epoch.

    Attributes:
        index: index of the shown frame.
        epoch: epoch of the shown frame.
        time: time of the shown frame in seconds.
        small: the shown frame on the working grid.
        ways: for each of the last frames its index, its time, and the flow back to the frame before it on half the
            working grid.
        way: flow back from the shown frame to the frame at which ``belief`` was formed.
        trust: float32 (h, w), 0..1, how reliable ``belief`` was when it was formed.
        seen: the small image of the frame at which ``belief`` was formed; None without a prediction.
        answer: the last prediction.
        answered: time of the frame of the last prediction in seconds.
        belief: smoothed maps since then.
        presence: smoothed presence of the prompts.
        standings: presence flags by prompt key.
        news: seconds between the last two predictions; None once ``standings`` include the last one.
        before: coverage of the last frame, warped to this one, for normal and cautious mattes, keyed by caution.
        covers: coverage of this frame once it is drawn, keyed by caution.
    """

    index: int
    epoch: int
    time: Fraction
    small: DownscaledFrame
    ways: tuple[tuple[int, Fraction, BackwardFlow], ...]
    way: BackwardFlow
    trust: NDArray[np.float32]
    seen: NDArray[np.float32] | None = None
    answer: MapAnswer | None = None
    answered: Fraction | None = None
    belief: FilterState | None = None
    presence: PresenceState = field(default_factory=PresenceState)
    standings: Mapping[Hashable, PresenceFlags] = field(default_factory=dict)
    news: float | None = None
    before: Mapping[bool, Coverage] = field(default_factory=dict)
    covers: Mapping[bool, Coverage] = field(default_factory=dict)


class CausalMattes:
    """Mattes from earlier predictions (``core.protocols.Matting``), for predictions and frames in order.

    A prediction is applied at the next shown frame that is not older than its own frame. Its frame may be some frames
    back. Predictions of another epoch or from before a cut are dropped. Use an instance from one thread at a time.
    """

    delay = 0

    def __init__(self) -> None:
        self._flow = FlowEstimator()
        self._state: MattingState | None = None
        self._waiting: MapAnswer | None = None

    def take(self, maps: Maps, keys: Sequence[Hashable], index: int, epoch: int = 0) -> None:
        """Store a prediction for frame ``index``; the next call of ``show`` applies it.

        Args:
            maps: float32 (prompts, h, w), 0..1, on any grid that covers the frame.
            keys: identity of each prompt, in the order of the maps.
            index: index of the frame.
            epoch: epoch of the frame.
        """
        self._waiting = MapAnswer(maps, tuple(keys), index, epoch)

    def show(self, frame: Frame, settings: MatteSettings) -> None:
        """Advance to a frame, or stay at it, and apply the waiting prediction."""
        waiting = self._waiting
        fits = waiting is not None and waiting.epoch == frame.epoch and waiting.index <= frame.index
        if frame.independent and (fits or not self._shows(frame)):
            self._state = None  # neither another photo nor an earlier prediction counts
        self._state = state = self._moved(frame, settings)
        if waiting is not None and fits:
            self._waiting = None
            self._state = with_prediction(state, waiting, settings)

    def mattes(self, frame: Frame, request: MatteRequest) -> Mattes:
        """Return the mattes of the shown frame; they are empty before the first prediction.

        The keys of the request must be among those of the last prediction.
        """
        state, height, width = self._state, frame.height, frame.width
        answer = state.answer if state is not None else None
        if state is None or answer is None:
            return Mattes(height, width, own=False)
        if not set(request.keys) <= set(answer.keys):  # the prediction with these keys was too late
            return no_mattes(height, width, request.drawn)
        own = (answer.index, answer.epoch) == (frame.index, frame.epoch)
        settings = request.settings
        if not request.keys:
            return Mattes(height, width, own=own)
        indices = [answer.keys.index(key) for key in request.keys]
        if (settings.smoothing, settings.motion_tracking, settings.edge_refinement) == (0, False, False):
            maps, chosen = resolve_overlaps(answer.maps[indices], request.styles, request.ids, settings)
            flags = self._stood([request.keys[index] for index in chosen], maps, settings)
            styles = [request.styles[index] for index in chosen]
            presence = tuple(one.presence for one in flags)
            plain: dict[bool, Mattes] = {}
            for kind in kinds_of(request):
                each = binary_mattes(maps, styles, height, width, cautious=bool(kind.cautious))
                plain[bool(kind.cautious)] = Mattes(height, width, tuple(each), maps, presence, own)
            return join_mattes(plain)
        assert state.belief is not None
        maps = np.ascontiguousarray(np.moveaxis(warp(state.belief.maps[..., indices], state.way.back), 2, 0))
        maps.setflags(write=False)
        trust = _trusted(state)
        maps, chosen = resolve_overlaps(maps, request.styles, request.ids, settings)
        keys = tuple(request.keys[index] for index in chosen)
        flags = self._stood(keys, maps, settings)
        styles = [request.styles[index] for index in chosen]
        newest = self._newest(state, request, indices) if own and request.cautious is not False else None
        mattes: dict[bool, Mattes] = {}
        covers: dict[bool, Coverage] = {}
        for kind in kinds_of(request):
            cautious = bool(kind.cautious)
            before = state.before[cautious].planes_of(keys) if cautious in state.before else None
            mattes[cautious], planes = build_mattes(
                maps, styles, state.small, trust, before, frame.pixels, kind, flags, own, newest
            )
            if planes is not None:
                covers[cautious] = Coverage(keys, planes)
        self._state = replace(self._state or state, covers=covers)
        return join_mattes(mattes)

    @staticmethod
    def _newest(state: MattingState, request: MatteRequest, places: Sequence[int]) -> Planes:
        """Return the last prediction alone for the drawn prompts, on the working grid."""
        assert state.answer is not None
        maps = np.moveaxis(state.small.on_grid(state.answer.maps[list(places)]), 2, 0)
        return resolve_overlaps(np.ascontiguousarray(maps), request.styles, request.ids, request.settings)[0]

    def _stood(self, keys: Sequence[Hashable], maps: Maps, settings: MatteSettings) -> list[PresenceFlags]:
        """Return the presence flags of prompts from their maps after the overlap rules.

        The last prediction is counted once.
        """
        state = self._state
        assert state is not None and state.answer is not None
        if state.news is not None:
            newest = presence_of(maps[:, ::_SPARSE, ::_SPARSE])
            presence, values, drawn = update_presence(state.presence, keys, newest, state.news, settings)
            indices = [state.answer.keys.index(key) for key in keys]
            alone = presence_of(state.answer.maps[indices, :: 2 * _SPARSE, :: 2 * _SPARSE])
            rows = zip(keys, values, drawn, alone, strict=True)
            standings = {key: PresenceFlags.of(float(value), shown, float(now)) for key, value, shown, now in rows}
            state = self._state = replace(state, presence=presence, standings=standings, news=None)
        return [state.standings.get(key, PresenceFlags()) for key in keys]

    def _shows(self, frame: Frame) -> bool:
        """Return True if the frame is already shown."""
        state = self._state
        return state is not None and (state.index, state.epoch) == (frame.index, frame.epoch)

    def _moved(self, frame: Frame, settings: MatteSettings) -> MattingState:
        past = self._state
        if past is not None and self._shows(frame):
            return past
        small = DownscaledFrame.of(frame.pixels)
        if past is None or past.epoch != frame.epoch or frame.index < past.index or past.small.size != small.size:
            return _begun(frame, small)
        if small.follows_cut(past.small):
            return _begun(frame, small)
        follows = settings.motion_tracking and small.change(past.small) > _STILL
        step = (
            self._flow.step(past.small.grey, small.grey)
            if follows
            else BackwardFlow.still(small.grey.shape[0], small.grey.shape[1])
        )
        before = past.covers or past.before
        if follows:
            before = {
                kind: replace(coverage, planes=np.stack([warp(plane, step.back) for plane in coverage.planes]))
                for kind, coverage in before.items()
            }
        return replace(
            past,
            index=frame.index,
            time=frame.time,
            small=small,
            ways=(*past.ways[-_LONGEST_WAY:], (frame.index, frame.time, _halved(step))),
            way=step.after(past.way) if follows else past.way,
            before=before,
            covers={},
        )


def _begun(frame: Frame, small: DownscaledFrame) -> MattingState:
    """Return the state at a first frame, or at the first one after a cut."""
    still = BackwardFlow.still(small.grey.shape[0], small.grey.shape[1])
    ways = ((frame.index, frame.time, _halved(still)),)
    return MattingState(frame.index, frame.epoch, frame.time, small, ways, still, still.trust)


def with_prediction(state: MattingState, answer: MapAnswer, settings: MatteSettings) -> MattingState:
    """Return the state after a prediction for its frame or a recent one, or ``state`` if the prediction is too old."""
    if answer.index < state.ways[0][0]:
        return state
    if not answer.keys:
        return replace(state, answer=answer, answered=None, belief=None, standings={}, news=None)
    back, answered = _way_to(state, answer.index)
    maps = state.small.on_grid(answer.maps)
    height, width = state.small.grey.shape
    sure = np.ones((height, width), np.float32)
    if back is not None:
        maps, sure = warp(maps, back.back), back.trust
    trust = _trusted(state)
    past = state.belief
    if past is not None:
        maps_and_support = warp(np.dstack([past.maps, past.support]), state.way.back)
        count = len(past.keys)
        past = replace(past, maps=maps_and_support[..., :count], support=np.floor(maps_and_support[..., count:] + 0.5))
    seconds = float(answered - state.answered) if state.answered is not None else 0.0
    belief = update_filter(past, answer.keys, maps, trust, sure, state.way.calm(_FAR), settings.smoothing, seconds)
    return replace(
        state,
        answer=answer,
        answered=answered,
        belief=belief,
        news=seconds,
        trust=sure if past is None else np.maximum(sure, trust),
        way=BackwardFlow.still(height, width),
        seen=state.small.picture,
    )


def _trusted(state: MattingState) -> NDArray[np.float32]:
    """Return how far ``belief`` still holds in the shown frame, float32 (h, w), 0..1."""
    trust = warp(state.trust, state.way.back) * state.way.trust
    return trust if state.seen is None else trust * colour_consistency(state.seen, state.small.picture, state.way.back)


def _way_to(state: MattingState, index: int) -> tuple[BackwardFlow | None, Fraction]:
    """Return the flow back to frame ``index``, or to the last one shown before it, and the time of that frame.

    The flow is None if that frame is the shown one.

    Raises:
        ValueError: if the frame is older than all that are kept.
    """
    back: BackwardFlow | None = None
    for shown, time, step in reversed(state.ways):
        if shown <= index:
            return (None if back is None else _resized(back, *state.small.grey.shape)), time
        back = step if back is None else back.after(step)
    raise ValueError(f"Frame {index} is no longer in the history.")


def _halved(step: BackwardFlow) -> BackwardFlow:
    height, width = step.trust.shape
    return _resized(step, max(height // 2, 1), max(width // 2, 1))


def _resized(step: BackwardFlow, height: int, width: int) -> BackwardFlow:
    """Return the flow on another grid over the same frame."""
    columns, rows = step.back.shape[1], step.back.shape[0]
    how = cv2.INTER_AREA if width < columns else cv2.INTER_LINEAR
    scale = np.array([width / columns, height / rows], np.float32)
    back = (cv2.resize(step.back, (width, height), interpolation=how) + np.float32(0.5)) * scale - np.float32(0.5)
    trust = cv2.resize(step.trust, (width, height), interpolation=how)
    return BackwardFlow(np.asarray(back, np.float32), np.asarray(trust, np.float32).reshape(height, width))
