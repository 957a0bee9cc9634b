"""Property test: any sequence of edits, predictions and frames gives valid mattes without an exception."""

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Effort, MatteRequest, Mattes
from clipseg_live.core.settings.base import MatteShape, PromptStyle
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.matting.causal import CausalMattes
from tests.helpers.patterns import coarse, texture, with_disc

SIZES = (72, 96), (61, 90)
BACKGROUNDS = {size: texture(*size, 1) // 3 + 150 for size in SIZES}
ROLES = st.sampled_from(["positive", "positive", "negative", "contrast"])

STYLES = st.builds(
    PromptStyle,
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]),
    role=ROLES,
    shape=st.sampled_from([MatteShape(), MatteShape(grow=4, feather=3), MatteShape(min_area=1, fill_holes=2)]),
)
MATTE_SETTINGS = st.builds(
    MatteSettings,
    smoothing=st.sampled_from([0.0, 0.5, 1.0]),
    follow=st.booleans(),
    refine=st.booleans(),
    together=st.sampled_from(["independent", "exclusive"]),
    auto_hide=st.booleans(),
)
EDITS = st.one_of(
    st.tuples(st.just("add"), STYLES),
    st.tuples(st.just("remove"), st.integers(0, 3)),
    st.tuples(st.just("style"), st.integers(0, 3), STYLES),
    st.tuples(st.just("role"), st.integers(0, 3), ROLES),
    st.tuples(st.just("reorder"), st.randoms(use_true_random=False)),
    st.tuples(st.just("settings"), MATTE_SETTINGS),
    st.tuples(st.just("privacy"), st.booleans()),
    st.tuples(st.just("effort"), st.sampled_from(["full", "reduced", "least"])),
    st.tuples(st.just("frame"), st.integers(1, 3)),
    st.tuples(st.just("seek"), st.sampled_from(SIZES)),
    st.tuples(st.just("predict"), st.integers(0, 4)),
)


@dataclass
class Scenario:
    """A pipeline with its current prompts, settings and frame."""

    rows: tuple[tuple[int, PromptStyle], ...] = ((0, PromptStyle()), (1, PromptStyle()))
    matte: MatteSettings = field(default_factory=MatteSettings)
    cautious: bool = False
    effort: Effort = "full"
    size: tuple[int, int] = SIZES[0]
    index: int = 0
    epoch: int = 0

    def __post_init__(self) -> None:
        self.pipeline = CausalMattes()
        self.next_key = 2

    def apply(self, edit: tuple) -> None:  # type: ignore[type-arg]
        kind, *values = edit
        number = values[0] % len(self.rows) if kind in ("remove", "style", "role") and self.rows else None
        if kind == "add":
            self.rows, self.next_key = (*self.rows, (self.next_key, values[0])), self.next_key + 1
        elif kind == "remove" and number is not None:
            self.rows = self.rows[:number] + self.rows[number + 1 :]
        elif kind in ("style", "role") and number is not None:
            key, style = self.rows[number]
            style = values[1] if kind == "style" else style.model_copy(update={"role": values[1]})
            self.rows = (*self.rows[:number], (key, style), *self.rows[number + 1 :])
        elif kind == "reorder":
            self.rows = tuple(values[0].sample(self.rows, len(self.rows)))
        elif kind == "settings":
            self.matte = values[0]
        elif kind == "privacy":
            self.cautious = values[0]
        elif kind == "effort":
            self.effort = values[0]
        elif kind == "frame":
            self.index += values[0]
        elif kind == "seek":
            self.size, self.index, self.epoch = values[0], 0, self.epoch + 1
        elif kind == "predict":
            self.predict(max(self.index - values[0], 0))

    def predict(self, index: int) -> None:
        maps = np.concatenate([coarse(self._disc(index + key)[1]) for key, _ in self.rows] or [np.zeros((0, 4, 4))])
        self.pipeline.take(maps.astype(np.float32), tuple(key for key, _ in self.rows), index, self.epoch)

    def draw(self) -> Mattes:
        keys = tuple(key for key, _ in self.rows)
        styles = tuple(style for _, style in self.rows)
        frame = Frame(self._disc(self.index)[0], self.index, Fraction(self.index, 30), epoch=self.epoch)
        request = MatteRequest(keys, keys, styles, self.matte, self.cautious, self.effort)
        self.pipeline.show(frame, self.matte)
        return self.pipeline.mattes(frame, request)

    def _disc(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return scene(self.size, index)


@cache
def scene(size: tuple[int, int], index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with a moving disc, and the matte of the disc."""
    height, width = size
    return with_disc(BACKGROUNDS[size], 20 + 3 * index % (width - 40), height / 2, height / 4, (200, 30, 30))


def check(mattes: Mattes, scenario: Scenario) -> None:
    drawn = sum(style.role == "positive" for _, style in scenario.rows)
    assert (mattes.height, mattes.width) == scenario.size
    assert len(mattes.each) in ((drawn,) if mattes.own else (0, drawn))
    assert len(mattes.presence) == len(mattes.each)
    for matte in mattes.each:
        assert matte.alpha.shape == scenario.size and matte.alpha.dtype == np.uint8
        outside = np.ones(scenario.size, bool)
        for left, top, right, bottom in matte.boxes:
            outside[top:bottom, left:right] = False
        assert not matte.alpha[outside].any()


@pytest.mark.slow
@given(st.lists(EDITS, min_size=4, max_size=25))
@settings(max_examples=80, deadline=None)
def test_any_sequence_of_edits_gives_valid_mattes(edits: list[tuple]) -> None:  # type: ignore[type-arg]
    scenario = Scenario()
    scenario.predict(0)
    check(scenario.draw(), scenario)
    for edit in edits:
        scenario.apply(edit)
        check(scenario.draw(), scenario)


@pytest.mark.parametrize("role", ["negative", "contrast"])
def test_a_changed_role_takes_effect_in_every_later_frame(role: str) -> None:
    scenario = Scenario()
    scenario.predict(0)
    assert len(scenario.draw().each) == 2
    scenario.apply(("role", 1, role))
    for _ in range(3):
        assert len(scenario.draw().each) == 1
        scenario.apply(("frame", 1))
    scenario.apply(("role", 1, "positive"))
    assert len(scenario.draw().each) == 2


def test_a_removed_prompt_leaves_the_mattes_of_the_others_unchanged() -> None:
    """Hysteresis continues for the remaining prompts."""
    both, alone = Scenario(), Scenario()
    for scenario in (both, alone):
        scenario.predict(0)
        scenario.draw()
        scenario.apply(("frame", 1))
        scenario.predict(1)
    alone.rows = alone.rows[:1]
    np.testing.assert_array_equal(both.draw().each[0].alpha, alone.draw().each[0].alpha)
