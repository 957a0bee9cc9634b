"""The history of prompts and its file."""

import json

import pytest

from clipseg_live.gui.state.prompt_history import LONGEST_PROMPT, MOST_PROMPTS, PromptHistory


def test_the_history_is_saved_unique_and_newest_first(tmp_path):
    path = tmp_path / "folder" / "prompts.json"
    history = PromptHistory(path)
    for text in ("red mug", "hair", "  Red   Mug ", "", "   "):
        history.add(text)
    assert history.texts == ("Red Mug", "hair")
    assert PromptHistory(path).texts == history.texts
    assert history.model.stringList() == ["Red Mug", "hair"]
    assert [entry.name for entry in path.parent.iterdir()] == ["prompts.json"]


@pytest.mark.slow
def test_the_history_limits_count_and_length(tmp_path):
    history = PromptHistory(tmp_path / "prompts.json")
    history.add("x" * (LONGEST_PROMPT + 1))
    for number in range(MOST_PROMPTS + 5):
        history.add(f"prompt {number}")
    assert len(history.texts) == MOST_PROMPTS
    assert history.texts[0] == f"prompt {MOST_PROMPTS + 4}" and history.texts[-1] == "prompt 5"
    assert PromptHistory(tmp_path / "prompts.json").texts == history.texts


def test_clear_empties_the_file(tmp_path):
    path = tmp_path / "prompts.json"
    history = PromptHistory(path)
    history.add("secret")
    history.clear()
    assert history.texts == () == PromptHistory(path).texts
    assert "secret" not in path.read_text()


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b"{broken", ()),
        (b"\xff\xfe\x00", ()),
        (b'{"a": 1}', ()),
        (b"[" * 100_000, ()),
        (b"null", ()),
        (json.dumps(["cup", 3, None, "  ", "cup", "dog", "y" * 9999]).encode(), ("cup", "dog")),
    ],
)
def test_a_damaged_file_is_ignored_and_replaced(tmp_path, content, kept):
    path = tmp_path / "prompts.json"
    path.write_bytes(content)
    history = PromptHistory(path)
    assert history.texts == kept
    history.add("hand")
    assert PromptHistory(path).texts == ("hand", *kept)


def test_an_unwritable_folder_keeps_the_history_in_memory(tmp_path):
    (tmp_path / "file").write_text("")
    history = PromptHistory(tmp_path / "file" / "prompts.json")
    history.add("cup")
    assert history.texts == ("cup",)


def test_the_history_is_in_memory_without_a_file():
    history = PromptHistory(None)
    history.add("cup")
    assert history.texts == ("cup",)
