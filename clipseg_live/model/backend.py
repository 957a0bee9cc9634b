"""Interface between the segmentation engine and the library that runs the network."""

import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.core.settings.base import Detail
from clipseg_live.model.preprocess import Placement, Preprocessing

Embeddings = NDArray[np.float32]
"""Conditional embeddings of prompts: float32 (prompts, embedding_size)."""

FeatureValues = NDArray[np.float32]
"""Decoder inputs of an image: float32 (parts, 1 + rows · columns, channels), the class token first."""

PredictPart = Callable[[int, slice, slice], Any]
"""Function that runs the model on a part of an image: (number of the part, rows, columns) → maps of the backend."""


class UnsupportedPrecision(Exception):
    """A backend cannot run the network in a precision, or not faster than in float32."""


class ReuseCache(Protocol):
    """Cache of results for a sequence of images of one source, so that similar ones need less work.

    Attributes:
        share: share of the tokens that were computed for the last image, 0..1.
    """

    share: float

    def clear(self) -> None:
        """Compute the next image in full."""


class Backend(Protocol):
    """A network, ready to run on one device in one precision.

    Images, inputs, features and maps are values of the backend's own; only the backend looks into them.

    Attributes:
        engine: name of the engine, "torch" or "openvino".
        patch: side of a patch in pixels.
        scale: pixels of a probability map along one token.
        embedding_size: length of conditional embeddings.
        text_limit: largest number of tokens of a text.
    """

    engine: str
    patch: int
    scale: int
    embedding_size: int
    text_limit: int

    @property
    def device_name(self) -> str:
        """Name of the device."""

    @property
    def dtype_name(self) -> str:
        """Name of the precision."""

    @property
    def threads(self) -> int:
        """CPU threads of the library."""

    def clock(self) -> "StageClock":
        """Return a clock that has just started."""

    def upload(self, pixels: Pixels) -> Any:
        """Return an image of uint8 (height, width, 3) pixels; it may share their memory."""

    def crop(self, image: Any, rows: slice, columns: slice) -> Any:
        """Return a part of an image."""

    def prepare(self, image: Any, placement: Placement, preprocessing: Preprocessing) -> Any:
        """Return the resized and padded input of an image, with memory of its own."""

    def is_same(self, first: Any, second: Any) -> bool:
        """Return whether two inputs are identical."""

    def token_cache(self) -> ReuseCache | None:
        """Return an empty cache for the reuse of tokens; None if this backend always computes all tokens."""

    def features(
        self,
        prepared: Any,
        preprocessing: Preprocessing,
        cache: Any = None,
        after_layer: Callable[[], None] | None = None,
    ) -> Any:
        """Run the vision encoder on an input.

        Args:
            prepared: the input.
            preprocessing: constants of the checkpoint.
            cache: a cache of ``token_cache``. Tokens that hardly changed since the last input with it are reused, so
                the result is approximate. None computes all tokens.
            after_layer: called after each layer, if the backend runs layers one by one. It may run other parts of the
                network.
        """

    def maps(self, features: Any, embeddings: Embeddings, placement: Placement) -> Any:
        """Decode features for all prompts, to maps (prompts, rows, columns) that are cut to the frame.

        Values are NaN where the output of the network is not finite.
        """

    def feature_values(self, features: Any) -> FeatureValues:
        """Return everything that the decoder reads of an image, as an array that belongs to the caller."""

    def decode(self, values: FeatureValues, grid: tuple[int, int], embeddings: Embeddings) -> NDArray[np.float32]:
        """Decode the feature values of several images of one size for all prompts.

        Args:
            values: (images, parts, 1 + rows · columns, channels), as ``feature_values`` returns them for each image.
            grid: rows and columns of tokens.
            embeddings: embeddings of the prompts.

        Returns:
            Maps over the whole input, (images, prompts, rows · scale, columns · scale). Values are NaN where the output
            of the network is not finite.
        """

    def add_detail(self, maps: Any, detail: Detail, frame: tuple[int, int], size: int, predict: PredictPart) -> Any:
        """Return maps with those of parts of the frame merged in.

        Args:
            maps: maps of the whole frame.
            detail: "zoom" or "tiles".
            frame: height and width of the frame in pixels.
            size: side of the network's square in pixels.
            predict: runs the model on a part.
        """

    def download(self, maps: Any) -> NDArray[np.float32]:
        """Return maps as an array that belongs to the caller, once they are computed."""

    def text_embeddings(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Embeddings:
        """Encode texts.

        Args:
            ids: (texts, tokens), padded behind.
            mask: (texts, tokens), 1 for tokens and 0 for padding.
        """

    def image_embedding(self, picture: NDArray[np.float32], preprocessing: Preprocessing) -> Embeddings:
        """Encode an image prompt to (1, embedding_size).

        Args:
            picture: float32 (side, side, 3), values 0..255.
            preprocessing: constants of the checkpoint.
        """

    def rounded(self, embeddings: Embeddings) -> Embeddings:
        """Return embeddings with the precision of the network."""

    def in_precision(self, dtype: str) -> "Backend":
        """Return the same network in another precision.

        Raises:
            UnsupportedPrecision: if this device does not support it, or not at a useful speed.
        """

    def try_out(self, preprocessing: Preprocessing, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> None:
        """Run all parts of the network on a tiny image; any error means that the model is damaged."""


class StageClock:
    """Milliseconds of each stage by the wall clock."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._marks = [time.perf_counter()]

    def mark(self, name: str) -> None:
        """End the stage ``name``."""
        self._names.append(name)
        self._marks.append(time.perf_counter())

    def milliseconds(self) -> dict[str, float]:
        """Return the milliseconds of every stage so far; call it after the work is done."""
        spans = zip(self._names, self._marks, self._marks[1:], strict=False)
        return {name: (end - start) * 1000 for name, start, end in spans}
