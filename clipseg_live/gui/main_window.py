"""The main window, which connects its widgets with the store and the session."""

import logging
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QByteArray, QEvent, QSize, Qt, QTimer, QUrl
from PySide6.QtGui import (
    QCloseEvent,
    QDesktopServices,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QResizeEvent,
    QStatusTipEvent,
)
from PySide6.QtWidgets import QApplication, QMainWindow, QMenu, QWidget

from clipseg_live.app.words.vocabulary import OWN_WORDS, words_to_ask
from clipseg_live.core.protocols import LiveSession
from clipseg_live.core.session_file import is_session_name
from clipseg_live.core.settings.base import BUILT_IN_MODEL, DEFAULT_MODEL
from clipseg_live.core.settings.effects import is_private
from clipseg_live.core.settings.live import LiveSettings, SourceSpec
from clipseg_live.core.status import Message, SessionStatus, SourceState, WorkerState
from clipseg_live.core.system import logs
from clipseg_live.demo.example import with_demo_prompts
from clipseg_live.gui.actions import ShortcutsDialog, make_actions
from clipseg_live.gui.canvas import overlay_notice
from clipseg_live.gui.canvas.drops import dropped_paths
from clipseg_live.gui.canvas.toasts import FRAME_TOPIC
from clipseg_live.gui.export.controller import ExportableSource, ExportController
from clipseg_live.gui.export.run import ExportQueue
from clipseg_live.gui.files.controller import FileController
from clipseg_live.gui.files.media_types import spec_of
from clipseg_live.gui.main_layout import MakePanels, WindowBody
from clipseg_live.gui.message_controller import MessageController
from clipseg_live.gui.model.picker import ModelPicker
from clipseg_live.gui.output.controller import OutputController
from clipseg_live.gui.picture_tools import PictureTools
from clipseg_live.gui.source.camera_dialog import CameraDialog
from clipseg_live.gui.source.menu import DEMO_ENTRY
from clipseg_live.gui.source.playback_bar import SKIP_SECONDS
from clipseg_live.gui.state.models import Models
from clipseg_live.gui.state.preferences import PreferencesStore, decode_bytes, encode_bytes
from clipseg_live.gui.state.services import Services
from clipseg_live.gui.state.session_files import SessionFiles
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.state.thread_bridge import Bridge
from clipseg_live.gui.status.status_bar import diagnostics

logger = logging.getLogger(__name__)

REFRESH_MILLISECONDS = 66
_TIMINGS_EVERY = 4
NARROW_WIDTH = 1100
"""Width in pixels below which the file list shows thumbnails alone."""


