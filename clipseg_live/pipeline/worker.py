"""The inference worker as the application sees it: started, fed with what is newest, watched, and started again.

One thread owns the process and hears what it says; another sends, and alone waits when the process does not read;
whoever submits frames copies them into shared memory.
"""

import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from clipseg_live.core import logs
from clipseg_live.core.frame import Frame
from clipseg_live.core.live import PromptSet, Result, WorkerState, WorkerStatus
from clipseg_live.core.ports import Maps
from clipseg_live.core.settings import EngineSettings
from clipseg_live.core.states import WORKER, Machine
from clipseg_live.pipeline import worker_process
from clipseg_live.pipeline.exchange import FrameSlots, close, create, unlink

SILENCE_SECONDS = 10.0
"""Without a word for so long, the process hangs; a slow answer does not stop its heartbeat."""
START_SECONDS = 60.0
"""Likewise until the model is there: importing and loading can hold up the heartbeat, on a busy machine for long."""
MOST_RESTARTS, RESTART_WINDOW = 3, 60.0
"""More failures than that within so many seconds, and it waits for a person."""
_NO_MAPS: Maps = np.zeros((0, 1, 1), np.float32)

OnResult = Callable[[Result, Frame | None], None]


class InferenceWorker:
    """Runs an engine in a process of its own. Every method may be called from any thread and returns at once, but for
    ``join``.

    on_result: called in the worker's listening thread with a result and the frame that it belongs to (None where it is
        not known any more). on_status: likewise, whenever ``status`` has changed. on_notice: a sentence of the engine
        for the person.
    """

    def __init__(
        self,
        make_engine: worker_process.MakeEngine,
        settings: EngineSettings,
        *,
        on_result: OnResult,
        on_status: Callable[[WorkerStatus], None] = lambda status: None,
        on_notice: Callable[[str], None] = lambda sentence: None,
        before_start: Callable[[], None] = lambda: None,
        silence: float = SILENCE_SECONDS,
        start_silence: float = START_SECONDS,
    ) -> None:
        self._make_engine, self._settings = make_engine, settings
        self._before_start = before_start
        self._on_result, self._on_status, self._on_notice = on_result, on_status, on_notice
        self._silence, self._start_silence = silence, start_silence
        self._lock = threading.Lock()
        self._machine = Machine(WorkerState.STOPPED, WORKER)
        self._status = WorkerStatus()
        self._prompts = PromptSet()
        self._newest: Frame | None = None
        self._failures: deque[float] = deque()
        self._stopping = False
        self._run: _Run | None = None
        self._nudge_out, self._nudge_in = multiprocessing.Pipe(duplex=False)
        self._restart = threading.Event()
        self._maps: Maps = _NO_MAPS
        self._notices: set[str] = set()
        self.submitted = self.taken = self.unchanged = 0
        self._thread = threading.Thread(target=self._supervise, name="clipseg-live worker", daemon=True)

    @property
    def status(self) -> WorkerStatus:
        return self._status

    def start(self) -> None:
        self._thread.start()

    def submit(self, frame: Frame) -> None:
        """Make a frame the newest one to be segmented. It is copied only when the process has nothing to do; while it
        is busy, the newest frame waits for its answer."""
        with self._lock:
            self._newest = frame
            run = self._run
        if run is not None and run.listening:
            self.submitted += 1
            if not run.busy:
                self._hand_over(run)

    def _hand_over(self, run: "_Run") -> None:
        """Copy the newest frame to where the process finds it."""
        with self._lock:
            newest = self._newest
        if newest is None or newest is run.handed:
            return
        try:
            run.submit(newest)
        except OSError as error:
            run.handed = newest
            self._say_once(f"There is no room for a frame in shared memory ({error.strerror}): use a smaller picture.")

    def set_prompts(self, prompts: PromptSet) -> None:
        with self._lock:
            self._prompts = prompts
            run = self._run
        if run is not None:
            run.post("prompts", prompts)

    def set_engine(self, settings: EngineSettings) -> None:
        """Change the model, the device or the size; a worker that was waiting tries again."""
        with self._lock:
            if settings == self._settings:
                return
            self._settings = settings
            run = self._run
        if run is not None:
            run.post("engine", settings)
        else:
            self.restart()

    def restart(self) -> None:
        """Start it again now, whatever it is doing."""
        self._failures.clear()
        self._restart.set()
        self._nudge()

    def request_stop(self) -> None:
        self._stopping = True
        self._nudge()

    def join(self, deadline: float) -> bool:
        """Wait at most ``deadline`` seconds; whether process, threads and memory are gone."""
        if self._thread.ident is not None:
            self._thread.join(deadline)
        if self._thread.is_alive():
            return False
        self._nudge_in.close()
        self._nudge_out.close()
        return True

    def _nudge(self) -> None:
        with suppress(OSError):
            self._nudge_in.send(None)

    def _supervise(self) -> None:
        try:
            while not self._stopping:
                self._tell(WorkerState.STARTING)
                reason = self._run_once()
                if self._stopping:
                    return
                self._recover(reason)
        finally:
            self._tell(WorkerState.STOPPED, process_id=None)

    def _run_once(self) -> str:
        """One process from start to end; why it ended ("" when a person asked for it)."""
        self._restart.clear()
        self._before_start()
        run = _Run(self._make_engine, self._settings)
        try:
            with self._lock:
                self._run = run
                prompts = self._prompts
            self._change(process_id=run.process.pid)
            run.post("prompts", prompts)
            return self._listen(run)
        finally:
            with self._lock:
                self._run = None
            run.end()

    def _listen(self, run: "_Run") -> str:
        heard = time.monotonic()
        while True:
            limit = self._silence if self._status.state is WorkerState.READY else self._start_silence
            ready = wait([run.connection, self._nudge_out], timeout=max(0.0, heard + limit - time.monotonic()))
            if self._nudge_out in ready:
                self._nudge_out.recv()
            if self._stopping or self._restart.is_set():
                return ""
            if not ready:
                return f"it gave no sign of life for {limit:g} seconds"
            if run.connection not in ready:
                continue
            try:
                kind, *values = run.connection.recv()
            except (EOFError, OSError):
                return run.exit_reason()
            heard = time.monotonic()
            if kind == "failed":
                return str(values[0]).rstrip(".")
            self._hear(run, kind, values)

    def _hear(self, run: "_Run", kind: str, values: list[Any]) -> None:
        if kind == "took":
            self.taken += 1
            run.took(*values)
        elif kind == "result":
            self._take_result(run, *values)
        elif kind == "unchanged":
            self.unchanged += 1
            index, epoch, version = values
            frame = run.answered(index, epoch)
            self._hand_over(run)
            self._on_result(Result(index, epoch, version, run.ids, self._maps, unchanged=True), frame)
        elif kind == "need":
            run.make_maps(values[0])
        elif kind == "opened":
            run.opened(values[0])
        elif kind == "loading":
            self._tell(WorkerState.LOADING, progress=values[0])
        elif kind == "ready":
            model, device, dtype, notices = values
            run.listening = True
            self._tell(WorkerState.READY, progress="", problem="", model=model, device=device, dtype=dtype)
            self._pass_on(notices)
            if self._newest is not None:
                self.submit(self._newest)
        elif kind == "unloadable":
            problem, still_runs = values
            self._tell(WorkerState.READY if still_runs else WorkerState.WAITING, progress="", problem=problem)
        elif kind == "log":
            logs.handle(values[0])
        elif kind == "notice":
            self._on_notice(values[0])
        elif kind == "refused":
            run.busy = False
            self._hand_over(run)
            self._change(version=values[0])
            self._on_notice(values[1])

    def _take_result(
        self, run: "_Run", index: int, epoch: int, version: int, ids: tuple[int, ...], shape: tuple[int, int, int],
        milliseconds: dict[str, float], notices: tuple[str, ...],
    ) -> None:  # fmt: skip
        self._maps = run.copy_maps(shape) if ids else _NO_MAPS
        run.ids = ids
        frame = run.answered(index, epoch)
        self._hand_over(run)
        self._change(version=version)
        self._pass_on(notices)
        self._on_result(Result(index, epoch, version, ids, self._maps, milliseconds=milliseconds), frame)

    def _pass_on(self, notices: tuple[str, ...]) -> None:
        for notice in notices:
            self._say_once(notice)

    def _say_once(self, notice: str) -> None:
        if notice not in self._notices:
            self._notices.add(notice)
            self._on_notice(notice)

    def _recover(self, reason: str) -> None:
        """Decide about a restart, and wait for the person where it fails too often."""
        now = time.monotonic()
        if reason:
            self._failures.append(now)
        while self._failures and self._failures[0] < now - RESTART_WINDOW:
            self._failures.popleft()
        if len(self._failures) <= MOST_RESTARTS:
            self._tell(
                WorkerState.RESTARTING,
                problem=f"The segmentation stopped ({reason}) and is started again." if reason else "",
                process_id=None,
                restarts=self._status.restarts + bool(reason),
            )
            return
        self._tell(
            WorkerState.WAITING,
            problem=f"The segmentation stopped again and again ({reason}); it waits to be restarted.",
            process_id=None,
        )
        while not (self._stopping or self._restart.is_set()):
            wait([self._nudge_out])
            self._nudge_out.recv()
        self._failures.clear()

    def _tell(self, state: WorkerState, **changes: Any) -> None:
        if state is self._status.state and all(getattr(self._status, name) == new for name, new in changes.items()):
            return
        self._machine.to(state)
        self._change(state=state, **changes)

    def _change(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)
        self._on_status(self._status)


