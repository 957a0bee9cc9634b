"""Reuse of tokens between similar images, without training (after Eventful Transformers, arXiv:2308.13494).

Only tokens whose patch has changed are computed, in all layers. They attend to the keys and values of all tokens; those
of the other tokens are from the images with which these were computed last.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.model.openvino.layers import LayeredEncoder, Tokens

THRESHOLD = 2.0
"""Smallest change of a patch that counts: root of the mean squared difference of its levels, 0..255."""

STRONG = 30.0
"""Change of a patch from which its four neighbours are computed, too, in the same unit."""

MOST_ACTIVE = 0.5
"""Share of changed patches above which all tokens are computed, as under a moving camera and after a cut."""

STEP = 32
"""The number of computed tokens is a multiple of this, or all."""


@dataclass(slots=True, eq=False)
class TokenCache:
    """Cache of tokens for a sequence of images of one source. The first image is computed in full.

    Attributes:
        threshold: smallest change of a patch that counts; 0 computes all tokens.
        share: share of the tokens that were computed for the last image, 0..1.
    """

    threshold: float = THRESHOLD
    share: float = 1.0
    _patches: NDArray[np.uint8] | None = None
    _grid: tuple[int, int] = (0, 0)
    _keys: list[Tokens] = field(default_factory=list)
    _values: list[Tokens] = field(default_factory=list)
    _read: list[Tokens] = field(default_factory=list)
    _decoded: NDArray[np.float32] | None = None

    def clear(self) -> None:
        """Compute the next image in full."""
        self._patches = self._decoded = None

    def encode(
        self,
        encoder: LayeredEncoder,
        pixels: Pixels,
        positions: NDArray[np.float32],
        patch: int,
        after_layer: Callable[[], None],
    ) -> NDArray[np.float32]:
        """Return what the decoder reads of an image, (layers, tokens, channels).

        Args:
            encoder: vision encoder.
            pixels: uint8 (height, width, 3), whole patches.
            positions: position embeddings of the grid, (1, tokens, channels).
            patch: side of a patch in pixels.
            after_layer: called after each layer.
        """
        rows, columns = pixels.shape[0] // patch, pixels.shape[1] // patch
        patches = pixels.reshape(rows, patch, columns, patch, 3).swapaxes(1, 2).reshape(rows * columns, -1)
        active = self._choose(patches, (rows, columns))
        self.share = len(active) / (len(patches) + 1)
        if self._decoded is not None and not len(active):
            return self._decoded
        hidden = encoder.embedding.run(pixels[None].astype(np.float32), positions)[0][0]
        if self._patches is None or len(active) == len(hidden):
            self._patches, self._grid = patches.copy(), (rows, columns)
            _, self._keys, self._values, self._read = encode_all(encoder, hidden, after_layer)
        else:
            self._patches[active[1:] - 1] = patches[active[1:] - 1]
            self._update(encoder, hidden[active], active, after_layer)
        self._decoded = reduce(encoder, self._read)
        return self._decoded

    def _choose(self, patches: NDArray[np.uint8], grid: tuple[int, int]) -> NDArray[np.intp]:
        """Return the tokens to compute, in their order: none, all, or some with the class token."""
        tokens = len(patches) + 1
        if self._patches is None or self._grid != grid:
            self.clear()
            return np.arange(tokens)
        changes = np.square(patches.astype(np.int32) - self._patches).mean(axis=1)
        changed = changes >= self.threshold**2
        if not changed.any():
            return np.arange(0)
        wanted = changed | _neighbours((changes >= STRONG**2).reshape(grid)).ravel()
        count = -(-(int(wanted.sum()) + 1) // STEP) * STEP
        if changed.mean() > MOST_ACTIVE or count >= tokens:
            return np.arange(tokens)
        changes[wanted] += 255**2 + 1
        most = np.argpartition(-changes, count - 2)[: count - 1]  # those that are not wanted only fill the step
        return np.concatenate([[0], np.sort(most) + 1])

    def _update(
        self, encoder: LayeredEncoder, hidden: Tokens, active: NDArray[np.intp], after_layer: Callable[[], None]
    ) -> None:
        """Compute some tokens from their input of the first layer."""
        read = 0
        for number, layer in enumerate(encoder.layers):
            queries, keys, values = layer.projections.run(hidden[None])
            self._keys[number][active] = keys[0]
            self._values[number][active] = values[0]
            hidden = layer.attention.run(hidden[None], queries, self._keys[number][None], self._values[number][None])[
                0
            ][0].copy()
            if number == encoder.read[read]:
                self._read[read][active] = hidden
                read += 1
            after_layer()


def _neighbours(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what is above, below, left or right of something marked, of the same shape (rows, columns)."""
    padded = np.pad(marked, 1)
    around: NDArray[np.bool_] = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return around


def encode_all(
    encoder: LayeredEncoder, hidden: Tokens, after_layer: Callable[[], None]
) -> tuple[Tokens, list[Tokens], list[Tokens], list[Tokens]]:
    """Run all layers on all tokens.

    Return the last hidden state, the keys and values of each layer, and the hidden states that the decoder reads, as
    arrays that belong to the caller.

    Args:
        encoder: vision encoder.
        hidden: input of the first layer.
        after_layer: called after each layer.
    """
    all_keys, all_values, read = [], [], []
    for number, layer in enumerate(encoder.layers):
        queries, keys, values = layer.projections.run(hidden[None])
        hidden = layer.attention.run(hidden[None], queries, keys, values)[0][0].copy()
        all_keys.append(keys[0].copy())
        all_values.append(values[0].copy())
        if number in encoder.read:
            read.append(hidden)
        after_layer()
    return hidden, all_keys, all_values, read


def reduce(encoder: LayeredEncoder, read: list[Tokens]) -> NDArray[np.float32]:
    """Return what the decoder reads, from the hidden states of its layers."""
    return encoder.reductions.run(*[hidden[None] for hidden in read])[0].copy()
