"""Measures of the matte benchmark are correct, and the ground truth of its clips matches their frames."""

import itertools
import sys

import cv2
import numpy as np
import pytest

from tests.helpers.paths import ROOT

SCRIPTS = str(ROOT / "scripts")


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    threads = cv2.getNumThreads()
    yield
    cv2.setNumThreads(threads)
    for name in [name for name in sys.modules if name.startswith(("quality_", "bench_quality"))]:
        del sys.modules[name]


def disc(x, y, radius=30, size=(120, 200)):
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]] + 0.5
    return np.clip(radius + 0.5 - np.hypot(columns - x, rows - y), 0, 1).astype(np.float32)


def test_iou_of_empty_disjoint_and_overlapping_masks():
    from quality_measures import iou

    one, other = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert iou(one, other) == 1
    one[:, :2] = True
    assert iou(one, other) == 0
    other[:, 1:3] = True
    assert iou(one, other) == pytest.approx(4 / 12)


def test_flicker_is_zero_for_a_matte_that_moves_with_its_object():
    from quality_measures import flicker, halved

    step, camera = np.array([(1.0, 0, 8), (0, 1, 4)]), np.array([(1.0, 0, 0), (0, 1, 0)])
    past, now = halved(disc(80, 50)), halved(disc(88, 54))
    assert flicker(now, past, now, past, step, camera) == pytest.approx(0, abs=2e-4)
    # a constant error of size is not flicker
    assert flicker(halved(disc(88, 54, 25)), halved(disc(80, 50, 25)), now, past, step, camera) < 5e-4
    # a matte that does not move or changes its size flickers
    moved = flicker(past, past, now, past, step, camera)
    assert moved > 0.02
    assert 0.01 < flicker(halved(disc(88, 54, 25)), past, now, past, step, camera) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("make", ["pasted", "panned"])
def test_photograph_motion_matches_ground_truth(make):
    import quality_clips as clips

    first, second = itertools.islice(getattr(clips, make)("coffee.png", 2), 2)
    assert first.steps is None and first.camera is None
    warped_matte = cv2.warpAffine(first.mattes[0], opencv_matrix(second.steps[0]), (clips.WIDTH, clips.HEIGHT))
    assert np.abs(warped_matte - second.mattes[0]).mean() < 0.002
    warped = cv2.warpAffine(first.pixels, opencv_matrix(second.camera), (clips.WIDTH, clips.HEIGHT)).astype(float)
    outside = cv2.dilate(np.maximum(first.mattes[0], second.mattes[0]), np.ones((15, 15))) == 0
    outside[:30], outside[-30:], outside[:, :30], outside[:, -30:] = False, False, False, False
    still = np.abs(first.pixels.astype(float) - second.pixels)[outside].mean()
    assert np.abs(warped - second.pixels)[outside].mean() < 0.6 * still


def opencv_matrix(step):
    """Convert a map to OpenCV's convention, where pixel centres are at whole numbers."""
    matrix = np.array(step)
    matrix[:, 2] += step[:, :2] @ (0.5, 0.5) - 0.5
    return matrix


def test_photographs_exist_and_outlines_are_inside():
    import quality_clips as clips

    assert len(clips.PHOTOGRAPHS) >= 10
    for name, shape in clips.OUTLINES.items():
        height, width = cv2.imread(str(clips.photographs() / name)).shape[:2]
        low, high = shape[0].min(axis=0), shape[0].max(axis=0)
        assert (low >= 0).all() and high[0] <= 480 * width / height and high[1] <= 480


@pytest.mark.slow
def test_oracle_disturbances_have_the_declared_strength():
    from quality_methods import Oracle

    matte = np.zeros((2, 352, 352), np.float32)
    matte[:, 100:260, 100:260] = 1
    plain = Oracle(1, noise=0, misses=0, blobs=0)(None, matte)
    assert plain.shape == (2, 352, 352) and plain[0, 180, 180] == 1 and plain[0, 20, 20] == 0
    assert 0.2 < plain[0, 97, 180] < 0.8  # soft where a token is half inside
    missed = Oracle(1, noise=0, misses=1, blobs=0)(None, matte)
    assert missed[0, 180, 180] == pytest.approx(0.3)
    false = Oracle(1, noise=0, misses=0, blobs=1)(None, 0 * matte)
    assert 0.5 < false[0].max() <= 0.9
    noisy = Oracle(1, noise=0.06, misses=0, blobs=0)
    half = np.full((2, 352, 352), 0.5, np.float32)
    noise = np.stack([noisy(None, half)[0, 8::16, 8::16] for _ in range(200)]) - 0.5
    assert noise.std() == pytest.approx(0.06, rel=0.15)
    correlation = np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]
    assert correlation == pytest.approx(0.7, abs=0.1)


def test_reported_seeds_are_not_tuning_seeds():
    import quality_clips as clips

    assert not set(clips.TUNING_SEEDS) & set(clips.REPORTED_SEEDS)


@pytest.mark.slow
def test_a_table_has_a_line_for_each_clip_and_rate(monkeypatch, capsys):
    import bench_quality
    import quality_clips

    monkeypatch.setattr(quality_clips, "WIDTH", 320)
    monkeypatch.setattr(quality_clips, "HEIGHT", 180)
    rows = bench_quality.measure(bench_quality.Run("drawn", "fast", 101, "oracle", (10, None), 9))
    methods = {(row["rate"], row["method"]) for row in rows}
    assert methods == {(10, name) for name in bench_quality.methods.METHODS} | {
        (None, name) for name in (*bench_quality.methods.METHODS, "lookahead")
    }
    text = bench_quality.tables(bench_quality.merged(rows))
    assert text.count("| fast | 10 |") == text.count("| fast | each |") == 4
    assert "### Drawn, oracle: IoU" in text
    goals = bench_quality.goals(bench_quality.merged(rows)).splitlines()
    line = next(line for line in goals if line.startswith("| Error of the matte | fast |"))
    assert 0 < float(line.split("|")[4].strip(" *")) < 2
