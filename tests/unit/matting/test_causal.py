"""Mattes over time: they follow motion between predictions, are stable, and reset at cuts, seeks and edits."""

from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Decision, MatteRequest, Mattes
from clipseg_live.core.settings.base import MatteShape, PromptStyle
from clipseg_live.core.settings.rendering import PLAIN_MATTES, MatteSettings
from clipseg_live.imaging.resize import resize_map
from clipseg_live.matting.causal import CausalMattes
from clipseg_live.matting.edges.refiner import EdgeRefiner
from tests.helpers.edges import star, token_map
from tests.helpers.matting import causal, lookahead
from tests.helpers.patterns import coarse, disc, texture, with_disc

SIZE = 240, 426
BACKGROUND = texture(*SIZE, 1) // 3 + 150
RED = (200, 30, 30)
DEFAULT = MatteSettings()


def scene(index: int, x: float, y: float = 120, radius: float = 45, epoch: int = 0) -> tuple[Frame, np.ndarray]:
    picture, matte = with_disc(BACKGROUND, x, y, radius, RED)
    return Frame(picture, index, Fraction(index, 30), epoch=epoch), matte


def request(count: int = 1, settings: MatteSettings = DEFAULT, **values: object) -> MatteRequest:
    numbers = tuple(range(count))
    return MatteRequest(numbers, numbers, (PromptStyle(),) * count, settings, **values)  # type: ignore[arg-type]


def iou(mattes: Mattes, truth: np.ndarray, number: int = 0) -> float:
    found, there = mattes.each[number].alpha >= 128, truth >= 0.5
    return (found & there).sum() / max((found | there).sum(), 1)


def predict(pipeline: CausalMattes, frame: Frame, matte: np.ndarray, settings: MatteSettings = DEFAULT) -> Mattes:
    pipeline.take(coarse(matte), (0,), frame.index, frame.epoch)
    pipeline.show(frame, settings)
    return pipeline.mattes(frame, request(settings=settings))


def test_a_matte_is_sharper_than_its_map():
    frame, truth = scene(0, 200)
    plain, fitted = predict(CausalMattes(), frame, truth, PLAIN_MATTES), predict(CausalMattes(), frame, truth)
    assert iou(plain, truth) < 0.97 and iou(fitted, truth) > 0.99
    assert np.abs(fitted.each[0].alpha / 255 - truth).mean() < 0.3 * np.abs(plain.each[0].alpha / 255 - truth).mean()
    edge = (truth > 0.2) & (truth < 0.8)
    assert ((fitted.each[0].alpha[edge] > 10) & (fitted.each[0].alpha[edge] < 245)).mean() > 0.3  # soft


@pytest.mark.parametrize("level", ["fast", "best"])
@pytest.mark.parametrize("pipeline", [causal, lookahead])
def test_a_single_prediction_agrees_with_its_tokens(pipeline, level):
    """In a frame of one colour, nothing but the tokens of the map can restore the corners of objects."""
    frame = Frame(np.full((*SIZE, 3), 120, np.uint8), 0, Fraction(0))
    errors = []
    for offset in range(0, 40, 5):
        truth = np.zeros(SIZE, np.float32)
        truth[30 + offset : 160 + offset, 80 + 2 * offset : 120 + 2 * offset] = 1
        truth[80 + offset : 110 + offset, 30 + 2 * offset : 170 + 2 * offset] = 1
        tokens = cv2.resize(truth, (22, 22), interpolation=cv2.INTER_AREA)
        maps = cv2.resize(tokens, (352, 352), interpolation=cv2.INTER_LINEAR)[None]
        made = pipeline(request(settings=MatteSettings(edges=level), cautious=False))
        (mattes,) = (mattes for _, mattes in (*made.feed(frame, maps), *made.finish()))
        plain = cv2.resize(maps[0], SIZE[::-1], interpolation=cv2.INTER_LINEAR) >= 0.5
        errors.append((1 - iou(mattes, truth), 1 - (plain & (truth > 0)).sum() / (plain | (truth > 0)).sum()))
    ours, plain_error = np.mean(errors, axis=0)
    assert ours < 0.87 * plain_error


