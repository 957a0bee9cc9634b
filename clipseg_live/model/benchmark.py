"""Benchmarks: the engine against the forward of transformers, low precisions against float32, and matrix products.

Every comparison uses the same weights and alternates within one run. With the engine torch, transformers runs on the
same device in the same precision, else on the CPU in float32.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTokenizer

from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import Prompt, TextPrompt
from clipseg_live.model.preprocess import place_frame
from clipseg_live.model.pytorch.clipseg import ClipSeg
from clipseg_live.model.pytorch.images import as_tensor, normalise, resize
from clipseg_live.model.segmenter import Segmenter
from clipseg_live.model.store.loading import SHAPES_MODEL, load_network

PHRASES = (
    "cat", "dog", "a mug", "hair", "sky", "wood", "grass", "a hand",
    "a face", "water", "a tree", "a book", "a lamp", "the wall", "a car", "shoes",
)  # fmt: skip
_ROWS, _IN, _OUT = 485, 768, 3072  # the widest product of the published models' vision encoder: 22² tokens and one
_ROUNDS = 5
_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class BenchmarkRow:
    """Medians for one number of prompts.

    Attributes:
        prompts: number of prompts.
        size: side of the network's square in pixels.
        device: name of the device.
        dtype: name of the precision.
        threads: CPU threads of the engine.
        reference_ms: forward of transformers, text encoding included, from ready pixel values to probabilities on the
            host.
        ours_ms: ``Segmenter.segment`` on a new frame, from its uint8 pixels to probabilities on the host. Prompts are
            encoded beforehand, as while a video runs.
        ratio: reference_ms / ours_ms.
        max_difference: largest difference of any probability on the same frame.
        stages: milliseconds of each stage of the engine.
        matrix_share: time of the linear layers of the encoder's blocks alone, over the time of the encoder.
        gigaflops: floating-point operations of those layers over the encoder's time, in 1e9 per second. This and
            matrix_share are None for another engine than torch.
        engine: name of the engine.
    """

    prompts: int
    size: int
    device: str
    dtype: str
    threads: int
    reference_ms: float
    ours_ms: float
    ratio: float
    max_difference: float
    stages: dict[str, float]
    matrix_share: float | None
    gigaflops: float | None
    engine: str = "torch"


@dataclass(frozen=True, slots=True)
class Precision:
    """Comparison of a low precision with float32, with the model ``shapes`` on one drawn image and three texts.

    Attributes:
        dtype: name of the precision.
        device: name of the device.
        refusal: the reason if the precision was refused, else None.
        largest: largest absolute difference of probability; None if it was refused.
        mean: mean absolute difference of probability; None if it was refused.
        milliseconds: time of a frame, the fastest of some alternating rounds; None if it was refused.
        float32_milliseconds: the same in float32.
        engine: name of the engine.
    """

    dtype: str
    device: str
    refusal: str | None
    largest: float | None
    mean: float | None
    milliseconds: float | None
    float32_milliseconds: float
    engine: str = "torch"


@dataclass(frozen=True, slots=True)
class MatrixSpeed:
    """Milliseconds of one matrix product of the published models' size on the CPU, the fastest of some rounds.

    Attributes:
        float32: in float32.
        bfloat16: in bfloat16.
        all_cores: in float32 with a thread for each core; None if PyTorch already uses as many.
    """

    float32: float
    bfloat16: float
    all_cores: float | None


def benchmark(segmenter: Segmenter, counts: Sequence[int], *, rounds: int = 3) -> Iterator[BenchmarkRow]:
    """Yield a row for each number of prompts (1 to 16).

    Args:
        segmenter: loaded with fit "stretch".
        counts: numbers of prompts.
        rounds: repetitions of each measurement.
    """
    yield from benchmark_all([segmenter], counts, rounds=rounds)


def benchmark_all(segmenters: Sequence[Segmenter], counts: Sequence[int], *, rounds: int = 3) -> Iterator[BenchmarkRow]:
    """Yield a row for each engine and number of prompts; engines take turns, so that they meet the same conditions.

    Args:
        segmenters: engines with the same model, loaded with fit "stretch" and the same size.
        counts: numbers of prompts.
        rounds: repetitions of each measurement.
    """
    frames = [_frame(seed) for seed in range(2)]
    reference = _Reference(segmenters[0])
    shares = [_matrix_share(each, frames[0], rounds) if each.engine == "torch" else (None, None) for each in segmenters]
    for count in counts:
        prompts = [Prompt.text(phrase) for phrase in PHRASES[:count]]
        yield from _rows(segmenters, reference, prompts, frames, rounds, shares)


def precisions(device: str = "auto", engine: str = "auto", model: str = SHAPES_MODEL) -> tuple[Precision, ...]:
    """Compare an engine's low precisions with float32: bfloat16, and int8 (OpenVINO) or float16 (PyTorch on a GPU).

    Raises:
        ModelError: if the model is missing.
        UsageError: if the device or the engine is not available.
    """
    full = Segmenter.load(model, device=device, dtype="float32", engine=engine)
    if full.engine == "openvino":
        names: tuple[str, ...] = ("bfloat16", "int8")
    else:
        names = ("bfloat16",) if full.device == "cpu" else ("float16", "bfloat16")
    low = (Segmenter.load(model, device=device, dtype=name, engine=full.engine) for name in names)
    return tuple(_compare(full, each, name) for each, name in zip(low, names, strict=True))


def matrix_speed(cores: int | None) -> MatrixSpeed:
    """Time one matrix product in float32 and bfloat16.

    Args:
        cores: number of threads to try too, if PyTorch uses another one.
    """

    def product(dtype: torch.dtype) -> Callable[[], object]:
        tokens, weights = torch.ones(_ROWS, _IN, dtype=dtype), torch.ones(_OUT, _IN, dtype=dtype)
        return lambda: nn.functional.linear(tokens, weights)

    threads = torch.get_num_threads()
    with torch.inference_mode():
        full, low = product(torch.float32), product(torch.bfloat16)
        single, half = _fastest([full, low], 20)
        if cores is None or threads == cores:
            return MatrixSpeed(single, half, None)
        torch.set_num_threads(cores)
        try:
            return MatrixSpeed(single, half, _fastest([full], 20)[0])
        finally:
            torch.set_num_threads(threads)


def _rows(
    segmenters: Sequence[Segmenter],
    reference: "_Reference",
    prompts: list[TextPrompt],
    frames: list[Pixels],
    rounds: int,
    shares: Sequence[tuple[float | None, float | None]],
) -> Iterator[BenchmarkRow]:
    expected = reference(frames[0], prompts)
    differences = [
        float(np.abs(each.segment(frames[0], prompts).probabilities - expected).max()) for each in segmenters
    ]
    reference_times: list[float] = []
    engine_times: list[list[float]] = [[] for _ in segmenters]
    stages: list[list[Mapping[str, float]]] = [[] for _ in segmenters]
    for number in range(rounds):
        reference_times.append(_milliseconds(lambda: reference(frames[0], prompts), reference.device))
        for repeat in range(3):  # never the last frame, whose features are cached
            frame = frames[(number + repeat + 1) % 2]
            for segmenter, times, timings in zip(segmenters, engine_times, stages, strict=True):
                start = time.perf_counter()
                timings.append(segmenter.segment(frame, prompts).timings)
                times.append((time.perf_counter() - start) * 1000)
    reference_ms = statistics.median(reference_times)
    for index, segmenter in enumerate(segmenters):
        ours_ms = statistics.median(engine_times[index])
        yield BenchmarkRow(
            prompts=len(prompts),
            size=segmenter.size,
            device=segmenter.device,
            dtype=segmenter.dtype,
            threads=segmenter.backend.threads,
            reference_ms=reference_ms,
            ours_ms=ours_ms,
            ratio=reference_ms / ours_ms,
            max_difference=differences[index],
            stages={name: statistics.median(stage[name] for stage in stages[index]) for name in stages[index][0]},
            matrix_share=shares[index][0],
            gigaflops=shares[index][1],
            engine=segmenter.engine,
        )


class _Reference:
    """Forward of transformers for the same image and texts."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        if segmenter.engine == "torch":
            self._network = segmenter.network
        else:
            self._network = ClipSeg(load_network(segmenter.files).network)
        self._tokenizer = CLIPTokenizer.from_pretrained(segmenter.files.folder, local_files_only=True)
        self.device = self._network.device

    @torch.inference_mode()
    def __call__(self, frame: Pixels, prompts: list[TextPrompt]) -> NDArray[np.float32]:
        tokens = self._tokenizer([prompt.phrase for prompt in prompts], padding=True, return_tensors="pt")
        pixels = _pixel_values(self._segmenter, self._network, frame).expand(len(prompts), -1, -1, -1).contiguous()
        logits = self._network.network(pixel_values=pixels, **tokens.to(self.device)).logits
        maps: NDArray[np.float32] = logits.reshape(len(prompts), *logits.shape[-2:]).sigmoid().float().cpu().numpy()
        return maps


