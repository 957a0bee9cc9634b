"""Times of frames in a recording."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.runtime.outputs.timeline import LONGEST_GAP, RecordingTimeline

# Drawn as numerator and denominator, which is much faster than ``st.fractions``.
SECONDS = st.builds(lambda most, part: Fraction(most % (50 * part + 1), part), st.integers(0, 50 * 90_000),
                    st.integers(1, 90_000))  # fmt: skip
TIMES = st.lists(st.tuples(SECONDS, st.integers(0, 2)), min_size=1, max_size=40)


@pytest.mark.slow
@given(TIMES)
def test_positions_always_increase(frames: list[tuple[Fraction, int]]) -> None:
    timeline = RecordingTimeline()
    placed = [at for time, epoch in frames if (at := timeline.time_of(time, epoch, Fraction(30))) is not None]
    assert placed[0] == 0
    assert all(before < after for before, after in pairwise(placed))


STEP = st.builds(lambda most, part: max(LONGEST_GAP * Fraction(most % (part + 1), part), Fraction(1, 90_000)),
                 st.integers(0, 90_000), st.integers(1, 90_000))  # fmt: skip
STEPS = st.lists(STEP, max_size=9)


@pytest.mark.slow
@given(SECONDS, STEPS)
def test_distances_between_frames_are_kept(first: Fraction, steps: list[Fraction]) -> None:
    timeline, time = RecordingTimeline(), first
    timeline.time_of(time, 0)
    for step in steps:
        before, time = timeline.position, time + step
        assert timeline.time_of(time, 0) == before + step


def test_gaps_jumps_and_pauses_are_cut() -> None:
    timeline, rate = RecordingTimeline(), Fraction(25)
    usual = 1 / rate
    assert timeline.time_of(Fraction(5), 0, rate) == 0
    assert timeline.time_of(Fraction(5) + LONGEST_GAP + 1, 0, rate) == usual
    assert timeline.time_of(Fraction(1), 1, rate) == 2 * usual
    timeline.pause()
    assert timeline.time_of(Fraction(2), 1, rate) == 3 * usual
    assert timeline.time_of(Fraction(2) + Fraction(1, 10), 1, rate) == 3 * usual + Fraction(1, 10)


def test_a_frame_that_is_rendered_again_has_no_position() -> None:
    timeline = RecordingTimeline()
    timeline.time_of(Fraction(1), 3)
    assert timeline.time_of(Fraction(1), 3) is None
    assert timeline.time_of(Fraction(1), 4) is not None