@pytest.mark.parametrize("level", ["fast", "best"])
def test_decisions_are_made_on_request_at_the_size_of_the_frame(level):
    frame, truth = scene(0, 200)
    decisions = {}
    for explain in (False, True):
        pipeline = CausalMattes()
        pipeline.take(coarse(truth), (0,), 0)
        pipeline.show(frame, DEFAULT)
        settings = MatteSettings(edges=level)
        decisions[explain] = pipeline.mattes(frame, request(settings=settings, explain=explain)).decisions
    assert decisions[False] is None and decisions[True] is not None
    assert decisions[True].shape == (1, *SIZE) and decisions[True].dtype == np.uint8
    near = cv2.dilate(((truth > 0.02) & (truth < 0.98)).astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
    assert (decisions[True][0] > Decision.NONE).any() and not decisions[True][0][~near].any()


def test_alpha_is_zero_outside_boxes_and_read_only():
    frame, truth = scene(0, 200)
    for settings in (DEFAULT, PLAIN_MATTES):
        matte = predict(CausalMattes(), frame, truth, settings).each[0]
        outside = np.ones(SIZE, bool)
        for left, top, right, bottom in matte.boxes:
            outside[top:bottom, left:right] = False
        assert not matte.alpha[outside].any() and not matte.alpha.flags.writeable and outside.mean() > 0.5


def test_plain_mattes_are_the_thresholded_map():
    frame, truth = scene(0, 200)
    style = PromptStyle(threshold=0.3)
    pipeline = CausalMattes()
    pipeline.take(coarse(truth), ("a",), 0)
    pipeline.show(frame, PLAIN_MATTES)
    mattes = pipeline.mattes(frame, MatteRequest(("a",), (0,), (style,), PLAIN_MATTES))
    assert set(np.unique(mattes.each[0].alpha)) == {0, 255}
    np.testing.assert_array_equal(mattes.each[0].alpha == 255, resize_map(coarse(truth)[0], *SIZE) >= np.float32(0.3))


@pytest.mark.slow
@pytest.mark.parametrize("late", [0, 6])
def test_a_matte_follows_its_object_between_predictions(late):
    """Six pixels a frame, one prediction for 16 frames. The prediction may arrive after further motion."""
    pipeline, places = CausalMattes(), [100 + 6 * number for number in range(16)]
    first, matte = scene(0, places[0])
    for index, x in enumerate(places):
        frame, truth = scene(index, x)
        if index == late:
            pipeline.take(coarse(matte), (0,), first.index)
        pipeline.show(frame, DEFAULT)
        mattes = pipeline.mattes(frame, request())
        if index < late:
            assert not mattes.each and not mattes.own
        else:
            assert iou(mattes, truth) > (0.9 if index < 12 else 0.85), index
            assert mattes.own == (index == 0)
    still = CausalMattes()
    predict(still, first, matte, DEFAULT.model_copy(update={"follow": False}))
    frame, truth = scene(15, places[15])
    still.show(frame, DEFAULT.model_copy(update={"follow": False}))
    assert iou(still.mattes(frame, request(settings=DEFAULT.model_copy(update={"follow": False}))), truth) < 0.5


@pytest.mark.slow
def test_noise_of_the_model_is_smoothed():
    rng, flicker = np.random.default_rng(2), {}
    frame, truth = scene(0, 200)
    noisy = []
    for _ in range(20):
        noise = coarse(rng.standard_normal(SIZE).astype(np.float32) * 12)
        noisy.append(np.clip(coarse(truth) + np.float32(0.12) * noise, 0, 1))
    for strength in (0.0, 0.8):
        settings, pipeline, seen = DEFAULT.model_copy(update={"smoothing": strength}), CausalMattes(), []
        for index, maps in enumerate(noisy):
            moment = Frame(frame.pixels, index, Fraction(index, 10))
            pipeline.take(maps, (0,), index)
            pipeline.show(moment, settings)
            seen.append(pipeline.mattes(moment, request(settings=settings)).maps)
        flicker[strength] = np.abs(np.diff(np.stack(seen), axis=0)).mean()
    assert flicker[0.8] < 0.4 * flicker[0.0]


@pytest.mark.slow
def test_a_single_missed_detection_keeps_the_matte():
    pipeline = CausalMattes()
    frame, truth = scene(0, 200)
    for index in range(4):
        frame, truth = scene(index, 200)
        pipeline.take(coarse(truth) * np.float32(index != 2), (0,), index)
        pipeline.show(frame, DEFAULT)
        assert iou(pipeline.mattes(frame, request()), truth) > 0.9


def test_a_matte_disappears_with_its_object():
    pipeline = CausalMattes()
    frame, truth = scene(0, 200)
    predict(pipeline, frame, truth)
    empty = Frame(BACKGROUND, 1, Fraction(1, 30))
    assert predict(pipeline, empty, np.zeros(SIZE, np.float32)).each[0].alpha.mean() < 2


def test_a_cut_resets_and_older_predictions_are_ignored():
    pipeline = CausalMattes()
    frame, truth = scene(0, 200)
    predict(pipeline, frame, truth)
    after = Frame(np.ascontiguousarray(255 - texture(*SIZE, 9)), 1, Fraction(1, 30))
    pipeline.show(after, DEFAULT)
    assert not pipeline.mattes(after, request()).each
    pipeline.take(coarse(truth), (0,), 0)  # for the frame before the cut
    pipeline.show(after, DEFAULT)
    assert not pipeline.mattes(after, request()).each


def test_a_seek_and_another_size_reset():
    pipeline = CausalMattes()
    frame, truth = scene(0, 200)
    predict(pipeline, frame, truth)
    sought, _ = scene(90, 200, epoch=1)
    pipeline.show(sought, DEFAULT)
    assert not pipeline.mattes(sought, request()).each
    small = Frame(frame.pixels[:100, :100].copy(), 91, Fraction(3), epoch=1)
    pipeline.show(small, DEFAULT)
    mattes = pipeline.mattes(small, request())
    assert (mattes.height, mattes.width, mattes.each) == (100, 100, ())


def test_an_edit_changes_only_its_own_prompt():
    pipeline, settings = CausalMattes(), DEFAULT.model_copy(update={"smoothing": 1.0})
    frame, truth = scene(0, 200)
    both = np.concatenate([coarse(truth), coarse(truth)])
    pipeline.take(both, ("a", "b"), 0)
    pipeline.show(frame, settings)
    later, _ = scene(1, 200)
    pipeline.take(both * np.float32(0.5), ("a", "c"), 1)
    pipeline.show(later, settings)
    wanted = MatteRequest(("a", "c"), (0, 1), (PromptStyle(),) * 2, settings)
    maps = pipeline.mattes(later, wanted).maps
    assert maps[0].max() > 0.9 and 0.45 < maps[1].max() < 0.55
    missing = pipeline.mattes(later, MatteRequest(("b",), (0,), (PromptStyle(),), settings))
    assert not missing.own and not missing.each[0].alpha.any()


def test_the_same_frame_again_gives_the_same_mattes():
    pipeline = CausalMattes()
    frame, truth = scene(0, 200)
    first = predict(pipeline, frame, truth)
    pipeline.show(frame, DEFAULT)
    np.testing.assert_array_equal(pipeline.mattes(frame, request()).each[0].alpha, first.each[0].alpha)


@pytest.mark.parametrize("cautious", [False, True, None])
def test_averages_are_the_same_when_a_frame_is_drawn_again(cautious):
    pipeline = CausalMattes()
    for index in range(6):
        frame, truth = scene(index, 200 + 4 * index)
        if index >= 2:
            earlier, matte = scene(index - 2, 200 + 4 * (index - 2))
            pipeline.take(coarse(matte), (0,), earlier.index)
        pipeline.show(frame, DEFAULT)
        drawn = [pipeline.mattes(frame, request(cautious=cautious)) for _ in range(2)]
        for one, other in zip(drawn[0].each, drawn[1].each, strict=True):
            np.testing.assert_array_equal(one.alpha, other.alpha)
            if index >= 2:
                assert iou(drawn[1], truth) > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("late", [0, 2])
def test_predictions_sharpen_an_object_that_has_no_edges_in_the_picture(late):
    """The picture does not show the object, so only its tokens tell its corners."""
    pipeline, matte = CausalMattes(), star(180, 320)
    probability = token_map(matte)
    for index in range(0, 30):
        frame = Frame(texture(180, 320, 3) // 8 + 120, index, Fraction(index, 10))
        if index >= late:
            pipeline.take(probability[None], (0,), index - late)
        pipeline.show(frame, DEFAULT)
        mattes = pipeline.mattes(frame, request())
    alone = (probability >= 0.5) & (matte >= 0.5)
    assert 1 - iou(mattes, matte) < 0.7 * (1 - alone.sum() / ((probability >= 0.5) | (matte >= 0.5)).sum())


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 33), (321, 100), (1000, 3), (359, 641)])
@pytest.mark.parametrize("count", [0, 1, 16])
@pytest.mark.parametrize("sequence", [causal, lookahead])
def test_odd_sizes_and_any_number_of_prompts_work(size, count, sequence):
    rng = np.random.default_rng(0)
    done = []
    made = sequence(request(count))
    for index in range(3):
        frame = Frame(texture(*size, index), index, Fraction(index, 30))
        done += made.feed(frame, rng.random((count, 22, 22), np.float32))
    done += made.finish()
    assert [frame.index for frame, _ in done] == [0, 1, 2]
    for frame, mattes in done:
        assert len(mattes.each) == len(mattes.presence) == count and mattes.own
        assert all(matte.alpha.shape == size and matte.alpha.dtype == np.uint8 for matte in mattes.each)
        assert frame.pixels.shape[:2] == size


