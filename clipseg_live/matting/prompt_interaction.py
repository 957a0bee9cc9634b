"""Overlap rules between prompts, and the presence of each prompt.

Prompts are compared by their evidence, ``logit(p) - logit(threshold)`` with ``logit(p) = log(p / (1 - p))``. Evidence
is 0 at the threshold and positive above it, so prompts with different thresholds compare fairly. Every rule lowers
evidence and is continuous in all probabilities, so borders between prompts are as soft as the maps. Converted back to a
probability, evidence reaches the threshold of the prompt exactly where the rule allows it.
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
"""Distance from 0 or 1 to which probabilities are limited, so that log-odds stay finite (within ±9.2)."""
NEGATIVE_WIDTH = 1.0
"""Log-odds on each side of a negative prompt's threshold over which it takes effect: 0.27 to 0.73 for 0.5."""

PRESENCE_SHARE = 0.002
"""Share of the image from which presence is measured: about one token of the 22 by 22 of a published checkpoint."""
RISE_SECONDS = 0.1
FALL_SECONDS = 0.8
"""Time constants of presence: it rises quickly and falls slowly."""
HIDE_SHARE = 0.75
"""Share of the presence level below which a shown prompt is hidden again."""


def resolve_overlaps(
    maps: Maps, styles: Sequence[PromptStyle], ids: Sequence[int], settings: MatteSettings
) -> tuple[Maps, tuple[int, ...]]:
    """Apply the rules between prompts: negative, contrast and exclusive, in this order.

    Negative: p · (1 - matched), where matched rises smoothly from 0 to 1 around the threshold of the negative prompt.

    Contrast: a prompt must reach the probability of the contrast prompt as well as its own threshold.

    Exclusive: the largest positive evidence among the other prompts is subtracted. A pixel is then over the threshold
    only for the prompt with the largest evidence; equal ones stay exactly at their thresholds. No prompt is over the
    threshold where no probability, after the two rules above, reaches ``none_level``.

    Args:
        maps: float32 (prompts, height, width), 0..1, on any one grid; not written to.
        styles: style of each prompt, in the order of the maps.
        ids: id of each prompt, in the order of the maps; ``PromptStyle.targets`` refers to them.
        settings: settings of the session, with ``together`` and ``none_level``.

    Returns:
        The maps of the shown prompts, float32 (shown prompts, height, width), 0..1, nowhere above ``maps``, and the
            positions of these prompts. The maps are the same array as the argument if all prompts are shown and
            independent.

    Raises:
        ValueError: if the number of styles or ids differs from the number of maps.
    """
    if not len(maps) == len(styles) == len(ids):
        raise ValueError(f"{len(maps)} maps need as many styles and ids, not {len(styles)} and {len(ids)}.")
    shown = tuple(position for position, style in enumerate(styles) if style.role == "positive")
    exclusive = settings.overlap == "exclusive" and len(shown) > 0
    if len(shown) == len(maps) and not exclusive:
        return maps, shown
    result = maps[list(shown)]
    opponents = {
        role: [(position, _targets(style, shown, ids)) for position, style in enumerate(styles) if style.role == role]
        for role in ("negative", "contrast")
    }
    for position, targets in opponents["negative"]:
        if targets:
            result[targets] *= 1 - _negative_effect(maps[position], styles[position].threshold)
    thresholds = np.array([styles[position].threshold for position in shown], np.float32)
    if exclusive or any(targets for _, targets in opponents["contrast"]):
        result = _apply_competition(
            result, thresholds, [(maps[index], rows) for index, rows in opponents["contrast"]], exclusive, settings
        )
    return result, shown


def _targets(style: PromptStyle, shown: Sequence[int], ids: Sequence[int]) -> list[int]:
    """Return the rows among the shown prompts to which a negative or contrast prompt applies."""
    return [row for row, position in enumerate(shown) if not style.targets or ids[position] in style.targets]


def _apply_competition(
    raw: Maps,
    thresholds: NDArray[np.float32],
    contrasts: Sequence[tuple[NDArray[np.float32], list[int]]],
    exclusive: bool,
    settings: MatteSettings,
) -> Maps:
    """Return ``raw`` lowered by contrast prompts and, if ``exclusive``, by one another."""
    odds = _logit(raw)
    threshold_odds = _logit(thresholds)[:, None, None]
    own = odds - threshold_odds
    evidence = own
    for contrast, rows in contrasts:
        against = _logit(contrast)
        evidence = evidence.copy()
        evidence[rows] = np.minimum(evidence[rows], odds[rows] - against)
    if exclusive:
        margin = (evidence + threshold_odds).max(axis=0) - _logit(np.float32(settings.background_threshold))
        evidence = np.minimum(evidence - np.maximum(_largest_other(evidence), 0), margin)
    return _lower(raw, thresholds, evidence, own)


