"""Asking which words fit the pixel under the pointer, with Alt."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest

from clipseg_live.app.words.vocabulary import OWN_WORDS, model_words
from clipseg_live.core.analysis.word_maps import WordMaps
from clipseg_live.core.status import WorkerState, WorkerStatus
from clipseg_live.gui.canvas.readings import word_readings
from tests.helpers.gui.fake_session import live_status, rendered_frame

READY = WorkerStatus(WorkerState.READY, model="shapes", device="cpu", dtype="float32")
MAPS = np.stack([np.full((2, 2), 0.1), np.array([[0.9, 0.2], [0.9, 0.2]]), np.full((2, 2), 0.6)]).astype(np.float32)
WORDS = WordMaps(("circle", "star", "ring"), MAPS, 118)


@pytest.fixture
def window(qtbot, make_window, session):
    window = make_window()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    session.set_status(source=live_status(), worker=READY)
    session.show(rendered_frame(ids=(0,)))
    window._show_newest_frame()
    window.canvas.setFocus()
    point_at(qtbot, window, QPoint(200, 300))
    return window


def point_at(qtbot, window, point: QPoint) -> None:
    """Move the pointer to a point of the canvas, from another one: an earlier test may have left it there."""
    for target in (point + QPoint(9, 9), point):
        QTest.mouseMove(window.canvas, target)
    qtbot.waitUntil(lambda: window.canvas._pointer == QPointF(point))


def test_words_are_asked_while_alt_is_held(qtbot, window, session):
    window.refresh()
    assert session.asked == ()
    qtbot.keyPress(window.canvas, Qt.Key.Key_Alt)
    window.refresh()
    assert session.asked == model_words("shapes") and window.canvas.asks_words
    qtbot.keyRelease(window.canvas, Qt.Key.Key_Alt)
    window.refresh()
    assert session.asked == () and not window.canvas.asks_words


def test_the_own_list_is_asked(qtbot, window, session, tmp_path):
    (tmp_path / OWN_WORDS).write_text("a bolt\n", "utf-8")
    qtbot.keyPress(window.canvas, Qt.Key.Key_Alt)
    window.refresh()
    assert session.asked == ("a bolt",)


def test_leaving_the_canvas_stops_asking(qtbot, window, session):
    qtbot.keyPress(window.canvas, Qt.Key.Key_Alt)
    QTest.mouseMove(window, QPoint(5, 5))
    qtbot.waitUntil(lambda: not window.canvas.asks_words)
    window.refresh()
    assert session.asked == ()
    point_at(qtbot, window, QPoint(200, 300))
    qtbot.keyPress(window.canvas, Qt.Key.Key_Alt)
    assert window.canvas.asks_words
    window.status_line.details_button.setFocus()
    assert not window.canvas.asks_words


def test_the_best_words_of_the_pixel_are_listed():
    left, right = word_readings(WORDS, QPointF(0.2, 0.5)), word_readings(WORDS, QPointF(0.8, 0.5))
    assert [(each.name, round(each.probability, 2), each.passes) for each in left] == [
        ("star", 0.9, True), ("ring", 0.6, True), ("circle", 0.1, False),
    ]  # fmt: skip
    assert [each.name for each in right] == ["ring", "star", "circle"]
    unlikely = WordMaps(("star", "ring"), np.full((2, 2, 2), 0.001, np.float32), 2)
    assert [each.name for each in word_readings(unlikely, QPointF(0, 0))] == ["star"]  # others would read 0.00
    assert word_readings(WORDS, QPointF(1.2, 0.5)) == [] == word_readings(WordMaps(), QPointF(0.5, 0.5))


def test_the_card_is_painted_beside_the_pointer(qtbot, window, session):
    before = window.canvas.grab().toImage()
    session.words = WORDS
    qtbot.keyPress(window.canvas, Qt.Key.Key_Alt)
    window.refresh()
    after = window.canvas.grab().toImage()
    area = [(x, y) for x in range(222, 300, 3) for y in range(322, 370, 3)]
    assert sum(before.pixel(x, y) != after.pixel(x, y) for x, y in area) > 100
