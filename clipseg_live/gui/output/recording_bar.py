"""Buttons for recording, replay, snapshot and copy."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QStandardPaths, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from clipseg_live.app.devices import Snapshot
from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.protocols import LiveSession
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.status import Message, RecordingStatus
from clipseg_live.core.system.times import format_time
from clipseg_live.gui.canvas.canvas import Canvas
from clipseg_live.gui.canvas.toasts import FRAME_TOPIC
from clipseg_live.gui.output.recording_options import RecordingOptions
from clipseg_live.gui.state.services import Services
from clipseg_live.gui.state.thread_bridge import BackgroundTask
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import position_below
from clipseg_live.gui.widgets.controls import tool_button
from clipseg_live.gui.widgets.figures import size_text

RECORDING_TOPIC = "recording"
SNAPSHOT_TOPIC = "snapshot"
REPLAY_TOPIC = "replay"


class RecordingBar(QWidget):
    """Output buttons, and the duration and size of the running recording.

    Args:
        session: the session to record.
        canvas: the canvas with the frame to save or copy.
        services: functions of the application.
        settings: returns the settings of the session.
        folder: returns the folder of the files, None for the user's folders for videos and pictures.
        recording: returns the settings of recordings.
        parent: parent widget.

    Attributes:
        message: signal with a Message for the user.
        recording_changed: signal with new RecordingSettings.
        folder_requested: signal, the user wants to choose another folder.
        last_folder: folder of the newest file; None before the first.
    """

    message = Signal(object)
    recording_changed = Signal(object)
    folder_requested = Signal()

    def __init__(
        self,
        session: LiveSession,
        canvas: Canvas,
        services: Services,
        settings: Callable[[], LiveSettings],
        folder: Callable[[], Path | None],
        recording: Callable[[], RecordingSettings] = RecordingSettings,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._canvas = canvas
        self._services = services
        self._settings = settings
        self._folder = folder
        self._recording = recording
        self._active = self._paused = False
        self._task: BackgroundTask | None = None
        self.last_folder: Path | None = None
        self.status_label = QLabel()
        theme.set_kind(self.status_label, "figure")
        self.status_label.setFont(theme.figure_font())
        self.status_label.setAccessibleName(self.tr("Recording time and size"))
        self.record_button = QPushButton(self.tr("Record"))
        self.record_button.setIconSize(theme.icon_size())
        self.record_button.clicked.connect(self.toggle)
        self.options_button = tool_button("down", self.tr("Recording options"))
        self.options_button.clicked.connect(self.open_options)
        self.pause_button = tool_button("pause", self.tr("Pause recording"))
        self.pause_button.clicked.connect(self.toggle_pause)
        self.replay_button = tool_button("history", self.tr("Save replay"))
        self.replay_button.clicked.connect(self.save_replay)
        self.snapshot_button = tool_button("snapshot", self.tr("Save frame and masks"))
        self.snapshot_button.clicked.connect(self.snapshot)
        self.copy_button = tool_button("copy", self.tr("Copy frame"))
        self.copy_button.clicked.connect(self.copy)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.UNIT // 2)
        row.addWidget(self.status_label)
        row.addSpacing(theme.UNIT // 2)
        for button in (
            self.record_button, self.pause_button, self.options_button, self.replay_button, self.snapshot_button,
            self.copy_button,
        ):  # fmt: skip
            row.addWidget(button)
        self._show_active(False)
        self.show_status(RecordingStatus())

    def toggle(self) -> None:
        """Start a recording, or finish the running one."""
        if self._active:
            self._session.stop_recording()
            return
        folder = self.recordings_folder()
        if self._start_output(folder, lambda: self._session.start_recording(folder, self._recording())):
            self._notify(RECORDING_TOPIC, "")

    def toggle_pause(self) -> None:
        """Pause or resume the running recording."""
        if self._active and self._paused:
            self._session.resume_recording()
        elif self._active:
            self._session.pause_recording()

    def save_replay(self) -> None:
        """Save the last seconds as a file."""
        if not self._recording().replay_seconds:
            self._notify(
                REPLAY_TOPIC, self.tr("Instant replay is off. Turn it on in the recording options."), "warning"
            )
            return
        folder = self.recordings_folder()
        self._start_output(folder, lambda: self._session.save_replay(folder))

    def open_options(self) -> RecordingOptions:
        """Open the panel with the recording options."""
        folder = str(self.recordings_folder())
        options = RecordingOptions(self._recording(), folder, self._services.list_microphones, self)
        options.changed.connect(self.recording_changed)
        options.folder_requested.connect(self.folder_requested)
        options.adjustSize()
        options.move(position_below(self.options_button, options.width()))
        options.show()
        return options

    def snapshot(self) -> None:
        """Save the shown frame, the frame without effects and each mask as PNG files."""
        picture, settings = self._canvas.frame, self._settings()
        if picture is None:
            self._notify(FRAME_TOPIC, self.tr("There is no frame to save yet."), "warning")
            return
        if self._task is not None:
            return
        folder = self._output_folder(QStandardPaths.StandardLocation.PicturesLocation)
        save = self._services.save_snapshot
        self._task = BackgroundTask(lambda: save(folder, picture, settings), self)
        self._task.succeeded.connect(self._report_snapshot)
        self._task.failed.connect(self._show_snapshot_error)
        self._task.start()

    def copy(self) -> None:
        """Copy the shown frame to the clipboard."""
        image = self._canvas.image()
        if image is None:
            self._notify(FRAME_TOPIC, self.tr("There is no frame to copy yet."), "warning")
            return
        QGuiApplication.clipboard().setImage(image)
        self._notify("clipboard", self.tr("Frame copied to the clipboard."))

    def show_status(self, status: RecordingStatus) -> None:
        """Show duration, size and dropped frames of the running recording."""
        if (status.active, status.paused) != (self._active, self._paused):
            self._show_active(status.active, status.paused)
        self.replay_button.setVisible(self._recording().replay_seconds > 0)
        self.status_label.setVisible(status.active)
        if status.active:
            text = f"{format_time(int(status.seconds))}  ·  {size_text(status.size)}"
            if status.part > 1:
                text += "  ·  " + self.tr("part {0}").format(status.part)
            if status.dropped:
                text += "  ·  " + self.tr("{0} dropped").format(status.dropped)
            if status.paused:
                text += "  ·  " + self.tr("paused")
            self.status_label.setText(text)
            tip = self.tr("Encoder: {0}").format(status.encoder) if status.encoder else ""
            self.status_label.setToolTip(tip)

    def recordings_folder(self) -> Path:
        """Return the folder for recordings."""
        return self._output_folder(QStandardPaths.StandardLocation.MoviesLocation)

    def show_folder(self) -> None:
        """Open the folder of the newest file in the system's file manager."""
        if self.last_folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.last_folder)))

    def _show_active(self, active: bool, paused: bool = False) -> None:
        self._active = active
        self._paused = paused
        button = self.record_button
        theme.set_kind(button, "danger" if active else "")
        button.setIcon(theme.icon("stop" if active else "record", "#ffd9dd" if active else theme.DANGER))
        button.setText(self.tr("Stop") if active else self.tr("Record"))
        button.setAccessibleName(self.tr("Stop recording") if active else self.tr("Record"))
        button.setToolTip(self.tr("Stop recording") if active else self.tr("Start recording"))
        name = self.tr("Resume recording") if paused else self.tr("Pause recording")
        self.pause_button.setIcon(theme.icon("record" if paused else "pause"))
        self.pause_button.setAccessibleName(name)
        self.pause_button.setToolTip(name)
        self.pause_button.setVisible(active)
        self.options_button.setVisible(not active)

    def _start_output(self, folder: Path, work: Callable[[], None]) -> bool:
        """Start work that writes into a folder, and report errors as messages.

        Args:
            folder: created if it is missing.
            work: starts the work.

        Returns:
            True if the work has started.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            work()
        except ClipsegLiveError as error:
            self._notify(RECORDING_TOPIC, str(error), "error")
        except OSError as error:
            self._notify(RECORDING_TOPIC, f"Cannot record in {folder}: {error.strerror or error}.", "error")
        else:
            self.last_folder = folder
            return True
        return False

    def _report_snapshot(self, saved: Snapshot) -> None:
        self._task = None
        self.last_folder = saved.rendered.parent
        count = len(saved.masks)
        parts = [self.tr("the original frame")] if saved.original is not None else []
        parts += [self.tr("1 mask") if count == 1 else self.tr("{0} masks").format(count)] if count else []
        with_parts = self.tr(" with {0}").format(self.tr(" and ").join(parts)) if parts else ""
        self._notify(SNAPSHOT_TOPIC, self.tr("Saved {0}{1}.").format(saved.rendered, with_parts))

    def _show_snapshot_error(self, problem: str) -> None:
        self._task = None
        self._notify(SNAPSHOT_TOPIC, problem, "error")

    def _output_folder(self, default: QStandardPaths.StandardLocation) -> Path:
        folder = self._folder()
        if folder is not None:
            return folder
        return Path(QStandardPaths.writableLocation(default) or Path.home())

    def _notify(self, topic: str, text: str, level: str = "info") -> None:
        self.message.emit(Message(topic, text, level))  # type: ignore[arg-type]
