"""Methods that ``bench_quality.py`` compares, from coarse maps to mattes, and an oracle instead of a model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from quality_clips import Shot

from clipseg_live.core.frame import Frame, Pixels
from clipseg_live.core.mattes import MatteRequest, Mattes
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.rendered_frame import PlannedPrompt, RenderPlan
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.core.status import Prediction
from clipseg_live.matting.causal import CausalMattes
from clipseg_live.matting.lookahead import LookaheadMattes
from clipseg_live.model.segmenter import Segmenter
from clipseg_live.rendering.renderer import EffectRenderer
from clipseg_live.runtime.pipeline import FramePipeline, RenderTools

Planes = NDArray[np.float32]
"""(objects, height, width), 0..1."""
TOKENS, GRID = 22, 352
"""CLIPSeg encodes 352×352 pixels as 22×22 tokens and decodes them to 352×352."""
THRESHOLD = 0.5


class Model(Protocol):
    """Returns maps, float32 (objects, 352, 352), for a frame with the true mattes ``mattes``."""

    def __call__(self, pixels: Pixels, mattes: Planes) -> Planes: ...


@dataclass
class Oracle:
    """Predictions from the true mattes: the best result at CLIPSeg's resolution, with disturbances.

    Mattes are averaged over the tokens and upsampled to 352×352 bilinearly. Noise is blurred over space with a
    deviation of 0.8 tokens.

    Attributes:
        seed: Seed of the disturbances.
        noise: Standard deviation of the noise of a token.
        misses: Probability that a prediction is multiplied by 0.3.
        blobs: Probability of a false positive of a few tokens.
        correlation: Correlation of the noise between successive predictions.
    """

    seed: int
    noise: float = 0.06
    misses: float = 0.05
    blobs: float = 0.05
    correlation: float = 0.7
    _state: Planes | None = None

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng([self.seed, 41])

    def __call__(self, pixels: Pixels, mattes: Planes) -> Planes:
        fresh = np.stack([self._blurred() for _ in mattes]) * np.float32(self.noise)
        past = self._state if self._state is not None else fresh
        self._state = np.float32(self.correlation) * past + np.float32(np.sqrt(1 - self.correlation**2)) * fresh
        return np.stack([self._map(matte, noise) for matte, noise in zip(mattes, self._state, strict=True)])

    def _blurred(self) -> NDArray[np.float32]:
        """Return noise of standard deviation 1 over the tokens."""
        white = self._rng.standard_normal((TOKENS + 8, TOKENS + 8)).astype(np.float32)
        spread = cv2.GaussianBlur(white, (0, 0), 0.8)[4:-4, 4:-4]
        return np.asarray(spread * np.float32(2 * np.sqrt(np.pi) * 0.8), np.float32)

    def _map(self, matte: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
        tokens = cv2.resize(matte, (TOKENS, TOKENS), interpolation=cv2.INTER_AREA)
        if self._rng.random() < self.misses:
            tokens = tokens * np.float32(0.3)
        if self._rng.random() < self.blobs:
            x, y = self._rng.uniform(0, TOKENS, 2)
            far = np.hypot(np.arange(TOKENS) + 0.5 - x, (np.arange(TOKENS) + 0.5 - y)[:, None])
            tokens = np.maximum(tokens, 0.9 * np.exp(-((far / 2) ** 2)).astype(np.float32))
        tokens = np.clip(tokens + noise, 0, 1).astype(np.float32)
        return np.asarray(cv2.resize(tokens, (GRID, GRID), interpolation=cv2.INTER_LINEAR), np.float32)


@dataclass(eq=False)
class Shapes:
    """The built-in small model with the prompts ``phrases``."""

    phrases: tuple[str, ...]
    segmenter: Segmenter = field(default_factory=lambda: Segmenter.load("shapes", device="cpu", dtype="float32"))

    def __call__(self, pixels: Pixels, mattes: Planes) -> Planes:
        prediction = self.segmenter.segment(pixels, [Prompt.text(phrase) for phrase in self.phrases])
        return np.asarray(prediction.probabilities, np.float32)


def predicted(shots: Iterator[Shot], model: Model, period: int) -> Iterator[tuple[Shot, list[tuple[Planes, int]]]]:
    """Yield each shot with the predictions that are available when it is shown, and the indices of their frames.

    Args:
        shots: Frames of a clip.
        model: The model.
        period: Duration of a prediction in frames; 0 predicts every frame at once.
    """
    pending: tuple[Planes, int] | None = None
    for number, shot in enumerate(shots):
        available = []
        if pending is not None and number >= pending[1] + period:
            available.append(pending)
            pending = None
        if pending is None:
            pending = model(shot.pixels, shot.mattes), number
            if period == 0:
                available, pending = [pending], None
        yield shot, available


class Method(Protocol):
    """Takes a prediction for frame ``index``, and returns mattes for the shown frames, in order."""

    def take(self, maps: Planes, index: int) -> None: ...

    def mattes(self, frame: Frame) -> Planes: ...


def upsampled(maps: Planes, frame: Frame) -> Planes:
    """Return the maps at the frame's size, bilinear."""
    size = frame.width, frame.height
    return np.stack([cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in maps]).astype(np.float32)


