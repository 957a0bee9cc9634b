"""Formatting of log records, with private details hidden and repeated records limited."""

import logging
import re
import time
import traceback
from collections.abc import Iterator
from typing import Any

from clipseg_live.core.errors import ClipsegLiveError

_FULL_RECORDS, _WINDOW_SECONDS = 3, 60.0
"""Number of records of one cause that are written in a time window. Further records are only counted."""
_MOST_CAUSES = 500
_PATH = re.compile(r"(?<![\w:/.<])(?:file:(?://)?|~|[A-Za-z]:)?[/\\]+(?=[\w.~-])[^\n'\"<>|:*?;,()]*")
"""A path and the text up to a delimiter, as names of folders may have spaces."""
_QUOTED = r"(?!CIDAS/)[^{0}\n]*(?:[/\\][^{0}\n]*|\.\w{{1,5}})"
_QUOTED_PATH = re.compile("|".join(f"{quote}{_QUOTED.format(quote)}{quote}" for quote in "'\""))
_SOURCE_LINE = re.compile(r'^\s+File "')
_HIDDEN_PATH = "<path>"


class LogFormatter(logging.Formatter):
    """Formats one line per record, followed by its traceback.

    Credentials in addresses are masked at every level. Unless ``details`` is set, file paths are masked, and messages
    of errors that are written for users are left out, as they quote prompts and file names.
    """

    def __init__(self, details: bool = False) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s [%(thread_name)s] %(message)s", "%Y-%m-%d %H:%M:%S"
        )
        self.details = details

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        record.thread_name = self._thread_name(record)
        record.exc_text = None  # a formatter with other details may have cached it
        text = super().format(record)
        suppressed = getattr(record, "suppressed", 0)
        if suppressed:
            first, newline, rest = text.partition("\n")
            text = f"{first} ({suppressed} similar records were suppressed){newline}{rest}"
        return _redacted(text)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Format the line of a record."""
        if not self.details:
            record.message = _masked(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        """Format a traceback."""
        text = "".join(traceback.format_exception(*ei)).rstrip("\n")
        if self.details:
            return text
        for error in _chain(ei[1]):
            text = text.replace(str(error) or "\0", _public_message(error))
        return _masked(text)

    def _thread_name(self, record: logging.LogRecord) -> str:
        name = (record.threadName or "").removeprefix("clipseg-live ")
        process = "" if record.processName in (None, "MainProcess") else f"{record.processName}/"
        return process + (name if self.details else name.split(" ")[0])


class BodyFormatter(LogFormatter):
    """Formats message and traceback only; the parent process adds the rest."""

    def __init__(self, details: bool) -> None:
        super().__init__(details)
        self._style = logging.PercentStyle("%(message)s")
        self._fmt = self._style._fmt


class RateLimit:
    """Counts records by cause (logger, message, exception type and line) and suppresses repeated ones."""

    def __init__(self) -> None:
        self._causes: dict[tuple[object, ...], tuple[float, int]] = {}

    def admits(self, record: logging.LogRecord) -> bool:
        """Return whether to write a record. Sets ``suppressed`` on the first record after a pause."""
        if record.levelno < logging.WARNING:
            return True
        cause, now = _cause(record), time.monotonic()
        begun, count = self._causes.get(cause, (now, 0))
        if now - begun > _WINDOW_SECONDS:
            record.suppressed = max(count - _FULL_RECORDS, 0)
            begun, count = now, 0
        if len(self._causes) >= _MOST_CAUSES and cause not in self._causes:
            self._causes.clear()
        self._causes[cause] = begun, count + 1
        return count < _FULL_RECORDS


def _cause(record: logging.LogRecord) -> tuple[object, ...]:
    error = record.exc_info[1] if record.exc_info else None
    last = traceback.extract_tb(error.__traceback__)[-1:] if error is not None else []
    where = (last[0].filename, last[0].lineno) if last else ()
    return record.name, record.levelno, str(record.msg), type(error), where


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and all its causes."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        waiting += [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]


def _public_message(error: BaseException) -> str:
    """Return the part of an exception's message that may be logged above the debug level."""
    if isinstance(error, ClipsegLiveError):
        return "(message shown to the user)"
    if getattr(error, "filename", None) is not None and hasattr(error, "strerror"):  # OSError, and PyAV's errors
        return f"[Errno {getattr(error, 'errno', '?')}] {error.strerror}"
    if type(error).__module__.startswith("pydantic") and hasattr(error, "errors"):  # its message quotes the input
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        return "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['type']}" for problem in problems)
    return str(error)


def _masked(text: str) -> str:
    """Mask file paths, except the source files of a traceback."""
    return "\n".join(line if _SOURCE_LINE.match(line) else _without_paths(line) for line in text.split("\n"))


def _without_paths(text: str) -> str:
    return _PATH.sub(_HIDDEN_PATH, _QUOTED_PATH.sub(_HIDDEN_PATH, text))


def _redacted(text: str) -> str:
    if ":" not in text and "=" not in text:
        return text
    from clipseg_live.core.addresses import redact  # late, as it imports pydantic

    return redact(text)
