"""What members of a crew do in tests; their processes import it by name.

A job is a pair of a word and a value: "echo" returns the value, "tell" tells it first, "crash" ends the process with it
as exit code, "raise" raises an error, "wait" makes a file of that path, waits for the stop and removes the file again.
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
    """Arguments: "usage" and "failure" cannot be prepared, "bug" neither, "dies" ends the process."""
    if argument == "usage":
        raise UsageError("This was asked for wrongly.")
    if argument == "failure":
        raise Failure("This did not work.")
    if argument == "bug":
        raise ZeroDivisionError("a slip")
    if argument == "dies":
        os.kill(os.getpid(), signal.SIGKILL)

    def work(job: Any, tell: SendProgress, stop: StopSwitch) -> Any:
        kind, value = job
        if kind == "tell":
            tell(value)
        elif kind == "crash":
            os._exit(value)
        elif kind == "raise":
            raise ZeroDivisionError(value)
        elif kind == "wait":
            return _wait(Path(value), tell, stop)
        return value, os.getpid(), size

    return work


def _wait(path: Path, tell: SendProgress, stop: StopSwitch) -> Any:
    stopped = threading.Event()
    path.write_text(str(os.getpid()))
    stop.on_stop(stopped.set)
    tell("waits")
    heard = stopped.wait(60)
    path.unlink()
    return "stopped" if heard else "forgotten", os.getpid(), 0
