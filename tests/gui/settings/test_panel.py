"""The settings panel: every control changes the settings at once and shows them."""

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QFileDialog, QPushButton, QToolButton, QVBoxLayout, QWidget

from clipseg_live.core.settings.base import PALETTE, RESIZE_MODES
from clipseg_live.core.settings.effects import KINDS, CutOut, Glow, Pixelate, Tint
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.presets import PRESETS
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.gui.settings.effect_list import effect_title
from clipseg_live.gui.settings.effect_options import EffectOptions
from clipseg_live.gui.settings.panel import MODEL_SIZES, SettingsPanel
from clipseg_live.gui.state.models import Models
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.widgets.buttons import ChoiceBox
from clipseg_live.gui.widgets.colour_picker import ColourChooser, ColourPopup
from clipseg_live.gui.widgets.slider_field import SliderField
from tests.helpers.gui.model_entries import catalogue_entries
from tests.helpers.gui.panel_tools import LEFT, click, drag, show, top_level, wait_closed
from tests.helpers.packages import forget_packages, install

DEVICES = ["auto", "cpu", "cuda"]
ENGINES = ["auto", "torch", "openvino"]


@pytest.fixture
def make(qtbot):
    def make(size=(340, 620), **settings) -> SettingsPanel:
        store = Store(LiveSettings(**settings))
        panel = SettingsPanel(store, models=Models(store, catalogue_entries), devices=DEVICES, engines=ENGINES)
        panel.store = store
        window = panel.kept = QWidget()
        column = QVBoxLayout(window)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(panel)
        show(qtbot, window, size)
        return panel

    return make


def pick(qtbot, choice, text: str) -> None:
    """Open a list and select an item by its text, by keyboard and mouse."""
    index = choice.findText(text)
    assert index >= 0, f"{text} is not offered"
    choice.setFocus()
    qtbot.keyClick(choice, Qt.Key.Key_Space)
    view = choice.view()
    qtbot.waitUntil(view.isVisible)
    view.scrollTo(choice.model().index(index, 0))
    qtbot.mouseClick(view.viewport(), LEFT, pos=view.visualRect(choice.model().index(index, 0)).center())
    qtbot.waitUntil(lambda: not view.isVisible())


@pytest.mark.parametrize(
    ("control", "text", "value"),
    [
        ("detail", "Tiles (slow)", lambda s: s.engine.detail == "tiles"),
        ("device", "CPU", lambda s: s.engine.device == "cpu"),
        ("engine", "OpenVINO", lambda s: s.engine.engine == "openvino"),
        ("precision", "bfloat16", lambda s: s.engine.dtype == "bfloat16"),
        ("reuse", "Off", lambda s: s.engine.reuse == "off"),
        ("input_size", "224 pixels", lambda s: s.engine.size == 224),
        ("resize_mode", "Letterbox", lambda s: s.engine.resize_mode == "letterbox"),
    ],
)
def test_a_list_changes_the_settings(qtbot, make, control, text, value):
    panel = make()
    assert not value(panel.store.settings)
    pick(qtbot, getattr(panel, control), text)
    assert value(panel.store.settings)
    assert getattr(panel, control).currentText() == text
    panel.store.undo()
    assert not value(panel.store.settings) and getattr(panel, control).currentText() != text


def test_long_names_can_be_read(qtbot, make):
    panel = make(size=(300, 600))
    name = "A choice with a name longer than its field"
    panel.detail.setItemText(0, name)
    panel.detail.setFocus()
    qtbot.keyClick(panel.detail, Qt.Key.Key_Space)
    view = panel.detail.view()
    qtbot.waitUntil(view.isVisible)
    assert view.viewport().width() >= view.fontMetrics().horizontalAdvance(name) > panel.detail.width()
    qtbot.keyClick(view, Qt.Key.Key_Escape)


def test_a_list_is_operated_by_keys(qtbot, make):
    panel = make()
    panel.resize_mode.setFocus()
    qtbot.keyClick(panel.resize_mode, Qt.Key.Key_Down)
    assert panel.store.settings.engine.resize_mode == RESIZE_MODES[1]


