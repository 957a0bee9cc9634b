"""Role and matte shape of a prompt, set by mouse and keyboard, and their display with presence in the row."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from clipseg_live.core.settings.base import MatteShape, PromptStyle
from clipseg_live.core.settings.live import LiveSettings, PromptRow
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.prompts.panel import PromptPanel
from clipseg_live.gui.prompts.row_options import RowOptions
from clipseg_live.gui.widgets.slider_field import SliderField
from tests.helpers.gui.fake_session import FakeSession, rendered_frame
from tests.helpers.gui.panel_tools import card, click, make_panel

ALT = Qt.KeyboardModifier.AltModifier


@pytest.fixture
def panel(qtbot: QtBot) -> PromptPanel:
    return make_panel(qtbot, "cup", "hand", "plate")


def open_options(qtbot: QtBot, panel: PromptPanel, index: int = 0) -> RowOptions:
    qtbot.keyClick(card(panel, index).field, Qt.Key.Key_Return, ALT)
    result = [entry for entry in QApplication.topLevelWidgets() if isinstance(entry, RowOptions) and entry.isVisible()]
    assert len(result) == 1
    return result[0]


def style(panel: PromptPanel, index: int = 0) -> PromptStyle:
    return panel.store.settings.rows[index].style


def drag_to(slide: SliderField, value: float) -> None:
    """Drag a slider from its position to a value."""
    start, end = QPoint(slide.position_of(slide.value() / 100), 8), QPoint(slide.position_of(value), 8)
    QTest.mousePress(slide, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, start)
    QTest.mouseMove(slide, (start + end) / 2)
    QTest.mouseMove(slide, end)
    QTest.mouseRelease(slide, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, end)


@pytest.mark.slow
@pytest.mark.parametrize("role", ["negative", "contrast"])
def test_the_role_is_set_and_shown_in_the_row(panel: PromptPanel, qtbot: QtBot, role: str) -> None:
    options = open_options(qtbot, panel)
    assert not card(panel, 0).badge.isVisible() and not options.targets.isVisible()
    click(qtbot, options.role.button(role))
    assert style(panel).role == role and options.targets.isVisible()
    assert card(panel, 0).badge.isVisible() and card(panel, 0).badge.toolTip()
    panel.store.undo()
    assert style(panel).role == "positive" and not card(panel, 0).badge.isVisible()


@pytest.mark.slow
def test_the_target_is_one_prompt_or_all(panel: PromptPanel, qtbot: QtBot) -> None:
    options = open_options(qtbot, panel)
    click(qtbot, options.role.button("negative"))
    texts = [options.targets.itemText(index) for index in range(options.targets.count())]
    assert texts[1:] == ["hand", "plate"]
    options.targets.setFocus()
    qtbot.keyClick(options.targets, Qt.Key.Key_End)
    options.targets.activated.emit(options.targets.currentIndex())
    assert style(panel).targets == (panel.store.settings.rows[2].id,)
    options.targets.activated.emit(0)
    assert style(panel).targets == ()


@pytest.mark.slow
def test_several_targets_of_a_session_are_kept(panel: PromptPanel, qtbot: QtBot) -> None:
    row, *others = panel.store.settings.rows
    several = row.style.model_copy(update={"role": "contrast", "targets": tuple(entry.id for entry in others)})
    panel.store.edit_row(row.model_copy(update={"style": several}))
    options = open_options(qtbot, panel)
    last = options.targets.count() - 1
    assert options.targets.currentIndex() == last
    options.targets.activated.emit(last)
    assert style(panel) == several


@pytest.mark.parametrize(
    ("name", "value"),
    [("grow", 2.0), ("grow", -2.0), ("feather", 1.0), ("feather", -3.0), ("min_area", 1.0), ("fill_holes", 0.5)],
)
def test_each_matte_slider_is_one_undo_step(panel: PromptPanel, qtbot: QtBot, name: str, value: float) -> None:
    options = open_options(qtbot, panel)
    drag_to(getattr(options, name), value)
    assert getattr(style(panel).shape, name) == pytest.approx(value, abs=0.05)
    assert "mask options" in card(panel, 0).menu_button.toolTip()
    panel.store.undo()
    assert style(panel).shape == MatteShape() and "shape" not in card(panel, 0).menu_button.toolTip()
    assert getattr(options, name).value() == round(100 * getattr(MatteShape(), name))


def test_a_number_beyond_the_slider_can_be_typed(panel: PromptPanel, qtbot: QtBot) -> None:
    options = open_options(qtbot, panel)
    click(qtbot, options.grow)
    qtbot.keyClicks(options.grow.editor, "-8")
    qtbot.keyClick(options.grow.editor, Qt.Key.Key_Return)
    assert style(panel).shape.grow == -8.0 and options.grow.value_text() == "-8 %"
    click(qtbot, options.grow)
    qtbot.keyClick(options.grow.editor, Qt.Key.Key_Escape)
    assert options.isVisible() and style(panel).shape.grow == -8.0, "Escape closes the number only"


@pytest.mark.slow
def test_reset_restores_all_defaults(panel: PromptPanel, qtbot: QtBot) -> None:
    options = open_options(qtbot, panel)
    assert not options.reset.isEnabled()
    drag_to(options.grow, 3.0)
    click(qtbot, options.role.button("contrast"))
    assert options.reset.isEnabled() and not options.grow.isEnabled()  # a prompt that is not drawn has no shape
    click(qtbot, options.reset)
    assert style(panel) == PromptStyle(colour=style(panel).colour) and not options.reset.isEnabled()


def test_other_rows_are_unchanged(panel: PromptPanel, qtbot: QtBot) -> None:
    before = panel.store.settings.rows
    drag_to(open_options(qtbot, panel, 1).fill_holes, 1.0)
    after = panel.store.settings.rows
    assert after[0] == before[0] and after[2] == before[2] and after[1] != before[1]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["escape", "deleted"])
def test_a_closed_popup_is_deleted(panel: PromptPanel, qtbot: QtBot, how: str) -> None:
    options = open_options(qtbot, panel)
    if how == "escape":
        qtbot.keyClick(options, Qt.Key.Key_Escape)
    else:
        panel.store.update(rows=panel.store.settings.rows[1:])
    qtbot.waitUntil(lambda: not isValid(options), timeout=2000)
    panel.store.update(rows=())


def test_the_menu_opens_the_options(panel: PromptPanel, qtbot: QtBot) -> None:
    menu = card(panel, 0).menu()
    next(action for action in menu.actions() if "Mask options" in action.text()).trigger()
    options = next(
        entry for entry in QApplication.topLevelWidgets() if isinstance(entry, RowOptions) and isValid(entry)
    )
    assert options.isVisible()
    options.close()


def test_presence_is_shown_and_dims_the_area_of_absent_prompts(panel: PromptPanel) -> None:
    level = panel.store.settings.matte.presence_threshold
    panel.show_areas({0: 0.3, 1: 0.02}, {0: 0.97, 1: level - 0.05})
    first, second = card(panel, 0).area_label, card(panel, 1).area_label
    assert "0.97" in first.toolTip() and "0.97" in first.accessibleDescription()
    assert (first.property("kind"), second.property("kind")) == ("figure", "absent")
    panel.show_areas({0: 0.3, 1: 0.02}, {})
    assert second.property("kind") == "figure" and "0.97" not in first.toolTip()


def test_only_presence_of_drawn_prompts_is_shown(make_window: Callable[..., MainWindow], session: FakeSession) -> None:
    window = make_window(LiveSettings(rows=(PromptRow(id=3, text="a"), PromptRow(id=5, text="b"))))
    plain = rendered_frame(ids=(3, 5))
    session.show(replace(plain, presence=(0.9, 0.0), drawn_ids=(3,), maps=np.zeros((2, 4, 4), np.float32)))
    window.refresh()
    assert window.prompts.presence == {3: 0.9}
