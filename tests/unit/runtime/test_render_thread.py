"""Failures during the rendering of a frame: the video continues, and hidden pixels are not shown."""

import logging
from fractions import Fraction
from queue import Queue

import numpy as np
import pytest

from clipseg_live.core.analysis.comparison import VariantView
from clipseg_live.core.frame import Frame, Pixels
from clipseg_live.core.mattes import MatteRequest, Mattes
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.effects import BlackOut, Tint
from clipseg_live.core.settings.live import LiveSettings, PromptRow
from clipseg_live.core.status import Prediction
from clipseg_live.rendering.renderer import EffectRenderer
from clipseg_live.runtime.pipeline import RenderTools, keys_of
from clipseg_live.runtime.render_thread import RenderThread
from tests.helpers.fakes import FakeMatting

PATIENCE = 20.0
ROWS = (PromptRow(id=0, text="a cup"),)
GREY = np.full((6, 8, 3), 90, np.uint8)
GREY.setflags(write=False)


class Rig:
    """A render thread whose parts fail at selected frames.

    Attributes:
        fails: Failing step by index of the frame.
    """

    def __init__(self, settings: LiveSettings, fails: dict[int, str], error: Exception) -> None:
        self.fails, self.error = fails, error
        self.pictures: Queue[RenderedFrame] = Queue()
        self.errors: list[Exception] = []
        self.mattings = self.composers = self.closed = 0
        self.current = -1
        tools = RenderTools(lambda: _Matting(self), lambda look: _Composer(self, look))
        self.composing = RenderThread(tools, settings, self._show, self.errors.append)
        self.composing.start()

    def _show(self, picture: RenderedFrame, views: tuple[VariantView, ...]) -> None:
        self.pictures.put(picture)

    def fail_at(self, step: str) -> None:
        if self.fails.get(self.current) == step:
            raise self.error

    def frame(self, index: int) -> RenderedFrame:
        """Render a frame with its prediction, and return the result."""
        self.current = index
        frame = Frame(GREY, index, Fraction(index, 30))
        maps = np.full((1, 2, 2), 0.9, np.float32)
        self.composing.put_result(Prediction(index, 0, 1, (0,), maps, keys=(keys_of(ROWS)[0],)), frame)
        self.composing.put_frame(frame)
        while (picture := self.pictures.get(timeout=PATIENCE)).index != index:
            pass  # a slow machine also renders the prediction with the frame before
        return picture

    def stop(self) -> None:
        self.composing.request_stop()
        assert self.composing.join(PATIENCE)


class _Matting(FakeMatting):
    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self.rig = rig
        rig.mattings += 1

    def mattes(self, frame: Frame, request: MatteRequest) -> Mattes:
        self.rig.fail_at("mattes")
        return super().mattes(frame, request)


class _Composer(EffectRenderer):
    def __init__(self, rig: Rig, look) -> None:  # type: ignore[no-untyped-def]
        rig.fail_at("make composer")
        super().__init__(look)
        self.rig = rig
        rig.composers += 1

    def compose(self, pixels: Pixels, mattes: Mattes, time: Fraction = Fraction(0)) -> Pixels:
        self.rig.fail_at("compose")
        return super().compose(pixels, mattes, time)

    def close(self) -> None:
        self.rig.closed += 1
        super().close()


@pytest.mark.parametrize("step", ["mattes", "compose"])
@pytest.mark.parametrize("error", [KeyError("state"), ValueError("zip() argument 2 is longer"), MemoryError()])
def test_the_video_continues_after_a_failed_frame(
    step: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(LiveSettings(rows=ROWS, effects=(Tint(),)), {1: step}, error)
    try:
        with caplog.at_level(logging.ERROR, "clipseg_live.runtime.pipeline"):
            drawn = rig.frame(0).composed
            failed = rig.frame(1).composed
            again = rig.frame(2).composed
    finally:
        rig.stop()
    np.testing.assert_array_equal(failed, GREY)  # the frame without its effect
    np.testing.assert_array_equal(again, drawn)
    assert (drawn != GREY).any()
    assert set(map(id, rig.errors)) == {id(error)}
    record = next(record for record in caplog.records if record.exc_info)
    assert record.exc_info is not None and record.exc_info[1] is error
    assert rig.composers > 1 and rig.closed == rig.composers
    assert rig.mattings == (1 + len(rig.errors) if step == "mattes" else 1)  # the failing state is dropped


@pytest.mark.parametrize("step", ["mattes", "compose", "make composer"])
def test_a_failed_frame_is_hidden_with_a_privacy_effect(step: str) -> None:
    rig = Rig(LiveSettings(rows=ROWS, effects=(BlackOut(),)), {0: step, 2: step}, KeyError("state"))
    try:
        pictures = [rig.frame(index).composed for index in range(4)]
    finally:
        rig.stop()
    for picture in pictures:
        assert not picture.any()
    assert rig.errors


def test_every_frame_is_shown_if_all_frames_fail() -> None:
    rig = Rig(LiveSettings(rows=ROWS, effects=(Tint(),)), dict.fromkeys(range(8), "compose"), KeyError("state"))
    try:
        assert [rig.frame(index).index for index in range(8)] == list(range(8))
    finally:
        rig.stop()
    assert len(rig.errors) >= 8


def test_predictions_of_a_replacement_model_are_not_used_for_privacy() -> None:
    settings = LiveSettings(rows=ROWS, effects=(BlackOut(),))
    rig = Rig(settings, {}, KeyError())
    rig.composing.set_settings(settings, version=1)
    try:
        rig.composing.set_worker_state(True, is_substitute=True)
        hidden = rig.frame(0)
        assert hidden.hidden is not None and not hidden.mattes.own
        assert not hidden.composed.any()
        rig.composing.set_worker_state(True)
        assert rig.frame(1).hidden is None
    finally:
        rig.stop()