def test_every_fit_is_offered_and_sizes_are_multiples_of_the_patch(make):
    panel = make()
    assert [panel.resize_mode.itemData(index) for index in range(panel.resize_mode.count())] == list(RESIZE_MODES)
    assert all(size is None or size % 16 == 0 for size in MODEL_SIZES)


def effect_button(qtbot, panel, name: str) -> QToolButton:
    """Return the button of the effect list with this name."""

    def result() -> list[QToolButton]:
        return [
            entry
            for entry in panel.effects.findChildren(QToolButton)
            if entry.accessibleName() == name and entry.isVisible()
        ]

    qtbot.waitUntil(lambda: len(result()) == 1)
    return result()[0]


def kinds(panel) -> list[str]:
    return [effect.kind for effect in panel.store.settings.effects]


@pytest.mark.slow
def test_effects_are_added_moved_and_removed(qtbot, make):
    panel = make()
    assert kinds(panel) == ["tint", "outline"]
    offered = [action.text() for action in panel.effects.add_button.menu().actions() if not action.isSeparator()]
    assert len(offered) == len(KINDS) and len(set(offered)) == len(offered)
    next(entry for entry in panel.effects.add_button.menu().actions() if entry.text() == effect_title("glow")).trigger()
    assert kinds(panel) == ["tint", "outline", "glow"]
    click(qtbot, effect_button(qtbot, panel, "Draw Glow earlier"))
    assert kinds(panel) == ["tint", "glow", "outline"]
    click(qtbot, effect_button(qtbot, panel, "Remove Tint"))
    assert kinds(panel) == ["glow", "outline"]
    click(qtbot, effect_button(qtbot, panel, "Draw Outline later"))  # it is already the last one
    assert kinds(panel) == ["glow", "outline"]
    for _ in range(3):
        panel.store.undo()
    assert kinds(panel) == ["tint", "outline"] and not panel.store.can_undo
    click(qtbot, effect_button(qtbot, panel, "Remove Outline"))
    click(qtbot, panel.reset_effects)
    assert kinds(panel) == ["tint", "outline"] and not panel.reset_effects.isEnabled()


@pytest.mark.slow
def test_options_of_an_effect_expand_and_change_it(qtbot, make):
    panel = make(effects=(Tint(), Glow()))
    assert not panel.effects.findChildren(SliderField)
    click(qtbot, effect_button(qtbot, panel, "Glow options"))
    qtbot.waitUntil(lambda: panel.effects.findChild(EffectOptions).isVisible())
    slide = next(entry for entry in panel.effects.findChildren(SliderField) if entry.accessibleName() == "Strength")
    drag(
        slide,
        QPoint(slide.position_of(0.8), 10),
        QPoint(slide.position_of(0.6), 10),
        QPoint(slide.position_of(0.4), 10),
    )
    assert panel.store.settings.effects[1].strength == pytest.approx(0.4, abs=0.02)
    panel.store.undo()
    assert panel.store.settings.effects == (Tint(), Glow()) and slide.value() == 80
    click(qtbot, effect_button(qtbot, panel, "Glow options"))
    assert not [entry for entry in panel.effects.findChildren(SliderField) if entry.isVisible()]


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_every_effect_has_controls_for_its_values(qtbot, make, kind):
    panel = make(size=(340, 900), effects=(KINDS[kind](),))
    fields = [name for name in KINDS[kind].model_fields if name != "kind"]
    if fields:
        click(qtbot, effect_button(qtbot, panel, f"{effect_title(kind)} options"))
        options = panel.effects.findChild(EffectOptions)
        assert options is not None and set(options._setters) == set(fields)
    assert not panel.store.can_undo


