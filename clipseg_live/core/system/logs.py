"""Logging of the application: a rotating file, standard error on request, and records of child processes.

Modules log through ``logging.getLogger(__name__)``. The command line and the window call ``installed`` once. Programs
that import ``clipseg_live`` configure logging themselves. A child process calls ``start_child`` and sends its records
to its parent, which passes them to ``handle``.

Above the debug level, a log holds no credentials, prompts or file paths, so that it can be attached to a bug report.
"""

import faulthandler
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from logging.handlers import QueueHandler, RotatingFileHandler
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Any

from clipseg_live.core.system.log_format import BodyFormatter, LogFormatter, RateLimit

logger = logging.getLogger(__name__)

LEVELS = ("debug", "info", "warning", "error")
RECENT_LINES = 200
"""Number of log lines in a bug report."""
FILE_NAME = "clipseg-live.log"
CRASH_FILE_NAME = "crash.log"

_LEVEL_VARIABLE = "CLIPSEG_LIVE_LOG_LEVEL"
_DEBUG_VARIABLE = "CLIPSEG_LIVE_DEBUG"
_CRASH_VARIABLE = "CLIPSEG_LIVE_CRASH_FILE"
_PACKAGE = "clipseg_live"
_FILE_BYTES, _FILES = 1_000_000, 3
_FLUSH_SECONDS = 2.0


class _File(RotatingFileHandler):
    """A rotating file that several processes may share. It never fails and never prints."""

    def emit(self, record: logging.LogRecord) -> None:
        stream = self.stream
        if stream is not None and self._was_moved(stream):
            stream.close()
            self.stream = self._open()
        super().emit(record)

    def doRollover(self) -> None:
        with suppress(OSError):  # Windows refuses to move a file that another process has open
            super().doRollover()

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore errors such as a full disk."""

    def _was_moved(self, stream: IO[str]) -> bool:
        try:
            there, ours = os.stat(self.baseFilename), os.fstat(stream.fileno())
        except OSError:
            return not os.path.exists(self.baseFilename)
        return (there.st_ino, there.st_dev) != (ours.st_ino, ours.st_dev)


class _ErrorStream(logging.StreamHandler[Any]):
    """Writes to the present ``sys.stderr``. Errors are ignored if it is closed."""

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        pass

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore a closed terminal."""


