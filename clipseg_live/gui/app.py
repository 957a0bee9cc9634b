"""Starts the window. Nothing heavy is imported here: the window is up before the model's libraries are."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import QCoreApplication, QSocketNotifier, qVersion
from PySide6.QtWidgets import QApplication, QWidget

from clipseg_live.core.addresses import SourceName
from clipseg_live.core.errors import ClipsegLiveError, Failure
from clipseg_live.core.protocols import LiveSession
from clipseg_live.core.settings.live import LiveSettings, Message, SourceSpec
from clipseg_live.core.system import logs, signals
from clipseg_live.gui.display import make_application
from clipseg_live.gui.main_layout import MakePanels
from clipseg_live.gui.main_window import MainWindow
from clipseg_live.gui.qt_log import qt_messages_logged
from clipseg_live.gui.state import preferences
from clipseg_live.gui.state.services import Services, real_services
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.state.thread_bridge import Bridge
from clipseg_live.gui.widgets import theme

logger = logging.getLogger(__name__)

FIRST_SOURCE = "camera:0"


class Startable(LiveSession, Protocol):
    """A session that has not begun yet."""

    def start(self) -> None: ...


MakeSession = Callable[[LiveSettings], Startable]


def run_window(
    *,
    settings: LiveSettings | None = None,
    source: str | SourceSpec | None = None,
    prompts: Sequence[str] = (),
    model: str | None = None,
    make_session: MakeSession | None = None,
    services: Services | None = None,
    path: Path | None = None,
) -> int:
    """Show the window until it is closed; the exit code.

    settings, source: None for those of the last time. prompts: in place of those of the settings. model: likewise.
    path: of the preferences, None for the usual place. Raises UsageError for impossible settings, and Failure where
    something had to be left behind at the end.
    """
    with qt_messages_logged(), signals.noted() as request:  # an exception in Qt's code would crash the process
        return _run(request, settings, source, prompts, model, make_session, services, path)


def _run(
    request: signals.Request,
    settings: LiveSettings | None,
    source: str | SourceSpec | None,
    prompts: Sequence[str],
    model: str | None,
    make_session: MakeSession | None,
    services: Services | None,
    path: Path | None,
) -> int:
    app = application()
    if request.is_set:
        return 0
    path = path or preferences.preferences_path()
    kept, problem = preferences.load_preferences(path)
    settings = beginning(settings or kept.settings, prompts, model)
    session = (make_session or _real_session)(settings)
    bridge = Bridge(session)
    window: MainWindow | None = None
    try:
        session.start()
        spec = _asked_for(source) or (None if problem else _first_source(kept))
        if spec is not None:
            try:
                session.open(spec)  # it opens while the window is built
            except (ClipsegLiveError, ValueError, OSError) as error:
                if source or not kept.recent:
                    raise
                logger.exception("The last source could not be opened")
                spec, problem = None, f"The last source could not be opened: {error}"
        store = Store(settings)
        keeper = preferences.PreferencesStore(path, kept, lambda text: bridge_message(session, text))
        window = MainWindow(session, bridge, store, keeper, services or real_services(), panels_for(path.parent))
        if spec is not None:
            window.show_source(spec)
        if problem:
            window.say(Message("preferences", problem, "warning"))
        window.show()
        shown = logs.uncaught_shown(lambda text: session.on_message(Message("unexpected", text, "error")))
        with shown, _closing(window, request):
            code = app.exec()
    finally:
        if window is not None:
            window.shut_down()
        left = session.stop()
    if left:
        raise Failure(f"{', '.join(left)} did not end in time and was left behind: a device or file holds it.")
    return code


def _asked_for(source: str | SourceSpec | None) -> SourceSpec | None:
    if isinstance(source, str):
        return SourceSpec(name=SourceName(source)) if source else None
    return source


def _first_source(kept: preferences.Preferences) -> SourceSpec:
    return kept.recent[0] if kept.recent else SourceSpec(name=SourceName(FIRST_SOURCE))


def application() -> QApplication:
    """The one QApplication, with the window's look."""
    os.environ.pop("QT_QPA_PLATFORM_PLUGIN_PATH", None)  # OpenCV points it to plugins of its own
    running = QCoreApplication.instance()
    app = running if isinstance(running, QApplication) else make_application(sys.argv[:1])
    logger.info("Qt %s on %s", qVersion(), app.platformName())
    app.setApplicationName("clipseg-live")
    app.setApplicationDisplayName("clipseg-live")
    app.setDesktopFileName("clipseg-live")
    app.setWindowIcon(theme.icon("demo", theme.ACCENT))
    theme.apply_theme(app)
    return app


def beginning(settings: LiveSettings, prompts: Sequence[str], model: str | None) -> LiveSettings:
    """The settings to begin with. Raises UsageError for too many prompts."""
    if prompts:
        settings = settings.model_copy(update={"rows": ()})
        for text in prompts:
            settings = settings.model_copy(update={"rows": (*settings.rows, settings.new_row(text))})
    if model is not None:
        settings = settings.model_copy(update={"engine": settings.engine.model_copy(update={"model": model})})
    return settings


def bridge_message(session: LiveSession, text: str) -> None:
    """Say something about the preferences the way the session says things."""
    session.on_message(Message("preferences", text, "warning"))


def panels_for(folder: Path) -> MakePanels:
    """Makes the panels; earlier prompts are kept in ``folder``."""

    def make(store: Store) -> tuple[Any, QWidget]:
        from clipseg_live.app import devices
        from clipseg_live.gui.look.panel import LookPanel
        from clipseg_live.gui.prompts.panel import PromptPanel
        from clipseg_live.gui.state.prompt_history import PromptHistory

        history = PromptHistory(folder / "prompts.json")
        return PromptPanel(store, history), LookPanel(
            store, models=devices.available_models(), devices=devices.available_devices()
        )

    return make


def _real_session(settings: LiveSettings) -> Startable:
    from clipseg_live.app.session import make_session

    return make_session(settings)


@contextmanager
def _closing(window: MainWindow, request: signals.Request) -> Iterator[None]:
    """Close the window when a signal asks for it, with whatever dialogs are open."""

    def close() -> None:
        notifier.setEnabled(False)
        QApplication.closeAllWindows()
        QApplication.exit(0)

    notifier = QSocketNotifier(request.fileno(), QSocketNotifier.Type.Read, window)
    notifier.activated.connect(close)
    try:
        yield
    finally:
        notifier.setEnabled(False)  # before its descriptor is closed
