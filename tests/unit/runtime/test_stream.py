"""Streams for programs: frames with maps, edits, reconnection, and complete files."""

import gc
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from clipseg_live.core.errors import SourceError, UsageError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.base import PromptStyle
from clipseg_live.core.settings.live import FrameTransform, SourceSpec
from clipseg_live.core.settings.rendering import MatteSettings
from clipseg_live.core.status import SourceState, SourceStatus
from clipseg_live.matting.causal import CausalMattes
from clipseg_live.runtime.pipeline import RenderTools
from clipseg_live.runtime.stream import Stream, StreamSettings
from tests.helpers.fakes import FakeLiveSource, FakeMatting
from tests.helpers.live_engine import FakeLiveEngine

RED, GREEN = Prompt.text("red"), Prompt.text("green")


def stream(source: FakeLiveSource, *prompts: Prompt, **options: object) -> Stream:
    return Stream(
        SourceSpec(name="fake"),
        prompts or (RED,),
        FakeLiveEngine(),
        lambda spec: source,
        lambda pixels, framing: np.ascontiguousarray(pixels[:, ::-1]) if framing.mirror else pixels,
        RenderTools(FakeMatting, pytest.fail),
        **options,  # type: ignore[arg-type]
    )


def test_a_stream_of_a_file_has_every_frame_and_ends() -> None:
    with stream(FakeLiveSource(live=False, count=12, rate=400)) as found:
        items = list(found)
    assert [item.frame.index for item in items] == list(range(12))
    assert all(item.maps.shape == (1, 4, 4) and item.mattes.each[0].alpha.shape == (48, 64) for item in items)
    assert items[0].mattes.each[0].alpha[20, -1] == 255 and items[0].mattes.each[0].alpha[20, 0] == 0


def test_a_slow_reader_loses_no_frame_of_a_file() -> None:
    source = FakeLiveSource(live=False, count=30, rate=4000)
    with stream(source) as found:
        first = next(found)
        while source.reads < 3:
            threading.Event().wait(0.01)
        assert first.frame.index == 0 and source.reads <= 4
        assert [item.frame.index for item in found] == list(range(1, 30))


def test_a_live_source_gives_its_newest_frame() -> None:
    source = FakeLiveSource(rate=500)
    with stream(source) as found:
        next(found)
        seen = source.reads
        while source.reads < seen + 20:
            threading.Event().wait(0.01)
        assert next(found).frame.index >= seen + 10


def test_prompts_can_be_edited_during_a_stream() -> None:
    with stream(FakeLiveSource(rate=200), RED) as found:
        assert next(found).maps.max() == 1
        found.prompts = (GREEN, RED)
        item = next(found)
        assert item.prompts == (GREEN, RED) and item.maps[0].max() == 0 and item.maps[1].max() == 1
        with pytest.raises(UsageError):
            found.prompts = ()


@pytest.mark.slow
def test_a_stream_continues_after_a_reconnection() -> None:
    states: list[SourceState] = []

    def on_status(status: SourceStatus) -> None:
        states.append(status.state)

    with stream(FakeLiveSource(rate=500, fails_at=9), on_status=on_status) as found:
        epochs = [next(found).frame.index for _ in range(20)]
    assert len(epochs) == 20 and SourceState.RECONNECTING in states


def test_missing_and_damaged_sources_raise() -> None:
    with stream(FakeLiveSource(missing=True)) as found, pytest.raises(SourceError, match="is not there"):
        next(found)
    broken = FakeLiveSource(live=False, count=9, rate=400, fails_at=5)
    with stream(broken) as found, pytest.raises(SourceError, match="unplugged"):
        list(found)


def test_styles_matte_settings_and_transform_are_applied() -> None:
    source = FakeLiveSource(live=False, count=40, rate=400)
    styles, matte = [PromptStyle(threshold=0.25), PromptStyle(threshold=0.75)], MatteSettings(smoothing=0.7)
    settings = StreamSettings(matte, styles=(styles[0],), framing=FrameTransform(mirror=True))
    with stream(source, RED, GREEN, settings=settings) as found:
        item = next(found)
        alpha = item.mattes.each[0].alpha
        assert alpha[20, 0] == 255 and alpha[20, -1] == 0 and item.mattes.own
        request = found._pipeline._current_matting.requests[-1]  # type: ignore[attr-defined]
        assert (request.styles, request.settings) == ((styles[0], PromptStyle()), matte)


def test_closing_from_another_thread_ends_the_iteration() -> None:
    source = FakeLiveSource(blocks_at=3, rate=500)
    found = stream(source)
    next(found)
    closer = threading.Thread(target=lambda: (source.blocked.wait(10), source.release.set(), found.close()))
    closer.start()
    assert len(list(found)) < 50
    closer.join(10)


