"""Feedback: corrections of a mask until its means over tokens agree with the predictions of several frames.

A map that was averaged over time has no tokens of its own. But each prediction holds the means of the object's mask
over the tokens of its own frame. They are compared with the means of the mask that was shown for this frame. The
average of the differences over time has less noise than each of them, and its significant part is added to the map.
The part of a difference that a displaced, larger or smaller map explains is left out: there the picture is more exact.
Motion moves the object between the tokens, so the predictions together resolve details that are smaller than a token
(multi-frame super-resolution by iterative back-projection: Irani and Peleg, CVGIP 1991).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import FloatPlane
from clipseg_live.matting.edges.token_map import TokenMap
from clipseg_live.matting.optical_flow import FlowField, warp

_SUMMED = np.float32(0.3)
"""Share of the significant residual that each prediction adds to the offset."""
_SIGNIFICANT = np.float32(0.6)
"""Residual of many predictions that counts as noise, as a share of the tolerance of a single prediction."""
MOST_GAIN = 0.5
"""Weight of a prediction above which it is not compared, because the average holds too few to tell noise."""
_MOST_DIFFERENCE = np.float32(0.3)
"""Largest difference of a token that counts, so that a wrong prediction does little harm."""
_MOST_OFFSET = np.float32(0.7)


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A prediction of one prompt.

    Attributes:
        probability: float32 (h, w), 0..1, the map in the coordinates of its own frame.
        threshold: probability at the border of the object, 0..1.
        gain: weight of the prediction in an average over time, 0..1.
        coverage: float32 (h, w), 0..1, the mask that was shown for its frame. None if its frame is the shown one.
        back: float32 (h, w, 2), the position of each pixel of the shown frame in the frame of the prediction. None if
            both are the same frame.
        only_grows: the feedback only adds to the mask.
    """

    probability: FloatPlane
    threshold: float
    gain: float
    coverage: FloatPlane | None = None
    back: FlowField | None = None
    only_grows: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Feedback:
    """Differences between predictions and masks, in the coordinates of the shown frame.

    Attributes:
        residual: float32 (h, w), the average of the differences.
        offset: float32 (h, w), the sum of the significant parts of earlier residuals.
        tolerance: average of the differences that count as noise in single predictions, 0..1.
        count: number of predictions.
        threshold: the threshold for which they hold.
        only_grows: it only adds to the mask.
    """

    residual: FloatPlane
    offset: FloatPlane
    tolerance: np.float32
    count: int
    threshold: float
    only_grows: bool = False

    @classmethod
    def before(cls, observation: Observation, shape: tuple[int, int]) -> "Feedback":
        """Return the feedback before a first observation, for planes of (h, w) pixels."""
        zeros = np.zeros(shape, np.float32)
        return cls(zeros, zeros, np.float32(0), 0, observation.threshold, observation.only_grows)

    @property
    def correction(self) -> FloatPlane:
        """The plane that is added to the map, float32 (h, w)."""
        correction = self.offset + self._significant
        return np.maximum(correction, np.float32(0)) if self.only_grows else correction

    @property
    def _significant(self) -> FloatPlane:
        least = max(_SIGNIFICANT, np.float32(max(self.count, 1) ** -0.5)) * self.tolerance
        return np.asarray(self.residual - np.clip(self.residual, -least, least), np.float32)

    def updated(
        self, tokens: TokenMap, mask: FloatPlane, gain: float, positions: FlowField | None = None
    ) -> "Feedback":
        """Return the feedback after a prediction.

        Args:
            tokens: the prediction.
            mask: float32 (h, w), 0..1, the mask of its frame.
            gain: weight of the prediction, 0..1. The first ones count equally.
            positions: float32 (h, w, 2), the position of each pixel in the frame of the prediction; None if it is the
                shown frame.
        """
        missing = tokens.residual(tokens.grid.means(mask))
        difference = tokens.grid.interpolated(np.clip(missing, -_MOST_DIFFERENCE, _MOST_DIFFERENCE))
        if positions is not None:
            difference = warp(difference, positions)
        share = np.float32(max(gain, 1 / (self.count + 1)))
        changed = replace(
            self,
            residual=self.residual + share * (difference - self.residual),
            tolerance=self.tolerance + share * (tokens.tolerance - self.tolerance),
            count=self.count + 1,
        )
        offset = np.clip(self.offset + _SUMMED * changed._significant, -_MOST_OFFSET, _MOST_OFFSET)
        return replace(changed, offset=offset)

    def warped(self, positions: NDArray[np.float32]) -> "Feedback":
        """Return the feedback moved to another frame by a backward flow, float32 (h, w, 2)."""
        both = warp(np.dstack([self.residual, self.offset]), positions)
        residual, offset = (np.ascontiguousarray(both[..., index]) for index in range(2))
        return replace(self, residual=residual, offset=offset)
