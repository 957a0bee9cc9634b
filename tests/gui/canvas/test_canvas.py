"""The canvas with real events. Painted pixels are read from a grab."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, QRectF, Qt, QUrl
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent, QImage, QWheelEvent
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.gui.canvas.canvas import Canvas
from clipseg_live.gui.canvas.painting import Notice
from clipseg_live.gui.canvas.readings import Reading, readings_at
from clipseg_live.gui.canvas.viewport import MOST_ZOOM
from clipseg_live.gui.widgets import theme
from tests.helpers.gui.fake_session import rendered_frame

LEFT = Qt.MouseButton.LeftButton
# Python can create one only by a deprecated constructor
PLAIN_POSITION = pytest.mark.filterwarnings("ignore:.*QDragEnterEvent:DeprecationWarning")


@pytest.fixture
def canvas(qtbot: QtBot) -> Canvas:
    widget = Canvas()
    qtbot.addWidget(widget)
    widget.resize(640, 480)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def colour(canvas: Canvas, x: int, y: int) -> tuple[int, int, int]:
    result = canvas.grab().toImage().pixelColor(x, y)
    return result.red(), result.green(), result.blue()


def wheel(canvas: Canvas, x: float, y: float, steps: int) -> None:
    event = QWheelEvent(
        QPointF(x, y), canvas.mapToGlobal(QPointF(x, y)), QPoint(), QPoint(0, 120 * steps),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(canvas, event)


def drag(qtbot: QtBot, canvas: Canvas, start: QPoint, end: QPoint, button: Qt.MouseButton = LEFT) -> None:
    qtbot.mousePress(canvas, button, pos=start)
    qtbot.mouseMove(canvas, (start + end) / 2)
    qtbot.mouseMove(canvas, end)
    qtbot.mouseRelease(canvas, button, pos=end)


def readings(canvas: Canvas, settings: LiveSettings, x: float, y: float) -> list[Reading]:
    return readings_at(canvas.frame, canvas.viewport.to_share(QPointF(x, y)), settings.rows)


def files(*paths: str) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(path) for path in paths])
    return data


def drop(canvas: Canvas, data: QMimeData) -> bool:
    where, action = QPoint(50, 50), Qt.DropAction.CopyAction
    enter = QDragEnterEvent(where, action, data, LEFT, Qt.KeyboardModifier.NoModifier)
    enter.ignore()
    QApplication.sendEvent(canvas, enter)
    if enter.isAccepted():
        event = QDropEvent(QPointF(where), action, data, LEFT, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(canvas, event)
    return enter.isAccepted()


def test_the_frame_is_fitted_with_its_aspect_ratio(canvas: Canvas) -> None:
    canvas.show_frame(rendered_frame(320, 180, value=200))
    assert canvas.viewport.frame_rect() == QRectF(0, 60, 640, 360)
    assert colour(canvas, 100, 240) == (100, 100, 100)
    assert colour(canvas, 500, 240) == (200, 200, 200)
    assert colour(canvas, 320, 30) == QColor(theme.BACKGROUND_COLOUR).getRgb()[:3]


def test_a_newer_frame_replaces_the_older_one(canvas: Canvas) -> None:
    canvas.show_frame(rendered_frame(value=200))
    canvas.show_frame(rendered_frame(value=40, index=1))
    assert colour(canvas, 500, 240) == (40, 40, 40)


def test_read_only_and_non_contiguous_pixels_are_painted(canvas: Canvas) -> None:
    whole = np.full((180, 640, 3), 60, np.uint8)
    whole.setflags(write=False)
    frame = rendered_frame()
    object.__setattr__(frame, "composed", whole[:, ::2])
    canvas.show_frame(frame)
    assert colour(canvas, 320, 240) == (60, 60, 60)


def test_only_the_background_is_painted_without_a_frame(canvas: Canvas) -> None:
    canvas.show_frame(rendered_frame())
    canvas.show_frame(None)
    assert canvas.image() is None
    assert colour(canvas, 320, 240) == QColor(theme.BACKGROUND_COLOUR).getRgb()[:3]


def test_the_wheel_zooms_about_the_pointer(canvas: Canvas) -> None:
    canvas.show_frame(rendered_frame())
    before = canvas.viewport.to_share(QPointF(200, 200))
    wheel(canvas, 200, 200, 4)
    assert canvas.viewport.zoom == pytest.approx(1.0015**480)
    after = canvas.viewport.to_share(QPointF(200, 200))
    assert (after.x(), after.y()) == pytest.approx((before.x(), before.y()))
    wheel(canvas, 200, 200, -40)
    assert canvas.viewport.zoom == 1.0
    assert canvas.viewport.frame_rect() == QRectF(0, 60, 640, 360)
    wheel(canvas, 200, 200, 100)
    assert canvas.viewport.zoom == MOST_ZOOM


def test_zoom_needs_a_frame(canvas: Canvas) -> None:
    wheel(canvas, 100, 100, 3)
    assert canvas.viewport.zoom == 1.0


def test_a_drag_pans_the_zoomed_frame_within_bounds(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.show_frame(rendered_frame())
    canvas.viewport.zoom_by(2.0)
    left = canvas.viewport.frame_rect().left()
    drag(qtbot, canvas, QPoint(300, 200), QPoint(360, 200))
    assert canvas.viewport.frame_rect().left() == pytest.approx(left + 60)
    drag(qtbot, canvas, QPoint(10, 200), QPoint(630, 200))
    assert canvas.viewport.frame_rect().left() == pytest.approx(0)


def test_shift_and_arrows_pan_the_zoomed_frame(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.show_frame(rendered_frame())
    canvas.viewport.zoom_by(2.0)
    left = canvas.viewport.frame_rect().left()
    qtbot.keyClick(canvas, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert canvas.viewport.frame_rect().left() == pytest.approx(left - 40)


def test_a_frame_of_another_size_resets_the_zoom(canvas: Canvas) -> None:
    canvas.show_frame(rendered_frame())
    canvas.viewport.zoom_by(4.0)
    canvas.show_frame(rendered_frame(100, 200))
    assert canvas.viewport.zoom == 1.0
    assert canvas.viewport.frame_rect() == QRectF(200, 0, 240, 480)


def test_the_view_stays_in_bounds_after_a_resize(canvas: Canvas) -> None:
    canvas.show_frame(rendered_frame())
    canvas.resize(320, 480)
    assert canvas.viewport.frame_rect() == QRectF(0, 150, 320, 180)


def test_a_double_click_requests_full_screen(canvas: Canvas, qtbot: QtBot) -> None:
    with qtbot.waitSignal(canvas.full_screen_requested, timeout=1000):
        qtbot.mouseDClick(canvas, LEFT, pos=QPoint(50, 50))


@pytest.mark.slow
def test_probabilities_under_the_pointer_are_shown(canvas: Canvas, qtbot: QtBot) -> None:
    settings = LiveSettings()
    for text in ("a mug", "hair"):
        settings = settings.model_copy(update={"rows": (*settings.rows, settings.new_row(text))})
    maps = np.zeros((2, 8, 8), np.float32)
    maps[0, :, 4:], maps[1, 0, 0] = 0.75, 0.25
    canvas.show_settings(settings)
    canvas.show_frame(rendered_frame(ids=(0, 1), maps=maps))
    result = readings(canvas, settings, 500, 240)
    assert [(entry.name, entry.probability, entry.passes) for entry in result] == [
        ("a mug", 0.75, True),
        ("hair", 0, False),
    ]
    assert [entry.probability for entry in readings(canvas, settings, 2, 62)] == [0, 0.25]
    assert readings(canvas, settings, 2, 58) == []
    without = canvas.grab().toImage()
    qtbot.mouseMove(canvas, QPoint(500, 240))
    shown = canvas.grab().toImage()
    assert shown != without
    dots = {shown.pixelColor(x, y).getRgb()[:3] for x in range(300, 640) for y in range(200, 420)}
    assert {row.style.colour for row in settings.rows} <= dots
    qtbot.mouseMove(canvas, QPoint(500, 20))
    assert canvas.grab().toImage() == without


def test_a_deleted_row_is_not_shown_under_the_pointer(canvas: Canvas) -> None:
    canvas.show_settings(LiveSettings())
    canvas.show_frame(rendered_frame(ids=(5,)))
    assert readings(canvas, LiveSettings(), 300, 240) == []


def test_a_drawn_box_has_relative_coordinates(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.show_frame(rendered_frame())
    canvas.box_tool.begin("crop")
    assert canvas.cursor().shape() is Qt.CursorShape.CrossCursor
    with qtbot.waitSignal(canvas.box_tool.drawn, timeout=1000) as drawn:
        drag(qtbot, canvas, QPoint(480, 330), QPoint(160, 150))
    purpose, box = drawn.args
    assert purpose == "crop"
    assert box.getRect() == pytest.approx((0.25, 0.25, 0.5, 0.5))
    assert canvas.box_tool.purpose is None


def test_a_box_is_clipped_to_the_frame(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.show_frame(rendered_frame())
    canvas.box_tool.begin(("prompt", 3))
    with qtbot.waitSignal(canvas.box_tool.drawn, timeout=1000) as drawn:
        drag(qtbot, canvas, QPoint(320, 240), QPoint(639, 479))
    purpose, box = drawn.args
    assert purpose == ("prompt", 3)
    assert box.right() == pytest.approx(639 / 640) and box.bottom() == 1.0


def test_the_frame_outside_a_drawn_box_is_dimmed(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.show_frame(rendered_frame(value=200))
    canvas.box_tool.begin("crop")
    qtbot.mousePress(canvas, LEFT, pos=QPoint(400, 200))
    qtbot.mouseMove(canvas, QPoint(560, 300))
    assert colour(canvas, 450, 250) == (200, 200, 200)
    assert colour(canvas, 350, 250)[0] < 180


def test_a_click_is_not_a_box_and_drawing_continues(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.show_frame(rendered_frame())
    canvas.box_tool.begin("crop")
    with qtbot.assertNotEmitted(canvas.box_tool.drawn):
        qtbot.mouseClick(canvas, LEFT, pos=QPoint(200, 200))
    assert canvas.box_tool.purpose == "crop"


@pytest.mark.parametrize("how", ["escape", "right button"])
def test_drawing_a_box_can_be_cancelled(canvas: Canvas, qtbot: QtBot, how: str) -> None:
    canvas.show_frame(rendered_frame())
    canvas.box_tool.begin("crop")
    with qtbot.waitSignal(canvas.box_tool.cancelled, timeout=1000) as cancelled:
        if how == "escape":
            qtbot.keyClick(canvas, Qt.Key.Key_Escape)
        else:
            qtbot.mouseClick(canvas, Qt.MouseButton.RightButton, pos=QPoint(200, 200))
    assert cancelled.args == ["crop"] and canvas.box_tool.purpose is None


def test_a_box_is_drawn_with_the_keyboard(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.show_frame(rendered_frame())
    canvas.box_tool.begin("crop")
    qtbot.keyClick(canvas, Qt.Key.Key_Return)
    assert canvas.box_tool.purpose == "crop"  # there is no box yet
    qtbot.keyClick(canvas, Qt.Key.Key_Right)
    qtbot.keyClick(canvas, Qt.Key.Key_Right)
    qtbot.keyClick(canvas, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    with qtbot.waitSignal(canvas.box_tool.drawn, timeout=1000) as drawn:
        qtbot.keyClick(canvas, Qt.Key.Key_Return)
    assert drawn.args[1].getRect() == pytest.approx((0.32, 0.3, 0.4, 0.42))


def test_a_box_needs_a_frame(canvas: Canvas) -> None:
    canvas.box_tool.begin("crop")
    assert canvas.box_tool.purpose is None


@PLAIN_POSITION
def test_dropped_files_are_emitted(canvas: Canvas, qtbot: QtBot) -> None:
    with qtbot.waitSignal(canvas.files_dropped, timeout=1000) as dropped:
        assert drop(canvas, files("/films/a.mp4", "/films/b.mp4"))
    assert dropped.args == [[Path("/films/a.mp4"), Path("/films/b.mp4")]]


@PLAIN_POSITION
def test_other_drops_are_rejected(canvas: Canvas) -> None:
    text = QMimeData()
    text.setText("hello")
    assert not drop(canvas, text)


def test_a_notice_is_centred_with_its_buttons(canvas: Canvas, qtbot: QtBot) -> None:
    canvas.show_frame(rendered_frame(value=200))
    bright = colour(canvas, 600, 400)
    canvas.show_notice(Notice("No camera", "There is none.", (("demo", "Demo scene"), ("retry", "Try again"))))
    assert colour(canvas, 600, 400)[0] < bright[0] / 2  # the last frame is dimmed
    first, second = canvas.findChildren(QPushButton)
    assert (first.text(), second.text()) == ("Demo scene", "Try again")
    assert abs((first.x() + second.geometry().right()) / 2 - 320) <= 2
    with qtbot.waitSignal(canvas.notice_action, timeout=1000) as pressed:
        qtbot.mouseClick(second, LEFT)
    assert pressed.args == ["retry"]
    canvas.show_notice(None)
    assert not first.isVisible() and colour(canvas, 600, 400) == bright


def test_a_quiet_notice_does_not_dim_the_frame(canvas: Canvas) -> None:
    canvas.show_frame(rendered_frame(value=200))
    without = canvas.grab().toImage()
    canvas.show_notice(Notice("Reconnecting", quiet=True, colour=theme.WARNING))
    shown = canvas.grab().toImage()
    assert shown.pixelColor(600, 400) == without.pixelColor(600, 400)
    top = {shown.pixelColor(x, y).name() for x in range(640) for y in range(60)}
    assert theme.WARNING in top


def test_the_copied_frame_has_its_original_size(canvas: Canvas) -> None:
    canvas.show_frame(rendered_frame(320, 180, value=200))
    image = canvas.image()
    assert isinstance(image, QImage)
    assert (image.width(), image.height()) == (320, 180)
    assert image.pixelColor(300, 10).getRgb()[:3] == (200, 200, 200)
