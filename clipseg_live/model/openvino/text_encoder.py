"""CLIP's text encoder in NumPy, with weights that are mapped from a file.

OpenVINO would compile this network for a second and keep a rearranged copy of its weights (200 MB for the published
models), for one short text after an edit. NumPy reads the weights where they are.
"""

import json
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipseg_live.model import threads
from clipseg_live.model.backend import Embeddings
from clipseg_live.model.openvino.files import TEXT_LAYOUT, TEXT_WEIGHTS

_Array = NDArray[np.float32]

_NARROWEST = 8
"""Outputs of the smallest product."""


def _quick_gelu(values: _Array) -> _Array:
    result: _Array = values / (1 + np.exp(np.float32(-1.702) * values))
    return result


def _gelu(values: _Array) -> _Array:
    result: _Array = values * (0.5 + 0.5 * np.vectorize(math.erf, otypes=[np.float32])(values / math.sqrt(2)))
    return result


_ACTIVATIONS: dict[str, Callable[[_Array], _Array]] = {"quick_gelu": _quick_gelu, "gelu": _gelu}


@dataclass(frozen=True, slots=True)
class TextLayout:
    """Settings of a text encoder, and its arrays in the order of the file.

    Attributes:
        heads: attention heads.
        activation: name of the activation.
        epsilon: constant of the layer norms.
        end_token: id of the token whose state stands for a text; 2 for the largest id, as in old configurations.
        shapes: shape of each array by its name in transformers.
    """

    heads: int
    activation: str
    epsilon: float
    end_token: int
    shapes: dict[str, list[int]]


def write_text_encoder(folder: Path, arrays: Mapping[str, _Array], **settings: Any) -> None:
    """Write a text encoder.

    Args:
        folder: folder for the files.
        arrays: float32 weights by their names in transformers' text model, and "projection".
        **settings: the other fields of ``TextLayout``.

    Raises:
        ValueError: if the activation is not known here.
    """
    layout = TextLayout(shapes={name: list(values.shape) for name, values in arrays.items()}, **settings)
    if layout.activation not in _ACTIVATIONS:
        raise ValueError(f"The text encoder's activation {layout.activation} is not known here.")
    (folder / TEXT_LAYOUT).write_text(json.dumps(asdict(layout)), encoding="utf-8")
    total = sum(values.size for values in arrays.values())
    file = np.lib.format.open_memmap(folder / TEXT_WEIGHTS, "w+", np.float32, (total,))
    start = 0
    for values in arrays.values():
        file[start : start + values.size] = values.ravel()
        start += values.size
    file.flush()


class TextEncoder:
    """Text encoder of a converted model, with its projection.

    Args:
        folder: folder of the converted model.

    Raises:
        Exception: any error of a damaged file.
    """

    def __init__(self, folder: Path) -> None:
        self._layout = TextLayout(**json.loads((folder / TEXT_LAYOUT).read_text(encoding="utf-8")))
        self._activate = _ACTIVATIONS[self._layout.activation]
        flat = np.load(folder / TEXT_WEIGHTS, mmap_mode="r")
        self._arrays: dict[str, _Array] = {}
        start = 0
        for name, shape in self._layout.shapes.items():
            size = math.prod(shape)
            self._arrays[name] = flat[start : start + size].reshape(shape)
            start += size
        self._layers = sum(name.endswith("layer_norm1.weight") for name in self._arrays)

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Embeddings:
        """Encode texts.

        Args:
            ids: (texts, tokens), padded behind.
            mask: (texts, tokens), 1 for tokens and 0 for padding.
        """
        texts, tokens = ids.shape
        hidden = np.triu(np.ones((tokens, tokens), bool), 1) | (mask[:, None, None] == 0)
        scores = np.where(hidden, np.float32(-np.inf), np.float32(0))
        if self._layout.end_token == 2:
            ends = ids.argmax(axis=1)
        else:
            ends = (ids == self._layout.end_token).argmax(axis=1)
        state = self._arrays["embeddings.token_embedding.weight"][ids]
        state = state + self._arrays["embeddings.position_embedding.weight"][:tokens]
        with (
            np.errstate(over="ignore", invalid="ignore"),  # the result is checked
            ThreadPoolExecutor(threads.limit() or threads.cores()) as pool,
        ):
            for number in range(self._layers):
                state = self._layer(f"encoder.layers.{number}", state, scores, pool)
            last = self._normalised("final_layer_norm", state[np.arange(texts), ends])
            return _product(last, self._arrays["projection"], pool)

    def _layer(self, name: str, state: _Array, scores: _Array, pool: ThreadPoolExecutor) -> _Array:
        texts, tokens, size = state.shape
        heads = self._layout.heads
        inputs = self._normalised(f"{name}.layer_norm1", state)
        query, key, value = (
            self._linear(f"{name}.self_attn.{part}_proj", inputs, pool)
            .reshape(texts, tokens, heads, size // heads)
            .transpose(0, 2, 1, 3)
            for part in "qkv"
        )
        weights = query @ key.transpose(0, 1, 3, 2) * np.float32((size // heads) ** -0.5) + scores
        weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = (weights @ value).transpose(0, 2, 1, 3).reshape(texts, tokens, size)
        state = state + self._linear(f"{name}.self_attn.out_proj", mixed, pool)
        inner = self._activate(self._linear(f"{name}.mlp.fc1", self._normalised(f"{name}.layer_norm2", state), pool))
        return state + self._linear(f"{name}.mlp.fc2", inner, pool)

    def _normalised(self, name: str, values: _Array) -> _Array:
        centred = values - values.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(self._layout.epsilon))
        result: _Array = centred / deviation * self._arrays[f"{name}.weight"] + self._arrays[f"{name}.bias"]
        return result

    def _linear(self, name: str, values: _Array, pool: ThreadPoolExecutor) -> _Array:
        return _product(values, self._arrays[f"{name}.weight"], pool) + self._arrays[f"{name}.bias"]


def _product(values: _Array, weights: _Array, pool: ThreadPoolExecutor) -> _Array:
    """Return ``values @ weights.T`` of (..., inputs) and (outputs, inputs), in products for single threads."""
    outputs, inputs = weights.shape
    rows = values.reshape(-1, inputs)
    most = max(1, min(len(rows), threads.SINGLE_THREAD // (inputs * _NARROWEST)))
    widest = max(1, threads.SINGLE_THREAD // (inputs * most))
    width = next(number for number in range(widest, 0, -1) if outputs % number == 0)
    blocks = weights.reshape(outputs // width, width, inputs).transpose(0, 2, 1)
    result = np.empty((len(rows), outputs), np.float32)

    def fill(start: int) -> None:
        part = rows[start : start + most]
        result[start : start + most] = (part[None] @ blocks).transpose(1, 0, 2).reshape(len(part), outputs)

    starts = range(0, len(rows), most)
    if len(starts) == 1:
        fill(0)
    else:
        list(pool.map(fill, starts))
    return result.reshape(*values.shape[:-1], outputs)
