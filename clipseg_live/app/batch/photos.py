"""Remaining work on a set of photos: images and data that no earlier run of the batch has finished."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from clipseg_live.app.batch.manifest import ManifestEntry, decide, entry_of, existing_outputs, is_interrupted
from clipseg_live.app.export import ExportRequest


@dataclass(frozen=True, slots=True)
class PhotoPart:
    """A part of a set with its own manifest entry: the result of one photo, or masks and data of all photos.

    Attributes:
        request: Export of this part alone.
        entry: Entry for the export.
        previous: Entry of an earlier run in the manifest.
        finished: True if the part is finished, False if it must not be replaced, None if it must be exported.
        reason: Why it must not be replaced.
        modified_before: Time of the last change of the existing file, before the export.
    """

    request: ExportRequest
    entry: ManifestEntry
    previous: ManifestEntry | None
    finished: bool | None
    reason: str
    modified_before: int | None

    @property
    def name(self) -> str:
        """Return the file name of the result."""
        return self.request.result.name

    @property
    def is_free(self) -> bool:
        """Return whether no result exists, except for one of an interrupted run."""
        return not existing_outputs(self.request) or (
            self.previous is not None and is_interrupted(self.request, self.previous)
        )

    @property
    def is_written(self) -> bool:
        """Return whether the result was written since the plan was made."""
        modified = _modified_time(self.request.result)
        return modified is not None and modified != self.modified_before


@dataclass(frozen=True, slots=True)
class PhotoPlan:
    """The parts of a set, and the export of the remaining ones.

    Attributes:
        request: Export of the remaining parts, or None if there are none.
        parts: All parts.
    """

    request: ExportRequest | None
    parts: tuple[PhotoPart, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Return a message for each part that must not be replaced."""
        return tuple(part.reason for part in self.parts if part.finished is False)

    def recovered_entries(self) -> dict[str, ManifestEntry | None]:
        """Return entries of parts that a killed run had finished without recording it."""
        return {
            part.name: part.entry.finished(part.request)
            for part in self.parts
            if part.finished and part.previous is not None and part.previous.is_unfinished
        }

    def started_entries(self) -> dict[str, ManifestEntry | None]:
        """Return entries of parts that are about to be exported.

        Images and data are renamed into place when complete, so later files under these names belong to this run.
        """
        return {part.name: part.entry.started(part.request) for part in self._pending() if part.is_free}

    def entries_after_run(self, has_data: bool) -> dict[str, ManifestEntry | None]:
        """Return the entries after a run, or None for parts that were not exported.

        Args:
            has_data: The run has finished its data.
        """
        entries: dict[str, ManifestEntry | None] = {}
        for part in self._pending():
            is_data = part.request.photos != ()
            if has_data if is_data else part.is_written:
                entries[part.name] = part.entry.finished(part.request)
            elif not existing_outputs(part.request):
                entries[part.name] = None
        return entries

    def _pending(self) -> list[PhotoPart]:
        return [part for part in self.parts if part.finished is None]


def plan_photos(request: ExportRequest, model_digest: str, previous: Mapping[str, ManifestEntry]) -> PhotoPlan:
    """Find the remaining work on a set of photos.

    Args:
        request: Export of the whole set.
        model_digest: Digest of the model.
        previous: Entries of earlier runs, by the names of results.
    """
    parts = []
    for part_request in _parts_of(request):
        try:
            entry = entry_of(part_request, model_digest)
        except OSError:  # the photo is gone; the export itself reports it
            entry = ManifestEntry(digest="", path=part_request.source, identity=())
        entry_before = previous.get(part_request.result.name)
        finished, reason = decide(part_request, entry, entry_before)
        is_foreign = existing_outputs(part_request) and not (
            entry_before is not None and is_interrupted(part_request, entry_before)
        )
        if finished is None and is_foreign and not request.settings.overwrite:
            finished, reason = False, f"{part_request.result} exists already: use --overwrite to replace it."
        parts.append(
            PhotoPart(part_request, entry, entry_before, finished, reason, _modified_time(part_request.result))
        )
    pending = [part for part in parts if part.finished is None]
    if not pending:
        return PhotoPlan(None, tuple(parts))
    pending_sources = {part.request.source for part in pending if not part.request.photos}
    photos = tuple(
        photo if str(photo.file) in pending_sources else replace(photo, picture="") for photo in request.photos
    )
    reduced = request
    data = next((part for part in parts if part.request.photos), None)
    if data is None or data.finished is not None:
        photos = tuple(photo for photo in photos if photo.picture)
        reduced = replace(request, masks=None, data=())
    interrupted = [
        part for part in pending if part.previous is not None and is_interrupted(part.request, part.previous)
    ]
    settings = request.settings.model_copy(update={"overwrite": True}) if interrupted else request.settings
    output = request.output if request.settings.alpha or any(photo.picture for photo in photos) else None
    return PhotoPlan(replace(reduced, photos=photos, output=output, settings=settings), tuple(parts))


def _parts_of(request: ExportRequest) -> list[ExportRequest]:
    output = request.output
    pictures = [
        replace(request, source=str(photo.file), output=output / photo.picture, photos=(), masks=None, data=())
        for photo in request.photos
        if photo.picture and output is not None
    ]
    shared_request = replace(request, output=output if request.settings.alpha else None)
    return [*pictures, shared_request] if shared_request.outputs else pictures


def _modified_time(path: Path) -> int | None:
    try:
        return os.lstat(path).st_mtime_ns
    except OSError:
        return None
