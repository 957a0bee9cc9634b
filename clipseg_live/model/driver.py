"""The engine as live sessions, exports and streams use it: a frame without a prediction does not end them."""

import logging

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

    def _segment(self, pixels: Pixels, wanted: tuple[Prompt, ...]) -> Segmentation:
        """As ``Segmenter._segment``, with maps of NaN on a grid of one cell for a frame without a prediction."""
        try:
            return super()._segment(pixels, wanted)
        except NoPrediction as error:
            logger.warning("%s", error)
            nothing = np.full((len(wanted), 1, 1), np.nan, np.float32)
            nothing.setflags(write=False)
            return Segmentation(nothing, wanted, (pixels.shape[0], pixels.shape[1]))
