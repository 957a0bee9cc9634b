"""Temporal smoothing of probability maps, and detection of cuts."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.protocols import Maps

THUMBNAIL = (32, 32)
"""Height and width of the thumbnails for ``is_cut``."""

_LONGEST = 1.0
_CHANGE, _UNLIKELY, _HELD = 0.4, 0.35, 0.15
_SUPPORTED = 1

_BLOCK = 8
_REACH = 6
_CUT_RATIO = 0.66
_FLAT = 4.0
_FLAT_STEP = 40.0


@dataclass(frozen=True, slots=True, eq=False)
class FilterState:
    """Smoothed prediction of each prompt, in the coordinates of one frame.

    Attributes:
        keys: identity of each prompt.
        maps: float32 (h, w, prompts), 0..1.
        support: float32, the same shape, the number of consecutive predictions that agreed, up to ``_SUPPORTED``.
    """

    keys: tuple[Hashable, ...]
    maps: Maps
    support: NDArray[np.float32]


def filter_gain(strength: float, seconds: float) -> float:
    """Return the weight of a prediction that comes ``seconds`` after the one before.

    It gives an exponential average with a time constant of ``strength`` squared times ``_LONGEST`` seconds, independent
    of the rate of predictions. ``strength`` is 0 (off) to 1.
    """
    memory = strength * strength * _LONGEST
    return 1.0 if memory <= 0 else 1.0 - math.exp(-max(seconds, 1e-3) / memory)


def update_filter(
    past: FilterState | None,
    keys: Sequence[Hashable],
    prediction: Maps,
    trust: NDArray[np.float32],
    prediction_trust: NDArray[np.float32],
    stillness: NDArray[np.float32],
    strength: float,
    seconds: float,
) -> FilterState:
    """Add a prediction: smooth where the image continues, and take it at once where both changed.

    A single prediction that differs widely from those before it, without a change of the image, is held back. The next
    one is accepted.

    Args:
        past: smoothed predictions in the same coordinates as ``prediction``. A prompt that is not in it is new, and
            its map is taken as it is; None if all are new.
        keys: identity of each prompt.
        prediction: the prediction, float32 (h, w, prompts).
        trust: float32 (h, w), 0..1, how far the image still matches the one of ``past``.
        prediction_trust: float32 (h, w), 0..1, how far the image of the prediction matches this one.
        stillness: float32 (h, w), 1 where nothing moved since ``past`` was formed, towards 0 with growing motion,
            because long motion is tracked less exactly.
        strength: smoothing, 0..1; 0 returns the prediction as it is.
        seconds: time between the frames of the last prediction and of this one.
    """
    keys = tuple(keys)
    if past is None or strength <= 0 or past.maps.shape[:2] != prediction.shape[:2]:
        return FilterState(keys, prediction, np.ones_like(prediction))
    indices = [past.keys.index(key) if key in past.keys else -1 for key in keys]
    is_known = np.array([index >= 0 for index in indices])
    last = np.where(is_known, past.maps[..., indices], prediction) if past.keys else prediction
    support = np.where(is_known, past.support[..., indices], 0) if past.keys else np.zeros_like(prediction)
    difference = prediction - last
    magnitude = np.abs(difference)
    lost = (1 - trust)[..., None]
    gain = np.float32(filter_gain(strength, seconds))
    changed = 1 - (trust * stillness)[..., None]
    share = gain + (1 - gain) * changed * np.clip(magnitude / np.float32(_CHANGE), 0, 1)
    is_outlier = magnitude > _UNLIKELY
    share = np.where(is_outlier & (support >= _SUPPORTED) & (lost < 0.5), np.float32(_HELD) * share, share)
    share = np.where(is_known, share * prediction_trust[..., None], 1)
    support = np.where(is_outlier, 0, np.minimum(support + 1, _SUPPORTED))
    return FilterState(keys, np.clip(last + share * difference, 0, 1).astype(np.float32), support.astype(np.float32))


def is_cut(previous: NDArray[np.uint8], thumbnail: NDArray[np.uint8]) -> bool:
    """Return True if a hard cut lies between two images, given as small thumbnails of the whole frame.

    As in the scene-cut detection of video encoders, the image is predicted from the one before it. Every block of 8 by
    8 pixels is matched within 6 pixels. A cut is where this prediction is little better than a flat image. The search
    compensates motion. Brightness and contrast are removed first, so a flash or a lamp switched on is not a cut.
    Thumbnails of different shapes are a cut.

    Args:
        previous: uint8, (height, width) or (height, width, 3), sides multiples of 8, about 32.
        thumbnail: uint8, of the same shape.
    """
    if previous.shape != thumbnail.shape:
        return True
    before, after = _channels(previous), _channels(thumbnail)
    spreads = sorted((float(before[0].std()), float(after[0].std())))
    if spreads[0] < _FLAT:  # an empty image has nothing to match: compare only colours
        step = float(np.abs(before.mean(axis=(1, 2)) - after.mean(axis=(1, 2))).max())
        return spreads[1] > 4 * _FLAT or (spreads[1] < _FLAT and step > _FLAT_STEP)
    before, after = _normalise(before), _normalise(after)
    plain = float(np.abs(after).sum(axis=0).mean())
    return float(_prediction_error(before, after)) > _CUT_RATIO * plain


def _channels(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return luma and two weighted opponent colours, float32 (3, height, width); for grey, luma and zeros."""
    values = thumbnail.astype(np.float32)
    if values.ndim == 2:
        return np.stack([values, np.zeros_like(values), np.zeros_like(values)])
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    yellow = (red + green) / 2
    return np.stack([values.mean(axis=2), 0.7 * (red - green), 0.5 * (blue - yellow)])


def _normalise(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove brightness and contrast: centre each channel on its mean, in units of the deviation of luma."""
    centred: NDArray[np.float32] = channels - channels.mean(axis=(1, 2), keepdims=True)
    return centred / max(float(centred[0].std()), _FLAT)


def _prediction_error(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Return the mean absolute difference between ``after`` and the best-matching blocks of ``before``."""
    channels, height, width = after.shape
    edge = ((0, 0), (_REACH, _REACH), (_REACH, _REACH))
    shifted = np.lib.stride_tricks.sliding_window_view(
        np.pad(before, edge, mode="edge"), (height, width), axis=(1, 2)
    )  # (channels, shifts down, shifts right, height, width)
    error = np.zeros(shifted.shape[1:], np.float32)
    for channel in range(channels):
        error += np.abs(shifted[channel] - after[channel])
    blocks = error.reshape(-1, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).mean(axis=(2, 4))
    return float(blocks.min(axis=0).mean())
