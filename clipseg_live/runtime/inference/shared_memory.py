"""Memory shared by the application and its inference worker: frames in one direction, probability maps in the other.

A block of memory has no name. The worker receives it through the pipe, so nothing has to be removed when either process
is killed, and nothing depends on the size of ``/dev/shm``.
"""

import errno
import logging
import math
import mmap
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels

logger = logging.getLogger(__name__)

SLOTS = 2
"""Frames in a block: one is read by the worker while the next is written."""

_ZEROS = bytes(1 << 20)


class SharedBlock:
    """Memory that two processes can map. Create it in one, ``send`` it, and ``receive`` it in the other.

    Use the methods from one thread at a time. ``close`` may be called more than once.
    """

    def __init__(self, size: int, memory: mmap.mmap, handle: "IO[bytes] | str") -> None:
        self.size = size
        self._memory = memory
        self._handle = handle

    @classmethod
    def create(cls, size: int) -> "SharedBlock":
        """Reserve memory of ``size`` bytes.

        Raises:
            OSError: Neither the memory nor a temporary file has room for it.
        """
        if sys.platform == "win32":
            name = f"clipseg-live-{os.urandom(8).hex()}"
            return cls(size, mmap.mmap(-1, size, tagname=name), name)
        file = _reserve(size)
        try:
            return cls(size, mmap.mmap(file.fileno(), size), file)
        except BaseException:
            file.close()
            raise

    def send(self, connection: Connection) -> None:
        """Pass the block to the process at the other end, which must call ``receive``.

        Raises:
            OSError: The block cannot be sent.
        """
        if isinstance(self._handle, str):
            connection.send(self._handle)
            return
        with _socket_of(connection) as line:
            socket.send_fds(line, [b"\0"], [self._handle.fileno()])

    @classmethod
    def receive(cls, connection: Connection, size: int) -> "SharedBlock":
        """Map a block of ``size`` bytes that the other process sends.

        Raises:
            EOFError: The other process has ended.
            OSError: The block cannot be mapped.
        """
        if sys.platform == "win32":
            name = connection.recv()
            return cls(size, mmap.mmap(-1, size, tagname=name), name)
        with _socket_of(connection) as line:
            data, descriptors, _, _ = socket.recv_fds(line, 1, 1)
        if not data:
            raise EOFError
        if not descriptors:
            raise OSError("too many open files")
        with os.fdopen(descriptors[0], "r+b", buffering=0) as file:
            return cls(size, mmap.mmap(file.fileno(), size), "")

    def array(self, shape: tuple[int, ...], dtype: type[np.generic], offset: int = 0) -> NDArray[Any]:
        """Return a view of the memory. The memory is released after ``close`` and the end of all views."""
        # ``frombuffer`` keeps the memory open as long as the view; ``np.ndarray(buffer=...)`` does not.
        return np.frombuffer(self._memory, dtype, math.prod(shape), offset).reshape(shape)

    def close(self) -> None:
        """Release the memory, or leave that to the last view of it."""
        with suppress(BufferError):
            self._memory.close()
        if not isinstance(self._handle, str):
            self._handle.close()


class FrameDoubleBuffer:
    """Room for two frames in one block, written by the application and read by the worker.

    Write a frame only when the worker has asked for one. It then uses no other slot than the one written last.
    """

    def __init__(self, block: SharedBlock) -> None:
        self._block = block
        self._written = 0

    @classmethod
    def create(cls, capacity: int) -> "FrameDoubleBuffer":
        """Make room for frames of at most ``capacity`` bytes.

        Raises:
            OSError: There is no room for the frames.
        """
        return cls(SharedBlock.create(SLOTS * capacity))

    @property
    def block(self) -> SharedBlock:
        """Return the memory that holds the frames."""
        return self._block

    @property
    def capacity(self) -> int:
        """Return the size of the largest frame in bytes."""
        return self._block.size // SLOTS

    def write(self, pixels: Pixels) -> int:
        """Copy a frame into the slot that the worker does not use, and return its number."""
        self._written = (self._written + 1) % SLOTS
        self.frame(self._written, pixels.shape[0], pixels.shape[1])[...] = pixels
        return self._written

    def frame(self, slot: int, height: int, width: int) -> Pixels:
        """Return a view of the frame in a slot: uint8 (height, width, 3)."""
        return self._block.array((height, width, 3), np.uint8, slot * self.capacity)

    def close(self) -> None:
        """Release the memory."""
        self._block.close()


def _reserve(size: int) -> "IO[bytes]":
    """Open an anonymous file whose ``size`` bytes are reserved: in memory, or else on a disk.

    Writing to a mapped file without reserved room ends the process with SIGBUS.
    """
    problem = OSError("no folder for temporary files is available")
    for name, open_file in _memory_kinds():
        try:
            file = open_file()
        except OSError as error:
            logger.warning("A shared block cannot be created in %s", name, exc_info=True)
            problem = error
            continue
        try:
            _fill(file, size)
        except OSError as error:
            logger.warning("%s has no room for a shared block of %d bytes", name, size, exc_info=True)
            file.close()
            problem = error
            continue
        return file
    raise problem


def _memory_kinds() -> "Iterator[tuple[str, Callable[[], IO[bytes]]]]":
    """Yield a name and a function that opens an empty file, for each kind of memory, fastest first."""
    if hasattr(os, "memfd_create"):  # Linux: needs no /dev/shm, which is small or read-only in containers
        yield "memory", lambda: os.fdopen(os.memfd_create("clipseg-live"), "r+b", buffering=0)
    yield "the folder for temporary files", tempfile.TemporaryFile
    yield "the cache folder", _cache_file


def _cache_file() -> "IO[bytes]":
    from platformdirs import user_cache_path

    return tempfile.TemporaryFile(dir=user_cache_path("clipseg-live", appauthor=False, ensure_exists=True))


def _fill(file: "IO[bytes]", size: int) -> None:
    """Reserve the bytes of an empty file.

    Raises:
        OSError: There is no room for them.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # the file system cannot reserve
                raise
    for start in range(0, size, len(_ZEROS)):
        file.write(_ZEROS[: size - start])
    file.flush()


@contextmanager
def _socket_of(connection: Connection) -> Iterator[socket.socket]:
    """Provide the socket of a two-way pipe, for messages that carry files."""
    with socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as line:
        yield line
