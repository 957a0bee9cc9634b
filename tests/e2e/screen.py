"""A virtual screen: what a person would see of the window, and the keys and clicks that they would send."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import mss
import numpy as np

PATIENCE = 120.0


class Screen:
    """An X server without a monitor."""

    def __init__(self, display: str) -> None:
        self.display = display
        self._grabber = mss.MSS(display=display) if hasattr(mss, "MSS") else mss.mss(display=display)

    def pixels(self) -> np.ndarray:
        """uint8 (height, width, 3), RGB."""
        return np.array(self._grabber.grab(self._grabber.monitors[0]))[..., 2::-1]

    def count(self, colour: tuple[int, int, int], tolerance: int = 24) -> int:
        """Pixels of this colour."""
        low, high = ([min(max(value + away, 0), 255) for value in colour] for away in (-tolerance, tolerance))
        return cv2.countNonZero(cv2.inRange(self.pixels(), np.array(low), np.array(high)))

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        limit, tick = time.monotonic() + PATIENCE, threading.Event()
        while not condition():
            assert time.monotonic() < limit, what
            tick.wait(0.1)  # a grab uses time of the window's core

    def keys(self, *arguments: str) -> None:
        """``xdotool`` with these arguments."""
        environment = {**os.environ, "DISPLAY": self.display}
        subprocess.run(["xdotool", *arguments], env=environment, check=True, capture_output=True, timeout=30)

    def close(self) -> None:
        self._grabber.close()


@contextmanager
def virtual_screen(size: str = "1400x900x24") -> Iterator[Screen]:
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as number:
            screen = Screen(f":{number.readline().strip()}")
        try:
            yield screen
        finally:
            screen.close()
    finally:
        server.terminate()
        server.wait()
