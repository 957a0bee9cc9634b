"""The file list with a real session: photos and videos are shown, left and shown again."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from clipseg_live.app import session as live
from clipseg_live.core.settings.live import LiveSettings, PromptRow, SourceSpec
from clipseg_live.core.status import SourceState
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.state.preferences import Preferences, PreferencesStore
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.state.thread_bridge import Bridge
from clipseg_live.runtime.session import Session
from tests.gui.conftest import FakePanel, FakeServices
from tests.helpers.clips import make_clip
from tests.helpers.live_engine import make_fake_engine

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_workers")]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr(live, "make_engine", make_fake_engine)
    made = live.make_session(LiveSettings(rows=(PromptRow(id=0, text="red"),)))
    made.start()
    yield made
    assert made.stop() == ()


@pytest.fixture
def window(qtbot: QtBot, session: Session, tmp_path: Path) -> Iterator[MainWindow]:
    store = Store(session.settings)
    preferences_store = PreferencesStore(tmp_path / "preferences.json", Preferences(folder=str(tmp_path)), print)
    panels = (FakePanel(), QWidget())
    made = MainWindow(session, Bridge(session), store, preferences_store, FakeServices().real, lambda *_: panels)
    qtbot.addWidget(made)
    made.resize(1280, 800)
    made.show()
    yield made
    made.shut_down()


def shown(window: MainWindow, red: int) -> bool:
    """Return whether the lower right corner of the shown frame has this red value."""
    frame = window.canvas.frame
    return frame is not None and abs(int(frame.original[-1, -1, 0]) - red) < 12


def test_files_of_a_folder_are_shown_one_after_the_other(
    window: MainWindow, session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    make_clip(folder / "a.mp4", count=90)
    (folder / "b.mp4").write_bytes(b"not a video")
    Image.fromarray(np.full((48, 64, 3), 250, np.uint8)).save(folder / "c.png")
    window.open_source(SourceSpec(name=str(folder)))
    qtbot.waitUntil(lambda: shown(window, 190), timeout=10_000)
    session.pause()
    session.seek(Fraction(2))
    qtbot.waitUntil(lambda: session.status().source.position == 2, timeout=10_000)
    window.refresh()
    qtbot.keyClick(window.canvas, Qt.Key.Key_I)
    qtbot.keyClick(window.canvas, Qt.Key.Key_PageDown)
    qtbot.waitUntil(lambda: session.status().source.state is SourceState.FAILED, timeout=10_000)
    qtbot.waitUntil(lambda: bool(window.body.file_model.problem(1)), timeout=10_000)
    qtbot.keyClick(window.canvas, Qt.Key.Key_PageDown)
    qtbot.waitUntil(lambda: shown(window, 250), timeout=10_000)
    assert window.playback_bar.playback_range.is_whole
    qtbot.keyClick(window.body.file_panel.view, Qt.Key.Key_Home)
    qtbot.waitUntil(lambda: shown(window, 190), timeout=10_000)
    qtbot.waitUntil(lambda: session.status().source.position >= 2, timeout=10_000)  # where it was left
    window.refresh()
    assert window.playback_bar.playback_range.first == 2


def test_photos_of_a_set_are_shown_by_their_number(
    window: MainWindow, session: Session, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        Image.fromarray(np.full((48, 64, 3), 20 * number, np.uint8)).save(folder / f"{number}.png")
    (folder / "7.png").write_bytes(b"damaged")
    window.open_source(SourceSpec(name=str(folder)))
    qtbot.waitUntil(lambda: shown(window, 0), timeout=10_000)
    for key, number in ((Qt.Key.Key_End, 11), (Qt.Key.Key_Up, 10), (Qt.Key.Key_Home, 0)):
        qtbot.keyClick(window.body.file_panel.view, key)
        qtbot.waitUntil(lambda number=number: shown(window, 20 * number), timeout=10_000)
        assert window.body.file_panel.position.text() == f"{number + 1} of 12"
    for _ in range(7):
        qtbot.keyClick(window.canvas, Qt.Key.Key_Right)  # a key of the playback bar
    qtbot.waitUntil(lambda: window.body.file_panel.position.text() == "8 of 12", timeout=10_000)
    assert "7.png" in window.body.file_model.problem(7)
    assert window.canvas.frame is None
