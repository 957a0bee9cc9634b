"""Edits of a comparison."""

import pytest

from clipseg_live.core.settings.effects import Outline, Tint
from clipseg_live.core.settings.live import ComparisonView, DisabledEffect, LiveSettings, PromptRow
from clipseg_live.gui.compare import edits


def settings(text: str = "cup") -> LiveSettings:
    return LiveSettings(rows=(PromptRow(id=0, text=text),), effects=(Tint(),))


def edited(before: LiveSettings, text: str) -> LiveSettings:
    return before.model_copy(update={"rows": (PromptRow(id=0, text=text),)})


def texts(of: LiveSettings) -> list[str]:
    return [each.rows[0].text for each in of.compared()]


@pytest.fixture
def three() -> LiveSettings:
    """Variants "cup", "mug" and "jug"; the last one is active."""
    second = edited(edits.with_variant(settings()), "mug")
    return edited(edits.with_variant(second), "jug")


def test_a_comparison_begins_with_a_copy_that_is_active() -> None:
    begun = edits.with_variant(settings())
    assert texts(begun) == ["cup", "cup"] and begun.active_variant == 1
    assert texts(edited(begun, "mug")) == ["cup", "mug"]


def test_the_active_variant_changes_without_changing_the_others(three: LiveSettings) -> None:
    assert texts(three) == ["cup", "mug", "jug"] and three.active_variant == 2
    for number in (0, 2, 1, 0):
        three = edits.with_active(three, number)
        assert texts(three) == ["cup", "mug", "jug"] and three.active_variant == number
        assert three.rows[0].text == texts(three)[number]
    assert edits.with_active(three, 3) is three and edits.with_active(three, -1) is three
    assert edits.with_active(settings(), 0) == settings()


def test_there_are_at_most_four_variants(three: LiveSettings) -> None:
    four = edits.with_variant(three)
    assert texts(four) == ["cup", "mug", "jug", "jug"] and edits.with_variant(four) is four


def test_the_active_variant_is_removed(three: LiveSettings) -> None:
    two = edits.without_active(edits.with_active(three, 1))
    assert texts(two) == ["cup", "jug"] and two.active_variant == 0
    one = edits.without_active(two)
    assert one.comparison is None and one.rows[0].text == "jug"
    assert edits.without_active(one) is one


def test_the_active_variant_is_kept_with_its_effects(three: LiveSettings) -> None:
    changed = edits.with_active(three, 1).model_copy(update={"effects": (Outline(),)})
    kept = edits.with_kept(changed)
    assert kept.comparison is None and kept.rows[0].text == "mug" and kept.effects == (Outline(),)
    assert edits.with_active(changed, 0).effects == (Tint(),)


def test_a_variant_has_disabled_effects_of_its_own(three: LiveSettings) -> None:
    disabled = (DisabledEffect(effect=Outline(), position=1),)
    changed = edits.with_active(three.model_copy(update={"disabled_effects": disabled}), 0)
    assert changed.disabled_effects == () and edits.with_active(changed, 2).disabled_effects == disabled


def test_the_view_stays_with_new_variants() -> None:
    shown = edits.with_view(edits.with_variant(settings()), ComparisonView.DIFFERENCE)
    more = edits.with_variant(shown)
    assert more.comparison is not None and more.comparison.view is ComparisonView.DIFFERENCE
    assert edits.with_view(settings(), ComparisonView.MAPS) == settings()
