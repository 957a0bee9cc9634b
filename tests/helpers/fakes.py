"""Fakes of the ports of core."""

import threading
from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from clipseg_live.core.errors import Failure, SinkError, SourceError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.mattes import Label, Matte, MatteRequest, Mattes
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.protocols import Maps
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraFormat, VirtualCameraSettings, chosen_format


class FakeSource:
    """``count`` frames with irregular times.

    It raises an error before frame ``breaks_at``. It waits at frame ``blocks_at`` for ``release``.
    """

    def __init__(self, count: int, *, breaks_at: int | None = None, blocks_at: int | None = None) -> None:
        self.count, self.breaks_at, self.blocks_at = count, breaks_at, blocks_at
        self.blocked, self.release = threading.Event(), threading.Event()
        self.opened = self.closed = self.read_count = 0

    def open(self) -> SourceInfo:
        self.opened += 1
        return SourceInfo("fake", 8, 6, Fraction(30), Fraction(1, 600), self.count)

    def read(self) -> Frame | None:
        number = self.read_count
        if number == self.breaks_at:
            raise SourceError("fake breaks here.")
        if number == self.blocks_at:
            self.blocked.set()
            self.release.wait(20)
        if number >= self.count:
            return None
        self.read_count += 1
        return Frame(np.full((6, 8, 3), number % 256, np.uint8), number, Fraction(number * number, 600))

    def close(self) -> None:
        self.closed += 1


class FakeSink:
    """Keeps what is written.

    It raises an error at write ``fails_at``. It waits at write ``blocks_at`` for ``release``.
    """

    def __init__(
        self, *, fails_at: int | None = None, blocks_at: int | None = None, fails_at_end: bool = False,
        notice_at_end: str = "", name: str = "fake.mp4",
    ) -> None:  # fmt: skip
        self.fails_at, self.blocks_at, self.fails_at_end = fails_at, blocks_at, fails_at_end
        self.notice_at_end = notice_at_end
        self.blocked, self.release = threading.Event(), threading.Event()
        self.rendered: list[RenderedFrame] = []
        self.frames: list[Frame] = []
        self.mattes: list[Mattes] = []
        self.labels: list[tuple[Label, ...]] = []
        self.notices: list[str] = []
        self.opened = self.finished = self.aborted = 0
        self.keeps_partial = False
        self.path = Path(name)

    def open(self, info: SourceInfo) -> None:
        self.opened += 1

    def write(self, rendered: RenderedFrame) -> None:
        if len(self.frames) == self.fails_at:
            raise SinkError("The fake disk is full.")
        if len(self.frames) == self.blocks_at:
            self.blocked.set()
            self.release.wait(20)
        self.rendered.append(rendered)
        self.frames.append(rendered.output_frame)
        self.mattes.append(rendered.mattes)
        self.labels.append(rendered.labels)

    def finish(self) -> None:
        if self.fails_at_end:
            raise SinkError(f"The fake disk is full at the end of {self.path}.")
        if self.notice_at_end:
            self.notices.append(self.notice_at_end)
        self.finished += 1

    def abort(self, keep_partial: bool = False) -> Path | None:
        self.aborted += 1
        self.keeps_partial = keep_partial
        return Path("kept.partial.mp4") if keep_partial else None


class FakeEngine:
    """Predicts maps of 2×2 with the value of the frame's first byte over 255. Raises an error at call ``fails_at``."""

    def __init__(self, *, fails_at: int | None = None, error: BaseException | None = None) -> None:
        self.fails_at, self.error = fails_at, error
        self.calls = 0

    def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
        if self.calls == self.fails_at and self.error is not None:
            raise self.error
        self.calls += 1
        maps = np.full((len(prompts), 2, 2), frame[0, 0, 0] / 255, np.float32)
        return Segmentation(maps, tuple(prompts), frame.shape[:2])


