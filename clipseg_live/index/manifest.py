"""Manifest of an index: how its entries were made, and from which sources."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clipseg_live._version import __version__
from clipseg_live.core.errors import ClipsegLiveError, Failure, UsageError
from clipseg_live.core.settings.base import Frozen, ResizeMode
from clipseg_live.core.system.files import replace_file
from clipseg_live.index.encoding import Storage
from clipseg_live.model.features import FeatureSegmenter

logger = logging.getLogger(__name__)

INDEX_FORMAT = "clipseg-live index"
INDEX_VERSION = 1
INDEX_SUFFIX = ".clipseg-index"
MANIFEST_NAME = "manifest.json"
_LARGEST = 256 << 20
_RECIPE = {
    "weights": "the weights of the model",
    "size": "the size (--size)",
    "resize_mode": "the resize mode (--resize-mode)",
    "dtype": "the precision of the model (--dtype)",
    "storage": "the stored precision (--bits)",
}
"""Fields that entries of one index have in common, with their names for users."""


class InvalidIndex(Failure):
    """An index that is damaged, incomplete, or was made from other content or by another model."""


class IndexRecipe(Frozen):
    """All that decides the content of an entry, besides the frame.

    Attributes:
        weights: SHA-256 of the weights of the model.
        size: Side of the network's square in pixels.
        resize_mode: How a frame is fitted to the square.
        dtype: Precision of the network.
        storage: Form in which entries are stored.
    """

    weights: str
    size: int
    resize_mode: ResizeMode
    dtype: str
    storage: Storage = "half"

    @staticmethod
    def of(engine: FeatureSegmenter, storage: Storage) -> "IndexRecipe":
        """Return the recipe of entries that an engine makes."""
        return IndexRecipe(
            weights=engine.files.digest(),
            size=engine.size,
            resize_mode=engine.fit,
            dtype=engine.dtype,
            storage=storage,
        )

    def difference(self, other: "IndexRecipe") -> str:
        """Return what differs from another recipe, as words for users; "" if nothing does."""
        changed = [text for name, text in _RECIPE.items() if getattr(self, name) != getattr(other, name)]
        return ", ".join(changed)


class IndexedSource(Frozen):
    """A video, or a set of photos, whose frames are in an index.

    Attributes:
        name: Name for display.
        path: Absolute path of the file, or of the folder or pattern of photos; the name of a source with a scheme.
        content: SHA-256 of the content of its files.
        stamps: Name, size in bytes and time of the last change (nanoseconds) of each file.
        every: Frames that were selected, as in ``Sampling``.
        photos: The frames are separate photos. The time of a frame is then the number of its file.
        frames: Number of selected frames; None while they are not all indexed.
    """

    name: str
    path: str
    content: str
    stamps: tuple[tuple[str, int, int], ...]
    every: str
    photos: bool = False
    frames: int | None = None


class IndexManifest(Frozen):
    """Content of the manifest.

    Attributes:
        format: ``INDEX_FORMAT``.
        version: Version of the format.
        program: Version of the program that wrote it.
        model: Name or folder of the model.
        recipe: How entries were made.
        sources: Sources of the frames; tables of frames refer to them by number.
    """

    format: str = INDEX_FORMAT
    version: int = INDEX_VERSION
    program: str = __version__
    model: str
    recipe: IndexRecipe
    sources: tuple[IndexedSource, ...] = ()

    def save(self, folder: Path) -> None:
        """Write the manifest into the folder of the index, with a checksum of its own.

        Raises:
            Failure: The file cannot be written.
        """
        content = self.model_dump(mode="json")
        text = json.dumps({**content, "checksum": _checksum(content)}, indent=1, ensure_ascii=False)
        try:
            replace_file(folder / MANIFEST_NAME, text)
        except OSError as error:
            logger.warning("A manifest cannot be written", exc_info=True)
            raise unwritable(folder, error) from error

    @staticmethod
    def read(folder: Path) -> "IndexManifest":
        """Read the manifest of an index.

        Raises:
            InvalidIndex: It is damaged, or a newer version of the program wrote it.
            UsageError: The folder is not an index.
        """
        path = folder / MANIFEST_NAME
        try:
            if path.stat().st_size > _LARGEST:
                raise ValueError("too large")
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or content.get("format") != INDEX_FORMAT:
                raise UsageError(f"{folder} is not an index of clipseg-live.")
            if content.get("version") != INDEX_VERSION:
                raise InvalidIndex(
                    f"The index {folder} has version {content.get('version')!r} of the format, and this program reads "
                    f"version {INDEX_VERSION}: delete it and run clipseg-live index again, or update clipseg-live."
                )
            checksum = content.pop("checksum", None)
            if checksum != _checksum(content):
                raise ValueError("another checksum")
            return IndexManifest.model_validate_json(json.dumps(content))
        except ClipsegLiveError:
            raise
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UsageError(f"{folder} is not an index: make one with clipseg-live index.") from error
        except OSError as error:
            logger.warning("A manifest cannot be read", exc_info=True)
            raise InvalidIndex(f"The index {folder} cannot be read: {error.strerror or error}.") from error
        except (ValueError, ValidationError, RecursionError) as error:
            logger.warning("A manifest is damaged", exc_info=True)
            raise InvalidIndex(
                f"The {MANIFEST_NAME} of the index {folder} is damaged: delete the index and run clipseg-live index "
                "again."
            ) from error


def unwritable(folder: Path, error: OSError) -> Failure:
    """Return the error of an index in a place where nothing can be written."""
    reason = error.strerror or error
    return Failure(f"The index {folder} cannot be written ({reason}): free space, or use another folder with --into.")


def is_index(path: Path) -> bool:
    """Return whether a folder looks like an index."""
    return (path / MANIFEST_NAME).is_file() and path.name.endswith(INDEX_SUFFIX)


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
