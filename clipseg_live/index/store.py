"""Reading of an index: its manifest, and the frames and entries of all chunks."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipseg_live.index.chunks import Chunk, Column, FrameTable, list_chunks
from clipseg_live.index.encoding import decode_values
from clipseg_live.index.manifest import IndexManifest, InvalidIndex
from clipseg_live.model.backend import FeatureValues
from clipseg_live.model.features import Grid

logger = logging.getLogger(__name__)

BATCH = 32
"""Largest number of entries that are read together."""


@dataclass(frozen=True, slots=True, eq=False)
class EntryBatch:
    """Entries with one grid, for frames of one size.

    Attributes:
        rows: Position of each entry in the table that was asked for.
        values: float32 (entries, parts, tokens, channels).
        grid: Rows and columns of tokens.
        frame_size: Height and width of the frames in pixels.
    """

    rows: NDArray[np.int64]
    values: FeatureValues
    grid: Grid
    frame_size: tuple[int, int]


class IndexStore:
    """An index on disk, for reading. A writer may append to it at the same time; see ``refresh``.

    Attributes:
        folder: Folder of the index.
        manifest: Its manifest.
        chunks: Chunks by number.
        table: Frames of all chunks, by source and time.
    """

    def __init__(self, folder: Path) -> None:
        """Open an index.

        Raises:
            UsageError: The folder is not an index.
            InvalidIndex: The index is damaged, or newer than this program.
        """
        self.folder = folder
        self.manifest = IndexManifest.read(folder)
        self.chunks: dict[int, Chunk] = {}
        self.table: FrameTable = np.zeros((0, len(Column)), np.int64)
        self.refresh()

    def refresh(self) -> bool:
        """Read what a writer has added since then, and return whether that is anything.

        Raises:
            InvalidIndex: The index is damaged.
        """
        before, paths = IndexManifest.read(self.folder), list_chunks(self.folder)
        if len(self.table) and before == self.manifest and paths.keys() == self.chunks.keys():
            return False
        chunks = {number: self.chunks.get(number) or Chunk(path) for number, path in paths.items()}
        manifest = IndexManifest.read(self.folder)  # again: chunks may be of a source that was added meanwhile
        table = joined_table(chunks)
        resolved = is_resolved(table, chunks)
        if not resolved.all():
            raise self.incomplete(f"chunk {table[~resolved, Column.CHUNK].min()} is missing or damaged")
        if len(table) and not 0 <= table[:, Column.SOURCE].min() <= table[:, Column.SOURCE].max() < len(
            manifest.sources
        ):
            raise self.incomplete("its manifest is older than its chunks")
        counts = np.bincount(table[:, Column.SOURCE], minlength=len(before.sources))
        for source, count in zip(before.sources, counts.tolist(), strict=False):
            if source.frames is not None and source.frames > count:
                lost = source.frames - count
                raise self.incomplete(f"{lost} of the {source.frames} frames of {source.name} are lost")
        self.manifest, self.chunks, self.table = manifest, chunks, table
        return True

    def incomplete(self, reason: str) -> InvalidIndex:
        """Return the error of an index that lacks something."""
        return InvalidIndex(
            f"The index {self.folder} is incomplete ({reason}): run clipseg-live index again, which completes it."
        )

    def batches(self, table: FrameTable, size: int = BATCH) -> Iterator[EntryBatch]:
        """Yield the entries of frames in the order of the table, at most ``size`` at a time.

        Raises:
            InvalidIndex: A chunk is damaged.
        """
        grids = np.array([self.chunks[number].grid for number in table[:, Column.CHUNK].tolist()]).reshape(-1, 2)
        kinds = np.concatenate([grids, table[:, [Column.HEIGHT, Column.WIDTH]]], axis=1)
        changes = np.flatnonzero((kinds[1:] != kinds[:-1]).any(axis=1)) + 1
        for rows in np.split(np.arange(len(table)), changes):
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                row, column, height, width = kinds[part[0]].tolist()
                yield EntryBatch(part, self._read(table[part]), (row, column), (height, width))

    def _read(self, table: FrameTable) -> FeatureValues:
        """Return the values of frames whose tokens have the same grid."""
        numbers = table[:, Column.CHUNK]
        parts: list[FeatureValues] = []
        for rows in np.split(np.arange(len(table)), np.flatnonzero(np.diff(numbers)) + 1):
            chunk = self.chunks[int(numbers[rows[0]])]
            parts.append(decode_values(chunk.read(table[rows, Column.ENTRY]), self.manifest.recipe.storage))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def joined_table(chunks: dict[int, Chunk]) -> FrameTable:
    """Return the frames of all chunks by source and time. Of several rows for a frame, the newest one counts."""
    tables = [chunks[number].table for number in sorted(chunks)]
    table = np.concatenate([np.zeros((0, len(Column)), np.int64), *tables])
    order = np.lexsort((np.arange(len(table)), seconds_of(table), table[:, Column.SOURCE]))
    table = table[order]
    moments = table[:, [Column.SOURCE, Column.NUMERATOR, Column.DENOMINATOR]]
    is_last = np.ones(len(table), bool)
    is_last[:-1] = (moments[1:] != moments[:-1]).any(axis=1)
    return table[is_last]


def is_resolved(table: FrameTable, chunks: dict[int, Chunk]) -> NDArray[np.bool_]:
    """Return for each frame whether its entry exists."""
    counts = np.zeros(max(chunks, default=-1) + 2, np.int64)
    for number, chunk in chunks.items():
        counts[number] = chunk.count
    numbers = np.where(
        (table[:, Column.CHUNK] >= 0) & (table[:, Column.CHUNK] < len(counts) - 1),
        table[:, Column.CHUNK],
        len(counts) - 1,
    )
    resolved: NDArray[np.bool_] = (table[:, Column.ENTRY] >= 0) & (table[:, Column.ENTRY] < counts[numbers])
    return resolved


def seconds_of(table: FrameTable) -> NDArray[np.float64]:
    """Return the times of frames in seconds."""
    seconds: NDArray[np.float64] = table[:, Column.NUMERATOR] / np.maximum(table[:, Column.DENOMINATOR], 1)
    return seconds


def storable_time(time: Fraction) -> Fraction:
    """Return a time, 0 to 9e9 seconds, as it is stored: exact if its parts fit in 64 bits, else rounded to 1e-9."""
    return time if max(time.numerator, time.denominator) < 1 << 63 else time.limit_denominator(10**9)


def time_of(row: NDArray[np.int64]) -> Fraction:
    """Return the time of a frame in seconds."""
    return Fraction(int(row[Column.NUMERATOR]), int(row[Column.DENOMINATOR]))
