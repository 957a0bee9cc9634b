"""The source menu with its dialogs, and the transform menu."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog, QMenu, QWidget
from pytestqt.qtbot import QtBot

from clipseg_live.core.errors import SourceError
from clipseg_live.core.settings.live import FrameTransform, LiveSettings, SourceSpec
from clipseg_live.gui.source.menu import AddressDialog, FramingMenu, SourceMenu, source_title
from clipseg_live.gui.state.settings_store import Store
from tests.gui.conftest import FakeServices

RECENT = [SourceSpec(name="/films/walk.mp4"), SourceSpec(name="camera:0"), SourceSpec(name="rtsp://u:p@cam/one")]


@pytest.fixture
def menu(qtbot: QtBot, services: FakeServices) -> Iterator[SourceMenu]:
    parent = QWidget()
    widget = SourceMenu(services.real, lambda: RECENT, parent)
    qtbot.addWidget(parent)
    parent.show()
    yield widget
    parent.close()


def entries(menu: SourceMenu) -> list[str]:
    return [action.text() for action in menu.menu().actions() if not action.isSeparator()]


def pick(menu: SourceMenu, text: str) -> None:
    next(action for action in menu.menu().actions() if action.text() == text).trigger()


def open_menu(menu: SourceMenu, qtbot: QtBot) -> QMenu:
    """Open the menu, and wait for the list of cameras."""
    menu.menu().aboutToShow.emit()
    qtbot.waitUntil(lambda: not any("Searching" in text for text in entries(menu)), timeout=2000)
    return menu.menu()


def test_the_menu_lists_all_sources(menu: SourceMenu, qtbot: QtBot) -> None:
    open_menu(menu, qtbot)
    assert entries(menu) == [
        "Front Camera", "Desk Camera", "Camera options…", "Open file…", "Open folder…",
        "Open address…", "Screen",
        "Screen region…", "Demo scene", "walk.mp4", "rtsp://cam/one",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Desk Camera", "camera:1"),
        ("Screen", "screen:"),
        ("Demo scene", "demo:"),
        ("walk.mp4", "/films/walk.mp4"),
        ("rtsp://cam/one", "rtsp://u:p@cam/one"),
    ],
)
def test_an_entry_opens_its_source(menu: SourceMenu, qtbot: QtBot, text: str, name: str) -> None:
    open_menu(menu, qtbot)
    with qtbot.waitSignal(menu.chosen, timeout=1000) as chosen:
        pick(menu, text)
    assert chosen.args == [SourceSpec(name=name)]


def test_the_camera_search_does_not_block_the_menu(qtbot: QtBot, services: FakeServices) -> None:
    free = threading.Event()

    def slow() -> list[tuple[str, str]]:
        free.wait(10)
        return [("camera:4", "Slow Camera")]

    object.__setattr__(services.real, "list_cameras", slow)
    parent = QWidget()
    qtbot.addWidget(parent)
    menu = SourceMenu(services.real, list, parent)
    menu.menu().aboutToShow.emit()
    assert entries(menu)[0] == "Searching for cameras…"
    free.set()
    qtbot.waitUntil(lambda: entries(menu)[0] == "Slow Camera", timeout=2000)


def test_missing_cameras_are_reported(menu: SourceMenu, qtbot: QtBot, services: FakeServices) -> None:
    services.cameras = ()
    open_menu(menu, qtbot)
    assert entries(menu)[0] == "No camera found"
    assert not menu.menu().actions()[0].isEnabled()


def test_a_failed_camera_search_is_reported(menu: SourceMenu, qtbot: QtBot, services: FakeServices) -> None:
    services.camera_problem = SourceError("The cameras did not answer.")
    with qtbot.waitSignal(menu.problem, timeout=2000) as problem:
        menu.menu().aboutToShow.emit()
    assert problem.args == ["The cameras did not answer."]


def test_the_screen_is_omitted_if_it_cannot_be_captured(menu: SourceMenu, qtbot: QtBot, services: FakeServices) -> None:
    services.screen = False
    open_menu(menu, qtbot)
    assert "Screen" not in entries(menu)


def test_the_button_names_the_source_and_the_menu_marks_it(menu: SourceMenu, qtbot: QtBot) -> None:
    menu.show_source(SourceSpec(name="camera:1"))
    assert menu.text().strip() == "Camera 1"
    open_menu(menu, qtbot)
    assert menu.text().strip() == "Desk Camera"
    assert menu.accessibleName() == "Source: Desk Camera"
    marks = {action.text(): action.icon().cacheKey() for action in menu.menu().actions()}
    assert marks["Desk Camera"] != marks["Front Camera"]


def test_a_long_name_is_shortened_in_its_middle(menu: SourceMenu) -> None:
    menu.show_source(SourceSpec(name="/films/" + "a" * 40 + "-the-end.mp4"))
    assert len(menu.text()) < 36 and menu.text().endswith("-the-end.mp4") and "…" in menu.text()


def test_camera_options_are_enabled_for_cameras_only(menu: SourceMenu, qtbot: QtBot) -> None:
    menu.show_source(SourceSpec(name="demo:"))
    options = next(action for action in open_menu(menu, qtbot).actions() if action.text() == "Camera options…")
    assert not options.isEnabled()
    menu.show_source(SourceSpec(name="camera:0"))
    open_menu(menu, qtbot)
    with qtbot.waitSignal(menu.camera_options_requested, timeout=1000):
        pick(menu, "Camera options…")


def test_a_file_is_opened_by_the_dialog(menu: SourceMenu, qtbot: QtBot, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x")
    open_menu(menu, qtbot)
    pick(menu, "Open file…")
    dialog = next(
        entry for entry in QApplication.topLevelWidgets() if isinstance(entry, QFileDialog) and entry.isVisible()
    )
    dialog.selectFile(str(film))
    with qtbot.waitSignal(menu.chosen, timeout=1000) as chosen:
        dialog.accept()
    assert chosen.args == [SourceSpec(name=str(film))]


def test_a_typed_address_is_opened(menu: SourceMenu, qtbot: QtBot) -> None:
    open_menu(menu, qtbot)
    pick(menu, "Open address…")
    dialog = next(entry for entry in QApplication.topLevelWidgets() if isinstance(entry, AddressDialog))
    for wrong in ("cam.local", "ftp://cam/one", "rtsp://", "rtsp:///path"):
        dialog.field.setText(wrong)
        assert not dialog.open_button.isEnabled()
    dialog.field.clear()
    qtbot.keyClicks(dialog.field, " rtsp://cam.local/one ")
    assert dialog.open_button.isEnabled()
    with qtbot.waitSignal(menu.chosen, timeout=1000) as chosen:
        qtbot.mouseClick(dialog.open_button, Qt.MouseButton.LeftButton)
    assert chosen.args == [SourceSpec(name="rtsp://cam.local/one")]


@pytest.mark.parametrize("insecure", [False, True])
def test_the_certificate_option_is_for_tls_addresses_only(menu: SourceMenu, qtbot: QtBot, insecure: bool) -> None:
    menu.ask_address()
    dialog = next(entry for entry in QApplication.topLevelWidgets() if isinstance(entry, AddressDialog))
    dialog.field.setText("rtsp://cam.local/one")
    assert not dialog.insecure_box.isVisible()
    dialog.field.setText("https://ann:p w]@cam.local/one")
    assert dialog.insecure_box.isVisible() and not dialog.insecure_box.isChecked()
    dialog.insecure_box.setChecked(insecure)
    with qtbot.waitSignal(menu.chosen, timeout=1000) as chosen:
        qtbot.mouseClick(dialog.open_button, Qt.MouseButton.LeftButton)
    assert chosen.args == [SourceSpec(name="https://ann:p w]@cam.local/one", insecure=insecure)]


def test_names_show_no_password() -> None:
    names = {
        "rtsp://user:secret@cam:554/live?token=secret": "rtsp://cam:554/live",
        "http://cam/user=me&password=secret/live": "http://cam/…/live",
        "camera:2": "Camera 2",
        "camera:Front": "Front",
        "demo:7": "Demo scene 7",
        "demo:": "Demo scene",
        "screen:0,0,640,480": "Screen, 640 × 480",
        "/films/walk.mp4": "walk.mp4",
    }
    assert {name: source_title(SourceSpec(name=name)) for name in names} == names
    assert "secret" not in source_title(SourceSpec(name="rtsp://user:se/cret@cam/one"))


@pytest.fixture
def framing(qtbot: QtBot) -> Iterator[tuple[FramingMenu, Store]]:
    store, parent = Store(LiveSettings()), QWidget()
    qtbot.addWidget(parent)
    yield FramingMenu(store, parent), store
    parent.close()


def test_mirroring_and_rotation_change_the_settings(framing: tuple[FramingMenu, Store]) -> None:
    menu, store = framing
    menu.mirror_action.trigger()
    assert store.settings.framing == FrameTransform(mirror=True)
    menu.mirror_action.trigger()
    menu.turn_action.trigger()
    assert store.settings.framing == FrameTransform(turn=90)
    for _ in range(3):
        menu.turn_action.trigger()
    assert store.settings.framing == FrameTransform()
    store.undo()
    assert store.settings.framing == FrameTransform(turn=270)


def test_a_mirrored_frame_rotates_in_the_same_direction_on_screen(framing: tuple[FramingMenu, Store]) -> None:
    """Mirroring is applied last, so a clockwise turn on screen is a counterclockwise turn of the source."""
    menu, store = framing
    menu.mirror_action.trigger()
    menu.turn_action.trigger()
    assert store.settings.framing == FrameTransform(mirror=True, turn=270)


def test_a_crop_can_be_requested_and_reset(framing: tuple[FramingMenu, Store], qtbot: QtBot) -> None:
    menu, store = framing
    with qtbot.waitSignal(menu.crop_requested, timeout=1000):
        menu.crop_action.trigger()
    assert not menu.whole_action.isEnabled()
    store.update(framing=FrameTransform(crop=(0.1, 0.1, 0.5, 0.5)))
    menu.whole_action.trigger()
    assert store.settings.framing == FrameTransform()
