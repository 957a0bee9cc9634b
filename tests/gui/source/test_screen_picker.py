"""Selection of a region of the screen with real events."""

import pytest
from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QPixmap
from pytestqt.qtbot import QtBot

from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.source.menu import source_title
from clipseg_live.gui.source.screen_picker import SMALLEST, ScreenPicker, region_of

LEFT = Qt.MouseButton.LeftButton
SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def picker(window: MainWindow, qtbot: QtBot) -> ScreenPicker:
    window.source_menu.ask_region()
    result = window.source_menu.picker
    assert result is not None
    qtbot.waitExposed(result.covers[0])
    return result


def drag(qtbot: QtBot, cover: object, start: QPoint, end: QPoint) -> None:
    qtbot.mousePress(cover, LEFT, pos=start)
    qtbot.mouseMove(cover, end)
    qtbot.mouseRelease(cover, LEFT, pos=end)


@pytest.mark.parametrize(
    ("box", "origin", "ratio", "expected"),
    [
        (QRectF(10, 20, 300, 200), QPoint(), 1.0, (10, 20, 300, 200)),
        (QRectF(10, 20, 300, 200), QPoint(), 2.0, (20, 40, 600, 400)),
        (QRectF(10, 20, 300, 200), QPoint(1920, -200), 1.0, (1930, -180, 300, 200)),
        (QRectF(10, 20, 300, 200), QPoint(2560, 0), 1.5, (2575, 30, 450, 300)),
    ],
)
def test_a_region_is_in_desktop_pixels(box: QRectF, origin: QPoint, ratio: float, expected: tuple[int, ...]) -> None:
    assert region_of(box, origin, ratio) == expected


def test_every_screen_is_covered_completely(picker: ScreenPicker) -> None:
    assert [cover.geometry() for cover in picker.covers] == [entry.geometry() for entry in QGuiApplication.screens()]


def test_a_dragged_region_is_opened(window: MainWindow, picker: ScreenPicker, session, qtbot: QtBot) -> None:
    drag(qtbot, picker.covers[0], QPoint(300, 220), QPoint(60, 40))
    assert session.last_argument("open") == SourceSpec(name="screen:60,40,240,180")
    assert window.source_menu.picker is None
    assert window.source_menu.title() == "Screen, 240 × 180"
    qtbot.waitUntil(lambda: not [entry for entry in QGuiApplication.topLevelWindows() if entry.isVisible()][1:])


def test_a_region_is_clipped_to_its_screen(picker: ScreenPicker, session, qtbot: QtBot) -> None:
    cover = picker.covers[0]
    drag(qtbot, cover, QPoint(40, 30), QPoint(cover.width() + 500, -80))
    assert session.last_argument("open") == SourceSpec(name=f"screen:40,0,{cover.width() - 40},30")


def test_a_region_that_is_too_small_can_be_drawn_again(picker: ScreenPicker, session, qtbot: QtBot) -> None:
    cover = picker.covers[0]
    drag(qtbot, cover, QPoint(50, 50), QPoint(50 + SMALLEST - 1, 200))
    assert cover.isVisible() and cover.box is None and "open" not in session.names()
    drag(qtbot, cover, QPoint(50, 50), QPoint(50 + SMALLEST, 200))
    assert session.last_argument("open") == SourceSpec(name=f"screen:50,50,{SMALLEST},150")


@pytest.mark.parametrize("how", ["key", "button"])
def test_cancelling_opens_nothing(window: MainWindow, picker: ScreenPicker, session, qtbot: QtBot, how: str) -> None:
    cover = picker.covers[0]
    if how == "key":
        qtbot.keyClick(cover, Qt.Key.Key_Escape)
    else:
        qtbot.mouseClick(cover, Qt.MouseButton.RightButton, pos=QPoint(600, 400))
    assert window.source_menu.picker is None and not cover.isVisible() and "open" not in session.names()
    window.source_menu.ask_region()  # repeat
    assert window.source_menu.picker is not None
    window.source_menu.picker.covers[0].cancelled.emit()


def test_keys_draw_a_region(picker: ScreenPicker, session, qtbot: QtBot) -> None:
    cover = picker.covers[0]
    qtbot.keyClick(cover, Qt.Key.Key_Return)
    assert cover.isVisible()  # nothing is drawn yet
    qtbot.keyClick(cover, Qt.Key.Key_Right)
    first = cover.region()
    assert first == (cover.width() // 4, cover.height() // 4, cover.width() // 2, cover.height() // 2)
    qtbot.keyClick(cover, Qt.Key.Key_Right)
    qtbot.keyClick(cover, Qt.Key.Key_Up)
    qtbot.keyClick(cover, Qt.Key.Key_Down, SHIFT)
    qtbot.keyClick(cover, Qt.Key.Key_Enter)
    left, top, wide, high = first
    assert session.last_argument("open") == SourceSpec(name=f"screen:{left + 16},{top - 16},{wide},{high + 16}")


def test_the_region_is_bright_and_the_rest_is_dimmed(picker: ScreenPicker, qtbot: QtBot) -> None:
    cover = picker.covers[0]
    behind = QPixmap(cover.size())
    behind.fill(QColor(200, 200, 200))
    cover._screenshot = behind  # the offscreen platform has no screen content
    qtbot.mousePress(cover, LEFT, pos=QPoint(100, 100))
    qtbot.mouseMove(cover, QPoint(300, 300))
    seen = cover.grab().toImage()
    assert seen.pixelColor(200, 200).lightness() == 200
    assert seen.pixelColor(50, 300).lightness() < 120
    qtbot.mouseMove(cover, QPoint(101, 101))
    qtbot.mouseRelease(cover, LEFT, pos=QPoint(101, 101))
    qtbot.keyClick(cover, Qt.Key.Key_Escape)


@pytest.mark.slow
def test_the_menu_has_the_picker_if_there_is_a_screen(window: MainWindow, services, qtbot: QtBot) -> None:
    menu = window.source_menu._menu
    window.source_menu._fill()
    next(action for action in menu.actions() if "Screen region" in action.text()).trigger()
    qtbot.waitUntil(lambda: window.source_menu.picker is not None, timeout=2000)
    window.source_menu.picker.covers[0].cancelled.emit()
    services.screen = False
    window.source_menu._fill()
    assert not any("Screen region" in action.text() for action in menu.actions())


def test_screens_have_titles() -> None:
    assert source_title(SourceSpec(name="screen:")) == "Screen"
    assert source_title(SourceSpec(name="screen:0,0,640,360")) == "Screen, 640 × 360"
