"""Pascal VOC 2012, with its own lists or those of PFENet for Pascal-5i."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clipseg_live.core.errors import SourceError
from clipseg_live.evaluation.dataset import Target, TrueImage, TrueSet
from clipseg_live.evaluation.readers.files import read_lines
from clipseg_live.evaluation.truths import MaskFile, read_mask_values

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""Classes in the order of their values, from 1."""
_WORDS = {"diningtable": "dining table", "pottedplant": "potted plant", "tvmonitor": "tv monitor"}
_IGNORED = 255
_LEAST_PIXELS = 2 * 32 * 32
"""Fewest pixels of a class in an image, as in PFENet."""


def read_voc(folder: Path, images: Path | None = None, listing: Path | None = None) -> TrueSet:
    """Read the classes that are in each image of a list, if they have at least 2048 pixels.

    Args:
        folder: Folder with ``JPEGImages`` and ``SegmentationClass``.
        images: Folder of the images in place of ``JPEGImages``.
        listing: List of images: a name in each line, or the paths of an image and a mask, as in the lists of PFENet.
            Default: ``ImageSets/Segmentation/val.txt``.

    Raises:
        SourceError: A file is missing or damaged.
    """
    path = listing or folder / "ImageSets" / "Segmentation" / "val.txt"
    found = []
    for image, mask in _pairs(path, folder, images):
        counts = np.bincount(read_mask_values(mask).astype(np.int64).ravel(), minlength=_IGNORED + 1)
        values = [number for number in np.flatnonzero(counts >= _LEAST_PIXELS).tolist() if 0 < number < _IGNORED]
        if values and values[-1] > len(CLASSES):
            raise SourceError(f"The mask {mask} has the value {values[-1]}, but Pascal VOC has {len(CLASSES)} classes.")
        targets = tuple(Target(CLASSES[number - 1], MaskFile(mask, number, _IGNORED)) for number in values)
        found.append(TrueImage(image.stem, image, targets))
    if not found:
        raise SourceError(f"The list {path} names no image.")
    return TrueSet(folder.name, "voc", tuple(found), {name: _WORDS.get(name, name) for name in CLASSES})


def _pairs(path: Path, folder: Path, images: Path | None) -> Iterator[tuple[Path, Path]]:
    """Yield the image and the mask of each line of a list."""
    for line in read_lines(path):
        first, *rest = line.split()
        if rest:
            image, mask = (folder / each.lstrip("/") for each in (first, rest[0]))
        else:
            image = (images or folder / "JPEGImages") / f"{first}.jpg"
            mask = folder / "SegmentationClass" / f"{first}.png"
        for file in (image, mask):
            if not file.is_file():
                raise SourceError(f"{path} lists {file}, which does not exist.")
        yield image, mask
