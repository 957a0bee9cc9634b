"""One process of the inference worker, with its pipe and its shared memory."""

import logging
import multiprocessing
import threading
import time
from contextlib import suppress

import numpy as np

from clipseg_live.core.frame import Frame
from clipseg_live.core.protocols import Maps
from clipseg_live.core.settings.base import EngineSettings
from clipseg_live.core.system import signals
from clipseg_live.runtime.inference import messages, server
from clipseg_live.runtime.inference.shared_memory import FrameDoubleBuffer, SharedBlock
from clipseg_live.runtime.process_exit import end_process, exit_reason

logger = logging.getLogger(__name__)

_EXIT_SECONDS = 1.0
_KILL_SECONDS = 5.0
"""Longest wait for the end of a killed process. A process that is blocked in a driver does not end."""
_ROOM_SECONDS = 1.0
"""Time until memory for frames is requested again after there was no room."""


class WorkerHandle:
    """One worker process from start to end. ``end`` releases everything.

    One thread sends the messages. Only this thread waits if the process does not read.

    Attributes:
        is_ready: The engine is loaded, and frames may be submitted.
        wants_frame: The process has asked for a frame and has not received it yet.
        submitted_frame: The frame that was submitted last.
        started_at: Monotonic time at which the process started on its frame. None while it has none.
        ids: Row ids of the last maps.
    """

    def __init__(self, make_engine: server.MakeEngine, settings: EngineSettings) -> None:
        """Start the process.

        Args:
            make_engine: Loads the engine, in the process.
            settings: Settings of the engine.

        Raises:
            OSError: The system has no room for a process.
            RuntimeError: The system has no room for a process.
        """
        context = multiprocessing.get_context("spawn")
        self.connection, child_connection = context.Pipe()
        self.process = context.Process(
            target=server.serve,
            args=(child_connection, make_engine, settings),
            name="clipseg-live inference",
            daemon=True,
        )
        self.is_ready = self.wants_frame = False
        self.submitted_frame: Frame | None = None
        self.started_at: float | None = None
        self._started: tuple[int, int] | None = None
        self.ids: tuple[int, ...] = ()
        self._slots: FrameDoubleBuffer | None = None
        self._maps: SharedBlock | None = None
        self._rejected_size: tuple[int, float] | None = None
        self._current_frame: Frame | None = None
        self._writing = threading.Lock()
        self._outbox: dict[type[messages.ToWorker], tuple[messages.ToWorker, SharedBlock | None]] = {}
        self._changed = threading.Condition()
        self._ended = False
        self._sender = threading.Thread(target=self._send, name="clipseg-live worker sender", daemon=True)
        try:
            with signals.held_back():
                self.process.start()
            logger.info("Worker process %s started", self.process.pid)
            self._sender.start()
        except BaseException:
            if self.process.pid is not None:
                end_process(self.process, _KILL_SECONDS)
            self.connection.close()
            raise
        finally:
            child_connection.close()

    def post(self, message: messages.ToWorker, block: SharedBlock | None = None) -> None:
        """Send a message soon, with the shared block that follows it. It replaces an older unsent one of its type."""
        with self._changed:
            self._outbox[type(message)] = message, block
            self._changed.notify_all()

    def submit(self, frame: Frame) -> None:
        """Copy a frame for the process if it has asked for one.

        Raises:
            OSError: There is no room for the frame.
        """
        pixels = frame.pixels
        with self._writing:
            if self._ended or not self.wants_frame or self._is_too_large(pixels.nbytes):
                return
            self.submitted_frame = frame
            if self._slots is None or pixels.nbytes > self._slots.capacity:
                self._make_slots(pixels.nbytes)
            assert self._slots is not None
            slot = self._slots.write(pixels)
            self.wants_frame = False
        self.post(messages.FrameOffered(slot, frame.height, frame.width, frame.index, frame.epoch))

    def mark_started(self, index: int, epoch: int) -> None:
        """Note that the process has started on a frame."""
        self.started_at, self._started = time.monotonic(), (index, epoch)
        frame = self.submitted_frame
        if frame is not None and (frame.index, frame.epoch) == (index, epoch):
            self._current_frame = frame

    def mark_finished(self, index: int, epoch: int) -> Frame | None:
        """Note that the process has finished a frame. Return the frame, or None if it is not known."""
        if (index, epoch) == self._started:  # else it is an earlier frame, with edited prompts
            self.started_at = None
        frame = self._current_frame
        return frame if frame is not None and (frame.index, frame.epoch) == (index, epoch) else None

    def make_maps(self, size: int) -> None:
        """Give the process memory of ``size`` bytes for its maps.

        Raises:
            OSError: There is no room for the memory.
        """
        previous, self._maps = self._maps, None
        if previous is not None:
            previous.close()
        self._maps = SharedBlock.create(size)
        self.post(messages.MapMemorySent(size), self._maps)

    def copy_maps(self, shape: tuple[int, int, int]) -> Maps:
        """Return a read-only copy of the maps that the process has written, and let it write the next ones.

        Args:
            shape: Shape of the maps (prompts, h, w). They are float32.
        """
        assert self._maps is not None
        maps: Maps = self._maps.array(shape, np.float32).copy()
        self.post(messages.MapsCopied())
        maps.setflags(write=False)
        return maps

    def exit_reason(self) -> str:
        """Return why the process ended."""
        return exit_reason(self.process, _EXIT_SECONDS)

    def end(self) -> None:
        """Kill the process if necessary, and release everything."""
        pid = self.process.pid
        ended = end_process(self.process, _KILL_SECONDS)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._sender.join(_KILL_SECONDS)
        if not ended or self._sender.is_alive():  # a hanging process may still use the pipe and the memory
            logger.error("Worker process %s hangs and was abandoned", pid)
            return
        self.connection.close()
        with self._writing:
            if self._slots is not None:
                self._slots.close()
            if self._maps is not None:
                self._maps.close()
            self._slots = self._maps = None

    def _is_too_large(self, size: int) -> bool:
        """Return whether there was no room for a frame of this size a moment ago."""
        return (
            self._rejected_size is not None
            and size >= self._rejected_size[0]
            and time.monotonic() < self._rejected_size[1]
        )

    def _make_slots(self, capacity: int) -> None:
        """Make room for larger frames.

        The old memory can be closed: the process has received it, because it has asked for a frame since.
        """
        previous, self._slots = self._slots, None
        if previous is not None:
            previous.close()
        self._rejected_size = capacity, time.monotonic() + _ROOM_SECONDS
        self._slots = FrameDoubleBuffer.create(capacity)
        self._rejected_size = None
        self.post(messages.FrameMemorySent(self._slots.block.size), self._slots.block)

    def _send(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._outbox or self._ended)
                if self._ended:
                    return
                outbox, self._outbox = self._outbox, {}
            try:
                for message, block in outbox.values():
                    self.connection.send(message)
                    if block is not None:
                        block.send(self.connection)
            except (OSError, ValueError):
                if not self._ended:  # end a process that misses part of a message; the listening thread notices
                    logger.warning("A message to the worker process could not be sent", exc_info=True)
                    with suppress(OSError, ValueError):
                        self.process.kill()
                return
