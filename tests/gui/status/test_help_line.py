"""The help line: help for the control under the pointer or with the focus."""

import pytest
from PySide6.QtCore import QEvent, QPointF
from PySide6.QtGui import QEnterEvent
from PySide6.QtWidgets import QApplication, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from clipseg_live.core.settings.effects import KINDS
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.settings.effect_list import effect_help
from clipseg_live.gui.settings.panel import SettingsPanel
from clipseg_live.gui.state.models import Models
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.widgets.buttons import ChoiceBox, SegmentedControl
from clipseg_live.gui.widgets.slider_field import SliderField


def button(window: MainWindow, help_text: str, top: int) -> QPushButton:
    widget = QPushButton("x", window.body)
    widget.setStatusTip(help_text)
    widget.move(20, top)
    widget.show()
    return widget


@pytest.mark.slow
def test_help_follows_the_pointer_then_the_focus(window: MainWindow, qtbot: QtBot) -> None:
    one, other = button(window, "What one does.", 60), button(window, "What the other does.", 120)
    text = window.body.help_line.text
    assert "F1" in text()
    one.setFocus()
    qtbot.waitUntil(lambda: text() == "What one does.", timeout=2000)
    place = QPointF(other.rect().center())
    QApplication.sendEvent(other, QEnterEvent(place, place, place))
    assert text() == "What the other does."
    QApplication.sendEvent(other, QEvent(QEvent.Type.Leave))
    assert text() == "What one does."
    window.canvas.setFocus()
    qtbot.waitUntil(lambda: "F1" in text(), timeout=2000)


def test_a_child_of_a_control_has_its_help(window: MainWindow, qtbot: QtBot) -> None:
    outer = QWidget(window.body)
    outer.setStatusTip("All of it.")
    inner = QPushButton("x", outer)
    outer.show()
    inner.setFocus()
    qtbot.waitUntil(lambda: window.body.help_line.text() == "All of it.", timeout=2000)


def test_every_effect_and_settings_control_has_help(qtbot: QtBot) -> None:
    store = Store(LiveSettings())
    panel = SettingsPanel(store, models=Models(store, tuple), devices=["auto"], engines=["auto"])
    qtbot.addWidget(panel)
    assert all(effect_help(kind).endswith(".") for kind in KINDS)
    controls = [entry for kind in (SegmentedControl, SliderField, ChoiceBox) for entry in panel.findChildren(kind)]
    silent = [entry.accessibleName() for entry in controls if not entry.statusTip()]
    assert len(controls) >= 13 and not silent
