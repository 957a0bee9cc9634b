"""Several prompts in one picture: what they take from one another, and whether each is in the picture at all.

Prompts are compared by their evidence, ``logit(p) - logit(threshold)`` with ``logit(p) = log(p / (1 - p))``: it is 0
at the threshold and positive where the prompt passes, so prompts with unlike thresholds compare fairly. Every rule
lowers evidence in a way that is continuous in all probabilities, so borders between prompts are as soft as the maps
are; turned back into a probability, it passes the prompt's own threshold exactly where the rule lets it.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.protocols import Maps
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.rendering import MatteSettings

SURE = 1e-4
"""Probabilities nearer than this to 0 or 1 count as this, so that log-odds stay finite (within ±9.2)."""
NEGATIVE_WIDTH = 1.0
"""Log-odds on each side of a negative prompt's threshold over which it takes hold: 0.27 to 0.73 for one of 0.5."""

PRESENCE_SHARE = 0.002
"""Share of the picture that presence is read from: about one token of the 22 by 22 of a published checkpoint."""
RISE_SECONDS = 0.1
FALL_SECONDS = 0.8
"""Time constants of presence: it rises quickly and falls slowly."""
HIDE_SHARE = 0.75
"""A prompt that is shown is hidden where its presence falls under this share of the level at which it was shown."""


def resolve_overlaps(
    maps: Maps, styles: Sequence[PromptStyle], ids: Sequence[int], settings: MatteSettings
) -> tuple[Maps, tuple[int, ...]]:
    """What is left of each shown prompt beside the others, and which prompts those are.

    maps: float32 (prompts, height, width), 0..1, on any one grid; it is not written to.
    styles, ids: of each prompt, in the order of the maps; ``PromptStyle.against`` refers to ids.
    Returns float32 (shown prompts, height, width), 0..1, nowhere more than in ``maps``, and the positions of the shown
    prompts. It is the very array that came in where all are shown and independent.

    In this order:
    negative: p · (1 - matched), where matched goes smoothly from 0 to 1 about the negative prompt's threshold.
    contrast: a prompt must reach the contrast prompt's probability as well as its own threshold.
    exclusive: the largest evidence among the others, where positive, is subtracted, so that a pixel passes for the
    prompt with the largest evidence only; equal ones are left exactly at their thresholds. None passes where no
    probability, after the two rules above, reaches ``none_level``.
    Raises ValueError where styles or ids are not one for each map.
    """
    if not len(maps) == len(styles) == len(ids):
        raise ValueError(f"{len(maps)} maps need as many styles and ids, not {len(styles)} and {len(ids)}.")
    shown = tuple(position for position, style in enumerate(styles) if style.role == "show")
    exclusive = settings.together == "exclusive" and len(shown) > 0
    if len(shown) == len(maps) and not exclusive:
        return maps, shown
    found = maps[list(shown)]
    opponents = {
        role: [(position, _targets(style, shown, ids)) for position, style in enumerate(styles) if style.role == role]
        for role in ("negative", "contrast")
    }
    for position, targets in opponents["negative"]:
        if targets:
            found[targets] *= 1 - _matched(maps[position], styles[position].threshold)
    thresholds = np.array([styles[position].threshold for position in shown], np.float32)
    if exclusive or any(targets for _, targets in opponents["contrast"]):
        found = _judged(
            found, thresholds, [(maps[at], rows) for at, rows in opponents["contrast"]], exclusive, settings
        )
    return found, shown


def _targets(style: PromptStyle, shown: Sequence[int], ids: Sequence[int]) -> list[int]:
    """Rows among the shown prompts that a negative or contrast prompt works on."""
    return [row for row, position in enumerate(shown) if not style.against or ids[position] in style.against]


def _judged(
    raw: Maps,
    thresholds: NDArray[np.float32],
    contrasts: Sequence[tuple[NDArray[np.float32], list[int]]],
    exclusive: bool,
    settings: MatteSettings,
) -> Maps:
    """``raw`` lowered by contrast prompts and, where ``exclusive``, by one another."""
    odds = _logit(raw)
    bars = _logit(thresholds)[:, None, None]
    own = odds - bars
    evidence = own
    for contrast, rows in contrasts:
        against = _logit(contrast)
        evidence = evidence.copy()
        evidence[rows] = np.minimum(evidence[rows], odds[rows] - against)
    if exclusive:
        reached = (evidence + bars).max(axis=0) - _logit(np.float32(settings.none_level))
        evidence = np.minimum(evidence - np.maximum(_largest_other(evidence), 0), reached)
    return _lowered(raw, thresholds, evidence, own)


