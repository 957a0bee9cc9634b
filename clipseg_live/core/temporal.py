"""Steadiness over time: an average of probability maps that forgets at cuts, and what a cut is."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import UsageError

Maps = NDArray[np.float32]

THUMBNAIL = (32, 32)
"""Height and width that ``is_cut`` is made for."""

_LONGEST = 1.0
_CHANGE, _UNLIKELY, _HELD = 0.4, 0.35, 0.15

_BLOCK = 8
_REACH = 6
_CUT_RATIO = 0.66
_FLAT = 4.0
_FLAT_STEP = 40.0


@dataclass(frozen=True, slots=True, eq=False)
class TemporalState:
    """What smoothing remembers: the last smoothed maps (read-only), None before the first frame, and their key."""

    maps: Maps | None = None
    key: Hashable = None


def smooth(
    state: TemporalState, maps: Maps, strength: float, cut: bool = False, key: Hashable = None
) -> tuple[TemporalState, Maps]:
    """Exponential average of probability maps: ``strength`` of the past plus the rest of the present.

    maps: float32 (prompts, height, width), 0..1; it is not written to.
    strength: 0 (the very same maps come back, bit for bit) up to, but not including, 1.
    cut: True where this frame begins something new; the past is forgotten.
    key: whatever the past is only valid for, such as (epoch, prompt version); another key forgets it, as does
        another number or size of maps.
    Returns the state to pass in next, and maps of the same shape, type and range.
    Raises UsageError for a strength out of its range.
    """
    if not 0.0 <= strength < 1.0:
        raise UsageError(f"A smoothing of {strength} is not possible: it goes from 0 (off) to under 1.")
    past = state.maps
    forget = cut or past is None or past.shape != maps.shape or state.key != key
    if strength == 0.0:
        return TemporalState(None, key), maps
    if forget or past is None:
        mixed = np.array(maps, dtype=np.float32)
    else:
        # past + (present - past) * share keeps equal values exactly equal; the clip takes off a last rounding.
        mixed = maps - past
        mixed *= np.float32(1.0 - strength)
        mixed += past
        np.clip(mixed, 0.0, 1.0, out=mixed)
    mixed.setflags(write=False)
    return TemporalState(mixed, key), mixed


@dataclass(frozen=True, slots=True)
class PromptStates:
    """What smoothing remembers of each prompt by itself, and the epoch that it is valid for."""

    states: Mapping[Hashable, TemporalState] = field(default_factory=dict)
    epoch: int = -1


def smooth_each(
    past: PromptStates, keys: Sequence[Hashable], maps: Maps, strength: float, epoch: int
) -> tuple[PromptStates, Maps]:
    """``smooth`` for each prompt by itself: one that is new begins anew, and does not disturb the others.

    keys: what tells the prompts apart (row and content), one for each map. A new epoch forgets everything.
    Returns the state to pass in next, and maps of the same shape, read-only.
    """
    if strength == 0.0 or not len(maps):
        return PromptStates({}, epoch), maps
    known = past.states if past.epoch == epoch else {}
    states: dict[Hashable, TemporalState] = {}
    for number, key in enumerate(keys):
        state, _ = smooth(known.get(key, TemporalState()), maps[number : number + 1], strength)
        states[key] = state
    mixed: Maps = np.concatenate([state.maps for state in states.values() if state.maps is not None])
    mixed.setflags(write=False)
    return PromptStates(states, epoch), mixed


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """What is held of each prompt after the answers so far, all in the coordinates of one frame.

    keys: what tells the prompts apart. maps: float32 (h, w, prompts), 0..1. doubt: bool, the same shape, where the last
    answer was so unlike the ones before, for no reason in the picture, that it was mostly left out.
    """

    keys: tuple[Hashable, ...]
    maps: Maps
    doubt: NDArray[np.bool_]


def gain_of(strength: float, seconds: float) -> float:
    """How much of an answer counts that comes ``seconds`` after the one before: an exponential average over
    ``strength`` (0 off, to 1) squared times ``_LONGEST`` seconds, whatever the rate of answers."""
    memory = strength * strength * _LONGEST
    return 1.0 if memory <= 0 else 1.0 - math.exp(-max(seconds, 1e-3) / memory)


def believe(
    past: Belief | None, keys: Sequence[Hashable], answer: Maps, trust: NDArray[np.float32], sure: NDArray[np.float32],
    strength: float, seconds: float,
) -> Belief:  # fmt: skip
    """Take an answer in: steady where the picture goes on as it was, at once where it and the answer have both changed.

    past: in the same frame's coordinates as ``answer``, float32 (h, w, prompts); None, or without a prompt's key, for
    one that is new and is taken as it is. trust: float32 (h, w), 0..1, where the picture is the one that ``past`` was
    about. sure: float32 (h, w), 0..1, where the answer's picture is this one. A single answer that differs widely
    without a change in the picture is held back; the next is believed.
    seconds: between this answer's frame and the last one's. strength 0 gives the answer as it is.
    """
    keys = tuple(keys)
    if past is None or strength <= 0 or past.maps.shape[:2] != answer.shape[:2]:
        return Belief(keys, answer, np.zeros(answer.shape, np.bool_))
    places = [past.keys.index(key) if key in past.keys else -1 for key in keys]
    known = np.array([place >= 0 for place in places])
    before = np.where(known, past.maps[..., places], answer) if past.keys else answer
    doubted = past.doubt[..., places] if past.keys else np.zeros(answer.shape, np.bool_)
    difference = answer - before
    size = np.abs(difference)
    moved = (1 - trust)[..., None]
    gain = np.float32(gain_of(strength, seconds))
    share = gain + (1 - gain) * moved * np.clip(size / np.float32(_CHANGE), 0, 1)
    doubt = (size > _UNLIKELY) & ~doubted & (moved < 0.5)
    share = np.where(doubt, np.float32(_HELD) * share, share)
    share = np.where(known, share * sure[..., None], 1)
    return Belief(keys, np.clip(before + share * difference, 0, 1).astype(np.float32), doubt)


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
