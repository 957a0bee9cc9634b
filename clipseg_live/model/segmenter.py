"""Segmentation engine around CLIPSeg: from frames and prompts to probability maps.

A backend runs the network. Importing this module imports neither PyTorch nor transformers.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import ClipsegLiveError, ModelError, NoPrediction, UsageError
from clipseg_live.core.expressions.combinations import combine_maps
from clipseg_live.core.frame import Pixels
from clipseg_live.core.image_input import Channels, ImageLike, as_pixels, is_batch
from clipseg_live.core.prompts import Prompt, PromptLike, require_prompts
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.base import DEFAULT_MODEL, DETAILS, RESIZE_MODES, Detail, ResizeMode
from clipseg_live.model import precision
from clipseg_live.model.backend import Backend, Embeddings, UnsupportedPrecision
from clipseg_live.model.engines import EngineChoice, choose_engine
from clipseg_live.model.frame_reuse import FrameReuse
from clipseg_live.model.preprocess import Placement, Preprocessing, place_frame
from clipseg_live.model.prompt_encoder import CacheStatistics, PromptEncoder, no_prediction
from clipseg_live.model.pytorch.memory_errors import clear_memory_errors, is_memory_error
from clipseg_live.model.store import loading
from clipseg_live.model.store.layout import ModelFiles
from clipseg_live.model.tokenizer import Tokenizer

if TYPE_CHECKING:
    from clipseg_live.model.pytorch.clipseg import ClipSeg

logger = logging.getLogger(__name__)

_S = TypeVar("_S", bound="Segmenter")


class Segmenter:
    """CLIPSeg model, ready to run; create it with ``Segmenter.load``.

    Threads can share one. Calls run one after another, and each gets its own result in its own array.
    """

    def __init__(
        self,
        files: ModelFiles,
        backend: Backend,
        tokenizer: Tokenizer,
        *,
        size: int | None = None,
        fit: ResizeMode = "stretch",
    ) -> None:
        # Guards the settings, all caches and the scratch memory of the network. It is reentrant because loading runs
        # ``segment`` to compare precisions.
        self._lock = threading.RLock()
        self.files = files
        self.backend = backend
        self.fit: ResizeMode = fit
        self.detail: Detail = "off"
        self.preprocessing = Preprocessing.read(files.processor)
        self.size = self._check_size(size)
        self._prompts = PromptEncoder(backend, tokenizer, self.preprocessing, files.identity())
        self._seen: dict[int, tuple[Any, Any]] = {}
        self._reuse = FrameReuse()
        self._precision_notices: list[str] = []
        self._reference: precision.Reference | None = None
        self.vision_passes = 0

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
        engine: str = "auto",
        reuse: bool = False,
    ) -> _S:
        """Load a model by name, alias or folder, or from files that ``loading.find_model_files`` has found.

        Args:
            model: name, alias or folder, or the files of a model.
            device: "auto" (cuda, then mps, then cpu), "cpu", "cuda", "cuda:1" or "mps".
            dtype: "auto" (float16 on a GPU, float32 on a CPU), "float32", "bfloat16", "float16" (PyTorch only) or
                "int8" (OpenVINO only). A precision whose masks differ visibly from those of float32 is replaced by the
                next one, and a notice says so.
            size: side of the network's square in pixels; None for the checkpoint's own.
            fit: "stretch", "letterbox" or "aspect".
            detail: "off", "zoom" (one more pass where small objects are close together) or "tiles" (further passes over
                overlapping parts of large frames). Both give finer maps.
            engine: "auto" (PyTorch on a GPU, else OpenVINO where it is installed, else PyTorch), "torch" or "openvino".
            reuse: compute only what changed since the last frame, for sequences of frames from one source. Maps are
                then approximate. Only OpenVINO does so, without ``detail``.

        Raises:
            UsageError: if a value is invalid.
            ModelError: if the model is missing, damaged or too large.
        """
        choice = check_options(device, dtype, fit, detail, engine)  # before a download of hundreds of megabytes
        files = loading.find_model_files(model) if isinstance(model, str) else model
        with clear_memory_errors("load the model"):
            try:
                backend, tokenizer = _open(files, choice, reuse)
                segmenter = cls(files, backend, tokenizer, size=size, fit=fit)
                segmenter._lower_precision(choice.dtype)
                segmenter.backend.try_out(segmenter.preprocessing, *segmenter._prompts.tokens(("a", "a red circle")))
            except (ClipsegLiveError, MemoryError):
                raise
            except Exception as error:  # files that do not fit together fail anywhere in the libraries
                if is_memory_error(error):
                    raise
                logger.warning("The model cannot be run", exc_info=True)
                reason = " ".join(str(error).split())[:160]
                raise ModelError(
                    f"The model in {files.folder} cannot be run because its files are damaged or from different models "
                    f"({type(error).__name__}: {reason}): {files.remedy}."
                ) from error
        segmenter.detail = detail
        segmenter._reuse.enabled = reuse and detail == "off"
        logger.info(
            "Model ready: engine=%s device=%s dtype=%s (asked for: %s) size=%d fit=%s detail=%s threads=%d",
            segmenter.engine, segmenter.device, segmenter.dtype, dtype, segmenter.size, fit, detail,
            segmenter.backend.threads,
        )  # fmt: skip
        return segmenter

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a pickle or a deep copy, without the lock, which cannot be copied."""
        with self._lock:
            return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def configure(
        self,
        size: int | None = None,
        fit: ResizeMode = "stretch",
        detail: Detail | None = None,
        reuse: bool = False,
    ) -> None:
        """Change the square, the fit, the reuse and (unless None) the detail, without loading the model again.

        The change applies to all threads that share this segmenter, from their next call.

        Raises:
            UsageError: if a value is invalid, as for ``load``.
        """
        wanted = self.detail if detail is None else detail
        _check_choices(fit, wanted)
        side = self._check_size(size)
        with self._lock:
            self.size, self.fit, self.detail = side, fit, wanted
            self.forget()
            self._reuse.enabled = reuse and wanted == "off"
        logger.info("Model settings changed: size=%d fit=%s detail=%s", side, fit, wanted)

    def forget(self) -> None:
        """Reuse nothing of the frames so far, as before frames of another source."""
        with self._lock:
            if self._reuse.approximate:
                self._seen.pop(0, None)
            self._reuse.forget()

    @property
    def approximate(self) -> bool:
        """True if the maps of the last frame are approximate, because tokens were reused."""
        return self._reuse.approximate

    @property
    def name(self) -> str:
        """Name or folder with which the model was loaded."""
        return self.files.name

    @property
    def engine(self) -> str:
        """Name of the engine, "torch" or "openvino"."""
        return self.backend.engine

    @property
    def device(self) -> str:
        """Name of the device."""
        return self.backend.device_name

    @property
    def dtype(self) -> str:
        """Name of the precision."""
        return self.backend.dtype_name

    @property
    def network(self) -> "ClipSeg":
        """Network of PyTorch; only with the engine torch."""
        network: ClipSeg = self.backend.network  # type: ignore[attr-defined]
        return network

    @property
    def prompt_cache(self) -> CacheStatistics:
        """Statistics of the cache of encoded prompts."""
        with self._lock:
            return self._prompts.statistics

    @property
    def notices(self) -> tuple[str, ...]:
        """Messages for the user, such as a prompt that was cut or a precision that was not accurate enough."""
        return (*self._precision_notices, *self._prompts.notices)

    def encode(self, prompts: PromptLike | Sequence[PromptLike]) -> Embeddings:
        """Return the embeddings of prompts or of their operands, float32 (rows, embedding size), cached by content.

        Raises:
            UsageError: if there is no prompt, or an embedding has the wrong length.
            NoPrediction: if an embedding is not finite.
        """
        wanted = require_prompts(prompts)
        with self._lock, clear_memory_errors("encode the prompts"):
            return self._prompts.encode(wanted)

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
        clock = self.backend.clock()
        frame = (pixels.shape[0], pixels.shape[1])
        with clear_memory_errors("segment a frame"):
            if self._reference is not None and self._compare_frame(self._reference, pixels, wanted):
                clock.mark("comparison")
            embeddings = self._prompts.encode(wanted)
            clock.mark("prompts")
            image, placement = self.backend.upload(pixels), self._place(*frame)
            features = self._see(0, image, placement, clock.mark)
            newest = self._newest_prompts(wanted)
            if newest != wanted:
                wanted, embeddings = newest, self._prompts.encode(newest)
            maps = self.backend.maps(features, embeddings, placement)
            clock.mark("decoder")
            if self.detail != "off":
                maps = self._closer(maps, image, frame, embeddings)
                clock.mark(self.detail)
            probabilities = combine_maps(wanted, self.backend.download(maps))
            clock.mark("download")
        if not np.isfinite(probabilities).all():
            self._seen.clear()  # these features may be the cause
            self._reuse.forget()
            raise NoPrediction(no_prediction(self.dtype))
        probabilities.setflags(write=False)
        return Segmentation(probabilities, wanted, frame, clock.milliseconds(), self._reuse.share)

    def _closer(self, whole: Any, image: Any, frame: tuple[int, int], embeddings: Embeddings) -> Any:
        """Return the maps of the whole frame with those of its parts merged in."""

        def predict(number: int, rows: slice, columns: slice) -> Any:
            placement = self._place(rows.stop - rows.start, columns.stop - columns.start)
            part = self.backend.crop(image, rows, columns)
            return self.backend.maps(self._see(number, part, placement, lambda stage: None), embeddings, placement)

        return self.backend.add_detail(whole, self.detail, frame, self.size, predict)

    def _after_layer(self) -> None:
        """Do nothing. Called while the vision encoder runs, after each of its layers."""

    def _newest_prompts(self, wanted: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
        """Return the prompts to decode, once the image is encoded: those of the call."""
        return wanted

    def _place(self, height: int, width: int) -> Placement:
        return place_frame(height, width, size=self.size, patch=self.backend.patch, fit=self.fit)

    def _see(self, number: int, image: Any, placement: Placement, mark: Callable[[str], None]) -> Any:
        """Return the features of an image; the cached ones if the network input is identical.

        Args:
            number: 0 for the whole frame, else the number of the part; the last network input is cached by it.
            image: value of the backend.
            placement: position of the image in the network input.
            mark: ends a stage of the clock.
        """
        prepared = self.backend.prepare(image, placement, self.preprocessing)
        mark("prepare")
        seen = self._seen.get(number)
        if seen is not None and self.backend.is_same(seen[0], prepared) and not (number == 0 and self._reuse.is_due):
            if number == 0:
                self._reuse.repeat()
            mark("vision")
            return seen[1]
        self._seen.pop(number, None)
        if number == 0:
            features = self._reuse.features(self.backend, prepared, self.preprocessing, self._after_layer)
        else:
            features = self.backend.features(prepared, self.preprocessing)
        self._seen[number] = prepared, features
        self.vision_passes += 1
        mark("vision")
        return features

    def _check_size(self, size: int | None) -> int:
        size = self.preprocessing.size if size is None else size
        patch = self.backend.patch
        if size < patch or size > 2048:
            raise UsageError(f"A size of {size} is out of range: use {patch} to 2048, in steps of {patch}.")
        if size % patch:
            raise UsageError(f"A size of {size} is not a multiple of {patch}: use {round(size / patch) * patch}.")
        return size

    def _lower_precision(self, dtype: str) -> None:
        """Switch to a precision if it gives the same masks as float32 on a drawn image, else to the next one."""
        candidates = precision.NEXT_PRECISIONS.get(dtype, ())
        if candidates:
            full = self.backend
            self._take_next(precision.Reference(full, self._prompts.for_backend(full), self._trial(), candidates), [])

    def _compare_frame(self, reference: precision.Reference, pixels: Pixels, wanted: tuple[Prompt, ...]) -> bool:
        """Compare some of the first frames with float32. If one differs visibly, switch to the next precision.

        Return whether this frame was one of them.
        """
        number = reference.frames + 1
        compared = number in precision.COMPARED_FRAMES
        if compared:
            self._compare(reference, pixels, wanted)
        reference.frames = number
        if self.backend is reference.backend or number >= max(precision.COMPARED_FRAMES):
            self._reference = None  # free its memory
        return compared

    def _compare(self, reference: precision.Reference, pixels: Pixels, wanted: tuple[Prompt, ...]) -> None:
        placement = self._place(pixels.shape[0], pixels.shape[1])
        try:
            expected = reference.maps(pixels, wanted, placement, self.preprocessing)
        except Exception as error:
            if not is_memory_error(error):
                raise
            logger.warning("There is no memory to compare a frame in %s with float32", self.dtype, exc_info=True)
            return
        reasons: list[str] = []
        while self.backend is not reference.backend and self._changes(pixels, wanted, placement, expected):
            reasons.append(f"{self.dtype} changes the masks of this source visibly on {self.device}")
            self._take_next(reference, reasons)

    def _changes(
        self, pixels: Pixels, wanted: tuple[Prompt, ...], placement: Placement, expected: NDArray[np.float32]
    ) -> bool:
        """Return whether the maps of a frame differ visibly from those in float32. Its features are cached."""
        try:
            embeddings = self._prompts.encode(wanted)
            features = self._see(0, self.backend.upload(pixels), placement, lambda stage: None)
        except NoPrediction:
            logger.warning("No finite prediction in %s", self.dtype, exc_info=True)
            return True
        found = self.backend.download(self.backend.maps(features, embeddings, placement))
        return precision.differs_visibly(found, expected, self.dtype)

    def _take_next(self, reference: precision.Reference, reasons: list[str]) -> None:
        """Switch to the first candidate that can be used, or to float32, and add notices.

        Args:
            reference: model in float32. It is kept for the first frames if a candidate is used.
            reasons: why the precisions so far cannot be used; those of this call are added.
        """
        self._reference = None
        while reference.candidates:
            name, *others = reference.candidates
            reference.candidates = tuple(others)
            reason = self._refuses(reference.backend, name, reference.trial)
            if reason is None:
                self._reference = reference
                break
            reasons.append(reason)
        else:
            self._use(reference.backend)
        for reason in reasons:
            notice = f"{reason}, so {self.dtype} is used."
            self._precision_notices.append(notice)
            logger.warning("%s", notice)
        reasons.clear()

    def _refuses(self, full: Backend, name: str, expected: NDArray[np.float32]) -> str | None:
        """Switch to a precision, and return why it cannot be used, or None."""
        reason = f"{name} changes this model's masks visibly on {full.device_name}"
        try:
            self._use(full.in_precision(name))
            return reason if precision.differs_visibly(self._trial(), expected, name) else None
        except UnsupportedPrecision as error:
            logger.warning("%s is not used", name, exc_info=True)
            return str(error)
        except NoPrediction:
            logger.warning("No finite prediction in %s", name, exc_info=True)
            return reason
        except RuntimeError:  # the library lacks an operation in this precision for this device
            logger.warning("%s failed on %s", name, full.device_name, exc_info=True)
            return f"{name} does not work on {full.device_name}"

    def _use(self, backend: Backend) -> None:
        self.backend = backend
        self._prompts.use(backend)
        self._seen.clear()
        self._reuse.forget()

    def _adopt(self, network: "ClipSeg") -> None:
        """Run another network of PyTorch; only with the engine torch."""
        from clipseg_live.model.pytorch.backend import TorchBackend

        self._reference = None
        self._use(TorchBackend(network.network))

    def _trial(self) -> NDArray[np.float32]:
        """Return the maps of a drawn image for three texts."""
        passes = self.vision_passes
        texts = tuple(Prompt.text(text) for text in precision.TRIAL_TEXTS)
        probabilities = Segmenter._segment(self, precision.trial_picture(), texts).probabilities
        self.vision_passes = passes
        return probabilities


def _open(files: ModelFiles, choice: EngineChoice, reuse: bool) -> tuple[Backend, Tokenizer]:
    """Return the network in float32, and the tokenizer."""
    if choice.engine == "openvino":
        from clipseg_live.model.openvino import backend

        try:
            return backend.open_model(files, layered=reuse)
        except (ClipsegLiveError, MemoryError):
            raise
        except Exception as error:  # the converter and the compiler raise anything
            if not choice.fallback:
                logger.warning("OpenVINO cannot run the model", exc_info=True)
                reason = " ".join(str(error).split())[:160]
                raise ModelError(
                    f"OpenVINO cannot run the model in {files.folder} ({type(error).__name__}: {reason}): use the "
                    "engine torch."
                ) from error
            logger.warning("OpenVINO cannot run the model, so PyTorch is used", exc_info=True)
    from clipseg_live.model.pytorch.backend import TorchBackend

    loaded = loading.load_network(files)
    return TorchBackend(loaded.network.to(choice.device)), Tokenizer.of(loaded.tokenizer)


def check_options(device: str, dtype: str, fit: str, detail: str = "off", engine: str = "auto") -> EngineChoice:
    """Return the engine, device and precision of these names.

    Raises:
        UsageError: if a value is invalid, or not available on this machine.
    """
    _check_choices(fit, detail)
    return choose_engine(engine, device, dtype)


def _check_choices(fit: str, detail: str) -> None:
    if fit not in RESIZE_MODES:
        raise UsageError(f"{fit!r} is not a fit mode: use one of {', '.join(RESIZE_MODES)}.")
    if detail not in DETAILS:
        raise UsageError(f"{detail!r} is not a detail mode: use one of {', '.join(DETAILS)}.")
