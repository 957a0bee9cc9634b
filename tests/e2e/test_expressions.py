"""Prompt expressions of commands and session files, with ``shapes``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clipseg_live.core.session_file import save_session
from clipseg_live.core.settings.live import LiveSettings, PromptRow

TEXTS = ("red circle", "blue star", "red circle or blue star", "not red circle", '"a {}": red circle and not blue star')


def areas(done: object) -> dict[str, float]:
    assert done.code == 0 and done.err == "", done.err
    return {entry["prompt"]: entry["area"] for entry in map(json.loads, done.out.splitlines())}


def test_masks_of_expressions_are_unions_and_differences(clipseg_live: Callable) -> None:
    prompts = [word for text in TEXTS for word in ("-p", text)]
    found = areas(clipseg_live("watch", "demo:still", "--frames", 1, *prompts, small=True))
    circle, star = found["red circle"], found["blue star"]
    assert circle > 0.005 and star > 0.005
    assert found["red circle or blue star"] == pytest.approx(circle + star, rel=0.1)
    assert found["not red circle"] == pytest.approx(1 - circle, rel=0.05)
    assert found['"a {}": red circle and not blue star'] == pytest.approx(circle, rel=0.1)


def test_a_session_file_holds_an_expression(clipseg_live: Callable, tmp_path: Path) -> None:
    row = PromptRow(id=0, text="red circle or blue star")
    save_session(tmp_path / "mine.clipseg.json", LiveSettings(rows=(row,)))
    saved = clipseg_live(
        "watch", "demo:still", "--frames", 1, "--session", "mine.clipseg.json", "--model", "shapes", small=True
    )
    given = clipseg_live(
        "watch", "demo:still", "--frames", 1, "-p", row.text, "--session", "mine.clipseg.json", "--model", "shapes",
        small=True,
    )  # fmt: skip
    assert areas(saved) == areas(given) and areas(saved)[row.text] > 0.01


def test_a_wrong_expression_is_one_sentence(clipseg_live: Callable) -> None:
    done = clipseg_live("watch", "demo:", "-p", "red circle and (blue")
    assert done.code == 2 and "a parenthesis is not closed" in done.err and done.err.count("\n") == 1
