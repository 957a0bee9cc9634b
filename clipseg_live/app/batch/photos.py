"""Remaining work on a set of photos: images and data that no earlier run of the batch has finished."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from clipseg_live.app.batch.manifest import ManifestEntry, entry_of, is_left_over, judged, standing
from clipseg_live.app.export import ExportRequest


@dataclass(frozen=True, slots=True)
class PhotoPart:
    """A part of a set with its own manifest entry: the result of one photo, or masks and data of all photos.

    Attributes:
        request: Export of this part alone.
        entry: Entry for the export.
        held: Entry of an earlier run in the manifest.
        finished: True if the part is finished, False if it must not be replaced, None if it must be exported.
        reason: Why it must not be replaced.
        before: Time of the last change of the existing file, before the export.
    """

    request: ExportRequest
    entry: ManifestEntry
    held: ManifestEntry | None
    finished: bool | None
    reason: str
    before: int | None

    @property
    def name(self) -> str:
        """Return the file name of the result."""
        return self.request.result.name

    @property
    def is_free(self) -> bool:
        """Return whether no result exists, except for one of an interrupted run."""
        return not standing(self.request) or (self.held is not None and is_left_over(self.request, self.held))

    @property
    def is_written(self) -> bool:
        """Return whether the result was written since the plan was made."""
        now = _changed(self.request.result)
        return now is not None and now != self.before


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

    def finished_before(self) -> dict[str, ManifestEntry | None]:
        """Return entries of parts that a killed run had finished without recording it."""
        return {
            part.name: part.entry.finished(part.request)
            for part in self.parts
            if part.finished and part.held is not None and part.held.is_begun
        }

    def begun(self) -> dict[str, ManifestEntry | None]:
        """Return entries of parts that are about to be exported.

        Images and data are renamed into place when complete, so later files under these names belong to this run.
        """
        return {part.name: part.entry.begun(part.request) for part in self._waiting() if part.is_free}

    def ended(self, whole: bool) -> dict[str, ManifestEntry | None]:
        """Return the entries after a run, or None for parts that were not exported.

        Args:
            whole: The run has finished its data.
        """
        entries: dict[str, ManifestEntry | None] = {}
        for part in self._waiting():
            is_data = part.request.photos != ()
            if whole if is_data else part.is_written:
                entries[part.name] = part.entry.finished(part.request)
            elif not standing(part.request):
                entries[part.name] = None
        return entries

    def _waiting(self) -> list[PhotoPart]:
        return [part for part in self.parts if part.finished is None]


def plan_photos(request: ExportRequest, model_digest: str, held: Mapping[str, ManifestEntry]) -> PhotoPlan:
    """Find the remaining work on a set of photos.

    Args:
        request: Export of the whole set.
        model_digest: Digest of the model.
        held: Entries of earlier runs, by the names of results.
    """
    parts = []
    for part_request in _parts_of(request):
        try:
            entry = entry_of(part_request, model_digest)
        except OSError:  # the photo is gone; the export itself reports it
            entry = ManifestEntry(digest="", path=part_request.source, identity=())
        known = held.get(part_request.result.name)
        finished, reason = judged(part_request, entry, known)
        is_foreign = standing(part_request) and not (known is not None and is_left_over(part_request, known))
        if finished is None and is_foreign and not request.settings.overwrite:
            finished, reason = False, f"{part_request.result} exists already: use --overwrite to replace it."
        parts.append(PhotoPart(part_request, entry, known, finished, reason, _changed(part_request.result)))
    waiting = [part for part in parts if part.finished is None]
    if not waiting:
        return PhotoPlan(None, tuple(parts))
    wanted = {part.request.source for part in waiting if not part.request.photos}
    photos = tuple(photo if str(photo.file) in wanted else replace(photo, picture="") for photo in request.photos)
    reduced = request
    data = next((part for part in parts if part.request.photos), None)
    if data is None or data.finished is not None:
        photos = tuple(photo for photo in photos if photo.picture)
        reduced = replace(request, masks=None, data=())
    left_over = [part for part in waiting if part.held is not None and is_left_over(part.request, part.held)]
    settings = request.settings.model_copy(update={"overwrite": True}) if left_over else request.settings
    output = request.output if request.settings.alpha or any(photo.picture for photo in photos) else None
    return PhotoPlan(replace(reduced, photos=photos, output=output, settings=settings), tuple(parts))


def _parts_of(request: ExportRequest) -> list[ExportRequest]:
    output = request.output
    pictures = [
        replace(request, source=str(photo.file), output=output / photo.picture, photos=(), masks=None, data=())
        for photo in request.photos
        if photo.picture and output is not None
    ]
    of_all = replace(request, output=output if request.settings.alpha else None)
    return [*pictures, of_all] if of_all.outputs else pictures


def _changed(path: Path) -> int | None:
    try:
        return os.lstat(path).st_mtime_ns
    except OSError:
        return None
