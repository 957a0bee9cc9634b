"""Fixtures for tests of the window: the offscreen platform, and separate folders."""

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before anything makes a QApplication
os.environ.setdefault("QT_LOGGING_RULES", "qt.qpa.*=false")

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from PySide6.QtCore import QStandardPaths, Signal
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from clipseg_live.app.devices import Snapshot
from clipseg_live.core.analysis.histograms import MapHistogram
from clipseg_live.core.settings.live import LiveSettings, PromptImage
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.state.preferences import Preferences, PreferencesStore
from clipseg_live.gui.state.services import Services
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.state.thread_bridge import Bridge
from clipseg_live.gui.widgets import theme
from clipseg_live.model.store.catalogue import CatalogueEntry
from tests.helpers.gui.fake_session import FakeSession
from tests.helpers.gui.model_entries import catalogue_entries


class FakePanel(QWidget):
    """Replaces the prompt panel, and keeps the values that it receives."""

    box_requested = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.areas: dict[int, float] = {}
        self.presence: dict[int, float] = {}
        self.pictures: list[tuple[int | None, PromptImage]] = []
        self.new_rows = 0
        self.first_rows = 0
        self.shows_histograms = False
        self.histograms: Mapping[int, MapHistogram] = {}

    def show_areas(self, areas: dict[int, float], presence: dict[int, float]) -> None:
        self.areas, self.presence = areas, presence

    def toggle_histograms(self) -> None:
        self.shows_histograms = not self.shows_histograms

    def show_histograms(self, histograms: Mapping[int, MapHistogram]) -> None:
        self.histograms = histograms

    def set_image(self, row_id: int | None, picture: PromptImage) -> None:
        self.pictures.append((row_id, picture))

    def add_crop(self, picture: PromptImage) -> None:
        self.pictures.append((None, picture))

    def focus_new_row(self) -> None:
        self.new_rows += 1

    def focus_first_row(self) -> None:
        self.first_rows += 1


class FakeServices:
    """Cameras and snapshots without devices. ``real`` is passed to the window."""

    def __init__(self) -> None:
        self.cameras: Sequence[tuple[str, str]] = (("camera:0", "Front Camera"), ("camera:1", "Desk Camera"))
        self.virtual_cameras: Sequence[tuple[str, str]] = (("/dev/video9", "clipseg-live"),)
        self.camera_problem: Exception | None = None
        self.snapshot_problem: Exception | None = None
        self.snapshots: list[tuple[Path, object, LiveSettings]] = []
        self.crops: list[tuple[object, object]] = []
        self.models: Sequence[CatalogueEntry] = catalogue_entries()
        self.screen = True
        self.microphones: Sequence[str] = ("Desk Microphone",)
        self.recovered: Sequence[Path] = ()
        self.real = Services(
            self._cameras, self._snapshot, self._crop, lambda: self.screen, lambda: self.microphones,
            lambda folder: self.recovered, lambda: self.virtual_cameras, lambda: self.models,
        )  # fmt: skip

    def _cameras(self) -> Sequence[tuple[str, str]]:
        if self.camera_problem is not None:
            raise self.camera_problem
        return self.cameras

    def _snapshot(self, folder: Path, picture: object, settings: LiveSettings) -> Snapshot:
        if self.snapshot_problem is not None:
            raise self.snapshot_problem
        self.snapshots.append((folder, picture, settings))
        return Snapshot(folder / "picture.png", folder / "original.png", (folder / "mask.png",))

    def _crop(self, box: tuple[float, float, float, float], framing: object) -> tuple[float, float, float, float]:
        self.crops.append((box, framing))
        return box


@pytest.fixture(scope="session", autouse=True)
def theme_applied(qapp: QApplication) -> None:
    QStandardPaths.setTestModeEnabled(True)
    theme.apply_theme(qapp)


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def services() -> FakeServices:
    return FakeServices()


@pytest.fixture
def make_window(
    qtbot: QtBot, session: FakeSession, services: FakeServices, tmp_path: Path
) -> Iterator[Callable[..., MainWindow]]:
    """Return a function that makes a visible window on the fake session. Windows are shut down after the test."""
    made: list[MainWindow] = []

    def make(
        settings: LiveSettings | None = None, saved: Preferences | None = None, size: tuple[int, int] = (1280, 800)
    ) -> MainWindow:
        store = Store(settings or LiveSettings())
        preferences_store = PreferencesStore(
            tmp_path / "preferences.json", saved or Preferences(folder=str(tmp_path)), lambda text: None
        )
        panels = (FakePanel(), QWidget())
        window = MainWindow(session, Bridge(session), store, preferences_store, services.real, lambda *_: panels)
        window.store = store
        window.preferences_store = preferences_store
        made.append(window)
        qtbot.addWidget(window)
        window.resize(*size)
        window.show()
        qtbot.waitExposed(window)
        return window

    yield make
    for window in made:
        window.shut_down()


@pytest.fixture
def window(make_window: Callable[..., MainWindow]) -> MainWindow:
    return make_window()
