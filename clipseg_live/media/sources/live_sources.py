"""Choice of the live source for a name: camera, address, screen, file, folder or pattern of images."""

import re
from fractions import Fraction
from pathlib import Path

from clipseg_live.core.addresses import HIDDEN_PART
from clipseg_live.core.errors import UsageError
from clipseg_live.core.protocols import FrameSource, LiveSource
from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.core.settings.rendering import Deinterlace
from clipseg_live.core.system.paths import is_folder_or_pattern
from clipseg_live.media.images.photo_sets import PhotoSetSource, list_photos, photos_among
from clipseg_live.media.sources import screen
from clipseg_live.media.sources.camera import CameraSource
from clipseg_live.media.sources.network_stream import StreamSource
from clipseg_live.media.sources.registry import open_source
from clipseg_live.media.sources.screen import ScreenSource
from clipseg_live.media.sources.seekable import PlaybackSource

CAMERA_PREFIX = "camera:"

_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # at least two letters: one is a drive
_MEANT = "a camera (camera:0), a file, a folder, an address (rtsp://, http://), screen: or demo:"


def open_live(spec: SourceSpec) -> LiveSource:
    """Return the source for ``spec.name``, not yet opened.

    Names are ``camera:NUMBER`` or ``camera:NAME``, an address, ``screen:`` or ``screen:LEFT,TOP,WIDTH,HEIGHT``. Any
    other name is a file, a folder or a pattern of images. With images in ``spec.more``, it is one set of photos.
    Devices and files are opened only by ``open``.

    Raises:
        UsageError: If the name is invalid. Demo scenes (``demo:``) are not supported here.
    """
    name = spec.name.reveal().strip()
    if not name:
        raise UsageError(f"No source was given: write {_MEANT}.")
    lowered = name.lower()
    if lowered.startswith(CAMERA_PREFIX):
        return _camera(name[len(CAMERA_PREFIX) :].strip(), spec)
    if lowered.startswith(screen.SCREEN_PREFIX):
        return ScreenSource.named(lowered, spec.rate)
    if "://" in name and not Path(name).exists():
        return StreamSource(
            name, rtsp_transport=spec.rtsp_transport, insecure=spec.insecure, deinterlace=spec.deinterlace
        )
    prefix = _PREFIX.match(name)
    if prefix and not Path(name).exists() and not Path(name).suffix:
        shown = HIDDEN_PART if "@" in name else prefix[0]  # it may be the user name of an address without its scheme
        raise UsageError(f"{shown!r} is not a known kind of source: write {_MEANT}.")
    if spec.more:
        listing = photos_among([each.reveal() for each in (spec.name, *spec.more)])
        if len(listing.files) > 1:
            return PhotoSetSource(lambda: listing)
    return open_playback(spec.name.reveal(), spec.sequence, spec.deinterlace)


def open_playback(
    name: str | Path, sequence: Fraction | None = None, deinterlace: Deinterlace = "auto"
) -> PlaybackSource | PhotoSetSource:
    """Return the source for a file, folder or pattern of images, not yet opened.

    Args:
        name: File, folder or pattern.
        sequence: Frames per second if a folder or pattern is a film.
        deinterlace: "off" keeps both fields in the frames of interlaced videos.
    """
    if sequence is None and is_folder_or_pattern(name):
        return PhotoSetSource(lambda: list_photos(name))

    def make(start: Fraction | None) -> FrameSource:
        return open_source(name, start=start, sequence=sequence, deinterlace=deinterlace)

    return PlaybackSource(make)


def _camera(which: str, spec: SourceSpec) -> CameraSource:
    camera: int | str = which or 0
    if which.isascii() and which.lstrip("-").isdigit():
        camera = int(which)
    return CameraSource(camera, spec.width, spec.height, spec.rate, spec.fourcc, spec.controls)
