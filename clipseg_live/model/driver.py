"""Engine for live sessions, exports and streams, in which a frame without a prediction is not an error."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipseg_live.core.errors import NoPrediction
from clipseg_live.core.expressions.combinations import combine_maps
from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.model.backend import Backend
from clipseg_live.model.preprocess import Placement
from clipseg_live.model.segmenter import Segmenter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _EncodedFrame:
    """Features of a frame, their backend, the position in the network input, and height and width in pixels."""

    features: Any
    backend: Backend
    placement: Placement
    size: tuple[int, int]


class DriverSegmenter(Segmenter):
    """``Segmenter`` that returns maps of NaN where ``Segmenter`` raises NoPrediction.

    Drivers treat maps that are not finite as no prediction, with any engine.

    Attributes:
        after_layer: Called after each layer of the vision encoder, if the engine runs layers one by one. It may call
            ``segment_last``. None: nothing is called.
        newest_prompts: Returns the prompts to decode, once the frame is encoded. None: those of the call.
    """

    after_layer: Callable[[], None] | None = None
    newest_prompts: Callable[[], tuple[Prompt, ...]] | None = None
    _last: _EncodedFrame | None = None

    def segment_last(self, prompts: tuple[Prompt, ...]) -> Segmentation | None:
        """Return the maps of the last frame for other prompts, from its features.

        Return None without such a frame in the present precision, with ``detail``, or if the maps are not finite.

        Raises:
            UsageError: If an embedding has the wrong length.
        """
        with self._lock:
            last, clock = self._last, self.backend.clock()
            if last is None or last.backend is not self.backend or self.detail != "off":
                return None
            try:
                embeddings = self._prompts.encode(prompts)
            except NoPrediction:
                logger.warning("A prompt has no finite embedding", exc_info=True)
                return None
            clock.mark("prompts")
            leaves = self.backend.download(self.backend.maps(last.features, embeddings, last.placement))
            maps = combine_maps(prompts, leaves)
            clock.mark("decoder")
            maps.setflags(write=False)
            return Segmentation(maps, prompts, last.size, clock.milliseconds()) if np.isfinite(maps).all() else None

    def configure(self, *settings: Any, **options: Any) -> None:
        """Change settings as ``Segmenter.configure``, and forget the last frame, which had others."""
        super().configure(*settings, **options)
        self._last = None

    def forget(self) -> None:
        """Reuse nothing of the frames so far, as before frames of another source."""
        super().forget()
        self._last = None

    def _segment(self, pixels: Pixels, wanted: tuple[Prompt, ...]) -> Segmentation:
        """Segment a frame as ``Segmenter._segment``; without a prediction return maps of NaN on a grid of one cell."""
        size = (pixels.shape[0], pixels.shape[1])
        try:
            segmentation = super()._segment(pixels, wanted)
        except NoPrediction as error:
            logger.warning("%s", error)
            nothing = np.full((len(wanted), 1, 1), np.nan, np.float32)
            nothing.setflags(write=False)
            return Segmentation(nothing, wanted, size)
        self._last = _EncodedFrame(self._seen[0][1], self.backend, self._place(*size), size)
        return segmentation

    def _after_layer(self) -> None:
        if self.after_layer is not None:
            self.after_layer()

    def _newest_prompts(self, wanted: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
        return wanted if self.newest_prompts is None else self.newest_prompts()
