"""Dialogs that open and save session files, and that choose the folder for recordings and snapshots."""

from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QAbstractButton, QFileDialog, QMessageBox, QWidget

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.session_file import (
    SESSION_SUFFIX,
    OpenedSession,
    list_references,
    open_session,
    references_of,
    save_session,
)
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings
from clipseg_live.core.status import Message
from clipseg_live.gui.state.preferences import PreferencesStore
from clipseg_live.gui.state.settings_store import Store

SESSION_TOPIC = "session"


class SessionFiles(QObject):
    """Opens and saves session files, and keeps the folder for recordings and snapshots.

    Attributes:
        message: signal with a Message for the user.
    """

    message = Signal(object)

    def __init__(self, store: Store, preferences_store: PreferencesStore, window: QWidget) -> None:
        super().__init__(window)
        self._store = store
        self._preferences_store = preferences_store
        self._window = window

    @property
    def folder(self) -> Path | None:
        """Folder for recordings and snapshots; None for the user's default folders."""
        folder = self._preferences_store.value.folder
        return Path(folder) if folder else None

    @property
    def recording(self) -> RecordingSettings:
        """Settings of recordings."""
        return self._preferences_store.value.recording

    @property
    def camera(self) -> VirtualCameraSettings:
        """Settings of the virtual camera."""
        return self._preferences_store.value.camera

    def ask_open(self) -> None:
        """Let the user choose a session file to open."""
        dialog = self._dialog(self.tr("Open session"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters([self.tr("Sessions") + f" (*{SESSION_SUFFIX} *.json)", self.tr("All files") + " (*)"])
        dialog.fileSelected.connect(lambda path: self.open(Path(path)))
        dialog.open()

    def ask_save(self) -> None:
        """Let the user choose where to save the session."""
        dialog = self._dialog(self.tr("Save session as"))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilter(self.tr("Sessions") + f" (*{SESSION_SUFFIX})")
        dialog.setDefaultSuffix(SESSION_SUFFIX.lstrip("."))
        dialog.selectFile(f"session{SESSION_SUFFIX}")
        dialog.fileSelected.connect(lambda path: self.save(Path(path)))
        dialog.open()

    def ask_folder(self) -> None:
        """Let the user choose the folder for recordings and snapshots."""
        dialog = self._dialog(self.tr("Choose output folder"))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(lambda path: self._preferences_store.update(folder=path))
        dialog.open()

    def open(self, path: Path) -> None:
        """Load the settings of a session file as an edit that can be undone.

        The user is asked about files outside its folder, unless they were allowed or saved here before.
        """
        try:
            opened = open_session(path)
        except ClipsegLiveError as error:
            self._notify(str(error), "error")
            return
        if set(opened.outside) <= set(self._preferences_store.value.allowed):
            self._apply(path, opened.settings)
        else:
            self._ask_permission(path, opened)

    def save(self, path: Path) -> None:
        """Save the settings as a session file, and allow the files outside its folder that it uses."""
        settings = self._store.settings
        try:
            save_session(path, settings)
        except ClipsegLiveError as error:
            self._notify(str(error), "error")
            return
        self._preferences_store.change(self._preferences_store.value.with_allowed(references_of(path, settings)))
        self._notify(self.tr("Session saved as {0}.").format(path))

    def _apply(self, path: Path, settings: LiveSettings) -> None:
        self._store.edit(settings)
        self._notify(self.tr("Session {0} opened.").format(path.name))

    def _ask_permission(self, path: Path, opened: OpenedSession) -> None:
        """Ask about files outside the folder, without blocking. Nothing is opened before the answer."""
        question = QMessageBox(self._window)
        question.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        question.setIcon(QMessageBox.Icon.Question)
        question.setTextFormat(Qt.TextFormat.PlainText)
        question.setWindowTitle(self.tr("Open session"))
        question.setText(
            self.tr("The session {0} uses {1} outside its folder.").format(path.name, list_references(opened.outside))
        )
        question.setInformativeText(self.tr("Allow this only if you trust the origin of the session."))
        without = question.addButton(self.tr("Open without"), QMessageBox.ButtonRole.NoRole)
        allow = question.addButton(self.tr("Allow"), QMessageBox.ButtonRole.YesRole)
        question.setEscapeButton(question.addButton(QMessageBox.StandardButton.Cancel))
        question.setDefaultButton(without)

        def choose(button: QAbstractButton) -> None:
            if button is allow:
                self._preferences_store.change(self._preferences_store.value.with_allowed(opened.outside))
                self._apply(path, opened.settings)
            elif button is without:
                self._apply(path, opened.within)

        question.buttonClicked.connect(choose)
        question.open()

    def _dialog(self, title: str) -> QFileDialog:
        dialog = QFileDialog(self._window, title)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        return dialog

    def _notify(self, text: str, level: str = "info") -> None:
        self.message.emit(Message(SESSION_TOPIC, text, level))  # type: ignore[arg-type]
