"""A pyvirtualcam backend without a driver. It keeps the frames that the real adapter sends."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

pyvirtualcam = pytest.importorskip("pyvirtualcam")
package = pytest.importorskip("pyvirtualcam.camera")

NAME = "fake:0"


class FakeBackend:
    """A virtual camera device.

    Attributes:
        known: Names of the existing devices.
        refuses: Error that opening raises.
        breaks: Error that sending raises.
    """

    known: tuple[str, ...] = (NAME,)
    refuses: Exception | None = None
    breaks: Exception | None = None
    opened: list["FakeBackend"]

    def __init__(
        self, *, width: int, height: int, fps: float, fourcc: int, device: str | None, **others: object
    ) -> None:
        if self.refuses is not None:
            raise self.refuses
        if device is not None and device not in self.known:
            raise RuntimeError(f"Device {device} does not exist.")
        self.name = device or self.known[0]
        self.size, self.fps, self.fourcc = (width, height), fps, fourcc
        self.frames: list[np.ndarray] = []
        self.closed = 0
        self.opened.append(self)

    def send(self, frame: np.ndarray) -> None:
        if self.breaks is not None:
            raise self.breaks
        assert frame.ndim == 1 and frame.flags.c_contiguous
        self.frames.append(frame.reshape(self.size[1], self.size[0], 3).copy())

    def close(self) -> None:
        self.closed += 1

    def device(self) -> str:
        return self.name

    def native_fourcc(self) -> int | None:
        return None


@contextmanager
def fake_backend() -> Iterator[type[FakeBackend]]:
    """Register the fake as the only backend of pyvirtualcam."""
    before = dict(package.BACKENDS)
    kind = type("Backend", (FakeBackend,), {"opened": []})
    package.BACKENDS.clear()
    pyvirtualcam.register_backend("fake", kind)
    try:
        yield kind
    finally:
        package.BACKENDS.clear()
        package.BACKENDS.update(before)
