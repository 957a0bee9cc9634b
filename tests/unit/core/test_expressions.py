"""Prompt expressions: their meaning, plain texts that stay texts, and errors that say what is wrong."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipseg_live import Prompt, UsageError
from clipseg_live.core.expressions.combinations import LogicPrompt, SumPrompt, combine_maps, leaf_prompts
from clipseg_live.core.expressions.completion import complete
from clipseg_live.core.expressions.parser import find_error, parse_or_text
from clipseg_live.core.prompts import MixPrompt, TextPrompt
from clipseg_live.core.settings.live import PromptImage, PromptRow

PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
text = Prompt.text


def total(*parts: tuple[Prompt, float]) -> Prompt:
    return SumPrompt(parts, "")


def logic(operator: str, *parts: Prompt) -> Prompt:
    return LogicPrompt(operator, parts, "")


DOG, CAT, SKY, FOG = (text(word) for word in ("dog", "cat", "sky", "fog"))
MEANINGS = {
    "dog + 0.5 * black - cat": total((DOG, 1), (text("black"), 0.5), (CAT, -1)),
    "dog + 0.5*black": total((DOG, 1), (text("black"), 0.5)),
    "- dog + big cat": total((DOG, -1), (text("big cat"), 1)),
    "2 * (dog - cat)": total((total((DOG, 1), (CAT, -1)), 2)),
    "dog ~ 0.3 cat": Prompt.mix((DOG, 0.7), (CAT, 0.3)),
    "dog ~ cat": Prompt.mix((DOG, 0.5), (CAT, 0.5)),
    "dog ~ 1 cat ~ 0.25 sky": Prompt.mix((Prompt.mix((DOG, 0), (CAT, 1)), 0.75), (SKY, 0.25)),
    "dog ~ 0.3 * cat": Prompt.mix((DOG, 0.5), (total((CAT, 0.3)), 0.5)),
    "sky and not fog": logic("and", SKY, logic("not", FOG)),
    "dog or cat and not sky": logic("or", DOG, logic("and", CAT, logic("not", SKY))),
    "(dog or cat) and sky": logic("and", logic("or", DOG, CAT), SKY),
    "not dog + cat": logic("not", total((DOG, 1), (CAT, 1))),
    "dog and cat and sky": logic("and", DOG, CAT, SKY),
    '"a photo of a {}": dog': text("dog", ["a photo of a {}"]),
    '"a {}": dog and cat': logic("and", text("dog", ["a {}"]), CAT),
    '"black and white dog" or cat': logic("or", text("black and white dog"), CAT),
    '"rock + roll"': text("rock + roll"),
    '"a {}":"salt and pepper"': text("salt and pepper", ["a {}"]),
    "[crop 1] ~ 0.3 cat": Prompt.mix((Prompt.image(PIXELS), 0.7), (CAT, 0.3)),
}


@pytest.mark.parametrize("expression", MEANINGS)
def test_an_expression_has_its_meaning(expression: str) -> None:
    found = Prompt.parse(f"  {expression} ", names={"crop 1": Prompt.image(PIXELS)})
    assert found.key == MEANINGS[expression].key
    assert found.label == (found.phrase if isinstance(found, TextPrompt) else expression)


@pytest.mark.parametrize(
    "plain",
    ["dog", "a black dog", "t-shirt", "a cup (white)", "C++", "not", "and", "-", "Salt And Pepper", "5 dogs", "a+b"],
)
def test_a_text_without_operators_is_plain(plain: str) -> None:
    assert Prompt.parse(plain) == text(plain)


def test_templates_hold_for_all_words_without_their_own() -> None:
    found = Prompt.parse('dog + "the {}": cat', ["a {}", "{}"])
    assert found.key == total((text("dog", ["a {}", "{}"]), 1), (text("cat", ["the {}"]), 1)).key
    assert found.key != Prompt.parse("dog + cat").key


ERRORS = {
    "dog +": "a text is missing at the end", "dog and": "a text is missing at the end", "+ dog": r'"\+" stands where',
    "dog + (cat": "not closed", "dog + )": r'"\)" stands where', "(dog + cat))": r'"\)" is not expected',
    '"dog': "quotation mark is not closed", "dog ~ 2 cats": "a share from 0 to 1", '"": dog': "placeholder",
    "dog + (cat or sky)": "cannot combine", "dog ~ not cat": '"not" stands where', "0 * dog": "all 0",
    "dog ~ (not cat)": "cannot combine", "[mug] + dog": r"no image \[mug\], but \[crop\]", 'dog "cat"': "not expected",
    '"a dog": cat and sky': "placeholder", "dog and " + "(" * 40 + "cat": "more than 32", '"" or dog': "text is needed",
    "dog" + " + cat" * 70: "more than 64 texts", "": "empty", "  ": "empty",
}  # fmt: skip


@pytest.mark.parametrize("expression", ERRORS)
def test_errors_name_what_is_wrong(expression: str) -> None:
    with pytest.raises(UsageError, match=ERRORS[expression]) as error:
        Prompt.parse(expression, names={"crop": Prompt.image(PIXELS)})
    assert "\n" not in str(error.value)


@given(st.lists(st.sampled_from([*'+-~*()"[]:', "and", "or", "not", "dog", "0.5", '"a {}":', "[x]"])).map(" ".join))
def test_any_text_gives_a_prompt_or_a_usage_error(expression: str) -> None:
    try:
        found = Prompt.parse(expression)
    except UsageError:
        found = parse_or_text(expression) if expression.strip() else DOG
        assert isinstance(found, TextPrompt)
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_sum_has_the_mean_length_of_its_parts() -> None:
    embeddings = np.array([[3, 0, 0], [0, 4, 0], [0, 0, 5]], np.float32)
    found = SumPrompt([(DOG, 1), (CAT, 0.5), (SKY, -1)], "x").embedding_of(embeddings)
    direction = np.array([3, 2, -5]) / np.linalg.norm([3, 2, -5])
    np.testing.assert_allclose(found, direction * (3 + 0.5 * 4 + 5) / 2.5, rtol=1e-6)
    same = np.array([[3, 4], [3, 4]], np.float32)
    np.testing.assert_allclose(SumPrompt([(DOG, 7)], "x").embedding_of(same[:1]), same[0])
    with pytest.raises(UsageError, match="cancel each other out"):
        SumPrompt([(DOG, 1), (CAT, -1)], "dog - cat").embedding_of(same)


def test_logic_combines_maps_so_that_masks_are_intersections_and_unions() -> None:
    maps = np.random.default_rng(0).random((4, 5, 6), np.float32)
    prompts = [Prompt.parse("dog and not cat"), SKY, Prompt.parse("fog")]
    assert leaf_prompts(prompts) == (DOG, CAT, SKY, FOG)
    both, sky, fog = combine_maps(prompts, maps)
    np.testing.assert_array_equal(both, np.minimum(maps[0], 1 - maps[1]))
    assert np.array_equal(sky, maps[2]) and np.array_equal(fog, maps[3])
    for threshold in (0.2, 0.5, 0.9):
        for operator, union in (("or", np.logical_or), ("and", np.logical_and)):
            (found,) = combine_maps([Prompt.parse(f"dog {operator} cat")], maps[:2])
            assert np.array_equal(found >= threshold, union(maps[0] >= threshold, maps[1] >= threshold))
    assert combine_maps([DOG, CAT], maps[:2]).base is maps  # nothing is copied without logic


def test_masks_cannot_be_mixed_as_embeddings() -> None:
    with pytest.raises(UsageError, match='"dog or cat" combines masks'):
        Prompt.mix((Prompt.parse("dog or cat"), 1), (SKY, 1))
    assert isinstance(Prompt.mix((Prompt.parse("dog - cat"), 1), (SKY, 1)), MixPrompt)


def test_rows_of_sessions_hold_expressions_and_incomplete_ones_are_texts() -> None:
    assert PromptRow(id=0, text="sky and not fog").prompt == Prompt.parse("sky and not fog")
    assert PromptRow(id=0, text="sky - fog", templates=("a {}",)).prompt == Prompt.parse("sky - fog", ["a {}"])
    assert PromptRow(id=0, text="sky and not").prompt == text("sky and not")
    image = PromptImage.of(PIXELS)
    with_image = PromptRow(id=0, text="sky and not fog", image=image, share=0.5).prompt
    assert with_image == Prompt.mix(
        (Prompt.image(PIXELS), 0.5), (text("sky and not fog"), 0.5), label="sky and not fog"
    )


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("dog +", ""), ("dog  and ) cat", ")"), ("dog ~ 2 cats", "2"), ("[mug] + dog", "[mug]"), ("dog 'x' \"", '"'),
        ("sky or dog + (cat or sky)", "dog + (cat or sky)"), ("0.5*dog and (cat", ""), ('"a dog": cat', '"a dog": cat'),
    ],
)  # fmt: skip
def test_errors_know_their_place(expression: str, part: str) -> None:
    error = find_error(expression, ["crop"])
    assert error is not None and expression[error.start : error.end] == part
    assert part or error.start == len(expression)


@pytest.mark.parametrize("fine", ["", "  ", "dog", "dog + cat", "[crop] ~ cat", "a cup (white", "and"])
def test_texts_and_expressions_have_no_error(fine: str) -> None:
    assert find_error(fine, ["crop"]) is None


WORDS = ["mug", "white mug", "black dog", "sky and not fog"]


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("mu", ["mug", "white mug"]), ("MU", ["mug", "white mug"]), ("mug", ["white mug"]), ("", []), ("dog ", []),
        ("dog + bl", ["dog + black dog"]), ("(bl", ["(black dog"]), ('"mu', ['"mug"', '"white mug"']),
        ("dog ~ 0.3 mu", ["dog ~ 0.3 mug", "dog ~ 0.3 white mug"]), ("sk", ["sky and not fog"]), ("dog + sk", []),
        ("[cr", ["[crop 1]"]), ("dog - cr", ["dog - [crop 1]"]), ("[crop 1] o", ["[crop 1] or "]), ("[crop 1] m", []),
        ("dog a", ["dog and ", "dog and not "]), ("dog and o", []), ("dog + (cat o", []),
    ],
)  # fmt: skip
def test_a_part_is_completed(typed: str, wanted: list[str]) -> None:
    assert [each.text for each in complete(typed, len(typed), WORDS, ["crop 1"])] == wanted


def test_a_part_in_the_middle_is_completed_and_the_rest_stays() -> None:
    (found,) = complete("dog + bl - fog", 8, WORDS)
    assert found.text == "dog + black dog - fog" and found.text[: found.cursor] == "dog + black dog"


def test_everything_lists_words_names_and_operators() -> None:
    assert [each.text for each in complete("", 0, WORDS, ["crop 1"], everything=True)] == ["[crop 1]", *WORDS]
    after = [each.text for each in complete("dog ", 4, [], everything=True)]
    assert after == ["dog and ", "dog or ", "dog and not ", "dog + ", "dog - ", "dog ~ "]
    open_end = complete("dog + ", 6, WORDS, everything=True)
    assert [each.text for each in open_end] == ["dog + mug", "dog + white mug", "dog + black dog"]
    assert all(find_error(each.text) is None for each in open_end)
