"""Mattes of successive frames, from the frame pipeline."""

from collections.abc import Iterator
from queue import SimpleQueue

import numpy as np

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import MatteRequest, Mattes
from clipseg_live.core.protocols import Matting
from clipseg_live.core.rendered_frame import PlannedPrompt, RenderedFrame, RenderPlan
from clipseg_live.core.status import Prediction
from clipseg_live.matting.causal import CausalMattes
from clipseg_live.matting.lookahead import LookaheadMattes
from clipseg_live.rendering.renderer import EffectRenderer
from clipseg_live.runtime.pipeline import FramePipeline, RenderTools


def plan_for(request: MatteRequest) -> RenderPlan:
    """Return the plan of a pipeline with this request."""
    rows = zip(request.ids, request.keys, request.styles, strict=True)
    prompts = tuple(PlannedPrompt(number, key, str(key), style) for number, key, style in rows)
    return RenderPlan(prompts, request.settings, None, request.cautious)


class OrderedMattes:
    """Mattes of frames in order, as in an export."""

    def __init__(self, matting: Matting, request: MatteRequest) -> None:
        self._plan = plan_for(request)
        self._delay = matting.delay
        self._fed: SimpleQueue[tuple[Frame, Prediction] | None] = SimpleQueue()
        self._count = 0
        pipeline = FramePipeline(self._plan, RenderTools(lambda: matting, EffectRenderer))
        self._done: Iterator[RenderedFrame] = pipeline.in_order(iter(self._fed.get_nowait, None))

    def feed(self, frame: Frame, maps: np.ndarray | None) -> Iterator[tuple[Frame, Mattes]]:
        """Add a frame, and yield the frames that are complete. ``maps`` is None for an unusable prediction."""
        predicted = np.full((len(self._plan.prompts), 1, 1), np.nan, np.float32) if maps is None else maps
        self._fed.put((frame, self._plan.prediction(frame, predicted)))
        self._count += 1
        if self._count > self._delay:
            yield self._pair(next(self._done))

    def finish(self) -> Iterator[tuple[Frame, Mattes]]:
        """Yield the remaining frames."""
        self._fed.put(None)
        yield from map(self._pair, self._done)

    @staticmethod
    def _pair(rendered: RenderedFrame) -> tuple[Frame, Mattes]:
        return rendered.frame, rendered.mattes


def causal(request: MatteRequest) -> OrderedMattes:
    """Return mattes from earlier predictions."""
    return OrderedMattes(CausalMattes(), request)


def lookahead(request: MatteRequest) -> OrderedMattes:
    """Return mattes from earlier and later predictions."""
    return OrderedMattes(LookaheadMattes(request.settings), request)
