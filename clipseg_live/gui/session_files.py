"""Opening and saving session files from the window, and choosing where recordings and pictures go."""

from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.live import Message
from clipseg_live.core.session_file import SUFFIX, load_session, save_session
from clipseg_live.gui.preferences import Keeper
from clipseg_live.gui.state import Store

TOPIC = "session"


def is_session_file(path: Path) -> bool:
    return path.suffix.lower() == ".json"


class SessionFiles(QObject):
    """said: a Message for the person."""

    said = Signal(object)

    def __init__(self, store: Store, keeper: Keeper, window: QWidget) -> None:
        super().__init__(window)
        self._store, self._keeper, self._window = store, keeper, window

    @property
    def folder(self) -> Path | None:
        """Where recordings and pictures go; None for the user's own folders."""
        chosen = self._keeper.value.folder
        return Path(chosen) if chosen else None

    def ask_open(self) -> None:
        dialog = self._dialog(self.tr("Open a session"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters([self.tr("Sessions") + f" (*{SUFFIX} *.json)", self.tr("All files") + " (*)"])
        dialog.fileSelected.connect(lambda path: self.open(Path(path)))
        dialog.open()

    def ask_save(self) -> None:
        dialog = self._dialog(self.tr("Save the session as"))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilter(self.tr("Sessions") + f" (*{SUFFIX})")
        dialog.setDefaultSuffix(SUFFIX.lstrip("."))
        dialog.selectFile(f"session{SUFFIX}")
        dialog.fileSelected.connect(lambda path: self.save(Path(path)))
        dialog.open()

    def ask_folder(self) -> None:
        dialog = self._dialog(self.tr("Folder for recordings and pictures"))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(lambda path: self._keeper.update(folder=path))
        dialog.open()

    def open(self, path: Path) -> None:
        """Take over the settings of a session file; undo brings the old ones back."""
        try:
            settings = load_session(path)
        except ClipsegLiveError as error:
            self._say(str(error), "error")
            return
        self._store.edit(settings)
        self._say(self.tr("Opened the session {0}.").format(path.name))

    def save(self, path: Path) -> None:
        try:
            save_session(path, self._store.settings)
        except ClipsegLiveError as error:
            self._say(str(error), "error")
            return
        self._say(self.tr("Saved the session as {0}.").format(path))

    def _dialog(self, title: str) -> QFileDialog:
        dialog = QFileDialog(self._window, title)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        return dialog

    def _say(self, text: str, level: str = "info") -> None:
        self.said.emit(Message(TOPIC, text, level))  # type: ignore[arg-type]
