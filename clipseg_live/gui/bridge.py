"""The only crossing from other threads into Qt."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from PySide6.QtCore import QObject, Qt, Signal

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.live import Message
from clipseg_live.core.ports import LiveSession

_MOST_MESSAGES = 64


class Bridge(QObject):
    """Tells Qt that a session has a newer picture, or messages.

    The signals carry nothing: whoever hears one fetches what is newest. At most one picture waits in Qt's queue,
    however fast they come, so that the queue cannot grow.
    """

    picture_changed = Signal()
    messages_arrived = Signal()
    _picture_queued = Signal()
    _message_queued = Signal()

    def __init__(self, session: LiveSession, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._lock = threading.Lock()
        self._waiting = False
        self._messages: deque[Message] = deque(maxlen=_MOST_MESSAGES)
        self._picture_queued.connect(self._hand_on_picture, Qt.ConnectionType.QueuedConnection)
        self._message_queued.connect(self.messages_arrived, Qt.ConnectionType.QueuedConnection)
        session.on_picture = self._on_picture
        session.on_message = self._on_message

    def messages(self) -> list[Message]:
        """What has arrived since the last call, oldest first."""
        found: list[Message] = []
        with suppress(IndexError):
            while True:
                found.append(self._messages.popleft())
        return found

    def let_go(self) -> None:
        """Hear nothing any more."""
        self._session.on_picture = lambda: None
        self._session.on_message = lambda message: None

    def _on_picture(self) -> None:
        with self._lock:
            if self._waiting:
                return
            self._waiting = True
        self._picture_queued.emit()

    def _hand_on_picture(self) -> None:
        with self._lock:
            self._waiting = False
        self.picture_changed.emit()

    def _on_message(self, message: Message) -> None:
        self._messages.append(message)
        self._message_queued.emit()


class Errand(QObject):
    """Something slow, done in a thread of its own, whose outcome comes back in Qt's thread.

    answered: what ``work`` returned. failed: a sentence for the person. One of the two comes, once for each ``start``.
    """

    answered = Signal(object)
    failed = Signal(str)
    _ended = Signal()

    def __init__(self, work: Callable[[], object], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._work = work
        self._thread: threading.Thread | None = None
        self._answer: object = None
        self._problem: str | None = None
        self._ended.connect(self._hand_on, Qt.ConnectionType.QueuedConnection)

    @property
    def running(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        """Begin, unless it is under way."""
        if self._thread is None:
            self._answer = self._problem = None
            self._thread = threading.Thread(target=self._run, name="clipseg-live errand", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            self._answer = self._work()
        except (ClipsegLiveError, OSError) as error:
            self._problem = str(error)
        except Exception as error:
            self._problem = f"{type(error).__name__}: {error}"
        with suppress(RuntimeError):  # the window has gone meanwhile, and this with it
            self._ended.emit()

    def _hand_on(self) -> None:
        self._thread = None
        if self._problem is not None:
            self.failed.emit(self._problem)
        else:
            self.answered.emit(self._answer)