@pytest.mark.slow
def test_matte_shape_settings_have_their_effect():
    frame, truth = scene(0, 200, radius=60)
    hole = disc(*SIZE, 200, 120, 14)
    speck = disc(*SIZE, 380, 40, 9)
    picture = frame.pixels.copy()
    picture[hole > 0.5], picture[speck > 0.5] = BACKGROUND[hole > 0.5], RED
    frame = Frame(picture, 0, Fraction(0))
    maps = np.clip(coarse(truth * (1 - hole)) + coarse(speck) * 3, 0, 1)

    def area(**values: float) -> np.ndarray:
        pipeline = CausalMattes()
        pipeline.take(maps, (0,), 0)
        pipeline.show(frame, DEFAULT)
        style = PromptStyle(shape=MatteShape(**values))
        return pipeline.mattes(frame, MatteRequest((0,), (0,), (style,), DEFAULT)).each[0].alpha

    plain = area()
    assert plain[40, 380] > 128 and plain[120, 200] < 128
    assert area(smallest=1.0)[40, 380] == 0 and area(fill=2.0)[120, 200] == 255
    grown, shrunk = area(grow=3.0), area(grow=-3.0)  # 7 pixels
    assert (grown >= plain).all() and (shrunk <= plain).all()
    heights = [int((alpha[:, :300] > 128).any(axis=1).sum()) for alpha in (grown, plain, shrunk)]
    assert 11 <= heights[0] - heights[1] <= 17 and 11 <= heights[1] - heights[2] <= 17
    outwards, inwards = area(feather=4.0), area(feather=-4.0)
    assert (outwards >= plain).all() and (inwards <= plain).all()
    assert ((outwards > 20) & (outwards < 235)).sum() > 2 * ((plain > 20) & (plain < 235)).sum()


