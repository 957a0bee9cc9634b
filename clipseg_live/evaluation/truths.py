"""Ground truth in the forms of the data sets: image files, polygons and run lengths."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipseg_live.core.errors import SourceError
from clipseg_live.evaluation.dataset import TrueMask, TrueSet
from clipseg_live.media.images.reader import open_image

logger = logging.getLogger(__name__)

Polygon = tuple[float, ...]
"""x and y of the corners in turn, in pixels."""


@dataclass(frozen=True, slots=True)
class AbsentTruth:
    """The class is not in the image."""

    def read(self, height: int, width: int) -> TrueMask:
        """Return an empty mask."""
        return TrueMask(np.zeros((height, width), np.bool_))

    def identity(self) -> str:
        """Return a constant."""
        return "absent"


def without_absent(data: TrueSet) -> TrueSet:
    """Return a data set without the targets that are known to have no object."""
    images = tuple(
        replace(image, targets=tuple(each for each in image.targets if not isinstance(each.truth, AbsentTruth)))
        for image in data.images
    )
    return replace(data, images=images)


@dataclass(frozen=True, slots=True)
class MaskFile:
    """An image file with the mask.

    Attributes:
        path: File of the mask.
        value: Value of the class's pixels: the index of a palette or the grey level. None: all pixels that are not 0.
        ignored: Value of pixels that are left out; None if there is no such value.
    """

    path: Path
    value: int | None = None
    ignored: int | None = None

    def read(self, height: int, width: int) -> TrueMask:
        """Return the mask of an image of this size."""
        values = read_mask_values(self.path)
        if values.shape != (height, width):
            rows, columns = values.shape
            raise SourceError(f"The mask {self.path} has {columns}×{rows} pixels, but its image has {width}×{height}.")
        valid = None if self.ignored is None else values != self.ignored
        return TrueMask(values != 0 if self.value is None else values == self.value, valid)

    def identity(self) -> str:
        """Return the values, and the size and time of the file."""
        return f"{self.value} {self.ignored} {file_identity(self.path)}"


@dataclass(frozen=True, slots=True)
class EvenOddTruth:
    """Polygons, of which each covers the pixels whose top left corner is inside by the even-odd rule.

    PhraseCut is scored in this way.

    Attributes:
        polygons: The polygons.
        file: File that they were read from.
    """

    polygons: tuple[Polygon, ...]
    file: Path

    def read(self, height: int, width: int) -> TrueMask:
        """Return the union of the polygons."""
        mask = np.zeros((height, width), np.bool_)
        for polygon in self.polygons:
            mask |= even_odd_mask(np.reshape(polygon, (-1, 2)), height, width)
        return TrueMask(mask)

    def identity(self) -> str:
        """Return the polygons."""
        return repr(self.polygons)


@dataclass(frozen=True, slots=True)
class CocoTruth:
    """Segmentations in the forms of COCO: polygons and run lengths.

    Attributes:
        segmentations: Each a tuple of polygons, a string of compressed run lengths or a tuple of whole run lengths.
        size: Height and width for which they were made.
        file: File that they were read from.
    """

    segmentations: tuple[tuple[Polygon, ...] | str | tuple[int, ...], ...]
    size: tuple[int, int]
    file: Path

    def read(self, height: int, width: int) -> TrueMask:
        """Return the union of the segmentations."""
        if self.size != (height, width):
            rows, columns = self.size
            raise SourceError(f"{self.file} describes an image of {columns}×{rows} pixels that has {width}×{height}.")
        mask = np.zeros((height, width), np.bool_)
        for segmentation in self.segmentations:
            mask |= self._decode(segmentation)
        return TrueMask(mask)

    def identity(self) -> str:
        """Return the segmentations."""
        return repr((self.size, self.segmentations))

    def _decode(self, segmentation: Any) -> NDArray[np.bool_]:
        height, width = self.size
        try:
            if isinstance(segmentation, str):
                return mask_of_runs(decompress_runs(segmentation), height, width)
            if segmentation and not isinstance(segmentation[0], tuple):
                return mask_of_runs(list(segmentation), height, width)
            return _coco_polygons_mask(segmentation, height, width)
        except ValueError as error:
            logger.warning("A segmentation cannot be decoded", exc_info=True)
            raise SourceError(f"{self.file} has a segmentation that is damaged.") from error


@dataclass(frozen=True, slots=True)
class YoloTruth:
    """Polygons of one class in a label file of YOLO, with coordinates from 0 to 1.

    Attributes:
        path: The label file.
        number: Number of the class, from 0.
    """

    path: Path
    number: int

    def read(self, height: int, width: int) -> TrueMask:
        """Return the union of the polygons, drawn as by Ultralytics: corners cut to whole pixels, borders in."""
        mask = np.zeros((height, width), np.uint8)
        for corners in self._corners():
            cv2.fillPoly(mask, [(corners * (width, height)).astype(np.int32)], (1,))
        return TrueMask(mask > 0)

    def identity(self) -> str:
        """Return the number, and the size and time of the file."""
        return f"{self.number} {file_identity(self.path)}"

    def _corners(self) -> Sequence[NDArray[np.float64]]:
        found = []
        for number, line in enumerate(_text_of(self.path).splitlines(), start=1):
            try:
                category, *values = line.split() or ["-1"]
                if int(category) != self.number:
                    continue
                corners = np.array(values, np.float64).reshape(-1, 2)
                if len(corners) < 3 or not np.isfinite(corners).all() or np.abs(corners).max() > 2:
                    raise ValueError("corners")
            except ValueError as error:
                logger.warning("A label cannot be read", exc_info=True)
                raise SourceError(f"Line {number} of {self.path} is not a polygon with values from 0 to 1.") from error
            found.append(corners)
        return found


def read_mask_values(path: Path) -> NDArray[Any]:
    """Return the values of a mask file, (height, width): palette indices or grey levels; for colours, 0 or 1.

    Raises:
        SourceError: The file cannot be read.
    """
    with open_image(path) as (image, _):
        if image.mode in ("P", "L", "1", "I", "F") or image.mode.startswith("I;"):
            return np.array(image)
        colours = np.array(image.convert("RGBA") if image.mode in ("LA", "La", "PA") else _plain(image))
    return np.asarray(colours[..., :3].any(axis=-1) & (colours[..., 3:] > 0).all(axis=-1), np.uint8)


def _plain(image: Image.Image) -> Image.Image:
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGB")


def decompress_runs(text: str) -> list[int]:
    """Return the run lengths of COCO's compressed form.

    pycocotools decodes this form too, but damaged text makes it read and write outside its memory.

    Each character holds five bits of a number, the lowest first, plus 48. Bit 32 marks that the number continues, and
    bit 16 of its last character that it is negative. From the fourth number on, it is the difference from the number
    two before.

    Raises:
        ValueError: If the text is damaged.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("a character is not that of a run length")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the last run length is incomplete")
    return runs


