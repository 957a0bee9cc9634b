"""What runs in the inference worker's process: a loop around an engine that always works on what is newest.

It keeps nothing but the engine's own caches, and ends at once when the application does, whatever ended that.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clipseg_live.core import logs
from clipseg_live.core.errors import ClipsegLiveError, UsageError
from clipseg_live.core.frame import Pixels
from clipseg_live.core.gate import Sample, is_unchanged, sample
from clipseg_live.core.live import PromptSet
from clipseg_live.core.ports import Engine
from clipseg_live.core.settings import Detail, EngineSettings, Fit
from clipseg_live.pipeline.exchange import FrameSlots, Lock, attach, close

BEAT_SECONDS = 1.0
_NICENESS = 5


class LiveEngine(Engine, Protocol):
    """An engine that can tell what it is, and be changed without being loaded again."""

    @property
    def name(self) -> str: ...

    @property
    def device(self) -> str: ...

    @property
    def dtype(self) -> str: ...

    @property
    def notices(self) -> tuple[str, ...]: ...

    def configure(self, size: int | None, fit: Fit, detail: Detail) -> None: ...


MakeEngine = Callable[[EngineSettings, Callable[[str], None], Callable[[str], None]], LiveEngine]
"""Loads an engine; tells its progress in words, and notices for the person. It must be importable by name: it crosses
to another process."""


class Semaphore(Protocol):
    def acquire(self, block: bool = True, timeout: float | None = None) -> bool: ...


def run(
    connection: Connection, lock: Lock, maps_free: Semaphore, make_engine: MakeEngine, settings: EngineSettings
) -> None:
    """The process's main function. lock: of the frame slots. maps_free: released when maps have been copied out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the application's to handle
    with suppress(OSError, AttributeError):
        os.nice(_NICENESS)
    _Worker(connection, lock, maps_free, make_engine, settings).run()


