"""An engine without a model: its maps are similarities of colours."""

from collections.abc import Sequence

import cv2
import numpy as np

from clipseg_live.core.prompts import ImagePrompt, Prompt
from clipseg_live.core.segmentation import Segmentation

GRID = (44, 44)


class ColourEngine:
    """Engine whose map of a text is the similarity to its colour, and of an image prompt to its mean colour."""

    colours = {"red": (230, 60, 60), "blue": (40, 100, 230), "cyan": (30, 200, 220), "crimson": (200, 40, 60)}  # noqa: RUF012

    def __init__(self) -> None:
        self.calls = 0

    def segment(self, pixels: np.ndarray, prompts: Sequence[Prompt]) -> Segmentation:
        self.calls += 1
        small = cv2.resize(pixels, GRID[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
        maps = []
        for prompt in prompts:
            if isinstance(prompt, ImagePrompt):
                colour = prompt.pixels[prompt.mask].mean(axis=0)
            else:
                colour = np.array(self.colours[prompt.label.split()[0]], np.float32)
            maps.append(np.exp(-np.linalg.norm(small - colour, axis=2) / 60).astype(np.float32))
        return Segmentation(np.stack(maps), tuple(prompts), pixels.shape[:2])
