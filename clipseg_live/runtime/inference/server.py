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
from clipseg_live.core.protocols import Engine
from clipseg_live.core.settings.base import Detail, EngineSettings, ResizeMode
from clipseg_live.core.status import PromptSet
from clipseg_live.core.system import console, logs, signals
from clipseg_live.runtime.inference import messages
from clipseg_live.runtime.inference.change_detection import BlockMeans, block_means, is_static
from clipseg_live.runtime.inference.shared_memory import FrameDoubleBuffer, SharedBlock

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
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

    def configure(self, size: int | None, fit: ResizeMode, detail: Detail) -> None:
        """Change the input size, the fit of the frame and the detail of the maps."""


MakeEngine = Callable[[EngineSettings, Callable[[str], None], Callable[[str], None]], LiveEngine]
"""Loads an engine. Takes the settings, a function for messages of progress, and one for notices for the user.

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
        self._wanted_engine: EngineSettings | None = settings
        self._wanted_prompts = PromptSet()
        self._offered: messages.FrameOffered | None = None
        self._new_slots: SharedBlock | None = None
        self._new_maps: SharedBlock | None = None
        self._maps_are_free = True
        # Owned by the main thread.
        self._engine: LiveEngine | None = None
        self._loaded: EngineSettings | None = None
        self._dtype = ""
        self._slots: FrameDoubleBuffer | None = None
        self._maps: SharedBlock | None = None
        self._frame: tuple[Pixels, int, int] | None = None
        self._seen: tuple[BlockMeans, int] | None = None
        self._answered: int | None = None
        self._has_asked = False

    def run(self) -> None:
        flush_log = logs.start_child(lambda record: self._send(messages.LogSent(record)))
        threading.Thread(target=self._receive, name="receive", daemon=True).start()
        threading.Thread(target=self._beat, name="beat", daemon=True).start()
        try:
            while True:
                self._once()
        except (MemoryError, ClipsegLiveError) as error:
            logger.exception("The worker process failed")
            flush_log()
            self._send(messages.WorkerFailed(str(error) or "There is not enough memory to segment a frame."))
        except Exception as error:
            logger.exception("The worker process failed")
            flush_log()
            self._send(messages.WorkerFailed(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"))
        flush_log()
        os._exit(1)  # the clean-up of torch must not delay the restart

    def _once(self) -> None:
        if self._engine is not None and not self._has_asked:
            self._has_asked = True
            self._send(messages.FrameWanted())
        with self._changed:
            self._changed.wait_for(self._has_work)
            engine, self._wanted_engine = self._wanted_engine, None
            prompts = self._wanted_prompts
        if engine is not None:
            self._use(engine)
        # Segment the current frame again after an edit, since its features are cached. Then take the next frame.
        edited = self._frame is not None and self._answered is not None and self._answered != prompts.version
        is_new = not edited and self._take()
        if self._engine is None or self._frame is None:
            self._answered = prompts.version
            return
        if is_new or prompts.version != self._answered:
            self._answer(self._engine, prompts, is_new)

    def _take(self) -> bool:
        """Make the offered frame the current one, and return whether there was one."""
        with self._changed:
            offered, self._offered = self._offered, None
            slots, self._new_slots = self._new_slots, None
        if slots is not None:
            self._frame = None  # a view of the old memory
            if self._slots is not None:
                self._slots.close()
            self._slots = FrameDoubleBuffer(slots)
        if offered is None or self._slots is None:
            return False
        pixels = self._slots.frame(offered.slot, offered.height, offered.width)
        self._frame = pixels, offered.index, offered.epoch
        self._has_asked = False
        return True

    def _has_work(self) -> bool:
        return (
            self._wanted_engine is not None
            or self._offered is not None
            or self._wanted_prompts.version != self._answered
        )

    def _answer(self, engine: LiveEngine, prompts: PromptSet, is_new: bool) -> None:
        assert self._frame is not None
        pixels, index, epoch = self._frame
        self._send(messages.FrameTaken(index, epoch, is_new))
        start = time.perf_counter()
        look = block_means(pixels) if is_new or self._seen is None else self._seen[0]
        same = self._seen is not None and self._seen[1] == epoch and is_static(self._seen[0], look)
        gate = (time.perf_counter() - start) * 1000
        if is_new and same and self._answered == prompts.version:
            self._send(messages.FrameUnchanged(index, epoch, prompts.version))
            return
        self._seen = look, epoch
        if not prompts.prompts:
            self._answered = prompts.version
            self._send(messages.FramePredicted(index, epoch, prompts.version))
            return
        try:
            prediction = engine.segment(pixels, prompts.prompts)
        except UsageError as error:  # this model does not support a prompt
            if self._answered != prompts.version:
                logger.warning("A prompt was refused", exc_info=True)
            self._answered, self._seen = prompts.version, None  # do not compare the next frame with this one
            self._send(messages.PromptsRefused(index, epoch, prompts.version, str(error)))
            return
        self._answered = prompts.version
        milliseconds = {"gate": gate, **prediction.timings}
        self._deliver(prediction.probabilities)
        count, height, width = prediction.probabilities.shape
        shape = count, height, width
        self._send(
            messages.FramePredicted(
                index, epoch, prompts.version, prompts.ids, shape, milliseconds, tuple(engine.notices)
            )
        )
        if engine.dtype != self._dtype:  # it was not precise enough for this source
            self._describe(engine)

    def _deliver(self, maps: NDArray[np.float32]) -> None:
        """Write maps for the application, after it has read the last ones."""
        if self._maps is None or maps.nbytes > self._maps.size:
            self._send(messages.MapsNeeded(maps.nbytes))
            with self._changed:
                self._changed.wait_for(lambda: self._new_maps is not None)
                old, self._maps, self._new_maps = self._maps, self._new_maps, None
            if old is not None:
                old.close()
        assert self._maps is not None
        with self._changed:
            self._changed.wait_for(lambda: self._maps_are_free)
            self._maps_are_free = False
        self._maps.array(maps.shape, np.float32)[...] = maps

    def _use(self, settings: EngineSettings) -> None:
        """Load the engine again, or only change it if that is enough."""
        self._answered = self._seen = None
        before, self._loaded = self._loaded, settings
        try:
            if self._engine is not None and before is not None and _only_shape_differs(before, settings):
                self._engine.configure(settings.size, settings.resize_mode, settings.detail)
            else:
                self._engine = None  # free its memory for the next one
                self._send(messages.Loading())
                self._engine = self._make_engine(
                    settings,
                    lambda words: self._send(messages.Loading(words)),
                    lambda text: self._send(messages.NoticeSent(text)),
                )
        except ClipsegLiveError as error:
            logger.exception("The model cannot be used")
            self._loaded = before if self._engine is not None else None
            self._send(messages.EngineRefused(str(error), self._engine is not None))
            return
        self._describe(self._engine)

    def _describe(self, engine: LiveEngine) -> None:
        self._dtype = engine.dtype
        self._send(messages.EngineReady(engine.name, engine.device, engine.dtype, engine.engine, tuple(engine.notices)))

    def _receive(self) -> None:
        try:
            while True:
                message: messages.ToWorker = self._connection.recv()
                block = None
                if isinstance(message, messages.SlotsGiven | messages.MapsGiven):
                    block = self._block(message.size)
                with self._changed:
                    self._take_in(message, block)
                    self._changed.notify_all()
        except (EOFError, OSError):
            os._exit(0)  # the application is gone

    def _block(self, size: int) -> SharedBlock:
        """Receive a shared block. End the process if it cannot be mapped."""
        try:
            return SharedBlock.receive(self._connection, size)
        except OSError as error:
            logger.exception("A shared block of %d bytes cannot be mapped", size)
            self._send(messages.WorkerFailed(f"its shared memory cannot be opened: {error.strerror or error}"))
            os._exit(1)

    def _take_in(self, message: messages.ToWorker, block: SharedBlock | None) -> None:
        match message:
            case messages.FrameOffered():
                self._offered = message
            case messages.PromptsChanged(prompts):
                self._wanted_prompts = prompts
            case messages.EngineChanged(settings):
                self._wanted_engine = settings
            case messages.SlotsGiven():
                self._new_slots = block
            case messages.MapsGiven():
                self._new_maps = block
            case messages.MapsCopied():
                self._maps_are_free = True

    def _beat(self) -> None:
        while True:
            self._send(messages.Heartbeat())
            time.sleep(BEAT_SECONDS)

    def _send(self, message: messages.ToApplication) -> None:
        with self._sending:
            try:
                self._connection.send(message)
            except (OSError, ValueError):
                os._exit(0)


def _only_shape_differs(before: EngineSettings, after: EngineSettings) -> bool:
    return (
        before.model_copy(update={"size": after.size, "resize_mode": after.resize_mode, "detail": after.detail})
        == after
    )
