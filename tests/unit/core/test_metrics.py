"""Rates, percentiles and stage timings, with a manual clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core.metrics import Budget, Meter, Spread, StageTimings


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.slow
@given(st.floats(1, 200), st.integers(3, 60))
def test_a_steady_rate_is_measured(rate: float, count: int) -> None:
    clock = Clock()
    meter = Meter(window=1000, clock=clock)
    for _ in range(count):
        meter.tick()
        clock.now += 1 / rate
    assert meter.rate() == pytest.approx(rate, rel=0.01) and meter.count == count


def test_a_rate_decreases_without_events() -> None:
    clock = Clock()
    meter = Meter(window=3, clock=clock)
    assert meter.rate() == 0.0
    for _ in range(30):
        meter.tick()
        clock.now += 0.1
    steady = meter.rate()
    clock.now += 1.0
    assert 0 < meter.rate() < 0.8 * steady
    clock.now += 3.0
    assert meter.rate() == 0.0


def test_percentiles_ignore_old_values() -> None:
    clock = Clock()
    spread = Spread(window=5, clock=clock)
    assert spread.percentiles(50, 95) == (0.0, 0.0) and spread.mean() is None
    spread.add(1000)
    clock.now += 6
    for value in range(101):
        spread.add(value)
    assert spread.percentiles(50, 95) == (50.0, 95.0) and spread.mean() == 50.0


def test_stage_timings_of_the_last_half_minute() -> None:
    clock = Clock()
    timings = StageTimings(window=30, clock=clock)
    timings.add({"vision": 500.0})
    clock.now += 31
    timings.add({"vision": 10.0})
    clock.now += 1
    timings.add({"vision": 30.0, "decoder": 4.0})
    assert timings.recent() == [(1.0, {"vision": 10.0}), (0.0, {"vision": 30.0, "decoder": 4.0})]
    assert timings.medians() == {"vision": 20.0, "decoder": 4.0}


def test_effort_decreases_with_late_frames_and_increases_with_spare_time() -> None:
    budget, now = Budget(), 0.0
    efforts = []
    for number in range(400):
        now += 1 / 30
        budget.spent(0.035 if number < 100 else 0.005, now)
        efforts.append(budget.effort)
    assert efforts[9] == "full" and "reduced" in efforts[:15] and efforts[99] == "least"
    assert efforts[100 + 95] == "reduced" and efforts[-1] == "full"


def test_skipped_frames_decrease_the_effort() -> None:
    """At 0.04 s a frame and 30 fps every second frame is drawn, although the time between drawn frames suffices."""
    every, chosen = Budget(), Budget()
    for number in range(0, 60, 2):
        every.spent(0.04, number / 30, number)
        chosen.spent(0.04, number / 30)
    assert every.effort != "full" and chosen.effort == "full"


def test_fast_playback_may_skip_frames() -> None:
    """At 120 fps every fourth frame is drawn, in 0.02 s each."""
    budget = Budget()
    for number in range(0, 400, 4):
        budget.spent(0.02, number / 120, number)
    assert budget.effort == "full"


def test_a_budget_ignores_single_late_frames_and_pauses() -> None:
    budget, now = Budget(), 0.0
    for number in range(300):
        now += 1 / 30 if number % 50 else 5.0
        budget.spent(0.2 if number % 5 == 0 else 0.02, now)
        budget.spent(9.0, None)
    assert budget.effort == "full"
