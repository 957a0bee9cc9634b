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
from clipseg_live.matting.alpha import (
    DrawnMaps,
    FrameFilters,
    NewPrediction,
    Planes,
    PresenceFlags,
    Refinement,
    binary_mattes,
    build_mattes,
    join_mattes,
    kinds_of,
)
from clipseg_live.matting.optical_flow import BackwardFlow, FlowEstimator, colour_consistency, resize_positions, warp
from clipseg_live.matting.prompt_interaction import PresenceState, presence_of, resolve_overlaps, update_presence
from clipseg_live.matting.temporal_filter import FilterState, filter_gain, update_filter
from clipseg_live.matting.working_grid import DownscaledFrame

_HISTORY_FRAMES = 150
"""Number of frames for which the backward flow is kept; older predictions are dropped."""
_MOST_SHOWN = 30
"""Number of frames whose results are kept until the prediction for one of them."""
_SPARSE = 2
"""Step in pixels at which maps are sampled to measure presence."""
_HALF_STILL_PIXELS = 2.5
"""Motion in pixels of the working grid that halves the calm."""
_STILL_CHANGE = 0.25
"""Mean change of brightness in levels below which a frame counts as still."""


@dataclass(frozen=True, slots=True, eq=False)
class MapPrediction:
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
class RefinedFrame:
    """Results of edge refinement for the drawn prompts of a frame.

    Attributes:
        keys: identity of each drawn prompt, in the order of the results.
        prediction: the last prediction of the frame.
        results: the results.
    """

    keys: tuple[Hashable, ...]
    prediction: MapPrediction
    results: Refinement

    def of(self, keys: Sequence[Hashable]) -> Refinement | None:
        """Return the results for these prompts in this order, or None if one of them is missing."""
        if tuple(keys) == self.keys:
            return self.results
        if not set(keys) <= set(self.keys):
            return None
        return self.results.of([self.keys.index(key) for key in keys])

    def warped(self, positions: NDArray[np.float32]) -> "RefinedFrame":
        """Return the results moved to another frame by a backward flow, float32 (h, w, 2)."""
        return replace(self, results=self.results.warped(positions))


@dataclass(frozen=True, slots=True, eq=False)
class MattingState:
    """State of the pipeline at frame ``index`` of an epoch.

    Attributes:
        index: index of the shown frame.
        epoch: epoch of the shown frame.
        time: time of the shown frame in seconds.
        small: the shown frame on the working grid.
        history: for each of the last frames its index, its time, and the flow back to the frame before it on half the
            working grid.
        flow: flow back from the shown frame to the frame at which ``filter_state`` was formed.
        trust: float32 (h, w), 0..1, how reliable ``filter_state`` was when it was formed.
        prediction_image: the small image of the frame at which ``filter_state`` was formed; None without a prediction.
        prediction: the last prediction.
        prediction_time: time of the frame of the last prediction in seconds.
        filter_state: smoothed maps since then.
        is_average: True if ``filter_state`` is an average of several predictions.
        presence: smoothed presence of the prompts.
        flags: presence flags by prompt key.
        prediction_interval: seconds between the last two predictions; None once ``flags`` include the last one.
        previous: results of edge refinement in the last frame, warped to this one, for normal and cautious mattes,
            keyed by caution.
        refined: results of this frame once it is drawn, keyed by caution.
        shown: such results of the last frames, keyed by the index of the frame. They are as old as the last prediction,
            or newer.
        gain: weight of the last prediction in ``filter_state``, where nothing moved.
    """

    index: int
    epoch: int
    time: Fraction
    small: DownscaledFrame
    history: tuple[tuple[int, Fraction, BackwardFlow], ...]
    flow: BackwardFlow
    trust: NDArray[np.float32]
    prediction_image: NDArray[np.float32] | None = None
    prediction: MapPrediction | None = None
    prediction_time: Fraction | None = None
    filter_state: FilterState | None = None
    is_average: bool = False
    presence: PresenceState = field(default_factory=PresenceState)
    flags: Mapping[Hashable, PresenceFlags] = field(default_factory=dict)
    prediction_interval: float | None = None
    previous: Mapping[bool, RefinedFrame] = field(default_factory=dict)
    refined: Mapping[bool, RefinedFrame] = field(default_factory=dict)
    shown: Mapping[int, Mapping[bool, RefinedFrame]] = field(default_factory=dict)
    gain: float = 1.0


