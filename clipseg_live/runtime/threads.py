"""What stages of a pipeline are made of: channels that block, and threads that can be stopped."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")


class Cancelled(Exception):
    """A channel was cancelled: its stage is to end at once."""


class Channel(Generic[Item]):
    """A bounded queue between two threads whose policy is to block: nothing is dropped, order is kept.

    ``finish`` says that no more will come; ``cancel`` wakes both ends at once, whatever they wait for.
    """

    def __init__(self, capacity: int) -> None:
        self._items: deque[Item] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._finished = False
        self._cancelled = False

    def put(self, item: Item) -> None:
        """Add an item, waiting for room. Raises Cancelled."""
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or len(self._items) < self._capacity)
            if self._cancelled:
                raise Cancelled
            self._items.append(item)
            self._changed.notify_all()

    def finish(self) -> None:
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def cancel(self) -> None:
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        """Items until the channel is finished and empty. Raises Cancelled."""
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
    """A thread that runs ``work`` once and keeps the error it ended with; Cancelled is no error."""

    def __init__(self, name: str, work: Callable[[], None], on_error: Callable[[], None]) -> None:
        self.name = name
        self.error: Exception | None = None
        self._work = work
        self._on_error = on_error
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._thread.is_alive()

    def join(self, deadline: float) -> bool:
        """Wait at most ``deadline`` seconds; whether the thread has ended."""
        self._thread.join(deadline)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        except Cancelled:
            pass
        except Exception as error:
            logger.debug("%s ended with an error", self.name, exc_info=True)  # the caller raises it again
            self.error = error
            self._on_error()


class StopSwitch:
    """Stops what is running, and what begins after that. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thrown = False
        self._action: Callable[[], None] | None = None

    @property
    def thrown(self) -> bool:
        return self._thrown

    def on_stop(self, action: Callable[[], None]) -> None:
        """Call ``action`` in the place of an earlier one when the switch is thrown; at once where it is already."""
        with self._lock:
            self._action = action
            thrown = self._thrown
        if thrown:
            action()

    def throw(self) -> None:
        with self._lock:
            self._thrown = True
            action = self._action
        if action is not None:
            action()
