"""Two ways for threads to hand on only what is newest, with the drops counted."""

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Room for one item; its policy is that the newest wins: an item that nobody took is replaced, and counted.

    ``close`` wakes whoever waits; a closed mailbox gives and takes nothing.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Items that were replaced before anybody took them."""
        return self._dropped

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, item: Item) -> None:
        """Leave an item; never waits."""
        with self._changed:
            if self._closed:
                return
            self._dropped += self._item is not None
            self._item = item
            self._changed.notify_all()

    def take(self, timeout: float | None = None) -> Item | None:
        """The newest item, waiting for one at most ``timeout`` seconds; None where none came, or it was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout)
            item, self._item = self._item, None
            return None if self._closed else item

    def clear(self) -> None:
        """Throw away what lies there, without counting it as dropped."""
        with self._changed:
            self._item = None

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._item = None
            self._changed.notify_all()
