"""Reusable memory: page faults of new large arrays cost more than filling them."""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Scratch(threading.local):
    """Named buffers, separate for each thread."""

    def __init__(self) -> None:
        self._memory: dict[str, NDArray[np.uint8]] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: Any = np.uint8) -> NDArray[Any]:
        """Return an uninitialised array, valid until the next call with this name in this thread.

        Args:
            name: Name of the buffer.
            shape: Shape of the array.
            dtype: Type of the array.
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        memory = self._memory.get(name)
        if memory is None or memory.size < size:
            memory = self._memory[name] = np.empty(size, np.uint8)
        array: NDArray[Any] = memory[:size].view(dtype).reshape(shape)
        return array


SCRATCH = Scratch()
