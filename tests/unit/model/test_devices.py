"""Number of CPU cores that the network uses."""

import os

import pytest
import torch

from clipseg_live.model import threads as network_threads
from clipseg_live.model.threads import leave_a_core, share_cores


@pytest.mark.parametrize(("cores", "given", "expected"), [(1, 1, 1), (2, 2, 1), (4, 4, 3), (16, 8, 8)])
def test_one_core_is_left_free(monkeypatch: pytest.MonkeyPatch, cores: int, given: int, expected: int) -> None:
    threads = [given]
    monkeypatch.setattr(network_threads, "_limit", None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    leave_a_core()
    assert threads[-1] == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    threads.append(2)
    assert leave_a_core() == 2 and threads[-1] == 2


@pytest.mark.parametrize(
    ("cores", "given", "processes", "expected"),
    [(2, 2, 1, 2), (2, 2, 2, 1), (2, 2, 5, 1), (16, 8, 2, 8), (16, 8, 4, 4)],
)
def test_cores_are_shared_by_processes(
    monkeypatch: pytest.MonkeyPatch, cores: int, given: int, processes: int, expected: int
) -> None:
    threads = [given]
    monkeypatch.setattr(network_threads, "_limit", None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    share_cores(processes)
    assert threads[-1] == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    threads.append(3)
    assert share_cores(processes) == 3 and threads[-1] == 3
