"""OpenVINO with a cache of its own; tests that convert share it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clipseg_live.model.openvino import library
from clipseg_live.model.random_weights import write_random_model
from clipseg_live.model.store import converted
from tests.unit.model.conftest import tiny_configuration


@pytest.fixture(scope="module", autouse=True)
def default_engine() -> None:
    """Let "auto" be what it is for users."""


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("converted")


@pytest.fixture(scope="module", autouse=True)
def cache(shared_cache: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(converted, "cache_root", lambda: shared_cache)
        yield shared_cache


@pytest.fixture(scope="session")
def other_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with other upsampling, a layer before the prompts, GELU, and the end token of old configurations."""
    configuration = tiny_configuration(use_complex_transposed_convolution=False, conditional_layer=1)
    configuration.text_config.eos_token_id = 2
    configuration.text_config.hidden_act = "gelu"
    return write_random_model(tmp_path_factory.mktemp("models") / "other", configuration=configuration)


@pytest.fixture
def needs_openvino() -> None:
    if not library.is_installed():
        pytest.skip("needs OpenVINO")
