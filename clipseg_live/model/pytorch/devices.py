"""PyTorch's devices and precisions, transfer of images and maps, and timing of stages."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clipseg_live.core.errors import UsageError
from clipseg_live.model.backend import StageClock


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


def choose_dtype(name: str, device: torch.device) -> str:
    """Return the precision for a name that is known; "auto" is float16 on a GPU and float32 on a CPU.

    Raises:
        UsageError: if PyTorch does not have the precision here.
    """
    if name == "int8":
        raise UsageError("The precision int8 needs the engine openvino and a CPU: use float32, bfloat16 or float16.")
    if name == "auto":
        return "float32" if device.type == "cpu" else "float16"
    return name


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


class CudaClock(StageClock):
    """Milliseconds of each stage by events of the stream of a CUDA GPU, without waiting."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device
        self._events = [self._record()]

    def mark(self, name: str) -> None:
        """End the stage ``name``."""
        super().mark(name)
        self._events.append(self._record())

    def milliseconds(self) -> dict[str, float]:
        """Return the milliseconds of every stage so far; call it after the work is done."""
        self._events[-1].synchronize()
        pairs = zip(self._names, self._events, self._events[1:], strict=False)
        return {name: start.elapsed_time(end) for name, start, end in pairs}

    def _record(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event
