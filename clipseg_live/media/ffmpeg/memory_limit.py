"""Stop FFmpeg's blocking calls when they cost too much memory.

A hostile server can make FFmpeg allocate gigabytes within one call: a part of a stream that never ends, or a playlist
that names itself. PyAV lets FFmpeg ask now and then whether the call is to be interrupted, and answers by the clock.
``MemoryLimit`` gives it a clock that has run out when the process has grown too much.
"""

import math
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

import av.container.core

MOST_GROWTH = 512 << 20
"""Bytes by which the process may grow during one call."""
_BUSY_CHECKS = 150
"""Checks from which on a call counts as busy: an idle one is checked ten times a second."""
_EVERY_SECONDS = 0.02


class MemoryLimit:
    """Calls of PyAV in ``with`` are interrupted when the process grows by more than ``most`` bytes.

    exceeded: whether that has happened. One call at a time; used in the thread of the call.
    """

    def __init__(self, most: int = MOST_GROWTH) -> None:
        self._most = most
        self._before = self._checks = 0
        self._next = 0.0
        self.exceeded = False

    def __enter__(self) -> "MemoryLimit":
        self._before, self._checks, self._next = resident_bytes(), 0, 0.0
        self.exceeded = False
        _inside.bound = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _inside.bound = None

    def check(self, now: float) -> bool:
        """Return whether the call is to be interrupted."""
        self._checks += 1
        if not self.exceeded and self._checks >= _BUSY_CHECKS and now >= self._next:
            self._next = now + _EVERY_SECONDS
            self.exceeded = resident_bytes() - self._before > self._most
        return self.exceeded


class _Inside(threading.local):
    bound: MemoryLimit | None = None


class _Clock:
    """Stands for the module ``time`` in PyAV, which asks it for nothing else."""

    @staticmethod
    def monotonic() -> float:
        now = time.monotonic()
        bound = _inside.bound
        return math.inf if bound is not None and bound.check(now) else now


def resident_bytes() -> int:
    """Return the memory of this process: now on Linux and Windows, its largest so far elsewhere."""
    if sys.platform == "linux" and Path("/proc/self/statm").exists():
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    if sys.platform == "win32":
        return _windows_working_set()
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def _windows_working_set() -> int:
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = (
            ("size", wintypes.DWORD), ("faults", wintypes.DWORD),
            *((name, ctypes.c_size_t) for name in ("peak", "now", "a", "b", "c", "d", "e", "f")),
        )  # fmt: skip

    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    kernel.K32GetProcessMemoryInfo.argtypes = (wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD)
    counters = Counters(size=ctypes.sizeof(Counters))
    kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.size)
    return int(counters.now)


_inside = _Inside()
_PAGE = 4096
if sys.platform != "win32":
    import os

    _PAGE = os.sysconf("SC_PAGE_SIZE")
if getattr(av.container.core, "time", None) is time:
    av.container.core.time = _Clock  # type: ignore[attr-defined]
