"""Reasons for the end of a process, for messages and logs."""

import signal
from contextlib import suppress
from multiprocessing.process import BaseProcess


def exit_reason(process: BaseProcess, patience: float) -> str:
    """Say why a process ended, such as "it was ended by signal 7 (SIGBUS)". Wait for its end if necessary.

    Args:
        process: A process whose pipe was closed.
        patience: Longest wait in seconds.
    """
    process.join(patience)
    code = process.exitcode
    if code is None:
        return "it closed its pipe"
    if code >= 0:
        return f"it ended with code {code}"
    reason = f"it was ended by signal {-code}"
    with suppress(ValueError):  # a signal that Python has no name for
        if code != -signal.SIGKILL:  # everybody knows this number
            reason += f" ({signal.Signals(-code).name})"
    return reason


def end_process(process: BaseProcess, patience: float) -> bool:
    """Kill a process and release it, and return whether it has ended. One that hangs in a driver is left behind."""
    process.kill()
    process.join(patience)
    if process.is_alive():
        return False
    process.close()
    return True
