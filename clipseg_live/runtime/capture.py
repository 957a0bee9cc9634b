"""Capture thread: reads one source at its own pace, and reopens it after an error."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

from clipseg_live.core.errors import PhotoError, SourceError
from clipseg_live.core.frame import Frame, Pixels, SourceInfo
from clipseg_live.core.metrics import Meter
from clipseg_live.core.protocols import LiveSource
from clipseg_live.core.settings.live import FrameTransform, SourceSpec
from clipseg_live.core.status import SourceState, SourceStatus
from clipseg_live.runtime.source_report import SourceReport, describe_read_failure

logger = logging.getLogger(__name__)

OPEN_SECONDS = 10.0
"""Longest time for a source to open before its status says that it does not respond."""
READ_SECONDS = 5.0
"""Longest time for a live source to give a frame before its status says that it does not respond."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_LATE_SECONDS = 0.5
"""Delay in seconds from which playback of a file continues at normal speed instead of catching up."""
_INSTANT = Fraction(1, 1_000_000)
_RELEASE_SECONDS = 2.0

OpenSource = Callable[[SourceSpec], LiveSource]
FrameFilter = Callable[[Pixels, FrameTransform], Pixels]
OnFrame = Callable[[Frame, SourceInfo], None]


class Stopped(Exception):
    """Raised when the reader was asked to stop."""


