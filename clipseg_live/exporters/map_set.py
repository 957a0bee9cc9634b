"""Probability maps of the frames of an export in one ``.npz`` file, from which later exports take them.

A map belongs to the pixels of its frame, not to a time or a file name. ``numpy.load`` reads the file:

- ``manifest``: uint8, JSON in UTF-8 with ``format``, ``version``, ``recipe`` (what decides the maps besides frame and
  prompts), ``made_by`` (the engine), ``keys`` and texts of the ``prompts``, and ``frames``, the BLAKE2b digests.
- ``maps_000000`` and so on: float32 (prompts, h, w), 0 to 1, on the decoder's grid, one for each digest in its order.
"""

import hashlib
import json
import logging
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import Failure
from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.protocols import Maps
from clipseg_live.core.system.paths import check_input
from clipseg_live.media.atomic_output import AtomicOutput, write_failure

logger = logging.getLogger(__name__)

MAPS_FORMAT = "clipseg-live maps"
MAPS_VERSION = 1
MAPS_SUFFIX = ".npz"
_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error)


def frame_digest(pixels: Pixels) -> str:
    """Return the digest of a frame: 32 hexadecimal digits.

    Args:
        pixels: uint8 (height, width, 3).
    """
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


class MapSet:
    """An existing file of maps, for reading. Close it.

    Args:
        path: The file.

    Attributes:
        recipe: What decides the maps besides frame and prompts.
        made_by: The engine that made them.
        keys: Keys of the prompts, in the order of the maps.
        frames: Digests of the frames in their order.

    Raises:
        Failure: The file cannot be read, or is not one of this format.
    """

    def __init__(self, path: Path) -> None:
        check_input(path, Failure)
        self.path = path
        try:
            self._file = zipfile.ZipFile(path)
        except _DAMAGE as error:
            raise self._damaged(error) from error
        try:
            manifest = json.loads(bytes(self._read("manifest")).decode())
            if manifest["format"] != MAPS_FORMAT or manifest["version"] != MAPS_VERSION:
                raise ValueError("another format")
            self.recipe: dict[str, object] = dict(manifest["recipe"])
            self.made_by = str(manifest["made_by"])
            self.keys: tuple[str, ...] = tuple(manifest["keys"])
            self.frames: tuple[str, ...] = tuple(manifest["frames"])
        except _DAMAGE as error:
            self._file.close()
            raise self._damaged(error) from error
        self._places = {digest: place for place, digest in enumerate(self.frames)}

    def find(self, digest: str, prompts: Sequence[Prompt]) -> Maps | None:
        """Return the maps of a frame, float32 (prompts, h, w); None if one of them is not in the file.

        Raises:
            Failure: The file is damaged.
        """
        place = self._places.get(digest)
        if place is None or not {prompt.key for prompt in prompts} <= set(self.keys):
            return None
        stored = self.stored(place)
        return stored[[self.keys.index(prompt.key) for prompt in prompts]]

    def stored(self, place: int) -> Maps:
        """Return the maps of all prompts of a frame.

        Raises:
            Failure: The file is damaged.
        """
        try:
            maps = self._read(_name(place))
            if maps.dtype != np.float32 or maps.ndim != 3 or len(maps) != len(self.keys):
                raise ValueError(f"maps of the type {maps.dtype} and the shape {maps.shape}")
        except _DAMAGE as error:
            raise self._damaged(error) from error
        return maps

    def close(self) -> None:
        """Close the file. Allowed more than once."""
        self._file.close()

    def _read(self, name: str) -> NDArray[Any]:
        with self._file.open(f"{name}.npy") as member:
            return np.asarray(np.lib.format.read_array(member, allow_pickle=False))

    def _damaged(self, error: BaseException) -> Failure:
        logger.warning("A file of maps cannot be read", exc_info=error)
        return Failure(f"{self.path} is no file of maps, or it is damaged: delete it, or give --maps another name.")


class MapSetWriter:
    """A new file of maps, which replaces the file at its path when it is finished.

    Args:
        path: The file.
        recipe: What decides the maps besides frame and prompts.
        prompts: Prompts, in the order of the maps.

    Raises:
        UsageError: The path is a folder, or its name is invalid.
        SinkError: The file cannot be created.
    """

    def __init__(self, path: Path, recipe: Mapping[str, object], prompts: Sequence[Prompt]) -> None:
        self.path = path
        self._recipe, self._prompts = dict(recipe), tuple(prompts)
        self._frames: list[str] = []
        self._known: set[str] = set()
        self._output = AtomicOutput(path, overwrite=True)
        # not compressed: that saves a tenth of the size and takes longer than the rest of the export of a frame
        self._zip = zipfile.ZipFile(self._output.begin(), "w", zipfile.ZIP_STORED, allowZip64=True)

    def add(self, digest: str, maps: Maps) -> None:
        """Add the maps of a frame, unless they are there.

        Raises:
            SinkError: The file cannot be written, for example because the disk is full.
        """
        if digest not in self._known:
            self._write(_name(len(self._frames)), maps)
            self._known.add(digest)
            self._frames.append(digest)

    def finish(self, made_by: str) -> None:
        """Complete the file and move it to its path.

        Raises:
            SinkError: The file cannot be written or moved.
        """
        manifest = {
            "format": MAPS_FORMAT,
            "version": MAPS_VERSION,
            "recipe": self._recipe,
            "made_by": made_by,
            "keys": [prompt.key for prompt in self._prompts],
            "prompts": [prompt.label for prompt in self._prompts],
            "frames": self._frames,
        }
        self._write("manifest", np.frombuffer(json.dumps(manifest, ensure_ascii=False).encode(), np.uint8))
        try:
            self._zip.close()
        except OSError as error:
            logger.warning("A file of maps cannot be completed", exc_info=True)
            raise write_failure(self.path, error) from error
        self._output.commit()

    def abort(self) -> None:
        """Delete what was written. The file at the path stays. Allowed more than once, and after ``finish``."""
        if self._output.working is not None:
            try:
                self._zip.close()
            except (OSError, ValueError):
                logger.debug("An unfinished file of maps cannot be closed", exc_info=True)
            self._output.discard()

    def _write(self, name: str, array: NDArray[Any]) -> None:
        try:
            with self._zip.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
        except OSError as error:
            logger.warning("A file of maps cannot be written", exc_info=True)
            raise write_failure(self.path, error) from error


def _name(place: int) -> str:
    return f"maps_{place:06d}"
