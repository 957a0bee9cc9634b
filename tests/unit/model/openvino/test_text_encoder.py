"""The text encoder in NumPy gives the embeddings of PyTorch, for short and long texts, one or many."""

from pathlib import Path

import numpy as np
import pytest

from clipseg_live import Prompt, Segmenter
from clipseg_live.core.errors import ModelError
from clipseg_live.model import threads
from clipseg_live.model.random_weights import write_random_model
from tests.helpers.tolerances import SAME_EMBEDDINGS
from tests.unit.model.conftest import tiny_configuration

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_openvino")]


@pytest.mark.parametrize("single", [threads.SINGLE_THREAD, 2**11, 1])
@pytest.mark.parametrize("name", ["tiny_folder", "other_folder"])
def test_embeddings_are_those_of_pytorch(
    request: pytest.FixtureRequest, name: str, single: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "SINGLE_THREAD", single)  # products in one part, or in many by several threads
    folder = str(request.getfixturevalue(name))
    pair = [Segmenter.load(folder, device="cpu", engine=engine) for engine in ("openvino", "torch")]
    prompts = [
        Prompt.text("a"),
        Prompt.text("a long text about a red circle " * 3),
        Prompt.text("mug", [f"picture {number} of {{}}" for number in range(70)]),
    ]
    found, expected = (each.encode(prompts) for each in pair)
    assert np.abs(expected[0] - expected[1]).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=SAME_EMBEDDINGS)


def test_an_activation_that_is_not_known_is_left_to_pytorch(tmp_path: Path) -> None:
    configuration = tiny_configuration()
    configuration.text_config.hidden_act = "silu"
    folder = str(write_random_model(tmp_path / "model", configuration=configuration))
    assert Segmenter.load(folder, device="cpu").engine == "torch"
    with pytest.raises(ModelError, match="activation silu is not known here"):
        Segmenter.load(folder, device="cpu", engine="openvino")
