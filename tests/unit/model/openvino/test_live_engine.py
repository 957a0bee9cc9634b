"""The engine of live sessions, with both libraries: prompts that are edited while a frame is encoded."""

import copy
from pathlib import Path

import numpy as np
import pytest

from clipseg_live.core.errors import UsageError
from clipseg_live.core.prompts import Prompt
from clipseg_live.model.driver import DriverSegmenter

pytestmark = pytest.mark.slow

RED, SKY = (Prompt.text("red circle"),), (Prompt.text("sky"), Prompt.text("a dog"))
FRAMES = [np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8) for seed in range(2)]


@pytest.fixture(params=["torch", "openvino"])
def engine(request: pytest.FixtureRequest, tiny_folder: Path) -> DriverSegmenter:
    if request.param == "openvino":
        request.getfixturevalue("needs_openvino")
    return DriverSegmenter.load(str(tiny_folder), device="cpu", size=64, engine=request.param, reuse=True)


def test_the_last_frame_is_decoded_for_other_prompts(engine: DriverSegmenter) -> None:
    assert engine.segment_last(SKY) is None
    expected = engine.segment(FRAMES[0], list(SKY)).probabilities
    engine.segment(FRAMES[0], list(RED))
    passes = engine.vision_passes
    found = engine.segment_last(SKY)
    assert found is not None and engine.vision_passes == passes
    assert (found.prompts, found.frame_size) == (SKY, (64, 64))
    np.testing.assert_array_equal(found.probabilities, expected)
    with pytest.raises(UsageError):
        engine.segment_last((Prompt.embedding(np.ones(3, np.float32)),))
    engine.backend = copy.copy(engine.backend)  # another precision replaced it
    assert engine.segment_last(SKY) is None
    engine.segment(FRAMES[0], list(RED))
    assert engine.segment_last(SKY) is not None
    engine.forget()
    assert engine.segment_last(SKY) is None


@pytest.mark.parametrize("edit", [SKY, (Prompt.image(FRAMES[1]),)])
def test_edits_are_answered_between_layers_and_used_at_the_end(
    engine: DriverSegmenter, edit: tuple[Prompt, ...]
) -> None:
    expected = [engine.segment(frame, list(edit)).probabilities for frame in FRAMES]
    engine.segment(FRAMES[0], list(RED))
    answers = []
    engine.after_layer = lambda: answers.append(engine.segment_last(edit))
    engine.newest_prompts = lambda: edit
    found = engine.segment(FRAMES[1], list(RED))
    assert len(answers) > 1 and found.prompts == edit
    for answer in answers:
        np.testing.assert_allclose(answer.probabilities, expected[0], atol=1e-6)
    np.testing.assert_allclose(found.probabilities, expected[1], atol=1e-6)


def test_without_an_edit_nothing_changes(engine: DriverSegmenter) -> None:
    expected = engine.segment(FRAMES[0], list(RED)).probabilities
    engine.forget()
    layers = []
    engine.after_layer, engine.newest_prompts = lambda: layers.append(1), lambda: RED
    np.testing.assert_array_equal(engine.segment(FRAMES[0], list(RED)).probabilities, expected)
