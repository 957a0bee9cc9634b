"""The look panel: every control changes the settings at once, and shows them."""

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QColorDialog, QFileDialog, QVBoxLayout, QWidget

from clipseg_live.core.live import LiveSettings
from clipseg_live.core.settings import DEFAULT_MODEL, EFFECTS, FITS, PALETTE
from clipseg_live.gui.colours import ColourPopup
from clipseg_live.gui.look_panel import SIZES, LookPanel
from clipseg_live.gui.state import Store
from tests.gui.panel_tools import LEFT, click, drag, gone, show, top_level

MODELS = [(DEFAULT_MODEL, "CLIPSeg, refined"), ("shapes", "Shapes, built in")]
DEVICES = ["auto", "cpu", "cuda"]


@pytest.fixture
def make(qtbot):
    def make(size=(340, 620), **settings) -> LookPanel:
        panel = LookPanel(Store(LiveSettings(**settings)), models=MODELS, devices=DEVICES)
        panel.store = panel._store
        window = panel.kept = QWidget()
        column = QVBoxLayout(window)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(panel)
        show(qtbot, window, size)
        return panel

    return make


def pick(qtbot, choice, text: str) -> None:
    """Open a list, go to the item that reads so, and choose it, all with keys and the mouse."""
    place = choice.findText(text)
    assert place >= 0, f"{text} is not offered"
    choice.setFocus()
    qtbot.keyClick(choice, Qt.Key.Key_Space)
    view = choice.view()
    qtbot.waitUntil(view.isVisible)
    view.scrollTo(choice.model().index(place, 0))
    qtbot.mouseClick(view.viewport(), LEFT, pos=view.visualRect(choice.model().index(place, 0)).center())
    qtbot.waitUntil(lambda: not view.isVisible())


