"""Lock of an index: one writer at a time, on every system. A killed process releases it."""

import json
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clipseg_live.core.errors import Failure
from clipseg_live.index.manifest import unwritable

logger = logging.getLogger(__name__)

LOCK_NAME = "lock"
_OWNER_OFFSET = 1
"""Position of the owner in the file. Windows forbids others to read the locked first byte."""


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of an index while it is written.

    Raises:
        Failure: Another process is writing to the index, or the folder is read-only.
    """
    path = folder / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        logger.warning("The lock of an index cannot be opened", exc_info=True)
        raise unwritable(folder, error) from error
    try:
        if not _lock(descriptor):
            raise Failure(f"The index {folder} is being written by {_owner(descriptor)}: wait until it has finished.")
        owner = json.dumps({"process": os.getpid(), "host": socket.gethostname()})
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, b" " * _OWNER_OFFSET + owner.encode())
        yield
    finally:
        os.close(descriptor)


def _owner(descriptor: int) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        os.lseek(descriptor, _OWNER_OFFSET, os.SEEK_SET)
        owner = json.loads(os.read(descriptor, 4096))
        return f"process {owner['process']} on {owner['host']}"
    return "another process"


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        """Return whether the lock was free. A network disk without locks counts as free."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            logger.warning("The disk of an index has no locks", exc_info=True)
        return True
