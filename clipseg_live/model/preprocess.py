"""Preprocessing: frames for the vision encoder, and prepared images for image prompts."""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import ModelError, UsageError
from clipseg_live.core.prompts import ImagePrompt
from clipseg_live.core.settings.base import RESIZE_MODES, ResizeMode
from clipseg_live.imaging.corners import resize_corners
from clipseg_live.model.resampling import Resampling, resample_maps, resize_pixels

logger = logging.getLogger(__name__)

_Maps = TypeVar("_Maps", bound=Any)

_RESAMPLING: dict[int, Resampling] = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}
"""Names in torch for Pillow's resampling numbers, which checkpoints use."""

CONTEXT = 0.1
"""Margin around the object on each side of a prepared image prompt, as a share of its longer side."""
DIMMED = 0.1
"""Share of the brightness outside the object."""
BLUR = 0.015
"""Deviation of the Gaussian blur outside the object, as a share of the image's side (5 pixels at 352)."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Constants of a checkpoint.

    Attributes:
        size: side of its square in pixels.
        mean: mean of each channel, for values in 0..1.
        deviation: standard deviation of each channel, for values in 0..1.
        resampling: name of the interpolation in torch.
    """

    size: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    resampling: Resampling = "bilinear"

    @staticmethod
    def read(path: Path) -> "Preprocessing":
        """Read a file with the constants of an image processor.

        ``preprocessor_config.json`` of transformers 4 holds them at the top level, also in its older form (``"size":
        352``). ``processor_config.json`` of transformers 5 holds them under ``image_processor``.

        Raises:
            ModelError: if the file is damaged, or requests an unknown resampling.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            values = values.get("image_processor", values)
            size = values["size"]
            if isinstance(size, dict):
                size = size.get("height") or size.get("shortest_edge")
            mean, deviation = _normalisation(values)
            is_finite = all(map(math.isfinite, (*mean, *deviation)))
            if len(mean) != 3 or len(deviation) != 3 or not is_finite or min(deviation) <= 0 or int(size) < 1:
                raise ValueError(path.name)
            number = values.get("resample", 2)
            if number not in _RESAMPLING:
                raise ModelError(
                    f"The model's {path.name} in {path.parent} uses resampling mode {number}, which is not "
                    "supported: use 0 (nearest), 2 (bilinear) or 3 (bicubic)."
                )
            method = _RESAMPLING[number]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            logger.warning("%s cannot be used", path.name, exc_info=True)
            raise ModelError(
                f"The model's {path.name} in {path.parent} is damaged or not for an image model: download the "
                "whole model again."
            ) from error
        return Preprocessing(int(size), mean, deviation, method)

    @property
    def scale(self) -> list[float]:
        """Factors of the channels that, with ``shift``, normalise values in 0..255."""
        return [1 / (255 * d) for d in self.deviation]

    @property
    def shift(self) -> list[float]:
        """Values that are added to the channels after ``scale``."""
        return [-m / d for m, d in zip(self.mean, self.deviation, strict=True)]


def _normalisation(values: dict[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation for values in 0..1, including the processor's own scale and switches."""
    mean, deviation = (tuple(float(v) for v in values[name]) for name in ("image_mean", "image_std"))
    if not values.get("do_normalize", True):
        mean, deviation = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    scale = 255 * float(values.get("rescale_factor", 1 / 255)) if values.get("do_rescale", True) else 255.0
    if abs(scale - 1) < 1e-6:  # the usual 1/255, as exactly as before
        return mean, deviation
    return tuple(each / scale for each in mean), tuple(each / scale for each in deviation)


@dataclass(frozen=True, slots=True)
class Placement:
    """Position of a frame in the input of the network; the rest of the input is padding.

    Attributes:
        height: height of the input in pixels, a multiple of the patch.
        width: width of the input in pixels, a multiple of the patch.
        top: first row of the frame.
        left: first column of the frame.
        inner_height: height of the frame in the input.
        inner_width: width of the frame in the input.
    """

    height: int
    width: int
    top: int
    left: int
    inner_height: int
    inner_width: int

    def crop(self, maps: _Maps, scale: float) -> _Maps:
        """Return the part of maps that the frame covers.

        Args:
            maps: (prompts, rows, columns), over the whole input, an array or a tensor.
            scale: map pixels for each input pixel.
        """
        top, left = round(self.top * scale), round(self.left * scale)
        height = max(1, round((self.top + self.inner_height) * scale) - top)
        width = max(1, round((self.left + self.inner_width) * scale) - left)
        cropped: _Maps = maps[:, top : top + height, left : left + width]
        return cropped