class CausalMattes:
    """Mattes from earlier predictions (``core.protocols.Matting``), for predictions and frames in order.

    A prediction is applied at the next shown frame that is not older than its own frame. Its frame may be some frames
    back. Predictions of another epoch or from before a cut are dropped. Use an instance from one thread at a time.
    """

    delay = 0

    def __init__(self) -> None:
        self._flow = FlowEstimator()
        self._state: MattingState | None = None
        self._pending: MapPrediction | None = None

    def take(self, maps: Maps, keys: Sequence[Hashable], index: int, epoch: int = 0) -> None:
        """Store a prediction for frame ``index``; the next call of ``show`` applies it.

        Args:
            maps: float32 (prompts, h, w), 0..1, on any grid that covers the frame.
            keys: identity of each prompt, in the order of the maps.
            index: index of the frame.
            epoch: epoch of the frame.
        """
        self._pending = MapPrediction(maps, tuple(keys), index, epoch)

    def show(self, frame: Frame, settings: MatteSettings) -> None:
        """Advance to a frame, or stay at it, and apply the waiting prediction."""
        pending = self._pending
        is_applicable = pending is not None and pending.epoch == frame.epoch and pending.index <= frame.index
        if frame.independent and (is_applicable or not self._is_shown(frame)):
            self._state = None  # neither another photo nor an earlier prediction counts
        self._state = state = self._advance(frame, settings)
        if pending is not None and is_applicable:
            self._pending = None
            self._state = with_prediction(state, pending, settings)

    def mattes(self, frame: Frame, request: MatteRequest) -> Mattes:
        """Return the mattes of the shown frame; they are empty before the first prediction.

        The keys of the request must be among those of the last prediction.
        """
        state, height, width = self._state, frame.height, frame.width
        prediction = state.prediction if state is not None else None
        if state is None or prediction is None:
            return Mattes(height, width, own=False)
        if not set(request.keys) <= set(prediction.keys):  # the prediction with these keys was too late
            return no_mattes(height, width, request.drawn)
        own = (prediction.index, prediction.epoch) == (frame.index, frame.epoch)
        settings = request.settings
        if not request.keys:
            return Mattes(height, width, own=own)
        indices = [prediction.keys.index(key) for key in request.keys]
        if (settings.smoothing, settings.motion_tracking, settings.edges) == (0, False, "off"):
            maps, shown = resolve_overlaps(prediction.maps[indices], request.styles, request.ids, settings)
            flags = self._update_presence([request.keys[index] for index in shown], maps, settings)
            styles = [request.styles[index] for index in shown]
            presence = tuple(flag.presence for flag in flags)
            binary: dict[bool, Mattes] = {}
            for kind in kinds_of(request):
                kind_mattes = binary_mattes(maps, styles, height, width, cautious=bool(kind.cautious))
                binary[bool(kind.cautious)] = Mattes(height, width, tuple(kind_mattes), maps, presence, own)
            return join_mattes(binary)
        assert state.filter_state is not None
        maps = np.ascontiguousarray(np.moveaxis(warp(state.filter_state.maps[..., indices], state.flow.back), 2, 0))
        maps.setflags(write=False)
        trust = _current_trust(state)
        maps, shown = resolve_overlaps(maps, request.styles, request.ids, settings)
        keys = tuple(request.keys[index] for index in shown)
        flags = self._update_presence(keys, maps, settings)
        styles = [request.styles[index] for index in shown]
        newest = self._newest(state, request, indices) if own and request.cautious is not False else None
        mattes: dict[bool, Mattes] = {}
        refined: dict[bool, RefinedFrame] = {}
        is_average = state.is_average or not own
        filters = FrameFilters(state.small, trust)
        for kind in kinds_of(request):
            last = state.previous.get(bool(kind.cautious))
            is_new = last is None or last.prediction is not prediction
            added = self._new_prediction(state, request, indices, keys) if is_new and is_average else None
            drawn = DrawnMaps(maps, styles, flags, own, is_average, is_new, newest, added)
            previous = None if last is None else last.of(keys)
            result, refinement = build_mattes(drawn, filters, frame.pixels, kind, previous)
            mattes[bool(kind.cautious)] = result
            if refinement is not None:
                refined[bool(kind.cautious)] = RefinedFrame(keys, prediction, refinement)
        earlier = {number: results for number, results in state.shown.items() if number >= frame.index - _MOST_SHOWN}
        self._state = replace(self._state or state, refined=refined, shown={**earlier, frame.index: refined})
        return join_mattes(mattes)

    @staticmethod
    def _newest(state: MattingState, request: MatteRequest, indices: Sequence[int]) -> Planes:
        """Return the last prediction alone for the drawn prompts, on the working grid."""
        assert state.prediction is not None
        maps = np.moveaxis(state.small.on_grid(state.prediction.maps[list(indices)]), 2, 0)
        return resolve_overlaps(np.ascontiguousarray(maps), request.styles, request.ids, request.settings)[0]

    def _new_prediction(
        self, state: MattingState, request: MatteRequest, indices: Sequence[int], keys: Sequence[Hashable]
    ) -> NewPrediction | None:
        """Return the last prediction alone, or None if the mattes of its frame are not known."""
        assert state.prediction is not None
        maps, number = self._newest(state, request, indices), state.prediction.index
        if number == state.index:
            return NewPrediction(maps, state.gain)
        results = {cautious: each.of(keys) for cautious, each in state.shown.get(number, {}).items()}
        coverage = {cautious: each.coverage for cautious, each in results.items() if each is not None}
        back = _flow_to(state, number)[0]
        return NewPrediction(maps, state.gain, coverage, None if back is None else back.back) if coverage else None

    def _update_presence(self, keys: Sequence[Hashable], maps: Maps, settings: MatteSettings) -> list[PresenceFlags]:
        """Return the presence flags of prompts from their maps after the overlap rules.

        The last prediction is counted once.
        """
        state = self._state
        assert state is not None and state.prediction is not None
        if state.prediction_interval is not None:
            newest = presence_of(maps[:, ::_SPARSE, ::_SPARSE])
            presence, values, is_drawn = update_presence(
                state.presence, keys, newest, state.prediction_interval, settings
            )
            indices = [state.prediction.keys.index(key) for key in keys]
            newest_alone = presence_of(state.prediction.maps[indices, :: 2 * _SPARSE, :: 2 * _SPARSE])
            rows = zip(keys, values, is_drawn, newest_alone, strict=True)
            flags = {key: PresenceFlags.of(float(value), shown, float(now)) for key, value, shown, now in rows}
            state = self._state = replace(state, presence=presence, flags=flags, prediction_interval=None)
        return [state.flags.get(key, PresenceFlags()) for key in keys]

    def _is_shown(self, frame: Frame) -> bool:
        """Return True if the frame is already shown."""
        state = self._state
        return state is not None and (state.index, state.epoch) == (frame.index, frame.epoch)

    def _advance(self, frame: Frame, settings: MatteSettings) -> MattingState:
        last = self._state
        if last is not None and self._is_shown(frame):
            return last
        small = DownscaledFrame.of(frame.pixels)
        if last is None or last.epoch != frame.epoch or frame.index < last.index or last.small.size != small.size:
            return _initial_state(frame, small)
        if small.follows_cut(last.small):
            return _initial_state(frame, small)
        is_moving = settings.motion_tracking and small.change(last.small) > _STILL_CHANGE
        step = (
            self._flow.step(last.small.grey, small.grey)
            if is_moving
            else BackwardFlow.identity(small.grey.shape[0], small.grey.shape[1])
        )
        previous = last.refined or last.previous
        if is_moving:
            previous = {kind: refined.warped(step.back) for kind, refined in previous.items()}
        return replace(
            last,
            index=frame.index,
            time=frame.time,
            small=small,
            history=(*last.history[-_HISTORY_FRAMES:], (frame.index, frame.time, _halve(step))),
            flow=step.compose(last.flow) if is_moving else last.flow,
            previous=previous,
            refined={},
        )


