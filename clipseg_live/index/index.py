"""Index of videos and photos as an object: presence and maps of any prompts, without the vision encoder."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import ModelError, UsageError
from clipseg_live.core.prompts import Prompt, PromptLike, require_prompts
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.index.chunks import Column, FrameTable
from clipseg_live.index.manifest import IndexedSource, IndexManifest, InvalidIndex
from clipseg_live.index.store import IndexStore, seconds_of, time_of
from clipseg_live.index.writer import open_writer
from clipseg_live.matting.prompt_interaction import presence_of
from clipseg_live.model.backend import FeatureValues
from clipseg_live.model.features import FeatureSegmenter, Grid, reduce_tokens

logger = logging.getLogger(__name__)

Accuracy = Literal["exact", "refined", "quick", "coarse"]
"""Accuracy of presence; see ``Index.presence``."""

COARSE_FRAMES = 96
"""Frames that represent a whole index with the accuracy "coarse"."""
UNDECIDED = (0.02, 0.8)
"""Presence from reduced tokens that is computed again from all tokens with the accuracy "refined"."""


@dataclass(frozen=True, slots=True, eq=False)
class PresenceTable:
    """Presence and area of prompts in the frames of an index, by source and time.

    Attributes:
        prompts: Prompts, in the order of the columns.
        source: int64 (frames,), number of the source.
        time: float64 (frames,), time in seconds; for photos the number of the photo.
        presence: float32 (frames, prompts), 0..1.
        area: float32 (frames, prompts), share of the frame whose probability is at least 0.5, 0..1. It is two to three
            times too large where only some of the tokens were decoded.
        cut: bool (frames,), the first frame after a cut.
        row: int64 (frames,), position of each frame in the index.
    """

    prompts: tuple[Prompt, ...]
    source: NDArray[np.int64]
    time: NDArray[np.float64]
    presence: NDArray[np.float32]
    area: NDArray[np.float32]
    cut: NDArray[np.bool_]
    row: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class IndexedFrame:
    """A frame of an index with its maps.

    Attributes:
        source: Number of its source.
        time: Time in seconds; for photos the number of the photo.
        segmentation: Maps of the prompts.
    """

    source: int
    time: Fraction
    segmentation: Segmentation


@dataclass(frozen=True, slots=True, eq=False)
class StoredFrame:
    """A frame of an index as it is stored.

    Attributes:
        source: Number of its source.
        time: Time in seconds; for photos the number of the photo.
        frame_size: Height and width of the frame in pixels.
        cut: A cut lies before the frame.
        values: What the decoder reads, float32 (parts, 1 + rows · columns, channels).
        grid: Rows and columns of tokens.
    """

    source: int
    time: Fraction
    frame_size: tuple[int, int]
    cut: bool
    values: FeatureValues
    grid: Grid


class Index:
    """An index that can be queried; open it with ``Index.open``.

    Use it from one thread at a time. A writer may append to the index meanwhile; ``refresh`` shows what is new.

    Args:
        store: The index on disk.
        engine: Decodes the entries. None loads the model of the index when it is first needed.
        device: Device for that, as for ``Segmenter.load``.
        engine_name: Engine for that: "auto", "torch" or "openvino".
    """

    def __init__(
        self, store: IndexStore, engine: FeatureSegmenter | None = None, device: str = "auto", engine_name: str = "auto"
    ) -> None:
        self._store, self._engine = store, engine
        self._device, self._engine_name = device, engine_name
        if engine is not None:
            self._check_engine(engine)

    @staticmethod
    def open(
        path: str | Path, engine: FeatureSegmenter | None = None, *, device: str = "auto", engine_name: str = "auto"
    ) -> "Index":
        """Open an index.

        Args:
            path: Folder of the index.
            engine: A loaded engine with the same weights, which can be shared by several indexes.
            device: Device of the model, if it is loaded for this index.
            engine_name: "auto", "torch" or "openvino", if it is loaded for this index.

        Raises:
            UsageError: The folder is not an index.
            InvalidIndex: The index is damaged or was made with other weights.
        """
        return Index(IndexStore(Path(path)), engine, device, engine_name)

    def __len__(self) -> int:
        return len(self._store.table)

    @property
    def folder(self) -> Path:
        """Folder of the index."""
        return self._store.folder

    @property
    def manifest(self) -> IndexManifest:
        """Manifest of the index: model, settings and sources."""
        return self._store.manifest

    @property
    def sources(self) -> tuple[IndexedSource, ...]:
        """Sources of the frames."""
        return self._store.manifest.sources

    @property
    def engine(self) -> FeatureSegmenter:
        """Engine that decodes the entries.

        Raises:
            ModelError: The model of the index is missing or damaged.
            InvalidIndex: The weights of the model have changed since the index was made.
        """
        recipe = self.manifest.recipe
        if self._engine is None:
            engine = FeatureSegmenter.load(
                self.manifest.model,
                device=self._device,
                engine=self._engine_name,
                size=recipe.size,
                fit=recipe.resize_mode,
            )
            self._check_engine(engine)
            self._engine = engine
        if (self._engine.size, self._engine.fit) != (recipe.size, recipe.resize_mode):  # another index shares it
            self._engine.configure(recipe.size, recipe.resize_mode)
        return self._engine

    def times(self, source: int) -> NDArray[np.float64]:
        """Return the times of the frames of a source in seconds; for photos the numbers of the photos."""
        return seconds_of(self._store.table[self._select(None, None, source)])

    def refresh(self) -> bool:
        """Read what a writer has added, and return whether that is anything.

        Raises:
            InvalidIndex: The index is damaged.
        """
        return self._store.refresh()

    def iterate(self) -> Iterator[StoredFrame]:
        """Yield all frames as they are stored, by source and time.

        Raises:
            InvalidIndex: A chunk is damaged.
        """
        table = self._store.table
        for batch in self._store.batches(table):
            for row, values in zip(table[batch.rows], batch.values, strict=True):
                yield StoredFrame(
                    int(row[Column.SOURCE]), time_of(row), batch.frame_size, bool(row[Column.CUT]), values, batch.grid
                )

    def query(
        self,
        prompts: PromptLike | Sequence[PromptLike],
        *,
        start: Fraction | None = None,
        end: Fraction | None = None,
        source: int | None = None,
    ) -> Iterator[IndexedFrame]:
        """Yield the frames with the maps of the prompts, by source and time.

        Args:
            prompts: One or several prompts, as for ``Segmenter.segment``. They are encoded once.
            start: First time in seconds.
            end: Time in seconds before which the frames end.
            source: Number of the only source to read; None for all.

        Raises:
            UsageError: A prompt is invalid.
            InvalidIndex: A chunk is damaged.
            NoPrediction: The output of the network is not finite.
        """
        wanted = require_prompts(prompts)
        table = self._store.table[self._select(start, end, source)]
        for batch in self._store.batches(table):
            maps = self.engine.decode_frames(batch.values, batch.grid, batch.frame_size, wanted)
            maps.setflags(write=False)
            for row, each in zip(table[batch.rows], maps, strict=True):
                yield IndexedFrame(int(row[Column.SOURCE]), time_of(row), Segmentation(each, wanted, batch.frame_size))

    def presence(
        self,
        prompts: PromptLike | Sequence[PromptLike],
        accuracy: Accuracy = "exact",
        *,
        start: Fraction | None = None,
        end: Fraction | None = None,
        source: int | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> PresenceTable:
        """Return presence and area of the prompts in all frames. Frames that share an entry are decoded once.

        The accuracy "exact" decodes every frame in full. "quick" decodes a quarter of the tokens of every frame, those
        that differ most from the rest. "refined" does this first, and then decodes frames in full where presence is
        undecided, or next to a frame in which a prompt may be present. "coarse" decodes a quarter of the tokens of 96
        frames, and gives the others the values of the nearest one.

        Args:
            prompts: One or several prompts, as for ``Segmenter.segment``. They are encoded once.
            accuracy: "exact", "refined", "quick" or "coarse".
            start: First time in seconds.
            end: Time in seconds before which the frames end.
            source: Number of the only source to read; None for all.
            rows: Positions of the frames in the index, in place of ``start``, ``end`` and ``source``.

        Raises:
            UsageError: A prompt is invalid.
            InvalidIndex: A chunk is damaged.
            NoPrediction: The output of the network is not finite.
        """
        wanted = require_prompts(prompts)
        rows = self._select(start, end, source) if rows is None else np.asarray(rows, np.int64)
        table = self._store.table[rows]
        found, place = np.unique(
            table[:, [Column.CHUNK, Column.ENTRY, Column.HEIGHT, Column.WIDTH]], axis=0, return_inverse=True
        )
        place = place.reshape(-1)
        first = np.full(len(found), len(table), np.int64)
        np.minimum.at(first, place, np.arange(len(table)))
        unique = table[first]
        if accuracy == "coarse":
            positions = np.linspace(0, len(table) - 1, min(COARSE_FRAMES, len(table))).round().astype(np.int64)
            chosen = np.unique(place[positions])
            nearest = np.abs(positions[:, None] - np.arange(len(table))).argmin(axis=0) if len(table) else positions
            values = np.zeros((2, len(unique), len(wanted)), np.float32)
            values[:, chosen] = self._measure(unique[chosen], wanted, reduced=True)
            place = place[positions[nearest]] if len(table) else place
        else:
            values = self._measure(unique, wanted, reduced=accuracy != "exact")
            if accuracy == "refined":
                again = np.unique(place[_undecided(values[0][place])])
                values[:, again] = self._measure(unique[again], wanted, reduced=False)
        presence, area = values[:, place]
        cuts = table[:, Column.CUT] != 0
        return PresenceTable(wanted, table[:, Column.SOURCE], seconds_of(table), presence, area, cuts, rows)

    @staticmethod
    def merge(paths: Sequence[str | Path], into: str | Path) -> "Index":
        """Copy the frames of several indexes into a new one, and open it.

        Args:
            paths: Folders of indexes that were made with the same model and settings.
            into: Folder of the new index.

        Raises:
            UsageError: There is no index, or ``into`` exists already.
            InvalidIndex: An index is damaged, or was made in another way than the first.
            Failure: The new index cannot be written.
        """
        stores = [IndexStore(Path(path)) for path in paths]
        if not stores:
            raise UsageError("There is no index to merge: give at least one.")
        if Path(into).exists():
            raise UsageError(f"{into} exists already: give a new folder for the merged index.")
        manifest = stores[0].manifest
        for store in stores[1:]:
            if difference := manifest.recipe.difference(store.manifest.recipe):
                raise InvalidIndex(
                    f"The indexes {stores[0].folder} and {store.folder} cannot be merged: they differ in {difference}."
                )
        with open_writer(Path(into), manifest.model, manifest.recipe) as writer:
            for store in stores:
                writer.copy(store)
        return Index.open(into)

    def _select(self, start: Fraction | None, end: Fraction | None, source: int | None) -> NDArray[np.int64]:
        """Return the positions of frames in the table."""
        table = self._store.table
        seconds = seconds_of(table)
        chosen = np.ones(len(table), bool)
        if source is not None:
            chosen &= table[:, Column.SOURCE] == source
        if start is not None:
            chosen &= seconds >= float(start)
        if end is not None:
            chosen &= seconds < float(end)
        return np.flatnonzero(chosen)

    def _measure(self, table: FrameTable, prompts: Sequence[Prompt], *, reduced: bool) -> NDArray[np.float32]:
        """Return presence and area of the entries of a table, float32 (2, entries, prompts)."""
        measured = np.zeros((2, len(table), len(prompts)), np.float32)
        for batch in self._store.batches(table):
            values, grid = reduce_tokens(batch.values, batch.grid) if reduced else (batch.values, batch.grid)
            maps = self.engine.decode_frames(values, grid, batch.frame_size, prompts)
            flat = maps.reshape(-1, *maps.shape[2:])
            measured[0, batch.rows] = presence_of(flat).reshape(maps.shape[:2])
            measured[1, batch.rows] = (maps >= 0.5).mean(axis=(2, 3))
        return measured

    def _check_engine(self, engine: FeatureSegmenter) -> None:
        try:
            weights = engine.files.digest()
        except OSError as error:
            logger.warning("The weights of a model cannot be read", exc_info=True)
            reason = error.strerror or error
            raise ModelError(f"The weights {engine.files.weights} cannot be read: {reason}.") from error
        if weights != self.manifest.recipe.weights:
            raise InvalidIndex(
                f"The index {self.folder} was made with other weights than those of {engine.files.name}: run "
                "clipseg-live index with --overwrite."
            )


def _undecided(presence: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which frames are decoded again with the accuracy "refined".

    Args:
        presence: float32 (frames, prompts), from reduced tokens.
    """
    low, high = UNDECIDED
    is_undecided = ((presence >= low) & (presence < high)).any(axis=1)
    candidate = presence >= low
    beside = np.zeros_like(candidate)
    beside[1:] |= candidate[:-1]
    beside[:-1] |= candidate[1:]
    return np.asarray(is_undecided | (beside & ~candidate).any(axis=1), np.bool_)
