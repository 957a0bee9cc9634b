"""Chunks of an index: files of safetensors with the entries and the table of some frames.

A chunk is written under another name and renamed, so it is complete or absent. Its name has a CRC-32 of the whole
file, which writers check. Its header has one of the table and of the checksums of all entries, which is checked when
the index is opened. An entry is checked whenever it is read, so that a few entries are read without the rest.
"""

import logging
import re
import zlib
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from clipseg_live.core.system.files import replace_file
from clipseg_live.index.encoding import Tensors
from clipseg_live.index.manifest import INDEX_FORMAT, INDEX_VERSION, InvalidIndex, unwritable
from clipseg_live.model.features import Grid

logger = logging.getLogger(__name__)

FrameTable = NDArray[np.int64]
"""Table of frames: one row for each frame, with the columns of ``Column``."""


class Column(IntEnum):
    """Columns of a table of frames."""

    SOURCE = 0
    """Number of the source."""
    NUMERATOR = 1
    DENOMINATOR = 2
    """Time in seconds, as a fraction."""
    CHUNK = 3
    ENTRY = 4
    """Number of the chunk, and of the entry in it."""
    HEIGHT = 5
    WIDTH = 6
    """Height and width of the frame in pixels."""
    CUT = 7
    """1 for the first frame after a cut, else 0."""


_NAME = re.compile(r"chunk-(\d{6,9})-([0-9a-f]{8})\.safetensors")
_DESCRIBED = ("frames", "grid", "checks")
"""Tensors that describe the entries: the table, rows and columns of tokens, and the CRC-32 of each entry."""
_BLOCK = 4 << 20


def write_chunk(folder: Path, number: int, entries: Tensors, grid: Grid, table: FrameTable) -> Path:
    """Write a chunk and return its path.

    Args:
        folder: Folder of the index.
        number: Number of the chunk.
        entries: Stored tensors; their first dimension is the entry.
        grid: Rows and columns of tokens of all entries.
        table: Frames of the chunk. They may refer to entries of earlier chunks.

    Raises:
        Failure: The file cannot be written.
    """
    checks = np.array([_entry_checksum(entries, entry) for entry in range(len(entries["values"]))], np.int64)
    described = {"frames": table, "grid": np.array(grid, np.int64), "checks": checks}
    layout = {name: (str(tensor.dtype), tensor.shape[1:]) for name, tensor in entries.items()}
    metadata = {"format": INDEX_FORMAT, "version": str(INDEX_VERSION), "table": _table_checksum(described, layout)}
    content = save({**entries, **described}, metadata)
    path = folder / f"chunk-{number:06}-{zlib.crc32(content):08x}.safetensors"
    try:
        replace_file(path, content)
    except OSError as error:
        logger.warning("A chunk cannot be written", exc_info=True)
        raise unwritable(folder, error) from error
    return path


def list_chunks(folder: Path) -> dict[int, Path]:
    """Return the chunks of an index by number.

    Raises:
        InvalidIndex: The folder cannot be read, or two chunks have the same number.
    """
    chunks: dict[int, Path] = {}
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        logger.warning("An index cannot be listed", exc_info=True)
        raise InvalidIndex(f"The index {folder} cannot be read: {error.strerror or error}.") from error
    for name in names:
        if (match := _NAME.fullmatch(name)) is not None:
            number = int(match[1])
            if number in chunks:
                raise InvalidIndex(f"The index {folder} has two chunks with the number {number}: delete the older one.")
            chunks[number] = folder / name
    return chunks


