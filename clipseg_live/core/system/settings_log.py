"""Logging of settings: all values at the start, then only changes."""

import logging
import time
from typing import Any

from pydantic import BaseModel

from clipseg_live.core.system import logs

INTERVAL_SECONDS = 1.0
"""Minimum interval between logged changes, as a dragged slider makes 60 changes per second."""
HIDDEN_VALUE = "…"
_PRIVATE = frozenset({"text", "templates", "names", "image", "images", "file", "name", "folder", "path"})
_UNREADABLE = frozenset({"image", "images", "embedding"})


class SettingsLog:
    """Logs settings when they change. Call ``flush`` regularly to log the last change of a series."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._logged: dict[str, Any] | None = None
        self._waiting: BaseModel | None = None
        self._time = 0.0

    def put(self, settings: BaseModel) -> None:
        """Set the settings that apply from now on."""
        self._waiting = settings
        self.flush()

    def flush(self, now: float | None = None) -> None:
        """Log the changes, unless the last change was logged less than a second ago."""
        settings, now = self._waiting, time.monotonic() if now is None else now
        if settings is None or (self._logged is not None and now < self._time + INTERVAL_SECONDS):
            return
        self._waiting, self._time = None, now
        values = loggable(settings)
        before, self._logged = self._logged, values
        if before is None:
            self._logger.info("Settings: %s", values)
        elif changed := {name: value for name, value in values.items() if before.get(name) != value}:
            self._logger.info("Settings changed: %s", changed)


def loggable(settings: BaseModel) -> dict[str, Any]:
    """Return the values of settings for the log. Prompts, names and paths are hidden above the debug level."""
    return {
        name: _loggable(name, getattr(settings, name), logs.details_wanted()) for name in type(settings).model_fields
    }


def _loggable(name: str, value: object, details: bool) -> object:
    if name in _UNREADABLE or (name in _PRIVATE and not details):
        return value if value in (None, "", ()) else HIDDEN_VALUE
    if name == "model" and isinstance(value, str) and not details and ("/" in value or "\\" in value):
        return value if value.startswith("CIDAS/") else HIDDEN_VALUE
    if isinstance(value, BaseModel):
        return {key: _loggable(key, getattr(value, key), details) for key in type(value).model_fields}
    if isinstance(value, tuple | list):
        return [_loggable(name, item, details) for item in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)
