"""Status of a live session and of its parts: immutable values from the pipeline to the window."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.addresses import redact
from clipseg_live.core.mattes import Effort
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.settings.virtual_camera import VirtualCameraStatus


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
        keys: Key of the prompt of each map. Predictions with equal keys belong to the same prompt.
        recomputed: Share of the tokens that the engine computed for this frame, 0..1; None if it does not reuse tokens.
    """

    index: int
    epoch: int
    version: int
    ids: tuple[int, ...]
    maps: NDArray[np.float32]
    unchanged: bool = False
    milliseconds: dict[str, float] = field(default_factory=dict)
    keys: tuple[Hashable, ...] = ()
    recomputed: float | None = None


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
        dtype: Precision of the model; empty before that.
        engine: Library that runs the model; empty before that.
        replaced: One sentence on why another model runs than the requested one, else "".
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
    engine: str = ""
    replaced: str = ""
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
        recomputed: Mean share of the tokens that the engine computed for a frame, 0..1; None if it does not reuse them.
    """

    capture: float = 0.0
    inference: float = 0.0
    display: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)
    dropped: int = 0
    skipped: int = 0
    unchanged: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    recomputed: float | None = None


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
