"""The capture thread: pacing, controls, and lost, late or blocked sources."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from clipseg_live.core.errors import PhotoError, UsageError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.settings.live import FrameTransform, SourceSpec
from clipseg_live.core.status import SourceState
from clipseg_live.runtime.capture import Capture
from tests.helpers.fakes import FakeLiveSource

PATIENCE = 10.0


class Watched:
    """A capture with fakes, and its frames."""

    def __init__(self, sources: dict[str, FakeLiveSource], **limits: float) -> None:
        self.sources = sources
        self.changed = threading.Condition()
        self.frames: list[Frame] = []
        self.states: list[SourceState] = []
        self.capture = Capture(self._make, self._framed, lambda frame, info: self._keep(frame), self._look, **limits)

    def _make(self, spec: SourceSpec) -> FakeLiveSource:
        if spec.name not in self.sources:
            raise UsageError(f"There is no source named {spec.name}.")
        return self.sources[spec.name]

    @staticmethod
    def _framed(pixels: Pixels, framing: FrameTransform) -> Pixels:
        return np.ascontiguousarray(pixels[:, ::-1]) if framing.mirror else pixels

    def _keep(self, frame: Frame) -> None:
        with self.changed:
            self.frames.append(frame)
            self.changed.notify_all()

    def _look(self) -> None:
        with self.changed:
            self.states.append(self.capture.status.state)
            self.changed.notify_all()

    def wait(self, condition: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE), (self.capture.status, len(self.frames))

    def wait_state(self, state: SourceState) -> None:
        self.wait(lambda: self.capture.status.state is state)

    def open(self, name: str) -> None:
        self.capture.open(SourceSpec(name=name))


@pytest.fixture
def watched() -> Iterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def make(limits: dict[str, float] | None = None, **sources: FakeLiveSource) -> Watched:
        made.append(Watched(sources, **(limits or {})))
        return made[-1]

    yield make
    for each in made:
        each.capture.request_stop()
        for source in each.sources.values():
            source.release.set()
        assert each.capture.join(5.0) == ()
        assert all(source.closed >= 1 for source in each.sources.values() if source.opened)


def test_a_live_source_gives_frames_with_times(watched: Callable[..., Watched]) -> None:
    one = watched(a=FakeLiveSource(rate=200))
    one.open("a")
    one.wait(lambda: len(one.frames) >= 5)
    assert [frame.index for frame in one.frames[:5]] == [0, 1, 2, 3, 4]
    assert all(frame.captured is not None and frame.epoch == one.capture.epoch for frame in one.frames)
    status = one.capture.status
    assert (status.state, status.name, status.width, status.seekable) == (SourceState.RUNNING, "fake", 64, False)
    assert status.controls == (("focus", 5.0),)
    one.capture.set_control("focus", 9)
    one.wait(lambda: one.capture.status.controls == (("focus", 9),))


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_a_file_is_played_in_real_time(watched: Callable[..., Watched], speed: float) -> None:
    one = watched(a=FakeLiveSource(live=False, count=9, rate=20))
    one.capture.set_speed(speed)
    one.open("a")
    one.wait_state(SourceState.ENDED)
    assert [frame.index for frame in one.frames] == list(range(9))
    captured = [frame.captured or 0.0 for frame in one.frames]
    assert captured[-1] - captured[0] >= 8 / 20 / speed - 0.02
    assert one.capture.status.position == Fraction(8, 20)


def test_a_file_stops_at_its_last_frame_and_can_restart(watched: Callable[..., Watched]) -> None:
    one = watched(a=FakeLiveSource(live=False, count=3, rate=200))
    one.open("a")
    one.wait_state(SourceState.ENDED)
    epoch = one.capture.epoch
    one.capture.play()
    one.wait(lambda: len(one.frames) == 6)
    assert [frame.index for frame in one.frames] == [0, 1, 2, 0, 1, 2]
    assert one.frames[-1].epoch > epoch


def test_pause_seek_and_steps_show_the_right_frames(watched: Callable[..., Watched]) -> None:
    one = watched(a=FakeLiveSource(live=False, count=100, rate=50))
    one.open("a")
    one.wait(lambda: len(one.frames) >= 3)
    one.capture.pause()
    one.wait_state(SourceState.PAUSED)
    shown = len(one.frames)
    at = one.frames[-1].index
    epoch = one.capture.epoch

    def after(command: Callable[[], None]) -> int:
        before = len(one.frames)
        command()
        one.wait(lambda: len(one.frames) > before)
        return one.frames[-1].index

    assert after(lambda: one.capture.step(1)) == at + 1
    assert one.capture.epoch == epoch
    assert after(lambda: one.capture.step(3)) == at + 4
    assert after(lambda: one.capture.step(-1)) == at + 3
    assert after(lambda: one.capture.step(-2)) == at + 1
    assert after(lambda: one.capture.seek(Fraction(81, 100))) == 40
    assert one.capture.epoch > epoch and one.frames[-1].epoch == one.capture.epoch
    assert after(lambda: one.capture.seek(Fraction(1000))) == 99
    assert after(lambda: one.capture.seek(Fraction(-5))) == 0
    assert after(lambda: one.capture.step(-1)) == 0
    assert one.capture.status.state is SourceState.PAUSED
    one.capture.play()
    one.wait(lambda: one.frames[-1].index >= 3)
    assert [frame.index for frame in one.frames[-3:]] == [one.frames[-3].index + n for n in range(3)]
    assert shown < len(one.frames)


def test_stepping_past_the_end_ends(watched: Callable[..., Watched]) -> None:
    one = watched(a=FakeLiveSource(live=False, count=5, rate=50))
    one.capture.open(SourceSpec(name="a"))
    one.capture.pause()
    one.wait(lambda: one.frames)
    one.capture.step(10)
    one.wait_state(SourceState.ENDED)
    one.capture.step(-1)
    one.wait_state(SourceState.PAUSED)


def test_a_loop_continues_in_a_new_epoch(watched: Callable[..., Watched]) -> None:
    one = watched(a=FakeLiveSource(live=False, count=3, rate=200))
    one.capture.set_loop(True)
    one.open("a")
    one.wait(lambda: len(one.frames) >= 8)
    assert [frame.index for frame in one.frames[:8]] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert one.frames[3].epoch > one.frames[2].epoch


def test_a_single_image_ends_at_once_even_in_a_loop(watched: Callable[..., Watched]) -> None:
    one = watched(a=FakeLiveSource(live=False, count=1))
    one.capture.set_loop(True)
    one.open("a")
    one.wait_state(SourceState.ENDED)
    assert len(one.frames) == 1


def test_mirroring_a_paused_frame_shows_it_again(watched: Callable[..., Watched]) -> None:
    one = watched(a=FakeLiveSource(live=False, count=50, rate=50))
    one.capture.open(SourceSpec(name="a"))
    one.capture.pause()
    one.wait(lambda: one.frames)
    before, first = len(one.frames), one.frames[-1]
    one.capture.set_framing(FrameTransform(mirror=True))
    one.wait(lambda: len(one.frames) > before)
    np.testing.assert_array_equal(one.frames[-1].pixels, first.pixels[:, ::-1])
    assert one.frames[-1].index == first.index and one.frames[-1].epoch > first.epoch


@pytest.mark.slow
def test_an_unplugged_source_is_reopened(watched: Callable[..., Watched]) -> None:
    one = watched(a=FakeLiveSource(rate=200, fails_at=5))
    one.open("a")
    one.wait(lambda: SourceState.RECONNECTING in one.states)
    one.wait(lambda: one.sources["a"].opened >= 2 and one.capture.status.state is SourceState.RUNNING)
    assert one.capture.status.problem == ""
    assert one.sources["a"].closed >= 1
    one.wait(lambda: len(one.frames) >= 6)
    assert one.frames[-1].epoch > one.frames[0].epoch, "numbers and times begin anew"


@pytest.mark.slow
def test_a_missing_camera_is_retried(watched: Callable[..., Watched]) -> None:
    one = watched(a=FakeLiveSource(missing=True))
    one.open("a")
    one.wait_state(SourceState.FAILED)
    assert one.capture.status.problem == "The fake is not there."
    one.sources["a"].missing = False
    one.wait(lambda: one.frames)


def test_an_unknown_source_is_reported_and_another_can_be_opened(watched: Callable[..., Watched]) -> None:
    one = watched(a=FakeLiveSource(rate=200))
    one.open("nothing")
    one.wait_state(SourceState.FAILED)
    assert "no source named nothing" in one.capture.status.problem
    one.open("a")
    one.wait(lambda: one.frames)


def test_a_source_that_cannot_be_created_is_reported(watched: Callable[..., Watched]) -> None:
    one = watched(b=FakeLiveSource(rate=200))

    def fails(spec: SourceSpec) -> FakeLiveSource:
        if spec.name == "a":
            raise RuntimeError("no library for it")
        return one.sources[spec.name]

    one.capture._open_source = fails
    one.open("a")
    one.wait_state(SourceState.FAILED)
    assert "no library for it" in one.capture.status.problem
    one.open("b")
    one.wait(lambda: one.frames)


def test_a_damaged_file_stops_at_its_last_frame(watched: Callable[..., Watched]) -> None:
    one = watched(a=FakeLiveSource(live=False, count=50, rate=200, fails_at=7))
    one.open("a")
    one.wait_state(SourceState.ENDED)
    assert len(one.frames) == 6 and "unplugged" in one.capture.status.problem


def test_changing_sources_closes_the_old_one_first(watched: Callable[..., Watched]) -> None:
    one = watched(a=FakeLiveSource(rate=200), b=FakeLiveSource(rate=200, colour=(0, 200, 0)))
    for turn in range(5):
        name = "ab"[turn % 2]
        one.open(name)
        epoch = one.capture.epoch
        one.wait(lambda epoch=epoch: one.frames and one.frames[-1].epoch == epoch)
        other = one.sources["ba"[turn % 2]]
        assert other.closed >= other.opened
    assert not [frame for frame in one.frames if frame.epoch == epoch and frame.pixels[0, -1, 0] != 200]


@pytest.mark.slow
def test_an_unresponsive_source_is_reported_and_abandoned(watched: Callable[..., Watched]) -> None:
    one = watched({"open_seconds": 0.1}, a=FakeLiveSource(blocks_open=True), b=FakeLiveSource(rate=200))
    one.open("a")
    assert one.sources["a"].blocked.wait(PATIENCE)
    limit = time.monotonic() + PATIENCE
    while one.capture.status.state is not SourceState.FAILED and time.monotonic() < limit:
        threading.Event().wait(0.01)
    assert "has not responded" in one.capture.status.problem and "opening" in one.capture.status.problem
    one.open("b")
    one.wait(lambda: one.frames)
    one.capture.request_stop()
    assert one.capture.join(0.3) == ("clipseg-live capture a",)
    assert not [frame for frame in one.frames if frame.epoch != one.capture.epoch]
    one.sources["a"].release.set()


def test_a_camera_that_stops_is_lost(watched: Callable[..., Watched]) -> None:
    one = watched({"read_seconds": 0.1}, a=FakeLiveSource(rate=200, blocks_at=4))
    one.open("a")
    assert one.sources["a"].blocked.wait(PATIENCE)
    limit = time.monotonic() + PATIENCE
    while one.capture.status.state is not SourceState.RECONNECTING and time.monotonic() < limit:
        threading.Event().wait(0.01)
    assert "reading" in one.capture.status.problem
    one.sources["a"].release.set()
    one.wait(lambda: len(one.frames) > 6)
    assert one.capture.status.state is SourceState.RUNNING


@pytest.mark.slow
@given(st.text("ab[]@:%/?# é", max_size=12).map(lambda text: f"Zq{text}9K"))
@hypothesis_settings(max_examples=25, deadline=None)
def test_status_log_and_thread_names_contain_no_password(password: str) -> None:
    address = f"rtsp://Usr7:{password}@cam.local/live"
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger("clipseg_live").addHandler(handler)

    def fails(spec: SourceSpec) -> FakeLiveSource:
        raise OSError(5, "Input/output error", spec.name.reveal())

    stuck = FakeLiveSource(blocks_open=True)
    try:
        for open_source in (fails, lambda spec: stuck):
            stuck.release.clear()
            capture = Capture(open_source, lambda pixels, _: pixels, lambda frame, info: None, open_seconds=0.0)
            try:
                capture.open(SourceSpec(name=address))
                names = [thread.name for thread in threading.enumerate()]
                limit = time.monotonic() + PATIENCE
                while not (status := capture.status).problem:
                    assert time.monotonic() < limit, status
                    threading.Event().wait(0.005)
                shown = [*names, repr(status), *(record.getMessage() for record in records)]
                assert not any("Zq" in each or "9K" in each or "Usr7" in each for each in shown), shown
                assert any("rtsp:" in each for each in names)
            finally:
                stuck.release.set()
                capture.request_stop()
                assert capture.join(PATIENCE) == ()
    finally:
        logging.getLogger("clipseg_live").removeHandler(handler)


class FakePhotos(FakeLiveSource):
    """A set of photos, of which some cannot be read."""

    def __init__(self, count: int, broken: tuple[int, ...] = ()) -> None:
        super().__init__(live=False, count=count, rate=1)
        self.broken = broken

    def open(self) -> SourceInfo:
        return replace(super().open(), rate=None, independent=True)

    def read(self) -> Frame | None:
        number = self.at
        frame = super().read()
        if frame is None:
            return None
        if number in self.broken:
            raise PhotoError(f"{number}.png is damaged.", number, Path(f"{number}.png"))
        return replace(frame, file=Path("in", f"{number}.png"), independent=True)


def shown(one: Watched) -> tuple[int, str, str]:
    status = one.capture.status
    return status.photo, status.file, status.problem


def test_photos_wait_for_the_user(watched: Callable[..., Watched]) -> None:
    one = watched(a=FakePhotos(3))
    one.open("a")
    one.wait(lambda: one.frames)
    one.wait_state(SourceState.PAUSED)
    assert shown(one) == (1, "0.png", "") and one.capture.status.photos == 3
    one.capture.play()
    one.capture.step(1)
    one.wait(lambda: len(one.frames) == 2)
    assert shown(one) == (2, "1.png", "")
    one.capture.step(5)
    one.wait(lambda: len(one.frames) == 3)
    assert shown(one) == (3, "2.png", "")
    one.capture.step(1)  # the last photo has no next one
    one.capture.step(-1)
    one.wait(lambda: len(one.frames) == 4)
    assert [frame.index for frame in one.frames] == [0, 1, 2, 1]
    assert len({frame.epoch for frame in one.frames}) == 4
    assert all(frame.independent and frame.file is not None for frame in one.frames)
    assert one.capture.status.state is SourceState.PAUSED
    one.capture.set_framing(FrameTransform(mirror=True))
    one.wait(lambda: len(one.frames) == 5)
    assert one.frames[-1].file == Path("in/1.png")


@pytest.mark.parametrize("broken", [(0,), (1,), (2,), (0, 1)])
def test_an_unreadable_photo_is_reported_and_others_are_shown(
    watched: Callable[..., Watched], broken: tuple[int, ...]
) -> None:
    one = watched(a=FakePhotos(3, broken))
    one.open("a")
    for number, step in ((0, 1), (1, 1), (2, -1), (1, -1), (0, 0)):
        expected = (number + 1, f"{number}.png", f"{number}.png is damaged." if number in broken else "")
        one.wait(lambda expected=expected: shown(one) == expected)
        one.wait_state(SourceState.PAUSED)
        one.capture.step(step)
    assert all(frame.index not in broken for frame in one.frames)


def test_photos_are_shown_as_fast_as_they_are_processed(watched: Callable[..., Watched]) -> None:
    one = watched({"photos_wait": False}, a=FakePhotos(30, (0, 7, 29)))
    one.open("a")
    one.wait_state(SourceState.ENDED)
    assert [frame.index for frame in one.frames] == [number for number in range(30) if number not in (0, 7, 29)]
    assert one.capture.status.problem == ""
