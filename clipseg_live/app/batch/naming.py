"""Sources of a batch, and the file names of their results."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.settings.source_schemes import find_scheme
from clipseg_live.core.system.paths import is_pattern, searches
from clipseg_live.media.images.animations import kind_of
from clipseg_live.media.sources.registry import list_images, list_videos

VIDEO_SUFFIX, PICTURE_SUFFIX, TRANSPARENT_SUFFIX = ".mp4", ".png", ".mov"
"""Default suffixes of results: of videos, single images and transparent results."""


@dataclass(frozen=True, slots=True)
class NamedSources:
    """The sources that inputs name, each once.

    Attributes:
        names: Names of the sources.
        notices: Messages about inputs that were left out.
    """

    names: tuple[str, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PreviousSource:
    """The source of a file name in an earlier run: its absolute path and its identity."""

    path: str
    identity: tuple[tuple[str, int, int], ...]


def sources_of(inputs: Sequence[str]) -> NamedSources:
    """Return the sources that inputs name, each once.

    A folder or pattern with videos gives each of its videos. One with only images is a single source. An input that
    names nothing is kept, and its export fails.
    """
    names: dict[str, str] = {}
    notices: list[str] = []
    for name in inputs:
        sources = _expand(name, notices)
        for source in sources:
            path = source if find_scheme(source) is not None else os.path.realpath(source)
            if path in names:
                notices.append(f"{source} is given twice and was exported once.")
            else:
                names[path] = source
    return NamedSources(tuple(names.values()), tuple(dict.fromkeys(notices)))


def _expand(name: str, notices: list[str]) -> list[str]:
    if find_scheme(name) is not None or not (os.path.isdir(name) or is_pattern(name)):
        return [name]
    try:
        videos = list_videos(name)
    except SourceError:
        return [name]
    if not videos:
        return [name]
    try:
        pictures = list_images(name)
    except SourceError:
        pictures = []
    if pictures:
        skipped = "1 image was" if len(pictures) == 1 else f"{len(pictures)} images were"
        notices.append(f"{name} contains videos, so {skipped} skipped: give the images as separate inputs.")
    return [str(video) for video in videos]


def identity_of(name: str) -> tuple[tuple[str, int, int], ...]:
    """Return the name, size in bytes and time of the last change (nanoseconds) of every file that a source reads.

    Raises:
        SourceError: A folder or pattern has no images.
        OSError: A file does not exist.
    """
    if find_scheme(name) is not None:
        return ((name, 0, 0),)
    return tuple(map(stamp_of, list_images(name)))


def stamp_of(file: Path) -> tuple[str, int, int]:
    """Return the name, size in bytes and time of the last change (nanoseconds) of a file.

    Raises:
        OSError: The file does not exist.
    """
    status = file.stat()
    return file.name, status.st_size, status.st_mtime_ns


def absolute(name: str) -> str:
    """Return the absolute path of a source, with links resolved."""
    return name if find_scheme(name) is not None else os.path.realpath(name)


def result_stem(name: str) -> str:
    """Return the name of a source without its suffix, or of a pattern without its wildcards."""
    if (scheme := find_scheme(name)) is not None:
        rest = re.sub(r'[\\/:*?"<>|]+', "-", name.removeprefix(f"{scheme.name}:"))
        return "-".join(part for part in (scheme.name, rest) if part)
    path = Path(os.path.abspath(name))
    if os.path.isdir(path):
        return path.name or "videos"
    if is_pattern(name):
        words = re.sub(r"%0?\d*d|\[[^\]]*\]|[*?]+", " ", path.stem)
        return re.sub(r"[\s_.-]+", "-", words).strip("-") or path.parent.name or "pictures"
    return path.stem


def suffix_of(name: str, suffix: str | None) -> str:
    """Return the suffix of a result, for a source that is not one of several photos."""
    if suffix is not None:
        return suffix
    if find_scheme(name) is not None or os.path.isdir(name) or is_pattern(name):
        return VIDEO_SUFFIX
    return PICTURE_SUFFIX if kind_of(Path(name)) == "still" else VIDEO_SUFFIX


def result_names(sources: Sequence[str], suffixes: Sequence[str], previous: dict[str, PreviousSource]) -> list[str]:
    """Return the file names of the results, in the order of the sources. All differ, also without regard to case.

    A source keeps its name of an earlier run, and no other source takes it. Sources of one stem get their folder's name
    before it, their suffix after it, or both, until they differ. A number is the last choice.

    Args:
        sources: Names of the sources.
        suffixes: Suffix of each result.
        previous: Sources of earlier runs, by their file names.
    """
    used_names = {_fold(name) for name in previous}
    names = _previous_names(sources, suffixes, previous)
    numbers: defaultdict[tuple[str, str], Iterator[int]] = defaultdict(lambda: count(2))  # not tried yet
    groups: dict[str, list[int]] = {}
    for number, source in enumerate(sources):
        if number not in names:
            groups.setdefault(_fold(result_stem(source) + suffixes[number]), []).append(number)
    for group in groups.values():
        members = [(sources[number], suffixes[number]) for number in group]
        for number, stem in zip(group, _distinct_stems(members, used_names), strict=True):
            suffix = suffixes[number]
            name = stem + suffix
            while _fold(name) in used_names:
                name = f"{stem}-{next(numbers[stem, suffix])}{suffix}"
            used_names.add(_fold(name))
            names[number] = name
    return [names[number] for number in range(len(sources))]


def _previous_names(
    sources: Sequence[str], suffixes: Sequence[str], previous: dict[str, PreviousSource]
) -> dict[int, str]:
    """Return the names of earlier runs by the index of their source, matched by path or else by content."""
    by_path = {(source_info.path, Path(name).suffix): name for name, source_info in reversed(previous.items())}
    by_identity = {
        (source_info.identity, Path(name).suffix): name
        for name, source_info in reversed(previous.items())
        if source_info.identity and not os.path.exists(source_info.path)
    }
    names: dict[int, str] = {}
    assigned: set[str] = set()
    for number, (source, suffix) in enumerate(zip(sources, suffixes, strict=True)):
        name = by_path.get((absolute(source), suffix))
        if name is None and by_identity:
            try:
                name = by_identity.get((identity_of(source), suffix))
            except (OSError, SourceError):
                continue
        if name is not None and name not in assigned:
            names[number] = name
            assigned.add(name)
    return names


def _distinct_stems(sources: Sequence[tuple[str, str]], used_names: set[str]) -> list[str]:
    """Return a stem for each source, by the first scheme in which all differ, or else by the plainest."""

    def folder(name: str) -> str:
        return "" if find_scheme(name) is not None else Path(os.path.abspath(name)).parent.name

    def kind(name: str) -> str:
        return "" if find_scheme(name) is not None else Path(name).suffix.lstrip(".")

    schemes: tuple[Callable[[str], tuple[str, ...]], ...] = (
        lambda name: (result_stem(name),),
        lambda name: (folder(name), result_stem(name)),
        lambda name: (result_stem(name), kind(name)),
        lambda name: (folder(name), result_stem(name), kind(name)),
    )
    for scheme in schemes:
        stems = ["-".join(part for part in scheme(name) if part) for name, _ in sources]
        folded_names = [_fold(stem + suffix) for stem, (_, suffix) in zip(stems, sources, strict=True)]
        if len(set(folded_names)) == len(folded_names) and not used_names.intersection(folded_names):
            return stems
    return [result_stem(name) for name, _ in sources]


def _fold(name: str) -> str:
    """Return a form of a name that is equal for names that count as the same.

    Case does not count, nor do full stops, because folders next to a result have none.
    """
    return unicodedata.normalize("NFC", name).casefold().replace(".", "-")


def check_result_folder(inputs: Sequence[str], sources: Sequence[str], into: Path, names: Sequence[str]) -> None:
    """Check that no result is an input, and that no input finds results in the next run.

    Args:
        inputs: Inputs as given.
        sources: Sources that they name.
        into: Folder of the results.
        names: File names of the results.

    Raises:
        UsageError: A result is an input, or a later run would read it as one.
    """
    for name in inputs:
        if find_scheme(name) is None and searches(name, into):
            raise UsageError(f"{name} would also match the results of this run: choose another folder for --into.")
    paths = {absolute(source) for source in sources}
    for name in names:
        if os.path.realpath(into / name) in paths:
            raise UsageError(f"{into / name} is also an input: choose another folder for --into.")
