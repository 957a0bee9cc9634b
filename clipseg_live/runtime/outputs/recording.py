"""Recording behind a bounded queue: a slow disk or encoder never delays the video."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from itertools import count
from pathlib import Path

from clipseg_live.core.errors import ClipsegLiveError, Failure, SinkError
from clipseg_live.core.frame import SourceInfo
from clipseg_live.core.rendered_frame import NO_MATTES, RenderedFrame
from clipseg_live.core.settings.recording import RecordingSettings, all_paths, file_stem
from clipseg_live.core.status import RecordingStatus
from clipseg_live.runtime.outputs.recording_segment import RecordingSegment, RecordingTools, describe_failure
from clipseg_live.runtime.outputs.timeline import RecordingTimeline

logger = logging.getLogger(__name__)

RECORDING_QUEUE_BYTES = 256 << 20
"""Largest size of the queued frames. Frames that do not fit are dropped and counted."""
BEHIND_SECONDS = 1.0
"""Delay from which the encoder is made faster."""
DRAIN_SECONDS = 1.5
"""Time for queued frames to be written after a stop."""
_SPEED_UP_EVERY = 2.0
_CHECK_EVERY = 1.0
_TOUCH_EVERY = 5.0
_WARN_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """Limits of the free disk space in bytes.

    Attributes:
        stop: A recording does not start or continue below this.
        warn: A warning is given below this.
    """

    stop: int = 64 << 20
    warn: int = 512 << 20


@dataclass(frozen=True, slots=True)
class RecordingTarget:
    """Folder of a recording, and the parts of its file names."""

    folder: Path
    prompts: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class QueuedFrame:
    """A queued frame. ``after_pause`` if earlier frames are missing because the recording was paused."""

    rendered: RenderedFrame
    info: SourceInfo
    after_pause: bool = False


class FrameQueue:
    """Queue of rendered frames for a writer. Frames that do not fit into its bytes are dropped and counted."""

    def __init__(self, capacity: int) -> None:
        self._frames: deque[tuple[QueuedFrame, int, float]] = deque()
        self._capacity, self._bytes = capacity, 0
        self._changed = threading.Condition()
        self._closed = self._woken = False
        self.dropped = 0

    def put(self, queued: QueuedFrame) -> bool:
        """Add a frame, and return whether it fits. Never wait."""
        size = _frame_bytes(queued.rendered)
        with self._changed:
            if self._closed:
                return False
            if self._bytes + size > self._capacity:
                self.dropped += 1
                return False
            self._frames.append((queued, size, time.monotonic()))
            self._bytes += size
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """Accept no more frames."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Drop all frames."""
        with self._changed:
            self.dropped += len(self._frames)
            self._frames.clear()
            self._bytes = 0

    def wake(self) -> None:
        """End one wait in ``take`` without a frame."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def take(self, timeout: float) -> QueuedFrame | None:
        """Return the next frame, or None after ``timeout`` seconds without one, after ``wake``, or at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._closed or self._woken, timeout)
            self._woken = False
            if not self._frames:
                return None
            queued, size, _ = self._frames.popleft()
            self._bytes -= size
            return queued

    @property
    def ended(self) -> bool:
        """Return whether the queue is closed and empty."""
        return self._closed and not self._frames

    @property
    def closed(self) -> bool:
        """Return whether the queue is closed."""
        return self._closed

    @property
    def delay(self) -> float:
        """Return the seconds that the next frame has waited."""
        with self._changed:
            return time.monotonic() - self._frames[0][2] if self._frames else 0.0


