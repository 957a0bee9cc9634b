"""Plan of a batch: the sources that inputs name, and the paths of their results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clipseg_live.app.batch.manifest import Manifest
from clipseg_live.app.batch.naming import (
    TRANSPARENT_SUFFIX,
    VIDEO_SUFFIX,
    PreviousSource,
    check_result_folder,
    result_names,
    sources_of,
    suffix_of,
)
from clipseg_live.app.batch.photo_sets import Photo, PhotoSet, check_photos, collect_photos, is_photos, picture_suffix
from clipseg_live.app.export import ExportRequest, check_settings
from clipseg_live.core.errors import SinkError, SourceError, UsageError
from clipseg_live.core.settings.base import DataFormat
from clipseg_live.core.settings.data_formats import FormatSpec, find_format, transparent_formats
from clipseg_live.core.settings.export_choices import MaskKind
from clipseg_live.core.settings.rendering import ExportSettings
from clipseg_live.core.system.paths import is_folder_or_pattern
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.registry import open_transparent_sink
from clipseg_live.media.images.writers import IMAGE_WRITER_SUFFIXES, open_sink
from clipseg_live.media.sources.registry import list_images


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
        raise UsageError(f"--jobs must be 1 or more, not {jobs}.")
    if suffix is not None and not suffix.startswith("."):
        suffix = f".{suffix}"
    check_settings(replace(template, data=tuple((data_format, into) for data_format in data)))
    named_sources = sources_of(inputs)
    _create_folder(into)
    manifest = Manifest(into)
    manifest.load()
    exports, notices = _plan_exports(
        named_sources.names, into, template, suffix, masks, data, manifest.previous_sources()
    )
    check_result_folder(inputs, [*named_sources.names, *_files(exports)], into, _names(exports))
    return BatchRequest(exports, into, jobs, (*named_sources.notices, *notices, *manifest.notices))


def _plan_exports(
    sources: Sequence[str],
    into: Path,
    template: ExportRequest,
    suffix: str | None,
    masks: MaskKind | None,
    data: Sequence[DataFormat],
    previous: dict[str, PreviousSource],
) -> tuple[tuple[ExportRequest, ...], tuple[str, ...]]:
    """Return one export for each source that is not a photo, and one for all photos in the position of the first."""
    settings = template.settings
    photos = [name for name in sources if is_photos(name, settings.sequence) and _has_images(name)]
    if settings.sequence is not None and any(not is_folder_or_pattern(name) for name in photos):
        raise UsageError('--sequence needs a folder or a quoted pattern ("shots/*.png"), not single images.')
    photo_names = set(photos)
    others = [name for name in sources if name not in photo_names]
    photo_set = collect_photos(photos) if photos else PhotoSet("", ())
    photo_suffix = suffix if suffix is not None and suffix.lower() in IMAGE_WRITER_SUFFIXES else None
    if suffix is not None and photo_suffix is None and not others:
        raise UsageError(
            f"Photos cannot be written as {suffix}: leave out --suffix, or add --sequence to make a video from them."
        )
    video_suffix = None if photo_suffix is not None and photos else suffix
    if settings.alpha and video_suffix is None:
        video_suffix = TRANSPARENT_SUFFIX
    if others:  # one error for all, instead of one for each
        _check_suffix(into / f".clipseg-live{video_suffix or VIDEO_SUFFIX}", settings)
    pictures = [] if settings.alpha else [str(file) for file in photo_set.files]
    photo_suffixes = [picture_suffix(Path(name), photo_suffix) for name in pictures]
    names = result_names(
        [*others, *pictures], [*(suffix_of(name, video_suffix) for name in others), *photo_suffixes], previous
    )  # fmt: skip
    exports = {
        source: replace(
            template,
            source=source,
            output=into / name,
            masks=_masks_path(into / name, masks),
            data=tuple((data_format, _data_path(into / name, find_format(data_format))) for data_format in data),
        )
        for source, name in zip(others, names, strict=False)
    }
    if photos:
        result_photos = names[len(others) :] or [""] * len(photo_set.files)
        stem = into / photo_set.name
        photo_request = replace(
            template,
            source=photos[0] if len(photos) == 1 else photo_set.name,
            output=_data_path(stem, transparent_formats()[""]) if settings.alpha else into,
            masks=_masks_path(stem, masks),
            data=tuple((data_format, _data_path(stem, find_format(data_format))) for data_format in data),
            photos=tuple(Photo(file, name) for file, name in zip(photo_set.files, result_photos, strict=True)),
        )
        check_photos(photo_request, photo_set)
        exports[photos[0]] = photo_request
    ordered = tuple(exports[source] for source in sources if source in exports)
    return ordered, photo_set.notices


def _has_images(name: str) -> bool:
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


def _create_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UsageError(f"{folder} is a file: choose a folder for --into.") from error
    except OSError as error:
        raise SinkError(f"The folder {folder} cannot be created: {error.strerror or error}.") from error


def _masks_path(output: Path, kind: MaskKind | None) -> Path | None:
    if kind is None:
        return None
    if kind == "jsonl":
        return output.with_name(f"{output.name}.jsonl")
    return output.with_name(f"{output.name.replace('.', '-')}-masks")  # a folder's name has no suffix


def _data_path(output: Path, spec: FormatSpec) -> Path:
    stem = output.name.replace(".", "-")
    return output.with_name(spec.file_name.replace(" ", "-").replace("{}", stem))
