"""Figures about a running session: rates, percentiles and milliseconds by stage over the last seconds."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from clipseg_live.core.mattes import Effort

Clock = Callable[[], float]


class Meter:
    """How often something happens: ``tick`` at each time, ``rate`` per second over the last ``window`` seconds."""

    def __init__(self, window: float = 3.0, clock: Clock = time.monotonic) -> None:
        self._window, self._clock = window, clock
        self._times: deque[float] = deque()
        self._lock = threading.Lock()
        self.count = 0

    def tick(self) -> None:
        now = self._clock()
        with self._lock:
            self.count += 1
            self._times.append(now)
            self._forget(now)

    def rate(self) -> float:
        """Intervals a second between the first and the last tick of the window; it falls when ticks stay away."""
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
    """The last values of a quantity, of at most ``window`` seconds."""

    def __init__(self, window: float = 5.0, clock: Clock = time.monotonic) -> None:
        self._window, self._clock = window, clock
        self._values: deque[tuple[float, float]] = deque(maxlen=4096)
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        with self._lock:
            self._values.append((self._clock(), value))

    def percentiles(self, *shares: float) -> tuple[float, ...]:
        """One value for each share of 0 to 100; zeros where nothing was added."""
        oldest = self._clock() - self._window
        with self._lock:
            values = [value for at, value in self._values if at >= oldest]
        if not values:
            return (0.0,) * len(shares)
        return tuple(float(value) for value in np.percentile(values, shares))


class StageTimings:
    """Milliseconds by stage, of the last half minute."""

    def __init__(self, window: float = 30.0, clock: Clock = time.monotonic) -> None:
        self._window, self._clock = window, clock
        self._rows: deque[tuple[float, Mapping[str, float]]] = deque(maxlen=4096)
        self._lock = threading.Lock()

    def add(self, milliseconds: Mapping[str, float]) -> None:
        with self._lock:
            self._rows.append((self._clock(), dict(milliseconds)))

    def recent(self) -> Sequence[tuple[float, Mapping[str, float]]]:
        """(seconds ago, {stage: milliseconds}), oldest first."""
        now = self._clock()
        with self._lock:
            return [(now - at, row) for at, row in self._rows if now - at <= self._window]

    def medians(self) -> dict[str, float]:
        rows = [row for _, row in self.recent()]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: float(np.median([row[name] for row in rows if name in row])) for name in names}


class Budget:
    """Decides what mattes may cost, so that they never hold the picture: less effort where frames come faster than
    they can be drawn, and more again where there is room.

    A frame that takes longer than the frames' distance is late. Ten late ones more than others are a step down; ninety
    in a row that take less than four tenths of the distance are a step up. Frames beyond ``_SMOOTH`` a second may be
    left out, as when a file is played fast.
    """

    _SMOOTH = 30.0

    _EFFORTS: tuple[Effort, ...] = ("full", "reduced", "least")

    def __init__(self) -> None:
        self._step = 0
        self._over = self._under = 0
        self._before: tuple[float, int | None] | None = None

    @property
    def effort(self) -> Effort:
        return self._EFFORTS[self._step]

    def spent(self, seconds: float, captured: float | None, number: int | None = None) -> None:
        """Seconds of work that a frame took, and when it was captured; frames without a time do not count. number: of
        the frame in its source, where each of that should be drawn; None where it is right to leave others out."""
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
