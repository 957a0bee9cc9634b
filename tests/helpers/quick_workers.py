"""Fast worker processes for tests, forked from a server that has imported their modules.

``multiprocessing`` starts every process in a new interpreter, which imports NumPy, the settings and the engine again.
This takes most of the time of a test with a short-lived worker. A forked process is a child of the tests, receives its
work, and is killed and waited for like any other. Tests of the start itself, and programs that tests start, need real
processes.
"""

import ctypes
import fcntl
import importlib
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import spawn, util
from typing import Any

LIBRARIES = (
    "clipseg_live.runtime.inference.server",
    "clipseg_live.runtime.process_pool",
    "tests.helpers.pool_work",
    "tests.helpers.live_engine",
)
new_interpreter = util.spawnv_passfds
"""Function with which ``multiprocessing`` starts processes."""
_FORK = "--multiprocessing-fork"
_SET_CHILD_SUBREAPER = 36
_HIGH = 200
"""First number of descriptors that a worker's parent does not use."""
_LIMIT = 1 << 17
"""Maximum size of a request in bytes."""


class Server:
    """The process from which workers are forked. Call ``close`` at the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._adopt = ctypes.CDLL(None).prctl
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            call = f"from tests.helpers import quick_workers; quick_workers.serve({theirs.fileno()})"
            program = f"import sys; sys.path[:] = {sys.path!r}; {call}"
            self._process = subprocess.Popen([sys.executable, "-c", program], pass_fds=[theirs.fileno()])

    @contextmanager
    def replacing_spawning(self) -> Iterator[None]:
        """Replace the start of processes by ``multiprocessing`` with a fork of the server."""

        def start(path: bytes, command: Sequence[Any], descriptors: Sequence[int]) -> int:
            return self._fork(command, descriptors) if _FORK in command else new_interpreter(path, command, descriptors)

        util.spawnv_passfds = start
        try:
            yield
        finally:
            util.spawnv_passfds = new_interpreter

    def close(self) -> None:
        self._connection.close()
        self._process.wait()

    def _fork(self, command: Sequence[Any], descriptors: Sequence[int]) -> int:
        """Fork a process that runs the command with these descriptors, and return its id."""
        descriptors = [0, 1, 2, *sorted(set(map(int, descriptors)))]
        values = [os.fsdecode(each) for each in command], descriptors, dict(os.environ), os.getcwd()
        with self._lock:
            self._adopt(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # the intermediate process ends
            try:
                socket.send_fds(self._connection, [json.dumps(values).encode()], descriptors)
                return int(self._connection.recv(64))
            finally:
                self._adopt(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def serve(descriptor: int) -> None:
    """Fork workers until the tests end."""
    for name in LIBRARIES:
        importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as connection:
        while True:
            message, received, _, _ = socket.recv_fds(connection, _LIMIT, 64)
            if not message:
                return
            reading, writing = os.pipe()
            between = os.fork()
            if not between:
                worker = os.fork()
                if worker:
                    os.write(writing, str(worker).encode())
                    os._exit(0)
                connection.close()
                for each in (reading, writing):
                    os.close(each)
                _work(json.loads(message), received)
            for each in (writing, *received):
                os.close(each)
            os.waitpid(between, 0)  # the tests are the worker's parent now
            connection.send(os.read(reading, 64))
            os.close(reading)


def _work(request: Sequence[Any], received: Sequence[int]) -> None:
    """Become the requested worker."""
    code = 1
    try:
        code = become_worker(*request, received)
    finally:
        os._exit(code)


def become_worker(
    command: list[str], wanted: Sequence[int], environment: dict[str, str], folder: str, received: Sequence[int]
) -> int:
    """Run the command of ``multiprocessing`` in this forked process. Return its exit code.

    Args:
        command: Command line of a new interpreter.
        wanted: Descriptors that the command expects.
        environment: Environment variables.
        folder: Working folder.
        received: The same descriptors under other numbers.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD, _HIGH) for each in received]
    for each in received:
        os.close(each)
    for source, target in zip(moved, wanted, strict=True):
        os.dup2(source, target)
        os.close(source)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.orig_argv, sys.argv = command, ["-c", _FORK]
    customize(environment.get("PYTHONPATH", ""))
    handles = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", command[command.index("-c") + 1])}
    try:
        spawn.spawn_main(**handles)
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 1


def customize(path: str) -> None:
    """Run the first ``sitecustomize`` on the path, like an interpreter at its start."""
    for folder in path.split(os.pathsep):
        file = os.path.join(folder, "sitecustomize.py")
        if os.path.isfile(file):
            runpy.run_path(file)
            return