@pytest.mark.slow
def test_cautious_mattes_keep_and_grow_lost_areas():
    def run(cautious: bool) -> list[int]:
        pipeline, areas = CausalMattes(), []
        for index in range(24):
            frame, truth = scene(index, 200)
            pipeline.take(coarse(truth) * np.float32(1 if index < 4 else 0.1), (0,), index)
            pipeline.show(frame, DEFAULT)
            areas.append(int((pipeline.mattes(frame, request(cautious=cautious)).each[0].alpha > 128).sum()))
        return areas

    careful, plain = run(True), run(False)
    assert plain[-1] < 0.2 * plain[3]
    assert all(after >= before for before, after in pairwise(careful[3:]))


def test_a_hidden_prompt_is_shown_again_when_present():
    settings = DEFAULT.model_copy(update={"auto_hide": True, "present": 0.9})
    frame, truth = scene(0, 200)
    maps = np.concatenate([coarse(truth), coarse(truth) * np.float32(0.7)])
    pipeline = CausalMattes()
    pipeline.take(maps, (0, 1), 0)
    pipeline.show(frame, settings)
    mattes = pipeline.mattes(frame, request(2, settings))
    assert mattes.each[0].alpha.any() and not mattes.each[1].alpha.any()
    assert mattes.presence[0] > 0.9 > mattes.presence[1] > 0.5


