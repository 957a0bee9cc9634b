"""Effects as values. The ``rendering`` package draws them, one after the other.

An effect may be at any position of a list, and more than once. Each effect works on the result of the one before it,
with the same mattes. Lengths are in percent of the frame's shorter side, so that effects look the same at every size.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny
from pydantic_core import PydanticCustomError

from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.base import (
    GREEN_SCREEN,
    RGB,
    Frozen,
    UnitInterval,
    parse_colour,
    renamed_value,
    validated,
)
from clipseg_live.core.settings.plugins import PluginError, Registry, check_interface
from clipseg_live.core.system.quoting import shorten

LONGEST_LENGTH = 25.0
Length = Annotated[float, Field(gt=0.0, le=LONGEST_LENGTH)]
Margin = Annotated[float, Field(ge=0.0, le=LONGEST_LENGTH)]
Side = Literal["background", "object"]
EffectGroup = Literal["mark", "change", "inspect", "hide"]
"""Part of the window's menu of effects."""

_NAME = re.compile(r"[a-z][a-z0-9-]*")
_MARGIN_HELP = "Grow the area first."


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectInfo:
    """Facts about a kind of effect.

    Attributes:
        title: Name in the window.
        help: One sentence for the window that says what the effect does.
        group: Part of the window's menu.
        drawing: "module:function" that draws the effect. It takes a ``rendering.blending.EffectCanvas`` and the effect,
            and is imported with its first use.
        private: The effect hides something and fails closed: the whole frame is hidden if ``core.privacy.hides_whole``
            says so. An effect of another package draws over a black frame then. Privacy effects are drawn before all
            others, so that no other effect shows the hidden content.
        interface: Version of the interface that the effect is made for.
    """

    title: str
    help: str
    group: EffectGroup
    drawing: str
    private: bool = False
    interface: int = 1


class EffectSettings(Frozen):
    """Base class of the settings of an effect.

    A subclass has ``info``, a field ``kind`` with the name of the effect, and a field with a default for each option.
    ``title`` and ``description`` of a field are its texts in the window and the documentation. The window has controls
    for the types bool, float and int with bounds, literals of texts, ``RGB``, and ``Path | None``.
    """

    info: ClassVar[EffectInfo]

    kind: str = ""


AnyEffect = EffectSettings
"""Any effect, in annotations."""


class Tint(EffectSettings):
    """Fill each matte with its prompt's colour and opacity, a little stronger along the inside of its border."""

    info = EffectInfo(
        title="Tint",
        help="Fills each mask with the colour of its prompt.",
        group="mark",
        drawing="clipseg_live.rendering.annotations:draw_tints",
    )

    kind: Literal["tint"] = "tint"


class Outline(EffectSettings):
    """Draw a line of constant width in the prompt's colour along each border, with a thin dark halo."""

    info = EffectInfo(
        title="Outline",
        help="Draws a line along the border of each mask.",
        group="mark",
        drawing="clipseg_live.rendering.annotations:draw_outlines",
    )

    kind: Literal["outline"] = "outline"
    width: Length = Field(default=0.28, title="Width", description="Width of the line.")


class Glow(EffectSettings):
    """Draw light in the prompt's colour that fades outside each border."""

    info = EffectInfo(
        title="Glow",
        help="Draws a glow around each mask.",
        group="mark",
        drawing="clipseg_live.rendering.annotations:draw_glow",
    )

    kind: Literal["glow"] = "glow"
    reach: Length = Field(default=3.0, title="Radius", description="Length over which the light fades.")
    strength: UnitInterval = Field(default=0.8, title="Strength", description="Strength at the border.")


class Heatmap(EffectSettings):
    """Colour the frame by the largest probability of any prompt."""

    info = EffectInfo(
        title="Heat map",
        help="Colours the frame by the highest probability.",
        group="inspect",
        drawing="clipseg_live.rendering.inspection:draw_heatmap",
    )

    kind: Literal["heatmap"] = "heatmap"
    opacity: UnitInterval = Field(default=0.55, title="Opacity", description="Opacity of the colours.")
    scale: bool = Field(default=True, title="Legend", description="Draw a legend from 0 to 1 in a corner.")


class Raw(EffectSettings):
    """Show the probability maps instead of the frame, each in its prompt's colour on black, without thresholds."""

    info = EffectInfo(
        title="Probabilities",
        help="Shows the probability maps instead of the frame.",
        group="inspect",
        drawing="clipseg_live.rendering.inspection:draw_raw_maps",
    )

    kind: Literal["raw"] = "raw"


class MatteView(EffectSettings):
    """Show the mattes instead of the frame, white on black; several as their union."""

    info = EffectInfo(
        title="Mask",
        help="Shows the masks instead of the frame, white on black.",
        group="inspect",
        drawing="clipseg_live.rendering.inspection:draw_mattes",
    )

    kind: Literal["matte"] = "matte"


