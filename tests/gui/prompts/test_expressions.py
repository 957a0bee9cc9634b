"""Expressions in the prompt field: errors at their place, completion of parts, names of images, undo."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QKeySequence, QShortcut
from PySide6.QtTest import QTest

from clipseg_live.gui.state.prompt_history import PromptHistory
from clipseg_live.gui.widgets import theme
from tests.helpers.gui.panel_tools import card, click, make_panel, sample_image, texts

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def panel(qtbot):
    panel = make_panel(qtbot, "mug", "hair")
    card(panel, 0).field.setFocus()
    card(panel, 0).field.end(False)
    return panel


def count_red(widget) -> int:
    image = widget.grab().toImage()
    red = QColor(theme.DANGER)
    colours = (image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height()))
    return sum(
        max(abs(c.red() - red.red()), abs(c.green() - red.green()), abs(c.blue() - red.blue())) < 40 for c in colours
    )


def test_an_unfinished_expression_is_marked_and_not_applied(qtbot, panel):
    row = card(panel, 0)
    qtbot.keyClicks(row.field, " and")
    assert not row.problem.isVisible()  # not while keys follow one another
    qtbot.waitUntil(row.problem.isVisible)
    assert row.problem.text() == "Not applied: a text is missing at the end."
    assert row.field.accessibleDescription() == row.problem.text()
    assert count_red(row.field) > 4
    qtbot.keyClick(row.field, Qt.Key.Key_Return)
    assert texts(panel) == ["mug", "hair"] and panel._history.texts == ()
    qtbot.keyClicks(row.field, " hand")
    qtbot.waitUntil(lambda: texts(panel) == ["mug and hand", "hair"])
    assert not row.problem.isVisible() and row.field.accessibleDescription() == "" and count_red(row.field) == 0


def test_a_wrong_expression_stays_marked_when_the_focus_leaves(qtbot, panel):
    row = card(panel, 0)
    qtbot.keyClicks(row.field, " ~ 2 cups")
    card(panel, 1).field.setFocus()
    assert texts(panel) == ["mug", "hair"] and row.field.text() == "mug ~ 2 cups"
    assert row.problem.text() == "Not applied: the number after ~ is a share from 0 to 1."
    assert panel._history.texts == ()
    click(qtbot, card(panel, 1).visible_button)  # another edit does not apply it
    assert row.field.text() == "mug ~ 2 cups" and row.problem.isVisible()


@pytest.mark.parametrize("key", ["undo", "escape"])
def test_undo_and_escape_restore_the_text_before_the_error(qtbot, panel, key):
    undone = []
    undo = QShortcut(QKeySequence("Ctrl+Z"), panel)  # like the binding of the window
    undo.activated.connect(lambda: (undone.append(True), panel.store.undo()))
    row = card(panel, 0)
    qtbot.keyClicks(row.field, " + cup")
    row.field.flush()
    qtbot.keyClicks(row.field, " and")
    row.field.flush()
    assert row.problem.isVisible()
    if key == "undo":
        QTest.keyClick(panel.windowHandle(), Qt.Key.Key_Z, CONTROL)
    else:
        qtbot.keyClick(row.field.completer().popup(), Qt.Key.Key_Escape)  # closes the list of completions
        qtbot.keyClick(row.field, Qt.Key.Key_Escape)
    assert row.field.text() == "mug + cup" == texts(panel)[0] and not undone
    assert not row.problem.isVisible() and row.field.hasFocus()
    QTest.keyClick(panel.windowHandle(), Qt.Key.Key_Z, CONTROL)  # now an edit of the settings
    assert undone and texts(panel) == ["mug", "hair"] and row.field.text() == "mug"


def test_an_unfinished_expression_adds_no_prompt(qtbot, panel):
    panel.focus_new_row()
    qtbot.keyClicks(panel.field, "sky and not")
    qtbot.keyClick(panel.field, Qt.Key.Key_Return)
    assert len(texts(panel)) == 2 and panel.problem.isVisible()
    click(qtbot, panel.add)
    assert len(texts(panel)) == 2 and panel.field.text() == "sky and not"
    qtbot.keyClicks(panel.field, " fog")
    qtbot.keyClick(panel.field, Qt.Key.Key_Return)
    assert texts(panel)[2] == "sky and not fog" and not panel.problem.isVisible()


def test_parts_are_completed_by_keyboard(qtbot):
    history = PromptHistory(None)
    history.add("red mug")
    panel = make_panel(qtbot, history=history)
    panel.show_model("shapes")
    panel.focus_new_row()
    popup = panel.field.completer().popup()

    def choose(typed: str, *keys: Qt.Key) -> None:
        qtbot.keyClicks(panel.field, typed)
        qtbot.waitUntil(popup.isVisible)
        for key in keys:
            qtbot.keyClick(popup, key)
        qtbot.waitUntil(lambda: not popup.isVisible())

    choose("blue circle a", Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Return)  # "and", "and not"
    qtbot.waitUntil(lambda: panel.field.text() == "blue circle and not ")
    assert texts(panel) == [] and not panel.problem.isVisible()
    choose("blue st", Qt.Key.Key_Down, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: panel.field.text() == "blue circle and not blue star")
    assert texts(panel) == []
    qtbot.keyClick(panel.field, Qt.Key.Key_Return)
    assert texts(panel) == ["blue circle and not blue star"]


def test_the_key_down_lists_everything(qtbot, panel):
    panel.set_image(1, sample_image())
    panel.show_model("shapes")
    field = card(panel, 0).field
    qtbot.keyClicks(field, " ~ ")
    qtbot.keyClick(field, Qt.Key.Key_Down)
    popup = field.completer().popup()
    qtbot.waitUntil(popup.isVisible)
    shown = [popup.model().index(row, 0).data() for row in range(popup.model().rowCount())]
    assert shown[:2] == ["[hair]", "circle"] and "blue star" in shown
    qtbot.keyClick(popup, Qt.Key.Key_Down)
    qtbot.keyClick(popup, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: texts(panel)[0] == "mug ~ [hair]")


def test_a_text_refers_to_the_images_of_other_rows(qtbot, panel):
    panel.set_image(None, sample_image())
    panel.focus_new_row()
    qtbot.keyClicks(panel.field, "[image 1] ~ 0.3 mug")
    qtbot.keyClick(panel.field, Qt.Key.Key_Return)
    added = panel.store.settings.rows[-1]
    assert [each.name for each in added.images] == ["image 1"] and added.images[0].image == sample_image()
    panel._remove(panel.store.settings.rows[2].id)  # the image stays part of the text
    field = card(panel, 2).field
    field.setFocus()
    field.end(False)
    qtbot.keyClicks(field, " cup")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    changed = panel.store.settings.rows[-1]
    assert changed.text == "[image 1] ~ 0.3 mug cup" and changed.images == added.images
    assert changed.prompt is not None and changed.prompt.key != added.prompt.key
    field.selectAll()
    qtbot.keyClicks(field, "[image 2]")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert card(panel, 2).problem.text() == "Not applied: there is no image [image 2], but [image 1]."