GRAIN = """
from typing import ClassVar, Literal
from pydantic import Field
from clipseg_live.plugins import EffectInfo, EffectSettings

class Grain(EffectSettings):
    \"\"\"Draw grain.\"\"\"
    info: ClassVar = EffectInfo(title="Film grain", help="Draws grain.", group="change", drawing="grain:draw")
    kind: Literal["grain"] = "grain"
    size: int = Field(default=2, gt=0, le=9, title="Size", description="Side of a grain in pixels.")
    angle: float = Field(default=0.0, ge=-90.0, le=90.0)
    note: str = ""
"""


@pytest.mark.slow
def test_an_effect_of_a_package_is_offered_with_its_options(qtbot, make, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    forget_packages(monkeypatch)
    install(tmp_path, "grain", {"clipseg_live.effects": {"grain": "grain:Grain", "sand": "grain:Sand"}}, GRAIN)
    panel = make(effects=())
    menu = panel.effects.add_button.menu()
    assert "Film grain" not in [action.text() for action in menu.actions()], "packages slow down no start"
    menu.aboutToShow.emit()
    offered = [action.text() for action in menu.actions() if not action.isSeparator()]
    assert len(offered) == len(KINDS) + 1 and offered.index("Film grain") < offered.index(effect_title("heatmap"))
    next(action for action in menu.actions() if action.text() == "Film grain").trigger()
    assert kinds(panel) == ["grain"]
    options = panel.effects.findChild(EffectOptions)
    assert list(options._setters) == ["size", "angle"], "a text has no control"
    size, angle = options.findChildren(SliderField)
    assert (size.accessibleName(), size.value_text(), size.toolTip()) == ("Size", "2", "Side of a grain in pixels.")
    qtbot.keyClick(size, Qt.Key.Key_Home)
    assert panel.store.settings.effects[0].size == 1
    qtbot.keyClick(size, Qt.Key.Key_End)
    assert panel.store.settings.effects[0].size == 9 and type(panel.store.settings.effects[0].size) is int
    qtbot.keyClick(angle, Qt.Key.Key_Home)
    assert panel.store.settings.effects[0].angle == -90


@pytest.mark.slow
def test_a_backdrop_can_be_selected(qtbot, make, tmp_path):
    panel = make(size=(340, 900), effects=(CutOut(),))
    click(qtbot, effect_button(qtbot, panel, "Cut-out options"))
    options = panel.effects.findChild(EffectOptions)
    pick(qtbot, options.findChild(ChoiceBox), "Colour")
    assert panel.store.settings.effects[0].backdrop == "colour"
    click(qtbot, options.findChild(ColourChooser))
    click(qtbot, top_level(qtbot, ColourPopup).buttons[1])
    assert panel.store.settings.effects[0].colour == PALETTE[1]
    picture = tmp_path / "beach.png"
    picture.write_bytes(b"")
    click(qtbot, next(entry for entry in options.findChildren(QPushButton) if entry.text() == "Choose…"))
    dialog = top_level(qtbot, QFileDialog)
    dialog.setDirectory(str(tmp_path))
    dialog.selectFile(str(picture))
    dialog.accept()
    wait_closed(qtbot, dialog)
    assert panel.store.settings.effects[0].file == picture


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_is_one_undo_step(make, name):
    panel = make(effects=(Tint(), Glow()), mode="locked")
    actions = {action.text(): action for action in panel.effects.preset_button.menu().actions()}
    actions[name.capitalize()].trigger()
    assert (panel.store.settings.effects, panel.store.settings.matte) == PRESETS[name]
    panel.store.undo()
    assert panel.store.settings.effects == (Tint(), Glow()) and not panel.store.can_undo


def test_privacy_effects_force_the_display_mode(qtbot, make):
    panel = make(mode="smooth", effects=(Pixelate(),))
    assert panel.mode.button("locked").isChecked() and not panel.mode.isEnabled()
    assert "own masks" in panel.mode_hint.text()
    click(qtbot, effect_button(qtbot, panel, "Remove Pixelate"))
    assert panel.mode.button("smooth").isChecked() and panel.mode.isEnabled()


def test_matte_controls_change_the_settings(qtbot, make):
    panel = make(size=(340, 900))
    assert not panel.masks.background_threshold.isVisible() and not panel.reset_masks.isEnabled()
    click(qtbot, panel.masks.overlap.button("exclusive"))
    click(qtbot, panel.masks.motion_tracking.button(False))
    click(qtbot, panel.masks.auto_hide.button(True))
    matte = panel.store.settings.matte
    assert (matte.overlap, matte.motion_tracking, matte.auto_hide) == ("exclusive", False, True)
    assert panel.masks.background_threshold.isVisible() and panel.masks.presence_threshold.isVisible()
    click(qtbot, panel.reset_masks)
    assert panel.store.settings.matte == MatteSettings()


def test_smoothing_is_set_by_mouse_and_keys(qtbot, make):
    panel = make(matte=MatteSettings(smoothing=0.3))
    slider = panel.masks.smoothing
    drag(
        slider,
        QPoint(slider.position_of(0.3), 10),
        QPoint(slider.position_of(0.5), 10),
        QPoint(slider.width() + 50, 10),
    )
    assert panel.store.settings.matte.smoothing == 1.0
    panel.store.undo()
    assert panel.store.settings.matte.smoothing == 0.3 and not panel.store.can_undo
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_Left)
    assert panel.store.settings.matte.smoothing == pytest.approx(0.29)
    qtbot.keyClick(slider, Qt.Key.Key_End)
    qtbot.mouseDClick(slider, LEFT)
    assert panel.store.settings.matte.smoothing == MatteSettings().smoothing


