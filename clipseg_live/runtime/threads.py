"""Channels and stoppable threads for the stages of a pipeline."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")


class Cancelled(Exception):
    """Raised when a channel was cancelled, so that its stage ends at once."""


class Channel(Generic[Item]):
    """A bounded, blocking queue between two threads. It drops nothing and keeps the order.

    ``finish`` marks the end of the items. ``cancel`` wakes both threads at once.
    """

    def __init__(self, capacity: int) -> None:
        self._items: deque[Item] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._finished = False
        self._cancelled = False

    def put(self, item: Item) -> None:
        """Add an item, and wait for room if necessary.

        Raises:
            Cancelled: The channel was cancelled.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or len(self._items) < self._capacity)
            if self._cancelled:
                raise Cancelled
            self._items.append(item)
            self._changed.notify_all()

    def finish(self) -> None:
        """Mark the end of the items."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Drop the items and wake both threads."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        """Yield items until the channel is finished and empty.

        Raises:
            Cancelled: The channel was cancelled.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._cancelled or self._items or self._finished)
                if self._cancelled:
                    raise Cancelled
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


class StoppableThread:
    """A thread that runs ``work`` once and keeps its error, except for Cancelled."""

    def __init__(self, name: str, work: Callable[[], None], on_error: Callable[[], None]) -> None:
        self.name = name
        self.error: Exception | None = None
        self._work = work
        self._on_error = on_error
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Return whether the thread was started and has not ended."""
        return self._thread.is_alive()

    def join(self, deadline: float) -> bool:
        """Wait at most ``deadline`` seconds, and return whether the thread has ended."""
        self._thread.join(deadline)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        except Cancelled:
            pass
        except Exception as error:
            logger.debug("%s ended with an error", self.name, exc_info=True)  # the caller raises the error
            self.error = error
            self._on_error()


class StopSwitch:
    """A switch that stops the current work and all later work. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thrown = False
        self._action: Callable[[], None] | None = None

    @property
    def thrown(self) -> bool:
        """Return whether the switch was thrown."""
        return self._thrown

    def on_stop(self, action: Callable[[], None]) -> None:
        """Call ``action`` when the switch is thrown, or at once if it was. It replaces an earlier action."""
        with self._lock:
            self._action = action
            thrown = self._thrown
        if thrown:
            action()

    def throw(self) -> None:
        """Throw the switch and call its action."""
        with self._lock:
            self._thrown = True
            action = self._action
        if action is not None:
            action()
