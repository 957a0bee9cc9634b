"""Virtual cameras and the check of the safe image. Importing this module loads neither OpenCV nor PyAV nor Pillow."""

from collections.abc import Sequence
from pathlib import Path


def virtual_cameras() -> Sequence[tuple[str, str]]:
    """Return the name for the settings and the label in other programs of each virtual camera.

    Some of them may not exist.
    """
    from clipseg_live.media.virtual_camera import list_devices

    return [(device.name, device.label) for device in list_devices()]


def check_safe_picture(path: Path) -> None:
    """Check that a file can be used as the safe image.

    Raises:
        SourceError: The file is not an image.
    """
    from clipseg_live.media.images.reader import read_image

    read_image(path)
