"""Words that are asked in the background: a few with each prediction, and never part of the masks."""

import numpy as np
import pytest

from clipseg_live.core.analysis.word_maps import LONGEST_MAP_SIDE, WordMaps, shrink_maps
from clipseg_live.core.status import Prediction
from clipseg_live.runtime.pipeline import keys_of
from clipseg_live.runtime.word_asking import WORDS_AT_ONCE, WordAsking, without_words

WORDS = tuple(f"word {number}" for number in range(2 * WORDS_AT_ONCE + 3))


def answer(asking: WordAsking, side: int = 4) -> Prediction:
    """Return a prediction of the row 5 and the words that are asked, each with its number in its map."""
    rows = asking.rows()
    ids = (5, *(row.id for row in rows))
    values = [0.5, *(int(row.text.split()[1]) / 100 for row in rows)]
    maps = np.stack([np.full((side, side), value, np.float32) for value in values])
    return Prediction(0, 0, 1, ids, maps, keys=("row", *keys_of(rows).values()))


def test_words_are_asked_a_few_at_a_time_until_all_are_known() -> None:
    asking = WordAsking()
    assert asking.set_words(WORDS, (0, 0)) and asking.result().total == len(WORDS)
    rounds = []
    while asking.rows():
        rounds.append(len(asking.rows()))
        assert asking.take(answer(asking))
    assert rounds == [WORDS_AT_ONCE, WORDS_AT_ONCE, 3]
    found = asking.result()
    assert found.words == WORDS and found.maps.shape == (len(WORDS), 4, 4)
    assert found.ranked(0.5, 0.5, 2) == [(WORDS[-1], pytest.approx(0.26)), (WORDS[-2], pytest.approx(0.25))]


def test_a_finished_list_is_asked_again_only_for_another_frame() -> None:
    asking = WordAsking()
    asking.set_words(WORDS[:3], (0, 7))
    assert not asking.set_words(WORDS[:3], (0, 8))  # the round is not finished
    asking.take(answer(asking))
    assert not asking.set_words(WORDS[:3], (0, 7)) and asking.rows() == ()
    assert asking.set_words(WORDS[:3], (0, 8)) and len(asking.rows()) == 3
    assert asking.result().words == WORDS[:3]  # of the frame before, until the answer
    assert asking.set_words((), None) and asking.rows() == () and asking.result().words == ()
    assert not asking.set_words((), (0, 9))


def test_other_predictions_are_ignored() -> None:
    asking = WordAsking()
    asking.set_words(WORDS, (0, 0))
    first = answer(asking)
    asking.take(first)
    assert not asking.take(first)  # the same words again, as for an unchanged frame
    assert not asking.take(Prediction(0, 0, 1, (5,), np.zeros((1, 4, 4), np.float32), keys=("row",)))
    assert asking.result().words == WORDS[:WORDS_AT_ONCE]


def test_maps_that_are_not_finite_do_not_stop_the_list() -> None:
    asking = WordAsking()
    asking.set_words(WORDS, (0, 0))
    broken = answer(asking)
    broken.maps[:] = np.nan
    assert asking.take(broken) and asking.result().words == ()
    while asking.rows():
        asking.take(answer(asking))
    found = asking.result()
    assert found.words == WORDS[WORDS_AT_ONCE:] and found.ranked(0, 0, 1) == [(WORDS[-1], pytest.approx(0.26))]


def test_another_grid_begins_again() -> None:
    asking = WordAsking()
    asking.set_words(WORDS, (0, 0))
    asking.take(answer(asking))
    assert asking.take(answer(asking, side=6)) and asking.result().words == ()
    while asking.rows():
        asking.take(answer(asking, side=6))
    assert asking.result().maps.shape == (len(WORDS), 6, 6)


def test_words_are_taken_out_of_predictions() -> None:
    asking = WordAsking()
    asking.set_words(WORDS, (0, 0))
    kept = without_words(answer(asking))
    assert kept.ids == (5,) and kept.keys == ("row",) and kept.maps.shape == (1, 4, 4)
    assert without_words(kept) is kept


def test_maps_are_sampled_in_the_middle_of_their_cells() -> None:
    ramp = np.tile(np.arange(352, dtype=np.float32), (1, 352, 1))
    small = shrink_maps(ramp)
    assert max(small.shape[1:]) <= LONGEST_MAP_SIDE and small[0, 0, 0] == 2 and small[0, 0, 1] == 8
    assert WordMaps(("a",), small, 1).ranked(0.999, 0.999, 5)[0][1] > 340
