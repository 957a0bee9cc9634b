"""Boundaries, flicker and delay on masks that are known."""

import numpy as np
import pytest

from clipseg_live.evaluation.stability import StabilityMeter, boundary_f, boundary_tolerance, delay_of


def disc(x: float, radius: float = 30) -> np.ndarray:
    rows, columns = np.mgrid[:120, :200]
    return (columns - x) ** 2 + (rows - 60) ** 2 < radius**2


def test_boundary_f_tolerates_two_pixels() -> None:
    true = disc(100)
    assert boundary_f(true, true, 2) == 1 and boundary_f(disc(101), true, 2) == 1
    assert boundary_f(disc(100, 34), true, 2) == 0 and boundary_f(disc(100, 34), true, 4) > 0.95
    assert 0.2 < boundary_f(disc(104), true, 2) < 0.8
    nothing = np.zeros_like(true)
    assert boundary_f(nothing, true, 2) == 0 and boundary_f(nothing, nothing, 2) == 1


def test_the_tolerance_is_that_of_davis() -> None:
    assert boundary_tolerance(480, 854) == 8  # 0.008 · 979.7 = 7.8


def test_a_steady_map_does_not_flicker_and_a_late_one_has_a_delay() -> None:
    steady, late, noisy = StabilityMeter(), StabilityMeter(), StabilityMeter()
    values = []
    for frame in range(8):
        true = disc(40 + 8 * frame)
        past = disc(40 + 8 * (frame - 3)) if frame >= 3 else true
        noise = true.astype(np.float32) * (1 - 0.5 * (frame % 2))
        values.append([meter.add(plane.astype(np.float32), true) for meter, plane in (
            (steady, true), (late, past), (noisy, noise))])  # fmt: skip
    assert [each[0] for each in values[0]] == [None] * 3
    assert values[-1][0] == (0.0, 0) and values[-1][1][1] == 3
    area = disc(40).mean()
    assert values[-1][2][0] == pytest.approx(0.5 * area, rel=0.01)


def test_delay_is_the_age_of_the_most_similar_truth() -> None:
    truths = [disc(100 - 6 * ago).astype(np.float32) for ago in range(6)]
    assert [delay_of(truth, truths) for truth in truths] == list(range(6))


def test_an_absent_object_has_no_delay() -> None:
    meter = StabilityMeter()
    nothing = np.zeros((60, 80), bool)
    assert meter.add(np.full((30, 40), 0.25, np.float32), nothing) == (None, None)
    assert meter.add(np.full((30, 40), 0.75, np.float32), nothing) == (0.5, None)
