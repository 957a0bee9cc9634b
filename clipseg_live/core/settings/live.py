"""What a live session is asked for, and what it tells of itself: the frozen values between window and pipeline."""

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
"""Prompts that a live session takes."""
LONGEST_TEXT = 1000
"""Characters of a row's text; a model reads far fewer."""
_LARGEST_ID = 2**31 - 1
"""Of a row: what signals of the window carry."""

DisplayMode = Literal["smooth", "locked"]
Turn = Literal[0, 90, 180, 270]

RTSPTransport = Literal["auto", "tcp", "udp"]

DISPLAY_MODES: tuple[DisplayMode, ...] = get_args(DisplayMode)


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode("ascii")


def _unpacked(value: object, told: ValidationInfo) -> object:
    """Never more than the picture's size asks for, however much a damaged or malicious file would unpack to."""
    if not isinstance(value, str):
        return value
    most = 3 * told.data.get("width", 0) * told.data.get("height", 0)
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.b64decode(value, validate=True), most + 1)  # 0 would mean without a limit
    except (ValueError, zlib.error) as error:
        raise ValueError("the bytes of a picture are damaged") from error
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError("the bytes of a picture are damaged, or not as many as its size says")
    return data


Base64Bytes = Annotated[bytes, BeforeValidator(_unpacked), PlainSerializer(_packed, when_used="json")]


class PromptImage(Frozen):
    """A picture as part of a prompt. data: RGB bytes, row by row; in JSON zlib-compressed and in base 64."""

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
        """From uint8 (height, width, 3), RGB."""
        height, width = pixels.shape[:2]
        return cls(width=width, height=height, data=np.ascontiguousarray(pixels).tobytes())

    @property
    def pixels(self) -> Pixels:
        """uint8 (height, width, 3), RGB, read-only."""
        return np.frombuffer(self.data, np.uint8).reshape(self.height, self.width, 3)


class PromptRow(Frozen):
    """One row of the prompt list.

    id: stays with the row through edits and moves. text: may be empty beside a picture; a row with neither asks for
    nothing. share: how much of the mix is the picture where there are both, 0 (text alone) to 1 (picture alone).
    solo: while any row has it, only rows with it are shown.
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
        """What the engine is asked; None for a row that asks for nothing."""
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
    """What is done to every frame of a source before anything else: first cut, then turned, then mirrored.

    crop: x, y, width, height as shares (0 to 1) of the source's picture. turn: degrees clockwise.
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
    """Everything that shapes a live session, but its source. One value; ``Session.apply`` is its only way in.

    mode: "smooth" shows every captured frame at once with the newest mask, "locked" only frames that have their own.
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
        """The mode that holds: privacy effects show only frames that have their own masks."""
        return "locked" if is_private(self.effects) else self.mode

    def shown(self) -> tuple[PromptRow, ...]:
        """The rows that are drawn, in their order."""
        alone = any(row.solo for row in self.rows)
        return tuple(row for row in self.rows if (row.solo if alone else row.visible))

    def look(self, rows: tuple[PromptRow, ...]) -> RenderSettings:
        """How these rows are drawn."""
        return RenderSettings(
            effects=self.effects,
            styles=tuple(row.style for row in rows),
            names=tuple(row.text.strip() or "image" for row in rows),
        )

    def new_row(self, text: str = "", picture: PromptImage | None = None) -> PromptRow:
        """A row with a fresh id and the next colour that no row has. Raises UsageError when the list is full, and for
        too long a text."""
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
    """Settings as the first version saved them (one effect with its backdrop, smoothing up to 1), in today's form."""
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
    """Which source, by name: "camera:0", a file, folder or pattern, an address (rtsp, http, https), "demo:SEED",
    "screen:" or "screen:x,y,width,height". ``str(name)`` shows no credentials; ``name.reveal()`` gives the true name.

    width, height, rate, fourcc: what a camera is asked for; None leaves it the choice. controls: a camera's own
    values by name (exposure, focus, gain), in its own units. rtsp_transport: what carries the pictures of an rtsp
    address; "auto" tries TCP first. insecure: the certificate of an address is not verified. sequence: frames per
    second of the film that the pictures of a folder or pattern make; None takes them as independent photos.
    deinterlace: "auto" makes whole frames of interlaced video, "off" keeps both fields in each frame.
    more: further picture files, which are one set of photos together with the file ``name``.
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
    """What the engine is asked, in order. version grows at each edit; ids: of the rows the prompts come from."""

    version: int = 0
    ids: tuple[int, ...] = ()
    prompts: tuple[Prompt, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The engine's answer for one frame.

    maps: float32 (prompts, h, w), 0..1, on the decoder's grid, read-only. ids: of the rows, in the maps' order.
    unchanged: the frame looked like the one before, whose maps these are. milliseconds: by stage of the engine.
    """

    index: int
    epoch: int
    version: int
    ids: tuple[int, ...]
    maps: NDArray[np.float32]
    unchanged: bool = False
    milliseconds: dict[str, float] = field(default_factory=dict)


