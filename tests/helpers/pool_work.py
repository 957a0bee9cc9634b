"""Work of process pools in tests. The processes import it by name.

A job is a pair of a kind and a value. "echo" returns the value. "tell" sends it as progress first. "crash" ends the
process with the value as exit code. "raise" raises an error. "wait" creates a file with this path, waits for the stop
and removes the file.
"""

import os
import signal
import threading
from pathlib import Path
from typing import Any

from clipseg_live.core.errors import Failure, UsageError
from clipseg_live.runtime.process_pool import SendProgress, Work
from clipseg_live.runtime.threads import StopSwitch


def prepare(argument: Any, size: int) -> Work:
    """Return the work of a process.

    The arguments "usage", "failure" and "bug" raise an error, "dies" kills the process.
    """
    if argument == "usage":
        raise UsageError("The job is invalid.")
    if argument == "failure":
        raise Failure("The job failed.")
    if argument == "bug":
        raise ZeroDivisionError("a slip")
    if argument == "dies":
        os.kill(os.getpid(), signal.SIGKILL)

    def work(job: Any, send_progress: SendProgress, stop: StopSwitch) -> Any:
        kind, value = job
        if kind == "tell":
            send_progress(value)
        elif kind == "crash":
            os._exit(value)
        elif kind == "raise":
            raise ZeroDivisionError(value)
        elif kind == "wait":
            return _wait(Path(value), send_progress, stop)
        return value, os.getpid(), size

    return work


def _wait(path: Path, send_progress: SendProgress, stop: StopSwitch) -> Any:
    stopped = threading.Event()
    path.write_text(str(os.getpid()))
    stop.on_stop(stopped.set)
    send_progress("waits")
    was_stopped = stopped.wait(60)
    path.unlink()
    return "stopped" if was_stopped else "forgotten", os.getpid(), 0
