"""Model folders with random weights: a tiny one for behaviour, the published architecture for numerical tests."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPSegConfig

from clipseg_live.model.openvino import library
from clipseg_live.model.random_weights import write_random_model
from clipseg_live.model.segmenter import Segmenter


def tiny_configuration(**changes: object) -> CLIPSegConfig:
    sides = {"intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2, "hidden_size": 32}
    options = {
        "vision_config": {**sides, "patch_size": 16, "image_size": 64},
        "text_config": {**sides, "vocab_size": 600, "eos_token_id": 599, "bos_token_id": 598, "pad_token_id": 599},
        "projection_dim": 24,
        "extract_layers": [0, 1, 2],
        "reduce_dim": 16,
        "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 64,
        "use_complex_transposed_convolution": True,
    }
    return CLIPSegConfig(**{**options, **changes})


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread of PyTorch, because threads are slower with tiny networks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def default_engine() -> Iterator[None]:
    """Let "auto" be PyTorch, whether or not OpenVINO is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "is_installed", lambda: False)
        yield


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("models") / "tiny", configuration=tiny_configuration())


@pytest.fixture(scope="session")
def refined_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide a model with the architecture of rd64-refined (600 MB)."""
    return write_random_model(tmp_path_factory.mktemp("models") / "refined")


@pytest.fixture
def tiny(tiny_folder: Path) -> Segmenter:
    return Segmenter.load(str(tiny_folder), device="cpu", size=64)


@pytest.fixture
def picture() -> np.ndarray:
    """Return an image with coloured gradients and noise, 72×96."""
    rng = np.random.default_rng(3)
    ramp = np.linspace(0, 200, 96, dtype=np.float32)[None, :, None] + rng.normal(0, 20, (72, 96, 3))
    return (ramp + np.array([0, 25, 50])).clip(0, 255).astype(np.uint8)
