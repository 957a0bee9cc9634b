"""Seekable live sources: playback of files, with seeks and single steps."""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction

from clipseg_live.core.errors import SourceError
from clipseg_live.core.frame import Frame, SourceInfo
from clipseg_live.core.protocols import FrameSource

MakeSource = Callable[[Fraction | None], FrameSource]

_KEPT_BYTES = 48 * 2**20
"""Bytes of pixels of past frames that are kept, so that steps back are free."""
_NEAR = Fraction(1)
"""Seconds ahead that are reached by reading on, which is cheaper than another seek."""
_GROWTH = 4


class PlaybackSource:
    """A ``LiveSource`` over any source that can start at a given time.

    ``Frame.time`` is that of the source, exact before and after a seek. ``Frame.index`` counts the frames that were
    returned since ``open``. After a seek, it is not the number of the frame in the file.

    Args:
        make: Returns a new, unopened source whose first frame is the first with ``Frame.time >= start``, or the very
            first for None. Times must not depend on ``start``, as in ``VideoFileSource``, ``ImageSequenceSource`` and
            ``DemoSource``.
    """

    live = False

    def __init__(self, make: MakeSource) -> None:
        self._make = make
        self._inner: FrameSource | None = None
        self._info: SourceInfo | None = None
        self._recent: list[Frame] = []  # without gaps; the last is the newest of the inner source
        self._next = 0
        self._ended = False
        self._problem: SourceError | None = None
        self._delivered = 0
        self._capacity = 2
        self._first_time = Fraction(0)

    def open(self) -> SourceInfo:
        """Open the file at its beginning.

        Raises:
            SourceError: If it cannot be opened or has no frames.
        """
        self.close()
        self._info = self._start(None)
        self._delivered = 0
        first = self._advance()
        if first is None:
            problem = self._nothing()
            self.close()
            raise problem
        self._first_time = first.time
        self._capacity = max(_KEPT_BYTES // first.pixels.nbytes, 2)
        return self._info

    def read(self) -> Frame | None:
        """Return the next frame, or None after the last.

        Raises:
            SourceError: If the file is damaged.
        """
        if self._info is None:
            return None
        if self._next >= len(self._recent) and self._advance() is None:
            if self._problem is not None:
                raise self._problem
            return None
        frame = self._recent[self._next]
        self._next += 1
        self._delivered += 1
        return replace(frame, index=self._delivered - 1)

    def close(self) -> None:
        """Close the file; may be called more than once."""
        self._info = None
        self._forget()
        self._close_inner()

    def seek(self, time: Fraction) -> None:
        """Make the next ``read`` return the last frame at or before a time.

        The first frame is returned for earlier times, the last for later ones.

        Args:
            time: Time in seconds.

        Raises:
            SourceError: If the source is not open or cannot be read.
        """
        if self._info is None:
            raise SourceError("Cannot seek because the source is not open.")
        if self._recent and self._recent[0].time <= time < self._recent[-1].time + _NEAR:
            self._read_until(time)
        elif self._recent and self._ended and self._problem is None and time >= self._recent[-1].time:
            self._next = len(self._recent) - 1
        else:
            self._reopen_before(time)

    def controls(self) -> Mapping[str, float]:
        """Return no controls: files have none."""
        return {}

    def set_control(self, name: str, value: float) -> None:
        """Do nothing: files have no controls."""

    def _forget(self) -> None:
        self._recent, self._next = [], 0
        self._ended, self._problem = False, None

    def _close_inner(self) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.close()

    def _start(self, start: Fraction | None) -> SourceInfo:
        """Open the file again.

        Raises:
            SourceError: If it cannot be opened, or has no frame after ``start``.
        """
        self._close_inner()
        self._forget()
        self._inner = self._make(start)
        return self._inner.open()

    def _advance(self) -> Frame | None:
        """Read one more frame from the inner source; return None at its end or an error (see ``_problem``)."""
        if self._ended or self._inner is None:
            return None
        try:
            frame = self._inner.read()
        except SourceError as error:
            self._ended, self._problem = True, error
            return None
        if frame is None:
            self._ended = True
            return None
        self._recent.append(frame)
        while len(self._recent) > self._capacity and self._next > 0:
            del self._recent[0]
            self._next -= 1
        return frame

    def _nothing(self) -> SourceError:
        return self._problem or SourceError(f"{self._info.name if self._info else 'The file'} contains no frames.")

    def _read_until(self, time: Fraction) -> None:
        """Move ``_next`` to the last frame at or before ``time``, starting with those in ``_recent``."""
        while not self._ended:
            last = self._recent[-1]
            if last.time > time or (last.duration is not None and last.time + last.duration > time):
                break
            self._next = len(self._recent)  # so that earlier frames may be dropped
            self._advance()
        self._next = max(bisect_right(self._recent, time, key=lambda frame: frame.time) - 1, 0)

    def _reopen_before(self, time: Fraction) -> None:
        """Start shortly before ``time``, and ever earlier until there is a frame at or before it."""
        assert self._info is not None
        period = 1 / self._info.rate if self._info.rate else Fraction(1, 10)
        margin = 2 * period
        if self._recent and time < self._recent[0].time < time + _NEAR:  # a step back: more will probably follow
            margin = period * max(self._capacity // 2, 2)
        duration = self._info.duration
        target = time if duration is None else min(time, self._first_time + duration)
        earliest = max(self._first_time, Fraction(0))
        while target - margin > earliest:
            if self._found_from(target - margin, time):
                return
            margin *= _GROWTH
        self._start(None)
        if self._advance() is None:
            raise self._nothing()
        self._read_until(time)

    def _found_from(self, start: Fraction, time: Fraction) -> bool:
        """Start at ``start``; return True if the next frame is then the last at or before ``time``."""
        try:
            self._start(start)
        except SourceError:  # no frame after start, or a missing file, which opening at its beginning reports
            return False
        first = self._advance()
        if first is None or first.time > time:
            return False
        self._read_until(time)
        return True
