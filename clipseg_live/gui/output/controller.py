"""Controller for the settings of recordings, replay and the virtual camera, and for interrupted recordings."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from clipseg_live.core.protocols import LiveSession
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings
from clipseg_live.core.status import Message
from clipseg_live.gui.output.recording_bar import RECORDING_TOPIC, REPLAY_TOPIC, RecordingBar
from clipseg_live.gui.output.virtual_camera_bar import VirtualCameraBar
from clipseg_live.gui.state.preferences import PreferencesStore
from clipseg_live.gui.state.services import Services
from clipseg_live.gui.state.session_files import SessionFiles
from clipseg_live.gui.state.thread_bridge import BackgroundTask


class OutputController(QObject):
    """Stores the settings of recordings and the virtual camera and passes them to the session.

    It also recovers interrupted recordings once, in the background.

    Attributes:
        message: signal with a Message for the user.
    """

    message = Signal(object)

    def __init__(
        self,
        session: LiveSession,
        preferences_store: PreferencesStore,
        bar: RecordingBar,
        camera_bar: VirtualCameraBar,
        files: SessionFiles,
        services: Services,
    ) -> None:
        super().__init__(bar)
        self._bar = bar
        self._session = session
        self._preferences_store = preferences_store
        bar.recording_changed.connect(self._change)
        bar.folder_requested.connect(files.ask_folder)
        session.set_replay(preferences_store.value.recording)
        camera_bar.changed.connect(self._change_camera)
        folder = bar.recordings_folder()
        self._task = BackgroundTask(lambda: services.recover_recordings(folder), self)
        self._task.succeeded.connect(self._report_recovered)
        self._task.start()

    def _change(self, settings: RecordingSettings) -> None:
        previous = self._preferences_store.value.recording
        self._preferences_store.update(recording=settings)
        if settings.replay_seconds:
            self.message.emit(Message(REPLAY_TOPIC, ""))  # it said that the replay is off
        replay_fields = ("replay_seconds", "codec", "encoder", "quality", "sound", "pattern")
        if any(getattr(previous, name) != getattr(settings, name) for name in replay_fields):
            self._session.set_replay(settings)

    def _change_camera(self, settings: VirtualCameraSettings) -> None:
        """Store the settings and apply them to a running virtual camera."""
        self._preferences_store.update(camera=settings)
        if self._session.status().camera.active:
            self._session.start_camera(settings)

    def _report_recovered(self, paths: Sequence[Path]) -> None:
        if paths:
            names = ", ".join(path.name for path in paths)
            self._bar.last_folder = paths[0].parent
            text = self.tr("Recovered an interrupted recording: {0} in {1}.").format(names, paths[0].parent)
            self.message.emit(Message(RECORDING_TOPIC, text))
