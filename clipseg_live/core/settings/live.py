"""Settings and status of a live session: immutable values between the window and the pipeline."""

import base64
import zlib
from enum import StrEnum
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, model_validator

from clipseg_live.core.addresses import SourceName
from clipseg_live.core.errors import UsageError
from clipseg_live.core.expressions.parser import parse_or_text
from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import LARGEST_VALUE, MOST_VALUES, Prompt
from clipseg_live.core.settings.base import (
    PALETTE,
    EngineSettings,
    Frozen,
    PromptStyle,
    SequenceRate,
    UnitInterval,
    renamed,
)
from clipseg_live.core.settings.effects import DEFAULT_EFFECTS, LONGEST_EFFECT_LIST, Effect, Effects, is_private
from clipseg_live.core.settings.rendering import Deinterlace, MatteSettings, RenderSettings

MOST_ROWS = 16
"""Maximum number of prompts in a live session."""
LONGEST_TEXT = 1000
"""Maximum number of characters of a row's text. Models read fewer."""
MOST_COMPARED = 4
"""Maximum number of variants in a comparison."""
MOST_TEMPLATES = 100
"""Maximum number of templates of a row's text."""
_LARGEST_ID = 2**31 - 1
"""Largest row id: signals of the window carry 32-bit integers."""

DisplayMode = Literal["smooth", "locked"]
Turn = Literal[0, 90, 180, 270]

RTSPTransport = Literal["auto", "tcp", "udp"]

DISPLAY_MODES: tuple[DisplayMode, ...] = get_args(DisplayMode)


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode("ascii")


def _unpacked(value: object, told: ValidationInfo) -> object:
    """Decompress image data, never to more bytes than the size of the image allows.

    The file may be damaged or malicious.
    """
    if not isinstance(value, str):
        return value
    most = 3 * told.data.get("width", 0) * told.data.get("height", 0)
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.b64decode(value, validate=True), most + 1)  # 0 would mean no limit
    except (ValueError, zlib.error) as error:
        raise ValueError("the data of an image are damaged") from error
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError("the data of an image are damaged or do not match its size")
    return data


Base64Bytes = Annotated[bytes, BeforeValidator(_unpacked), PlainSerializer(_packed, when_used="json")]


class PromptImage(Frozen):
    """An image as part of a prompt.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        data: RGB bytes, row by row. In JSON, they are zlib-compressed and encoded in base 64.
    """

    width: Annotated[int, Field(ge=1, le=4096)]
    height: Annotated[int, Field(ge=1, le=4096)]
    data: Base64Bytes

    @model_validator(mode="after")
    def _is_whole(self) -> "PromptImage":
        if len(self.data) != 3 * self.width * self.height:
            raise ValueError(f"{len(self.data)} bytes are not an image of {self.width}×{self.height} pixels")
        return self

    @classmethod
    def of(cls, pixels: Pixels) -> "PromptImage":
        """Make an image from pixels.

        Args:
            pixels: uint8 (height, width, 3), RGB.
        """
        height, width = pixels.shape[:2]
        return cls(width=width, height=height, data=np.ascontiguousarray(pixels).tobytes())

    @property
    def pixels(self) -> Pixels:
        """The pixels: uint8 (height, width, 3), RGB, read-only."""
        return np.frombuffer(self.data, np.uint8).reshape(self.height, self.width, 3)


EmbeddingValue = Annotated[float, Field(ge=-LARGEST_VALUE, le=LARGEST_VALUE, allow_inf_nan=False)]
Template = Annotated[str, Field(max_length=LONGEST_TEXT, pattern=r"\{\}")]


class NamedImage(Frozen):
    """An image that an expression refers to.

    Attributes:
        name: Name that stands in brackets in the expression.
        image: The image.
    """

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
    image: PromptImage


class PromptRow(Frozen):
    """One row of the prompt list.

    Attributes:
        id: Number that stays with the row through edits and moves.
        text: Text of the prompt, or an expression (``Prompt.parse``). A text that is not a valid expression is used as
            it is. It may be empty. A row without text, embedding and image has no prompt.
        templates: Templates such as "a photo of a {}". The embeddings of the text in each of them are averaged. Empty:
            the text alone.
        embedding: Conditional embedding that is used in place of the text, which is its label then. Empty: the text is
            used.
        images: Images that the text refers to as ``[name]``.
        image: Image of the prompt.
        share: Weight of the image in a blend with the text or embedding, 0 (no image) to 1 (image only).
        style: How the prompt is used and drawn.
        visible: The prompt is shown.
        solo: While any row has it, only rows with it are shown.
    """

    id: Annotated[int, Field(ge=0, le=_LARGEST_ID)]
    text: Annotated[str, Field(max_length=LONGEST_TEXT)] = ""
    templates: Annotated[tuple[Template, ...], Field(max_length=MOST_TEMPLATES)] = ()
    embedding: Annotated[tuple[EmbeddingValue, ...], Field(max_length=MOST_VALUES)] = ()
    images: Annotated[tuple[NamedImage, ...], Field(max_length=MOST_ROWS)] = ()
    image: Annotated[PromptImage | None, renamed("image", "picture")] = None
    share: UnitInterval = 0.5
    style: PromptStyle = PromptStyle()
    visible: bool = True
    solo: bool = False

    @property
    def prompt(self) -> Prompt | None:
        """The prompt for the engine; None for a row without text, embedding and image."""
        text, condition = self.text.strip(), self._condition()
        if self.image is None or (condition is not None and self.share <= 0.0):
            return condition
        image = Prompt.image(self.image.pixels, label=text or "image")
        if condition is None or self.share >= 1.0:
            return image
        if not condition.has_embedding:  # a combination of masks has nothing to blend with
            condition = Prompt.text(text, self.templates or ("{}",))
        return Prompt.mix((image, self.share), (condition, 1.0 - self.share), label=text or condition.label)

    def _condition(self) -> Prompt | None:
        """Return the prompt without its image."""
        text = self.text.strip()
        if self.embedding:
            return Prompt.embedding(np.array(self.embedding, np.float32), label=text or "embedding")
        if not text:
            return None
        names = {each.name: Prompt.image(each.image.pixels, label=each.name) for each in self.images}
        return parse_or_text(text, self.templates or ("{}",), names)