def test_two_drags_of_smoothing_are_two_undo_steps(make):
    panel = make(matte=MatteSettings(smoothing=0.3))
    slider = panel.masks.smoothing
    for part in (0.5, 0.7):
        drag(slider, QPoint(slider.position_of(0.4), 10), QPoint(slider.position_of(part), 10))
    panel.store.undo()
    assert panel.store.settings.matte.smoothing == pytest.approx(0.5, abs=0.02)


def test_the_display_mode_is_explained(qtbot, make):
    panel = make(mode="smooth")
    smooth = panel.mode_hint.text()
    click(qtbot, panel.mode.button("locked"))
    assert panel.store.settings.mode == "locked" and panel.mode.button("locked").isChecked()
    assert panel.mode_hint.text() not in ("", smooth)
    panel.mode.button("smooth").setFocus()
    qtbot.keyClick(panel.mode.button("smooth"), Qt.Key.Key_Space)
    assert panel.store.settings.mode == "smooth" and panel.mode_hint.text() == smooth


@pytest.mark.slow
def test_unlisted_settings_are_shown(make):
    engine = LiveSettings().engine.model_copy(update={"device": "cuda:1", "size": 416})
    panel = make(engine=engine)
    assert panel.device.currentText() == "cuda:1" and panel.input_size.currentText() == "416 pixels"
    assert panel.store.settings.engine == engine


@pytest.mark.slow
def test_showing_the_settings_changes_nothing(make):
    panel = make(effects=(CutOut(backdrop="colour"),), matte=MatteSettings(smoothing=0.123), mode="locked")
    before = panel.store.settings
    panel.store.changed.emit()
    assert panel.store.settings is before and not panel.store.can_undo
    assert panel.store.settings.matte.smoothing == 0.123


@pytest.mark.slow
def test_every_control_has_a_unique_name_and_label(make):
    panel = make()
    controls = [
        panel.effects.add_button, panel.effects.preset_button, panel.masks.smoothing, panel.masks.motion_tracking,
        panel.mode.button("smooth"), panel.mode.button("locked"), panel.model, panel.device,
        panel.input_size, panel.resize_mode,
    ]  # fmt: skip
    names = [control.accessibleName() for control in controls]
    assert all(names) and len(set(names)) == len(names)


@pytest.mark.slow
def test_a_small_window_scrolls(make):
    panel = make(size=(300, 260), effects=(CutOut(),))
    assert panel.verticalScrollBar().maximum() > 0
    assert panel.widget().width() <= panel.viewport().width()
