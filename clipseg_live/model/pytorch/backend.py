"""Backend that runs the modules of transformers with PyTorch, on CUDA and Apple GPUs and on CPUs."""

import copy
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clipseg_live.core.frame import Pixels
from clipseg_live.core.settings.base import Detail
from clipseg_live.model import threads
from clipseg_live.model.backend import Embeddings, FeatureValues, PredictPart, StageClock, UnsupportedPrecision
from clipseg_live.model.detail.passes import with_detail
from clipseg_live.model.preprocess import Placement, Preprocessing
from clipseg_live.model.pytorch import devices
from clipseg_live.model.pytorch.clipseg import ClipSeg, Features
from clipseg_live.model.pytorch.images import as_tensor, normalise, resize

if TYPE_CHECKING:
    from transformers import CLIPSegForImageSegmentation

logger = logging.getLogger(__name__)


class TorchBackend:
    """``Backend`` around ``ClipSeg``. Images, inputs and maps are tensors on its device.

    Args:
        network: the network of transformers, on the device and in the precision to use.
    """

    engine = "torch"

    def __init__(self, network: "CLIPSegForImageSegmentation") -> None:
        threads.limit_torch()
        self._source = network
        self.use(ClipSeg(network))

    def use(self, network: ClipSeg) -> None:
        """Run another network of the same model."""
        self.network = network
        self.patch, self.scale, self.embedding_size = network.patch, network.scale, network.embedding_size
        self.text_limit = int(network.network.config.text_config.max_position_embeddings)
        self._upload = devices.Upload(network.device)
        self._chunk: int | None = None

    @property
    def device_name(self) -> str:
        """Name of the device."""
        return str(self.network.device)

    @property
    def dtype_name(self) -> str:
        """Name of the precision."""
        return str(self.network.dtype).removeprefix("torch.")

    @property
    def threads(self) -> int:
        """CPU threads of PyTorch."""
        return torch.get_num_threads()

    def clock(self) -> StageClock:
        """Return a clock that has just started."""
        return devices.CudaClock(self.network.device) if self.network.device.type == "cuda" else StageClock()

    def upload(self, pixels: Pixels) -> Tensor:
        """Return an image, (1, 3, h, w) uint8; on a CPU it shares the memory of the pixels."""
        return self._upload(as_tensor(pixels))

    def crop(self, image: Tensor, rows: slice, columns: slice) -> Tensor:
        """Return a part of an image."""
        return image[:, :, rows, columns]

    def prepare(self, image: Tensor, placement: Placement, preprocessing: Preprocessing) -> Tensor:
        """Return the input, (1, 3, height, width), values 0..255."""
        picture = resize(image, placement, preprocessing)
        return picture.clone() if picture.shape == image.shape else picture  # resizing may return the image itself

    def is_same(self, first: Tensor, second: Tensor) -> bool:
        """Return whether two inputs are identical."""
        return first.shape == second.shape and torch.equal(first, second)

    def token_cache(self) -> None:
        """Return None: all tokens are computed."""

    @torch.inference_mode()
    def features(
        self,
        prepared: Tensor,
        preprocessing: Preprocessing,
        cache: None = None,
        after_layer: Callable[[], None] | None = None,
    ) -> Features:
        """Run the vision encoder on an input."""
        return self.network.features(normalise(prepared, preprocessing, self.network.dtype), after_layer)

    @torch.inference_mode()
    def maps(self, features: Features, embeddings: Embeddings, placement: Placement) -> Tensor:
        """Decode features for all prompts. The chunks become smaller if memory is short."""
        conditional = torch.from_numpy(embeddings).to(self.network.device, self.network.dtype)
        scale = self.network.scale / self.network.patch
        chunk = self._chunk
        while True:
            try:
                parts = [
                    placement.crop(part, scale) for part in self.network.probabilities(features, conditional, chunk)
                ]
                self._chunk = chunk  # the next frame begins with the size that fitted
                return parts[0] if len(parts) == 1 else torch.cat(parts)
            except torch.OutOfMemoryError:
                chunk = min(len(conditional), chunk or self.network.chunk(features.grid[0] * features.grid[1])) // 2
                if chunk == 0:
                    raise
            devices.free_memory(self.network.device)

    def feature_values(self, features: Features) -> FeatureValues:
        """Return what the decoder reads."""
        return _as_array(torch.cat([features.conditioned, *features.later]))

    @torch.inference_mode()
    def decode(self, values: FeatureValues, grid: tuple[int, int], embeddings: Embeddings) -> NDArray[np.float32]:
        """Decode the feature values of several images for all prompts, in chunks of pairs of them."""
        device, dtype = self.network.device, self.network.dtype
        stored = torch.tensor(values).to(device, dtype)  # a copy: the array may be read-only
        conditional = torch.from_numpy(embeddings).to(device, dtype)
        parts = [_as_array(part) for part in self.network.probabilities_of_images(stored, grid, conditional)]
        return np.concatenate(parts).reshape(len(values), len(embeddings), *parts[0].shape[1:])

    @torch.inference_mode()
    def add_detail(
        self, maps: Tensor, detail: Detail, frame: tuple[int, int], size: int, predict: PredictPart
    ) -> Tensor:
        """Return maps with those of parts of the frame merged in."""
        merged: Tensor = with_detail(maps, detail, frame, size, predict)
        return merged

    def download(self, maps: Tensor) -> NDArray[np.float32]:
        """Return maps as an array, once they are computed."""
        return devices.to_host(maps)

    @torch.inference_mode()
    def text_embeddings(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Embeddings:
        """Encode texts."""
        found = self.network.text_embeddings(*(torch.from_numpy(each).to(self.network.device) for each in (ids, mask)))
        return _as_array(found)

    @torch.inference_mode()
    def image_embedding(self, picture: NDArray[np.float32], preprocessing: Preprocessing) -> Embeddings:
        """Encode an image prompt."""
        values = torch.from_numpy(picture).permute(2, 0, 1)[None].to(self.network.device)
        return _as_array(self.network.image_embeddings(normalise(values, preprocessing, self.network.dtype)))

    def rounded(self, embeddings: Embeddings) -> Embeddings:
        """Return embeddings with the precision of the network."""
        return _as_array(torch.from_numpy(embeddings).to(self.network.dtype))

    def in_precision(self, dtype: str) -> "TorchBackend":
        """Return a copy of the network in another precision."""
        try:
            return TorchBackend(copy.deepcopy(self._source).to(getattr(torch, dtype)))
        except RuntimeError as error:
            raise UnsupportedPrecision(f"{dtype} does not work on {self.device_name}") from error

    @torch.inference_mode()
    def try_out(self, preprocessing: Preprocessing, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> None:
        """Run all parts of the network on a tiny image."""
        picture = torch.zeros(1, 3, self.patch, 2 * self.patch, device=self.network.device)
        embeddings = torch.from_numpy(self.text_embeddings(ids, mask)).to(self.network.device, self.network.dtype)
        for _ in self.network.probabilities(self.features(picture, preprocessing), embeddings):
            pass


def _as_array(values: Tensor) -> NDArray[Any]:
    """Return a float32 array with memory of its own."""
    array: NDArray[Any] = np.array(values.detach().to("cpu", torch.float32).numpy())
    return array
