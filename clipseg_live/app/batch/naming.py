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
class Held:
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
        sources = _one_by_one(name, notices)
        for source in sources:
            path = source if find_scheme(source) is not None else os.path.realpath(source)
            if path in names:
                notices.append(f"{source} is named twice and done once.")
            else:
                names[path] = source
    return NamedSources(tuple(names.values()), tuple(dict.fromkeys(notices)))


def _one_by_one(name: str, notices: list[str]) -> list[str]:
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
        what = "1 picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
        notices.append(f"{name} holds videos, so its {what} were left out: name them by themselves.")
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


def result_names(sources: Sequence[str], ends: Sequence[str], held: dict[str, Held]) -> list[str]:
    """Return the file names of the results, in the order of the sources. All differ, also without regard to case.

    A source keeps its name of an earlier run, and no other source takes it. Sources of one stem get their folder's name
    before it, their suffix after it, or both, until they differ. A number is the last choice.

    Args:
        sources: Names of the sources.
        ends: Suffix of each result.
        held: Sources of earlier runs, by their file names.
    """
    taken = {_folded(name) for name in held}
    names = _held_names(sources, ends, held)
    numbers: defaultdict[tuple[str, str], Iterator[int]] = defaultdict(lambda: count(2))  # not tried yet
    groups: dict[str, list[int]] = {}
    for number, source in enumerate(sources):
        if number not in names:
            groups.setdefault(_folded(result_stem(source) + ends[number]), []).append(number)
    for group in groups.values():
        members = [(sources[number], ends[number]) for number in group]
        for number, stem in zip(group, _told_apart(members, taken), strict=True):
            end = ends[number]
            name = stem + end
            while _folded(name) in taken:
                name = f"{stem}-{next(numbers[stem, end])}{end}"
            taken.add(_folded(name))
            names[number] = name
    return [names[number] for number in range(len(sources))]


def _held_names(sources: Sequence[str], ends: Sequence[str], held: dict[str, Held]) -> dict[int, str]:
    """Return the names of earlier runs by the index of their source, matched by path or else by content."""
    by_path = {(one.path, Path(name).suffix): name for name, one in reversed(held.items())}
    moved = {
        (one.identity, Path(name).suffix): name
        for name, one in reversed(held.items())
        if one.identity and not os.path.exists(one.path)
    }
    names: dict[int, str] = {}
    given: set[str] = set()
    for number, (source, end) in enumerate(zip(sources, ends, strict=True)):
        name = by_path.get((absolute(source), end))
        if name is None and moved:
            try:
                name = moved.get((identity_of(source), end))
            except (OSError, SourceError):
                continue
        if name is not None and name not in given:
            names[number] = name
            given.add(name)
    return names


def _told_apart(sources: Sequence[tuple[str, str]], taken: set[str]) -> list[str]:
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
        whole = [_folded(stem + end) for stem, (_, end) in zip(stems, sources, strict=True)]
        if len(set(whole)) == len(whole) and not taken.intersection(whole):
            return stems
    return [result_stem(name) for name, _ in sources]


def _folded(name: str) -> str:
    """Return a form of a name that is equal for names that count as the same.

    Case does not count, nor do full stops, because folders next to a result have none.
    """
    return unicodedata.normalize("NFC", name).casefold().replace(".", "-")


def refuse_folder_of_inputs(inputs: Sequence[str], sources: Sequence[str], into: Path, names: Sequence[str]) -> None:
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
            raise UsageError(f"{name} would find the results of this run next time: name another folder for --into.")
    paths = {absolute(source) for source in sources}
    for name in names:
        if os.path.realpath(into / name) in paths:
            raise UsageError(f"{into / name} is an input itself: name another folder for --into.")