class _Worker:
    def __init__(
        self,
        connection: Connection,
        lock: Lock,
        maps_free: Semaphore,
        make_engine: MakeEngine,
        settings: EngineSettings,
    ) -> None:
        self._connection, self._lock, self._maps_free = connection, lock, maps_free
        self._make_engine = make_engine
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        # What the application asked for last; guarded by ``_changed``.
        self._wanted_engine: EngineSettings | None = settings
        self._wanted_prompts = PromptSet()
        self._frame_waits = False
        self._wanted_slots: tuple[str, int] | None = None
        self._wanted_maps: tuple[str, int] | None = None
        # What it works with; the main thread's own.
        self._engine: LiveEngine | None = None
        self._loaded: EngineSettings | None = None
        self._slots: FrameSlots | None = None
        self._maps: SharedMemory | None = None
        self._maps_size = 0
        self._frame: tuple[Pixels, int, int] | None = None
        self._seen: tuple[Sample, int] | None = None
        self._answered: int | None = None
        self._frame_left = False

    def run(self) -> None:
        logs.start_child(lambda record: self._send("log", record))
        threading.Thread(target=self._receive, name="receive", daemon=True).start()
        threading.Thread(target=self._beat, name="beat", daemon=True).start()
        try:
            while True:
                self._once()
        except (MemoryError, ClipsegLiveError) as error:
            self._send("failed", str(error) or "There is not enough memory to segment a frame.")
        except Exception as error:
            self._send("failed", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
        os._exit(1)  # nothing of torch's own clean-up may delay the restart

    def _once(self) -> None:
        with self._changed:
            self._changed.wait_for(self._has_work)
            engine, self._wanted_engine = self._wanted_engine, None
            slots, self._wanted_slots = self._wanted_slots, None
            prompts = self._wanted_prompts
            self._frame_waits, self._frame_left = False, False
        if slots is not None:
            self._open_slots(*slots)
        if engine is not None:
            self._use(engine)
        # An edit is answered at once, for the frame whose features are there; the next frame comes after that.
        edited = self._frame is not None and self._answered is not None and self._answered != prompts.version
        taken = self._slots.take() if self._slots is not None and not edited else None
        self._frame_left = edited
        if taken is not None:
            pixels, index, epoch, slot = taken
            self._frame = pixels, index, epoch
            self._send("took", index, epoch, slot)
        if self._engine is None or self._frame is None:
            self._answered = prompts.version
            return
        if taken is not None or prompts.version != self._answered:
            self._answer(self._engine, prompts, is_new=taken is not None)

    def _has_work(self) -> bool:
        return (
            self._wanted_engine is not None
            or self._wanted_slots is not None
            or self._frame_waits
            or self._frame_left
            or self._wanted_prompts.version != self._answered
        )

    def _answer(self, engine: LiveEngine, prompts: PromptSet, is_new: bool) -> None:
        assert self._frame is not None
        pixels, index, epoch = self._frame
        start = time.perf_counter()
        look = sample(pixels) if is_new or self._seen is None else self._seen[0]
        same = self._seen is not None and self._seen[1] == epoch and is_unchanged(self._seen[0], look)
        gate = (time.perf_counter() - start) * 1000
        if is_new and same and self._answered == prompts.version:
            self._send("unchanged", index, epoch, prompts.version)
            return
        self._seen = look, epoch
        if not prompts.prompts:
            self._answered = prompts.version
            self._send("result", index, epoch, prompts.version, (), (0, 1, 1), {}, ())
            return
        try:
            found = engine.segment(pixels, prompts.prompts)
        except UsageError as error:  # a prompt that this model cannot take
            self._answered = prompts.version
            self._send("refused", prompts.version, str(error))
            return
        self._answered = prompts.version
        milliseconds = {"gate": gate, **found.timings}
        self._deliver(found.probabilities)
        shape = found.probabilities.shape
        self._send("result", index, epoch, prompts.version, prompts.ids, shape, milliseconds, engine.notices)

    def _deliver(self, maps: NDArray[np.float32]) -> None:
        """Put maps where the application reads them, once it has read the last ones."""
        if maps.nbytes > self._maps_size:
            self._send("need", maps.nbytes)
            with self._changed:
                self._changed.wait_for(lambda: self._wanted_maps is not None)
                assert self._wanted_maps is not None
                (name, size), self._wanted_maps = self._wanted_maps, None
            if self._maps is not None:
                close(self._maps)
            self._maps, self._maps_size = attach(name), size
            self._send("opened", name)
        self._maps_free.acquire()
        assert self._maps is not None
        np.ndarray(maps.shape, np.float32, self._maps.buf)[...] = maps

    def _open_slots(self, name: str, capacity: int) -> None:
        try:
            memory = attach(name)
        except FileNotFoundError:  # replaced by a larger one meanwhile, whose name is on its way
            return
        self._frame = None  # a view of the old block
        old, self._slots = self._slots, FrameSlots(memory, capacity, self._lock)
        self._send("opened", name)
        if old is not None:
            old.close()

    def _use(self, settings: EngineSettings) -> None:
        """Load the engine anew, or only change what can be changed without."""
        self._answered = self._seen = None
        before, self._loaded = self._loaded, settings
        try:
            if self._engine is not None and before is not None and _only_shape_differs(before, settings):
                self._engine.configure(settings.size, settings.fit, settings.detail)
            else:
                self._engine = None  # its memory is needed for the next
                self._send("loading", "")
                self._engine = self._make_engine(
                    settings, lambda words: self._send("loading", words), lambda text: self._send("notice", text)
                )
        except ClipsegLiveError as error:
            self._loaded = before if self._engine is not None else None
            self._send("unloadable", str(error), self._engine is not None)
            return
        engine = self._engine
        self._send("ready", engine.name, engine.device, engine.dtype, engine.notices)

    def _receive(self) -> None:
        try:
            while True:
                kind, *values = self._connection.recv()
                with self._changed:
                    self._take_in(kind, values)
                    self._changed.notify_all()
        except (EOFError, OSError):
            os._exit(0)  # the application is gone

    def _take_in(self, kind: str, values: Sequence[Any]) -> None:
        if kind == "frame":
            self._frame_waits = True
        elif kind == "prompts":
            self._wanted_prompts = values[0]
        elif kind == "engine":
            self._wanted_engine = values[0]
        elif kind == "slots":
            self._wanted_slots = values[0], values[1]
        elif kind == "maps":
            self._wanted_maps = values[0], values[1]

    def _beat(self) -> None:
        while True:
            self._send("beat")
            time.sleep(BEAT_SECONDS)

    def _send(self, *message: object) -> None:
        with self._sending:
            try:
                self._connection.send(message)
            except (OSError, ValueError):
                os._exit(0)


def _only_shape_differs(before: EngineSettings, after: EngineSettings) -> bool:
    return before.model_copy(update={"size": after.size, "fit": after.fit, "detail": after.detail}) == after
