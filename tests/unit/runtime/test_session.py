"""A session with fake sources and outputs and a real worker process: edits, modes, recordings, failures, end."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from clipseg_live.core.errors import UsageError
from clipseg_live.core.frame import Frame, Pixels
from clipseg_live.core.mattes import Mattes
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.base import EngineSettings, PromptStyle
from clipseg_live.core.settings.effects import BlackOut, is_private
from clipseg_live.core.settings.live import (
    Comparison,
    LiveSettings,
    PromptImage,
    PromptRow,
    SourceSpec,
    Variant,
)
from clipseg_live.core.settings.recording import RecordingSettings
from clipseg_live.core.settings.rendering import RenderSettings
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings
from clipseg_live.core.status import Message, Prediction, SourceState, WorkerState
from clipseg_live.runtime.outputs.recording_segment import RecordingTools
from clipseg_live.runtime.pipeline import RenderTools
from clipseg_live.runtime.session import Session, SessionTools
from tests.helpers.fakes import FakeLiveSource, FakeMatting, FakeOutput, FakeReplaySink, FakeSink, FakeTrack
from tests.helpers.live_engine import make_fake_engine
from tests.unit.runtime.inference.test_client import shared_blocks

pytestmark = pytest.mark.usefixtures("quick_workers")
PATIENCE = 15.0
RED, GREEN = (255, 0, 0), (0, 255, 0)
RECORD = RecordingSettings(pattern="x")


class Paint:
    """Draws each pixel in the colour of the last prompt that covers it.

    With a privacy effect, frames without own mattes are black.
    """

    def __init__(self, look: RenderSettings) -> None:
        self.look = look

    def compose(self, pixels: Pixels, mattes: Mattes, time: Fraction) -> Pixels:
        picture = pixels.copy()
        if is_private(self.look.effects) and not mattes.own:
            return np.zeros_like(picture)
        for style, matte in zip(self.look.styles, mattes.each, strict=True):
            picture[matte.alpha >= 128] = style.colour
        return picture

    def close(self) -> None:
        pass


class Running:
    """A session with the source "a" and others by name, and its frames and messages."""

    def __init__(self, settings: LiveSettings, sources: dict[str, FakeLiveSource]) -> None:
        self.sources = sources
        self.sinks: list[FakeTrack] = []
        self.replays: list[FakeReplaySink] = []
        self.finalised: list[Path] = []
        self.changed = threading.Condition()
        self.pictures: list[RenderedFrame] = []
        self.cameras: list[FakeOutput] = []
        self.messages: list[Message] = []
        self.session = Session(
            settings,
            SessionTools(
                open_source=lambda spec: sources[spec.name],
                frame_filter=lambda pixels, to: np.ascontiguousarray(pixels[:, ::-1]) if to.mirror else pixels,
                rendering=RenderTools(FakeMatting, Paint),
                make_engine=make_fake_engine,
                recording=self._tools(),
                make_camera=self._camera,
            ),
        )
        self.session.on_picture = self._shown
        self.session.on_message = self._said
        self.session.start()
        if sources:
            self.session.open(SourceSpec(name=next(iter(sources))))

    def _tools(self) -> RecordingTools:
        return RecordingTools(
            open_track=lambda path, settings, sounding: self._sink(path),
            open_replay=lambda settings: self._replay(),
            open_data=lambda form, path, labels, settings: FakeSink(name=str(path)),
            free_bytes=lambda folder: 10**12,
            finalise=self._finalise,
        )

    def _replay(self) -> FakeReplaySink:
        self.replays.append(FakeReplaySink())
        return self.replays[-1]

    def _sink(self, path: Path) -> FakeTrack:
        self.sinks.append(FakeTrack(path))
        return self.sinks[-1]

    def _finalise(self, path: Path, stop: Callable[[], bool]) -> str:
        self.finalised.append(path)
        return ""

    def _camera(self, settings: VirtualCameraSettings) -> FakeOutput:
        self.cameras.append(FakeOutput(settings))
        return self.cameras[-1]

    def _shown(self) -> None:
        picture = self.session.picture()
        with self.changed:
            if picture is not None:
                self.pictures.append(picture)
            self.changed.notify_all()

    def _said(self, message: Message) -> None:
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def wait(self, condition: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE), (self.session.status(), len(self.pictures))

    def wait_shown(self, right: tuple[int, int, int]) -> RenderedFrame:
        """Wait for a frame whose right half, where the fakes have their colour, has this colour."""
        self.wait(lambda: self.pictures and tuple(self.pictures[-1].composed[20, -3]) == right)
        return self.pictures[-1]


@pytest.fixture
def running() -> Iterator[Callable[..., Running]]:
    made: list[Running] = []
    before = shared_blocks()

    def make(settings: LiveSettings | None = None, **sources: FakeLiveSource) -> Running:
        made.append(Running(settings or LiveSettings(), sources))
        return made[-1]

    yield make
    for each in made:
        start = time.monotonic()
        assert each.session.stop(2.0) == ()
        assert time.monotonic() - start < 2.0
        assert each.session.stop() == ()
        assert all(source.closed >= source.opened for source in each.sources.values())
    assert not multiprocessing.active_children()
    assert shared_blocks() == before


def row(number: int, text: str, colour: tuple[int, int, int] = (0, 0, 255), **values: object) -> PromptRow:
    return PromptRow(id=number, text=text, style=PromptStyle(colour=colour), **values)  # type: ignore[arg-type]


def settings_with(*rows: PromptRow, **values: object) -> LiveSettings:
    return LiveSettings(rows=rows, **values)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.usefixtures("new_interpreters")
def test_frames_are_shown_before_the_model_is_loaded(running: Callable[..., Running]) -> None:
    one = running(settings_with(row(3, "red")), a=FakeLiveSource(rate=100))
    one.wait(lambda: one.pictures)
    assert tuple(one.pictures[0].composed[20, -3]) == (200, 0, 0) and not len(one.pictures[0].maps)
    picture = one.wait_shown((0, 0, 255))
    assert picture.ids == (3,) and picture.areas == (0.5,)
    assert tuple(picture.original[20, -3]) == (200, 0, 0) and tuple(picture.composed[20, 3]) == (0, 0, 0)
    status = one.session.status()
    assert status.worker.state is WorkerState.READY and status.source.state is SourceState.RUNNING
    assert status.rates.display > 5 and status.rates.capture > 5 and 0 < status.rates.delay[0] < 500


def test_edits_are_applied_during_the_session(running: Callable[..., Running]) -> None:
    one = running(settings_with(row(0, "green")), a=FakeLiveSource(rate=100))
    one.wait(lambda: one.pictures and one.pictures[-1].ids)
    assert tuple(one.pictures[-1].composed[20, -3]) == (200, 0, 0)
    one.session.apply(settings_with(row(0, "red")))
    one.wait_shown((0, 0, 255))
    one.session.apply(settings_with(row(0, "red", GREEN)))
    one.wait_shown(GREEN)
    one.session.apply(settings_with(row(0, "red", GREEN, visible=False)))
    one.wait_shown((200, 0, 0))
    one.session.apply(settings_with(row(0, "red", GREEN), row(1, "red", (9, 9, 9))))
    one.wait_shown((9, 9, 9))
    one.session.apply(settings_with(row(0, "red", GREEN, solo=True), row(1, "red", (9, 9, 9))))
    one.wait_shown(GREEN)
    one.session.apply(settings_with(row(1, "red", (9, 9, 9)), row(0, "red", GREEN)))
    one.wait_shown(GREEN)
    one.session.apply(settings_with())
    one.wait_shown((200, 0, 0))


def test_style_changes_need_no_new_prediction(running: Callable[..., Running]) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(live=False, count=1))
    picture = one.wait_shown((0, 0, 255))
    one.session.apply(settings_with(row(0, "red", GREEN)))
    assert one.wait_shown(GREEN).version == picture.version


def test_variants_are_predicted_and_shown_together(running: Callable[..., Running]) -> None:
    others = (Variant(rows=(row(0, "green"),)), Variant(rows=(row(0, "red", RED),)))
    settings = settings_with(row(0, "red"), comparison=Comparison(others=others))
    one = running(settings, a=FakeLiveSource(rate=100))
    one.wait(lambda: one.pictures and one.pictures[-1].ids == (0,) and one.session.variant_views())
    one.wait(lambda: [view.iou for view in one.session.variant_views()] == [None, 0.0, 1.0])
    first, second, third = one.session.variant_views()
    assert [tuple(view.image[20, -3]) for view in (first, second, third)] == [(0, 0, 255), (200, 0, 0), RED]
    one.session.apply(settings_with(row(0, "red"), effects=(BlackOut(),), comparison=settings.comparison))
    assert one.session.variant_views() == ()
    one.session.apply(settings_with(row(0, "red", GREEN)))
    one.wait_shown(GREEN)
    assert one.session.variant_views() == ()


def test_words_are_asked_beside_the_prompts(running: Callable[..., Running]) -> None:
    words = (*(f"word {number}" for number in range(20)), "green", "red")
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(rate=100))
    one.wait_shown((0, 0, 255))
    one.session.ask_words(words)
    one.wait(lambda: len(one.session.word_maps().words) == len(words))
    assert one.session.word_maps().ranked(0.9, 0.5, 1) == [("red", 1.0)]
    assert all(picture.ids in ((), (0,)) for picture in one.pictures) and list(one.session.histograms()) == [0]
    one.session.apply(settings_with(row(0, "red"), effects=(BlackOut(),)))
    one.session.ask_words(words)
    assert one.session.word_maps().words == ()
    one.session.apply(settings_with(row(0, "red", GREEN)))
    one.wait_shown(GREEN)


@pytest.mark.slow
def test_the_last_of_a_hundred_edits_is_shown(running: Callable[..., Running]) -> None:
    one = running(settings_with(row(0, "green")), a=FakeLiveSource(rate=100))
    one.wait(lambda: one.pictures and one.pictures[-1].ids)
    for number in range(100):
        one.session.apply(settings_with(row(0, f"word {number}"), row(1, "red", GREEN)))
    one.session.apply(settings_with(row(0, "red", RED)))
    one.wait_shown(RED)
    assert one.session.status().worker.restarts == 0


def test_a_paused_frame_is_rendered_again_after_an_edit(running: Callable[..., Running]) -> None:
    one = running(settings_with(row(0, "green")), a=FakeLiveSource(live=False, count=500, rate=100))
    one.wait(lambda: one.pictures and one.pictures[-1].ids)
    one.session.pause()
    one.wait(lambda: one.session.status().source.state is SourceState.PAUSED)
    one.session.apply(settings_with(row(0, "red")))
    one.wait_shown((0, 0, 255))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "share"), [({}, 0.5), ({"mode": "locked"}, None), ({"effects": (BlackOut(),)}, None)]
)
def test_the_worker_reuses_tokens_only_where_frames_are_shown_at_once(
    running: Callable[..., Running], changes: dict[str, object], share: float | None
) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(rate=100, flickers=True))
    one.wait(lambda: one.session.status().rates.recomputed)
    found: list[float | None] = []
    take = one.session._render_thread.put_result
    one.session._render_thread.put_result = lambda result, frame: (found.append(result.recomputed), take(result, frame))  # type: ignore[method-assign, assignment]
    one.session.apply(settings_with(row(0, "red"), **changes))
    one.wait(lambda: len(found) > 5 and found[-1] == share)
    late = Prediction(0, one.session._capture.epoch, 1, (0,), np.zeros((1, 4, 4), np.float32), recomputed=0.25)
    one.session._take_result(late, None)
    assert (0.25 in found) == (share is not None)


@pytest.mark.slow
def test_locked_shows_only_frames_with_their_own_mask(running: Callable[..., Running]) -> None:
    one = running(
        settings_with(row(0, "red"), row(1, "slow"), mode="locked"), a=FakeLiveSource(rate=100, flickers=True)
    )
    one.wait(lambda: sum(picture.own for picture in one.pictures) >= 3)
    first = next(number for number, picture in enumerate(one.pictures) if picture.own)
    assert not any(len(picture.maps) for picture in one.pictures[:first])  # from before the model was loaded
    assert all(picture.own and len(picture.maps) == 2 for picture in one.pictures[first:])
    assert all(tuple(picture.composed[20, -3]) == (0, 0, 255) for picture in one.pictures[first:])
    indices = [picture.index for picture in one.pictures[first:]]
    assert indices == sorted(set(indices)) and indices[2] - indices[0] > 40, "the frames between are left out"


@pytest.mark.slow
def test_predictions_of_another_epoch_are_never_shown(running: Callable[..., Running]) -> None:
    one = running(
        settings_with(row(0, "red"), row(1, "slow")),
        a=FakeLiveSource(rate=100), b=FakeLiveSource(rate=100, colour=(0, 200, 0)),
    )  # fmt: skip
    one.wait_shown((0, 0, 255))
    one.session.open(SourceSpec(name="b"))
    one.wait(lambda: one.pictures[-1].original[20, -3, 1] == 200 and len(one.pictures[-1].maps))
    of_b = [picture for picture in one.pictures if picture.original[20, -3, 1] == 200]
    assert all(tuple(picture.composed[20, -3]) == (0, 200, 0) for picture in of_b)


def is_hidden(picture: RenderedFrame) -> bool:
    return not picture.composed.any()


@pytest.mark.usefixtures("new_interpreters")
@pytest.mark.slow
def test_privacy_effects_hide_frames_without_own_masks(running: Callable[..., Running], tmp_path: Path) -> None:
    """During loading, after an edit, and without a worker, on screen and in the recording."""
    settings = settings_with(row(0, "red"), effects=(BlackOut(),), mode="smooth")
    one = running(settings, a=FakeLiveSource(rate=100, flickers=True))
    one.wait(lambda: one.pictures)
    one.session.start_recording(tmp_path, RECORD)
    one.wait_shown((0, 0, 255))
    version = one.pictures[-1].version
    one.session.apply(settings.model_copy(update={"rows": (row(0, "green"),)}))
    edited = len(one.pictures) + 1  # one may just have been rendered
    one.wait(lambda: one.pictures[-1].version > version and one.pictures[-1].own)
    assert all(is_hidden(picture) for picture in one.pictures[edited:] if picture.version == version)
    process = one.session.status().worker.process_id
    assert process is not None
    os.kill(process, signal.SIGKILL)
    one.wait(lambda: any("signal 9" in message.text for message in one.messages))
    down = len(one.pictures)
    one.wait(lambda: len(one.pictures) > down + 10)
    one.wait(lambda: one.pictures[-1].own)
    assert any(is_hidden(picture) for picture in one.pictures)
    assert all(picture.own or is_hidden(picture) for picture in one.pictures)
    one.session.stop()
    shown = {id(picture.composed) for picture in one.pictures}
    assert one.sinks[0].frames and all(id(written.pixels) in shown for written in one.sinks[0].frames)


def test_locked_mode_continues_without_masks_while_the_worker_is_down(running: Callable[..., Running]) -> None:
    one = running(
        settings_with(row(0, "red"), mode="locked", engine=EngineSettings(model="slow")), a=FakeLiveSource(rate=100)
    )
    one.wait(lambda: len(one.pictures) > 5)
    assert not any(picture.own for picture in one.pictures)


def test_negative_and_contrast_prompts_are_not_drawn(running: Callable[..., Running]) -> None:
    helper = row(1, "green", (255, 255, 0))
    helper = helper.model_copy(update={"style": helper.style.model_copy(update={"role": "negative"})})
    one = running(settings_with(row(0, "red"), helper), a=FakeLiveSource(rate=100))
    one.wait_shown((0, 0, 255))
    assert one.pictures[-1].ids == (0, 1) and one.pictures[-1].presence == (1.0, 0.0)


def test_a_row_with_an_image_uses_an_image_prompt(running: Callable[..., Running]) -> None:
    example = PromptImage.of(np.zeros((4, 4, 3), np.uint8))
    one = running(settings_with(row(0, "", picture=example), row(1, "red"), row(2, " ")), a=FakeLiveSource(rate=100))
    one.wait_shown((0, 0, 255))
    assert one.pictures[-1].ids == (0, 1)


@pytest.mark.slow
def test_messages_about_a_model_disappear_with_it(running: Callable[..., Running]) -> None:
    one = running(settings_with(engine=EngineSettings(model="replaced")), a=FakeLiveSource(rate=100))
    told = lambda: {message.topic: message.text for message in one.messages}  # noqa: E731
    one.wait(lambda: (told().get("model"), told().get("engine")) == ("It was replaced.", "A notice."))
    one.session.apply(settings_with(engine=EngineSettings(model="fake")))
    one.wait(lambda: (told()["model"], told()["engine"]) == ("", ""))
    one.session.apply(settings_with(engine=EngineSettings(model="replaced")))
    one.wait(lambda: (told()["model"], told()["engine"]) == ("It was replaced.", "A notice."))


@pytest.mark.usefixtures("new_interpreters")
@pytest.mark.slow
def test_video_continues_while_the_worker_is_killed(running: Callable[..., Running]) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(rate=100))
    one.wait_shown((0, 0, 255))
    process = one.session.status().worker.process_id
    assert process is not None
    shown = len(one.pictures)
    os.kill(process, signal.SIGKILL)
    one.wait(lambda: any(message.topic == "worker" and "signal 9" in message.text for message in one.messages))
    one.wait(lambda: len(one.pictures) > shown + 10)
    one.wait(lambda: one.session.status().worker.state is WorkerState.READY)
    one.wait(lambda: one.messages[-1].topic == "worker" and one.messages[-1].text == "")


def test_another_model_is_loaded_during_the_session(running: Callable[..., Running]) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(rate=100))
    one.wait_shown((0, 0, 255))
    one.session.apply(settings_with(row(0, "red"), engine=EngineSettings(model="missing")))
    one.wait(lambda: any("no model named missing" in message.text for message in one.messages))
    one.session.apply(settings_with(row(0, "red", GREEN), engine=EngineSettings(model="fake", size=96)))
    one.wait(lambda: one.pictures[-1].maps.shape == (1, 6, 6))
    one.wait_shown(GREEN)


@pytest.mark.slow
def test_a_recording_has_the_shown_frames(running: Callable[..., Running], tmp_path: Path) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(live=False, count=400, rate=100))
    one.wait_shown((0, 0, 255))
    one.session.start_recording(tmp_path, RECORD)
    with pytest.raises(UsageError, match="is running"):
        one.session.start_recording(tmp_path, RECORD)
    one.wait(lambda: one.session.status().recording.seconds > 0.2)
    assert one.session.status().recording.active
    one.session.seek(Fraction(1, 10))
    one.wait(lambda: one.session.status().recording.seconds > 0.5)
    one.session.stop_recording()
    one.wait(lambda: any(message.text.startswith("Recorded") for message in one.messages))
    assert not one.session.status().recording.active
    (sink,) = one.sinks
    assert (sink.finished, sink.aborted) == (1, 0)
    times = [frame.time for frame in sink.frames]
    assert times[0] == 0 and all(0 < after - before <= Fraction(1, 2) for before, after in pairwise(times))
    assert [frame.index for frame in sink.frames] == list(range(len(times)))
    assert tuple(sink.frames[-1].pixels[20, -3]) == (0, 0, 255)
    one.wait(lambda: one.finalised == [tmp_path / "x.mp4"])


@pytest.mark.slow
def test_a_recording_is_finished_when_the_session_ends(running: Callable[..., Running], tmp_path: Path) -> None:
    one = running(settings_with(), a=FakeLiveSource(rate=100))
    with pytest.raises(UsageError, match="no frame to record"):
        running(settings_with()).session.start_recording(tmp_path, RECORD)
    one.wait(lambda: one.pictures)
    one.session.start_recording(tmp_path, RECORD)
    one.wait(lambda: one.session.status().recording.seconds > 0.1)
    assert one.session.stop() == ()
    assert one.sinks[0].finished == 1


@pytest.mark.slow
def test_a_source_of_another_size_continues_the_recording(running: Callable[..., Running], tmp_path: Path) -> None:
    one = running(settings_with(), a=FakeLiveSource(rate=100), b=FakeLiveSource(rate=100, size=(30, 40)))
    one.wait(lambda: one.pictures)
    one.session.start_recording(tmp_path, RECORD)
    one.wait(lambda: one.session.status().recording.seconds > 0.1)
    one.session.open(SourceSpec(name="b"))
    one.wait(lambda: len(one.pictures[-1].composed) == 30)
    there = one.session.status().recording.seconds
    one.wait(lambda: one.session.status().recording.seconds > there + 0.1)
    one.session.stop_recording()
    one.wait(lambda: any(message.text.startswith("Recorded") for message in one.messages))
    (sink,) = one.sinks
    assert {frame.pixels.shape for frame in sink.frames} == {(48, 64, 3)} and sink.finished == 1


@pytest.mark.slow
def test_rendered_original_and_matte_tracks_are_recorded_together(
    running: Callable[..., Running], tmp_path: Path
) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(rate=100))
    one.wait_shown((0, 0, 255))
    tracks = RecordingSettings(pattern="x", tracks=("composed", "camera", "mattes"))
    one.session.start_recording(tmp_path, tracks)
    one.wait(lambda: one.session.status().recording.seconds > 0.1)
    one.session.pause_recording()
    one.wait(lambda: one.session.status().recording.paused)
    one.session.resume_recording()
    one.session.stop_recording()
    one.wait(lambda: any(message.text.startswith("Recorded") for message in one.messages))
    last = [tuple(sink.frames[-1].pixels[20, -3]) for sink in one.sinks]
    assert last == [(0, 0, 255), (200, 0, 0), (255, 255, 255)]
    assert len({tuple(frame.time for frame in sink.frames) for sink in one.sinks}) == 1


def test_an_original_track_with_a_privacy_effect_is_reported(running: Callable[..., Running], tmp_path: Path) -> None:
    one = running(settings_with(row(0, "red"), effects=(BlackOut(),)), a=FakeLiveSource(rate=100))
    one.wait(lambda: one.pictures)
    one.session.start_recording(tmp_path, RecordingSettings(pattern="x", tracks=("composed", "camera")))
    one.wait(lambda: any("nothing is hidden" in message.text for message in one.messages))


@pytest.mark.slow
def test_a_new_privacy_effect_clears_the_replay(
    running: Callable[..., Running],
) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(rate=100))
    one.wait_shown((0, 0, 255))
    one.session.set_replay(RecordingSettings(replay_seconds=10))
    one.wait(lambda: one.replays and one.replays[0].frames)
    for count, effects in ((2, (BlackOut(),)), (2, (BlackOut(), BlackOut())), (2, ()), (3, (BlackOut(),))):
        one.session.apply(settings_with(row(0, "red"), effects=effects))
        one.wait(lambda: len(one.replays) == count and one.replays[-1].frames)  # noqa: B023
        one.wait(lambda: all(each.closed for each in one.replays[:-1]))


def test_a_new_privacy_effect_with_an_original_track_is_reported(
    running: Callable[..., Running], tmp_path: Path
) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(rate=100))
    one.wait(lambda: one.pictures)
    one.session.start_recording(tmp_path, RecordingSettings(pattern="x", tracks=("composed", "camera")))
    assert not one.messages
    one.session.apply(settings_with(row(0, "red"), effects=(BlackOut(),)))
    assert ["nothing is hidden" in message.text for message in one.messages] == [True]


@pytest.mark.slow
def test_finished_videos_are_finalised_and_recording_ends(running: Callable[..., Running], tmp_path: Path) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(rate=100))
    one.wait_shown((0, 0, 255))
    one.session.start_recording(tmp_path, RecordingSettings(pattern="x", data=("alpha-prores",)))
    one.wait(lambda: one.session.status().recording.seconds > 0.1)
    one.session.stop()
    assert one.finalised == [tmp_path / "x.mp4", tmp_path / "x alpha.mov"]
    assert [message.text for message in one.messages if message.level == "info"] == [
        f"Recorded {tmp_path / 'x.mp4'} and one more file."
    ]
    with pytest.raises(UsageError, match="has ended"):
        one.session.start_recording(tmp_path, RECORD)


@pytest.mark.slow
def test_a_frame_that_cannot_be_rendered_is_reported_and_the_next_is_shown(
    running: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(rate=100))
    one.wait_shown((0, 0, 255))
    broken = threading.Event()

    def fails(self: Paint, pixels: Pixels, mattes: Mattes, time: Fraction) -> Pixels:
        broken.set()
        raise ValueError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Paint, "compose", fails)
        one.wait(lambda: any("a bug" in message.text for message in one.messages))
    shown = len(one.pictures)
    one.wait(lambda: len(one.pictures) > shown)


@pytest.mark.parametrize("model", ["fake", "slow", "missing"])
@pytest.mark.parametrize("source", ["running", "missing", "none"])
def test_the_session_ends_in_two_seconds_from_every_state(
    running: Callable[..., Running], model: str, source: str
) -> None:
    sources = {} if source == "none" else {"a": FakeLiveSource(rate=100, missing=source == "missing")}
    one = running(settings_with(row(0, "red"), engine=EngineSettings(model=model)), **sources)
    wanted = {"fake": WorkerState.READY, "slow": WorkerState.LOADING, "missing": WorkerState.WAITING}[model]
    limit = time.monotonic() + PATIENCE
    while one.session.status().worker.state is not wanted and time.monotonic() < limit:
        threading.Event().wait(0.01)
    assert one.session.status().worker.state is wanted


@pytest.mark.slow
def test_a_blocked_thread_is_abandoned_and_named() -> None:
    source = FakeLiveSource(blocks_open=True)
    one = Running(settings_with(), {"a": source})
    assert source.blocked.wait(PATIENCE)
    start = time.monotonic()
    assert one.session.stop(0.5) == ("clipseg-live capture a",)
    assert one.session.stop() == ("clipseg-live capture a",)
    assert time.monotonic() - start < 2.0
    source.release.set()
    limit = time.monotonic() + PATIENCE
    while not source.closed and time.monotonic() < limit:
        threading.Event().wait(0.01)
    assert source.closed


@pytest.mark.slow
def test_frames_are_frozen(running: Callable[..., Running]) -> None:
    one = running(settings_with(row(0, "red")), a=FakeLiveSource(rate=100))
    picture = one.wait_shown((0, 0, 255))
    assert not (picture.composed.flags.writeable or picture.original.flags.writeable or picture.maps.flags.writeable)
    assert isinstance(Frame(picture.composed, 0, Fraction(0)), Frame)
