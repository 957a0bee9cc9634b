"""Toasts over the picture."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QPushButton, QToolButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from clipseg_live.core.status import Message
from clipseg_live.gui.canvas import toasts as module
from clipseg_live.gui.canvas.toasts import Toasts


@pytest.fixture
def over(qtbot: QtBot) -> QWidget:
    made = QWidget()
    qtbot.addWidget(made)
    made.resize(800, 500)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_one_message_for_each_topic_the_newer_replaces_the_older(over: QWidget) -> None:
    shown = Toasts(over)
    shown.show_message(Message("worker", "It stopped.", "warning"))
    shown.show_message(Message("disk", "It is full.", "error"))
    shown.show_message(Message("worker", "It runs again.", "warning"))
    assert shown.texts() == ["It is full.", "It runs again."]
    shown.show_message(Message("disk", ""))
    shown.show_message(Message("nothing", ""))
    assert shown.texts() == ["It runs again."]
    shown.take_back("worker")
    assert shown.texts() == [] and not shown.isVisible()


def test_information_goes_by_itself_and_errors_stay(
    over: QWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INFO_SECONDS", 0.03)
    shown = Toasts(over)
    shown.show_message(Message("a", "Saved.", "info"))
    shown.show_message(Message("b", "Careful.", "warning"))
    shown.show_message(Message("c", "It failed.", "error"))
    qtbot.waitUntil(lambda: "Saved." not in shown.texts(), timeout=2000)
    qtbot.wait(60)
    assert shown.texts() == ["Careful.", "It failed."]


def test_a_message_is_closed_by_its_button(over: QWidget, qtbot: QtBot) -> None:
    shown = Toasts(over)
    shown.show_message(Message("c", "It failed.", "error"))
    qtbot.mouseClick(shown.findChild(QToolButton), Qt.MouseButton.LeftButton)
    assert shown.texts() == []


def test_a_message_may_have_a_button_of_its_own(over: QWidget, qtbot: QtBot) -> None:
    shown = Toasts(over)
    shown.show_message(Message("worker", "It stopped."), action="Restart")
    with qtbot.waitSignal(shown.action, timeout=1000) as pressed:
        qtbot.mouseClick(shown.findChild(QPushButton), Qt.MouseButton.LeftButton)
    assert pressed.args == ["worker"]


def test_messages_never_take_the_focus(over: QWidget, qtbot: QtBot) -> None:
    field = QLineEdit()
    QVBoxLayout(over).addWidget(field)
    field.show()
    over.activateWindow()
    field.setFocus()
    shown = Toasts(over)
    qtbot.keyClicks(field, "a ")
    for level in ("info", "warning", "error"):
        shown.show_message(Message(level, "Something happened.", level))  # type: ignore[arg-type]
    qtbot.keyClicks(over.focusWidget(), "mug")
    assert field.text() == "a mug"


def test_they_lie_in_the_lower_left_and_follow_the_size(over: QWidget) -> None:
    shown = Toasts(over)
    shown.show_message(Message("a", "Short.", "error"))
    assert shown.geometry().left() == 16 and shown.geometry().bottom() == 500 - 16 - 1
    shown.show_message(Message("b", "A long sentence that does not fit into one line. " * 4, "error"))
    over.resize(400, 300)
    assert shown.geometry().bottom() == 300 - 16 - 1 and shown.geometry().right() <= 400 - 16
    assert shown.geometry().top() >= 16


def test_of_too_many_the_oldest_goes(over: QWidget) -> None:
    shown = Toasts(over)
    for number in range(6):
        shown.show_message(Message(str(number), f"Number {number}.", "error"))
    assert shown.texts() == [f"Number {number}." for number in (2, 3, 4, 5)]
