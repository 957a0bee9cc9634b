"""The frame pipeline: live sessions, streams, exports and functions give the same mattes, labels, areas and pixels."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from clipseg_live.app.api import draw, make_mattes
from clipseg_live.app.export import ExportRequest, _make_pipeline
from clipseg_live.core.errors import ModelError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.rendered_frame import NO_MATTES, NO_PREDICTION, RenderedFrame
from clipseg_live.core.segmentation import UNUSABLE, Segmentation
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.effects import AnyEffect, BlackOut, EdgeView, Labels, Outline, Tint
from clipseg_live.core.settings.live import LiveSettings, PromptRow, SourceSpec
from clipseg_live.core.settings.rendering import ExportSettings, MatteSettings, RenderSettings
from clipseg_live.core.status import HiddenReason, Prediction
from clipseg_live.matting.causal import CausalMattes
from clipseg_live.rendering.renderer import EffectRenderer
from clipseg_live.runtime.edit_guard import EditGuard
from clipseg_live.runtime.pipeline import FramePipeline, RenderTools, keys_of, live_plan, plan_of
from clipseg_live.runtime.stream import Stream, StreamSettings
from tests.helpers.fakes import FakeLiveSource, FakeMatting
from tests.helpers.patterns import coarse, disc, texture

SIZE = (96, 128)
INFO = SourceInfo("fake", SIZE[1], SIZE[0], Fraction(30), Fraction(1, 30), 1)
TOOLS = RenderTools(CausalMattes, EffectRenderer)
NAMES = ("a cup", "a plate", "a shadow")
PROMPTS = tuple(map(Prompt.text, NAMES))
STYLES = (PromptStyle(threshold=0.4), PromptStyle(threshold=0.6), PromptStyle(role="negative"))
EFFECTS: tuple[AnyEffect, ...] = (Tint(), Outline(), Labels())


def picture() -> Pixels:
    pixels = texture(*SIZE, 3)
    for x, colour in ((40, (220, 30, 30)), (90, (30, 30, 220))):
        pixels[disc(*SIZE, x, 48, 20) > 0.5] = colour
    pixels.setflags(write=False)
    return pixels


def maps(level: float = 1.0) -> np.ndarray:
    made = np.concatenate([coarse(disc(*SIZE, x, 48, radius)) for x, radius in ((40, 20), (90, 20), (36, 8))])
    made *= np.float32(level)
    made.setflags(write=False)
    return made


def frame(index: int = 0, epoch: int = 0) -> Frame:
    return Frame(picture(), index, Fraction(index, 30), epoch=epoch)


def rows(texts: Sequence[str] = NAMES, styles: Sequence[PromptStyle] = STYLES) -> tuple[PromptRow, ...]:
    return tuple(
        PromptRow(id=number, text=text, style=style)
        for number, (text, style) in enumerate(zip(texts, styles, strict=True))
    )


def predicted(settings: LiveSettings, shown: Frame, values: np.ndarray, version: int = 1) -> Prediction:
    """Return the worker's prediction for all rows with content."""
    keys = {row_id: key for row_id, key in keys_of(settings.rows).items() if key[1] is not None}
    return Prediction(shown.index, shown.epoch, version, tuple(keys), values, keys=tuple(keys.values()))


class Live:
    """The pipeline of a live session, with its errors."""

    def __init__(self, settings: LiveSettings, tools: RenderTools = TOOLS) -> None:
        self.now, self.errors = 0.0, []
        self.guard = EditGuard(settings, lambda: self.now)
        self.pipeline = FramePipeline(live_plan(settings, 1), tools, guard=self.guard, on_error=self.errors.append)


def live_frame(matte: MatteSettings, effects: tuple[AnyEffect, ...], shown: Frame) -> RenderedFrame:
    settings = LiveSettings(rows=rows(), matte=matte, effects=effects)
    live = Live(settings)
    live.pipeline.add_prediction(predicted(settings, shown, maps()))
    return live.pipeline.process(shown)


