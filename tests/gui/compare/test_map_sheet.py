"""The sheet of probability maps, operated by mouse and keys in the window."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest

from clipseg_live.core.settings.effects import BlackOut
from clipseg_live.core.settings.live import LiveSettings, PromptRow
from clipseg_live.rendering.inspection import heat_colours
from tests.helpers.gui.fake_session import live_status, rendered_frame

Key = Qt.Key
SETTINGS = LiveSettings(
    rows=tuple(PromptRow(id=number, text=text) for number, text in enumerate(("cup", "mug", "jug")))
)
RAMP = np.tile(np.linspace(0, 1, 33, dtype=np.float32), (16, 1))


@pytest.fixture
def window(qtbot, make_window, session):
    window = make_window(SETTINGS)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    session.set_status(source=live_status())
    session.show(rendered_frame(ids=(2, 0), maps=np.stack([RAMP, RAMP * 0.5])))
    window._show_newest_frame()
    window.refresh()
    window.canvas.setFocus()
    return window


@pytest.fixture
def sheet(qtbot, window):
    qtbot.keyClick(window, Key.Key_F4)
    return window.body.map_sheet


def test_a_key_opens_and_closes_the_sheet(qtbot, window, sheet):
    assert sheet.isVisible() and sheet.geometry() == window.canvas.rect() and window.canvas.hasFocus()
    qtbot.keyClick(window, Key.Key_F4)
    assert not sheet.isVisible()
    qtbot.keyClick(window, Key.Key_F4)
    qtbot.keyClick(window.canvas, Key.Key_Escape)
    assert not sheet.isVisible()


def test_there_is_a_tile_for_each_predicted_prompt_in_the_order_of_the_list(window, sheet):
    assert [tile.name() for tile in sheet.tiles] == ["cup", "jug"]  # "mug" is not predicted yet
    assert [tile.figure() for tile in sheet.tiles] == ["max 0.50", "max 1.00"]
    assert sheet.tiles[0].accessibleName() == "Probability map of cup"


def test_maps_have_the_colours_of_the_heat_map(sheet):
    tile = sheet.tiles[1]
    image = tile.grab().toImage()
    middle = image.pixelColor(tile.rect().center())
    red, green, blue = (int(value) for value in heat_colours()[127])
    assert max(abs(middle.red() - red), abs(middle.green() - green), abs(middle.blue() - blue)) < 12
    target = tile._target().toRect()
    left, right = (image.pixelColor(x, tile.height() // 2) for x in (target.left() + 3, target.right() - 4))
    assert left.lightness() < 20 and right.lightness() > 180


def test_the_pointer_shows_the_probability(qtbot, window, sheet):
    tile = sheet.tiles[1]
    target = tile._target().toRect()
    for expected in (0.5, 0.9):
        QTest.mouseMove(tile, QPoint(round(target.left() + expected * target.width()), tile.height() // 2))
        qtbot.waitUntil(
            lambda expected=expected: tile.figure() != "max 1.00" and abs(float(tile.figure()) - expected) < 0.04
        )
    QTest.mouseMove(window, QPoint(5, 5))
    qtbot.waitUntil(lambda: tile.figure() == "max 1.00")


def test_a_click_shows_only_this_prompt_and_all_again(qtbot, window, sheet):
    for solo in (True, False):
        qtbot.mouseClick(sheet.tiles[0], Qt.MouseButton.LeftButton)
        assert [row.solo for row in window.store.settings.rows] == [solo, False, False]
    window.store.undo()
    assert window.store.settings.rows[0].solo


def test_tiles_follow_frames_and_rows(window, sheet, session):
    session.show(rendered_frame(ids=(0, 1, 2), maps=np.stack([RAMP] * 3), index=1))
    window._show_newest_frame()
    assert [tile.name() for tile in sheet.tiles] == ["cup", "mug", "jug"]
    window.store.update(rows=tuple(reversed(SETTINGS.rows[:2])))
    assert [tile.name() for tile in sheet.tiles] == ["mug", "cup"]
    window.store.update(rows=())
    assert not sheet.isVisible()


def test_tiles_fill_the_canvas(qtbot, window, sheet):
    covered = sheet.tiles[0].geometry().united(sheet.tiles[1].geometry())
    assert covered == sheet.rect()
    window.resize(1280, 480)
    first, second = sheet.tiles
    qtbot.waitUntil(lambda: first.y() == second.y() and first.geometry().right() < second.x())  # columns


def test_a_privacy_effect_closes_the_sheet(qtbot, window, sheet):
    window.store.update(effects=(BlackOut(),))
    assert not sheet.isVisible()
    qtbot.keyClick(window, Key.Key_F4)
    assert not sheet.isVisible() and "Maps would show" in window.toasts.texts()[0]
    window.store.undo()
    assert not sheet.isVisible()


def test_colours_of_prompts_are_in_the_captions(sheet):
    tile = sheet.tiles[0]
    colour = QColor(*SETTINGS.rows[0].style.colour)
    image = tile.grab().toImage()
    left, bottom = tile._target().toRect().left(), image.height()
    dots = sum(image.pixelColor(left + x, bottom - y) == colour for x in range(40) for y in range(1, 50))
    assert dots > 10
