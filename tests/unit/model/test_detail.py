"""Detail passes over parts of a frame: selected regions, merging, and cost."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clipseg_live import Prompt, Segmenter, UsageError
from clipseg_live.core.settings.base import Detail
from clipseg_live.demo.scenes import STAPLES, Scene, SceneSettings
from clipseg_live.model.detail import passes as detail
from clipseg_live.model.detail.numpy_maps import NumpyMaps
from clipseg_live.model.detail.passes import CELLS, DetailTile
from clipseg_live.model.detail.torch_maps import TorchMaps
from scripts.training.truth import scene_truth
from tests.helpers.tolerances import SAME_INTERPOLATION, SAME_MAPS

TEXTS = [Prompt.text("red circle"), Prompt.text("blue star")]
Covers = Callable[[np.ndarray, np.ndarray], np.ndarray]

WHOLE = DetailTile(0, detail.CELLS, 0, detail.CELLS)


def region_map(covers: Covers, part: DetailTile = WHOLE, side: int = 64) -> Tensor:
    """Return a map (1, side, side) of a region given by rows and columns in 0..1, with the values 0.95 and 0.02."""
    rows = (part.top + (np.arange(side) + 0.5) / side * (part.bottom - part.top)) / CELLS
    columns = (part.left + (np.arange(side) + 0.5) / side * (part.right - part.left)) / CELLS
    inside = covers(rows[:, None], columns[None, :])
    return torch.from_numpy(np.where(inside, np.float32(0.95), np.float32(0.02))[None])


def disc(y: float, x: float, radius: float) -> Covers:
    return lambda rows, columns: (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def overlap(found: Tensor | np.ndarray, truth: Tensor | np.ndarray) -> float:
    found, truth = np.asarray(found) >= 0.5, np.asarray(truth) >= 0.5
    return float((found & truth).sum() / max(1, (found | truth).sum()))


def cells(*boxes: tuple[int, int, int, int], prompts: int = 1) -> np.ndarray:
    """Mark the cells within boxes of (top, bottom, left, right), each in the last prompt."""
    values = np.full((prompts, CELLS, CELLS), 0.02, np.float32)
    for top, bottom, left, right in boxes:
        values[-1, top:bottom, left:right] = 0.9
    return values


@pytest.mark.slow
@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([224, 352, 704]))
def test_tiles_cover_every_pixel(height: int, width: int, size: int) -> None:
    parts = detail.tile_parts(height, width, size)
    if not parts:
        assert height * width < (1.25 * size) ** 2
        return
    assert len(parts) in (4, 9, 16)
    down, across = np.zeros(height, int), np.zeros(width, int)
    for part in parts:
        assert 0 <= part.top < part.bottom <= CELLS and 0 <= part.left < part.right <= CELLS
        rows, columns = part.slices(height, width)
        down[rows] += 1
        across[columns] += 1
    assert down.all() and across.all()


@pytest.mark.parametrize(
    ("height", "width", "count"), [(720, 1280, 4), (1080, 1920, 4), (2160, 3840, 16), (270, 480, 0)]
)
def test_the_number_of_tiles_depends_on_the_frame_size(height: int, width: int, count: int) -> None:
    parts = detail.tile_parts(height, width, 352)
    assert len(parts) == count
    for part in parts:
        rows, columns = part.slices(height, width)
        assert (rows.stop - rows.start) * (columns.stop - columns.start) <= 1000**2


def test_an_empty_or_large_mask_is_not_zoomed() -> None:
    assert detail.zoom_part(cells()) is None
    assert detail.zoom_part(cells((4, 20, 4, 20))) is None, "large"
    assert detail.zoom_part(cells((2, 5, 2, 5), (28, 31, 28, 31))) is None, "too far apart"


@pytest.mark.slow
@given(st.integers(0, 29), st.integers(0, 29), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_a_zoomed_region_has_small_objects_with_a_margin(
    top: int, left: int, height: int, width: int, prompts: int
) -> None:
    part = detail.zoom_part(cells((top, top + height, left, left + width), prompts=prompts))
    assert part is not None
    assert 0 <= part.top <= top and top + height <= part.bottom <= CELLS
    assert 0 <= part.left <= left and left + width <= part.right <= CELLS
    side = part.bottom - part.top
    assert side == part.right - part.left, "the frame's own shape"
    assert detail.GROWN * max(height, width) <= side <= CELLS // 2


def test_a_zoomed_region_has_all_small_objects_but_no_specks() -> None:
    near = cells((4, 7, 4, 7), (9, 12, 6, 9), (12, 32, 12, 32))
    assert detail.zoom_part(near) == DetailTile(2, 14, 0, 12)
    assert detail.zoom_part(cells((4, 7, 4, 7), (30, 31, 30, 31))) == detail.zoom_part(cells((4, 7, 4, 7)))


def test_a_winding_object_is_one_region() -> None:
    assert detail.zoom_part(cells((2, 12, 2, 3), (11, 12, 2, 12), (2, 12, 11, 12))) is None
    three = cells((2, 7, 2, 3), (6, 7, 2, 7), (2, 7, 6, 7))
    assert detail.zoom_part(three) == DetailTile(0, 8, 0, 8)


def test_a_small_object_takes_its_shape_from_the_detail_pass() -> None:
    covers = disc(0.7, 0.3, 0.04)
    whole = torch.nn.functional.avg_pool2d(region_map(covers), 4, 4)
    whole = torch.nn.functional.interpolate(whole[None], size=(64, 64), mode="bilinear")[0]
    asked: list[tuple[int, DetailTile]] = []

    def look(number: int, part: DetailTile) -> Tensor:
        asked.append((number, part))
        return region_map(covers, part)

    found, truth = detail.zoomed(whole, look), region_map(covers, side=128)
    assert found.shape == (1, 128, 128)
    assert overlap(found, truth) > 0.9
    assert overlap(TorchMaps().resized(whole, (128, 128)), truth) < 0.7
    assert len(asked) == 1 and asked[0][0] == 1


def test_the_grid_is_unchanged_without_a_detail_pass() -> None:
    found = detail.zoomed(torch.full((2, 22, 40), 0.1), lambda number, part: pytest.fail("no closer look is needed"))
    assert found.shape == (2, 44, 80)
    assert torch.allclose(found, torch.tensor(0.1))


@pytest.mark.parametrize(("y", "x"), [(0.5, 0.5), (0.2, 0.9), (0.97, 0.1), (0.4, 0.62)])
def test_tiles_add_objects_that_the_first_pass_missed(y: float, x: float) -> None:
    covers = disc(y, x, 0.04)
    found = detail.tiled(torch.full((1, 64, 64), 0.02), 1080, 1920, 352, lambda number, part: region_map(covers, part))
    assert found.shape == (1, 128, 128)
    mask, truth = found[0] >= 0.5, region_map(covers, side=128)[0] >= 0.5
    assert overlap(found, region_map(covers, side=128)) > 0.75, "a little smaller, since the whole denies it"
    assert torch.allclose(mask.nonzero().float().mean(0), truth.nonzero().float().mean(0), atol=0.6)


def test_a_large_object_keeps_the_first_pass() -> None:
    whole = region_map(disc(0.5, 0.5, 0.3))
    found = detail.tiled(whole, 1080, 1920, 352, lambda number, part: torch.full((1, 64, 64), 0.02))
    assert overlap(found, region_map(disc(0.5, 0.5, 0.3), side=128)) > 0.97


def test_the_thin_end_of_a_large_object_keeps_the_first_pass() -> None:
    covers: Covers = lambda rows, columns: (  # noqa: E731
        disc(0.4, 0.4, 0.2)(rows, columns) | ((abs(columns - 0.4) < 0.03) & (rows > 0.4) & (rows < 0.8))
    )
    found = detail.tiled(
        region_map(covers), 1080, 1920, 352, lambda number, part: region_map(disc(0.4, 0.4, 0.1), part)
    )
    assert overlap(found, region_map(covers, side=128)) > 0.95


def test_a_small_object_missed_by_the_detail_pass_is_kept() -> None:
    whole = region_map(disc(0.3, 0.7, 0.05))
    found = detail.tiled(whole, 1080, 1920, 352, lambda number, part: torch.full((1, 64, 64), 0.02))
    assert overlap(found, TorchMaps().resized(whole, (128, 128))) > 0.95


def test_a_detail_pass_needs_more_confidence_to_add_an_object() -> None:
    def lifted(value: float) -> float:
        look = lambda number, part: torch.full((1, 16, 16), value)  # noqa: E731
        return float(detail.tiled(torch.full((1, 64, 64), 0.001), 1080, 1920, 352, look).max())

    assert lifted(0.7) < 0.5 < lifted(0.8)


@pytest.mark.slow
@given(st.floats(0, 1, width=32))
def test_equal_passes_change_nothing(value: float) -> None:
    even = torch.full((1, 48, 48), value)
    found = detail.tiled(even, 2160, 3840, 352, lambda number, part: torch.full((1, 48, 48), value))
    assert found.shape == (1, 192, 192)
    assert torch.allclose(found, torch.tensor(value), atol=2e-4)


def test_half_precision_stays_finite() -> None:
    whole = region_map(disc(0.5, 0.5, 0.04)).clamp(0, 1).half().round()
    found = detail.zoomed(whole, lambda number, part: region_map(disc(0.5, 0.5, 0.04), part).half().round())
    assert found.dtype == torch.float32 and torch.isfinite(found).all()
    assert float(found.min()) >= 0 and float(found.max()) <= 1


OPERATIONS: dict[str, Callable[..., object]] = {
    "floats": lambda on, maps, other: on.floats(maps),
    "zeros": lambda on, maps, other: on.zeros_like(maps),
    "centres": lambda on, maps, other: on.centres(13, maps),
    "smaller": lambda on, maps, other: on.resized(maps, (56, 20)),
    "larger": lambda on, maps, other: on.resized(maps, (200, 141)),
    "cells": lambda on, maps, other: on.cells(maps, CELLS),
    "dilated": lambda on, maps, other: on.dilated(maps, 3),
    "opened": lambda on, maps, other: -on.dilated(-maps, 7),
    "averaged": lambda on, maps, other: on.averaged(maps),
    "minimum": lambda on, maps, other: on.minimum(maps, other),
    "maximum": lambda on, maps, other: on.maximum(maps, other),
    "log odds": lambda on, maps, other: on.log_odds(maps, 1e-2),
    "probabilities": lambda on, maps, other: on.probabilities(maps),
    "mixed": lambda on, maps, other: on.mixed(maps, other, other[:, ::2].mean()),
}


@pytest.mark.parametrize("shape", [(2, 88, 72), (1, 3, 61), (3, 100, 2)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_of_numpy_are_those_of_pytorch(name: str, shape: tuple[int, int, int]) -> None:
    maps, other = np.random.default_rng(1).random((2, *shape), np.float32)
    found = OPERATIONS[name](NumpyMaps(), maps, other)
    expected = np.asarray(OPERATIONS[name](TorchMaps(), torch.from_numpy(maps), torch.from_numpy(other)))
    assert isinstance(found, np.ndarray) and (found.dtype, found.shape) == (np.float32, expected.shape)
    np.testing.assert_allclose(found, expected, atol=SAME_INTERPOLATION)


@pytest.mark.parametrize("mode", ["zoom", "tiles"])
def test_maps_of_numpy_are_those_of_pytorch(mode: Detail) -> None:
    whole, close = region_map(disc(0.3, 0.7, 0.05)), disc(0.3, 0.71, 0.04)

    def look(number: int, rows: slice, columns: slice) -> Tensor:
        part = DetailTile(*(edge * CELLS // 320 for edge in (rows.start, rows.stop, columns.start, columns.stop)))
        return region_map(close, part, side=40)

    expected = detail.with_detail(whole, mode, (320, 320), 64, look).numpy()
    found = detail.with_detail(whole.numpy(), mode, (320, 320), 64, lambda *part: look(*part).numpy())
    assert isinstance(found, np.ndarray)
    assert np.abs(expected - NumpyMaps().resized(whole.numpy(), (128, 128))).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=10 * SAME_INTERPOLATION)


@pytest.fixture
def large() -> np.ndarray:
    """Return an image with coloured gradients and noise, 180×320."""
    rng = np.random.default_rng(3)
    ramp = np.linspace(0, 200, 320, dtype=np.float32)[None, :, None] + rng.normal(0, 20, (180, 320, 3))
    return (ramp + np.array([0, 25, 50])).clip(0, 255).astype(np.uint8)


@pytest.mark.slow
def test_each_tile_costs_one_pass_and_an_edit_none(tiny_folder: Path, large: np.ndarray) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64, detail="tiles")
    found = segmenter.segment(large, TEXTS)
    assert found.probabilities.shape == (2, 128, 128) and found.at().shape == (2, 180, 320)
    assert segmenter.vision_passes == 5
    assert list(found.timings) == ["prompts", "prepare", "vision", "decoder", "tiles", "download"]
    edited = segmenter.segment(large.copy(), [*TEXTS, Prompt.text("sky")])
    assert segmenter.vision_passes == 5
    np.testing.assert_allclose(edited.probabilities[:2], found.probabilities, atol=SAME_MAPS)


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["stretch", "letterbox", "aspect"])
def test_regions_are_segmented_as_separate_images(
    tiny_folder: Path, large: np.ndarray, fit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64, fit=fit, detail="tiles")  # type: ignore[arg-type]
    plain = Segmenter.load(str(tiny_folder), device="cpu", size=64, fit=fit)  # type: ignore[arg-type]
    looked: list[tuple[DetailTile, Tensor]] = []
    monkeypatch.setattr(detail, "merged", lambda whole, found: looked.extend(found) or whole)
    segmenter.segment(large, TEXTS)
    assert len(looked) == 4
    for part, maps in looked:
        rows, columns = part.slices(180, 320)
        alone = plain.segment(large[rows, columns], TEXTS).probabilities
        np.testing.assert_allclose(maps.numpy(), alone, atol=SAME_MAPS)


@pytest.mark.slow
def test_zoom_costs_at_most_one_more_pass(
    tiny_folder: Path, large: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64, detail="zoom")
    monkeypatch.setattr(detail, "cells_of", lambda maps: cells((4, 7, 4, 7)))
    found = segmenter.segment(large, TEXTS)
    assert segmenter.vision_passes == 2
    assert found.probabilities.shape == (2, 128, 128) and "zoom" in found.timings
    monkeypatch.setattr(detail, "cells_of", lambda maps: cells())
    assert segmenter.segment(large[::-1], TEXTS).probabilities.shape == (2, 128, 128)
    assert segmenter.vision_passes == 3


@pytest.mark.slow
def test_detail_is_off_by_default_and_changes_without_loading(
    tiny: Segmenter, tiny_folder: Path, large: np.ndarray
) -> None:
    expected = tiny.segment(large, TEXTS).probabilities
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64, detail="tiles")
    segmenter.configure(64, "stretch")
    assert segmenter.segment(large, TEXTS).probabilities.shape == (2, 128, 128), "left as it was"
    segmenter.configure(64, "stretch", "off")
    np.testing.assert_array_equal(segmenter.segment(large, TEXTS).probabilities, expected)


@pytest.mark.slow
def test_a_frame_within_the_input_size_has_no_tiles(tiny_folder: Path, tiny: Segmenter) -> None:
    frame = np.full((60, 70, 3), 120, np.uint8)
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64, detail="tiles")
    expected = tiny.segment(frame, TEXTS).probabilities
    np.testing.assert_array_equal(segmenter.segment(frame, TEXTS).probabilities, expected)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["zoom", "tiles"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (137, 253), (3, 20000)])
def test_any_frame_size_is_supported(tiny_folder: Path, mode: Detail, size: tuple[int, int]) -> None:
    segmenter = Segmenter.load(str(tiny_folder), device="cpu", size=64, fit="letterbox", detail=mode)
    found = segmenter.segment(np.full((*size, 3), 90, np.uint8), TEXTS[:1])
    assert found.at().shape == (1, *size)
    assert np.isfinite(found.probabilities).all()


def test_an_unknown_detail_is_rejected(tiny: Segmenter, tiny_folder: Path) -> None:
    with pytest.raises(UsageError, match="not a detail mode"):
        Segmenter.load(str(tiny_folder), device="cpu", detail="more")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not a detail mode"):
        tiny.configure(64, "stretch", "more")  # type: ignore[arg-type]


@pytest.mark.slow
def test_detail_improves_small_objects_and_keeps_large_ones() -> None:
    segmenter = Segmenter.load("shapes", device="cpu", dtype="float32")
    phrases = [" ".join(staple) for staple in STAPLES]
    scores: dict[tuple[str, float], list[float]] = {}
    for seed in (300, 301, 302):
        for scale in (0.4, 2.0):
            scene = Scene(seed, settings=SceneSettings(scale=scale))
            picture, truth = scene.picture(0), scene_truth(scene, 0)
            for mode in ("off", "zoom", "tiles"):
                segmenter.configure(None, "stretch", mode)
                # zoom uses one region of a frame, so it gets one prompt
                asked = [[phrase] for phrase in phrases] if mode == "zoom" else [phrases]
                for some in asked:
                    found = segmenter.segment(picture, [Prompt.text(phrase) for phrase in some]).at()
                    for phrase, alpha in zip(some, found, strict=True):
                        if (mask := truth.mask(phrase)).any():
                            scores.setdefault((mode, scale), []).append(overlap(alpha, mask))
    mean = {key: float(np.mean(values)) for key, values in scores.items()}
    for mode in ("zoom", "tiles"):
        assert mean[mode, 0.4] > mean["off", 0.4] + 0.1, mean
        assert mean[mode, 2.0] > mean["off", 2.0] - 0.01, mean
