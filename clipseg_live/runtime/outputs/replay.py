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
from clipseg_live.runtime.outputs.recording import BEHIND_SECONDS, Queued, ShotQueue, Where
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
        self._sink: ReplayBuffer  # made in the thread, because that loads libraries
        self._queue = ShotQueue(REPLAY_QUEUE_BYTES)
        self._timeline = RecordingTimeline()
        self._size: tuple[int, int] | None = None
        self._audio: Path | None = None
        self._begun = Fraction(0)
        self._number = 0
        self._sped_up = 0.0
        self._seconds = 0.0
        self._asked: list[Where] = []
        self._lock = threading.Lock()
        self._problem: ClipsegLiveError | None = None
        self._retry_at = 0.0
        self._told = ""
        self._thread = threading.Thread(target=self._run, name="clipseg-live replay", daemon=True)

    @property
    def seconds(self) -> float:
        """Return the number of seconds that can be saved."""
        return self._seconds

    def start(self) -> None:
        """Start the writer thread."""
        self._thread.start()

    def put(self, shot: RenderedFrame, info: SourceInfo) -> None:
        """Queue a rendered frame, or drop it if the queue is full. Never wait."""
        bare = replace(shot, frame=replace(shot.frame, pixels=shot.composed), mattes=NO_MATTES)
        self._queue.put(Queued(bare, info))

    def save(self, where: Where) -> None:
        """Write the kept seconds into a folder soon. Return at once."""
        with self._lock:
            self._asked.append(where)
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
        self._sink = self._tools.open_replay(self.settings)
        try:
            while not self._queue.ended:
                taken = self._queue.take(1.0)
                if taken is not None:
                    self._keep(taken)
                self._save_what_was_asked()
            self._save_what_was_asked()
        finally:
            self._sink.abort()

    def _keep(self, queued: Queued) -> None:
        shot, info = queued.shot, queued.info
        at = self._timeline.place(shot.time, shot.epoch, info.rate)
        if at is None:
            return
        size = shot.width, shot.height
        audio = info.audio_path if self.settings.sound == "source" else None
        goes_on = size == self._size and audio in (None, self._audio)
        if goes_on and self._problem is not None and time.monotonic() < self._retry_at:
            return
        try:
            if not goes_on or self._problem is not None:
                self._begin(size, audio, info, at)
            frame = replace(shot.frame, time=at - self._begun, index=self._number)
            self._sink.write(replace(shot, frame=frame, source_time=shot.time if audio is not None else None))
        except Exception as error:
            logger.warning("Instant replay lost its frames", exc_info=True)
            self._forget(error)
            return
        self._number += 1
        self._seconds = self._sink.seconds()
        now = time.monotonic()
        if self._queue.late > BEHIND_SECONDS and now > self._sped_up + _SPEED_UP_EVERY:
            self._sped_up = now
            self._sink.speed_up()

    def _begin(self, size: tuple[int, int], audio: Path | None, info: SourceInfo, at: Fraction) -> None:
        """Start with an empty replay, for frames of another size or another sound."""
        self._size, self._audio, self._begun = size, audio, at
        width, height = size
        self._sink.open(
            replace(
                info, width=width, height=height, time_base=_CLOCK, frame_count=None, duration=None, audio_path=audio
            )
        )
        self._problem = None

    def _forget(self, error: Exception) -> None:
        """Drop the kept frames after an error, and report it once.

        It is reported again when the user wants to save the replay.
        """
        self._problem, self._seconds = describe_failure("The replay", error), 0.0
        self._retry_at = time.monotonic() + _RETRY_EVERY
        if str(self._problem) != self._told:
            self._told = str(self._problem)
            self._on_saved(None, self._problem)

    def _save_what_was_asked(self) -> None:
        with self._lock:
            asked, self._asked = self._asked, []
        for where in asked:
            try:
                if self._problem is not None:
                    raise self._problem
                path = self._free_path(where)
                self._sink.save(path)
            except Exception as error:
                logger.exception("Saving the replay failed")
                self._on_saved(None, describe_failure("Saving the last seconds", error))
            else:
                self._on_saved(path, None)

    def _free_path(self, where: Where) -> Path:
        stem = file_stem(self.settings.pattern, datetime.now(), where.prompts, where.source)
        suffix = SUFFIXES[self.settings.codec]
        names = (f"{stem} replay{'' if number == 1 else f' ({number})'}{suffix}" for number in count(1))
        return next(where.folder / name for name in names if not os.path.lexists(where.folder / name))
