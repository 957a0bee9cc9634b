"""Comparison of precisions below float32 with float32."""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import Prompt
from clipseg_live.model.backend import Backend
from clipseg_live.model.preprocess import Placement, Preprocessing
from clipseg_live.model.prompt_encoder import PromptEncoder

logger = logging.getLogger(__name__)

MOST_MEAN = 0.01
MOST_HIGH = 0.05
"""Largest mean and 99th percentile of the differences of probability between a precision and float32."""

NEXT_PRECISIONS = {"int8": ("int8", "bfloat16"), "bfloat16": ("bfloat16",), "float16": ("float16",)}
"""Precisions to try, best first, before float32."""

COMPARED_FRAMES = (1, 8)
"""Numbers of the frames after loading that are compared, from 1. The first ones of a video may be black."""

TRIAL_TEXTS = ("a red circle", "the sky", "everything")


@dataclass(slots=True, eq=False)
class Reference:
    """A model in float32, with which lower precisions are compared.

    Attributes:
        backend: the network in float32.
        prompts: encoder of prompts with that network.
        trial: its maps of ``trial_picture`` for ``TRIAL_TEXTS``.
        candidates: precisions that were not tried yet, best first.
        frames: number of frames since loading.
    """

    backend: Backend
    prompts: PromptEncoder
    trial: NDArray[np.float32]
    candidates: tuple[str, ...]
    frames: int = 0

    def maps(
        self, pixels: Pixels, wanted: tuple[Prompt, ...], placement: Placement, preprocessing: Preprocessing
    ) -> NDArray[np.float32]:
        """Return the maps of a frame in float32, (prompts, rows, columns).

        Raises:
            NoPrediction: if the embedding of a prompt is not finite.
        """
        embeddings = self.prompts.encode(wanted)
        prepared = self.backend.prepare(self.backend.upload(pixels), placement, preprocessing)
        features = self.backend.features(prepared, preprocessing)
        return self.backend.download(self.backend.maps(features, embeddings, placement))


def differs_visibly(found: NDArray[np.float32], expected: NDArray[np.float32], name: str) -> bool:
    """Return whether the maps of a precision differ visibly from those of float32, or are not finite."""
    difference = np.abs(found - expected)
    mean, high = float(difference.mean()), float(np.quantile(difference, 0.99))
    logger.info("Differences of %s from float32: %.2g on average, %.2g at the 99th percentile", name, mean, high)
    return not (mean <= MOST_MEAN and high <= MOST_HIGH)


def trial_picture() -> Pixels:
    """Return a drawn image: gradients, a disc and noise, uint8 (256, 256, 3)."""
    side = 256
    ramp = np.linspace(0, 255, side, dtype=np.float32)
    picture = np.stack(np.broadcast_arrays(ramp, ramp[:, None], 255 - ramp), axis=-1)
    rows, columns = np.ogrid[:side, :side]
    picture[(rows - 150) ** 2 + (columns - 100) ** 2 < 50**2] = (220, 30, 40)
    picture[:80] += np.random.default_rng(0).normal(0, 40, (80, side, 3))
    return picture.clip(0, 255).astype(np.uint8)
