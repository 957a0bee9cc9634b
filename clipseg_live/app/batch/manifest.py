"""Manifest of a folder of results: the settings of each result, so that an interrupted batch can continue."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from clipseg_live._version import __version__
from clipseg_live.app.batch.naming import PreviousSource, absolute, identity_of, stamp_of
from clipseg_live.app.export import ExportRequest
from clipseg_live.core.errors import Failure
from clipseg_live.core.settings.base import Frozen
from clipseg_live.core.system.files import replace_file, set_aside
from clipseg_live.media.atomic_output import is_litter

NAME = ".clipseg-live-export.json"
MANIFEST_FORMAT = "clipseg-live export"
_VERSION = 1
_LARGEST = 64 << 20

FileSize = tuple[int, int]
"""Number of files, and their total size in bytes."""


class ManifestEntry(Frozen):
    """One result.

    Attributes:
        digest: Digest of everything that the result was made from.
        path: Path of its source.
        identity: Identity of its source.
        files: Size of each written file, by name. None from the start of the export, if no file existed, to its end.
    """

    digest: str
    path: str
    identity: tuple[tuple[str, int, int], ...]
    files: dict[str, FileSize | None] = Field(default_factory=dict)

    @property
    def is_unfinished(self) -> bool:
        """Return whether the export was started but not completed."""
        return None in self.files.values()

    def started(self, request: ExportRequest) -> "ManifestEntry":
        """Return the entry of an export that starts."""
        return self.model_copy(update={"files": {path.name: None for path in output_paths(request)}})

    def finished(self, request: ExportRequest) -> "ManifestEntry":
        """Return the entry of a completed export."""
        return self.model_copy(update={"files": output_sizes(request) or {}})


class _Content(Frozen):
    format: str = MANIFEST_FORMAT
    version: int = _VERSION
    results: dict[str, ManifestEntry] = Field(default_factory=dict)


class Manifest:
    """The results of a folder by file name, stored in a hidden file in it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.notices: list[str] = []
        self.entries: dict[str, ManifestEntry] = {}

    def load(self) -> None:
        """Read the entries of earlier runs. A damaged file is renamed, and a notice reports it.

        Raises:
            Failure: The file cannot be read, or a newer version wrote it.
        """
        try:
            if self.path.stat().st_size > _LARGEST:
                raise ValueError("too large")
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or content.get("format") != MANIFEST_FORMAT:
                raise ValueError("another format")
            version = content.get("version")
            if isinstance(version, int) and version > _VERSION:
                raise Failure(
                    f"{self.path} was written by a newer version of clipseg-live: update it, or choose another folder."
                )
            self.entries = dict(_Content.model_validate_json(json.dumps(content)).results)
        except FileNotFoundError:
            return
        except OSError as error:
            raise Failure(f"{self.path} cannot be read: {error.strerror or error}.") from error
        except (ValueError, ValidationError, RecursionError):
            self._set_aside()

    def previous_sources(self) -> dict[str, PreviousSource]:
        """Return the source of each file name."""
        return {name: PreviousSource(entry.path, entry.identity) for name, entry in self.entries.items()}

    def store(self, changes: Mapping[str, ManifestEntry | None]) -> None:
        """Save entries, or remove those that are None. Entries that another run has added are kept.

        Raises:
            Failure: The file cannot be written.
        """
        if not changes:
            return
        stored = Manifest(self.path.parent)
        try:
            stored.load()
        except Failure:
            stored.entries = {}
        self.notices += stored.notices
        self.entries = {**self.entries, **stored.entries}
        for name, entry in changes.items():
            if entry is None:
                self.entries.pop(name, None)
            else:
                self.entries[name] = entry
        self._save()

    def _save(self) -> None:
        text = _Content(results=self.entries).model_dump_json(indent=1)
        try:
            replace_file(self.path, text)
        except OSError as error:
            raise Failure(
                f"{self.path} could not be written ({error.strerror or error}), so the next run will not recognise the "
                "finished results."
            ) from error

    def _set_aside(self) -> None:
        try:
            aside = set_aside(self.path)
        except OSError as error:
            raise Failure(f"{self.path} is damaged and cannot be renamed ({error.strerror}): delete it.") from error
        self.notices.append(
            f"{self.path} was damaged and was renamed to {aside.name}, so results of earlier runs are not recognised."
        )


