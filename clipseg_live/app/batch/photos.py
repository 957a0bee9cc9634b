"""Remaining work on a set of photos: pictures and data that no earlier run of the batch has finished."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from clipseg_live.app.batch.manifest import ManifestEntry, entry_of, is_left_over, judged, standing
from clipseg_live.app.export import ExportRequest


@dataclass(frozen=True, slots=True)
class PhotoPart:
    """Something that is remembered by itself: the picture of one photo, or masks and data of all.

    Attributes:
        request: An export of this part alone.
        entry: What is about to be made.
        held: What the record says of it.
        finished: True if it is finished; False if it must not be replaced; None if it is to be done.
        reason: Why it must not be replaced.
        before: Time of the last change of what stands there, before it is done.
    """

    request: ExportRequest
    entry: ManifestEntry
    held: ManifestEntry | None
    finished: bool | None
    reason: str
    before: int | None

    @property
    def name(self) -> str:
        return self.request.result.name

    @property
    def is_free(self) -> bool:
        """Tell if nothing stands there, or only what an interrupted run has left."""
        return not standing(self.request) or (self.held is not None and is_left_over(self.request, self.held))

    @property
    def is_written(self) -> bool:
        """Tell if it was written since the plan was made."""
        now = _changed(self.request.result)
        return now is not None and now != self.before


@dataclass(frozen=True, slots=True)
class PhotoPlan:
    """The parts of a set, and the export of those that are to be done.

    Attributes:
        request: The export; None if nothing is to be done.
        problems: Parts that must not be replaced, one sentence each.
    """

    request: ExportRequest | None
    parts: tuple[PhotoPart, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(part.reason for part in self.parts if part.finished is False)

    def finished_before(self) -> dict[str, ManifestEntry | None]:
        """Return entries of what a killed run had finished without noting it."""
        return {
            part.name: part.entry.finished(part.request)
            for part in self.parts
            if part.finished and part.held is not None and part.held.is_begun
        }

    def begun(self) -> dict[str, ManifestEntry | None]:
        """Return entries of what is about to be done. Pictures and data appear whole, so what stands there later is
        of this run."""
        return {part.name: part.entry.begun(part.request) for part in self._waiting() if part.is_free}

    def ended(self, whole: bool) -> dict[str, ManifestEntry | None]:
        """Return the entries after a run; None for what was not done. whole: the run has finished its data."""
        found: dict[str, ManifestEntry | None] = {}
        for part in self._waiting():
            is_data = part.request.photos != ()
            if whole if is_data else part.is_written:
                found[part.name] = part.entry.finished(part.request)
            elif not standing(part.request):
                found[part.name] = None
        return found

    def _waiting(self) -> list[PhotoPart]:
        return [part for part in self.parts if part.finished is None]


def plan_photos(request: ExportRequest, model_digest: str, held: Mapping[str, ManifestEntry]) -> PhotoPlan:
    """Find out what is left to do of a set of photos.

    Args:
        request: The export of the whole set.
        model_digest: Digest of the model.
        held: What earlier runs remember, by the names of results.
    """
    parts = []
    for each in _parts_of(request):
        try:
            entry = entry_of(each, model_digest)
        except OSError:  # the photo has vanished, which the export itself reports
            entry = ManifestEntry(digest="", path=each.source, identity=())
        known = held.get(each.result.name)
        finished, reason = judged(each, entry, known)
        is_foreign = standing(each) and not (known is not None and is_left_over(each, known))
        if finished is None and is_foreign and not request.settings.overwrite:
            finished, reason = False, f"{each.result} exists already: use --overwrite to replace it."
        parts.append(PhotoPart(each, entry, known, finished, reason, _changed(each.result)))
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
