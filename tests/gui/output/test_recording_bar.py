"""Record, snapshot and copy."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from clipseg_live.core.errors import SinkError
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.status import Message, RecordingStatus
from clipseg_live.gui.canvas.canvas import Canvas
from clipseg_live.gui.output import recording_bar
from clipseg_live.gui.output.recording_bar import RecordingBar
from clipseg_live.gui.widgets.figures import size_text
from tests.gui.conftest import FakeServices
from tests.helpers.gui.fake_session import FakeSession, rendered_frame

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def canvas(qtbot: QtBot) -> Canvas:
    widget = Canvas()
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def messages() -> list[Message]:
    return []


@pytest.fixture
def bar(
    qtbot: QtBot, session: FakeSession, canvas: Canvas, services: FakeServices, messages: list[Message], tmp_path: Path
) -> RecordingBar:
    preferences = [RecordingSettings()]
    widget = RecordingBar(
        session, canvas, services.real, LiveSettings, lambda: tmp_path / "films", lambda: preferences[0]
    )
    widget.message.connect(messages.append)
    widget.recording_changed.connect(lambda settings: preferences.__setitem__(0, settings))
    qtbot.addWidget(widget)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def test_a_click_starts_a_recording_and_another_stops_it(
    bar: RecordingBar, session: FakeSession, qtbot: QtBot, tmp_path: Path
) -> None:
    qtbot.mouseClick(bar.record_button, LEFT)
    assert session.last_argument("start_recording") == (tmp_path / "films", RecordingSettings())
    assert (tmp_path / "films").is_dir()
    bar.show_status(session.status().recording)
    assert bar.record_button.text() == "Stop"
    qtbot.mouseClick(bar.record_button, LEFT)
    assert session.names() == ["start_recording", "stop_recording"]
    bar.show_status(session.status().recording)
    assert bar.record_button.text() == "Record"


def test_time_size_and_lost_frames_of_a_recording_are_shown(bar: RecordingBar) -> None:
    assert not bar.status_label.isVisible()
    bar.show_status(RecordingStatus(True, Path("a.mp4"), 75.2, 34_500_000))
    assert bar.status_label.isVisible() and bar.status_label.text() == "1:15  ·  34.5 MB"
    bar.show_status(RecordingStatus(True, Path("a.mp4"), 76, 34_600_000, dropped=2))
    assert bar.status_label.text().endswith("2 dropped")
    bar.show_status(RecordingStatus())
    assert not bar.status_label.isVisible()


def test_parts_and_pauses_of_a_recording_are_shown(bar: RecordingBar) -> None:
    bar.show_status(RecordingStatus(True, Path("a.mp4"), 75, 1_000_000, part=3, paused=True, encoder="libx264"))
    assert bar.status_label.text() == "1:15  ·  1.0 MB  ·  part 3  ·  paused"
    assert bar.status_label.toolTip() == "Encoder: libx264"


def test_a_recording_can_be_paused_and_resumed(bar: RecordingBar, session: FakeSession, qtbot: QtBot) -> None:
    assert not bar.pause_button.isVisible()
    qtbot.mouseClick(bar.record_button, LEFT)
    bar.show_status(session.status().recording)
    assert bar.pause_button.isVisible() and not bar.options_button.isVisible()
    for name, then in (("pause_recording", "Resume recording"), ("resume_recording", "Pause recording")):
        qtbot.mouseClick(bar.pause_button, LEFT)
        bar.show_status(session.status().recording)
        assert session.names()[-1] == name and bar.pause_button.accessibleName() == then


def test_a_replay_is_saved_if_enabled(
    bar: RecordingBar, session: FakeSession, qtbot: QtBot, messages: list[Message], tmp_path: Path
) -> None:
    bar.save_replay()
    assert "Instant replay is off" in messages[0].text and not session.commands
    options = bar.open_options()
    qtbot.keyClick(options.replay, Qt.Key.Key_Down)
    options.close()
    bar.show_status(RecordingStatus())
    assert bar.replay_button.isVisible()
    qtbot.mouseClick(bar.replay_button, LEFT)
    assert session.last_argument("save_replay") == tmp_path / "films"


def test_a_failed_start_of_a_recording_is_reported(
    bar: RecordingBar, session: FakeSession, qtbot: QtBot, messages: list[Message]
) -> None:
    session.refuses_recording = "There is no room on this disk."
    qtbot.mouseClick(bar.record_button, LEFT)
    assert messages == [Message("recording", "There is no room on this disk.", "error")]


def test_a_failed_creation_of_the_folder_is_reported(
    bar: RecordingBar, session: FakeSession, qtbot: QtBot, messages: list[Message], tmp_path: Path
) -> None:
    (tmp_path / "films").write_text("in the way")
    qtbot.mouseClick(bar.record_button, LEFT)
    assert [message.level for message in messages] == ["error"] and str(tmp_path / "films") in messages[0].text
    assert session.commands == []


def test_a_snapshot_saves_the_shown_frame(
    bar: RecordingBar, canvas: Canvas, services: FakeServices, qtbot: QtBot, messages: list[Message], tmp_path: Path
) -> None:
    shown = rendered_frame()
    canvas.show_frame(shown)
    with qtbot.waitSignal(bar.message, timeout=2000):
        qtbot.mouseClick(bar.snapshot_button, LEFT)
    assert services.snapshots == [(tmp_path / "films", shown, LiveSettings())]
    saved = tmp_path / "films" / "picture.png"
    assert messages == [Message("snapshot", f"Saved {saved} with the original frame and 1 mask.")]


def test_a_failed_snapshot_is_reported_and_can_be_repeated(
    bar: RecordingBar, canvas: Canvas, services: FakeServices, qtbot: QtBot, messages: list[Message]
) -> None:
    canvas.show_frame(rendered_frame())
    services.snapshot_problem = SinkError("The disk is full.")
    for _ in range(2):
        with qtbot.waitSignal(bar.message, timeout=2000):
            qtbot.mouseClick(bar.snapshot_button, LEFT)
    assert messages == [Message("snapshot", "The disk is full.", "error")] * 2


def test_the_frame_is_copied(bar: RecordingBar, canvas: Canvas, qtbot: QtBot, messages: list[Message]) -> None:
    canvas.show_frame(rendered_frame(64, 48, value=200))
    qtbot.mouseClick(bar.copy_button, LEFT)
    image = QGuiApplication.clipboard().image()
    assert (image.width(), image.height()) == (64, 48)
    assert image.pixelColor(60, 5).getRgb()[:3] == (200, 200, 200)
    assert [message.level for message in messages] == ["info"]


def test_a_missing_frame_is_reported(bar: RecordingBar, qtbot: QtBot, messages: list[Message]) -> None:
    qtbot.mouseClick(bar.snapshot_button, LEFT)
    qtbot.mouseClick(bar.copy_button, LEFT)
    assert [message.level for message in messages] == ["warning", "warning"]


def test_the_folder_of_the_newest_file_is_opened(
    bar: RecordingBar, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[QUrl] = []
    monkeypatch.setattr(recording_bar.QDesktopServices, "openUrl", opened.append)
    bar.show_folder()
    assert opened == []
    qtbot.mouseClick(bar.record_button, LEFT)
    bar.show_folder()
    assert [Path(url.toLocalFile()) for url in opened] == [tmp_path / "films"]


def test_sizes_are_human_readable() -> None:
    assert [size_text(size) for size in (0, 999, 34_500, 34_500_000, 2_340_000_000)] == [
        "0 B", "999 B", "34 kB", "34.5 MB", "2.3 GB",
    ]  # fmt: skip
