"""Engine for indexes: runs the vision encoder and the decoder at different times."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import NoPrediction
from clipseg_live.core.expressions.combinations import combine_maps
from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import PromptLike, require_prompts
from clipseg_live.model.backend import FeatureValues
from clipseg_live.model.preprocess import Placement
from clipseg_live.model.prompt_encoder import no_prediction
from clipseg_live.model.pytorch.memory_errors import clear_memory_errors
from clipseg_live.model.segmenter import Segmenter

Grid = tuple[int, int]
"""Rows and columns of tokens."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameFeatures:
    """Decoder inputs of a frame.

    Attributes:
        values: float32 (parts, 1 + rows · columns, channels).
        grid: rows and columns of tokens.
        repeated: the network input is identical to that of the frame before, so the values are the same too.
    """

    values: FeatureValues
    grid: Grid
    repeated: bool


class FeatureSegmenter(Segmenter):
    """``Segmenter`` that can encode a frame without prompts, and decode stored features of many frames."""

    _last: Any = None

    def feature_shape(self, frame_size: tuple[int, int]) -> tuple[int, int, int]:
        """Return the parts, tokens and channels of the features of a frame.

        Args:
            frame_size: Height and width of the frame in pixels.
        """
        patch, placement = self.backend.patch, self._place(*frame_size)
        tiny = self.backend.upload(np.zeros((patch, patch, 3), np.uint8))
        with self._lock:
            prepared = self.backend.prepare(tiny, Placement(patch, patch, 0, 0, patch, patch), self.preprocessing)
            values = self.backend.feature_values(self.backend.features(prepared, self.preprocessing))
        tokens = (placement.height // patch) * (placement.width // patch) + 1
        return values.shape[0], tokens, values.shape[2]

    def encode_frame(self, pixels: Pixels) -> FrameFeatures:
        """Run the vision encoder on a frame.

        Args:
            pixels: uint8 (height, width, 3), RGB.

        Raises:
            NoPrediction: If the output of the network is not finite.
            ModelError: If memory runs out.
        """
        with self._lock, clear_memory_errors("encode a frame"):
            placement = self._place(pixels.shape[0], pixels.shape[1])
            features = self._see(0, self.backend.upload(pixels), placement, lambda stage: None)
            repeated, self._last = features is self._last, features
            values = self.backend.feature_values(features)
        if not np.isfinite(values).all():
            raise NoPrediction(no_prediction(self.dtype))
        values.setflags(write=False)
        patch = self.backend.patch
        return FrameFeatures(values, (placement.height // patch, placement.width // patch), repeated)

    def decode_frames(
        self, values: FeatureValues, grid: Grid, frame_size: tuple[int, int], prompts: PromptLike | Sequence[PromptLike]
    ) -> NDArray[np.float32]:
        """Return the probability maps of frames of one size for all prompts.

        Args:
            values: float32 (frames, parts, 1 + rows · columns, channels), whole or reduced by ``reduce_tokens``.
            grid: Rows and columns of tokens of the values.
            frame_size: Height and width of the frames in pixels.
            prompts: One or several prompts, as for ``Segmenter.segment``. Their embeddings are cached.

        Returns:
            float32 (frames, prompts, height, width), 0..1, on the decoder's grid. They cover exactly the frame.

        Raises:
            UsageError: If a prompt is invalid.
            NoPrediction: If the output of the network is not finite.
            ModelError: If memory runs out.
        """
        wanted = require_prompts(prompts)
        embeddings = self.encode(wanted)
        with self._lock, clear_memory_errors("decode frames"):
            placement = self._place(*frame_size)
            maps = self.backend.decode(values, grid, embeddings)
            rows = placement.height // self.backend.patch
            scale = self.backend.scale / (self.backend.patch * -(-rows // grid[0]))
            shape = maps.shape[:2]
            maps = placement.crop(maps.reshape(-1, *maps.shape[2:]), scale)
        if not np.isfinite(maps).all():
            raise NoPrediction(no_prediction(self.dtype))
        by_prompt = combine_maps(wanted, maps.reshape(*shape, *maps.shape[1:]).swapaxes(0, 1))
        return by_prompt.swapaxes(0, 1)


def reduce_tokens(values: FeatureValues, grid: Grid) -> tuple[FeatureValues, Grid]:
    """Return one token of each block of 2 × 2, the one that differs most from the mean of its frame.

    The decoder is four times as fast with these tokens. Tokens of objects differ most, so small objects stay. A mean of
    the blocks would lose them. Blocks at odd sides are completed by repeating the border.

    Args:
        values: float32 (frames, parts, 1 + rows · columns, channels).
        grid: Rows and columns of tokens.

    Returns:
        The class token and the selected tokens, float32 (frames, parts, 1 + blocks, channels), and the grid of blocks.
    """
    frames, parts = values.shape[:2]
    rows, columns = -(-grid[0] // 2), -(-grid[1] // 2)
    down = np.minimum(np.arange(2 * rows), grid[0] - 1).reshape(rows, 1, 2, 1)
    across = np.minimum(np.arange(2 * columns), grid[1] - 1).reshape(1, columns, 1, 2)
    tokens = (1 + down * grid[1] + across).reshape(rows * columns, 4)
    deviation = values[:, 0][:, tokens]  # the first part decides for all
    deviation -= deviation.mean(axis=(1, 2), keepdims=True)
    scale = 1 / np.maximum(np.einsum("fbkc,fbkc->fc", deviation, deviation), np.float32(1e-12))
    salience = np.einsum("fbkc,fbkc,fc->fbk", deviation, deviation, scale, optimize=True)
    chosen = tokens[np.arange(rows * columns), salience.argmax(axis=2)]
    chosen = np.concatenate([np.zeros((frames, 1), np.int64), chosen], axis=1)
    first, second = np.arange(frames)[:, None, None], np.arange(parts)[None, :, None]
    return values[first, second, chosen[:, None]], (rows, columns)