class FakeComposer:
    """Inverts the frame."""

    def __init__(self) -> None:
        self.closed = 0

    def compose(self, pixels: Pixels, mattes: Mattes, time: Fraction) -> Pixels:
        return 255 - pixels

    def close(self) -> None:
        self.closed += 1


class FakeMatting:
    """Hard mattes of the newest prediction, without flow and smoothing. Each cell of a map is a block of pixels.

    Attributes:
        delay: Number of frames after which mattes are made, from the prediction for their own frame.
    """

    def __init__(self, delay: int = 0) -> None:
        self.delay, self.predictions = delay, {}
        self.prediction: tuple[Maps, tuple[Hashable, ...], int, int] | None = None
        self.shown = 0
        self.requests: list[MatteRequest] = []

    def take(self, maps: Maps, keys: Sequence[Hashable], index: int, epoch: int = 0) -> None:
        self.prediction = self.predictions[index] = maps, tuple(keys), index, epoch

    def show(self, frame: Frame, settings: MatteSettings) -> None:
        self.shown += 1

    def mattes(self, frame: Frame, request: MatteRequest) -> Mattes:
        self.requests.append(request)
        if self.delay:
            self.prediction = self.predictions.get(frame.index)
        if self.prediction is None:
            return Mattes(frame.height, frame.width, own=False)
        maps, keys, index, epoch = self.prediction
        chosen = maps[[keys.index(key) for key in request.keys]] if request.keys else maps[:0]
        rows = np.arange(frame.height) * maps.shape[1] // frame.height
        columns = np.arange(frame.width) * maps.shape[2] // frame.width
        whole = ((0, 0, frame.width, frame.height),)
        drawn = [number for number, style in enumerate(request.styles) if style.role == "positive"]
        chosen, styles = chosen[drawn], [request.styles[number] for number in drawn]
        each = tuple(
            Matte((part[rows[:, None], columns] >= np.float32(style.threshold)).astype(np.uint8) * np.uint8(255), whole)
            for part, style in zip(chosen, styles, strict=True)
        )
        presence = tuple(float(part.max(initial=0)) for part in chosen)
        own = (index, epoch) == (frame.index, frame.epoch)
        return Mattes(frame.height, frame.width, each, chosen, presence, own)