def _largest_other(evidence: Maps) -> Maps:
    """Return the largest evidence among the other prompts for each prompt and pixel; minus infinity without others."""
    largest = np.full(evidence.shape[1:], -np.inf, np.float32)
    second_largest = largest.copy()
    for plane in evidence:
        np.maximum(second_largest, np.minimum(largest, plane), out=second_largest)
        np.maximum(largest, plane, out=largest)
    others: Maps = np.where(evidence == largest, second_largest, largest)
    return others


def _lower(raw: Maps, thresholds: NDArray[np.float32], evidence: Maps, own: Maps) -> Maps:
    """Return the probabilities for ``evidence``; where it equals ``own``, the raw ones are kept bit by bit.

    Rounding and the limits of log-odds must not decide whether a pixel reaches the threshold. Values are therefore
    moved to the correct side of it.
    """
    result: Maps = raw.copy()
    changed = evidence != own
    for row, threshold in enumerate(thresholds):
        pixels = changed[row]
        new_evidence = evidence[row][pixels]
        values = 1 / (1 + np.exp(-(new_evidence + _logit(threshold))))
        just_below = np.maximum(np.nextafter(threshold, np.float32(-1)), 0)
        values = np.where(new_evidence < 0, np.minimum(values, just_below), np.maximum(values, threshold))
        result[row][pixels] = np.minimum(values, raw[row][pixels])
    return result


def _negative_effect(negative: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Return the effect of a negative prompt, 0..1: 0.5 at its threshold, with the smooth step 3t² - 2t³ around it."""
    step = (_logit(negative) - _logit(np.float32(threshold))) / np.float32(2 * NEGATIVE_WIDTH) + np.float32(0.5)
    step = step.clip(0, 1)
    effect: NDArray[np.float32] = step * step * (3 - 2 * step)
    return effect


def _logit(probability: NDArray[np.float32] | np.float32) -> NDArray[np.float32]:
    limited = np.clip(probability, np.float32(SURE), np.float32(1 - SURE))
    odds: NDArray[np.float32] = np.log(limited / (1 - limited))
    return odds


def presence_of(maps: Maps) -> NDArray[np.float32]:
    """Return the presence of each prompt: the mean of the highest 0.2 % of its values, at least one.

    An object larger than about one token of the model has the same presence at any size. A single pixel of noise has
    none.

    Args:
        maps: float32 (prompts, height, width), 0..1.

    Returns:
        float32 (prompts,), 0..1.
    """
    count, pixels = len(maps), maps.shape[1] * maps.shape[2]
    highest = max(1, round(PRESENCE_SHARE * pixels))
    flat = np.partition(maps.reshape(count, pixels), pixels - highest, axis=1)[:, pixels - highest :]
    presence: NDArray[np.float32] = flat.mean(axis=1, dtype=np.float32).clip(0, 1)
    return presence


@dataclass(frozen=True, slots=True)
class Presence:
    """Smoothed presence of one prompt, 0..1, and whether the prompt is shown."""

    value: float
    shown: bool


@dataclass(frozen=True, slots=True)
class PresenceState:
    """Smoothed presence of all prompts; a seek or a change of source begins with an empty one."""

    prompts: Mapping[Hashable, Presence] = field(default_factory=dict)


def update_presence(
    state: PresenceState,
    keys: Sequence[Hashable],
    values: NDArray[np.float32],
    seconds: float,
    settings: MatteSettings,
) -> tuple[PresenceState, NDArray[np.float32], tuple[bool, ...]]:
    """Smooth presence over predictions, and decide which prompts are shown.

    Presence follows with a time constant of 0.1 s upwards and 0.8 s downwards. A prompt is shown when it reaches
    ``settings.present``, and hidden when it falls below three quarters of that.

    Args:
        state: state after the prediction before.
        keys: identity of each prompt (row and content), one for each value. A new prompt begins at its value, the
            others continue, and removed ones are forgotten.
        values: float32 (prompts,), from ``presence_of``.
        seconds: time since the prediction before.
        settings: settings of the session, with ``present``.

    Returns:
        The state to pass to the next call, the smoothed values, float32 (prompts,), 0..1, and a flag for each prompt.
    """
    prompts: dict[Hashable, Presence] = {}
    for key, value in zip(keys, values.tolist(), strict=True):
        last = state.prompts.get(key)
        if last is None:
            prompts[key] = Presence(value, value >= settings.presence_threshold)
            continue
        constant = RISE_SECONDS if value > last.value else FALL_SECONDS
        smoothed = last.value + (value - last.value) * (1 - math.exp(-max(seconds, 0.0) / constant))
        level = settings.presence_threshold * (HIDE_SHARE if last.shown else 1.0)
        prompts[key] = Presence(smoothed, smoothed >= level)
    smoothed_values = np.array([prompts[key].value for key in keys], np.float32)
    return PresenceState(prompts), smoothed_values, tuple(prompts[key].shown for key in keys)
