"""Collection of histograms of the probability maps of a live session."""

import threading
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from clipseg_live.core.analysis.histograms import BINS, BinCounts, MapHistogram, count_probabilities
from clipseg_live.core.segmentation import is_usable
from clipseg_live.core.status import Prediction


@dataclass(slots=True)
class _Collected:
    """Key of a prompt, and its sums so far."""

    key: Hashable
    frame: BinCounts
    clip: BinCounts
    frames: int = 0


class MapHistograms:
    """Histograms of the maps of each prompt. All methods may be called from any thread.

    Every predicted frame counts once. A prompt whose content changes begins again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._collected: dict[int, _Collected] = {}
        self._counted: dict[int, tuple[int, int]] = {}

    def add(self, prediction: Prediction) -> None:
        """Count a prediction. Maps with values that are not finite are left out.

        Args:
            prediction: Prediction with the keys of its prompts.
        """
        if not is_usable(prediction.maps, len(prediction.ids)):
            return
        counts = [count_probabilities(each) for each in prediction.maps]
        frame = prediction.epoch, prediction.index
        with self._lock:
            collected: dict[int, _Collected] = {}
            for row_id, key, own in zip(prediction.ids, prediction.keys, counts, strict=True):
                each = self._collected.get(row_id)
                if each is None or each.key != key:
                    each = _Collected(key, own, np.zeros(BINS, np.int64))
                    self._counted.pop(row_id, None)
                each.frame = own
                if self._counted.get(row_id) != frame:
                    self._counted[row_id] = frame
                    each.clip, each.frames = each.clip + own, each.frames + 1
                collected[row_id] = each
            self._collected = collected

    def clear(self) -> None:
        """Begin again, for a new source."""
        with self._lock:
            self._collected, self._counted = {}, {}

    def all(self) -> Mapping[int, MapHistogram]:
        """Return the histograms by the id of the prompt."""
        with self._lock:
            return {
                row_id: MapHistogram(each.frame, each.clip, each.frames) for row_id, each in self._collected.items()
            }
