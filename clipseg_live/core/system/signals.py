"""Signals that ask the program to end: Ctrl-C, a polite kill, a closed terminal.

Only one module installs handlers, and each stage of a command has its own kind:

- ``end_at_once``: while the program starts or ends, nothing is there to clean up.
- ``raising``: a command on a terminal unwinds by KeyboardInterrupt.
- ``noted``: the window, where an exception in the middle of Qt's code would crash the process.

Worker processes ignore them (``ignore``, ``held_back``): their parent ends them.
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
"""Argument of the processes that ``multiprocessing`` starts; their parent's name is set only after this import."""
_STOPPED = "clipseg-live: Stopped.\n"

SignalHandler = Callable[[int, FrameType | None], Any]


def begin() -> None:
    """Install the first handlers, before any slow import. A worker process, which imports the same main module, ignores
    the signals instead."""
    if _OF_CHILDREN in sys.orig_argv:
        ignore()
    else:
        end_at_once(1, _STOPPED)


def end_at_once(code: int, text: str = "") -> None:
    """Let a signal end the process with this exit code without any clean-up, after writing a text to standard error."""
    for number in _heard():
        signal.signal(number, _End(code, text))


@contextmanager
def ending() -> Iterator[None]:
    """Let a signal end the process at once, as at its start: for imports that are slow and hold nothing."""
    with _handled(_End(1, _STOPPED)):
        yield


def ignore() -> None:
    """Ignore the signals in this process: its parent handles them."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def raising() -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread at the first signal; later ones do not disturb the clean-up.

    A signal that arrives while an extension module is initialised is raised after that: such modules crash, or turn the
    exception into another one. Within another ``raising`` this does nothing.
    """
    if isinstance(signal.getsignal(signal.SIGINT), _Interrupt):
        yield
        return
    try:
        with _handled(_Interrupt()):
            yield
    finally:
        # If the exception passed through exec(), which dataclasses use, CPython ends the process by SIGINT at its exit,
        # although it was caught; the next exec() resets that.
        exec("")


class _End:
    """The handler of ``end_at_once``."""

    def __init__(self, code: int, text: str) -> None:
        self._code, self._text = code, text

    def __call__(self, number: int, frame: FrameType | None) -> None:
        try:
            os.write(2, self._text.encode())
        finally:
            os._exit(self._code)


class _Interrupt:
    """The handler of ``raising``."""

    def __init__(self) -> None:
        self._raised = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._raised:
            return
        if _is_delicate(frame):
            _thread.start_new_thread(_send_again, (number,))  # threading's own locks may be held just now
            return
        self._raised = True
        raise KeyboardInterrupt


class Request:
    """A request to end that was noted by the signal handlers.

    fileno: becomes readable at a signal, for an event loop that has to be woken.
    """

    def __init__(self, reader: socket.socket) -> None:
        self._reader = reader
        self._is_set = False

    @property
    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True

    def fileno(self) -> int:
        return self._reader.fileno()


@contextmanager
def noted() -> Iterator[Request]:
    """Only note signals, without raising anything. The event loop watches the request's ``fileno``."""
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
    """Start processes in this context: until they ignore the signals themselves, their parent's mask blocks them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        resource_tracker.ensure_running()  # a process, too; after its start it unblocks some of them here
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _heard() -> list[signal.Signals]:
    """List the signals to handle: all, but a SIGHUP that ``nohup`` had ignored stays ignored."""
    hangup = getattr(signal, "SIGHUP", None)
    return [number for number in SIGNALS if number != hangup or signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def _handled(handler: SignalHandler) -> Iterator[None]:
    """Install a handler for all signals, and the earlier ones again at the end. Other threads have no handlers."""
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
    """Tell if an exception would be swallowed (in a finaliser) or meets C code that expects none (in an import)."""
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
