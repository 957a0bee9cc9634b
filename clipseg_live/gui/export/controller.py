"""Controller of exports: builds them from the state of the window, and reports their outcome."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QMessageBox, QWidget

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.session_file import SESSION_SUFFIX, save_session
from clipseg_live.core.settings.live import LiveSettings, SourceSpec
from clipseg_live.core.settings.source_schemes import find_scheme
from clipseg_live.core.status import Message
from clipseg_live.core.system.times import format_time
from clipseg_live.gui.export.dialog import FILE, LIST, RANGE, ExportDialog, ExportScope
from clipseg_live.gui.export.job import ExportJob
from clipseg_live.gui.export.run import ExportQueue, ExportRun, RunState
from clipseg_live.gui.state.preferences import PreferencesStore

EXPORT_TOPIC = "export"
_FOLDER = "clipseg-live exports"


@dataclass(frozen=True, slots=True)
class ExportableSource:
    """State of the window that exports need.

    Attributes:
        spec: the source as it was opened; None for none.
        file: file of a list that is shown; None without a list.
        files: all files of the list.
        is_photo_set: the list is a set of photos, which is exported as one.
        first: time of the in point in seconds; None without one.
        end: time in seconds before which the range ends; None without an out point.
    """

    spec: SourceSpec | None = None
    file: Path | None = None
    files: tuple[Path, ...] = ()
    is_photo_set: bool = False
    first: Fraction | None = None
    end: Fraction | None = None


class ExportController(QObject):
    """Opens the export dialog, and adds exports to the queue.

    Args:
        queue: the queue of exports.
        preferences_store: keeps the options and the folder.
        source: returns what the window shows.
        settings: returns the settings of the session, with the model that is running.
        default_folder: returns the folder for videos.
        window: the main window.

    Attributes:
        message: signal with a Message for the user.
        progress_changed: signal with the progress of the running export as text, "" without one.
        file_exported: signal with an exported file and the reason why its result is missing, "" if it is complete.
    """

    message = Signal(object)
    progress_changed = Signal(str)
    file_exported = Signal(str, str)

    def __init__(
        self,
        queue: ExportQueue,
        preferences_store: PreferencesStore,
        source: Callable[[], ExportableSource],
        settings: Callable[[], LiveSettings],
        default_folder: Callable[[], Path],
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self.queue = queue
        self._preferences_store = preferences_store
        self._source = source
        self._settings = settings
        self._default_folder = default_folder
        self._window = window
        self.dialog: ExportDialog | None = None
        self.question: QMessageBox | None = None
        self._shown_folder: Path | None = None
        queue.added.connect(self._watch)

    @property
    def folder(self) -> Path:
        """Folder for results."""
        folder = self._preferences_store.value.export_folder
        return Path(folder) if folder else self._default_folder() / _FOLDER

    def open_dialog(self) -> None:
        """Show the dialog."""
        if self.dialog is None:
            dialog = self.dialog = ExportDialog(
                self._preferences_store.value.export, self.folder, self.queue, self._window
            )
            dialog.choices_changed.connect(lambda choices: self._preferences_store.update(export=choices))
            dialog.folder_changed.connect(self._change_folder)
            dialog.export_requested.connect(self.export)
            dialog.copy_requested.connect(self._copy_command)
            dialog.show_folder_requested.connect(_open_folder)
        self.dialog.show()
        self.refresh()
        self.dialog.raise_()
        self.dialog.activateWindow()

    def refresh(self) -> None:
        """Show in the open dialog what can be exported now."""
        if self.dialog is not None and self.dialog.isVisible():
            self.dialog.show_scope(self._scope())

    def export(self, part: str) -> None:
        """Add an export to the queue.

        Args:
            part: ``FILE``, ``RANGE`` or ``LIST``.
        """
        job = self._job(part)
        if job is not None:
            self.queue.add(job)

    def show_folder(self) -> None:
        """Open the folder of the newest message in the system's file manager."""
        if self._shown_folder is not None:
            _open_folder(self._shown_folder)

    def may_close(self) -> bool:
        """Return whether no export would be lost with the window. If not, ask the user, who may close it then."""
        if not self.queue.is_active:
            return True
        if self.question is None:
            question = self.question = QMessageBox(
                QMessageBox.Icon.Question,
                self.tr("Export"),
                self.tr("An export is running. Stop it and close the window?"),
                QMessageBox.StandardButton.Cancel,
                self._window,
            )
            question.setInformativeText(self.tr("Finished results are kept. The same export continues later."))
            question.addButton(self.tr("Stop and close"), QMessageBox.ButtonRole.AcceptRole)
            question.accepted.connect(self._stop_and_close)
            question.finished.connect(self._forget_question)
            question.open()
        return False

    def _stop_and_close(self) -> None:
        self.queue.end_now()
        self._window.close()

    def _forget_question(self) -> None:
        if self.question is not None:
            self.question.deleteLater()
            self.question = None

    def shut_down(self) -> None:
        """End running exports."""
        self.queue.end_now()

    def _scope(self) -> ExportScope:
        source = self._source()
        problem = ""
        # not by making the prompts: hashing their images would take too long for each refresh
        if not any(row.text.strip() or row.embedding or row.image is not None for row in self._settings().shown()):
            problem = self.tr("Add a prompt first.")
        texts = {}
        if source.spec is None or not _is_file(source.spec):
            problem = self.tr("Only files can be exported. Record cameras, streams and the screen instead.")
        else:
            name = source.file.name if source.file is not None else _short_name(source.spec)
            is_demo = source.spec.name.startswith("demo:")
            texts[FILE] = self.tr("{0}, the first 8 seconds").format(name) if is_demo else name
            if source.first is not None or source.end is not None:
                first = format_time(source.first or 0, 2)
                end = self.tr("end") if source.end is None else format_time(source.end, 2)
                texts[RANGE] = self.tr("{0}, {1} to {2}").format(name, first, end)
            if len(source.files) > 1:
                texts[LIST] = self.tr("{0} files of {1}").format(len(source.files), _short_name(source.spec))
        return ExportScope(tuple(texts.items()), problem)

    def _job(self, part: str) -> ExportJob | None:
        """Save the session, and return the export; None if it cannot be saved, which is reported."""
        source, folder = self._source(), Path(os.path.abspath(self.folder))
        if source.spec is None:
            return None
        whole_list = part == LIST
        if whole_list and not (source.is_photo_set and not source.spec.more):
            inputs = tuple(_absolute(str(file)) for file in source.files)
        elif source.file is not None and not whole_list:
            inputs = (_absolute(str(source.file)),)
        else:
            inputs = (_absolute(source.spec.name.reveal()),)
        session = folder / f"{datetime.now().strftime('session %Y-%m-%d %H.%M.%S.%f')}{SESSION_SUFFIX}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_session(session, self._settings())
        except ClipsegLiveError as error:
            self._notify(str(error), "error")
            return None
        except OSError as error:
            self._notify(f"The folder {folder} cannot be created: {error.strerror or error}.", "error")
            return None
        title = dict(self._scope().texts).get(part, "")
        in_range = part == RANGE
        return ExportJob(
            title,
            inputs,
            folder,
            session,
            self._preferences_store.value.export,
            source.first if in_range else None,
            source.end if in_range else None,
            _reading(source.spec),
        )

    def _copy_command(self, part: str) -> None:
        job = self._job(part)
        if job is not None:
            QGuiApplication.clipboard().setText(job.command())
            self._shown_folder = job.folder
            self._notify(self.tr("Command copied. Its session file is {0}.").format(job.session))

    def _change_folder(self, folder: Path) -> None:
        self._preferences_store.update(export_folder=str(folder))
        if self.dialog is not None:
            self.dialog.show_folder(self.folder)

    def _watch(self, run: ExportRun) -> None:
        run.file_ended.connect(self.file_exported)
        run.changed.connect(lambda: self.progress_changed.emit(f"{run.status.progress:.0%}" if run.is_active else ""))
        run.ended.connect(lambda: self._report(run))

    def _report(self, run: ExportRun) -> None:
        """Report the end of an export, unless the dialog shows it."""
        if self.dialog is not None and self.dialog.isVisible():
            return
        status, self._shown_folder = run.status, run.job.folder
        if status.state is RunState.DONE:
            self._notify(self.tr("Exported {0} to {1}.").format(run.job.title, run.job.folder))
        elif status.state is RunState.FAILED:
            self._notify(status.problems[0] if status.problems else self.tr("The export failed."), "error")

    def _notify(self, text: str, level: str = "info") -> None:
        self.message.emit(Message(EXPORT_TOPIC, text, level))  # type: ignore[arg-type]


def _is_file(spec: SourceSpec) -> bool:
    """Return whether a source can be exported: a file, folder, pattern or demo scene."""
    name = spec.name.reveal()
    return not (spec.name.is_address or name.startswith(("camera:", "screen:")))


def _short_name(spec: SourceSpec) -> str:
    name = str(spec.name)
    return name if _has_scheme(name) else Path(name).name or name


def _absolute(name: str) -> str:
    return name if _has_scheme(name) else os.path.abspath(name)


def _has_scheme(name: str) -> bool:
    try:
        return find_scheme(name) is not None
    except ClipsegLiveError:  # the export reports it
        return True


def _reading(spec: SourceSpec) -> tuple[str, ...]:
    """Return the arguments for the options with which the source was opened."""
    sequence = () if spec.sequence is None else ("--sequence", "--rate", str(spec.sequence))
    return (*sequence, *(() if spec.deinterlace == "auto" else ("--deinterlace", spec.deinterlace)))


def _open_folder(folder: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
