"""The playback bar: each control calls the session and shows its status."""

from dataclasses import replace
from fractions import Fraction

import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from clipseg_live.core.status import SourceState, SourceStatus
from clipseg_live.gui.source.playback_bar import SPEEDS, PlaybackBar
from clipseg_live.gui.source.playback_range import PlaybackRange
from tests.helpers.gui.fake_session import FakeSession, file_status, live_status

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def bar(qtbot: QtBot, session: FakeSession) -> PlaybackBar:
    widget = PlaybackBar(session)
    qtbot.addWidget(widget)
    widget.resize(700, 44)
    widget.show_status(file_status())
    qtbot.waitExposed(widget)
    return widget


def test_time_and_position_are_shown(bar: PlaybackBar) -> None:
    assert bar.isVisible()
    assert bar.time.text() == "0:12 / 1:00"
    assert bar.seek_bar.value() == pytest.approx(bar.seek_bar.maximum() / 5, abs=1)


def test_the_bar_is_hidden_for_live_sources(bar: PlaybackBar) -> None:
    bar.show_status(live_status())
    assert not bar.isVisible()


def test_the_play_button_toggles_playback(bar: PlaybackBar, session: FakeSession, qtbot: QtBot) -> None:
    assert bar.play_button.accessibleName() == "Pause"
    qtbot.mouseClick(bar.play_button, LEFT)
    bar.show_status(file_status(state=SourceState.PAUSED))
    assert bar.play_button.accessibleName() == "Play"
    qtbot.mouseClick(bar.play_button, LEFT)
    bar.show_status(file_status(state=SourceState.ENDED))
    qtbot.mouseClick(bar.play_button, LEFT)
    assert session.names() == ["pause", "play", "play"]


def test_the_step_buttons_move_by_one_frame(bar: PlaybackBar, session: FakeSession, qtbot: QtBot) -> None:
    qtbot.mouseClick(bar.back_button, LEFT)
    qtbot.mouseClick(bar.forward_button, LEFT)
    assert session.commands == [("step", -1), ("step", 1)]


def test_a_click_on_the_timeline_seeks(bar: PlaybackBar, session: FakeSession, qtbot: QtBot) -> None:
    middle = bar.seek_bar.rect().center()
    qtbot.mousePress(bar.seek_bar, LEFT, pos=middle)
    assert float(session.last_argument("seek")) == pytest.approx(30, abs=1)  # type: ignore[arg-type]
    qtbot.mouseMove(bar.seek_bar, middle + QPoint(100, 0))
    qtbot.mouseRelease(bar.seek_bar, LEFT, pos=middle + QPoint(100, 0))
    assert session.last_argument("seek") > Fraction(35)  # type: ignore[operator]


def test_arrow_keys_seek_on_the_timeline(bar: PlaybackBar, session: FakeSession, qtbot: QtBot) -> None:
    bar.seek_bar.setFocus()
    qtbot.keyClick(bar.seek_bar, Qt.Key.Key_Right)
    assert float(session.last_argument("seek")) == pytest.approx(12.3)  # type: ignore[arg-type]


