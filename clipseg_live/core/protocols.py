"""The protocols through which pipeline, model, video and demo meet without importing one another."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.mattes import Label, MatteRequest, Mattes
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.live import LiveSettings, Message, SessionStatus, SourceSpec, ViewFrame
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraFormat, VirtualCameraSettings

Maps = NDArray[np.float32]
"""Probability maps: float32, shape (prompts, height, width), each value in 0..1."""


class FrameSource(Protocol):
    """Where frames come from. Made without touching the device or file; ``open`` does that."""

    def open(self) -> SourceInfo:
        """Open the file or device. Raises SourceError."""

    def read(self) -> Frame | None:
        """The next frame in order, or None after the last. Raises SourceError where the source breaks, PhotoError for
        one photo of a set, after which the next can be read."""

    def close(self) -> None:
        """Give everything back; may be called at any time and more than once."""


class FrameSink(Protocol):
    """Where composed frames go. Nothing stands at ``path`` before ``finish`` has succeeded."""

    path: Path

    def open(self, info: SourceInfo) -> None:
        """Start the file beside its place, shaped like the source. Raises SinkError."""

    def write(self, frame: Frame) -> None:
        """Add one frame with its own timestamp. Raises SinkError (a full disk, say)."""

    def finish(self) -> None:
        """Complete the file and move it to its place. Raises SinkError."""

    def abandon(self, keep_partial: bool = False) -> Path | None:
        """Stop without finishing: remove what was written, or (keep_partial) complete it and keep it under
        its final name with ``.partial`` before the suffix. Returns the kept file. Never raises."""


class RecordingSink(FrameSink, Protocol):
    """Where a recording goes: a file that can be played up to its last moment, whatever happens.

    working: the file that grows, beside its place; it can be played. encoder: by which it is encoded, once open.
    notices: sentences for the person.
    """

    encoder: str
    notices: list[str]

    @property
    def working(self) -> Path | None: ...

    def write(self, frame: Frame, heard: Fraction | None = None) -> None:
        """Add a frame; ``frame.time`` grows from 0. heard: the time, in seconds of the source, whose sound belongs to
        it; None for silence. Raises SinkError."""

    def hurry(self) -> bool:
        """Encode the frames to come more quickly, at the cost of size; False where it cannot be quicker."""


class VirtualCameraDevice(Protocol):
    """Where composed pictures go as they come: a virtual camera. For one thread at a time."""

    def open(self, settings: VirtualCameraSettings, source: VirtualCameraFormat | None) -> VirtualCameraFormat:
        """Open the device; its name and what it takes. source: of the pictures to come, where it is known. Raises
        UsageError or Failure, with the steps that help."""

    def fitted(self, pixels: Pixels) -> Pixels:
        """A picture of any size, uint8 (height, width, 3), at the device's; the same array where it has that."""

    def safe_picture(self, path: str) -> Pixels:
        """A picture file at the device's size; for "" a card that is drawn. Raises SourceError."""

    def send(self, pixels: Pixels) -> None:
        """Show a picture of the device's size. Raises Failure where the device is gone."""

    def close(self) -> None:
        """Give the device back; may be called at any time and more than once."""


class ReplaySink(Protocol):
    """Keeps the last seconds of what it is given in memory, encoded."""

    def open(self, info: SourceInfo) -> None:
        """Begin anew, shaped like the source; what was kept is forgotten. Raises SinkError."""

    def write(self, frame: Frame, heard: Fraction | None = None) -> None:
        """As ``RecordingSink``."""

    def hurry(self) -> bool:
        """As ``RecordingSink``."""

    def seconds(self) -> float:
        """How much can be saved."""

    def save(self, path: Path) -> None:
        """Write what is kept as a whole file, its first frame at zero; nothing may stand there. Raises SinkError."""

    def close(self) -> None:
        """Forget everything; may be called more than once."""


