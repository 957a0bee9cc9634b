"""Engines without torch for the inference worker's process. The process imports them by name."""

import os
import time
from collections.abc import Callable, Sequence

import numpy as np

from clipseg_live.core.errors import ModelError, UsageError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.base import Detail, EngineSettings, ResizeMode

Report = Callable[[str], None]
SLOW_COLOUR = (1, 2, 203)


class FakeLiveEngine:
    """For each prompt, a map of 4×4 with 1 where its colour ("red", "green" or "blue") is the largest channel.

    Other prompts cause faults: "crash" ends the process, "memory" raises MemoryError, "slow" takes a second, "hang"
    takes an hour, "refused" is invalid for the model. "imprecise" makes it change its precision. If edits are answered
    while a frame is encoded, encoding of a frame with ``SLOW_COLOUR`` in its corner lasts until one was.
    """

    name, device, dtype, engine = "fake", "cpu", "float32", "fake"
    notices: tuple[str, ...] = ()
    approximate = False
    after_layer: Callable[[], None] | None = None
    newest_prompts: Callable[[], tuple[Prompt, ...]] | None = None

    def __init__(self) -> None:
        self.side = 4
        self.recomputed: float | None = None
        self.last: Pixels | None = None
        self.edits = 0

    def configure(self, size: int | None, fit: ResizeMode, detail: Detail, reuse: bool) -> None:
        self.side = (size or 64) // 16
        self.recomputed = 0.5 if reuse else None

    def forget(self) -> None:
        if self.recomputed is not None:
            self.recomputed = 1.0  # the next frame; see ``segment``
        self.last = None

    def segment_last(self, prompts: tuple[Prompt, ...]) -> Segmentation | None:
        if self.last is None:
            return None
        if "refused" in [prompt.label for prompt in prompts]:
            raise UsageError("The prompt is not for this model.")
        self.edits += 1
        maps = np.stack([self._map(self.last, prompt.label) for prompt in prompts])
        return Segmentation(maps, prompts, self.last.shape[:2], {"decoder": 0.5})

    def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
        edits, end = self.edits, time.monotonic() + 30
        is_slow = self.after_layer is not None and tuple(frame[0, -1]) == SLOW_COLOUR
        while is_slow and self.edits == edits and time.monotonic() < end:
            time.sleep(0.005)
            self.after_layer()  # type: ignore[misc]
        prompts = self.newest_prompts() if self.newest_prompts else prompts
        self.last = frame.copy()
        words = [prompt.label for prompt in prompts]
        if "crash" in words:
            os._exit(7)
        if "memory" in words:
            raise MemoryError
        if "slow" in words or "hang" in words:
            time.sleep(1.0 if "slow" in words else 3600.0)
        if "refused" in words:
            raise UsageError("The prompt is not for this model.")
        if "imprecise" in words:
            self.dtype = "float64"
        maps = np.stack([self._map(frame, word) for word in words])
        share = self.recomputed
        self.recomputed = None if share is None else 0.5
        self.approximate = share == 0.5
        return Segmentation(maps, tuple(prompts), frame.shape[:2], {"vision": 1.0, "decoder": 0.5}, share)

    def _map(self, frame: Pixels, word: str) -> np.ndarray:
        rows = np.arange(self.side) * frame.shape[0] // self.side
        columns = np.arange(self.side) * frame.shape[1] // self.side
        coarse = frame[rows[:, None], columns].astype(int)
        channel = {"red": 0, "green": 1, "blue": 2}.get(word)
        if channel is None:
            return np.zeros((self.side, self.side), np.float32)
        others = np.delete(coarse, channel, axis=2).max(axis=2)
        return (coarse[..., channel] > others + 30).astype(np.float32)


def make_fake_engine(settings: EngineSettings, on_progress: Report, on_replaced: Report) -> FakeLiveEngine:
    """Return an engine.

    The model "missing" cannot be loaded, "slow" never finishes loading, "replaced" is replaced and has a
    notice, "ends" ends the process.
    """
    if settings.model == "ends":
        os._exit(9)
    if settings.model == "missing":
        raise ModelError("There is no model named missing.")
    if settings.model == "slow":
        on_progress("Loading for ever")
        time.sleep(3600)
    if settings.model == "replaced":
        on_replaced("It was replaced.")
    on_progress("Loading fake")
    engine = FakeLiveEngine()
    engine.notices = ("A notice.",) if settings.model == "replaced" else ()
    engine.configure(settings.size, settings.resize_mode, settings.detail, settings.reuse == "on")
    return engine