@pytest.mark.parametrize(
    ("control", "text", "value"),
    [
        ("effect", "Heatmap", lambda s: s.effect == "heatmap"),
        ("effect", "Blurred background", lambda s: s.effect == "blur"),
        ("effect", "Raw probabilities", lambda s: s.effect == "raw"),
        ("model", "Shapes, built in", lambda s: s.engine.model == "shapes"),
        ("device", "CPU", lambda s: s.engine.device == "cpu"),
        ("input_size", "224 pixels", lambda s: s.engine.size == 224),
        ("fit", "Letterbox", lambda s: s.engine.fit == "letterbox"),
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
    name = "A model with a name longer than its field"
    panel.model.setItemText(0, name)
    panel.model.setFocus()
    qtbot.keyClick(panel.model, Qt.Key.Key_Space)
    view = panel.model.view()
    qtbot.waitUntil(view.isVisible)
    assert view.viewport().width() >= view.fontMetrics().horizontalAdvance(name) > panel.model.width()
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert "CLIPSeg, refined" in panel.model.toolTip() and DEFAULT_MODEL in panel.model.toolTip()


def test_a_list_by_keys(qtbot, make):
    panel = make(effect="tint")
    panel.effect.setFocus()
    qtbot.keyClick(panel.effect, Qt.Key.Key_Down)
    assert panel.store.settings.effect == "outline"


def test_every_effect_and_fit_is_offered_with_a_name_and_every_size_fits_the_patch(make):
    panel = make()
    assert [panel.effect.itemData(place) for place in range(panel.effect.count())] == list(EFFECTS)
    assert [panel.fit.itemData(place) for place in range(panel.fit.count())] == list(FITS)
    names = [panel.effect.itemText(place) for place in range(panel.effect.count())]
    assert len(set(names)) == len(names) and all(name[0].isupper() for name in names)
    assert all(size is None or size % 16 == 0 for size in SIZES)


def test_the_backdrop_is_there_for_the_cut_out_alone(qtbot, make):
    panel = make(effect="tint")
    assert not panel.backdrop.isVisible() and not panel.backdrop_colour.isVisible()
    pick(qtbot, panel.effect, "Cut-out")
    assert panel.backdrop.isVisible() and panel.backdrop_colour.isVisible()
    click(qtbot, panel.backdrop.button("colour"))
    assert panel.store.settings.backdrop == "colour"
    click(qtbot, panel.backdrop.button("checkerboard"))
    assert panel.store.settings.backdrop == "checkerboard"


def test_the_colour_of_the_backdrop_is_shown_once_it_is_chosen(qtbot, make):
    panel = make(effect="cutout")
    click(qtbot, panel.backdrop_colour)
    click(qtbot, top_level(qtbot, ColourPopup).buttons[1])
    assert panel.store.settings.backdrop_colour == PALETTE[1] and panel.store.settings.backdrop == "colour"
    assert panel.backdrop.button("colour").isChecked()
    panel.store.undo()
    assert panel.store.settings.backdrop == "checkerboard"
    click(qtbot, panel.backdrop_colour)
    click(qtbot, top_level(qtbot, ColourPopup).more)
    dialog = top_level(qtbot, QColorDialog)
    dialog.setCurrentColor(QColor(1, 2, 3))
    dialog.accept()
    gone(qtbot, dialog)
    assert panel.store.settings.backdrop_colour == (1, 2, 3)


def test_smoothing_by_mouse_and_keys_stays_under_one(qtbot, make):
    panel = make(smoothing=0.3)
    slider = panel.smoothing
    drag(slider, QPoint(slider.place_of(0.3), 10), QPoint(slider.place_of(0.5), 10), QPoint(slider.width() + 50, 10))
    assert panel.store.settings.smoothing == 0.95
    panel.store.undo()
    assert panel.store.settings.smoothing == 0.3 and not panel.store.can_undo
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_Left)
    assert panel.store.settings.smoothing == pytest.approx(0.29)
    qtbot.keyClick(slider, Qt.Key.Key_End)
    qtbot.mouseDClick(slider, LEFT)
    assert panel.store.settings.smoothing == LiveSettings().smoothing


def test_two_drags_of_smoothing_are_two_steps(make):
    panel = make(smoothing=0.3)
    slider = panel.smoothing
    for part in (0.5, 0.7):
        drag(slider, QPoint(slider.place_of(0.4), 10), QPoint(slider.place_of(part), 10))
    panel.store.undo()
    assert panel.store.settings.smoothing == pytest.approx(0.5, abs=0.02)


def test_the_display_mode_says_what_it_does(qtbot, make):
    panel = make(mode="smooth")
    smooth = panel.mode_hint.text()
    click(qtbot, panel.mode.button("locked"))
    assert panel.store.settings.mode == "locked" and panel.mode.button("locked").isChecked()
    assert panel.mode_hint.text() not in ("", smooth)
    panel.mode.button("smooth").setFocus()
    qtbot.keyClick(panel.mode.button("smooth"), Qt.Key.Key_Space)
    assert panel.store.settings.mode == "smooth" and panel.mode_hint.text() == smooth


def test_a_model_in_a_folder(qtbot, make, tmp_path):
    folder = tmp_path / "my model"
    folder.mkdir()
    panel = make()
    pick(qtbot, panel.model, "Folder…")
    assert panel.model.currentText() == "CLIPSeg, refined"  # until one is chosen
    dialog = top_level(qtbot, QFileDialog)
    dialog.setDirectory(str(tmp_path))
    dialog.selectFile(str(folder))
    dialog.accept()
    gone(qtbot, dialog)
    assert panel.store.settings.engine.model == str(folder)
    assert panel.model.currentText() == "my model" and panel.model.toolTip() == str(folder)
    panel.store.undo()
    assert panel.model.currentText() == "CLIPSeg, refined"
    assert panel.model.findText("my model") == -1


def test_giving_up_the_folder_changes_nothing(qtbot, make):
    panel = make()
    pick(qtbot, panel.model, "Folder…")
    dialog = top_level(qtbot, QFileDialog)
    dialog.reject()
    gone(qtbot, dialog)
    assert not panel.store.can_undo and panel.model.currentText() == "CLIPSeg, refined"


def test_settings_that_are_not_offered_are_shown_all_the_same(make):
    engine = LiveSettings().engine.model_copy(update={"device": "cuda:1", "size": 416})
    panel = make(engine=engine)
    assert panel.device.currentText() == "cuda:1" and panel.input_size.currentText() == "416 pixels"
    assert panel.store.settings.engine == engine


def test_showing_the_settings_changes_nothing(make):
    panel = make(effect="cutout", backdrop="colour", smoothing=0.123, mode="locked")
    before = panel.store.settings
    panel.store.changed.emit()
    assert panel.store.settings is before and not panel.store.can_undo
    assert panel.store.settings.smoothing == 0.123


def test_every_control_has_a_name_and_a_label_of_its_own(make):
    panel = make(effect="cutout")
    controls = [
        panel.effect, panel.backdrop_colour, panel.backdrop.button("colour"), panel.smoothing,
        panel.mode.button("smooth"), panel.mode.button("locked"), panel.model, panel.device,
        panel.input_size, panel.fit,
    ]  # fmt: skip
    names = [control.accessibleName() for control in controls]
    assert all(names) and len(set(names)) == len(names)


def test_a_low_window_scrolls(make):
    panel = make(size=(300, 260), effect="cutout")
    assert panel.verticalScrollBar().maximum() > 0
    assert panel.widget().width() <= panel.viewport().width()
