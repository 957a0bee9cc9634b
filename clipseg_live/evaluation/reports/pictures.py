"""Small pictures of the worst targets: hits in green, false pixels in red, missed pixels in blue."""

import io
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipseg_live.core.frame import Pixels
from clipseg_live.core.protocols import Engine
from clipseg_live.evaluation.dataset import TrueSet
from clipseg_live.evaluation.prompt_table import PromptVariant
from clipseg_live.evaluation.runner import Examples, ScoringRules, segment_prompts
from clipseg_live.evaluation.summary import WorstTarget
from clipseg_live.imaging.resize import resize_map
from clipseg_live.media.images.reader import read_image

HIT, FALSE, MISSED = (40, 200, 90), (235, 60, 60), (50, 110, 255)
_LONGEST = 320
"""Longest side of a picture in pixels."""
_SHARE = 0.55
"""Opacity of the colours."""


def draw_worst(
    engine: Engine, data: TrueSet, prompts: PromptVariant, rules: ScoringRules, worst: WorstTarget
) -> WorstTarget:
    """Return a target with its picture. Its image is segmented again.

    Args:
        engine: Segments images.
        data: The data set.
        prompts: Prompts of the run.
        rules: How maps are compared.
        worst: The target.

    Raises:
        Failure: A file cannot be read, or the model gives no usable map.
    """
    image = data.images[worst.number]
    pixels = read_image(image.file)
    target = next(each for each in image.targets if each.category == worst.category)
    prompt = Examples(data).prompt_of(prompts, worst.number, worst.category)
    (plane,) = segment_prompts(engine, pixels, [prompt], image.name)
    true = target.truth.read(*pixels.shape[:2])
    mask = resize_map(plane, *true.object.shape) > np.float32(rules.threshold)
    if true.valid is not None:
        mask = mask & true.valid
    return replace(worst, picture=encode_overlay(pixels, mask, true.object))


def encode_overlay(pixels: Pixels, mask: NDArray[np.bool_], true: NDArray[np.bool_]) -> bytes:
    """Return an image with coloured masks as a small JPEG file.

    Args:
        pixels: uint8 (height, width, 3).
        mask: Mask of the prediction, bool (height, width).
        true: True mask, bool (height, width).
    """
    height, width = true.shape
    colours = np.zeros((height, width, 3), np.uint8)
    for area, colour in ((mask & true, HIT), (mask & ~true, FALSE), (~mask & true, MISSED)):
        colours[area] = colour
    drawn = np.where(colours.any(axis=2, keepdims=True), _SHARE * colours + (1 - _SHARE) * pixels, 0.8 * pixels)
    scale = min(1.0, _LONGEST / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(drawn.astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    file = io.BytesIO()
    Image.fromarray(np.asarray(small, np.uint8)).save(file, "JPEG", quality=82)
    return file.getvalue()
