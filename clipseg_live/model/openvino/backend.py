"""Backend that runs converted networks with OpenVINO on the CPU, without PyTorch and transformers."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipseg_live._version import __version__
from clipseg_live.core.frame import Pixels
from clipseg_live.core.settings.base import Detail
from clipseg_live.model import threads
from clipseg_live.model.backend import Embeddings, FeatureValues, PredictPart, StageClock, UnsupportedPrecision
from clipseg_live.model.detail.passes import with_detail
from clipseg_live.model.openvino import layers, library, reuse
from clipseg_live.model.openvino.files import (
    DECODER,
    IMAGE_ENCODER,
    POSITIONS,
    TOKENIZER,
    VISION_ENCODER,
    Geometry,
)
from clipseg_live.model.openvino.quantization import GROUP, compress_weights
from clipseg_live.model.openvino.text_encoder import TextEncoder
from clipseg_live.model.preprocess import Placement, Preprocessing, resize_frame
from clipseg_live.model.resampling import bicubic_matrix
from clipseg_live.model.store import converted
from clipseg_live.model.store.layout import ModelFiles
from clipseg_live.model.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

_FORMAT = "2"
"""Version of the converted files; a new one makes older files unused."""

_TRIALS = 2
_TRIAL_SIDE = 22
"""Repetitions and patches along a side of the image with which the speed of precisions is compared."""


@dataclass(frozen=True, slots=True, eq=False)
class _Features:
    """Output of the vision encoder for the decoder, and the rows and columns of tokens."""

    values: NDArray[np.float32]
    grid: tuple[int, int]


def open_model(files: ModelFiles, *, layered: bool = False) -> tuple["OpenVinoBackend", Tokenizer]:
    """Return the network in float32 and its tokenizer, from the cache; convert the model first if it is not there.

    Args:
        files: files of the model.
        layered: get ready for the reuse of tokens.

    Raises:
        ModelError: if the model is damaged.
        Exception: any error of OpenVINO.
    """
    key = _cache_key(files)
    folder = converted.find(key)
    if folder is not None:
        try:
            return _read(folder, layered)
        except Exception:  # a damaged file fails anywhere in the readers
            logger.warning("The converted model %s cannot be read, so it is converted again", folder, exc_info=True)
            converted.discard(key)
    from clipseg_live.model.openvino.conversion import convert

    logger.info("Converting %s for OpenVINO", files.folder)
    return _read(converted.store(key, files, lambda target: convert(files, target)), layered)


def is_converted(files: ModelFiles) -> bool:
    """Return whether the cache has the converted model."""
    return converted.find(_cache_key(files)) is not None


def _cache_key(files: ModelFiles) -> str:
    return converted.cache_key(files, (_FORMAT, __version__, library.load().get_version()))


def _read(folder: Path, layered: bool) -> tuple["OpenVinoBackend", Tokenizer]:
    geometry = Geometry.read(folder)
    return OpenVinoBackend(folder, geometry, layered=layered), Tokenizer.read(folder / TOKENIZER, geometry.padding)


class OpenVinoBackend:
    """``Backend`` around converted networks. Images are uint8 arrays (h, w, 3); maps and features are float32 arrays.

    The encoder of image prompts is compiled when it is first needed. Once tokens are reused, the layers of the vision
    encoder replace the whole one, with the same results.

    Args:
        folder: folder of the converted model.
        geometry: sizes of the model.
        dtype: precision of the network.
        layered: get ready for the reuse of tokens.

    Raises:
        Exception: any error of OpenVINO about a damaged file.
    """

    engine = "openvino"
    device_name = "cpu"

    def __init__(self, folder: Path, geometry: Geometry, dtype: str = "float32", *, layered: bool = False) -> None:
        self._folder = folder
        self._geometry = geometry
        self.dtype_name = dtype
        self.patch, self.scale = geometry.patch, geometry.scale
        self.embedding_size, self.text_limit = geometry.embedding_size, geometry.text_limit
        self._table: NDArray[np.float32] = np.load(folder / POSITIONS)
        self._positions: dict[tuple[int, int], NDArray[np.float32]] = {}
        self._encode_text = TextEncoder(folder)
        core = library.core()
        self._networks = {name: core.read_model(folder / name) for name in (DECODER, IMAGE_ENCODER)}
        self._layers: layers.LayeredEncoder | None = None
        self._queue: Any = None
        self._requests: dict[str, Any] = {}
        if layered:
            self._cut()
        else:
            self._networks[VISION_ENCODER] = self._read_vision()
            self._requests[VISION_ENCODER] = self._compile(VISION_ENCODER)
        self._requests[DECODER] = self._compile(DECODER)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a copy or a pickle needs: compiled networks cannot be copied, so they are read again."""
        return _again, (self._folder, self._geometry, self.dtype_name, self._layers is not None)

    @property
    def threads(self) -> int:
        """CPU threads of OpenVINO."""
        count: int = self._requests[DECODER].get_compiled_model().get_property("INFERENCE_NUM_THREADS")
        return count

    def clock(self) -> StageClock:
        """Return a clock that has just started."""
        return StageClock()

    def upload(self, pixels: Pixels) -> Pixels:
        """Return the pixels."""
        return pixels

    def crop(self, image: Pixels, rows: slice, columns: slice) -> Pixels:
        """Return a part of an image."""
        return image[rows, columns]

    def prepare(self, image: Pixels, placement: Placement, preprocessing: Preprocessing) -> Pixels:
        """Return the input, uint8 (height, width, 3)."""
        picture = resize_frame(image, placement, preprocessing)
        return picture.copy() if np.shares_memory(picture, image) else picture

    def is_same(self, first: Pixels, second: Pixels) -> bool:
        """Return whether two inputs are identical."""
        return np.array_equal(first, second)

    def token_cache(self) -> reuse.TokenCache:
        """Return an empty cache for the reuse of tokens."""
        return reuse.TokenCache()

    def features(
        self,
        prepared: Pixels,
        preprocessing: Preprocessing,
        cache: reuse.TokenCache | None = None,
        after_layer: Callable[[], None] | None = None,
    ) -> _Features:
        """Run the vision encoder on an input."""
        after_layer = after_layer or (lambda: None)
        grid = (prepared.shape[0] // self.patch, prepared.shape[1] // self.patch)
        if cache is None:
            return _Features(self.encode_pixels(prepared[None].astype(np.float32), after_layer)[0], grid)
        encoder = self._layers or self._cut()
        return _Features(cache.encode(encoder, prepared, self._positions_of(grid), self.patch, after_layer), grid)

    def encode_pixels(
        self, pixels: NDArray[np.float32], after_layer: Callable[[], None] = lambda: None
    ) -> list[NDArray[np.float32]]:
        """Run the vision encoder on (1, height, width, 3) pixels; return its outputs for the decoder and prompts."""
        grid = (pixels.shape[1] // self.patch, pixels.shape[2] // self.patch)
        if self._layers is None:
            return self._run(VISION_ENCODER, pixels, self._positions_of(grid))
        first = self._layers.embedding.run(pixels, self._positions_of(grid))[0][0]
        hidden, _, _, read = reuse.encode_all(self._layers, first, after_layer)
        return [reuse.reduce(self._layers, read), hidden[None]]

    def maps(self, features: _Features, embeddings: Embeddings, placement: Placement) -> NDArray[np.float32]:
        """Decode features for all prompts."""
        found = self._run(DECODER, embeddings, features.values, np.zeros(features.grid, np.float32))[0]
        return placement.crop(found, self.scale / self.patch)

    def feature_values(self, features: _Features) -> FeatureValues:
        """Return what the decoder reads."""
        return np.array(features.values)

    def decode(self, values: FeatureValues, grid: tuple[int, int], embeddings: Embeddings) -> NDArray[np.float32]:
        """Decode the feature values of several images for all prompts, several images at the same time."""
        if self._queue is None:
            network = library.core().read_model(self._folder / DECODER)
            options = {**self._options(DECODER), "PERFORMANCE_HINT": "THROUGHPUT"}
            self._queue = library.load().AsyncInferQueue(library.core().compile_model(network, "CPU", options))
        sides = (grid[0] * self.scale, grid[1] * self.scale)
        maps = np.empty((len(values), len(embeddings), *sides), np.float32)
        self._queue.set_callback(lambda request, number: np.copyto(maps[number], request.get_output_tensor().data))
        embeddings, shape = np.ascontiguousarray(embeddings), np.zeros(grid, np.float32)
        for number, image in enumerate(np.ascontiguousarray(values)):
            self._queue.start_async([embeddings, image, shape], userdata=number, share_inputs=True)
        self._queue.wait_all()
        return maps

    def add_detail(
        self, maps: NDArray[np.float32], detail: Detail, frame: tuple[int, int], size: int, predict: PredictPart
    ) -> NDArray[np.float32]:
        """Return maps with those of parts of the frame merged in."""
        merged: NDArray[np.float32] = with_detail(maps, detail, frame, size, predict)
        return merged

    def download(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the maps with memory of their own."""
        return np.ascontiguousarray(maps)

    def text_embeddings(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Embeddings:
        """Encode texts."""
        return self._encode_text(ids, mask)

    def image_embedding(self, picture: NDArray[np.float32], preprocessing: Preprocessing) -> Embeddings:
        """Encode an image prompt."""
        return self._run(IMAGE_ENCODER, self.encode_pixels(picture[None])[1])[0]

    def rounded(self, embeddings: Embeddings) -> Embeddings:
        """Return the embeddings: they stay in float32."""
        return embeddings

    def in_precision(self, dtype: str) -> "OpenVinoBackend":
        """Return the same network with its vision encoder in another precision, if that is faster than float32."""
        slow = UnsupportedPrecision(f"{dtype} is not faster than float32 on this processor")
        if dtype == "bfloat16" and "BF16" not in library.core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise slow
        low = OpenVinoBackend(self._folder, self._geometry, dtype, layered=self._layers is not None)
        times = [(_vision_seconds(self), _vision_seconds(low)) for _ in range(_TRIALS)]
        own, other = (min(each) for each in zip(*times, strict=True))
        logger.info("The vision encoder takes %.0f ms in float32 and %.0f ms in %s", own * 1000, other * 1000, dtype)
        if other > own:
            raise slow
        return low

    def try_out(self, preprocessing: Preprocessing, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> None:
        """Run all parts of the network on a tiny image."""
        tiny = np.zeros((self.patch, 2 * self.patch, 3), np.uint8)
        features = self.features(tiny, preprocessing)
        placement = Placement(*tiny.shape[:2], 0, 0, *tiny.shape[:2])
        self.maps(features, self.text_embeddings(ids, mask), placement)

    def _read_vision(self) -> Any:
        network = library.core().read_model(self._folder / VISION_ENCODER)
        if self.dtype_name == "int8":
            compress_weights(network)
        return network

    def _cut(self) -> layers.LayeredEncoder:
        """Replace the vision encoder by its layers."""
        self._requests.pop(VISION_ENCODER, None)
        self._layers = layers.cut(self._read_vision(), self._options(VISION_ENCODER))
        return self._layers

    def _compile(self, name: str) -> Any:
        compiled = library.core().compile_model(self._networks.pop(name), "CPU", self._options(name))
        return compiled.create_infer_request()

    def _options(self, name: str) -> dict[str, Any]:
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if name == VISION_ENCODER and self.dtype_name == "bfloat16":
            options["INFERENCE_PRECISION_HINT"] = "bf16"
        if name == VISION_ENCODER and self.dtype_name == "int8":
            options["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = GROUP
        limit = threads.limit()
        if limit is not None:
            options["INFERENCE_NUM_THREADS"] = limit
        return options

    def _run(self, name: str, *inputs: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Run a network and return copies of its outputs."""
        if name not in self._requests:
            self._requests[name] = self._compile(name)
        outputs = self._requests[name].infer([np.ascontiguousarray(each) for each in inputs], share_inputs=True)
        return [np.array(values) for values in outputs.values()]

    def _positions_of(self, grid: tuple[int, int]) -> NDArray[np.float32]:
        """Return the position embeddings of a grid, (1, 1 + rows · columns, channels); those of the last are cached."""
        found = self._positions.get(grid)
        if found is None:
            side = round((len(self._table) - 1) ** 0.5)
            table = self._table[1:].reshape(side, side, -1)
            if grid != (side, side):
                down, across = bicubic_matrix(side, grid[0]), bicubic_matrix(side, grid[1])
                table = np.einsum("rh,hwc,kw->rkc", down, table, across, optimize=True)
            found = np.concatenate([self._table[:1], table.reshape(-1, table.shape[-1])])[None].astype(np.float32)
            self._positions = {grid: found}
        return found


def _again(folder: Path, geometry: Geometry, dtype: str, layered: bool) -> OpenVinoBackend:
    return OpenVinoBackend(folder, geometry, dtype, layered=layered)


def _vision_seconds(backend: OpenVinoBackend) -> float:
    """Return the time of the vision encoder for one image of the published models' size."""
    side = _TRIAL_SIDE * backend.patch
    start = time.perf_counter()
    backend.encode_pixels(np.zeros((1, side, side, 3), np.float32))
    return time.perf_counter() - start