def place_frame(height: int, width: int, *, size: int, patch: int, fit: ResizeMode) -> Placement:
    """Fit a frame to an input of about size² pixels.

    Args:
        height: height of the frame in pixels.
        width: width of the frame in pixels.
        size: side of the network's square in pixels.
        patch: side of a patch in pixels.
        fit: how the frame is fitted.
            "stretch": the square, for any shape of the frame.
            "letterbox": the whole frame in the square, with its own aspect ratio.
            "aspect": a rectangle of whole patches with nearly the frame's aspect ratio. It has about as many patches
            as the square.

    Raises:
        UsageError: if ``fit`` is another value.
    """
    if fit == "stretch":
        return Placement(size, size, 0, 0, size, size)
    if fit == "letterbox":
        scale = size / max(height, width)
        inner_height, inner_width = max(1, round(height * scale)), max(1, round(width * scale))
        return Placement(size, size, (size - inner_height) // 2, (size - inner_width) // 2, inner_height, inner_width)
    if fit == "aspect":
        tokens = (size // patch) ** 2
        rows = min(max(round(math.sqrt(tokens * height / width)), 1), tokens)
        columns = min(max(round(rows * width / height), 1), tokens // rows)
        return Placement(rows * patch, columns * patch, 0, 0, rows * patch, columns * patch)
    raise UsageError(f"{fit!r} is not a fit mode: use one of {', '.join(RESIZE_MODES)}.")


def resize_frame(pixels: NDArray[np.uint8], placement: Placement, preprocessing: Preprocessing) -> NDArray[Any]:
    """Resize an image to the input of the network, (height, width, 3), uint8, or float32 with "bilinear-corners".

    It is antialiased and rounded to whole levels like Pillow's resampling. Padding is the mean of the checkpoint. The
    values are those of PyTorch's resampling on a CPU. With "bilinear-corners" it is neither antialiased nor rounded.

    Args:
        pixels: uint8 (h, w, 3).
        placement: position of the frame in the input.
        preprocessing: constants of the checkpoint.
    """
    target = (placement.inner_height, placement.inner_width)
    if preprocessing.resampling == "bilinear-corners":
        picture: NDArray[Any] = resize_corners(pixels, *target)
    else:
        picture = resize_pixels(pixels, target, preprocessing.resampling)
    if (placement.height, placement.width) == target:
        return picture
    padded = np.empty((placement.height, placement.width, 3), picture.dtype)
    padded[:] = [round(255 * m) for m in preprocessing.mean]
    bottom, right = placement.top + target[0], placement.left + target[1]
    padded[placement.top : bottom, placement.left : right] = picture
    return padded


def prepare_image_prompt(prompt: ImagePrompt, preprocessing: Preprocessing, size: int) -> NDArray[np.float32]:
    """Return an image prompt as float32 (size, size, 3), values 0..255.

    Without a box or mask the whole image is used, as by the checkpoint's processor. With one, the image is cropped to a
    square around the object, and dimmed and blurred outside it. Lüddecke and Ecker (arXiv:2112.10003, "Visual Prompt
    Engineering") found this to work best.
    """
    whole = Placement(size, size, 0, 0, size, size)
    if prompt.box is None and prompt.mask is None:
        return resize_frame(prompt.pixels, whole, preprocessing).astype(np.float32)
    inside = _inside(prompt)
    square = _square_around(inside)
    picture = resize_frame(_crop(prompt.pixels, *square), whole, preprocessing).astype(np.float32)
    alpha = resample_maps(_crop(inside, *square).astype(np.float32), (size, size))[:, :, None]
    return alpha * picture + (1 - alpha) * np.float32(DIMMED) * _blur(picture, BLUR * size)


def _inside(prompt: ImagePrompt) -> NDArray[np.bool_]:
    if prompt.mask is not None:
        return prompt.mask
    assert prompt.box is not None
    x, y, width, height = prompt.box
    inside = np.zeros(prompt.pixels.shape[:2], dtype=bool)
    inside[y : y + height, x : x + width] = True
    return inside


def _square_around(inside: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return top, bottom, left, right of the object's square with its margin; it may extend beyond the image."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = math.ceil(side * (1 + 2 * CONTEXT))
    top = (rows[0] + rows[-1] + 1 - side) // 2
    left = (columns[0] + columns[-1] + 1 - side) // 2
    return int(top), int(top + side), int(left), int(left + side)


def _crop(array: NDArray[Any], top: int, bottom: int, left: int, right: int) -> NDArray[Any]:
    """Return a part of an array, with zeros beyond its borders."""
    height, width = array.shape[:2]
    cropped = np.zeros((bottom - top, right - left, *array.shape[2:]), dtype=array.dtype)
    rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
    part = array[rows, columns]
    cropped[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part
    return cropped


def _blur(picture: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    """Apply a Gaussian blur to (h, w, 3), repeating the border."""
    radius = max(1, math.ceil(3 * deviation))
    offsets = np.arange(-radius, radius + 1, dtype=np.float32)
    kernel = np.exp(-0.5 * (offsets / np.float32(deviation)) ** 2)
    kernel /= kernel.sum()
    for axis in (1, 0):
        margins = [(0, 0)] * 3
        margins[axis] = (radius, radius)
        padded = np.pad(picture, margins, mode="edge")
        shifted = (np.take(padded, range(k, k + picture.shape[axis]), axis) for k in range(len(kernel)))
        picture = np.sum(
            [weight * part for weight, part in zip(kernel, shifted, strict=True)], axis=0, dtype=np.float32
        )
    return picture
