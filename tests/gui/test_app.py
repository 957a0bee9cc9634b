"""Start and end of the application."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from clipseg_live.core.errors import Failure, UsageError
from clipseg_live.core.settings.effects import Blur, Raw
from clipseg_live.core.settings.live import LiveSettings, SourceSpec
from clipseg_live.gui import app
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.state import preferences
from clipseg_live.gui.state.preferences import Preferences
from tests.gui.conftest import FakePanel, FakeServices
from tests.helpers.gui.fake_session import FakeSession


@pytest.fixture(autouse=True)
def plain_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "panels_for", lambda folder: lambda store, models: (FakePanel(), QWidget()))


@pytest.fixture(autouse=True)
def restore_signals() -> object:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(path: Path, session: FakeSession, services: FakeServices, end: object = None, **values: object) -> int:
    """Run the application until ``end`` is called (by default the window is closed)."""

    def close() -> None:
        for widget in QApplication.topLevelWidgets():
            if isinstance(widget, MainWindow) and widget.isVisible():
                widget.close()

    QTimer.singleShot(100, end or close)

    def make(settings: LiveSettings) -> FakeSession:
        session.settings = settings
        return session

    return app.run_window(make_session=make, services=services.real, path=path, **values)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "preferences.json"


@pytest.mark.slow
def test_the_application_starts_with_the_first_camera_and_ends_cleanly(
    qtbot: QtBot, path: Path, session: FakeSession, services: FakeServices
) -> None:
    assert run(path, session, services) == 0
    assert session.names()[:2] == ["start", "open"] and session.last_argument("open") == SourceSpec(name="camera:0")
    assert session.stops >= 1
    assert preferences.load_preferences(path)[0].recent == (), "nothing is remembered before it was shown"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "rtsp://user:p]w@host/x",
        "rtsp://user:[pw@host",
        "http://[::1",
        "https://a:b@[c]d/e",
        "nonsense://",
        "://",
        "x" * 9999,
    ],
)
def test_the_application_starts_with_any_last_source(
    qtbot: QtBot, path: Path, session: FakeSession, services: FakeServices, name: str
) -> None:
    source = SourceSpec(name=name)
    preferences.save_preferences(path, Preferences(recent=(source,)))
    titles: list[str] = []

    def look() -> None:
        window = visible_window()
        window.refresh()
        titles.append(window.windowTitle())
        window.close()

    assert run(path, session, services, look) == 0
    assert session.last_argument("open") == source and "user" not in titles[0] and "pw" not in titles[0]


@pytest.mark.slow
def test_a_last_source_that_cannot_be_opened_leaves_an_empty_window(
    qtbot: QtBot, path: Path, session: FakeSession, services: FakeServices
) -> None:
    def refuse(spec: SourceSpec) -> None:
        raise UsageError(f"{spec.name} is no source.")

    session.open = refuse  # type: ignore[method-assign]
    preferences.save_preferences(path, Preferences(recent=(SourceSpec(name="rtsp://ann:secret@host/x"),)))
    messages: list[str] = []

    def look() -> None:
        window = visible_window()
        assert window.canvas.notice is not None and window.canvas.notice.title == "No source is open"
        messages.extend(window.toasts.texts())
        window.close()

    assert run(path, session, services, look) == 0
    assert messages == ["The last source could not be opened: rtsp://host/x is no source."]


def visible_window() -> MainWindow:
    result = (entry for entry in QApplication.topLevelWidgets() if isinstance(entry, MainWindow) and entry.isVisible())
    return next(result)


@pytest.mark.slow
def test_the_application_starts_with_the_last_settings(
    qtbot: QtBot, path: Path, session: FakeSession, services: FakeServices
) -> None:
    source = SourceSpec(name="/films/walk.mp4")
    preferences.save_preferences(path, Preferences(settings=LiveSettings(effects=(Raw(),)), recent=(source,)))
    run(path, session, services)
    assert session.last_argument("open") == source and session.settings.effects == (Raw(),)


@pytest.mark.slow
def test_arguments_override_the_last_settings(
    qtbot: QtBot, path: Path, session: FakeSession, services: FakeServices
) -> None:
    preferences.save_preferences(
        path, Preferences(settings=LiveSettings(effects=(Raw(),)), recent=(SourceSpec(name="demo:3"),))
    )
    run(path, session, services, settings=LiveSettings(effects=(Blur(),)), source="demo:5")
    assert session.last_argument("open") == SourceSpec(name="demo:5") and session.settings.effects == (Blur(),)


@pytest.mark.slow
def test_arguments_change_the_last_settings(
    qtbot: QtBot, path: Path, session: FakeSession, services: FakeServices
) -> None:
    last = LiveSettings(effects=(Raw(),))
    preferences.save_preferences(path, Preferences(settings=last))
    run(path, session, services, change=lambda settings: settings.model_copy(update={"mode": "locked"}))
    assert session.settings == last.model_copy(update={"mode": "locked"})


@pytest.mark.slow
def test_an_invalid_change_opens_no_window(path: Path, session: FakeSession) -> None:
    def refuse(settings: LiveSettings) -> LiveSettings:
        raise UsageError("There are 17 prompts.")

    with pytest.raises(UsageError, match="17 prompts"):
        app.run_window(change=refuse, path=path, make_session=lambda settings: session)
    assert session.commands == []


@pytest.mark.slow
def test_damaged_preferences_are_reported_in_the_window(
    qtbot: QtBot, path: Path, session: FakeSession, services: FakeServices
) -> None:
    path.write_text("{")
    messages: list[str] = []

    def look() -> None:
        for widget in QApplication.topLevelWidgets():
            if isinstance(widget, MainWindow) and widget.isVisible():
                messages.extend(widget.toasts.texts())
                widget.close()

    assert run(path, session, services, look) == 0
    assert len(messages) == 1 and "damaged" in messages[0] and "open" not in session.names()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_sigterm_ends_the_application_like_closing(
    qtbot: QtBot, path: Path, session: FakeSession, services: FakeServices
) -> None:
    assert run(path, session, services, lambda: os.kill(os.getpid(), signal.SIGTERM)) == 0
    assert session.stops >= 1 and path.exists()


@pytest.mark.slow
def test_a_session_that_does_not_start_is_stopped(path: Path, session: FakeSession, services: FakeServices) -> None:
    def refuse(spec: SourceSpec) -> None:
        raise UsageError("That is no source.")

    session.open = refuse  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="no source"):
        app.run_window(path=path, make_session=lambda settings: session, services=services.real)
    assert session.stops == 1


@pytest.mark.slow
def test_qt_plugins_of_opencv_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM_PLUGIN_PATH", "/somewhere/cv2/qt/plugins")
    app.application()
    assert "QT_QPA_PLATFORM_PLUGIN_PATH" not in os.environ


@pytest.mark.slow
def test_nothing_heavy_is_imported_for_the_window() -> None:
    code = (
        "import sys; import clipseg_live.gui.app, clipseg_live.gui.main_window, clipseg_live.gui.state.services; "
        "import clipseg_live.app.devices, clipseg_live.app.session; "
        "print([name for name in ('torch', 'transformers', 'cv2', 'av', 'PIL', 'huggingface_hub', 'qtawesome') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_blocked_threads_are_named_at_the_end(path: Path, session: FakeSession, services: FakeServices) -> None:
    session.left = ("clipseg-live capture camera:0",)
    with pytest.raises(Failure, match=r"capture camera:0 did not stop in time"):
        run(path, session, services)
