"""Settings as frozen, validated values: one place for names, ranges and defaults."""

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clipseg_live.core.errors import UsageError

DEFAULT_MODEL = "CIDAS/clipseg-rd64-refined"

Fit = Literal["stretch", "letterbox", "aspect"]
Effect = Literal["tint", "outline", "tint+outline", "heatmap", "cutout", "blur", "raw"]
Backdrop = Literal["checkerboard", "colour"]
Codec = Literal["h264", "vp9", "ffv1"]

FITS: tuple[Fit, ...] = get_args(Fit)
EFFECTS: tuple[Effect, ...] = get_args(Effect)
CODECS: tuple[Codec, ...] = get_args(Codec)

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Level = Annotated[int, Field(ge=0, le=255)]
RGB = tuple[Level, Level, Level]

GREEN_SCREEN: RGB = (0, 177, 64)

PALETTE: tuple[RGB, ...] = (
    (255, 64, 88), (46, 134, 255), (255, 196, 0), (24, 200, 120), (168, 96, 255), (255, 128, 32),
    (0, 200, 220), (240, 96, 200), (140, 200, 40), (96, 110, 240), (200, 140, 90), (255, 160, 170),
    (0, 150, 136), (190, 190, 60), (120, 180, 255), (220, 60, 60),
)  # fmt: skip
"""Colours of prompts in their order, told apart on light and dark pictures; repeated after sixteen."""

_NAMED: dict[str, RGB] = {
    "red": (255, 64, 64), "orange": (255, 140, 0), "yellow": (255, 214, 0), "green": (30, 200, 90),
    "cyan": (0, 200, 220), "blue": (46, 120, 255), "purple": (150, 80, 240), "pink": (255, 110, 180),
    "brown": (150, 90, 50), "white": (255, 255, 255), "grey": (128, 128, 128), "gray": (128, 128, 128),
    "black": (0, 0, 0),
}  # fmt: skip


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Settings = TypeVar("Settings", bound=Frozen)


class PromptStyle(Frozen):
    """How one prompt is drawn. ``threshold`` is a probability; ``colour`` is RGB, 0..255 each."""

    colour: RGB = PALETTE[0]
    threshold: Share = 0.5
    opacity: Share = 0.55


class Look(Frozen):
    """How a session looks: one effect, one style per prompt, in the prompts' order.

    backdrop, backdrop_colour: what "cutout" shows outside the masks.
    """

    effect: Effect = "tint"
    backdrop: Backdrop = "checkerboard"
    backdrop_colour: RGB = GREEN_SCREEN
    styles: tuple[PromptStyle, ...] = ()


class EngineSettings(Frozen):
    """Which model runs where. ``size`` None is the checkpoint's own; ``fit``: how a frame meets the model's square."""

    model: str = DEFAULT_MODEL
    device: str = "auto"
    dtype: str = "auto"
    size: Annotated[int, Field(ge=32, le=2048)] | None = None
    fit: Fit = "stretch"


class ExportSettings(Frozen):
    """Everything that shapes an export, but its paths and prompts.

    smoothing: 0 (each frame for itself) to 1 (excluded): share of the past in the temporal average.
    start, end: seconds; frames with start ≤ time < end are exported. None: from the first, to the last.
    quality: 0 (smallest) to 100 (best); ignored by the lossless ffv1.
    """

    engine: EngineSettings = EngineSettings()
    look: Look = Look()
    smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    start: Fraction | None = None
    end: Fraction | None = None
    codec: Codec | None = None
    quality: Annotated[int, Field(ge=0, le=100)] = 70
    overwrite: bool = False
    keep_partial: bool = False


def parse_colour(text: str) -> RGB:
    """``"red"``, ``"#f40"`` or ``"#ff4000"`` as RGB. Raises UsageError for anything else."""
    name = text.strip().lower()
    if name in _NAMED:
        return _NAMED[name]
    match = re.fullmatch(r"#?([0-9a-f]{3}|[0-9a-f]{6})", name)
    if match is None:
        raise UsageError(f"{text!r} is not a colour: use #rrggbb or one of {', '.join(_NAMED)}.")
    digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
    return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)


def prompt_styles(
    count: int,
    *,
    thresholds: Sequence[float] = (),
    colours: Sequence[RGB] = (),
    opacity: float = PromptStyle().opacity,
) -> tuple[PromptStyle, ...]:
    """Styles of ``count`` prompts; thresholds and colours are given once for all or once for each.

    Raises UsageError for another count, or a value out of its range.
    """
    for name, values in (("threshold", thresholds), ("colour", colours)):
        if len(values) not in (0, 1, count):
            raise UsageError(
                f"There are {len(values)} values of {name} for {count} prompts: give one for all, or one for each."
            )
    for value in (*thresholds, opacity):
        if not 0.0 <= value <= 1.0:
            raise UsageError(f"{value} is out of range: thresholds and opacity go from 0 to 1.")

    def pick(values: Sequence, position: int, default):  # type: ignore[no-untyped-def, type-arg]
        return default if not values else values[0] if len(values) == 1 else values[position]

    return tuple(
        PromptStyle(
            colour=pick(colours, position, PALETTE[position % len(PALETTE)]),
            threshold=pick(thresholds, position, 0.5),
            opacity=opacity,
        )
        for position in range(count)
    )


def validated(kind: type[Settings], **values: object) -> Settings:
    """A settings value. Raises UsageError, in one sentence, for a value that cannot be."""
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "value"
        reason = str(first["msg"])
        raise UsageError(f"{first['input']!r} is not a possible {name}: {reason[0].lower()}{reason[1:]}.") from error