class FrameTransform(Frozen):
    """Geometry changes of every frame of a source, before anything else: crop, then rotate, then mirror.

    Attributes:
        mirror: Mirror the frame horizontally.
        turn: Rotation in degrees clockwise.
        crop: x, y, width, height as shares (0 to 1) of the source's frame.
    """

    mirror: bool = False
    turn: Turn = 0
    crop: tuple[UnitInterval, UnitInterval, UnitInterval, UnitInterval] | None = None

    @model_validator(mode="after")
    def _holds_something(self) -> "FrameTransform":
        if self.crop is not None:
            x, y, width, height = self.crop
            if width <= 0 or height <= 0 or x + width > 1 + 1e-9 or y + height > 1 + 1e-9:
                raise ValueError("a crop must be inside the frame and not empty")
        return self


class DisabledEffect(Frozen):
    """An effect that is kept in the list but not drawn.

    Attributes:
        effect: The effect.
        position: Number of drawn effects before it in the list.
    """

    effect: Effect
    position: Annotated[int, Field(ge=0, le=LONGEST_EFFECT_LIST)] = 0


DisabledEffects = Annotated[tuple[DisabledEffect, ...], Field(max_length=LONGEST_EFFECT_LIST)]


class ComparisonView(StrEnum):
    """View of the variants in a comparison."""

    RESULT = "result"
    MAPS = "maps"
    DIFFERENCE = "difference"


class Variant(Frozen):
    """Settings that variants of a comparison have of their own.

    Attributes:
        rows: As in ``LiveSettings``.
        effects: As in ``LiveSettings``.
        disabled_effects: As in ``LiveSettings``.
        matte: As in ``LiveSettings``.
    """

    rows: Annotated[tuple[PromptRow, ...], Field(max_length=MOST_ROWS)] = ()
    effects: Effects = DEFAULT_EFFECTS
    disabled_effects: DisabledEffects = ()
    matte: MatteSettings = MatteSettings()


class Comparison(Frozen):
    """Variants beside the present settings.

    Attributes:
        others: The other variants, in order.
        active: Place of the present settings among all variants, from 0.
        view: What is shown of each variant.
    """

    others: Annotated[tuple[Variant, ...], Field(min_length=1, max_length=MOST_COMPARED - 1)]
    active: Annotated[int, Field(ge=0)] = 0
    view: ComparisonView = ComparisonView.RESULT

    @model_validator(mode="after")
    def _active_exists(self) -> "Comparison":
        if self.active > len(self.others):
            raise ValueError(f"there is no variant {self.active}")
        return self


