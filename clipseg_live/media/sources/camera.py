"""Cameras through OpenCV: opened with the requested settings, described by the actual ones."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Protocol

import cv2
import numpy as np

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.media import probe
from clipseg_live.media.probe import FoundCamera

CLOCK_TICK = Fraction(1, 1_000_000)
"""Unit of the capture clock, in seconds."""

_BACKENDS = {
    "linux": (cv2.CAP_V4L2,),
    "win32": (cv2.CAP_MSMF, cv2.CAP_DSHOW),
    "darwin": (cv2.CAP_AVFOUNDATION,),
}.get(sys.platform, (cv2.CAP_ANY,))

_CONTROLS = {"exposure": cv2.CAP_PROP_EXPOSURE, "focus": cv2.CAP_PROP_FOCUS, "gain": cv2.CAP_PROP_GAIN}
# Properties that switch automatic control off, and their values for manual control. Other backends switch automatic
# exposure off themselves when an exposure is set.
_AUTOMATICS = {"focus": (cv2.CAP_PROP_AUTOFOCUS, 0.0)}
if sys.platform == "linux":
    _AUTOMATICS["exposure"] = (cv2.CAP_PROP_AUTO_EXPOSURE, 1.0)
_NOT_OFFERED = -1.0

_HD_WIDTH = 1280
_COMPRESSED = "MJPG"
_FORGIVEN_READS = 3
_FORGIVEN_SECONDS = 1.0


class VideoCapture(Protocol):
    """The part of ``cv2.VideoCapture`` that is used."""

    def open(self, index: int, apiPreference: int, /) -> bool:
        """Open a camera by its number; return False if it fails."""

    def isOpened(self) -> bool:
        """Return True if a camera is open."""

    def grab(self) -> bool:
        """Grab the next frame; return False if it fails."""

    def retrieve(self) -> tuple[bool, Any]:
        """Return True and the decoded frame, or False if it fails."""

    def get(self, prop: int, /) -> float:
        """Return the value of a property."""

    def set(self, prop: int, value: float, /) -> bool:
        """Set a property; return False if it is not supported."""

    def release(self) -> None:
        """Close the camera."""


FindCameras = Callable[[], Sequence[FoundCamera]]


def find_cameras(seconds: float = probe.CAMERA_SECONDS) -> tuple[FoundCamera, ...]:
    """Return the cameras of this machine, listed by a separate process.

    Args:
        seconds: Longest time to wait.

    Raises:
        SourceError: If the process does not answer in time.
    """
    try:
        return probe.cameras(seconds)
    except (TimeoutError, RuntimeError, OSError) as error:
        reason = str(error).rstrip(".")
        raise SourceError(f"{reason}: name a camera by its number, such as camera:0.") from error


def find_camera(name: str, cameras: Sequence[FoundCamera]) -> FoundCamera:
    """Return the camera with this name in any case, else the only one whose name contains it.

    Raises:
        SourceError: If no camera or more than one matches.
    """
    wanted = name.casefold().strip()
    matching = [camera for camera in cameras if camera.name.casefold() == wanted]
    if not matching:
        matching = [camera for camera in cameras if wanted in camera.name.casefold()]
        if len({camera.name for camera in matching}) > 1:
            raise SourceError(f"{name!r} could be any of {_listed(matching)}: write the name in full.")
    if matching:
        return matching[0]
    connected = f"there is {_listed(cameras)}" if cameras else "no camera is connected"
    raise SourceError(f"There is no camera named {name!r}: {connected}.")


class CameraSource:
    """Frames of a camera, as a ``LiveSource``.

    ``Frame.time`` is the capture clock: seconds since ``open``, in exact microseconds. ``Frame.index`` counts from 0.
    The camera may use other settings than the requested ones; ``SourceInfo`` has the actual ones.

    Args:
        camera: Number for OpenCV, or name. A name is looked up at each ``open``, so that a reconnected camera is found
            under another number.
        width: Requested width in pixels.
        height: Requested height in pixels.
        rate: Requested frames per second.
        fourcc: Requested pixel format. HD without a format requests MJPG, which most cameras need for it. A camera that
            returns no frame in the format is opened without it.
        controls: Values by name, set at each ``open`` together with those of ``set_control``. ``close`` restores the
            camera's own values.
        capture: Creates the capture object.
        cameras: Lists the cameras.
        clock: Returns the time in seconds.

    Raises:
        UsageError: If the number or pixel format is invalid.
    """

    live = True

    def __init__(
        self,
        camera: int | str = 0,
        width: int | None = None,
        height: int | None = None,
        rate: float | None = None,
        fourcc: str | None = None,
        controls: Sequence[tuple[str, float]] = (),
        *,
        capture: Callable[[], VideoCapture] = cv2.VideoCapture,
        cameras: FindCameras = find_cameras,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(camera, int) and camera < 0:
            raise UsageError(f"There is no camera {camera}: cameras are numbered from 0.")
        if fourcc is not None and (len(fourcc) != 4 or not fourcc.isascii()):
            raise UsageError(f"{fourcc!r} is not a pixel format: use four letters, such as MJPG.")
        self._camera, self._size, self._rate, self._fourcc = camera, (width, height), rate, fourcc
        self._wanted = dict(controls)
        self._make, self._cameras, self._clock = capture, cameras, clock
        self._capture: VideoCapture | None = None
        self._first: Pixels | None = None
        self._offered: tuple[str, ...] = ()
        self._found_as: dict[int, float] = {}
        self._name = camera if isinstance(camera, str) else f"camera {camera}"

    def open(self) -> SourceInfo:
        """Open the camera and read its first frame.

        Raises:
            SourceError: If the camera cannot be opened, or returns no frame.
        """
        self.close()
        index = self._index()
        capture, first = self._opened(index)
        self._capture, self._first = capture, first
        self._began = self._clock()
        self._last_time = -CLOCK_TICK
        self._next_index = 0
        self._shape = first.shape
        try:
            self._offered = tuple(name for name in _CONTROLS if self._offers(name))
            for name, value in self._wanted.items():
                self._set(name, value)
            rate = _rate(capture.get(cv2.CAP_PROP_FPS))
        except BaseException:
            self.close()
            raise
        height, width = first.shape[:2]
        return SourceInfo(name=self._name, width=width, height=height, rate=rate, time_base=CLOCK_TICK)

    def read(self) -> Frame | None:
        """Wait for the next frame and return it; return None if the camera is not open.

        Raises:
            SourceError: If the camera stops returning frames, or changes their size.
        """
        if self._capture is None:
            return None
        if self._first is not None:
            pixels, self._first, now = self._first, None, self._began
        else:
            pixels, now = self._grabbed(self._capture)
        if pixels.shape != self._shape:
            raise SourceError(f"{self._name} changed its frame size and is reopened.")
        elapsed = Fraction(round((now - self._began) * 1_000_000), 1_000_000)
        self._last_time = max(elapsed, self._last_time + CLOCK_TICK)
        frame = Frame(pixels, self._next_index, self._last_time)
        self._next_index += 1
        return frame

    def close(self) -> None:
        """Restore exposure, focus and gain, and release the camera; may be called more than once."""
        capture, self._capture = self._capture, None
        self._first = None
        if capture is None:
            return
        try:
            for prop, value in reversed(self._found_as.items()):
                capture.set(prop, value)
            self._found_as.clear()
        finally:
            capture.release()

    def seek(self, time: Fraction) -> None:
        """Raise SourceError: a camera cannot seek."""
        raise SourceError(f"{self._name} is live and cannot seek.")

    def controls(self) -> Mapping[str, float]:
        """Return those of "exposure", "focus" and "gain" that the camera has, in its own units; empty while closed."""
        if self._capture is None:
            return {}
        return {name: self._capture.get(_CONTROLS[name]) for name in self._offered}

    def set_control(self, name: str, value: float) -> None:
        """Set a control now and after each later ``open``; its automatic mode, if any, is switched off.

        A control that the camera does not have or rejects is not changed.

        Args:
            name: "exposure", "focus" or "gain".
            value: Value in the camera's own units.
        """
        if math.isfinite(value) and (self._capture is None or self._set(name, value)):
            self._wanted[name] = value

    def _index(self) -> int:
        if isinstance(self._camera, int):
            return self._camera
        camera = find_camera(self._camera, self._cameras())
        self._name = camera.name
        return camera.index

    def _opened(self, index: int) -> tuple[VideoCapture, Pixels]:
        """Return the camera and its first frame, in the first format that returns one."""
        is_present = False
        for backend in _BACKENDS:
            for fourcc in self._formats():
                capture = self._make()
                try:
                    with _quiet():
                        if not capture.open(index, backend) or not capture.isOpened():
                            capture.release()
                            break  # another format does not help
                        is_present = True
                        self._ask(capture, fourcc)
                        return capture, self._grabbed(capture)[0]
                except (SourceError, cv2.error):
                    capture.release()
                except BaseException:
                    capture.release()
                    raise
        if is_present:
            raise SourceError(f"{self._name} sends no frames: close other programs that use it, or plug it in again.")
        raise SourceError(
            f"{self._name} cannot be opened: check that it is plugged in, not in use by another program, and that "
            "camera access is allowed."
        )

    def _formats(self) -> tuple[str | None, ...]:
        wanted = self._fourcc
        if wanted is None and (self._size[0] or 0) >= _HD_WIDTH:
            wanted = _COMPRESSED
        return (None,) if wanted is None else (wanted, None)

    def _ask(self, capture: VideoCapture, fourcc: str | None) -> None:
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        code = None if fourcc is None else float(cv2.VideoWriter.fourcc(*fourcc))
        # Set the format first: cameras support large sizes and high rates only in some formats.
        if code is not None:
            capture.set(cv2.CAP_PROP_FOURCC, code)
        for prop, value in zip((cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT), self._size, strict=True):
            if value is not None:
                capture.set(prop, float(value))
        if code is not None and capture.get(cv2.CAP_PROP_FOURCC) != code:
            capture.set(cv2.CAP_PROP_FOURCC, code)  # some backends reset it when the size changes
        if self._rate is not None:
            capture.set(cv2.CAP_PROP_FPS, self._rate)

    def _grabbed(self, capture: VideoCapture) -> tuple[Pixels, float]:
        """Return a frame and its capture time; tolerate a few failures in a row, such as a damaged frame."""
        began = self._clock()
        for _ in range(_FORGIVEN_READS):
            try:
                if capture.grab():
                    now = self._clock()
                    taken, picture = capture.retrieve()
                    if taken and picture is not None and picture.size:
                        return _to_rgb(picture, self._name), now
            except cv2.error:
                pass  # damaged frame
            if self._clock() - began > _FORGIVEN_SECONDS:
                break
        raise SourceError(
            f"{self._name} sends no more frames: check that it is plugged in and not in use by another program."
        )

    def _offers(self, name: str) -> bool:
        assert self._capture is not None
        value = self._capture.get(_CONTROLS[name])
        if not math.isfinite(value) or value == _NOT_OFFERED:
            return False
        # Some backends report 0 for missing controls, but refuse to set them.
        return value != 0 or self._capture.set(_CONTROLS[name], 0.0)

    def _set(self, name: str, value: float) -> bool:
        capture = self._capture
        if capture is None or name not in self._offered:
            return False
        prop = _CONTROLS[name]
        automatic = _AUTOMATICS.get(name)
        before = capture.get(prop)
        was = None if automatic is None else capture.get(automatic[0])
        if automatic is not None:
            capture.set(*automatic)
        if not capture.set(prop, value):
            if automatic is not None and was is not None and was != _NOT_OFFERED:
                capture.set(automatic[0], was)
            return False
        # Restored in reverse order: first the value, while manual control is on, then the automatic mode.
        if automatic is not None and was is not None and was != _NOT_OFFERED:
            self._found_as.setdefault(automatic[0], was)
        self._found_as.setdefault(prop, before)
        return True


def _rate(told: float) -> Fraction | None:
    """Return the frame rate that a camera reports, such as 30, or 30000/1001 for 29.97."""
    if not math.isfinite(told) or not 0 < told <= 1000:
        return None
    film = Fraction(round(told * 1.001) * 1000, 1001)
    whole = Fraction(round(told))
    if whole and abs(told - whole) < 1e-3:
        return whole
    return film if film and abs(told - film) < 5e-3 else Fraction(told).limit_denominator(1000)


def _to_rgb(picture: Any, name: str) -> Pixels:
    """Convert an image from OpenCV (BGR or grey) to uint8 RGB (height, width, 3)."""
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    code = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}.get(channels)
    if picture.dtype != np.uint8 or code is None:
        raise SourceError(f"{name} sends an unsupported pixel format: choose another one, such as MJPG.")
    return np.asarray(cv2.cvtColor(picture, code), np.uint8)


def _listed(cameras: Sequence[FoundCamera]) -> str:
    return ", ".join(f"{camera.name} (camera:{camera.index})" for camera in cameras)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress OpenCV's own warning about a missing camera, which SourceError already reports."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)
