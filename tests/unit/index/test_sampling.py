"""Selection of the frames that are indexed, and the ranges that are found in them."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core.errors import UsageError
from clipseg_live.core.prompts import Prompt
from clipseg_live.index.appearances import Appearance, RangeRules, find_appearances
from clipseg_live.index.building import resume_time
from clipseg_live.index.index import PresenceTable
from clipseg_live.index.sampling import FrameSelector, Sampling

DOG = Prompt.text("a dog")


@pytest.mark.parametrize("text", ["1s", "0.5s", "10", "each"])
def test_rules_are_parsed_and_written_the_same(text: str) -> None:
    assert str(Sampling.parse(f" {text} ")) == text


@pytest.mark.parametrize("text", ["", "0", "0s", "-1", "s", "1m", "1.5", "nan", "1e3s", "ééé", "9" * 40])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="does not say which frames"):
        Sampling.parse(text)


@given(
    steps=st.lists(st.fractions(Fraction(1, 120), 3, max_denominator=1000), min_size=1, max_size=60),
    seconds=st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(5, 2)]),
    resumed=st.integers(0, 59),
)
def test_one_frame_is_selected_for_each_interval_from_any_start(
    steps: list[Fraction], seconds: Fraction, resumed: int
) -> None:
    times = [sum(steps[:count], Fraction(0)) for count in range(len(steps))]
    selector = FrameSelector(Sampling(seconds))
    chosen = [time for time in times if selector.selects(time)]
    firsts: dict[int, Fraction] = {}
    for time in times:
        firsts.setdefault(time // seconds, time)
    assert chosen == sorted(firsts.values())
    start = chosen[resumed % len(chosen)]
    again = FrameSelector(Sampling(seconds))
    assert [time for time in times if time >= start and again.selects(time)] == [
        time for time in chosen if time >= start
    ]


def test_every_tenth_frame_and_expected_numbers() -> None:
    selector = FrameSelector(Sampling.parse("10"))
    assert [number for number in range(25) if selector.selects(Fraction(number, 30))] == [0, 10, 20]
    assert Sampling.parse("10").expected(25, None) == 3
    assert Sampling.parse("1s").expected(3000, Fraction(201, 2)) == 101
    assert Sampling.parse("1s").expected(None, None) is None
    assert Sampling.parse("1s").expected(1, Fraction(100)) == 1
    assert Sampling.parse("each").expected(25, None) == 25


def test_reading_resumes_at_the_last_frame_unless_one_is_missing() -> None:
    second = Sampling.parse("1s")
    whole = {Fraction(time) for time in range(5)}
    assert resume_time(whole, second) == 4
    assert resume_time(set(), second) is None
    assert resume_time(whole - {Fraction(2)}, second) is None
    assert resume_time(whole - {Fraction(0)}, second) is None
    assert resume_time(whole, Sampling.parse("10")) is None


def table(presence: list[float], *, step: float = 1.0, source: list[int] | None = None) -> PresenceTable:
    count = len(presence)
    values = np.array(presence, np.float32)[:, None]
    sources = np.zeros(count, np.int64) if source is None else np.array(source)
    return PresenceTable(
        (DOG,), sources, np.arange(count) * step, values, values / 10, np.zeros(count, bool), np.arange(count)
    )


def spans(found: list[Appearance]) -> list[tuple[float, float]]:
    return [(each.start, each.end) for each in found]


def test_ranges_begin_at_the_threshold_and_end_below_three_quarters_of_it() -> None:
    found = find_appearances(table([0, 0.38, 0.5, 0.39, 0.2, 0, 0.38, 0, 0.9]), RangeRules(0.5, gap=0))
    assert spans(found) == [(1.0, 4.0), (8.0, 9.0)]
    assert (found[0].best, found[0].presence, found[0].frames) == (2.0, 0.5, 3)
    assert found[0].area == pytest.approx(0.05)


def test_short_gaps_join_ranges() -> None:
    values = [1, 0, 1, 0, 0, 0, 1.0]
    assert spans(find_appearances(table(values))) == [(0, 3), (6, 7)], "one frame"
    assert spans(find_appearances(table(values), RangeRules(gap=0))) == [(0, 1), (2, 3), (6, 7)]
    assert spans(find_appearances(table(values), RangeRules(gap=1))) == [(0, 3), (6, 7)]
    assert spans(find_appearances(table(values), RangeRules(gap=3))) == [(0, 7)]


@pytest.mark.parametrize("cut", [1, 2])
def test_a_cut_in_a_gap_ends_a_range(cut: int) -> None:
    made = table([1, 0, 1])
    made.cut[cut] = True
    assert spans(find_appearances(made)) == [(0, 1), (2, 3)]
    assert spans(find_appearances(made, RangeRules(gap=1))) == [(0, 3)]


def test_short_ranges_are_left_out() -> None:
    values = [1, 0, 0, 1, 1, 0.0]
    assert spans(find_appearances(table(values), RangeRules(shortest=2))) == [(3, 5)]
    assert len(find_appearances(table(values), RangeRules(shortest=2), (True,))) == 3, "photos have no duration"


@pytest.mark.parametrize("values", [{"threshold": 0}, {"threshold": 1.5}, {"gap": -1}, {"shortest": math.nan}])
def test_invalid_rules(values: dict) -> None:
    with pytest.raises(UsageError, match="is invalid"):
        RangeRules(**values)


def test_sources_are_separate_and_photos_are_single() -> None:
    found = find_appearances(table([1, 1, 1, 1], source=[0, 0, 1, 1]), separate=(False, True))
    assert [(each.source, each.start, each.end) for each in found] == [(0, 0, 2), (1, 2, 2), (1, 3, 3)]


def test_nothing_is_found_in_nothing() -> None:
    assert find_appearances(table([])) == []
    assert find_appearances(table([0.1, 0.2])) == []
