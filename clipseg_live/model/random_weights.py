"""CLIPSeg model folders with seeded random weights, for measurements and tests without downloads.

The masks are arbitrary, but they differ between prompts and their values spread over 0..1.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

from clipseg_live.model.store.loading import assign_weights, empty_network

_PREPROCESSOR = {
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "ViTFeatureExtractor",
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
    "size": 352,
}
"""Values of the published checkpoints: the constants of ImageNet, in the legacy format."""

_SPREAD = 2.0
"""Deviation of the logits on the image with which they are calibrated."""

_LATER = 0.1
"""Scale of the decoder's later reductions; without it they would dominate the effect of the prompts."""


def refined_configuration() -> CLIPSegConfig:
    """Return the configuration of CIDAS/clipseg-rd64-refined."""
    return CLIPSegConfig(
        vision_config={"patch_size": 16, "image_size": 224},
        extract_layers=[3, 6, 9],
        reduce_dim=64,
        use_complex_transposed_convolution=True,
    )


def write_random_model(folder: Path, *, seed: int = 0, configuration: CLIPSegConfig | None = None) -> Path:
    """Write a complete model folder, the same for the same seed.

    The default architecture is that of rd64-refined (600 MB).
    """
    folder.mkdir(parents=True, exist_ok=True)
    configuration = configuration or refined_configuration()
    configuration.architectures = ["CLIPSegForImageSegmentation"]
    network = random_network(configuration, seed)
    save_file(
        {name: values.contiguous() for name, values in network.state_dict().items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    configuration.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(_PREPROCESSOR))
    _write_tokenizer(folder, configuration.text_config.vocab_size)
    return folder


def random_network(configuration: CLIPSegConfig, seed: int) -> CLIPSegForImageSegmentation:
    """Return a network whose weights keep signals at a useful scale through the layers, with logits spread around 0."""
    generator = torch.Generator().manual_seed(seed)
    network = empty_network(configuration)
    assign_weights(network, dict(_draw_weights(network, generator)))
    for reduction in network.decoder.reduces[configuration.conditional_layer + 1 :]:
        reduction.weight.mul_(_LATER)
    _calibrate(network, generator)
    return network


def _draw_weights(network: nn.Module, generator: torch.Generator) -> Iterator[tuple[str, Tensor]]:
    """Yield the name of each parameter with new values."""
    for prefix, module in network.named_modules():
        for name, values in module.named_parameters(recurse=False):
            yield f"{prefix}.{name}", _draw(module, name, values, generator)


def _draw(module: nn.Module, name: str, values: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(values.shape, generator=generator)
    if isinstance(module, nn.LayerNorm):
        return noise * 0.1 + (1.0 if name == "weight" else 0.0)
    if name == "bias" or values.ndim < 2:
        return noise * 0.02
    if isinstance(module, nn.Embedding):
        return noise * 0.5
    inputs: int = values.shape[0] if isinstance(module, nn.ConvTranspose2d) else values[0].numel()
    deviation: float = inputs**0.5
    return noise / deviation


def _calibrate(network: CLIPSegForImageSegmentation, generator: torch.Generator) -> None:
    """Scale the last layer so that logits have the mean 0 and the deviation ``_SPREAD``."""
    size = network.config.vision_config.image_size
    pixels = torch.randn((4, 3, size // 8, size // 8), generator=generator)
    pixels = nn.functional.interpolate(pixels, size=(size, size), mode="bicubic")
    conditional = torch.randn((4, network.config.projection_dim), generator=generator)
    with torch.inference_mode():
        logits = network(pixel_values=pixels, conditional_embeddings=conditional).logits
    upsampling = network.decoder.transposed_convolution
    weight, bias = list(upsampling.parameters())[-2:]
    factor = _SPREAD / float(logits.std())
    weight.mul_(factor)
    bias.sub_(float(logits.mean())).mul_(factor)


def _write_tokenizer(folder: Path, vocabulary_size: int) -> None:
    """Write a tokenizer in CLIP's format that knows only single bytes; unused entries fill it to its size."""
    letters = list(_byte_letters())
    tokens = [*letters, *(letter + "</w>" for letter in letters)]
    tokens += [f"<|unused{number}|>" for number in range(vocabulary_size - len(tokens) - 2)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    special["pad_token"] = "<|endoftext|>"
    limits = {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "tokenizer_config.json").write_text(json.dumps({**special, **limits}))


def _byte_letters() -> list[str]:
    """Return the 256 letters with which byte-level tokenizers write bytes: printable ones as is, others from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [value for value in range(256) if value not in printable]
    letters = {value: chr(value) for value in printable}
    letters |= {value: chr(256 + number) for number, value in enumerate(others)}
    return [letters[value] for value in range(256)]
