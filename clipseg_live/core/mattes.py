"""Mattes: the alpha of each prompt at the frame's size, from which effects are drawn."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.core.system.png import png

Effort = Literal["full", "reduced", "least"]
"""Time spent on edges: "reduced" is at most the level "fast", without the fine pass. "least" leaves borders as coarse
as the probability maps."""


class Decision(IntEnum):
    """Cue that decided about a pixel near the border of a mask.

    "MAP" means that edge refinement agrees with the map. "NONE" is for pixels far from the border.
    """

    NONE = 0
    MAP = 1
    EDGES = 2
    COLOURS = 3


Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are exclusive."""

_NO_MAPS = np.zeros((0, 1, 1), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Matte:
    """The matte of one prompt.

    Attributes:
        alpha: uint8 (height, width), 0 (outside) to 255 (inside), read-only.
        boxes: Disjoint boxes; alpha is 0 outside them.
    """

    alpha: NDArray[np.uint8]
    boxes: tuple[Box, ...]

    def __repr__(self) -> str:
        height, width = self.alpha.shape
        return f"<Matte {width}×{height}, {self.alpha.mean() / 255:.1%} covered>"

    @property
    def area(self) -> float:
        """Share (0 to 1) of the frame that the mask covers: the pixels whose alpha is at least one half."""
        parts = (self.alpha[top:bottom, left:right] for left, top, right, bottom in self.boxes)
        return sum(int(np.count_nonzero(mask_of(part))) for part in parts) / self.alpha.size

    def _repr_png_(self) -> bytes:
        """Return the alpha as a PNG file for notebooks."""
        return png(self.alpha)


@dataclass(frozen=True, slots=True, eq=False)
class Mattes:
    """The mattes of one frame, one for each prompt that is drawn; later ones lie above earlier ones.

    Attributes:
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.
        each: The mattes, in the order of the prompts.
        maps: float32 (prompts, h, w), 0..1, read-only: the probability maps of the mattes, on any grid that covers the
            frame.
        presence: Presence of each prompt, 0..1.
        own: Whether there is a prediction for this frame and these prompts. If not, privacy effects hide the whole
            frame.
        cautious: Mattes of the same prompts that cover too much rather than too little, for effects that hide
            something. None: use ``each`` for these effects too.
        decisions: uint8 (prompts, height, width), a ``Decision`` for each pixel; None unless it was requested.
    """

    height: int
    width: int
    each: tuple[Matte, ...] = ()
    maps: NDArray[np.float32] = field(default_factory=lambda: _NO_MAPS)
    presence: tuple[float, ...] = ()
    own: bool = True
    cautious: tuple[Matte, ...] | None = None
    decisions: NDArray[np.uint8] | None = None

    def __repr__(self) -> str:
        return f"<Mattes of {len(self.each)} prompts, {self.width}×{self.height}>"

    @property
    def hiding(self) -> tuple[Matte, ...]:
        """Mattes for effects that hide something."""
        return self.each if self.cautious is None else self.cautious


def mask_of(alpha: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the mask of a matte or of a part of it: bool, True where the alpha is at least one half."""
    return alpha >= 128


def no_mattes(height: int, width: int, count: int) -> Mattes:
    """Return empty mattes for a frame without a prediction.

    Effects that hide something hide the whole frame then.

    Args:
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.
        count: Number of prompts that have a matte each.
    """
    alpha = np.zeros((height, width), np.uint8)
    alpha.setflags(write=False)
    maps = np.zeros((count, 1, 1), np.float32)
    return Mattes(height, width, (Matte(alpha, ()),) * count, maps, (0.0,) * count, own=False)


@dataclass(frozen=True, slots=True)
class Label:
    """The prompt of a matte.

    Attributes:
        name: The prompt as text.
        threshold: Probability from which a pixel belongs to the mask.
    """

    name: str
    threshold: float


@dataclass(frozen=True, slots=True)
class MatteRequest:
    """The mattes to make, and how to make them.

    Attributes:
        keys: Keys that identify the prompts over time, one for each prompt.
        ids: Ids that ``PromptStyle.against`` refers to, one for each prompt.
        styles: Styles of the prompts, one for each prompt.
        settings: How mattes are made.
        cautious: Make mattes for privacy effects. Thresholds are lower, and prompts are not hidden automatically. The
            area of the newest prediction is covered in full. While the model is unsure of an object that was in the
            frame, its last matte is kept and grown. None: the effects are not known, and ``Mattes`` hold both kinds.
        effort: Time spent on edges.
        explain: Return the decisions of edge refinement.
    """

    keys: tuple[Hashable, ...] = ()
    ids: tuple[int, ...] = ()
    styles: tuple[PromptStyle, ...] = ()
    settings: MatteSettings = field(default_factory=MatteSettings)
    cautious: bool | None = None
    effort: Effort = "full"
    explain: bool = False

    @property
    def drawn(self) -> int:
        """Number of prompts that get a matte."""
        return sum(style.role == "positive" for style in self.styles)


def disjoint(boxes: Sequence[Box]) -> list[Box]:
    """Merge overlapping boxes until none overlap."""
    merged: list[Box] = []
    for box in boxes:
        while (other := next((candidate for candidate in merged if overlap(candidate, box)), None)) is not None:
            merged.remove(other)
            box = (min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]), max(box[3], other[3]))
        merged.append(box)
    return merged


def overlap(one: Box, other: Box) -> bool:
    """Return whether two boxes have a pixel in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
