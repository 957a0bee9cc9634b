"""Device and precision of the network, transfer of images and maps, and timing of stages."""

import os
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clipseg_live.core.errors import UsageError

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def leave_a_core() -> int:
    """Limit PyTorch's CPU threads to one less than the cores of this process, at least one, and return their number.

    Threads of a network wait for one another. With a thread on every core, all of them wait for the one that shares its
    core with another process. OMP_NUM_THREADS takes precedence if it is set.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, min(torch.get_num_threads(), _cores() - 1)))
    return torch.get_num_threads()


def share_cores(processes: int) -> int:
    """Limit PyTorch's CPU threads to this process's share of the cores, at least one, and return their number.

    OMP_NUM_THREADS takes precedence if it is set.

    Args:
        processes: number of processes that share the cores.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, min(torch.get_num_threads(), _cores() // max(processes, 1))))
    return torch.get_num_threads()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(name: str) -> torch.device:
    """Return the device of this name; "auto" is the first available one of cuda, mps and cpu.

    Raises:
        UsageError: if the device is not available.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"{name!r} is not a device: use auto, cpu, cuda or mps.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        available = "no CUDA GPU that PyTorch can use" if count == 0 else f"only {count} CUDA GPU(s), from cuda:0"
        raise UsageError(
            f"The device {name} is not available: this machine has {available}; --device cpu works everywhere."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("The device mps is not available: it needs an Apple GPU; --device cpu works everywhere.")
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the precision of this name; "auto" is float16 on a GPU and float32 on a CPU.

    Raises:
        UsageError: if the name is unknown.
    """
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    if name not in _DTYPES:
        raise UsageError(f"{name!r} is not a precision: use auto, {', '.join(_DTYPES)}.")
    return _DTYPES[name]


class Upload:
    """Transfer of images to a device through one page-locked buffer, without waiting; on a CPU it does nothing."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pinned: Tensor | None = None

    def __call__(self, picture: Tensor) -> Tensor:
        """Copy an image, (1, 3, h, w) uint8 on the CPU, to the device.

        The buffer is free again when the maps of this image have arrived, which ``to_host`` waits for.
        """
        if self._device.type == "cpu":
            return picture
        if self._device.type != "cuda":
            return picture.to(self._device)
        if self._pinned is None or self._pinned.shape != picture.shape:
            self._pinned = torch.empty_like(picture, pin_memory=True)
        self._pinned.copy_(picture)
        return self._pinned.to(self._device, non_blocking=True)


def to_host(maps: Tensor) -> NDArray[np.float32]:
    """Return maps as a float32 NumPy array; wait until they are computed."""
    if maps.device.type != "cuda":
        array: NDArray[np.float32] = maps.to("cpu", torch.float32).contiguous().numpy()
        return array
    host = torch.empty(maps.shape, dtype=maps.dtype, pin_memory=True)  # from torch's cache of pinned blocks
    host.copy_(maps, non_blocking=True)
    torch.cuda.current_stream(maps.device).synchronize()
    return np.array(host.float().numpy())


def free_memory(device: torch.device) -> None:
    """Release cached blocks after memory ran out."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


class StageClock:
    """Milliseconds of each stage, by the wall clock on a CPU, and by stream events (without waiting) on a CUDA GPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cuda = device.type == "cuda"
        self._names: list[str] = []
        self._marks: list[float] = []
        self._events: list[torch.cuda.Event] = []
        self._take()

    def mark(self, name: str) -> None:
        """End the stage ``name``."""
        self._names.append(name)
        self._take()

    def milliseconds(self) -> dict[str, float]:
        """Return the milliseconds of every stage so far; on a GPU call it after the work is done."""
        if self._cuda:
            self._events[-1].synchronize()
            pairs = zip(self._names, self._events, self._events[1:], strict=False)
            return {name: start.elapsed_time(end) for name, start, end in pairs}
        spans = zip(self._names, self._marks, self._marks[1:], strict=False)
        return {name: (end - start) * 1000 for name, start, end in spans}

    def _take(self) -> None:
        if self._cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self._device))
            self._events.append(event)
        else:
            self._marks.append(time.perf_counter())
