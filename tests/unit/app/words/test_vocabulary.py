"""Lists of words: the demo model's, the shipped one, and the user's own."""

from pathlib import Path

import pytest

from clipseg_live.app.words.vocabulary import MOST_WORDS, model_words, words_to_ask
from clipseg_live.core.expressions.completion import is_atom

OPEN_MODEL = "CIDAS/clipseg-rd64-refined"


def test_the_demo_model_has_its_words_and_others_the_shipped_list(tmp_path: Path) -> None:
    own = tmp_path / "words.txt"
    assert "red circle" in model_words("shapes") and words_to_ask("shapes", own) == model_words("shapes")
    assert model_words(OPEN_MODEL) == () == model_words("")
    shipped = words_to_ask(OPEN_MODEL, own)
    assert "a dog" in shipped and len(shipped) > 300 and len(set(shipped)) == len(shipped)
    assert all(is_atom(word) for word in (*shipped, *model_words("shapes")))


def test_the_own_list_comes_first(tmp_path: Path) -> None:
    own = tmp_path / "words.txt"
    own.write_text(
        "\ufeff# mine\n  a  rusty bolt \n\nMöhre\nsky and not cloud\n[a]\na rusty bolt\n" + "x" * 101, "utf-8"
    )
    assert words_to_ask("shapes", own) == ("a rusty bolt", "Möhre") == words_to_ask(OPEN_MODEL, own)
    own.write_text("\n".join(f"word {number}" for number in range(MOST_WORDS + 5)), "utf-8")
    assert len(words_to_ask("shapes", own)) == MOST_WORDS  # read again after a change


@pytest.mark.parametrize("content", [b"", b"# only a comment\n", b"\xff\xfe\x00broken", b"a" * (2 << 20), None])
def test_an_unusable_own_list_is_left_out(content: bytes | None, tmp_path: Path) -> None:
    own = tmp_path / "words.txt"
    if content is None:
        own.mkdir()
    else:
        own.write_bytes(content)
    assert words_to_ask("shapes", own) == model_words("shapes")
