"""Settings of the virtual camera, and the frames that may be sent to it."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Mattes
from clipseg_live.core.rendered_frame import NO_MATTES, RenderedFrame
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.effects import BlackOut, Pixelate, Tint
from clipseg_live.core.settings.live import LiveSettings, PromptRow
from clipseg_live.core.settings.virtual_camera import VirtualCameraFormat, VirtualCameraSettings, chosen_format
from clipseg_live.core.status import SourceState, WorkerState
from clipseg_live.runtime.outputs.privacy_gate import may_publish

PLAIN = LiveSettings(rows=(PromptRow(id=0, text="face"),), effects=(Tint(),))
HIDING = PLAIN.model_copy(update={"effects": (Pixelate(), Tint())})
READY, RUNNING = WorkerState.READY, SourceState.RUNNING
LOOKS = (PLAIN, HIDING, PLAIN.model_copy(update={"effects": (BlackOut(),)}))


def picture(
    settings: LiveSettings | None = HIDING, own: bool = True, mattes_own: bool = True, version: int = 3
) -> RenderedFrame:
    pixels = np.zeros((2, 2, 3), np.uint8)
    return RenderedFrame(
        Frame(pixels, 0, Fraction(0), epoch=1), pixels, own=own, version=version,
        settings=settings, mattes=Mattes(2, 2, own=mattes_own),
    )  # fmt: skip


@pytest.mark.slow
@given(
    st.sampled_from(LOOKS), st.sampled_from(LOOKS), st.booleans(), st.booleans(), st.integers(1, 4), st.integers(1, 4),
    st.sampled_from(WorkerState), st.sampled_from(SourceState),
)  # fmt: skip
def test_unhidden_frames_are_not_sent_with_a_privacy_effect(
    drawn: LiveSettings, now: LiveSettings, own: bool, mattes_own: bool, of: int, asked: int,
    worker: WorkerState, source: SourceState,
) -> None:  # fmt: skip
    shown = may_publish(picture(drawn, own, mattes_own, of), now, asked, worker, source)
    if worker is not READY or source in (
        SourceState.RECONNECTING, SourceState.FAILED, SourceState.CLOSED, SourceState.OPENING,
    ):  # fmt: skip
        assert not shown
    elif now is PLAIN:
        assert shown
    else:
        assert shown == (drawn is not PLAIN and own and mattes_own and of >= asked)


@pytest.mark.parametrize("worker", [state for state in WorkerState if state is not READY])
def test_no_frame_is_sent_while_the_worker_is_down(worker: WorkerState) -> None:
    assert may_publish(picture(), HIDING, 3, READY, RUNNING)
    assert not may_publish(picture(), HIDING, 3, worker, RUNNING)
    assert not may_publish(picture(PLAIN), PLAIN, 3, worker, RUNNING)


def test_a_frame_without_settings_is_not_sent() -> None:
    assert not may_publish(picture(None), HIDING, 3, READY, RUNNING)
    assert not may_publish(replace(picture(), mattes=NO_MATTES), HIDING, 3, READY, RUNNING)


def test_changed_rows_block_frames_until_they_are_rendered() -> None:
    hidden = HIDING.model_copy(update={"rows": (PromptRow(id=0, text="face", visible=False),)})
    helper = HIDING.model_copy(update={"rows": (PromptRow(id=0, text="face", style=PromptStyle(role="negative")),)})
    for drawn in (hidden, helper):
        assert not may_publish(picture(drawn), HIDING, 3, READY, RUNNING)
        assert may_publish(picture(drawn), drawn, 3, READY, RUNNING)


SOURCE, HELD = VirtualCameraFormat(641, 361, Fraction(25)), VirtualCameraFormat(320, 240, Fraction(15))


@pytest.mark.parametrize(
    ("settings", "settled", "source", "wanted"),
    [
        (VirtualCameraSettings(), None, None, (1280, 720, 30)),
        (VirtualCameraSettings(), None, SOURCE, (640, 360, 25)),
        (VirtualCameraSettings(), HELD, SOURCE, (320, 240, 15)),
        (VirtualCameraSettings(width=1920, height=1080), HELD, SOURCE, (1920, 1080, 15)),
        (VirtualCameraSettings(rate=60), None, SOURCE, (640, 360, 60)),
        (VirtualCameraSettings(), None, VirtualCameraFormat(1, 9999, Fraction(1, 9)), (32, 9998, 1)),
        (VirtualCameraSettings(), None, VirtualCameraFormat(64, 64, Fraction(5000)), (64, 64, 120)),
    ],
)
def test_size_and_rate_follow_settings_device_and_source(
    settings: VirtualCameraSettings,
    settled: VirtualCameraFormat | None,
    source: VirtualCameraFormat | None,
    wanted: tuple[int, int, int],
) -> None:
    found = chosen_format(settings, settled, source)
    assert (found.width, found.height, found.rate) == wanted


@pytest.mark.parametrize(
    "values",
    [{"width": 640}, {"height": 480}, {"width": 641, "height": 480}, {"width": 16, "height": 16}, {"rate": 0},
     {"rate": 500}, {"rate": float("nan")}, {"fit": "stretch"}, {"device": "x" * 201}, {"unknown": 1}],
)  # fmt: skip
def test_impossible_formats_are_rejected(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VirtualCameraSettings(**values)  # type: ignore[arg-type]