def exported(matte: MatteSettings, effects: tuple[AnyEffect, ...], shown: Frame) -> RenderedFrame:
    look = RenderSettings(effects=effects, styles=STYLES, names=NAMES)
    request = ExportRequest("fake", None, PROMPTS, ExportSettings(render=look, matte=matte, temporal="causal"))
    pipeline = _make_pipeline(request, INFO, draws=True)
    (rendered,) = pipeline.in_order(iter([(shown, pipeline.plan.prediction(shown, maps()))]))
    pipeline.close()
    return rendered


class Still(FakeLiveSource):
    """A source with one frame."""

    def read(self) -> Frame | None:
        read = super().read()
        return None if read is None else replace(read, pixels=picture())


class Engine:
    """Returns the maps of the image."""

    def __init__(self, *levels: float) -> None:
        self.levels = list(levels)

    def segment(self, pixels: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
        level = self.levels.pop(0) if self.levels else 1.0
        return Segmentation(maps(level)[: len(prompts)], tuple(prompts), SIZE, {"decoder": 1.0})


def stream(engine: Engine, settings: StreamSettings, count: int = 1) -> Stream:
    source = Still(live=False, count=count, rate=400, size=SIZE)
    opened: Callable[[SourceSpec], FakeLiveSource] = lambda spec: source  # noqa: E731
    return Stream(
        SourceSpec(name="fake"), PROMPTS, engine, opened, lambda pixels, framing: pixels, TOOLS, settings=settings
    )


@pytest.mark.parametrize("effects", [EFFECTS, (*EFFECTS, EdgeView())])
def test_decisions_are_made_for_the_effect_that_shows_them(effects: tuple[AnyEffect, ...]) -> None:
    found = exported(MatteSettings(), effects, frame()).mattes.decisions
    assert (found is not None) == (EdgeView() in effects)


@pytest.mark.slow
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
@pytest.mark.parametrize("effects", [EFFECTS, (BlackOut(),)])
def test_live_stream_export_and_functions_are_equal(smoothing: float, effects: tuple[AnyEffect, ...]) -> None:
    matte = MatteSettings(smoothing=smoothing, motion_tracking=smoothing > 0, edges="fast" if smoothing > 0 else "off")
    with stream(Engine(), StreamSettings(matte, styles=STYLES)) as frames:
        streamed = next(frames)
    one = live_frame(matte, effects, frame(epoch=streamed.epoch))
    two = exported(matte, effects, frame())
    found = Engine().segment(picture(), PROMPTS)
    made = make_mattes(picture(), found, matte, styles=STYLES)
    shown_names, shown_styles = NAMES[:2], STYLES[:2]
    three = draw(picture(), made, effects, names=shown_names, styles=shown_styles)
    four = draw(picture(), streamed.mattes, effects, names=shown_names, styles=shown_styles)
    assert one.hidden is None and one.own and one.composed.tobytes() != picture().tobytes()
    for pixels in (two.composed, three, four):
        np.testing.assert_array_equal(pixels, one.composed)
    hides = effects is not EFFECTS
    for rendered in (two, streamed):
        assert rendered.labels == one.labels == (Label("a cup", 0.4), Label("a plate", 0.6))
        assert rendered.areas == one.areas or hides  # privacy effects have their own mattes
        assert rendered.presence == one.presence
        assert (rendered.drawn_ids, rendered.ids) == (one.drawn_ids, one.ids) == ((0, 1), (0, 1, 2))
        assert rendered.own
    for mattes in (two.mattes, streamed.mattes, made):
        alphas = mattes.hiding if hides else mattes.each
        assert [each.alpha.tobytes() for each in alphas] == [each.alpha.tobytes() for each in one.mattes.each]
        assert mattes.presence == one.mattes.presence
    assert streamed.maps.tobytes() == one.maps.tobytes() == two.maps.tobytes()
    assert streamed.milliseconds == {"decoder": 1.0} and set(one.milliseconds) == {"follow", "mattes", "compose"}


def test_areas_are_from_masks_or_from_maps_without_masks() -> None:
    rendered = exported(MatteSettings(), EFFECTS, frame())
    alphas = [matte.alpha for matte in rendered.mattes.each]
    negative = float((maps()[2] >= np.float32(STYLES[2].threshold)).mean())
    assert rendered.areas == (*(float((alpha >= 128).mean()) for alpha in alphas), negative)
    assert rendered.presence == (*rendered.mattes.presence, 0.0)
    assert replace(rendered, mattes=NO_MATTES).areas == rendered.map_areas


def test_negative_and_contrast_prompts_change_the_mattes_of_others_only() -> None:
    styles = (PromptStyle(threshold=0.4), PromptStyle(role="contrast"), PromptStyle(role="negative"))
    plan = plan_of(PROMPTS, styles)
    pipeline, alone = FramePipeline(plan, TOOLS), FramePipeline(plan_of(PROMPTS[:1], styles[:1]), TOOLS)
    pipeline.add_prediction(plan.prediction(frame(), maps()))
    alone.add_prediction(alone.plan.prediction(frame(), maps()[:1]))
    rendered, whole = pipeline.process(frame()), alone.process(frame())
    assert rendered.labels == plan.labels == (Label("a cup", 0.4),)
    assert 0 < rendered.areas[0] < whole.areas[0]


def test_non_finite_maps_give_empty_mattes_and_hide_the_frame(caplog: pytest.LogCaptureFixture) -> None:
    plan = plan_of(PROMPTS, STYLES, effects=(BlackOut(),), cautious=True)
    pipeline = FramePipeline(plan, TOOLS)
    broken = maps().copy()
    broken[1, 0, 0] = np.nan
    assert not pipeline.add_prediction(plan.prediction(frame(), broken))
    rendered = pipeline.process(frame())
    assert rendered.problem == UNUSABLE and not rendered.own and not rendered.composed.any()
    assert not rendered.mattes.own
    assert [matte.alpha.any() for matte in rendered.mattes.each] == [False, False]
    assert rendered.labels == plan.labels and rendered.areas == rendered.presence == (0.0, 0.0, 0.0)
    assert not pipeline.add_prediction(plan.prediction(frame(1), broken)) and pipeline.unusable == 2
    assert len([record for record in caplog.records if "not finite" in record.message]) == 1
    assert pipeline.add_prediction(plan.prediction(frame(2), maps()))
    rendered = pipeline.process(frame(2))
    assert rendered.problem == "" and rendered.own and rendered.composed.any()


def test_a_live_session_keeps_mattes_if_maps_are_not_finite() -> None:
    settings = LiveSettings(rows=rows(), effects=EFFECTS)
    live = Live(settings)
    live.pipeline.add_prediction(predicted(settings, frame(), maps()))
    before = live.pipeline.process(frame())
    live.pipeline.add_prediction(predicted(settings, frame(1), np.full_like(maps(), np.inf)))
    after = live.pipeline.process(frame(1))
    assert after.drawn_ids == before.drawn_ids and after.areas == pytest.approx(before.areas, rel=0.01)
    assert (before.own, after.own, after.problem) == (True, False, UNUSABLE)
    assert [type(error) for error in live.errors] == [ModelError]


def test_prompts_without_a_prediction_are_omitted_live_and_empty_elsewhere() -> None:
    settings = LiveSettings(rows=rows()[:1], effects=EFFECTS)
    live = Live(settings)
    live.pipeline.add_prediction(predicted(settings, frame(), maps()[:1]))
    live.pipeline.update(live_plan(settings.model_copy(update={"rows": rows()}), 2))
    rendered = live.pipeline.process(frame())
    assert rendered.drawn_ids == rendered.ids == (0,) and rendered.labels == (Label("a cup", 0.4),)
    waiting = Live(settings).pipeline.process(frame())
    assert waiting.labels == waiting.drawn_ids == () and waiting.maps is NO_PREDICTION.maps
    np.testing.assert_array_equal(waiting.composed, picture())
    pipeline = FramePipeline(plan_of(PROMPTS, STYLES), TOOLS)
    empty = pipeline.process(frame())
    assert len(empty.labels) == 2 and empty.areas == (0.0, 0.0, 0.0)


def test_edited_prompts_of_a_stream_do_not_keep_the_mattes_of_others() -> None:
    with stream(Engine(1.0, np.nan), StreamSettings(styles=STYLES), count=2) as frames:
        first = next(frames)
        frames.prompts = tuple(reversed(PROMPTS))
        second = next(frames)
    assert first.mattes.each[0].alpha.any() and first.drawn == PROMPTS[:2]
    assert second.problem and second.drawn == tuple(reversed(PROMPTS))[:2]
    assert not any(matte.alpha.any() for matte in second.mattes.each) and second.areas == (0.0, 0.0, 0.0)


class Broken(EffectRenderer):
    """An effect that fails."""

    def compose(self, pixels: Pixels, mattes: Mattes, time: Fraction = Fraction(0)) -> Pixels:
        raise KeyError("a bug")


@pytest.mark.parametrize("effects", [EFFECTS, (BlackOut(),)])
def test_a_failing_privacy_effect_hides_the_frame(effects: tuple[AnyEffect, ...]) -> None:
    settings = LiveSettings(rows=rows(), effects=effects)
    live = Live(settings, RenderTools(CausalMattes, Broken))
    live.pipeline.add_prediction(predicted(settings, frame(), maps()))
    composed = live.pipeline.process(frame()).composed
    np.testing.assert_array_equal(composed, picture() if effects is EFFECTS else np.zeros_like(picture()))
    assert [type(error) for error in live.errors] == [KeyError]


def test_errors_are_raised_without_a_handler() -> None:
    plan = plan_of(PROMPTS, STYLES, effects=EFFECTS)
    pipeline = FramePipeline(plan, RenderTools(CausalMattes, Broken))
    pairs = [(frame(), plan.prediction(frame(), maps()))]
    with pytest.raises(KeyError, match="a bug"):
        list(pipeline.in_order(iter(pairs)))


@pytest.mark.slow
def test_privacy_effects_need_current_prompts_and_a_reliable_model() -> None:
    settings = LiveSettings(rows=rows(), effects=(BlackOut(),))
    live = Live(settings)
    live.pipeline.add_prediction(predicted(settings, frame(), maps()))
    assert live.pipeline.process(frame()).hidden is None
    replaced = live.pipeline.process(frame(), reliable=False)
    assert replaced.hidden is HiddenReason.WAITING and not replaced.composed.any()
    live.pipeline.update(live_plan(settings, 2))  # the prediction is older than the prompts
    assert live.pipeline.process(frame()).hidden is HiddenReason.WAITING
    edited = settings.model_copy(update={"rows": rows(("a bowl", *NAMES[1:]))})
    live.guard.edit(settings, edited)
    live.pipeline.update(live_plan(edited, 1))
    live.pipeline.add_prediction(predicted(edited, frame(1), maps()))
    rendered = live.pipeline.process(frame(1))
    assert rendered.hidden is HiddenReason.EDITING and not rendered.mattes.own
    live.now += 1.6
    assert live.pipeline.process(frame(1)).hidden is None


@pytest.mark.parametrize("delay", [0, 2, 9])
def test_frames_come_in_order_with_their_own_predictions(delay: int) -> None:
    plan = plan_of(PROMPTS[:1], STYLES[:1])
    pipeline = FramePipeline(plan, RenderTools(lambda: FakeMatting(delay), EffectRenderer))
    levels = [0.1, 0.2, np.nan, 0.4, 0.5]
    given = [(frame(index), plan.prediction(frame(index), maps(level)[:1])) for index, level in enumerate(levels)]
    done = list(pipeline.in_order(iter(given)))
    assert [rendered.index for rendered in done] == list(range(5))
    assert [bool(rendered.problem) for rendered in done] == [False, False, True, False, False]
    assert [rendered.own for rendered in done] == [True, True, False, True, True]
    newest = [levels[index] for index in (0, 1, 1, 3, 4)]
    assert [float(rendered.maps.max()) for rendered in done] == pytest.approx(newest, rel=1e-5)


def test_frames_that_are_not_rendered_are_not_copied() -> None:
    plan, shown = plan_of(PROMPTS, STYLES), frame()
    pipeline = FramePipeline(plan, RenderTools(CausalMattes, pytest.fail))
    pipeline.add_prediction(plan.prediction(shown, maps()))
    rendered = pipeline.process(shown)
    assert rendered.composed is shown.pixels is rendered.original
