"""Writing of an index: frames are appended in chunks, and damaged chunks are removed."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import numpy as np

from clipseg_live.core.errors import Failure, UsageError
from clipseg_live.index.chunks import Chunk, Column, FrameTable, list_chunks, write_chunk
from clipseg_live.index.encoding import Tensors, encode_values
from clipseg_live.index.lock import LOCK_NAME, writer_lock
from clipseg_live.index.manifest import (
    MANIFEST_NAME,
    IndexedSource,
    IndexManifest,
    IndexRecipe,
    InvalidIndex,
    unwritable,
)
from clipseg_live.index.store import IndexStore, is_resolved, joined_table, storable_time, time_of
from clipseg_live.model.features import FrameFeatures, Grid

logger = logging.getLogger(__name__)

CHUNK_ENTRIES = 64
"""Entries of a full chunk: 12 MB of a published model in half precision."""
CHUNK_ROWS = 4096
"""Frames of a full chunk, if most of them are unchanged."""


class IndexWriter:
    """Appends frames to an index. Make one with ``open_writer``, which holds the lock.

    Attributes:
        folder: Folder of the index.
        manifest: Its manifest.
        notices: Messages for the user about damaged chunks.
        stored: Entries that this writer has stored.
    """

    def __init__(self, folder: Path, manifest: IndexManifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.notices: list[str] = []
        self.stored = 0
        self._rows: list[tuple[int, ...]] = []
        self._entries: list[Tensors] = []
        self._grid: Grid = (0, 0)
        self._last: tuple[int, ...] = ()
        self._table = self._load()

    def add_source(self, source: IndexedSource) -> int:
        """Add a source, unless it is there already, and return its number.

        Raises:
            InvalidIndex: Its content, or the selection of its frames, differs from that of the index.
            Failure: The manifest cannot be written.
        """
        for number, other in enumerate(self.manifest.sources):
            if other.content == source.content:
                if other.every != source.every:
                    raise InvalidIndex(
                        f"The index {self.folder} has the frames of {source.name} at --every {other.every}: give that, "
                        "or --overwrite to replace the index."
                    )
                if (other.path, other.stamps) != (source.path, source.stamps):  # the files were moved
                    moved = source.model_copy(update={"frames": other.frames})
                    self._save((*self.manifest.sources[:number], moved, *self.manifest.sources[number + 1 :]))
                return number
            if other.path == source.path:
                raise InvalidIndex(
                    f"{source.name} has changed since the index {self.folder} was made: give --overwrite to replace it."
                )
        self._save((*self.manifest.sources, source))
        return len(self.manifest.sources) - 1

    def times(self, source: int) -> set[Fraction]:
        """Return the times of the frames of a source that are in the index, in seconds."""
        rows = self._table[self._table[:, Column.SOURCE] == source]
        pending = {Fraction(row[1], row[2]) for row in self._rows if row[Column.SOURCE] == source}
        return pending.union(map(time_of, rows))

    def append(
        self, source: int, time: Fraction, frame_size: tuple[int, int], features: FrameFeatures, *, cut: bool = False
    ) -> None:
        """Append a frame.

        Args:
            source: Number of its source, from ``add_source``.
            time: Time of the frame in seconds.
            frame_size: Height and width of the frame in pixels.
            features: Features of the frame. If they repeat those of the frame before, they are not stored again.
            cut: A cut lies before the frame.

        Raises:
            Failure: A chunk cannot be written.
        """
        last = self._last
        if not (features.repeated and last and last[5:7] == frame_size and last[Column.SOURCE] == source):
            if self._entries and (features.grid != self._grid or len(self._entries) >= CHUNK_ENTRIES):
                self.flush()
            self._grid = features.grid
            self._entries.append(encode_values(features.values[None], self.manifest.recipe.storage))
            last = (source, 0, 1, self._next, len(self._entries) - 1, *frame_size, 0)
        time = storable_time(time)
        row = (source, time.numerator, time.denominator, last[Column.CHUNK], last[Column.ENTRY], *frame_size, int(cut))
        self._last = row
        self._rows.append(row)
        if len(self._rows) >= CHUNK_ROWS:
            self.flush()

    def copy(self, store: IndexStore) -> None:
        """Append all chunks and sources of another index that was made in the same way.

        Raises:
            InvalidIndex: A chunk is damaged, or a source is indexed with another selection of frames.
            Failure: A chunk cannot be written.
        """
        self.flush()
        sources = store.manifest.sources
        numbers = np.array([self.add_source(each.model_copy(update={"frames": None})) for each in sources], np.int64)
        base = self._next
        for number, chunk in store.chunks.items():
            table = chunk.table.copy()
            table[:, Column.SOURCE] = numbers[table[:, Column.SOURCE]]
            table[:, Column.CHUNK] += base
            self._write(base + number, chunk.read(range(chunk.count)), chunk.grid, table)
        for source, number in zip(sources, numbers.tolist(), strict=True):
            if source.frames is not None:
                self.finish(number)

    def flush(self) -> None:
        """Write the frames that were appended since the last chunk.

        Raises:
            Failure: The chunk cannot be written.
        """
        if not self._rows:
            return
        table: FrameTable = np.array(self._rows, np.int64).reshape(-1, len(Column))
        entries = _joined(self._entries)
        if not entries:  # every frame is the same as one in an earlier chunk
            entries = {name: tensor[:0] for name, tensor in self._chunks[int(table[0, Column.CHUNK])].read([0]).items()}
        self._write(self._next, entries, self._grid, table)
        self.stored += len(self._entries)
        self._rows, self._entries = [], []

    def _write(self, number: int, entries: Tensors, grid: Grid, table: FrameTable) -> None:
        path = write_chunk(self.folder, number, entries, grid, table)
        self._chunks[number] = Chunk(path)
        self._next = number + 1
        self._table = self._resolved()

    def finish(self, source: int) -> None:
        """Write the last frames of a source, and mark it as complete.

        Raises:
            Failure: A file cannot be written.
        """
        self.flush()
        count = int((self._table[:, Column.SOURCE] == source).sum())
        sources = list(self.manifest.sources)
        sources[source] = sources[source].model_copy(update={"frames": count})
        self._save(tuple(sources))

    def _save(self, sources: tuple[IndexedSource, ...]) -> None:
        self.manifest = self.manifest.model_copy(update={"sources": sources})
        self.manifest.save(self.folder)

    def _load(self) -> FrameTable:
        """Read all chunks, remove damaged ones, and return the frames whose entries exist."""
        self._chunks: dict[int, Chunk] = {}
        paths = list_chunks(self.folder)
        self._next = max(paths, default=-1) + 1
        for number, path in paths.items():
            try:
                chunk = Chunk(path)
                chunk.verify()
                self._chunks[number] = chunk
            except InvalidIndex:
                self.notices.append(
                    f"{path.name} of the index {self.folder} was damaged, so its frames are encoded again."
                )
                _remove(path)
        for path in self.folder.glob(".*.partial-*"):  # of a killed writer
            with suppress(OSError):
                path.unlink()
        return self._resolved()

    def _resolved(self) -> FrameTable:
        table = joined_table(self._chunks)
        return table[is_resolved(table, self._chunks)]


@contextmanager
def open_writer(folder: Path, model: str, recipe: IndexRecipe) -> Iterator[IndexWriter]:
    """Open an index for writing, or create it. What was appended is written at the end, after an error too.

    Args:
        folder: Folder of the index.
        model: Name or folder of the model.
        recipe: How the entries are made.

    Raises:
        InvalidIndex: The index was made in another way, or its manifest is damaged.
        UsageError: The folder is not an index, and not empty.
        Failure: Another process is writing, or the folder cannot be written.
    """
    others = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if others and others != {LOCK_NAME} and MANIFEST_NAME not in others:
        raise UsageError(f"The folder {folder} contains other files: name a new folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logger.warning("The folder of an index cannot be created", exc_info=True)
        raise unwritable(folder, error) from error
    with writer_lock(folder):
        if (folder / MANIFEST_NAME).exists():
            manifest = IndexManifest.read(folder)
            if difference := manifest.recipe.difference(recipe):
                raise InvalidIndex(
                    f"The index {folder} was made with other settings ({difference}): give the same settings, or "
                    "--overwrite to replace it."
                )
        else:
            manifest = IndexManifest(model=model, recipe=recipe)
            manifest.save(folder)
        writer = IndexWriter(folder, manifest)
        try:
            yield writer
        finally:
            writer.flush()


def _joined(entries: Sequence[Tensors]) -> Tensors:
    if not entries:
        return {}
    return {name: np.concatenate([entry[name] for entry in entries]) for name in entries[0]}


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        logger.warning("A damaged chunk cannot be removed", exc_info=True)
        raise Failure(f"{path} is damaged and cannot be removed ({error.strerror or error}): delete it.") from error
