"""Settings, colours and per-prompt styles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clipseg_live import UsageError
from clipseg_live.core.settings.base import PALETTE, PromptStyle, parse_colour, prompt_styles
from clipseg_live.core.settings.rendering import ExportSettings

levels = st.integers(0, 255)


@pytest.mark.slow
@given(levels, levels, levels)
def test_hexadecimal_colours(red: int, green: int, blue: int) -> None:
    text = f"{red:02x}{green:02x}{blue:02X}"
    assert parse_colour(text) == parse_colour(f" #{text} ") == (red, green, blue)


def test_short_and_named_colours() -> None:
    assert parse_colour("#f40") == (255, 68, 0)
    assert parse_colour("White") == (255, 255, 255)
    assert parse_colour("gray") == parse_colour("grey")


@pytest.mark.parametrize("text", ["", "#12", "#12345", "reddish", "#gggggg"])
def test_other_words_are_not_colours(text: str) -> None:
    with pytest.raises(UsageError, match="not a colour"):
        parse_colour(text)


@given(st.integers(1, 40))
def test_prompts_get_palette_colours_in_order(count: int) -> None:
    assert [style.colour for style in prompt_styles(count)] == [PALETTE[n % len(PALETTE)] for n in range(count)]


def test_one_value_applies_to_all_prompts() -> None:
    assert [style.threshold for style in prompt_styles(3, thresholds=[0.2])] == [0.2] * 3
    assert [style.threshold for style in prompt_styles(2, thresholds=[0.2, 0.7])] == [0.2, 0.7]
    with pytest.raises(UsageError, match="2 values of threshold for 3 prompts"):
        prompt_styles(3, thresholds=[0.2, 0.7])


@pytest.mark.parametrize("options", [{"thresholds": [2.0]}, {"thresholds": [float("nan")]}, {"opacity": -0.1}])
def test_values_out_of_range_are_rejected(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="from 0 to 1"):
        prompt_styles(1, **options)  # type: ignore[arg-type]


def test_palette_has_sixteen_distinct_colours() -> None:
    assert len(set(PALETTE)) == 16


def test_settings_are_frozen_and_reject_unknown_fields() -> None:
    settings = ExportSettings()
    with pytest.raises(ValidationError):
        settings.quality = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        PromptStyle(thresold=0.3)  # type: ignore[call-arg]
    assert ExportSettings.model_validate_json(settings.model_dump_json()) == settings
