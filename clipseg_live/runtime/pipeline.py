"""Frame pipeline: turns predictions and frames into mattes and rendered frames, for every way to run the program."""

import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from clipseg_live.core import privacy
from clipseg_live.core.errors import ModelError
from clipseg_live.core.frame import Frame, Pixels, Signal
from clipseg_live.core.mattes import Effort, MatteRequest, Mattes, no_mattes
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.protocols import Matting, Renderer
from clipseg_live.core.rendered_frame import (
    NO_PREDICTION,
    PlannedPrompt,
    RenderedFrame,
    RenderPlan,
    drawn_of,
    labels_of,
)
from clipseg_live.core.segmentation import UNUSABLE, is_usable
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.effects import AnyEffect
from clipseg_live.core.settings.live import LiveSettings, PromptRow
from clipseg_live.core.settings.rendering import MatteSettings, RenderSettings
from clipseg_live.core.status import HiddenReason, Prediction
from clipseg_live.runtime.edit_guard import EditGuard

logger = logging.getLogger(__name__)

MakeRenderer = Callable[[RenderSettings], Renderer]
BlendHDR = Callable[[Frame, Pixels, Callable[[Pixels], Pixels]], Signal]
"""Returns the HDR signal of a frame. Takes the frame, its drawn pixels, and a function that draws on other pixels."""


@dataclass(frozen=True, slots=True)
class RenderTools:
    """Parts that a pipeline is made of.

    Attributes:
        make_matting: Makes the matting. It is called again after an error of the matting.
        make_renderer: Makes a renderer for render settings.
        blend: Makes the HDR signal of the rendered frames. None for results in SDR.
    """

    make_matting: Callable[[], Matting]
    make_renderer: MakeRenderer
    blend: BlendHDR | None = None


