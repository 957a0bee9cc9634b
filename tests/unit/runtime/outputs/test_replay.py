"""Instant replay: kept frames, and messages when it is saved."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from clipseg_live.core.errors import ClipsegLiveError, SinkError
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.runtime.outputs import replay as module
from clipseg_live.runtime.outputs.recording import RecordingTarget
from clipseg_live.runtime.outputs.recording_segment import RecordingTools
from clipseg_live.runtime.outputs.replay import Replay
from tests.helpers.fakes import FakeReplaySink
from tests.unit.runtime.outputs.test_recording import INFO, shot, wait_for


class Kept:
    def __init__(self, sink: FakeReplaySink) -> None:
        self.sink = sink
        self.made_in: list[str] = []
        self.told: list[tuple[Path | None, ClipsegLiveError | None]] = []
        unused: Callable[..., object] = lambda *given: None  # noqa: E731
        tools = RecordingTools(
            open_track=unused, open_replay=self._make, open_data=unused,
            free_bytes=unused, finalise=unused,
        )  # type: ignore[arg-type]  # fmt: skip
        settings = RecordingSettings(replay_seconds=5, pattern="x {prompts} {source}")
        self.replay = Replay(settings, tools, lambda path, error: self.told.append((path, error)))
        self.replay.start()

    def _make(self, settings: RecordingSettings) -> FakeReplaySink:
        self.made_in.append(threading.current_thread().name)
        return self.sink

    def saved(self, folder: Path) -> tuple[Path | None, ClipsegLiveError | None]:
        before = len(self.told)
        self.replay.save(RecordingTarget(folder, ("a cup",), "cam"))
        wait_for(lambda: len(self.told) > before)
        return self.told[-1]


@pytest.fixture
def keep() -> Iterator[Callable[..., Kept]]:
    made: list[Kept] = []

    def make(**faults: object) -> Kept:
        made.append(Kept(FakeReplaySink(**faults)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.replay.request_stop()
        assert each.replay.join(10) and each.sink.closed == 1


def test_kept_frames_are_saved_under_a_free_name(keep: Callable[..., Kept], tmp_path: Path) -> None:
    one = keep()
    wait_for(
        lambda: one.made_in == ["clipseg-live replay"]
    )  # the thread of the window would block while libraries are loaded
    for number in range(5):
        one.replay.put(shot(number), INFO)
    wait_for(lambda: len(one.sink.frames) == 5)
    assert [frame.time for frame in one.sink.frames] == [Fraction(number, 30) for number in range(5)]
    assert one.sink.source_times[3] == Fraction(3, 30) and one.sink.frames[0].pixels[0, 0, 0] == 10
    assert one.replay.seconds == one.sink.seconds()
    assert one.saved(tmp_path) == (tmp_path / "x a cup cam replay.mp4", None)
    (tmp_path / "x a cup cam replay (2).mp4").symlink_to(tmp_path / "nowhere")
    assert one.saved(tmp_path) == (tmp_path / "x a cup cam replay (3).mp4", None)


def test_another_size_starts_a_new_replay(keep: Callable[..., Kept]) -> None:
    one = keep()
    one.replay.put(shot(0), INFO)
    one.replay.put(shot(1, width=16), INFO)
    wait_for(lambda: len(one.sink.frames) == 2)
    assert [(info.width, info.height) for info in one.sink.opened] == [(8, 6), (16, 6)]
    assert [frame.time for frame in one.sink.frames] == [0, 0]


def test_another_audio_format_starts_a_new_replay_and_silence_continues(keep: Callable[..., Kept]) -> None:
    one = keep()
    for number, sound in enumerate(("a", None, "a", "b")):
        one.replay.put(shot(number, epoch=number), replace(INFO, audio_path=Path(sound) if sound else None))
    wait_for(lambda: len(one.sink.frames) == 4)
    assert [info.audio_path for info in one.sink.opened] == [Path("a"), Path("b")]
    assert one.sink.source_times == [Fraction(0), None, Fraction(2, 30), Fraction(3, 30)]
    assert one.sink.frames[3].time == 0


def test_errors_are_reported_at_once_and_when_saving(keep: Callable[..., Kept], tmp_path: Path) -> None:
    one = keep(fails_at=1)
    for number in range(3):
        one.replay.put(shot(number), INFO)
    wait_for(lambda: one.told)
    path, error = one.saved(tmp_path)
    assert str(one.told[0][1]) == str(error) and len(one.told) == 2
    assert path is None and str(error) == "The fake memory is full."
    assert one.sink.failed == 1  # it is not retried with each frame


def test_a_failed_replay_is_retried_after_a_delay(
    keep: Callable[..., Kept], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY_EVERY", 0.0)
    one = keep(open_error=SinkError("There is no encoder."))
    for number in range(3):
        one.replay.put(shot(number), INFO)
    wait_for(lambda: len(one.sink.opened) == 3)
    one.sink.open_error = None
    one.replay.put(shot(3), INFO)
    wait_for(lambda: one.sink.frames)
    assert [str(error) for _, error in one.told] == ["There is no encoder."] and one.sink.frames[0].time == 0
    assert one.saved(tmp_path)[1] is None


def test_a_replay_that_cannot_start_is_retried_at_once_with_another_size(
    keep: Callable[..., Kept], tmp_path: Path
) -> None:
    one = keep(open_error=SinkError("There is no encoder."))
    for number in range(3):
        one.replay.put(shot(number), INFO)
    wait_for(lambda: one.told)
    assert str(one.saved(tmp_path)[1]) == "There is no encoder."
    assert len(one.sink.opened) == 1
    one.sink.open_error = None
    one.replay.put(shot(3, width=16), INFO)
    wait_for(lambda: len(one.sink.frames) == 1)
    assert one.saved(tmp_path)[1] is None


def test_an_unwritable_file_is_reported(keep: Callable[..., Kept], tmp_path: Path) -> None:
    one = keep(save_error=SinkError("The fake disk is full."))
    one.replay.put(shot(0), INFO)
    assert str(one.saved(tmp_path)[1]) == "The fake disk is full."


def test_a_replay_continues_after_an_unreadable_folder(keep: Callable[..., Kept], tmp_path: Path) -> None:
    one = keep()
    one.replay.put(shot(0), INFO)
    wait_for(lambda: one.sink.frames)
    path, error = one.saved(tmp_path / "\0")
    assert path is None and str(error).startswith("Saving the replay failed (ValueError: ")
    assert one.saved(tmp_path)[1] is None
