"""The benchmark measures what it says."""

from pathlib import Path

import pytest

from clipseg_live import Segmenter
from clipseg_live.model.benchmark import PHRASES, benchmark
from tests.helpers.tolerances import SAME_MAPS


@pytest.mark.slow
def test_rows_compare_the_same_masks(tiny_folder: Path) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64)
    before = segmenter.vision_passes
    rows = list(benchmark(segmenter, (1, 3), rounds=1))
    assert [row.prompts for row in rows] == [1, 3]
    for row in rows:
        assert row.max_difference < SAME_MAPS
        assert row.ratio == pytest.approx(row.reference_ms / row.ours_ms)
        assert set(row.stages) == {"prompts", "prepare", "vision", "decoder", "download"}
        assert 0 < row.matrix_share < 1.5
    # a row: one frame to compare and three to time, none of them answered from the last frame's features
    assert segmenter.vision_passes - before == 2 * 4


def test_there_are_phrases_for_sixteen_prompts() -> None:
    assert len(set(PHRASES)) == 16
