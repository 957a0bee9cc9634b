"""Statistics of a running session over the last seconds: rates, percentiles, and milliseconds by stage."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from clipseg_live.core.mattes import Effort

Clock = Callable[[], float]


class Meter:
    """Rate of an event over the last ``window`` seconds. Call ``tick`` at each event."""

    def __init__(self, window: float = 3.0, clock: Clock = time.monotonic) -> None:
        self._window, self._clock = window, clock
        self._times: deque[float] = deque()
        self._lock = threading.Lock()
        self.count = 0

    def tick(self) -> None:
        """Count one event."""
        now = self._clock()
        with self._lock:
            self.count += 1
            self._times.append(now)
            self._forget(now)

    def rate(self) -> float:
        """Return the events per second, measured between the first and the last tick of the window.

        The rate falls when ticks stop.
        """
        now = self._clock()
        with self._lock:
            self._forget(now)
            if len(self._times) < 2:
                return 0.0
            span = self._times[-1] - self._times[0]
            usual = span / (len(self._times) - 1)
            waited = now - self._times[-1]
            if waited > 2 * usual:
                span += waited
            return (len(self._times) - 1) / span if span > 0 else 0.0

    def _forget(self, now: float) -> None:
        while self._times and self._times[0] < now - self._window:
            self._times.popleft()


class Spread:
    """Values of a quantity over the last ``window`` seconds."""

    def __init__(self, window: float = 5.0, clock: Clock = time.monotonic) -> None:
        self._window, self._clock = window, clock
        self._values: deque[tuple[float, float]] = deque(maxlen=4096)
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Add one value."""
        with self._lock:
            self._values.append((self._clock(), value))

    def mean(self) -> float | None:
        """Return the mean of the values; None without values."""
        oldest = self._clock() - self._window
        with self._lock:
            values = [value for time_added, value in self._values if time_added >= oldest]
        return float(np.mean(values)) if values else None

    def percentiles(self, *shares: float) -> tuple[float, ...]:
        """Return one percentile of the values for each share.

        Args:
            *shares: Percentages, 0 to 100.

        Returns:
            One value for each share; zeros if there are no values.
        """
        oldest = self._clock() - self._window
        with self._lock:
            values = [value for time_added, value in self._values if time_added >= oldest]
        if not values:
            return (0.0,) * len(shares)
        return tuple(float(value) for value in np.percentile(values, shares))


class StageTimings:
    """Milliseconds by stage over the last ``window`` seconds."""

    def __init__(self, window: float = 30.0, clock: Clock = time.monotonic) -> None:
        self._window, self._clock = window, clock
        self._rows: deque[tuple[float, Mapping[str, float]]] = deque(maxlen=4096)
        self._lock = threading.Lock()

    def add(self, milliseconds: Mapping[str, float]) -> None:
        """Add the timings of one frame.

        Args:
            milliseconds: Milliseconds by stage.
        """
        with self._lock:
            self._rows.append((self._clock(), dict(milliseconds)))

    def recent(self) -> Sequence[tuple[float, Mapping[str, float]]]:
        """Return the timings as (seconds ago, {stage: milliseconds}), oldest first."""
        now = self._clock()
        with self._lock:
            return [(now - added, row) for added, row in self._rows if now - added <= self._window]

    def medians(self) -> dict[str, float]:
        """Return the median milliseconds of each stage."""
        rows = [row for _, row in self.recent()]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: float(np.median([row[name] for row in rows if name in row])) for name in names}


class Budget:
    """Decides how much time mattes may take, so that they do not delay frames.

    The effort falls when frames arrive faster than they can be drawn, and rises again when there is time.

    A frame is late if it takes longer than the interval between frames. A surplus of ten late frames lowers the effort
    by one step. Ninety frames in a row that take less than 40 % of the interval raise it by one step. Frames beyond
    ``_SMOOTH`` per second may be left out, for example when a file is played fast.
    """

    _SMOOTH = 30.0

    _EFFORTS: tuple[Effort, ...] = ("full", "reduced", "least")

    def __init__(self) -> None:
        self._step = 0
        self._over = self._under = 0
        self._before: tuple[float, int | None] | None = None

    @property
    def effort(self) -> Effort:
        """The present effort."""
        return self._EFFORTS[self._step]

    def spent(self, seconds: float, captured: float | None, number: int | None = None) -> None:
        """Record the time that a frame took. Frames without a capture time are ignored.

        Args:
            seconds: Seconds of work for the frame.
            captured: Time of the capture in seconds; None if unknown.
            number: Number of the frame in its source, if every frame of the source should be drawn. None if frames
                may be left out.
        """
        before, self._before = self._before, None if captured is None else (captured, number)
        if captured is None or before is None or not 0 < captured - before[0] < 1:
            return
        distance = captured - before[0]
        if number is not None and before[1] is not None and number > before[1]:
            distance = max(distance / (number - before[1]), min(distance, 1 / self._SMOOTH))
        share = seconds / distance
        self._over = self._over + 1 if share > 1 else max(self._over - 1, 0)
        self._under = self._under + 1 if share < 0.4 else 0
        if self._over >= 10 and self._step < len(self._EFFORTS) - 1:
            self._step, self._over, self._under = self._step + 1, 0, 0
        elif self._under >= 90 and self._step > 0:
            self._step, self._over, self._under = self._step - 1, 0, 0
