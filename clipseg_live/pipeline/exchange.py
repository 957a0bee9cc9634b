"""Frames and maps in memory that the application and its inference worker share.

The application makes every block and takes its name away as soon as the worker has opened it: where the system keeps
shared memory until somebody removes it, it is then gone with the last of the two, whatever ends them.
"""

import os
import secrets
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels

SLOTS = 3
"""Room for the frame that the worker reads, the newest one, and the one that is being written."""

_HEADER = 256
_LATEST, _READING, _FIRST_SLOT, _FIELDS = 0, 1, 2, 4
_NONE = -1


class Lock(Protocol):
    """What is used of a ``multiprocessing.Lock``."""

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool: ...

    def release(self) -> None: ...


def create(size: int) -> SharedMemory:
    """A new block of at least ``size`` bytes. Raises OSError where there is no room for it.

    Python's own tracker is told of the name beforehand: an application that is killed between the two would leave the
    block behind for ever.
    """
    name = f"clipseg-live-{secrets.token_hex(8)}"
    if os.name == "posix":
        resource_tracker.register(f"/{name}", "shared_memory")
    memory = SharedMemory(name, create=True, size=size)
    if hasattr(os, "posix_fallocate"):
        try:  # where room is short, writing would end the process without a word
            os.posix_fallocate(memory._fd, 0, size)  # type: ignore[attr-defined]
        except OSError:
            close(memory, remove=True)
            raise
    return memory


def attach(name: str) -> SharedMemory:
    """Open a block that the other process made and will remove."""
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    return SharedMemory(name)


class FrameSlots:
    """Three frames in one block, for one writer and one reader; the newest frame wins.

    The writer fills a slot that is neither the newest nor being read, and then declares it the newest. The reader takes
    the newest, which stays as it is until it takes another.
    """

    def __init__(self, memory: SharedMemory, capacity: int, lock: Lock) -> None:
        """capacity: bytes of the largest frame."""
        self.memory, self.capacity = memory, capacity
        self._lock = lock
        self._head: NDArray[np.int64] = np.ndarray(_HEADER // 8, np.int64, memory.buf)

    @classmethod
    def create(cls, capacity: int, lock: Lock) -> "FrameSlots":
        slots = cls(create(_HEADER + SLOTS * capacity), capacity, lock)
        slots._head[:] = _NONE
        return slots

    def write(self, pixels: Pixels, index: int, epoch: int, patience: float = 0.5) -> int | None:
        """Copy a frame into a slot and make it the newest; the slot's number, None where the reader holds the lock for
        longer than ``patience`` seconds (it was stopped or killed there)."""
        if not self._lock.acquire(timeout=patience):
            return None
        try:
            busy = {int(self._head[_LATEST]), int(self._head[_READING])}
        finally:
            self._lock.release()
        slot = next(number for number in range(SLOTS) if number not in busy)
        height, width = pixels.shape[:2]
        self._view(slot, height, width)[...] = pixels
        if not self._lock.acquire(timeout=patience):
            return None
        try:
            first = _FIRST_SLOT + slot * _FIELDS
            self._head[first : first + _FIELDS] = index, epoch, height, width
            self._head[_LATEST] = slot
        finally:
            self._lock.release()
        return slot

    def take(self) -> tuple[Pixels, int, int, int] | None:
        """The newest frame as a view of its slot, with its index, epoch and slot; None where there is no new one."""
        self._lock.acquire()
        try:
            slot = int(self._head[_LATEST])
            if slot == _NONE:
                return None
            self._head[_LATEST], self._head[_READING] = _NONE, slot
            first = _FIRST_SLOT + slot * _FIELDS
            index, epoch, height, width = (int(value) for value in self._head[first : first + _FIELDS])
        finally:
            self._lock.release()
        return self._view(slot, height, width), index, epoch, slot

    def close(self, remove: bool = False) -> None:
        """Let go of the block; views of it must be gone. remove: take its name away too."""
        del self._head
        close(self.memory, remove)

    def _view(self, slot: int, height: int, width: int) -> Pixels:
        return np.ndarray((height, width, 3), np.uint8, self.memory.buf, offset=_HEADER + slot * self.capacity)


def close(memory: SharedMemory, remove: bool = False) -> None:
    """Close a block, and with ``remove`` take its name away, however often and in whatever order it is asked for."""
    if remove:
        unlink(memory)
    try:
        memory.close()
    except BufferError:  # a view is still alive somewhere: it goes with the process
        memory._buf = memory._mmap = None  # type: ignore[attr-defined]  # its finaliser would only complain


def unlink(memory: SharedMemory) -> None:
    """Take a block's name away; whoever has it open keeps it."""
    try:
        memory.unlink()
    except FileNotFoundError:
        return
