"""What a window needs beside its session. Importing this module loads neither OpenCV nor PyAV nor Pillow."""

import importlib.util
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from clipseg_live.core.errors import SinkError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.privacy import was_drawn_hiding
from clipseg_live.core.settings.live import FrameTransform, LiveSettings, ViewFrame

CropBox = tuple[float, float, float, float]
_LONGEST_STEM = 120
"""Bytes of a photo's name in the name of a snapshot."""


def list_cameras() -> Sequence[tuple[str, str]]:
    """("camera:NUMBER", its name) of each. Takes up to seconds. Raises SourceError."""
    from clipseg_live.media.sources.camera import find_cameras as found

    return [(f"camera:{camera.index}", camera.name or f"camera {camera.index}") for camera in found()]


def available_models() -> Sequence[tuple[str, str]]:
    """(name for the settings, words for people) of the models that have a name."""
    from clipseg_live.model.store.loading import KNOWN_MODELS

    return [(name, known.summary) for name, known in KNOWN_MODELS.items()]


def available_devices() -> Sequence[str]:
    """What may be there on this system; whether it is, the worker finds out."""
    return ("auto", "cpu", "mps") if sys.platform == "darwin" else ("auto", "cpu", "cuda")


def has_screen() -> bool:
    """Whether the optional package that reads the screen is there."""
    return importlib.util.find_spec("mss") is not None


def list_microphones() -> Sequence[str]:
    """Names for the settings of recordings. Takes up to seconds."""
    from clipseg_live.media.audio.microphone import find_microphones as found

    return found()


def recover_recordings(folder: Path) -> Sequence[Path]:
    """Recordings in a folder whose program was killed get a name of their own; those that did."""
    from clipseg_live.exporters.recovery import recover_interrupted

    return recover_interrupted(folder) if folder.is_dir() else ()


def crop_of(box: CropBox, framing: FrameTransform) -> CropBox:
    """A box on the framed picture as a crop of the source (``video.framing.to_source``)."""
    from clipseg_live.media.sources.framing import to_source

    return to_source(*box, framing)


def save_snapshot(folder: Path, picture: ViewFrame, settings: LiveSettings) -> Sequence[Path]:
    """Write a picture as PNG, and the matte (grey, 0 to 255) of each prompt that is drawn, at the picture's size.

    The files begin with the name of the photo, if it is one, and the date and time; the folder is made where it is
    missing. Raises SinkError, also for a picture that shows what an effect hides by now.
    """
    from clipseg_live.exporters.masks import slug

    if not was_drawn_hiding(picture, settings):
        raise SinkError("The picture was not saved, because it shows what is hidden now: save the next one.")
    stem = datetime.now().strftime("clipseg-live %Y-%m-%d %H.%M.%S.%f")[:-3]
    if picture.file is not None:
        own = picture.file.stem.encode()[:_LONGEST_STEM].decode(errors="ignore")
        stem = f"{own} {stem}"
    pictures: list[tuple[Path, Pixels]] = [(folder / f"{stem}.png", picture.composed)]
    rows = {row.id: row for row in settings.shown()}
    each = picture.mattes.each if picture.mattes is not None else ()
    for number, (row_id, matte) in enumerate(zip(picture.drawn, each, strict=True), start=1):
        if row_id in rows:
            name = slug(rows[row_id].text or "picture")
            pictures.append((folder / f"{stem} mask {number} {name}.png", matte.alpha))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, pixels in pictures:
            _write(path, pixels)
    except OSError as error:
        raise SinkError(f"The picture could not be saved in {folder}: {error.strerror or error}.") from error
    return [path for path, _ in pictures]


def _write(path: Path, pixels: Pixels) -> None:
    """A whole file, or none."""
    from PIL import Image

    from clipseg_live.media.images.icc_profiles import srgb_tag

    partial = path.with_name(f".{path.name}.partial")
    try:
        Image.fromarray(pixels).save(partial, format="PNG", compress_level=3, **srgb_tag("PNG"))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