class MaskSink(Protocol):
    """Where masks go as data, one call a frame."""

    @property
    def path(self) -> Path: ...

    @property
    def notices(self) -> list[str]:
        """Sentences for the person."""

    def open(self, info: SourceInfo) -> None: ...

    def write(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        """mattes: one for each prompt that is drawn; labels: of each. Live sessions may change them in the middle."""

    def finish(self) -> None: ...

    def abandon(self, keep_partial: bool = False) -> Path | None: ...


class Engine(Protocol):
    """Segments one picture for several prompts; ``model.driver.DriverSegmenter`` is the engine around CLIPSeg.

    Maps with values that are not finite are no prediction.
    """

    def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation: ...


class Matting(Protocol):
    """Makes the mattes of the frames that are shown; ``video.matting.MattePipeline``."""

    def take(self, maps: Maps, keys: Sequence[Hashable], index: int, epoch: int = 0) -> None:
        """An answer of the engine for frame ``index``; the keys tell its prompts apart over time."""

    def show(self, frame: Frame, settings: MatteSettings) -> None:
        """Go on to a frame, or stay with it."""

    def mattes(self, frame: Frame, request: MatteRequest) -> Mattes:
        """Of the frame that is shown; those of prompts with the role "show", in their order."""


class MatteSequence(Protocol):
    """Makes the mattes of a whole video, in order; they may come later than their frames. maps: None for a frame
    without a prediction."""

    def feed(self, frame: Frame, maps: Maps | None) -> Iterator[tuple[Frame, Mattes]]: ...

    def finish(self) -> Iterator[tuple[Frame, Mattes]]: ...


class Renderer(Protocol):
    """Draws the look of a session: the same input gives the same pixels, whatever was drawn before."""

    def compose(self, pixels: Pixels, mattes: Mattes, time: Fraction) -> Pixels:
        """A new picture: ``pixels`` (left untouched) with every effect drawn. time: the frame's own, in seconds."""

    def close(self) -> None:
        """Give back what effects have opened; may be called more than once."""


class LiveSource(FrameSource, Protocol):
    """A source that a live session can run: a camera, a stream, or something with a timeline.

    live: frames come at the source's own pace and cannot be asked for again; where it breaks, ``close`` and ``open``
        start it anew. Otherwise frames come as fast as they are read, and ``seek`` works.
    """

    live: bool

    def seek(self, time: Fraction) -> None:
        """Make the next ``read`` give the last frame whose time is at most ``time`` seconds (the first frame for
        less, the last for more). Raises SourceError. Only where ``live`` is False."""

    def controls(self) -> Mapping[str, float]:
        """A camera's own adjustable values by name ("exposure", "focus", "gain"); empty where there are none."""

    def set_control(self, name: str, value: float) -> None:
        """Change one of ``controls``; a value that the camera refuses is left as it was."""


class LiveSession(Protocol):
    """What a window can do with a running session. No method waits for a device, a file or the worker.

    ``on_picture`` and ``on_message`` are called from any thread and must return at once.
    """

    on_picture: Callable[[], None]
    on_message: Callable[[Message], None]

    @property
    def settings(self) -> LiveSettings: ...

    def apply(self, settings: LiveSettings) -> None:
        """Change prompts, look, engine or framing; what did not change is left alone."""

    def open(self, spec: SourceSpec) -> None:
        """Change over to a source; the old one is closed."""

    def picture(self) -> ViewFrame | None:
        """The newest picture, None before the first of this source."""

    def status(self) -> SessionStatus: ...

    def play(self) -> None: ...

    def pause(self) -> None: ...

    def seek(self, time: Fraction) -> None: ...

    def step(self, frames: int) -> None:
        """Pause, and go ``frames`` on (or back, where negative)."""

    def set_loop(self, loop: bool) -> None: ...

    def set_speed(self, speed: float) -> None:
        """0.25 to 4 times."""

    def set_control(self, name: str, value: float) -> None: ...

    def start_recording(self, folder: Path, settings: RecordingSettings) -> None:
        """Record into a folder. Raises UsageError or SinkError where that cannot be."""

    def pause_recording(self) -> None: ...

    def resume_recording(self) -> None: ...

    def stop_recording(self) -> None:
        """Finish the files; ``on_message`` tells (topic "recording") when they are in their places."""

    def start_camera(self, settings: VirtualCameraSettings) -> None:
        """Show what is composed as a virtual camera, in the place of the one that may run; ``status`` and
        ``on_message`` (topic "virtual camera") tell what becomes of it."""

    def stop_camera(self) -> None: ...

    def set_replay(self, settings: RecordingSettings) -> None:
        """Keep the last ``replay_seconds`` of what is shown from now on; 0 keeps none."""

    def save_replay(self, folder: Path) -> None:
        """Save what is kept; ``on_message`` tells (topic "recording") where. Raises UsageError where nothing is."""

    def restart_worker(self) -> None: ...

    def timings(self) -> Sequence[tuple[float, Mapping[str, float]]]:
        """Milliseconds by stage of the last half minute: (seconds ago, {stage: milliseconds}), oldest first."""

    def stop(self, deadline: float = 2.0) -> tuple[str, ...]:
        """End everything; names of what had to be abandoned. Once stopped, a session stays so."""
