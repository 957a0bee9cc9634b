"""Mattes for privacy effects cover at least the prediction, in live, causal and lookahead pipelines."""

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipseg_live.core.frame import Frame, Pixels
from clipseg_live.core.mattes import Effort, MatteRequest, Mattes
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.effects import BlackOut, Pixelate
from clipseg_live.core.settings.rendering import MatteSettings, RenderSettings
from clipseg_live.imaging.resize import resize_map
from clipseg_live.matting.causal import CausalMattes
from clipseg_live.rendering.renderer import EffectRenderer
from tests.helpers.matting import OrderedMattes, causal, lookahead
from tests.helpers.privacy_rig import COLOURS, make_frame, objects_in, oracle, shows

WORDS = tuple(COLOURS)
FAST = settings(max_examples=25, deadline=None)
MATTES = st.builds(
    MatteSettings,
    smoothing=st.sampled_from([0.0, 0.3, 1.0]),
    follow=st.booleans(),
    refine=st.booleans(),
    together=st.sampled_from(["independent", "exclusive"]),
    auto_hide=st.booleans(),
    present=st.sampled_from([0.35, 1.0]),
)
SEQUENCES = [causal, lookahead]


def request(
    matte: MatteSettings, cautious: bool | None = True, effort: Effort = "full", **style: object
) -> MatteRequest:
    return MatteRequest(WORDS, (0, 1), (PromptStyle(**style),) * 2, matte, cautious, effort)  # type: ignore[arg-type]


def black(frame: Frame, mattes: Mattes) -> Pixels:
    return EffectRenderer(RenderSettings(effects=(BlackOut(),))).compose(frame.pixels, mattes)


def live(asked: MatteRequest, frames: list[tuple[Frame, np.ndarray | None]]) -> Iterator[tuple[Frame, Mattes]]:
    pipeline = CausalMattes()
    for frame, maps in frames:
        if maps is not None:
            pipeline.take(maps, asked.keys, frame.index, frame.epoch)
        pipeline.show(frame, asked.settings)
        yield frame, pipeline.mattes(frame, asked)


def sequence(
    kind: Callable[[MatteRequest], OrderedMattes],
) -> Callable[[MatteRequest, list[tuple[Frame, np.ndarray | None]]], Iterator[tuple[Frame, Mattes]]]:
    def run(asked: MatteRequest, frames: list[tuple[Frame, np.ndarray | None]]) -> Iterator[tuple[Frame, Mattes]]:
        mattes = kind(asked)
        for frame, maps in frames:
            yield from mattes.feed(frame, maps)
        yield from mattes.finish()

    return run


WAYS = [live, *map(sequence, SEQUENCES)]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=["live", "causal", "lookahead"])
@FAST
@given(MATTES, st.sampled_from([True, None]), st.sampled_from(["full", "reduced", "least"]), st.integers(0, 70),
       st.lists(st.booleans(), min_size=8, max_size=8))  # fmt: skip
def test_privacy_effects_hide_detected_pixels_and_frames_without_a_prediction(
    way: Callable, matte: MatteSettings, cautious: bool | None, effort: Effort, first: int, answered: list[bool]
) -> None:  # type: ignore[type-arg]
    frames = [(make_frame(index, 1), oracle(index, 1, WORDS)) for index in range(first, first + 8)]
    given_ = [(frame, maps if there else None) for (frame, maps), there in zip(frames, answered, strict=True)]
    done = list(way(request(matte, cautious, effort), given_))
    assert [frame.index for frame, _ in done] == [frame.index for frame, _ in frames]
    for (frame, mattes), there in zip(done, answered, strict=True):
        drawn = black(frame, mattes)
        assert mattes.own == there
        if there:
            for word in objects_in(frame.index, frame.epoch):
                assert not shows(drawn, word), (frame.index, word)
            assert drawn.any()
        else:
            assert not drawn.any()