class LiveSettings(Frozen):
    """All settings of a live session, except its source. ``Session.apply`` is the only way to change them.

    Attributes:
        rows: Prompts.
        effects: Effects in drawing order.
        disabled_effects: Effects that are kept but not drawn.
        matte: How probability maps become mattes.
        mode: "smooth" shows every captured frame at once with the newest mask. "locked" shows only frames that have
            their own mask.
        engine: The model, and how it runs.
        framing: Geometry changes of every frame.
        comparison: Variants to compare with these settings; None for none.
    """

    rows: Annotated[tuple[PromptRow, ...], Field(max_length=MOST_ROWS)] = ()
    effects: Effects = DEFAULT_EFFECTS
    disabled_effects: DisabledEffects = ()
    matte: MatteSettings = MatteSettings()
    mode: DisplayMode = "smooth"
    engine: EngineSettings = EngineSettings()
    framing: FrameTransform = FrameTransform()
    comparison: Comparison | None = None

    @model_validator(mode="after")
    def _rows_are_told_apart(self) -> "LiveSettings":
        if len({row.id for row in self.rows}) != len(self.rows):
            raise ValueError("two prompt rows have the same id")
        return self

    @property
    def display(self) -> DisplayMode:
        """The effective mode: with privacy effects, only frames with their own masks are shown."""
        return "locked" if is_private(self.effects) else self.mode

    @property
    def worker_engine(self) -> EngineSettings:
        """The effective settings of the engine, with ``reuse`` "on" or "off".

        With "auto", tokens are reused in smooth mode. In locked mode, and so with privacy effects, every frame has its
        own exact maps.
        """
        if self.engine.reuse != "auto":
            return self.engine
        return self.engine.model_copy(update={"reuse": "on" if self.display == "smooth" else "off"})

    def compared(self) -> tuple["LiveSettings", ...]:
        """Return the settings of all variants in order; none without a comparison.

        With a privacy effect in one of them, there are none either: the others could show what it hides.
        """
        comparison = self.comparison
        if (
            comparison is None
            or is_private(self.effects)
            or any(is_private(each.effects) for each in comparison.others)
        ):
            return ()
        own = self.model_copy(update={"comparison": None})
        variants = [own.model_copy(update=dict(each)) for each in comparison.others]
        variants.insert(comparison.active, own)
        return tuple(variants)

    @property
    def active_variant(self) -> int:
        """Place of these settings among all variants, from 0."""
        return 0 if self.comparison is None else self.comparison.active

    def shown(self) -> tuple[PromptRow, ...]:
        """Return the rows that are drawn, in their order."""
        alone = any(row.solo for row in self.rows)
        return tuple(row for row in self.rows if (row.solo if alone else row.visible))

    def look(self, rows: tuple[PromptRow, ...]) -> RenderSettings:
        """Return the render settings of these rows."""
        return RenderSettings(
            effects=self.effects,
            styles=tuple(row.style for row in rows),
            names=tuple(row.text.strip() or "image" for row in rows),
        )

    def prompts(self) -> tuple[tuple[Prompt, ...], RenderSettings]:
        """Return the prompts of the rows that are drawn, and their render settings.

        ``targets`` of their styles holds indices of these prompts in place of row ids, -1 for other rows.
        """
        asking = [(row, prompt) for row in self.shown() if (prompt := row.prompt) is not None]
        rows = tuple(row for row, _ in asking)
        indices = {row.id: index for index, row in enumerate(rows)}
        look = self.look(rows)
        styles = tuple(
            style.model_copy(update={"targets": tuple(indices.get(row_id, -1) for row_id in style.targets)})
            for style in look.styles
        )
        return tuple(prompt for _, prompt in asking), look.model_copy(update={"styles": styles})

    def new_row(self, text: str = "", image: PromptImage | None = None) -> PromptRow:
        """Return a row with a new id and the first colour that no other row has.

        Raises:
            UsageError: If the list is full, or if the text is too long.
        """
        if len(self.rows) >= MOST_ROWS:
            raise UsageError(f"There are {MOST_ROWS} prompts already: delete one first.")
        if len(text) > LONGEST_TEXT:
            raise UsageError(f"A prompt of {len(text)} characters is too long: a few words are enough.")
        taken = {row.style.colour for row in self.rows}
        colour = next((colour for colour in PALETTE if colour not in taken), PALETTE[len(self.rows) % len(PALETTE)])
        used = {row.id for row in self.rows}
        number = max(used, default=-1) + 1
        if number > _LARGEST_ID:
            number = next(free for free in range(len(used) + 1) if free not in used)
        return PromptRow(id=number, text=text, image=image, style=PromptStyle(colour=colour))


class SourceSpec(Frozen, hide_input_in_errors=True):
    """A source and the options to open it.

    Attributes:
        name: "camera:0", a file, folder or pattern, an address (rtsp, http, https), "demo:SEED", "screen:" or
            "screen:x,y,width,height". ``str(name)`` shows no credentials; ``name.reveal()`` returns the true name.
        width: Width in pixels to request from a camera; None leaves the choice to the camera.
        height: Height in pixels to request from a camera; None leaves the choice to the camera.
        rate: Frames per second to request from a camera; None leaves the choice to the camera.
        fourcc: Pixel format to request from a camera; None leaves the choice to the camera.
        controls: Values of a camera by name (exposure, focus, gain), in its own units.
        rtsp_transport: Transport of an rtsp address; "auto" tries TCP first.
        insecure: Do not verify the certificate of an address.
        sequence: Frames per second of the images of a folder or pattern as a sequence; None treats them as independent
            photos.
        deinterlace: "auto" deinterlaces interlaced video, "off" keeps both fields in each frame.
        more: Further image files, which form one set of photos with the file ``name``.
    """

    name: SourceName
    width: Annotated[int, Field(ge=16, le=16384)] | None = None
    height: Annotated[int, Field(ge=16, le=16384)] | None = None
    rate: Annotated[float, Field(gt=0, le=1000)] | None = None
    fourcc: Annotated[str, Field(min_length=4, max_length=4)] | None = None
    controls: tuple[tuple[str, float], ...] = ()
    rtsp_transport: RTSPTransport = "auto"
    insecure: bool = False
    sequence: SequenceRate | None = None
    deinterlace: Deinterlace = "auto"
    more: tuple[SourceName, ...] = ()
