"""Limit of CPU threads for the network, whichever library runs it. This module imports none of them."""

import os
import sys

SINGLE_THREAD = 250_000
"""Multiplications of one matrix product below which NumPy's library computes it in the calling thread.

Its threads wait for one another by spinning: beside other processes, products that it divides took 20 times as long.
"""

_VARIABLE = "OMP_NUM_THREADS"
_limit: int | None = None


def leave_a_core() -> int:
    """Limit the network's CPU threads to one less than the cores of this process, at least one; return the limit.

    Threads of a network wait for one another. With a thread on every core, all of them wait for the one that shares its
    core with another process. OMP_NUM_THREADS takes precedence if it is set.
    """
    return _limit_to(cores() - 1)


def share_cores(processes: int) -> int:
    """Limit the network's CPU threads to this process's share of the cores, at least one, and return the limit.

    OMP_NUM_THREADS takes precedence if it is set.

    Args:
        processes: number of processes that share the cores.
    """
    return _limit_to(cores() // max(processes, 1))


def limit() -> int | None:
    """Return the largest number of threads that was asked for; None if none was."""
    wish = os.environ.get(_VARIABLE, "")
    return int(wish) if wish.isdecimal() and int(wish) > 0 else _limit


def limit_torch() -> None:
    """Apply the limit to PyTorch, which must be imported. It reads OMP_NUM_THREADS itself."""
    import torch

    if _limit is not None and _VARIABLE not in os.environ:
        torch.set_num_threads(max(1, min(torch.get_num_threads(), _limit)))


def cores() -> int:
    """Return the number of logical cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _limit_to(count: int) -> int:
    global _limit
    _limit = max(1, count)
    if "torch" in sys.modules:
        limit_torch()
    return limit() or _limit
