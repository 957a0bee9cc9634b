"""``clipseg-live virtual-camera``: show a source with its effects as a virtual camera, without a window."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from clipseg_live.cli.commands import VIRTUAL, option, with_options
from clipseg_live.cli.settings import session_settings
from clipseg_live.cli.shared_options import (
    EngineOptions,
    InputOptions,
    LiveOptions,
    NetworkOptions,
    Source,
    given,
)
from clipseg_live.cli.sources import parse_rate, source_spec

if TYPE_CHECKING:
    from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings

_MODEL_DEVICE = re.compile(r"(auto|cpu|cuda|mps)(:\d*)?")
_FORMAT = "as the other program asks, or as the source"


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraOptions:
    """Fields of ``VirtualCameraSettings``. Some have other names, because the options of a model have theirs."""

    camera: Annotated[
        str | None, option(VIRTUAL, "NAME", "Virtual camera, by its name or path.", default="the first available")
    ] = None
    width: Annotated[
        int | None, option(VIRTUAL, "PIXELS", "Width of its frames, together with --height.", default=_FORMAT)
    ] = None
    height: Annotated[
        int | None, option(VIRTUAL, "PIXELS", "Height of its frames, together with --width.", default=_FORMAT)
    ] = None
    frame_rate: Annotated[float | None, option(VIRTUAL, "NUMBER", "Frames per second.", default=_FORMAT)] = None
    camera_fit: Annotated[
        str | None,
        option(
            VIRTUAL, "MODE", "If the aspect ratios differ: letterbox (black bars) or fill (crop the frame).", "--fit",
            default="letterbox",
        ),
    ] = None  # fmt: skip
    placeholder: Annotated[
        Path | None,
        option(
            VIRTUAL, "FILE", "Placeholder image, which is sent while there is no frame that may be shown.",
            default="a plain card",
        ),
    ] = None  # fmt: skip


@with_options()
def virtual_camera(
    source: Source,
    segmentation: LiveOptions,
    reading: InputOptions,
    network: NetworkOptions,
    camera: CameraOptions,
) -> None:
    """Show a source with its effects as a virtual camera, for video calls and OBS. Ctrl-C stops it."""
    from clipseg_live.app.virtual_camera import check_safe_picture
    from clipseg_live.cli.headless.virtual_camera import run_camera

    camera, engine, reading = with_former_meanings(camera, segmentation.engine, reading)
    spec = source_spec(source, reading, network, film=True)
    wanted = camera_settings(camera)
    if camera.placeholder is not None:
        check_safe_picture(camera.placeholder)
    settings = session_settings(replace(segmentation, engine=engine), demo=source.startswith("demo:"))
    run_camera(settings, spec, wanted)


def with_former_meanings(
    camera: CameraOptions, engine: EngineOptions, reading: InputOptions
) -> tuple[CameraOptions, EngineOptions, InputOptions]:
    """Return the options, where ``--device`` and ``--rate`` may have their former meanings.

    ``--device`` named the virtual camera: a value that cannot be the device of a model still does. ``--rate`` was the
    frame rate of the virtual camera, with ``--sequence`` also that of the source.

    Raises:
        UsageError: The rate is invalid.
    """
    if camera.camera is None and engine.device is not None and not _MODEL_DEVICE.fullmatch(engine.device):
        camera, engine = replace(camera, camera=engine.device), replace(engine, device=None)
    if camera.frame_rate is None and reading.rate is not None:
        camera = replace(camera, frame_rate=float(parse_rate(reading.rate)))
        reading = reading if reading.sequence else replace(reading, rate=None)
    return camera, engine, reading


def camera_settings(camera: CameraOptions) -> "VirtualCameraSettings":
    """Return the settings of a virtual camera.

    Raises:
        UsageError: A value is invalid.
    """
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.settings.base import validated
    from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings

    if (camera.width is None) != (camera.height is None):
        raise UsageError("A size has two sides: give --width and --height, or neither.")
    fields = {"camera": "device", "frame_rate": "rate", "camera_fit": "fit"}
    values = {fields.get(name, name): value for name, value in given(camera).items()}
    if camera.placeholder is not None:
        values["placeholder"] = str(camera.placeholder)
    return validated(VirtualCameraSettings, **values)
