"""Loading of engines for the window, the commands and exports."""

import pytest

from clipseg_live.app.engine import find_model, loading_message
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.model.openvino import library


@pytest.mark.skipif(not library.is_installed(), reason="OpenVINO is not installed")
def test_the_first_load_with_openvino_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = EngineSettings(model="shapes", engine="openvino")
    files = find_model(settings)
    for converted, message in ((False, "Converting shapes for OpenVINO, once"), (True, "Loading shapes")):
        monkeypatch.setattr("clipseg_live.model.openvino.backend.is_converted", lambda files, there=converted: there)
        assert loading_message(files, settings) == message


def test_loading_with_pytorch_is_announced() -> None:
    settings = EngineSettings(model="shapes", engine="torch", device="cpu")
    assert loading_message(find_model(settings), settings) == "Loading shapes"