class FramePipeline:
    """Makes the mattes of frames and draws their effects, without threads.

    It is the only place that turns a prediction into mattes and a rendered frame:

    - Maps with values that are not finite are dropped. Their frames have no prediction, and hiding effects hide them.
    - Negative and contrast prompts have no matte, label or area of their own.
    - Hiding effects hide the whole frame without a prediction for this frame and these prompts, and while prompts are
      edited.
    - With ``on_error``, a frame whose mattes fail has none, and a frame whose effects fail is shown without them, or
      black if an effect hides something. Without it, errors are raised.

    Use an instance from one thread at a time.

    Args:
        plan: First plan.
        tools: Parts of the pipeline.
        guard: State of prompt edits, for a live session.
        on_error: Called with errors that a live session must survive. None raises them.

    Attributes:
        unusable: Number of predictions that were dropped.
    """

    def __init__(
        self,
        plan: RenderPlan,
        tools: RenderTools,
        *,
        guard: EditGuard | None = None,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self._plan, self._tools, self._guard, self._on_error = plan, tools, guard, on_error
        self._current_matting: Matting | None = None
        self._renderer: tuple[RenderSettings, Renderer] | None = None
        self._cached_settings: tuple[RenderPlan, tuple[PlannedPrompt, ...], RenderSettings] | None = None
        self._newest = NO_PREDICTION
        self._problem = ""
        self._areas: tuple[Prediction, tuple[float, ...], tuple[float, ...]] | None = None
        self.unusable = 0

    @property
    def plan(self) -> RenderPlan:
        """Return the current plan."""
        return self._plan

    def prepare(self) -> None:
        """Make the matting now, which may load libraries, rather than with the first frame."""
        self._matting()

    def update(self, plan: RenderPlan) -> None:
        """Use another plan from now on."""
        self._plan = plan

    def add_prediction(self, prediction: Prediction) -> bool:
        """Use a prediction from now on, and return whether it can be used."""
        if is_usable(prediction.maps, len(prediction.ids)):
            self._problem, self._newest = "", prediction
            self._matting().take(prediction.maps, prediction.keys, prediction.index, prediction.epoch)
            return True
        self.unusable += 1
        if not self._problem:
            self._problem = UNUSABLE
            logger.error("Prediction for frame %d dropped: its values are not finite", prediction.index)
            if self._on_error is not None:
                self._on_error(ModelError(UNUSABLE))
        return False

    def newest(self, frame: Frame) -> Prediction:
        """Return the newest prediction of the frame's epoch for the prompts of the plan."""
        newest, plan = self._newest, self._plan
        is_current = newest.epoch == frame.epoch and (not plan.complete or newest.keys == plan.keys)
        return newest if is_current else plan.no_prediction()

    def process(self, frame: Frame, *, effort: Effort = "full", reliable: bool = True) -> RenderedFrame:
        """Advance to a frame, or stay at it, and render it with the newest prediction.

        Args:
            frame: Frame to render.
            effort: Time to spend on edges. Photos always get all of it.
            reliable: Predictions come from the requested model. Hiding effects do not rely on those of another one.

        Raises:
            Exception: An error of the matting or the effects, without ``on_error``.
        """
        prediction = self.newest(frame)
        started_at = tracked_at = time.perf_counter()
        try:
            self._matting().show(frame, self._plan.matte)
            tracked_at = time.perf_counter()
            prompts, mattes = self._mattes(frame, prediction, "full" if frame.independent else effort)
        except Exception as error:
            if self._on_error is None:
                raise
            logger.exception("Making the mattes of a frame failed")
            self._on_error(error)
            self._drop_matting()
            prediction, prompts = self._plan.no_prediction(), ()
            mattes = Mattes(frame.height, frame.width, own=False)
        fitted_at = time.perf_counter()
        rendered = self._render(frame, prediction, prompts, mattes, reliable)
        times = {
            "follow": tracked_at - started_at,
            "mattes": fitted_at - tracked_at,
            "compose": time.perf_counter() - fitted_at,
        }
        return replace(rendered, milliseconds={stage: seconds * 1000 for stage, seconds in times.items()})

    def in_order(self, frames: Iterator[tuple[Frame, Prediction]]) -> Iterator[RenderedFrame]:
        """Yield frames with their own predictions, rendered in order, as late as the matting requires.

        Args:
            frames: Frames, each with its prediction.
        """
        delay_line: deque[tuple[Frame, Prediction, str]] = deque()
        for frame, prediction in frames:
            self.add_prediction(prediction)
            self._matting().show(frame, self._plan.matte)
            delay_line.append((frame, self.newest(frame), self._problem))
            if len(delay_line) > self._matting().delay:
                yield self._render_delayed(*delay_line.popleft())
        while delay_line:
            yield self._render_delayed(*delay_line.popleft())

    def draw(self, frame: Frame, mattes: Mattes, look: RenderSettings) -> Pixels:
        """Return new pixels with the effects of ``look``: uint8 (height, width, 3).

        Raises:
            Exception: An error of the effects, without ``on_error``.
        """
        try:
            return self._renderer_for(look).compose(frame.pixels, mattes, _effect_time(frame))
        except Exception as error:
            if self._on_error is None:
                raise
            logger.exception("Drawing the effects of a frame failed")
            self._on_error(error)
            self._drop_renderer()
            return privacy.without_effects(frame.pixels, look.effects)

    def reset(self) -> None:
        """Start from a clean state with the next frame."""
        self._drop_matting()
        self._drop_renderer()

    def close(self) -> None:
        """Release the files that effects have opened. Allowed more than once."""
        self._drop_renderer()

    def _render_delayed(self, frame: Frame, prediction: Prediction, problem: str) -> RenderedFrame:
        prompts, mattes = self._mattes(frame, prediction, "full")
        return replace(self._render(frame, prediction, prompts, mattes, True), problem=problem)

    def _mattes(self, frame: Frame, prediction: Prediction, effort: Effort) -> tuple[tuple[PlannedPrompt, ...], Mattes]:
        """Return the mattes of the frame, and the prompts that they are made from."""
        plan = self._plan
        prompts: tuple[PlannedPrompt, ...] = plan.shown
        keys: dict[int, Hashable] = {prompt.id: prompt.key for prompt in prompts}
        if not plan.complete:
            keys = dict(zip(prediction.ids, prediction.keys, strict=True))
            prompts = tuple(prompt for prompt in prompts if prompt.id in keys)
        request = MatteRequest(
            keys=tuple(keys[prompt.id] for prompt in prompts),
            ids=tuple(prompt.id for prompt in prompts),
            styles=tuple(prompt.style for prompt in prompts),
            settings=plan.matte,
            cautious=plan.cautious,
            effort=effort,
            explain=plan.explain,
        )
        mattes = self._matting().mattes(frame, request)
        if plan.complete and len(mattes.each) != request.drawn:
            mattes = no_mattes(frame.height, frame.width, request.drawn)
        return prompts, mattes

    def _render(
        self, frame: Frame, prediction: Prediction, prompts: tuple[PlannedPrompt, ...], mattes: Mattes, reliable: bool
    ) -> RenderedFrame:
        """Apply the policies and draw the effects."""
        plan = self._plan
        drawn = drawn_of(prompts)
        presence = dict(zip((prompt.id for prompt in drawn), mattes.presence, strict=False))
        own = (prediction.index, prediction.epoch) == (frame.index, frame.epoch)
        areas = self._map_areas(prediction)
        mattes, hidden = self._apply_privacy(prediction, own, areas, mattes, reliable)
        composed, signal = frame.pixels, None
        if plan.effects is not None:
            look = self._render_settings(drawn)
            composed = self.draw(frame, mattes, look)
            if self._tools.blend is not None:
                signal = self._tools.blend(
                    frame, composed, lambda pixels: self.draw(replace(frame, pixels=pixels), mattes, look)
                )
        return RenderedFrame(
            frame=frame,
            composed=composed,
            mattes=mattes,
            labels=labels_of(drawn) if mattes.each else (),
            drawn_ids=tuple(prompt.id for prompt in drawn) if mattes.each else (),
            maps=prediction.maps,
            ids=prediction.ids,
            map_areas=areas,
            presence=tuple(presence.get(prompt_id, 0.0) for prompt_id in prediction.ids),
            own=own,
            version=prediction.version,
            settings=plan.settings,
            hidden=hidden,
            problem=self._problem,
            signal=signal,
        )

    def _apply_privacy(
        self, prediction: Prediction, own: bool, areas: tuple[float, ...], mattes: Mattes, reliable: bool
    ) -> tuple[Mattes, HiddenReason | None]:
        """Mark the mattes as not the frame's own if hiding effects must hide the whole frame, and return the reason."""
        plan, guard = self._plan, self._guard
        if guard is None or plan.settings is None:
            return mattes, None
        # A prediction for newer prompts can arrive before the settings. It does not fit the rows that are drawn.
        predicted_keys = dict(zip(prediction.ids, prediction.keys, strict=True))
        is_current = all(predicted_keys.get(prompt.id) == prompt.key for prompt in plan.shown if prompt.key is not None)
        usable = mattes.own and prediction.version >= plan.version and is_current
        if usable and own:
            guard.settle(plan.settings, {row for row, area in zip(prediction.ids, areas, strict=True) if area > 0})
        hidden = guard.reason(plan.settings, usable and reliable)
        return replace(mattes, own=usable and hidden is None), hidden

    def _map_areas(self, prediction: Prediction) -> tuple[float, ...]:
        """Return the share of each map that reaches the threshold of its prompt, 0..1.

        The areas are cached until the maps or the thresholds change.
        """
        thresholds = {prompt.id: prompt.style.threshold for prompt in self._plan.prompts}
        levels = tuple(thresholds.get(prompt_id, 1.0) for prompt_id in prediction.ids)
        if self._areas is None or self._areas[0] is not prediction or self._areas[1] != levels:
            areas = tuple(
                float(np.count_nonzero(prob_map >= np.float32(level)) / prob_map.size)
                for prob_map, level in zip(prediction.maps, levels, strict=True)
            )
            self._areas = prediction, levels, areas
        return self._areas[2]

    def _render_settings(self, drawn: tuple[PlannedPrompt, ...]) -> RenderSettings:
        """Return the settings of the renderer, which are cached until the plan or the prompts change."""
        if (
            self._cached_settings is None
            or self._cached_settings[0] is not self._plan
            or self._cached_settings[1] != drawn
        ):
            self._cached_settings = self._plan, drawn, self._plan.look(drawn)
        return self._cached_settings[2]

    def _renderer_for(self, look: RenderSettings) -> Renderer:
        if self._renderer is None or self._renderer[0] != look:
            self._drop_renderer()
            self._renderer = look, self._tools.make_renderer(look)
        return self._renderer[1]

    def _drop_renderer(self) -> None:
        if self._renderer is not None:
            renderer, self._renderer = self._renderer[1], None
            renderer.close()

    def _matting(self) -> Matting:
        if self._current_matting is None:
            self._current_matting = self._tools.make_matting()
        return self._current_matting

    def _drop_matting(self) -> None:
        """Make a new matting for the next prediction."""
        self._current_matting = None
        self._newest = NO_PREDICTION


def _effect_time(frame: Frame) -> Fraction:
    """Return the time for effects. Photos have none."""
    return Fraction(0) if frame.independent else frame.time


def plan_of(
    prompts: Sequence[Prompt],
    styles: Sequence[PromptStyle],
    *,
    names: Sequence[str] = (),
    matte: MatteSettings | None = None,
    effects: Sequence[AnyEffect] | None = None,
    cautious: bool | None = None,
) -> RenderPlan:
    """Return a plan for prompts that are numbered by their order.

    Args:
        prompts: Prompts.
        styles: Style of each prompt.
        names: Name of each prompt in effects; empty for their numbers.
        matte: Settings of the mattes.
        effects: Effects to draw; None if the frames are not drawn.
        cautious: As in ``MatteRequest``.
    """
    planned = tuple(
        PlannedPrompt(number, (number, prompt), prompt.label, style, names[number] if number < len(names) else None)
        for number, (prompt, style) in enumerate(zip(prompts, styles, strict=True))
    )
    drawn = None if effects is None else tuple(effects)
    return RenderPlan(planned, MatteSettings() if matte is None else matte, drawn, cautious)


def live_plan(settings: LiveSettings, version: int) -> RenderPlan:
    """Return the plan of a live session.

    Args:
        settings: Settings of the session.
        version: Version of the prompts that are requested from now on.
    """
    keys, shown = keys_of(settings.rows), {row.id for row in settings.shown()}
    prompts = []
    for row in settings.rows:
        name, key = row.text.strip() or "image", keys[row.id]
        prompts.append(
            PlannedPrompt(row.id, key if key[1] is not None else None, name, row.style, name, row.id in shown)
        )
    cautious = privacy.is_cautious(settings.effects)
    return RenderPlan(tuple(prompts), settings.matte, settings.effects, cautious, False, version, settings)


def keys_of(rows: tuple[PromptRow, ...]) -> dict[int, tuple[int, privacy.Content | None]]:
    """Return a key for the prompt of each row: its id and its content.

    Predictions with equal keys belong to the same prompt.
    """
    return {row.id: (row.id, privacy.content_of(row)) for row in rows}
