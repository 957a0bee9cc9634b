"""Messages below the frame."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QPushButton, QToolButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from clipseg_live.core.status import Message
from clipseg_live.gui.canvas import toasts as module
from clipseg_live.gui.canvas.toasts import MessageAction, Toasts


@pytest.fixture
def parent(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.resize(800, 500)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


@pytest.fixture
def toasts(parent: QWidget) -> Toasts:
    toasts = Toasts(parent)
    toasts.resize(600, 300)
    return toasts


def buttons(toasts: Toasts) -> list[QPushButton]:
    return [each for each in toasts.findChildren(QPushButton) if each.isVisible()]


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


def test_a_message_offers_actions_and_disappears_with_them(toasts: Toasts, qtbot: QtBot) -> None:
    pressed: list[str] = []
    actions = [MessageAction(text, lambda text=text: pressed.append(text)) for text in ("Retry", "Models…")]
    toasts.show_message(Message("worker", "It stopped.", "warning"), actions)
    qtbot.mouseClick(buttons(toasts)[1], Qt.MouseButton.LeftButton)
    assert pressed == ["Models…"] and toasts.texts() == []


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


def test_the_oldest_of_too_many_messages_is_removed(parent: QWidget) -> None:
    toasts = Toasts(parent)
    for number in range(6):
        toasts.show_message(Message(str(number), f"Number {number}.", "error"))
    assert toasts.texts() == [f"Number {number}." for number in (3, 4, 5)]
