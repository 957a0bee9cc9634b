"""The benchmark compares the same masks and leaves settings unchanged."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from clipseg_live import Prompt, Segmenter, UsageError
from clipseg_live.model import benchmark
from tests.helpers.tolerances import SAME_MAPS


@pytest.mark.slow
def test_rows_compare_the_same_masks(tiny_folder: Path) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64)
    before = segmenter.vision_passes
    rows = list(benchmark.benchmark(segmenter, (1, 3), rounds=1))
    assert [row.prompts for row in rows] == [1, 3]
    for row in rows:
        assert row.max_difference < SAME_MAPS
        assert row.ratio == pytest.approx(row.reference_ms / row.ours_ms)
        assert set(row.stages) == {"prompts", "prepare", "vision", "decoder", "download"}
        assert 0 < row.matrix_share < 1.5
    # a row: one frame for the comparison and three for timing, none predicted from cached features
    assert segmenter.vision_passes - before == 2 * 4


def test_phrases_exist_for_sixteen_prompts() -> None:
    assert len(set(benchmark.PHRASES)) == 16


@pytest.mark.slow
def test_precision_is_the_difference_of_the_two_segmenters(tiny_folder: Path) -> None:
    (found,) = benchmark.precisions("cpu", model=str(tiny_folder))
    full, low = (Segmenter.load(str(tiny_folder), device="cpu", dtype=name) for name in ("float32", "bfloat16"))
    assert (found.dtype, found.device) == ("bfloat16", "cpu")
    if low.dtype == "float32":  # a CPU without bfloat16
        assert found.refusal == low.notices[0]
        return
    assert found.refusal is None
    phrases = [Prompt.text(text) for text in ("red circle", "blue square", "everything")]
    picture = benchmark._pictures(full.size)[0]
    difference = np.abs(full.segment(picture, phrases).probabilities - low.segment(picture, phrases).probabilities)
    # two engines in bfloat16 may differ in the rounding of single values
    assert found.largest == pytest.approx(difference.max(), rel=0.25) and found.largest > 0
    assert found.mean == pytest.approx(difference.mean(), rel=0.05)
    assert found.milliseconds is not None and found.milliseconds > 0 and found.float32_milliseconds > 0


@pytest.mark.slow
def test_a_rejected_precision_is_reported(tiny_folder: Path) -> None:
    full, stayed = (Segmenter.load(str(tiny_folder), device="cpu", dtype="float32") for _ in range(2))
    stayed._precision_notices = ("bfloat16 changes this model's masks visibly.",)
    found = benchmark._compare(full, stayed, "bfloat16")
    assert found.refusal == "bfloat16 changes this model's masks visibly."
    assert found.largest is None and found.milliseconds is None


def test_benchmark_frames_are_different_images() -> None:
    first, second = benchmark._pictures(64)
    assert first.shape == second.shape == (64, 64, 3) and first.dtype == np.uint8
    assert (first != second).any()
    assert tuple(first[19, 19]) == (220, 30, 40) and tuple(first[45, 45]) == (30, 60, 220)


def test_a_missing_device_gives_an_error(tiny_folder: Path) -> None:
    with pytest.raises(UsageError):
        benchmark.precisions("cuda:99", model=str(tiny_folder))


@pytest.mark.slow
def test_measuring_speed_restores_torch_settings() -> None:
    threads, before = torch.get_num_threads(), threading.active_count()
    level = benchmark.matrix_speed(threads)
    assert level.float32 > 0 and level.bfloat16 > 0 and level.all_cores is None
    more = benchmark.matrix_speed(threads + 1)
    assert more.all_cores is not None and more.all_cores > 0
    assert torch.get_num_threads() == threads and threading.active_count() == before


def test_timing_ends_early_on_a_slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1000))
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: float(next(now)))
    calls: list[int] = []
    assert benchmark._fastest([lambda: calls.append(1)], 50) == [1000.0]
    assert len(calls) == 1
