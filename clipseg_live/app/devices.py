"""Devices, models and snapshots for the window. Importing this module loads neither OpenCV nor PyAV nor Pillow."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from clipseg_live.core.errors import SinkError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.privacy import was_drawn_hiding
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import ENGINES
from clipseg_live.core.settings.effects import is_private
from clipseg_live.core.settings.live import FrameTransform, LiveSettings
from clipseg_live.core.system import packages
from clipseg_live.core.system.files import replace_file

if TYPE_CHECKING:
    from clipseg_live.model.store.catalogue import CatalogueEntry

CropBox = tuple[float, float, float, float]
_LONGEST_STEM = 120
"""Largest part of a photo's name in the name of a snapshot, in bytes."""


def list_cameras() -> Sequence[tuple[str, str]]:
    """Return the source name ("camera:NUMBER") and the label of each camera. Takes up to seconds.

    Raises:
        SourceError: The cameras cannot be listed.
    """
    from clipseg_live.media.sources.camera import find_cameras

    return [(f"camera:{camera.index}", camera.name or f"camera {camera.index}") for camera in find_cameras()]


def list_models() -> Sequence["CatalogueEntry"]:
    """Return the known models with their state on disk. Takes up to seconds, and does not use the network."""
    from clipseg_live.model.store.catalogue import catalogue

    return catalogue()


def available_devices() -> Sequence[str]:
    """Return the devices that may exist on this system. The worker finds out whether they do."""
    return ("auto", "cpu", "mps") if sys.platform == "darwin" else ("auto", "cpu", "cuda")


def installed_engines() -> Sequence[str]:
    """Return the engines that are installed, "auto" first."""
    from clipseg_live.model.openvino import library

    return tuple(name for name in ENGINES if name != "openvino" or library.is_installed())


def has_screen() -> bool:
    """Return whether the optional package for screen capture is installed."""
    return packages.has_package("mss")


def list_microphones() -> Sequence[str]:
    """Return the names of microphones for the settings of recordings. Takes up to seconds."""
    from clipseg_live.media.audio.microphone import find_microphones

    return find_microphones()


def recover_recordings(folder: Path) -> Sequence[Path]:
    """Give interrupted recordings in a folder a name of their own, and return their new paths."""
    from clipseg_live.exporters.recovery import recover_interrupted

    return recover_interrupted(folder) if folder.is_dir() else ()


def crop_of(box: CropBox, framing: FrameTransform) -> CropBox:
    """Return a box on the framed image as a crop of the source (``media.sources.framing.to_source``)."""
    from clipseg_live.media.sources.framing import to_source

    return to_source(*box, framing)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Files of a snapshot.

    Attributes:
        rendered: Frame with effects.
        original: Frame without effects; None if it was left out because an effect hides something.
        masks: Matte of each drawn prompt.
    """

    rendered: Path
    original: Path | None
    masks: tuple[Path, ...]


def save_snapshot(folder: Path, rendered: RenderedFrame, settings: LiveSettings) -> Snapshot:
    """Write a rendered frame as PNG, the frame without effects, and the matte of each drawn prompt (grey, 0 to 255).

    The frame without effects is left out while an effect hides something. File names begin with the name of the photo,
    if it is one, and the date and time. A missing folder is made.

    Args:
        folder: Folder for the files.
        rendered: Rendered frame.
        settings: Current settings of the session.

    Raises:
        SinkError: The files cannot be written, or the frame shows something that an effect hides by now.
    """
    from clipseg_live.exporters.folder import slug

    if not was_drawn_hiding(rendered, settings):
        raise SinkError("The frame was not saved because it shows content that is now hidden: save the next frame.")
    stem = datetime.now().strftime("clipseg-live %Y-%m-%d %H.%M.%S.%f")[:-3]
    if rendered.file is not None:
        photo_stem = rendered.file.stem.encode()[:_LONGEST_STEM].decode(errors="ignore")
        stem = f"{photo_stem} {stem}"
    images: list[tuple[Path, Pixels]] = [(folder / f"{stem}.png", rendered.composed)]
    original = None if is_private(settings.effects) else folder / f"{stem} original.png"
    if original is not None:
        images.append((original, rendered.original))
    masks: list[Path] = []
    rows = {row.id: row for row in settings.shown()}
    for number, (row_id, matte) in enumerate(zip(rendered.drawn_ids, rendered.mattes.each, strict=True), start=1):
        if row_id in rows:
            name = slug(rows[row_id].text or "picture")
            masks.append(folder / f"{stem} mask {number} {name}.png")
            images.append((masks[-1], matte.alpha))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, pixels in images:
            _write(path, pixels)
    except OSError as error:
        raise SinkError(f"The frame could not be saved in {folder}: {error.strerror or error}.") from error
    return Snapshot(images[0][0], original, tuple(masks))


def _write(path: Path, pixels: Pixels) -> None:
    """Write a PNG file completely or not at all."""
    from PIL import Image

    from clipseg_live.media.images.icc_profiles import srgb_tag

    data = BytesIO()
    Image.fromarray(pixels).save(data, format="PNG", compress_level=3, **srgb_tag("PNG"))
    replace_file(path, data.getvalue())
