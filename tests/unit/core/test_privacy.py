"""The privacy policy as pure functions: prompts in force, frames that may be shown, outputs with original pixels."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.core import privacy
from clipseg_live.core.frame import Frame
from clipseg_live.core.mattes import Mattes, no_mattes
from clipseg_live.core.privacy import PATIENCE_SECONDS, SETTLE_SECONDS, PromptEdits
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.segmentation import is_usable
from clipseg_live.core.settings.base import DATA_FORMATS, DataFormat, PromptStyle
from clipseg_live.core.settings.data_formats import find_format
from clipseg_live.core.settings.effects import BlackOut, Pixelate, Tint
from clipseg_live.core.settings.live import LiveSettings, PromptImage, PromptRow
from clipseg_live.core.status import HiddenReason

EXAMPLE = PromptImage.of(np.zeros((2, 2, 3), np.uint8))


def row(number: int, text: str, role: str = "positive", **values: object) -> PromptRow:
    return PromptRow(id=number, text=text, style=PromptStyle(role=role), **values)  # type: ignore[arg-type]


def hiding(*rows: PromptRow) -> LiveSettings:
    return LiveSettings(rows=rows, effects=(Tint(), BlackOut()))


def edited(before: LiveSettings, *after: LiveSettings, now: float = 100.0) -> PromptEdits:
    edits = privacy.begin_edits(before)
    for settings in after:
        edits = privacy.edit(edits, before, settings, now)
        before = settings
    return edits


def reason(edits: PromptEdits, settings: LiveSettings, own: bool = True) -> HiddenReason | None:
    return privacy.reason_to_hide(settings, edits, own)


@pytest.mark.parametrize(
    "rows",
    [
        (),
        (row(0, ""),),
        (row(0, " \t"),),
        (row(0, "face", visible=False),),
        (row(0, "face", role="negative"),),
        (row(0, "face", role="contrast"), row(1, "", visible=False)),
        (row(0, "face"), row(1, "", solo=True)),
        (row(0, "face"), row(1, "")),
    ],
)
def test_everything_is_hidden_without_prompts(rows: tuple[PromptRow, ...]) -> None:
    settings = hiding(*rows)
    assert reason(privacy.begin_edits(settings), settings) is HiddenReason.NOTHING
    plain = settings.model_copy(update={"effects": (Tint(),)})
    assert reason(privacy.begin_edits(plain), plain) is None


def test_initial_prompts_are_in_force() -> None:
    for settings in (hiding(row(0, "face")), hiding(row(0, "", picture=EXAMPLE))):
        edits = privacy.begin_edits(settings)
        assert reason(edits, settings) is None
        assert reason(edits, settings, own=False) is HiddenReason.WAITING


def test_an_edited_prompt_comes_into_force_when_detected_or_after_a_delay() -> None:
    before, after = hiding(row(0, "red circle")), hiding(row(0, "blue star"))
    edits = edited(before, after)
    assert reason(edits, after) is HiddenReason.EDITING
    early, settled, late = 100 + SETTLE_SECONDS - 0.1, 100 + SETTLE_SECONDS, 100 + PATIENCE_SECONDS
    for now, found, there in (
        (early, {0}, False), (settled, set(), False), (settled, {1}, False), (settled, {0}, True), (late, set(), True),
    ):  # fmt: skip
        assert (reason(privacy.settle(edits, after, found, now), after) is None) == there, (now, found)


def test_each_key_restarts_the_delay() -> None:
    texts = ["red circle", "red circl", "red", "", "b", "blue star"]
    steps = [hiding(row(0, text)) for text in texts]
    edits = privacy.begin_edits(steps[0])
    for number, (before, after) in enumerate(pairwise(steps)):
        edits = privacy.edit(edits, before, after, 100.0 + number)
        edits = privacy.settle(edits, after, {0}, 100.9 + number)
        assert reason(edits, after) is not None
    assert reason(privacy.settle(edits, steps[-1], {0}, 104 + SETTLE_SECONDS), steps[-1]) is None


def test_an_additional_prompt_is_in_force_at_once() -> None:
    before = hiding(row(0, "face"))
    added = hiding(row(0, "face"), row(1, "pla"))
    assert reason(edited(before, added), added) is None
    typed = hiding(row(0, "face"), row(1, "plate"))
    assert reason(edited(before, added, typed), typed) is None
    alone = hiding(row(0, "face", visible=False), row(1, "plate"))
    assert reason(edited(before, typed, alone), alone) is HiddenReason.EDITING


@pytest.mark.parametrize("role", ["negative", "contrast"])
def test_an_additional_negative_prompt_needs_the_delay(role: str) -> None:
    before, after = hiding(row(0, "face")), hiding(row(0, "face"), row(1, "f", role=role))
    assert reason(edited(before, after), after) is HiddenReason.EDITING


def test_explicit_changes_are_in_force_at_once() -> None:
    both = hiding(row(0, "face"), row(1, "plate"))
    for after in (
        hiding(row(0, "face")),
        hiding(row(1, "plate"), row(0, "face")),
        hiding(row(0, "face"), row(1, "plate", visible=False)),
        hiding(row(0, "face", solo=True), row(1, "plate")),
        hiding(row(0, "face"), row(1, "plate", role="negative")),
        hiding(row(0, "face "), row(1, "plate")),
    ):
        assert reason(edited(both, after), after) is None
    off = hiding(row(0, "face", visible=False), row(1, "plate"))
    assert reason(edited(both, off, both), both) is None


def test_a_prompt_edited_without_a_privacy_effect_needs_the_delay() -> None:
    plain = [LiveSettings(rows=(row(0, text),), effects=()) for text in ("red circle", "blue st")]
    after = hiding(row(0, "blue st"))
    assert reason(edited(*plain, after), after) is HiddenReason.EDITING


@pytest.mark.parametrize("values", [{"templates": ("a photo of a {}",)}, {"embedding": (1.0, 0.5)}])
def test_templates_and_embeddings_are_part_of_a_prompt(values: dict[str, object]) -> None:
    before, after = hiding(row(0, "face")), hiding(row(0, "face", **values))
    assert reason(edited(before, after), after) is HiddenReason.EDITING


def test_an_embedding_is_a_prompt_without_a_text() -> None:
    assert privacy.content_of(row(0, "", embedding=(1.0,))) is not None


def test_the_image_weight_is_part_of_a_prompt() -> None:
    before, after = (hiding(row(0, "face", picture=EXAMPLE, share=share)) for share in (0.5, 0.6))
    assert reason(edited(before, after), after) is HiddenReason.EDITING
    before, after = (hiding(row(0, "face", share=share)) for share in (0.5, 0.6))
    assert reason(edited(before, after), after) is None


def test_next_check_is_when_an_edit_may_come_into_force() -> None:
    before, after = hiding(row(0, "red circle")), hiding(row(0, "blue star"))
    edits = edited(before, after)
    assert privacy.next_check(edits, after, 100.0) == 100 + SETTLE_SECONDS
    assert privacy.next_check(edits, after, 100 + SETTLE_SECONDS) == 100 + PATIENCE_SECONDS
    assert privacy.next_check(edits, after, 100 + PATIENCE_SECONDS) is None
    assert privacy.next_check(edits, after.model_copy(update={"effects": ()}), 100.0) is None
    assert privacy.next_check(privacy.begin_edits(after), after, 100.0) is None


def test_a_frame_from_before_a_privacy_effect_may_not_be_shown() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    picture = RenderedFrame(Frame(pixels, 0, Fraction(0)), pixels)
    settings = hiding(row(0, "face"))
    plain = settings.model_copy(update={"effects": ()})
    for drawn in (None, plain, settings):
        made = replace(picture, settings=drawn)
        assert privacy.was_drawn_hiding(made, plain)
        assert privacy.was_drawn_hiding(made, settings) == (drawn is settings)


def test_a_frame_without_own_mattes_is_hidden_completely() -> None:
    one = no_mattes(2, 2, 1)
    assert privacy.hides_whole(Mattes(2, 2)) and privacy.hides_whole(one, 1)
    own = replace(one, own=True)
    assert not privacy.hides_whole(own, 1) and privacy.hides_whole(own, 2)


@pytest.mark.parametrize("form", DATA_FORMATS)
def test_the_warning_names_data_with_original_pixels(form: DataFormat) -> None:
    untouched = privacy.untouched_files([form])
    warning = privacy.untouched_warning((Tint(), Pixelate()), untouched)
    assert (warning is not None) == (find_format(form).source_pixels)
    assert warning is None or ("nothing is hidden" in warning and form in warning)
    assert privacy.untouched_warning((Tint(),), untouched) is None


@pytest.mark.slow
@given(
    st.integers(0, 3), st.integers(0, 3), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1.0]),
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 4)),
)  # fmt: skip
def test_maps_are_usable_if_all_values_are_finite(count: int, asked: int, value: float, at: tuple) -> None:  # type: ignore[type-arg]
    maps = np.full((count, 4, 5), 0.5, np.float32)
    put = at[0] < count
    if put:
        maps[at] = value
    assert is_usable(maps, asked) == (count == asked and (not put or bool(np.isfinite(value))))
    assert not is_usable(maps[0] if count else maps.reshape(0, 5), asked)