def test_the_handle_keeps_its_position_until_the_seek_is_done(
    bar: PlaybackBar, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("clipseg_live.gui.source.playback_bar.time.monotonic", lambda: now[0])
    qtbot.mouseClick(bar.seek_bar, LEFT, pos=bar.seek_bar.rect().center())
    put = bar.seek_bar.value()
    bar.show_status(file_status(12))
    assert bar.seek_bar.value() == put
    now[0] += 1
    bar.show_status(file_status(12))
    assert bar.seek_bar.value() == 2000


def test_progress_of_the_source_is_not_a_seek(bar: PlaybackBar, session: FakeSession) -> None:
    bar.show_status(file_status(40))
    bar.show_status(replace(file_status(41), loop=True, speed=2.0))
    assert session.commands == []
    assert bar.loop_button.isChecked() and bar.speed_box.currentText() == "2×"


def test_loop_and_speed_are_set(bar: PlaybackBar, session: FakeSession, qtbot: QtBot) -> None:
    qtbot.mouseClick(bar.loop_button, LEFT)
    bar.speed_box.setFocus()
    qtbot.keyClick(bar.speed_box, Qt.Key.Key_Down)
    assert session.commands == [("set_loop", True), ("set_speed", 1.5)]
    bar.change_speed(-1)
    bar.change_speed(-1)
    assert session.commands[2:] == [("set_speed", 1.0), ("set_speed", 0.75)]
    bar.change_speed(100)
    assert session.last_argument("set_speed") == SPEEDS[-1] == 4.0
    bar.change_speed(-100)
    assert session.last_argument("set_speed") == SPEEDS[0] == 0.25


def test_skips_stop_at_the_start(bar: PlaybackBar, session: FakeSession) -> None:
    bar.skip(5)
    bar.skip(-50)
    assert session.commands == [("seek", Fraction(17)), ("seek", Fraction(0))]


def test_a_live_source_has_no_steps_and_skips(bar: PlaybackBar, session: FakeSession) -> None:
    bar.show_status(live_status())
    bar.step(1)
    bar.skip(5)
    bar.change_speed(1)
    assert session.commands == []


def test_a_source_without_duration_has_no_seeking(bar: PlaybackBar) -> None:
    bar.show_status(replace(file_status(3), duration=None))
    assert not bar.seek_bar.isEnabled()
    assert bar.time.text() == "0:03"


def photos(photo: int = 2, problem: str = "") -> SourceStatus:
    return SourceStatus(
        SourceState.PAUSED, "shots", 64, 48, None, Fraction(12), Fraction(photo - 1), seekable=True, photos=12,
        photo=photo, file=f"IMG_{photo}.png", problem=problem,
    )  # fmt: skip


def test_a_set_of_photos_has_a_number_a_name_and_no_timeline(bar: PlaybackBar) -> None:
    bar.show_status(photos(3))
    assert bar.isVisible() and bar.photo.text() == "3 of 12" and bar.file.text() == "IMG_3.png"
    for widget in (bar.play_button, bar.seek_bar, bar.time, bar.loop_button, bar.speed_box):
        assert not widget.isVisible()
    assert bar.back_button.accessibleName() == "Previous photo" and bar.forward_button.toolTip() == "Next photo"
    bar.show_status(file_status())
    assert bar.play_button.isVisible() and not bar.photo.isVisible() and not bar.file.isVisible()
    assert bar.back_button.accessibleName() == "Previous frame"


def test_buttons_and_keys_step_through_photos(bar: PlaybackBar, session: FakeSession, qtbot: QtBot) -> None:
    bar.show_status(photos())
    qtbot.mouseClick(bar.forward_button, LEFT)
    qtbot.mouseClick(bar.back_button, LEFT)
    bar.skip(5)
    bar.skip(-5)
    bar.toggle()
    bar.change_speed(1)
    assert session.commands == [("step", 1), ("step", -1), ("step", 1), ("step", -1)]


def test_photo_steps_stop_at_the_first_and_last_photo(bar: PlaybackBar) -> None:
    enabled = []
    for photo in (1, 2, 12):
        bar.show_status(photos(photo))
        enabled.append((bar.back_button.isEnabled(), bar.forward_button.isEnabled()))
    assert enabled == [(False, True), (True, True), (True, False)]
    bar.show_status(file_status())
    assert bar.back_button.isEnabled() and bar.forward_button.isEnabled()


def test_a_long_file_name_is_shortened_with_a_tooltip(bar: PlaybackBar) -> None:
    name = f"<b>{'x' * 300}</b>.png"
    bar.show_status(replace(photos(), file=name))
    assert "…" in bar.file.text() and bar.file.toolTip() == name


# frame numbers, in and out points


def test_the_frame_number_is_shown(bar: PlaybackBar) -> None:
    bar.show_status(replace(file_status(), rate=Fraction(30000, 1001), position=Fraction(1001 * 361, 30000)))
    assert bar.frame.isVisible() and bar.frame.text() == "frame 361"
    bar.show_status(replace(file_status(), rate=None))
    assert bar.frame.text() == ""


def test_buttons_set_and_clear_in_and_out_points(bar: PlaybackBar, qtbot: QtBot) -> None:
    assert bar.playback_range.is_whole and not bar.clear_button.isVisible()
    qtbot.mouseClick(bar.first_button, LEFT)
    bar.show_status(file_status(30))
    qtbot.mouseClick(bar.last_button, LEFT)
    assert bar.playback_range == PlaybackRange(Fraction(12), Fraction(30))
    assert bar.playback_range.end(Fraction(30)) == 30 + Fraction(1, 60)
    bar.show_status(file_status(5))
    qtbot.mouseClick(bar.last_button, LEFT)  # before the in point, which it removes
    assert bar.playback_range == PlaybackRange(None, Fraction(5))
    bar.show_status(file_status(6))
    qtbot.mouseClick(bar.first_button, LEFT)
    assert bar.playback_range == PlaybackRange(Fraction(6), None)
    qtbot.mouseClick(bar.clear_button, LEFT)
    assert bar.playback_range.is_whole and not bar.clear_button.isVisible()


def test_points_are_dragged_and_do_not_cross(bar: PlaybackBar, session: FakeSession, qtbot: QtBot) -> None:
    for position, button in ((12, bar.first_button), (30, bar.last_button)):
        bar.show_status(file_status(position))
        qtbot.mouseClick(button, LEFT)
    slider = bar.seek_bar

    def at(time: float) -> QPoint:
        return QPoint(round(slider.x_of(Fraction(time))), slider.height() - 3)

    qtbot.mousePress(slider, LEFT, pos=at(12))
    qtbot.mouseMove(slider, at(20))
    assert float(bar.playback_range.first) == pytest.approx(20, abs=0.3)  # type: ignore[arg-type]
    assert session.last_argument("seek") == bar.playback_range.first  # the frame at the point is shown
    qtbot.mouseMove(slider, at(50))
    qtbot.mouseRelease(slider, LEFT, pos=at(50))
    assert bar.playback_range == PlaybackRange(Fraction(30), Fraction(30))
    qtbot.mouseMove(slider, at(5))  # the button was released
    assert bar.playback_range.first == 30


def test_parts_outside_the_range_are_dimmed(bar: PlaybackBar, qtbot: QtBot) -> None:
    slider = bar.seek_bar
    x, y = round(slider.x_of(Fraction(55))), slider.height() // 2
    before = slider.grab().toImage().pixelColor(x, y)
    bar.show_status(file_status(30))
    qtbot.mouseClick(bar.last_button, LEFT)
    assert slider.grab().toImage().pixelColor(x, y) != before


def test_a_source_without_duration_has_no_points(bar: PlaybackBar) -> None:
    bar.show_status(replace(file_status(3), duration=None))
    bar.set_first()
    assert bar.playback_range.is_whole and not bar.first_button.isVisible()


def test_a_narrow_bar_hides_the_frame_number(bar: PlaybackBar, qtbot: QtBot) -> None:
    assert bar.frame.isVisible() and bar.first_button.isVisible()
    bar.resize(400, 44)
    assert not any(widget.isVisible() for widget in (bar.frame, bar.first_button, bar.speed_box))
    qtbot.waitUntil(lambda: bar.seek_bar.width() > 60, timeout=2000)


def test_a_loop_stays_between_the_points(
    bar: PlaybackBar, session: FakeSession, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("clipseg_live.gui.source.playback_bar.time.monotonic", lambda: now[0])
    qtbot.mouseClick(bar.first_button, LEFT)
    bar.show_status(file_status(30))
    qtbot.mouseClick(bar.last_button, LEFT)
    looped = replace(file_status(30), loop=True)
    for position, seeks in ((30, 0), (31, 1), (31, 1)):  # the last one is not there yet
        bar.show_status(replace(looped, position=Fraction(position)))
        assert session.names().count("seek") == seeks
    assert session.last_argument("seek") == 12
    now[0] += 1
    for position, seeks in ((12, 1), (Fraction(1199, 100), 2), (Fraction(1198, 100), 2)):  # wrapped, and one before
        bar.show_status(replace(looped, position=Fraction(position)))
        now[0] += 1
        assert session.names().count("seek") == seeks
    for status in (file_status(31), replace(looped, position=Fraction(31), state=SourceState.PAUSED)):
        bar.show_status(status)
    assert session.names().count("seek") == 2
    bar.clear_range()
    bar.show_status(replace(looped, position=Fraction(31)))
    assert session.names().count("seek") == 2
