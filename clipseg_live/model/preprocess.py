"""From a frame to what the vision encoder reads, and from an image prompt to its prepared picture."""

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
from clipseg_live.core.settings.base import FITS, Fit

logger = logging.getLogger(__name__)

_RESAMPLING = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, which checkpoints use, as torch's names."""

CONTEXT = 0.1
"""Share of an object's longer side that is kept around it on each side of a prepared image prompt."""
DIMMED = 0.1
"""Brightness that is left outside the object."""
BLUR = 0.015
"""Deviation of the Gaussian blur outside the object, as a share of the picture's side (5 pixels at 352)."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """A checkpoint's own constants.

    size: side of its square in pixels. mean, deviation: of each channel, for values in 0..1.
    resampling: torch's name of the interpolation.
    """

    size: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    resampling: str = "bilinear"

    @staticmethod
    def read(path: Path) -> "Preprocessing":
        """Read a file with the constants of an image processor.

        ``preprocessor_config.json`` of transformers 4 holds them itself, also in its older form (``"size": 352``);
        ``processor_config.json`` of transformers 5 holds them under ``image_processor``.

        Raises:
            ModelError: The file is damaged, or asks for something that is not known here.
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
                    f"The model's {path.name} in {path.parent} asks for resampling number {number}, which is not known "
                    f"here: 0 (nearest), 2 (bilinear) and 3 (bicubic) are."
                )
            resampling = _RESAMPLING[number]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            logger.warning("%s cannot be used", path.name, exc_info=True)
            raise ModelError(
                f"The model's {path.name} in {path.parent} is damaged or not an image model's: get the whole model "
                "again."
            ) from error
        return Preprocessing(int(size), mean, deviation, resampling)

    def normalise(self, picture: Tensor, dtype: torch.dtype) -> Tensor:
        """(1, 3, h, w) with values 0..255 → the same with the checkpoint's mean and deviation taken out."""
        shape = (1, 3, 1, 1)
        scale = picture.new_tensor([1 / (255 * d) for d in self.deviation], dtype=torch.float32).view(shape)
        shift = picture.new_tensor(
            [-m / d for m, d in zip(self.mean, self.deviation, strict=True)], dtype=torch.float32
        ).view(shape)
        return torch.addcmul(shift, picture.to(torch.float32), scale).to(dtype)


def _normalisation(values: dict[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation for values in 0..1, with the processor's own scale and switches taken into account."""
    mean, deviation = (tuple(float(v) for v in values[name]) for name in ("image_mean", "image_std"))
    if not values.get("do_normalize", True):
        mean, deviation = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    scale = 255 * float(values.get("rescale_factor", 1 / 255)) if values.get("do_rescale", True) else 255.0
    if abs(scale - 1) < 1e-6:  # the usual 1/255, as exactly as before
        return mean, deviation
    return tuple(each / scale for each in mean), tuple(each / scale for each in deviation)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a frame lies in the network's input.

    height, width: of the input, multiples of the patch. top, left, inner_height, inner_width: the part that the
    frame fills; the rest is padding.
    """

    height: int
    width: int
    top: int
    left: int
    inner_height: int
    inner_width: int

    def crop(self, maps: Tensor, scale: float) -> Tensor:
        """Maps (prompts, rows, columns) of the whole input, ``scale`` map pixels an input pixel → the frame's part."""
        top, left = round(self.top * scale), round(self.left * scale)
        height = max(1, round((self.top + self.inner_height) * scale) - top)
        width = max(1, round((self.left + self.inner_width) * scale) - left)
        return maps[:, top : top + height, left : left + width]


def place_frame(height: int, width: int, *, size: int, patch: int, fit: Fit) -> Placement:
    """Fit a frame of (height, width) to an input of about size² pixels.

    stretch: the square, whatever the frame's shape. letterbox: the whole frame in the square, at its own shape.
    aspect: a rectangle of whole patches, about as many as the square has, as close to the frame's shape as they allow.
    Raises UsageError for another ``fit``.
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
    raise UsageError(f"{fit!r} is not a way to fit a frame: use one of {', '.join(FITS)}.")


def as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """(h, w, 3) pixels as a (1, 3, h, w) view of the same memory, channels last."""
    if not pixels.flags.writeable:
        pixels = np.asarray(_Unlocked(pixels))  # torch warns of read-only memory, though it is only read here
    return torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)


class _Unlocked:
    """An array's memory under an interface that says it may be written."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self._owner = array
        address = array.__array_interface__["data"][0]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}


def resize(picture: Tensor, placement: Placement, preprocessing: Preprocessing) -> Tensor:
    """(1, 3, h, w) uint8 → (1, 3, height, width) of the network's input, values 0..255, on the same device.

    Antialiased like Pillow's resampling, and rounded to whole levels like it. Padding is the checkpoint's mean.
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
    """An image prompt as (1, 3, size, size), values 0..255.

    Without a box or mask the whole picture, as the checkpoint's processor does it. With one, what Lüddecke and Ecker
    (arXiv:2112.10003, "Visual Prompt Engineering") found to work best: cropped to a square around the object, and
    dimmed and blurred outside it.
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
    """top, bottom, left, right of the object's square with its context; it may reach beyond the picture."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = math.ceil(side * (1 + 2 * CONTEXT))
    top = (rows[0] + rows[-1] + 1 - side) // 2
    left = (columns[0] + columns[-1] + 1 - side) // 2
    return int(top), int(top + side), int(left), int(left + side)


def _crop(array: NDArray, top: int, bottom: int, left: int, right: int) -> NDArray:
    """A part of an array; what lies beyond its borders is zero."""
    height, width = array.shape[:2]
    found = np.zeros((bottom - top, right - left, *array.shape[2:]), dtype=array.dtype)
    rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
    part = array[rows, columns]
    found[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part
    return found


def _blur(picture: Tensor, deviation: float) -> Tensor:
    """Gaussian blur of (1, 3, h, w), borders repeated."""
    radius = max(1, math.ceil(3 * deviation))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = functional.pad(picture, (radius, radius, radius, radius), mode="replicate")
    across = functional.conv2d(padded, kernel, groups=3)
    return functional.conv2d(across, kernel.transpose(2, 3), groups=3)
