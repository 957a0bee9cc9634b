"""Sets of photos: inputs that are photos, and the names of their results."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from clipseg_live.app.batch.naming import PICTURE_SUFFIX, result_names, result_stem
from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.data_formats import find_format
from clipseg_live.core.settings.source_schemes import find_scheme
from clipseg_live.core.system.paths import is_folder_or_pattern
from clipseg_live.media.images.animations import kind_of
from clipseg_live.media.images.photo_sets import list_photos
from clipseg_live.media.images.photo_writer import PhotoWriter
from clipseg_live.media.images.writers import IMAGE_WRITER_SUFFIXES, is_writable
from clipseg_live.media.sources.registry import refuse_range_of_photos

if TYPE_CHECKING:
    from clipseg_live.app.export import ExportRequest

_NAME = "photos"


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of a set.

    Attributes:
        file: Path of the photo.
        picture: Name of its result in the output folder, or "" if none is written.
    """

    file: Path
    picture: str = ""


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """Photos that are exported together.

    Attributes:
        name: Name of the set, from which names of its data are made.
        files: Each photo once, in the order of the inputs.
        notices: Messages for the user about inputs that were left out.
    """

    name: str
    files: tuple[Path, ...]
    notices: tuple[str, ...] = ()


def is_photos(name: str, sequence: Fraction | None) -> bool:
    """Return whether an input is a photo, or a folder or pattern that is a set of photos."""
    if find_scheme(name) is not None:
        return False
    if is_folder_or_pattern(name):
        return sequence is None
    return kind_of(Path(name)) == "still"


def collect_photos(inputs: Sequence[str]) -> PhotoSet:
    """Return the photos that inputs name.

    Raises:
        SourceError: A folder or pattern has no photos.
    """
    files: dict[str, Path] = {}
    notices: list[str] = []
    duplicates = 0
    for name in inputs:
        listed_files: Iterable[Path] = (Path(name),)
        if is_folder_or_pattern(name):
            listing = list_photos(name)
            listed_files = listing.files
            notices += [listing.notice] if listing.notice else []
        for file in listed_files:
            path = os.path.realpath(file)
            duplicates += path in files
            files.setdefault(path, file)
    if duplicates:
        repeated = "1 photo was" if duplicates == 1 else f"{duplicates} photos were"
        notices.append(f"{repeated} given twice and exported once.")
    return PhotoSet(_name_of(inputs, tuple(files.values())), tuple(files.values()), tuple(notices))


def _name_of(inputs: Sequence[str], files: Sequence[Path]) -> str:
    if len(inputs) == 1:
        return result_stem(inputs[0])
    folders = {os.path.dirname(os.path.abspath(file)) for file in files}
    return (os.path.basename(folders.pop()) if len(folders) == 1 else "") or _NAME


def with_photos(request: "ExportRequest", inputs: Sequence[str] = (), suffix: str | None = None) -> "ExportRequest":
    """Return the request with its photos listed and named, or the same one if its source is not a set of photos.

    Args:
        request: Requested export. Its output is a folder for photos.
        inputs: Inputs that form one set. The request's own source if there are none.
        suffix: Suffix of the results. None keeps the suffix of each photo.

    Raises:
        UsageError: The output or another option needs a video.
        SourceError: There are no photos.
    """
    settings, names = request.settings, tuple(inputs) or (request.source,)
    if request.photos or not all(is_photos(name, settings.sequence) for name in names):
        return request
    is_single_file = len(names) == 1 and not is_folder_or_pattern(names[0])
    if is_single_file and (request.output is None or is_writable(request.output) or settings.alpha):
        return request  # a single image, which is written to a single file
    if suffix is not None and not suffix.startswith("."):
        suffix = f".{suffix}"
    if suffix is not None and suffix.lower() not in IMAGE_WRITER_SUFFIXES:
        raise UsageError(f"{suffix} is not an image format: use one of {', '.join(sorted(IMAGE_WRITER_SUFFIXES))}.")
    photo_set = collect_photos(names)
    check_photos(request, photo_set)
    pictures = [""] * len(photo_set.files)
    if request.output is not None and not settings.alpha:
        pictures = picture_names(photo_set.files, suffix)
    photos = tuple(Photo(file, name) for file, name in zip(photo_set.files, pictures, strict=True))
    source = request.source if len(names) == 1 else photo_set.name
    return replace(request, source=source, photos=photos, notices=(*request.notices, *photo_set.notices))


def check_photos(request: "ExportRequest", photos: PhotoSet) -> None:
    """Check that a request does not ask for something that only a video has.

    Raises:
        UsageError: It does.
    """
    settings, output = request.settings, request.output
    count = "1 photo" if len(photos.files) == 1 else f"a set of {len(photos.files)} photos"
    if output is not None and not os.path.isdir(output):
        if output.suffix.lower() in IMAGE_WRITER_SUFFIXES:
            raise UsageError(f"{photos.name} is {count}: choose a folder for the images, such as -o {output.stem}.")
        if is_writable(output) or (settings.alpha and output.suffix):
            raise UsageError(
                f"{photos.name} is {count}, not a video: choose a folder for the images, such as -o {output.stem}, or "
                f"add --sequence to make {output.name} from them."
            )
    refuse_range_of_photos(settings.start, settings.end)
    if settings.codec is not None:
        raise UsageError("Photos have no codec: leave out --codec, or add --sequence to make a video from them.")
    video_format = next((data_format for data_format, _ in request.data if find_format(data_format).needs_film), None)
    if video_format is not None:
        raise UsageError(f"{photos.name} is {count}, not a video: add --sequence for --data {video_format}.")


def picture_names(files: Sequence[Path], suffix: str | None = None) -> list[str]:
    """Return a name for the result of each photo, made from its own name. All differ."""
    suffixes = [picture_suffix(file, suffix) for file in files]
    return result_names([str(file) for file in files], suffixes, {})


def picture_suffix(file: Path, suffix: str | None = None) -> str:
    """Return the suffix of a photo's result: its own if it can be written."""
    if suffix is not None:
        return suffix
    return file.suffix if file.suffix.lower() in IMAGE_WRITER_SUFFIXES else PICTURE_SUFFIX


def open_photo_writer(request: "ExportRequest") -> PhotoWriter | None:
    """Return the writer of the results, not opened yet, or None if none are written."""
    if request.output is None or request.settings.alpha:
        return None
    names = {photo.file: photo.picture for photo in request.photos if photo.picture}
    return PhotoWriter(request.output, names, request.settings.quality, request.settings.overwrite)
