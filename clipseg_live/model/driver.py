"""Engine for live sessions, exports and streams, in which a frame without a prediction is not an error."""

import logging

import numpy as np

from clipseg_live.core.errors import NoPrediction
from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.model.segmenter import Segmenter

logger = logging.getLogger(__name__)


class DriverSegmenter(Segmenter):
    """``Segmenter`` that returns maps of NaN where ``Segmenter`` raises NoPrediction.

    Drivers treat maps that are not finite as no prediction, with any engine.
    """

    def _segment(self, pixels: Pixels, wanted: tuple[Prompt, ...]) -> Segmentation:
        """Segment a frame as ``Segmenter._segment``; without a prediction return maps of NaN on a grid of one cell."""
        try:
            return super()._segment(pixels, wanted)
        except NoPrediction as error:
            logger.warning("%s", error)
            nothing = np.full((len(wanted), 1, 1), np.nan, np.float32)
            nothing.setflags(write=False)
            return Segmentation(nothing, wanted, (pixels.shape[0], pixels.shape[1]))