class MainWindow(QMainWindow):
    """Main window of a session.

    Closing it calls ``shut_down``, which stops the session and saves the preferences.
    """

    def __init__(
        self,
        session: LiveSession,
        bridge: Bridge,
        store: Store,
        preferences_store: PreferencesStore,
        services: Services,
        panels: MakePanels,
    ) -> None:
        super().__init__()
        self._session = session
        self._bridge = bridge
        self._store = store
        self._preferences_store = preferences_store
        self.files = SessionFiles(store, preferences_store, self)
        self._spec: SourceSpec | None = None
        self._has_frame = False
        self._camera_dialog: CameraDialog | None = None
        self._ticks = 0
        self._is_shut_down = False
        self.models = Models(store, services.list_models, self)
        body = WindowBody(
            session, store, self.models, services, panels, recent=lambda: preferences_store.value.recent,
            files=self.files,
        )  # fmt: skip
        self.body = body
        self.canvas = body.canvas
        self.toasts = body.toasts
        self.playback_bar = body.playback_bar
        self.prompts = body.prompts
        self.stats_panel = body.stats_panel
        self.status_line = body.status_line
        self.source_menu = body.source_menu
        self.framing_menu = body.framing_menu
        self.recording_bar = body.recording_bar
        self.setCentralWidget(body)
        self.setAcceptDrops(True)
        self.file_list = FileController(session, body.file_model, body.file_panel)
        self.picture_tools = PictureTools(body, store, services)
        self.output_controller = OutputController(
            session, preferences_store, body.recording_bar, body.camera_bar, self.files, services
        )
        self.exports = ExportController(
            ExportQueue(),
            preferences_store,
            self._exportable,
            self._export_settings,
            body.recording_bar.recordings_folder,
            self,
        )
        self.messages = MessageController(
            body.toasts,
            {
                "retry": session.restart_worker, "models": self._open_models, "folder": self.files.ask_folder,
                "show_folder": body.recording_bar.show_folder, "log_folder": self._open_log_folder,
                "recording_options": body.recording_bar.open_options,
                "demo_model": lambda: self.models.choose(BUILT_IN_MODEL),
                "show_exported": self.exports.show_folder, "exports": self.exports.open_dialog,
            },
            lambda: session.status().worker.state is WorkerState.WAITING,
        )  # fmt: skip
        self._connect()
        self.setMinimumSize(760, 480)
        self.resize(QSize(1280, 800).boundedTo(self.screen().availableSize()))
        self.restoreGeometry(QByteArray(decode_bytes(preferences_store.value.geometry)))
        body.splitter.restoreState(QByteArray(decode_bytes(preferences_store.value.panels)))
        self.canvas.setFocus()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.refresh)
        self._timer.start(REFRESH_MILLISECONDS)
        self.refresh()

    def show_source(self, spec: SourceSpec) -> None:
        """Show the name of a source that the session is opening.

        The source is added to the recent ones when its first frame is shown.
        """
        self._spec = spec
        self._has_frame = False
        self.file_list.note_source(spec)
        self.source_menu.show_source(spec)

    def _remember_source(self) -> None:
        if self._spec is not None and self._has_frame:
            self._preferences_store.change(self._preferences_store.value.with_source(self._spec))

    def open_source(self, spec: SourceSpec) -> None:
        """Open a source in the session and show its name. The demo scene brings its prompts."""
        if _is_demo(spec) and not (self._spec is not None and _is_demo(self._spec)):
            self._store.edit(with_demo_prompts(self._store.settings))
            if self.models.loading not in ("", BUILT_IN_MODEL):
                text = self.tr("Masks appear when the model is loaded. The demo model is there at once.")
                self.show_message(Message("demo", text))
        self.file_list.open(spec)
        self.show_source(spec)
        self.canvas.box_tool.cancel()
        self.refresh()

    def show_message(self, message: Message) -> None:
        """Show a message with its actions."""
        self.messages.show(message)

    def refresh(self) -> None:
        """Update all widgets that show the state of the session. An error in one does not stop the others."""
        status = self._session.status()
        self._ticks += 1
        shows = (
            self._show_files, self._show_source_state, self._show_rates, self._show_presence, self._ask_pixel,
        )  # fmt: skip
        for show in shows:
            try:
                show(status)
            except Exception:
                logger.exception("A part of the window could not be updated")

    def _show_files(self, status: SessionStatus) -> None:
        self.file_list.show_status(status.source)
        self.exports.refresh()

    def _show_source_state(self, status: SessionStatus) -> None:
        title = self.file_list.title or self.source_menu.title() or status.source.name
        self.setWindowTitle(f"{title} – clipseg-live" if title else "clipseg-live")
        has_frame, is_demo = (
            self.canvas.frame is not None,
            self._spec is not None and _is_demo(self._spec),
        )
        source = status.source
        if source.state is SourceState.CLOSED and self._spec is not None:  # requested, but not started yet
            source = replace(source, state=SourceState.OPENING)
        if source.photos and source.problem and has_frame:
            self.canvas.show_frame(None)  # the frame belongs to another photo
            has_frame = False
        notice = overlay_notice.source_notice(source, title, has_frame=has_frame, is_demo=is_demo)
        self.canvas.show_notice(notice or (overlay_notice.hidden_notice(status.hidden) if has_frame else None))
        for cover in (self.body.compare_view, self.body.map_sheet):
            cover.update_cover()
        self.playback_bar.show_file(self.file_list.source_name)
        self.playback_bar.show_status(status.source)
        if self.isFullScreen():
            self.playback_bar.hide()
        if self._camera_dialog is not None and status.source.state is SourceState.RUNNING:
            self._camera_dialog.show_status(status.source)

    def _show_rates(self, status: SessionStatus) -> None:
        self.status_line.show_status(status)
        self.models.show_worker(status.worker)
        if self.models.running:
            self.messages.settle("demo")
        self.recording_bar.show_status(status.recording)
        self.body.camera_bar.show_status(status.camera)
        if self.stats_panel.isVisible() and self._ticks % _TIMINGS_EVERY == 0:
            self.stats_panel.show_timings(self._session.timings(), status.rates.stages)

    def _show_presence(self, status: SessionStatus) -> None:
        if self.prompts.shows_histograms:
            self.prompts.show_histograms(self._session.histograms())
        picture = self._session.picture()
        if picture is not None:
            presence_by_id = dict(zip(picture.ids, picture.presence, strict=False))
            presence = {row_id: presence_by_id[row_id] for row_id in picture.drawn_ids if row_id in presence_by_id}
            self.prompts.show_areas(dict(zip(picture.ids, picture.areas, strict=True)), presence)

    def _ask_pixel(self, status: SessionStatus) -> None:
        """Ask for the words of the pixel under the pointer while the user wants to know them."""
        own = self._preferences_store.folder / OWN_WORDS
        self._session.ask_words(words_to_ask(status.worker.model, own) if self.canvas.asks_words else ())
        if self.canvas.asks_words:
            self.canvas.show_words(self._session.word_maps())

    def _exportable(self) -> ExportableSource:
        shown, rate = self.playback_bar.playback_range, self._session.status().source.rate
        files = self.file_list
        return ExportableSource(
            files.spec, files.file, self.body.file_model.files, files.is_photo_set, shown.first, shown.end(rate)
        )

    def _export_settings(self) -> LiveSettings:
        """Return the settings of the session, with the model that runs in place of a missing one."""
        settings, model = self._store.settings, self._session.status().worker.model
        if model != BUILT_IN_MODEL or settings.engine.model != DEFAULT_MODEL:
            return settings
        return settings.model_copy(update={"engine": settings.engine.model_copy(update={"model": model})})

    def shut_down(self) -> None:
        """Stop the session and save the preferences. Further calls have no effect."""
        if self._is_shut_down:
            return
        self._is_shut_down = True
        self._timer.stop()
        self._bridge.disconnect_session()
        self._preferences_store.update(
            geometry=encode_bytes(bytes(self.saveGeometry().data())),
            panels=encode_bytes(bytes(self.body.splitter.saveState().data())),
            settings=self._store.settings,
        )
        self._preferences_store.write()
        self.hide()
        self.exports.shut_down()
        self._session.stop()

    def event(self, event: QEvent) -> bool:
        """Show the help of the control under the pointer. Qt sends no event when the pointer leaves it."""
        if isinstance(event, QStatusTipEvent):
            self.body.help_line.point(event.tip())
            return True
        return super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave room for the video in a narrow window."""
        super().resizeEvent(event)
        self.body.file_panel.set_compact(self.width() < NARROW_WIDTH)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Shut down, unless an export is running and the user wants to keep it."""
        if not self.exports.may_close():
            event.ignore()
            return
        self.shut_down()
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave full screen on Escape."""
        if event.key() == Qt.Key.Key_Escape and self.isFullScreen():
            self._toggle_full_screen()
        else:
            super().keyPressEvent(event)

    def _connect(self) -> None:
        self._bridge.frame_ready.connect(self._show_newest_frame)
        self._bridge.messages_arrived.connect(self._show_new_messages)
        self._store.changed.connect(self._apply_settings)
        self.source_menu.chosen.connect(self.open_source)
        self.source_menu.camera_options_requested.connect(self._open_camera_options)
        self.source_menu.problem.connect(lambda text: self.show_message(Message("cameras", text, "warning")))
        self.recording_bar.message.connect(self.show_message)
        self.output_controller.message.connect(self.show_message)
        self.files.message.connect(self.show_message)
        self.exports.message.connect(self.show_message)
        self.exports.progress_changed.connect(self.body.show_export)
        self.exports.file_exported.connect(self.body.file_model.show_export)
        self.status_line.restart_requested.connect(self._session.restart_worker)
        self.status_line.models_requested.connect(self._open_models)
        self.models.retry_requested.connect(self._session.restart_worker)
        self.status_line.details_toggled.connect(self.stats_panel.setVisible)
        self.stats_panel.copy_requested.connect(self._copy_diagnostics)
        self.canvas.files_dropped.connect(self._open_dropped)
        self.canvas.full_screen_requested.connect(self._toggle_full_screen)
        self.picture_tools.message.connect(self.show_message)
        self.body.map_sheet.message.connect(self.show_message)
        bar, view = self.playback_bar, self.canvas
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.focusChanged.connect(self._follow_focus)
        self.actions_by_name = make_actions(
            self,
            view,
            {
                "source": self.source_menu.showMenu, "open_file": self.source_menu.ask_file,
                "open_address": self.source_menu.ask_address, "demo": self.source_menu.choose_demo,
                "next_file": lambda: self.file_list.step(1), "previous_file": lambda: self.file_list.step(-1),
                "files": self.file_list.toggle_panel,
                "camera": self._open_camera_options, "mirror": self.framing_menu.mirror, "turn": self.framing_menu.turn,
                "crop": self.picture_tools.begin_crop, "uncrop": self.framing_menu.uncrop,
                "new_prompt": self._focus_new_prompt, "box_prompt": self.picture_tools.begin_prompt,
                "histograms": self.prompts.toggle_histograms, "compare": self.body.compare_view.toggle,
                "maps": self.body.map_sheet.toggle,
                "undo": self._store.undo, "redo": self._store.redo,
                "open_session": self.files.ask_open, "save_session": self.files.ask_save,
                "play": bar.toggle, "play_anywhere": bar.toggle, "back": lambda: bar.step(-1),
                "on": lambda: bar.step(1), "skip_back": lambda: bar.skip(-SKIP_SECONDS),
                "skip_on": lambda: bar.skip(SKIP_SECONDS), "loop": bar.loop_button.toggle,
                "set_first": bar.set_first, "set_last": bar.set_last, "clear_range": bar.clear_range,
                "slower": lambda: bar.change_speed(-1), "faster": lambda: bar.change_speed(1),
                "record": self.recording_bar.toggle, "pause_recording": self.recording_bar.toggle_pause,
                "recording_options": self.recording_bar.open_options, "replay": self.recording_bar.save_replay,
                "snapshot": self.recording_bar.snapshot, "virtual_camera": self.body.camera_bar.toggle,
                "virtual_camera_options": self.body.camera_bar.open_options,
                "copy": self.recording_bar.copy, "export": self.exports.open_dialog, "folder": self.files.ask_folder,
                "show_folder": self.recording_bar.show_folder, "picture": view.setFocus,
                "prompts": lambda: self.body.show_tab(0), "look": lambda: self.body.show_tab(1),
                "panels": self.body.toggle_panel,
                "full_screen": self._toggle_full_screen, "zoom_in": lambda: view.viewport.zoom_by(1.25),
                "zoom_out": lambda: view.viewport.zoom_by(0.8), "fit": view.viewport.reset,
                "statistics": self.status_line.details_button.toggle, "diagnostics": self._copy_diagnostics,
                "log_folder": self._open_log_folder,
                "restart": self._session.restart_worker, "help": lambda: ShortcutsDialog(self).show(),
                "quit": self.close,
            },
        )  # fmt: skip
        self.canvas.notice_action.connect(self._run_notice_action)
        self.body.panel_button.clicked.connect(self.body.toggle_panel)
        self.body.export_button.clicked.connect(self.exports.open_dialog)
        menu = QMenu(self)
        for names in (
            ("undo", "redo", "compare", "maps"), ("open_session", "save_session"),
            ("export", "recording_options", "replay"),
            ("virtual_camera", "virtual_camera_options", "folder", "show_folder"),
            ("statistics", "diagnostics", "log_folder", "restart"), ("full_screen", "help", "quit"),
        ):  # fmt: skip
            for name in names:
                menu.addAction(self.actions_by_name[name])
            menu.addSeparator()
        self.body.menu_button.setMenu(menu)
        self._apply_settings()

    def _follow_focus(self, old: QWidget | None, now: QWidget | None) -> None:
        self.body.help_line.focus(now)

    def _show_newest_frame(self) -> None:
        picture = self._session.picture()
        if picture is not None:  # keep the last frame until the next source has one
            self.canvas.show_frame(picture)
            self.body.compare_view.show_views(self._session.variant_views())
            self.body.map_sheet.show_frame(picture)
            if not self._has_frame:
                self.messages.settle(FRAME_TOPIC)
                self._has_frame = True
                self._remember_source()

    def _show_new_messages(self) -> None:
        for message in self._bridge.messages():
            self.show_message(message)

    def _apply_settings(self) -> None:
        settings = self._store.settings
        self._session.apply(settings)
        self.canvas.show_settings(settings)
        self.body.file_model.hide_thumbnails(is_private(settings.effects))
        if not is_private(settings.effects):
            for topic in ("box", "maps"):
                self.messages.settle(topic)
        self._preferences_store.update(settings=settings)
        self.actions_by_name["undo"].setEnabled(self._store.can_undo)
        self.actions_by_name["redo"].setEnabled(self._store.can_redo)
        self.actions_by_name["uncrop"].setEnabled(settings.framing.crop is not None)

    def _focus_new_prompt(self) -> None:
        self.body.show_tab(0)
        self.prompts.focus_new_row()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept a session file anywhere in the window. The canvas and the prompts accept more."""
        if any(is_session_name(str(path)) for path in dropped_paths(event)[:1]):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open the dropped file."""
        event.acceptProposedAction()
        self._open_dropped(dropped_paths(event))

    def _open_dropped(self, paths: list[Path]) -> None:
        if is_session_name(str(paths[0])):
            self.files.open(paths[0])
        else:
            self.open_source(spec_of(paths))

    def _run_notice_action(self, name: str) -> None:
        if name == overlay_notice.RETRY and self._spec is not None:
            self.file_list.reopen()
        elif name == overlay_notice.DEMO_ACTION:
            self.open_source(DEMO_ENTRY)
        elif name == overlay_notice.OPEN_FILE:
            self.source_menu.ask_file()

    def _open_camera_options(self) -> None:
        if self._spec is None or not self._spec.name.startswith("camera:"):
            self.show_message(Message("cameras", self.tr("Only cameras have camera options.")))
            return
        if self._camera_dialog is not None:
            self._camera_dialog.raise_()
            return
        dialog = self._camera_dialog = CameraDialog(self._spec, self)
        dialog.source_changed.connect(self.open_source)
        dialog.control_changed.connect(self._set_control)
        dialog.destroyed.connect(self._forget_camera_dialog)
        dialog.show()

    def _forget_camera_dialog(self) -> None:
        self._camera_dialog = None

    def _set_control(self, name: str, value: float) -> None:
        self._session.set_control(name, value)
        if self._spec is not None:
            other_controls = tuple(control for control in self._spec.controls if control[0] != name)
            self._spec = self._spec.model_copy(update={"controls": (*other_controls, (name, value))})
            self.source_menu.show_source(self._spec)
            self._remember_source()

    def _open_models(self) -> None:
        ModelPicker(self.models, self.status_line.worker).open()

    def _copy_diagnostics(self) -> None:
        text = diagnostics(self._session.status(), self._store.settings)
        QGuiApplication.clipboard().setText("\n".join((text, "log:", *logs.recent_lines())))
        self.show_message(Message("diagnostics", self.tr("Diagnostics copied to the clipboard.")))

    def _open_log_folder(self) -> None:
        file = logs.log_file()
        if file is None:
            self.show_message(
                Message("diagnostics", self.tr("There is no log file because its folder is not writable."), "warning")
            )
        elif not QDesktopServices.openUrl(QUrl.fromLocalFile(str(file.parent))):
            self.show_message(Message("diagnostics", self.tr("Log file: {0}").format(file)))

    def _toggle_full_screen(self) -> None:
        """Enter or leave full screen, which shows only the canvas."""
        is_full_screen = not self.isFullScreen()
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)
        self.body.show_canvas_only(is_full_screen)
        self.file_list.show_canvas_only(is_full_screen)
        self.canvas.setFocus()
        self.refresh()


def _is_demo(spec: SourceSpec) -> bool:
    return spec.name.startswith(str(DEMO_ENTRY.name))
