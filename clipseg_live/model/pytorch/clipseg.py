"""CLIPSeg network: runs the image encoder once, only as deep as the decoder needs, and the decoder for all prompts.

The modules and their weights are those of ``CLIPSegForImageSegmentation``; nothing is converted. Differences from its
``forward``: unused layers are skipped, shared work is done once, and a token grid may have any shape.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPSegForImageSegmentation
from transformers.models.clipseg.modeling_clipseg import CLIPSegDecoderLayer, CLIPSegEncoderLayer, CLIPSegMLP

_CACHE_BYTES = 2 << 20
"""Size for intermediate results on a CPU, about the second-level cache of one core."""

_GPU_CHUNK = 64
"""Prompts decoded together on a GPU."""

_QUICK_GELU = 1.702


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Features of one image for the decoder, independent of the prompts.

    Attributes:
        conditioned: (1, 1 + rows · columns, reduce_dim), to which the prompts are applied (by FiLM).
        later: tensors of the same shape, each added before one of the decoder's remaining layers.
        grid: rows and columns of tokens.
    """

    conditioned: Tensor
    later: tuple[Tensor, ...]
    grid: tuple[int, int]


class ClipSeg:
    """Stages of a ``CLIPSegForImageSegmentation``, run on its device and in its precision."""

    def __init__(self, network: CLIPSegForImageSegmentation) -> None:
        self.network = network.eval()
        self.vision = network.clip.vision_model
        self.decoder = network.decoder
        self.patch = int(network.config.vision_config.patch_size)
        self.depth = max(network.extract_layers) + 1
        self.embedding_size = int(network.config.projection_dim)
        self._positions: dict[tuple[int, int], Tensor] = {}
        self._upsampling = _Upsampling(self.decoder.transposed_convolution)
        self._scratch = _Scratch()

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        device: torch.device = self.decoder.film_mul.weight.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the network."""
        dtype: torch.dtype = self.decoder.film_mul.weight.dtype
        return dtype

    @property
    def scale(self) -> int:
        """Pixels of a probability map along one token (16, the patch, for the published checkpoints)."""
        return self._upsampling.scale

    def features(self, pixel_values: Tensor, after_layer: Callable[[], None] | None = None) -> Features:
        """Run the vision encoder, as deep as the decoder needs, and the decoder's reductions.

        Args:
            pixel_values: (1, 3, height, width), normalised; both sides are multiples of the patch.
            after_layer: called after each layer of the encoder.
        """
        rows, columns = pixel_values.shape[2] // self.patch, pixel_values.shape[3] // self.patch
        hidden = self.vision.pre_layrnorm(self._embed(pixel_values, rows, columns))
        wanted = set(self.network.extract_layers)
        read = []
        for number, layer in enumerate(self.vision.encoder.layers[: self.depth]):
            hidden = _encoder_layer(layer, hidden, self._scratch)
            if number in wanted:
                read.append(hidden)
            if after_layer is not None:
                after_layer()
        reduced = [reduce(activation) for reduce, activation in zip(self.decoder.reduces, reversed(read), strict=True)]
        conditioned = reduced.pop(0)
        for layer in self.decoder.layers[: self.decoder.conditional_layer]:
            conditioned = _decoder_layer(layer, conditioned, self._scratch) + reduced.pop(0)
        return Features(conditioned, tuple(reduced), (rows, columns))

    def probabilities(self, features: Features, conditional: Tensor, chunk: int | None = None) -> Iterator[Tensor]:
        """Yield probability maps in chunks, each (prompts of the chunk, rows · scale, columns · scale).

        Values are NaN where the output of the network is not finite.

        Args:
            features: features of the image.
            conditional: (prompts, embedding_size).
            chunk: prompts decoded together; None selects a number that suits the memory of the device.
        """
        rows, columns = features.grid
        size = chunk or self.chunk(rows * columns)
        for part in conditional.split(size):
            yield _as_probabilities(self._logits(features, part))

    def probabilities_of_images(self, values: Tensor, grid: tuple[int, int], conditional: Tensor) -> Iterator[Tensor]:
        """Yield probability maps of several images in chunks, each (maps of the chunk, rows · scale, columns · scale).

        The maps of an image for all prompts follow one another. Values are NaN as for ``probabilities``.

        Args:
            values: (images, parts, 1 + rows · columns, reduce_dim), the tensors of ``Features`` of each image.
            grid: rows and columns of tokens.
            conditional: (prompts, embedding_size).
        """
        pairs = torch.arange(len(values) * len(conditional), device=values.device)
        for chunk in pairs.split(self.chunk(grid[0] * grid[1])):
            conditioned, *later = values[chunk // len(conditional)].unbind(1)
            features = Features(conditioned, tuple(later), grid)
            yield _as_probabilities(self._logits(features, conditional[chunk % len(conditional)]))

    def chunk(self, tokens: int) -> int:
        """Return the number of prompts to decode together; on a CPU, the largest intermediate result stays in cache."""
        if self.device.type != "cpu":
            return _GPU_CHUNK
        return max(1, 2 * _CACHE_BYTES // (tokens * self._upsampling.widest * 4))

    def text_embeddings(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode texts to (texts, embedding_size).

        Args:
            input_ids: (texts, tokens).
            attention_mask: (texts, tokens).
        """
        embeddings: Tensor = self.network.clip.get_text_features(input_ids, attention_mask=attention_mask).pooler_output
        return embeddings

    def image_embeddings(self, pixel_values: Tensor) -> Tensor:
        """Encode images to (images, embedding_size) with the whole vision encoder.

        Args:
            pixel_values: (images, 3, height, width), normalised.
        """
        embeddings: Tensor = self.network.clip.get_image_features(pixel_values).pooler_output
        return embeddings

    def _embed(self, pixel_values: Tensor, rows: int, columns: int) -> Tensor:
        """Return patches and the class token with positions; interpolated positions are cached for the last grid."""
        embeddings = self.vision.embeddings
        patches = embeddings.patch_embedding(pixel_values.to(self.dtype)).flatten(2).transpose(1, 2)
        tokens = torch.cat([embeddings.class_embedding.expand(patches.shape[0], 1, -1), patches], dim=1)
        positions = self._positions.get((rows, columns))
        if positions is None:
            positions = embeddings.interpolate_pos_encoding(tokens, rows * self.patch, columns * self.patch)
            self._positions = {(rows, columns): positions}
        return tokens + positions

    def _logits(self, features: Features, conditional: Tensor) -> Tensor:
        """Return one map for each prompt, of one image or of as many images as there are prompts."""
        decoder = self.decoder
        multiplier, addend = decoder.film_mul(conditional), decoder.film_add(conditional)
        output = torch.addcmul(addend.unsqueeze(1), multiplier.unsqueeze(1), features.conditioned)
        output = _decoder_layer(decoder.layers[decoder.conditional_layer], output, self._scratch)
        remaining = decoder.layers[decoder.conditional_layer + 1 :]
        for layer, reduced in zip(remaining, features.later, strict=True):
            output = _decoder_layer(layer, output + reduced, self._scratch)
        return self._upsampling(output[:, 1:], features.grid)


