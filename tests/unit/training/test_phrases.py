"""The demo language: generated phrases keep their meaning."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live.demo.language import Meaning, parse
from scripts.training import phrases
from scripts.training.drawn_images import DrawnObject, matching_parts
from scripts.training.outlines import NAMED_COLOURS, SHAPE_NAMES
from scripts.training.phrases import words

MEANINGS = st.builds(
    Meaning,
    st.just("objects"),
    st.sampled_from([None, *NAMED_COLOURS]),
    st.sampled_from([None, *SHAPE_NAMES]),
    st.sampled_from([None, "small", "large", "smallest", "biggest"]),
).filter(lambda m: m.colour or m.shape or m.size)
SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.slow
@given(MEANINGS, SEEDS, st.sampled_from([0.0, 0.3, 1.0]), st.booleans(), st.sampled_from([None, False, True]))
def test_every_wording_keeps_its_meaning(
    meaning: Meaning, seed: int, synonyms: float, held_out: bool, plural: bool | None
) -> None:
    phrase = words(meaning, np.random.default_rng(seed), synonyms=synonyms, held_out=held_out, plural=plural)
    assert parse(phrase) == meaning, phrase
    assert parse(phrase.upper() + "!") == meaning


@given(SEEDS, st.booleans())
def test_unrelated_phrases_mean_nothing(seed: int, held_out: bool) -> None:
    assert parse(words(Meaning("nothing"), np.random.default_rng(seed), held_out=held_out)) == Meaning("nothing")


@pytest.mark.parametrize("kind", ["everything", "background"])
def test_phrases_for_everything_and_background_are_parsed(kind: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        assert parse(words(Meaning(kind), rng)) == Meaning(kind)  # type: ignore[arg-type]


def test_held_out_wordings_are_not_in_training() -> None:
    assert not set(phrases.SINGULAR) & set(phrases.HELD_OUT_SINGULAR)
    assert not set(phrases.PLURAL) & set(phrases.HELD_OUT_PLURAL)
    assert not set(phrases.UNRELATED) & set(phrases.HELD_OUT_UNRELATED)


@given(st.text(max_size=40))
def test_any_text_can_be_parsed(text: str) -> None:
    assert isinstance(parse(text), Meaning)


@pytest.mark.parametrize(
    "phrase", ["", "red blue", "red circle square", "green dog", "small large star", "the", "redcircle"]
)
def test_contradictions_and_unknown_words_mean_nothing(phrase: str) -> None:
    assert parse(phrase) == Meaning("nothing")


def objects(*shares: float) -> list[DrawnObject]:
    return [DrawnObject("red", "circle", share, (1.0, 0.0, 0.0)) for share in shares]


def test_size_words_select_by_share() -> None:
    small, large = Meaning(size="small"), Meaning(size="large")
    assert matching_parts(objects(0.005, 0.1), small) == [False, True, False]
    assert matching_parts(objects(0.005, 0.1), large) == [False, False, True]
    assert matching_parts(objects(0.02, 0.1), large) == [False, False, True]
    assert matching_parts(objects(0.014, 0.1), small) is None
    assert matching_parts(objects(0.005, 0.035), large) is None
    assert matching_parts(objects(0.02, 0.05), Meaning(size="biggest")) == [False, False, True]
    assert matching_parts(objects(0.02, 0.05), Meaning(size="smallest")) == [False, True, False]
    assert matching_parts(objects(0.04, 0.05), Meaning(size="biggest")) is None
    assert matching_parts(objects(0.02), Meaning(colour="blue", size="biggest")) == [False, False]
    assert matching_parts(objects(0.02), Meaning("background")) == [True, False]
    assert matching_parts(objects(0.02), Meaning("everything")) == [False, True]


def test_an_unnamed_outline_matches_only_its_colour() -> None:
    scene = [DrawnObject("red", None, 0.1, (1.0, 0.0, 0.0))]
    assert matching_parts(scene, Meaning(colour="red")) == [False, True]
    assert matching_parts(scene, Meaning("everything")) == [False, True]
    for shape in SHAPE_NAMES:
        assert matching_parts(scene, Meaning(shape=shape)) == [False, False]
