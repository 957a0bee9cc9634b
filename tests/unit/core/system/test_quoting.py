"""Quotations in messages are one line for any text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live import Prompt, UsageError
from clipseg_live.core.system.quoting import LINE_COLUMNS, shorten


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("red circle", '"red circle"'),
        ("a\n\n b\tc  d\r\n", '"a b c d"'),
        ("x" * LINE_COLUMNS, f'"{"x" * LINE_COLUMNS}"'),
        ("x" * (LINE_COLUMNS + 1), f'"{"x" * LINE_COLUMNS}…"'),
        ("赤" * 100, f'"{"赤" * (LINE_COLUMNS // 2)}…"'),
        ("bell\x07 escape\x1b[31m", '"bell\N{REPLACEMENT CHARACTER} escape\N{REPLACEMENT CHARACTER}[31m"'),
        ("left \u202e right", '"left \N{REPLACEMENT CHARACTER} right"'),
        ("👩‍🚀", '"👩‍🚀"'),
        ("e\u0301" * 3, '"e\u0301e\u0301e\u0301"'),
        ("word " * 100, f'"{"word " * 11}word…"'),
        ("", '""'),
    ],
)
def test_short_texts_are_quoted(text: str, quoted: str) -> None:
    assert shorten(text) == quoted


@pytest.mark.slow
@given(st.text(max_size=300), st.integers(1, 90))
def test_a_quotation_is_one_visible_line(text: str, width: int) -> None:
    quoted = shorten(text, width)
    assert len(quoted.splitlines()) == 1 and quoted[0] == quoted[-1] == '"'
    inner = quoted[1:-1]
    assert sum(not unicodedata.combining(letter) and letter not in "\u200d\ufe0f" for letter in inner) <= width + 1
    assert not any(unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs") for letter in inner)
    if not inner.endswith("…"):
        assert len(inner) == len(" ".join(text.split()))


def test_a_huge_text_is_quoted_quickly() -> None:
    assert len(shorten("\N{COMBINING ACUTE ACCENT}" * 10_000_000)) < 30 * LINE_COLUMNS


@pytest.mark.parametrize("wrong", ["a" * 4000, "a\nb" * 999, "赤い丸" * 999])
def test_errors_about_prompts_are_one_line(wrong: str) -> None:
    for make in (lambda: Prompt.text(wrong + "\ud800"), lambda: Prompt.text("x", templates=(wrong,))):
        with pytest.raises(UsageError) as caught:
            make()
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 200
