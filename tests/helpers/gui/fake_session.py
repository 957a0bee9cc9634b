"""A session without threads, devices and a model. Tests set frames and states, and read the calls of the window."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from clipseg_live.core.analysis.comparison import VariantView
from clipseg_live.core.analysis.histograms import MapHistogram
from clipseg_live.core.analysis.word_maps import WordMaps
from clipseg_live.core.errors import SinkError
from clipseg_live.core.frame import Frame
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.live import LiveSettings, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings, VirtualCameraStatus
from clipseg_live.core.status import (
    Message,
    Rates,
    RecordingStatus,
    SessionStatus,
    SourceState,
    SourceStatus,
    WorkerState,
    WorkerStatus,
)


class FakeSession:
    """A session for tests of the window.

    Attributes:
        commands: Name and argument of every call that changes something, in order.
    """

    def __init__(self, settings: LiveSettings | None = None) -> None:
        self.on_picture: Callable[[], None] = lambda: None
        self.on_message: Callable[[Message], None] = lambda message: None
        self.settings = settings or LiveSettings()
        self.commands: list[tuple[str, object]] = []
        self.shown: RenderedFrame | None = None
        self.now = SessionStatus()
        self.rows: Sequence[tuple[float, Mapping[str, float]]] = ()
        self.refuses_recording = ""
        self.stops = 0
        self.left: tuple[str, ...] = ()
        self.asked: tuple[str, ...] = ()
        self.words = WordMaps()
        self.views: tuple[VariantView, ...] = ()
        self.counted: Mapping[int, MapHistogram] = {}

    def names(self) -> list[str]:
        return [name for name, _ in self.commands]

    def last_argument(self, name: str) -> object:
        """Return the argument of the newest call of this name."""
        return [argument for entry, argument in self.commands if entry == name][-1]

    def show(self, rendered_frame: RenderedFrame) -> None:
        """Show a frame, like the render thread."""
        self.shown = rendered_frame
        self.on_picture()

    def set_status(
        self, source: SourceStatus | None = None, worker: WorkerStatus | None = None, **values: object
    ) -> None:
        """Change the status. ``values`` are other fields of SessionStatus."""
        if source is not None:
            self.now = replace(self.now, source=source)
        if worker is not None:
            self.now = replace(self.now, worker=worker)
        self.now = replace(self.now, **values)

    def start(self) -> None:
        self.commands.append(("start", None))

    def apply(self, settings: LiveSettings) -> None:
        self.settings = settings
        self.commands.append(("apply", settings))

    def open(self, spec: SourceSpec) -> None:
        self.shown = None
        self.commands.append(("open", spec))

    def picture(self) -> RenderedFrame | None:
        return self.shown

    def variant_views(self) -> tuple[VariantView, ...]:
        return self.views

    def ask_words(self, words: tuple[str, ...]) -> None:
        self.asked = words

    def word_maps(self) -> WordMaps:
        return self.words

    def histograms(self) -> Mapping[int, MapHistogram]:
        return self.counted

    def status(self) -> SessionStatus:
        return self.now

    def play(self) -> None:
        self.commands.append(("play", None))

    def pause(self) -> None:
        self.commands.append(("pause", None))

    def seek(self, time: Fraction) -> None:
        self.commands.append(("seek", time))

    def step(self, frames: int) -> None:
        self.commands.append(("step", frames))

    def set_loop(self, loop: bool) -> None:
        self.commands.append(("set_loop", loop))

    def set_speed(self, speed: float) -> None:
        self.commands.append(("set_speed", speed))

    def set_control(self, name: str, value: float) -> None:
        self.commands.append(("set_control", (name, value)))

    def start_recording(self, folder: Path, settings: RecordingSettings) -> None:
        if self.refuses_recording:
            raise SinkError(self.refuses_recording)
        self.commands.append(("start_recording", (folder, settings)))
        self.set_status(recording=RecordingStatus(active=True, path=folder / "a.mp4"))

    def pause_recording(self) -> None:
        self.commands.append(("pause_recording", None))
        self.set_status(recording=replace(self.now.recording, paused=True))

    def resume_recording(self) -> None:
        self.commands.append(("resume_recording", None))
        self.set_status(recording=replace(self.now.recording, paused=False))

    def stop_recording(self) -> None:
        self.commands.append(("stop_recording", None))
        self.set_status(recording=RecordingStatus())

    def set_replay(self, settings: RecordingSettings) -> None:
        self.commands.append(("set_replay", settings))

    def save_replay(self, folder: Path) -> None:
        if self.refuses_recording:
            raise SinkError(self.refuses_recording)
        self.commands.append(("save_replay", folder))

    def start_camera(self, settings: VirtualCameraSettings) -> None:
        self.commands.append(("start_camera", settings))
        self.set_status(camera=VirtualCameraStatus(active=True))

    def stop_camera(self) -> None:
        self.commands.append(("stop_camera", None))
        self.set_status(camera=VirtualCameraStatus())

    def restart_worker(self) -> None:
        self.commands.append(("restart_worker", None))

    def timings(self) -> Sequence[tuple[float, Mapping[str, float]]]:
        return self.rows

    def stop(self, deadline: float = 2.0) -> tuple[str, ...]:
        self.stops += 1
        return self.left


def rendered_frame(
    width: int = 320, height: int = 180, ids: tuple[int, ...] = (), maps: object = None, value: int = 90, index: int = 0
) -> RenderedFrame:
    """Return a grey frame with a darker left half.

    ``maps`` are float32 (ids, height, width), by default a ramp from left to right.
    """
    pixels = np.full((height, width, 3), value, np.uint8)
    pixels[:, : width // 2] = value // 2
    ramp = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (len(ids), 16, 1))
    made = np.asarray(maps, np.float32) if maps is not None else ramp
    frame = Frame(pixels, index, Fraction(index, 30), epoch=1)
    return RenderedFrame(frame, pixels, maps=made, ids=ids, map_areas=tuple(0.5 for _ in ids))


def live_status(name: str = "camera 0") -> SourceStatus:
    """Return the status of a live source at 30 frames per second."""
    return SourceStatus(SourceState.RUNNING, name, 1280, 720, Fraction(30))


def file_status(position: float = 12, duration: float = 60, state: SourceState = SourceState.RUNNING) -> SourceStatus:
    """Return the status of a file."""
    return SourceStatus(
        state, "walk.mp4", 1280, 720, Fraction(30), Fraction(duration), Fraction(position), seekable=True
    )


READY = WorkerStatus(
    WorkerState.READY, model="CIDAS/clipseg-rd64-refined", device="cpu", dtype="float32", engine="torch"
)
RATES = Rates(
    capture=30.0, inference=7.4, display=30.0, delay=(34.0, 51.0), dropped=2, skipped=412, unchanged=3,
    stages={"frame": 1.0, "encode": 92.0, "decode": 31.0, "compose": 6.0},
)  # fmt: skip
