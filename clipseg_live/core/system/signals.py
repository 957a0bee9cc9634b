"""Handlers of the signals that end the program: Ctrl-C, SIGTERM, a closed terminal.

Only this module installs handlers. Each stage of a command has its own kind:

- ``end_at_once``: while the program starts or ends, there is nothing to clean up.
- ``raising``: a command on a terminal is unwound by KeyboardInterrupt.
- ``noted``: the window, where an exception within Qt code would crash the process.

Worker processes ignore the signals (``ignore``, ``held_back``): their parent ends them.
"""

import _thread
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

SIGNALS = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if name in signal.Signals.__members__
)
_AGAIN_SECONDS = 0.05
_OF_CHILDREN = "--multiprocessing-fork"
"""Argument of the processes that ``multiprocessing`` starts. Their parent is set only after this import."""
_STOPPED = "clipseg-live: Stopped.\n"

SignalHandler = Callable[[int, FrameType | None], Any]


def begin() -> None:
    """Install the first handlers, before any slow import.

    A worker process imports the same main module. It ignores the signals instead.
    """
    if _OF_CHILDREN in sys.orig_argv:
        ignore()
    else:
        end_at_once(1, _STOPPED)


def end_at_once(code: int, text: str = "") -> None:
    """Let a signal end the process without clean-up.

    Args:
        code: Exit code of the process.
        text: Text to write to standard error first.
    """
    for number in _heard():
        signal.signal(number, _End(code, text))


@contextmanager
def ending() -> Iterator[None]:
    """Let a signal end the process at once, as at its start, during slow imports that need no clean-up."""
    with _handled(_End(1, _STOPPED)):
        yield


def ignore() -> None:
    """Ignore the signals in this process, as its parent handles them."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def raising() -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread at the first signal. Later signals are ignored during the clean-up.

    If a signal arrives while an extension module is initialised, the exception is raised after that. Such modules would
    crash, or change the exception into another one. Within another ``raising``, this does nothing.
    """
    if isinstance(signal.getsignal(signal.SIGINT), _Interrupt):
        yield
        return
    try:
        with _handled(_Interrupt()):
            yield
    finally:
        # If the exception passed through exec(), which dataclasses use, CPython ends the process by SIGINT at its exit,
        # even if it was caught. The next exec() resets that.
        exec("")


class _End:
    """Handler of ``end_at_once``."""

    def __init__(self, code: int, text: str) -> None:
        self._code, self._text = code, text

    def __call__(self, number: int, frame: FrameType | None) -> None:
        try:
            os.write(2, self._text.encode())
        finally:
            os._exit(self._code)


class _Interrupt:
    """Handler of ``raising``."""

    def __init__(self) -> None:
        self._raised = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._raised:
            return
        if _is_delicate(frame):
            _thread.start_new_thread(_send_again, (number,))  # locks of the threading module may be held now
            return
        self._raised = True
        raise KeyboardInterrupt


class Request:
    """A request to end, set by the signal handlers."""

    def __init__(self, reader: socket.socket) -> None:
        self._reader = reader
        self._is_set = False

    @property
    def is_set(self) -> bool:
        """Return True if a signal was received."""
        return self._is_set

    def set(self) -> None:
        """Set the request."""
        self._is_set = True

    def fileno(self) -> int:
        """Return the descriptor that becomes readable at a signal, to wake an event loop."""
        return self._reader.fileno()


@contextmanager
def noted() -> Iterator[Request]:
    """Only record signals, without raising an exception. The event loop watches the ``fileno`` of the request."""
    with ExitStack() as stack:
        reader, writer = socket.socketpair()
        request = Request(reader)
        for end in (reader, writer):
            stack.callback(end.close)
            end.setblocking(False)
        if threading.current_thread() is threading.main_thread():
            before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
            stack.callback(signal.set_wakeup_fd, before)
        stack.enter_context(_handled(lambda number, frame: request.set()))
        yield request


@contextmanager
def held_back() -> Iterator[None]:
    """Start processes in this context with the signals blocked, until the processes ignore them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        resource_tracker.ensure_running()  # starts a process as well, and unblocks some signals here afterwards
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _heard() -> list[signal.Signals]:
    """Return the signals to handle: all, except a SIGHUP that ``nohup`` ignores."""
    hangup = getattr(signal, "SIGHUP", None)
    return [number for number in SIGNALS if number != hangup or signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def _handled(handler: SignalHandler) -> Iterator[None]:
    """Install a handler for all signals, and restore the earlier ones at the end. Do nothing in other threads."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _heard()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)


def _is_delicate(frame: FrameType | None) -> bool:
    """Return whether an exception would be swallowed (in a finaliser) or reach C code that expects none (an import)."""
    while frame is not None:
        name: str = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)
        if name.startswith("ExtensionFileLoader.") or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _send_again(number: int) -> None:
    time.sleep(_AGAIN_SECONDS)
    main = threading.main_thread().ident
    if not hasattr(signal, "pthread_kill") or main is None:
        _thread.interrupt_main(signal.Signals(number))
    elif callable(signal.getsignal(number)):  # otherwise the default action would end the process
        signal.pthread_kill(main, number)  # unlike interrupt_main, it interrupts a blocking call
