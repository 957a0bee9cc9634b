"""Asking the model for many words in the background, a few with each prediction."""

import threading
from dataclasses import replace

import numpy as np

from clipseg_live.core.analysis.word_maps import WordMaps, shrink_maps
from clipseg_live.core.protocols import Maps
from clipseg_live.core.segmentation import is_usable
from clipseg_live.core.settings.live import PromptRow
from clipseg_live.core.status import Prediction

WORDS_AT_ONCE = 12
"""Number of words that are decoded with the prompts of a frame: more would delay the masks."""
_FIRST_ID = -1_000_000
"""Id of the row of the first word; others are below it. No other row has such ids."""


class WordAsking:
    """Words of a list, and the maps that have come in for them. All methods may be called from any thread.

    The encoder does not run for them: the worker answers changed prompts from the features of the last frame.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._words: tuple[str, ...] = ()
        self._next = 0
        self._maps: dict[int, Maps] = {}
        self._frame: tuple[int, int] | None = None
        self._asked: tuple[int, int] | None = None

    def set_words(self, words: tuple[str, ...], frame: tuple[int, int] | None) -> bool:
        """Ask these words, and return whether the prompts of the worker change.

        A list that is finished is asked again for another frame. The maps of the last round stay until then.

        Args:
            words: The words; empty to stop.
            frame: Epoch and index of the frame that is shown.
        """
        with self._lock:
            is_finished = bool(words) and self._next >= len(words)
            if words == self._words and not (is_finished and frame != self._asked):
                return False
            if words != self._words:
                self._maps = {}
            self._words, self._next, self._asked = words, 0, frame
            return True

    def rows(self) -> tuple[PromptRow, ...]:
        """Return the rows of the words that are asked now."""
        with self._lock:
            return tuple(
                _ROW.model_copy(update={"id": _FIRST_ID - place, "text": self._words[place]})
                for place in self._places()
            )

    def take(self, prediction: Prediction) -> bool:
        """Keep the maps of words in a prediction, and return whether the next words are to be asked."""
        with self._lock:
            places = self._places()
            wanted = [_FIRST_ID - place for place in places]
            if not wanted or not set(wanted) <= set(prediction.ids):
                return False
            if is_usable(prediction.maps, len(prediction.ids)):
                maps = shrink_maps(prediction.maps[[prediction.ids.index(row_id) for row_id in wanted]])
                if any(each.shape != maps.shape[1:] for each in self._maps.values()):  # another source or input size
                    self._maps, self._next = {}, 0
                    return True
                self._maps.update(zip(places, maps, strict=True))
            self._next += len(wanted)
            return True

    def result(self) -> WordMaps:
        """Return the maps so far."""
        with self._lock:
            known = sorted(self._maps)
            words, maps = tuple(self._words[place] for place in known), [self._maps[place] for place in known]
            total = len(self._words)
        return WordMaps(words, np.stack(maps), total) if maps else WordMaps(total=total)

    def _places(self) -> range:
        return range(self._next, min(self._next + WORDS_AT_ONCE, len(self._words)))


def without_words(prediction: Prediction) -> Prediction:
    """Return a prediction without the maps of words."""
    kept = [place for place, row_id in enumerate(prediction.ids) if row_id > _FIRST_ID]
    if len(kept) == len(prediction.ids):
        return prediction
    maps = prediction.maps[kept] if kept else np.zeros((0, 1, 1), np.float32)
    return replace(
        prediction,
        ids=tuple(prediction.ids[place] for place in kept),
        keys=tuple(prediction.keys[place] for place in kept),
        maps=maps,
    )


_ROW = PromptRow(id=0)