class Recording:
    """A recording from start to finish, in one part or several.

    Args:
        target: Folder and parts of the file names.
        settings: Settings of the recording.
        tools: Functions for recordings.
        on_message: Called in the writer thread with a message for the user.
        on_end: Called once in the writer thread, with the finished files and the errors.
        limits: Limits of the free disk space.

    Attributes:
        tracks: Finished video files, and data files that are MOV videos.
    """

    def __init__(
        self,
        target: RecordingTarget,
        settings: RecordingSettings,
        tools: RecordingTools,
        *,
        on_message: Callable[[str], None],
        on_end: Callable[[list[Path], list[ClipsegLiveError]], None],
        limits: DiskLimits | None = None,
    ) -> None:
        """Create the recording.

        Raises:
            SinkError: The folder cannot be written to.
        """
        self.settings = settings
        self.tracks: list[Path] = []
        self._target, self._tools = target, tools
        self._on_message, self._on_end = on_message, on_end
        self._limits = limits or DiskLimits()
        self._queue = FrameQueue(RECORDING_QUEUE_BYTES)
        self._timeline = RecordingTimeline()
        self._stem = file_stem(settings.pattern, datetime.now(), target.prompts, target.source)
        self._part: RecordingSegment | None = None
        self._parts = 0
        self._finished_paths: list[Path] = []
        self._finished_bytes = 0
        self._paused = self._after_pause = False
        self._last_speed_up = self._last_check = self._last_touch = 0.0
        self._reported: set[str] = set()
        self._drain_until: float | None = None
        self._status = RecordingStatus(active=True, free=self._free())
        self._thread = threading.Thread(target=self._run, name="clipseg-live record", daemon=True)

    @property
    def status(self) -> RecordingStatus:
        """Return the current status of the recording."""
        return replace(self._status, dropped=self._queue.dropped, paused=self._paused)

    def start(self) -> None:
        """Start the writer thread."""
        self._thread.start()

    def put(self, rendered: RenderedFrame, info: SourceInfo) -> None:
        """Queue a rendered frame, or drop it while paused. Never wait."""
        if self._paused:
            return
        after_pause, self._after_pause = self._after_pause, False
        if not self._queue.put(QueuedFrame(self._strip(rendered), info, after_pause)) and after_pause:
            self._after_pause = True  # the frame was dropped, so the next one comes after the pause

    def pause(self) -> None:
        """Drop frames from now on."""
        self._paused = True

    def resume(self) -> None:
        """Continue. Frames of the pause are left out without a gap."""
        self._after_pause, self._paused = True, False

    def finish(self) -> None:
        """Write the queued frames and complete the files. Return at once."""
        if self._drain_until is None:
            self._drain_until = time.monotonic() + DRAIN_SECONDS
        self._queue.close()

    def join(self, deadline: float) -> bool:
        """Wait at most ``deadline`` seconds, and return whether the thread has ended."""
        self._thread.join(deadline)
        return not self._thread.is_alive()

    def _run(self) -> None:
        errors: list[ClipsegLiveError] = []
        try:
            self._record()
        except Exception as error:
            logger.exception("The recording ended with an error")
            if self._part is None or not self._part.tracks:
                errors.append(describe_failure("The recording", error))
            else:
                errors += self._finish_part()
                if not errors:  # all files are complete, but the recording failed, for example on a full disk
                    errors.append(describe_failure("The recording", error))
        else:
            errors += self._finish_part()
            if not self._finished_paths and not errors:
                errors.append(Failure("Nothing was recorded because no frame arrived."))
        finally:
            self._queue.close()
            self._queue.clear()
            self._status = replace(self.status, active=False)
            self._on_end(self._finished_paths, errors)

    def _record(self) -> None:
        while not self._queue.ended:
            queued = self._queue.take(_CHECK_EVERY)
            if queued is not None:
                self._write(queued)
            if self._drain_until is not None and time.monotonic() > self._drain_until:
                self._queue.clear()
            self._check()

    def _write(self, queued: QueuedFrame) -> None:
        rendered, info = queued.rendered, queued.info
        if queued.after_pause:
            self._timeline.pause()
        position = self._timeline.time_of(rendered.time, rendered.epoch, info.rate)
        if position is None:
            return
        if self._part is not None and self._needs_new_part(self._part, rendered, position):
            errors = self._finish_part()
            if errors:
                raise errors[0]
        if self._part is None:
            self._part = self._start_part(info)
        self._part.write(rendered, position, info)
        self._report_notices(self._part)
        self._status = replace(
            self._status, path=self._part.path, seconds=float(position), part=self._parts, encoder=self._part.encoder
        )
        self._keep_up(self._part)

    def _needs_new_part(self, part: RecordingSegment, rendered: RenderedFrame, position: Fraction) -> bool:
        """Return whether the frame belongs to a new part."""
        settings = self.settings
        if settings.on_change == "part" and part.size != (rendered.width, rendered.height):
            return True
        if settings.part_seconds is not None and float(position - part.start_time) >= settings.part_seconds:
            return True
        return settings.part_bytes is not None and part.bytes >= settings.part_bytes

    def _start_part(self, info: SourceInfo) -> RecordingSegment:
        """Start a part under a free name."""
        self._parts += 1
        base_stem = self._stem if self._parts == 1 else f"{self._stem} part {self._parts}"
        stems = (base_stem if number == 1 else f"{base_stem} ({number})" for number in count(1))
        stem = next(stem for stem in stems if not self._is_taken(stem))
        return RecordingSegment(self._target.folder, stem, self.settings, self._tools, info)

    def _is_taken(self, stem: str) -> bool:
        paths = all_paths(self._target.folder, stem, self.settings)
        return any(path.exists() or path.is_symlink() or working_path(path).exists() for path in paths)

    def _finish_part(self) -> list[ClipsegLiveError]:
        part, self._part = self._part, None
        if part is None:
            return []
        if part.count == 0:
            part.abort()
            return []
        self._finished_bytes += part.bytes
        paths, errors = part.finish()
        self._report_notices(part)
        self._finished_paths += paths
        tracks = [output.path for _, output in part.tracks]
        self.tracks += [path for path in paths if path in tracks or path.suffix == ".mov"]
        return errors

    def _keep_up(self, part: RecordingSegment) -> None:
        """Make the encoder faster if frames wait for too long. If that is not possible, the queue drops frames."""
        now = time.monotonic()
        if (
            self._queue.delay > BEHIND_SECONDS
            and not self._queue.closed
            and now > self._last_speed_up + _SPEED_UP_EVERY
        ):
            self._last_speed_up = now
            if not part.speed_up() and self._queue.dropped:
                self._report(
                    "The encoder is too slow, so the recording drops frames: use smaller frames or another codec."
                )

    def _check(self) -> None:
        now = time.monotonic()
        if self._part is not None and now > self._last_touch + _TOUCH_EVERY:  # there may be no frames for long
            self._last_touch = now
            self._part.touch()
        if now < self._last_check + _CHECK_EVERY:
            return
        self._last_check = now
        free = self._free()
        size = self._finished_bytes + (self._part.bytes if self._part is not None else 0)
        self._status = replace(self._status, size=size, free=free)
        rate = size / self._status.seconds if self._status.seconds > 1 else 0.0
        if free < self._limits.warn or free < self._limits.stop + rate * _WARN_SECONDS:
            self._report(
                f"The disk with {self._target.folder} is nearly full: free some space, or recording will stop."
            )

    def _free(self) -> int:
        """Return the free bytes of the disk.

        Raises:
            SinkError: There is too little space to continue, or the folder is gone.
        """
        folder = self._target.folder
        try:
            free = self._tools.free_bytes(folder)
        except OSError as error:
            raise SinkError(f"Cannot record in {folder}: {error.strerror or error}.") from error
        if free < self._limits.stop:
            raise SinkError(f"The disk with {folder} is nearly full, so recording stopped: free some space.")
        return free

    def _strip(self, rendered: RenderedFrame) -> RenderedFrame:
        """Return the frame without the parts that are not recorded, to save memory."""
        settings = self.settings
        data = bool(settings.data)
        frame = (
            rendered.frame if data or "camera" in settings.tracks else replace(rendered.frame, pixels=rendered.composed)
        )
        return replace(
            rendered, frame=frame, mattes=rendered.mattes if data or "mattes" in settings.tracks else NO_MATTES
        )

    def _report_notices(self, part: RecordingSegment) -> None:
        for text in part.notices():
            self._report(text)

    def _report(self, text: str) -> None:
        if text not in self._reported:
            self._reported.add(text)
            self._on_message(text)


def working_path(path: Path) -> Path:
    """Return the path of a recorded file while it is written. It can be played."""
    return path.with_name(f"{path.stem}.recording{path.suffix}")


def _frame_bytes(rendered: RenderedFrame) -> int:
    pixels = [rendered.composed]
    if rendered.original is not rendered.composed:
        pixels.append(rendered.original)
    alphas = [matte.alpha for matte in rendered.mattes.each]
    return sum(array.nbytes for array in [*pixels, *alphas])