@pytest.mark.slow
@FAST
@given(MATTES, st.integers(0, 60))
def test_an_unknown_use_gives_plain_and_cautious_mattes(matte: MatteSettings, first: int) -> None:
    """Each kind equals the result if only this kind is requested."""
    frames = [(make_frame(index, 1), oracle(index, 1, WORDS)) for index in range(first, first + 5)]
    both, careful, plain = (list(live(request(matte, kind), frames)) for kind in (None, True, False))
    for (_, two), (_, one), (_, other) in zip(both, careful, plain, strict=True):
        assert [each.alpha.tobytes() for each in two.hiding] == [each.alpha.tobytes() for each in one.each]
        assert [each.alpha.tobytes() for each in two.each] == [each.alpha.tobytes() for each in other.each]
        assert other.hiding is other.each and one.hiding is one.each


@pytest.mark.parametrize("follow", [False, True])
def test_a_detection_delayed_by_smoothing_is_hidden_at_once(follow: bool) -> None:
    """The frame is still, and the model detects the object only in its third prediction."""
    still = make_frame(3, 1)
    maps = oracle(3, 1, WORDS)
    frames = [
        (Frame(still.pixels, index, Fraction(index, 30), epoch=1), maps * np.float32(index >= 2)) for index in range(3)
    ]
    matte = MatteSettings(smoothing=1.0, motion_tracking=follow)
    *_, (frame, mattes) = live(request(matte), frames)
    assert not any(shows(black(frame, mattes), word) for word in objects_in(3, 1))
    *_, (frame, mattes) = live(request(matte, cautious=False), frames)
    assert any(shows(black(frame, mattes), word) for word in objects_in(3, 1)), "the case is none"


def test_auto_hide_does_not_affect_privacy_effects() -> None:
    frame, maps = make_frame(3, 1), oracle(3, 1, WORDS) * np.float32(0.6)
    matte = MatteSettings(auto_hide=True, presence_threshold=0.9)
    for way in WAYS:
        ((_, mattes),) = way(request(matte, None), [(frame, maps)])
        assert not any(each.alpha.any() for each in mattes.each)
        assert not any(shows(black(frame, mattes), word) for word in WORDS)


@pytest.mark.parametrize("matte", [MatteSettings(), MatteSettings(edges="off"), MatteSettings(smoothing=0)])
@pytest.mark.parametrize("effort", ["full", "least"])
def test_thresholds_are_lower_for_privacy_effects(matte: MatteSettings, effort: Effort) -> None:
    frame, maps = make_frame(3, 1), oracle(3, 1, WORDS) * np.float32(0.4)
    plain = MatteSettings(smoothing=0, motion_tracking=False, edges="off")
    for way in WAYS:
        for settings_ in (matte, plain):
            ((_, mattes),) = way(request(settings_, True, effort), [(frame, maps)])
            assert all(each.alpha.any() for each in mattes.each)


@pytest.mark.parametrize("effect", [BlackOut(), Pixelate(cell=20.0)])
@pytest.mark.parametrize("role", ["negative", "contrast"])
def test_only_negative_prompts_hide_everything(effect: BlackOut | Pixelate, role: str) -> None:
    frame, maps = make_frame(3, 1), oracle(3, 1, WORDS)
    for way in WAYS:
        ((_, mattes),) = way(request(MatteSettings(), True, role=role), [(frame, maps)])
        drawn = EffectRenderer(RenderSettings(effects=(effect,))).compose(frame.pixels, mattes)
        assert (drawn == frame.pixels).all(axis=2).mean() < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=["live", "causal", "lookahead"])
@FAST
@given(MATTES, st.integers(1, 3), st.integers(0, 40), st.integers(0, 40), st.booleans())
def test_the_smallest_predictions_are_hidden(
    way: Callable, matte: MatteSettings, side: int, top: int, left: int, noisy: bool
) -> None:  # type: ignore[type-arg]
    """The guided filter and the minimum area of a matte must not remove pixels that a privacy effect has to cover."""
    noise = np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)
    pixels = noise if noisy else np.full((360, 640, 3), 200, np.uint8)
    maps = np.zeros((2, 44, 44), np.float32)
    maps[0, top : top + side, left : left + side] = 1.0
    asked = request(matte.model_copy(update={"together": "independent"}))
    frame = Frame(pixels, 0, Fraction(0))
    for shown, mattes in way(asked, [(frame, maps)]):
        found = resize_map(maps[0], *pixels.shape[:2]) >= np.float32(0.5)
        assert found.any() and mattes.each[0].alpha[found].all()
        assert not black(shown, mattes)[found].any()
