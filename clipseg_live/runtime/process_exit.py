"""Reasons for the end of a process, for messages and logs."""

import signal
from contextlib import suppress
from multiprocessing.process import BaseProcess


def exit_reason(process: BaseProcess, patience: float) -> str:
    """Return why a process ended, such as "the process was ended by signal 7 (SIGBUS)". Wait for its end if necessary.

    Args:
        process: Process whose pipe was closed.
        patience: Longest wait in seconds.
    """
    process.join(patience)
    code = process.exitcode
    if code is None:
        return "the process closed its pipe"
    if code >= 0:
        return f"the process ended with code {code}"
    reason = f"the process was ended by signal {-code}"
    with suppress(ValueError):  # a signal that Python has no name for
        if code != -signal.SIGKILL:  # signal 9 is well known without its name
            reason += f" ({signal.Signals(-code).name})"
    return reason


def end_process(process: BaseProcess, patience: float) -> bool:
    """Kill a process and release it, and return whether it has ended.

    A process that hangs in a driver is left running.

    Args:
        process: Process to end.
        patience: Longest wait in seconds.
    """
    process.kill()
    process.join(patience)
    if process.is_alive():
        return False
    process.close()
    return True
