"""Preprocessing: frames for the vision encoder, and prepared images for image prompts."""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from clipseg_live.core.errors import ModelError, UsageError
from clipseg_live.core.prompts import ImagePrompt
from clipseg_live.core.settings.base import RESIZE_MODES, ResizeMode

logger = logging.getLogger(__name__)

_RESAMPLING = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}
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
    resampling: str = "bilinear"

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
            resampling = _RESAMPLING[number]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            logger.warning("%s cannot be used", path.name, exc_info=True)
            raise ModelError(
                f"The model's {path.name} in {path.parent} is damaged or not for an image model: download the "
                "whole model again."
            ) from error
        return Preprocessing(int(size), mean, deviation, resampling)

    def normalise(self, picture: Tensor, dtype: torch.dtype) -> Tensor:
        """Normalise (1, 3, h, w) with values 0..255 by the mean and deviation of the checkpoint."""
        shape = (1, 3, 1, 1)
        scale = picture.new_tensor([1 / (255 * d) for d in self.deviation], dtype=torch.float32).view(shape)
        shift = picture.new_tensor(
            [-m / d for m, d in zip(self.mean, self.deviation, strict=True)], dtype=torch.float32
        ).view(shape)
        return torch.addcmul(shift, picture.to(torch.float32), scale).to(dtype)


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

    def crop(self, maps: Tensor, scale: float) -> Tensor:
        """Return the part of maps that the frame covers.

        Args:
            maps: (prompts, rows, columns), over the whole input.
            scale: map pixels for each input pixel.
        """
        top, left = round(self.top * scale), round(self.left * scale)
        height = max(1, round((self.top + self.inner_height) * scale) - top)
        width = max(1, round((self.left + self.inner_width) * scale) - left)
        return maps[:, top : top + height, left : left + width]


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


def as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Return (h, w, 3) pixels as a (1, 3, h, w) view of the same memory, channels last."""
    if not pixels.flags.writeable:
        pixels = np.asarray(_Unlocked(pixels))  # torch warns about read-only memory, but here it is only read
    return torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)


class _Unlocked:
    """Interface to an array's memory that marks it as writable."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self._owner = array
        address = array.__array_interface__["data"][0]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}


def resize(picture: Tensor, placement: Placement, preprocessing: Preprocessing) -> Tensor:
    """Resize an image to the input of the network, (1, 3, height, width), values 0..255, on the same device.

    It is antialiased and rounded to whole levels like Pillow's resampling. Padding is the mean of the checkpoint.

    Args:
        picture: (1, 3, h, w), uint8.
        placement: position of the frame in the input.
        preprocessing: constants of the checkpoint.
    """
    target = (placement.inner_height, placement.inner_width)
    mode = preprocessing.resampling
    if picture.device.type != "cpu":
        picture = picture.to(torch.float32)  # only the CPU resizes uint8
    if picture.shape[2:] != target:
        smooth = mode in ("bilinear", "bicubic")
        picture = functional.interpolate(picture, size=target, mode=mode, antialias=smooth)
        if picture.is_floating_point():
            picture = picture.round_().clamp_(0, 255)
    if (placement.height, placement.width) == target:
        return picture
    mean = picture.new_tensor([round(255 * m) for m in preprocessing.mean]).view(1, 3, 1, 1)
    padded = mean.expand(1, 3, placement.height, placement.width).clone()
    bottom, right = placement.top + target[0], placement.left + target[1]
    padded[:, :, placement.top : bottom, placement.left : right] = picture
    return padded


def prepare_image_prompt(prompt: ImagePrompt, preprocessing: Preprocessing, size: int) -> Tensor:
    """Return an image prompt as (1, 3, size, size), values 0..255.

    Without a box or mask the whole image is used, as by the checkpoint's processor. With one, the image is cropped to a
    square around the object, and dimmed and blurred outside it. Lüddecke and Ecker (arXiv:2112.10003, "Visual Prompt
    Engineering") found this to work best.
    """
    whole = Placement(size, size, 0, 0, size, size)
    if prompt.box is None and prompt.mask is None:
        return resize(as_tensor(prompt.pixels), whole, preprocessing).to(torch.float32)
    inside = _inside(prompt)
    top, bottom, left, right = _square_around(inside)
    crop = as_tensor(np.ascontiguousarray(_crop(prompt.pixels, top, bottom, left, right)))
    picture = resize(crop, whole, preprocessing).to(torch.float32)
    alpha = torch.from_numpy(np.ascontiguousarray(_crop(inside, top, bottom, left, right), dtype=np.float32))
    alpha = functional.interpolate(alpha[None, None], size=(size, size), mode="bilinear", antialias=True)
    return alpha * picture + (1 - alpha) * DIMMED * _blur(picture, BLUR * size)


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


def _blur(picture: Tensor, deviation: float) -> Tensor:
    """Apply a Gaussian blur to (1, 3, h, w), repeating the border."""
    radius = max(1, math.ceil(3 * deviation))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = functional.pad(picture, (radius, radius, radius, radius), mode="replicate")
    across = functional.conv2d(padded, kernel, groups=3)
    return functional.conv2d(across, kernel.transpose(2, 3), groups=3)