def _initial_state(frame: Frame, small: DownscaledFrame) -> MattingState:
    """Return the state at a first frame, or at the first one after a cut."""
    identity = BackwardFlow.identity(small.grey.shape[0], small.grey.shape[1])
    history = ((frame.index, frame.time, _halve(identity)),)
    return MattingState(frame.index, frame.epoch, frame.time, small, history, identity, identity.trust)


def with_prediction(state: MattingState, prediction: MapPrediction, settings: MatteSettings) -> MattingState:
    """Return the state after a prediction for its frame or a recent one, or ``state`` if the prediction is too old."""
    if prediction.index < state.history[0][0]:
        return state
    if not prediction.keys:
        return replace(
            state,
            prediction=prediction,
            prediction_time=None,
            filter_state=None,
            is_average=False,
            flags={},
            prediction_interval=None,
            shown={},
        )
    back, prediction_time = _flow_to(state, prediction.index)
    maps = state.small.on_grid(prediction.maps)
    height, width = state.small.grey.shape
    prediction_trust = np.ones((height, width), np.float32)
    if back is not None:
        maps, prediction_trust = warp(maps, back.back), back.trust
    trust = _current_trust(state)
    last_filter = state.filter_state
    if last_filter is not None:
        maps_and_support = warp(np.dstack([last_filter.maps, last_filter.support]), state.flow.back)
        count = len(last_filter.keys)
        last_filter = replace(
            last_filter, maps=maps_and_support[..., :count], support=np.floor(maps_and_support[..., count:] + 0.5)
        )
    seconds = float(prediction_time - state.prediction_time) if state.prediction_time is not None else 0.0
    filter_state = update_filter(
        last_filter,
        prediction.keys,
        maps,
        trust,
        prediction_trust,
        state.flow.stillness(_HALF_STILL_PIXELS),
        settings.smoothing,
        seconds,
    )
    return replace(
        state,
        prediction=prediction,
        prediction_time=prediction_time,
        filter_state=filter_state,
        is_average=last_filter is not None and settings.smoothing > 0,
        prediction_interval=seconds,
        trust=prediction_trust if last_filter is None else np.maximum(prediction_trust, trust),
        flow=BackwardFlow.identity(height, width),
        prediction_image=state.small.picture,
        shown={index: results for index, results in state.shown.items() if index >= prediction.index},
        gain=filter_gain(settings.smoothing, seconds),
    )


