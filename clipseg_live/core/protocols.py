"""Protocols that connect the pipeline, model, video and demo packages, which do not import one another."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.mattes import Label, MatteRequest, Mattes
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.live import LiveSettings, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraFormat, VirtualCameraSettings
from clipseg_live.core.status import Message, SessionStatus

Maps = NDArray[np.float32]
"""Probability maps: float32, shape (prompts, height, width), each value in 0..1."""


class FrameSource(Protocol):
    """A source of frames. Making one does not touch the device or file; ``open`` does."""

    def open(self) -> SourceInfo:
        """Open the file or device.

        Raises:
            SourceError: If it cannot be opened.
        """

    def read(self) -> Frame | None:
        """Return the next frame in order, or None after the last.

        Raises:
            SourceError: If the source fails.
            PhotoError: If one photo of a set cannot be read. The next photo can be read afterwards.
        """

    def close(self) -> None:
        """Release all resources. Allowed at any time and more than once."""


class FrameSink(Protocol):
    """An output for rendered frames. There is no file at ``path`` before ``finish`` has succeeded."""

    path: Path

    def open(self, info: SourceInfo) -> None:
        """Start a temporary file next to ``path``, with the properties of the source.

        Raises:
            SinkError: If the file cannot be written.
        """

    def write(self, frame: Frame) -> None:
        """Add one frame with its own timestamp.

        Raises:
            SinkError: If the frame cannot be written, for example because the disk is full.
        """

    def finish(self) -> None:
        """Complete the file and move it to ``path``.

        Raises:
            SinkError: If the file cannot be completed or moved.
        """

    def abandon(self, keep_partial: bool = False) -> Path | None:
        """Stop without finishing, and remove the temporary file. Never raises an error.

        Args:
            keep_partial: Complete the temporary file instead, and keep it under its final name with ``.partial`` before
                the suffix.

        Returns:
            The file that was kept, or None.
        """


class RecordingSink(FrameSink, Protocol):
    """A recording: a file that stays playable up to its last moment if the process dies.

    Attributes:
        encoder: Name of the encoder, once the file is open.
        notices: Sentences for the user.
    """

    encoder: str
    notices: list[str]

    @property
    def working(self) -> Path | None:
        """The growing file, next to its final path. It is playable."""

    def write(self, frame: Frame, heard: Fraction | None = None) -> None:
        """Add a frame; ``frame.time`` increases from 0.

        Args:
            frame: Frame to add.
            heard: Time in seconds of the source whose audio belongs to the frame; None for silence.

        Raises:
            SinkError: If the frame cannot be written.
        """

    def hurry(self) -> bool:
        """Encode the following frames faster, with a larger file. Return False if it cannot be faster."""


class VirtualCameraDevice(Protocol):
    """A virtual camera that shows rendered frames as they arrive. Use it from one thread at a time."""

    def open(self, settings: VirtualCameraSettings, source: VirtualCameraFormat | None) -> VirtualCameraFormat:
        """Open the device.

        Args:
            settings: Device, size and rate that are asked for.
            source: Format of the frames to come, if known.

        Returns:
            Name, size and rate of the device.

        Raises:
            UsageError: If the settings do not suit a device. The message says what to do.
            Failure: If the device cannot be opened. The message says what to do.
        """

    def fitted(self, pixels: Pixels) -> Pixels:
        """Return pixels at the size of the device; the same array if they have this size.

        Args:
            pixels: uint8 (height, width, 3) of any size.
        """

    def safe_picture(self, path: str) -> Pixels:
        """Return the placeholder image at the size of the device.

        Args:
            path: An image file; "" for a drawn card.

        Raises:
            SourceError: If the file cannot be read.
        """

    def send(self, pixels: Pixels) -> None:
        """Show pixels of the device's size.

        Raises:
            Failure: If the device is gone.
        """

    def close(self) -> None:
        """Release the device. Allowed at any time and more than once."""


class ReplaySink(Protocol):
    """Keeps the last seconds of its frames in memory, encoded."""

    def open(self, info: SourceInfo) -> None:
        """Discard all frames and start again, with the properties of the source.

        Raises:
            SinkError: If the encoder cannot be opened.
        """

    def write(self, frame: Frame, heard: Fraction | None = None) -> None:
        """Add a frame, as ``RecordingSink.write`` does."""

    def hurry(self) -> bool:
        """Encode the following frames faster, as ``RecordingSink.hurry`` does."""

    def seconds(self) -> float:
        """Return how many seconds can be saved."""

    def save(self, path: Path) -> None:
        """Write the kept frames as a complete file whose first frame is at time 0.

        Args:
            path: File to write. It must not exist.

        Raises:
            SinkError: If the file cannot be written.
        """

    def close(self) -> None:
        """Discard all frames. Allowed more than once."""


class MaskSink(Protocol):
    """An exporter of masks as data, with one call for each frame."""

    @property
    def path(self) -> Path:
        """The file or folder to write."""

    @property
    def notices(self) -> list[str]:
        """Sentences for the user."""

    def open(self, info: SourceInfo) -> None:
        """Start the output, with the properties of the source."""

    def write(self, frame: Frame, mattes: Mattes, labels: Sequence[Label]) -> None:
        """Add the mattes of one frame. In live sessions, the prompts may change between calls.

        Args:
            frame: Frame of the mattes.
            mattes: One matte for each prompt that is drawn.
            labels: Label of each matte.
        """

    def finish(self) -> None:
        """Complete the output and move it to ``path``."""

    def abandon(self, keep_partial: bool = False) -> Path | None:
        """Stop without finishing, as ``FrameSink.abandon`` does."""


class Engine(Protocol):
    """Segments one image for several prompts. ``model.driver.DriverSegmenter`` is the engine for CLIPSeg.

    Maps with values that are not finite are no prediction.
    """

    def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
        """Return the probability maps of one frame.

        Args:
            frame: uint8 (height, width, 3), RGB.
            prompts: Prompts to segment, in the order of the maps.
        """


class Matting(Protocol):
    """Makes the mattes of frames, in order. ``matting`` has a causal one, and one that looks ahead.

    Attributes:
        delay: Number of frames that must be shown after a frame before its mattes can be made, except at the end.
    """

    delay: int

    def take(self, maps: Maps, keys: Sequence[Hashable], index: int, epoch: int = 0) -> None:
        """Accept a prediction.

        Args:
            maps: Probability maps of the frame.
            keys: Keys that identify the prompts of the maps over time.
            index: Number of the frame.
            epoch: Epoch of the frame.
        """

    def show(self, frame: Frame, settings: MatteSettings) -> None:
        """Advance to a frame, or stay at the same frame, and apply the prediction that was taken."""

    def mattes(self, frame: Frame, request: MatteRequest) -> Mattes:
        """Return the mattes of the frame that was shown ``delay`` frames ago, or later ones at the end.

        Returns:
            The mattes of prompts with the role "show", in their order; no mattes before the first prediction.
        """


class Renderer(Protocol):
    """Draws the effects of a session. The same input gives the same pixels, regardless of earlier calls."""

    def compose(self, pixels: Pixels, mattes: Mattes, time: Fraction) -> Pixels:
        """Return new pixels with all effects drawn.

        Args:
            pixels: Pixels of the frame; not modified.
            mattes: Mattes of the frame.
            time: Time of the frame in seconds.
        """

    def close(self) -> None:
        """Release the files that effects have opened. Allowed more than once."""


class LiveSource(FrameSource, Protocol):
    """A source for live sessions: a camera, a stream, or a source with a timeline.

    Attributes:
        live: Frames arrive at the pace of the source and cannot be read again. After a failure, ``close`` and ``open``
            restart the source. If False, frames arrive as fast as they are read, and ``seek`` works.
    """

    live: bool

    def seek(self, time: Fraction) -> None:
        """Make the next ``read`` return the last frame whose time is at most ``time``. Only if ``live`` is False.

        Args:
            time: Time in seconds. A time before the first frame gives the first frame, a later one the last.

        Raises:
            SourceError: If the source fails.
        """

    def controls(self) -> Mapping[str, float]:
        """Return the adjustable values of a camera by name ("exposure", "focus", "gain"); empty if there are none."""

    def set_control(self, name: str, value: float) -> None:
        """Set one of ``controls``. A value that the camera refuses is ignored."""


class LiveSession(Protocol):
    """Interface between a window and a running session. No method waits for a device, a file or the worker.

    ``on_picture`` and ``on_message`` are called from any thread and must return at once.
    """

    on_picture: Callable[[], None]
    on_message: Callable[[Message], None]

    @property
    def settings(self) -> LiveSettings:
        """The present settings."""

    def apply(self, settings: LiveSettings) -> None:
        """Change the settings: prompts, effects, engine or framing. Unchanged parts are not restarted."""

    def open(self, spec: SourceSpec) -> None:
        """Switch to a source; the previous one is closed."""

    def picture(self) -> RenderedFrame | None:
        """Return the newest rendered frame, or None before the first frame of this source."""

    def status(self) -> SessionStatus:
        """Return the present status."""

    def play(self) -> None:
        """Play the source."""

    def pause(self) -> None:
        """Pause the source."""

    def seek(self, time: Fraction) -> None:
        """Seek to a time in seconds."""

    def step(self, frames: int) -> None:
        """Pause, and move forward by ``frames``, or back if negative."""

    def set_loop(self, loop: bool) -> None:
        """Choose whether the source starts again at its end."""

    def set_speed(self, speed: float) -> None:
        """Set the speed of playback, 0.25 to 4 times."""

    def set_control(self, name: str, value: float) -> None:
        """Set an adjustable value of a camera."""

    def start_recording(self, folder: Path, settings: RecordingSettings) -> None:
        """Record into a folder.

        Raises:
            UsageError: If the settings do not allow a recording.
            SinkError: If a file cannot be written.
        """

    def pause_recording(self) -> None:
        """Pause the recording."""

    def resume_recording(self) -> None:
        """Resume the recording."""

    def stop_recording(self) -> None:
        """Finish the files. ``on_message`` reports (topic "recording") when they are at their final paths."""

    def start_camera(self, settings: VirtualCameraSettings) -> None:
        """Show rendered frames as a virtual camera, instead of one that may be running.

        ``status`` and ``on_message`` (topic "virtual camera") report the outcome.
        """

    def stop_camera(self) -> None:
        """Stop the virtual camera."""

    def set_replay(self, settings: RecordingSettings) -> None:
        """Keep the last ``replay_seconds`` of the shown frames from now on; 0 keeps none."""

    def save_replay(self, folder: Path) -> None:
        """Save the replay. ``on_message`` reports (topic "recording") the path.

        Raises:
            UsageError: If there is no replay.
        """

    def restart_worker(self) -> None:
        """Restart the worker."""

    def timings(self) -> Sequence[tuple[float, Mapping[str, float]]]:
        """Return the timings of the last 30 seconds: (seconds ago, {stage: milliseconds}), oldest first."""

    def stop(self, deadline: float = 2.0) -> tuple[str, ...]:
        """Stop the session for good, and return the names of the parts that had to be abandoned.

        Args:
            deadline: Seconds to wait for the parts.
        """
