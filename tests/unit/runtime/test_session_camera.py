"""A virtual camera in a complete session with a real worker process: sent frames under all conditions."""

import os
import signal
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Mattes
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.settings.effects import BlackOut, Tint, is_private
from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings
from clipseg_live.core.status import SourceState, WorkerState
from tests.helpers.fakes import PLACEHOLDER_COLOUR, FakeLiveSource, FakeOutput
from tests.unit.runtime.test_session import GREEN, Paint, Running, row, running, settings_with

__all__ = ["running"]  # the fixture

pytestmark = pytest.mark.usefixtures("quick_workers")
RAW, HIDDEN = (200, 0, 0), (0, 0, 255)
"""Colour of the camera's right half, and colour of its mask."""
Make = Callable[..., Running]


def has_colour(frame: Pixels, colour: tuple[int, int, int]) -> bool:
    return bool((frame == colour).all(axis=2).any())


def is_placeholder(frame: Pixels) -> bool:
    return bool((frame == PLACEHOLDER_COLOUR).all())


def wait(one: Running, camera: FakeOutput, condition: Callable[[], object]) -> None:
    """Wait for a condition on the sent frames. The error describes the state of the session."""
    with camera.changed:
        assert camera.changed.wait_for(condition, 60.0), (one.session.status().worker, one.messages)


def camera_of(one: Running, settings: VirtualCameraSettings | None = None) -> FakeOutput:
    before = len(one.cameras)
    one.session.start_camera(settings or VirtualCameraSettings(width=64, height=48, rate=100))
    limit = time.monotonic() + 15
    while len(one.cameras) == before and time.monotonic() < limit:
        threading.Event().wait(0.005)
    return one.cameras[before]


@pytest.mark.usefixtures("new_interpreters")
@pytest.mark.slow
def test_no_original_pixel_is_sent_while_the_worker_is_killed(running: Make) -> None:
    one = running(settings_with(row(0, "red"), effects=(BlackOut(),)), a=FakeLiveSource(rate=100, flickers=True))
    camera = camera_of(one)
    for round_ in range(2):
        wait(one, camera, lambda: has_colour(camera.frames[-1], HIDDEN) if camera.frames else False)
        process = one.session.status().worker.process_id
        assert process is not None
        os.kill(process, signal.SIGKILL)
        one.wait(lambda: one.session.status().worker.state is not WorkerState.READY)
        down = len(camera.frames) + 1  # one may be in transfer
        wait(one, camera, lambda down=down: len(camera.frames) > down + 2)
        assert is_placeholder(camera.frames[down]) and one.session.status().camera.shows_placeholder
        # an edit while the worker is down
        one.session.apply(settings_with(row(0, "red"), row(1, f"thing {round_}"), effects=(BlackOut(),)))
    wait(one, camera, lambda: has_colour(camera.frames[-1], HIDDEN))
    one.session.stop()
    assert is_placeholder(camera.frames[0]) and camera.closed >= 1
    assert not [number for number, frame in enumerate(camera.frames) if has_colour(frame, RAW)]
    assert all(is_placeholder(frame) or has_colour(frame, HIDDEN) for frame in camera.frames)


@pytest.mark.slow
@pytest.mark.parametrize("paused", [False, True])
def test_a_privacy_effect_is_applied_at_once(running: Make, monkeypatch: pytest.MonkeyPatch, paused: bool) -> None:
    """Earlier frames are not repeated until the first hidden frame is available."""
    settings = settings_with(row(0, "red"), effects=(), mode="locked")
    one = running(settings, a=FakeLiveSource(live=False, count=5000, rate=100))
    camera = camera_of(one)
    wait(one, camera, lambda: camera.frames and has_colour(camera.frames[-1], HIDDEN))
    one.session.apply(settings_with(row(0, "red", visible=False), effects=(), mode="locked"))
    wait(one, camera, lambda: has_colour(camera.frames[-1], RAW))
    if paused:
        one.session.pause()
        wait(one, camera, lambda: one.session.status().source.state is SourceState.PAUSED)
    drawing, release, compose = threading.Event(), threading.Event(), Paint.compose

    def compose_slowly(self: Paint, pixels: Pixels, mattes: Mattes, time: Fraction) -> Pixels:
        if is_private(self.look.effects):
            drawing.set()
            release.wait(15)
        return compose(self, pixels, mattes, time)

    monkeypatch.setattr(Paint, "compose", compose_slowly)
    one.session.apply(settings_with(row(0, "red"), effects=(BlackOut(),)))
    hiding = len(camera.frames) + 1  # one may be in transfer
    assert drawing.wait(15)
    wait(one, camera, lambda: len(camera.frames) > hiding + 5)
    assert all(is_placeholder(frame) for frame in camera.frames[hiding:])
    release.set()
    wait(one, camera, lambda: has_colour(camera.frames[-1], HIDDEN))
    assert not any(has_colour(frame, RAW) for frame in camera.frames[hiding:])


