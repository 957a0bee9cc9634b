"""The prompt list, operated by keyboard and mouse, and the resulting settings."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QKeySequence, QShortcut, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QColorDialog, QWidget

from clipseg_live.core.settings.base import PALETTE
from clipseg_live.core.settings.live import MOST_ROWS
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.gui.prompts.row import format_area
from clipseg_live.gui.prompts.text_field import PAUSE
from clipseg_live.gui.state.prompt_history import PromptHistory
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.colour_picker import ColourPopup
from tests.helpers.gui.panel_tools import (
    LEFT,
    card,
    choose,
    click,
    drag,
    drag_row,
    item,
    make_panel,
    open_menu,
    sample_image,
    texts,
    top_level,
    wait_closed,
)

ALT = Qt.KeyboardModifier.AltModifier
CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


# ---- typing


@pytest.mark.slow
def test_an_empty_list_shows_a_hint_and_accepts_prompts(qtbot):
    panel = make_panel(qtbot)
    assert panel.hint.isVisible() and not panel.list.isVisible()
    panel.focus_new_row()
    for text in ("red mug", "hair"):
        qtbot.keyClicks(panel.field, text)
        qtbot.keyClick(panel.field, Qt.Key.Key_Return)
    assert texts(panel) == ["red mug", "hair"]
    assert panel.field.hasFocus() and panel.field.text() == ""
    assert not panel.hint.isVisible() and panel.list.isVisible()
    assert panel.count.text() == "2 of 16 prompts"
    assert [row.style.colour for row in panel.store.settings.rows] == list(PALETTE[:2])


def test_the_plus_button_adds_the_text_or_focuses_the_field(qtbot):
    panel = make_panel(qtbot)
    click(qtbot, panel.add)
    assert panel.field.hasFocus() and texts(panel) == []
    qtbot.keyClicks(panel.field, "  dog ")
    click(qtbot, panel.add)
    assert texts(panel) == ["dog"] and panel.field.text() == ""


def test_enter_in_an_empty_field_adds_nothing(qtbot):
    panel = make_panel(qtbot)
    panel.focus_new_row()
    qtbot.keyClicks(panel.field, "   ")
    qtbot.keyClick(panel.field, Qt.Key.Key_Return)
    assert texts(panel) == [] and not panel.store.can_undo


def test_a_text_is_applied_after_a_pause(qtbot):
    panel = make_panel(qtbot, "mug")
    field = card(panel, 0).field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "re")
    assert texts(panel) == ["mug"]
    assert field._pause.isActive() and field._pause.interval() == PAUSE == 150
    qtbot.keyClicks(field, "d")
    with qtbot.waitSignal(panel.store.changed, timeout=2000):
        pass
    assert texts(panel) == ["red"]
    assert field.hasFocus() and field.cursorPosition() == 3


def test_enter_applies_a_text_at_once_and_keeps_the_focus(qtbot):
    panel = make_panel(qtbot, "mug")
    field = card(panel, 0).field
    field.setFocus()
    field.end(False)
    qtbot.keyClicks(field, "s")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert texts(panel) == ["mugs"] and field.hasFocus()
    assert not field._pause.isActive()


def test_leaving_the_field_applies_the_text(qtbot):
    panel = make_panel(qtbot, "mug", "hair")
    field = card(panel, 0).field
    field.setFocus()
    field.end(False)
    qtbot.keyClicks(field, "s")
    card(panel, 1).field.setFocus()
    assert texts(panel) == ["mugs", "hair"]


def test_escape_leaves_the_field(qtbot):
    panel = make_panel(qtbot, "mug")
    field = card(panel, 0).field
    field.setFocus()
    qtbot.keyClick(field, Qt.Key.Key_Escape)
    assert not field.hasFocus()


@pytest.mark.slow
def test_other_changes_do_not_disturb_typing(qtbot):
    panel = make_panel(qtbot, "red mug", "hair")
    field = card(panel, 0).field
    field.setFocus()
    field.setSelection(0, 3)
    qtbot.keyClicks(field, "bl")  # not applied yet
    field.setCursorPosition(1)
    panel.store.edit_row(panel.store.settings.rows[1].model_copy(update={"text": "skin"}))
    panel.store.update(matte=MatteSettings(smoothing=0.8))
    assert field.text() == "bl mug" and field.cursorPosition() == 1 and field.hasFocus()
    assert card(panel, 1).field.text() == "skin"
    qtbot.waitUntil(lambda: texts(panel) == ["bl mug", "skin"])
    field.setSelection(3, 3)
    panel.store.update(matte=MatteSettings(smoothing=0.1))
    assert field.selectedText() == "mug"


def test_a_text_changed_elsewhere_is_shown_even_with_the_focus(qtbot):
    panel = make_panel(qtbot, "red mug")
    field = card(panel, 0).field
    field.setFocus()
    panel.store.edit_row(panel.store.settings.rows[0].model_copy(update={"text": "blue"}))
    assert field.text() == "blue"


def test_rows_are_the_same_widgets_after_an_edit(qtbot):
    panel = make_panel(qtbot, "a", "b", "c")
    before = panel.list.rows
    panel.store.update(matte=MatteSettings(smoothing=0.7))
    panel.store.update(rows=tuple(reversed(panel.store.settings.rows)))
    assert panel.list.rows == tuple(reversed(before))
    missing = before[1]
    panel.store.update(rows=tuple(row for row in panel.store.settings.rows if row.text != "b"))
    assert panel.list.rows == (before[2], before[0])
    assert not missing.isVisible()


# ---- undo and redo


def test_undo_in_a_field_includes_unapplied_typing(qtbot):
    panel = make_panel(qtbot, "mug")
    shortcut_undone = []
    undo = QShortcut(QKeySequence("Ctrl+Z"), panel)  # like the binding of the window
    undo.activated.connect(lambda: (shortcut_undone.append(texts(panel)), panel.store.undo()))
    field = card(panel, 0).field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "cup")  # still within the pause
    QTest.keyClick(panel.windowHandle(), Qt.Key.Key_Z, CONTROL)
    assert shortcut_undone == [["cup"]]
    assert texts(panel) == ["mug"] and field.text() == "mug"


def test_undo_and_redo_buttons_work(qtbot):
    panel = make_panel(qtbot, "mug")
    assert not panel.undo.isEnabled() and not panel.redo.isEnabled()
    click(qtbot, card(panel, 0).visible_button)
    assert panel.undo.isEnabled()
    click(qtbot, panel.undo)
    assert panel.store.settings.rows[0].visible and card(panel, 0).visible_button.isChecked()
    click(qtbot, panel.redo)
    assert not panel.store.settings.rows[0].visible and not card(panel, 0).visible_button.isChecked()


def test_successive_words_are_one_undo_step_until_enter(qtbot):
    panel = make_panel(qtbot, "x")
    field = card(panel, 0).field
    field.setFocus()
    for letters in ("mug", "cup"):
        field.selectAll()
        for letter in letters:
            qtbot.keyClicks(field, letter)
            field.flush()
        qtbot.keyClick(field, Qt.Key.Key_Return)
    panel.store.undo()
    assert texts(panel) == ["mug"]
    panel.store.undo()
    assert texts(panel) == ["x"] and not panel.store.can_undo


@pytest.mark.slow
def test_undo_restores_a_deleted_row(qtbot):
    panel = make_panel(qtbot, "a", "b")
    panel.set_image(1, sample_image())
    before = panel.store.settings.rows
    card(panel, 1).set_highlighted(True)
    click(qtbot, card(panel, 1).delete_button)
    assert texts(panel) == ["a"]
    panel.store.undo()
    assert panel.store.settings.rows == before
    assert card(panel, 1).thumbnail.isVisible() and card(panel, 1).field.text() == "b"


# ---- sliders


SLIDERS = {
    "threshold": lambda row: row.style.threshold,
    "opacity": lambda row: row.style.opacity,
    "image_weight": lambda row: row.share,
}


@pytest.fixture
def panel_with_image(qtbot):
    panel = make_panel(qtbot, "mug")
    panel.set_image(0, sample_image())
    panel.store.end_merge()
    return panel


@pytest.mark.parametrize("name", SLIDERS)
def test_a_slider_drag_is_live_and_one_undo_step(qtbot, panel_with_image, name):
    slider, value = (
        getattr(card(panel_with_image, 0), name),
        lambda: SLIDERS[name](panel_with_image.store.settings.rows[0]),
    )
    before = value()
    seen = []
    panel_with_image.store.changed.connect(lambda: seen.append(value()))
    middle = slider.height() // 2
    points = [QPoint(slider.position_of(part), middle) for part in (0.3, 0.6, 0.9)]
    drag(slider, points[0], *points[1:])
    assert seen == pytest.approx([0.6, 0.9], abs=0.02)
    panel_with_image.store.undo()
    assert value() == before and slider.value() == round(before * 100)


@pytest.mark.parametrize("name", SLIDERS)
def test_a_slider_can_be_moved_by_keys(qtbot, panel_with_image, name):
    slider, value = (
        getattr(card(panel_with_image, 0), name),
        lambda: SLIDERS[name](panel_with_image.store.settings.rows[0]),
    )
    before = value()
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_Right)
    assert value() == pytest.approx(before + 0.01)
    qtbot.keyClick(slider, Qt.Key.Key_PageUp)
    assert value() == pytest.approx(before + 0.11)
    qtbot.keyClick(slider, Qt.Key.Key_Left)
    assert value() == pytest.approx(before + 0.10)
    qtbot.keyClick(slider, Qt.Key.Key_End)
    assert value() == 1.0
    qtbot.keyClick(slider, Qt.Key.Key_Home)
    assert value() == 0.0
    qtbot.keyClick(slider, Qt.Key.Key_Backspace)
    assert value() == pytest.approx(before)


@pytest.mark.parametrize("name", SLIDERS)
def test_a_double_click_restores_the_default(qtbot, panel_with_image, name):
    slider, value = (
        getattr(card(panel_with_image, 0), name),
        lambda: SLIDERS[name](panel_with_image.store.settings.rows[0]),
    )
    before = value()
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_End)
    qtbot.mouseDClick(slider, LEFT)
    assert value() == pytest.approx(before)


def test_two_drags_are_two_undo_steps(qtbot):
    panel = make_panel(qtbot, "mug")
    slider = card(panel, 0).threshold
    for part in (0.2, 0.8):
        drag(slider, QPoint(slider.position_of(0.5), 5), QPoint(slider.position_of(part), 5))
    panel.store.undo()
    assert panel.store.settings.rows[0].style.threshold == pytest.approx(0.2, abs=0.02)


def test_showing_a_precise_value_does_not_round_it(qtbot):
    panel = make_panel(qtbot, "mug")
    row = panel.store.settings.rows[0]
    panel.store.edit_row(row.model_copy(update={"style": row.style.model_copy(update={"threshold": 0.4567})}))
    panel.store.update(matte=MatteSettings(smoothing=0.9))
    assert panel.store.settings.rows[0].style.threshold == 0.4567
    assert card(panel, 0).threshold.value() == 46


def test_the_right_mouse_button_does_not_move_a_slider(qtbot):
    panel = make_panel(qtbot, "mug")
    slider = card(panel, 0).threshold
    qtbot.mouseClick(slider, Qt.MouseButton.RightButton, pos=QPoint(5, 5))
    assert panel.store.settings.rows[0].style.threshold == 0.5


# ---- buttons of a row


def test_the_eye_button_toggles_visibility(qtbot):
    panel = make_panel(qtbot, "a", "b")
    click(qtbot, card(panel, 0).visible_button)
    assert [row.text for row in panel.store.settings.shown()] == ["b"]
    assert card(panel, 0).visible_button.accessibleName() == "Show"
    click(qtbot, card(panel, 0).visible_button)
    assert [row.text for row in panel.store.settings.shown()] == ["a", "b"]


def test_solo_shows_one_row_and_stays_visible(qtbot):
    panel = make_panel(qtbot, "a", "b")
    assert not card(panel, 1).solo_button.isVisible()
    card(panel, 1).set_highlighted(True)
    click(qtbot, card(panel, 1).solo_button)
    card(panel, 1).set_highlighted(False)
    assert [row.text for row in panel.store.settings.shown()] == ["b"]
    assert card(panel, 1).solo_button.isVisible() and not card(panel, 0).solo_button.isVisible()
    click(qtbot, card(panel, 1).solo_button)
    assert len(panel.store.settings.shown()) == 2


def test_hovering_shows_secondary_buttons(qtbot):
    panel = make_panel(qtbot, "a", "b")
    row = card(panel, 1)
    assert not row.delete_button.isVisible()
    QTest.mouseMove(panel.windowHandle(), row.mapTo(panel, QPoint(60, 20)))
    qtbot.waitUntil(row.delete_button.isVisible)
    QTest.mouseMove(panel.windowHandle(), QPoint(5, panel.height() - 5))
    qtbot.waitUntil(lambda: not row.delete_button.isVisible())


def test_focus_shows_secondary_buttons_and_tab_reaches_every_control(qtbot):
    panel = make_panel(qtbot, "a", "b")
    panel.set_image(0, sample_image())
    card(panel, 0).colour_button.setFocus()
    seen = []
    for _ in range(19):
        seen.append(QApplication.focusWidget())
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    first, second = (card(panel, index).tab_stops()[:-2] for index in (0, 1))  # histograms are hidden
    second = [stop for stop in second if stop not in (second[1], second[-2])]  # no image, so no mix
    assert seen == [*first, *second, panel.add][:19]


def test_tab_order_follows_moved_rows(qtbot):
    panel = make_panel(qtbot, "a", "b")
    second = card(panel, 1)
    second.field.setFocus()
    qtbot.keyClick(second.field, Qt.Key.Key_Up, ALT)
    second.opacity.setFocus()
    qtbot.keyClick(second.opacity, Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is card(panel, 1).colour_button and card(panel, 1).field.text() == "a"


@pytest.mark.slow
def test_the_delete_button_focuses_the_next_row(qtbot):
    panel = make_panel(qtbot, "a", "b", "c")
    card(panel, 1).field.setFocus()
    click(qtbot, card(panel, 1).delete_button)
    assert texts(panel) == ["a", "c"]
    assert card(panel, 1).field.hasFocus()
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Delete, ALT)
    assert texts(panel) == ["a"] and panel.field.hasFocus()


@pytest.mark.slow
def test_alt_delete_deletes_from_any_control(qtbot):
    panel = make_panel(qtbot, "a", "b", "c", "d")
    stops = (("field", ["b", "c", "d"]), ("threshold", ["c", "d"]), ("visible_button", ["d"]), ("colour_button", []))
    for stop, left in stops:
        control = getattr(card(panel, 0), stop)
        control.setFocus()
        qtbot.keyClick(control, Qt.Key.Key_Delete, ALT)
        assert texts(panel) == left
    assert panel.field.hasFocus()


@pytest.mark.slow
def test_a_row_is_duplicated_by_menu_and_key(qtbot):
    panel = make_panel(qtbot, "a", "b")
    row = panel.store.settings.rows[0]
    panel.store.edit_row(row.model_copy(update={"style": row.style.model_copy(update={"threshold": 0.3})}))
    click(qtbot, card(panel, 0).menu_button)
    choose(qtbot, "Duplicate")
    assert texts(panel) == ["a", "a", "b"]
    first, second, _ = panel.store.settings.rows
    assert second.style.threshold == 0.3 and second.style.colour != first.style.colour and second.id != first.id
    card(panel, 2).field.setFocus()
    qtbot.keyClick(card(panel, 2).field, Qt.Key.Key_Down, ALT | SHIFT)
    assert texts(panel) == ["a", "a", "b", "b"]


def test_the_menu_deletes_and_moves(qtbot):
    panel = make_panel(qtbot, "a", "b", "c")
    for text, expected in (("Move down", ["b", "a", "c"]), ("Move up", ["b", "a", "c"]), ("Delete", ["a", "c"])):
        click(qtbot, card(panel, 0).menu_button)
        choose(qtbot, text)
        assert texts(panel) == expected


def test_enter_and_space_press_the_small_buttons(qtbot):
    panel = make_panel(qtbot, "a")
    visible_button = card(panel, 0).visible_button
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Space):
        before = panel.store.settings.rows[0].visible
        qtbot.keyClick(visible_button, key)
        assert panel.store.settings.rows[0].visible is not before


# ---- colours


def test_the_swatch_opens_a_palette(qtbot):
    panel = make_panel(qtbot, "a")
    click(qtbot, card(panel, 0).colour_button)
    popup = top_level(qtbot, ColourPopup)
    click(qtbot, popup.buttons[5])
    assert panel.store.settings.rows[0].style.colour == PALETTE[5]
    assert card(panel, 0).colour_button.colour == "#{:02x}{:02x}{:02x}".format(*PALETTE[5])
    qtbot.waitUntil(lambda: not any(isinstance(entry, ColourPopup) for entry in QApplication.topLevelWidgets()))


def test_the_palette_is_operated_by_keys(qtbot):
    panel = make_panel(qtbot, "a")
    qtbot.keyClick(card(panel, 0).colour_button, Qt.Key.Key_Return)
    popup = top_level(qtbot, ColourPopup)
    qtbot.waitUntil(lambda: popup.buttons[0].hasFocus())
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Left, Qt.Key.Key_Return):
        qtbot.keyClick(QApplication.focusWidget(), key)
    assert panel.store.settings.rows[0].style.colour == PALETTE[9]


def test_escape_closes_the_palette_without_a_change(qtbot):
    panel = make_panel(qtbot, "a")
    click(qtbot, card(panel, 0).colour_button)
    popup = top_level(qtbot, ColourPopup)
    qtbot.keyClick(popup.buttons[0], Qt.Key.Key_Escape)
    wait_closed(qtbot, popup)
    assert not panel.store.can_undo


@pytest.mark.slow
def test_more_colours_opens_the_dialog(qtbot):
    panel = make_panel(qtbot, "a")
    click(qtbot, card(panel, 0).colour_button)
    click(qtbot, top_level(qtbot, ColourPopup).more)
    dialog = top_level(qtbot, QColorDialog)
    dialog.setCurrentColor(QColor(12, 34, 56))
    dialog.accept()
    wait_closed(qtbot, dialog)
    assert panel.store.settings.rows[0].style.colour == (12, 34, 56)


# ---- order


@pytest.mark.slow
def test_a_row_is_dragged_down_with_a_drop_indicator(qtbot):
    panel = make_panel(qtbot, "a", "b", "c")
    bottom = card(panel, 2).geometry()
    drag_row(panel, 0, bottom.center().y() + 4, release=False)
    assert panel.list.drop_line.isVisible() and card(panel, 0).property("lifted")
    assert abs(panel.list.drop_line.geometry().center().y() - bottom.bottom()) <= 3
    QTest.mouseRelease(card(panel, 0).drag_handle, LEFT)
    assert texts(panel) == ["b", "c", "a"]
    assert not panel.list.drop_line.isVisible() and not card(panel, 2).property("lifted")
    panel.store.undo()
    assert texts(panel) == ["a", "b", "c"]


@pytest.mark.slow
def test_a_row_is_dragged_up_between_two_others(qtbot):
    panel = make_panel(qtbot, "a", "b", "c")
    gap = card(panel, 1).y() - 2
    drag_row(panel, 2, gap, release=False)
    assert card(panel, 0).geometry().bottom() < panel.list.drop_line.y() < card(panel, 1).y()
    QTest.mouseRelease(card(panel, 2).drag_handle, LEFT)
    assert texts(panel) == ["a", "c", "b"]


def test_a_row_dropped_at_its_position_is_not_an_edit(qtbot):
    panel = make_panel(qtbot, "a", "b", "c")
    drag_row(panel, 1, card(panel, 1).geometry().center().y() + 8)
    assert texts(panel) == ["a", "b", "c"] and not panel.store.can_undo


def test_escape_cancels_a_drag(qtbot):
    panel = make_panel(qtbot, "a", "b", "c")
    drag_row(panel, 0, card(panel, 2).geometry().bottom(), release=False)
    assert QWidget.keyboardGrabber() is card(panel, 0).drag_handle
    qtbot.keyClick(card(panel, 0).drag_handle, Qt.Key.Key_Escape)
    QTest.mouseRelease(card(panel, 0).drag_handle, LEFT)
    assert texts(panel) == ["a", "b", "c"] and not panel.list.drop_line.isVisible()
    assert QWidget.keyboardGrabber() is None and not panel.list._scroll_timer.isActive()


def test_a_row_deleted_during_its_drag_ends_the_drag(qtbot):
    panel = make_panel(qtbot, "a", "b", "c")
    drag_row(panel, 0, card(panel, 2).geometry().bottom(), release=False)
    panel.store.update(rows=panel.store.settings.rows[1:])
    assert QWidget.keyboardGrabber() is None and not panel.list.drop_line.isVisible()
    assert not panel.list._scroll_timer.isActive() and texts(panel) == ["b", "c"]


@pytest.mark.slow
def test_dragging_to_the_edge_scrolls(qtbot):
    panel = make_panel(qtbot, *"abcdefghijkl", size=(320, 400))
    bar = panel.list.verticalScrollBar()
    assert bar.value() == 0 < bar.maximum()
    drag_row(panel, 0, panel.list.viewport().height() - 4, release=False)
    qtbot.waitUntil(lambda: bar.value() == bar.maximum())
    line = panel.list.drop_line
    assert panel.list.viewport().rect().contains(line.mapTo(panel.list.viewport(), QPoint(0, 0)))
    QTest.mouseRelease(card(panel, 0).drag_handle, LEFT)
    assert texts(panel).index("a") >= 10


@pytest.mark.slow
def test_alt_with_an_arrow_moves_the_row_with_its_focus(qtbot):
    panel = make_panel(qtbot, "a", "b", "c")
    field = card(panel, 0).field
    field.setFocus()
    for expected in (["b", "a", "c"], ["b", "c", "a"], ["b", "c", "a"]):
        qtbot.keyClick(field, Qt.Key.Key_Down, ALT)
        assert texts(panel) == expected and field.hasFocus()
    threshold = card(panel, 2).threshold
    threshold.setFocus()
    qtbot.keyClick(threshold, Qt.Key.Key_Up, ALT)
    assert texts(panel) == ["b", "a", "c"] and panel.store.settings.rows[1].style.threshold == 0.5


# ---- sixteen rows


@pytest.mark.slow
def test_a_full_list_accepts_no_more_rows(qtbot):
    panel = make_panel(qtbot, *(f"p{number}" for number in range(MOST_ROWS - 1)))
    panel.focus_new_row()
    qtbot.keyClicks(panel.field, "last")
    qtbot.keyClick(panel.field, Qt.Key.Key_Return)
    assert len(texts(panel)) == MOST_ROWS
    assert not panel.field.isEnabled() and not panel.add.isEnabled() and not panel.picture.isEnabled()
    assert card(panel, 15).field.hasFocus()
    assert not item(card(panel, 3).menu(), "Duplicate").isEnabled()
    qtbot.keyClick(card(panel, 15).field, Qt.Key.Key_Down, ALT | SHIFT)
    assert len(texts(panel)) == MOST_ROWS and "16 prompts already" in panel.problem.text()
    assert panel.problem.isVisible()
    panel.set_image(None, sample_image())
    assert len(texts(panel)) == MOST_ROWS
    panel.store.undo()
    assert panel.field.isEnabled() and not panel.problem.isVisible()


@pytest.mark.slow
def test_the_list_scrolls_to_added_rows(qtbot):
    panel = make_panel(qtbot, *(f"p{number}" for number in range(12)), size=(340, 420))
    assert panel.new_row.geometry().bottom() <= panel.height()
    panel.focus_new_row()
    qtbot.keyClicks(panel.field, "newest")
    qtbot.keyClick(panel.field, Qt.Key.Key_Return)
    bar = panel.list.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.value() == bar.maximum() > 0)


@pytest.mark.slow
def test_the_wheel_over_a_slider_scrolls_the_list(qtbot):
    panel = make_panel(qtbot, *(f"p{number}" for number in range(12)), size=(340, 420))
    slider = card(panel, 0).threshold
    index = QPointF(slider.rect().center())
    event = QWheelEvent(
        index, slider.mapToGlobal(index), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(slider, event)
    assert slider.value() == 50 and not event.isAccepted()


# ---- completion and history


def test_earlier_prompts_complete_a_text(qtbot):
    history = PromptHistory(None)
    for text in ("blue bottle", "red mug"):
        history.add(text)
    panel = make_panel(qtbot, "x", history=history)
    field = card(panel, 0).field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "MUG")
    popup = field.completer().popup()
    qtbot.waitUntil(popup.isVisible)
    qtbot.keyClick(popup, Qt.Key.Key_Down)
    qtbot.keyClick(popup, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: texts(panel) == ["red mug"])
    assert field.text() == "red mug" and field.hasFocus()


def test_enter_with_an_open_completion_uses_the_typed_text(qtbot):
    history = PromptHistory(None)
    history.add("red mug")
    panel = make_panel(qtbot, history=history)
    panel.focus_new_row()
    qtbot.keyClicks(panel.field, "red")
    popup = panel.field.completer().popup()
    qtbot.waitUntil(popup.isVisible)
    qtbot.keyClick(popup, Qt.Key.Key_Return)
    assert texts(panel) == ["red"] and not popup.isVisible()


def test_a_completion_adds_a_new_row_and_clears_the_field(qtbot):
    history = PromptHistory(None)
    history.add("red mug")
    panel = make_panel(qtbot, history=history)
    panel.focus_new_row()
    qtbot.keyClicks(panel.field, "mu")
    popup = panel.field.completer().popup()
    qtbot.waitUntil(popup.isVisible)
    index = popup.visualRect(popup.model().index(0, 0)).center()
    qtbot.mouseClick(popup.viewport(), LEFT, pos=index)
    qtbot.waitUntil(lambda: texts(panel) == ["red mug"])
    assert panel.field.text() == "" and panel.field.hasFocus()


def test_finished_texts_are_in_the_history_and_can_be_cleared(qtbot, tmp_path):
    path = tmp_path / "prompts.json"
    history = PromptHistory(path)
    panel = make_panel(qtbot, history=history)
    panel.focus_new_row()
    qtbot.keyClicks(panel.field, "red mug")
    qtbot.keyClick(panel.field, Qt.Key.Key_Return)
    field = card(panel, 0).field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "cup")
    field.flush()
    assert history.texts == ("red mug",)  # a pause does not finish a text
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert history.texts == ("cup", "red mug") == PromptHistory(path).texts
    click(qtbot, panel.more)
    choose(qtbot, "Clear prompt history")
    assert history.texts == () == PromptHistory(path).texts
    assert not item(panel.menu(), "Clear prompt").isEnabled()


def test_the_text_of_a_deleted_row_is_in_the_history(qtbot):
    history = PromptHistory(None)
    panel = make_panel(qtbot, "a cup", "b", history=history)
    card(panel, 0).set_highlighted(True)
    click(qtbot, card(panel, 0).delete_button)  # it was not typed, but loaded with a session
    assert history.texts == ("a cup",)


@pytest.mark.slow
def test_deleting_all_prompts_can_be_undone(qtbot):
    panel = make_panel(qtbot, "a", "b")
    click(qtbot, panel.more)
    choose(qtbot, "Delete all prompts")
    assert texts(panel) == [] and panel.hint.isVisible()
    click(qtbot, panel.undo)
    assert texts(panel) == ["a", "b"]


# ---- area of the mask


def test_areas_are_shown_as_a_bar_and_a_number(qtbot):
    panel = make_panel(qtbot, "a", "b", "c")
    panel.show_areas({0: 0.5, 1: 0.004}, {})
    assert [card(panel, index).area_label.text() for index in range(3)] == ["50 %", "<1 %", ""]
    slider = card(panel, 0).threshold
    ratio = slider.devicePixelRatioF()
    image = slider.grab().toImage()
    y = round((slider.height() - 2.5) * ratio)
    at = lambda part: image.pixelColor(round(slider.width() * part * ratio), y)  # noqa: E731
    red, green, blue = PALETTE[0]
    assert at(0.25).getRgb()[:3] == (red, green, blue) == at(0.48).getRgb()[:3]
    assert at(0.52).red() < red // 2
    panel.show_areas({}, {})
    assert card(panel, 0).area_label.text() == ""


def test_a_hidden_row_has_a_grey_bar_and_a_hollow_swatch(qtbot):
    panel = make_panel(qtbot, "a")
    panel.show_areas({0: 1.0}, {})
    colour_button, slider = card(panel, 0).colour_button, card(panel, 0).threshold
    ratio = colour_button.devicePixelRatioF()
    middle = lambda: colour_button.grab().toImage().pixelColor(round(11 * ratio), round(11 * ratio)).getRgb()[:3]  # noqa: E731
    assert middle() == PALETTE[0]
    click(qtbot, card(panel, 0).visible_button)
    assert middle() != PALETTE[0]
    bar = slider.grab().toImage().pixelColor(round(30 * ratio), round((slider.height() - 2.5) * ratio))
    assert bar == QColor(theme.FAINT)


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.0001, "<1 %"), (0.01, "1 %"), (0.126, "13 %"), (1.0, "100 %")]
)
def test_areas_are_formatted(share, text):
    assert format_area(share) == text


# ---- all controls


def test_every_control_has_a_name(qtbot):
    panel = make_panel(qtbot, "a")
    panel.set_image(0, sample_image())
    controls = [*card(panel, 0).tab_stops(), panel.add, panel.field, panel.picture, panel.undo, panel.redo, panel.more]
    assert all(control.accessibleName() for control in controls)


def test_a_closed_panel_disconnects_all_signals(qtbot):
    panel = make_panel(qtbot, "a", "b")
    store = panel.store
    panel.close()
    panel.deleteLater()
    wait_closed(qtbot, panel)
    store.update(matte=MatteSettings(smoothing=0.9))
    other = QWidget()
    qtbot.addWidget(other)
    other.show()
    other.setFocus()


@pytest.mark.parametrize("width", [300, 340, 380])
def test_no_widget_is_wider_than_the_panel(qtbot, width):
    panel = make_panel(qtbot, "a very long prompt " * 12, "b", size=(width, 500))
    panel.set_image(0, sample_image())
    card(panel, 0).set_highlighted(True)
    panel.list._column.activate()
    assert panel.width() == width
    for stop in card(panel, 0).tab_stops():
        if stop.isVisible():
            corner = stop.mapTo(panel, QPoint(stop.width(), 0)).x()
            assert corner <= width - 10, stop.accessibleName()
    assert card(panel, 0).field.width() >= 70


def test_menus_close(qtbot):
    panel = make_panel(qtbot, "a")
    click(qtbot, card(panel, 0).menu_button)
    menu = open_menu(qtbot)
    qtbot.keyClick(menu, Qt.Key.Key_Escape)
    wait_closed(qtbot, menu)


def test_a_typed_text_replaces_an_embedding(qtbot):
    panel = make_panel(qtbot, "mug")
    row = panel.store.settings.rows[0]
    panel.store.edit_row(row.model_copy(update={"embedding": (1.0, 2.0)}))
    field = card(panel, 0).field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "hair")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert panel.store.settings.rows[0] == row.model_copy(update={"text": "hair"})
