"""Record, snapshot and copy: what a person takes away from the picture."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QStandardPaths, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.live import LiveSettings, Message, RecordingStatus
from clipseg_live.core.ports import LiveSession
from clipseg_live.gui import theme
from clipseg_live.gui.bridge import Errand
from clipseg_live.gui.canvas import Canvas
from clipseg_live.gui.controls import tool_button
from clipseg_live.gui.services import Services
from clipseg_live.gui.transport import clock

TOPIC = "recording"
SNAPSHOT_TOPIC = "snapshot"


class RecordingBar(QWidget):
    """Buttons, and how long and how large a running recording is. said: a Message for the person.

    folder: where files go, None for the user's folders of videos and pictures.
    """

    said = Signal(object)

    def __init__(
        self,
        session: LiveSession,
        canvas: Canvas,
        services: Services,
        settings: Callable[[], LiveSettings],
        folder: Callable[[], Path | None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._canvas, self._services = session, canvas, services
        self._settings, self._folder = settings, folder
        self._active = False
        self._errand: Errand | None = None
        self.last_folder: Path | None = None
        self.figures = QLabel()
        theme.set_kind(self.figures, "figure")
        self.figures.setFont(theme.figure_font())
        self.figures.setAccessibleName(self.tr("Recorded time and size"))
        self.record_button = QPushButton(self.tr("Record"))
        self.record_button.setIconSize(theme.icon_size())
        self.record_button.clicked.connect(self.toggle)
        self.snapshot_button = tool_button("snapshot", self.tr("Save the picture and its masks"))
        self.snapshot_button.clicked.connect(self.snapshot)
        self.copy_button = tool_button("copy", self.tr("Copy the picture"))
        self.copy_button.clicked.connect(self.copy)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.UNIT // 2)
        row.addWidget(self.figures)
        row.addSpacing(theme.UNIT // 2)
        for button in (self.record_button, self.snapshot_button, self.copy_button):
            row.addWidget(button)
        self._show_active(False)
        self.show_status(RecordingStatus())

    def toggle(self) -> None:
        """Start a recording, or finish the running one."""
        if self._active:
            self._session.stop_recording()
            return
        place = QStandardPaths.StandardLocation.MoviesLocation
        path = self._place(place) / datetime.now().strftime("clipseg-live %Y-%m-%d %H.%M.%S.mp4")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._session.start_recording(path)
        except ClipsegLiveError as error:
            self._say(TOPIC, str(error), "error")
        except OSError as error:
            self._say(TOPIC, f"Nothing can be recorded in {path.parent}: {error.strerror or error}.", "error")
        else:
            self.last_folder = path.parent
            self._say(TOPIC, "")

    def snapshot(self) -> None:
        """Save what is shown as PNG, with one more for each mask."""
        picture, settings = self._canvas.picture, self._settings()
        if picture is None:
            self._say(SNAPSHOT_TOPIC, self.tr("There is no picture to save yet."), "warning")
            return
        if self._errand is not None:
            return
        folder = self._place(QStandardPaths.StandardLocation.PicturesLocation)
        save = self._services.save_snapshot
        self._errand = Errand(lambda: save(folder, picture, settings), self)
        self._errand.answered.connect(self._saved)
        self._errand.failed.connect(self._not_saved)
        self._errand.start()

    def copy(self) -> None:
        """Put the picture on the clipboard."""
        image = self._canvas.image()
        if image is None:
            self._say(SNAPSHOT_TOPIC, self.tr("There is no picture to copy yet."), "warning")
            return
        QGuiApplication.clipboard().setImage(image)
        self._say(SNAPSHOT_TOPIC, self.tr("The picture is on the clipboard."))

    def show_status(self, status: RecordingStatus) -> None:
        """Elapsed time, size and lost frames of the running recording."""
        if status.active != self._active:
            self._show_active(status.active)
        self.figures.setVisible(status.active)
        if status.active:
            words = f"{clock(status.seconds)}  ·  {size_text(status.size)}"
            if status.dropped:
                words += "  ·  " + self.tr("{0} lost").format(status.dropped)
            self.figures.setText(words)

    def show_folder(self) -> None:
        """Open the folder of the newest file in the system's own window."""
        if self.last_folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.last_folder)))

    def _show_active(self, active: bool) -> None:
        self._active = active
        button = self.record_button
        theme.set_kind(button, "danger" if active else "")
        button.setIcon(theme.icon("stop" if active else "record", "#ffd9dd" if active else theme.DANGER))
        button.setText(self.tr("Stop") if active else self.tr("Record"))
        button.setAccessibleName(self.tr("Stop recording") if active else self.tr("Record"))
        button.setToolTip(self.tr("Finish the recording") if active else self.tr("Record what is shown"))

    def _saved(self, paths: list[Path]) -> None:
        self._errand = None
        self.last_folder = paths[0].parent
        masks = len(paths) - 1
        also = "" if not masks else self.tr(" with 1 mask") if masks == 1 else self.tr(" with {0} masks").format(masks)
        self._say(SNAPSHOT_TOPIC, self.tr("Saved {0}{1}.").format(paths[0], also))

    def _not_saved(self, problem: str) -> None:
        self._errand = None
        self._say(SNAPSHOT_TOPIC, problem, "error")

    def _place(self, usual: QStandardPaths.StandardLocation) -> Path:
        chosen = self._folder()
        if chosen is not None:
            return chosen
        return Path(QStandardPaths.writableLocation(usual) or Path.home())

    def _say(self, topic: str, text: str, level: str = "info") -> None:
        self.said.emit(Message(topic, text, level))  # type: ignore[arg-type]


def size_text(size: int) -> str:
    """Bytes for people, in powers of ten."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit in ("B", "kB") else f"{value:.1f} {unit}"
