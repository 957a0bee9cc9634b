"""The screen or a part of it as a live source (needs the optional package mss)."""

import importlib
import math
import threading
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.system.packages import has_package, missing_package

SCREEN_PREFIX = "screen:"
DEFAULT_SCREEN_RATE = 30.0
ScreenArea = tuple[int, int, int, int]

_TICK = Fraction(1, 1_000_000)


class ScreenSource:
    """Frames of the screen, as a ``LiveSource``.

    ``Frame.time`` is in exact microseconds since ``open``.

    Args:
        region: Left, top, width and height in desktop pixels, None for the main screen. It must be on the desktop.
        rate: Frames per second.
        grabber: Creates the object that captures; by default one of mss.
        clock: Returns the time in seconds.
        wait: Sleeps for a number of seconds.

    Raises:
        UsageError: If the region or rate is invalid.
    """

    live = True

    def __init__(
        self,
        region: ScreenArea | None = None,
        rate: float | None = None,
        *,
        grabber: Callable[[], Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        if region is not None and (region[2] < 1 or region[3] < 1):
            raise UsageError(f"A screen region of {region[2]}×{region[3]} pixels is empty.")
        rate = DEFAULT_SCREEN_RATE if rate is None else rate
        if not math.isfinite(rate) or rate < 1:  # a slower one could not be stopped in time
            raise UsageError(f"A rate of {rate:g} screen captures per second is invalid: it must be at least 1.")
        self._region, self._rate = region, rate
        self._make = grabber or _mss
        self._clock, self._wait = clock, wait or threading.Event().wait
        self._grabber: Any = None

    @classmethod
    def named(cls, name: str, rate: float | None = None) -> "ScreenSource":
        """Return the source for ``screen:`` or ``screen:LEFT,TOP,WIDTH,HEIGHT``.

        Args:
            name: Name in lower case.
            rate: Frames per second.

        Raises:
            UsageError: If the name is invalid, or if mss is not installed.
        """
        if not has_package("mss"):  # before a model is loaded
            raise UsageError(missing_package("Screen capture", "mss"))
        rest = name.removeprefix(SCREEN_PREFIX).strip()
        if not rest:
            return cls(None, rate)
        try:
            left, top, width, height = (int(part) for part in rest.split(","))
        except ValueError:
            raise UsageError(
                f"{name!r} is not a screen region: write screen: or screen:LEFT,TOP,WIDTH,HEIGHT in pixels."
            ) from None
        return cls((left, top, width, height), rate)

    def open(self) -> SourceInfo:
        """Capture the first frame.

        Raises:
            SourceError: If the screen cannot be captured.
            UsageError: If mss is not installed.
        """
        self.close()
        self._grabber = self._make()
        try:
            self._area = self._found_area()
            self._first: Pixels | None = self._picture()
        except BaseException:
            self.close()
            raise
        self._began = self._due = self._clock()
        self._last = -_TICK
        self._index = 0
        height, width = self._first.shape[:2]
        self._shape = self._first.shape
        rate = Fraction(self._rate).limit_denominator(1001)
        return SourceInfo("screen", width, height, rate, _TICK)

    def read(self) -> Frame | None:
        """Capture the screen when the next frame is due; return None if it is not open.

        Raises:
            SourceError: If the screen cannot be captured, or changes its size.
        """
        if self._grabber is None:
            return None
        if self._first is not None:
            pixels, self._first = self._first, None
            now = self._began
        else:
            self._pace()
            now = self._clock()
            pixels = self._picture()
        if pixels.shape != self._shape:
            raise SourceError("The screen size changed: the capture restarts.")
        elapsed = Fraction(round((now - self._began) * 1_000_000), 1_000_000)
        self._last = max(elapsed, self._last + _TICK)
        self._index += 1
        return Frame(pixels, self._index - 1, self._last)

    def close(self) -> None:
        """Release the screen; may be called more than once."""
        grabber, self._grabber = self._grabber, None
        self._first = None
        if grabber is not None:
            grabber.close()

    def seek(self, time: Fraction) -> None:
        """Raise SourceError: the screen is live."""
        raise SourceError("The screen is live and cannot seek.")

    def controls(self) -> Mapping[str, float]:
        """Return no controls: the screen has none."""
        return {}

    def set_control(self, name: str, value: float) -> None:
        """Do nothing: the screen has no controls."""

    def _pace(self) -> None:
        """Wait until the next frame is due; a late frame delays those after it."""
        self._due += 1 / self._rate
        late = self._clock() - self._due
        if late >= 0:
            self._due += late
            return
        while (rest := self._due - self._clock()) > 0:
            self._wait(rest)

    def _found_area(self) -> dict[str, int]:
        with _in_words():
            monitors = self._grabber.monitors  # the whole desktop, then each screen
        if len(monitors) < 2:
            raise SourceError("There is no screen to capture.")
        if self._region is None:
            return dict(monitors[1])
        left, top, width, height = self._region
        desktop = monitors[0]
        right, bottom = desktop["left"] + desktop["width"], desktop["top"] + desktop["height"]
        if left < desktop["left"] or top < desktop["top"] or left + width > right or top + height > bottom:
            raise SourceError(
                f"The region {left},{top},{width},{height} is outside the screen, which extends from "
                f"{desktop['left']},{desktop['top']} to {right},{bottom}."
            )
        return {"left": left, "top": top, "width": width, "height": height}

    def _picture(self) -> Pixels:
        with _in_words():
            shot = self._grabber.grab(self._area)
        bgra = np.frombuffer(shot.bgra, np.uint8).reshape(shot.height, shot.width, 4)
        return np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB), np.uint8)


class _in_words:
    """Converts errors of mss to SourceError."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            reason = " ".join(str(error).split())[:120]
            raise SourceError(f"The screen cannot be captured: {reason or type(error).__name__}.") from error


def _mss() -> Any:
    try:
        mss = importlib.import_module("mss")
    except ImportError:
        raise UsageError(missing_package("Screen capture", "mss")) from None
    with _in_words():
        return mss.MSS() if hasattr(mss, "MSS") else mss.mss()
