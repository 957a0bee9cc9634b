"""Messages in the window: they offer the next action and disappear with their cause."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from clipseg_live.core.settings.effects import Pixelate, Tint
from clipseg_live.core.settings.live import LiveSettings, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.status import Message, WorkerState, WorkerStatus
from clipseg_live.gui import message_controller as module
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.model.picker import ModelPicker
from tests.gui.conftest import FakeServices
from tests.helpers.gui.fake_session import READY, FakeSession, rendered_frame
from tests.helpers.gui.panel_tools import click, top_level, wait_closed

REPLACED = "It could not be downloaded. The demo model shapes is used for now."


def offered(window: MainWindow) -> list[str]:
    """Return the texts of the buttons of all messages."""
    return [each.text() for each in window.toasts.findChildren(QPushButton) if each.isVisible()]


def press(qtbot: QtBot, window: MainWindow, text: str) -> None:
    qtbot.waitUntil(lambda: text in offered(window))
    click(qtbot, next(each for each in window.toasts.findChildren(QPushButton) if each.text() == text))


def say(window: MainWindow, session: FakeSession, qtbot: QtBot, message: Message) -> None:
    """Send a message from the session, and wait until it is shown."""
    session.on_message(message)
    qtbot.waitUntil(lambda: message.text in window.toasts.texts() or not message.text)


def test_a_replaced_model_offers_retry_and_the_selector(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    session.set_status(worker=replace(READY, model="shapes", replaced=REPLACED))
    say(window, session, qtbot, Message("model", REPLACED, "warning"))
    press(qtbot, window, "Retry")
    assert session.names()[-1] == "restart_worker" and window.toasts.texts() == []
    say(window, session, qtbot, Message("model", REPLACED, "warning"))
    press(qtbot, window, "Models…")
    picker = top_level(qtbot, ModelPicker)
    picker.close()
    wait_closed(qtbot, picker)


@pytest.mark.parametrize(
    ("state", "texts"), [(WorkerState.WAITING, ["Retry", "Models…"]), (WorkerState.RESTARTING, [])]
)
def test_a_stopped_worker_offers_retry_unless_it_restarts_itself(
    window: MainWindow, session: FakeSession, qtbot: QtBot, state: WorkerState, texts: list[str]
) -> None:
    session.set_status(worker=WorkerStatus(state, problem="It stopped."))
    say(window, session, qtbot, Message("worker", "It stopped.", "warning"))
    qtbot.waitUntil(lambda: offered(window) == texts)


def test_a_finished_recording_offers_its_folder(
    window: MainWindow, session: FakeSession, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: bool(opened.append(url)) or True)
    window.recording_bar.toggle()
    say(window, session, qtbot, Message("recording", "Recorded a.mp4."))
    press(qtbot, window, "Open folder")
    assert [Path(url.toLocalFile()) for url in opened] == [tmp_path]


def test_a_recovered_recording_offers_its_folder(
    make_window: Callable[..., MainWindow], services: FakeServices, qtbot: QtBot, tmp_path: Path
) -> None:
    services.recovered = (tmp_path / "old" / "a.mp4",)
    window = make_window()
    qtbot.waitUntil(lambda: offered(window) == ["Open folder"])
    assert window.recording_bar.last_folder == tmp_path / "old"


def test_a_message_about_a_missing_frame_disappears_with_the_first_frame(
    window: MainWindow, session: FakeSession, qtbot: QtBot
) -> None:
    window.recording_bar.snapshot()
    assert len(window.toasts.texts()) == 1
    session.show(rendered_frame())
    qtbot.waitUntil(lambda: window.toasts.texts() == [])


def test_a_message_about_privacy_effects_disappears_with_them(
    make_window: Callable[..., MainWindow], session: FakeSession, qtbot: QtBot
) -> None:
    window = make_window(LiveSettings(effects=(Pixelate(),)))
    session.show(rendered_frame())
    qtbot.waitUntil(lambda: window.canvas.frame is not None)
    window.picture_tools.begin_prompt()
    assert "reveal" in window.toasts.texts()[0]
    window.body.map_sheet.toggle()
    assert "Maps would show" in window.toasts.texts()[1]
    window.store.update(effects=(Tint(),))
    assert window.toasts.texts() == []


def test_a_message_about_the_replay_offers_its_option_and_disappears_with_it(window: MainWindow, qtbot: QtBot) -> None:
    window.recording_bar.save_replay()
    assert "replay is off" in window.toasts.texts()[0] and offered(window) == ["Options…"]
    window.recording_bar.recording_changed.emit(RecordingSettings(replay_seconds=30))
    assert window.toasts.texts() == []


def test_the_demo_offers_its_model_while_another_one_is_loaded(
    window: MainWindow, session: FakeSession, qtbot: QtBot
) -> None:
    session.set_status(worker=WorkerStatus(WorkerState.LOADING, "Downloading 1 of 600 MB"))
    window.refresh()
    window.open_source(SourceSpec(name="demo:"))
    press(qtbot, window, "Use demo model")
    assert session.settings.engine.model == "shapes"
    window.open_source(SourceSpec(name="walk.mp4"))
    window.store.undo()
    window.open_source(SourceSpec(name="demo:"))
    qtbot.waitUntil(lambda: offered(window) == ["Use demo model"])
    session.set_status(worker=READY)
    window.refresh()
    assert window.toasts.texts() == []


def test_the_button_of_a_notice_does_not_hand_its_focus_to_a_message(
    window: MainWindow, session: FakeSession, qtbot: QtBot
) -> None:
    window.refresh()
    (button,) = (each for each in window.canvas.findChildren(QPushButton) if each.isVisible() and "demo" in each.text())
    say(window, session, qtbot, Message("worker", "It stopped.", "warning"))
    button.setFocus()
    qtbot.keyClick(button, Qt.Key.Key_Space)
    assert session.last_argument("open").name == "demo:" and window.canvas.hasFocus()
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Space)
    assert window.toasts.texts() == ["It stopped."]


@pytest.mark.parametrize("size", [(1280, 800), (760, 480)])
def test_messages_never_cover_the_frame_or_enlarge_the_window(
    make_window: Callable[..., MainWindow], session: FakeSession, qtbot: QtBot, size: tuple[int, int]
) -> None:
    window = make_window(size=size)
    session.show(rendered_frame())
    for number in range(4):
        for topic in ("model", f"other {number}"):
            say(window, session, qtbot, Message(topic, "A sentence that needs more than one line. " * 7, "warning"))
            qtbot.waitUntil(lambda: not window.toasts.geometry().intersects(window.canvas.geometry()))
            assert (window.width(), window.height()) == size
            assert window.canvas.height() >= 120 and window.toasts.texts()


def test_every_action_of_a_message_exists(window: MainWindow) -> None:
    names = {name for names in module._ACTIONS.values() for name in names}
    assert names == module._titles().keys() == window.messages._handlers.keys()
