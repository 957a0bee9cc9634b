"""Prompts that the running model cannot know, and suggestions that depend on it."""

import pytest
from pytestqt.qtbot import QtBot

from tests.helpers.gui.panel_tools import card, make_panel, sample_image

NOTE = "The demo model only knows coloured shapes."


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("red circle", True), ("a small blue star", True), ("everything", True), ("", True), ("  ", True),
        ("red circle and not blue star", True), ("mug", False), ("a red mug", False), ("star or dog", False),
        ("0.5 * red - cat", False), ("100% {} %s", False),
    ],
)  # fmt: skip
def test_a_prompt_that_the_demo_model_cannot_know_says_so(qtbot: QtBot, text: str, known: bool) -> None:
    panel = make_panel(qtbot, text)
    note = card(panel, 0).model_note
    assert not note.isVisible(), "no model runs yet"
    panel.show_model("shapes")
    assert note.isVisible() is not known and note.text() == NOTE
    panel.show_model("CIDAS/clipseg-rd64-refined")
    assert not note.isVisible()


def test_the_note_follows_the_text_and_ignores_images(qtbot: QtBot) -> None:
    panel = make_panel(qtbot, "mug")
    panel.show_model("shapes")
    row = card(panel, 0)
    assert row.model_note.isVisible()
    row.field.clear()
    qtbot.keyClicks(row.field, "red star")
    qtbot.waitUntil(lambda: not row.model_note.isVisible())
    panel.set_image(None, sample_image())
    assert not card(panel, 1).model_note.isVisible()
    panel.store.undo()
    panel.store.undo()
    assert row.model_note.isVisible()


def test_the_example_depends_on_the_running_model(qtbot: QtBot) -> None:
    panel = make_panel(qtbot)
    assert "mug" in panel.hint.text()
    panel.show_model("shapes")
    assert "red circle" in panel.hint.text() and NOTE[:-1] in panel.hint.text()
    panel.show_model("")
    assert "mug" in panel.hint.text()
