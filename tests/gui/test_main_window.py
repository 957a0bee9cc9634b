"""The whole window with a fake session: user actions, and calls of the session."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QRectF, Qt, QTimer, QUrl
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QSlider,
)
from pytestqt.qtbot import QtBot

from clipseg_live.core.session_file import load_session, save_session
from clipseg_live.core.settings.effects import Blur, Heatmap, Raw
from clipseg_live.core.settings.live import FrameTransform, LiveSettings, PromptRow, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.status import Message, RecordingStatus, SourceState, SourceStatus, WorkerState, WorkerStatus
from clipseg_live.core.system import logs
from clipseg_live.gui import main_window
from clipseg_live.gui.actions import TABLE, ShortcutsDialog
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.output.recording_options import RecordingOptions
from clipseg_live.gui.picture_tools import crop_prompt_image
from clipseg_live.gui.source.camera_dialog import CameraDialog
from clipseg_live.gui.source.menu import AddressDialog
from clipseg_live.gui.state import preferences
from clipseg_live.gui.state.preferences import Preferences
from tests.gui.canvas.test_canvas import PLAIN_POSITION, drag, drop, files
from tests.gui.conftest import FakeServices
from tests.helpers.gui.fake_session import RATES, READY, FakeSession, file_status, live_status, rendered_frame

LEFT = Qt.MouseButton.LeftButton
Make = Callable[..., MainWindow]


def key(qtbot: QtBot, window: MainWindow, name: str) -> None:
    """Press the first shortcut of an action on the focused widget."""
    action: QAction = window.actions_by_name[name]
    combination = action.shortcut()[0]
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=2000)
    qtbot.keyClick(window.focusWidget() or window, combination.key(), combination.keyboardModifiers())


def texts(window: MainWindow) -> list[str]:
    return window.toasts.texts()


def with_picture(window: MainWindow, session: FakeSession, qtbot: QtBot, **values: object) -> None:
    shown = rendered_frame(**values)  # type: ignore[arg-type]
    session.show(shown)
    qtbot.waitUntil(lambda: window.canvas.frame is shown, timeout=2000)


def dialog_of(kind: type) -> object:
    return next(entry for entry in QApplication.topLevelWidgets() if isinstance(entry, kind) and entry.isVisible())


# frames, settings, states


@pytest.mark.slow
def test_the_newest_frame_is_shown(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    session.set_status(live_status())
    session.show(rendered_frame(value=10))
    with_picture(window, session, qtbot, value=200, ids=(3,))
    window.refresh()
    spot = window.canvas.viewport.frame_rect().center().toPoint() + QPoint(50, 0)
    assert window.canvas.grab().toImage().pixelColor(spot).getRgb()[:3] == (200, 200, 200)
    assert window.prompts.areas == {3: 0.5}


def test_every_settings_change_reaches_the_session(window: MainWindow, session: FakeSession) -> None:
    window.store.update(effects=(Blur(),))
    assert session.settings.effects == (Blur(),)
    window.store.undo()
    assert session.settings == LiveSettings()
    assert not window.actions_by_name["undo"].isEnabled() and window.actions_by_name["redo"].isEnabled()


def test_a_missing_source_offers_actions(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    assert window.canvas.notice is not None and window.canvas.notice.title == "No source is open"
    qtbot.mouseClick(button(window, "Show demo scene"), LEFT)
    assert session.last_argument("open") == SourceSpec(name="demo:")
    assert window.windowTitle().startswith("Demo scene")


def button(window: MainWindow, text: str) -> QPushButton:
    return next(
        entry for entry in window.canvas.findChildren(QPushButton) if entry.text() == text and entry.isVisible()
    )


def test_a_missing_camera_offers_the_demo_and_a_retry(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    window.open_source(SourceSpec(name="camera:0"))
    session.set_status(SourceStatus(SourceState.FAILED, "camera 0", problem="There is no camera."))
    window.refresh()
    notice = window.canvas.notice
    assert notice is not None and notice.title == "Cannot open Camera 0" and notice.text == "There is no camera."
    qtbot.mouseClick(button(window, "Try again"), LEFT)
    assert [spec for name, spec in session.commands if name == "open"] == [SourceSpec(name="camera:0")] * 2
    qtbot.mouseClick(button(window, "Show demo scene"), LEFT)
    assert session.last_argument("open") == SourceSpec(name="demo:")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["button", "menu", "shortcut"])
def test_every_way_into_the_demo_brings_its_prompts(
    make_window: Make, session: FakeSession, qtbot: QtBot, way: str
) -> None:
    window = make_window(LiveSettings(rows=(PromptRow(id=4, text="mug"), PromptRow(id=7, text="Blue star "))))
    window.show_source(SourceSpec(name="camera:0"))
    session.set_status(SourceStatus(SourceState.FAILED, "camera:0", problem="It cannot be opened."))
    window.refresh()
    if way == "button":
        (button,) = (
            each
            for each in window.canvas.findChildren(QPushButton)
            if each.isVisible() and each.text() == "Show demo scene"
        )
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    elif way == "menu":
        window.source_menu._fill()
        next(entry for entry in window.source_menu.menu().actions() if entry.text() == "Demo scene").trigger()
    else:
        key(qtbot, window, "demo")
    assert session.last_argument("open").name == "demo:"
    assert [row.text for row in session.settings.rows] == ["mug", "Blue star ", "red circle", "yellow heart"]
    window.store.undo()
    assert [row.text for row in session.settings.rows] == ["mug", "Blue star "]
    window.open_source(SourceSpec(name="demo:cuts"))
    assert len(session.settings.rows) == 2, "another scene of the demo brings nothing that was removed"


def test_the_last_frame_stays_during_reconnection(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    session.set_status(live_status())
    with_picture(window, session, qtbot, value=200)
    window.refresh()
    assert window.canvas.notice is None
    session.set_status(replace(live_status(), state=SourceState.RECONNECTING, problem="It was unplugged."))
    session.shown = None
    session.on_picture()
    window.refresh()
    notice = window.canvas.notice
    assert notice is not None and notice.quiet and notice.text == "It was unplugged."
    spot = window.canvas.viewport.frame_rect().center().toPoint() + QPoint(50, 0)
    assert window.canvas.grab().toImage().pixelColor(spot).getRgb()[:3] == (200, 200, 200)


@pytest.mark.parametrize(
    ("state", "title", "quiet"),
    [
        (SourceState.CLOSED, "Opening one.mp4…", False),
        (SourceState.OPENING, "Opening one.mp4…", False),
        (SourceState.RECONNECTING, "Reconnecting to one.mp4", False),
        (SourceState.ENDED, "one.mp4 has ended", False),
    ],
)
def test_states_without_a_frame_are_explained(
    window: MainWindow, session: FakeSession, state: SourceState, title: str, quiet: bool
) -> None:
    window.open_source(SourceSpec(name="/films/one.mp4"))
    session.set_status(replace(live_status(), state=state))
    window.refresh()
    assert window.canvas.notice is not None
    assert (window.canvas.notice.title, window.canvas.notice.quiet) == (title, quiet)


def test_a_finished_file_shows_its_last_frame(window: MainWindow, session: FakeSession) -> None:
    session.set_status(file_status(60, state=SourceState.ENDED))
    window.refresh()
    assert window.canvas.notice is None and window.playback_bar.isVisible()


def test_status_recording_and_playback_follow_the_session(window: MainWindow, session: FakeSession) -> None:
    session.set_status(file_status(), READY, rates=RATES, recording=RecordingStatus(True, Path("a.mp4"), 5, 1_000_000))
    window.refresh()
    assert "masks 7.4 fps" in window.status_line.rates_label.text()
    assert window.recording_bar.status_label.text() == "0:05  ·  1.0 MB"
    assert window.playback_bar.time.text() == "0:12 / 1:00"


@pytest.mark.slow
def test_the_window_refreshes_itself(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    session.set_status(file_status(33))
    qtbot.waitUntil(lambda: window.playback_bar.time.text().startswith("0:33"), timeout=2000)


def test_messages_of_the_session_are_shown_and_removed(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    session.on_message(Message("worker", "The worker crashed.", "warning"))
    qtbot.waitUntil(lambda: texts(window) == ["The worker crashed."], timeout=2000)
    session.on_message(Message("worker", ""))
    qtbot.waitUntil(lambda: texts(window) == [], timeout=2000)


def test_a_stopped_worker_is_restarted_from_the_status_line(
    window: MainWindow, session: FakeSession, qtbot: QtBot
) -> None:
    session.set_status(live_status(), WorkerStatus(WorkerState.WAITING))
    window.refresh()
    qtbot.mouseClick(window.status_line.restart_button, LEFT)
    assert "restart_worker" in session.names()


# boxes and drops


def test_a_box_becomes_a_new_image_prompt(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    with_picture(window, session, qtbot, value=200)
    window.canvas.show_frame(replace(window.canvas.frame, composed=np.zeros_like(window.canvas.frame.composed)))
    key(qtbot, window, "box_prompt")
    corner = QPoint(window.canvas.image().width() - 4, 4)
    assert window.canvas.image().pixelColor(corner).red() == 200  # the frame without effects
    area = window.canvas.viewport.frame_rect().toRect()
    drag(qtbot, window.canvas, area.center() + QPoint(1, 1), area.bottomRight() - QPoint(4, 4))
    ((row_id, made),) = window.prompts.pictures
    assert row_id is None
    assert made.width == pytest.approx(160, abs=3) and made.height == pytest.approx(90, abs=3)
    assert (made.pixels[:, 2:] == 200).all()
    assert window.canvas.image().pixelColor(corner).red() == 0
    key(qtbot, window, "box_prompt")
    assert window.canvas.comparing
    qtbot.keyClick(window.canvas, Qt.Key.Key_Escape)
    key(qtbot, window, "crop")
    assert not window.canvas.comparing


@pytest.mark.slow
def test_a_row_requests_a_box(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    with_picture(window, session, qtbot)
    window.prompts.box_requested.emit(7)
    area = window.canvas.viewport.frame_rect().toRect()
    drag(qtbot, window.canvas, area.center(), area.center() + QPoint(100, 60))
    assert [row_id for row_id, _ in window.prompts.pictures] == [7]


def test_a_crop_changes_the_settings(
    window: MainWindow, session: FakeSession, services: FakeServices, qtbot: QtBot
) -> None:
    with_picture(window, session, qtbot)
    before = FrameTransform(mirror=True)
    window.store.update(framing=before)
    window.framing_menu.crop_action.trigger()
    area = window.canvas.viewport.frame_rect().toRect()
    drag(qtbot, window.canvas, area.topLeft(), area.center())
    ((box, framing),) = services.crops
    assert framing == before and box == pytest.approx((0, 0, 0.5, 0.5), abs=0.01)
    assert session.settings.framing == FrameTransform(mirror=True, crop=box)
    key(qtbot, window, "uncrop")
    assert session.settings.framing == before


def test_a_box_without_a_frame_is_rejected_with_a_message(window: MainWindow, qtbot: QtBot) -> None:
    key(qtbot, window, "crop")
    assert window.canvas.box_tool.purpose is None and len(texts(window)) == 1


@pytest.mark.slow
def test_large_boxes_are_subsampled() -> None:
    pixels = np.arange(3000 * 4000 * 3, dtype=np.uint32).astype(np.uint8).reshape(3000, 4000, 3)
    whole = crop_prompt_image(pixels, QRectF(0, 0, 1, 1))
    assert max(whole.width, whole.height) <= 1024 and whole.width / whole.height == pytest.approx(4 / 3, abs=0.01)
    part = crop_prompt_image(pixels, QRectF(0.5, 0.5, 0.1, 0.1))
    assert np.array_equal(part.pixels, pixels[1500:1800, 2000:2400])
    tiny = crop_prompt_image(pixels, QRectF(1.0, 1.0, 0.0, 0.0))
    assert (tiny.width, tiny.height) == (1, 1)


@PLAIN_POSITION
def test_a_dropped_video_is_opened(window: MainWindow, session: FakeSession) -> None:
    assert drop(window.canvas, files("/films/walk.mp4"))
    assert session.last_argument("open") == SourceSpec(name="/films/walk.mp4")
    assert window.windowTitle() == "walk.mp4 – clipseg-live"


@PLAIN_POSITION
def test_dropped_photos_are_one_set(window: MainWindow, session: FakeSession) -> None:
    assert drop(window.canvas, files("/photos/b.JPG", "/photos/notes.txt", "/photos/a.heic", "/photos/c.png"))
    assert session.last_argument("open") == SourceSpec(name="/photos/b.JPG", more=("/photos/a.heic", "/photos/c.png"))
    assert window.windowTitle() == "b.JPG and 2 more – clipseg-live"
    assert drop(window.canvas, files("/photos/b.JPG", "/films/a.mp4"))
    assert session.last_argument("open") == SourceSpec(name="/photos/b.JPG")
    assert drop(window.canvas, files("/films/a.mp4", "/films/b.mp4"))
    assert session.last_argument("open") == SourceSpec(name="/films/a.mp4")


@PLAIN_POSITION
def test_a_dropped_session_is_opened_and_can_be_undone(
    window: MainWindow, session: FakeSession, tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "mine.clipseg.json"
    save_session(path, LiveSettings(effects=(Heatmap(),)))
    assert drop(window.canvas, files(str(path)))
    assert session.settings.effects == (Heatmap(),) and texts(window) == ["Session mine.clipseg.json opened."]
    key(qtbot, window, "undo")
    assert session.settings.effects == LiveSettings().effects


@PLAIN_POSITION
def test_a_session_can_be_dropped_anywhere_in_the_window(
    window: MainWindow, session: FakeSession, tmp_path: Path
) -> None:
    path = tmp_path / "mine.CLIPSEG.JSON"
    save_session(path, LiveSettings(effects=(Heatmap(),)))
    assert drop(window, files(str(path)))  # type: ignore[arg-type]
    assert session.settings.effects == (Heatmap(),)
    assert not drop(window, files("/films/walk.mp4"))  # type: ignore[arg-type]


@PLAIN_POSITION
def test_a_dropped_file_that_is_not_a_session_is_reported(
    window: MainWindow, session: FakeSession, tmp_path: Path
) -> None:
    (tmp_path / "other.json").write_text("{}")
    drop(window.canvas, files(str(tmp_path / "other.json")))
    assert "is not a session file" in texts(window)[0]
    assert session.settings == LiveSettings()


# keys


def test_every_action_exists_and_shortcuts_are_unique(window: MainWindow) -> None:
    assert list(window.actions_by_name) == [row.name for row in TABLE]
    keys = [key for row in TABLE for key in row.keys]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("play", ("pause", None)),
        ("play_anywhere", ("pause", None)),
        ("back", ("step", -1)),
        ("on", ("step", 1)),
        ("skip_back", ("seek", 7)),
        ("skip_on", ("seek", 17)),
        ("loop", ("set_loop", True)),
        ("slower", ("set_speed", 0.75)),
        ("faster", ("set_speed", 1.5)),
    ],
)
def test_playback_shortcuts_work(
    window: MainWindow, session: FakeSession, qtbot: QtBot, name: str, asked: tuple[str, object]
) -> None:
    session.set_status(file_status())
    window.refresh()
    session.commands.clear()
    window.canvas.setFocus()
    key(qtbot, window, name)
    assert session.commands == [asked]


def test_canvas_shortcuts_are_letters_in_text_fields(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    field = QLineEdit(window)
    field.show()
    field.setFocus()
    session.set_status(file_status())
    window.refresh()
    session.commands.clear()
    qtbot.keyClicks(field, "a [l], .")
    assert field.text() == "a [l], ." and session.commands == []


@pytest.mark.slow
def test_source_shortcuts_work(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    key(qtbot, window, "demo")
    assert session.last_argument("open") == SourceSpec(name="demo:")
    key(qtbot, window, "mirror")
    key(qtbot, window, "turn")
    assert session.settings.framing == FrameTransform(mirror=True, turn=270)
    key(qtbot, window, "open_file")
    dialog_of(QFileDialog).close()  # type: ignore[attr-defined]
    key(qtbot, window, "open_address")
    dialog_of(AddressDialog).close()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_shortcut_opens_the_source_menu(window: MainWindow, qtbot: QtBot) -> None:
    menu = window.source_menu.menu()
    shown: list[bool] = []
    menu.aboutToShow.connect(lambda: (shown.append(True), menu.close()))
    qtbot.waitUntil(lambda: not shown and window.isVisible())
    QTimer.singleShot(50, menu.close)
    key(qtbot, window, "source")
    assert shown


@pytest.mark.slow
def test_output_shortcuts_work(window: MainWindow, session: FakeSession, services: FakeServices, qtbot: QtBot) -> None:
    with_picture(window, session, qtbot)
    key(qtbot, window, "record")
    window.refresh()
    key(qtbot, window, "pause_recording")
    window.refresh()
    key(qtbot, window, "record")
    names = [name for name in session.names() if "recording" in name]
    assert names == ["start_recording", "pause_recording", "stop_recording"]
    key(qtbot, window, "replay")
    assert "Instant replay is off" in texts(window)[0]
    key(qtbot, window, "recording_options")
    options = window.recording_bar.findChild(RecordingOptions)
    assert options is not None and options.isVisible()
    options.close()
    key(qtbot, window, "copy")
    assert texts(window)[-1] == "Frame copied to the clipboard."
    key(qtbot, window, "snapshot")
    qtbot.waitUntil(lambda: any("picture.png" in text for text in texts(window)), timeout=2000)
    assert len(services.snapshots) == 1


@pytest.mark.slow
def test_view_shortcuts_work(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    with_picture(window, session, qtbot)
    key(qtbot, window, "zoom_in")
    assert window.canvas.viewport.zoom == pytest.approx(1.25)
    key(qtbot, window, "zoom_out")
    key(qtbot, window, "zoom_in")
    key(qtbot, window, "fit")
    assert window.canvas.viewport.zoom == 1.0
    key(qtbot, window, "panels")
    assert not window.body.tabs.isVisible()
    key(qtbot, window, "look")
    assert window.body.tabs.isVisible() and window.body.tabs.currentWidget() is window.body.settings_panel
    key(qtbot, window, "prompts")
    assert window.body.tabs.currentWidget() is window.prompts
    key(qtbot, window, "new_prompt")
    assert window.prompts.new_rows == 1
    key(qtbot, window, "picture")
    assert window.focusWidget() is window.canvas


@pytest.mark.slow
def test_the_list_of_shortcuts_is_shown(window: MainWindow, qtbot: QtBot) -> None:
    key(qtbot, window, "help")
    dialog = dialog_of(ShortcutsDialog)
    assert isinstance(dialog, ShortcutsDialog)
    words = {label.text() for label in dialog.findChildren(QLabel)}
    assert {row.text.rstrip("…") for row in TABLE if row.keys} <= words
    dialog.close()


@pytest.mark.slow
def test_full_screen_shows_only_the_canvas_and_can_be_left(
    window: MainWindow, session: FakeSession, qtbot: QtBot
) -> None:
    session.set_status(file_status())
    with_picture(window, session, qtbot)
    window.refresh()
    window.body.toggle_panel()
    qtbot.mouseDClick(window.canvas, LEFT, pos=QPoint(50, 50))
    assert window.isFullScreen()
    qtbot.waitUntil(lambda: window.canvas.size() == window.size(), timeout=2000)
    assert not window.playback_bar.isVisible() and not window.status_line.isVisible()
    qtbot.keyClick(window.canvas, Qt.Key.Key_Escape)
    assert not window.isFullScreen()
    assert window.playback_bar.isVisible() and window.status_line.isVisible() and not window.body.tabs.isVisible()
    key(qtbot, window, "full_screen")
    assert window.isFullScreen()


@pytest.mark.slow
def test_statistics_are_opened_updated_and_closed(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    session.set_status(live_status(), READY, rates=RATES)
    session.rows = [(20.0, {"encode": 90.0}), (0.0, {"encode": 95.0})]
    key(qtbot, window, "statistics")
    assert window.stats_panel.isVisible()
    qtbot.waitUntil(lambda: "encode 92.0 ms" in window.stats_panel.accessibleDescription(), timeout=2000)
    qtbot.mouseClick(window.status_line.details_button, LEFT)
    assert not window.stats_panel.isVisible()


@pytest.mark.slow
def test_diagnostics_are_copied(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    session.set_status(live_status(), READY, rates=RATES)
    key(qtbot, window, "statistics")
    qtbot.mouseClick(window.stats_panel.copy_button, LEFT)
    assert "412 skipped" in QGuiApplication.clipboard().text()


@pytest.mark.slow
def test_diagnostics_contain_the_last_log_lines(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    with logs.installed(tmp_path / "log"):
        for number in range(300):
            logging.getLogger("clipseg_live.test").info("line %d.", number)
        key(qtbot, window, "statistics")
        qtbot.mouseClick(window.stats_panel.copy_button, LEFT)
    text = QGuiApplication.clipboard().text()
    assert "line 299." in text and "line 120." in text and "line 50." not in text


def test_the_menu_opens_the_log_folder(window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    class Desktop:
        @staticmethod
        def openUrl(url: QUrl) -> bool:
            opened.append(Path(url.toLocalFile()))
            return len(opened) == 1

    monkeypatch.setattr(main_window, "QDesktopServices", Desktop)
    action = window.actions_by_name["log_folder"]
    assert action in window.body.menu_button.menu().actions()
    with logs.installed(tmp_path / "log"):
        action.trigger()
        assert opened == [tmp_path / "log"] and window.toasts.texts() == []
        action.trigger()  # a desktop that cannot open it: the path is shown
        assert window.toasts.texts() == [f"Log file: {tmp_path / 'log' / logs.FILE_NAME}"]
    action.trigger()
    assert "no log file" in window.toasts.texts()[-1]


# dialogs and files


@pytest.mark.slow
def test_camera_options_reopen_the_camera_and_keep_controls(
    window: MainWindow, session: FakeSession, qtbot: QtBot
) -> None:
    key(qtbot, window, "camera")
    assert "Only cameras" in texts(window)[0]
    window.open_source(SourceSpec(name="camera:0"))
    session.set_status(replace(live_status(), controls=(("gain", 20.0),)))
    key(qtbot, window, "camera")
    dialog = dialog_of(CameraDialog)
    assert isinstance(dialog, CameraDialog)
    window.refresh()
    dialog.sliders["gain"].setValue(2500)
    assert session.last_argument("set_control") == ("gain", 25.0)
    dialog.size_box.setCurrentIndex(1)
    assert session.last_argument("open") == SourceSpec(
        name="camera:0", width=640, height=480, controls=(("gain", 25.0),)
    )
    with_picture(window, session, qtbot)
    assert window.preferences_store.value.recent[0].controls == (("gain", 25.0),)
    dialog.close()
    qtbot.waitUntil(lambda: not any(isinstance(entry, CameraDialog) for entry in window.children()), timeout=2000)
    window.refresh()


@pytest.mark.slow
def test_a_session_is_saved_and_opened_by_dialogs(
    window: MainWindow, session: FakeSession, qtbot: QtBot, tmp_path: Path
) -> None:
    window.store.update(effects=(Raw(),))
    key(qtbot, window, "save_session")
    dialog = dialog_of(QFileDialog)
    assert isinstance(dialog, QFileDialog)
    dialog.setDirectory(str(tmp_path))
    dialog.selectFile("mine.clipseg.json")
    dialog.accept()
    path = tmp_path / "mine.clipseg.json"
    assert load_session(path).effects == (Raw(),)
    window.store.update(effects=(Blur(),))
    qtbot.waitUntil(lambda: not any(isinstance(entry, QFileDialog) for entry in window.children()), timeout=2000)
    key(qtbot, window, "open_session")
    dialog = dialog_of(QFileDialog)
    assert isinstance(dialog, QFileDialog)
    dialog.selectFile(str(path))
    dialog.accept()
    assert session.settings.effects == (Raw(),)


def test_a_failed_save_of_a_session_is_reported(window: MainWindow, tmp_path: Path) -> None:
    window.files.save(tmp_path / "missing" / "mine.clipseg.json")
    assert "could not be saved" in texts(window)[-1]


def test_files_are_saved_in_the_selected_folder(window: MainWindow, session: FakeSession, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    window.actions_by_name["folder"].trigger()
    dialog = dialog_of(QFileDialog)
    assert isinstance(dialog, QFileDialog)
    dialog.fileSelected.emit(str(tmp_path / "there"))
    dialog.close()
    window.recording_bar.toggle()
    assert session.last_argument("start_recording") == (tmp_path / "there", RecordingSettings())


def test_recording_options_are_saved_and_used(
    make_window: Callable[..., MainWindow], session: FakeSession, qtbot: QtBot
) -> None:
    window = make_window()
    assert session.last_argument("set_replay") == RecordingSettings()
    options = window.recording_bar.open_options()
    qtbot.keyClick(options.replay, Qt.Key.Key_Down)
    expected = RecordingSettings(replay_seconds=10)
    assert session.last_argument("set_replay") == expected
    qtbot.keyClick(options.parts, Qt.Key.Key_Down)
    assert session.last_argument("set_replay") == expected  # what is kept goes on with the same settings
    options.close()
    window.recording_bar.toggle()
    assert session.last_argument("start_recording")[1] == expected.model_copy(update={"part_seconds": 300.0})  # type: ignore[index]


def test_an_interrupted_recording_is_reported_at_the_next_start(
    make_window: Callable[..., MainWindow], services: FakeServices, qtbot: QtBot, tmp_path: Path
) -> None:
    services.recovered = (tmp_path / "a (recovered).mp4",)
    window = make_window()
    qtbot.waitUntil(lambda: any("interrupted recording: a (recovered).mp4" in text for text in texts(window)))


# end and next start


def test_closing_stops_the_session_once_and_saves_preferences(
    window: MainWindow, session: FakeSession, tmp_path: Path, qtbot: QtBot
) -> None:
    window.open_source(SourceSpec(name="/films/walk.mp4"))
    with_picture(window, session, qtbot)
    window.open_source(SourceSpec(name="/films/never-shown.mp4"))
    window.store.update(effects=(Blur(),))
    key(qtbot, window, "quit")
    window.shut_down()
    assert session.stops == 1 and not window.isVisible()
    saved, problem = preferences.load_preferences(tmp_path / "preferences.json")
    assert problem == "" and saved.settings.effects == (Blur(),)
    assert saved.recent == (SourceSpec(name="/films/walk.mp4"),)
    assert saved.geometry and saved.panels
    session.show(rendered_frame())  # no listener is left
    session.on_message(Message("a", "b"))


@pytest.mark.slow
def test_the_window_geometry_is_restored(make_window: Make, tmp_path: Path) -> None:
    first = make_window(size=(1000, 640))
    first.body.splitter.setSizes([600, 400])
    sizes = first.body.splitter.sizes()
    first.close()
    saved, _ = preferences.load_preferences(tmp_path / "preferences.json")
    second = make_window(saved=saved, size=(1000, 640))
    assert second.body.splitter.sizes() == sizes


@pytest.mark.slow
def test_a_damaged_geometry_is_ignored(make_window: Make) -> None:
    assert make_window(saved=Preferences(geometry="%%%", panels="AAAA")).isVisible()


# layout


@pytest.mark.parametrize("size", [(900, 600), (1280, 800), (1920, 1080)])
def test_the_canvas_is_the_largest_widget(make_window: Make, session: FakeSession, size: tuple[int, int]) -> None:
    session.set_status(file_status(), READY, rates=RATES)
    window = make_window(size=size)
    window.refresh()
    assert (window.width(), window.height()) == size
    area = window.canvas.width() * window.canvas.height()
    assert area > 0.4 * size[0] * size[1] and area > window.body.tabs.width() * window.body.tabs.height()
    for part in (window.body.menu_button, window.playback_bar.speed_box, window.status_line.details_button):
        corner = part.mapTo(window, part.rect().bottomRight())
        assert window.rect().contains(corner)


def test_every_control_has_an_accessible_name(window: MainWindow, session: FakeSession) -> None:
    session.set_status(file_status(), WorkerStatus(WorkerState.WAITING))
    window.refresh()
    kinds = (QAbstractButton, QComboBox, QSlider)
    parts = [entry for kind in kinds for entry in window.findChildren(kind) if entry.isVisibleTo(window)]
    named = [entry for entry in parts if entry.objectName() not in ("ScrollLeftButton", "ScrollRightButton")]
    assert len(named) > 12
    assert [entry for entry in named if not (entry.accessibleName() or entry.text())] == []  # type: ignore[attr-defined]


def test_every_control_can_be_reached_by_tab(window: MainWindow, session: FakeSession) -> None:
    session.set_status(file_status())
    window.refresh()
    reached, widget = set(), window.canvas
    for _ in range(400):
        widget = widget.nextInFocusChain()  # type: ignore[assignment]
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.isVisibleTo(window):
            reached.add(widget)
    body = window.body
    expected = {
        window.source_menu, window.framing_menu, body.panel_button, body.menu_button, window.canvas,
        window.recording_bar.record_button, window.recording_bar.snapshot_button, window.recording_bar.copy_button,
        window.playback_bar.play_button, window.playback_bar.seek_bar, window.playback_bar.speed_box,
        window.status_line.details_button,
    }  # fmt: skip
    assert expected <= reached


@pytest.mark.slow
@given(st.text("pw[]@:/?#%= é", max_size=20).map(lambda text: f"Zq{text}9K"))
@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_part_of_the_window_shows_a_password(window: MainWindow, session: FakeSession, password: str) -> None:
    spec = SourceSpec(name=f"rtsp://Usr7:{password}@cam.local/live")
    window.open_source(spec)
    for state in SourceState:
        problem = f"{spec.name} broke off: {spec.name.reveal()}"
        session.set_status(SourceStatus(state, str(spec.name), problem=problem))
        window.show_message(Message("source", problem))
        window.refresh()
        notice = window.canvas.notice
        shown = [window.windowTitle(), *texts(window), window.source_menu.text(), window.source_menu.toolTip()]
        shown += [window.source_menu.accessibleName()]
        shown += [notice.title, notice.text] if notice is not None else []
        assert not any("Zq" in entry or "9K" in entry or "Usr7" in entry for entry in shown), shown


def test_a_part_of_the_window_that_fails_does_not_stop_the_others(
    window: MainWindow, session: FakeSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> str:
        raise ValueError("broken")

    monkeypatch.setattr(window.source_menu, "title", fail)
    session.set_status(worker=READY)
    window.refresh()
    assert window.status_line.worker.text() and "could not be updated" in caplog.text


@pytest.mark.slow
def test_arrow_keys_step_through_photos(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    session.set_status(SourceStatus(SourceState.PAUSED, "shots", seekable=True, photos=3, photo=2, file="b.png"))
    with_picture(window, session, qtbot)
    window.refresh()
    session.commands.clear()
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.Key.Key_Period, Qt.Key.Key_Comma, Qt.Key.Key_Space):
        qtbot.keyClick(window.canvas, key)
    assert [one for one in session.commands if one[0] in ("step", "seek", "play", "pause")] == [
        ("step", 1), ("step", -1), ("step", 1), ("step", -1),
    ]  # fmt: skip


@pytest.mark.slow
def test_an_unreadable_photo_does_not_show_another_one(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    broken = SourceStatus(
        SourceState.PAUSED, "shots", seekable=True, photos=3, photo=2, file="b.png", problem="b.png is damaged."
    )
    session.set_status(replace(broken, photo=1, file="a.png", problem=""))
    with_picture(window, session, qtbot)
    window.refresh()
    assert window.canvas.notice is None
    session.set_status(broken)
    window.refresh()
    notice = window.canvas.notice
    assert notice is not None and (notice.title, notice.text) == ("Cannot show b.png", "b.png is damaged.")
    assert window.canvas.frame is None and window.playback_bar.photo.text() == "2 of 3"
