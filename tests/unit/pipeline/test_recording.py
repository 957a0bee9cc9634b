"""A recording by itself: what is kept when writing fails, is full, or never begins."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.pipeline.recording import LONGEST_GAP, Recording
from tests.fakes import FakeSink

INFO = SourceInfo("fake", 8, 6, Fraction(30), Fraction(1, 600), None)


def frame(number: int, *, width: int = 8, time: Fraction | None = None) -> Frame:
    return Frame(np.zeros((6, width, 3), np.uint8), number, Fraction(number, 30) if time is None else time)


def recorded(sink: FakeSink, *frames: Frame) -> ClipsegLiveError | None:
    told: list[ClipsegLiveError | None] = []
    recording = Recording(sink, INFO, told.append)
    recording.start()
    for each in frames:
        recording.put(each)
    recording.finish()
    assert recording.join(5.0) and len(told) == 1 and not recording.status.active
    return told[0]


def test_a_file_is_finished() -> None:
    sink = FakeSink()
    assert recorded(sink, frame(7), frame(8), frame(9)) is None
    assert (sink.finished, sink.abandoned) == (1, 0)
    assert [each.time for each in sink.frames] == [0, Fraction(1, 30), Fraction(2, 30)]


def test_a_long_pause_and_a_jump_back_are_closed_up() -> None:
    sink = FakeSink()
    recorded(sink, frame(0), frame(1), frame(2, time=LONGEST_GAP + 1), frame(3, time=Fraction(0)))
    times = [each.time for each in sink.frames]
    assert len(times) == 4 and all(Fraction(0) < after - before < 1 for before, after in pairwise(times))


def test_another_size_finishes_the_file() -> None:
    sink = FakeSink()
    error = recorded(sink, frame(0), frame(1), frame(2, width=10), frame(3, width=10))
    assert str(error) == "The recording fake.mp4 was finished: the picture has another size now."
    assert (len(sink.frames), sink.finished, sink.abandoned) == (2, 1, 0)


def test_without_a_picture_there_is_no_file() -> None:
    sink = FakeSink()
    assert "no picture" in str(recorded(sink))
    assert (sink.opened, sink.finished, sink.abandoned, sink.kept) == (0, 0, 1, False)


def raising(error: Exception) -> Callable[..., None]:
    def fail(*arguments: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("expected", [True, False])
def test_what_was_written_before_a_failure_is_kept(monkeypatch: pytest.MonkeyPatch, expected: bool) -> None:
    sink = FakeSink(fails_at=1)
    if not expected:
        monkeypatch.setattr(sink, "finish", raising(ValueError("a bug")))
        sink.fails_at = None
    error = recorded(sink, frame(0), frame(1))
    said = "The fake disk is full" if expected else "The recording fake.mp4 broke off (ValueError: a bug)"
    assert str(error) == f"{said}; what was recorded before is in kept.partial.mp4."
    assert sink.kept
