"""Mattes: how much of each pixel belongs to a prompt, at the frame's own size; what effects are drawn from."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True, eq=False)
class Mattes:
    """The mattes of one frame, one for each prompt that is drawn; later ones lie above earlier ones.

    maps: float32 (prompts, h, w), 0..1, read-only: the probabilities that the mattes were made from, on any grid that
        covers the frame.
    presence: for each prompt, 0..1, how surely it is in the picture at all.
    own: whether the model has answered for this very frame and these very prompts. Where it has not, privacy effects
        hide the whole frame.
    """

    height: int
    width: int
    each: tuple[Matte, ...] = ()
    maps: NDArray[np.float32] = field(default_factory=lambda: _NO_MAPS)
    presence: tuple[float, ...] = ()
    own: bool = True