class FakeLiveSource:
    """Frames whose right half has one colour, controlled by the test.

    It raises an error at every ``fails_at``-th read. It waits for ``release`` at read ``blocks_at``, and in ``open`` if
    ``blocks_open`` is set.

    Attributes:
        flickers: Change the left quarter with every frame.
        count: Number of frames; None for no end.
    """

    def __init__(
        self, *, live: bool = True, count: int | None = None, rate: int = 30, fails_at: int | None = None,
        blocks_at: int | None = None, blocks_open: bool = False, missing: bool = False,
        size: tuple[int, int] = (48, 64), colour: tuple[int, int, int] = (200, 0, 0), flickers: bool = False,
    ) -> None:  # fmt: skip
        self.flickers = flickers
        self.live, self.count, self.rate, self.fails_at = live, count, rate, fails_at
        self.blocks_at, self.blocks_open, self.missing = blocks_at, blocks_open, missing
        self.size, self.colour = size, colour
        self.blocked, self.release = threading.Event(), threading.Event()
        self.opened = self.closed = self.reads = self.at = 0
        self.values = {"focus": 5.0}
        self._clock = threading.Event()

    def open(self) -> SourceInfo:
        if self.blocks_open:
            self.blocked.set()
            self.release.wait(20)
        if self.missing:
            raise SourceError("The fake is not there.")
        self.opened += 1
        height, width = self.size
        duration = None if self.count is None else Fraction(self.count, self.rate)
        return SourceInfo("fake", width, height, Fraction(self.rate), Fraction(1, self.rate), self.count, duration)

    def read(self) -> Frame | None:
        self.reads += 1
        if self.fails_at is not None and self.reads % self.fails_at == 0:
            raise SourceError("The fake was unplugged.")
        if self.reads == self.blocks_at:
            self.blocked.set()
            self.release.wait(20)
        if self.count is not None and self.at >= self.count:
            return None
        if self.live:
            self._clock.wait(1 / self.rate)
        number, self.at = self.at, self.at + 1
        pixels = np.zeros((*self.size, 3), np.uint8)
        pixels[:, self.size[1] // 2 :] = self.colour
        pixels[0, 0] = number % 256
        if self.flickers:
            pixels[:, : self.size[1] // 4] = 37 * number % 251
        return Frame(pixels, number, Fraction(number, self.rate), Fraction(1, self.rate))

    def seek(self, time: Fraction) -> None:
        last = (self.count or 1 << 30) - 1
        self.at = int(min(max(time * self.rate // 1, 0), last))

    def controls(self) -> dict[str, float]:
        return dict(self.values)

    def set_control(self, name: str, value: float) -> None:
        self.values[name] = value

    def close(self) -> None:
        self.closed += 1


PLACEHOLDER_COLOUR = (1, 2, 3)
"""Colour of the fake's placeholder image."""


class FakeOutput:
    """A virtual camera that keeps the sent frames. It waits for ``release`` at frame ``blocks_at``.

    Attributes:
        missing: Number of times that opening fails.
        lost_at: Frame at which sending fails once.
    """

    def __init__(
        self, settings: VirtualCameraSettings | None = None, *, missing: int = 0, lost_at: int | None = None,
        blocks_at: int | None = None,
    ) -> None:  # fmt: skip
        self.settings = settings or VirtualCameraSettings()
        self.missing, self.lost_at, self.blocks_at = missing, lost_at, blocks_at
        self.blocked, self.release = threading.Event(), threading.Event()
        self.changed = threading.Condition()
        self.frames: list[Pixels] = []
        self.opened: list[tuple[VirtualCameraSettings, SourceInfo]] = []
        self.fitted_count = self.closed = 0
        self.format = VirtualCameraFormat(0, 0, Fraction(1))
        self.shown: tuple[RenderedFrame, Pixels] | None = None

    def with_settings(self, settings: VirtualCameraSettings) -> "FakeOutput":
        self.settings = settings
        return self

    def open(self, info: SourceInfo) -> None:
        self.opened.append((self.settings, info))
        if self.missing:
            self.missing -= 1
            raise Failure("There is no fake camera: install it.")
        source = VirtualCameraFormat(info.width, info.height, info.rate or Fraction(30)) if info.width else None
        chosen = chosen_format(self.settings, None, source)
        self.format = VirtualCameraFormat(chosen.width, chosen.height, chosen.rate, "Fake Camera")

    def fitted(self, pixels: Pixels) -> Pixels:
        self.fitted_count += 1
        rows = np.arange(self.format.height) * pixels.shape[0] // self.format.height
        columns = np.arange(self.format.width) * pixels.shape[1] // self.format.width
        return pixels[rows[:, None], columns]

    def safe_frame(self, path: str) -> RenderedFrame:
        if path:
            raise SourceError(f"There is no file {path}.")
        pixels = np.full((self.format.height, self.format.width, 3), PLACEHOLDER_COLOUR, np.uint8)
        safe = RenderedFrame.of(Frame(pixels, 0, Fraction(0)))
        self.shown = safe, pixels
        return safe

    def write(self, rendered: RenderedFrame) -> None:
        if len(self.frames) == self.lost_at:
            self.lost_at = None
            raise Failure("The fake camera is gone.")
        if len(self.frames) == self.blocks_at:
            self.blocked.set()
            self.release.wait(20)
        if self.shown is None or self.shown[0] is not rendered:
            self.shown = rendered, self.fitted(rendered.composed)
        with self.changed:
            self.frames.append(self.shown[1])
            self.changed.notify_all()

    def finish(self) -> None:
        self.abort()

    def abort(self, keep_partial: bool = False) -> None:
        self.closed += 1

    def wait(self, condition: Callable[[], object], seconds: float = 15.0) -> None:
        """Wait for a condition on the sent frames."""
        with self.changed:
            assert self.changed.wait_for(condition, seconds), f"{len(self.frames)} frames were sent"


class ManualClock:
    """A clock in seconds that advances only by its waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waited: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


class FakeTrack(FakeSink):
    """A ``GrowingOutput`` that also keeps the source time of each frame.

    Attributes:
        speed_ups: Number of times that it can speed up.
        gate: Event that each write waits for; None for no wait.
    """

    def __init__(
        self, path: Path, *, speed_ups: int = 0, gate: threading.Event | None = None, **faults: object
    ) -> None:
        super().__init__(**faults)  # type: ignore[arg-type]
        self.path, self.working = path, None
        self.encoder, self.notices = "fake", ["The fake says something."]
        self.speed_ups, self.gate = speed_ups, gate
        self.info: SourceInfo | None = None

    @property
    def source_times(self) -> list[Fraction | None]:
        return [rendered.source_time for rendered in self.rendered]

    def open(self, info: SourceInfo) -> None:
        super().open(info)
        self.info = info

    def write(self, rendered: RenderedFrame) -> None:
        if self.gate is not None:
            self.gate.wait(20)
        super().write(rendered)

    def speed_up(self) -> bool:
        self.speed_ups -= 1
        return self.speed_ups >= 0


class FakeReplaySink:
    """A replay that keeps everything. It raises an error at write ``fails_at``, or ``open_error`` or ``save_error``."""

    def __init__(
        self, *, fails_at: int | None = None, open_error: SinkError | None = None, save_error: SinkError | None = None
    ) -> None:
        self.fails_at, self.open_error, self.save_error = fails_at, open_error, save_error
        self.opened: list[SourceInfo] = []
        self.frames: list[Frame] = []
        self.source_times: list[Fraction | None] = []
        self.closed = self.failed = 0

    def open(self, info: SourceInfo) -> None:
        self.opened.append(info)
        if self.open_error is not None:
            raise self.open_error

    def write(self, rendered: RenderedFrame) -> None:
        if len(self.frames) == self.fails_at:
            self.failed += 1
            raise SinkError("The fake memory is full.")
        self.frames.append(rendered.output_frame)
        self.source_times.append(rendered.source_time)

    def speed_up(self) -> bool:
        return False

    def seconds(self) -> float:
        return float(self.frames[-1].time) if self.frames else 0.0

    def save(self, path: Path) -> None:
        if self.save_error is not None:
            raise self.save_error
        path.touch()

    def finish(self) -> None: ...

    def abort(self, keep_partial: bool = False) -> None:
        self.closed += 1


class FakeMicrophone:
    """A sound device (``Capture``) that returns given blocks. Then it waits for ``release``, ends, or is lost.

    Args:
        blocks: float32 (channels, samples).
        rate: Samples per second.
        lost: Raise an error after the last block.
        ends: End after the last block; otherwise wait.
        missing: Opening fails.
        hangs: Opening waits for ``release``.
    """

    def __init__(
        self, blocks: Sequence[np.ndarray] = (), *, rate: int = 48_000, lost: bool = False, ends: bool = True,
        missing: bool = False, hangs: bool = False,
    ) -> None:  # fmt: skip
        self.rate, self.channels = rate, 1
        self._blocks, self._lost, self._ends, self._missing, self._hangs = iter(blocks), lost, ends, missing, hangs
        self.opened = self.closed = 0
        self.drained, self.release = threading.Event(), threading.Event()

    def open(self) -> None:
        if self._hangs:
            self.release.wait(20)
        if self._missing:
            raise SourceError("The fake microphone is not there.")
        self.opened += 1

    def read(self) -> np.ndarray | None:
        block = next(self._blocks, None)
        if block is not None:
            return block
        self.drained.set()
        if self._lost:
            raise SourceError("The fake microphone was lost.")
        if not self._ends:
            self.release.wait(20)
        return None

    def close(self) -> None:
        self.closed += 1
