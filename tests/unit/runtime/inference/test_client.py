"""The inference client with a real process, an engine without torch, and signals."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import groupby
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from clipseg_live.core.frame import Frame, Pixels
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.status import Prediction, PromptSet, WorkerState, WorkerStatus
from clipseg_live.runtime.inference import client as worker
from clipseg_live.runtime.inference import shared_memory
from clipseg_live.runtime.inference.client import ClientEvents, InferenceClient
from clipseg_live.runtime.inference.shared_memory import FrameDoubleBuffer, SharedBlock
from tests.helpers.live_engine import SLOW_COLOUR, make_fake_engine

pytestmark = pytest.mark.usefixtures("quick_workers")
PATIENCE = 60.0


class Watched:
    """A client with its received events."""

    def __init__(self, model: str = "fake", **options: float) -> None:
        self.changed = threading.Condition()
        self.results: list[tuple[Prediction, Frame | None]] = []
        self.statuses: list[WorkerStatus] = []
        self.notices: list[str] = []
        self.worker = InferenceClient(
            make_fake_engine,
            EngineSettings(model=model),
            ClientEvents(
                on_result=lambda result, frame: self._keep(self.results, (result, frame)),
                on_status=lambda status: self._keep(self.statuses, status),
                on_notice=lambda sentence: self._keep(self.notices, sentence),
            ),
            **options,
        )
        self.worker.start()

    def _keep(self, kept: list, item: object) -> None:
        with self.changed:
            kept.append(item)
            self.changed.notify_all()

    def wait(self, condition: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE), self.worker.status

    def wait_state(self, state: WorkerState) -> None:
        self.wait(lambda: self.worker.status.state is state)

    def wait_taken(self, count: int) -> None:
        limit = time.monotonic() + PATIENCE
        while self.worker.taken < count and time.monotonic() < limit:
            threading.Event().wait(0.01)
        assert self.worker.taken == count

    def ask(self, version: int, *words: str) -> None:
        ids = tuple(range(len(words)))
        self.worker.set_prompts(PromptSet(version, ids, tuple(Prompt.text(word) for word in words)))


@pytest.fixture
def watched() -> Iterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def make(*arguments: object, **options: object) -> Watched:
        made.append(Watched(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    before = shared_blocks()
    yield make
    for each in made:
        start = time.monotonic()
        each.worker.request_stop()
        assert each.worker.join(2.0), "it did not end within two seconds"
        assert time.monotonic() - start < 2.0
        assert each.worker.status.state is WorkerState.STOPPED
    assert shared_blocks() == before


def shared_blocks() -> set[str]:
    """Return mapped blocks of shared memory, and named files of blocks."""
    maps = Path("/proc/self/maps")
    mapped = maps.read_text().splitlines() if maps.exists() else []
    named = Path("/dev/shm").glob("clipseg-live-*")
    return {line for line in mapped if "memfd:clipseg-live" in line} | {path.name for path in named}


def frame(index: int, colour: tuple[int, int, int], *, epoch: int = 0, size: tuple[int, int] = (48, 64)) -> Frame:
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[:, size[1] // 2 :] = colour
    return Frame(pixels, index, Fraction(index, 30), epoch=epoch)


RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), SLOW_COLOUR


def test_an_edit_is_answered_for_the_last_frame_while_the_next_one_is_encoded(watched) -> None:
    client = watched()
    client.worker.set_engine(EngineSettings(model="fake", reuse="on"))
    client.wait_state(WorkerState.READY)
    client.ask(1, "red")
    client.worker.submit(frame(0, RED))
    client.wait(lambda: client.results)
    client.worker.submit(frame(1, BLUE))  # its encoding lasts until an edit was answered
    client.wait_taken(2)
    client.ask(2, "red", "blue")
    client.wait(lambda: len(client.results) >= 3)
    answers = [(each.index, each.version, each.ids) for each, _ in client.results]
    assert answers == [(0, 1, (0,)), (0, 2, (0, 1)), (1, 2, (0, 1))]
    assert [[plane.any() for plane in each.maps] for each, _ in client.results] == [
        [True],
        [True, False],
        [False, True],
    ]


def test_an_edit_that_the_model_rejects_is_reported_with_the_next_frame(watched) -> None:
    client = watched()
    client.worker.set_engine(EngineSettings(model="fake", reuse="on"))
    client.wait_state(WorkerState.READY)
    client.ask(1, "red")
    client.worker.submit(frame(0, RED))
    client.wait(lambda: client.results)
    client.worker.submit(frame(1, BLUE))
    client.wait_taken(2)
    client.ask(2, "refused")
    client.ask(3, "green")
    client.wait(lambda: client.results[-1][0].index == 1)
    assert client.results[-1][0].version == 3


def test_a_frame_is_predicted_for_all_prompts(watched: Callable[..., Watched]) -> None:
    one = watched()
    one.ask(1, "red", "green")
    one.worker.submit(frame(5, RED, epoch=2))
    one.wait(lambda: one.results)
    result, its_frame = one.results[0]
    assert (result.index, result.epoch, result.version, result.ids) == (5, 2, 1, (0, 1))
    assert its_frame is not None and its_frame.index == 5
    np.testing.assert_array_equal(result.maps[0], np.repeat([[0, 0, 1, 1]], 4, axis=0))
    assert not result.maps[1].any() and not result.maps.flags.writeable
    assert result.milliseconds["vision"] == 1.0
    status = one.worker.status
    assert (status.state, status.model, status.device, status.version) == (WorkerState.READY, "fake", "cpu", 1)


def test_an_edit_is_predicted_for_the_current_frame(watched: Callable[..., Watched]) -> None:
    one = watched()
    one.ask(1, "red")
    one.worker.submit(frame(0, RED))
    one.wait(lambda: one.results)
    one.ask(2, "green", "red", "blue")
    one.wait(lambda: len(one.results) > 1)
    result, its_frame = one.results[-1]
    assert (result.index, result.version, result.maps.shape) == (0, 2, (3, 4, 4))
    assert its_frame is not None
    one.ask(3)
    one.wait(lambda: one.results[-1][0].version == 3)
    assert one.results[-1][0].maps.shape[0] == 0


@pytest.mark.slow
def test_only_the_newest_frame_is_predicted(watched: Callable[..., Watched]) -> None:
    one = watched()
    one.ask(1, "slow", "red")
    one.wait_state(WorkerState.READY)
    for index in range(40):
        one.worker.submit(frame(index, RED if index < 39 else GREEN))
    one.wait(lambda: one.results and one.results[-1][0].index == 39)
    assert len(one.results) <= 3
    assert not one.results[-1][0].maps[1].any()
    assert one.worker.submitted == 40 and one.worker.taken < 5


@pytest.mark.slow
def test_successive_frames_may_differ_in_size(watched: Callable[..., Watched]) -> None:
    one = watched()
    one.ask(1, "red")
    for index, size in enumerate([(48, 64), (480, 640), (1, 1), (37, 53), (1080, 1920)]):
        one.worker.submit(frame(index, RED, size=size, epoch=index))
        one.wait(lambda index=index: one.results and one.results[-1][0].index == index)
        its_frame = one.results[-1][1]
        assert its_frame is not None and its_frame.pixels.shape[:2] == size


def test_unchanged_frames_are_not_segmented_again(watched: Callable[..., Watched]) -> None:
    one = watched()
    one.ask(1, "red")
    one.worker.submit(frame(0, RED))
    one.wait(lambda: one.results)
    one.worker.submit(frame(1, RED))
    one.wait(lambda: len(one.results) == 2)
    first, second = one.results[0][0], one.results[1][0]
    assert second.unchanged and second.index == 1 and second.ids == (0,)
    np.testing.assert_array_equal(second.maps, first.maps)
    assert one.worker.unchanged == 1
    one.worker.submit(frame(2, GREEN))
    one.wait(lambda: len(one.results) == 3)
    assert not one.results[2][0].unchanged and not one.results[2][0].maps.any()
    one.worker.submit(frame(3, GREEN, epoch=1))  # another epoch is another frame, even with equal pixels
    one.wait(lambda: len(one.results) == 4)
    assert not one.results[3][0].unchanged


def test_size_changes_without_a_restart(watched: Callable[..., Watched]) -> None:
    one = watched()
    one.ask(1, "red")
    one.worker.submit(frame(0, RED))
    one.wait(lambda: one.results)
    process = one.worker.status.process_id
    one.worker.set_engine(EngineSettings(model="fake", size=128))
    one.wait(lambda: one.results[-1][0].maps.shape == (1, 8, 8))
    assert one.worker.status.process_id == process


def test_a_change_of_precision_is_told(watched: Callable[..., Watched]) -> None:
    one = watched()
    one.wait_state(WorkerState.READY)
    assert (one.worker.status.engine, one.worker.status.dtype) == ("fake", "float32")
    one.ask(1, "imprecise")
    one.worker.submit(frame(1, RED))
    one.wait(lambda: one.worker.status.dtype == "float64")
    assert one.worker.status.state is WorkerState.READY


def test_a_model_that_cannot_be_loaded_waits_for_another(watched: Callable[..., Watched]) -> None:
    one = watched("missing")
    one.ask(1, "red")
    one.worker.submit(frame(0, RED))
    one.wait_state(WorkerState.WAITING)
    assert one.worker.status.problem == "There is no model named missing."
    one.worker.set_engine(EngineSettings(model="replaced"))
    one.wait(lambda: one.results)
    assert one.worker.status.problem == "" and one.worker.status.replaced == "It was replaced."
    one.worker.set_engine(EngineSettings(model="fake"))
    one.wait(lambda: one.worker.status.state is WorkerState.READY and not one.worker.status.replaced)


def test_another_model_does_not_wait_for_one_that_is_downloaded(watched: Callable[..., Watched]) -> None:
    one = watched("slow")
    one.wait_state(WorkerState.LOADING)
    one.worker.set_engine(EngineSettings(model="fake"))
    one.wait_state(WorkerState.READY)
    assert one.worker.status.restarts == 0 and one.worker.status.problem == ""


@pytest.mark.slow
@pytest.mark.parametrize(("word", "reason"), [("crash", "code 7"), ("memory", "not enough memory")])
def test_the_cause_of_a_crash_is_reported_and_the_process_restarts(
    watched: Callable[..., Watched], word: str, reason: str
) -> None:
    one = watched()
    one.ask(1, word)
    one.worker.submit(frame(0, RED))
    one.wait(lambda: any(s.state is WorkerState.RESTARTING and reason in s.problem for s in one.statuses))
    one.ask(2, "red")
    one.wait(lambda: one.results)
    assert one.results[0][0].version == 2


@pytest.mark.slow
def test_restarts_stop_after_many_failures(watched: Callable[..., Watched]) -> None:
    one = watched()
    one.ask(1, "crash")
    one.worker.submit(frame(0, RED))
    one.wait_state(WorkerState.WAITING)
    assert "keeps failing" in one.worker.status.problem and one.worker.status.restarts == 3
    one.ask(2, "red")
    one.worker.restart()
    one.wait(lambda: one.results)


@pytest.mark.slow
def test_a_killed_process_is_replaced(watched: Callable[..., Watched]) -> None:
    one = watched()
    one.ask(1, "red")
    one.worker.submit(frame(0, RED))
    one.wait(lambda: one.results)
    first = one.worker.status.process_id
    assert first is not None
    os.kill(first, signal.SIGKILL)
    one.wait(lambda: len(one.results) == 2)
    assert one.worker.status.process_id not in (None, first)
    assert any("signal 9" in status.problem for status in one.statuses)


@pytest.mark.slow
def test_a_hanging_process_is_replaced_and_a_slow_one_is_not(watched: Callable[..., Watched]) -> None:
    one = watched(silence=2.5)
    one.ask(1, "slow", "red")
    one.worker.submit(frame(0, RED))
    one.wait(lambda: one.results)
    first = one.worker.status.process_id
    assert first is not None and one.worker.status.restarts == 0
    os.kill(first, signal.SIGSTOP)
    one.wait(lambda: any("no heartbeat" in status.problem for status in one.statuses))
    one.wait(lambda: len(one.results) == 2)
    assert one.worker.status.process_id != first


@pytest.mark.parametrize(("start_silence", "restarts"), [(0.5, 1), (60.0, 0)])
def test_a_loading_process_has_a_longer_timeout(
    watched: Callable[..., Watched], start_silence: float, restarts: int
) -> None:
    one = watched("slow", silence=0.01, start_silence=start_silence)
    if restarts:
        one.wait(lambda: any("no heartbeat for 0.5 seconds" in status.problem for status in one.statuses))
        return
    one.wait_state(WorkerState.LOADING)
    one.wait(lambda: any(status.progress for status in one.statuses))
    assert one.worker.status.restarts == 0


@pytest.mark.parametrize("model", ["slow", "fake"])
def test_a_starting_or_loading_process_can_be_stopped(watched: Callable[..., Watched], model: str) -> None:
    one = watched(model)
    if model == "slow":
        one.wait_state(WorkerState.LOADING)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("model", ["fake", "slow"])
def test_no_process_survives_a_killed_application(model: str) -> None:
    program = f"""
