"""Effects as values. The ``rendering`` package draws them, one after the other.

An effect may be at any position of a list, and more than once. Each effect works on the result of the one before it,
with the same mattes. Lengths are in percent of the frame's shorter side, so that effects look the same at every size.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field

from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.base import GREEN_SCREEN, RGB, Frozen, UnitInterval, parse_colour, validated

Length = Annotated[float, Field(gt=0.0, le=25.0)]
Side = Literal["background", "object"]


class Tint(Frozen):
    """Fill each matte with its prompt's colour and opacity, a little stronger along the inside of its border."""

    kind: Literal["tint"] = "tint"


class Outline(Frozen):
    """Draw a line of constant width in the prompt's colour along each border, with a thin dark halo."""

    kind: Literal["outline"] = "outline"
    width: Length = 0.28


class Glow(Frozen):
    """Draw light in the prompt's colour that fades outside each border.

    Attributes:
        reach: Length over which the light fades.
        strength: Strength at the border.
    """

    kind: Literal["glow"] = "glow"
    reach: Length = 3.0
    strength: UnitInterval = 0.8


class Heatmap(Frozen):
    """Colour the frame by the largest probability of any prompt.

    Attributes:
        opacity: Opacity of the colours.
        scale: Draw a legend from 0 to 1 in a corner.
    """

    kind: Literal["heatmap"] = "heatmap"
    opacity: UnitInterval = 0.55
    scale: bool = True


class Raw(Frozen):
    """Show the probability maps instead of the frame, each in its prompt's colour on black, without thresholds."""

    kind: Literal["raw"] = "raw"


class MatteView(Frozen):
    """Show the mattes instead of the frame, white on black; several as their union."""

    kind: Literal["matte"] = "matte"


class Spotlight(Frozen):
    """Darken the area outside all mattes.

    Attributes:
        dim: 0 (unchanged) to 1 (black).
    """

    kind: Literal["spotlight"] = "spotlight"
    dim: UnitInterval = 0.7


class Blur(Frozen):
    """Blur the area outside all mattes, or inside them."""

    kind: Literal["blur"] = "blur"
    what: Side = "background"
    amount: Length = 2.8


class Desaturate(Frozen):
    """Desaturate the area outside all mattes.

    Attributes:
        amount: 0 (unchanged) to 1 (grey).
    """

    kind: Literal["desaturate"] = "desaturate"
    amount: UnitInterval = 1.0


class Invert(Frozen):
    """Invert the colours inside the mattes."""

    kind: Literal["invert"] = "invert"


class CutOut(Frozen):
    """Show the area inside any matte on a backdrop.

    Attributes:
        backdrop: "picture" and "video" show ``file``, which covers the frame. A video plays in a loop, timed by the
            frames' own times.
        colour: Colour of the backdrop "colour".
        file: Image or video file.
    """

    kind: Literal["cutout"] = "cutout"
    backdrop: Literal["checkerboard", "colour", "picture", "video"] = "checkerboard"
    colour: RGB = GREEN_SCREEN
    file: Path | None = None


class Pixelate(Frozen):
    """Pixelate the area inside any matte, for faces and number plates.

    A frame without mattes of its own is hidden completely. So is every frame while there is no prompt, or while a
    prompt is edited.
    """

    kind: Literal["pixelate"] = "pixelate"
    cell: Length = 4.0
    grow: Annotated[float, Field(ge=0.0, le=25.0)] = 1.5


class BlackOut(Frozen):
    """Fill the area inside any matte with one colour, for faces and number plates.

    A frame without mattes of its own is hidden completely. So is every frame while there is no prompt, or while a
    prompt is edited.
    """

    kind: Literal["blackout"] = "blackout"
    colour: RGB = (0, 0, 0)
    grow: Annotated[float, Field(ge=0.0, le=25.0)] = 1.5


class Labels(Frozen):
    """Write the name of each prompt at its largest component.

    Attributes:
        presence: Write the presence of the prompt as well.
    """

    kind: Literal["labels"] = "labels"
    presence: bool = True


class Wipe(Frozen):
    """Show the original frame left of a vertical line, and the rendered one right of it.

    Privacy effects stay on both sides.

    Attributes:
        at: Position of the line as a share of the width.
    """

    kind: Literal["wipe"] = "wipe"
    at: UnitInterval = 0.5


class SideBySide(Frozen):
    """Show the original and the rendered frame side by side, each at half the size, within the frame's own size.

    Privacy effects stay on both sides.
    """

    kind: Literal["sidebyside"] = "sidebyside"


AnyEffect = (
    Tint | Outline | Glow | Heatmap | Raw | MatteView | Spotlight | Blur | Desaturate | Invert | CutOut | Pixelate
    | BlackOut | Labels | Wipe | SideBySide
)  # fmt: skip
Effect = Annotated[AnyEffect, Field(discriminator="kind")]
Effects = Annotated[tuple[Effect, ...], Field(max_length=16)]

KINDS: dict[str, type[AnyEffect]] = {each.model_fields["kind"].default: each for each in get_args(AnyEffect)}
"""All effects by name, in the order of the menus."""

PRIVATE = (Pixelate, BlackOut)
"""Effects that fail closed: they hide the whole frame if it has no mattes of its own (``Mattes.own``). They are drawn
before all others, so that no other effect shows the hidden content."""

DEFAULT_EFFECTS: tuple[AnyEffect, ...] = (Tint(), Outline())


def is_private(effects: Sequence[AnyEffect]) -> bool:
    """Return whether any of the effects is a privacy effect."""
    return any(isinstance(effect, PRIVATE) for effect in effects)


def in_order(effects: Sequence[AnyEffect]) -> tuple[AnyEffect, ...]:
    """Return the effects in drawing order: privacy effects first, the others as given."""
    hiding = [effect for effect in effects if isinstance(effect, PRIVATE)]
    return (*hiding, *(effect for effect in effects if not isinstance(effect, PRIVATE)))


def parse_effects(text: str) -> tuple[AnyEffect, ...]:
    """Parse the effects of a command line.

    Args:
        text: Names joined by "+", each with options in parentheses, as in "tint+outline(width=0.4)" or
            "cutout(backdrop=colour,colour=#00b140)".

    Raises:
        UsageError: If an effect, an option or a value is unknown or invalid.
    """
    return tuple(_parse_one(part.strip()) for part in _split(text, "+"))


def _parse_one(text: str) -> AnyEffect:
    match = re.fullmatch(r"([a-z]+)\s*(?:\((.*)\))?", text, re.DOTALL)
    kind = KINDS.get(match[1]) if match is not None else None
    if match is None or kind is None:
        raise UsageError(f"{text!r} is no effect: there are {', '.join(KINDS)}.")
    values: dict[str, object] = {}
    for option in _split(match[2], ",") if match[2] else ():
        name, equals, value = (part.strip() for part in option.partition("="))
        if not equals or name not in kind.model_fields or name == "kind":
            names = ", ".join(field for field in kind.model_fields if field != "kind")
            raise UsageError(f"{option.strip()!r} is no option of {match[1]}: it has {names or 'none'}.")
        values[name] = parse_colour(value) if name == "colour" else value
    return validated(kind, **values)


def _split(text: str, mark: str) -> list[str]:
    """Split a text at the marks that are not in parentheses."""
    return re.split(rf"\{mark}(?![^(]*\))", text)
