"""Conversion of CLIPSeg from transformers' modules to OpenVINO. This is the only module here that imports torch."""

import json
import math
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPSegForImageSegmentation

from clipseg_live.model.openvino import library
from clipseg_live.model.openvino.files import (
    DECODER,
    GEOMETRY,
    IMAGE_ENCODER,
    POSITIONS,
    TOKENIZER,
    VISION_ENCODER,
    Geometry,
)
from clipseg_live.model.openvino.text_encoder import write_text_encoder
from clipseg_live.model.preprocess import Preprocessing
from clipseg_live.model.store.layout import ModelFiles
from clipseg_live.model.store.loading import load_network
from clipseg_live.model.tokenizer import Tokenizer


class _Vision(nn.Module):
    """Vision encoder, as deep as the decoder reads, with the decoder's reductions and its layers before the prompts."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: CLIPSegForImageSegmentation, preprocessing: Preprocessing) -> None:
        super().__init__()
        vision = network.clip.vision_model
        self.patches = vision.embeddings.patch_embedding
        self.class_token = vision.embeddings.class_embedding
        self.before = vision.pre_layrnorm
        self.layers = vision.encoder.layers[: max(network.extract_layers) + 1]
        self.read = set(network.extract_layers)
        self.reduces = network.decoder.reduces
        self.decoder_layers = network.decoder.layers[: network.decoder.conditional_layer]
        self.register_buffer("scale", torch.tensor(preprocessing.scale).view(1, 3, 1, 1))
        self.register_buffer("shift", torch.tensor(preprocessing.shift).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the decoder reads, and the last hidden state.

        Args:
            pixels: float (1, height, width, 3), values 0..255.
            positions: position embeddings of the grid, (1, 1 + rows · columns, channels).
        """
        values = torch.addcmul(self.shift, pixels.permute(0, 3, 1, 2), self.scale)
        patches = self.patches(values).flatten(2).transpose(1, 2)
        hidden = self.before(torch.cat([self.class_token.expand(1, 1, -1), patches], dim=1) + positions)
        read = []
        for number, layer in enumerate(self.layers):
            hidden = layer(hidden, None)
            if number in self.read:
                read.append(hidden)
        reduced = [reduce(values) for reduce, values in zip(self.reduces, reversed(read), strict=True)]
        conditioned = reduced.pop(0)
        for layer in self.decoder_layers:
            conditioned = layer(conditioned, None) + reduced.pop(0)
        return torch.cat([conditioned, *reduced]), hidden


class _ImageEmbedding(nn.Module):
    """Remaining layers of the vision encoder, and the projection of its class token."""

    def __init__(self, network: CLIPSegForImageSegmentation) -> None:
        super().__init__()
        vision = network.clip.vision_model
        self.layers = vision.encoder.layers[max(network.extract_layers) + 1 :]
        self.after = vision.post_layernorm
        self.projection = network.clip.visual_projection

    def forward(self, hidden: Tensor) -> Tensor:
        """Return embeddings, (1, embedding_size), of the last hidden state of ``_Vision``."""
        for layer in self.layers:
            hidden = layer(hidden, None)
        embeddings: Tensor = self.projection(self.after(hidden[:, 0]))
        return embeddings


class _Decoder(nn.Module):
    """Decoder from its layer with the prompts on, for any number of prompts and any grid."""

    def __init__(self, network: CLIPSegForImageSegmentation) -> None:
        super().__init__()
        decoder = network.decoder
        self.multiply, self.add = decoder.film_mul, decoder.film_add
        self.layers = decoder.layers[decoder.conditional_layer :]
        upsampling = decoder.transposed_convolution
        steps = list(upsampling) if isinstance(upsampling, nn.Sequential) else [upsampling]
        self.smooth = steps[0] if isinstance(steps[0], nn.Conv2d) else None
        products = [step for step in steps if isinstance(step, nn.ConvTranspose2d)]
        if any(step.kernel_size != step.stride for step in products):
            raise ValueError("CLIPSeg's decoder upsamples with kernels that equal their strides; this one does not.")
        self.kernels = [int(step.kernel_size[0]) for step in products]
        self.channels = [int(step.out_channels) for step in products]
        self.products = nn.ModuleList(_as_linear(step) for step in products)
        self.scale = math.prod(self.kernels)

    def forward(self, conditional: Tensor, features: Tensor, grid: Tensor) -> Tensor:
        """Return probability maps, (prompts, rows · scale, columns · scale); NaN where a logit is not finite.

        Args:
            conditional: (prompts, embedding_size).
            features: first result of ``_Vision``.
            grid: any values of the shape (rows, columns).
        """
        tokens = torch.addcmul(
            self.add(conditional).unsqueeze(1), self.multiply(conditional).unsqueeze(1), features[:1]
        )
        for number, layer in enumerate(self.layers):
            tokens = layer(tokens if number == 0 else tokens + features[number : number + 1], None)
        rows, columns = grid.shape
        tokens = tokens[:, 1:]
        if self.smooth is not None:
            square = tokens.transpose(1, 2).unflatten(2, (rows, columns))
            tokens = functional.relu(self.smooth(square)).permute(0, 2, 3, 1)
        else:
            tokens = tokens.unflatten(1, (rows, columns))
        values = tokens.flatten(0, 2)
        last = len(self.products) - 1
        for number, product in enumerate(self.products):
            values = product(values)
            if number < last:
                values = functional.relu(values).view(-1, self.channels[number])
        pairs = [size for kernel in self.kernels for size in (kernel, kernel)]
        values = values.view(-1, rows, columns, *pairs)
        down, across = range(3, values.ndim, 2), range(4, values.ndim, 2)
        values = values.permute(0, 1, *down, 2, *across)
        logits = values.reshape(-1, rows * self.scale, columns * self.scale)
        return logits.sigmoid() + logits * 0  # NaN for NaN and infinity