def _as_probabilities(logits: Tensor) -> Tensor:
    """Apply the sigmoid in place, with NaN where a logit is not finite; the sigmoid alone gives 0 or 1."""
    nothing = logits * 0  # NaN for NaN and infinity
    return logits.sigmoid_().add_(nothing)


class _Upsampling:
    """Transposed convolutions of the decoder, for any token grid.

    Their kernels equal their strides, so outputs never overlap. Each is a matrix product and a rearrangement of its
    result, which is several times faster on a CPU than the general operation.
    """

    def __init__(self, module: nn.Module) -> None:
        steps = list(module) if isinstance(module, nn.Sequential) else [module]
        self._smooth = steps[0] if isinstance(steps[0], nn.Conv2d) else None
        products = [step for step in steps if isinstance(step, nn.ConvTranspose2d)]
        if any(step.kernel_size != step.stride for step in products):
            raise ValueError("CLIPSeg's decoder upsamples with kernels that equal their strides; this one does not.")
        self._kernels = [int(step.kernel_size[0]) for step in products]
        self._weights = [step.weight.permute(2, 3, 1, 0).flatten(0, 2).contiguous() for step in products]
        self._biases = [
            None if step.bias is None else step.bias.repeat(kernel * kernel)
            for step, kernel in zip(products, self._kernels, strict=True)
        ]
        self._channels = [int(step.out_channels) for step in products]
        self.scale = 1
        for kernel in self._kernels:
            self.scale *= kernel
        self.widest = int(self._weights[0].shape[0])

    def __call__(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the logits, (prompts, rows · scale, columns · scale).

        Args:
            tokens: (prompts, rows · columns, channels).
            grid: rows and columns of tokens.
        """
        count, (rows, columns) = tokens.shape[0], grid
        if self._smooth is not None:
            square = tokens.transpose(1, 2).reshape(count, -1, rows, columns)
            tokens = functional.relu_(self._smooth(square)).permute(0, 2, 3, 1)
        values = tokens.reshape(count * rows * columns, -1)
        last = len(self._weights) - 1
        for number, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            values = functional.linear(values, weight, bias)
            if number < last:
                values = functional.relu_(values).view(-1, self._channels[number])
        # (prompt, row, column, then one (down, across) pair for each kernel) → rows first, columns after
        pairs = [size for kernel in self._kernels for size in (kernel, kernel)]
        values = values.view(count, rows, columns, *pairs)
        down, across = range(3, values.ndim, 2), range(4, values.ndim, 2)
        values = values.permute(0, 1, *down, 2, *across)
        return values.reshape(count, rows * self.scale, columns * self.scale)


class _Scratch:
    """Reused memory: on a CPU the page faults of a new temporary of megabytes cost more than filling it."""

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def take(self, like: Tensor, rows: int, columns: int) -> Tensor:
        """Return (rows, columns) of the type and device of ``like``, valid until the next call."""
        if self._memory.numel() < rows * columns or self._memory.dtype != like.dtype:
            self._memory = like.new_empty(rows * columns)
        return self._memory[: rows * columns].view(rows, columns)


def _encoder_layer(layer: CLIPSegEncoderLayer, hidden: Tensor, scratch: _Scratch) -> Tensor:
    """Run a pre-norm layer; on a CPU its MLP works in place."""
    hidden = hidden + layer.self_attn(layer.layer_norm1(hidden))[0]
    normed = layer.layer_norm2(hidden)
    if hidden.device.type != "cpu":
        output: Tensor = layer.mlp(normed).add_(hidden)
        return output
    return _mlp(layer.mlp, normed, scratch, rows=normed.numel()).add_(hidden)


def _decoder_layer(layer: CLIPSegDecoderLayer, hidden: Tensor, scratch: _Scratch) -> Tensor:
    """Run a post-norm layer; on a CPU its MLP, 32 times as wide as its input, runs in slices that stay in cache."""
    hidden = layer.layer_norm1(layer.self_attn(hidden)[0].add_(hidden))
    if hidden.device.type != "cpu":
        wide = layer.mlp(hidden)
    else:
        rows = max(1, _CACHE_BYTES // (layer.mlp.fc1.out_features * hidden.element_size()))
        wide = _mlp(layer.mlp, hidden, scratch, rows)
    output: Tensor = layer.layer_norm2(wide.add_(hidden))
    return output


def _mlp(mlp: CLIPSegMLP, hidden: Tensor, scratch: _Scratch, rows: int) -> Tensor:
    """Compute ``mlp(hidden)`` without its wide temporaries: at most ``rows`` tokens at a time, activated in place.

    Quick GELU is x · sigmoid(1.702 x) = silu(1.702 x) / 1.702 (Hendrycks and Gimpel, arXiv:1606.08415). Both factors
    are part of the matrix products.
    """
    tokens = hidden.reshape(-1, hidden.shape[-1])
    output = torch.empty_like(tokens)
    quick = mlp.config.hidden_act == "quick_gelu"
    factor = _QUICK_GELU if quick else 1.0
    up, down = mlp.fc1.weight.t(), mlp.fc2.weight.t()
    for part, result in zip(tokens.split(rows), output.split(rows), strict=True):
        wide = scratch.take(part, len(part), up.shape[1])
        torch.addmm(mlp.fc1.bias, part, up, beta=factor, alpha=factor, out=wide)
        wide = functional.silu(wide, inplace=True) if quick else _activate(mlp, wide)
        torch.addmm(mlp.fc2.bias, wide, down, alpha=1 / factor, out=result)
    return output.view(hidden.shape)


def _activate(mlp: CLIPSegMLP, wide: Tensor) -> Tensor:
    if isinstance(mlp.activation_fn, nn.ReLU):
        return functional.relu_(wide)
    activated: Tensor = mlp.activation_fn(wide)
    return activated