class Latest:
    """A method that shows each prediction until the next one, processed once by ``draw``."""

    def __init__(self, draw: Callable[[Planes], Planes]) -> None:
        self._draw = draw
        self._maps: Planes | None = None
        self._shown: Planes | None = None

    def take(self, maps: Planes, index: int) -> None:
        self._maps, self._shown = maps, None

    def mattes(self, frame: Frame) -> Planes:
        if self._shown is None:
            assert self._maps is not None, "no prediction yet"
            self._shown = self._draw(upsampled(self._maps, frame))
        return self._shown


def above_threshold(probabilities: Planes) -> Planes:
    """Return 1.0 where a probability is above the threshold, as most CLIPSeg demos do."""
    return (probabilities > THRESHOLD).astype(np.float32)


def bilateral(probabilities: Planes) -> Planes:
    """Apply OpenCV's bilateral filter to the upsampled maps, then the threshold."""
    smooth = [cv2.bilateralFilter(one, 9, 0.2, 4) for one in probabilities]
    return above_threshold(np.stack(smooth).astype(np.float32))


class Averaged:
    """An exponential average of thresholded masks with weight 0.85 for the newest, as in obs-backgroundremoval."""

    def __init__(self, newest: float = 0.85) -> None:
        self._newest = np.float32(newest)
        self._past: Planes | None = None

    def __call__(self, probabilities: Planes) -> Planes:
        masks = above_threshold(probabilities)
        past = self._past if self._past is not None else masks
        self._past = np.asarray(self._newest * masks + (1 - self._newest) * past, np.float32)
        return self._past


def request(objects: int, settings: MatteSettings) -> MatteRequest:
    """Return a request for all objects, each with the default style."""
    keys = tuple(range(objects))
    return MatteRequest(keys, keys, (PromptStyle(),) * objects, settings)


def planes(mattes: Mattes) -> Planes:
    """Return the alphas of mattes, 0..1."""
    return np.stack([one.alpha for one in mattes.each]).astype(np.float32) / np.float32(255)


class Ours:
    """The pipeline of the application, as in live use and causal exports."""

    def __init__(self, objects: int, settings: MatteSettings | None = None) -> None:
        self._request = request(objects, settings or MatteSettings())
        self._pipeline = CausalMattes()

    def take(self, maps: Planes, index: int) -> None:
        self._pipeline.take(maps, self._request.keys, index)

    def show(self, frame: Frame) -> None:
        self._pipeline.show(frame, self._request.settings)

    def mattes(self, frame: Frame) -> Planes:
        self.show(frame)
        result = self._pipeline.mattes(frame, self._request)
        if not result.each:  # there was no prediction since a cut
            return np.zeros((len(self._request.keys), frame.height, frame.width), np.float32)
        return planes(result)


METHODS = ("plain", "soft", "average", "bilateral", "ours")
"""Threshold of the upsampled map; the upsampled map as a matte; Averaged; bilateral; Ours."""


def method(name: str, objects: int) -> Method:
    """Return a new method of ``METHODS``."""
    if name == "ours":
        return Ours(objects)
    return Latest(
        {"plain": above_threshold, "soft": lambda maps: maps, "average": Averaged(), "bilateral": bilateral}[name]
    )


def lookahead(shots: Iterator[tuple[Pixels, Planes]], objects: int, rate: int) -> Iterator[Planes]:
    """Yield the mattes of every frame by the default mode of exports, from frames and their maps."""
    plan = RenderPlan(tuple(PlannedPrompt(number, number) for number in range(objects)))
    pipeline = FramePipeline(plan, RenderTools(lambda: LookaheadMattes(plan.matte), EffectRenderer))

    def predictions() -> Iterator[tuple[Frame, Prediction]]:
        for index, (pixels, maps) in enumerate(shots):
            frame = Frame(pixels, index, Fraction(index, rate))
            yield frame, plan.prediction(frame, maps)

    for rendered in pipeline.in_order(predictions()):
        yield planes(rendered.mattes)
