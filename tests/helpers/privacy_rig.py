"""A live session without threads and processes around its rendering, for tests of privacy effects.

The session, its matting, effects, recordings and replay are real. Capture and worker are scripted: the test decides
when a frame arrives, when the worker takes it, and when the prediction arrives. The engine is an oracle that knows the
objects of each frame. Time passes only when the test advances it.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from clipseg_live.app.devices import save_snapshot
from clipseg_live.core.errors import SinkError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.mattes import Mattes
from clipseg_live.core.metrics import Meter
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.settings.effects import is_private
from clipseg_live.core.settings.live import LiveSettings, SourceSpec
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.status import (
    Message,
    Prediction,
    PromptSet,
    SourceState,
    SourceStatus,
    WorkerState,
    WorkerStatus,
)
from clipseg_live.matting.causal import CausalMattes
from clipseg_live.rendering.renderer import EffectRenderer
from clipseg_live.runtime import render_thread, session
from clipseg_live.runtime.inference.client import ClientEvents
from clipseg_live.runtime.outputs.recording_segment import RecordingTools
from clipseg_live.runtime.pipeline import RenderTools
from tests.helpers.fakes import FakeOutput, FakeReplaySink, FakeSink, FakeTrack

HEIGHT, WIDTH, CELL = 96, 128, 4
INFO = SourceInfo("oracle", WIDTH, HEIGHT, Fraction(30), Fraction(1, 600), None)
COLOURS = {"red circle": ((240, 5, 105), (5, 240, 105)), "blue star": ((5, 105, 240), (240, 105, 5))}
"""Two colours of each object. Nothing else has these colours, and neither does a mix of them."""
OBJECT_OF_TEXT = {**{word: word for word in COLOURS}, "blue": "blue star"}
"""Texts that match an object, and the object."""
SIZE = 24
HIDDEN_SHARE = 0.03
"""Share of pixels of a completely hidden frame that may equal the original by chance."""


def position_of(word: str, index: int, epoch: int) -> tuple[int, int] | None:
    """Return the left and top edge of an object in a frame; None if it is not in the frame."""
    if (index // 20 + epoch) % 4 == 3:
        return None
    left = 4 + 3 * index % 28 + (64 if word == "blue star" else 0)
    return left, 8 + (5 * index + 17 * epoch) % 56


def objects_in(index: int, epoch: int) -> dict[str, np.ndarray]:
    """Return the masks of the visible objects, bool (height, width)."""
    masks = {}
    for word in COLOURS:
        position = position_of(word, index, epoch)
        if position is not None:
            mask = np.zeros((HEIGHT, WIDTH), bool)
            mask[position[1] : position[1] + SIZE, position[0] : position[0] + SIZE] = True
            masks[word] = mask
    return masks


def make_frame(index: int, epoch: int) -> Frame:
    """Return a frame with the objects on constant noise.

    An object is a checkerboard with squares of 3×3 pixels. Pixelation mixes its colours, halving the size does not.
    """
    rng = np.random.default_rng(epoch)
    pixels = np.repeat(rng.integers(90, 160, (HEIGHT, WIDTH, 1), np.uint8), 3, axis=2)
    squares = np.indices((SIZE // 3, SIZE // 3)).sum(axis=0).repeat(3, 0).repeat(3, 1) % 2
    for word, mask in objects_in(index, epoch).items():
        pixels[mask] = np.array(COLOURS[word], np.uint8)[squares].reshape(-1, 3)
    pixels.setflags(write=False)
    return Frame(pixels, index, Fraction(index, 30), Fraction(1, 30), epoch)


def oracle(index: int, epoch: int, texts: tuple[str, ...], always: bool = False) -> np.ndarray:
    """Return maps with 1 in every cell that an object touches. With ``always`` every text matches the red circle."""
    objects = objects_in(index, epoch)
    maps = np.zeros((len(texts), HEIGHT // CELL, WIDTH // CELL), np.float32)
    for number, text in enumerate(texts):
        mask = objects.get("red circle" if always else OBJECT_OF_TEXT.get(text, ""))
        if mask is not None:
            maps[number] = mask.reshape(HEIGHT // CELL, CELL, WIDTH // CELL, CELL).max(axis=(1, 3))
    return maps


def shows(pixels: Pixels, word: str) -> bool:
    """Return whether any pixel has a colour of an object."""
    red, green, blue = np.moveaxis(pixels, 2, 0)
    return any(bool(((red == r) & (green == g) & (blue == b)).any()) for r, g, b in COLOURS[word])


@lru_cache(maxsize=8)  # the newest frames are checked after every step
def is_hidden(rendered: RenderedFrame) -> bool:
    """Return whether the whole frame is hidden."""
    (one, two, three), (r, g, b) = np.moveaxis(rendered.composed, 2, 0), np.moveaxis(rendered.original, 2, 0)
    same = float(((one == r) & (two == g) & (three == b)).mean())
    return same <= HIDDEN_SHARE and not any(shows(rendered.composed, word) for word in COLOURS)


class ScriptedCapture:
    """Replaces ``Capture``. Frames come from the test."""

    def __init__(
        self, open_source: object, frame_filter: object, on_frame: Callable[[Frame, SourceInfo], None]
    ) -> None:
        self.on_frame, self.epoch, self.meter = on_frame, 1, Meter()
        self.status = SourceStatus(SourceState.RUNNING, "oracle", WIDTH, HEIGHT, Fraction(30))

    def open(self, spec: SourceSpec) -> None:
        self.epoch += 1

    def set_framing(self, framing: object) -> None: ...

    def request_stop(self) -> None: ...

    def join(self, deadline: float) -> tuple[str, ...]:
        return ()


class ScriptedWorker:
    """Replaces the inference client. The test decides when it takes frames and returns predictions."""

    def __init__(self, make_engine: object, settings: EngineSettings, events: ClientEvents) -> None:
        self.on_result, self.on_status = events.on_result, events.on_status
        self.settings = settings
        self.status = WorkerStatus()
        self.submitted = self.taken = self.unchanged = 0
        self.prompts, self.newest = PromptSet(), None
        self.working: deque[tuple[Frame, PromptSet]] = deque()
        self.always = False
        self.on_prompts: Callable[[], None] | None = None

    def start(self) -> None:
        self.set_state(WorkerState.READY)

    def set_state(self, state: WorkerState) -> None:
        self.status = replace(self.status, state=state)
        if state is not WorkerState.READY:
            self.working.clear()
        self.on_status(self.status)

    def submit(self, frame: Frame) -> None:
        self.newest = frame

    def set_prompts(self, prompts: PromptSet) -> None:
        self.prompts = prompts
        if self.on_prompts is not None:
            self.on_prompts()

    def set_engine(self, settings: EngineSettings) -> None:
        if settings != self.settings.model_copy(update={"reuse": settings.reuse}):  # reuse changes without loading
            self.set_state(WorkerState.LOADING)
        self.settings = settings

    def take(self) -> None:
        """Start a prediction for the newest frame and prompts. Two more may be pending, as between two processes."""
        if self.status.state is WorkerState.READY and self.newest is not None and len(self.working) < 3:
            self.working.append((self.newest, self.prompts))

    def deliver(self, spoil: Callable[[np.ndarray], None] | None = None) -> tuple[Frame, PromptSet] | None:
        """Deliver the oldest prediction, and return its frame and prompts; None if there is none."""
        if not self.working:
            return None
        frame, prompts = self.working.popleft()
        texts = tuple(prompt.label for prompt in prompts.prompts)
        maps = oracle(frame.index, frame.epoch, texts, self.always)
        if spoil is not None:
            spoil(maps)
        maps.setflags(write=False)
        self.on_result(Prediction(frame.index, frame.epoch, prompts.version, prompts.ids, maps), frame)
        return frame, prompts

    def request_stop(self) -> None: ...

    def join(self, deadline: float) -> bool:
        return True


class InterruptibleRenderer(EffectRenderer):
    """A renderer that calls ``interruption`` once while it renders a frame."""

    interruption: Callable[[], None] | None = None

    def compose(self, pixels: Pixels, mattes: Mattes, time: Fraction = Fraction(0)) -> Pixels:
        composed = super().compose(pixels, mattes, time)
        now, InterruptibleRenderer.interruption = InterruptibleRenderer.interruption, None
        if now is not None:
            now()
        return composed


class SteppedRenderThread(render_thread.RenderThread):
    """A ``RenderThread`` that runs in the thread of the test."""

    grace = 0.0  # no other thread adds frames

    def start(self) -> None: ...

    def run(self) -> None:
        while self._has_work():
            assert self._step()


@dataclass
class Edit:
    """State of a row: the text that was last in force, and the time of the last change."""

    complete: str
    changed: float


@dataclass
class Rig:
    """A running session with the expected state of its prompts. Call ``close`` at the end.

    Attributes:
        on_picture: Called with each shown frame, after its check.
    """

    settings: LiveSettings
    folder: Path
    always: bool = False
    on_picture: Callable[[RenderedFrame], None] = lambda rendered: None
    now: float = 1000.0
    index: int = 0
    shown_frames: list[RenderedFrame] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    tracks: list[FakeTrack] = field(default_factory=list)
    replays: list[FakeReplaySink] = field(default_factory=list)
    failures: list[AssertionError] = field(default_factory=list)

    def __post_init__(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session, "Capture", ScriptedCapture)
            patch.setattr(session, "InferenceClient", ScriptedWorker)
            patch.setattr(session, "RenderThread", SteppedRenderThread)
            self.session = session.Session(
                self.settings,
                session.SessionTools(
                    open_source=None,  # type: ignore[arg-type]
                    frame_filter=None,  # type: ignore[arg-type]
                    rendering=RenderTools(CausalMattes, InterruptibleRenderer),
                    make_engine=None,  # type: ignore[arg-type]
                    recording=self._tools(),
                    make_camera=FakeOutput,
                ),
                clock=lambda: self.now,
            )
        self.capture: ScriptedCapture = self.session._capture  # type: ignore[assignment]
        self.worker: ScriptedWorker = self.session._worker  # type: ignore[assignment]
        self.composing: SteppedRenderThread = self.session._render_thread  # type: ignore[assignment]
        self.worker.always = self.always
        self.edits = {row.id: Edit(row.text.strip(), -1e9) for row in self.settings.rows}
        self.answered: tuple[int, int, int] | None = None  # index, epoch and version of the newest usable prediction
        self.session.on_picture = self._shown
        self.session.on_message = self.messages.append
        self.session.start()
        self.session.set_replay(RecordingSettings(replay_seconds=60))
        self.frame()
        self.session.start_recording(self.folder, RecordingSettings(pattern="x"))

    def _tools(self) -> RecordingTools:
        def open_track(path: Path, settings: RecordingSettings, sounding: bool) -> FakeTrack:
            self.tracks.append(FakeTrack(path))
            return self.tracks[-1]

        def open_replay(settings: RecordingSettings) -> FakeReplaySink:
            self.replays.append(FakeReplaySink())
            return self.replays[-1]

        return RecordingTools(
            open_track=open_track, open_replay=open_replay,
            open_data=lambda form, path, labels: FakeSink(name=str(path)),
            free_bytes=lambda folder: 10**12, finalise=lambda path, stop: "",
        )  # fmt: skip

    # Steps of a test.

    def _change(self, settings: LiveSettings) -> None:
        for row in settings.rows:
            before = next((each for each in self.settings.rows if each.id == row.id), None)
            if before is None:
                self.edits[row.id] = Edit("", self.now)
            elif before.text.strip() != row.text.strip():
                self.edits[row.id].changed = self.now
        changed = [self.edits[row.id].changed for row in settings.rows]
        for row in settings.rows:  # one pause counts for all rows
            self.edits[row.id].changed = max(changed)
        self.edits = {row.id: self.edits[row.id] for row in settings.rows}
        self.settings = settings
        self.session.apply(settings)

    def apply(self, settings: LiveSettings) -> None:
        """Change the settings, as a key or a click does."""
        self._change(settings)
        self._step()

    def apply_overtaken(self, settings: LiveSettings) -> None:
        """Change the settings. A fast worker predicts the new prompts before the settings are applied everywhere."""

        def predict_now() -> None:
            self.take()
            while self.worker.working:
                self.worker.deliver()
            self.composing.run()

        self.worker.working.clear()
        self.worker.on_prompts = predict_now
        try:
            self._change(settings)
        finally:
            self.worker.on_prompts = None
        newest, is_ready = self.worker.newest, self.worker.status.state is WorkerState.READY
        if is_ready and newest is not None and newest.epoch == self.capture.epoch:
            self.answered = newest.index, newest.epoch, self.session._prompt_set.version
        self._step()

    def apply_during(self, settings: LiveSettings) -> None:
        """Change the settings while a frame is rendered with the old ones."""
        InterruptibleRenderer.interruption = lambda: self._change(settings)
        self.predict()
        if InterruptibleRenderer.interruption is not None:  # nothing was rendered
            InterruptibleRenderer.interruption = None
            self.apply(settings)

    def frame(self) -> None:
        self.index += 1
        self.now += 1 / 30
        self.capture.on_frame(make_frame(self.index, self.capture.epoch), INFO)
        self._step()

    def take(self) -> None:
        self.worker.take()

    def deliver(self, spoil: Callable[[np.ndarray], None] | None = None) -> None:
        """Deliver a prediction. ``spoil`` adds invalid values."""
        if self.worker.working:
            frame, prompts = self.worker.working[0]
            if spoil is None and frame.epoch == self.capture.epoch:
                self.answered = frame.index, frame.epoch, prompts.version
        self.worker.deliver(spoil)
        self._step()

    def predict(self) -> None:
        """Add a frame and deliver its prediction."""
        self.frame()
        self.take()
        while self.worker.working:
            self.deliver()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.composing._redraw = True
        self._step()

    def open(self) -> None:
        """Open another source."""
        self.session.open(SourceSpec(name="oracle"))
        self._step()

    def crash(self) -> None:
        self.worker.set_state(WorkerState.RESTARTING)
        self._step()

    def recover(self) -> None:
        self.worker.set_state(WorkerState.READY)
        self._step()

    def close(self) -> None:
        """Stop the session, and check the recording and the replay."""
        assert self.session.stop() == ()
        shown = {id(rendered.composed): rendered for rendered in self.shown_frames}
        written = [frame for track in self.tracks for frame in track.frames]
        assert all(id(frame.pixels) in shown for frame in written), "the recording has a frame that was not shown"
        for sink in self.replays:
            hiding = [self.hiding(shown[id(frame.pixels)]) for frame in sink.frames]
            assert hiding == sorted(hiding, reverse=True), "the replay has frames from before a privacy effect"

    # Checks.

    @staticmethod
    def hiding(rendered: RenderedFrame) -> bool:
        return rendered.settings is not None and is_private(rendered.settings.effects)

    def _step(self) -> None:
        self.composing.run()
        if self.failures:
            raise self.failures[0]
        self._check_outputs()

    def _shown(self) -> None:
        rendered = self.session.picture()
        if rendered is None:
            return
        self.shown_frames.append(rendered)
        self._settle(rendered)
        try:
            self.check(rendered)
            self.on_picture(rendered)
        except AssertionError as error:  # the session continues after an error of an output
            self.failures.append(error)

    def _settle(self, rendered: RenderedFrame) -> None:
        """Update the texts that are in force, by the rules of the documentation."""
        newest = self.session._prompt_set.version
        if self.answered is None or self.answered != (rendered.index, rendered.epoch, newest):
            return
        objects = objects_in(rendered.index, rendered.epoch)
        for row in self.settings.shown():
            edit, text = self.edits[row.id], row.text.strip()
            is_visible = ("red circle" if self.always else OBJECT_OF_TEXT.get(text)) in objects
            waited = self.now - edit.changed
            if text and (waited >= 5.0 or (waited >= 1.5 and is_visible)):
                edit.complete = text

    def check(self, rendered: RenderedFrame) -> None:
        """Fail if a frame shows what the current settings hide."""
        if not is_private(self.settings.effects):
            return
        assert self.hiding(rendered), "a frame from before a privacy effect"
        if is_hidden(rendered):
            return
        shown = self.settings.shown()
        hiding = [row for row in shown if row.style.role == "positive"]
        assert any(row.text.strip() for row in hiding), "there is no prompt"
        against = {OBJECT_OF_TEXT.get(row.text.strip()) for row in shown if row.style.role != "positive"} - {None}
        for row in hiding:
            text = self.edits[row.id].complete
            if self.always and text:
                assert against or not shows(rendered.composed, "red circle"), f"{text!r} is shown"
            elif text in OBJECT_OF_TEXT and OBJECT_OF_TEXT[text] not in against:
                assert not shows(rendered.composed, OBJECT_OF_TEXT[text]), f"{text!r} is shown during {row.text!r}"

    def _check_outputs(self) -> None:
        """Check the frames that could be fetched, saved or sent to a virtual camera now."""
        if not is_private(self.settings.effects):
            return
        newest = self.session.picture()
        assert newest is None or self.hiding(newest)
        for rendered in self.shown_frames[-3:]:
            if self.session._may_publish(rendered):
                assert not is_hidden(rendered) or rendered.hidden is None, "the placeholder was not sent"
                self.check(rendered)
            if not self.hiding(rendered):
                with pytest.raises(SinkError):
                    save_snapshot(self.folder, rendered, self.settings)
