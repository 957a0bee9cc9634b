"""Conditions that end a headless command, and its messages."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from clipseg_live.app import session as app_session
from clipseg_live.cli.headless import session
from clipseg_live.cli.headless.recording import run_recording
from clipseg_live.cli.headless.session import ResponseWatch
from clipseg_live.cli.headless.source_messages import SourceMessages
from clipseg_live.cli.headless.virtual_camera import _VirtualCamera
from clipseg_live.core.addresses import SourceName
from clipseg_live.core.errors import Failure, SourceError
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.settings.live import LiveSettings, PromptRow, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings
from clipseg_live.core.status import SessionStatus, SourceState, SourceStatus, WorkerState, WorkerStatus
from tests.helpers.live_engine import make_fake_engine

RUNNING = SourceStatus(SourceState.RUNNING)
READY = WorkerStatus(WorkerState.READY)


class Shown:
    """A session with or without a frame that has masks."""

    def __init__(self, masks: bool = False) -> None:
        self.masks = masks

    def picture(self) -> SimpleNamespace:
        return SimpleNamespace(mattes=SimpleNamespace(each=(1,) if self.masks else ()))


def check(
    watch: ResponseWatch, source: SourceStatus = RUNNING, worker: WorkerStatus = READY, masks: bool = False
) -> None:
    watch.check(Shown(masks), SessionStatus(source, worker))  # type: ignore[arg-type]


@pytest.mark.parametrize("before", [WorkerState.STARTING, WorkerState.READY])
def test_a_worker_that_waits_for_a_restart_is_an_error(before: WorkerState) -> None:
    watch = ResponseWatch()
    check(watch, worker=WorkerStatus(before))
    with pytest.raises(Failure, match=r"^again and again$"):
        check(watch, worker=WorkerStatus(WorkerState.WAITING, problem="again and again"))


@pytest.mark.parametrize("state", [WorkerState.STARTING, WorkerState.LOADING, WorkerState.RESTARTING])
def test_a_restarting_worker_is_awaited(state: WorkerState) -> None:
    check(ResponseWatch(), worker=WorkerStatus(state, problem="Segmentation is restarting."))


def test_rejected_prompts_and_frames_are_an_error() -> None:
    with pytest.raises(Failure, match=r"^no room$"):
        check(ResponseWatch(), worker=WorkerStatus(WorkerState.READY, problem="no room"))


def test_a_source_that_never_opened_is_an_error_and_a_lost_one_is_not() -> None:
    failed = SourceStatus(SourceState.FAILED, problem="There is no camera.")
    with pytest.raises(Failure, match=r"^There is no camera\.$"):
        check(ResponseWatch(), failed)
    watch = ResponseWatch()
    check(watch)
    check(watch, SourceStatus(SourceState.RECONNECTING, problem="lost"))


def test_waiting_for_masks_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(session, "time", SimpleNamespace(monotonic=lambda: clock.now))
    answered = WorkerStatus(WorkerState.READY, version=1)
    watch, drawn = ResponseWatch(), ResponseWatch()
    check(drawn, worker=answered, masks=True)
    check(watch)  # the model is slow
    clock.now = 100.0
    check(watch, worker=answered)
    clock.now = 125.0
    check(watch, worker=answered)
    clock.now = 1000.0
    check(watch, SourceStatus(SourceState.RECONNECTING), answered)
    check(watch, worker=answered)
    check(drawn, worker=answered)
    clock.now = 1121.0
    with pytest.raises(Failure, match="within 120 seconds"):
        check(watch, worker=answered)


def test_a_damaged_file_ends_the_virtual_camera() -> None:
    job = _VirtualCamera(VirtualCameraSettings())
    ended = SourceStatus(SourceState.ENDED)
    assert job.look(Shown(), SessionStatus(ended))  # type: ignore[arg-type]
    broken = SourceStatus(SourceState.ENDED, problem="clip.mp4 breaks off.")
    with pytest.raises(SourceError, match=r"^clip\.mp4 breaks off\.$"):
        job.look(Shown(), SessionStatus(broken))  # type: ignore[arg-type]


def test_a_lost_source_and_its_return_are_reported_once() -> None:
    told = SourceMessages()
    lost = SourceStatus(SourceState.RECONNECTING, SourceName("the camera"), problem="The camera is gone.")
    again = SourceStatus(SourceState.RECONNECTING, SourceName("the camera"), problem="There is no camera.")
    back = SourceStatus(SourceState.RUNNING, SourceName("the camera"))
    sentences = [told.news(status) for status in (back, lost, again, back, back, lost)]
    assert sentences == ["", "The camera is gone. Reconnecting...", "", "the camera is back.", "", sentences[1]]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_workers")
@pytest.mark.parametrize(
    ("prompt", "model", "sentence"),
    [
        ("crash", "fake", "keeps failing (the process ended with code 7)"),
        ("refused", "fake", "The prompt is not for this model."),
        ("red", "missing", "There is no model named missing."),
        ("red", "ends", "keeps failing (the process ended with code 9)"),
        ("no room", "fake", "Shared memory has no room for a frame (No space left on device)"),
    ],
)
def test_a_recording_does_not_wait_for_a_failed_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompt: str, model: str, sentence: str
) -> None:
    def full(*arguments: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(app_session, "make_exact_engine", make_fake_engine)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if prompt == "no room":
        monkeypatch.setattr(os, "posix_fallocate", full)
    settings = LiveSettings(rows=(PromptRow(id=0, text=prompt),), engine=EngineSettings(model=model))
    spec = SourceSpec(name=SourceName("demo:"), width=64, height=48)
    with pytest.raises(Failure) as caught:
        run_recording(settings, spec, tmp_path / "new", RecordingSettings(), None)
    assert sentence in str(caught.value) and caught.value.exit_code == 1
    assert not (tmp_path / "new").exists()
