"""Settings and status of a live session: immutable values between the window and the pipeline."""

import base64
import zlib
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, model_validator

from clipseg_live.core.addresses import SourceName, redact
from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Effort, Label, Mattes
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.settings.base import PALETTE, EngineSettings, Frozen, PromptStyle, SequenceRate, UnitInterval
from clipseg_live.core.settings.effects import DEFAULT_EFFECTS, Effects, is_private
from clipseg_live.core.settings.rendering import Deinterlace, MatteSettings, RenderSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraStatus

MOST_ROWS = 16
"""Maximum number of prompts in a live session."""
LONGEST_TEXT = 1000
"""Maximum number of characters of a row's text. Models read fewer."""
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
        raise ValueError("the bytes of a picture are damaged") from error
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError("the bytes of a picture are damaged, or not as many as its size says")
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
            raise ValueError(f"{len(self.data)} bytes are no picture of {self.width}×{self.height} pixels")
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


class PromptRow(Frozen):
    """One row of the prompt list.

    Attributes:
        id: Number that stays with the row through edits and moves.
        text: Text of the prompt. It may be empty. A row without text and image has no prompt.
        picture: Image of the prompt.
        share: Weight of the image in a blend of both, 0 (text only) to 1 (image only).
        style: How the prompt is used and drawn.
        visible: The prompt is shown.
        solo: While any row has it, only rows with it are shown.
    """

    id: Annotated[int, Field(ge=0, le=_LARGEST_ID)]
    text: Annotated[str, Field(max_length=LONGEST_TEXT)] = ""
    picture: PromptImage | None = None
    share: UnitInterval = 0.5
    style: PromptStyle = PromptStyle()
    visible: bool = True
    solo: bool = False

    @property
    def prompt(self) -> Prompt | None:
        """The prompt for the engine; None for a row without text and image."""
        text = self.text.strip()
        if self.picture is None:
            return Prompt.text(text) if text else None
        image = Prompt.image(self.picture.pixels, label=text or "image")
        if not text or self.share >= 1.0:
            return image
        if self.share <= 0.0:
            return Prompt.text(text)
        return Prompt.mix((image, self.share), (Prompt.text(text), 1.0 - self.share), label=text)


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
                raise ValueError("a crop must lie within the picture and hold something of it")
        return self


