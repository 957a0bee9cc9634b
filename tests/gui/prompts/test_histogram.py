"""The histogram of a prompt, operated by mouse and keys."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor

from clipseg_live.core.analysis.histograms import BINS, MapHistogram
from clipseg_live.gui.widgets.buttons import to_hex
from tests.helpers.gui.fake_session import READY
from tests.helpers.gui.panel_tools import card, click, drag, make_panel


def histogram(*bins: int, frames: int = 3) -> MapHistogram:
    counts = np.zeros(BINS, np.int64)
    counts[list(bins)] = 100
    return MapHistogram(counts, counts * frames, frames)


@pytest.fixture
def panel(qtbot):
    panel = make_panel(qtbot, "mug", "hair", size=(352, 560))
    click(qtbot, panel.histogram_button)
    panel.show_histograms({0: histogram(2, 3, 80, 81)})
    return panel


def threshold(panel) -> float:
    return panel.store.settings.rows[0].style.threshold


def test_the_button_shows_and_hides_histograms_of_all_rows(qtbot, panel):
    assert panel.shows_histograms and all(row.histogram.isVisible() for row in panel.list.rows)
    panel.focus_new_row()
    qtbot.keyClicks(panel.field, "cup")
    qtbot.keyClick(panel.field, Qt.Key.Key_Return)
    assert card(panel, 2).histogram.isVisible()
    click(qtbot, panel.histogram_button)
    assert not any(row.histogram.isVisible() for row in panel.list.rows)


def test_histograms_keep_their_height_in_a_small_panel(qtbot, panel):
    panel.resize(320, 220)
    qtbot.waitUntil(lambda: panel.height() == 220)
    assert {row.histogram.field.height() for row in panel.list.rows} == {56}


def test_a_drag_of_the_threshold_is_one_undo_step(qtbot, panel):
    field = card(panel, 0).histogram.field
    points = [QPoint(round(field.position_of(part)), 30) for part in (0.3, 0.6, 0.2)]
    drag(field, *points)
    assert threshold(panel) == pytest.approx(0.2, abs=0.01)
    assert card(panel, 0).threshold.value() == field.value() and field.value_text() == f"{threshold(panel):.2f}"
    panel.store.undo()
    assert threshold(panel) == 0.5 and field.value() == 50
    assert not panel.store.can_undo


def test_keys_move_the_threshold(qtbot, panel):
    field = card(panel, 0).histogram.field
    field.setFocus()
    qtbot.keyClick(field, Qt.Key.Key_Right)
    qtbot.keyClick(field, Qt.Key.Key_PageDown)
    assert threshold(panel) == pytest.approx(0.41)


def test_the_suggestion_is_named_and_used_by_its_button(qtbot, panel):
    button = card(panel, 0).histogram.suggestion
    assert button.text() == "Otsu 0.42" and "Otsu's method" in button.toolTip()
    click(qtbot, button)
    assert threshold(panel) == pytest.approx(0.42)
    panel.store.undo()
    assert threshold(panel) == 0.5


def test_an_improbable_prompt_gets_no_suggestion(qtbot, panel):
    panel.show_histograms({0: histogram(1, 9), 1: histogram(1, 60)})
    first, second = (card(panel, index).histogram.suggestion for index in (0, 1))
    assert first.text() == "Otsu –" and not first.isEnabled() and second.isEnabled()
    assert "No threshold is suggested" in first.accessibleDescription()


def test_bars_have_the_colour_of_the_prompt(qtbot, panel):
    field = card(panel, 0).histogram.field
    image, ratio = field.grab().toImage(), field.devicePixelRatioF()
    colour = QColor(to_hex(panel.store.settings.rows[0].style.colour))
    at = QPoint(round(field.position_of(0.806) * ratio), round((field.height() - 8) * ratio))
    assert image.pixelColor(at) == colour
    empty = QPoint(round(field.position_of(0.7) * ratio), at.y())
    assert image.pixelColor(empty) != colour


def test_the_window_fetches_histograms_only_while_they_are_shown(qtbot, window, session):
    session.counted = {0: histogram(5)}
    session.set_status(worker=READY)
    window.refresh()
    assert window.prompts.histograms == {}
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(window, Qt.Key.Key_F3)
    window.refresh()
    assert window.prompts.histograms == session.counted
