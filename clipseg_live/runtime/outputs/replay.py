"""Instant replay: the last seconds of rendered frames, encoded in memory and saved on request."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from clipseg_live.core.errors import ClipsegLiveError
from clipseg_live.core.frame import SourceInfo
from clipseg_live.core.rendered_frame import NO_MATTES, RenderedFrame
from clipseg_live.core.settings.recording import SUFFIXES, RecordingSettings, file_stem
from clipseg_live.runtime.outputs.recording import BEHIND_SECONDS, FrameQueue, QueuedFrame, RecordingTarget
from clipseg_live.runtime.outputs.recording_segment import RecordingTools, describe_failure
from clipseg_live.runtime.outputs.timeline import RecordingTimeline

if TYPE_CHECKING:
    from clipseg_live.media.writers.replay_buffer import ReplayBuffer

logger = logging.getLogger(__name__)

REPLAY_QUEUE_BYTES = 128 << 20
_SPEED_UP_EVERY = 2.0
_RETRY_EVERY = 10.0
_CLOCK = Fraction(1, 90_000)


class Replay:
    """Keeps the last seconds of rendered frames, with the sound if the source is a file.

    Args:
        settings: Settings of the replay.
        tools: Functions for recordings.
        on_saved: Called in the writer thread with the file, or with an error. It is also called as soon as no frames
            can be kept, which is tried again later.
    """

    def __init__(
        self,
        settings: RecordingSettings,
        tools: RecordingTools,
        on_saved: Callable[[Path | None, ClipsegLiveError | None], None],
    ) -> None:
        self.settings, self._tools, self._on_saved = settings, tools, on_saved
        self._buffer: ReplayBuffer  # made in the thread, because that loads libraries
        self._queue = FrameQueue(REPLAY_QUEUE_BYTES)
        self._timeline = RecordingTimeline()
        self._size: tuple[int, int] | None = None
        self._audio: Path | None = None
        self._start_time = Fraction(0)
        self._frame_count = 0
        self._last_speed_up = 0.0
        self._seconds = 0.0
        self._requests: list[RecordingTarget] = []
        self._lock = threading.Lock()
        self._problem: ClipsegLiveError | None = None
        self._retry_at = 0.0
        self._reported = ""
        self._thread = threading.Thread(target=self._run, name="clipseg-live replay", daemon=True)

    @property
    def seconds(self) -> float:
        """Return the number of seconds that can be saved."""
        return self._seconds

    def start(self) -> None:
        """Start the writer thread."""
        self._thread.start()

    def put(self, rendered: RenderedFrame, info: SourceInfo) -> None:
        """Queue a rendered frame, or drop it if the queue is full. Never wait."""
        composed_only = replace(rendered, frame=replace(rendered.frame, pixels=rendered.composed), mattes=NO_MATTES)
        self._queue.put(QueuedFrame(composed_only, info))

    def save(self, target: RecordingTarget) -> None:
        """Write the kept seconds into a folder soon. Return at once."""
        with self._lock:
            self._requests.append(target)
        self._queue.wake()

    def request_stop(self) -> None:
        """End the replay soon. Return at once."""
        self._queue.clear()
        self._queue.close()

    def join(self, deadline: float) -> bool:
        """Wait at most ``deadline`` seconds, and return whether the thread has ended."""
        self._thread.join(deadline)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._buffer = self._tools.open_replay(self.settings)
        try:
            while not self._queue.ended:
                queued = self._queue.take(1.0)
                if queued is not None:
                    self._add(queued)
                self._save_requested()
            self._save_requested()
        finally:
            self._buffer.abort()

    def _add(self, queued: QueuedFrame) -> None:
        rendered, info = queued.rendered, queued.info
        position = self._timeline.time_of(rendered.time, rendered.epoch, info.rate)
        if position is None:
            return
        size = rendered.width, rendered.height
        audio = info.audio_path if self.settings.sound == "source" else None
        is_continuous = size == self._size and audio in (None, self._audio)
        if is_continuous and self._problem is not None and time.monotonic() < self._retry_at:
            return
        try:
            if not is_continuous or self._problem is not None:
                self._restart(size, audio, info, position)
            frame = replace(rendered.frame, time=position - self._start_time, index=self._frame_count)
            self._buffer.write(replace(rendered, frame=frame, source_time=rendered.time if audio is not None else None))
        except Exception as error:
            logger.warning("Instant replay lost its frames", exc_info=True)
            self._drop_frames(error)
            return
        self._frame_count += 1
        self._seconds = self._buffer.seconds()
        now = time.monotonic()
        if self._queue.delay > BEHIND_SECONDS and now > self._last_speed_up + _SPEED_UP_EVERY:
            self._last_speed_up = now
            self._buffer.speed_up()

    def _restart(self, size: tuple[int, int], audio: Path | None, info: SourceInfo, position: Fraction) -> None:
        """Start with an empty replay, for frames of another size or another sound."""
        self._size, self._audio, self._start_time = size, audio, position
        width, height = size
        self._buffer.open(
            replace(
                info, width=width, height=height, time_base=_CLOCK, frame_count=None, duration=None, audio_path=audio
            )
        )
        self._problem = None

    def _drop_frames(self, error: Exception) -> None:
        """Drop the kept frames after an error, and report it once.

        It is reported again when the user wants to save the replay.
        """
        self._problem, self._seconds = describe_failure("The replay", error), 0.0
        self._retry_at = time.monotonic() + _RETRY_EVERY
        if str(self._problem) != self._reported:
            self._reported = str(self._problem)
            self._on_saved(None, self._problem)

    def _save_requested(self) -> None:
        with self._lock:
            requests, self._requests = self._requests, []
        for target in requests:
            try:
                if self._problem is not None:
                    raise self._problem
                path = self._free_path(target)
                self._buffer.save(path)
            except Exception as error:
                logger.exception("Saving the replay failed")
                self._on_saved(None, describe_failure("Saving the replay", error))
            else:
                self._on_saved(path, None)

    def _free_path(self, target: RecordingTarget) -> Path:
        stem = file_stem(self.settings.pattern, datetime.now(), target.prompts, target.source)
        suffix = SUFFIXES[self.settings.codec]
        names = (f"{stem} replay{'' if number == 1 else f' ({number})'}{suffix}" for number in count(1))
        return next(target.folder / name for name in names if not os.path.lexists(target.folder / name))
