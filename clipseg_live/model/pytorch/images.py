"""Images as tensors of PyTorch: upload, resizing on the device, and normalisation."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from clipseg_live.model.preprocess import Placement, Preprocessing


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

    It is antialiased and rounded to whole levels like Pillow's resampling. Padding is the mean of the checkpoint. With
    "bilinear-corners" it is neither antialiased nor rounded.

    Args:
        picture: (1, 3, h, w), uint8.
        placement: position of the frame in the input.
        preprocessing: constants of the checkpoint.
    """
    target = (placement.inner_height, placement.inner_width)
    mode = preprocessing.resampling
    if picture.device.type != "cpu":
        picture = picture.to(torch.float32)  # only the CPU resizes uint8
    if mode == "bilinear-corners":
        picture = functional.interpolate(picture.to(torch.float32), size=target, mode="bilinear", align_corners=True)
    elif picture.shape[2:] != target:
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


def normalise(picture: Tensor, preprocessing: Preprocessing, dtype: torch.dtype) -> Tensor:
    """Normalise (1, 3, h, w) with values 0..255 by the mean and deviation of the checkpoint."""
    shape = (1, 3, 1, 1)
    scale, shift = (
        picture.new_tensor(values, dtype=torch.float32).view(shape)
        for values in (preprocessing.scale, preprocessing.shift)
    )
    return torch.addcmul(shift, picture.to(torch.float32), scale).to(dtype)
