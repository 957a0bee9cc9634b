"""Main loop of the inference worker's process, which always works on the newest frame and prompts.

It keeps no state except for the engine's caches, and ends at once when the application ends, for any reason.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core.errors import ClipsegLiveError, UsageError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.prompts import Prompt
from clipseg_live.core.protocols import Engine
from clipseg_live.core.segmentation import Segmentation
from clipseg_live.core.settings.base import Detail, EngineSettings, ResizeMode
from clipseg_live.core.status import PromptSet
from clipseg_live.core.system import console, logs, signals
from clipseg_live.runtime.inference import messages
from clipseg_live.runtime.inference.change_detection import BlockMeans, block_means, is_static
from clipseg_live.runtime.inference.shared_memory import FrameDoubleBuffer, SharedBlock

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1.0
_NICENESS = 5


class LiveEngine(Engine, Protocol):
    """An engine that describes itself and can be changed without loading it again."""

    @property
    def name(self) -> str:
        """Return the name of the model."""

    @property
    def device(self) -> str:
        """Return the device that the model runs on."""

    @property
    def dtype(self) -> str:
        """Return the precision of the computation."""

    @property
    def engine(self) -> str:
        """Return the library that runs the model."""

    @property
    def notices(self) -> tuple[str, ...]:
        """Return messages for the user."""

    @property
    def approximate(self) -> bool:
        """True if the maps of the last frame are approximate, because tokens were reused."""

    after_layer: Callable[[], None] | None
    """Called after each layer of the vision encoder, if the engine runs layers one by one."""

    newest_prompts: Callable[[], tuple[Prompt, ...]] | None
    """Returns the prompts to decode, once a frame is encoded; None: those of the call."""

    def segment_last(self, prompts: tuple[Prompt, ...]) -> Segmentation | None:
        """Return the maps of the last frame for other prompts, or None if its features are not kept."""

    def configure(self, size: int | None, fit: ResizeMode, detail: Detail, reuse: bool) -> None:
        """Change the input size, the fit of the frame, the detail of the maps and the reuse of tokens."""

    def forget(self) -> None:
        """Reuse nothing of the frames so far."""


MakeEngine = Callable[[EngineSettings, Callable[[str], None], Callable[[str], None]], LiveEngine]
"""Loads an engine. Takes the settings, a function for messages of progress, and one that is told, with the reason, that
another model is loaded than the requested one.

