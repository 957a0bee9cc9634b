"""Functions of the application that the window uses besides the session."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clipseg_live.app.devices import CropBox, Snapshot
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.live import FrameTransform, LiveSettings

if TYPE_CHECKING:
    from clipseg_live.model.store.catalogue import CatalogueEntry


@dataclass(frozen=True, slots=True)
class Services:
    """Functions that the window calls. Slow ones must run in a background thread.

    Attributes:
        list_cameras: returns (name for a SourceSpec, name shown to the user) of each camera; slow, may raise
            ClipsegLiveError.
        save_snapshot: writes the rendered frame, the frame without effects and each mask into a folder; slow, may
            raise ClipsegLiveError or OSError.
        crop_of: converts a box on the transformed frame (shares, 0 to 1) to a crop of the source.
        has_screen: returns whether the screen can be a source.
        list_microphones: returns their names; slow, may raise ClipsegLiveError.
        recover_recordings: recovers interrupted recordings of a folder under new names and returns these; slow.
        list_virtual_cameras: returns (name for VirtualCameraSettings, name shown to the user) of each; slow.
        list_models: returns the known models with their state on disk; slow.
    """

    list_cameras: Callable[[], Sequence[tuple[str, str]]]
    save_snapshot: Callable[[Path, RenderedFrame, LiveSettings], Snapshot]
    crop_of: Callable[[CropBox, FrameTransform], CropBox]
    has_screen: Callable[[], bool]
    list_microphones: Callable[[], Sequence[str]]
    recover_recordings: Callable[[Path], Sequence[Path]]
    list_virtual_cameras: Callable[[], Sequence[tuple[str, str]]]
    list_models: Callable[[], Sequence["CatalogueEntry"]] = tuple


def real_services() -> Services:
    """Return the production implementations. Their dependencies are loaded on first use."""
    from clipseg_live.app import devices, virtual_camera

    return Services(
        devices.list_cameras, devices.save_snapshot, devices.crop_of, devices.has_screen, devices.list_microphones,
        devices.recover_recordings, virtual_camera.virtual_cameras,
        devices.list_models,
    )  # fmt: skip
