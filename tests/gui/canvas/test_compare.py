"""Comparison with the original frame: the held key, and the line of the wipe."""

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.effects import BlackOut, Tint, Wipe
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.gui.canvas.canvas import Canvas
from clipseg_live.gui.main_window import MainWindow
from tests.helpers.gui.fake_session import rendered_frame

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def canvas(qtbot: QtBot) -> Canvas:
    widget = Canvas()
    qtbot.addWidget(widget)
    widget.resize(960, 540)
    widget.show()
    widget.setFocus()
    qtbot.waitExposed(widget)
    return widget


def compared_frame() -> RenderedFrame:
    """Return a frame that is black before effects and white after them."""
    plain = rendered_frame(width=64, height=36)
    frame = replace(plain.frame, pixels=np.zeros((36, 64, 3), np.uint8))
    return replace(plain, frame=frame, composed=np.full((36, 64, 3), 255, np.uint8))


def light(canvas: Canvas) -> int:
    return canvas.grab().toImage().pixelColor(480, 450).lightness()


def test_the_original_frame_is_shown_while_the_key_is_held(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.show_frame(compared_frame())
    assert light(canvas) == 255
    qtbot.keyPress(canvas, Qt.Key.Key_B)
    assert canvas.comparing and light(canvas) == 0
    canvas.show_frame(compared_frame())  # the next frame as well
    assert light(canvas) == 0
    qtbot.keyRelease(canvas, Qt.Key.Key_B)
    assert not canvas.comparing and light(canvas) == 255


def test_losing_the_focus_releases_the_key(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.show_frame(compared_frame())
    qtbot.keyPress(canvas, Qt.Key.Key_B)
    canvas.clearFocus()
    assert light(canvas) == 255


def test_hidden_pixels_stay_hidden_while_the_key_is_held(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.show_settings(LiveSettings(effects=(BlackOut(),)))
    canvas.show_frame(compared_frame())
    qtbot.keyPress(canvas, Qt.Key.Key_B)
    assert not canvas.comparing and light(canvas) == 255
    canvas.show_settings(LiveSettings())
    assert canvas.comparing and light(canvas) == 0
    canvas.show_settings(LiveSettings(effects=(BlackOut(),)))
    assert light(canvas) == 255


def test_the_wipe_is_dragged_by_its_line(canvas: Canvas, qtbot: QtBot) -> None:
    moved: list[float] = []
    canvas.wipe_tool.moved.connect(moved.append)
    canvas.show_settings(LiveSettings(effects=(Tint(), Wipe(at=0.5))))
    canvas.show_frame(compared_frame())
    qtbot.mouseMove(canvas, QPoint(481, 100))
    assert canvas.cursor().shape() == Qt.CursorShape.SplitHCursor
    with qtbot.waitSignal(canvas.wipe_tool.released):
        qtbot.mousePress(canvas, LEFT, pos=QPoint(481, 100))
        qtbot.mouseMove(canvas, QPoint(240, 120))
        qtbot.mouseMove(canvas, QPoint(-50, 120))
        qtbot.mouseRelease(canvas, LEFT, pos=QPoint(-50, 120))
    assert moved == pytest.approx([0.25, 0.0])
    assert canvas.viewport.zoom == 1.0


def test_a_drag_away_from_the_line_does_nothing(canvas: Canvas, qtbot: QtBot) -> None:
    moved: list[float] = []
    canvas.wipe_tool.moved.connect(moved.append)
    canvas.show_settings(LiveSettings(effects=(Wipe(at=0.5),)))
    canvas.show_frame(compared_frame())
    qtbot.mouseMove(canvas, QPoint(400, 100))
    assert canvas.cursor().shape() == Qt.CursorShape.ArrowCursor
    qtbot.mousePress(canvas, LEFT, pos=QPoint(400, 100))
    qtbot.mouseMove(canvas, QPoint(360, 100))
    qtbot.mouseRelease(canvas, LEFT, pos=QPoint(360, 100))
    assert not moved


@pytest.mark.parametrize("effects", [(), (Tint(),)])
def test_no_line_without_a_wipe(canvas: Canvas, qtbot: QtBot, effects: tuple[Tint, ...]) -> None:
    canvas.show_settings(LiveSettings(effects=effects))
    canvas.show_frame(compared_frame())
    qtbot.mouseMove(canvas, QPoint(480, 100))
    assert canvas.cursor().shape() == Qt.CursorShape.ArrowCursor


def test_a_drag_of_the_wipe_is_one_undo_step(window: MainWindow) -> None:
    store, canvas = window.store, window.canvas
    store.update(effects=(Tint(), Wipe(at=0.5)))
    canvas.wipe_tool.moved.emit(0.4)
    canvas.wipe_tool.moved.emit(0.3)
    canvas.wipe_tool.released.emit()
    assert store.settings.effects == (Tint(), Wipe(at=0.3))
    store.undo()
    assert store.settings.effects == (Tint(), Wipe(at=0.5))
    store.update(effects=(Tint(),))
    canvas.wipe_tool.moved.emit(0.2)
    assert store.settings.effects == (Tint(),)