@pytest.mark.parametrize("effort", ["full", "reduced", "least"])
def test_less_effort_still_covers_the_object(effort):
    frame, truth = scene(0, 200)
    pipeline = CausalMattes()
    pipeline.take(coarse(truth), (0,), 0)
    pipeline.show(frame, DEFAULT)
    assert iou(pipeline.mattes(frame, request(effort=effort)), truth) > 0.85


@pytest.mark.slow
def test_lookahead_fills_a_missed_detection_and_follows_motion():
    made, done, truths = lookahead(request()), [], []
    for index in range(14):
        frame, truth = scene(index, 120 + 7 * index)
        truths.append(truth)
        done += made.feed(frame, coarse(truth) * np.float32(index not in (0, 6, 7)))
    done += made.finish()
    assert [frame.index for frame, _ in done] == list(range(14))
    assert all(iou(mattes, truth) > 0.85 for (_, mattes), truth in zip(done[1:], truths[1:], strict=True))


@pytest.mark.slow
def test_lookahead_stops_at_a_cut():
    made, done = lookahead(request()), []
    for index in range(8):
        if index < 4:
            frame, truth = scene(index, 200)
        else:
            frame = Frame(np.ascontiguousarray(255 - texture(*SIZE, 9)), index, Fraction(index, 30))
            truth = np.zeros(SIZE, np.float32)
        done += made.feed(frame, coarse(truth))
    done += made.finish()
    areas = [float((mattes.each[0].alpha > 128).mean()) for _, mattes in done]
    assert min(areas[:4]) > 0.05 and max(areas[4:]) == 0


@pytest.mark.parametrize("texture", ["plain", "stripes"])
def test_uniform_colours_fall_back_to_the_map(texture: str) -> None:
    """With the same colours inside and outside, the matte equals the thresholded map."""
    height, width = 180, 320
    picture = np.full((height, width, 3), 0.5, np.float32)
    if texture == "stripes":
        picture[:, (np.arange(width) // 5) % 2 == 0] = 0.2
    probability = np.zeros((height, width), np.float32)
    probability[40:140, 130:190] = probability[70:110, 80:240] = 1
    probability = cv2.GaussianBlur(probability, (0, 0), 6)
    refiner = EdgeRefiner(picture, trust=np.ones((height, width), np.float32))
    found = refiner.refine(probability, 0.5, "fast", is_average=True).alpha > 0.5
    passes = probability >= 0.5
    assert (found & passes).sum() / (found | passes).sum() > 0.97
