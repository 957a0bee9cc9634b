"""Transfer of notifications and results from other threads to the Qt thread."""

import atexit
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

from PySide6.QtCore import QObject, Qt, Signal
from shiboken6 import isValid

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.protocols import LiveSession
from clipseg_live.core.status import Message

logger = logging.getLogger(__name__)

_MOST_MESSAGES = 64


class Bridge(QObject):
    """Emits signals in the Qt thread when a session has a new frame or messages.

    The signals have no arguments: receivers fetch the newest data. At most one frame signal waits in Qt's queue, so the
    queue cannot grow.
    """

    frame_ready = Signal()
    messages_arrived = Signal()
    _frame_queued = Signal()
    _message_queued = Signal()

    def __init__(self, session: LiveSession, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._lock = threading.Lock()
        self._waiting = False
        self._messages: deque[Message] = deque(maxlen=_MOST_MESSAGES)
        self._frame_queued.connect(self._emit_frame_ready, Qt.ConnectionType.QueuedConnection)
        self._message_queued.connect(self.messages_arrived, Qt.ConnectionType.QueuedConnection)
        session.on_picture = self._on_picture
        session.on_message = self._on_message

    def messages(self) -> list[Message]:
        """Return the messages since the last call, oldest first."""
        messages: list[Message] = []
        with suppress(IndexError):
            while True:
                messages.append(self._messages.popleft())
        return messages

    def disconnect_session(self) -> None:
        """Disconnect from the session."""
        self._session.on_picture = lambda: None
        self._session.on_message = lambda message: None

    def _on_picture(self) -> None:
        with self._lock:
            if self._waiting:
                return
            self._waiting = True
        self._frame_queued.emit()

    def _emit_frame_ready(self) -> None:
        with self._lock:
            self._waiting = False
        self.frame_ready.emit()

    def _on_message(self, message: Message) -> None:
        self._messages.append(message)
        self._message_queued.emit()


class BackgroundTask(QObject):
    """Slow work in its own thread, with the result delivered in the Qt thread.

    Each ``start`` emits exactly one of the two signals. If the task has been destroyed meanwhile, for example with a
    closed dialog, it emits none.

    Attributes:
        succeeded: signal with the return value of ``work``.
        failed: signal with an error message for the user.
    """

    succeeded = Signal(object)
    failed = Signal(str)

    def __init__(self, work: Callable[[], object], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._work = work
        self._dispatcher = _dispatcher()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Return True while the task is running."""
        return self._thread is not None

    def start(self) -> None:
        """Start the work, unless it is running."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="clipseg-live task", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        result: object = None
        problem: str | None = None
        try:
            result = self._work()
        except (ClipsegLiveError, OSError) as error:
            logger.warning("A background task failed", exc_info=True)
            problem = str(error)
        except Exception as error:
            logger.exception("A background task failed unexpectedly")
            problem = f"{type(error).__name__}: {error}"
        self._dispatcher.send(self, result, problem)

    def _emit_result(self, result: object, problem: str | None) -> None:
        self._thread = None
        if problem is not None:
            self.failed.emit(problem)
        else:
            self.succeeded.emit(result)


class _ResultDispatcher(QObject):
    """Delivers results of background tasks in the Qt thread.

    It lives until the process ends. A thread that emits a signal of an object that the Qt thread is destroying, such as
    a task of a closing dialog, would crash the program.
    """

    _posted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._closed = False
        self._outcomes: deque[tuple[BackgroundTask, object, str | None]] = deque()
        self._posted.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def send(self, task: BackgroundTask, result: object, problem: str | None) -> None:
        with self._lock:
            if not self._closed:
                self._outcomes.append((task, result, problem))
                self._posted.emit()

    def close(self) -> None:
        """Stop sending. No ``send`` is in progress after the return."""
        with self._lock:
            self._closed = True

    def _deliver(self) -> None:
        with suppress(IndexError):
            while True:
                task, result, problem = self._outcomes.popleft()
                if isValid(task):
                    task._emit_result(result, problem)


@lru_cache(maxsize=1)
def _dispatcher() -> _ResultDispatcher:
    """Return the dispatcher. The first task creates it, in the Qt thread."""
    post = _ResultDispatcher()
    atexit.register(post.close)
    return post
