"""Refined masks follow the picture, agree with the map over the tokens, and never leave the tokens at its border."""

import cv2
import numpy as np
import pytest

from clipseg_live.core.mattes import Decision
from clipseg_live.matting.edges.colour_model import ColourModel, colour_cells, colour_evidence, fit_colours
from clipseg_live.matting.edges.full_size import BorderFilter
from clipseg_live.matting.edges.refiner import EdgeRefiner, Refined
from clipseg_live.matting.edges.token_grid import TOKENS, TokenGrid
from clipseg_live.matting.edges.token_map import TokenMap
from tests.helpers.edges import BLUE, GREY, HEIGHT, RED, WIDTH, error, painted, star, token_map

LEVELS = ("fast", "best")


def refine(picture, probability, threshold=0.5, level="best", extent=None) -> Refined:
    return EdgeRefiner(picture, extent).refine(probability, threshold, level, explain=True)


def checked(result, shape: tuple[int, int]) -> np.ndarray:
    alpha, decisions = result.alpha, result.decisions
    assert alpha.dtype == np.float32 and alpha.shape == shape
    assert np.isfinite(alpha).all() and alpha.min() >= 0 and alpha.max() <= 1
    assert decisions.dtype == np.uint8 and decisions.shape == shape
    assert set(np.unique(decisions)) <= {one.value for one in Decision}
    return alpha


@pytest.mark.parametrize(("level", "most"), [("fast", 0.04), ("best", 0.015)])
def test_an_object_of_another_colour_is_found(level, most):
    matte = star()
    probability = token_map(matte)
    alpha = checked(refine(painted(matte, RED, BLUE), probability, 0.5, level), matte.shape)
    assert error(alpha, matte) < min(most, 0.3 * error(probability, matte))


