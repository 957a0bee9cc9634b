"""What a virtual camera needs beside its session. Importing this module loads neither OpenCV nor PyAV nor Pillow."""

from collections.abc import Sequence
from pathlib import Path


def virtual_cameras() -> Sequence[tuple[str, str]]:
    """(name for the settings, as other programs list it) of each that there is, or may be."""
    from clipseg_live.media.virtual_camera import list_devices

    return [(device.name, device.label) for device in list_devices()]


def check_safe_picture(path: Path) -> None:
    """Raises SourceError for what is no picture."""
    from clipseg_live.media.images.reader import read_image

    read_image(path)
