"""Protocols that connect the pipeline, model, video and demo packages, which do not import one another."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.analysis.comparison import VariantView
from clipseg_live.core.analysis.histograms import MapHistogram
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.mattes import MatteRequest, Mattes
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.live import LiveSettings, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings
from clipseg_live.core.status import Message, SessionStatus

if TYPE_CHECKING:
    from clipseg_live.core.analysis.word_maps import WordMaps  # which builds on this module

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


class Output(Protocol):
    """Takes rendered frames: a file, data, a recording, a replay or a virtual camera. Use it from one thread at a time.

    Each output takes from a frame what it needs: the drawn pixels, the original ones, or the mattes with their labels.
    """

    def open(self, info: SourceInfo) -> None:
        """Start, with the properties of the frames to come.

        Raises:
            SinkError: If the output cannot be written.
        """

    def write(self, rendered: RenderedFrame) -> None:
        """Add one frame with its own time. In live sessions, the prompts may change between calls.

        Raises:
            SinkError: If the frame cannot be written, for example because the disk is full.
        """

    def finish(self) -> None:
        """Complete the output, and move a file to its path.

        Raises:
            SinkError: If the output cannot be completed or moved.
        """

    def abort(self, keep_partial: bool = False) -> Path | None:
        """Stop without finishing, and remove what was written. Never raises an error. Allowed more than once.

        Args:
            keep_partial: Complete an unfinished file instead, and keep it under its final name with ``.partial`` before
                the suffix.

        Returns:
            The file that was kept, or None.
        """


class FileOutput(Output, Protocol):
    """An output that is a file or folder. There is nothing at its path before ``finish`` has succeeded."""

    @property
    def path(self) -> Path:
        """The file or folder to write."""

    @property
    def notices(self) -> list[str]:
        """Sentences for the user."""


class GrowingOutput(FileOutput, Protocol):
    """A recording: a file that stays playable up to its last moment if the process dies.

    Attributes:
        encoder: Name of the encoder, once the file is open.
    """

    encoder: str

    @property
    def working(self) -> Path | None:
        """The growing file, next to its final path."""

    def speed_up(self) -> bool:
        """Encode the following frames faster, with a larger file. Return False if it cannot be faster."""


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
            The mattes of prompts with the role "positive", in their order; no mattes before the first prediction.
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

    def variant_views(self) -> tuple[VariantView, ...]:
        """Return the variants of a comparison in the frame of ``picture``; none without a comparison."""

    def ask_words(self, words: tuple[str, ...]) -> None:
        """Ask for the maps of words in the shown frame, in the background; empty to stop."""

    def word_maps(self) -> "WordMaps":
        """Return the maps of the words that were asked so far."""

    def histograms(self) -> Mapping[int, MapHistogram]:
        """Return the histograms of the probability maps by row id; empty before the first prediction."""

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
