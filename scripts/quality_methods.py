"""What ``bench_quality.py`` compares: ways from a model's coarse maps to mattes, and an oracle in the model's place."""

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
"""CLIPSeg sees 352×352 pixels as 22×22 tokens and decodes them to 352×352."""
THRESHOLD = 0.5


class Model(Protocol):
    """Gives maps, float32 (objects, 352, 352), for a frame whose true mattes are ``mattes``."""

    def __call__(self, pixels: Pixels, mattes: Planes) -> Planes: ...


@dataclass
class Oracle:
    """The true mattes as a model of CLIPSeg's resolution would give them at best, and then disturbed.

    Means over the tokens; noise of deviation ``noise`` a token, blurred over space (deviation 0.8 tokens) and
    correlated over answers (0.7 from one to the next); with probability ``misses`` an answer is weakened to 0.3 of
    itself, and with ``blobs`` it fires in a false place as large as a few tokens. Raised to 352×352 bilinearly.
    """

    seed: int
    noise: float = 0.06
    misses: float = 0.05
    blobs: float = 0.05
    kept: float = 0.7
    _state: Planes | None = None

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng([self.seed, 41])

    def __call__(self, pixels: Pixels, mattes: Planes) -> Planes:
        fresh = np.stack([self._blurred() for _ in mattes]) * np.float32(self.noise)
        past = self._state if self._state is not None else fresh
        self._state = np.float32(self.kept) * past + np.float32(np.sqrt(1 - self.kept**2)) * fresh
        return np.stack([self._map(matte, noise) for matte, noise in zip(mattes, self._state, strict=True)])

    def _blurred(self) -> NDArray[np.float32]:
        """Noise over the tokens of deviation 1."""
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
    """The built-in small model, asked for ``phrases``."""

    phrases: tuple[str, ...]
    segmenter: Segmenter = field(default_factory=lambda: Segmenter.load("shapes", device="cpu", dtype="float32"))

    def __call__(self, pixels: Pixels, mattes: Planes) -> Planes:
        found = self.segmenter.segment(pixels, [Prompt.text(phrase) for phrase in self.phrases])
        return np.asarray(found.probabilities, np.float32)


def answered(shots: Iterator[Shot], model: Model, period: int) -> Iterator[tuple[Shot, list[tuple[Planes, int]]]]:
    """Each shot with the answers that are there when it is shown, and the numbers of their frames. period: frames that
    an answer takes; 0 gives every frame its own at once."""
    waiting: tuple[Planes, int] | None = None
    for number, shot in enumerate(shots):
        answers = []
        if waiting is not None and number >= waiting[1] + period:
            answers.append(waiting)
            waiting = None
        if waiting is None:
            waiting = model(shot.pixels, shot.mattes), number
            if period == 0:
                answers, waiting = [waiting], None
        yield shot, answers


class Method(Protocol):
    """Takes an answer for frame ``index``, and gives mattes for the frames that are shown, in order."""

    def take(self, maps: Planes, index: int) -> None: ...

    def mattes(self, frame: Frame) -> Planes: ...


def raised(maps: Planes, frame: Frame) -> Planes:
    """Maps at the frame's own size, bilinear."""
    size = frame.width, frame.height
    return np.stack([cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in maps]).astype(np.float32)


class Latest:
    """A method that shows each answer until the next one, drawn once by ``draw``."""

    def __init__(self, draw: Callable[[Planes], Planes]) -> None:
        self._draw = draw
        self._maps: Planes | None = None
        self._shown: Planes | None = None

    def take(self, maps: Planes, index: int) -> None:
        self._maps, self._shown = maps, None

    def mattes(self, frame: Frame) -> Planes:
        if self._shown is None:
            assert self._maps is not None, "no answer yet"
            self._shown = self._draw(raised(self._maps, frame))
        return self._shown


def passing(probabilities: Planes) -> Planes:
    """1.0 where a probability passes the threshold: what every CLIPSeg demo shows."""
    return (probabilities > THRESHOLD).astype(np.float32)


def bilateral(probabilities: Planes) -> Planes:
    """OpenCV's bilateral filter over the raised maps, then the threshold."""
    smooth = [cv2.bilateralFilter(one, 9, 0.2, 4) for one in probabilities]
    return passing(np.stack(smooth).astype(np.float32))


class Averaged:
    """An exponential average after the threshold, the newest with weight 0.85: the order of obs-backgroundremoval."""

    def __init__(self, newest: float = 0.85) -> None:
        self._newest = np.float32(newest)
        self._past: Planes | None = None

    def __call__(self, probabilities: Planes) -> Planes:
        masks = passing(probabilities)
        past = self._past if self._past is not None else masks
        self._past = np.asarray(self._newest * masks + (1 - self._newest) * past, np.float32)
        return self._past


def request(objects: int, settings: MatteSettings) -> MatteRequest:
    """All of the objects, each with the plain style."""
    keys = tuple(range(objects))
    return MatteRequest(keys, keys, (PromptStyle(),) * objects, settings)


def planes(mattes: Mattes) -> Planes:
    """The alphas of mattes as 0..1."""
    return np.stack([one.alpha for one in mattes.each]).astype(np.float32) / np.float32(255)


class Ours:
    """The application's own pipeline, as live and causal export use it."""

    def __init__(self, objects: int, settings: MatteSettings | None = None) -> None:
        self._request = request(objects, settings or MatteSettings())
        self._pipeline = CausalMattes()

    def take(self, maps: Planes, index: int) -> None:
        self._pipeline.take(maps, self._request.keys, index)

    def show(self, frame: Frame) -> None:
        self._pipeline.show(frame, self._request.settings)

    def mattes(self, frame: Frame) -> Planes:
        self.show(frame)
        found = self._pipeline.mattes(frame, self._request)
        if not found.each:  # since a cut there was no answer
            return np.zeros((len(self._request.keys), frame.height, frame.width), np.float32)
        return planes(found)


METHODS = ("plain", "soft", "average", "bilateral", "ours")
"""Threshold of the raised map; that map itself as a matte; the two above; ours."""


def method(name: str, objects: int) -> Method:
    """A fresh one of ``METHODS``."""
    if name == "ours":
        return Ours(objects)
    return Latest({"plain": passing, "soft": lambda found: found, "average": Averaged(), "bilateral": bilateral}[name])


def lookahead(shots: Iterator[tuple[Pixels, Planes]], objects: int, rate: int) -> Iterator[Planes]:
    """Mattes of every frame by export's default mode, from pictures and their maps."""
    plan = RenderPlan(tuple(PlannedPrompt(number, number) for number in range(objects)))
    pipeline = FramePipeline(plan, RenderTools(lambda: LookaheadMattes(plan.matte), EffectRenderer))

    def predictions() -> Iterator[tuple[Frame, Prediction]]:
        for index, (pixels, maps) in enumerate(shots):
            frame = Frame(pixels, index, Fraction(index, rate))
            yield frame, plan.prediction(frame, maps)

    for rendered in pipeline.in_order(predictions()):
        yield planes(rendered.mattes)
