"""Immutable, validated settings: names, ranges and defaults in one place."""

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from clipseg_live.core.errors import UsageError
from clipseg_live.core.settings.data_formats import DATA_FORMATS as DATA_FORMATS
from clipseg_live.core.settings.data_formats import FORMAT_SPECS

DEFAULT_MODEL = "CIDAS/clipseg-rd64-refined"
BUILT_IN_MODEL = "shapes"
"""Name of the small model in the package. The window runs it while the default model is missing."""

ResizeMode = Literal["stretch", "letterbox", "aspect"]
Role = Literal["positive", "negative", "contrast"]
Detail = Literal["off", "zoom", "tiles"]
EngineName = Literal["auto", "torch", "openvino"]
Reuse = Literal["auto", "on", "off"]
Codec = Literal["h264", "h265", "vp9", "av1", "ffv1", "prores"]


def _known_format(name: str) -> str:
    if FORMAT_SPECS.get(name) is None:
        refusal = {"name": name, "refusal": FORMAT_SPECS.refusal(name)}
        raise PydanticCustomError("data_format", "there is no data format '{name}': {refusal}", refusal)
    return name


DataFormat = Annotated[str, AfterValidator(_known_format)]
"""Name of a data format, in settings."""

RESIZE_MODES: tuple[ResizeMode, ...] = get_args(ResizeMode)
DETAILS: tuple[Detail, ...] = get_args(Detail)
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
REUSES: tuple[Reuse, ...] = get_args(Reuse)
DTYPES: tuple[str, ...] = ("auto", "float32", "bfloat16", "float16", "int8")
CODECS: tuple[Codec, ...] = get_args(Codec)

UnitInterval = Annotated[float, Field(ge=0.0, le=1.0)]
Probability = Annotated[int, Field(ge=0, le=255)]
RGB = tuple[Probability, Probability, Probability]

GREEN_SCREEN: RGB = (0, 177, 64)

PALETTE: tuple[RGB, ...] = (
    (255, 64, 88), (46, 134, 255), (255, 196, 0), (24, 200, 120), (168, 96, 255), (255, 128, 32),
    (0, 200, 220), (240, 96, 200), (140, 200, 40), (96, 110, 240), (200, 140, 90), (255, 160, 170),
    (0, 150, 136), (190, 190, 60), (120, 180, 255), (220, 60, 60),
)  # fmt: skip
"""Colours of prompts in their order, distinct on light and dark frames; repeated after sixteen."""

_NAMED: dict[str, RGB] = {
    "red": (255, 64, 64), "orange": (255, 140, 0), "yellow": (255, 214, 0), "green": (30, 200, 90),
    "cyan": (0, 200, 220), "blue": (46, 120, 255), "purple": (150, 80, 240), "pink": (255, 110, 180),
    "brown": (150, 90, 50), "white": (255, 255, 255), "grey": (128, 128, 128), "gray": (128, 128, 128),
    "black": (0, 0, 0),
}  # fmt: skip


