"""Client of the inference worker: starts the process, sends it the newest frame, supervises and restarts it.

One thread owns the process and receives its messages. The thread that submits a frame copies it into shared memory.
"""

import logging
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from typing import Any

import numpy as np

from clipseg_live.core.frame import Frame
from clipseg_live.core.protocols import Maps
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.state_machine import WORKER, StateMachine
from clipseg_live.core.status import Prediction, PromptSet, WorkerState, WorkerStatus
from clipseg_live.core.system import logs
from clipseg_live.runtime.inference import messages, server
from clipseg_live.runtime.inference.worker_handle import WorkerHandle

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 10.0
"""Time without a message after which the process counts as hung. A slow prediction does not stop its heartbeat."""
START_SECONDS = 60.0
"""The same while the model loads. Imports can delay the heartbeat, on a busy machine for long."""
ANSWER_SECONDS = 300.0
"""Time without a prediction after which the process counts as hung despite its heartbeat, for example in a driver."""
LOAD_SECONDS = 600.0
"""Time without progress of loading after which the process counts as hung despite its heartbeat."""
MOST_RESTARTS, RESTART_WINDOW = 3, 60.0
"""Largest number of failures within this many seconds. After more, the worker waits for the user.

Failures of processes that gave no prediction count until a process gives one.
"""
_START_PAUSE = 0.5
"""Seconds before a process that could not be started is started again, times the number of failures."""
_NO_MAPS: Maps = np.zeros((0, 1, 1), np.float32)

OnResult = Callable[[Prediction, Frame | None], None]


@dataclass(frozen=True, slots=True)
class ClientEvents:
    """Functions that the client calls.

    Attributes:
        on_result: Called in the listening thread with a prediction and its frame. The frame is None if it is no longer
            known.
        on_status: Called in any thread when the status has changed.
        on_notice: Called in the listening thread with a message of the engine for the user.
        before_start: Called before a process is started.
    """

    on_result: OnResult
    on_status: Callable[[WorkerStatus], None] = lambda status: None
    on_notice: Callable[[str], None] = lambda sentence: None
    before_start: Callable[[], None] = lambda: None


