"""Prompts of classes from options and tables."""

import json
from pathlib import Path

import pytest

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.prompts import MixPrompt, TextPrompt
from clipseg_live.evaluation.prompt_table import ClassWords, prompt_sets, read_table

WORDS = {"mug": "mug", "dog_big": "big dog", "tree": "tree"}


def texts(prompts: object) -> dict[str, str]:
    return {name: each.prompt.label for name, each in prompts.by_class.items()}


def test_all_classes_have_their_own_words_by_default() -> None:
    (single,) = prompt_sets(WORDS, templates=("a photo of a {}",))
    assert single.name == "" and texts(single) == WORDS
    assert single.by_class["dog_big"].prompt.sentences == ("a photo of a big dog",)


def test_chosen_classes_may_have_other_texts_and_several_are_compared() -> None:
    (single,) = prompt_sets(WORDS, ("tree", "mug=cup"))
    assert texts(single) == {"tree": "tree", "mug": "cup"}
    first, second = prompt_sets(WORDS, ("mug", "mug=white cup", "tree"))
    assert texts(first) == {"mug": "mug", "tree": "tree"} and texts(second) == {"mug": "white cup", "tree": "tree"}
    assert (first.name, second.name) == ("mug; tree", "white cup")
    with pytest.raises(UsageError, match="'cat' is not a class of the data set, which has mug, dog_big, tree"):
        prompt_sets(WORDS, ("cat=mug",))


def test_tables_have_several_words_templates_and_negatives(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text(
        "\ufeffClass,words,templates,negatives\nmug,mug|cup,a {}|the {},saucer\ntree,,,\n", encoding="utf-8"
    )
    table = read_table(path)
    assert table == {
        "mug": ClassWords(words=("mug", "cup"), templates=("a {}", "the {}"), negatives=("saucer",)),
        "tree": ClassWords(),
    }
    same = tmp_path / "words.json"
    mug = {"words": ["mug", "cup"], "templates": ["a {}", "the {}"], "negatives": "saucer"}
    same.write_text(json.dumps({"mug": mug, "tree": []}))
    assert read_table(same) == table
    (listed,) = prompt_sets(WORDS, tables=[("words", table)], templates=("some {}",))
    assert listed.name == "words" and set(listed.by_class) == {"mug", "tree"}
    own, tree = listed.by_class["mug"], listed.by_class["tree"]
    assert isinstance(own.prompt, MixPrompt) and [weight for _, weight in own.prompt.parts] == [0.5, 0.5]
    assert [part.sentences for part, _ in own.prompt.parts] == [("a mug", "the mug"), ("a cup", "the cup")]
    assert [negative.label for negative in own.negatives] == ["saucer"]
    assert isinstance(tree.prompt, TextPrompt) and tree.prompt.sentences == ("some tree",)
    both = prompt_sets(WORDS, ("mug",), [("words", table)])
    assert [(each.name, set(each.by_class)) for each in both] == [("mug", {"mug"}), ("words", {"mug"})]
    with pytest.raises(UsageError, match="'mug' in the table words is not a class"):
        prompt_sets({"cat": "cat"}, tables=[("words", table)])
    with pytest.raises(UsageError, match="no prompt"):
        prompt_sets(WORDS, tables=[("words", {})])


DAMAGED = {
    "empty.csv": "", "columns.csv": "class,text\nmug,cup\n", "twice.csv": "class,words\nmug,a\nmug,b\n",
    "nameless.csv": "class,words\n,a\n", "long.csv": "class,words\nmug,a,b\n",
    "huge.csv": f"class,words\nmug,{'x' * 140_000}\n",
    "broken.json": '{"mug": ', "list.json": '["mug"]', "number.json": '{"mug": 3}',
    "unknown.json": '{"mug": {"word": "cup"}}',
}  # fmt: skip


@pytest.mark.parametrize("name", [*DAMAGED, "missing.csv", "missing.json", "latin.csv"])
def test_damaged_tables_give_one_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name in DAMAGED:
        path.write_text(DAMAGED[name])
    elif name == "latin.csv":
        path.write_bytes("class,words\nmug,café\n".encode("latin-1"))
    with pytest.raises(SourceError, match=name.replace(".", r"\.")) as error:
        read_table(path)
    assert "\n" not in str(error.value)
