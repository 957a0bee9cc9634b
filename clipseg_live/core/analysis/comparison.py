"""Values of a comparison of variants: what each variant shows, its figures, and how it differs from the first one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Mattes, mask_of
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import RGB

LONGEST_COMPARED_SIDE = 640
"""Longest side of the masks that are compared, in pixels; masks of larger frames are sampled."""
ONLY_FIRST: RGB = (255, 150, 40)
ONLY_OTHER: RGB = (90, 170, 255)
BOTH: RGB = (235, 238, 240)
_FRAME_SHARE = 0.3
"""Brightness of the frame where the difference is drawn."""
_COLOUR_SHARE = 0.75
"""Opacity of the colours of the difference."""


@dataclass(frozen=True, slots=True)
class PromptFigures:
    """Figures of one drawn prompt of a variant.

    Attributes:
        name: Text of the prompt.
        colour: Colour of the prompt.
        area: Share (0 to 1) of the frame that its mask covers.
        presence: Presence of the prompt, 0 to 1.
    """

    name: str
    colour: RGB
    area: float
    presence: float


@dataclass(frozen=True, slots=True, eq=False)
class VariantView:
    """A variant in one frame.

    Attributes:
        image: uint8 (height, width, 3): the result, the maps or the difference.
        prompts: Figures of the drawn prompts.
        iou: Intersection over union of all masks together with those of the first variant, 0 to 1; None if no variant
            has a mask, or for the first variant.
    """

    image: Pixels
    prompts: tuple[PromptFigures, ...]
    iou: float | None = None


def figures_of(rendered: RenderedFrame) -> tuple[PromptFigures, ...]:
    """Return the figures of the drawn prompts of a rendered frame of a live session."""
    if rendered.settings is None:
        return ()
    rows = {row.id: row for row in rendered.settings.rows}
    areas = dict(zip(rendered.ids, rendered.areas, strict=True))
    presence = dict(zip(rendered.ids, rendered.presence, strict=False))
    return tuple(
        PromptFigures(
            rows[row_id].text.strip() or "image",
            rows[row_id].style.colour,
            areas.get(row_id, 0.0),
            presence.get(row_id, 0.0),
        )
        for row_id in rendered.drawn_ids
        if row_id in rows
    )


def joint_mask(mattes: Mattes) -> NDArray[np.bool_]:
    """Return where any mask is: bool (h, w), on every n-th pixel so that no side is over LONGEST_COMPARED_SIDE."""
    step = _step(mattes.height, mattes.width)
    joint = np.zeros((-(-mattes.height // step), -(-mattes.width // step)), np.bool_)
    for matte in mattes.each:
        joint |= mask_of(matte.alpha[::step, ::step])
    return joint


def intersection_over_union(first: NDArray[np.bool_], other: NDArray[np.bool_]) -> float | None:
    """Return the intersection over union of two masks of the same size; None if both are empty."""
    union = int(np.count_nonzero(first | other))
    return int(np.count_nonzero(first & other)) / union if union else None


def draw_difference(pixels: Pixels, first: NDArray[np.bool_], other: NDArray[np.bool_]) -> Pixels:
    """Draw where only the first mask, only the other one, and both are, over the darkened frame.

    Args:
        pixels: Frame, uint8 (height, width, 3).
        first: Mask of the first variant, from ``joint_mask``.
        other: Mask of the other variant.

    Returns:
        uint8 (h, w, 3), of the size of the masks.
    """
    step = _step(*pixels.shape[:2])
    drawn = pixels[::step, ::step].astype(np.float32) * _FRAME_SHARE
    areas: Sequence[tuple[NDArray[np.bool_], RGB]] = (
        (first & ~other, ONLY_FIRST),
        (other & ~first, ONLY_OTHER),
        (first & other, BOTH),
    )
    for area, colour in areas:
        drawn[area] += (np.array(colour, np.float32) - drawn[area]) * _COLOUR_SHARE
    return drawn.astype(np.uint8)


def _step(height: int, width: int) -> int:
    return -(-max(height, width) // LONGEST_COMPARED_SIDE)