def _current_trust(state: MattingState) -> NDArray[np.float32]:
    """Return how far ``filter_state`` still holds in the shown frame, float32 (h, w), 0..1."""
    trust = warp(state.trust, state.flow.back) * state.flow.trust
    if state.prediction_image is None:
        return trust
    return trust * colour_consistency(state.prediction_image, state.small.picture, state.flow.back)


def _flow_to(state: MattingState, index: int) -> tuple[BackwardFlow | None, Fraction]:
    """Return the flow back to frame ``index``, or to the last one shown before it, and the time of that frame.

    The flow is None if that frame is the shown one.

    Raises:
        ValueError: if the frame is older than all that are kept.
    """
    back: BackwardFlow | None = None
    for shown, time, step in reversed(state.history):
        if shown <= index:
            return (None if back is None else _resize(back, *state.small.grey.shape)), time
        back = step if back is None else back.compose(step)
    raise ValueError(f"Frame {index} is no longer in the history.")


def _halve(step: BackwardFlow) -> BackwardFlow:
    height, width = step.trust.shape
    return _resize(step, max(height // 2, 1), max(width // 2, 1))


def _resize(step: BackwardFlow, height: int, width: int) -> BackwardFlow:
    """Return the flow on another grid over the same frame."""
    interpolation = cv2.INTER_AREA if width < step.trust.shape[1] else cv2.INTER_LINEAR
    trust = np.asarray(cv2.resize(step.trust, (width, height), interpolation=interpolation), np.float32)
    return BackwardFlow(resize_positions(step.back, height, width), trust.reshape(height, width))
