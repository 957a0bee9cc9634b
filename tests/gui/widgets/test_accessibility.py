"""Accessible names and values of all controls."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PySide6.QtGui import QAccessible, QAccessibleInterface
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QScrollBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from clipseg_live.gui.app import panels_for
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.prompts.panel import PromptPanel
from clipseg_live.gui.prompts.row import PromptRowWidget
from clipseg_live.gui.state.preferences import Preferences, PreferencesStore
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.state.thread_bridge import Bridge
from clipseg_live.gui.widgets.accessible import ValueLabel
from clipseg_live.gui.widgets.number_range import PERCENT, NumberRange
from clipseg_live.gui.widgets.slider_field import SliderField
from tests.gui.conftest import FakeServices
from tests.helpers.gui.fake_session import FakeSession
from tests.helpers.gui.panel_tools import card, make_panel, settings_with

NAME, VALUE = QAccessible.Text.Name, QAccessible.Text.Value
USABLE = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit)


def interface(widget: QWidget) -> QAccessibleInterface:
    result = QAccessible.queryAccessibleInterface(widget)
    assert result is not None and result.isValid()
    return result


@pytest.fixture
def whole_window(qtbot: QtBot, tmp_path: Path) -> Iterator[MainWindow]:
    """Return the window with its real panels."""
    session, services = FakeSession(), FakeServices()
    store = Store(settings_with("red circle", "blue star"))
    preferences_store = PreferencesStore(
        tmp_path / "preferences.json", Preferences(folder=str(tmp_path)), lambda text: None
    )
    window = MainWindow(session, Bridge(session), store, preferences_store, services.real, panels_for(tmp_path))
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    yield window
    window.shut_down()


def is_own(widget: QWidget) -> bool:
    """Return whether a widget is from this package. Qt names the parts of its own widgets."""
    parents = (QAbstractSpinBox, QComboBox, QAbstractScrollArea)
    is_part = isinstance(widget.parentWidget(), parents) or isinstance(widget, QScrollBar)
    return not is_part and not widget.objectName().startswith(("qt_", "Scroll"))


@pytest.mark.slow
def test_every_control_has_a_name(whole_window: MainWindow) -> None:
    usable = [entry for entry in whole_window.findChildren(QWidget) if isinstance(entry, USABLE) and is_own(entry)]
    assert len(usable) > 40
    nameless = [f"{type(entry).__name__} in {type(entry.parentWidget()).__name__}" for entry in usable
                if not interface(entry).text(NAME).strip()]  # fmt: skip
    assert nameless == []


@pytest.mark.slow
def test_tabs_have_names(whole_window: MainWindow) -> None:
    def names(result: QAccessibleInterface) -> Iterator[tuple[QAccessible.Role, str]]:
        for number in range(result.childCount()):
            child = result.child(number)
            if child is not None and child.isValid():
                yield child.role(), child.text(NAME)
                yield from names(child)

    tabs = [name for role, name in names(interface(whole_window)) if role == QAccessible.Role.PageTab]
    assert len(tabs) >= 2 and all(tabs)


@pytest.mark.slow
def test_no_two_sliders_have_the_same_name(whole_window: MainWindow) -> None:
    names = [interface(entry).text(NAME) for entry in whole_window.findChildren(SliderField)]
    assert "Threshold of red circle" in names and "Opacity of blue star" in names
    assert len(set(names)) == len(names)


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("numbers", "value", "text"), [(PERCENT, 0.5, "50 %"), (NumberRange(), 0.07, "0.07")])
def test_a_slider_has_its_formatted_value(qtbot: QtBot, numbers: NumberRange, value: float, text: str) -> None:
    slider = SliderField("Strength", numbers)
    qtbot.addWidget(slider)
    slider.show_value(value)
    result = interface(slider)
    assert (result.role(), result.text(NAME), result.text(VALUE)) == (QAccessible.Role.Slider, "Strength", text)


def test_assistive_tools_can_read_and_change_a_slider(qtbot: QtBot) -> None:
    slider = SliderField("Strength", NumberRange(low=-1.0))
    qtbot.addWidget(slider)
    changes: list[float] = []
    slider.edited.connect(changes.append)
    # through the base class, so the value comes from Qt, as for a screen reader
    number = QAccessibleInterface.valueInterface(interface(slider))
    assert (number.minimumValue(), number.maximumValue(), number.minimumStepSize()) == (-100, 100, 1)
    number.setCurrentValue(25)
    assert changes == [0.25] and number.currentValue() == 25 and slider.value_text() == "0.25"


TEXTS = st.text(st.characters(codec="utf-8"), max_size=80)


@pytest.fixture
def panel(qtbot: QtBot) -> PromptPanel:
    return make_panel(qtbot, "red circle")


@pytest.mark.slow
@given(TEXTS, st.integers(0, 100), st.integers(0, 100), st.none() | st.floats(0, 1))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_a_row_describes_its_prompt(
    panel: PromptPanel, text: str, threshold: int, opacity: int, share: float | None
) -> None:
    row: PromptRowWidget = card(panel, 0)
    now = panel.store.settings.rows[0]
    style = now.style.model_copy(update={"threshold": threshold / 100, "opacity": opacity / 100})
    row.show_row(now.model_copy(update={"text": text, "style": style}), drawn=True, can_add=True)
    row.show_area(share)
    named = interface(row.threshold).text(NAME)
    assert named.startswith("Threshold of ") and len(named.splitlines()) == 1 and len(named) < 100
    assert interface(row.threshold).text(VALUE) == f"{threshold / 100:.2f}"
    assert interface(row.opacity).text(VALUE) == f"{opacity} %"
    label = interface(row.area_label)
    assert label.role() == QAccessible.Role.StaticText and label.text(VALUE) == row.area_label.text()
    assert row.area_label.text() in label.text(NAME) and label.text(NAME).startswith("Area of ")


def test_a_value_label_keeps_its_name(qtbot: QtBot) -> None:
    label = ValueLabel("Share")
    qtbot.addWidget(label)
    result = interface(label)
    assert (result.text(NAME), result.text(VALUE)) == ("Share", "")
    label.show_value("37 %")
    assert (result.text(NAME), result.text(VALUE)) == ("Share: 37 %", "37 %")


def test_accessible_interfaces_are_deleted_with_their_widgets(qtbot: QtBot) -> None:
    """Widgets are created and deleted while a screen reader runs."""
    for number in range(200):
        slider = SliderField("Strength")
        slider.show_value(number / 200)
        result = interface(slider)
        assert result.text(VALUE) == slider.value_text()
        del slider
