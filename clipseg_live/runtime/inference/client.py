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
PREDICTION_SECONDS = 300.0
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
    on_notice: Callable[[str], None] = lambda text: None
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
        self._status_lock = threading.RLock()
        self._problem = ""
        self._has_predicted = False
        self._prompts = PromptSet()
        self._newest: Frame | None = None
        self._failures: deque[float] = deque()
        self._stopping = False
        self._handle: WorkerHandle | None = None
        self._wake_receiver, self._wake_sender = multiprocessing.Pipe(duplex=False)
        self._restart = threading.Event()
        self._maps: Maps = _NO_MAPS
        self._notices: set[str] = set()
        self.submitted = self.taken = self.unchanged = 0
        self._thread = threading.Thread(target=self._supervise, name="clipseg-live worker", daemon=True)

    @property
    def status(self) -> WorkerStatus:
        """Return the current status of the worker."""
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
            handle = self._handle
        if handle is not None and handle.is_ready:
            self.submitted += 1
            self._send_newest(handle)

    def _send_newest(self, handle: WorkerHandle) -> None:
        """Copy the newest frame for a process that has asked for one."""
        with self._lock:
            newest = self._newest
        if newest is None or newest is handle.submitted_frame or not handle.is_ready:
            return
        try:
            handle.submit(newest)
        except OSError as error:
            logger.exception("Shared memory has no room for a frame of %d bytes", newest.pixels.nbytes)
            self._set_problem(
                f"Shared memory has no room for a frame ({error.strerror or error}): use a source with smaller frames."
            )

    def set_prompts(self, prompts: PromptSet) -> None:
        """Use other prompts from now on."""
        with self._lock:
            self._prompts = prompts
            handle = self._handle
        if handle is not None:
            handle.post(messages.PromptsChanged(prompts))

    def set_engine(self, settings: EngineSettings) -> None:
        """Change the model, the device or the size.

        A worker that waits for the user, or that loads or downloads another model, is started again.
        """
        with self._lock:
            if settings == self._settings:
                return
            is_other_model = settings.model != self._settings.model
            self._settings = settings
            self._notices = set()
            handle = self._handle
        is_loading = self._status.state is WorkerState.LOADING
        if handle is not None and not (is_loading and is_other_model):
            handle.is_ready = False  # do not send frames now; they would wait until the model is loaded
            handle.post(messages.EngineChanged(settings))
        else:
            self.restart()

    def restart(self) -> None:
        """Restart the process now, in any state."""
        self._failures.clear()
        self._restart.set()
        self._wake()

    def request_stop(self) -> None:
        """End the worker soon. Return at once."""
        self._stopping = True
        self._wake()

    def join(self, deadline: float) -> bool:
        """Wait at most ``deadline`` seconds, and return whether the process, threads and memory are released."""
        if self._thread.ident is not None:
            self._thread.join(deadline)
        if self._thread.is_alive():
            return False
        self._wake_sender.close()
        self._wake_receiver.close()
        return True

    def _wake(self) -> None:
        with suppress(OSError):
            self._wake_sender.send(None)

    def _supervise(self) -> None:
        try:
            while not self._stopping:
                self._set_state(WorkerState.STARTING)
                reason = self._run_once()
                if self._stopping:
                    return
                self._recover(reason)
        finally:
            self._set_state(WorkerState.STOPPED, process_id=None)

    def _run_once(self) -> str:
        """Run one process to its end. Return the reason for the end, or "" after a request of the user."""
        self._restart.clear()
        self._has_predicted = False
        handle: WorkerHandle | None = None
        try:
            self._events.before_start()
            handle = WorkerHandle(self._make_engine, self._settings)
            with self._lock:
                self._handle = handle
                prompts = self._prompts
            self._update_status(process_id=handle.process.pid)
            handle.post(messages.PromptsChanged(prompts))
            return self._listen(handle)
        except Exception as error:  # nothing may end the supervision: any error counts as a failure of the process
            logger.exception("The worker process cannot be %s", "started" if handle is None else "used")
            if handle is not None:
                return _describe_error(error)
            self._wait_for_wake(_START_PAUSE * (len(self._failures) + 1))
            return f"the process cannot be started: {_describe_error(error)}"
        finally:
            with self._lock:
                self._handle = None
            if handle is not None:
                handle.end()

    def _listen(self, handle: WorkerHandle) -> str:
        last_message = last_progress = time.monotonic()
        while True:
            limit = self._silence if self._status.state is WorkerState.READY else self._start_silence
            ready = wait(
                [handle.connection, self._wake_receiver], timeout=max(0.0, last_message + limit - time.monotonic())
            )
            if self._wake_receiver in ready:
                self._wake_receiver.recv()
            if self._stopping or self._restart.is_set():
                return ""
            if not ready:
                return self._log_failure(f"no heartbeat for {limit:g} seconds")
            if handle.started_at is not None and time.monotonic() > handle.started_at + PREDICTION_SECONDS:
                return self._log_failure(f"no prediction within {PREDICTION_SECONDS:g} seconds")
            loading = self._status.state in (WorkerState.STARTING, WorkerState.LOADING)
            if loading and time.monotonic() > last_progress + LOAD_SECONDS:
                return self._log_failure(f"no loading progress for {LOAD_SECONDS:g} seconds")
            if handle.connection not in ready:
                continue
            try:
                message: messages.ToApplication = handle.connection.recv()
            except (EOFError, OSError):
                return self._log_failure(handle.exit_reason())
            last_message = time.monotonic()
            last_progress = (
                last_progress if isinstance(message, messages.Heartbeat | messages.LogSent) else last_message
            )
            if isinstance(message, messages.WorkerFailed):
                return self._log_failure(message.reason.rstrip("."))
            self._handle_message(handle, message)

    def _log_failure(self, reason: str) -> str:
        logger.error("The worker process %s failed", self._status.process_id)
        logger.debug("The reason: %s", reason)
        return reason

    def _handle_message(self, handle: WorkerHandle, message: messages.ToApplication) -> None:
        match message:
            case messages.FrameRequested():
                handle.wants_frame = True
                self._send_newest(handle)
            case messages.FrameStarted(index, epoch, is_new):
                self.taken += is_new
                handle.mark_started(index, epoch)
            case messages.FramePredicted():
                self._handle_prediction(handle, message)
            case messages.FrameUnchanged(index, epoch, version):
                self.unchanged += 1
                self._deliver(Prediction(index, epoch, version, handle.ids, self._maps, unchanged=True), handle)
            case messages.MapMemoryRequested(size):
                handle.make_maps(size)
            case messages.Loading(progress):
                self._set_state(WorkerState.LOADING, progress=progress, replaced="")
            case messages.EngineReady(model, device, dtype, engine, notices, replaced):
                handle.is_ready = True
                ready = {"model": model, "device": device, "dtype": dtype, "engine": engine, "replaced": replaced}
                self._set_state(WorkerState.READY, progress="", problem="", **ready)
                self._report_notices(notices)
                self._send_newest(handle)
            case messages.EngineRejected(problem, still_running):
                handle.is_ready = still_running
                logger.warning("The model cannot be used")
                logger.debug("The reason: %s", problem)
                self._set_state(
                    WorkerState.READY if still_running else WorkerState.WAITING, progress="", problem=problem
                )
            case messages.LogSent(record):
                logs.handle(record)
            case messages.PromptsRejected(index, epoch, version, problem):
                self._update_status(version=version)
                self._set_problem(problem)
                empty = Prediction(index, epoch, version, (), _NO_MAPS)  # locked mode shows answered frames only
                self._call_listener(self._events.on_result, empty, handle.mark_finished(index, epoch))

    def _handle_prediction(self, handle: WorkerHandle, message: messages.FramePredicted) -> None:
        self._maps = handle.copy_maps(message.shape) if message.ids else _NO_MAPS
        handle.ids = message.ids
        self._update_status(version=message.version)
        self._report_notices(message.notices)
        prediction = Prediction(
            message.index,
            message.epoch,
            message.version,
            message.ids,
            self._maps,
            milliseconds=message.milliseconds,
            recomputed=message.recomputed,
        )
        self._deliver(prediction, handle)

    def _deliver(self, result: Prediction, handle: WorkerHandle) -> None:
        self._has_predicted = True
        if self._problem:
            self._set_problem("")
        self._call_listener(self._events.on_result, result, handle.mark_finished(result.index, result.epoch))

    def _report_notices(self, notices: tuple[str, ...]) -> None:
        for notice in notices:
            self._report_notice(notice)

    def _report_notice(self, notice: str) -> None:
        if notice not in self._notices:
            self._notices.add(notice)
            self._call_listener(self._events.on_notice, notice)

    def _recover(self, reason: str) -> None:
        """Restart after a pause, or wait for the user after too many failures."""
        now = time.monotonic()
        if reason:
            self._failures.append(now)
        while self._has_predicted and self._failures and self._failures[0] < now - RESTART_WINDOW:
            self._failures.popleft()
        self._problem = ""
        if len(self._failures) <= MOST_RESTARTS:
            self._set_state(
                WorkerState.RESTARTING,
                problem=f"Segmentation stopped ({reason}) and is restarting." if reason else "",
                process_id=None,
                restarts=self._status.restarts + bool(reason),
            )
            return
        logger.error("The worker failed %d times and is not restarted", len(self._failures))
        self._set_state(
            WorkerState.WAITING,
            problem=f"Segmentation keeps failing ({reason}): restart the model, or use smaller frames, another model "
            "or another device.",
            process_id=None,
        )
        while not (self._stopping or self._restart.is_set()):
            self._wait_for_wake(None)
        self._failures.clear()

    def _wait_for_wake(self, timeout: float | None) -> None:
        """Wait for a request to stop or restart."""
        if wait([self._wake_receiver], timeout):
            self._wake_receiver.recv()

    def _set_problem(self, problem: str) -> None:
        """Report a problem with the current frame or prompts. "" clears it."""
        with self._status_lock:
            previous, self._problem = self._problem, problem
            if problem or self._status.problem == previous:
                self._update_status(problem=problem)

    def _set_state(self, state: WorkerState, **changes: Any) -> None:
        with self._status_lock:
            if state is self._status.state and all(
                getattr(self._status, name) == value for name, value in changes.items()
            ):
                return
            logger.info("The worker is %s", state.value)
            self._machine.to(state)
            self._update_status(state=state, **changes)

    def _update_status(self, **changes: Any) -> None:
        with self._status_lock:
            status = replace(self._status, **changes)
            if status != self._status:
                self._status = status
                self._call_listener(self._events.on_status, status)

    def _call_listener(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call a listener. Its errors must not end the supervision."""
        try:
            callback(*arguments)
        except Exception:
            logger.exception("A listener of the worker failed")


def _describe_error(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