class _Run:
    """One process with its pipe and memory. ``end`` leaves nothing of it."""

    def __init__(self, make_engine: worker_process.MakeEngine, settings: EngineSettings) -> None:
        context = multiprocessing.get_context("spawn")
        self._frames_lock = context.Lock()
        self._maps_free = context.Semaphore(1)
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=worker_process.run,
            args=(theirs, self._frames_lock, self._maps_free, make_engine, settings),
            name="clipseg-live inference",
            daemon=True,
        )
        self.process.start()
        theirs.close()
        self.listening = self.busy = False
        self.handed: Frame | None = None
        self.ids: tuple[int, ...] = ()
        self._slots: FrameSlots | None = None
        self._maps: SharedMemory | None = None
        self._named: dict[str, SharedMemory] = {}
        self._in_slots: dict[int, Frame] = {}
        self._taken: Frame | None = None
        self._writing = threading.Lock()
        self._outbox: dict[str, tuple[object, ...]] = {}
        self._changed = threading.Condition()
        self._ended = False
        self._sender = threading.Thread(target=self._send, name="clipseg-live worker sender", daemon=True)
        self._sender.start()

    def post(self, kind: str, *values: object) -> None:
        """Send a message soon; a newer one of its kind takes the place of one that has not gone yet."""
        with self._changed:
            self._outbox[kind] = values
            self._changed.notify_all()

    def submit(self, frame: Frame) -> None:
        pixels = frame.pixels
        with self._writing:
            if self._ended:
                return
            if self._slots is None or pixels.nbytes > self._slots.capacity:
                self._make_slots(pixels.nbytes)
            assert self._slots is not None
            slot = self._slots.write(pixels, frame.index, frame.epoch)
            if slot is None:
                return
            self._in_slots[slot] = self.handed = frame
        self.post("frame")

    def took(self, index: int, epoch: int, slot: int) -> None:
        self.busy = True
        frame = self._in_slots.get(slot)
        if frame is not None and (frame.index, frame.epoch) == (index, epoch):
            self._taken = frame

    def answered(self, index: int, epoch: int) -> Frame | None:
        """The process is free again; the frame that it has answered, where that is known."""
        self.busy = False
        frame = self._taken
        return frame if frame is not None and (frame.index, frame.epoch) == (index, epoch) else None

    def make_maps(self, size: int) -> None:
        """A block for the maps of all prompts, as large as they need."""
        old, self._maps = self._maps, create(size)
        self._named[self._maps.name] = self._maps
        self.post("maps", self._maps.name, size)
        if old is not None:
            self._named.pop(old.name, None)
            close(old)

    def copy_maps(self, shape: tuple[int, int, int]) -> Maps:
        """The process's answer, copied and read-only; the block is free again."""
        assert self._maps is not None
        view: Maps = np.ndarray(shape, np.float32, self._maps.buf)
        maps = view.copy()
        del view
        self._maps_free.release()
        maps.setflags(write=False)
        return maps

    def opened(self, name: str) -> None:
        """The process has a block open: its name is not needed any more."""
        memory = self._named.pop(name, None)
        if memory is not None:
            unlink(memory)

    def exit_reason(self) -> str:
        self.process.join(1.0)
        code = self.process.exitcode
        if code is None:
            return "it closed its line"
        return f"it was ended by signal {-code}" if code < 0 else f"it ended with code {code}"

    def end(self) -> None:
        """Kill the process if need be, and give everything back. What a killed process held in memory is not needed."""
        self.process.kill()
        self.process.join()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._sender.join()
        self.connection.close()
        self.process.close()
        with self._writing:
            for memory in self._named.values():
                unlink(memory)
            self._named.clear()
            if self._slots is not None:
                self._slots.close()
            if self._maps is not None:
                close(self._maps)
            self._slots = self._maps = None

    def _make_slots(self, capacity: int) -> None:
        old = self._slots
        self._slots = FrameSlots.create(capacity, self._frames_lock)
        self._in_slots.clear()
        self._named[self._slots.memory.name] = self._slots.memory
        self.post("slots", self._slots.memory.name, capacity)
        if old is not None:
            self.opened(old.memory.name)
            old.close()

    def _send(self) -> None:
        """Send what was posted, in its order. Only here a process that does not read is waited for."""
        connection: Connection = self.connection
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._outbox or self._ended)
                if self._ended:
                    return
                messages, self._outbox = self._outbox, {}
            with suppress(OSError, ValueError):
                for kind, values in messages.items():
                    connection.send((kind, *values))
