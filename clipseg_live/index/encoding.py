"""Stored forms of feature values: half precision, and 8 or 4 bits with a scale for each token."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import Failure
from clipseg_live.model.backend import FeatureValues

Storage = Literal["half", "8-bit", "4-bit"]
"""Form in which feature values are stored."""
STORAGES: tuple[Storage, ...] = get_args(Storage)

_BITS: Mapping[str, int] = {"8-bit": 8, "4-bit": 4}

_SHARES: Mapping[str, tuple[float, ...]] = {"8-bit": (1.0,), "4-bit": (1.0, 0.9, 0.8)}
"""Shares of a token's largest value that are tried as the largest integer; the one with the least error is taken.

With few bits, smaller steps for all channels are worth more than an exact largest value."""

Tensors = dict[str, NDArray[Any]]
"""Stored tensors by name; their first dimension is the entry."""


def encode_values(values: FeatureValues, storage: Storage) -> Tensors:
    """Return the stored tensors of feature values.

    With 8 or 4 bits, the mean of each channel is subtracted. The rest of each token is divided by its scale and
    rounded. Pairs of channels share a byte with 4 bits, the first one in the low half.

    Args:
        values: float32 (entries, parts, tokens, channels), finite.
        storage: Form in which they are stored.

    Raises:
        Failure: If a value is too large for half precision.
    """
    with np.errstate(over="ignore"):  # checked below
        if storage == "half":
            return _checked({"values": values.astype(np.float16)})
        means = values.mean(axis=2, keepdims=True).astype(np.float16)
        rest = values - means.astype(np.float32)
        limit = 2 ** (_BITS[storage] - 1) - 1
        whole = np.abs(rest).max(axis=3, keepdims=True) / limit
        _checked({"means": means, "scales": whole.astype(np.float16)})
        candidates = [_rounded(rest, (whole * share).astype(np.float16), limit) for share in _SHARES[storage]]
    integers, scales, error = candidates[0]
    for other_integers, other_scales, other_error in candidates[1:]:
        better = other_error < error
        integers = np.where(better, other_integers, integers)
        scales = np.where(better, other_scales, scales)
        error = np.minimum(error, other_error)
    return {"values": _pack(integers) if storage == "4-bit" else integers, "scales": scales, "means": means}


def _rounded(
    rest: FeatureValues, scales: NDArray[np.float16], limit: int
) -> tuple[NDArray[np.int8], NDArray[np.float16], NDArray[np.float32]]:
    """Return values in integer steps of a scale for each token, the scales, and the squared error of each token."""
    divisors = np.where(scales > 0, scales, np.float16(1)).astype(np.float32)
    integers = np.rint(rest / divisors).clip(-limit - 1, limit)
    error = np.square(integers * divisors - rest).sum(axis=3, keepdims=True)
    return integers.astype(np.int8), scales, error


def decode_values(tensors: Tensors, storage: Storage) -> FeatureValues:
    """Return feature values, float32 (entries, parts, tokens, channels), from their stored tensors."""
    stored = tensors["values"]
    if storage == "half":
        return stored.astype(np.float32)
    means = tensors["means"]
    integers = _unpack(stored, means.shape[-1]) if storage == "4-bit" else stored
    values: FeatureValues = integers.astype(np.float32)
    values *= tensors["scales"].astype(np.float32)
    values += means.astype(np.float32)
    return values


def entry_bytes(parts: int, tokens: int, channels: int, storage: Storage) -> int:
    """Return the stored size of an entry in bytes."""
    if storage == "half":
        return 2 * parts * tokens * channels
    stored = channels if storage == "8-bit" else -(-channels // 2)
    return parts * (tokens * (stored + 2) + 2 * channels)


def _checked(tensors: Tensors) -> Tensors:
    """Return tensors if they are finite.

    Raises:
        Failure: A value is infinite in half precision.
    """
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise Failure("The features of this model exceed the range of half precision, so they cannot be indexed.")
    return tensors


def _pack(integers: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Return pairs of channels as bytes; an odd last channel is paired with 0."""
    if integers.shape[-1] % 2:
        integers = np.concatenate([integers, np.zeros_like(integers[..., :1])], axis=-1)
    halves = integers.view(np.uint8) & 15
    return np.asarray(halves[..., ::2] | (halves[..., 1::2] << 4), np.uint8)


def _unpack(packed: NDArray[np.uint8], channels: int) -> NDArray[np.int8]:
    signed = packed.view(np.int8)
    low, high = np.left_shift(signed, 4) >> 4, signed >> 4
    return np.stack([low, high], axis=-1).reshape(*packed.shape[:-1], -1)[..., :channels]
