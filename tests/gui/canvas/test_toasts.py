"""Toasts above the canvas."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QPushButton, QToolButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from clipseg_live.core.status import Message
from clipseg_live.gui.canvas import toasts as module
from clipseg_live.gui.canvas.toasts import Toasts


@pytest.fixture
def parent(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.resize(800, 500)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def test_a_newer_message_of_a_topic_replaces_the_older_one(parent: QWidget) -> None:
    toasts = Toasts(parent)
    toasts.show_message(Message("worker", "It stopped.", "warning"))
    toasts.show_message(Message("disk", "It is full.", "error"))
    toasts.show_message(Message("worker", "It runs again.", "warning"))
    assert toasts.texts() == ["It is full.", "It runs again."]
    toasts.show_message(Message("disk", ""))
    toasts.show_message(Message("nothing", ""))
    assert toasts.texts() == ["It runs again."]
    toasts.remove("worker")
    assert toasts.texts() == [] and not toasts.isVisible()


def test_information_disappears_and_errors_stay(parent: QWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INFO_SECONDS", 0.03)
    toasts = Toasts(parent)
    toasts.show_message(Message("a", "Saved.", "info"))
    toasts.show_message(Message("b", "Careful.", "warning"))
    toasts.show_message(Message("c", "It failed.", "error"))
    qtbot.waitUntil(lambda: "Saved." not in toasts.texts(), timeout=2000)
    qtbot.wait(60)
    assert toasts.texts() == ["Careful.", "It failed."]


def test_a_message_is_closed_by_its_button(parent: QWidget, qtbot: QtBot) -> None:
    toasts = Toasts(parent)
    toasts.show_message(Message("c", "It failed.", "error"))
    qtbot.mouseClick(toasts.findChild(QToolButton), Qt.MouseButton.LeftButton)
    assert toasts.texts() == []


def test_a_message_may_have_a_button(parent: QWidget, qtbot: QtBot) -> None:
    toasts = Toasts(parent)
    toasts.show_message(Message("worker", "It stopped."), action="Restart")
    with qtbot.waitSignal(toasts.action, timeout=1000) as pressed:
        qtbot.mouseClick(toasts.findChild(QPushButton), Qt.MouseButton.LeftButton)
    assert pressed.args == ["worker"]


def test_messages_never_take_the_focus(parent: QWidget, qtbot: QtBot) -> None:
    field = QLineEdit()
    QVBoxLayout(parent).addWidget(field)
    field.show()
    parent.activateWindow()
    field.setFocus()
    toasts = Toasts(parent)
    qtbot.keyClicks(field, "a ")
    for level in ("info", "warning", "error"):
        toasts.show_message(Message(level, "Something happened.", level))  # type: ignore[arg-type]
    qtbot.keyClicks(parent.focusWidget(), "mug")
    assert field.text() == "a mug"


def test_messages_are_in_the_lower_left_corner_at_any_size(parent: QWidget) -> None:
    toasts = Toasts(parent)
    toasts.show_message(Message("a", "Short.", "error"))
    assert toasts.geometry().left() == 16 and toasts.geometry().bottom() == 500 - 16 - 1
    toasts.show_message(Message("b", "A long sentence that does not fit into one line. " * 4, "error"))
    parent.resize(400, 300)
    assert toasts.geometry().bottom() == 300 - 16 - 1 and toasts.geometry().right() <= 400 - 16
    assert toasts.geometry().top() >= 16


def test_the_oldest_of_too_many_messages_is_removed(parent: QWidget) -> None:
    toasts = Toasts(parent)
    for number in range(6):
        toasts.show_message(Message(str(number), f"Number {number}.", "error"))
    assert toasts.texts() == [f"Number {number}." for number in (2, 3, 4, 5)]
