"""Effects as values: what is drawn, one after the other. ``video`` knows how each is drawn.

Every effect may be in a list at any place and more than once; each works on what the one before it has drawn, with the
same mattes. Lengths are in percent of the picture's shorter side, so that a look is the same at every size.
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
    """Each matte in its prompt's colour and opacity, a little stronger along the inside of its border."""

    kind: Literal["tint"] = "tint"


class Outline(Frozen):
    """A line of even width in the prompt's colour along each border, with a thin dark halo."""

    kind: Literal["outline"] = "outline"
    width: Length = 0.28


class Glow(Frozen):
    """Light in the prompt's colour that falls off outside each border. reach: how far. strength: at the border."""

    kind: Literal["glow"] = "glow"
    reach: Length = 3.0
    strength: UnitInterval = 0.8


class Heatmap(Frozen):
    """The picture coloured by the largest probability of any prompt. scale: a legend from 0 to 1 in a corner."""

    kind: Literal["heatmap"] = "heatmap"
    opacity: UnitInterval = 0.55
    scale: bool = True


class Raw(Frozen):
    """The probabilities in place of the picture, each in its prompt's colour on black; no threshold counts."""

    kind: Literal["raw"] = "raw"


class MatteView(Frozen):
    """The mattes in place of the picture, white on black; several as their union."""

    kind: Literal["matte"] = "matte"


class Spotlight(Frozen):
    """What is outside all mattes darkened. dim: 0 (not at all) to 1 (black)."""

    kind: Literal["spotlight"] = "spotlight"
    dim: UnitInterval = 0.7


class Blur(Frozen):
    """Out of focus: what is outside all mattes, or what is inside."""

    kind: Literal["blur"] = "blur"
    what: Side = "background"
    amount: Length = 2.8


class Desaturate(Frozen):
    """What is outside all mattes loses its colours. amount: 0 (not at all) to 1 (grey)."""

    kind: Literal["desaturate"] = "desaturate"
    amount: UnitInterval = 1.0


class Invert(Frozen):
    """What is inside a matte as its negative."""

    kind: Literal["invert"] = "invert"


class CutOut(Frozen):
    """What is inside any matte, on something else. backdrop: "picture" and "video" show ``file``, which covers the
    frame; a video plays in a loop by the frames' own times."""

    kind: Literal["cutout"] = "cutout"
    backdrop: Literal["checkerboard", "colour", "picture", "video"] = "checkerboard"
    colour: RGB = GREEN_SCREEN
    file: Path | None = None


class Pixelate(Frozen):
    """What is inside any matte in large squares, for faces and plates. A frame without masks of its own is hidden
    whole, and so is every frame while there is no prompt or a prompt is edited."""

    kind: Literal["pixelate"] = "pixelate"
    cell: Length = 4.0
    grow: Annotated[float, Field(ge=0.0, le=25.0)] = 1.5


class BlackOut(Frozen):
    """What is inside any matte in one colour, for faces and plates. A frame without masks of its own is hidden
    whole, and so is every frame while there is no prompt or a prompt is edited."""

    kind: Literal["blackout"] = "blackout"
    colour: RGB = (0, 0, 0)
    grow: Annotated[float, Field(ge=0.0, le=25.0)] = 1.5


class Labels(Frozen):
    """Each prompt's name at its largest part, with its presence where ``presence`` is set."""

    kind: Literal["labels"] = "labels"
    presence: bool = True


class Wipe(Frozen):
    """The untouched picture left of an upright line, what was drawn right of it. at: share of the width. Privacy
    effects stay on both sides."""

    kind: Literal["wipe"] = "wipe"
    at: UnitInterval = 0.5


class SideBySide(Frozen):
    """The untouched picture and what was drawn beside one another, each at half the size, in the frame's own size.
    Privacy effects stay on both sides."""

    kind: Literal["sidebyside"] = "sidebyside"


AnyEffect = (
    Tint | Outline | Glow | Heatmap | Raw | MatteView | Spotlight | Blur | Desaturate | Invert | CutOut | Pixelate
    | BlackOut | Labels | Wipe | SideBySide
)  # fmt: skip
Effect = Annotated[AnyEffect, Field(discriminator="kind")]
Effects = Annotated[tuple[Effect, ...], Field(max_length=16)]

KINDS: dict[str, type[AnyEffect]] = {each.model_fields["kind"].default: each for each in get_args(AnyEffect)}
"""Every effect by its name, in the order in which they are offered."""

PRIVATE = (Pixelate, BlackOut)
"""Effects that fail closed: for a frame without mattes of its own (``Mattes.own``) they hide it whole, and they are
drawn before all others, so that no other effect shows what they hide."""

DEFAULT_EFFECTS: tuple[AnyEffect, ...] = (Tint(), Outline())


def is_private(effects: Sequence[AnyEffect]) -> bool:
    return any(isinstance(effect, PRIVATE) for effect in effects)


def in_order(effects: Sequence[AnyEffect]) -> tuple[AnyEffect, ...]:
    """As they are drawn: privacy first, the rest as given."""
    hiding = [effect for effect in effects if isinstance(effect, PRIVATE)]
    return (*hiding, *(effect for effect in effects if not isinstance(effect, PRIVATE)))


def parse_effects(text: str) -> tuple[AnyEffect, ...]:
    """Effects of a command line: names joined by "+", each with options in parentheses, as in
    "tint+outline(width=0.4)" or "cutout(backdrop=colour,colour=#00b140)". Raises UsageError."""
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
    """At the marks that are in no parentheses."""
    return re.split(rf"\{mark}(?![^(]*\))", text)