import sys, threading
sys.path[:] = {sys.path!r}
from tests.unit.runtime.inference.test_client import Watched, WorkerState, frame, RED
if __name__ == "__main__":
    one = Watched({model!r})
    one.ask(1, "red")
    one.worker.submit(frame(0, RED))
    one.wait_state(WorkerState.READY if {model!r} == "fake" else WorkerState.LOADING)
    print(one.worker.status.process_id, flush=True)
    threading.Event().wait()
"""
    before = shared_blocks()
    application = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert application.stdout is not None
    with application.stdout:
        worker = int(application.stdout.readline())
    application.kill()
    application.wait()
    limit = time.monotonic() + 2.0
    while time.monotonic() < limit and (is_running(worker) or shared_blocks() != before):
        threading.Event().wait(0.02)
    assert not is_running(worker)
    assert shared_blocks() == before


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_an_edit_is_predicted_before_the_next_frame(watched: Callable[..., Watched]) -> None:
    one = watched()
    one.ask(1, "slow")
    one.worker.submit(frame(0, RED))
    one.wait_taken(1)  # its prediction takes a second
    one.worker.submit(frame(1, GREEN))
    one.ask(2, "red")
    one.wait(lambda: len(one.results) >= 3)
    assert [(result.index, result.version) for result, _ in one.results[:3]] == [(0, 1), (0, 2), (1, 2)]


@pytest.mark.slow
def test_frames_are_copied_only_when_the_process_is_free(
    watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[int] = []
    write = FrameDoubleBuffer.write

    def counted(self: FrameDoubleBuffer, pixels: Pixels) -> int:
        copied.append(int(pixels[0, -1, 2]))
        return write(self, pixels)

    monkeypatch.setattr(FrameDoubleBuffer, "write", counted)
    one = watched()
    one.ask(1, "slow")
    one.worker.submit(frame(0, RED))
    one.wait_taken(1)  # its prediction takes a second
    for index in range(1, 50):
        one.worker.submit(frame(index, (0, 200, index)))
    one.wait(lambda: len(one.results) == 2)
    assert one.results[1][0].index == 49 and copied == [0, 49]


NO_ROOM = "Shared memory has no room for a frame (No space left on device): use a source with smaller frames."


def raise_no_space(*arguments: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="blocks are reserved on POSIX only")
def test_a_frame_without_memory_is_a_problem_until_the_next_prediction(
    watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one = watched()
    one.ask(1, "red")
    one.wait_state(WorkerState.READY)
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", raise_no_space)
        for index in range(3):
            one.worker.submit(frame(index, RED, size=(200, 300)))
        one.wait(lambda: one.worker.status.problem == NO_ROOM)
    one.worker.submit(frame(4, RED))
    one.wait(lambda: one.results)
    assert one.results[0][0].index == 4
    problems = [problem for problem, _ in groupby(status.problem for status in one.statuses)]
    assert problems == ["", NO_ROOM, ""]
    assert one.worker.status.state is WorkerState.READY and one.worker.status.restarts == 0


def test_a_rejected_prompt_is_a_problem_until_the_next_prediction(watched: Callable[..., Watched]) -> None:
    one = watched()
    one.ask(1, "red")
    one.worker.submit(frame(0, RED))
    one.wait(lambda: one.results)
    one.ask(2, "refused")
    one.wait(lambda: one.worker.status.problem == "The prompt is not for this model.")
    for index in range(1, 4):  # it looks like a predicted frame, but differs
        one.worker.submit(frame(index, RED))
        one.wait_taken(index + 1)
    one.ask(3, "green")
    one.wait(lambda: one.results[-1][0].version == 3)
    refused = [result for result, _ in one.results if result.version == 2]
    assert {result.index for result in refused} == {0, 1, 2, 3}
    assert all(result.ids == () and len(result.maps) == 0 for result in refused)
    assert one.worker.status.problem == ""


def test_temporary_files_replace_missing_memory_files(
    watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "memfd_create", raise_no_space, raising=False)
    monkeypatch.setattr(shared_memory.tempfile, "tempdir", str(tmp_path))
    one = watched()
    one.ask(1, "red", "green")
    for index, size in enumerate([(48, 64), (1080, 1920)]):
        one.worker.submit(frame(index, RED, size=size))
        one.wait(lambda index=index: one.results and one.results[-1][0].index == index)
    assert one.results[-1][0].maps[0].any() and not one.results[-1][0].maps[1].any()
    if os.name == "posix":  # they have no name even during their use
        assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_missing_memory_for_maps_waits_for_the_user(
    watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = watched()
    one.ask(1, "red")
    with monkeypatch.context() as patch:
        create = SharedBlock.create

        def limited(size: int) -> SharedBlock:
            return (
                create(size) if size > 1000 else raise_no_space(size)
            )  # maps of 4×4 values are smaller than all frames

        patch.setattr(SharedBlock, "create", limited)
        one.worker.submit(frame(0, RED))
        one.wait_state(WorkerState.WAITING)
        assert "No space left on device" in one.worker.status.problem
    one.worker.restart()
    one.wait(lambda: one.results)
    assert one.worker.status.problem == ""


@pytest.mark.parametrize("error", [BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), MemoryError()])
def test_a_process_that_cannot_be_started_is_a_failure(
    watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def start(process: object) -> NoReturn:
        raise error

    monkeypatch.setattr(worker, "_START_PAUSE", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(SpawnProcess, "start", start)
        one = watched()
        one.wait_state(WorkerState.WAITING)
        assert "keeps failing" in one.worker.status.problem and "cannot be started" in one.worker.status.problem
        assert one.worker.status.restarts == 3
    one.ask(1, "red")
    one.worker.submit(frame(0, RED))
    one.worker.restart()
    one.wait(lambda: one.results)


@pytest.mark.slow
def test_failures_of_slow_starts_are_counted(watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RESTART_WINDOW", 0.0)
    one = watched("ends")
    one.wait_state(WorkerState.WAITING)
    assert "code 9" in one.worker.status.problem


@pytest.mark.slow
def test_an_unresponsive_process_is_replaced(watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PREDICTION_SECONDS", 0.1)
    one = watched()
    one.ask(1, "hang")
    one.worker.submit(frame(0, RED))
    one.wait(lambda: any("no prediction within" in status.problem for status in one.statuses))


def test_errors_of_callbacks_do_not_end_the_supervision(watched: Callable[..., Watched]) -> None:
    one = watched()
    keep = one._keep

    def broken(kept: list, item: object) -> None:
        keep(kept, item)
        raise KeyError("a listener")

    one._keep = broken  # type: ignore[method-assign]
    one.ask(1, "red")
    for index in range(2):
        one.worker.submit(frame(index, RED if index else GREEN))
        one.wait(lambda index=index: len(one.results) == index + 1)
    assert one.worker.status.restarts == 0


@pytest.mark.parametrize("number", [signal.SIGBUS, signal.SIGSEGV])
def test_exit_signals_are_named(watched: Callable[..., Watched], number: signal.Signals) -> None:
    one = watched()
    one.wait_state(WorkerState.READY)
    assert one.worker.status.process_id is not None
    os.kill(one.worker.status.process_id, number)
    one.wait(lambda: any(f"signal {int(number)} ({number.name})" in status.problem for status in one.statuses))


@pytest.mark.slow
def test_a_process_that_hangs_after_an_edit_is_replaced(
    watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = watched()
    one.ask(1, "red")
    one.worker.submit(frame(0, RED))
    one.wait(lambda: one.results)
    monkeypatch.setattr(worker, "PREDICTION_SECONDS", 0.1)
    one.ask(2, "hang")
    one.wait(lambda: any("no prediction within" in status.problem for status in one.statuses))


@pytest.mark.slow
def test_a_load_without_progress_is_a_failure(watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    one = watched()
    one.wait(lambda: one.worker.status.state is WorkerState.READY)
    monkeypatch.setattr(worker, "LOAD_SECONDS", 0.1)
    one.worker.set_engine(EngineSettings(model="slow"))
    one.wait(lambda: any("no loading progress" in status.problem for status in one.statuses))
