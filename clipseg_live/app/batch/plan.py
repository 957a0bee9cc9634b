"""Plan of a batch: the sources that inputs name, and the paths of their results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from clipseg_live.app.batch.manifest import Manifest
from clipseg_live.app.batch.naming import (
    TRANSPARENT_SUFFIX,
    VIDEO_SUFFIX,
    Held,
    refuse_folder_of_inputs,
    result_names,
    sources_of,
    suffix_of,
)
from clipseg_live.app.batch.photo_sets import Photo, PhotoSet, check_photos, gather, is_photos, picture_suffix
from clipseg_live.app.export import ExportRequest, check_settings
from clipseg_live.core.errors import SinkError, SourceError, UsageError
from clipseg_live.core.settings.base import DataFormat
from clipseg_live.core.settings.data_formats import FormatSpec, find_format, transparent_formats
from clipseg_live.core.settings.rendering import ExportSettings
from clipseg_live.core.system.paths import is_folder_or_pattern
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.registry import open_transparent_sink
from clipseg_live.media.images.writers import IMAGE_WRITER_SUFFIXES, open_sink
from clipseg_live.media.sources.registry import list_images

MaskKind = Literal["jsonl", "png"]


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A requested batch of exports.

    Attributes:
        exports: Exports into the folder ``into``, with the same prompts and engine. All photos are one export.
        into: Folder of the results.
        jobs: Number of exports that run at the same time.
        notices: Messages for the user.
    """

    exports: tuple[ExportRequest, ...]
    into: Path
    jobs: int = 1
    notices: tuple[str, ...] = ()


def plan_batch(
    inputs: Sequence[str],
    into: Path,
    template: ExportRequest,
    *,
    suffix: str | None = None,
    masks: MaskKind | None = None,
    data: Sequence[DataFormat] = (),
    jobs: int = 1,
) -> BatchRequest:
    """Plan the exports of inputs. A missing folder is made.

    Args:
        inputs: Files, folders, patterns and demo scenes.
        into: Folder of the results.
        template: Export whose source and output are replaced. All photos are one export, with one set of data.
        suffix: Suffix of the results. None for ``.mp4`` (``.mov`` if they are transparent), and for photos their own.
        masks: Write JSON lines or a folder of PNG files next to each result.
        data: Write data in these formats next to each result.
        jobs: Number of exports that run at the same time.

    Raises:
        UsageError: The inputs or options are invalid.
        SinkError: The folder cannot be made.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} jobs are not possible: give 1 or more.")
    if suffix is not None and not suffix.startswith("."):
        suffix = f".{suffix}"
    check_settings(replace(template, data=tuple((form, into) for form in data)))
    named = sources_of(inputs)
    _make(into)
    record = Manifest(into)
    record.load()
    exports, notices = _planned(named.names, into, template, suffix, masks, data, record.held())
    refuse_folder_of_inputs(inputs, [*named.names, *_files(exports)], into, _names(exports))
    return BatchRequest(exports, into, jobs, (*named.notices, *notices, *record.notices))


def _planned(
    sources: Sequence[str],
    into: Path,
    template: ExportRequest,
    suffix: str | None,
    masks: MaskKind | None,
    data: Sequence[DataFormat],
    held: dict[str, Held],
) -> tuple[tuple[ExportRequest, ...], tuple[str, ...]]:
    """Return one export for each source that is not a photo, and one for all photos in the position of the first."""
    settings = template.settings
    photos = [name for name in sources if is_photos(name, settings.sequence) and _can_be_listed(name)]
    if settings.sequence is not None and any(not is_folder_or_pattern(name) for name in photos):
        raise UsageError('With --sequence, name a folder or a pattern in quotes ("shots/*.png"), not single pictures.')
    of_set = set(photos)
    others = [name for name in sources if name not in of_set]
    photo_set = gather(photos) if photos else PhotoSet("", ())
    of_photos = suffix if suffix is not None and suffix.lower() in IMAGE_WRITER_SUFFIXES else None
    if suffix is not None and of_photos is None and not others:
        raise UsageError(f"Photos cannot be {suffix}: leave out --suffix, or add --sequence to make a film of them.")
    of_others = None if of_photos is not None and photos else suffix
    if settings.alpha and of_others is None:
        of_others = TRANSPARENT_SUFFIX
    if others:  # one error for all, instead of one for each
        _check_suffix(into / f".clipseg-live{of_others or VIDEO_SUFFIX}", settings)
    pictures = [] if settings.alpha else [str(file) for file in photo_set.files]
    ends = [picture_suffix(Path(name), of_photos) for name in pictures]
    names = result_names(
        [*others, *pictures], [*(suffix_of(name, of_others) for name in others), *ends], held
    )  # fmt: skip
    exports = {
        source: replace(
            template,
            source=source,
            output=into / name,
            masks=_masks_beside(into / name, masks),
            data=tuple((form, _data_beside(into / name, find_format(form))) for form in data),
        )
        for source, name in zip(others, names, strict=False)
    }
    if photos:
        shown = names[len(others) :] or [""] * len(photo_set.files)
        stem = into / photo_set.name
        whole = replace(
            template,
            source=photos[0] if len(photos) == 1 else photo_set.name,
            output=_data_beside(stem, transparent_formats()[""]) if settings.alpha else into,
            masks=_masks_beside(stem, masks),
            data=tuple((form, _data_beside(stem, find_format(form))) for form in data),
            photos=tuple(Photo(file, name) for file, name in zip(photo_set.files, shown, strict=True)),
        )
        check_photos(whole, photo_set)
        exports[photos[0]] = whole
    ordered = tuple(exports[source] for source in sources if source in exports)
    return ordered, photo_set.notices


def _can_be_listed(name: str) -> bool:
    """Return whether a folder or pattern has photos. One without photos fails in its own export."""
    try:
        return bool(list_images(name))
    except SourceError:
        return False


def _check_suffix(example: Path, settings: ExportSettings) -> None:
    """Raise UsageError if no result can be written under this suffix."""
    if settings.alpha:
        open_transparent_sink(example, DataOptions(overwrite=True), settings.codec)
    else:
        open_sink(example, codec=settings.codec, overwrite=True)


def _files(exports: Sequence[ExportRequest]) -> list[str]:
    return [str(photo.file) for request in exports for photo in request.photos]


def _names(exports: Sequence[ExportRequest]) -> list[str]:
    """Names of all results in the folder."""
    return [
        name
        for request in exports
        for name in ([photo.picture for photo in request.photos if photo.picture] or [request.result.name])
    ]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UsageError(f"{folder} is a file: name a folder for --into.") from error
    except OSError as error:
        raise SinkError(f"The folder {folder} cannot be made: {error.strerror or error}.") from error


def _masks_beside(output: Path, kind: MaskKind | None) -> Path | None:
    if kind is None:
        return None
    if kind == "jsonl":
        return output.with_name(f"{output.name}.jsonl")
    return output.with_name(f"{output.name.replace('.', '-')}-masks")  # a folder's name has no suffix


def _data_beside(output: Path, spec: FormatSpec) -> Path:
    stem = output.name.replace(".", "-")
    return output.with_name(spec.file_name.replace(" ", "-").replace("{}", stem))
