"""Mattes: how much of each pixel belongs to a prompt, at the frame's own size; what effects are drawn from."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.core.system.png import png

Effort = Literal["full", "reduced", "least"]
"""How much time edges may take: "reduced" leaves out the close pass, "least" leaves borders as coarse as the maps."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; the last two are just outside."""

_NO_MAPS = np.zeros((0, 1, 1), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Matte:
    """One prompt's matte.

    alpha: uint8 (height, width), 0 (not at all) to 255 (wholly), read-only. boxes: disjoint; alpha is 0 outside them.
    """

    alpha: NDArray[np.uint8]
    boxes: tuple[Box, ...]

    def __repr__(self) -> str:
        height, width = self.alpha.shape
        return f"<Matte {width}×{height}, {self.alpha.mean() / 255:.1%} covered>"

    def _repr_png_(self) -> bytes:
        """Return the alpha as a PNG file, which notebooks show."""
        return png(self.alpha)


@dataclass(frozen=True, slots=True, eq=False)
class Mattes:
    """The mattes of one frame, one for each prompt that is drawn; later ones lie above earlier ones.

    maps: float32 (prompts, h, w), 0..1, read-only: the probabilities that the mattes were made from, on any grid that
        covers the frame.
    presence: for each prompt, 0..1, how surely it is in the picture at all.
    own: whether the model has answered for this very frame and these very prompts. Where it has not, privacy effects
        hide the whole frame.
    cautious: mattes of the same prompts that rather cover too much, for effects that hide something; None where
        ``each`` serve for them too.
    """

    height: int
    width: int
    each: tuple[Matte, ...] = ()
    maps: NDArray[np.float32] = field(default_factory=lambda: _NO_MAPS)
    presence: tuple[float, ...] = ()
    own: bool = True
    cautious: tuple[Matte, ...] | None = None

    def __repr__(self) -> str:
        return f"<Mattes of {len(self.each)} prompts, {self.width}×{self.height}>"

    @property
    def hiding(self) -> tuple[Matte, ...]:
        """Mattes for effects that hide something."""
        return self.each if self.cautious is None else self.cautious


def no_mattes(height: int, width: int, count: int) -> Mattes:
    """Return empty mattes for a frame without a prediction, where ``count`` prompts have one each.

    Effects that hide something hide such a frame whole.
    """
    alpha = np.zeros((height, width), np.uint8)
    alpha.setflags(write=False)
    maps = np.zeros((count, 1, 1), np.float32)
    return Mattes(height, width, (Matte(alpha, ()),) * count, maps, (0.0,) * count, own=False)


@dataclass(frozen=True, slots=True)
class Label:
    """What a matte is of: the prompt in words, and the probability from which on a pixel counts."""

    name: str
    threshold: float


@dataclass(frozen=True, slots=True)
class MatteRequest:
    """Which mattes are wanted, and how they are made. keys: what tells the prompts apart over time; ids: what
    ``PromptStyle.against`` refers to; styles; one of each for each prompt.

    cautious: for privacy effects. Thresholds are lower, nothing is hidden automatically, what the newest answer covers
    is covered in full, and while the model is unsure of something that was there, its last matte is kept and grown.
    Where the effects are not known (None), ``Mattes`` hold both kinds.
    """

    keys: tuple[Hashable, ...] = ()
    ids: tuple[int, ...] = ()
    styles: tuple[PromptStyle, ...] = ()
    settings: MatteSettings = field(default_factory=MatteSettings)
    cautious: bool | None = None
    effort: Effort = "full"

    @property
    def drawn(self) -> int:
        """Number of prompts that get a matte."""
        return sum(style.role == "show" for style in self.styles)


def disjoint(boxes: Sequence[Box]) -> list[Box]:
    """The boxes with those that overlap made into one, until none do."""
    found: list[Box] = []
    for box in boxes:
        while (other := next((each for each in found if _overlap(each, box)), None)) is not None:
            found.remove(other)
            box = (min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]), max(box[3], other[3]))
        found.append(box)
    return found


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
