"""Steadiness over time: an average of probability maps that forgets at cuts, and what a cut is."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.protocols import Maps

THUMBNAIL = (32, 32)
"""Height and width that ``is_cut`` is made for."""

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
    """What is held of each prompt after the answers so far, all in the coordinates of one frame.

    keys: what tells the prompts apart. maps: float32 (h, w, prompts), 0..1. support: float32, the same shape, how many
    answers in a row have agreed, up to ``_SUPPORTED``.
    """

    keys: tuple[Hashable, ...]
    maps: Maps
    support: NDArray[np.float32]


def filter_gain(strength: float, seconds: float) -> float:
    """How much of an answer counts that comes ``seconds`` after the one before: an exponential average over
    ``strength`` (0 off, to 1) squared times ``_LONGEST`` seconds, whatever the rate of answers."""
    memory = strength * strength * _LONGEST
    return 1.0 if memory <= 0 else 1.0 - math.exp(-max(seconds, 1e-3) / memory)


def update_filter(
    past: FilterState | None,
    keys: Sequence[Hashable],
    answer: Maps,
    trust: NDArray[np.float32],
    sure: NDArray[np.float32],
    calm: NDArray[np.float32],
    strength: float,
    seconds: float,
) -> FilterState:
    """Take an answer in: steady where the picture goes on as it was, at once where it and the answer have both changed.

    past: in the same frame's coordinates as ``answer``, float32 (h, w, prompts); None, or without a prompt's key, for
    one that is new and is taken as it is. trust: float32 (h, w), 0..1, where the picture is the one that ``past`` was
    about. sure: float32 (h, w), 0..1, where the answer's picture is this one. calm: float32 (h, w), 1 where nothing has
    moved since ``past`` was formed, towards 0 the further it has: what is followed far is followed worse. A single
    answer that differs widely from those before it, without a change in the picture, is held back; the next is
    believed.
    seconds: between this answer's frame and the last one's. strength 0 gives the answer as it is.
    """
    keys = tuple(keys)
    if past is None or strength <= 0 or past.maps.shape[:2] != answer.shape[:2]:
        return FilterState(keys, answer, np.ones_like(answer))
    places = [past.keys.index(key) if key in past.keys else -1 for key in keys]
    known = np.array([place >= 0 for place in places])
    before = np.where(known, past.maps[..., places], answer) if past.keys else answer
    support = np.where(known, past.support[..., places], 0) if past.keys else np.zeros_like(answer)
    difference = answer - before
    size = np.abs(difference)
    moved = (1 - trust)[..., None]
    gain = np.float32(filter_gain(strength, seconds))
    changed = 1 - (trust * calm)[..., None]
    share = gain + (1 - gain) * changed * np.clip(size / np.float32(_CHANGE), 0, 1)
    unlikely = size > _UNLIKELY
    share = np.where(unlikely & (support >= _SUPPORTED) & (moved < 0.5), np.float32(_HELD) * share, share)
    share = np.where(known, share * sure[..., None], 1)
    support = np.where(unlikely, 0, np.minimum(support + 1, _SUPPORTED))
    return FilterState(keys, np.clip(before + share * difference, 0, 1).astype(np.float32), support.astype(np.float32))


def is_cut(previous: NDArray[np.uint8], thumbnail: NDArray[np.uint8]) -> bool:
    """Whether a hard cut lies between two pictures, seen as small thumbnails of the whole frame.

    previous, thumbnail: uint8 of one shape, (height, width) or (height, width, 3), sides multiples of 8, about 32.

    As in scene-cut decisions of video encoders, the picture is predicted from the one before it: every block of 8
    by 8 looks for its best match within 6 pixels, and a cut is where prediction is little better than a flat
    picture. Motion is found by the search; brightness and contrast are taken out beforehand, so a flash
    or a lamp switched on is no cut. Thumbnails of different shapes are a cut.
    """
    if previous.shape != thumbnail.shape:
        return True
    before, after = _channels(previous), _channels(thumbnail)
    spreads = sorted((float(before[0].std()), float(after[0].std())))
    if spreads[0] < _FLAT:  # an empty picture: nothing to match, so only its colour and the step to it speak
        step = float(np.abs(before.mean(axis=(1, 2)) - after.mean(axis=(1, 2))).max())
        return spreads[1] > 4 * _FLAT or (spreads[1] < _FLAT and step > _FLAT_STEP)
    before, after = _normalised(before), _normalised(after)
    plain = float(np.abs(after).sum(axis=0).mean())
    return float(_prediction_error(before, after)) > _CUT_RATIO * plain


def _channels(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Luma and two weighted opponent colours, float32 (3, height, width); grey gives luma and zeros."""
    values = thumbnail.astype(np.float32)
    if values.ndim == 2:
        return np.stack([values, np.zeros_like(values), np.zeros_like(values)])
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    yellow = (red + green) / 2
    return np.stack([values.mean(axis=2), 0.7 * (red - green), 0.5 * (blue - yellow)])


def _normalised(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without brightness and contrast: each channel about its mean, in units of luma's deviation."""
    centred: NDArray[np.float32] = channels - channels.mean(axis=(1, 2), keepdims=True)
    return centred / max(float(centred[0].std()), _FLAT)


def _prediction_error(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Mean absolute difference between ``after`` and the best-matching blocks of ``before``."""
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
