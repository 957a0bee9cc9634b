"""The only crossing from a session's threads into Qt."""

import threading
from collections import deque

from PySide6.QtCore import QObject, Qt, Signal

from clipseg_live.core.live import Message
from clipseg_live.core.ports import LiveSession


class Bridge(QObject):
    """Tells Qt that there is a newer picture, or a message.

    The signals carry nothing: whoever hears one fetches what is newest. At most one picture waits in Qt's queue, however
    fast they come, so that the queue cannot grow.
    """

    picture_changed = Signal()
    messages_arrived = Signal()
    _picture_queued = Signal()
    _message_queued = Signal()

    def __init__(self, session: LiveSession, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._lock = threading.Lock()
        self._waits = False
        self._messages: deque[Message] = deque(maxlen=64)
        self._picture_queued.connect(self._hand_on_picture, Qt.ConnectionType.QueuedConnection)
        self._message_queued.connect(self.messages_arrived, Qt.ConnectionType.QueuedConnection)
        session.on_picture = self._on_picture
        session.on_message = self._on_message

    def messages(self) -> list[Message]:
        """What has arrived since the last call."""
        found: list[Message] = []
        while self._messages:
            found.append(self._messages.popleft())
        return found

    def disconnect_session(self) -> None:
        """Hear nothing any more; called before the window goes."""
        self._session.on_picture = lambda: None
        self._session.on_message = lambda message: None

    def _on_picture(self) -> None:
        with self._lock:
            if self._waits:
                return
            self._waits = True
        self._picture_queued.emit()

    def _hand_on_picture(self) -> None:
        with self._lock:
            self._waits = False
        self.picture_changed.emit()

    def _on_message(self, message: Message) -> None:
        self._messages.append(message)
        self._message_queued.emit()
