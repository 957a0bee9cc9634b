"""Times as text."""

from fractions import Fraction

import pytest

from clipseg_live.core.system.times import format_time


@pytest.mark.parametrize(
    ("seconds", "decimals", "text"),
    [
        (0, 0, "0:00"),
        (59.4, 0, "0:59"),
        (59.6, 0, "1:00"),
        (3725, 0, "1:02:05"),
        (Fraction("59.999"), 2, "1:00.00"),
        (Fraction("3725.25"), 2, "1:02:05.25"),
        (Fraction("1.25"), 3, "0:01.250"),
        (3599.9999, 3, "1:00:00.000"),
        (-61.5, 3, "-1:01.500"),
        (-0.0001, 3, "0:00.000"),
    ],
)
def test_times_are_formatted(seconds: Fraction | float, decimals: int, text: str) -> None:
    assert format_time(seconds, decimals) == text