@pytest.mark.slow
def test_the_placeholder_is_sent_while_the_model_loads(running: Make) -> None:
    one = running(
        settings_with(row(0, "red"), effects=(Tint(),), engine=EngineSettings(model="slow")), a=FakeLiveSource(rate=100)
    )
    camera = camera_of(one)
    one.wait(lambda: len(one.pictures) > 10)
    wait(one, camera, lambda: len(camera.frames) > 10)
    assert all(is_placeholder(frame) for frame in camera.frames) and one.session.status().camera.shows_placeholder
    one.session.apply(settings_with(row(0, "red", GREEN), engine=EngineSettings(model="fake")))
    one.session.restart_worker()  # the slow one would block
    wait(one, camera, lambda: has_colour(camera.frames[-1], GREEN))
    assert not one.session.status().camera.shows_placeholder


@pytest.mark.slow
def test_the_placeholder_is_sent_without_a_source(running: Make) -> None:
    sources = {"a": FakeLiveSource(rate=100, fails_at=60), "b": FakeLiveSource(missing=True)}
    one = running(settings_with(row(0, "red")), **sources)
    camera = camera_of(one)
    one.wait(lambda: one.pictures and one.session.status().source.state is SourceState.RUNNING)
    wait(one, camera, lambda: camera.frames and has_colour(camera.frames[-1], HIDDEN))
    wait(one, camera, lambda: one.session.status().source.state is SourceState.RECONNECTING)
    gone = len(camera.frames) + 1
    wait(one, camera, lambda: len(camera.frames) > gone)
    assert is_placeholder(camera.frames[gone])
    wait(one, camera, lambda: has_colour(camera.frames[-1], HIDDEN))  # the source is back
    one.session.open(SourceSpec(name="b"))
    wait(one, camera, lambda: one.session.status().source.state is SourceState.FAILED)
    failed = len(camera.frames) + 1
    wait(one, camera, lambda: len(camera.frames) > failed + 3)
    assert all(is_placeholder(frame) for frame in camera.frames[failed:])


@pytest.mark.slow
def test_a_paused_frame_is_sent_when_the_camera_starts(running: Make) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(live=False, count=400, rate=100))
    one.wait_shown(HIDDEN)
    one.session.pause()
    one.wait(lambda: one.session.status().source.state is SourceState.PAUSED)
    camera = camera_of(one)
    wait(one, camera, lambda: camera.frames and has_colour(camera.frames[-1], HIDDEN))


@pytest.mark.slow
def test_the_camera_sends_the_frames_of_the_window(running: Make) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(rate=100))
    one.wait_shown(HIDDEN)
    camera = camera_of(one, VirtualCameraSettings())
    wait(one, camera, lambda: camera.frames and has_colour(camera.frames[-1], HIDDEN))
    status = one.session.status().camera
    assert (status.active, status.width, status.height, status.rate) == (True, 64, 48, 100.0)
    one.session.stop()
    shown = [picture.composed for picture in one.pictures]
    sent = [frame for frame in camera.frames if not is_placeholder(frame)]
    assert all(any(np.array_equal(frame, picture) for picture in shown) for frame in sent[::7])


@pytest.mark.slow
def test_another_camera_replaces_the_first(running: Make) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(rate=100))
    first = camera_of(one)
    wait(one, first, lambda: first.frames)
    second = camera_of(one, VirtualCameraSettings(width=32, height=32, rate=50))
    wait(one, second, lambda: second.frames and has_colour(second.frames[-1], HIDDEN))
    assert first.closed == 1 and second.frames[0].shape == (32, 32, 3)
    one.session.stop_camera()
    one.wait(lambda: not one.session.status().camera.active)
    sent = len(second.frames)
    one.wait(lambda: len(one.pictures) > 20)
    assert len(second.frames) == sent and second.closed == 1


@pytest.mark.slow
def test_a_thread_blocked_by_a_device_is_abandoned_and_named() -> None:
    one = Running(settings_with(row(0, "red")), {"a": FakeLiveSource(rate=100)})
    camera = camera_of(one)
    camera.blocks_at = 5
    assert camera.blocked.wait(15)
    assert one.session.stop(1.0) == ("clipseg-live virtual camera",)
    camera.release.set()
    wait(one, camera, lambda: camera.closed)


@pytest.mark.slow
def test_no_original_frame_is_sent_while_the_first_prompt_is_typed(running: Make, tmp_path: Path) -> None:
    """The effect is selected before there is a prompt. Each key is an edit, and a real worker predicts late."""
    one = running(settings_with(effects=(BlackOut(),)), a=FakeLiveSource(rate=100, flickers=True))
    camera = camera_of(one)
    one.session.set_replay(RecordingSettings(replay_seconds=10))
    one.wait(lambda: len(one.pictures) > 5)
    one.session.start_recording(tmp_path, RecordingSettings(pattern="x"))
    for text in ("", "b", "bl", "blu", "blue", "blu", "r", "re", "red"):
        one.session.apply(settings_with(row(0, text), effects=(BlackOut(),)))
        shown = len(one.pictures)
        one.wait(lambda shown=shown: len(one.pictures) > shown + 2)
    wait(one, camera, lambda: has_colour(camera.frames[-1], HIDDEN))
    one.session.stop()
    kept = [frame.pixels for each in (*one.sinks, *one.replays) for frame in each.frames]
    assert kept and not any(has_colour(pixels, RAW) for pixels in kept)
    assert not any(has_colour(picture.composed, RAW) for picture in one.pictures)
    assert all(is_placeholder(frame) or has_colour(frame, HIDDEN) for frame in camera.frames)
