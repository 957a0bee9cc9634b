"""The virtual camera's button and its options."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog, QWidget
from pytestqt.qtbot import QtBot

from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings, VirtualCameraStatus
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.output.virtual_camera_bar import VirtualCameraBar
from clipseg_live.gui.output.virtual_camera_options import VirtualCameraOptions
from clipseg_live.gui.state.preferences import Preferences, load_preferences
from clipseg_live.gui.widgets import theme
from tests.gui.conftest import FakeServices
from tests.gui.test_main_window import key
from tests.helpers.gui.fake_session import FakeSession
from tests.helpers.gui.panel_tools import wait_closed

LEFT = Qt.MouseButton.LeftButton
ON = VirtualCameraStatus(active=True, device="clipseg-live", width=1280, height=720, rate=30.0, sent=9)
SAFE = VirtualCameraStatus(
    active=True, device="clipseg-live", width=1280, height=720, rate=30.0, shows_placeholder=True, late=3
)
AWAY = VirtualCameraStatus(active=True, shows_placeholder=True, problem="There is none: do this; do that.")


def bar_of(window: MainWindow) -> VirtualCameraBar:
    return window.body.camera_bar


def open_options(window: MainWindow, qtbot: QtBot) -> VirtualCameraOptions:
    """Open the options, and wait for the list of cameras."""
    qtbot.mouseClick(bar_of(window).options_button, LEFT)
    options = bar_of(window).options
    assert options is not None
    qtbot.waitUntil(lambda: options.device.count() > 1)
    return options


def pick(qtbot: QtBot, choice: QWidget, text: str) -> None:
    """Select with the keyboard, like a user in an open list."""
    place = choice.findText(text)  # type: ignore[attr-defined]
    assert place >= 0, text
    choice.setFocus()
    choice.showPopup()  # type: ignore[attr-defined]
    view = choice.view()  # type: ignore[attr-defined]
    view.setCurrentIndex(choice.model().index(place, 0))  # type: ignore[attr-defined]
    qtbot.keyClick(view, Qt.Key.Key_Return)


@pytest.mark.slow
def test_a_click_starts_the_camera_and_another_stops_it(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    bar = bar_of(window)
    assert bar.button.accessibleName() == "Start virtual camera" and not bar.button.isChecked()
    assert bar.button.accessibleDescription() == "Off" and bar.button.text() == ""
    qtbot.mouseClick(bar.button, LEFT)
    assert session.last_argument("start_camera") == VirtualCameraSettings()
    assert bar.button.isChecked() and bar.button.accessibleName() == "Stop virtual camera"
    qtbot.mouseClick(bar.button, LEFT)
    assert session.names()[-1] == "stop_camera" and not bar.button.isChecked()


@pytest.mark.parametrize(
    ("status", "words", "colour", "tip"),
    [
        (VirtualCameraStatus(active=True), "Opening", theme.ACCENT, ""),
        (ON, "On", theme.GOOD, "clipseg-live, 1280 × 720, 30 fps"),
        (SAFE, "Placeholder", theme.WARNING, "3 frames late"),
        (AWAY, "Unavailable", theme.DANGER, "There is none: do this; do that."),
    ],
)
def test_the_state_of_the_camera_is_shown(
    window: MainWindow, session: FakeSession, status: VirtualCameraStatus, words: str, colour: str, tip: str
) -> None:
    session.set_status(camera=status)
    window.refresh()
    button = bar_of(window).button
    assert button.text().strip() == button.accessibleDescription() == words
    assert tip in button.toolTip() and button.statusTip()
    image = button.icon().pixmap(40, 40).toImage()
    seen = {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}
    assert colour in seen
    window.resize(760, 480)
    window.refresh()
    assert button.text() == "" and button.accessibleDescription() == words


@pytest.mark.slow
def test_keys_start_the_camera_and_open_its_options(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    key(qtbot, window, "virtual_camera")
    assert session.names()[-1] == "start_camera"
    key(qtbot, window, "virtual_camera_options")
    options = bar_of(window).options
    assert options is not None and options.isVisible()
    qtbot.keyClick(options, Qt.Key.Key_Escape)
    wait_closed(qtbot, options)
    assert bar_of(window).options is None


@pytest.mark.slow
def test_options_are_saved_and_applied(
    make_window: Callable[..., MainWindow], session: FakeSession, qtbot: QtBot, tmp_path: Path
) -> None:
    window = make_window()
    options = open_options(window, qtbot)
    pick(qtbot, options.device, "clipseg-live (/dev/video9)")
    pick(qtbot, options.size_choice, "640 × 480")
    pick(qtbot, options.rate, "25 fps")
    qtbot.mouseClick(options.fit.button("fill"), LEFT)
    expected = VirtualCameraSettings(device="/dev/video9", width=640, height=480, rate=25, fit="fill")
    assert window.preferences_store.value.camera == expected and "start_camera" not in session.names()
    qtbot.mouseClick(options.start_button, LEFT)
    assert session.last_argument("start_camera") == expected
    assert options.start_button.text() == "Stop virtual camera"
    pick(qtbot, options.size_choice, "Automatic")  # a running camera keeps its settings
    assert session.last_argument("start_camera") == expected.model_copy(update={"width": None, "height": None})
    options.close()
    window.shut_down()
    preferences, problem = load_preferences(tmp_path / "preferences.json")
    assert (preferences.camera.device, preferences.camera.width, preferences.camera.rate, problem) == (
        "/dev/video9",
        None,
        25,
        "",
    )


def test_unavailable_values_are_shown(make_window: Callable[..., MainWindow], qtbot: QtBot) -> None:
    preferences = VirtualCameraSettings(device="Old Camera", width=800, height=600, rate=12)
    window = make_window(saved=Preferences(camera=preferences))
    options = open_options(window, qtbot)
    shown = options.device.currentText(), options.size_choice.currentText(), options.rate.currentText()
    assert shown == ("Old Camera (unavailable)", "800 × 600", "12 fps")
    assert window.preferences_store.value.camera == preferences
    options.close()


@pytest.mark.slow
def test_a_placeholder_image_can_be_selected_and_removed(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "sea.png"
    path.touch()
    options = open_options(window, qtbot)
    assert "One moment" in options.placeholder.text() and not options.default_button.isVisible()
    qtbot.mouseClick(options.placeholder, LEFT)

    def dialogs() -> list[QFileDialog]:
        return [
            entry for entry in QApplication.topLevelWidgets() if isinstance(entry, QFileDialog) and entry.isVisible()
        ]

    qtbot.waitUntil(lambda: bool(dialogs()))
    (dialog,) = dialogs()
    dialog.fileSelected.emit(str(path))
    dialog.close()
    wait_closed(qtbot, dialog)
    assert window.preferences_store.value.camera.placeholder == str(path)
    options = open_options(window, qtbot)
    assert options.placeholder.text().strip() == "sea.png" and options.placeholder.toolTip() == str(path)
    qtbot.mouseClick(options.default_button, LEFT)
    assert window.preferences_store.value.camera.placeholder == "" and "One moment" in options.placeholder.text()
    options.close()


@pytest.mark.slow
def test_options_show_the_problem_and_a_solution(window: MainWindow, session: FakeSession, qtbot: QtBot) -> None:
    options = open_options(window, qtbot)
    assert not options.status_label.isVisible()
    height = options.height()
    session.set_status(camera=AWAY)
    window.refresh()
    assert options.status_label.text() == "There is none: do this;\ndo that." and options.height() > height
    assert options.status_label.textInteractionFlags() & Qt.TextInteractionFlag.TextSelectableByMouse
    session.set_status(camera=SAFE)
    window.refresh()
    assert "Sending the placeholder" in options.status_label.text() and "1280 × 720" in options.status_label.text()
    session.set_status(camera=ON)
    window.refresh()
    assert options.status_label.text() == "clipseg-live, 1280 × 720, 30 fps"
    options.close()


@pytest.mark.slow
def test_every_control_has_a_name(window: MainWindow, qtbot: QtBot, services: FakeServices) -> None:
    options = open_options(window, qtbot)
    controls = (
        options.device,
        options.size_choice,
        options.rate,
        options.fit,
        options.placeholder,
        options.default_button,
    )
    assert all(control.accessibleName() for control in controls)
    bar = bar_of(window)
    assert bar.options_button.accessibleName() == "Virtual camera options" and options.accessibleName()
    options.close()
