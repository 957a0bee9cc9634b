"""A virtual camera through the optional package pyvirtualcam, with instructions for a missing driver."""

import importlib
import logging
import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from clipseg_live.core.errors import ClipsegLiveError, Failure, UsageError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.virtual_camera import (
    DEFAULT_CAMERA_RATE,
    CameraFit,
    VirtualCameraFormat,
    VirtualCameraSettings,
    chosen_format,
)
from clipseg_live.core.system.packages import missing_package
from clipseg_live.imaging.letterbox import cover, letterbox
from clipseg_live.media.images.reader import read_image
from clipseg_live.media.safe_card import placeholder_card

logger = logging.getLogger(__name__)

LABEL = "clipseg-live"
OBS, UNITY = "OBS Virtual Camera", "Unity Video Capture"
_LOAD = f'sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label="{LABEL}"'
STEPS = {
    "Linux": "install the driver with: sudo apt install v4l2loopback-dkms (other systems: their package v4l2loopback); "
    f"load it with: {_LOAD}; then start the virtual camera again",
    "Darwin": "install OBS 30 or later from https://obsproject.com and open it; press Start Virtual Camera, allow the "
    "system extension that macOS asks about (System Settings, General, Login Items & Extensions, Camera Extensions); "
    "press Stop Virtual Camera, close OBS, and start the virtual camera again",
    "Windows": "install OBS 26 or later from https://obsproject.com, or download Unity Capture from "
    "https://github.com/schellingb/UnityCapture and run its Install.bat; then start the virtual camera again",
}
"""Instructions for a missing driver, by the system's name."""
_BUSY = re.compile(r"could not be started|already in use", re.IGNORECASE)
_MISSING = re.compile(
    r"not found|not installed|no v4l2 loopback|no camera registered|supports only|does not exist", re.IGNORECASE
)
"""Error texts of the drivers on all three systems."""
_SYSFS = Path("/sys/devices/virtual/video4linux")


@dataclass(frozen=True, slots=True)
class VirtualCameraEntry:
    """A virtual camera.

    Attributes:
        name: Name for settings.
        label: Name in other programs.
        settled: Format fixed by a program that reads from the camera, None if not fixed or unknown.
    """

    name: str
    label: str
    settled: VirtualCameraFormat | None = None


def list_devices(system: str = "", sysfs: Path = _SYSFS) -> Sequence[VirtualCameraEntry]:
    """Return the virtual cameras (Linux), or possible ones (macOS, Windows, where only opening one shows)."""
    system = system or platform.system()
    if system != "Linux":
        return [VirtualCameraEntry(name, name) for name in ((OBS,) if system == "Darwin" else (OBS, UNITY))]
    devices = []
    for folder in sorted(sysfs.glob("video*"), key=lambda path: int(re.sub(r"\D", "", path.name) or 0)):
        with suppress(OSError):  # only v4l2loopback devices report a format
            settled = _settled((folder / "format").read_text(encoding="ascii", errors="replace"))
            label = (folder / "name").read_text(encoding="utf-8", errors="replace").strip()
            devices.append(VirtualCameraEntry(f"/dev/{folder.name}", label or folder.name, settled))
    return devices


def _settled(text: str) -> VirtualCameraFormat | None:
    """Parse a format such as "YU12:1280x720@30" or "YU12:1280x720@30000/1001"; None if empty, i.e. not in use."""
    match = re.search(r":(\d+)x(\d+)@(\d+)(?:/(\d+))?", text)
    if match is None or not int(match[3]) or not int(match[4] or 1):
        return None
    return VirtualCameraFormat(int(match[1]), int(match[2]), Fraction(int(match[3]), int(match[4] or 1)))