class EdgeView(EffectSettings):
    """Colour borders by what decided about them: the map, or the edges or colours of the frame, which changed it."""

    info = EffectInfo(
        title="Edge decisions",
        help="Shows where edges or colours of the frame changed the border of the map.",
        group="inspect",
        drawing="clipseg_live.rendering.inspection:draw_edge_decisions",
    )

    kind: Literal["decisions"] = "decisions"
    opacity: UnitInterval = Field(default=0.9, title="Opacity", description="Opacity of the colours.")


class Spotlight(EffectSettings):
    """Darken the area outside all mattes."""

    info = EffectInfo(
        title="Spotlight",
        help="Darkens everything outside the masks.",
        group="change",
        drawing="clipseg_live.rendering.background:draw_spotlight",
    )

    kind: Literal["spotlight"] = "spotlight"
    dim: UnitInterval = Field(default=0.7, title="Darkness", description="Strength: 0 (unchanged) to 1 (black).")


class Blur(EffectSettings):
    """Blur the area outside all mattes, or inside them."""

    info = EffectInfo(
        title="Blur",
        help="Blurs the background or the masked area.",
        group="change",
        drawing="clipseg_live.rendering.background:draw_blurred",
    )

    kind: Literal["blur"] = "blur"
    what: Side = Field(default="background", title="Area", description="Blur the `background` or the `object`.")
    amount: Length = Field(default=2.8, title="Amount", description="Radius of the blur.")


class Desaturate(EffectSettings):
    """Desaturate the area outside all mattes."""

    info = EffectInfo(
        title="Desaturate",
        help="Removes colour outside the masks.",
        group="change",
        drawing="clipseg_live.rendering.background:draw_desaturated",
    )

    kind: Literal["desaturate"] = "desaturate"
    amount: UnitInterval = Field(default=1.0, title="Amount", description="Strength: 0 (unchanged) to 1 (grey).")


class Invert(EffectSettings):
    """Invert the colours inside the mattes."""

    info = EffectInfo(
        title="Invert",
        help="Inverts colours inside the masks.",
        group="change",
        drawing="clipseg_live.rendering.background:draw_inverted",
    )

    kind: Literal["invert"] = "invert"


class CutOut(EffectSettings):
    """Show the area inside any matte on a backdrop."""

    info = EffectInfo(
        title="Cut-out",
        help="Puts the masked area on a colour, a checkerboard, an image or a video.",
        group="change",
        drawing="clipseg_live.rendering.background:draw_cutout",
    )

    kind: Literal["cutout"] = "cutout"
    backdrop: Annotated[Literal["checkerboard", "colour", "image", "video"], renamed_value("picture", "image")] = Field(
        default="checkerboard",
        title="Backdrop",
        description='"image" and "video" show `file`, which covers the frame. A video plays in a loop, timed by the '
        "frames' own times.",
    )
    colour: RGB = Field(default=GREEN_SCREEN, title="Colour", description='Colour of the backdrop "colour".')
    file: Path | None = Field(default=None, title="File", description="Image or video file.")


class Pixelate(EffectSettings):
    """Pixelate the area inside any matte, for faces and number plates.

    A frame without mattes of its own is hidden completely. So is every frame while there is no prompt, or while a
    prompt is edited.
    """

    info = EffectInfo(
        title="Pixelate",
        help="Hides the masked area under coarse squares.",
        group="hide",
        drawing="clipseg_live.rendering.privacy:draw_pixelated",
        private=True,
    )

    kind: Literal["pixelate"] = "pixelate"
    cell: Length = Field(default=4.0, title="Square size", description="Side of the squares.")
    grow: Margin = Field(default=1.5, title="Margin", description=_MARGIN_HELP)


class BlackOut(EffectSettings):
    """Fill the area inside any matte with one colour, for faces and number plates.

    A frame without mattes of its own is hidden completely. So is every frame while there is no prompt, or while a
    prompt is edited.
    """

    info = EffectInfo(
        title="Black out",
        help="Hides the masked area under one colour.",
        group="hide",
        drawing="clipseg_live.rendering.privacy:draw_blacked_out",
        private=True,
    )

    kind: Literal["blackout"] = "blackout"
    colour: RGB = Field(default=(0, 0, 0), title="Colour", description="Colour that hides.")
    grow: Margin = Field(default=1.5, title="Margin", description=_MARGIN_HELP)


class Labels(EffectSettings):
    """Write the name of each prompt at its largest component."""

    info = EffectInfo(
        title="Labels",
        help="Writes the name of each prompt next to its mask.",
        group="mark",
        drawing="clipseg_live.rendering.annotations:draw_labels",
    )

    kind: Literal["labels"] = "labels"
    presence: bool = Field(default=True, title="Presence", description="Write the presence of the prompt as well.")


