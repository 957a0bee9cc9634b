"""Base of folder exporters: the folder appears complete or not at all, and its lists are kept on disk."""

import json
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self, TextIO

from clipseg_live.core.errors import SinkError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.mattes import Label, Mattes
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.exporters.data_options import DataOptions
from clipseg_live.exporters.datasets.categories import Categories
from clipseg_live.exporters.naming import FrameNames
from clipseg_live.media.atomic_output import AtomicOutput

OUTLINE = ".outline"
"""Hidden file in an unfinished folder: index, lists and head of its JSON file."""
_BLOCK = 1 << 16


class FolderSink(ABC):
    """Folder with data for each frame, and one JSON file that lists its contents.

    Lists grow with the length of a recording. They are written to files of their own while frames arrive, and copied
    into the JSON file at the end, so memory does not grow. ``OUTLINE`` holds the rest of the JSON file, so that
    ``complete_folder`` can write it after the process was killed.

    Attributes:
        path: the folder.
        notices: messages for the user.
        ours: pattern of the paths that such a folder may contain. A folder that contains anything else is never
            replaced, except for files that its own index lists (photos keep their names).
        index: path of the JSON file within the folder.
    """

    ours: ClassVar[str]
    index: ClassVar[str] = "index.json"
    lists: ClassVar[tuple[str, ...]] = ("frames",)
    """Lists in the JSON file."""

    def __init__(
        self,
        folder: str | Path,
        header: Mapping[str, Any],
        labels: Sequence[Label] = (),
        overwrite: bool = False,
        live: bool = False,
    ) -> None:
        """Check the path.

        Args:
            folder: the folder.
            header: how the masks are made.
            labels: prompts that are listed even if they never appear.
            overwrite: replace an existing folder of the same kind.
            live: see ``DataOptions``.

        Raises:
            UsageError: if the folder is not empty; with ``overwrite``, if it contains foreign files.
            SinkError: if the folder cannot be created.
        """
        self.path = Path(folder)
        self.notices: list[str] = []
        self.info: SourceInfo | None = None
        self._header = dict(header)
        self._first_labels = tuple(labels)
        self._categories = Categories(labels)
        self._live = live
        self._output = AtomicOutput(
            folder, overwrite, folder=True, ours=self.ours, visible=live, listed=self._listed_in
        )
        self._output.check()
        self._names = FrameNames()
        self._working: Path | None = None
        self._lists: dict[str, TextIO] = {}
        self._started_lists: set[str] = set()
        self._outlined_prompts = -1  # number of prompts in the outline
        self._is_complete: bool | None = None  # None before the only attempt to write the index

    @classmethod
    def create(cls, path: Path, options: DataOptions) -> Self:
        """Return the exporter of a folder, not yet opened."""
        return cls(path, options.header, options.labels, options.overwrite, options.live)

    def open(self, info: SourceInfo) -> None:
        """Start the folder under a temporary name.

        Raises:
            SinkError: if the folder cannot be created.
        """
        self.info = info
        self._categories = Categories(self._first_labels)
        self._names = FrameNames()
        self._working = self._output.begin()
        self._started_lists.clear()
        self._is_complete = None
        try:
            for name in self.lists:
                self._lists[name] = (self._working / f".{name}").open("w", encoding="utf-8")
            self._begin(info)
            self._outlined_prompts = -1
            self._write_outline()
        except OSError as error:
            raise write_error(self.path, error) from error

    def write(self, rendered: RenderedFrame) -> None:
        """Add a frame with its mattes, one for each label.

        Raises:
            SinkError: if the frame cannot be written.
        """
        frame, mattes, labels = rendered.frame, rendered.mattes, rendered.labels
        self._require_folder()
        check_labels(self.path, mattes, labels)
        try:
            self._add(frame, mattes, labels)
            self._write_outline()
            if self._live:
                for file in self._lists.values():
                    file.flush()
        except OSError as error:
            raise write_error(self.path, error) from error

    def finish(self) -> None:
        """Write the index and move the folder to its path.

        Raises:
            SinkError: if the index cannot be written or the folder cannot be moved.
        """
        self._complete()
        self._output.commit()
        self._working = None

    def abort(self, keep_partial: bool = False) -> Path | None:
        """Stop and delete the folder, or keep it as ``FOLDER.partial``. Never raises.

        If the disk has no space for the JSON file, its lists are kept instead, as ``frames.part`` and so on.
        """
        kept = None
        if self._working is not None and keep_partial:
            if self._is_complete is None:
                with suppress(SinkError):
                    self._complete()
            if not self._is_complete:
                self._keep_lists(self._working)
            kept = self._output.keep_partial()
        self._close()
        self._working = None
        self._output.discard()
        return kept

    @classmethod
    def listed(cls, index: Mapping[str, Any]) -> Iterator[str]:
        """Yield the paths, within the folder, of the files that its JSON file lists.

        May raise KeyError and TypeError for a damaged index.
        """
        for entry in index["frames"]:
            yield entry["file"]

    def _listed_in(self, folder: Path) -> set[str]:
        """Return the files that the index of a folder of this kind lists; none without a usable index."""
        try:
            return set(self.listed(json.loads((folder / self.index).read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError):
            return set()

    @abstractmethod
    def _add(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        """Write the data of a frame. May raise OSError and SinkError."""

    @abstractmethod
    def _head(self) -> dict[str, Any]:
        """Return the part of the JSON file before its lists."""

    def _begin(self, info: SourceInfo) -> None:  # noqa: B027 (most folders have nothing else to begin)
        """Prepare the new, empty folder. May raise OSError and SinkError."""

    def _write_prompts(self, first: int) -> None:  # noqa: B027
        """Write files that list the prompts. May raise OSError and SinkError.

        Args:
            first: number of the first new prompt, from 0.
        """

    def _end(self) -> None:  # noqa: B027
        """Complete the other files of the folder. May raise OSError and SinkError."""

    def _put(self, name: str, data: bytes) -> None:
        path = self._require_folder() / name
        try:
            path.write_bytes(data)
        except OSError:
            with suppress(OSError):
                path.unlink()  # keep no incomplete files
            raise

    def _list(self, name: str, entry: Mapping[str, Any]) -> None:
        self._lists[name].write((",\n" if name in self._started_lists else "") + to_json(entry))
        self._started_lists.add(name)

    def _write_outline(self) -> None:
        """Update the outline, which changes only with the prompts."""
        count = len(self._categories.labels)
        if count == self._outlined_prompts:
            return
        self._write_prompts(max(self._outlined_prompts, 0))
        outline = {"index": self.index, "lists": self.lists, "head": self._head()}
        new_path = self._require_folder() / f"{OUTLINE}.new"
        new_path.write_text(to_json(outline), encoding="utf-8")
        new_path.replace(self._require_folder() / OUTLINE)
        self._outlined_prompts = count

    def _complete(self) -> None:
        folder = self._require_folder()
        self._is_complete = False
        try:
            self._end()
            for file in self._lists.values():
                file.close()
            _write_index(folder, self.index, self._head(), self.lists)
        except OSError as error:
            raise write_error(self.path, error) from error
        self._is_complete = True

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
            with suppress(OSError):  # buffered data may have no space
                file.close()
        self._lists.clear()

    def _require_folder(self) -> Path:
        if self._working is None:
            raise SinkError(f"{self.path.name} is not open.")
        return self._working


def complete_folder(folder: Path) -> None:
    """Complete a folder whose process was killed: write its JSON file from the complete lines of the lists.

    Without a usable outline the lists are kept as ``frames.part`` and so on.

    Raises:
        OSError: if a file cannot be read or written.
    """
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
    """Remove an incomplete last line from a file of JSON lines; return False if nothing is left.

    Args:
        path: the file.
        separator: text between lines, before each line break; it is removed with the line after it.
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
    """Return the position after the last line break."""
    position = file.seek(0, os.SEEK_END)
    while position:
        start = max(position - _BLOCK, 0)
        file.seek(start)
        line_break = file.read(position - start).rfind(b"\n")
        if line_break >= 0:
            return start + line_break + 1
        position = start
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
    """Return a value as JSON text, with Unicode characters unescaped."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def slug(text: str) -> str:
    """Return a text as part of a file name: letters and digits of any script, joined by hyphens, at most 40."""
    return re.sub(r"[\W_]+", "-", text.casefold()).strip("-")[:40].strip("-") or "prompt"


def check_labels(path: Path, mattes: Mattes, labels: Sequence[Label]) -> None:
    """Check that there is one matte for each label.

    Raises:
        SinkError: if the numbers differ.
    """
    if len(mattes.each) != len(labels):
        raise SinkError(f"{path.name} needs one matte for each of {len(labels)} prompts, but got {len(mattes.each)}.")


def write_error(path: Path, error: OSError) -> SinkError:
    """Return the error for a path that cannot be written."""
    return SinkError(f"{path} could not be written: {error.strerror or error}.")