class InferenceClient:
    """Runs an engine in a process of its own.

    Every method may be called from any thread and returns at once, except for ``join``.

    Args:
        make_engine: Loads the engine, in the worker process.
        settings: First settings of the engine.
        events: Functions that the client calls.
        silence: Seconds without a message after which the process counts as hung.
        start_silence: The same until the model is loaded.
    """

    def __init__(
        self,
        make_engine: server.MakeEngine,
        settings: EngineSettings,
        events: ClientEvents,
        *,
        silence: float = SILENCE_SECONDS,
        start_silence: float = START_SECONDS,
    ) -> None:
        self._make_engine, self._settings = make_engine, settings
        self._events = events
        self._silence, self._start_silence = silence, start_silence
        self._lock = threading.Lock()
        self._machine = StateMachine(WorkerState.STOPPED, WORKER)
        self._status = WorkerStatus()
        self._telling = threading.RLock()
        self._trouble = ""
        self._has_answered = False
        self._prompts = PromptSet()
        self._newest: Frame | None = None
        self._failures: deque[float] = deque()
        self._stopping = False
        self._run: WorkerHandle | None = None
        self._nudge_out, self._nudge_in = multiprocessing.Pipe(duplex=False)
        self._restart = threading.Event()
        self._maps: Maps = _NO_MAPS
        self._notices: set[str] = set()
        self.submitted = self.taken = self.unchanged = 0
        self._thread = threading.Thread(target=self._supervise, name="clipseg-live worker", daemon=True)

    @property
    def status(self) -> WorkerStatus:
        """Return the present status of the worker."""
        return self._status

    def start(self) -> None:
        """Start the supervising thread and the process."""
        self._thread.start()

    def submit(self, frame: Frame) -> None:
        """Set the newest frame to segment.

        The frame is copied only if the process has asked for one. While the process is busy, the newest frame waits.
        """
        with self._lock:
            self._newest = frame
            run = self._run
        if run is not None and run.listening:
            self.submitted += 1
            self._hand_over(run)

    def _hand_over(self, run: WorkerHandle) -> None:
        """Copy the newest frame for a process that has asked for one."""
        with self._lock:
            newest = self._newest
        if newest is None or newest is run.handed or not run.listening:
            return
        try:
            run.submit(newest)
        except OSError as error:
            logger.exception("There is no room for a frame of %d bytes", newest.pixels.nbytes)
            self._set_trouble(
                f"There is no room for a frame in shared memory ({error.strerror or error}): use a smaller picture."
            )

    def set_prompts(self, prompts: PromptSet) -> None:
        """Use other prompts from now on."""
        with self._lock:
            self._prompts = prompts
            run = self._run
        if run is not None:
            run.post(messages.PromptsChanged(prompts))

    def set_engine(self, settings: EngineSettings) -> None:
        """Change the model, the device or the size. A worker that waits for the user is started again."""
        with self._lock:
            if settings == self._settings:
                return
            self._settings = settings
            run = self._run
        if run is not None:
            run.listening = False  # do not send frames now; they would wait until the model is loaded
            run.post(messages.EngineChanged(settings))
        else:
            self.restart()

    def restart(self) -> None:
        """Restart the process now, in any state."""
        self._failures.clear()
        self._restart.set()
        self._nudge()

    def request_stop(self) -> None:
        """End the worker soon. Return at once."""
        self._stopping = True
        self._nudge()

    def join(self, deadline: float) -> bool:
        """Wait at most ``deadline`` seconds, and return whether the process, threads and memory are released."""
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
        """Run one process to its end. Return the reason for the end, or "" after a request of the user."""
        self._restart.clear()
        self._has_answered = False
        run: WorkerHandle | None = None
        try:
            self._events.before_start()
            run = WorkerHandle(self._make_engine, self._settings)
            with self._lock:
                self._run = run
                prompts = self._prompts
            self._change(process_id=run.process.pid)
            run.post(messages.PromptsChanged(prompts))
            return self._listen(run)
        except Exception as error:  # nothing may end the supervision: any error counts as a failure of the process
            logger.exception("The worker process cannot be %s", "started" if run is None else "used")
            if run is not None:
                return _in_words(error)
            self._wait_for_nudge(_START_PAUSE * (len(self._failures) + 1))
            return f"its process cannot be started: {_in_words(error)}"
        finally:
            with self._lock:
                self._run = None
            if run is not None:
                run.end()

    def _listen(self, run: WorkerHandle) -> str:
        heard = progressed = time.monotonic()
        while True:
            limit = self._silence if self._status.state is WorkerState.READY else self._start_silence
            ready = wait([run.connection, self._nudge_out], timeout=max(0.0, heard + limit - time.monotonic()))
            if self._nudge_out in ready:
                self._nudge_out.recv()
            if self._stopping or self._restart.is_set():
                return ""
            if not ready:
                return self._failed(f"it gave no sign of life for {limit:g} seconds")
            if run.taken_at is not None and time.monotonic() > run.taken_at + ANSWER_SECONDS:
                return self._failed(f"it did not answer within {ANSWER_SECONDS:g} seconds")
            loading = self._status.state in (WorkerState.STARTING, WorkerState.LOADING)
            if loading and time.monotonic() > progressed + LOAD_SECONDS:
                return self._failed(f"loading made no progress for {LOAD_SECONDS:g} seconds")
            if run.connection not in ready:
                continue
            try:
                message: messages.ToApplication = run.connection.recv()
            except (EOFError, OSError):
                return self._failed(run.exit_reason())
            heard = time.monotonic()
            progressed = progressed if isinstance(message, messages.Heartbeat | messages.LogSent) else heard
            if isinstance(message, messages.WorkerFailed):
                return self._failed(message.reason.rstrip("."))
            self._hear(run, message)

    def _failed(self, reason: str) -> str:
        logger.error("The worker process %s failed", self._status.process_id)
        logger.debug("The reason: %s", reason)
        return reason

    def _hear(self, run: WorkerHandle, message: messages.ToApplication) -> None:
        match message:
            case messages.FrameWanted():
                run.wanting = True
                self._hand_over(run)
            case messages.FrameTaken(index, epoch, is_new):
                self.taken += is_new
                run.took(index, epoch)
            case messages.FramePredicted():
                self._take_result(run, message)
            case messages.FrameUnchanged(index, epoch, version):
                self.unchanged += 1
                self._answer(Prediction(index, epoch, version, run.ids, self._maps, unchanged=True), run)
            case messages.MapsNeeded(size):
                run.make_maps(size)
            case messages.Loading(progress):
                self._tell(WorkerState.LOADING, progress=progress)
            case messages.EngineReady(model, device, dtype, engine, notices):
                run.listening = True
                ready = {"model": model, "device": device, "dtype": dtype, "engine": engine}
                self._tell(WorkerState.READY, progress="", problem="", **ready)
                self._pass_on(notices)
                self._hand_over(run)
            case messages.EngineRefused(problem, still_runs):
                run.listening = still_runs
                logger.warning("The model cannot be used")
                logger.debug("The reason: %s", problem)
                self._tell(WorkerState.READY if still_runs else WorkerState.WAITING, progress="", problem=problem)
            case messages.LogSent(record):
                logs.handle(record)
            case messages.NoticeSent(text):
                self._safely(self._events.on_notice, text)
            case messages.PromptsRefused(index, epoch, version, problem):
                self._change(version=version)
                self._set_trouble(problem)
                empty = Prediction(index, epoch, version, (), _NO_MAPS)  # locked mode shows answered frames only
                self._safely(self._events.on_result, empty, run.answered(index, epoch))

    def _take_result(self, run: WorkerHandle, found: messages.FramePredicted) -> None:
        self._maps = run.copy_maps(found.shape) if found.ids else _NO_MAPS
        run.ids = found.ids
        self._change(version=found.version)
        self._pass_on(found.notices)
        prediction = Prediction(
            found.index, found.epoch, found.version, found.ids, self._maps, milliseconds=found.milliseconds
        )
        self._answer(prediction, run)

    def _answer(self, result: Prediction, run: WorkerHandle) -> None:
        self._has_answered = True
        if self._trouble:
            self._set_trouble("")
        self._safely(self._events.on_result, result, run.answered(result.index, result.epoch))

    def _pass_on(self, notices: tuple[str, ...]) -> None:
        for notice in notices:
            self._say_once(notice)

    def _say_once(self, notice: str) -> None:
        if notice not in self._notices:
            self._notices.add(notice)
            self._safely(self._events.on_notice, notice)

    def _recover(self, reason: str) -> None:
        """Restart after a pause, or wait for the user after too many failures."""
        now = time.monotonic()
        if reason:
            self._failures.append(now)
        while self._has_answered and self._failures and self._failures[0] < now - RESTART_WINDOW:
            self._failures.popleft()
        self._trouble = ""
        if len(self._failures) <= MOST_RESTARTS:
            self._tell(
                WorkerState.RESTARTING,
                problem=f"The segmentation stopped ({reason}) and is started again." if reason else "",
                process_id=None,
                restarts=self._status.restarts + bool(reason),
            )
            return
        logger.error("The worker failed %d times and is not started again", len(self._failures))
        self._tell(
            WorkerState.WAITING,
            problem=f"The segmentation stopped again and again ({reason}): restart it, or use a smaller picture, "
            "another model or another device.",
            process_id=None,
        )
        while not (self._stopping or self._restart.is_set()):
            self._wait_for_nudge(None)
        self._failures.clear()

    def _wait_for_nudge(self, timeout: float | None) -> None:
        """Wait for a request to stop or restart."""
        if wait([self._nudge_out], timeout):
            self._nudge_out.recv()

    def _set_trouble(self, sentence: str) -> None:
        """Report a problem with the present frame or prompts. "" clears it."""
        with self._telling:
            before, self._trouble = self._trouble, sentence
            if sentence or self._status.problem == before:
                self._change(problem=sentence)

    def _tell(self, state: WorkerState, **changes: Any) -> None:
        with self._telling:
            if state is self._status.state and all(getattr(self._status, name) == new for name, new in changes.items()):
                return
            logger.info("The worker is %s", state.value)
            self._machine.to(state)
            self._change(state=state, **changes)

    def _change(self, **changes: Any) -> None:
        with self._telling:
            status = replace(self._status, **changes)
            if status != self._status:
                self._status = status
                self._safely(self._events.on_status, status)

    def _safely(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call a listener. Its errors must not end the supervision."""
        try:
            callback(*arguments)
        except Exception:
            logger.exception("A listener of the worker failed")


def _in_words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
