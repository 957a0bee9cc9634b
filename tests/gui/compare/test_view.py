"""The split view of variants, operated by mouse and keys in the window."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor

from clipseg_live.core.analysis.comparison import PromptFigures, VariantView
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.effects import BlackOut
from clipseg_live.core.settings.live import ComparisonView, LiveSettings, PromptRow
from clipseg_live.core.status import SourceState, SourceStatus
from clipseg_live.gui.widgets import theme
from tests.helpers.gui.fake_session import live_status, rendered_frame

Key = Qt.Key
LEFT = Qt.MouseButton.LeftButton
SETTINGS = LiveSettings(rows=(PromptRow(id=0, text="cup"),))


def view_of(level: int, iou: float | None = None) -> VariantView:
    figures = PromptFigures("cup", (255, 64, 88), 0.125, 0.9)
    return VariantView(np.full((18, 32, 3), level, np.uint8), (figures,), iou)


@pytest.fixture
def window(qtbot, make_window, session):
    window = make_window(SETTINGS)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    session.set_status(source=live_status())
    session.show(rendered_frame(ids=(0,)))
    window._show_newest_frame()
    window.refresh()
    window.canvas.setFocus()
    return window


@pytest.fixture
def comparing(qtbot, window, session):
    """The window with two variants; the second one has another threshold."""
    qtbot.keyClick(window, Key.Key_F7)
    style = PromptStyle(threshold=0.8)
    window.store.edit_row(window.store.settings.rows[0].model_copy(update={"style": style}))
    session.views = view_of(40), view_of(200, 0.87)
    window._show_newest_frame()
    return window


def thresholds(window) -> list[float]:
    return [each.rows[0].style.threshold for each in window.store.settings.compared()]


def test_a_key_begins_a_comparison_over_the_canvas(qtbot, window):
    view = window.body.compare_view
    assert not view.isVisible()
    qtbot.keyClick(window, Key.Key_F7)
    assert view.isVisible() and view.geometry() == window.canvas.rect() and window.canvas.hasFocus()
    assert [tile.isVisible() for tile in view.tiles] == [True, True, False, False]
    assert view.tiles[1].isChecked() and view.keep_button.text() == "Keep B"
    window.resize(900, 600)
    assert view.geometry() == window.canvas.rect()
    window.refresh()
    qtbot.waitUntil(lambda: view.bar.width() == view.width())


def test_tiles_show_images_and_figures(qtbot, comparing):
    first, second = comparing.body.compare_view.tiles[:2]
    for tile, level in ((first, 40), (second, 200)):
        assert tile.grab().toImage().pixelColor(tile.rect().center()) == QColor(level, level, level)
    assert first.accessibleDescription() == "cup: area 12.5 %, presence 0.90"
    assert "IoU to A 0.87" in second.toolTip()
    assert second.accessibleDescription() == "cup: area 12.5 %, presence 0.90; IoU to A 0.87"
    assert thresholds(comparing) == [0.5, 0.8]


def test_a_click_and_a_digit_choose_the_variant_that_is_edited(qtbot, comparing):
    tiles = comparing.body.compare_view.tiles
    qtbot.mouseClick(tiles[0], LEFT, pos=tiles[0].rect().center())
    assert comparing.store.settings.rows[0].style.threshold == 0.5 and tiles[0].isChecked()
    qtbot.mouseClick(tiles[0], LEFT, pos=tiles[0].rect().center())  # again
    assert tiles[0].isChecked() and not tiles[1].isChecked()
    qtbot.keyClick(comparing.canvas, Key.Key_2)
    assert comparing.store.settings.rows[0].style.threshold == 0.8 and tiles[1].isChecked()
    qtbot.keyClick(comparing.canvas, Key.Key_4)  # there is none
    assert comparing.store.settings.active_variant == 1 and thresholds(comparing) == [0.5, 0.8]


def test_one_key_keeps_a_variant_and_undo_brings_the_others_back(qtbot, comparing, session):
    qtbot.keyClick(comparing.canvas, Key.Key_K)
    assert comparing.store.settings.comparison is None
    assert session.settings.rows[0].style.threshold == 0.8 and not comparing.body.compare_view.isVisible()
    comparing.store.undo()
    assert thresholds(comparing) == [0.5, 0.8] and comparing.body.compare_view.isVisible()


def test_variants_are_added_and_removed(qtbot, comparing):
    view = comparing.body.compare_view
    qtbot.keyClick(comparing.canvas, Key.Key_N)
    qtbot.mouseClick(view.add_button, LEFT)
    assert thresholds(comparing) == [0.5, 0.8, 0.8, 0.8] and not view.add_button.isEnabled()
    assert all(tile.isVisible() for tile in view.tiles)
    for _ in range(2):
        qtbot.keyClick(comparing.canvas, Key.Key_Delete)
    qtbot.mouseClick(view.delete_button, LEFT)
    assert comparing.store.settings.comparison is None and not view.isVisible()
    assert comparing.store.settings.rows[0].style.threshold == 0.5


def test_the_view_is_changed_by_button_and_key(qtbot, comparing):
    view = comparing.body.compare_view
    qtbot.mouseClick(view.views.button(ComparisonView.DIFFERENCE), LEFT)
    assert comparing.store.settings.comparison.view is ComparisonView.DIFFERENCE and view.legend.isVisible()
    comparing.resize(760, 480)
    qtbot.waitUntil(lambda: not view.legend.isVisible())  # it does not fit
    comparing.resize(1280, 800)
    qtbot.waitUntil(view.legend.isVisible)
    qtbot.keyClick(comparing.canvas, Key.Key_D)
    assert comparing.store.settings.comparison.view is ComparisonView.RESULT and not view.legend.isVisible()
    assert view.views.button(ComparisonView.RESULT).isChecked()


def test_keys_of_the_canvas_still_work(qtbot, comparing, session):
    qtbot.keyClick(comparing.canvas, Key.Key_Space)
    assert session.names()[-1] in ("play", "pause")


def test_a_privacy_effect_shows_the_canvas_instead(qtbot, comparing):
    view = comparing.body.compare_view
    comparing.store.update(effects=(BlackOut(),))
    assert view.hint.isVisible() and view.height() < 60
    assert not any(tile.isVisible() for tile in view.tiles)
    comparing.store.undo()
    assert view.tiles[0].isVisible() and view.geometry() == comparing.canvas.rect()


def test_notices_and_boxes_are_not_covered(qtbot, comparing, session):
    view = comparing.body.compare_view
    session.set_status(source=SourceStatus(SourceState.FAILED, "camera 0", problem="It is gone."))
    comparing.refresh()
    assert not view.isVisible()
    session.set_status(source=live_status())
    comparing.refresh()
    assert view.isVisible()
    comparing.canvas.box_tool.begin("test")
    comparing.refresh()
    assert not view.isVisible()


def test_the_active_variant_is_outlined(qtbot, comparing):
    first, second = comparing.body.compare_view.tiles[:2]
    edge = QPoint(first.width() // 2, 1)
    assert second.grab().toImage().pixelColor(edge) == QColor(theme.ACCENT)
    assert first.grab().toImage().pixelColor(edge) != QColor(theme.ACCENT)
