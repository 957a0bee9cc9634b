"""The inference process of a live session runs OpenVINO without PyTorch and transformers."""

import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from clipseg_live import Prompt, Segmenter
from clipseg_live.core.frame import Frame
from clipseg_live.core.settings.base import Detail, EngineSettings
from clipseg_live.core.status import Prediction, PromptSet, WorkerState
from clipseg_live.runtime.inference.client import ClientEvents, InferenceClient
from tests.helpers.spying_engine import CACHE, spying
from tests.helpers.tolerances import SAME_MAPS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_openvino")]

PATIENCE = 120.0


@pytest.mark.parametrize(("detail", "passes"), [("off", 1), ("tiles", 5)])
def test_from_the_second_start_on_the_process_imports_neither_torch_nor_transformers(
    tiny_folder: Path, cache: Path, picture: np.ndarray, detail: Detail, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = EngineSettings(model=str(tiny_folder), device="cpu", size=64, detail=detail)
    expected = Segmenter.load(settings.model, device="cpu", size=64, detail=detail)  # the first start, which converts
    prompts = (Prompt.text("red circle"), Prompt.image(picture, box=(5, 5, 40, 40)))
    monkeypatch.setenv(CACHE, str(cache))
    answered = threading.Event()
    results: list[Prediction] = []
    notices: list[str] = []

    def answer(result: Prediction, frame: Frame | None) -> None:
        results.append(result)
        answered.set()

    client = InferenceClient(
        spying, settings, ClientEvents(on_result=answer, on_status=lambda status: None, on_notice=notices.append)
    )
    client.set_prompts(PromptSet(1, (0, 1), prompts))
    client.start()
    try:
        client.submit(Frame(picture, 0, Fraction(0)))
        assert answered.wait(PATIENCE), client.status
        assert (client.status.state, client.status.engine) == (WorkerState.READY, "openvino")
    finally:
        client.request_stop()
        client.join(10.0)
    assert notices == ["0 passes: openvino", f"{passes} passes: openvino"]
    np.testing.assert_allclose(results[0].maps, expected.segment(picture, prompts).probabilities, atol=SAME_MAPS)
