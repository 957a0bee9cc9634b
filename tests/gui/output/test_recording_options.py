"""Recording options: every control changes the settings."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from clipseg_live.core.settings.base import DATA_FORMATS
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.gui.output.recording_options import RecordingOptions
from clipseg_live.gui.widgets.buttons import ChoiceBox
from tests.helpers.packages import forget_packages, install_example

LEFT = Qt.MouseButton.LeftButton
Make = Callable[..., RecordingOptions]


@pytest.fixture
def changes() -> list[RecordingSettings]:
    return []


@pytest.fixture
def make(qtbot: QtBot, changes: list[RecordingSettings]) -> Make:
    window = QWidget()
    qtbot.addWidget(window)
    window.show()

    def opened(**values: object) -> RecordingOptions:
        settings = RecordingSettings(**values)  # type: ignore[arg-type]
        options = RecordingOptions(settings, "/films", lambda: ("Desk Microphone",), window)
        options.changed.connect(changes.append)
        options.show()
        qtbot.waitUntil(lambda: options.sound.findText("Microphone: Desk Microphone") >= 0)
        return options

    return opened


def choose(qtbot: QtBot, choice: ChoiceBox, text: str) -> None:
    """Select with the keyboard, like a user."""
    choice.setFocus()
    for _ in range(choice.count()):
        if choice.currentText() == text:
            return
        qtbot.keyClick(choice, Qt.Key.Key_Down)
    raise AssertionError(f"{text} is not offered")


def test_tracks_can_be_selected_and_one_always_stays(
    make: Make, changes: list[RecordingSettings], qtbot: QtBot
) -> None:
    options = make()
    assert not options.tracks["composed"].isEnabled()
    qtbot.mouseClick(options.tracks["mattes"], LEFT)
    assert changes[-1].tracks == ("composed", "mattes") and options.tracks["composed"].isEnabled()
    qtbot.keyClick(options.tracks["composed"], Qt.Key.Key_Space)
    assert changes[-1].tracks == ("mattes",) and not options.tracks["mattes"].isEnabled()


def test_formats_of_packages_are_offered(
    make: Make, changes: list[RecordingSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    forget_packages(monkeypatch)
    install_example(tmp_path, "add-a-data-format")
    options = make()
    (action,) = [action for action in options.data_menu.actions() if action.text() == "Areas (text)"]
    action.trigger()
    assert changes[-1].data == ("areas",) and options.data.text() == "Areas (text)"


def test_data_formats_are_selected_in_a_menu(make: Make, changes: list[RecordingSettings], qtbot: QtBot) -> None:
    options = make()
    assert options.data.text() == "None"
    qtbot.mouseClick(options.data, LEFT)
    assert options.data_menu.isVisible()
    options.data_menu.close()
    actions = {action.data(): action for action in options.data_menu.actions()}
    assert set(actions) == set(DATA_FORMATS)
    for form, text in (("coco", "COCO dataset"), ("sheet", "COCO dataset, Contact sheet"), ("npz", "3 formats")):
        actions[form].trigger()
        assert options.data.text() == text
    assert set(changes[-1].data) == {"coco", "sheet", "npz"}
    actions["npz"].trigger()
    assert set(changes[-1].data) == {"coco", "sheet"}


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("codec", "ProRes (MOV)", "codec", "prores"),
        ("sound", "None", "sound", "off"),
        ("sound", "Microphone: Desk Microphone", "microphone", "Desk Microphone"),
        ("parts", "Every hour", "part_seconds", 3600.0),
        ("parts", "Every 4 GB", "part_bytes", 4_000_000_000),
        ("replay", "Last 30 seconds", "replay_seconds", 30.0),
    ],
)
def test_choices_change_the_settings(
    make: Make, changes: list[RecordingSettings], qtbot: QtBot, name: str, text: str, field: str, value: object
) -> None:
    options = make()
    choose(qtbot, getattr(options, name), text)
    assert getattr(changes[-1], field) == value


def test_encoder_size_and_quality_change_the_settings(
    make: Make, changes: list[RecordingSettings], qtbot: QtBot
) -> None:
    options = make()
    qtbot.mouseClick(options.encoder.button("software"), LEFT)
    qtbot.mouseClick(options.on_change.button("part"), LEFT)
    options.quality.setFocus()
    qtbot.keyClick(options.quality, Qt.Key.Key_End)
    assert (changes[-1].encoder, changes[-1].on_change, changes[-1].quality) == ("software", "part", 100)
    choose(qtbot, options.codec, "ProRes (MOV)")
    assert options.quality.isEnabled()
    choose(qtbot, options.codec, "FFV1, lossless (MKV)")
    assert not options.quality.isEnabled()


def test_a_pattern_is_applied_by_enter_and_validated(
    make: Make, changes: list[RecordingSettings], qtbot: QtBot
) -> None:
    options = make()
    options.pattern.setFocus()
    options.pattern.selectAll()
    qtbot.keyClicks(options.pattern, "{prompts} {nonsense}")
    qtbot.keyClick(options.pattern, Qt.Key.Key_Return)
    assert not changes and "{nonsense} is not a placeholder" in options.problem.text() and options.problem.isVisible()
    for _ in "{nonsense}":
        qtbot.keyClick(options.pattern, Qt.Key.Key_Backspace)
    qtbot.keyClick(options.pattern, Qt.Key.Key_Return)
    assert changes[-1].pattern == "{prompts}" and not options.problem.isVisible()


def test_a_missing_microphone_is_still_shown(make: Make, changes: list[RecordingSettings]) -> None:
    options = make(sound="microphone", microphone="Old One")
    assert options.sound.currentText() == "Microphone: Old One (unavailable)" and not changes


def test_another_folder_can_be_selected(make: Make, qtbot: QtBot) -> None:
    options = make()
    with qtbot.waitSignal(options.folder_requested):
        qtbot.mouseClick(options.folder, LEFT)
    assert not options.isVisible()


def test_every_control_has_a_name(make: Make) -> None:
    options = make()
    controls = (*options.tracks.values(), options.data, options.codec, options.quality, options.sound, options.pattern,
                options.parts, options.replay, options.folder, options.encoder, options.on_change)  # fmt: skip
    assert all(control.accessibleName() for control in controls)
