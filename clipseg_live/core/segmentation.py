"""The prediction of an engine: one probability map for each prompt."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import Failure, NoPrediction, UsageError
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.system.packages import missing_package
from clipseg_live.core.system.png import figures
from clipseg_live.core.system.quoting import one_line

UNUSABLE = (
    "The model returned NaN or infinite values, so these frames have no masks: choose another model, device or dtype."
)
"""Message for the user about maps that ``is_usable`` rejects."""


def is_usable(maps: NDArray[np.float32], count: int) -> bool:
    """Return whether maps can be used as a prediction.

    Every part of the program that receives maps from an engine checks them here. Unusable maps count as no prediction:
    nothing is drawn from them, and hiding effects hide the whole frame.

    Args:
        maps: Maps from the engine.
        count: Number of prompts that were asked for.
    """
    return maps.ndim == 3 and len(maps) == count and bool(np.isfinite(maps).all())


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """Probability maps of one frame.

    Attributes:
        probabilities: float32, shape (prompts, height, width), 0..1, on the decoder's grid. They cover exactly the
            frame (letterbox bars are cut off). Read-only.
        prompts: Prompts in the order of the maps.
        frame_size: (height, width) of the frame that was segmented.
        timings: Milliseconds per stage.
        recomputed: Share of the vision encoder's tokens that were computed for this frame, 0..1; None if tokens are not
            reused between frames.
    """

    probabilities: NDArray[np.float32]
    prompts: tuple[Prompt, ...]
    frame_size: tuple[int, int]
    timings: Mapping[str, float] = field(default_factory=dict)
    recomputed: float | None = None

    def __repr__(self) -> str:
        (rows, columns), (height, width) = self.probabilities.shape[1:], self.frame_size
        labels = one_line(", ".join(prompt.label for prompt in self.prompts))
        return f"<Segmentation of {width}×{height}: {labels}; maps of {columns}×{rows}>"

    def _repr_html_(self) -> str:
        """Return the maps with their prompts as HTML for notebooks."""
        levels = (np.nan_to_num(self.probabilities).clip(0, 1) * 255).astype(np.uint8)
        return figures([(image, prompt.label) for image, prompt in zip(levels, self.prompts, strict=True)])

    def at(self, height: int | None = None, width: int | None = None) -> NDArray[np.float32]:
        """Return the maps resized to (height, width).

        The interpolation is bilinear with half-pixel centres, as in ``cv2.INTER_LINEAR`` and in torch with
        ``align_corners=False``.

        Args:
            height: Height in pixels. Default: the height of the frame.
            width: Width in pixels. Default: the width of the frame.

        Raises:
            UsageError: If a size is below 1.
        """
        height = self.frame_size[0] if height is None else height
        width = self.frame_size[1] if width is None else width
        if height < 1 or width < 1:
            raise UsageError(f"A size of {width}×{height} is invalid: both sides must be at least 1 pixel.")
        return _resize_axis(_resize_axis(self.probabilities, 1, height), 2, width)

    def masks(self, threshold: float = 0.5) -> NDArray[np.bool_]:
        """Return the masks at the frame's size: bool (prompts, height, width).

        Args:
            threshold: Probability from which a pixel belongs to the mask, 0..1.

        Raises:
            UsageError: If the threshold is outside 0..1.
            NoPrediction: If the maps are not finite.
        """
        if not 0.0 <= threshold <= 1.0:
            raise UsageError(f"A threshold of {threshold} is invalid: it must be from 0 to 1.")
        if not np.isfinite(self.probabilities).all():
            raise NoPrediction("The probability maps contain NaN or infinite values.")
        masks: NDArray[np.bool_] = self.at() >= np.float32(threshold)
        return masks

    def to_supervision(self, threshold: float = 0.5) -> Any:
        """Return the masks as ``supervision.Detections``, one for each prompt that covers at least one pixel.

        ``xyxy`` holds the boxes, whose right and bottom are exclusive. ``mask`` holds the masks at the frame's size.
        ``confidence`` is the mean probability in each mask. ``class_id`` is the index of the prompt, and
        ``data["class_name"]`` its label.

        Args:
            threshold: Probability from which a pixel belongs to the mask, 0..1.

        Raises:
            Failure: If the package supervision is not installed.
            UsageError: If the threshold is outside 0..1.
            NoPrediction: If the maps are not finite.
        """
        try:
            import supervision  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise Failure(missing_package("to_supervision()", "supervision")) from error
        maps, masks = self.at(), self.masks(threshold)
        indices = [index for index, mask in enumerate(masks) if mask.any()]
        return supervision.Detections(
            xyxy=np.array([_outline(masks[index]) for index in indices], np.float32).reshape(-1, 4),
            mask=masks[indices],
            confidence=np.array([maps[index][masks[index]].mean() for index in indices], np.float32),
            class_id=np.array(indices, int),
            data={"class_name": np.array([self.prompts[index].label for index in indices], np.str_)},
        )


def _outline(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a mask that is not empty; right and bottom are exclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _resize_axis(maps: NDArray[np.float32], axis: int, size: int) -> NDArray[np.float32]:
    """Interpolate linearly along one axis, with half-pixel centres and repeated borders."""
    old = maps.shape[axis]
    if old == size:
        return maps
    centres = (np.arange(size, dtype=np.float64) + 0.5) * (old / size) - 0.5
    centres = centres.clip(0, old - 1)
    lower = np.floor(centres).astype(np.intp)
    upper = np.minimum(lower + 1, old - 1)
    shape = [1, 1, 1]
    shape[axis] = size
    weight = (centres - lower).astype(np.float32).reshape(shape)
    below = np.take(maps, lower, axis=axis)
    between: NDArray[np.float32] = below + (np.take(maps, upper, axis=axis) - below) * weight
    return between
