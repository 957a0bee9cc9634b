"""Rows of the list of effects, drawn and disabled, as pure functions of the settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from clipseg_live.core.settings.effects import AnyEffect
from clipseg_live.core.settings.live import DisabledEffect, LiveSettings

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One effect of the list.

    Attributes:
        effect: the effect.
        enabled: whether it is drawn.
    """

    effect: AnyEffect
    enabled: bool = True


def effect_rows(settings: LiveSettings) -> tuple[EffectRow, ...]:
    """Return all effects in the order of the list."""
    rows: list[EffectRow] = []
    for position in range(len(settings.effects) + 1):
        is_last = position == len(settings.effects)
        rows += [
            EffectRow(disabled.effect, enabled=False)
            for disabled in settings.disabled_effects
            if disabled.position == position or (is_last and disabled.position > position)
        ]
        rows += [EffectRow(effect) for effect in settings.effects[position : position + 1]]
    return tuple(rows)


def with_effect_rows(settings: LiveSettings, rows: Sequence[EffectRow]) -> LiveSettings:
    """Return the settings with the rows as their effects, drawn and disabled."""
    effects = tuple(row.effect for row in rows if row.enabled)
    disabled = tuple(
        DisabledEffect(effect=row.effect, position=sum(before.enabled for before in rows[:index]))
        for index, row in enumerate(rows)
        if not row.enabled
    )
    return settings.model_copy(update={"effects": effects, "disabled_effects": disabled})


def with_effect_moved(rows: Sequence[Row], index: int, gap: int) -> tuple[Row, ...]:
    """Return the rows with one of them moved.

    Args:
        rows: the rows.
        index: index of the row.
        gap: where to move it: 0 is before the first row, ``len(rows)`` after the last.
    """
    others = [row for number, row in enumerate(rows) if number != index]
    others.insert(gap - 1 if gap > index else gap, rows[index])
    return tuple(others)
