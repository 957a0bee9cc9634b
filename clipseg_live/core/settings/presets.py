"""Presets: each changes the effects and mattes of a session, and nothing else."""

from collections.abc import Mapping

from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.effects import (
    DEFAULT_EFFECTS,
    AnyEffect,
    Blur,
    CutOut,
    Heatmap,
    Labels,
    Outline,
    Pixelate,
    Tint,
)
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.settings.rendering import MatteSettings

PRESETS: Mapping[str, tuple[tuple[AnyEffect, ...], MatteSettings]] = {
    "default": (DEFAULT_EFFECTS, MatteSettings()),
    "broadcast": ((CutOut(backdrop="checkerboard"),), MatteSettings(smoothing=0.7, auto_hide=True)),
    "green screen": ((CutOut(backdrop="colour"),), MatteSettings(smoothing=0.7)),
    "background blur": ((Blur(),), MatteSettings(smoothing=0.7)),
    "inspect": (
        (Heatmap(), Outline(), Labels()),
        MatteSettings(smoothing=0.0, motion_tracking=False, edges="off"),
    ),
    "privacy": ((Pixelate(),), MatteSettings(smoothing=0.3)),
    "highlight": ((Tint(), Outline(), Labels()), MatteSettings(overlap="exclusive")),
}
"""Effects and mattes by name. With a privacy effect, only frames with their own masks are shown in any display mode."""


def find_preset(name: str) -> tuple[tuple[AnyEffect, ...], MatteSettings]:
    """Return the effects and mattes of a preset.

    Raises:
        UsageError: If there is no preset of this name.
    """
    if name not in PRESETS:
        raise UsageError(f"There is no preset {name!r}: use one of {', '.join(PRESETS)}.")
    return PRESETS[name]


def with_preset(settings: LiveSettings, name: str) -> LiveSettings:
    """Return the settings with the effects and mattes of a preset.

    Raises:
        UsageError: If there is no preset of this name.
    """
    return with_look(settings, *find_preset(name))


def with_look(settings: LiveSettings, effects: tuple[AnyEffect, ...], matte: MatteSettings) -> LiveSettings:
    """Return the settings with other effects and mattes, and without disabled effects."""
    return settings.model_copy(update={"effects": effects, "disabled_effects": (), "matte": matte})
