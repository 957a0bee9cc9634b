"""File with the sums of every image, so that an evaluation can continue and thresholds can be compared later."""

import logging
import time
from pathlib import Path

import numpy as np
from pydantic import Field, ValidationError

from clipseg_live.core.errors import Failure, SinkError, UsageError
from clipseg_live.core.settings.base import Frozen
from clipseg_live.core.system.files import replace_file
from clipseg_live.core.system.paths import check_input, check_replaceable
from clipseg_live.evaluation.scores import LEVEL_COUNT, Counts

logger = logging.getLogger(__name__)

SUMS_FORMAT = "clipseg-live sums"
_SECONDS = 5.0
"""Least time between two writes."""
_SHARE = 10.0
"""Factor on the time of the last write before the next one, so that a large file takes little of the time."""


class StoredSums(Frozen):
    """Sums of one target.

    Attributes:
        background: Background pixels above exactly k of the 49 thresholds, for k from 0 to 49.
        object: The same for object pixels.
        boundary: Boundary F-measure at the threshold of the run.
        share: Share of the image that the object covers, 0..1.
        flicker: Flicker of the frame; None for the first frame of a video, and for images.
        delay: Delay of the frame in frames; None without an object, and for images.
    """

    background: tuple[int, ...] = Field(min_length=LEVEL_COUNT, max_length=LEVEL_COUNT)
    object: tuple[int, ...] = Field(min_length=LEVEL_COUNT, max_length=LEVEL_COUNT)
    boundary: float
    share: float
    flicker: float | None = None
    delay: int | None = None

    @property
    def counts(self) -> Counts:
        """The pixels, int64 (2, 50), as in ``scores.Counts``."""
        return np.array([self.background, self.object], np.int64)


class _Content(Frozen):
    format: str
    version: int
    targets: dict[str, StoredSums]


class SumsFile:
    """Sums by key, in memory and optionally in a file. A key has everything that the sums depend on.

    Args:
        path: The file, which is replaced as a whole; None to keep nothing.

    Raises:
        UsageError: There is another file at the path.
        Failure: The file cannot be read.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._targets: dict[str, StoredSums] = {}
        self._is_changed = False
        self._next_write = time.monotonic() + _SECONDS
        if path is None:
            return
        check_input(path, UsageError)
        check_replaceable(path)
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise UsageError(f"{path} cannot be a file of sums: name a file in an existing folder.")
        try:
            content = _Content.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return
        except OSError as error:
            logger.warning("The file of sums cannot be read", exc_info=True)
            raise Failure(f"{path} cannot be read: {error.strerror or error}.") from error
        except ValidationError as error:
            logger.warning("The file of sums has another form", exc_info=True)
            raise UsageError(f"{path} is not a file of sums, or it is damaged: name another file.") from error
        if content.format != SUMS_FORMAT or content.version != 1:
            raise UsageError(f"{path} is not a file of sums of this version: name another file.")
        self._targets = dict(content.targets)

    def find(self, key: str) -> StoredSums | None:
        """Return the sums of a key, if they are known."""
        return self._targets.get(key)

    def add(self, key: str, sums: StoredSums) -> None:
        """Add sums."""
        self._targets[key] = sums
        self._is_changed = True

    def save_if_due(self) -> None:
        """Write the file if the last write is long enough ago.

        Raises:
            SinkError: It cannot be written.
        """
        if time.monotonic() >= self._next_write:
            self.save()

    def save(self) -> None:
        """Write the file if something is new.

        Raises:
            SinkError: It cannot be written.
        """
        if self._path is None or not self._is_changed:
            return
        start = time.monotonic()
        content = _Content(format=SUMS_FORMAT, version=1, targets=self._targets)
        try:
            replace_file(self._path, content.model_dump_json())
        except OSError as error:
            logger.warning("The file of sums cannot be written", exc_info=True)
            raise SinkError(f"{self._path} could not be written: {error.strerror or error}.") from error
        self._is_changed = False
        end = time.monotonic()
        self._next_write = end + max(_SECONDS, _SHARE * (end - start))