class Frozen(BaseModel):
    """Base class of immutable settings that reject unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return the field with the former name ``name``."""
            present = type(self)._present_name(name)
            if present == name:
                return super().__getattr__(name)
            warnings.warn(f"{type(self).__name__}.{name} is now {present}.", DeprecationWarning, stacklevel=2)
            return getattr(self, present)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed. Their values are not checked, but their names are.

        Raises:
            AttributeError: A field does not exist.
        """
        changes = {self._present_name(name): value for name, value in (update or {}).items()}
        if unknown := changes.keys() - type(self).model_fields.keys():
            raise AttributeError(f"{type(self).__name__} has no field {min(unknown)!r}.")
        return super().model_copy(update=changes, deep=deep)

    @classmethod
    def _present_name(cls, name: str) -> str:
        """Return the name of the field with this present or former name, or ``name`` if there is none."""
        for present, field in cls.model_fields.items():
            if isinstance(field.validation_alias, AliasChoices) and name in field.validation_alias.choices:
                return present
        return name


def renamed(present: str, *former: str) -> Any:
    """Return the metadata of a field that was renamed. Session files and Python may still use its former names."""
    return Field(validation_alias=AliasChoices(present, *former))


def renamed_value(former: str, present: str) -> BeforeValidator:
    """Return the metadata of a field that accepts the former name of one of its values."""
    return BeforeValidator(lambda value: present if value == former else value)


Settings = TypeVar("Settings", bound=Frozen)


def _exact_rate(value: object) -> object:
    """Return a float as the fraction that the user wrote: 12.5 is 25/2."""
    if isinstance(value, float) and math.isfinite(value):
        return Fraction(value).limit_denominator(1001)
    return value


SequenceRate = Annotated[Fraction, BeforeValidator(_exact_rate), Field(gt=0, le=1000)]
"""Frames per second of an image sequence."""
DEFAULT_SEQUENCE_RATE = Fraction(25)

Percent = Annotated[float, Field(ge=-10.0, le=10.0)]
AreaPercent = Annotated[float, Field(ge=0.0, le=25.0)]


class MatteShape(Frozen):
    """Morphological settings of one prompt's matte. Lengths are in percent of the frame's shorter side.

    Attributes:
        grow: Length by which the matte grows, or shrinks if negative.
        feather: Length over which the border fades, outwards, or inwards if negative.
        min_area: Minimum area of a connected component, in percent of the frame's area. Smaller ones are removed.
        fill_holes: Minimum area of a hole, in percent of the frame's area. Smaller holes are filled.
    """

    grow: Percent = 0.0
    feather: Percent = 0.0
    min_area: Annotated[AreaPercent, renamed("min_area", "smallest")] = 0.02
    fill_holes: Annotated[AreaPercent, renamed("fill_holes", "fill")] = 0.0


class PromptStyle(Frozen):
    """Role, thresholds, colour and shape of one prompt.

    Attributes:
        colour: RGB, 0..255 each.
        threshold: Probability from which a pixel belongs to the mask.
        opacity: Opacity of the colour.
        shape: Morphological settings of the matte.
        role: "positive" draws the prompt. "negative" softly subtracts it from other prompts. With "contrast", other
            prompts count only where they are more probable than this one.
        targets: Rows that a negative or contrast prompt works on: row ids, or in an export the indices of prompts, from
            0. Empty: all rows that are shown.
    """

    colour: RGB = PALETTE[0]
    threshold: UnitInterval = 0.5
    opacity: UnitInterval = 0.55
    shape: MatteShape = MatteShape()
    role: Annotated[Role, renamed_value("show", "positive")] = "positive"
    targets: Annotated[tuple[int, ...], renamed("targets", "against")] = ()


class EngineSettings(Frozen):
    """The model, and how it runs.

    Attributes:
        model: Name of a model, or a folder with weights.
        device: Device that runs the model.
        dtype: Precision of the model, one of ``DTYPES``.
        size: Side of the model's square input in pixels; None for the size of the checkpoint.
        resize_mode: How a frame is fitted into the model's square input.
        detail: "zoom" adds a closer pass where there are groups of small objects. "tiles" also segments overlapping
            parts of the whole frame, in four passes or more.
        engine: Library that runs the model. "auto" takes PyTorch on a GPU, else OpenVINO where it is installed.
        reuse: Live sessions with OpenVINO compute only what changed since the last frame. "auto" leaves the choice to
            ``LiveSettings.worker_engine``. Exports and streams compute every frame in full.
    """

    model: str = DEFAULT_MODEL
    device: str = "auto"
    dtype: str = "auto"
    size: Annotated[int, Field(ge=32, le=2048)] | None = None
    resize_mode: Annotated[ResizeMode, renamed("resize_mode", "fit")] = "stretch"
    detail: Detail = "off"
    engine: EngineName = "auto"
    reuse: Reuse = "auto"


def parse_colour(text: str) -> RGB:
    """Convert ``"red"``, ``"#f40"`` or ``"#ff4000"`` to RGB.

    Raises:
        UsageError: If the text is not a colour.
    """
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
    """Return the styles of ``count`` prompts.

    Args:
        count: Number of prompts.
        thresholds: One threshold for all prompts, or one for each, 0..1.
        colours: One colour for all prompts, or one for each.
        opacity: Opacity of all prompts, 0..1.

    Raises:
        UsageError: If the number of values is another one, or if a value is out of its range.
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
    """Return a settings value.

    Args:
        kind: Class of the settings.
        **values: Fields of the settings.

    Raises:
        UsageError: If a value is invalid. The message is one sentence.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "value"
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise UsageError(f"{first['input']!r} is not a valid {name}: {reason[0].lower()}{reason[1:]}.") from error