class VirtualCamera:
    """A virtual camera (a ``core.protocols.Output``). It shows each frame until the next one.

    Args:
        settings: Device, format and fit.
        system: Name of the system, "" for this machine's.
        sysfs: Folder of video devices on Linux.

    Attributes:
        format: Name, size and rate of the device, once it is open.
    """

    def __init__(self, settings: VirtualCameraSettings, system: str = "", sysfs: Path = _SYSFS) -> None:
        self._settings = settings
        self._system, self._sysfs = system or platform.system(), sysfs
        self._camera: Any = None
        self._shown: tuple[RenderedFrame, Pixels] | None = None
        self.format = VirtualCameraFormat(0, 0, Fraction(1))

    def open(self, info: SourceInfo) -> None:
        """Open the device.

        Args:
            info: Properties of the frames to come. The width is 0 if they are not known.

        Raises:
            UsageError: If pyvirtualcam is not installed.
            Failure: If no device can be opened.
        """
        self.abort()
        settings = self._settings
        known = VirtualCameraFormat(info.width, info.height, info.rate or DEFAULT_CAMERA_RATE)
        source = known if info.width else None
        package = _package()
        devices = list_devices(self._system, self._sysfs) if self._system == "Linux" else ()
        named = [entry for entry in devices if settings.device in (entry.name, entry.label)]
        if settings.device:
            candidates = named or [VirtualCameraEntry(settings.device, settings.device)]
        else:
            candidates = list(devices) or [VirtualCameraEntry("", "")]
        problem: ClipsegLiveError | None = None
        for device in candidates:
            wanted = chosen_format(settings, device.settled, source)
            try:
                self._camera = package.Camera(
                    wanted.width, wanted.height, float(wanted.rate),
                    fmt=package.PixelFormat.RGB, device=device.name or None,
                )  # fmt: skip
            except Exception as error:  # drivers can raise anything
                logger.warning("A virtual camera could not be opened", exc_info=True)
                problem = problem or self._in_words(error, device, devices)
                continue
            self.format = replace(wanted, device=self._name(devices))
            return
        assert problem is not None
        raise problem

    def safe_frame(self, path: str) -> RenderedFrame:
        """Return the placeholder at the device's size: an image file, or the drawn card for "".

        Raises:
            SourceError: If the file cannot be read.
        """
        size = self.format.width, self.format.height
        pixels = fit_pixels(read_image(path), size, self._settings.fit) if path else placeholder_card(*size)
        return RenderedFrame.of(Frame(pixels, 0, Fraction(0)))

    def write(self, rendered: RenderedFrame) -> None:
        """Send a frame. It is fitted to the device's size once, even if it is sent again.

        Raises:
            Failure: If the device is lost.
        """
        if self._shown is None or self._shown[0] is not rendered:
            size = self.format.width, self.format.height
            self._shown = rendered, fit_pixels(rendered.composed, size, self._settings.fit)
        try:
            self._camera.send(self._shown[1])
        except Exception as error:  # drivers can raise anything
            logger.warning("A virtual camera takes no more frames", exc_info=True)
            raise Failure(f"The virtual camera was lost: {_said(error)}.") from error

    def finish(self) -> None:
        """Close the device."""
        self.abort()

    def abort(self, keep_partial: bool = False) -> None:
        """Close the device; may be called more than once."""
        camera, self._camera, self._shown = self._camera, None, None
        if camera is not None:
            try:
                camera.close()
            except Exception:  # drivers can raise anything
                logger.warning("A virtual camera could not be closed", exc_info=True)

    def _name(self, devices: Sequence[VirtualCameraEntry]) -> str:
        """Return the name of the camera in other programs."""
        name = str(self._camera.device)
        return next((entry.label for entry in devices if entry.name == name), name)

    def _in_words(
        self, error: Exception, device: VirtualCameraEntry, devices: Sequence[VirtualCameraEntry]
    ) -> ClipsegLiveError:
        said = _said(error)
        name = device.label or "that was found first"
        if _BUSY.search(said):
            return Failure(
                f"The virtual camera {name} is used by another program: stop it there (in OBS: Stop Virtual Camera), "
                "then start it here again."
            )
        if not devices and (_MISSING.search(said) or (self._system == "Linux" and not device.name)):
            steps = STEPS.get(self._system, f"virtual cameras are not supported on {self._system}")
            return Failure(f"There is no virtual camera on this system: {steps}.")
        if device.name and _MISSING.search(said):
            others = ", ".join(f"{entry.label} ({entry.name})" for entry in devices)
            return Failure(f"There is no virtual camera {name}: there are {others}.")
        if "permission" in said.lower():
            return Failure(
                f"The virtual camera {name} may not be used: run sudo usermod -aG video $USER, and log in again."
            )
        if "not a video output device" in said:
            return Failure(
                f"The virtual camera {name} is in use by the receiving program: close that program, start the virtual "
                f"camera, then start the program again (or reload the driver: sudo modprobe -r v4l2loopback "
                f"&& {_LOAD})."
            )
        settled = device.settled
        if settled is not None and "could not be configured" in said:
            return Failure(
                f"The virtual camera {name} is set to {settled.width}×{settled.height} by another program: choose "
                "that size, or close that program first."
            )
        return Failure(
            f"The virtual camera {name} cannot be opened ({said}): choose another size, or close other programs "
            "that use it."
        )


def _package() -> Any:
    try:
        return importlib.import_module("pyvirtualcam")
    except ImportError:
        raise UsageError(missing_package("A virtual camera", "pyvirtualcam")) from None


def _said(error: Exception) -> str:
    """Return a driver's message in one line, without the backend prefix of the package."""
    words = re.sub(r"^'\w+' backend: ", "", str(error), flags=re.MULTILINE)
    return (" ".join(words.split()).rstrip(".") or type(error).__name__)[:300]


def fit_pixels(pixels: Pixels, size: tuple[int, int], fit: CameraFit) -> Pixels:
    """Scale an image once to a size, with black bars or cropped.

    Args:
        pixels: uint8 RGB (height, width, 3).
        size: Width and height in pixels.
        fit: "letterbox" adds bars; "fill" crops the edges.

    Returns:
        uint8 (height, width, 3), C-contiguous; the same array if it fits already.
    """
    width, height = size
    if pixels.shape[:2] == (height, width):
        return np.ascontiguousarray(pixels)
    fitted = letterbox if fit == "letterbox" else cover
    return np.asarray(fitted(pixels, width, height, quick=True), np.uint8)