def _as_linear(step: nn.ConvTranspose2d) -> nn.Linear:
    """Return the matrix product of a transposed convolution whose kernel equals its stride."""
    kernel = int(step.kernel_size[0])
    weight = step.weight.permute(2, 3, 1, 0).flatten(0, 2)
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=step.bias is not None)
    linear.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if step.bias is not None:
        linear.bias = nn.Parameter(step.bias.repeat(kernel * kernel), requires_grad=False)
    return linear


def convert(files: ModelFiles, folder: Path) -> None:
    """Convert a model and write the files that ``files`` names into an empty folder.

    Raises:
        ModelError: if the model is damaged.
    """
    loaded = load_network(files)
    network, preprocessing = loaded.network, Preprocessing.read(files.processor)
    decoder = _Decoder(network)
    hidden = network.config.vision_config.hidden_size
    reduced, size = network.config.reduce_dim, network.config.projection_dim
    count = len(network.extract_layers) - int(network.decoder.conditional_layer)
    patch = network.config.vision_config.patch_size
    _write(
        _Vision(network, preprocessing),
        {"pixels": torch.zeros(1, 3 * patch, 4 * patch, 3), "positions": torch.zeros(1, 13, hidden)},
        {"pixels": (1, -1, -1, 3), "positions": (1, -1, hidden)},
        folder / VISION_ENCODER,
    )
    features = torch.zeros(count, 13, reduced)
    _write(
        decoder,
        {"conditional": torch.zeros(2, size), "features": features, "grid": torch.zeros(3, 4)},
        {"conditional": (-1, size), "features": (count, -1, reduced), "grid": (-1, -1)},
        folder / DECODER,
    )
    _write(
        _ImageEmbedding(network),
        {"hidden": torch.zeros(1, 13, hidden)},
        {"hidden": (1, -1, hidden)},
        folder / IMAGE_ENCODER,
    )
    text, text_config = network.clip.text_model, network.config.text_config
    arrays = {name: values.numpy() for name, values in text.state_dict().items() if values.is_floating_point()}
    write_text_encoder(
        folder,
        arrays | {"projection": network.clip.text_projection.weight.detach().numpy()},
        heads=int(text_config.num_attention_heads),
        activation=str(text_config.hidden_act),
        epsilon=float(text_config.layer_norm_eps),
        end_token=int(text.eos_token_id),
    )
    np.save(folder / POSITIONS, network.clip.vision_model.embeddings.position_embedding.weight.numpy())
    tokenizer = Tokenizer.of(loaded.tokenizer)
    tokenizer.save(folder / TOKENIZER)
    geometry = Geometry(
        patch=int(patch),
        scale=decoder.scale,
        embedding_size=int(size),
        text_limit=int(text_config.max_position_embeddings),
        padding=tokenizer.padding,
    )
    (folder / GEOMETRY).write_text(json.dumps(asdict(geometry)), encoding="utf-8")


def _write(module: nn.Module, example: dict[str, Tensor], shapes: dict[str, tuple[int, ...]], path: Path) -> None:
    """Trace a module and write it as .xml and .bin."""
    openvino = library.load()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about the tracer's assumptions, which the tests check with other shapes
        model = openvino.convert_model(
            module.eval(),
            example_input=example,
            input=[(name, openvino.PartialShape(list(shape))) for name, shape in shapes.items()],
        )
    openvino.save_model(model, path, compress_to_fp16=False)
