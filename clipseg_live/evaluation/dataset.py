"""Data sets with ground truth: images, and the true masks of classes in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class TrueMask(NamedTuple):
    """Ground truth of one class in one image.

    Attributes:
        object: bool (height, width), True for pixels of the class.
        valid: bool (height, width), False for pixels that are left out; None if all pixels count.
    """

    object: NDArray[np.bool_]
    valid: NDArray[np.bool_] | None = None


class Truth(Protocol):
    """Ground truth that is read when it is needed."""

    def read(self, height: int, width: int) -> TrueMask:
        """Return the mask of an image of this size.

        Raises:
            SourceError: A file cannot be read, or its mask has another size.
        """

    def identity(self) -> str:
        """Return a text that changes when the ground truth changes.

        Raises:
            SourceError: A file is missing.
        """


@dataclass(frozen=True, slots=True)
class Target:
    """One class in one image, with its ground truth."""

    category: str
    truth: Truth


@dataclass(frozen=True, slots=True)
class TrueImage:
    """An image with ground truth.

    Attributes:
        name: Name of the image, unique in its data set.
        file: File of the image.
        targets: Classes to score in this image.
        sequence: Name of the video that the image is a frame of; "" for an image on its own. Frames of a video follow
            one another in the data set.
    """

    name: str
    file: Path
    targets: tuple[Target, ...]
    sequence: str = ""


@dataclass(frozen=True, slots=True)
class TrueSet:
    """A data set with ground truth.

    Attributes:
        name: Name of its folder or file.
        layout: Name of its layout, one of ``readers.registry.DATA_SET_LAYOUTS``.
        images: Images in order.
        words: Text that stands for each class unless the user gives another, by class.
        per_target: Every target is a class of its own in mIoU, as in PhraseCut.
        notices: Sentences for the user, about images that were left out.
    """

    name: str
    layout: str
    images: tuple[TrueImage, ...]
    words: Mapping[str, str]
    per_target: bool = False
    notices: tuple[str, ...] = field(default=())

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the classes, in order."""
        return tuple(self.words)