class Chunk:
    """A chunk whose table has been checked. Its entries are read from the file when they are needed.

    The file is open only while it is read, so that an index may have any number of chunks.

    Args:
        path: File of the chunk.

    Attributes:
        table: Frames of the chunk.
        grid: Rows and columns of tokens of all entries.
        count: Number of entries.

    Raises:
        InvalidIndex: The file is damaged, or not a chunk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != INDEX_FORMAT or metadata.get("version") != str(INDEX_VERSION):
                    raise ValueError("another format")
                described = {name: file.get_tensor(name) for name in _DESCRIBED}
                self._names = sorted(set(file.keys()) - set(_DESCRIBED))
                empty = {name: file.get_slice(name)[:0] for name in self._names}
                layout = {name: (str(tensor.dtype), tensor.shape[1:]) for name, tensor in empty.items()}
                if metadata.get("table") != _table_checksum(described, layout):
                    raise ValueError("another checksum of the table")
                self.table: FrameTable = described["frames"]
                self.grid: Grid = (int(described["grid"][0]), int(described["grid"][1]))
                self._checks = described["checks"].tolist()
                self.count = len(self._checks)
        except (SafetensorError, OSError, ValueError, KeyError, IndexError) as error:
            logger.warning("%s cannot be read", self.path, exc_info=True)
            raise self._damaged() from error

    def read(self, entries: Sequence[int] | NDArray[np.int64]) -> Tensors:
        """Return the stored tensors of some entries.

        Raises:
            InvalidIndex: The file is damaged, or lacks one of the entries.
        """
        wanted = np.asarray(entries, np.int64)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < self.count:
            raise self._damaged()
        unique, places = np.unique(wanted, return_inverse=True)
        runs = np.split(unique, np.flatnonzero(np.diff(unique) != 1) + 1)
        try:
            with safe_open(self.path, framework="numpy") as file:
                slices = {name: file.get_slice(name) for name in self._names}
                parts = [
                    {name: tensor[int(run[0]) : int(run[-1]) + 1] if len(run) else tensor[:0]
                     for name, tensor in slices.items()}
                    for run in runs
                ]  # fmt: skip
        except (SafetensorError, OSError, ValueError) as error:
            logger.warning("%s cannot be read", self.path, exc_info=True)
            raise self._damaged() from error
        tensors = {name: np.concatenate([part[name] for part in parts]) for name in self._names}
        if any(_entry_checksum(tensors, place) != self._checks[entry] for place, entry in enumerate(unique.tolist())):
            raise self._damaged()
        return tensors if len(unique) == len(wanted) else {name: each[places] for name, each in tensors.items()}

    def verify(self) -> None:
        """Read the whole file.

        Raises:
            InvalidIndex: The file is damaged.
        """
        checksum = 0
        try:
            with self.path.open("rb") as file:
                while block := file.read(_BLOCK):
                    checksum = zlib.crc32(block, checksum)
        except OSError as error:
            logger.warning("%s cannot be read", self.path, exc_info=True)
            raise self._damaged() from error
        match = _NAME.fullmatch(self.path.name)
        if match is None or checksum != int(match[2], 16):
            raise self._damaged()

    def _damaged(self) -> InvalidIndex:
        return InvalidIndex(
            f"{self.path.name} of the index {self.path.parent} is damaged: run clipseg-live index again, which makes "
            "it new."
        )


def _entry_checksum(entries: Tensors, entry: int) -> int:
    """Return the CRC-32 of the tensors of an entry, in the order of their names."""
    checksum = 0
    for name in sorted(entries):
        checksum = zlib.crc32(np.ascontiguousarray(entries[name][entry]).data, checksum)
    return checksum


def _table_checksum(described: Tensors, layout: Mapping[str, tuple[str, tuple[int, ...]]]) -> str:
    """Return the CRC-32 of what describes the entries.

    Args:
        described: The tensors ``_DESCRIBED``.
        layout: Type, and shape of one entry, of each stored tensor.

    Raises:
        ValueError: A tensor has another type or shape.
    """
    table, grid, checks = (described[name] for name in _DESCRIBED)
    if table.ndim != 2 or table.shape[1] != len(Column) or grid.shape != (2,) or checks.ndim != 1:
        raise ValueError("another table")
    words = ";".join(f"{name} {kind} {'x'.join(map(str, shape))}" for name, (kind, shape) in sorted(layout.items()))
    checksum = zlib.crc32(words.encode())
    for tensor in (grid, checks, table):
        if tensor.dtype != np.int64:
            raise ValueError("another type")
        checksum = zlib.crc32(np.ascontiguousarray(tensor).data, checksum)
    return f"{checksum:08x}"
