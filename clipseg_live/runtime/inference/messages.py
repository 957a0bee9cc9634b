"""Messages between the application and the inference process. Each is one frozen value, sent as it is."""

import logging
from dataclasses import dataclass, field

from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.status import PromptSet


@dataclass(frozen=True, slots=True)
class FrameOffered:
    """A frame is in shared memory.

    Attributes:
        slot: Slot of the double buffer.
        height: Height in pixels.
        width: Width in pixels.
        index: Number of the frame.
        epoch: Epoch of the frame.
    """

    slot: int
    height: int
    width: int
    index: int
    epoch: int


@dataclass(frozen=True, slots=True)
class PromptsChanged:
    """Other prompts are requested from now on."""

    prompts: PromptSet


@dataclass(frozen=True, slots=True)
class EngineChanged:
    """Another engine is requested from now on."""

    settings: EngineSettings


@dataclass(frozen=True, slots=True)
class FrameMemorySent:
    """Memory for frames of ``size`` bytes. The shared block follows the message."""

    size: int


@dataclass(frozen=True, slots=True)
class MapMemorySent:
    """Memory for maps of ``size`` bytes. The shared block follows the message."""

    size: int


@dataclass(frozen=True, slots=True)
class MapsCopied:
    """The application has copied the maps, so their memory may be used again."""


ToWorker = FrameOffered | PromptsChanged | EngineChanged | FrameMemorySent | MapMemorySent | MapsCopied


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The process is alive."""


@dataclass(frozen=True, slots=True)
class LogSent:
    """A record for the log of the application."""

    record: logging.LogRecord


@dataclass(frozen=True, slots=True)
class Loading:
    """The model loads. ``progress`` is a text for the user."""

    progress: str = ""


@dataclass(frozen=True, slots=True)
class EngineReady:
    """The engine is loaded or changed, or has changed its precision.

    Attributes:
        model: Name of the model.
        device: Device that runs the model.
        dtype: Precision of the computation.
        engine: Library that runs the model.
        notices: Messages for the user.
        replaced: One sentence on why the engine runs another model than the requested one, else "".
    """

    model: str
    device: str
    dtype: str
    engine: str
    notices: tuple[str, ...] = ()
    replaced: str = ""


@dataclass(frozen=True, slots=True)
class EngineRejected:
    """The requested engine cannot be used. ``still_running``: The previous one stays in use."""

    problem: str
    still_running: bool


@dataclass(frozen=True, slots=True)
class FrameRequested:
    """The process is ready for the next frame."""


@dataclass(frozen=True, slots=True)
class FrameStarted:
    """The process has started on a frame. ``is_new``: It has not seen the frame before."""

    index: int
    epoch: int
    is_new: bool


@dataclass(frozen=True, slots=True)
class MapMemoryRequested:
    """The process needs memory for maps of ``size`` bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class FramePredicted:
    """The maps of a frame are in shared memory.

    Attributes:
        index: Number of the frame.
        epoch: Epoch of the frame.
        version: Version of the prompts.
        ids: Row id of each map.
        shape: Shape of the maps (prompts, h, w). They are float32.
        milliseconds: Milliseconds by stage of the engine.
        notices: Messages for the user.
        recomputed: Share of the tokens that the engine computed for this frame, 0..1; None if it does not reuse tokens.
    """

    index: int
    epoch: int
    version: int
    ids: tuple[int, ...] = ()
    shape: tuple[int, int, int] = (0, 1, 1)
    milliseconds: dict[str, float] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    recomputed: float | None = None


@dataclass(frozen=True, slots=True)
class FrameUnchanged:
    """The frame looks like the previous one, whose maps apply to it."""

    index: int
    epoch: int
    version: int


@dataclass(frozen=True, slots=True)
class PromptsRejected:
    """The model does not support one of the prompts."""

    index: int
    epoch: int
    version: int
    problem: str


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """The process ends after an error."""

    reason: str


ToApplication = (
    Heartbeat | LogSent | Loading | EngineReady | EngineRejected | FrameRequested | FrameStarted | MapMemoryRequested
    | FramePredicted | FrameUnchanged | PromptsRejected | WorkerFailed
)  # fmt: skip
