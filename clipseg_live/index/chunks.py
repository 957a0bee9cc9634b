"""Chunks of an index: files of safetensors with the entries and the table of some frames.

A chunk is written under another name and renamed, so it is complete or absent. Its name has a CRC-32 of the whole file,
and its header one of the table. The table is checked when the index is opened, the entries when they are first read.
"""

import logging
import re
import zlib
from collections.abc import Sequence
from enum import IntEnum
from functools import cached_property
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
    described = {"frames": table, "grid": np.array(grid, np.int64)}
    metadata = {"format": INDEX_FORMAT, "version": str(INDEX_VERSION), "table": _table_checksum(**described)}
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
                table, grid = file.get_tensor("frames"), file.get_tensor("grid")
                if metadata.get("table") != _table_checksum(table, grid):
                    raise ValueError("another checksum of the table")
                self.table: FrameTable = table
                self.grid: Grid = (int(grid[0]), int(grid[1]))
                self.count = int(file.get_slice("values").get_shape()[0])
                self._names = sorted(set(file.keys()) - {"frames", "grid"})
        except (SafetensorError, OSError, ValueError, KeyError, IndexError) as error:
            logger.warning("%s cannot be read", self.path, exc_info=True)
            raise self._damaged() from error

    def read(self, entries: Sequence[int] | NDArray[np.int64]) -> Tensors:
        """Return the stored tensors of some entries.

        Raises:
            InvalidIndex: The file is damaged, or lacks one of the entries.
        """
        if not len(entries):
            return self._slice(0, 0)
        first, last = int(min(entries)), int(max(entries))
        if not 0 <= first <= last < self.count:
            raise self._damaged()
        _ = self._verified
        positions = np.asarray(entries) - first
        is_range = len(positions) == last - first + 1 and bool((np.diff(positions) == 1).all())
        tensors = self._slice(first, last + 1)
        return tensors if is_range else {name: tensor[positions] for name, tensor in tensors.items()}

    def _slice(self, start: int, stop: int) -> Tensors:
        try:
            with safe_open(self.path, framework="numpy") as file:
                return {name: file.get_slice(name)[start:stop] for name in self._names}
        except (SafetensorError, OSError, ValueError) as error:
            logger.warning("%s cannot be read", self.path, exc_info=True)
            raise self._damaged() from error

    def verify(self) -> None:
        """Read the whole file.

        Raises:
            InvalidIndex: The file is damaged.
        """
        _ = self._verified

    @cached_property
    def _verified(self) -> bool:
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
        return True

    def _damaged(self) -> InvalidIndex:
        return InvalidIndex(
            f"{self.path.name} of the index {self.path.parent} is damaged: run clipseg-live index again, which makes "
            "it new."
        )


def _table_checksum(frames: FrameTable, grid: NDArray[np.int64]) -> str:
    if frames.dtype != np.int64 or frames.ndim != 2 or frames.shape[1] != len(Column) or grid.shape != (2,):
        raise ValueError("another table")
    return f"{zlib.crc32(frames.tobytes(), zlib.crc32(grid.astype(np.int64).tobytes())):08x}"
