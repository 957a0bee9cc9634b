"""Recordings: files, parts and pauses, and the files that are kept after failures."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from clipseg_live.core.errors import ClipsegLiveError, SinkError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Label, Matte, Mattes
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.runtime.outputs import recording as module
from clipseg_live.runtime.outputs.recording import DiskLimits, Recording, RecordingTarget, working_path
from clipseg_live.runtime.outputs.recording_segment import RecordingTools
from clipseg_live.runtime.outputs.timeline import LONGEST_GAP
from tests.helpers.fakes import FakeReplaySink, FakeSink, FakeTrack

INFO = SourceInfo("fake", 8, 6, Fraction(30), Fraction(1, 600), None, audio_path=Path("sound.mp4"))
ROOM = 10**12
PATIENCE = 10.0


def shot(number: int, *, width: int = 8, time: Fraction | None = None, epoch: int = 0) -> RenderedFrame:
    """Return a frame with rendered value 10, original value 20, and a matte over the left half."""
    at = Fraction(number, 30) if time is None else time
    alpha = np.zeros((6, width), np.uint8)
    alpha[:, : width // 2] = 255
    original = Frame(np.full((6, width, 3), 20, np.uint8), number, at, epoch=epoch, captured=5.0 + number)
    mattes = Mattes(6, width, (Matte(alpha, ((0, 0, width // 2, 6),)),), presence=(1.0,))
    return RenderedFrame(original, np.full((6, width, 3), 10, np.uint8), mattes, (Label("a cup", 0.5),))


class Studio:
    """Makes recordings with fakes, and keeps their output and messages.

    Attributes:
        faults: Arguments of fakes by the ends of file names.
    """

    def __init__(self, folder: Path, settings: RecordingSettings, **tools: object) -> None:
        self.tracks: list[FakeTrack] = []
        self.data: list[FakeSink] = []
        self.faults: dict[str, dict[str, object]] = {}
        self.said: list[str] = []
        self.ends: list[tuple[list[Path], list[ClipsegLiveError]]] = []
        self.folder, self.settings = folder, settings
        self._tools = tools

    def make(self, limits: DiskLimits | None = None) -> Recording:
        tools = {
            "open_track": self._track, "open_replay": lambda settings: FakeReplaySink(), "open_data": self._data,
            "free_bytes": lambda folder: ROOM, "finalise": lambda path, stop: "", **self._tools,
        }  # fmt: skip
        return Recording(
            RecordingTarget(self.folder, ("a cup",), "fake"),
            self.settings,
            RecordingTools(**tools),  # type: ignore[arg-type]
            on_message=self.said.append,
            on_end=lambda done, errors: self.ends.append((done, errors)),
            limits=limits,
        )

    def _track(self, path: Path, settings: RecordingSettings, sounding: bool) -> FakeTrack:
        fault = next((value for end, value in self.faults.items() if path.stem.endswith(end)), {})
        self.tracks.append(FakeTrack(path, **fault))  # type: ignore[arg-type]
        return self.tracks[-1]

    def _data(self, form: str, path: Path, labels: object, settings: object) -> FakeSink:
        self.data.append(FakeSink(name=str(path), **self.faults.get(form, {})))  # type: ignore[arg-type]
        return self.data[-1]

    def record(self, *shots: RenderedFrame) -> tuple[list[Path], list[str]]:
        """Record, and return the files at the end and the errors."""
        recording = self.make()
        recording.start()
        for each in shots:
            recording.put(each, INFO)
        return self.ended(recording)

    def ended(self, recording: Recording) -> tuple[list[Path], list[str]]:
        recording.finish()
        assert recording.join(PATIENCE) and len(self.ends) == 1 and not recording.status.active
        done, errors = self.ends[0]
        return done, [str(error) for error in errors]


def plain(tmp_path: Path, **values: object) -> Studio:
    return Studio(tmp_path, RecordingSettings(**{"pattern": "r", **values}))  # type: ignore[arg-type]


def test_a_file_is_finished(tmp_path: Path) -> None:
    studio = plain(tmp_path)
    assert studio.record(shot(7), shot(8), shot(9)) == ([tmp_path / "r.mp4"], [])
    track = studio.tracks[0]
    assert (track.finished, track.aborted) == (1, 0)
    assert [each.time for each in track.frames] == [0, Fraction(1, 30), Fraction(2, 30)]
    assert [each.captured for each in track.frames] == [12.0, 13.0, 14.0]
    assert studio.said == ["The fake says something."]


def test_tracks_and_data_have_the_same_times_and_their_own_pixels(tmp_path: Path) -> None:
    studio = plain(tmp_path, tracks=("composed", "camera", "mattes"), data=("jsonl", "coco"))
    done, errors = studio.record(*(shot(number, time=Fraction(number * number, 90)) for number in range(4)))
    names = ["r.mp4", "r camera.mp4", "r mattes.mp4", "r.jsonl", "r coco"]
    assert [path.name for path in done] == names and not errors
    assert len({tuple(frame.time for frame in sink.frames) for sink in [*studio.tracks, *studio.data]}) == 1
    pixels = [track.frames[0].pixels for track in studio.tracks]
    assert [int(each[0, 0, 0]) for each in pixels] == [10, 20, 255] and pixels[2][0, -1, 0] == 0
    assert studio.data[0].rendered[0].original[0, 0, 0] == 20 and len(studio.data[0].mattes) == 4


def test_audio_is_in_the_first_file_that_is_not_a_matte(tmp_path: Path) -> None:
    studio = plain(tmp_path, tracks=("mattes", "camera", "composed"))
    studio.record(shot(3), shot(4))
    assert [track.info.audio_path for track in studio.tracks if track.info] == [None, INFO.audio_path, None]
    assert studio.tracks[1].source_times == [Fraction(3, 30), Fraction(4, 30)]
    silent = plain(tmp_path, sound="off")
    silent.record(shot(3))
    assert (
        silent.tracks[0].source_times == [None] and silent.tracks[0].info and silent.tracks[0].info.audio_path is None
    )


def test_audio_is_not_used_for_another_source(tmp_path: Path) -> None:
    studio = plain(tmp_path)
    recording = studio.make()
    recording.start()
    recording.put(shot(3), INFO)
    recording.put(shot(4, epoch=1), replace(INFO, audio_path=Path("other.mp4")))
    recording.put(shot(5, epoch=2), replace(INFO, audio_path=None))
    recording.put(shot(6, epoch=3), INFO)
    assert studio.ended(recording)[1] == []
    assert studio.tracks[0].source_times == [Fraction(3, 30), None, None, Fraction(6, 30)]


def test_later_notices_of_a_file_are_reported(tmp_path: Path) -> None:
    studio = plain(tmp_path)
    recording = studio.make()
    recording.start()
    recording.put(shot(0), INFO)
    wait_for(lambda: recording.status.encoder)
    studio.tracks[0].notices.append("The microphone was lost.")
    recording.put(shot(1), INFO)
    wait_for(lambda: "The microphone was lost." in studio.said)
    assert studio.ended(recording)[1] == [] and len(studio.said) == 2


def test_notices_at_the_end_of_a_file_are_reported(tmp_path: Path) -> None:
    studio = plain(tmp_path, data=("sheet",))
    studio.faults = {"sheet": {"notice_at_end": "Nothing was found."}}
    studio.record(shot(0))
    assert studio.said == ["The fake says something.", "Nothing was found."]


def test_a_file_without_new_frames_stays_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_CHECK_EVERY", "_TOUCH_EVERY"):
        monkeypatch.setattr(module, name, 0.001)
    studio = plain(tmp_path)
    recording = studio.make()
    recording.start()
    recording.put(shot(0), INFO)
    wait_for(lambda: recording.status.encoder)
    working = studio.tracks[0].working = tmp_path / "r.recording.mp4"
    working.touch()
    os.utime(working, (0, 0))
    wait_for(lambda: working.stat().st_mtime > 0)
    studio.ended(recording)


def test_long_gaps_and_jumps_back_are_cut(tmp_path: Path) -> None:
    studio = plain(tmp_path)
    studio.record(shot(0), shot(1), shot(2, time=LONGEST_GAP + 1), shot(3, time=Fraction(0)))
    times = [each.time for each in studio.tracks[0].frames]
    assert len(times) == 4 and all(Fraction(0) < after - before < 1 for before, after in pairwise(times))


def test_frames_during_a_pause_are_omitted_without_a_gap(tmp_path: Path) -> None:
    studio = plain(tmp_path)
    recording = studio.make()
    recording.start()
    recording.put(shot(0), INFO)
    recording.pause()
    assert recording.status.paused
    for number in range(1, 40):
        recording.put(shot(number), INFO)
    recording.resume()
    recording.put(shot(40), INFO)
    recording.put(shot(41), INFO)
    assert studio.ended(recording)[1] == []
    assert [each.time for each in studio.tracks[0].frames] == [0, Fraction(1, 30), Fraction(2, 30)]


def test_a_dropped_frame_after_a_pause_leaves_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECORDING_QUEUE_BYTES", 6 * 8 * 3)
    gate = threading.Event()
    studio = plain(tmp_path)
    studio.faults = {"r": {"gate": gate}}
    recording = studio.make()
    recording.start()
    recording.put(shot(0), INFO)
    wait_for(lambda: studio.tracks and studio.tracks[0].opened)
    recording.put(shot(1), INFO)
    recording.pause()
    recording.resume()
    recording.put(shot(40), INFO)
    assert recording.status.dropped == 1
    gate.set()
    wait_for(lambda: len(studio.tracks[0].frames) == 2)
    recording.put(shot(41), INFO)
    assert studio.ended(recording)[1] == []
    assert [each.time for each in studio.tracks[0].frames] == [0, Fraction(1, 30), Fraction(2, 30)]


def test_another_size_is_fitted_into_the_same_file(tmp_path: Path) -> None:
    studio = plain(tmp_path, tracks=("composed", "mattes"))
    assert studio.record(shot(0), shot(1, width=16)) == ([tmp_path / "r.mp4", tmp_path / "r mattes.mp4"], [])
    second = studio.tracks[0].frames[1].pixels
    assert second.shape == (6, 8, 3)
    assert second[0].max() == 0 and second[-1].max() == 0 and second[3].min() == 10  # black bars above and below
    assert studio.tracks[1].frames[1].pixels[3, 0, 0] == 255


def test_another_size_starts_a_new_part_by_setting(tmp_path: Path) -> None:
    studio = plain(tmp_path, on_change="part")
    done, errors = studio.record(shot(0), shot(1), shot(2, width=16), shot(3, width=16))
    assert [path.name for path in done] == ["r.mp4", "r part 2.mp4"] and not errors
    assert [[frame.time for frame in track.frames] for track in studio.tracks] == [[0, Fraction(1, 30)]] * 2
    assert studio.tracks[1].frames[0].width == 16


def test_parts_are_split_by_time(tmp_path: Path) -> None:
    studio = plain(tmp_path, part_seconds=1)
    done, _ = studio.record(*(shot(number) for number in range(75)))
    assert [path.name for path in done] == ["r.mp4", "r part 2.mp4", "r part 3.mp4"]
    assert [len(track.frames) for track in studio.tracks] == [30, 30, 15]
    assert all(track.frames[0].time == 0 for track in studio.tracks)


def test_parts_are_split_by_size(tmp_path: Path) -> None:
    studio = plain(tmp_path, part_bytes=1_000_000)
    recording = studio.make()
    recording.start()
    grown = tmp_path / "grown"
    grown.write_bytes(bytes(1_000_001))
    recording.put(shot(0), INFO)
    wait_for(lambda: studio.tracks and studio.tracks[0].frames)
    studio.tracks[0].working = grown
    recording.put(shot(1), INFO)
    assert [path.name for path in studio.ended(recording)[0]] == ["r.mp4", "r part 2.mp4"]


def wait_for(condition: Callable[[], object]) -> None:
    ticks = threading.Event()
    for _ in range(1000):
        if condition():
            return
        ticks.wait(0.01)
    raise AssertionError("it did not happen")


def test_existing_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "r.mp4").write_text("mine")
    (tmp_path / "r (2) camera.mp4").symlink_to(tmp_path / "nowhere")
    working_path(tmp_path / "r (3).mp4").write_text("another's")
    done, _ = plain(tmp_path, tracks=("composed", "camera")).record(shot(0))
    assert [path.name for path in done] == ["r (4).mp4", "r (4) camera.mp4"]


def test_a_recording_without_frames_leaves_no_file(tmp_path: Path) -> None:
    studio = plain(tmp_path)
    assert studio.record() == ([], ["Nothing was recorded because no frame arrived."])
    assert not studio.tracks


def test_other_files_are_finished_if_one_fails(tmp_path: Path) -> None:
    studio = plain(tmp_path, tracks=("composed", "camera"), data=("jsonl",))
    studio.faults = {"camera": {"fails_at": 1}}
    done, errors = studio.record(shot(0), shot(1), shot(2))
    assert [path.name for path in done] == ["r.mp4", "r.jsonl"]
    assert errors == ["The fake disk is full; the part before the error is in kept.partial.mp4."]
    assert [track.finished for track in studio.tracks] == [1, 0] and studio.tracks[1].keeps_partial


def test_a_failed_data_file_does_not_end_the_recording(tmp_path: Path) -> None:
    studio = plain(tmp_path, data=("jsonl", "coco"))
    studio.faults = {"jsonl": {"fails_at": 1}}
    done, errors = studio.record(*(shot(number) for number in range(5)))
    assert [path.name for path in done] == ["r.mp4", "r coco"] and not errors
    assert len(studio.tracks[0].frames) == 5 and studio.data[0].keeps_partial
    said = (
        "The fake disk is full; the part before the error is in kept.partial.mp4. "
        "The recording continues without this file."
    )
    assert studio.said == ["The fake says something.", said]


def test_a_failure_at_the_end_of_a_file_is_reported(tmp_path: Path) -> None:
    studio = plain(tmp_path)
    studio.faults = {"r": {"fails_at_end": True}}
    done, errors = studio.record(shot(0))
    assert not done and "The fake disk is full at the end" in errors[0] and "kept.partial.mp4" in errors[0]


def test_a_part_that_fails_ends_the_recording(tmp_path: Path) -> None:
    studio = plain(tmp_path, part_seconds=1)
    studio.faults = {"r": {"fails_at_end": True}}
    _, errors = studio.record(*(shot(number) for number in range(40)))
    assert len(errors) == 1 and len(studio.tracks) == 1


def test_a_full_or_missing_folder_is_rejected(tmp_path: Path) -> None:
    def raise_not_found(folder: Path) -> int:
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(SinkError, match="nearly full"):
        Studio(tmp_path, RecordingSettings(), free_bytes=lambda folder: 1000).make()
    with pytest.raises(SinkError, match=r"Cannot record in .*: No such file"):
        Studio(tmp_path, RecordingSettings(), free_bytes=raise_not_found).make()


def test_a_filling_disk_gives_a_warning_and_a_complete_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHECK_EVERY", 0.001)
    room = [10_000]
    studio = Studio(tmp_path, RecordingSettings(pattern="r"), free_bytes=lambda folder: room[0])
    recording = studio.make(DiskLimits(stop=1000, warn=2000))
    recording.start()
    recording.put(shot(0), INFO)
    wait_for(lambda: studio.tracks and studio.tracks[0].frames)
    assert not any("nearly full" in sentence for sentence in studio.said)
    room[0] = 1500
    wait_for(lambda: any("or recording will stop" in sentence for sentence in studio.said))
    assert recording.status.active
    room[0] = 900
    assert recording.join(PATIENCE)
    done, errors = studio.ends[0]
    assert [path.name for path in done] == ["r.mp4"] and "nearly full, so recording stopped" in str(errors[0])


def test_a_slow_encoder_speeds_up_then_drops_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEHIND_SECONDS", 0.0)
    monkeypatch.setattr(module, "_SPEED_UP_EVERY", 0.0)
    monkeypatch.setattr(module, "RECORDING_QUEUE_BYTES", 5 * 6 * 8 * 3)
    gate = threading.Event()
    studio = plain(tmp_path)
    studio.faults = {"r": {"speed_ups": 2, "gate": gate}}
    recording = studio.make()
    recording.start()
    recording.put(shot(0), INFO)
    wait_for(lambda: studio.tracks)
    for number in range(1, 9):
        recording.put(shot(number), INFO)
    assert recording.status.dropped == 3
    gate.set()
    wait_for(lambda: len(studio.tracks[0].frames) == 6)
    studio.ended(recording)
    assert studio.tracks[0].speed_ups < 0
    assert any("too slow" in sentence for sentence in studio.said)


def test_a_stop_does_not_wait_for_a_blocked_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN_SECONDS", -1.0)
    gate = threading.Event()
    studio = plain(tmp_path)
    studio.faults = {"r": {"gate": gate}}
    recording = studio.make()
    recording.start()
    for number in range(5):
        recording.put(shot(number), INFO)
    wait_for(lambda: studio.tracks)
    recording.finish()
    gate.set()
    assert recording.join(PATIENCE)
    assert [path.name for path in studio.ends[0][0]] == ["r.mp4"] and recording.status.dropped == 4


def test_an_unexpected_error_is_reported_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(track: str, one: RenderedFrame) -> object:
        raise ValueError("a bug")

    monkeypatch.setattr("clipseg_live.rendering.tracks.track_pixels", broken)
    studio = Studio(tmp_path, RecordingSettings(pattern="r"))
    assert studio.record(shot(0)) == ([], ["The recording failed (ValueError: a bug)."])
    assert (studio.tracks[0].finished, studio.tracks[0].aborted, studio.tracks[0].keeps_partial) == (0, 1, False)
