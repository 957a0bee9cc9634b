"""Edits of the prompt list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.live import MOST_ROWS
from clipseg_live.gui.prompts import edits
from tests.helpers.gui.panel_tools import sample_image, settings_with


def order(settings):
    return [row.text for row in settings.rows]


@pytest.mark.slow
@given(st.integers(1, MOST_ROWS), st.data())
def test_a_moved_row_is_inserted_and_others_keep_their_order(count, data):
    settings = settings_with(*(str(number) for number in range(count)))
    moved = data.draw(st.integers(0, count - 1))
    gap = data.draw(st.integers(0, count))
    texts = order(edits.with_row_moved(settings, moved, gap))
    others = [text for text in order(settings) if text != str(moved)]
    assert [text for text in texts if text != str(moved)] == others
    before = [str(number) for number in range(gap) if number != moved]  # rows before the gap stay before it
    assert texts[: len(before) + 1] == [*before, str(moved)]


def test_unknown_ids_change_nothing():
    settings = settings_with("a", "b")
    assert edits.with_row_moved(settings, 9, 0) is settings
    assert edits.with_duplicate(settings, 9) is settings
    assert order(edits.without_row(settings, 9)) == ["a", "b"]
    assert edits.row_of(settings, 9) is None and edits.row_index(settings, 9) is None


def test_a_duplicate_has_a_new_id_and_colour():
    settings = settings_with("a", "b")
    first = settings.rows[0].model_copy(update={"image": sample_image(), "share": 0.8, "visible": False})
    settings = settings.model_copy(update={"rows": (first, settings.rows[1])})
    settings = edits.with_duplicate(settings, 0)
    copy = settings.rows[1]
    colours = {row.style.colour for row in settings.rows}
    assert len(colours) == 3 and len({row.id for row in settings.rows}) == 3
    style = copy.style.model_copy(update={"colour": first.style.colour})
    assert copy.model_copy(update={"id": 0, "style": style}) == first


def test_a_full_list_is_reported():
    settings = settings_with(*(str(number) for number in range(MOST_ROWS)))
    with pytest.raises(UsageError, match="16 prompts already"):
        edits.with_new_row(settings, "one more")
    with pytest.raises(UsageError, match="16 prompts already"):
        edits.with_duplicate(settings, 0)
