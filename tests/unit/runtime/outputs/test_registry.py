"""Outputs of rendered frames: which frames may be kept for a replay."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.effects import BlackOut
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.runtime.outputs.recording_segment import RecordingTools
from clipseg_live.runtime.outputs.registry import RecordingOutputs
from tests.helpers.fakes import FakeReplaySink
from tests.unit.runtime.outputs.test_recording import INFO, wait_for

PLAIN, HIDING = LiveSettings(), LiveSettings(effects=(BlackOut(),))


@pytest.fixture
def sinks() -> list[FakeReplaySink]:
    return []


@pytest.fixture
def outputs(sinks: list[FakeReplaySink]) -> Iterator[RecordingOutputs]:
    def opened(settings: RecordingSettings) -> FakeReplaySink:
        sinks.append(FakeReplaySink())
        return sinks[-1]

    unused = lambda *given: None  # noqa: E731
    tools = RecordingTools(
        open_track=unused, open_replay=opened, open_data=unused, free_bytes=unused,
        finalise=unused,
    )  # type: ignore[arg-type]  # fmt: skip
    made = RecordingOutputs(tools, lambda topic, text, level: None)
    yield made
    made.request_stop()
    assert made.join() == ()


def put(outputs: RecordingOutputs, number: int, settings: LiveSettings | None, info: SourceInfo = INFO) -> None:
    pixels = np.full((6, 8, 3), number, np.uint8)
    outputs.put(RenderedFrame(Frame(pixels, number, Fraction(number, 30)), pixels, settings=settings), info)


def test_a_frame_from_before_a_privacy_effect_is_not_kept(
    outputs: RecordingOutputs, sinks: list[FakeReplaySink]
) -> None:
    outputs.set_replay(RecordingSettings(replay_seconds=5))
    put(outputs, 1, PLAIN)
    wait_for(lambda: sinks and sinks[0].frames)
    outputs.set_live_settings(HIDING)
    put(outputs, 2, PLAIN)  # it was being rendered at that time
    put(outputs, 3, None)
    put(outputs, 4, HIDING)
    wait_for(lambda: len(sinks) == 2 and sinks[1].frames and sinks[0].closed)
    assert [frame.pixels[0, 0, 0] for frame in sinks[1].frames] == [4]
    outputs.set_live_settings(PLAIN)
    put(outputs, 5, PLAIN)
    wait_for(lambda: len(sinks[1].frames) == 2)