class SourceState(StrEnum):
    """What the source is doing."""

    CLOSED = "closed"
    OPENING = "opening"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"
    RECONNECTING = "reconnecting"
    FAILED = "failed"


class WorkerState(StrEnum):
    """What the inference worker is doing. WAITING: it failed too often, and waits for a person to restart it."""

    STOPPED = "stopped"
    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"
    WAITING = "waiting"


class HiddenReason(StrEnum):
    """The cause for which a hiding effect hides the whole picture.

    NOTHING: no prompt says what to hide, or the text of a prompt is empty. EDITING: an edited prompt is not in force
    yet. WAITING: there is no prediction for the frame and the present prompts yet.
    """

    NOTHING = "nothing"
    EDITING = "editing"
    WAITING = "waiting"


MessageLevel = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Message:
    """One sentence for the person. topic: what it is about; a newer message of a topic replaces the older one, and an
    empty text takes it back. Credentials in the text are masked."""

    topic: str
    text: str
    level: MessageLevel = "info"

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", redact(self.text))


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The source as it is now. duration, position: seconds; duration is None for what has no end.

    problem: why it is reconnecting or failed, or why the photo cannot be shown, one sentence. controls: what a camera
    offers, by name, and its values. photos: number of photos in a set, 0 for another source; photo: number of the one
    that is shown, from 1; file: its name.
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
    """The worker as it is now. progress: of loading, in words; problem: why it is not ready, one sentence.

    model, device, dtype: what runs, empty before it does. version: of the newest prompts that it has answered.
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
    """A recording. path: of the first file of the present part; seconds: of recorded time, and size: bytes, of all
    parts; dropped: frames that the encoder was too slow for; part: from 1; encoder: by which the first file is encoded;
    free: bytes that the disk still has.

    replay: seconds of the past that can be saved.
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
    """Per second over the last few seconds; delay: capture to picture, milliseconds, median and 95th percentile.

    dropped: frames that were captured and never composed. skipped: frames that the worker never saw.
    unchanged: frames that were not inferred because nothing had changed. stages: median milliseconds by stage.
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
    """Everything a window shows about a session, as of one moment. camera: the virtual one. effort: what edges may
    cost; less than "full" where frames come faster than mattes can be made. hidden: cause for which a hiding effect
    hides the whole picture; None if it does not."""

    source: SourceStatus = SourceStatus()
    worker: WorkerStatus = WorkerStatus()
    recording: RecordingStatus = RecordingStatus()
    camera: VirtualCameraStatus = field(default_factory=VirtualCameraStatus)
    rates: Rates = Rates()
    effort: Effort = "full"
    hidden: HiddenReason | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ViewFrame:
    """What is on the screen.

    composed: uint8 (height, width, 3), what is shown. original: the frame without any overlay, same shape.
    maps: float32 (rows, h, w) on the decoder's grid, smoothed, one per id of ``ids``; empty before the first answer.
    own: whether the maps are this very frame's. shares: for each id, the share (0 to 1) of the picture whose
    probability reaches the row's threshold. presence: for each id, 0 to 1, how surely it is in the picture.
    mattes: of the rows that are drawn, whose ids are ``drawn``, and what they are of ``labels``. hidden: cause for
    which a hiding effect hides the whole picture; None if it does not. file: the picture file that holds the frame,
    None for a video or camera.
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
