"""Exports with fakes: no frame is lost or reordered, and resources are released after any failure."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipseg_live.core.errors import Failure, ModelError, SinkError, SourceError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.mattes import Label
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.exporters.masks import JsonLinesMaskSink
from clipseg_live.media.sources.video_file import VideoFileSource
from clipseg_live.media.writers.video import VideoWriter
from clipseg_live.runtime.export import Export, ExportStopped, Progress
from clipseg_live.runtime.pipeline import FramePipeline, RenderTools, plan_of
from tests.helpers.clips import read_all
from tests.helpers.fakes import FakeComposer, FakeEngine, FakeMatting, FakeSink, FakeSource

PROMPTS = (Prompt.text("a"), Prompt.text("b"))
LABELS = (Label("a", 0.5), Label("b", 0.5))
STYLES = (PromptStyle(), PromptStyle())


def export(
    source: FakeSource,
    engine: FakeEngine,
    sink: FakeSink,
    late: int = 0,
    data: Sequence[object] = (),
    **options: object,
) -> Export:
    pipeline = FramePipeline(
        plan_of(PROMPTS, STYLES, effects=()), RenderTools(lambda: FakeMatting(late), lambda look: FakeComposer())
    )
    return Export(source, source.open(), engine, PROMPTS, pipeline, [sink, *data], **options)  # type: ignore[arg-type]


def no_thread_is_left() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name.startswith("clipseg-live")]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40))
def test_all_frames_are_written_in_order(count: int) -> None:
    source, sink, masks = FakeSource(count), FakeSink(), FakeSink()
    result = export(source, FakeEngine(), sink, data=[masks]).run()
    assert result.frames == count
    assert [frame.index for frame in sink.frames] == list(range(count))
    assert [frame.time for frame in sink.frames] == [Fraction(n * n, 600) for n in range(count)]
    assert [int(frame.pixels[0, 0, 0]) for frame in sink.frames] == [255 - n for n in range(count)]
    assert [mattes.maps.shape for mattes in masks.mattes] == [(2, 2, 2)] * count
    assert [int(rendered.original[0, 0, 0]) for rendered in masks.rendered] == list(range(count))
    assert (sink.finished, sink.aborted, masks.finished, masks.aborted) == (1, 0, 1, 0)
    assert source.closed == 1
    assert no_thread_is_left()


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 30),
    st.one_of(st.none(), st.integers(0, 30)),
    st.one_of(st.none(), st.integers(0, 30)),
    st.one_of(st.none(), st.integers(0, 30)),
    st.booleans(),
)
def test_everything_is_closed_once_after_any_failure(
    count: int, source_at: int | None, engine_at: int | None, sink_at: int | None, keep: bool
) -> None:
    source = FakeSource(count, breaks_at=source_at)
    engine = FakeEngine(fails_at=engine_at, error=ModelError("The fake model failed."))
    sink, masks = FakeSink(fails_at=sink_at), FakeSink()
    run = export(source, engine, sink, data=[masks], keep_partial=keep)
    failing = [at for at in (source_at, engine_at, sink_at) if at is not None and (at < count or at == source_at)]
    breaks = source_at is not None and source_at <= count
    if count == 0 or breaks or any(at < count for at in failing):
        with pytest.raises(Failure):
            run.run()
        assert (sink.finished, sink.aborted, masks.aborted) == (0, 1, 1)
    else:
        assert run.run().frames == count
        assert (sink.finished, sink.aborted) == (1, 0)
    assert source.closed == 1
    assert [frame.index for frame in sink.frames] == list(range(len(sink.frames)))
    assert no_thread_is_left()


def test_a_damaged_source_is_exported_up_to_the_damage() -> None:
    sink = FakeSink()
    with pytest.raises(SourceError, match=r"breaks here; 7 frames were exported, up to 0\.06 s, and nothing was kept"):
        export(FakeSource(20, breaks_at=7), FakeEngine(), sink).run()
    assert len(sink.frames) == 7
    assert not sink.keeps_partial


def test_a_partial_result_is_kept_on_request() -> None:
    sink = FakeSink()
    with pytest.raises(SourceError, match=r"kept in kept\.partial\.mp4"):
        export(FakeSource(20, breaks_at=7), FakeEngine(), sink, keep_partial=True).run()
    assert sink.keeps_partial


def test_no_partial_result_of_an_unwritable_file_is_kept() -> None:
    sink = FakeSink(fails_at=3)
    with pytest.raises(SinkError, match="disk is full; 3 frames were exported"):
        export(FakeSource(20), FakeEngine(), sink, keep_partial=True).run()
    assert not sink.keeps_partial


def test_files_finished_before_a_failure_are_named() -> None:
    sink, masks = FakeSink(fails_at_end=True), FakeSink(name="fake.jsonl")
    with pytest.raises(SinkError, match=r"4 frames were exported, up to .* s, and kept in fake\.jsonl"):
        export(FakeSource(4), FakeEngine(), sink, data=[masks]).run()
    assert (masks.finished, masks.aborted, sink.aborted) == (1, 0, 1)


@pytest.mark.parametrize("blocked", ["a.jsonl", "a.mp4"])
def test_a_complete_export_that_cannot_be_moved_is_kept(tmp_path: Path, blocked: str) -> None:
    sink, data = VideoWriter(tmp_path / "a.mp4"), JsonLinesMaskSink(tmp_path / "a.jsonl", {})

    def block(progress: Progress) -> None:
        (tmp_path / blocked).mkdir(exist_ok=True)

    with pytest.raises(
        SinkError, match=r"finished result is .*; 4 frames were exported, up to .* s, and kept in "
    ) as raised:
        export(FakeSource(4), FakeEngine(), sink, data=[data], on_progress=block).run()
    kept = ["a.finished.jsonl", "a.partial.mp4"] if blocked == "a.jsonl" else ["a.finished.mp4", "a.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([blocked, *kept])
    assert all(str(raised.value).count(name) == 1 for name in kept)
    assert len(read_all(VideoFileSource(next(tmp_path.glob("a.*.mp4"))))[1]) == 4


def test_one_frame_is_reported_in_the_singular() -> None:
    with pytest.raises(SourceError, match="1 frame was exported"):
        export(FakeSource(9, breaks_at=1), FakeEngine(), FakeSink()).run()


def test_a_file_of_a_running_thread_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipseg_live.runtime.export.JOIN_SECONDS", 0.2)
    source, sink = FakeSource(50), FakeSink(blocks_at=3)
    run = export(source, FakeEngine(), sink)
    stopper = threading.Thread(target=lambda: (sink.blocked.wait(10), run.request_stop()))
    stopper.start()
    with pytest.raises(Failure, match=r"encode did not stop within .* the result is incomplete"):
        run.run()
    assert (sink.aborted, source.closed) == (0, 1)
    sink.release.set()
    stopper.join(10)
    for thread in threading.enumerate():
        if thread.name.startswith("clipseg-live"):
            thread.join(10)
    assert no_thread_is_left()


def test_a_source_without_frames_is_an_error() -> None:
    sink = FakeSink()
    with pytest.raises(Failure, match="no frames in the requested range"):
        export(FakeSource(0), FakeEngine(), sink, keep_partial=True).run()
    assert (sink.aborted, sink.keeps_partial) == (1, False)


class Uncertain(FakeEngine):
    """An engine with non-finite predictions for some frames."""

    def __init__(self, *broken: int) -> None:
        super().__init__()
        self.broken = broken

    def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
        found = super().segment(frame, prompts)
        maps = np.full_like(found.probabilities, np.nan) if frame[0, 0, 0] in self.broken else found.probabilities
        return replace(found, probabilities=maps)


def test_frames_without_a_finite_prediction_are_counted() -> None:
    sink = FakeSink()
    running = export(FakeSource(4), Uncertain(1, 2), sink)
    assert running.run().frames == 4
    assert running.unusable == 2 and sink.finished == 1


def test_an_export_without_any_finite_prediction_fails() -> None:
    sink = FakeSink()
    with pytest.raises(ModelError, match="infinite values for every frame"):
        export(FakeSource(4), Uncertain(*range(4)), sink).run()
    assert (sink.finished, sink.aborted) == (0, 1)


def test_ctrl_c_reports_the_progress() -> None:
    engine = FakeEngine(fails_at=12, error=KeyboardInterrupt())
    sink = FakeSink()
    with pytest.raises(ExportStopped, match=r"stopped; \d+ frames were exported"):
        export(FakeSource(50), engine, sink).run()
    assert sink.aborted == 1
    assert no_thread_is_left()


@pytest.mark.slow
def test_an_unexpected_error_keeps_its_type() -> None:
    with pytest.raises(ZeroDivisionError):
        export(FakeSource(5), FakeEngine(fails_at=2, error=ZeroDivisionError("bug")), FakeSink()).run()
    assert no_thread_is_left()


@pytest.mark.parametrize("blocked", ["source", "sink"])
def test_a_stop_ends_a_blocked_stage(blocked: str) -> None:
    source = FakeSource(50, blocks_at=3 if blocked == "source" else None)
    sink = FakeSink(blocks_at=3 if blocked == "sink" else None)
    held = source if blocked == "source" else sink
    run = export(source, FakeEngine(), sink)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            run.run()
        except ExportStopped as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert held.blocked.wait(10)
    run.request_stop()
    held.release.set()
    thread.join(10)
    assert not thread.is_alive()
    assert len(errors) == 1
    assert sink.aborted == 1
    assert no_thread_is_left()


@pytest.mark.slow
def test_a_slow_exporter_limits_decoded_frames() -> None:
    source, sink = FakeSource(200), FakeSink(blocks_at=0)
    run = export(source, FakeEngine(), sink)
    thread = threading.Thread(target=run.run)
    thread.start()
    assert sink.blocked.wait(10)
    given = -1
    while given != source.read_count:  # until the count is stable
        given = source.read_count
        thread.join(0.3)
    assert source.read_count <= 2 * 4 + 4
    sink.release.set()
    thread.join(20)
    assert len(sink.frames) == 200


def test_progress_reaches_all_frames() -> None:
    seen: list[Progress] = []
    export(FakeSource(30), FakeEngine(), FakeSink(), on_progress=seen.append).run()
    assert [progress.frames for progress in seen] == sorted(progress.frames for progress in seen)
    assert seen[-1].frames == seen[-1].total == 30
    assert seen[-1].seconds_left == 0


@pytest.mark.parametrize("late", [0, 3, 50])
def test_mattes_may_be_delayed(late: int) -> None:
    video, masks = FakeSink(), FakeSink()
    export(FakeSource(10), FakeEngine(), video, late=late, data=[masks]).run()
    assert [frame.index for frame in video.frames] == [frame.index for frame in masks.frames] == list(range(10))
    values = [float(mattes.maps[0, 0, 0]) for mattes in masks.mattes]
    np.testing.assert_allclose(values, np.arange(10) / 255, atol=1e-6)


def test_data_without_a_video_needs_no_rendering() -> None:
    source, labels = FakeSource(5), (Label("a", 0.5), Label("b", 0.25))
    one, other = FakeSink(name="one"), FakeSink(name="other")
    plan = plan_of(PROMPTS, [PromptStyle(threshold=label.threshold) for label in labels])
    pipeline = FramePipeline(plan, RenderTools(FakeMatting, pytest.fail))
    run = Export(source, source.open(), FakeEngine(), PROMPTS, pipeline, [one, other])
    assert run.run().frames == 5
    for sink in (one, other):
        assert [frame.index for frame in sink.frames] == list(range(5))
        assert sink.labels == [labels] * 5 and sink.finished == 1