def _largest_other(evidence: Maps) -> Maps:
    """For each prompt and pixel, the largest evidence among the other prompts; minus infinity where there is none."""
    first = np.full(evidence.shape[1:], -np.inf, np.float32)
    second = first.copy()
    for each in evidence:
        np.maximum(second, np.minimum(first, each), out=second)
        np.maximum(first, each, out=first)
    others: Maps = np.where(evidence == first, second, first)
    return others


def _lowered(raw: Maps, thresholds: NDArray[np.float32], evidence: Maps, own: Maps) -> Maps:
    """Probabilities whose evidence is ``evidence``: the raw ones, to the bit, where it is their ``own`` still.

    Rounding and the limits of log-odds must not decide what passes, so values are put on their side of the threshold.
    """
    found: Maps = raw.copy()
    changed = evidence != own
    for row, threshold in enumerate(thresholds):
        at = changed[row]
        left = evidence[row][at]
        values = 1 / (1 + np.exp(-(left + _logit(threshold))))
        under = np.maximum(np.nextafter(threshold, np.float32(-1)), 0)
        values = np.where(left < 0, np.minimum(values, under), np.maximum(values, threshold))
        found[row][at] = np.minimum(values, raw[row][at])
    return found


def _matched(negative: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """How far a negative prompt takes hold, 0..1: 0.5 at its threshold, the smooth step 3t² - 2t³ about it."""
    step = (_logit(negative) - _logit(np.float32(threshold))) / np.float32(2 * NEGATIVE_WIDTH) + np.float32(0.5)
    step = step.clip(0, 1)
    matched: NDArray[np.float32] = step * step * (3 - 2 * step)
    return matched


def _logit(probability: NDArray[np.float32] | np.float32) -> NDArray[np.float32]:
    limited = np.clip(probability, np.float32(SURE), np.float32(1 - SURE))
    odds: NDArray[np.float32] = np.log(limited / (1 - limited))
    return odds


def presence_of(maps: Maps) -> NDArray[np.float32]:
    """How surely each prompt is in the picture: the mean of the highest 0.2 % of its values, at least one.

    maps: float32 (prompts, height, width), 0..1. Returns float32 (prompts,), 0..1. Anything that covers more than about
    one of the model's tokens gives the same, whatever its size; a single pixel of noise does not.
    """
    count, pixels = len(maps), maps.shape[1] * maps.shape[2]
    highest = max(1, round(PRESENCE_SHARE * pixels))
    flat = np.partition(maps.reshape(count, pixels), pixels - highest, axis=1)[:, pixels - highest :]
    found: NDArray[np.float32] = flat.mean(axis=1, dtype=np.float32).clip(0, 1)
    return found


@dataclass(frozen=True, slots=True)
class Presence:
    """One prompt's smoothed presence, 0..1, and whether it is shown."""

    value: float
    shown: bool


@dataclass(frozen=True, slots=True)
class PresenceState:
    """What is remembered of each prompt's presence. A seek or another source begins with an empty one."""

    prompts: Mapping[Hashable, Presence] = field(default_factory=dict)


def update_presence(
    state: PresenceState,
    keys: Sequence[Hashable],
    values: NDArray[np.float32],
    seconds: float,
    settings: MatteSettings,
) -> tuple[PresenceState, NDArray[np.float32], tuple[bool, ...]]:
    """Presence smoothed over answers, and which prompts are shown by it.

    keys: what tells the prompts apart (row and content), one for each value; a new one begins at its value, the others
        go on undisturbed, and those that are gone are forgotten.
    values: float32 (prompts,), of ``presence_of``. seconds: since the answer before.
    Presence follows with a time constant of 0.1 s upwards and 0.8 s downwards. A prompt is shown where it reaches
    ``settings.present``, and hidden again under three quarters of that.
    Returns the state to pass in next, the smoothed values, float32 (prompts,), 0..1, and a flag for each.
    """
    prompts: dict[Hashable, Presence] = {}
    for key, value in zip(keys, values.tolist(), strict=True):
        before = state.prompts.get(key)
        if before is None:
            prompts[key] = Presence(value, value >= settings.present)
            continue
        constant = RISE_SECONDS if value > before.value else FALL_SECONDS
        smoothed = before.value + (value - before.value) * (1 - math.exp(-max(seconds, 0.0) / constant))
        level = settings.present * (HIDE_SHARE if before.shown else 1.0)
        prompts[key] = Presence(smoothed, smoothed >= level)
    smoothed_values = np.array([prompts[key].value for key in keys], np.float32)
    return PresenceState(prompts), smoothed_values, tuple(prompts[key].shown for key in keys)
