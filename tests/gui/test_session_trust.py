"""The window asks before a session file reads outside its folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from clipseg_live.core.session_file import save_session
from clipseg_live.core.settings.base import DEFAULT_MODEL, EngineSettings
from clipseg_live.core.settings.effects import CutOut, Tint
from clipseg_live.core.settings.external_references import ExternalReference
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.state import preferences
from clipseg_live.gui.state.preferences import MOST_ALLOWED, Preferences
from tests.helpers.gui.fake_session import FakeSession

ELSEWHERE = Path("/elsewhere/sea.png")
REACHING = LiveSettings(
    effects=(Tint(), CutOut(backdrop="image", file=ELSEWHERE)), engine=EngineSettings(model="a/model")
)
ASKED = (ExternalReference("file", str(ELSEWHERE)), ExternalReference("model", "a/model"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mine.clipseg.json"
    save_session(path, REACHING)
    return path


def question(window: MainWindow) -> QMessageBox | None:
    return next((entry for entry in window.findChildren(QMessageBox) if entry.isVisible()), None)


def press(window: MainWindow, qtbot: QtBot, text: str) -> None:
    dialog = question(window)
    assert dialog is not None
    button = next(entry for entry in dialog.buttons() if entry.text().replace("&", "") == text)
    button.click()
    qtbot.waitUntil(lambda: not window.findChildren(QMessageBox), timeout=2000)


@pytest.mark.slow
def test_nothing_is_read_before_the_answer(window: MainWindow, session: FakeSession, qtbot: QtBot, path: Path) -> None:
    window.files.open(path)
    dialog = question(window)
    assert dialog is not None and session.settings == LiveSettings()
    assert "mine.clipseg.json uses the file /elsewhere/sea.png and the model a/model" in dialog.text()
    assert dialog.defaultButton().text().replace("&", "") == "Open without"
    press(window, qtbot, "Cancel")
    assert session.settings == LiveSettings() and window.preferences_store.value.allowed == ()


@pytest.mark.slow
def test_the_rest_of_the_session_is_used_after_a_refusal(
    window: MainWindow, session: FakeSession, qtbot: QtBot, path: Path
) -> None:
    window.files.open(path)
    press(window, qtbot, "Open without")
    assert session.settings.effects == (Tint(), CutOut(backdrop="checkerboard"))
    assert session.settings.engine.model == DEFAULT_MODEL
    window.files.open(path)
    assert question(window) is not None, "a refusal is no consent for the next time"
    press(window, qtbot, "Cancel")


@pytest.mark.slow
def test_only_new_references_are_asked_about(
    window: MainWindow, session: FakeSession, qtbot: QtBot, path: Path
) -> None:
    window.files.open(path)
    press(window, qtbot, "Allow")
    assert session.settings == REACHING and window.preferences_store.value.allowed == ASKED
    window.store.undo()
    window.files.open(path)
    assert question(window) is None and session.settings == REACHING
    save_session(path, LiveSettings(effects=(CutOut(backdrop="image", file=Path("/elsewhere/other.png")),)))
    window.files.open(path)
    assert question(window) is not None and session.settings == REACHING
    press(window, qtbot, "Cancel")


@pytest.mark.slow
def test_own_sessions_open_without_a_question(
    make_window: Callable[..., MainWindow], session: FakeSession, tmp_path: Path
) -> None:
    window = make_window(REACHING)
    window.files.save(tmp_path / "own.clipseg.json")
    window.store.update(effects=())
    window.files.open(tmp_path / "own.clipseg.json")
    assert question(window) is None and session.settings == REACHING


@pytest.mark.slow
def test_a_file_in_the_session_folder_needs_no_question(
    window: MainWindow, session: FakeSession, tmp_path: Path
) -> None:
    settings = LiveSettings(effects=(CutOut(backdrop="image", file=tmp_path / "sea.png"),))
    save_session(tmp_path / "own.clipseg.json", settings)
    window.files.open(tmp_path / "own.clipseg.json")
    assert question(window) is None and session.settings == settings


def test_permissions_are_saved_and_limited(tmp_path: Path) -> None:
    saved = (
        Preferences()
        .with_allowed(ASKED)
        .with_allowed([ExternalReference("file", f"/{n}.png") for n in range(MOST_ALLOWED - 1)])
    )
    saved = saved.with_allowed(ASKED[1:])
    assert len(saved.allowed) == MOST_ALLOWED and saved.allowed[0] == ASKED[1] and ASKED[0] not in saved.allowed
    preferences.save_preferences(tmp_path / "p.json", saved)
    assert preferences.load_preferences(tmp_path / "p.json") == (saved, "")