def mask_of_runs(runs: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """Return a mask from run lengths: background and object in turn, column by column.

    Raises:
        ValueError: If the lengths do not fit the size.
    """
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ValueError("the run lengths do not have the pixels of the image")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def _coco_polygons_mask(polygons: Sequence[Polygon], height: int, width: int) -> NDArray[np.bool_]:
    """Return the union of polygons as pycocotools draws them.

    Raises:
        ValueError: If a polygon has too few corners or extends far beyond the image, which takes pycocotools memory
            without limit.
    """
    from pycocotools import mask as coco

    side = max(height, width)
    for polygon in polygons:
        corners = np.array(polygon, np.float64)
        if corners.size < 6 or corners.size % 2 or not (np.abs(corners - side / 2) <= 2 * side).all():
            raise ValueError("a polygon does not fit the image")
    if not polygons:
        return np.zeros((height, width), np.bool_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pycocotools itself, about NumPy
        decoded: NDArray[np.uint8] = coco.decode(coco.frPyObjects([list(each) for each in polygons], height, width))
    return np.asarray(decoded.any(axis=2))


def even_odd_mask(corners: NDArray[np.float64], height: int, width: int) -> NDArray[np.bool_]:
    """Return the points (row, column) with whole coordinates that are inside a polygon, by the even-odd rule.

    Every edge crosses the rows from its upper end to just before its lower end. The pixels to the right of a crossing
    change sides.

    Args:
        corners: float64 (corners, 2), x and y.
        height: Height of the mask.
        width: Width of the mask.
    """
    x, y = corners[:, 0], corners[:, 1]
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    upper, lower = np.minimum(y, next_y), np.maximum(y, next_y)
    first = np.clip(np.ceil(upper), 0, height).astype(np.intp)
    last = np.clip(np.ceil(lower), 0, height).astype(np.intp)
    counts = last - first
    edges = np.repeat(np.arange(len(x)), counts)
    rows = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts) + first[edges]
    slopes = (next_x - x)[edges] / (next_y - y)[edges]
    crossings = np.clip(np.floor(x[edges] + (rows - y[edges]) * slopes) + 1, 0, width).astype(np.intp)
    changes = np.zeros((height, width + 1), np.int64)
    np.add.at(changes, (rows, crossings), 1)
    return np.asarray(changes.cumsum(axis=1)[:, :width] % 2 == 1)


def file_identity(path: Path) -> str:
    """Return the name, size and time of a file.

    Raises:
        SourceError: The file is missing.
    """
    try:
        status = path.stat()
    except OSError as error:
        logger.warning("A file of a data set is missing", exc_info=True)
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from error
    return f"{path.name} {status.st_size} {status.st_mtime_ns}"


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        logger.warning("A text file cannot be read", exc_info=True)
        raise SourceError(f"{path} cannot be read as text.") from error
