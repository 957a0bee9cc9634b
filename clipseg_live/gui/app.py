"""Start of the window. It imports no heavy libraries, so the window appears before they are loaded."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import QCoreApplication, QSocketNotifier, qVersion
from PySide6.QtWidgets import QApplication, QWidget

from clipseg_live.core.addresses import SourceName
from clipseg_live.core.errors import ClipsegLiveError, Failure
from clipseg_live.core.protocols import LiveSession
from clipseg_live.core.settings.live import LiveSettings, SourceSpec
from clipseg_live.core.status import Message
from clipseg_live.core.system import logs, signals
from clipseg_live.gui.display import make_application
from clipseg_live.gui.files.media_types import is_list
from clipseg_live.gui.main_layout import MakePanels
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.qt_log import qt_messages_logged
from clipseg_live.gui.state import preferences
from clipseg_live.gui.state.models import Models
from clipseg_live.gui.state.services import Services, real_services
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.state.thread_bridge import Bridge
from clipseg_live.gui.widgets import theme

logger = logging.getLogger(__name__)

FIRST_SOURCE = "camera:0"


class Startable(LiveSession, Protocol):
    """Session that has not been started."""

    def start(self) -> None:
        """Start the session."""


MakeSession = Callable[[LiveSettings], Startable]


def run_window(
    *,
    settings: LiveSettings | None = None,
    change: Callable[[LiveSettings], LiveSettings] = lambda last: last,
    source: str | SourceSpec | None = None,
    make_session: MakeSession | None = None,
    services: Services | None = None,
    path: Path | None = None,
) -> int:
    """Show the window until it is closed.

    Args:
        settings: settings to begin with; None for those of the last run.
        change: changes the settings of the last run.
        source: source to open; None for the one of the last run.
        make_session: creates the session; None for the production session.
        services: functions of the application; None for the production ones.
        path: file of the preferences; None for the default path.

    Returns:
        The exit code.

    Raises:
        UsageError: if the settings are invalid.
        Failure: if a thread or device did not end in time.
    """
    # Signals are noted, not raised: an exception inside Qt would crash the process.
    with qt_messages_logged(), signals.noted() as request:
        return _run(request, settings, change, source, make_session, services, path)


def _run(
    request: signals.Request,
    settings: LiveSettings | None,
    change: Callable[[LiveSettings], LiveSettings],
    source: str | SourceSpec | None,
    make_session: MakeSession | None,
    services: Services | None,
    path: Path | None,
) -> int:
    app = application()
    if request.is_set:
        return 0
    path = path or preferences.preferences_path()
    saved, problem = preferences.load_preferences(path)
    settings = settings or change(saved.settings)
    session = (make_session or _real_session)(settings)
    bridge = Bridge(session)
    window: MainWindow | None = None
    try:
        session.start()
        spec = _requested_source(source) or (None if problem else _first_source(saved))
        if spec is not None and not is_list(spec):  # the window searches for the files of a list
            try:
                session.open(spec)  # opens in the background while the window is built
            except (ClipsegLiveError, ValueError, OSError) as error:
                if source or not saved.recent:
                    raise
                logger.exception("The last source could not be opened")
                spec, problem = None, f"The last source could not be opened: {error}"
        store = Store(settings)
        preferences_store = preferences.PreferencesStore(path, saved, lambda text: bridge_message(session, text))
        window = MainWindow(
            session, bridge, store, preferences_store, services or real_services(), panels_for(path.parent)
        )
        if spec is not None and is_list(spec):
            window.open_source(spec)
        elif spec is not None:
            window.show_source(spec)
        if problem:
            window.show_message(Message("preferences", problem, "warning"))
        window.show()
        message_hook = logs.uncaught_shown(lambda text: session.on_message(Message("unexpected", text, "error")))
        with message_hook, _close_on_signal(window, request):
            code = app.exec()
    finally:
        if window is not None:
            window.shut_down()
        unfinished = session.stop()
    if unfinished:
        raise Failure(f"{', '.join(unfinished)} did not stop in time because a device or file is blocking it.")
    return code


def _requested_source(source: str | SourceSpec | None) -> SourceSpec | None:
    if isinstance(source, str):
        return SourceSpec(name=SourceName(source)) if source else None
    return source


def _first_source(saved: preferences.Preferences) -> SourceSpec:
    return saved.recent[0] if saved.recent else SourceSpec(name=SourceName(FIRST_SOURCE))


def application() -> QApplication:
    """Return the QApplication with the theme. It is created on the first call."""
    os.environ.pop("QT_QPA_PLATFORM_PLUGIN_PATH", None)  # OpenCV sets it to its own plugins
    running = QCoreApplication.instance()
    app = running if isinstance(running, QApplication) else make_application(sys.argv[:1])
    logger.info("Qt %s on %s", qVersion(), app.platformName())
    app.setApplicationName("clipseg-live")
    app.setApplicationDisplayName("clipseg-live")
    app.setDesktopFileName("clipseg-live")
    app.setWindowIcon(theme.icon("demo", theme.ACCENT))
    theme.apply_theme(app)
    return app


def bridge_message(session: LiveSession, text: str) -> None:
    """Show a warning about the preferences as a message of the session."""
    session.on_message(Message("preferences", text, "warning"))


def panels_for(folder: Path) -> MakePanels:
    """Return a function that creates the panels. The prompt history and the presets are kept in ``folder``."""

    def make(store: Store, models: Models) -> tuple[Any, QWidget]:
        from clipseg_live.app import devices
        from clipseg_live.gui.prompts.panel import PromptPanel
        from clipseg_live.gui.settings.panel import SettingsPanel
        from clipseg_live.gui.state.prompt_history import PromptHistory
        from clipseg_live.gui.state.user_presets import UserPresets

        history = PromptHistory(folder / "prompts.json")
        prompts = PromptPanel(store, history)
        models.changed.connect(lambda: prompts.show_model(models.running))
        return prompts, SettingsPanel(
            store,
            models=models,
            devices=devices.available_devices(),
            engines=devices.installed_engines(),
            presets=UserPresets(folder / "presets.json"),
        )

    return make


def _real_session(settings: LiveSettings) -> Startable:
    from clipseg_live.app.session import make_session

    return make_session(settings)


@contextmanager
def _close_on_signal(window: MainWindow, request: signals.Request) -> Iterator[None]:
    """Close the window, and all open dialogs, on a signal of the operating system."""

    def close() -> None:
        notifier.setEnabled(False)
        QApplication.closeAllWindows()
        QApplication.exit(0)

    notifier = QSocketNotifier(request.fileno(), QSocketNotifier.Type.Read, window)
    notifier.activated.connect(close)
    try:
        yield
    finally:
        notifier.setEnabled(False)  # before the descriptor is closed
