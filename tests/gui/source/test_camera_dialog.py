"""Requested camera formats, and controls of the camera."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QWidget
from pytestqt.qtbot import QtBot

from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.gui.source.camera_dialog import CameraDialog
from tests.helpers.gui.fake_session import live_status

CAMERA = SourceSpec(name="camera:0")


@pytest.fixture
def parent(qtbot: QtBot) -> Iterator[QWidget]:
    widget = QWidget()
    qtbot.addWidget(widget)
    yield widget
    widget.close()


def choose(qtbot: QtBot, box: QComboBox, text: str) -> None:
    """Select with the keyboard, like a user."""
    box.setFocus()
    for _ in range(abs(box.findText(text) - box.currentIndex())):
        qtbot.keyClick(box, Qt.Key.Key_Down if box.findText(text) > box.currentIndex() else Qt.Key.Key_Up)


@pytest.mark.parametrize(
    ("box", "text", "values"),
    [
        ("size_box", "640 × 480", {"width": 640, "height": 480}),
        ("rate_box", "10 fps", {"rate": 10.0}),
        ("format_box", "MJPG", {"fourcc": "MJPG"}),
    ],
)
def test_a_choice_reopens_the_camera(
    parent: QWidget, qtbot: QtBot, box: str, text: str, values: dict[str, object]
) -> None:
    dialog = CameraDialog(CAMERA, parent)
    dialog.show()
    with qtbot.waitSignal(dialog.source_changed, timeout=1000) as source_changed:
        choose(qtbot, getattr(dialog, box), text)
    assert source_changed.args == [CAMERA.model_copy(update=values)]


def test_choices_are_combined_and_can_be_reset(parent: QWidget, qtbot: QtBot) -> None:
    dialog = CameraDialog(SourceSpec(name="camera:0", width=640, height=480, fourcc="MJPG"), parent)
    assert (dialog.size_box.currentText(), dialog.format_box.currentText()) == ("640 × 480", "MJPG")
    source_changed: list[SourceSpec] = []
    dialog.source_changed.connect(source_changed.append)
    dialog.rate_box.setCurrentIndex(1)
    dialog.size_box.setCurrentIndex(0)
    assert source_changed[-1] == SourceSpec(name="camera:0", rate=10.0, fourcc="MJPG")


def test_an_unlisted_size_is_shown(parent: QWidget) -> None:
    dialog = CameraDialog(SourceSpec(name="camera:0", width=1024, height=768), parent)
    assert dialog.size_box.currentText() == "1024 × 768"


def test_each_control_of_the_camera_has_a_slider(parent: QWidget, qtbot: QtBot) -> None:
    dialog = CameraDialog(CAMERA, parent)
    dialog.show()
    dialog.show_status(live_status())
    assert dialog.sliders == {} and dialog.note.isVisible()
    dialog.show_status(replace(live_status(), controls=(("exposure", -6.0), ("gain", 20.0))))
    assert list(dialog.sliders) == ["exposure", "gain"] and not dialog.note.isVisible()
    assert dialog.sliders["exposure"].value_text() == "-6" and dialog.sliders["exposure"].minimum() == -1300
    gain = dialog.sliders["gain"]
    gain.setFocus()
    with qtbot.waitSignal(dialog.control_changed, timeout=1000) as requested:
        qtbot.keyClick(gain, Qt.Key.Key_Right)
    assert requested.args == ["gain", 21.0]
    qtbot.mouseClick(gain, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(gain.editor, "77")
    dialog.show_status(replace(live_status(), controls=(("gain", 21.0),)))  # a typed number is not replaced
    with qtbot.waitSignal(dialog.control_changed, timeout=1000) as requested:
        qtbot.keyClick(gain.editor, Qt.Key.Key_Return)
    assert requested.args == ["gain", 77.0]


def test_changes_by_the_camera_are_shown_without_a_request(parent: QWidget, qtbot: QtBot) -> None:
    dialog = CameraDialog(CAMERA, parent)
    dialog.show_status(replace(live_status(), controls=(("focus", 10.0),)))
    with qtbot.assertNotEmitted(dialog.control_changed):
        dialog.show_status(replace(live_status(), controls=(("focus", 90.0),)))
    assert dialog.sliders["focus"].value_text() == "90"


def test_controls_are_kept_when_the_camera_is_reopened(parent: QWidget) -> None:
    dialog = CameraDialog(CAMERA, parent)
    dialog.show_status(replace(live_status(), controls=(("gain", 20.0),)))
    source_changed: list[SourceSpec] = []
    dialog.source_changed.connect(source_changed.append)
    dialog.sliders["gain"].setValue(3000)
    dialog.sliders["gain"].setValue(4000)
    dialog.rate_box.setCurrentIndex(1)
    assert source_changed == [SourceSpec(name="camera:0", rate=10.0, controls=(("gain", 40.0),))]
