"""The file list of the window: folders, several files, keys, thumbnails, and files that cannot be read."""

import os
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from clipseg_live.core.settings.effects import BlackOut
from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.core.status import SourceState, SourceStatus
from clipseg_live.gui.files.model import NOTE_ROLE, PROBLEM_ROLE
from clipseg_live.gui.files.panel import COMPACT_WIDTH, FILE_PANEL_WIDTH
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.source.playback_range import PlaybackRange
from tests.gui.canvas.test_canvas import drop, files
from tests.helpers.gui.fake_session import FakeSession, file_status, rendered_frame

LEFT = Qt.MouseButton.LeftButton
Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a function that makes a folder with photos and files that are no videos under names of videos."""

    def make(*names: str) -> Path:
        path = tmp_path / "shots"
        path.mkdir()
        for number, name in enumerate(names):
            if name.endswith(".png"):
                Image.fromarray(np.full((40, 60, 3), 20 * number, np.uint8)).save(path / name)
            else:
                (path / name).write_bytes(b"not a video")
        return path

    return make


def opened(session: FakeSession) -> list[SourceSpec]:
    return [argument for name, argument in session.commands if name == "open"]  # type: ignore[misc]


def open_folder(window: MainWindow, session: FakeSession, qtbot: QtBot, path: Path) -> None:
    window.open_source(SourceSpec(name=str(path)))
    qtbot.waitUntil(lambda: bool(opened(session)) and window.file_panel.isVisible(), timeout=5000)


def click_row(window: MainWindow, qtbot: QtBot, row: int) -> None:
    view = window.file_panel.view
    qtbot.mouseClick(view.viewport(), LEFT, pos=view.visualRect(view.model().index(row, 0)).center())


def photo_status(photo: int, photos: int, name: str = "", problem: str = "") -> SourceStatus:
    return SourceStatus(
        SourceState.PAUSED, "shots", 60, 40, seekable=True, photos=photos, photo=photo, file=name, problem=problem
    )


@pytest.fixture
def window(make_window: Callable[..., MainWindow]) -> MainWindow:
    made = make_window()
    made.file_panel = made.body.file_panel
    return made


def test_a_single_file_has_no_list(window: MainWindow, session: FakeSession) -> None:
    window.open_source(SourceSpec(name="walk.mp4"))
    assert opened(session) == [SourceSpec(name="walk.mp4")] and not window.file_panel.isVisible()


def test_a_folder_of_photos_is_one_source(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder
) -> None:
    path = folder("b2.png", "b10.png", "b1.png")
    open_folder(window, session, qtbot, path)
    assert opened(session) == [SourceSpec(name=str(path))]
    assert [file.name for file in window.body.file_model.files] == ["b1.png", "b2.png", "b10.png"]
    assert window.file_panel.position.text() == "1 of 3"
    click_row(window, qtbot, 2)
    assert session.last_argument("seek") == 2 and window.file_panel.position.text() == "3 of 3"
    session.set_status(photo_status(1, 3))
    window.refresh()  # the session has not reached the photo yet
    assert window.file_panel.position.text() == "3 of 3"
    for photo in (3, 2):  # reached, and then changed by other keys
        session.set_status(photo_status(photo, 3))
        window.refresh()
        assert window.file_panel.position.text() == f"{photo} of 3"
    assert window.file_panel.view.currentIndex().row() == 1


def test_videos_are_opened_one_at_a_time(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder
) -> None:
    path = folder("a.mp4", "b.mp4", "c.png")
    open_folder(window, session, qtbot, path)
    assert opened(session) == [SourceSpec(name=str(path / "a.mp4"))]
    session.set_status(file_status(position=12))
    window.refresh()
    assert window.windowTitle() == "a.mp4 – clipseg-live"
    session.show(rendered_frame())
    qtbot.waitUntil(lambda: window.canvas.frame is not None, timeout=2000)
    window.canvas.setFocus()
    qtbot.keyClick(window.canvas, Qt.Key.Key_PageDown)
    assert opened(session)[-1] == SourceSpec(name=str(path / "b.mp4")) and "seek" not in session.names()
    qtbot.keyClick(window.canvas, Qt.Key.Key_PageUp)
    qtbot.waitUntil(lambda: opened(session)[-1].name == str(path / "a.mp4"), timeout=2000)
    assert session.last_argument("seek") == 12  # where it was left
    qtbot.keyClick(window.canvas, Qt.Key.Key_PageUp)  # the first
    assert window.file_panel.position.text() == "1 of 3" and len(opened(session)) == 3
    assert window.preferences_store.value.recent[0].name == str(path)  # the list comes back at the next start


def test_files_that_are_passed_while_a_key_is_held_are_not_opened(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder
) -> None:
    path = folder(*(f"{number}.mp4" for number in range(8)))
    open_folder(window, session, qtbot, path)
    for _ in range(6):
        qtbot.keyClick(window.file_panel.view, Qt.Key.Key_Down)
    assert window.file_panel.position.text() == "7 of 8"
    last = str(path / "6.mp4")
    qtbot.waitUntil(lambda: opened(session)[-1].name == last, timeout=2000)
    assert len(opened(session)) == 3  # the first of the list, the first step and the last


def test_buttons_go_through_the_list(window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder) -> None:
    path = folder("a.mp4", "b.mp4")
    open_folder(window, session, qtbot, path)
    panel = window.file_panel
    assert not panel.previous_button.isEnabled()
    qtbot.mouseClick(panel.next_button, LEFT)
    assert opened(session)[-1].name == str(path / "b.mp4")
    assert panel.previous_button.isEnabled() and not panel.next_button.isEnabled()


def test_dropped_photos_and_videos_are_a_list(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder
) -> None:
    path = folder("a.png", "b.mp4", "notes.txt")
    assert drop(window.canvas, files(str(path / "b.mp4"), str(path / "notes.txt"), str(path / "a.png")))
    assert opened(session) == [SourceSpec(name=str(path / "b.mp4"))]  # at once, the first one
    qtbot.waitUntil(window.file_panel.isVisible, timeout=5000)
    assert window.file_panel.position.text() == "2 of 2" and len(opened(session)) == 1


def test_files_and_folders_dropped_together_are_one_set(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder, tmp_path: Path
) -> None:
    path = folder("a.png", "b.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "c.png")
    assert drop(window.canvas, files(str(path), str(tmp_path / "c.png")))
    qtbot.waitUntil(lambda: bool(opened(session)), timeout=5000)
    names = (path / "a.png", path / "b.png", tmp_path / "c.png")
    found = [*opened(session)[0].more, opened(session)[0].name]
    assert sorted(found, key=str) == sorted(map(str, names)) and window.file_panel.isVisible()


def test_several_files_are_chosen_in_the_dialog(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder
) -> None:
    path = folder("a.png", "b.png")
    window.source_menu.ask_file()
    dialog = window.findChild(QFileDialog)
    assert dialog.fileMode() == QFileDialog.FileMode.ExistingFiles
    dialog.filesSelected.emit([str(path / "a.png"), str(path / "b.png")])
    assert opened(session) == [SourceSpec(name=str(path / "a.png"), more=(str(path / "b.png"),))]
    qtbot.waitUntil(window.file_panel.isVisible, timeout=5000)
    dialog.close()


def test_files_that_cannot_be_read_are_marked(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder
) -> None:
    path = folder("a.png", "b.png", "c.mp4")
    (path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    open_folder(window, session, qtbot, path)
    model = window.body.file_model
    qtbot.waitUntil(lambda: bool(model.problem(1) and model.problem(2)), timeout=10000)
    assert "b.png" in model.problem(1) and "c.mp4" in model.problem(2) and not model.problem(0)
    index = model.index(1)
    assert model.problem(1) in model.data(index, Qt.ItemDataRole.ToolTipRole)
    assert model.data(index, PROBLEM_ROLE) == model.problem(1)
    assert model.data(index, Qt.ItemDataRole.AccessibleTextRole).startswith("b.png, ")
    session.set_status(SourceStatus(SourceState.FAILED, "a.png", problem="a.png was deleted."))
    window.refresh()
    assert model.problem(0) == "a.png was deleted."
    assert window.canvas.notice is not None and window.canvas.notice.title == "Cannot open a.png"
    session.set_status(file_status())  # it was put back
    window.refresh()
    assert not model.problem(0)


def test_a_file_that_has_ended_starts_again(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder
) -> None:
    open_folder(window, session, qtbot, folder("a.mp4", "b.mp4"))
    session.set_status(file_status(position=60, state=SourceState.ENDED))
    window.refresh()
    click_row(window, qtbot, 1)
    click_row(window, qtbot, 0)
    qtbot.waitUntil(lambda: window.file_list.title == "a.mp4", timeout=2000)
    assert "seek" not in session.names()


def test_the_problem_of_a_photo_is_marked_until_it_is_read(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder
) -> None:
    open_folder(window, session, qtbot, folder("a.png", "b.png"))
    model = window.body.file_model
    session.set_status(photo_status(2, 2, "b.png", "b.png is damaged."))
    window.refresh()
    assert model.problem(1) == "b.png is damaged."
    session.set_status(photo_status(2, 2, "b.png"))
    window.refresh()
    assert not model.problem(1)


def test_thumbnails_are_read_for_visible_rows_of_a_huge_folder(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clipseg_live.media.sources import file_list

    path = folder("0.png")
    for number in range(1, 10_000):
        os.link(path / "0.png", path / f"{number}.png")
    read: list[Path] = []
    original = file_list.read_thumbnail
    monkeypatch.setattr(file_list, "read_thumbnail", lambda file, side: (read.append(file), original(file, side))[1])
    open_folder(window, session, qtbot, path)
    model, view = window.body.file_model, window.file_panel.view
    assert model.rowCount() == 10_000 and window.file_panel.position.text() == "1 of 10000"
    qtbot.waitUntil(lambda: model.data(model.index(0), Qt.ItemDataRole.DecorationRole) is not None, timeout=5000)
    qtbot.keyClick(view, Qt.Key.Key_End)
    assert session.last_argument("seek") == 9_999
    last = model.index(9_999)
    qtbot.waitUntil(lambda: model.data(last, Qt.ItemDataRole.DecorationRole) is not None, timeout=5000)
    qtbot.waitUntil(lambda: model._task is None, timeout=10000)
    assert len(read) < 60


def test_thumbnails_are_hidden_with_a_privacy_effect(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder
) -> None:
    open_folder(window, session, qtbot, folder("a.png", "b.png"))
    model, view = window.body.file_model, window.file_panel.view
    index = model.index(1)
    qtbot.waitUntil(lambda: index.data(Qt.ItemDataRole.DecorationRole) is not None, timeout=5000)
    place = view.visualRect(index).topLeft() + QPoint(30, 20)
    assert view.grab().toImage().pixelColor(place).red() == 20
    window.store.update(effects=(BlackOut(),))
    assert index.data(Qt.ItemDataRole.DecorationRole) is None and view.grab().toImage().pixelColor(place).red() != 20
    window.store.undo()
    assert view.grab().toImage().pixelColor(place).red() == 20


def test_the_list_can_be_hidden(window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder) -> None:
    open_folder(window, session, qtbot, folder("a.mp4", "b.mp4"))
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=2000)
    for visible in (False, True):
        qtbot.keyClick(window.canvas, Qt.Key.Key_F5)
        assert window.file_panel.isVisible() is visible
    window.actions_by_name["full_screen"].trigger()
    assert not window.file_panel.isVisible()
    window.actions_by_name["full_screen"].trigger()
    assert window.file_panel.isVisible()


def test_a_narrow_window_shows_thumbnails_alone(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder
) -> None:
    open_folder(window, session, qtbot, folder("a.mp4", "b.mp4"))
    session.set_status(file_status())
    window.refresh()
    assert window.file_panel.width() == FILE_PANEL_WIDTH and window.playback_bar.frame.isVisible()
    window.resize(760, 480)
    qtbot.waitUntil(lambda: window.file_panel.width() == COMPACT_WIDTH, timeout=2000)
    assert window.width() == 760 and window.canvas.width() > 300
    qtbot.waitUntil(lambda: window.playback_bar.seek_bar.width() > 60, timeout=2000)
    click_row(window, qtbot, 1)
    assert window.file_panel.position.text() == "2 of 2"


def test_another_source_replaces_the_list(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder
) -> None:
    path = folder("a.mp4", "b.mp4")
    window.open_source(SourceSpec(name=str(path)))
    window.open_source(SourceSpec(name="demo:"))  # before the list was found
    task_ended = lambda: window.file_list.findChildren(type(window.source_menu._task)) == []  # noqa: E731
    qtbot.waitUntil(task_ended, timeout=5000)
    assert opened(session) == [SourceSpec(name="demo:")] and not window.file_panel.isVisible()


def test_a_folder_without_files_fails_in_the_session(
    window: MainWindow, session: FakeSession, qtbot: QtBot, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    window.open_source(SourceSpec(name=str(tmp_path / "empty")))
    qtbot.waitUntil(lambda: bool(opened(session)), timeout=5000)
    assert opened(session) == [SourceSpec(name=str(tmp_path / "empty"))]  # it reports the error


def test_retry_opens_the_same_file(window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder) -> None:
    path = folder("a.mp4", "b.mp4")
    open_folder(window, session, qtbot, path)
    click_row(window, qtbot, 1)
    session.set_status(SourceStatus(SourceState.FAILED, "b.mp4", problem="b.mp4 is damaged."))
    window.refresh()
    window._run_notice_action("retry")
    assert [spec.name for spec in opened(session)[1:]] == [str(path / "b.mp4")] * 2


def test_notes_are_kept_by_file(window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder) -> None:
    path = folder("a.mp4", "b.mp4")
    model = window.body.file_model
    model.show_export(str(path / "b.mp4"), "")
    open_folder(window, session, qtbot, path)
    assert model.data(model.index(1), NOTE_ROLE) == "Exported" and model.data(model.index(0), NOTE_ROLE) == ""


def test_the_list_is_opened_at_the_start(tmp_path: Path, folder: Folder) -> None:
    """The search for files needs the window, so the session does not open the folder by itself."""
    from clipseg_live.gui.files.media_types import is_list

    path = folder("a.mp4")
    assert is_list(SourceSpec(name=str(path))) and is_list(SourceSpec(name=str(path / "*.mp4")))
    for name in ("camera:0", "demo:", "screen:", "rtsp://cam.local/live", str(path / "a.mp4"), "missing.mp4"):
        assert not is_list(SourceSpec(name=name))
    assert not is_list(SourceSpec(name=str(path), sequence=Fraction(25)))


def test_retry_opens_the_source_of_the_start_again(window: MainWindow, session: FakeSession) -> None:
    window.show_source(SourceSpec(name="gone.mp4"))  # the session has opened it before there was a window
    window._run_notice_action("retry")
    assert opened(session) == [SourceSpec(name="gone.mp4")]


def test_in_and_out_points_are_kept_by_file(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder
) -> None:
    open_folder(window, session, qtbot, folder("a.mp4", "b.mp4"))
    session.set_status(file_status(position=12))
    window.refresh()
    window.canvas.setFocus()
    qtbot.keyClick(window.canvas, Qt.Key.Key_I)
    bar = window.playback_bar
    assert bar.playback_range == PlaybackRange(Fraction(12))
    click_row(window, qtbot, 1)
    window.refresh()
    assert bar.playback_range.is_whole
    click_row(window, qtbot, 0)
    qtbot.waitUntil(lambda: window.file_list.title == "a.mp4", timeout=2000)
    window.refresh()
    assert bar.playback_range == PlaybackRange(Fraction(12))


@pytest.mark.skipif(sys.platform != "linux", reason="names are text on other systems")
def test_names_that_are_no_text_are_shown(
    window: MainWindow, session: FakeSession, qtbot: QtBot, folder: Folder
) -> None:
    path = folder("a.png", "b.png")
    (path / "b.png").rename(Path(os.fsdecode(os.fsencode(path) + b"/b\xff.png")))
    open_folder(window, session, qtbot, path)
    model = window.body.file_model
    index = model.index(1)
    assert index.data() == "b\ufffd.png" and index.data(Qt.ItemDataRole.ToolTipRole).endswith("/b\ufffd.png")
    qtbot.waitUntil(lambda: index.data(Qt.ItemDataRole.DecorationRole) is not None, timeout=5000)
