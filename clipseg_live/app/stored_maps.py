"""Exports that save their probability maps, or take them from a file instead of running the model."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipseg_live.core.errors import Failure, UsageError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.exporters.map_set import MAPS_SUFFIX, MapSet, MapSetWriter, frame_digest

if TYPE_CHECKING:
    from clipseg_live.model.driver import DriverSegmenter
    from clipseg_live.model.store.layout import ModelFiles

logger = logging.getLogger(__name__)

_RECIPE = {
    "weights": "the weights of the model",
    "size": "--size",
    "resize_mode": "--resize-mode",
    "detail": "--detail",
    "engine": "--engine",
    "dtype": "--dtype",
}
"""Values of the recipe, with their names for users."""


def check_maps_path(path: Path) -> None:
    """Check the name of a file of maps.

    Raises:
        UsageError: It has another suffix.
    """
    if path.suffix.lower() != MAPS_SUFFIX:
        raise UsageError(f"{path} is no name for maps: give --maps a name that ends in {MAPS_SUFFIX}.")


def make_recipe(files: "ModelFiles", settings: EngineSettings) -> dict[str, object]:
    """Return what decides maps besides frames and prompts."""
    chosen = settings.model_dump(mode="json", include=set(_RECIPE))
    return {"weights": files.digest(), **chosen}


class StoredMapsEngine:
    """An engine that takes maps from a file where it can. The model is loaded with the first frame that needs it.

    Maps of another recipe are never used. Call ``finish`` after the last frame, and ``close`` in any case.

    Args:
        path: File of maps, which need not exist.
        files: Files of the model.
        settings: Settings of the engine.
        prompts: All prompts.
        load: Loads the engine.
        overwrite: Replace a file of another recipe.

    Attributes:
        files: Files of the model.
        reused: Number of frames whose maps were in the file.
        computed: Number of frames that the model has segmented.

    Raises:
        UsageError: The maps in the file were made with other settings or weights.
        Failure: The file cannot be read.
    """

    def __init__(
        self,
        path: Path,
        files: "ModelFiles",
        settings: EngineSettings,
        prompts: Sequence[Prompt],
        load: Callable[[], "DriverSegmenter"],
        *,
        overwrite: bool,
    ) -> None:
        self.files = files
        self._path, self._prompts, self._load = path, tuple(prompts), load
        self._recipe = make_recipe(files, settings)
        self._engine: DriverSegmenter | None = None
        self._writer: MapSetWriter | None = None
        self._stored = self._open(overwrite)
        self._used: list[str] = []
        self.reused = self.computed = 0

    @property
    def notices(self) -> tuple[str, ...]:
        """Return messages for the user."""
        own = () if self._engine is None else self._engine.notices
        if not self.reused:
            return own
        frames = "1 frame" if self.reused == 1 else f"{self.reused} frames"
        computed = f"the model ran for the other {self.computed}" if self.computed else "the model did not run"
        return (*own, f"The maps of {frames} are from {self._path.name}; {computed}.")

    def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
        """Return the maps of a frame, from the file or the model.

        Args:
            frame: uint8 (height, width, 3), RGB.
            prompts: All prompts.

        Raises:
            Failure: The file is damaged, or the model runs in another way than for the maps in it.
            SinkError: The maps cannot be saved.
        """
        digest = frame_digest(frame)
        maps = None if self._stored is None else self._stored.find(digest, prompts)
        if maps is not None:
            self.reused += 1
            self._used.append(digest)
            if self._writer is not None:
                self._writer.add(digest, maps)
            return Segmentation(maps, tuple(prompts), frame.shape[:2])
        segmentation = self._ready().segment(frame, prompts)
        self.computed += 1
        self._begin_file().add(digest, segmentation.probabilities)
        return segmentation

    def finish(self) -> None:
        """Save the maps of this export, and those of other frames that were in the file. Nothing new, nothing saved.

        Raises:
            SinkError: The file cannot be written.
        """
        if self._writer is None:
            return
        stored, keys = self._stored, tuple(prompt.key for prompt in self._prompts)
        if stored is not None and stored.keys == keys:
            for place, digest in enumerate(stored.frames):
                self._writer.add(digest, stored.stored(place))
        if stored is not None:
            stored.close()  # Windows does not replace open files
        self._writer.finish(_describe(self._ready()))

    def close(self) -> None:
        """Release the files. Unfinished maps are deleted."""
        if self._stored is not None:
            self._stored.close()
        if self._writer is not None:
            self._writer.abort()

    def _open(self, overwrite: bool) -> MapSet | None:
        if not self._path.exists():
            return None
        stored = MapSet(self._path)
        changed = [name for key, name in _RECIPE.items() if stored.recipe.get(key) != self._recipe[key]]
        if not changed:
            return stored
        stored.close()
        if overwrite:
            return None
        raise UsageError(
            f"The maps in {self._path} were made with other values of {', '.join(changed)}: add --overwrite to replace "
            "them, or give --maps another name."
        )

    def _ready(self) -> "DriverSegmenter":
        if self._engine is None:
            self._engine = self._load()
            made_by = _describe(self._engine)
            if self._stored is not None and self._stored.made_by != made_by:
                raise Failure(
                    f"The maps in {self._path} were made with {self._stored.made_by}, and the model now runs with "
                    f"{made_by}: give --maps another name, or delete the file."
                )
        return self._engine

    def _begin_file(self) -> MapSetWriter:
        """Return the new file. The maps that this export has already taken from the old one are copied."""
        if self._writer is None:
            self._writer = MapSetWriter(self._path, self._recipe, self._prompts)
            for digest in self._used:
                maps = None if self._stored is None else self._stored.find(digest, self._prompts)
                if maps is not None:
                    self._writer.add(digest, maps)
        return self._writer


def _describe(engine: "DriverSegmenter") -> str:
    return f"{engine.engine} on {engine.device} in {engine.dtype}"
