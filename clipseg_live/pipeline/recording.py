"""Recording what is shown, behind a bounded queue: a slow disk or encoder never holds the picture."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from clipseg_live.core.errors import ClipsegLiveError, Failure
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.live import RecordingStatus
from clipseg_live.core.ports import FrameSink

QUEUE_BYTES = 256 << 20
"""Of frames that wait to be written; what comes on top is dropped, and counted."""
LONGEST_GAP = Fraction(2)
"""Seconds without a frame that are kept; a longer pause, a seek or another source follows on at once."""
_USUAL_STEP = Fraction(1, 30)
_CLOCK = Fraction(1, 90_000)


class Recording:
    """One file from start to finish.

    sink: not open yet. info: of the source; the file takes the size of the first frame. on_end: called in the writer
    thread with the error, or None when the file is whole and in its place.
    Times are the frames' own, from 0 at the first; they always grow.
    """

    def __init__(self, sink: FrameSink, info: SourceInfo, on_end: Callable[[ClipsegLiveError | None], None]) -> None:
        self._sink, self._info, self._on_end = sink, info, on_end
        self._queue: deque[Frame] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._finishing = False
        self._dropped = 0
        self._status = RecordingStatus(active=True, path=sink.path)
        self._size: tuple[int, int] | None = None
        self._last: tuple[Fraction, int] | None = None
        self._at = Fraction(0)
        self._count = 0
        self._checked = 0.0
        self._thread = threading.Thread(target=self._run, name="clipseg-live record", daemon=True)

    @property
    def status(self) -> RecordingStatus:
        return replace(self._status, dropped=self._dropped)

    def start(self) -> None:
        self._thread.start()

    def put(self, frame: Frame) -> None:
        """Queue a composed frame; never waits."""
        with self._changed:
            if self._finishing:
                return
            if self._bytes + frame.pixels.nbytes > QUEUE_BYTES:
                self._dropped += 1
                return
            self._queue.append(frame)
            self._bytes += frame.pixels.nbytes
            self._changed.notify_all()

    def finish(self) -> None:
        """Write what is queued, and complete the file."""
        with self._changed:
            self._finishing = True
            self._changed.notify_all()

    def join(self, deadline: float) -> bool:
        self._thread.join(deadline)
        return not self._thread.is_alive()

    def _run(self) -> None:
        error: ClipsegLiveError | None = None
        try:
            error = self._record()
        except Exception as failure:
            error = self._kept_of(failure)
        finally:
            with self._changed:
                self._finishing = True
                self._queue.clear()
            self._status = replace(self.status, active=False)
            self._on_end(error)

    def _record(self) -> ClipsegLiveError | None:
        """Write until the end, and complete the file; what the person should know about it."""
        name = self._sink.path.name
        while (frame := self._next()) is not None:
            size = frame.width, frame.height
            if self._size not in (None, size):
                self._sink.finish()
                return Failure(f"The recording {name} was finished: the picture has another size now.")
            self._write(frame, size)
        if self._count:
            self._sink.finish()
            return None
        self._sink.abandon()
        return Failure("Nothing was recorded: there was no picture.")

    def _kept_of(self, error: Exception) -> ClipsegLiveError:
        """Give the file up, but for what was written before; the error in words."""
        words = str(error).rstrip(".")
        if not isinstance(error, ClipsegLiveError):
            words = f"The recording {self._sink.path.name} broke off ({type(error).__name__}: {words[:160]})"
        kept = self._sink.abandon(keep_partial=True)
        return Failure(f"{words}; what was recorded before is in {kept}." if kept is not None else f"{words}.")

    def _next(self) -> Frame | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._finishing)
            if not self._queue:
                return None
            frame = self._queue.popleft()
            self._bytes -= frame.pixels.nbytes
            return frame

    def _write(self, frame: Frame, size: tuple[int, int]) -> None:
        if self._size is None:
            self._size = size
            width, height = size
            info = replace(
                self._info, width=width, height=height, time_base=_CLOCK, frame_count=None, duration=None,
                audio_path=None,
            )  # fmt: skip
            self._sink.open(info)
        step = self._step_to(frame)
        if step is None:
            return
        self._at += step
        self._sink.write(replace(frame, time=self._at, index=self._count))
        self._count += 1
        self._tell()

    def _step_to(self, frame: Frame) -> Fraction | None:
        """Seconds from the last frame to this one; None for the very same frame, drawn again at the same time."""
        last, self._last = self._last, (frame.time, frame.epoch)
        if last is None:
            return Fraction(0)
        step = frame.time - last[0]
        if frame.epoch == last[1] and step == 0:
            return None
        usual = 1 / self._info.rate if self._info.rate else _USUAL_STEP
        return step if frame.epoch == last[1] and 0 < step <= LONGEST_GAP else usual

    def _tell(self) -> None:
        now = time.monotonic()
        size = self._status.size
        if now > self._checked + 0.5:
            self._checked = now
            size = self._written_bytes()
        self._status = replace(self._status, seconds=float(self._at), size=size)

    def _written_bytes(self) -> int:
        working: Path | None = getattr(self._sink, "working", None)
        try:
            return working.stat().st_size if working is not None else 0
        except OSError:
            return 0