class Wipe(EffectSettings):
    """Show the original frame left of a vertical line, and the rendered one right of it.

    Privacy effects stay on both sides.
    """

    info = EffectInfo(
        title="Before and after",
        help="Shows the original left of a line and the result right of it. Drag the line on the frame.",
        group="inspect",
        drawing="clipseg_live.rendering.inspection:draw_wipe",
    )

    kind: Literal["wipe"] = "wipe"
    at: UnitInterval = Field(
        default=0.5, title="Line position", description="Position of the line as a share of the width."
    )


class SideBySide(EffectSettings):
    """Show the original and the rendered frame side by side, each at half the size, within the frame's own size.

    Privacy effects stay on both sides.
    """

    info = EffectInfo(
        title="Side by side",
        help="Shows the original and the result side by side.",
        group="inspect",
        drawing="clipseg_live.rendering.inspection:draw_side_by_side",
    )

    kind: Literal["sidebyside"] = "sidebyside"


_OWN: tuple[type[EffectSettings], ...] = (
    Tint, Outline, Glow, Heatmap, Raw, MatteView, EdgeView, Spotlight, Blur, Desaturate, Invert, CutOut, Pixelate,
    BlackOut, Labels, Wipe, SideBySide,
)  # fmt: skip


def _accept(name: str, part: object) -> type[EffectSettings]:
    if not (isinstance(part, type) and issubclass(part, EffectSettings)):
        raise PluginError("its entry point is not a subclass of EffectSettings")
    info = getattr(part, "info", None)
    if not isinstance(info, EffectInfo):
        raise PluginError(f"{part.__name__} has no info of the type EffectInfo")
    check_interface(info.interface)
    if part.model_fields["kind"].default != name or not _NAME.fullmatch(name):
        raise PluginError(f"its kind must be {name!r}, the name of its entry point: small letters, digits and hyphens")
    required = [field for field, facts in part.model_fields.items() if facts.is_required()]
    if required:
        raise PluginError(f"the option {required[0]} has no default")
    return part


KINDS: dict[str, type[EffectSettings]] = {effect.model_fields["kind"].default: effect for effect in _OWN}
"""The effects of this package by name, in the order of the menus."""

EFFECT_KINDS = Registry("clipseg_live.effects", "effect", KINDS, _accept)
"""All effects by name, with those of installed packages."""


def _effect_of(value: object) -> object:
    """Return the effect of a dictionary with its kind and options; other values are returned unchanged."""
    if not isinstance(value, dict):
        return value
    kind = str(value.get("kind"))
    effect = EFFECT_KINDS.get(kind)
    if effect is None:
        refusal = {"kind": shorten(kind), "refusal": EFFECT_KINDS.refusal(kind)}
        raise PydanticCustomError("effect", "there is no effect {kind}: {refusal}", refusal)
    return effect.model_validate(value)


Effect = Annotated[SerializeAsAny[EffectSettings], BeforeValidator(_effect_of)]
LONGEST_EFFECT_LIST = 32
Effects = Annotated[tuple[Effect, ...], Field(max_length=LONGEST_EFFECT_LIST)]

DEFAULT_EFFECTS: tuple[EffectSettings, ...] = (Tint(), Outline())


def is_private(effects: Sequence[EffectSettings]) -> bool:
    """Return whether any of the effects is a privacy effect."""
    return any(effect.info.private for effect in effects)


def in_order(effects: Sequence[EffectSettings]) -> tuple[EffectSettings, ...]:
    """Return the effects in drawing order: privacy effects first, the others as given."""
    return tuple(sorted(effects, key=lambda effect: not effect.info.private))


def parse_effects(text: str) -> tuple[EffectSettings, ...]:
    """Parse the effects of a command line.

    Args:
        text: Names joined by "+", each with options in parentheses, as in "tint+outline(width=0.4)" or
            "cutout(backdrop=colour,colour=#00b140)".

    Raises:
        UsageError: If an effect, an option or a value is unknown or invalid.
    """
    return tuple(_parse_one(part.strip()) for part in _split(text, "+"))


def _parse_one(text: str) -> EffectSettings:
    match = re.fullmatch(rf"({_NAME.pattern})\s*(?:\((.*)\))?", text, re.DOTALL)
    kind = EFFECT_KINDS.get(match[1]) if match is not None else None
    if match is None or kind is None:
        raise UsageError(f"{text!r} is not an effect: {EFFECT_KINDS.refusal(match[1] if match is not None else text)}.")
    values: dict[str, object] = {}
    for option in _split(match[2], ",") if match[2] else ():
        name, equals, value = (part.strip() for part in option.partition("="))
        if not equals or name not in kind.model_fields or name == "kind":
            names = ", ".join(field for field in kind.model_fields if field != "kind")
            raise UsageError(f"{option.strip()!r} is not an option of {match[1]}: it has {names or 'none'}.")
        annotation: object = kind.model_fields[name].annotation
        values[name] = parse_colour(value) if annotation == RGB else value
    return validated(kind, **values)


def _split(text: str, mark: str) -> list[str]:
    """Split a text at the marks that are not in parentheses."""
    return re.split(rf"\{mark}(?![^(]*\))", text)
