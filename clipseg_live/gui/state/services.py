"""What a window asks of the rest of the application, beside the session."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipseg_live.app.devices import CropBox
from clipseg_live.core.settings.live import FrameTransform, LiveSettings, ViewFrame


@dataclass(frozen=True, slots=True)
class Services:
    """list_cameras: (name for a SourceSpec, name for people) of each; slow, may raise ClipsegLiveError.

    save_snapshot: writes the composed picture and each mask into a folder, returns the files; slow, may raise
        ClipsegLiveError or OSError.
    crop_of: a box on the framed picture (shares 0..1) as the crop of the source that frames it.
    has_screen: whether the screen can be a source.
    list_microphones: their names; slow, may raise ClipsegLiveError.
    recover_recordings: gives recordings of a folder that broke off a name of their own, and returns it; slow.
    list_virtual_cameras: (name for CameraSettings, name for people) of each; slow.
    """

    list_cameras: Callable[[], Sequence[tuple[str, str]]]
    save_snapshot: Callable[[Path, ViewFrame, LiveSettings], Sequence[Path]]
    crop_of: Callable[[CropBox, FrameTransform], CropBox]
    has_screen: Callable[[], bool]
    list_microphones: Callable[[], Sequence[str]]
    recover_recordings: Callable[[Path], Sequence[Path]]
    list_virtual_cameras: Callable[[], Sequence[tuple[str, str]]]


def real_services() -> Services:
    """Those of this application; what they need is loaded when they are first used."""
    from clipseg_live.app import devices, virtual_camera

    return Services(
        devices.list_cameras, devices.save_snapshot, devices.crop_of, devices.has_screen, devices.list_microphones,
        devices.recover_recordings, virtual_camera.virtual_cameras,
    )  # fmt: skip
