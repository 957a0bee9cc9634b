"""The prompt of a row: text with templates, embedding and image."""

import numpy as np
import pytest

from clipseg_live.core.prompts import Prompt
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.live import LiveSettings, PromptImage, PromptRow

PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
IMAGE = PromptImage.of(PIXELS)
VALUES = (0.25, -1.5, 3.0)
TEMPLATES = ("a photo of a {}", "{}")


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        (PromptRow(id=0, text=" cup "), Prompt.text("cup")),
        (PromptRow(id=0, text="cup", templates=TEMPLATES), Prompt.text("cup", TEMPLATES)),
        (PromptRow(id=0, text="cup", embedding=VALUES), Prompt.embedding(np.float32(VALUES), label="cup")),
        (PromptRow(id=0, embedding=VALUES), Prompt.embedding(np.float32(VALUES))),
        (PromptRow(id=0, image=IMAGE), Prompt.image(PIXELS)),
        (PromptRow(id=0, text="cup", image=IMAGE, share=1.0), Prompt.image(PIXELS, label="cup")),
        (PromptRow(id=0, embedding=VALUES, image=IMAGE, share=0.0), Prompt.embedding(np.float32(VALUES))),
        (
            PromptRow(id=0, text="cup", templates=TEMPLATES, image=IMAGE, share=0.25),
            Prompt.mix((Prompt.image(PIXELS), 0.25), (Prompt.text("cup", TEMPLATES), 0.75), label="cup"),
        ),
        (
            PromptRow(id=0, embedding=VALUES, image=IMAGE, share=0.25),
            Prompt.mix((Prompt.image(PIXELS), 0.25), (Prompt.embedding(np.float32(VALUES)), 0.75), label="embedding"),
        ),
    ],
)
def test_a_row_returns_the_prompt_of_its_content(row: PromptRow, prompt: Prompt) -> None:
    assert row.prompt == prompt


@pytest.mark.parametrize("row", [PromptRow(id=0), PromptRow(id=0, text=" ", templates=TEMPLATES)])
def test_a_row_without_content_has_no_prompt(row: PromptRow) -> None:
    assert row.prompt is None


def test_prompts_of_a_session_refer_to_others_by_index() -> None:
    rows = (
        PromptRow(id=7, text="cup"),
        PromptRow(id=2),
        PromptRow(id=9, text="hidden", visible=False),
        PromptRow(id=4, text="hand", style=PromptStyle(role="negative", targets=(7, 9))),
    )
    prompts, look = LiveSettings(rows=rows).prompts()
    assert [prompt.label for prompt in prompts] == list(look.names) == ["cup", "hand"]
    assert look.styles == (PromptStyle(), PromptStyle(role="negative", targets=(0, -1)))
