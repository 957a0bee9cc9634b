"""What every folder of data has in common: it appears whole or not at all, and its lists are kept on the disk."""

import json
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TextIO

from clipseg_live.core.errors import SinkError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.exporters.datasets.categories import Categories
from clipseg_live.exporters.naming import FrameNames
from clipseg_live.media.atomic_output import AtomicOutput

OUTLINE = ".outline"
"""Hidden file in a folder that is being written: index, lists and head of its JSON file."""
_BLOCK = 1 << 16


class FolderSink(ABC):
    """A folder with something for each frame, and one JSON file that lists what is in it.

    path: the folder. notices: sentences for the person. ours: what may stand in such a folder, as a pattern of paths
    within it; a folder that holds anything else is never replaced, except for files that its own index lists (photos
    keep their names). index: the name of the JSON file, in the folder or in a folder in it.

    Lists grow with the length of a recording, so they are written beside as they come, and put into the JSON file at
    the end: memory does not grow. ``OUTLINE`` holds what else the JSON file needs, so that ``complete_folder`` can
    write it for a process that was killed.
    """

    ours: ClassVar[str]
    index: ClassVar[str] = "index.json"
    lists: ClassVar[tuple[str, ...]] = ("frames",)
    """The lists in the JSON file."""

    def __init__(
        self,
        folder: str | Path,
        header: Mapping[str, Any],
        labels: Sequence[Label] = (),
        overwrite: bool = False,
        live: bool = False,
    ) -> None:
        """live: see ``data_sinks``.

        Raises UsageError for a folder with anything in it (with ``overwrite``: anything but our own), SinkError for one
        that cannot be made.
        """
        self.path = Path(folder)
        self.notices: list[str] = []
        self.info: SourceInfo | None = None
        self._header = dict(header)
        self._first_labels = tuple(labels)
        self._categories = Categories(labels)
        self._live = live
        self._place = AtomicOutput(folder, overwrite, folder=True, ours=self.ours, visible=live, listed=self._listed_in)
        self._place.check()
        self._names = FrameNames()
        self._working: Path | None = None
        self._lists: dict[str, TextIO] = {}
        self._begun: set[str] = set()
        self._outlined = -1  # prompts in the outline
        self._whole: bool | None = None  # None until it was tried: lists are closed, and written, only once

    def open(self, info: SourceInfo) -> None:
        """Start the folder beside its place. Raises SinkError."""
        self.info = info
        self._categories = Categories(self._first_labels)
        self._names = FrameNames()
        self._working = self._place.begin()
        self._begun.clear()
        self._whole = None
        try:
            for name in self.lists:
                self._lists[name] = (self._working / f".{name}").open("w", encoding="utf-8")
            self._begin(info)
            self._outlined = -1
            self._outline()
        except OSError as error:
            raise write_error(self.path, error) from error

    def write(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        """Add a frame with its mattes, one for each label. Raises SinkError."""
        self._opened()
        fits(self.path, mattes, labels)
        try:
            self._add(frame, mattes, labels)
            self._outline()
            if self._live:
                for file in self._lists.values():
                    file.flush()
        except OSError as error:
            raise write_error(self.path, error) from error

    def finish(self) -> None:
        """Write the index and move the folder to its place. Raises SinkError."""
        self._complete()
        self._place.commit()
        self._working = None

    def abandon(self, keep_partial: bool = False) -> Path | None:
        """Stop: remove what was written, or keep it as ``FOLDER.partial``. Never raises.

        Where the disk has no room for the JSON file, its lists are kept instead, as ``frames.part`` and the like.
        """
        kept = None
        if self._working is not None and keep_partial:
            if self._whole is None:
                with suppress(SinkError):
                    self._complete()
            if not self._whole:
                self._keep_lists(self._working)
            kept = self._place.keep_partial()
        self._close()
        self._working = None
        self._place.discard()
        return kept

    @classmethod
    def listed(cls, index: Mapping[str, Any]) -> Iterator[str]:
        """Yield the paths, within the folder, of the files that its JSON file lists. May raise KeyError, TypeError."""
        for entry in index["frames"]:
            yield entry["file"]

    def _listed_in(self, folder: Path) -> set[str]:
        """Return the files that a folder of this kind lists; none if it has no usable index."""
        try:
            return set(self.listed(json.loads((folder / self.index).read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError):
            return set()

    @abstractmethod
    def _add(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        """Write what belongs to a frame. May raise OSError and SinkError."""

    @abstractmethod
    def _head(self) -> dict[str, Any]:
        """What stands in the JSON file before its lists."""

    def _begin(self, info: SourceInfo) -> None:  # noqa: B027 (most folders have nothing else to begin)
        """Prepare the folder, which is there and empty. May raise OSError and SinkError."""

    def _prompts_grew(self, first: int) -> None:  # noqa: B027
        """Write what lists the prompts; the first new one has this number, from 0. May raise OSError and SinkError."""

    def _end(self) -> None:  # noqa: B027
        """Complete what else is in the folder. May raise OSError and SinkError."""

    def _put(self, name: str, data: bytes) -> None:
        path = self._opened() / name
        try:
            path.write_bytes(data)
        except OSError:
            with suppress(OSError):
                path.unlink()  # half a file has no place in what is kept
            raise

    def _list(self, name: str, entry: Mapping[str, Any]) -> None:
        self._lists[name].write((",\n" if name in self._begun else "") + to_json(entry))
        self._begun.add(name)

    def _outline(self) -> None:
        """Keep the outline up to date: it changes only with the prompts."""
        known = len(self._categories.labels)
        if known == self._outlined:
            return
        self._prompts_grew(max(self._outlined, 0))
        outline = {"index": self.index, "lists": self.lists, "head": self._head()}
        fresh = self._opened() / f"{OUTLINE}.new"
        fresh.write_text(to_json(outline), encoding="utf-8")
        fresh.replace(self._opened() / OUTLINE)
        self._outlined = known

    def _complete(self) -> None:
        folder = self._opened()
        self._whole = False
        try:
            self._end()
            for file in self._lists.values():
                file.close()
            _write_index(folder, self.index, self._head(), self.lists)
        except OSError as error:
            raise write_error(self.path, error) from error
        self._whole = True

    def _keep_lists(self, folder: Path) -> None:
        self._close()
        with suppress(OSError):
            (folder / self.index).unlink(missing_ok=True)
        with suppress(OSError):
            (folder / OUTLINE).unlink(missing_ok=True)
        for name in self.lists:
            with suppress(OSError):
                (folder / f".{name}").rename(folder / f"{name}.part")

    def _close(self) -> None:
        for file in self._lists.values():
            with suppress(OSError):  # what is still to be written may have no room
                file.close()
        self._lists.clear()

    def _opened(self) -> Path:
        if self._working is None:
            raise SinkError(f"{self.path.name} is not open.")
        return self._working


def complete_folder(folder: Path) -> None:
    """Complete a folder whose process was killed: write its JSON file from the lists, as far as they are whole. Without
    a usable outline the lists are kept as ``frames.part`` and the like. Raises OSError."""
    try:
        outline = json.loads((folder / OUTLINE).read_text(encoding="utf-8"))
        index, head, names = str(outline["index"]), dict(outline["head"]), [str(name) for name in outline["lists"]]
    except (OSError, ValueError, KeyError, TypeError):
        for entry in folder.iterdir():
            if entry.name.startswith(".") and entry.is_file():
                entry.rename(entry.with_name(f"{entry.name[1:]}.part"))
        return
    for name in names:
        cut_to_whole_lines(folder / f".{Path(name).name}", b",")
    parts = Path(index).parts
    if Path(index).is_absolute() or ".." in parts:
        index = parts[-1]
    _write_index(folder, index, head, [Path(name).name for name in names])


def cut_to_whole_lines(path: Path, separator: bytes = b"") -> bool:
    """Take off a last line that broke off in a file of JSON lines; False if nothing is left.

    separator: what stands between lines, before each line break; it is cut off with what follows it.
    """
    with path.open("rb+") as file:
        end = _last_line_at(file)
        file.seek(end)
        try:
            json.loads(file.read() or separator)
        except ValueError:
            file.truncate(max(end - len(separator) - 1, 0) if separator else end)
        return file.seek(0, os.SEEK_END) > 0


def _last_line_at(file: BinaryIO) -> int:
    """Return where the last line begins: behind the last line break."""
    at = file.seek(0, os.SEEK_END)
    while at:
        start = max(at - _BLOCK, 0)
        file.seek(start)
        found = file.read(at - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def _write_index(folder: Path, index: str, head: Mapping[str, Any], lists: Sequence[str]) -> None:
    (folder / index).parent.mkdir(exist_ok=True)
    with (folder / index).open("w", encoding="utf-8", newline="\n") as file:
        file.write(to_json(head, indent=1)[:-2])
        for name in lists:
            file.write(f',\n "{name}": [\n')
            with (folder / f".{name}").open(encoding="utf-8") as entries:
                shutil.copyfileobj(entries, file)
            file.write("\n ]")
        file.write("\n}\n")
    for name in (*(f".{name}" for name in lists), OUTLINE):
        (folder / name).unlink(missing_ok=True)


def to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def slug(text: str) -> str:
    """A phrase as part of a file name: letters and digits of any script, joined by hyphens, at most 40."""
    return re.sub(r"[\W_]+", "-", text.casefold()).strip("-")[:40].strip("-") or "prompt"


def fits(path: Path, mattes: Mattes, labels: Sequence[Label]) -> None:
    """Raises SinkError where there is not one matte for each label."""
    if len(mattes.each) != len(labels):
        raise SinkError(f"{len(mattes.each)} mattes do not fit {path.name}: {len(labels)} prompts need one each.")


def write_error(path: Path, error: OSError) -> SinkError:
    return SinkError(f"{path} could not be written: {error.strerror or error}.")
