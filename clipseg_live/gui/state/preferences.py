"""Preferences: settings, recent sources and window layout, kept as JSON in the user's configuration folder."""

import base64
import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from PySide6.QtCore import QObject, QTimer

from clipseg_live.core.addresses import REVEAL
from clipseg_live.core.settings.export_choices import ExportChoices
from clipseg_live.core.settings.external_references import ExternalReference
from clipseg_live.core.settings.live import LiveSettings, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings
from clipseg_live.core.system.files import replace_file, set_aside
from clipseg_live.gui.state.shared_file import locked, merge

logger = logging.getLogger(__name__)

MOST_RECENT = 10
MOST_ALLOWED = 100
SAVE_AFTER = 1.0
"""Seconds from the last change to writing."""
_FILE = "preferences.json"


class Preferences(BaseModel):
    """Everything that is restored at the next start.

    Attributes:
        settings: settings of the session.
        recent: sources, newest first; the first one is opened at the next start.
        geometry: geometry of the window, Qt's bytes in base 64.
        panels: layout of the panels, Qt's bytes in base 64.
        folder: folder for recordings and snapshots, "" for the default folders.
        recording: settings of recordings.
        camera: settings of the virtual camera.
        export: options of exports.
        export_folder: folder for the results of exports, "" for the default folder.
        allowed: external references that sessions may use, newest first. The user allowed them or saved them here.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    settings: LiveSettings = Field(default_factory=LiveSettings)
    recent: tuple[SourceSpec, ...] = ()
    geometry: str = ""
    panels: str = ""
    folder: str = ""
    recording: RecordingSettings = Field(default_factory=RecordingSettings)
    camera: VirtualCameraSettings = Field(default_factory=VirtualCameraSettings)
    export: ExportChoices = Field(default_factory=ExportChoices)
    export_folder: str = ""
    allowed: tuple[ExternalReference, ...] = ()

    def with_source(self, spec: SourceSpec) -> "Preferences":
        """Return the preferences with this source as the newest.

        They are returned unchanged if the name cannot be written as JSON.
        """
        try:
            for name in (spec.name, *spec.more):
                name.reveal().encode()
        except UnicodeEncodeError:
            return self
        others = tuple(other for other in self.recent if (other.name, other.more) != (spec.name, spec.more))
        return self.model_copy(update={"recent": (spec, *others)[:MOST_RECENT]})

    def with_allowed(self, references: Sequence[ExternalReference]) -> "Preferences":
        """Return the preferences with these external references allowed."""
        others = tuple(reference for reference in self.allowed if reference not in references)
        return self.model_copy(update={"allowed": (*references, *others)[:MOST_ALLOWED]})


def preferences_path() -> Path:
    """Return the path of the file, in $CLIPSEG_LIVE_CONFIG if set, else in the user's configuration folder."""
    folder = os.environ.get("CLIPSEG_LIVE_CONFIG")
    if folder:
        return Path(folder) / _FILE
    from platformdirs import user_config_path

    return user_config_path("clipseg-live", appauthor=False) / _FILE


def load_preferences(path: Path) -> tuple[Preferences, str]:
    """Read the preferences. A damaged file is renamed.

    Args:
        path: the file.

    Returns:
        The preferences, and a message for the user if the file was damaged or unreadable, else "".
    """
    try:
        return Preferences.model_validate_json(path.read_bytes()), ""
    except FileNotFoundError:
        return Preferences(), ""
    except (OSError, ValidationError, ValueError):
        try:
            backup = set_aside(path)
        except OSError as error:
            reason = error.strerror or error
            return Preferences(), f"The settings in {path} cannot be read ({reason}). Default settings are used."
        return Preferences(), f"The settings file was damaged. Default settings are used; the old file is {backup}."


def save_preferences(path: Path, preferences: Preferences) -> str:
    """Replace the file of preferences. Only this user can read it.

    Args:
        path: the file.
        preferences: what to write.

    Returns:
        A message for the user if writing failed, else "".
    """
    text = json.dumps(preferences.model_dump(mode="json", context=REVEAL), ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text, private=True)  # addresses of cameras contain passwords
    except OSError as error:
        return f"The settings could not be saved to {path}: {error.strerror or error}."
    return ""


class PreferencesStore(QObject):
    """Preferences of a running window, written to the file shortly after the last change.

    Changes that other windows have made to the same file are kept.

    Args:
        path: the file.
        preferences: the current preferences.
        failed: called with a message if writing failed.
        parent: parent object.
    """

    def __init__(
        self, path: Path, preferences: Preferences, failed: Callable[[str], None], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._path = path
        self._failed = failed
        self.value = preferences
        self._written = preferences
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(int(SAVE_AFTER * 1000))
        self._timer.timeout.connect(self.write)

    @property
    def folder(self) -> Path:
        """Folder of the file, where other files of the user are too."""
        return self._path.parent

    def update(self, **values: object) -> None:
        """Change some fields."""
        self.change(self.value.model_copy(update=values))

    def change(self, preferences: Preferences) -> None:
        """Replace the preferences and schedule writing them."""
        if preferences != self.value:
            self.value = preferences
            self._timer.start()

    def write(self) -> None:
        """Write pending changes now."""
        self._timer.stop()
        if self.value is not self._written:
            with locked(self._path):
                problem = save_preferences(self._path, self._merge_with_file())
            if problem:
                self._failed(problem)
            else:
                self._written = self.value

    def _merge_with_file(self) -> Preferences:
        """Return the preferences merged with changes that other windows have made to the file."""
        try:
            in_file = Preferences.model_validate_json(self._path.read_bytes())
            base, ours, theirs = (
                values.model_dump(mode="json", context=REVEAL) for values in (self._written, self.value, in_file)
            )
            merged = Preferences.model_validate(merge(base, ours, theirs))
        except FileNotFoundError:
            return self.value
        except (OSError, ValueError):
            logger.warning("The settings of another window could not be merged", exc_info=True)
            return self.value
        limited = {"recent": merged.recent[:MOST_RECENT], "allowed": merged.allowed[:MOST_ALLOWED]}
        return merged.model_copy(update=limited)


def encode_bytes(data: bytes) -> str:
    """Return bytes as base 64."""
    return base64.b64encode(data).decode("ascii")


def decode_bytes(text: str) -> bytes:
    """Return the bytes of a text from ``encode_bytes``; no bytes for an invalid text."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
