"""Commands that start at once: forked from a server that has imported the slow libraries.

A forked command runs ``python -m clipseg_live`` with its own folder, environment, arguments and pipes. It is killed and
waited for like any process, and its worker processes are its children. Tests of imports, of signals while Python
starts, and of encodings of the system need a new interpreter instead.
"""

import atexit
import inspect
import json
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Sequence
from multiprocessing import forkserver, process, resource_tracker, util
from multiprocessing.reduction import DupFd
from typing import Any

from tests.helpers.quick_workers import become_worker, customize

LIBRARIES = (
    "tests.e2e.preloaded", "clipseg_live.cli.main", "clipseg_live.app.batch.runner", "clipseg_live.app.session",
    "clipseg_live.app.recording_tools", "clipseg_live.demo.source", "clipseg_live.model.driver",
    "clipseg_live.gui.app", "clipseg_live.gui.main_window", "transformers", "rich.progress",
)  # fmt: skip
SPARES = 2
"""Number of worker processes of a command that are forked. Further ones start in a new interpreter."""

WORKER = "spawn_main"
"""Name of the worker processes, which ``spawn_main`` of ``multiprocessing`` runs."""

_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")

_context = multiprocessing.get_context("forkserver")
_MainProcess = type(multiprocessing.current_process())  # this module is imported in the main process of the server


def start_server() -> None:
    """Start the server. It imports the libraries while the first tests run."""
    _context.set_forkserver_preload(list(LIBRARIES))
    forkserver.ensure_running()


class Command(subprocess.Popen[str]):
    """``Popen`` of ``python -m clipseg_live ARGUMENTS`` that forks instead of starting an interpreter."""

    def _execute_child(self, *values: Any) -> None:
        given = inspect.signature(subprocess.Popen._execute_child).bind(self, *values).arguments
        standard = [given[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        descriptors = [_Passed(number if each == -1 else each) for number, each in enumerate(standard)]
        folder = os.fspath(given["cwd"] or os.getcwd())
        self._process = _context.Process(target=_run, args=(list(given["args"]), folder, given["env"], descriptors))
        try:
            self._process.start()
        finally:
            self._close_pipe_fds(*(given[name] for name in _PIPES))
        assert self._process.pid is not None
        self.pid = self._process.pid
        self._child_created = True

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        return self._join(0)

    def _wait(self, timeout: float | None) -> int:
        code = self._join(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def _join(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._process.join(timeout)
            self.returncode = self._process.exitcode
        return self.returncode


class _Passed:
    """A file descriptor that crosses to the forked process; there it is a plain number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (DupFd(self._number),)


def _received(descriptor: Any) -> int:
    return descriptor.detach()


def _run(arguments: Sequence[str], folder: str, environment: dict[str, str], standard: Sequence[int]) -> None:
    """Become the command, in a process that the server has forked."""
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    coding = environment.get("PYTHONIOENCODING", "utf-8")
    sys.stdin = sys.__stdin__ = os.fdopen(0, encoding=coding, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", 1 if os.isatty(1) else -1, encoding=coding, closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, encoding=coding, errors="backslashreplace", closefd=False)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if environment.get("PYTHONWARNINGS") == "error":
        warnings.simplefilter("error")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tests = multiprocessing.parent_process()
    process._current_process, process._parent_process = _MainProcess(), None
    resource_tracker._resource_tracker._fd = resource_tracker._resource_tracker._pid = None  # it starts its own tracker
    _Spares().replace_spawning()
    threading.Thread(target=_end_with, args=(tests,), name="end with the tests", daemon=True).start()
    sys.orig_argv, sys.argv = list(arguments), [arguments[0], *arguments[3:]]
    customize(environment.get("PYTHONPATH", ""))
    try:
        runpy.run_module("clipseg_live", run_name="__main__", alter_sys=True)
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()


def _end_with(tests: Any) -> None:
    """Kill the command when the process of the tests has ended, whatever ended that."""
    tests.join()
    os.kill(os.getpid(), signal.SIGKILL)


class _Spares:
    """Processes that are forked while the command has one thread, and that become its workers."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, socket.socket]] = []
        for _ in range(SPARES):
            self._fork()

    def replace_spawning(self) -> None:
        """Let ``multiprocessing`` start its next processes from here."""
        self._spawn = util.spawnv_passfds
        util.spawnv_passfds = self._start

    def _start(self, path: bytes, command: Sequence[Any], descriptors: Sequence[int]) -> int:
        if not self._waiting or "--multiprocessing-fork" not in command:
            return self._spawn(path, command, descriptors)
        number, connection = self._waiting.pop()
        descriptors = sorted(set(map(int, descriptors)))
        values = [os.fsdecode(each) for each in command], descriptors, dict(os.environ), os.getcwd()
        with connection:
            socket.send_fds(connection, [json.dumps(values).encode()], descriptors)
        return number

    def _fork(self) -> None:
        ours, theirs = socket.socketpair()
        number = os.fork()
        if number:
            theirs.close()
            self._waiting.append((number, ours))
            return
        code = 1
        try:
            for _, other in (*self._waiting, (0, ours)):
                other.close()
            code = self._serve(theirs)
        finally:
            os._exit(code)

    def _serve(self, connection: socket.socket) -> int:
        """Become the worker that the command asks for, or end with the command."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        with connection:
            message, received, _, _ = socket.recv_fds(connection, 1 << 17, 32)
        if not message:
            return 0
        with open("/proc/self/comm", "w") as name:
            name.write(WORKER)
        return become_worker(*json.loads(message), received)
