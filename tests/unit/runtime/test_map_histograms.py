"""Histograms of a session: every predicted frame counts once, and edited prompts begin again."""

import numpy as np

from clipseg_live.core.status import Prediction
from clipseg_live.runtime.map_histograms import MapHistograms


def prediction(index: int, *values: float, keys: tuple[str, ...] | None = None, epoch: int = 0) -> Prediction:
    maps = np.stack([np.full((4, 5), value, np.float32) for value in values])
    ids = tuple(range(len(values)))
    return Prediction(index, epoch, 1, ids, maps, keys=keys or tuple(f"key {number}" for number in ids))


def test_frames_are_summed_and_the_newest_is_kept() -> None:
    histograms = MapHistograms()
    for index, value in enumerate((0.1, 0.1, 0.7)):
        histograms.add(prediction(index, value, 0.2))
    first, second = histograms.all()[0], histograms.all()[1]
    assert first.frames == 3 and first.clip[10] == 40 and first.clip[70] == 20
    assert first.frame[70] == 20 and first.frame.sum() == 20 and second.clip[20] == 60


def test_a_frame_counts_once_and_its_newest_maps_are_shown() -> None:
    histograms = MapHistograms()
    histograms.add(prediction(3, 0.1))
    histograms.add(prediction(3, 0.9))
    found = histograms.all()[0]
    assert found.frames == 1 and found.frame[90] == 20 and found.clip[10] == 20
    histograms.add(prediction(3, 0.9, epoch=1))  # after a seek
    assert histograms.all()[0].frames == 2


def test_an_edited_or_removed_prompt_begins_again() -> None:
    histograms = MapHistograms()
    histograms.add(prediction(0, 0.1, 0.2))
    histograms.add(prediction(0, 0.8, 0.2, keys=("other", "key 1")))
    assert histograms.all()[0].frames == 1 and histograms.all()[0].clip[80] == 20 and histograms.all()[1].frames == 1
    histograms.add(prediction(1, 0.8, keys=("other",)))
    assert list(histograms.all()) == [0] and histograms.all()[0].frames == 2
    histograms.clear()
    assert histograms.all() == {}


def test_maps_that_are_not_finite_are_left_out() -> None:
    histograms = MapHistograms()
    histograms.add(prediction(0, float("nan")))
    assert histograms.all() == {}
