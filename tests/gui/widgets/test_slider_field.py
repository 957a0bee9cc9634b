"""Numbers: typed, dragged, moved by keys and reset, with real mouse and key events."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.number_range import PERCENT, NumberRange
from clipseg_live.gui.widgets.slider_field import SliderField
from tests.helpers.gui.panel_tools import LEFT, drag, item, show

KEY = Qt.Key
SHIFT = Qt.KeyboardModifier.ShiftModifier
LENGTH = NumberRange(0, 10, default=1, least=-5, most=25, unit="%", shortest=True)
ANGLE = NumberRange(-90, 90, default=0, step=1, decimals=0)


class Form(QWidget):
    """A slider above a text field, and the values that it reports."""

    def __init__(self, numbers: NumberRange) -> None:
        super().__init__()
        self.slider = SliderField("Length", numbers)
        self.after = QLineEdit()
        column = QVBoxLayout(self)
        column.addWidget(self.slider)
        column.addWidget(self.after)
        self.slider.show_value(numbers.default)
        self.edits: list[float] = []
        self.log: list[float | str] = []
        self.slider.edited.connect(self.edits.append)
        self.slider.edited.connect(self.log.append)
        self.slider.released.connect(lambda: self.log.append("released"))


@pytest.fixture
def make(qtbot: QtBot):
    def make(numbers: NumberRange = LENGTH) -> Form:
        form = Form(numbers)
        show(qtbot, form, (300, 100))
        return form

    return make


def enter(qtbot: QtBot, form: Form, text: str, end: Qt.Key = KEY.Key_Return) -> None:
    """Click on the number, type another one, and press a key."""
    qtbot.mouseClick(form.slider, LEFT)
    assert form.slider.editor is not None and form.slider.editor.hasSelectedText()
    qtbot.keyClicks(form.slider.editor, text)
    qtbot.keyClick(form.slider.editor, end)


@pytest.mark.parametrize(
    ("numbers", "text", "value"),
    [
        (LENGTH, "2.5", 2.5), (LENGTH, "2,5 %", 2.5), (LENGTH, " 20 ", 20), (LENGTH, "-3", -3),
        (PERCENT, "72", 0.72), (PERCENT, "100 %", 1.0), (NumberRange(), ".25", 0.25), (ANGLE, "-45", -45),
    ],
)  # fmt: skip
def test_a_clicked_number_is_typed_and_applied_by_enter(
    qtbot: QtBot, make, numbers: NumberRange, text: str, value: float
) -> None:
    form = make(numbers)
    enter(qtbot, form, text)
    assert form.edits == [pytest.approx(value)]
    assert form.log[-3:] == ["released", *form.edits, "released"], "it is an undo step of its own"
    assert form.slider.value_text() == numbers.text(value)
    assert form.slider.hasFocus() and form.slider.editor is None


@pytest.mark.parametrize("text", ["", "x", "1 2", "nan", "inf", "1e400", "26", "-5.1", "1.2.3", "%", "--1"])
def test_a_wrong_text_is_refused_visibly_and_changes_nothing(qtbot: QtBot, make, text: str) -> None:
    form = make()
    qtbot.mouseClick(form.slider, LEFT)
    editor = form.slider.editor
    if not text:
        qtbot.keyClick(editor, KEY.Key_Backspace)
    qtbot.keyClicks(editor, text)
    qtbot.keyClick(editor, KEY.Key_Return)
    assert form.slider.editor is editor and editor.hasFocus() and form.edits == []
    assert theme.DANGER in editor.styleSheet()
    assert editor.toolTip() == editor.accessibleDescription() == "Enter a number: -5 to 25 %."
    qtbot.keyClicks(editor, "7")  # the wrong text was selected
    assert theme.DANGER not in editor.styleSheet() and editor.text() == "7"
    qtbot.keyClick(editor, KEY.Key_Return)
    assert form.edits == [7]


def test_escape_drops_the_text_and_tab_applies_it(qtbot: QtBot, make) -> None:
    form = make()
    enter(qtbot, form, "9", KEY.Key_Escape)
    assert form.edits == [] and form.slider.hasFocus() and form.slider.value_text() == "1 %"
    enter(qtbot, form, "8", KEY.Key_Tab)
    assert form.edits == [8] and form.after.hasFocus()
    enter(qtbot, form, "800", KEY.Key_Tab)
    assert form.edits == [8] and form.slider.editor.hasFocus(), "a wrong text keeps the focus"


@pytest.mark.parametrize(("text", "edits"), [("4", [4]), ("400", []), ("1", [])])
def test_a_click_elsewhere_applies_a_right_text_only(qtbot: QtBot, make, text: str, edits: list[float]) -> None:
    form = make()
    qtbot.mouseClick(form.slider, LEFT)
    editor = form.slider.editor
    qtbot.keyClicks(editor, text)
    form.after.setFocus(Qt.FocusReason.MouseFocusReason)
    assert form.edits == edits and form.slider.editor is None and form.after.hasFocus()
    qtbot.waitUntil(lambda: not isValid(editor))


def test_the_first_digit_and_enter_begin_typing(qtbot: QtBot, make) -> None:
    form = make()
    form.slider.setFocus()
    qtbot.keyClick(form.slider, "3")
    qtbot.keyClicks(form.slider.editor, ".5")
    qtbot.keyClick(form.slider.editor, KEY.Key_Return)
    assert form.edits == [3.5]
    qtbot.keyClick(form.slider, KEY.Key_Return)
    assert form.slider.editor.selectedText() == "3.5"


def test_arrows_move_by_one_step_and_with_shift_by_ten(qtbot: QtBot, make) -> None:
    form = make(ANGLE)
    form.slider.setFocus()
    for key, modifier in ((KEY.Key_Right, None), (KEY.Key_Up, SHIFT), (KEY.Key_Left, SHIFT), (KEY.Key_Down, None)):
        qtbot.keyClick(form.slider, key, *([modifier] if modifier else []))
    assert form.edits == [1, 11, 1, 0]
    qtbot.mouseClick(form.slider, LEFT)
    qtbot.keyClick(form.slider.editor, KEY.Key_Up, SHIFT)
    qtbot.keyClick(form.slider.editor, KEY.Key_Down)
    assert form.edits[-2:] == [10, 9] and form.slider.editor.selectedText() == "9"


def test_a_drag_moves_the_value_and_opens_no_field(qtbot: QtBot, make) -> None:
    form = make()
    middle = form.slider.height() // 2
    drag(form.slider, QPoint(20, middle), QPoint(form.slider.position_of(5), middle))
    assert form.edits == [pytest.approx(5, abs=0.1)] and form.slider.editor is None
    assert form.log[1:] == ["released"]
    drag(form.slider, QPoint(20, middle), QPoint(2000, middle))
    assert form.edits[-1] == 10, "a drag ends at the end of the slider"


def test_a_double_click_and_the_menu_reset(qtbot: QtBot, make) -> None:
    form = make()
    enter(qtbot, form, "20")
    qtbot.mouseClick(form.slider, LEFT)  # a real double-click reaches the field that its first click has opened
    qtbot.mouseDClick(form.slider.editor, LEFT)
    assert form.edits == [20, 1] and form.slider.editor is None
    reset = item(form.slider.menu(), "Reset to 1 %")
    assert not reset.isEnabled()
    enter(qtbot, form, "3")
    item(form.slider.menu(), "Reset to 1 %").trigger()
    assert form.edits[-1] == 1
    item(form.slider.menu(), "Enter a number").trigger()
    assert form.slider.editor is not None


def test_a_disabled_number_cannot_be_typed(qtbot: QtBot, make) -> None:
    form = make()
    form.slider.setEnabled(False)
    form.slider.edit_number()
    assert form.slider.editor is None


@given(st.text(max_size=12))
def test_any_text_is_a_number_of_the_range_or_refused(text: str) -> None:
    value = LENGTH.parse(text)
    assert value is None or LENGTH.smallest <= round(value, 6) <= LENGTH.largest


@given(st.integers(-500, 2500), st.sampled_from([LENGTH, replace(LENGTH, shortest=False, unit="")]))
def test_every_shown_number_can_be_typed(step: int, numbers: NumberRange) -> None:
    assert numbers.parse(numbers.text(step / 100)) == pytest.approx(step / 100)
    assert numbers.parse(numbers.digits(step / 100)) == pytest.approx(step / 100)
