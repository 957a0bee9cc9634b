"""Memory limit for FFmpeg's blocking calls.

A hostile server can make FFmpeg allocate gigabytes within one call, with an endless segment or a playlist that contains
itself. FFmpeg regularly asks PyAV whether to interrupt the call, and PyAV compares the time with its timeout.
``MemoryLimit`` replaces this clock with one that runs out when the process has grown too much.
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
"""Number of checks after which a call counts as busy; an idle one is checked ten times per second."""
_EVERY_SECONDS = 0.02


class MemoryLimit:
    """Context manager that interrupts PyAV's calls when the process grows too much.

    It covers one call at a time, in the thread of the call.

    Args:
        most: Bytes by which the process may grow.

    Attributes:
        exceeded: True if the limit was exceeded.
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
        """Return True if the call must be interrupted.

        Args:
            now: Time of ``time.monotonic``, in seconds.
        """
        self._checks += 1
        if not self.exceeded and self._checks >= _BUSY_CHECKS and now >= self._next:
            self._next = now + _EVERY_SECONDS
            self.exceeded = resident_bytes() - self._before > self._most
        return self.exceeded


class _Inside(threading.local):
    bound: MemoryLimit | None = None


class _Clock:
    """Replacement for the module ``time`` in PyAV, which uses only ``monotonic``."""

    @staticmethod
    def monotonic() -> float:
        """Return the time in seconds; infinity once the limit is exceeded."""
        now = time.monotonic()
        bound = _inside.bound
        return math.inf if bound is not None and bound.check(now) else now


def resident_bytes() -> int:
    """Return the memory of this process in bytes: current on Linux and Windows, the maximum so far elsewhere."""
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