@pytest.mark.parametrize("error", [ZeroDivisionError])
def test_errors_of_the_engine_are_raised(error: type[Exception]) -> None:
    def broken(frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
        raise error

    found = stream(FakeLiveSource(rate=200))
    segment: Callable[..., Segmentation] = broken
    found._engine.segment = segment  # type: ignore[method-assign]
    with found, pytest.raises(error):
        next(found)


def test_each_frame_goes_to_one_of_several_readers() -> None:
    class Alone(FakeLiveEngine):
        """Waits for a second caller, which can only arrive if two threads are inside at the same time."""

        meeting = threading.Barrier(2)

        def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
            with pytest.raises(threading.BrokenBarrierError):
                self.meeting.wait(0.03)
            self.meeting.reset()
            return super().segment(frame, prompts)

    with stream(FakeLiveSource(live=False, count=12, rate=4000)) as found:
        found._engine = Alone()
        with ThreadPoolExecutor(3) as pool:
            read = list(pool.map(lambda _: [item.frame.index for item in found], range(3)))
    assert sorted(index for each in read for index in each) == list(range(12))


def test_closing_ends_every_reader() -> None:
    source = FakeLiveSource(rate=500)
    with ThreadPoolExecutor(3) as pool, stream(source) as found:
        readers = [pool.submit(list, found) for _ in range(3)]
        while source.reads < 5:
            threading.Event().wait(0.01)
        found.close()
        assert all(isinstance(each.result(10), list) for each in readers)


def is_released(source: FakeLiveSource) -> bool:
    return source.opened == 1 and source.closed >= 1 and not capture_threads()


def capture_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("clipseg-live capture")]


@pytest.mark.parametrize("live", [True, False])
def test_leaving_a_loop_releases_the_source(live: bool) -> None:
    source = FakeLiveSource(live=live, rate=500)
    for item in stream(source):
        if item.frame.index >= 3:
            break
    assert is_released(source)


def test_an_error_in_a_loop_releases_the_source() -> None:
    source = FakeLiveSource(rate=500)

    def use() -> None:
        for _ in stream(source):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert is_released(source)


def test_deleting_a_stream_releases_the_source() -> None:
    source = FakeLiveSource(rate=500)
    found = stream(source)
    next(found)
    assert source.opened == 1 and source.closed == 0
    del found
    assert is_released(source)


def test_a_generator_over_a_stream_releases_it_when_closed() -> None:
    source = FakeLiveSource(rate=500)
    numbers = (item.frame.index for item in stream(source))
    next(numbers)
    numbers.close()
    del numbers
    assert is_released(source)


@pytest.mark.slow
def test_a_stream_in_a_reference_cycle_is_released_by_the_garbage_collector() -> None:
    source = FakeLiveSource(rate=500)

    def use() -> None:
        held: list[object] = []
        found = stream(source, on_status=held.append)
        held.append(found)
        next(found)

    use()
    gc.collect()
    assert is_released(source)


def test_finished_and_damaged_files_release_the_source() -> None:
    for source in (FakeLiveSource(live=False, count=4, rate=400), FakeLiveSource(live=False, rate=400, fails_at=4)):
        found = stream(source)
        try:
            list(found)
        except SourceError:
            assert source.fails_at
        assert is_released(source)
        assert list(found) == [] or source.fails_at


def test_garbage_collection_in_the_capture_thread_releases_the_source() -> None:
    """The capture may collect garbage while it holds its own locks."""
    source = FakeLiveSource(rate=500)
    held: list[Stream] = []
    started = threading.Event()

    def drop(status: SourceStatus) -> None:
        if status.state is SourceState.RUNNING:
            started.wait(10)
            held.clear()

    held.append(stream(source, on_status=drop))
    readers = [thread for thread in threading.enumerate() if thread.name.startswith("clipseg-live capture")]
    started.set()
    for reader in readers:
        reader.join(10)
    assert is_released(source)


class Broken(FakeLiveEngine):
    """Returns non-finite values for the second frame."""

    calls = 0

    def segment(self, frame: Pixels, prompts: Sequence[Prompt]) -> Segmentation:
        found = super().segment(frame, prompts)
        self.calls += 1
        if self.calls == 2:
            found.probabilities[0, 0, 0] = np.nan
        return found


def test_non_finite_maps_give_no_mattes(caplog: pytest.LogCaptureFixture) -> None:
    source = FakeLiveSource(live=False, count=3, rate=400)
    with Stream(
        SourceSpec(name="fake"), (RED, GREEN), Broken(), lambda spec: source, lambda pixels, framing: pixels,
        RenderTools(CausalMattes, pytest.fail),
    ) as found:  # fmt: skip
        items = list(found)
    assert [bool(item.problem) for item in items] == [False, True, False]
    assert [item.mattes.own for item in items] == [True, False, True]
    assert [len(item.mattes.each) for item in items] == [2, 2, 2]
    assert len([record for record in caplog.records if "not finite" in record.message]) == 1


def test_an_error_of_the_callback_does_not_end_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    def broken(status: SourceStatus) -> None:
        raise KeyError("a callback")

    with stream(FakeLiveSource(rate=500), on_status=broken) as found:
        assert next(found).frame.pixels.any()
    assert "The callback on_status failed" in caplog.text