@pytest.mark.parametrize("level", LEVELS)
def test_a_textured_object_is_found(level):
    matte = star()
    rng = np.random.default_rng(8)
    texture = cv2.resize(rng.random((12, 20, 3)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(painted(matte, RED, BLUE) * (0.4 + 0.6 * texture), 0, 1).astype(np.float32)
    probability = token_map(matte)
    assert error(refine(picture, probability, 0.5, level).alpha, matte) < 0.5 * error(probability, matte)


@pytest.mark.parametrize("level", LEVELS)
def test_with_equal_colours_the_border_stays_near_that_of_the_map(level):
    matte = star()
    probability = token_map(matte)
    alpha = checked(refine(painted(matte, GREY, GREY, 0), probability, 0.5, level), matte.shape)
    assert error(alpha, matte) < error(probability, matte)
    reach = 2 * max(WIDTH // TOKENS // 2, 1) + 1
    window = np.ones((reach, reach), np.uint8)
    plain = (probability >= 0.5).astype(np.uint8)
    near = cv2.dilate(plain, window) > cv2.erode(plain, window)
    assert (((alpha >= 0.5) == (plain > 0)) | near).all()


@pytest.mark.parametrize("level", LEVELS)
def test_only_tokens_at_the_border_change(level):
    """A second object of the same colour, which the map does not show, is not added."""
    matte = star(size=0.25)
    picture = painted(matte, RED, BLUE)
    picture[10:50, 10:60] = RED
    result = refine(picture, token_map(matte), 0.5, level)
    assert not result.alpha[10:50, 10:60].any()
    assert not result.decisions[10:50, 10:60].any()


@pytest.mark.parametrize("level", LEVELS)
def test_the_means_over_tokens_agree_with_the_map(level):
    matte = star()
    probability, grid = token_map(matte), TokenGrid(matte.shape, matte.shape)
    means = grid.means((refine(painted(matte, GREY, GREY), probability, 0.5, level).alpha >= 0.5).astype(np.float32))
    plain = grid.means((probability >= 0.5).astype(np.float32))
    true = grid.means(matte)
    assert np.abs(means - true).mean() < 0.5 * np.abs(plain - true).mean()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("noise", [0.06, 0.12, 0.2])
def test_with_noise_the_error_is_not_above_that_of_the_map(level, noise):
    """With equal colours on both sides, nothing but the noisy map is known, so the errors are about equal."""
    matte = star()
    for front, behind, most in ((RED, BLUE, 0.5), (GREY, GREY, 1.1)):
        errors = []
        for seed in range(3):
            probability = token_map(matte, noise, seed)
            alpha = refine(painted(matte, front, behind), probability, 0.5, level).alpha
            errors.append((error(alpha, matte), error(probability, matte)))
        ours, plain = np.mean(errors, axis=0)
        assert ours <= most * plain


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("spread", [0.6, 1.0])
def test_maps_that_are_more_blurred_than_means_over_tokens(level, spread):
    matte = star()
    grid = TokenGrid(matte.shape, matte.shape)
    probability = grid.interpolated(cv2.GaussianBlur(grid.means(matte), (0, 0), spread))
    for front, behind in ((RED, BLUE), (GREY, GREY)):
        alpha = refine(painted(matte, front, behind), probability, 0.5, level).alpha
        assert error(alpha, matte) < 0.8 * error(probability, matte)


@pytest.mark.parametrize("level", LEVELS)
def test_soft_borders_stay_soft(level):
    """The matte of a blurred object is much closer to the truth than the same matte cut in two."""
    matte = cv2.GaussianBlur(star(), (0, 0), 3)
    picture, probability = painted(matte, RED, BLUE, 0.005), token_map(matte)
    pixels = np.rint(picture * 255).astype(np.uint8)
    coverage = refine(picture, probability, 0.5, level).alpha
    alpha = BorderFilter(picture).matte(coverage).alpha(pixels, 1)[0] / 255
    soft, hard = np.abs(alpha - matte).mean(), np.abs((alpha >= 0.5) - matte).mean()
    assert soft < 0.75 * hard


@pytest.mark.parametrize("level", LEVELS)
def test_the_range_of_a_map_does_not_matter(level):
    matte = star()
    picture, probability = painted(matte, RED, BLUE), token_map(matte)
    one = refine(picture, probability, 0.5, level).alpha
    other = refine(picture, 0.1 + 0.6 * probability, 0.4, level).alpha
    assert np.mean((one >= 0.5) != (other >= 0.5)) < 1e-3


@pytest.mark.parametrize("level", LEVELS)
def test_a_threshold_for_each_pixel(level):
    matte = star()
    picture, probability = painted(matte, RED, BLUE), token_map(matte)
    one = refine(picture, probability, np.full_like(matte, 0.5), level).alpha
    np.testing.assert_allclose(one, refine(picture, probability, 0.5, level).alpha, atol=1e-3)
    levels = np.where(np.arange(WIDTH) < WIDTH // 2, 0.98, 0.5).astype(np.float32) + np.zeros_like(matte)
    halved = refine(picture, np.minimum(probability, 0.9), levels, level).alpha >= 0.5
    assert halved[:, WIDTH // 2 + 20 :].any() and not halved[:, : WIDTH // 2 - 30].any()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", [(2, 2), (2, 4), (2, 40), (40, 2), (6, 322), (38, 54), (182, 318)])
def test_unusual_and_tiny_sizes(level, shape):
    rng = np.random.default_rng(shape[0] * 1000 + shape[1])
    picture = rng.random((*shape, 3)).astype(np.float32)
    for probability in (rng.random(shape), np.zeros(shape), np.ones(shape), np.full(shape, 0.5)):
        checked(refine(picture, probability.astype(np.float32), 0.5, level), shape)
    checked(refine(np.full_like(picture, 0.3), rng.random(shape).astype(np.float32), 0.5, level), shape)


@pytest.mark.parametrize("level", LEVELS)
def test_extreme_thresholds_and_an_untrusted_picture(level):
    matte = star()
    picture, probability = painted(matte, RED, BLUE), token_map(matte)
    for threshold in (0.0, 0.01, 0.99, 1.0):
        checked(refine(picture, probability, threshold, level), matte.shape)
    refiner = EdgeRefiner(picture, trust=np.zeros_like(matte))
    checked(refiner.refine(probability, 0.5, level, explain=True), matte.shape)


@pytest.mark.parametrize("level", LEVELS)
def test_a_picture_larger_than_the_frame(level):
    """The tokens cover the frame alone, not the padding of the working grid."""
    matte = star(178, 317)
    probability = token_map(matte)
    pads = (0, 2, 0, 3)
    picture = cv2.copyMakeBorder(painted(matte, RED, BLUE), *pads, cv2.BORDER_REPLICATE)
    padded = cv2.copyMakeBorder(probability, *pads, cv2.BORDER_REPLICATE)
    alpha = checked(refine(picture, padded, 0.5, level, (178.0, 317.0)), picture.shape[:2])
    assert error(alpha[:178, :317], matte) < 0.3 * error(probability, matte)


@pytest.mark.parametrize("level", LEVELS)
def test_maps_are_refined_alone_and_not_changed(level):
    matte, other = star(), star(size=0.2)
    picture = painted(matte, RED, BLUE)
    maps = [token_map(matte), token_map(other)]
    copies = [plane.copy() for plane in (picture, *maps)]
    refiner = EdgeRefiner(picture)
    together = [refiner.refine(plane, 0.5, level).alpha for plane in maps]
    alone = [refine(picture, plane, 0.5, level).alpha for plane in maps]
    np.testing.assert_allclose(together, alone, atol=1e-5)  # sums of products depend on where arrays lie in memory
    for plane, copy in zip((picture, *maps), copies, strict=True):
        np.testing.assert_array_equal(plane, copy)


@pytest.mark.parametrize("level", LEVELS)
def test_decisions_are_those_of_the_picture_only_at_the_border(level):
    matte = star()
    decisions = refine(painted(matte, RED, BLUE), token_map(matte), 0.5, level).decisions
    assert (decisions[:10] == Decision.NONE).all()
    assert (decisions > Decision.MAP).any()
    flat = refine(np.full((*matte.shape, 3), 0.5, np.float32), token_map(matte), 0.5, level).decisions
    assert not (flat == Decision.COLOURS).any()


def test_tokens_of_interpolated_tokens_are_the_same():
    tokens = np.random.default_rng(1).random((TOKENS, TOKENS)).astype(np.float32)
    for shape, extent in (((90, 160), (90, 160)), ((300, 300), (298.7, 298.7)), ((61, 47), (61, 47))):
        grid = TokenGrid(shape, extent)
        np.testing.assert_allclose(grid.fitted(grid.interpolated(tokens)), tokens, atol=1e-3)
        np.testing.assert_allclose(grid.means(np.ones(shape, np.float32)), 1, atol=1e-5)


def test_colours_of_both_sides_are_evidence_and_equal_colours_are_none():
    matte = star()
    cells = colour_cells(painted(matte, RED, BLUE))
    evidence = colour_evidence(fit_colours(cells, matte), cells)
    near = cv2.dilate((matte > 0.9).astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    assert (evidence[matte > 0.95] > 1).mean() > 0.99 and (evidence[near & (matte < 0.05)] < -1).mean() > 0.99
    flat = colour_cells(np.full((*matte.shape, 3), 0.4, np.float32))
    assert np.abs(colour_evidence(fit_colours(flat, matte), flat)).max() < 0.1


def test_a_part_of_the_evidence_is_that_of_the_whole():
    matte = star()
    cells = colour_cells(painted(matte, RED, BLUE))
    model, area = fit_colours(cells, matte), (slice(31, 90), slice(120, 201))
    np.testing.assert_array_equal(colour_evidence(model, cells, area), colour_evidence(model, cells)[area])


def test_a_picture_of_many_colours_has_a_limited_number_of_cells():
    picture = np.random.default_rng(2).random((180, 320, 3)).astype(np.float32)
    cells = colour_cells(picture)
    model = fit_colours(cells, star(), earlier=fit_colours(cells[::-1], star()))
    assert len(model.cells) <= 512 and np.isfinite(model.evidence).all()


def test_a_model_of_colours_is_kept_for_frames_without_a_new_prediction_and_updated_with_one():
    matte = star()
    picture, probability = painted(matte, RED, BLUE), token_map(matte)
    first = EdgeRefiner(picture).refine(probability, 0.5, "fast").colours
    swapped = EdgeRefiner(painted(matte, BLUE, RED))
    assert swapped.refine(probability, 0.5, "fast", first, is_new=False).colours is first
    cells, models = colour_cells(painted(matte, BLUE, RED)), [first]
    for _ in range(20):
        models.append(swapped.refine(probability, 0.5, "fast", models[-1]).colours)
    before, after = (colour_evidence(model, cells)[matte > 0.95].mean() for model in (models[0], models[-1]))
    assert before < 0 < after


def test_colours_correct_a_map_that_is_wrong_in_places():
    matte = star()
    picture, error_by_model = painted(matte, (0.6, 0.4, 0.3), (0.35, 0.45, 0.6), 0.15), {}
    good = EdgeRefiner(picture).refine(token_map(matte), 0.5, "fast").colours
    unknown = ColourModel(good.cells, good.counts, np.zeros_like(good.evidence), good.offsets)
    for name, model in (("known", good), ("unknown", unknown)):
        alphas = [
            EdgeRefiner(picture).refine(token_map(matte, 0.15, seed), 0.5, "fast", model, is_new=False).alpha
            for seed in range(4)
        ]
        error_by_model[name] = np.mean([error(alpha, matte) for alpha in alphas])
    assert error_by_model["known"] < 0.8 * error_by_model["unknown"]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("displacement", ["moved", "grown", "shrunk"])
def test_the_tokens_of_a_displaced_map_are_ignored(level, displacement):
    matte, window = star(), np.ones((11, 11), np.uint8)
    other = {
        "moved": np.roll(matte, (3, 6), (0, 1)),
        "grown": cv2.dilate(matte, window),
        "shrunk": cv2.erode(matte, window),
    }
    probability = token_map(other[displacement])
    alpha = refine(painted(matte, RED, BLUE), probability, 0.5, level).alpha
    assert error(alpha, matte) < 0.65 * error(probability, matte)


def test_finer_maps_have_finer_tokens():
    matte = star(352, 352)
    means = cv2.resize(matte, (44, 44), interpolation=cv2.INTER_AREA)
    fine = cv2.resize(means, (352, 352), interpolation=cv2.INTER_LINEAR)
    half = np.asarray(0.5, np.float32)
    assert TokenMap.of(fine, half, fine.shape).grid.count == 44
    assert TokenMap.of(token_map(matte), half, fine.shape).grid.count == 22
    assert TokenMap.of(cv2.GaussianBlur(matte, (0, 0), 2), half, fine.shape).grid.count == 88


@pytest.mark.parametrize("level", LEVELS)
def test_averages_over_time_follow_the_picture_without_their_tokens(level):
    matte = star()
    picture = painted(matte, RED, BLUE)
    probability = np.mean([token_map(np.roll(matte, shift, 1)) for shift in (-6, -3, 0, 3, 6)], axis=0)
    result = EdgeRefiner(picture).refine(probability.astype(np.float32), 0.5, level, is_average=True, explain=True)
    assert error(checked(result, matte.shape), matte) < 0.5 * error(probability, matte)