class LiveSettings(Frozen):
    """All settings of a live session, except its source. ``Session.apply`` is the only way to change them.

    Attributes:
        rows: Prompts.
        effects: Effects in drawing order.
        matte: How probability maps become mattes.
        mode: "smooth" shows every captured frame at once with the newest mask. "locked" shows only frames that have
            their own mask.
        engine: The model, and how it runs.
        framing: Geometry changes of every frame.
    """

    rows: Annotated[tuple[PromptRow, ...], Field(max_length=MOST_ROWS)] = ()
    effects: Effects = DEFAULT_EFFECTS
    matte: MatteSettings = MatteSettings()
    mode: DisplayMode = "smooth"
    engine: EngineSettings = EngineSettings()
    framing: FrameTransform = FrameTransform()

    @model_validator(mode="before")
    @classmethod
    def _from_before_effects_were_a_list(cls, values: object) -> object:
        return _with_effects(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _rows_are_told_apart(self) -> "LiveSettings":
        if len({row.id for row in self.rows}) != len(self.rows):
            raise ValueError("two prompt rows have the same id")
        return self

    @property
    def display(self) -> DisplayMode:
        """The effective mode: with privacy effects, only frames with their own masks are shown."""
        return "locked" if is_private(self.effects) else self.mode

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

    def new_row(self, text: str = "", picture: PromptImage | None = None) -> PromptRow:
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
        return PromptRow(id=number, text=text, picture=picture, style=PromptStyle(colour=colour))


def _with_effects(values: dict[str, object]) -> dict[str, object]:
    """Convert settings of the first version (one effect with its backdrop, smoothing up to 1) to the present form."""
    if not values.keys() & {"effect", "backdrop", "backdrop_colour", "smoothing"}:
        return values
    rest = dict(values)
    backdrop = {"backdrop": rest.pop("backdrop", "checkerboard")}
    if (colour := rest.pop("backdrop_colour", None)) is not None:
        backdrop["colour"] = colour
    if (effect := rest.pop("effect", None)) is not None:
        kinds = str(effect).split("+")
        rest["effects"] = [{"kind": kind, **(backdrop if kind == "cutout" else {})} for kind in kinds]
    if (smoothing := rest.pop("smoothing", None)) is not None:
        rest["matte"] = {"smoothing": smoothing}
    return rest


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


@dataclass(frozen=True, slots=True)
class PromptSet:
    """The prompts for the engine, in order.

    Attributes:
        version: Number that grows at each edit.
        ids: Ids of the rows of the prompts.
        prompts: The prompts.
    """

    version: int = 0
    ids: tuple[int, ...] = ()
    prompts: tuple[Prompt, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The prediction of the engine for one frame.

    Attributes:
        index: Number of the frame.
        epoch: Epoch of the frame.
        version: Version of the prompts.
        ids: Ids of the rows, in the order of the maps.
        maps: float32 (prompts, h, w), 0..1, on the decoder's grid, read-only.
        unchanged: The frame looked like the previous one, and these are the maps of that frame.
        milliseconds: Milliseconds by stage of the engine.
    """

    index: int
    epoch: int
    version: int
    ids: tuple[int, ...]
    maps: NDArray[np.float32]
    unchanged: bool = False
    milliseconds: dict[str, float] = field(default_factory=dict)


class SourceState(StrEnum):
    """State of the source."""

    CLOSED = "closed"
    OPENING = "opening"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"
    RECONNECTING = "reconnecting"
    FAILED = "failed"


class WorkerState(StrEnum):
    """State of the worker. WAITING: it failed too often, and waits until the user restarts it."""

    STOPPED = "stopped"
    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"
    WAITING = "waiting"


class HiddenReason(StrEnum):
    """Reason for which a hiding effect hides the whole frame.

    NOTHING: there is no prompt for the area to hide, or the text of a prompt is empty. EDITING: an edited prompt is not
        in
    effect yet. WAITING: there is no prediction for the frame and the present prompts yet.
    """

    NOTHING = "nothing"
    EDITING = "editing"
    WAITING = "waiting"


MessageLevel = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Message:
    """One sentence for the user. Credentials in the text are masked.

    Attributes:
        topic: Subject of the message. A newer message of a topic replaces the older one, and an empty text removes it.
        text: The sentence.
        level: Severity of the message.
    """

    topic: str
    text: str
    level: MessageLevel = "info"

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", redact(self.text))


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """Present status of the source.

    Attributes:
        state: State of the source.
        name: Name of the source.
        width: Width in pixels.
        height: Height in pixels.
        rate: Frames per second; None if unknown.
        duration: Duration in seconds; None for a source without an end.
        position: Position in seconds.
        seekable: The source can seek.
        loop: The source starts again at its end.
        speed: Speed of playback.
        problem: One sentence on why the source is reconnecting or failed, or why the photo cannot be shown.
        controls: Adjustable values of a camera by name.
        photos: Number of photos in a set; 0 for another source.
        photo: Number of the photo that is shown, from 1.
        file: Name of the photo that is shown.
    """

    state: SourceState = SourceState.CLOSED
    name: str = ""
    width: int = 0
    height: int = 0
    rate: Fraction | None = None
    duration: Fraction | None = None
    position: Fraction = Fraction(0)
    seekable: bool = False
    loop: bool = False
    speed: float = 1.0
    problem: str = ""
    controls: tuple[tuple[str, float], ...] = ()
    photos: int = 0
    photo: int = 0
    file: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "problem", redact(self.problem))


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """Present status of the worker.

    Attributes:
        state: State of the worker.
        progress: Progress of loading as text.
        problem: One sentence on why the worker is not ready.
        model: Model that runs; empty before that.
        device: Device that runs the model; empty before that.
        dtype: Floating-point type of the model; empty before that.
        version: Version of the newest prompts with a prediction.
        process_id: Process id of the worker.
        restarts: Number of restarts.
    """

    state: WorkerState = WorkerState.STOPPED
    progress: str = ""
    problem: str = ""
    model: str = ""
    device: str = ""
    dtype: str = ""
    version: int = 0
    process_id: int | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """Present status of a recording.

    Attributes:
        active: A recording is running.
        path: First file of the present part.
        seconds: Recorded seconds of all parts.
        size: Bytes of all parts.
        dropped: Number of frames that were dropped because the encoder was too slow.
        paused: The recording is paused.
        part: Number of the part, from 1.
        encoder: Encoder of the first file.
        free: Free bytes on the disk.
        replay: Seconds that can be saved as a replay.
    """

    active: bool = False
    path: Path | None = None
    seconds: float = 0.0
    size: int = 0
    dropped: int = 0
    paused: bool = False
    part: int = 1
    encoder: str = ""
    free: int | None = None
    replay: float = 0.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Statistics of the last few seconds.

    Attributes:
        capture: Captured frames per second.
        inference: Predictions per second.
        display: Shown frames per second.
        delay: Milliseconds from capture to display, median and 95th percentile.
        dropped: Number of frames that were captured but not rendered.
        skipped: Number of frames that the worker did not receive.
        unchanged: Number of frames that were not segmented because nothing had changed.
        stages: Median milliseconds by stage.
    """

    capture: float = 0.0
    inference: float = 0.0
    display: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)
    dropped: int = 0
    skipped: int = 0
    unchanged: int = 0
    stages: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """Status of a session at one moment, for the window.

    Attributes:
        source: Status of the source.
        worker: Status of the worker.
        recording: Status of the recording.
        camera: Status of the virtual camera.
        rates: Statistics.
        effort: Time spent on edges; below "full" if frames arrive faster than mattes can be made.
        hidden: Reason for which a hiding effect hides the whole frame; None if it does not.
    """

    source: SourceStatus = SourceStatus()
    worker: WorkerStatus = WorkerStatus()
    recording: RecordingStatus = RecordingStatus()
    camera: VirtualCameraStatus = field(default_factory=VirtualCameraStatus)
    rates: Rates = Rates()
    effort: Effort = "full"
    hidden: HiddenReason | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ViewFrame:
    """A rendered frame on the screen.

    Attributes:
        composed: uint8 (height, width, 3), the rendered frame.
        original: The frame without effects, same shape.
        index: Number of the frame.
        epoch: Epoch of the frame.
        time: Time of the frame in seconds.
        maps: float32 (rows, h, w) on the decoder's grid, smoothed, one for each id of ``ids``; empty before the first
            prediction.
        ids: Ids of the rows of the maps.
        shares: For each id, the share (0 to 1) of the frame whose probability reaches the row's threshold.
        presence: For each id, the presence of the prompt, 0 to 1.
        mattes: Mattes of the rows that are drawn.
        drawn: Ids of the rows that are drawn.
        labels: Labels of the mattes.
        own: The maps are those of this frame.
        version: Version of the prompts.
        settings: Settings that the frame was rendered with.
        hidden: Reason for which a hiding effect hides the whole frame; None if it does not.
        file: Image file that holds the frame; None for a video or camera.
    """

    composed: Pixels
    original: Pixels
    index: int
    epoch: int
    time: Fraction
    maps: NDArray[np.float32]
    ids: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    presence: tuple[float, ...] = ()
    mattes: Mattes | None = None
    drawn: tuple[int, ...] = ()
    labels: tuple[Label, ...] = ()
    own: bool = False
    version: int = 0
    settings: LiveSettings | None = None
    hidden: HiddenReason | None = None
    file: Path | None = None
