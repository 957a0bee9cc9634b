"""Prompts of commands: expressions, images that they refer to, and rows of sessions."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipseg_live import LiveSettings, Prompt, PromptStyle, UsageError
from clipseg_live.app.prompts import read_prompts, with_prompts
from clipseg_live.core.prompts import MixPrompt


@pytest.fixture
def mug(tmp_path: Path) -> Path:
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(tmp_path / "mug.png")
    return tmp_path / "mug.png"


def test_images_of_expressions_are_not_prompts_of_their_own(mug: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "cup.npy", np.ones(4, np.float32))
    image, cup = Prompt.image(mug), Prompt.embedding(tmp_path / "cup.npy", label="cup")
    assert read_prompts(["a"], images=[mug], embeddings=[tmp_path / "cup.npy"]) == (Prompt.text("a"), image, cup)
    blended, alone = read_prompts(["[mug] ~ 0.3 white mug"], images=[mug], embeddings=[tmp_path / "cup.npy"])
    assert blended.key == Prompt.mix((image, 0.7), (Prompt.text("white mug"), 0.3)).key and alone == cup
    (both,) = read_prompts(["[mug] and not [cup]"], images=[mug], embeddings=[tmp_path / "cup.npy"])
    assert both.label == "[mug] and not [cup]"
    with pytest.raises(UsageError, match=r"no image \[jug\], but \[mug\]"):
        read_prompts(["[jug] + mug"], images=[mug])


def test_rows_give_the_same_prompts_back(mug: Path) -> None:
    texts = ["sky and not fog", '"a {}": dog', "dog - 0.5*cat", '"black and white dog"', "plain", "dog ~ 0.2 cat"]
    prompts = read_prompts(texts, ["some {}"], [mug])
    settings = with_prompts(LiveSettings(), prompts, [PromptStyle()] * len(prompts), ["some {}"])
    assert [row.prompt.key for row in settings.rows] == [prompt.key for prompt in prompts]


def test_rows_keep_the_images_that_expressions_refer_to(mug: Path) -> None:
    prompts = read_prompts(["[mug] ~ 0.3 white mug", "[mug] and sky"], images=[mug])
    assert isinstance(prompts[0], MixPrompt)
    settings = with_prompts(LiveSettings(), prompts, [PromptStyle()] * 2)
    again = LiveSettings.model_validate_json(settings.model_dump_json())
    assert [row.prompt.key for row in again.rows] == [prompt.key for prompt in prompts]


def test_rows_cannot_refer_to_embeddings(tmp_path: Path) -> None:
    np.save(tmp_path / "cup.npy", np.ones(4, np.float32))
    prompts = read_prompts(["[cup] + mug"], embeddings=[tmp_path / "cup.npy"])
    with pytest.raises(UsageError, match="refers to an embedding"):
        with_prompts(LiveSettings(), prompts, [PromptStyle()])
