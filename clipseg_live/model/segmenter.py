"""Segmentation engine around CLIPSeg: from frames and prompts to probability maps."""

import copy
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clipseg_live.core.errors import ClipsegLiveError, ModelError, NoPrediction, UsageError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.image_input import Channels, ImageLike, as_pixels, is_batch
from clipseg_live.core.prompts import Prompt, PromptLike, require_prompts
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.base import DEFAULT_MODEL, DETAILS, RESIZE_MODES, Detail, ResizeMode
from clipseg_live.model import detail as details
from clipseg_live.model import devices
from clipseg_live.model.clipseg import ClipSeg, Features
from clipseg_live.model.preprocess import Placement, Preprocessing, as_tensor, place_frame, resize
from clipseg_live.model.prompt_encoder import CacheStatistics, PromptEncoder, no_prediction
from clipseg_live.model.store import loading
from clipseg_live.model.store.layout import ModelFiles

logger = logging.getLogger(__name__)

_S = TypeVar("_S", bound="Segmenter")


class Segmenter:
    """CLIPSeg model, ready to run; create it with ``Segmenter.load``.

    Threads can share one. Calls run one after another, and each gets its own result in its own array.
    """

    def __init__(
        self,
        model: loading.LoadedModel,
        *,
        device: str = "auto",
        dtype: str = "auto",
        size: int | None = None,
        fit: ResizeMode = "stretch",
        detail: Detail = "off",
    ) -> None:
        place_on, precision = check_options(device, dtype, fit, detail)
        # Guards the settings, all caches and the scratch memory of the network. It is reentrant because loading runs
        # ``segment`` to compare precisions.
        self._lock = threading.RLock()
        self.files = model.files
        self.tokenizer = model.tokenizer
        self.fit: ResizeMode = fit
        self.detail: Detail = "off"
        self.preprocessing = Preprocessing.read(model.files.processor)
        self.network = ClipSeg(model.network.to(place_on))
        self.size = self._check_size(size)
        self._prompts = PromptEncoder(self.network, model.tokenizer, self.preprocessing, model.files.identity())
        self._upload = devices.Upload(place_on)
        self._seen: dict[int, tuple[Tensor, Features]] = {}
        self._chunk: int | None = None
        self._precision_notices: tuple[str, ...] = ()
        self.vision_passes = 0
        if precision != torch.float32:
            self._lower_precision(model, precision)
        self.detail = detail
        logger.info(
            "Model ready: device=%s dtype=%s (asked for: %s) size=%d fit=%s detail=%s threads=%d",
            self.device, self.dtype, dtype, self.size, self.fit, self.detail, torch.get_num_threads(),
        )  # fmt: skip

    @classmethod
    def load(
        cls: type[_S],
        model: str | ModelFiles = DEFAULT_MODEL,
        *,
        device: str = "auto",
        dtype: str = "auto",
        size: int | None = None,
        fit: ResizeMode = "stretch",
        detail: Detail = "off",
    ) -> _S:
        """Load a model by name, alias or folder, or from files that ``loading.find_model_files`` has found.

        Args:
            model: name, alias or folder, or the files of a model.
            device: "auto" (cuda, then mps, then cpu), "cpu", "cuda", "cuda:1" or "mps".
            dtype: "auto" (float16 on a GPU, float32 on a CPU), "float32", "float16" or "bfloat16". A precision whose
                masks differ visibly from those of float32 is not used, and a notice says so.
            size: side of the network's square in pixels; None for the checkpoint's own.
            fit: "stretch", "letterbox" or "aspect".
            detail: "off", "zoom" (one more pass where small objects are close together) or "tiles" (further passes over
                overlapping parts of large frames). Both give finer maps.

        Raises:
            UsageError: if a value is invalid.
            ModelError: if the model is missing, damaged or too large.
        """
        check_options(device, dtype, fit, detail)  # check before a download of hundreds of megabytes
        files = loading.find_model_files(model) if isinstance(model, str) else model
        with _clear_memory_errors("load the model"):
            loaded = loading.load_network(files)
            try:
                segmenter = cls(loaded, device=device, dtype=dtype, size=size, fit=fit, detail=detail)
                segmenter._try_out()
            except (ClipsegLiveError, MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # files that do not fit together fail anywhere in transformers and torch
                logger.warning("The model cannot be run", exc_info=True)
                reason = " ".join(str(error).split())[:160]
                raise ModelError(
                    f"The model in {files.folder} cannot be run because its files are damaged or from different models "
                    f"({type(error).__name__}: {reason}): {files.remedy}."
                ) from error
        return segmenter

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a pickle or a deep copy, without the lock, which cannot be copied."""
        with self._lock:
            return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def configure(self, size: int | None = None, fit: ResizeMode = "stretch", detail: Detail | None = None) -> None:
        """Change the network's square, the fit of frames and (unless None) the detail, without loading the model again.

        The change applies to all threads that share this segmenter, from their next call.

        Raises:
            UsageError: if a value is invalid, as for ``load``.
        """
        wanted = self.detail if detail is None else detail
        _check_choices(fit, wanted)
        side = self._check_size(size)
        with self._lock:
            self.size, self.fit, self.detail = side, fit, wanted
        logger.info("Model settings changed: size=%d fit=%s detail=%s", side, fit, wanted)

    @property
    def name(self) -> str:
        """Name or folder with which the model was loaded."""
        return self.files.name

    @property
    def device(self) -> str:
        """Name of the device."""
        return str(self.network.device)

    @property
    def dtype(self) -> str:
        """Name of the precision."""
        return str(self.network.dtype).removeprefix("torch.")

    @property
    def prompt_cache(self) -> CacheStatistics:
        """Statistics of the cache of encoded prompts."""
        with self._lock:
            return self._prompts.statistics

    @property
    def notices(self) -> tuple[str, ...]:
        """Messages for the user, such as a prompt that was cut or a precision that was not accurate enough."""
        return (*self._precision_notices, *self._prompts.notices)

    @torch.inference_mode()
    def encode(self, prompts: PromptLike | Sequence[PromptLike]) -> NDArray[np.float32]:
        """Return the conditional embeddings of prompts, float32 (prompts, embedding size), cached by content.

        Raises:
            UsageError: if there is no prompt, or an embedding has the wrong length.
            NoPrediction: if an embedding is not finite.
        """
        wanted = require_prompts(prompts)
        with self._lock, _clear_memory_errors("encode the prompts"):
            embeddings: NDArray[np.float32] = self._prompts.encode(wanted).float().cpu().numpy()
        return embeddings

    @overload
    def segment(
        self,
        frame: list[ImageLike] | tuple[ImageLike, ...],
        prompts: PromptLike | Sequence[PromptLike],
        *,
        channels: Channels = "rgb",
    ) -> list[Segmentation]: ...

    @overload
    def segment(
        self, frame: ImageLike, prompts: PromptLike | Sequence[PromptLike], *, channels: Channels = "rgb"
    ) -> Segmentation: ...

    @torch.inference_mode()
    def segment(
        self,
        frame: ImageLike | list[ImageLike] | tuple[ImageLike, ...],
        prompts: PromptLike | Sequence[PromptLike],
        *,
        channels: Channels = "rgb",
    ) -> Segmentation | list[Segmentation]:
        """Return the probability maps of a frame, or of each of several, for all prompts.

        The prompts of the last call need no encoding. A frame that gives the same network input as the last one needs
        only the decoder. ``timings`` has the further passes of ``detail`` as a stage of that name.

        Args:
            frame: a path, the bytes of an image file, a PIL image, an array or a tensor of any size from 1×1, as
                ``core.image_input.as_pixels`` describes them. For several frames, a list or a tuple of these, or an
                array or a tensor of four dimensions; the prompts are then encoded once, and files are read one at a
                time.
            prompts: one or several: texts, prompts, or image prompts (paths, PIL images, arrays).
            channels: "bgr" for arrays and tensors in OpenCV's order.

        Returns:
            One result, or a list of results in the order of the frames.

        Raises:
            UsageError: if an argument is not an image or prompt, there is no prompt, or an embedding has the wrong
                length.
            SourceError: if a file cannot be read.
            ModelError: if memory runs out even with one prompt at a time.
            NoPrediction: if the output of the network is not finite.
        """
        wanted = require_prompts(prompts)
        if is_batch(frame):
            frames = cast("Sequence[ImageLike]", frame)
            return [self._locked(as_pixels(image, channels), wanted) for image in frames]
        return self._locked(as_pixels(cast("ImageLike", frame), channels), wanted)

    def _locked(self, pixels: Pixels, wanted: tuple[Prompt, ...]) -> Segmentation:
        with self._lock:
            return self._segment(pixels, wanted)

    def _segment(self, pixels: Pixels, wanted: tuple[Prompt, ...]) -> Segmentation:
        clock = devices.StageClock(self.network.device)
        height, width = pixels.shape[:2]
        with _clear_memory_errors("segment a frame"):
            conditional = self._prompts.encode(wanted)
            clock.mark("prompts")
            picture = self._upload(as_tensor(pixels))
            maps = self._look(0, picture, conditional, clock.mark)
            if self.detail != "off":
                maps = self._closer(maps, picture, conditional)
                clock.mark(self.detail)
            probabilities = devices.to_host(maps)
            clock.mark("download")
        if not np.isfinite(probabilities).all():
            self._seen.clear()  # these features may be the cause
            raise NoPrediction(no_prediction(self.network.dtype))
        probabilities.setflags(write=False)
        return Segmentation(probabilities, wanted, (height, width), clock.milliseconds())

    def _closer(self, whole: Tensor, picture: Tensor, conditional: Tensor) -> Tensor:
        """Return the maps of the whole frame with those of its parts merged in."""
        height, width = picture.shape[2:]

        def look(number: int, part: details.DetailTile) -> Tensor:
            rows, columns = part.slices(height, width)
            return self._look(number, picture[:, :, rows, columns], conditional, lambda stage: None)

        if self.detail == "zoom":
            return details.zoomed(whole, look)
        return details.tiled(whole, height, width, self.size, look)

    def _look(self, number: int, picture: Tensor, conditional: Tensor, mark: Callable[[str], None]) -> Tensor:
        """Return the maps of an image, (prompts, rows, columns), on the device.

        Args:
            number: 0 for the whole frame, else the number of the part; the last network input is cached by it.
            picture: (1, 3, h, w), on the device.
            conditional: embeddings of the prompts.
            mark: ends a stage of the clock.
        """
        height, width = picture.shape[2:]
        placement = place_frame(height, width, size=self.size, patch=self.network.patch, fit=self.fit)
        features = self._see(number, picture, placement, mark)
        maps = self._decode(features, conditional, placement)
        mark("decoder")
        return maps

    def _see(self, number: int, whole: Tensor, placement: Placement, mark: Callable[[str], None]) -> Features:
        """Return the features of an image; the cached ones if the network input is identical."""
        picture = resize(whole, placement, self.preprocessing)
        mark("prepare")
        seen = self._seen.get(number)
        if seen is not None and seen[0].shape == picture.shape and torch.equal(seen[0], picture):
            mark("vision")
            return seen[1]
        self._seen.pop(number, None)
        features = self.network.features(self.preprocessing.normalise(picture, self.network.dtype))
        # a frame of the input's size is not copied by resizing, so the cache needs a copy
        own = picture.shape == whole.shape
        self._seen[number] = (picture.clone() if own else picture), features
        self.vision_passes += 1
        mark("vision")
        return features

    def _decode(self, features: Features, conditional: Tensor, placement: Placement) -> Tensor:
        """Return the maps, (prompts, rows, columns), on the device, cut to the frame.

        The chunks become smaller if memory is short.
        """
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

    def _check_size(self, size: int | None) -> int:
        size = self.preprocessing.size if size is None else size
        patch = self.network.patch
        if size < patch or size > 2048:
            raise UsageError(f"A size of {size} is out of range: use {patch} to 2048, in steps of {patch}.")
        if size % patch:
            raise UsageError(f"A size of {size} is not a multiple of {patch}: use {round(size / patch) * patch}.")
        return size

    def _lower_precision(self, model: loading.LoadedModel, precision: torch.dtype) -> None:
        """Switch to ``precision`` if it gives the same masks as float32 on one image.

        Otherwise keep float32 and add a notice.
        """
        name = str(precision).removeprefix("torch.")
        full = self.network
        reference = self._trial()
        self._adopt(ClipSeg(copy.deepcopy(model.network).to(precision)))
        mean = high = float("inf")
        reason = f"{name} changes this model's masks visibly on {self.device}"
        try:
            difference = np.abs(self._trial() - reference)
            mean, high = float(difference.mean()), float(np.quantile(difference, 0.99))
        except NoPrediction:
            logger.warning("No finite prediction in %s", name, exc_info=True)
        except RuntimeError:  # PyTorch lacks an operation in this precision for this device
            logger.warning("%s failed on %s", name, self.device, exc_info=True)
            reason = f"{name} does not work on {self.device}"
        logger.info("Differences of %s from float32: %.2g on average, %.2g at the 99th percentile", name, mean, high)
        if mean > 0.01 or high > 0.05:
            self._adopt(full)
            notice = f"{reason}, so float32 is used."
            logger.warning("%s", notice)
            self._precision_notices = (notice,)

    def _adopt(self, network: ClipSeg) -> None:
        self.network = network
        self._prompts.use(network)
        self._seen.clear()

    @torch.inference_mode()
    def _try_out(self) -> None:
        """Run all parts of the network on a tiny image.

        Raises:
            Exception: any error of a damaged model.
        """
        patch = self.network.patch
        picture = self.preprocessing.normalise(
            torch.zeros(1, 3, patch, 2 * patch, device=self.network.device), self.network.dtype
        )
        embeddings = self._prompts.encode_sentences(("a", "a red circle"))
        for _ in self.network.probabilities(self.network.features(picture), embeddings):
            pass

    def _trial(self) -> NDArray[np.float32]:
        """Return the maps of a drawn image (gradients, a disc, noise) for three texts."""
        side = 256
        ramp = np.linspace(0, 255, side, dtype=np.float32)
        picture = np.stack(np.broadcast_arrays(ramp, ramp[:, None], 255 - ramp), axis=-1)
        rows, columns = np.ogrid[:side, :side]
        picture[(rows - 150) ** 2 + (columns - 100) ** 2 < 50**2] = (220, 30, 40)
        picture[:80] += np.random.default_rng(0).normal(0, 40, (80, side, 3))
        phrases = [Prompt.text(text) for text in ("a red circle", "the sky", "everything")]
        probabilities = Segmenter._segment(self, picture.clip(0, 255).astype(np.uint8), tuple(phrases)).probabilities
        self.vision_passes = 0
        return probabilities


def check_options(device: str, dtype: str, fit: str, detail: str = "off") -> tuple[torch.device, torch.dtype]:
    """Return the device and the precision of these names.

    Raises:
        UsageError: if a value is invalid, or not available on this machine.
    """
    _check_choices(fit, detail)
    chosen = devices.choose_device(device)
    return chosen, devices.choose_dtype(dtype, chosen)


def _check_choices(fit: str, detail: str) -> None:
    if fit not in RESIZE_MODES:
        raise UsageError(f"{fit!r} is not a fit mode: use one of {', '.join(RESIZE_MODES)}.")
    if detail not in DETAILS:
        raise UsageError(f"{detail!r} is not a detail mode: use one of {', '.join(DETAILS)}.")


@contextmanager
def _clear_memory_errors(what: str) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(f"There is not enough GPU memory to {what}: use a smaller --size, or --device cpu.") from error