def entry_of(request: ExportRequest, model_digest: str) -> ManifestEntry:
    """Return the entry of a requested export.

    Args:
        request: Requested export.
        model_digest: Digest of the model.

    Raises:
        OSError: The source does not exist.
        SourceError: The source has no images.
    """
    if request.photos:
        identity = tuple(_identity(photo.file) or (photo.file.name, 0, 0) for photo in request.photos)
        path = request.source
    else:
        identity, path = identity_of(request.source), absolute(request.source)
    return ManifestEntry(digest=_digest(request, identity, model_digest), path=path, identity=identity)


def decide(request: ExportRequest, entry: ManifestEntry, previous: ManifestEntry | None) -> tuple[bool | None, str]:
    """Decide whether an export must run, from the entry of an earlier run.

    Args:
        request: Requested export.
        entry: Its entry.
        previous: Entry of an earlier run.

    Returns:
        True if the export is finished, False and the reason if its result must not be replaced, None if it must run.
    """
    if previous is None or request.result.name not in existing_outputs(request):
        return None, ""  # the export itself reports files that no run has made
    sizes = output_sizes(request)
    if previous.digest == entry.digest and sizes is not None and (previous.is_unfinished or previous.files == sizes):
        return True, ""
    if request.settings.overwrite:
        return None, ""
    problem = "was made with other settings or from another input"
    if previous.digest == entry.digest:
        problem = "has changed since it was made, or some of its files are missing"
    return False, f"{request.result} {problem}: use --overwrite to replace it, or another folder."


def existing_outputs(request: ExportRequest) -> set[str]:
    """Return the names of the outputs that exist already."""
    return {path.name for path in output_paths(request) if os.path.lexists(path)}


def is_interrupted(request: ExportRequest, previous: ManifestEntry) -> bool:
    """Return whether all existing outputs are of an export that was interrupted while it renamed its files.

    The result itself is renamed last.
    """
    names = existing_outputs(request)
    return previous.is_unfinished and request.result.name not in names and names <= previous.files.keys()


def _digest(request: ExportRequest, identity: Sequence[tuple[str, int, int]], model_digest: str) -> str:
    """Return a digest of everything that shapes the result.

    The locations of files, ``overwrite`` and ``keep_partial`` do not count.
    """
    settings = request.settings.model_dump(mode="json", exclude={"overwrite", "keep_partial"})
    settings["engine"]["model"] = model_digest  # a model has several names, and a folder may have changed
    inputs = {"source": identity, "prompts": [(prompt.key, prompt.label) for prompt in request.prompts]}
    files = [getattr(effect, "file", None) for effect in request.settings.render.effects]
    content = {
        "version": __version__,
        "settings": settings,
        "effects": [None if file is None else _identity(file) for file in files],
        "framing": request.framing.model_dump(mode="json"),
        "written": sorted(_kind(path) for path in output_paths(request)),
        "data": [data_format for data_format, _ in request.data],
        **inputs,
    }
    handled_fields = {"source", "output", "prompts", "settings", "masks", "framing", "data", "photos", "notices"}
    for field in dataclasses.fields(request):
        if field.name not in handled_fields:
            content[field.name] = repr(getattr(request, field.name))
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _identity(file: Path) -> tuple[str, int, int] | None:
    try:
        return stamp_of(file)
    except OSError:
        return None


def _kind(path: Path) -> str:
    return path.suffix.lower()


def output_paths(request: ExportRequest) -> list[Path]:
    """Return the files and folders that an export writes."""
    return list(request.outputs)


def output_sizes(request: ExportRequest) -> dict[str, FileSize] | None:
    """Return the number and size of the files of each output by name, or None if an output is missing."""
    sizes: dict[str, Any] = {}
    data = [path for _, path in request.data]
    try:
        for path in output_paths(request):
            if path in data and not os.path.lexists(path):
                sizes[path.name] = 0, 0  # there were no data to write
                continue
            entries = (file for file in path.rglob("*") if file.is_file() and not is_litter(file))
            files = [path] if path.is_file() else list(entries)
            if not files:
                return None
            sizes[path.name] = (len(files), sum(file.stat().st_size for file in files))
    except OSError:
        return None
    return sizes