class _Handlers(logging.Handler):
    """Passes records within the rate limit to the file, to standard error and to the lines in memory."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__()
        self.file: _File | None = None
        if folder is not None:
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                self.file = _File(folder / FILE_NAME, maxBytes=_FILE_BYTES, backupCount=_FILES, encoding="utf-8")
        self.errors = _ErrorStream()
        self.shows_errors = False
        self.lines: deque[str] = deque(maxlen=RECENT_LINES)
        self._limit = RateLimit()
        self.set_details(False)

    def set_details(self, details: bool) -> None:
        """Choose whether private details are logged."""
        self.formatter = LogFormatter(details)
        for handler in (self.file, self.errors):
            if handler is not None:
                handler.setFormatter(self.formatter)

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(_PACKAGE) and record.levelno < logging.WARNING:
            return
        if not self._limit.admits(record):
            return
        if self.file is not None:
            self.file.emit(record)
        else:
            self.lines.extend(self.format(record).split("\n"))
        if self.shows_errors and record.levelno >= logging.getLogger(_PACKAGE).level:
            self.errors.emit(record)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
        super().close()


def _write_error(sentence: str) -> None:
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"clipseg-live: {sentence}\n")


_handlers: _Handlers | None = None
_tell: Callable[[str], None] = _write_error
_reported: set[type[BaseException]] = set()
"""Types of uncaught exceptions that were reported to the user."""


@contextmanager
def installed(folder: Path | None) -> Iterator[None]:
    """Write logs into a folder, and log uncaught exceptions and crashes, while the context lasts.

    Args:
        folder: Folder of the log; created if missing. With None, or a folder that is not writable, the last lines are
            kept in memory only.
    """
    global _handlers
    handlers = _handlers = _Handlers(folder)
    root = logging.getLogger()
    root.addHandler(handlers)
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    sys.excepthook, threading.excepthook, sys.unraisablehook = _log_uncaught, _log_thread, _log_unraisable
    logging.captureWarnings(True)
    path = log_file()
    crash_file = path.with_name(CRASH_FILE_NAME) if path is not None else None
    if crash_file is not None:
        os.environ[_CRASH_VARIABLE] = str(crash_file)
    try:
        set_level(None)
        collect_crashes()
        with _crashes_into(crash_file):
            yield
    finally:
        os.environ.pop(_CRASH_VARIABLE, None)
        os.environ.pop(_LEVEL_VARIABLE, None)
        logging.captureWarnings(False)
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        root.removeHandler(handlers)
        logging.getLogger(_PACKAGE).setLevel(logging.NOTSET)
        _handlers = None
        handlers.close()


@contextmanager
def uncaught_shown(tell: Callable[[str], None]) -> Iterator[None]:
    """Report uncaught exceptions through ``tell`` instead of on standard error. ``tell`` is called from any thread."""
    global _tell
    before, _tell = _tell, tell
    _reported.clear()
    try:
        yield
    finally:
        _tell = before


def set_level(name: str | None) -> None:
    """Set the log level of this process and of the processes that it starts from now on.

    Args:
        name: One of ``LEVELS``. Records of this level are shown on standard error as well. None logs at the info
            level, to the file only. If ``CLIPSEG_LIVE_DEBUG`` is set, None means "debug".
    """
    if name is None and os.environ.get(_DEBUG_VARIABLE):
        name = "debug"
    level = logging.getLevelName((name or "info").upper())
    logging.getLogger(_PACKAGE).setLevel(level)
    if _handlers is not None:
        os.environ[_LEVEL_VARIABLE] = name or "info"
        _handlers.shows_errors = name is not None
        _handlers.set_details(level <= logging.DEBUG)


def details_wanted() -> bool:
    """Return whether private details (prompts, paths) are logged."""
    return logging.getLogger(_PACKAGE).isEnabledFor(logging.DEBUG)


def start_child(send: Callable[[logging.LogRecord], None]) -> Callable[[], None]:
    """Start logging in a child process, at the level of its parent.

    Args:
        send: Passes a record to the parent. It is called in its own thread, so that a record cannot block while another
            message is sent.

    Returns:
        A function that waits until all records are sent. Call it before the process ends.
    """
    records: SimpleQueue[logging.LogRecord | threading.Event] = SimpleQueue()

    def send_all() -> None:
        while True:
            item = records.get()
            if isinstance(item, threading.Event):
                item.set()
            else:
                send(item)

    def flush() -> None:
        sent = threading.Event()
        records.put(sent)
        sent.wait(_FLUSH_SECONDS)

    threading.Thread(target=send_all, name="log", daemon=True).start()
    level = logging.getLevelName(os.environ.get(_LEVEL_VARIABLE, "debug" if _debug() else "info").upper())
    handler = _Sender(records)
    handler.setFormatter(BodyFormatter(level <= logging.DEBUG))
    logging.getLogger().addHandler(handler)
    logging.getLogger(_PACKAGE).setLevel(level)
    logging.captureWarnings(True)
    sys.excepthook, threading.excepthook, sys.unraisablehook = _log_uncaught, _log_thread, _log_unraisable
    if crash_file := os.environ.get(_CRASH_VARIABLE):
        with suppress(OSError):
            faulthandler.enable(open(crash_file, "a", encoding="utf-8"))  # noqa: SIM115 - open until the end
    return flush


def handle(record: logging.LogRecord) -> None:
    """Log a record of a child process."""
    target = logging.getLogger(record.name)
    if target.isEnabledFor(record.levelno):
        target.handle(record)


def log_file() -> Path | None:
    """Return the path of the log file; None if there is none."""
    return Path(_handlers.file.baseFilename) if _handlers is not None and _handlers.file is not None else None


def recent_lines(count: int = RECENT_LINES) -> list[str]:
    """Return the last lines of the log, including those of earlier runs."""
    if _handlers is None:
        return []
    path = log_file()
    if path is None:
        return list(_handlers.lines)[-count:]
    lines: list[str] = []
    for older in (path.with_name(f"{path.name}.1"), path):
        with suppress(OSError):
            lines += older.read_text("utf-8", errors="replace").splitlines()
    return lines[-count:]


def collect_crashes() -> None:
    """Move the output of ``faulthandler`` about crashed processes into the log."""
    path = os.environ.get(_CRASH_VARIABLE)
    if not path:
        return
    with suppress(OSError):
        text = Path(path).read_text("utf-8", errors="replace").strip()
        if text:
            os.truncate(path, 0)
            logger.error("A process crashed:\n%s", text)


class _Sender(QueueHandler):
    """Queues records with their tracebacks as text."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore a record that cannot be sent."""


@contextmanager
def _crashes_into(path: Path | None) -> Iterator[None]:
    """Let ``faulthandler`` write to a file while the context lasts."""
    if path is None:
        yield
        return
    try:
        file = path.open("a", encoding="utf-8")
    except OSError:
        yield
        return
    with file:
        faulthandler.enable(file)
        try:
            yield
        finally:
            faulthandler.disable()


def _debug() -> bool:
    return bool(os.environ.get(_DEBUG_VARIABLE))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logger.critical("Uncaught exception", exc_info=(kind, error, trace))
    _tell_user(kind)


def _log_thread(arguments: Any) -> None:
    if arguments.exc_type is SystemExit:
        return
    logger.critical(
        "Uncaught exception in a thread", exc_info=(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
    )
    _tell_user(arguments.exc_type)


def _tell_user(kind: type[BaseException]) -> None:
    """Report an uncaught exception, once per type, as it may be raised again at every frame."""
    if kind in _reported:
        return
    _reported.add(kind)
    _tell(f"An unexpected error occurred ({kind.__name__}). The log has the details: {log_file() or 'no file'}")


def _log_unraisable(unraisable: Any) -> None:
    logger.error(
        "Exception ignored in %s",
        type(unraisable.object).__name__,
        exc_info=(unraisable.exc_type, unraisable.exc_value, unraisable.exc_traceback),
    )
