"""Rendering of the variants of a comparison beside the main frame, from the same predictions."""

from collections.abc import Callable, Hashable
from dataclasses import replace

import numpy as np

from clipseg_live.core.analysis.comparison import (
    VariantView,
    draw_difference,
    figures_of,
    intersection_over_union,
    joint_mask,
)
from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Effort
from clipseg_live.core.privacy import content_of
from clipseg_live.core.rendered_frame import RenderedFrame, drawn_of
from clipseg_live.core.settings.effects import AnyEffect, Raw
from clipseg_live.core.settings.live import ComparisonView, LiveSettings, PromptRow
from clipseg_live.core.status import Prediction
from clipseg_live.runtime.pipeline import FramePipeline, RenderTools, keys_of, live_plan


def predicted_rows(settings: LiveSettings) -> tuple[PromptRow, ...]:
    """Return the rows that the model predicts: those of the settings, and those that only other variants have.

    Rows with the same content share a prediction. Further rows have negative ids, which no row of the window has.
    """
    rows = list(settings.rows)
    known = {content_of(row) for row in rows}
    for variant in settings.compared():
        for row in variant.rows:
            content = content_of(row)
            if content not in known:
                known.add(content)
                rows.append(row.model_copy(update={"id": len(settings.rows) - len(rows) - 1}))
    return tuple(rows)


def select_prediction(prediction: Prediction, rows: tuple[PromptRow, ...]) -> Prediction:
    """Return a prediction for ``predicted_rows`` as one for the rows of one variant.

    Rows whose content was not predicted are left out.

    Args:
        prediction: Prediction with the keys of its prompts (``pipeline.keys_of``).
        rows: Rows of the variant.
    """
    places: dict[Hashable, int] = {}
    for place, key in enumerate(prediction.keys):
        places[key] = place
        if isinstance(key, tuple):
            places.setdefault(("content", key[1]), place)
    found: list[tuple[int, Hashable, int]] = []
    for row_id, key in keys_of(rows).items():
        at = places.get(key, places.get(("content", key[1])))
        if at is not None:
            found.append((row_id, key, at))
    indices = [at for _, _, at in found]
    maps = prediction.maps[indices] if indices else np.zeros((0, 1, 1), np.float32)
    return replace(
        prediction, ids=tuple(row_id for row_id, _, _ in found), keys=tuple(key for _, key, _ in found), maps=maps
    )


class ComparisonRenderer:
    """Renders the variants of a comparison, each with its own frame pipeline.

    The active variant is the main frame, which outputs take; its pipeline is not run twice. Use an instance from one
    thread at a time.

    Args:
        tools: Parts of the pipelines.
        on_error: Called with errors of a frame, which is shown without effects then.
    """

    def __init__(self, tools: RenderTools, on_error: Callable[[Exception], None]) -> None:
        self._tools, self._on_error = tools, on_error
        self._settings: LiveSettings | None = None
        self._pipelines: dict[int, FramePipeline] = {}
        self._active: FramePipeline | None = None
        self._newest: Prediction | None = None

    def update(self, settings: LiveSettings) -> None:
        """Use other settings from now on. Variants that stay keep their state."""
        if settings is self._settings:
            return
        variants, active = settings.compared(), settings.active_variant
        if not variants:
            self.close()
            return
        self._settings = settings
        for number in list(self._pipelines):
            if number >= len(variants) or number == active:
                self._pipelines.pop(number).close()
        for number, variant in enumerate(variants):
            if number == active:
                continue
            plan = replace(live_plan(variant, 0), effects=self._effects(variant))
            if number in self._pipelines:
                self._pipelines[number].update(plan)
            else:
                self._pipelines[number] = FramePipeline(plan, self._tools, on_error=self._on_error)
                self._add_to(number, variant)

    def add_prediction(self, prediction: Prediction) -> None:
        """Use a prediction for all variants from now on."""
        self._newest = prediction
        if self._settings is not None:
            for number, variant in enumerate(self._settings.compared()):
                if number in self._pipelines:
                    self._add_to(number, variant)

    def render(self, rendered: RenderedFrame, effort: Effort) -> tuple[VariantView, ...]:
        """Return the views of all variants in their order; none without a comparison.

        Args:
            rendered: The main frame.
            effort: Time to spend on edges.
        """
        settings = self._settings
        variants = () if settings is None else settings.compared()
        if settings is None or not variants:
            return ()
        frames = [
            rendered
            if number == settings.active_variant
            else self._pipelines[number].process(rendered.frame, effort=effort)
            for number in range(len(variants))
        ]
        masks = [joint_mask(frame.mattes) for frame in frames]
        views = []
        for number, frame in enumerate(frames):
            if self._view is ComparisonView.DIFFERENCE:
                image = draw_difference(frame.original, masks[0], masks[number])
            elif number == settings.active_variant and self._view is ComparisonView.MAPS:
                image = self._draw_active(frame)
            else:
                image = frame.composed
            image.setflags(write=False)
            iou = intersection_over_union(masks[0], masks[number]) if number else None
            views.append(VariantView(image, figures_of(frame), iou))
        return tuple(views)

    def close(self) -> None:
        """Forget all variants until the next ``update``, and release the files of their effects."""
        for pipeline in (*self._pipelines.values(), *([self._active] if self._active is not None else [])):
            pipeline.close()
        self._pipelines, self._active, self._settings = {}, None, None

    @property
    def _view(self) -> ComparisonView:
        comparison = None if self._settings is None else self._settings.comparison
        return ComparisonView.RESULT if comparison is None else comparison.view

    def _effects(self, variant: LiveSettings) -> tuple[AnyEffect, ...] | None:
        """Return the effects that are drawn in the view of a variant; None if it needs only masks."""
        if self._view is ComparisonView.DIFFERENCE:
            return None
        return (Raw(),) if self._view is ComparisonView.MAPS else variant.effects

    def _draw_active(self, rendered: RenderedFrame) -> Pixels:
        """Return the main frame with the effects of the view."""
        assert rendered.settings is not None
        plan = replace(live_plan(rendered.settings, 0), effects=self._effects(rendered.settings))
        if self._active is None:
            self._active = FramePipeline(plan, self._tools, on_error=self._on_error)
        by_id = {prompt.id: prompt for prompt in drawn_of(plan.shown)}
        drawn = [by_id[row_id] for row_id in rendered.drawn_ids if row_id in by_id]
        return self._active.draw(rendered.frame, rendered.mattes, plan.look(drawn))

    def _add_to(self, number: int, variant: LiveSettings) -> None:
        if self._newest is not None:
            self._pipelines[number].add_prediction(select_prediction(self._newest, variant.rows))
