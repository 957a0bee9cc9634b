"""Conversion of images that programs pass (files, arrays, tensors, PIL images) to pixels."""

from os import PathLike
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import Frame, Pixels

Channels = Literal["rgb", "bgr"]

_ACCEPTED = (
    "give a path, the bytes of an image file, a PIL image, or an array or tensor of (height, width), "
    "(height, width, 3) or (height, width, 4)"
)
_COUNTS = (1, 3, 4)
_ROUNDING = 1e-3


class SupportsArray(Protocol):
    """An object that NumPy converts to an array, such as a tensor on the CPU."""

    def __array__(self) -> NDArray[Any]: ...


class SupportsArrayInterface(Protocol):
    """An object that NumPy converts to an array without a copy, such as a PIL image."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


ImageLike = str | PathLike[str] | bytes | NDArray[Any] | SupportsArray | SupportsArrayInterface | Frame
"""Image in any form that ``as_pixels`` accepts."""


def as_pixels(image: ImageLike, channels: Channels = "rgb") -> Pixels:
    """Convert an image to pixels.

    Args:
        image: A path; the bytes of an image file; a PIL image; a frame; or an array or a tensor. An array has the shape
            (height, width), (height, width, 1), (height, width, 3) or (height, width, 4), or its channels first, as
            tensors usually have them. If a shape allows both, the channels are last in an array and first in a tensor.
            Values are integers from 0 to 255, uint16 from 0 to 65535, floating-point numbers from 0 to 1, or bool.
            Transparent parts are blended with black.
        channels: "bgr" for arrays and tensors in OpenCV's order.

    Returns:
        uint8 RGB (height, width, 3); the array itself if it has this form already.

    Raises:
        UsageError: If the image has another type, shape or range.
        SourceError: If a file cannot be read.
    """
    if channels not in ("rgb", "bgr"):
        raise UsageError(f'{channels!r} is not a channel order: use "rgb" or "bgr".')
    if isinstance(image, np.ndarray):
        array, is_first = np.asarray(image), False  # without the rules of np.matrix
    elif isinstance(image, (str, PathLike, bytes, bytearray, memoryview)) or _is_pil(image):
        if channels != "rgb":
            raise UsageError("Files and PIL images define their own channel order: omit channels.")
        return _read(image)
    elif isinstance(image, Frame):
        array, is_first = image.pixels, False
    else:
        array, is_first = _array_of(image)
    if array.ndim == 3 and array.dtype == np.uint8 and array.shape[2] == 3 and array.size and not is_first:
        pixels = array if channels == "rgb" else array[..., ::-1]
        return np.ascontiguousarray(pixels)
    return _converted(_channels_last(array, is_first), channels)


def from_bgr(image: ImageLike) -> Pixels:
    """Convert an array or a tensor in OpenCV's channel order to pixels.

    Args:
        image: An array or a tensor, as for ``as_pixels``.

    Returns:
        uint8 RGB (height, width, 3).

    Raises:
        UsageError: If the image has another type, shape or range.
    """
    return as_pixels(image, "bgr")


def is_image(value: object) -> bool:
    """Return whether a value is one image, even if it is iterable. A str may be a path or a text."""
    return isinstance(value, (str, PathLike, bytes, bytearray, memoryview, Frame)) or any(
        hasattr(value, name) for name in ("__array__", "__array_interface__", "detach")
    )


def is_batch(image: object) -> bool:
    """Return whether a value holds several images: a list, a tuple, or an array or tensor with four dimensions."""
    return isinstance(image, (list, tuple)) or (not isinstance(image, str) and getattr(image, "ndim", 0) == 4)


def _is_pil(image: object) -> bool:
    return any(kind.__module__ == "PIL.Image" for kind in type(image).__mro__)


def _read(image: Any) -> Pixels:
    # The core must not import the media package, so it calls the public function.
    from clipseg_live import read_image

    return read_image(bytes(image) if isinstance(image, (bytearray, memoryview)) else image)


def _array_of(image: object) -> tuple[NDArray[Any], bool]:
    """Return an image as an array, and whether it is a tensor, whose channels usually come first."""
    is_tensor = hasattr(image, "detach") and hasattr(image, "cpu")
    if is_tensor:
        kind = str(getattr(image, "dtype", ""))
        if getattr(image, "is_meta", False):
            raise UsageError(f"Cannot make an image from a tensor without data (device meta): {_ACCEPTED}.")
        image = image.detach().cpu()  # type: ignore[attr-defined]
        if "bfloat16" in kind or "float8" in kind:  # NumPy has no such types
            image = image.float()  # type: ignore[attr-defined]
    elif not hasattr(image, "__array__") and not hasattr(image, "__array_interface__"):
        raise UsageError(f"Cannot make an image from {_name_of(image)}: {_ACCEPTED}.")
    try:
        return np.asarray(image), is_tensor
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"Cannot make an image from {_name_of(image)}: {_ACCEPTED}.") from error


def _name_of(image: object) -> str:
    if image is None:
        return "None"
    kind = type(image)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _channels_last(array: NDArray[Any], is_first: bool) -> NDArray[Any]:
    """Return an array as (height, width, channels) with 1, 3 or 4 channels.

    Raises:
        UsageError: If the type or the shape is not that of an image.
    """
    if array.dtype.kind not in "biuf":
        raise UsageError(f"Cannot make an image from values of type {array.dtype}: use uint8, or float from 0 to 1.")
    if array.size and array.ndim == 2:
        return array[..., None]
    if array.size and array.ndim == 3:
        first, last = array.shape[0] in _COUNTS, array.shape[2] in _COUNTS
        if first and (is_first or array.shape[2] > max(_COUNTS)):
            return array.transpose(1, 2, 0)
        if last:
            return array
    raise UsageError(f"Cannot make an image from an array of the shape {array.shape}: {_ACCEPTED}.")


def _converted(array: NDArray[Any], channels: Channels) -> Pixels:
    """Convert numbers of any type, shape (height, width, 1, 3 or 4), to uint8 RGB."""
    levels = _levels(array)
    if levels.shape[2] == 1:
        return np.repeat(levels, 3, axis=2)
    colours, alpha = levels[..., :3], levels[..., 3:]
    if channels == "bgr":
        colours = colours[..., ::-1]
    if alpha.size and alpha.min() < 255:
        colours = ((colours.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(colours)


def _levels(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale numbers of any type to the range 0 to 255.

    Raises:
        UsageError: If a value is out of the range of its type.
    """
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if kind == "u" and array.dtype.itemsize == 2:  # in any byte order
        return ((array.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    low, high = float(array.min()), float(array.max())
    if kind == "f":
        if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # also True for NaN
            raise UsageError(
                f"Floating-point images go from 0 to 1, and this one from {low:g} to {high:g}: "
                "divide it, or make it uint8."
            )
        return np.asarray(array.astype(np.float32).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    if low < 0 or high > 255:
        raise UsageError(
            f"Images of {array.dtype} go from 0 to 255, and this one from {low:g} to {high:g}: make it uint8."
        )
    return array.astype(np.uint8)


def image_name(image: object) -> str:
    """Return the name of an image file without its suffix; "image" if the image is not a path."""
    return Path(image).stem if isinstance(image, (str, PathLike)) else "image"