def _pixel_values(segmenter: Segmenter, network: ClipSeg, frame: Pixels) -> Tensor:
    placement = place_frame(*frame.shape[:2], size=segmenter.size, patch=network.patch, fit="stretch")
    picture = resize(as_tensor(frame).to(network.device), placement, segmenter.preprocessing)
    return normalise(picture, segmenter.preprocessing, network.dtype)


@torch.inference_mode()
def _matrix_share(segmenter: Segmenter, frame: Pixels, rounds: int) -> tuple[float, float]:
    """Return the share of the encoder's time that its blocks' linear layers alone take, and their rate.

    The rate is their floating-point operations over the encoder's time, in 1e9 per second.
    """
    network = segmenter.network
    pixels = _pixel_values(segmenter, network, frame)
    blocks = network.vision.encoder.layers[: network.depth]
    linears = [module for block in blocks for module in block.modules() if isinstance(module, nn.Linear)]
    tokens = (segmenter.size // network.patch) ** 2 + 1
    inputs = {
        width: torch.randn((1, tokens, width), device=network.device).to(network.dtype)
        for width in {linear.in_features for linear in linears}
    }

    def run_linears() -> None:
        for linear in linears:
            linear(inputs[linear.in_features])

    alone, encoder = [], []
    for _ in range(3 * rounds):
        alone.append(_milliseconds(run_linears, network.device))
        encoder.append(_milliseconds(lambda: network.features(pixels), network.device))
    operations = sum(2 * tokens * linear.in_features * linear.out_features for linear in linears)
    milliseconds = statistics.median(encoder)
    return statistics.median(alone) / milliseconds, operations / milliseconds / 1e6


def _milliseconds(work: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return (time.perf_counter() - start) * 1000


def _frame(seed: int) -> Pixels:
    """Return 1280×720 pixels of coarse coloured noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (45, 80, 3), np.uint8)
    return coarse.repeat(16, axis=0).repeat(16, axis=1)


def _compare(full: Segmenter, low: Segmenter, name: str) -> Precision:
    pictures = _pictures(full.size)
    phrases = [Prompt.text(text) for text in ("red circle", "blue square", "everything")]
    if low.dtype != name:
        reference = _fastest([_turns(full, pictures, phrases)], _ROUNDS)[0]
        refusal = low.notices[0] if low.notices else f"{low.dtype} is used instead."
        return Precision(name, full.device, refusal, None, None, None, reference, full.engine)
    expected, actual = (one.segment(pictures[0], phrases).probabilities for one in (full, low))
    difference = np.abs(actual - expected)
    reference, time_taken = _fastest([_turns(one, pictures, phrases) for one in (full, low)], _ROUNDS)
    largest, mean = float(difference.max()), float(difference.mean())
    return Precision(name, full.device, None, largest, mean, time_taken, reference, full.engine)


def _turns(segmenter: Segmenter, pictures: tuple[Pixels, Pixels], phrases: Sequence[Prompt]) -> Callable[[], object]:
    """Return a function that segments a different frame at each call, because the features of the last are cached."""
    count = 0

    def frame() -> object:
        nonlocal count
        count += 1
        return segmenter.segment(pictures[count % 2], phrases)

    return frame


def _pictures(side: int) -> tuple[Pixels, Pixels]:
    """Return a red disc and a blue square over a gradient, uint8 (side, side, 3), and its mirror image."""
    ramp = np.linspace(60, 190, side, dtype=np.float32)
    picture = np.stack(np.broadcast_arrays(ramp, ramp[:, None], 200 - ramp), axis=-1)
    rows, columns = (axis / side for axis in np.ogrid[:side, :side])
    picture[(rows - 0.3) ** 2 + (columns - 0.3) ** 2 < 0.04] = (220, 30, 40)
    picture[(abs(rows - 0.7) < 0.15) & (abs(columns - 0.7) < 0.15)] = (30, 60, 220)
    pixels = picture.astype(np.uint8)
    return pixels, np.ascontiguousarray(pixels[:, ::-1])


def _fastest(actions: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Return the milliseconds of each action, the fastest of some alternating rounds.

    On a busy or slow machine it ends after the round in which ``_SECONDS`` have passed.
    """
    best = [float("inf")] * len(actions)
    began = time.perf_counter()
    for _ in range(rounds):
        for index, action in enumerate(actions):
            start = time.perf_counter()
            action()
            best[index] = min(best[index], (time.perf_counter() - start) * 1000)
        if time.perf_counter() - began > _SECONDS:
            break
    return best
