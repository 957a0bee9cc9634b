"""The engine as live sessions, exports and streams use it: a frame without a prediction does not end them."""

import logging
from collections.abc import Sequence

import numpy as np

from clipseg_live.core.errors import NoPrediction
from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.model.segmenter import Segmenter

logger = logging.getLogger(__name__)


class DriverSegmenter(Segmenter):
    """A ``Segmenter`` that returns maps of NaN where ``Segmenter`` raises NoPrediction.

    Drivers treat maps that are not finite as no prediction, whatever engine they come from.
    """

    def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
        """As ``Segmenter.segment``, with maps of NaN on a grid of one cell for a frame without a prediction."""
        try:
            return super().segment(frame, prompts)
        except NoPrediction as error:
            logger.warning("%s", error)
            wanted = tuple(prompts)
            nothing = np.full((len(wanted), 1, 1), np.nan, np.float32)
            nothing.setflags(write=False)
            return Segmentation(nothing, wanted, (frame.shape[0], frame.shape[1]))