It must be importable by name, because it is sent to another process.
"""


def serve(connection: Connection, make_engine: MakeEngine, settings: EngineSettings) -> None:
    """Run the worker process: load the engine, and segment frames until the application ends.

    Args:
        connection: Pipe to the application.
        make_engine: Loads the engine.
        settings: First settings of the engine.
    """
    signals.ignore()  # the application ends this process
    console.protect()
    with suppress(OSError, AttributeError):
        os.nice(_NICENESS)
    _InferenceServer(connection, make_engine, settings).run()


class _InferenceServer:
    def __init__(self, connection: Connection, make_engine: MakeEngine, settings: EngineSettings) -> None:
        self._connection = connection
        self._make_engine = make_engine
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        # Requests of the application that wait for the main thread; guarded by ``_changed``.
        self._requested_engine: EngineSettings | None = settings
        self._requested_prompts = PromptSet()
        self._offer: messages.FrameOffered | None = None
        self._new_slots: SharedBlock | None = None
        self._new_maps: SharedBlock | None = None
        self._maps_are_free = True
        # Owned by the main thread.
        self._engine: LiveEngine | None = None
        self._loaded_settings: EngineSettings | None = None
        self._slots: FrameDoubleBuffer | None = None
        self._maps: SharedBlock | None = None
        self._frame: tuple[Pixels, int, int] | None = None
        self._last_segmented: tuple[BlockMeans, int] | None = None
        self._epoch: int | None = None
        self._predicted_version: int | None = None
        self._decoded = PromptSet()
        self._answered: tuple[int, int] | None = None
        self._tried_version: int | None = None
        self._has_requested = False
        self._dtype = ""
        self._replaced = ""

    def run(self) -> None:
        flush_log = logs.start_child(lambda record: self._send(messages.LogSent(record)))
        threading.Thread(target=self._receive, name="receive", daemon=True).start()
        threading.Thread(target=self._send_heartbeats, name="beat", daemon=True).start()
        try:
            while True:
                self._step()
        except (MemoryError, ClipsegLiveError) as error:
            logger.exception("The worker process failed")
            flush_log()
            self._send(messages.WorkerFailed(str(error) or "not enough memory to segment a frame"))
        except Exception as error:
            logger.exception("The worker process failed")
            flush_log()
            self._send(messages.WorkerFailed(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"))
        flush_log()
        os._exit(1)  # the clean-up of torch must not delay the restart

    def _step(self) -> None:
        if self._engine is not None and not self._has_requested:
            self._has_requested = True
            self._send(messages.FrameRequested())
        with self._changed:
            self._changed.wait_for(self._has_work)
            engine, self._requested_engine = self._requested_engine, None
            prompts = self._requested_prompts
        if engine is not None:
            self._apply_engine(engine)
        # Segment the current frame again after an edit, since its features are cached. Then take the next frame.
        is_edited = (
            self._frame is not None
            and self._predicted_version is not None
            and self._predicted_version != prompts.version
        )
        is_new = not is_edited and self._take_frame()
        if self._engine is None or self._frame is None:
            self._predicted_version = prompts.version
            return
        if is_new or prompts.version != self._predicted_version:
            self._predict(self._engine, prompts, is_new)

    def _take_frame(self) -> bool:
        """Make the offered frame the current one, and return whether there was one."""
        with self._changed:
            offer, self._offer = self._offer, None
            slots, self._new_slots = self._new_slots, None
        if slots is not None:
            self._frame = None  # a view of the old memory
            if self._slots is not None:
                self._slots.close()
            self._slots = FrameDoubleBuffer(slots)
        if offer is None or self._slots is None:
            return False
        pixels = self._slots.frame(offer.slot, offer.height, offer.width)
        self._frame = pixels, offer.index, offer.epoch
        self._has_requested = False
        return True

    def _has_work(self) -> bool:
        return (
            self._requested_engine is not None
            or self._offer is not None
            or self._requested_prompts.version != self._predicted_version
        )

    def _predict(self, engine: LiveEngine, prompts: PromptSet, is_new: bool) -> None:
        assert self._frame is not None
        pixels, index, epoch = self._frame
        self._send(messages.FrameStarted(index, epoch, is_new))
        start = time.perf_counter()
        means = block_means(pixels) if is_new or self._last_segmented is None else self._last_segmented[0]
        is_unchanged = (
            self._last_segmented is not None
            and self._last_segmented[1] == epoch
            and is_static(self._last_segmented[0], means)
        )
        gate_time = (time.perf_counter() - start) * 1000
        if epoch != self._epoch:
            engine.forget()
            self._epoch, self._answered = epoch, None
        if is_new and is_unchanged and self._predicted_version == prompts.version and not engine.approximate:
            self._answered = index, epoch
            self._send(messages.FrameUnchanged(index, epoch, prompts.version))
            return
        self._last_segmented = means, epoch
        if not prompts.prompts:
            self._predicted_version = prompts.version
            self._send(messages.FramePredicted(index, epoch, prompts.version))
            return
        self._decoded = prompts
        try:
            prediction = engine.segment(pixels, prompts.prompts)
        except UsageError as error:  # this model does not support a prompt
            prompts = self._decoded
            if self._predicted_version != prompts.version:
                logger.warning("The model rejected a prompt", exc_info=True)
            self._predicted_version = prompts.version
            self._last_segmented = None  # do not compare the next frame with this one
            self._send(messages.PromptsRejected(index, epoch, prompts.version, str(error)))
            return
        self._answered = index, epoch
        self._send_prediction(engine, prediction, self._decoded, {"gate": gate_time})
        if engine.dtype != self._dtype:  # it was not precise enough for this source
            self._describe(engine)

    def _newest_prompts(self) -> tuple[Prompt, ...]:
        """Return the prompts to decode for the frame that was encoded: the newest ones, unless there are none."""
        with self._changed:
            requested = self._requested_prompts
        if requested.prompts:
            self._decoded = requested
        return self._decoded.prompts

    def _answer_edit(self) -> None:
        """After an edit, send maps of the last frame for the new prompts, while the next frame is encoded."""
        with self._changed:
            prompts, is_changing = self._requested_prompts, self._requested_engine is not None
        is_known = prompts.version in (self._predicted_version, self._tried_version)
        if self._answered is None or self._engine is None or is_changing or is_known or not prompts.prompts:
            return
        self._tried_version = prompts.version
        try:
            prediction = self._engine.segment_last(prompts.prompts)
        except UsageError:
            logger.debug("The prompts are rejected with the next frame", exc_info=True)
            return
        if prediction is not None:
            self._send_prediction(self._engine, prediction, prompts, {})

    def _send_prediction(
        self, engine: LiveEngine, prediction: Segmentation, prompts: PromptSet, times: dict[str, float]
    ) -> None:
        """Send maps of the frame that was answered last.

        Args:
            engine: Engine that made them.
            prediction: The maps.
            prompts: Their prompts.
            times: Milliseconds of stages before the engine.
        """
        assert self._answered is not None
        index, epoch = self._answered
        self._predicted_version = prompts.version
        self._deliver(prediction.probabilities)
        count, height, width = prediction.probabilities.shape
        self._send(
            messages.FramePredicted(
                index, epoch, prompts.version, prompts.ids, (count, height, width), {**times, **prediction.timings},
                tuple(engine.notices), prediction.recomputed,
            )
        )  # fmt: skip

    def _deliver(self, maps: NDArray[np.float32]) -> None:
        """Write maps for the application, after it has read the last ones."""
        if self._maps is None or maps.nbytes > self._maps.size:
            self._send(messages.MapMemoryRequested(maps.nbytes))
            with self._changed:
                self._changed.wait_for(lambda: self._new_maps is not None)
                previous, self._maps, self._new_maps = self._maps, self._new_maps, None
            if previous is not None:
                previous.close()
        assert self._maps is not None
        with self._changed:
            self._changed.wait_for(lambda: self._maps_are_free)
            self._maps_are_free = False
        self._maps.array(maps.shape, np.float32)[...] = maps

    def _apply_engine(self, settings: EngineSettings) -> None:
        """Load the engine again, or only change it if that is enough."""
        self._predicted_version = self._last_segmented = self._answered = None
        previous, self._loaded_settings = self._loaded_settings, settings
        try:
            if self._engine is not None and previous is not None and _only_shape_differs(previous, settings):
                self._engine.configure(settings.size, settings.resize_mode, settings.detail, settings.reuse == "on")
            else:
                self._engine = None  # free its memory for the next one
                self._replaced = ""
                self._send(messages.Loading())
                self._engine = self._make_engine(
                    settings,
                    lambda progress: self._send(messages.Loading(progress)),
                    self._note_replacement,
                )
        except ClipsegLiveError as error:
            logger.exception("The model cannot be used")
            self._loaded_settings = previous if self._engine is not None else None
            self._send(messages.EngineRejected(str(error), self._engine is not None))
            return
        # In locked mode, each frame is shown with its own prediction, so edits wait for the next frame.
        answers_edits = settings.reuse == "on"
        self._engine.after_layer = self._answer_edit if answers_edits else None
        self._engine.newest_prompts = self._newest_prompts if answers_edits else None
        self._describe(self._engine)

    def _note_replacement(self, reason: str) -> None:
        self._replaced = reason

    def _describe(self, engine: LiveEngine) -> None:
        self._dtype = engine.dtype
        self._send(
            messages.EngineReady(
                engine.name, engine.device, engine.dtype, engine.engine, tuple(engine.notices), self._replaced
            )
        )

    def _receive(self) -> None:
        try:
            while True:
                message: messages.ToWorker = self._connection.recv()
                block = None
                if isinstance(message, messages.FrameMemorySent | messages.MapMemorySent):
                    block = self._receive_block(message.size)
                with self._changed:
                    self._store_request(message, block)
                    self._changed.notify_all()
        except (EOFError, OSError):
            os._exit(0)  # the application has ended

    def _receive_block(self, size: int) -> SharedBlock:
        """Receive a shared block. End the process if it cannot be mapped."""
        try:
            return SharedBlock.receive(self._connection, size)
        except OSError as error:
            logger.exception("A shared block of %d bytes cannot be mapped", size)
            self._send(messages.WorkerFailed(f"shared memory cannot be mapped: {error.strerror or error}"))
            os._exit(1)

    def _store_request(self, message: messages.ToWorker, block: SharedBlock | None) -> None:
        match message:
            case messages.FrameOffered():
                self._offer = message
            case messages.PromptsChanged(prompts):
                self._requested_prompts = prompts
            case messages.EngineChanged(settings):
                self._requested_engine = settings
            case messages.FrameMemorySent():
                self._new_slots = block
            case messages.MapMemorySent():
                self._new_maps = block
            case messages.MapsCopied():
                self._maps_are_free = True

    def _send_heartbeats(self) -> None:
        while True:
            self._send(messages.Heartbeat())
            time.sleep(HEARTBEAT_SECONDS)

    def _send(self, message: messages.ToApplication) -> None:
        with self._sending:
            try:
                self._connection.send(message)
            except (OSError, ValueError):
                os._exit(0)


def _only_shape_differs(old: EngineSettings, new: EngineSettings) -> bool:
    changes = {name: getattr(new, name) for name in ("size", "resize_mode", "detail", "reuse")}
    return old.model_copy(update=changes) == new
