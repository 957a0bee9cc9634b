"""A switch that stops running work, and work that starts later."""

import threading

import pytest

from clipseg_live.core.prompts import Prompt
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.runtime.export import Export, ExportStopped
from clipseg_live.runtime.pipeline import FramePipeline, RenderTools, plan_of
from clipseg_live.runtime.threads import StopSwitch
from tests.helpers.fakes import FakeEngine, FakeMatting, FakeSink, FakeSource


def test_the_last_registered_action_is_called() -> None:
    switch, called = StopSwitch(), []
    switch.on_stop(lambda: called.append("first"))
    switch.on_stop(lambda: called.append("second"))
    assert not switch.thrown and called == []
    switch.throw()
    assert switch.thrown and called == ["second"]
    switch.on_stop(lambda: called.append("late"))
    assert called == ["second", "late"]


def test_a_switch_without_actions_can_be_used() -> None:
    switch = StopSwitch()
    switch.throw()
    assert switch.thrown


def test_a_switch_stops_an_export_from_another_thread() -> None:
    source, sink, switch = FakeSource(20, blocks_at=5), FakeSink(), StopSwitch()
    prompts = (Prompt.text("a"),)
    pipeline = FramePipeline(plan_of(prompts, [PromptStyle()]), RenderTools(FakeMatting, pytest.fail))
    run = Export(source, source.open(), FakeEngine(), prompts, pipeline, [sink])
    switch.on_stop(run.request_stop)

    def stop() -> None:
        source.blocked.wait(20)
        switch.throw()
        source.release.set()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(ExportStopped):
        run.run()
    stopper.join()
    assert (sink.finished, sink.aborted) == (0, 1)