class Capture:
    """The source of a session.

    Every method may be called from any thread and returns at once, except for ``join``. A thread that hangs in a device
    is abandoned. It closes its source when the device responds, and ``join`` returns its name.

    Args:
        open_source: Makes a source. Called in the capture thread.
        frame_filter: Crops, rotates and mirrors the pixels of a frame.
        on_frame: Called in the capture thread with each frame of the newest epoch, after the filter.
        on_status: Called when the status has changed.
        photos_wait: Show the next photo of a set only after ``step`` or ``seek``. Otherwise show it as soon as the
            last one was taken.
        open_seconds: Longest time for a source to open before it counts as lost.
        read_seconds: Longest time for a live source to give a frame before it counts as lost.
    """

    def __init__(
        self,
        open_source: OpenSource,
        frame_filter: FrameFilter,
        on_frame: OnFrame,
        on_status: Callable[[], None] = lambda: None,
        *,
        photos_wait: bool = True,
        open_seconds: float = OPEN_SECONDS,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._open_source, self._filter, self._on_frame = open_source, frame_filter, on_frame
        self._on_status, self._photos_wait = on_status, photos_wait
        self._limits = open_seconds, read_seconds
        self._framing = FrameTransform()
        self._loop, self._speed = False, 1.0
        self._lock = threading.Lock()
        self._epoch = 0
        self._reader: _Reader | None = None
        self._old_readers: list[_Reader] = []
        self._stopping = False
        self.meter = Meter()

    @property
    def epoch(self) -> int:
        """Return the epoch of the newest frames. It grows at each source change and seek."""
        return self._epoch

    @property
    def status(self) -> SourceStatus:
        """Return the current status of the source."""
        reader = self._reader
        if reader is None:
            return SourceStatus(loop=self._loop, speed=self._speed)
        return replace(reader.status(), loop=self._loop, speed=self._speed)

    def open(self, spec: SourceSpec) -> None:
        """Change to another source. The thread of the new source waits until the old one is closed."""
        with self._lock:
            if self._stopping:
                return
            previous = self._reader
            if previous is not None:
                previous.request_stop()
                self._old_readers = [reader for reader in self._old_readers if reader.alive] + [previous]
            self._epoch += 1
            self._reader = _Reader(self, spec, tuple(self._old_readers), self._limits)
        self._reader.start()

    def play(self) -> None:
        """Play the source."""
        self._command(lambda reader: reader.play())

    def pause(self) -> None:
        """Pause the source."""
        self._command(lambda reader: reader.pause())

    def seek(self, time: Fraction) -> None:
        """Go to a time of the source, in seconds."""
        self._command(lambda reader: reader.seek(max(time, Fraction(0))))

    def step(self, frames: int) -> None:
        """Go forward by a number of frames, or back if it is negative."""
        self._command(lambda reader: reader.step(frames))

    def set_control(self, name: str, value: float) -> None:
        """Set a control of the device, such as the exposure of a camera."""
        self._command(lambda reader: reader.set_control(name, value))

    def set_loop(self, loop: bool) -> None:
        """Set whether a file starts again at its end."""
        self._loop = loop
        self._on_status()

    def set_speed(self, speed: float) -> None:
        """Set the speed of playback, limited to 0.25..4."""
        self._speed = min(max(speed, 0.25), 4.0)
        self._command(lambda reader: reader.rebase())
        self._on_status()

    def set_framing(self, framing: FrameTransform) -> None:
        """Set crop, rotation and mirroring. A paused frame is shown again."""
        if framing != self._framing:
            self._framing = framing
            self._command(lambda reader: reader.show_again())

    def request_stop(self) -> None:
        """End the capture soon. Return at once."""
        with self._lock:
            self._stopping = True
            if self._reader is not None:
                self._reader.request_stop()

    def join(self, deadline: float) -> tuple[str, ...]:
        """Wait at most ``deadline`` seconds in all, and return the names of the threads that hang in a device."""
        limit = time.monotonic() + deadline
        readers = [*self._old_readers, *([self._reader] if self._reader is not None else [])]
        for reader in readers:
            reader.join(max(0.0, limit - time.monotonic()))
        return tuple(reader.name for reader in readers if reader.alive)

    def _command(self, command: "Callable[[_Reader], None]") -> None:
        reader = self._reader
        if reader is not None:
            reader.post(command)

    def _next_epoch(self, reader: "_Reader") -> None:
        with self._lock:
            if reader is self._reader:
                self._epoch += 1

    def _deliver(self, reader: "_Reader", frame: Frame, info: SourceInfo, is_counted: bool) -> None:
        """Filter a frame, add its epoch and time, and deliver it unless another source has replaced this one."""
        framing = self._framing
        pixels = self._filter(frame.pixels, framing)
        if info.fields is not None and (framing.turn or framing.crop is not None):
            info = replace(info, fields=None)  # cropping and rotating mix the fields, so write progressive frames
        pixels.setflags(write=False)
        with self._lock:
            if reader is not self._reader or self._stopping:
                return
            epoch = self._epoch
        if is_counted:
            self.meter.tick()
        self._on_frame(replace(frame, pixels=pixels, epoch=epoch, captured=time.monotonic()), info)


class _Reader:
    """One source from opening to closing, in its own thread."""

    def __init__(
        self, owner: Capture, spec: SourceSpec, old_readers: "tuple[_Reader, ...]", limits: tuple[float, float]
    ) -> None:
        self.name = f"clipseg-live capture {spec.name}"
        self._owner, self._spec, self._old_readers = owner, spec, old_readers
        self._open_limit, self._read_limit = limits
        self._report = SourceReport(spec.name, lambda: owner._on_status())
        self._changed = threading.Condition()
        self._commands: deque[Callable[[_Reader], None]] = deque()
        self._stop = False
        self._source: LiveSource | None = None
        self._info: SourceInfo | None = None
        self._last_frame: Frame | None = None
        self._paused = False
        self._ended = False
        self._has_shown = False  # a frame or the problem of a photo was shown since the source was opened
        self._pending_frame: Frame | None = None
        self._clock: tuple[float, Fraction] | None = None
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def request_stop(self) -> None:
        with self._changed:
            self._stop = True
            self._changed.notify_all()

    def join(self, deadline: float) -> None:
        self._thread.join(deadline)

    def post(self, command: "Callable[[_Reader], None]") -> None:
        with self._changed:
            self._commands.append(command)
            self._changed.notify_all()

    def status(self) -> SourceStatus:
        """Return the current status. A device that has not responded for too long counts as lost."""
        return self._report.current_status()

    # Commands. They run in the reader's thread, between two frames.

    def play(self) -> None:
        if self._waits_for_user:
            return
        if self._ended:
            self._jump(Fraction(0))
        self._paused = False
        self.rebase()
        self._to_running()

    def pause(self) -> None:
        self._paused = True
        if not self._ended:
            self._to_running()

    def seek(self, time: Fraction) -> None:
        self._jump(time)
        self._show_next()

    def step(self, frames: int) -> None:
        if self._source is None or self._source.live:
            return
        self._paused = True
        if self._waits_for_user:
            photo = min(max(self._report.status.photo + frames, 1), self._report.status.photos)
            if photo != self._report.status.photo or self._report.status.problem:
                self.seek(Fraction(photo - 1))
            return
        if frames < 0 and self._last_frame is not None:
            for _ in range(-frames):
                self._jump(self._last_frame.time - _INSTANT)
                self._show_next(deliver=False)
            self.show_again()
        for number in range(frames):
            self._show_next(deliver=number == frames - 1)
        if not self._ended:
            self._to_running()

    def set_control(self, name: str, value: float) -> None:
        if self._source is not None:
            self._source.set_control(name, value)
            self._report.change(controls=tuple(self._source.controls().items()))

    @property
    def _waits_for_user(self) -> bool:
        """Return whether the source is a set of photos that the user goes through."""
        return self._owner._photos_wait and self._report.status.photos > 0

    def rebase(self) -> None:
        """Make the next frame due now, and time later frames from it."""
        self._clock = None

    def show_again(self) -> None:
        if self._last_frame is not None and (self._paused or self._ended) and self._info is not None:
            self._owner._next_epoch(self)
            self._owner._deliver(self, self._last_frame, self._info, is_counted=False)

    def _jump(self, time: Fraction) -> None:
        if self._source is None or self._source.live:
            return
        with self._report.operation("seeking", self._read_limit):
            self._source.seek(time)
        self._owner._next_epoch(self)
        self._pending_frame, self._ended = None, False
        self.rebase()

    def _show_next(self, deliver: bool = True) -> None:
        """Show one frame at once, after a seek or a step."""
        if self._source is None or self._source.live:
            return
        frame = self._pending_frame or self._read_on(self._source)
        self._pending_frame = None
        if frame is None:
            if self._report.status.problem and self._waits_for_user:
                self._to_running()
            else:
                self._finish()
            return
        self._note_frame(frame)
        if deliver and self._info is not None:
            self._owner._deliver(self, frame, self._info, is_counted=False)
        self._to_running()

    # Methods of the thread.

    def _run(self) -> None:
        for reader in self._old_readers:
            reader.join(_RELEASE_SECONDS)  # they may use the same device
        pause = _FIRST_PAUSE
        with suppress(Stopped):
            self._report.set_state(SourceState.OPENING)
            self._source = source = self._create_source()
            while True:
                try:
                    self._open(source)
                    pause = _FIRST_PAUSE
                    self._play(source)
                except Stopped:
                    raise
                except Exception as error:  # libraries for sources raise errors of any kind
                    logger.warning("The source failed", exc_info=True)
                    self._close()
                    self._report_failure(describe_read_failure(error, self._spec.name))
                    self._wait_to_retry(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
        self._close()
        self._report.set_state(SourceState.CLOSED)

    def _create_source(self) -> LiveSource:
        try:
            return self._owner._open_source(self._spec)
        except Exception as error:
            logger.warning("The source could not be created", exc_info=True)
            self._report_failure(describe_read_failure(error, self._spec.name))
            self._wait(lambda: False, None)
            raise Stopped from error

    def _open(self, source: LiveSource) -> None:
        self._check()
        with self._report.operation("opening", self._open_limit):
            info = source.open()
        self._check()
        if self._info is not None:  # opened again: frame numbers and times start again
            self._owner._next_epoch(self)
        kind = "live" if source.live else "a file"
        logger.info("Source opened: %s, %d×%d, %s frames a second", kind, info.width, info.height, info.rate)
        self._info, self._pending_frame, self._ended = info, None, False
        self.rebase()
        is_set = info.independent and info.rate is None and info.frame_count != 1
        photos = info.frame_count or 0 if is_set else 0
        self._report.change(
            name=info.name, width=info.width, height=info.height, rate=info.rate, duration=info.duration,
            seekable=not source.live and info.frame_count != 1, controls=tuple(source.controls().items()), problem="",
            photos=photos, photo=min(photos, 1),
        )  # fmt: skip
        self._has_shown = False
        self._paused = self._paused or self._waits_for_user
        self._to_running()

    def _play(self, source: LiveSource) -> None:
        while True:
            self._run_commands()
            frame = self._next_live(source) if source.live else self._next_due(source)
            if frame is not None and self._info is not None:
                self._note_frame(frame)
                self._owner._deliver(self, frame, self._info, is_counted=True)

    def _next_live(self, source: LiveSource) -> Frame | None:
        """Return the next frame of a live source. While paused, read and drop it, and return None."""
        frame = self._read(source)
        if frame is None:
            raise SourceError(f"{self._report.status.name} stopped sending frames.")
        return None if self._paused and self._last_frame is not None else frame

    def _next_due(self, source: LiveSource) -> Frame | None:
        """Return the next frame of a file at its time, or None if a command came first or there is no frame."""
        if (self._paused or self._ended) and self._has_shown:
            self._wait(lambda: bool(self._commands), None)
            return None
        if self._pending_frame is None:
            self._pending_frame = self._read_on(source)
        if self._pending_frame is None:
            if not (self._paused and self._has_shown):
                self._handle_end()
            return None
        if self._report.status.photos:  # photos have no times
            frame, self._pending_frame = self._pending_frame, None
            return frame
        now = time.monotonic()
        if self._clock is None:
            self._clock = now, self._pending_frame.time
        start, first = self._clock
        due = start + float(self._pending_frame.time - first) / self._owner._speed
        if now > due + _LATE_SECONDS:  # too slow to keep up: do not try to catch up
            self._clock = now, self._pending_frame.time
        elif due > now:
            self._wait(lambda: bool(self._commands), due - now)
            if self._commands:
                return None
        frame, self._pending_frame = self._pending_frame, None
        return frame

    def _read(self, source: LiveSource) -> Frame | None:
        with self._report.operation("reading", self._read_limit if source.live else self._open_limit):
            frame = source.read()
        self._check()
        return frame

    def _read_on(self, source: LiveSource) -> Frame | None:
        """Read the next frame. Report a photo that cannot be read in the status.

        Return None at the end, and after such a photo if the user goes through the set.
        """
        while True:
            try:
                return self._read(source)
            except PhotoError as error:
                logger.warning("A photo of a set cannot be read", exc_info=True)
                self._last_frame, self._has_shown = None, True
                self._report.change(
                    problem=str(error), photo=error.number + 1, file=error.file.name, position=Fraction(error.number)
                )
                if self._waits_for_user:
                    return None

    def _note_frame(self, frame: Frame) -> None:
        self._last_frame, self._has_shown = frame, True
        self._report.set_position(frame)

    def _handle_end(self) -> None:
        is_single = self._info is not None and self._info.frame_count == 1
        repeats = self._owner._loop and self._last_frame is not None and not self._paused and not is_single
        if repeats and self._source is not None:
            self._jump(Fraction(0))
        else:
            self._finish()

    def _finish(self) -> None:
        self._ended = True
        self._report.set_state(SourceState.ENDED, **({"problem": ""} if self._report.status.photos else {}))

    def _run_commands(self) -> None:
        while True:
            self._check()
            with self._changed:
                if not self._commands:
                    return
                command = self._commands.popleft()
            command(self)

    def _wait_to_retry(self, pause: float) -> None:
        """Wait before the source is opened again: for a pause if it is live, else for a command."""
        live = self._source is not None and self._source.live
        self._wait(lambda: not live and bool(self._commands), pause if live else None)

    def _wait(self, condition: Callable[[], bool], timeout: float | None) -> None:
        """Wait until the condition holds or the time is over.

        Raises:
            Stopped: The reader was asked to stop.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._stop or condition(), timeout)
        self._check()

    def _check(self) -> None:
        if self._stop:
            raise Stopped

    def _report_failure(self, problem: str) -> None:
        """Report that the source is lost or could not be opened."""
        state = self._report.state
        if state in (SourceState.OPENING, SourceState.FAILED):
            self._report.set_state(SourceState.FAILED, problem=problem)
        elif self._source is not None and self._source.live:
            self._report.set_state(SourceState.RECONNECTING, problem=problem)
        else:  # a file that breaks in the middle stays on its last frame
            self._ended = True
            self._report.set_state(SourceState.ENDED, problem=problem)

    def _to_running(self) -> None:
        self._report.set_state(SourceState.PAUSED if self._paused else SourceState.RUNNING)

    def _close(self) -> None:
        if self._source is not None:
            self._source.close()
