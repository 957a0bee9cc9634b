"""Times of frames in a recording: the distances of the source, without long gaps."""

from fractions import Fraction

LONGEST_GAP = Fraction(2)
"""Longest gap between frames in seconds that is kept. Longer gaps, seeks and source changes are cut."""
_USUAL_STEP = Fraction(1, 30)


class RecordingTimeline:
    """Times of frames in a recording, from 0 at the first frame. They always grow."""

    def __init__(self) -> None:
        self._last: tuple[Fraction, int] | None = None
        self._after_pause = False
        self.position = Fraction(0)

    def time_of(self, time: Fraction, epoch: int, rate: Fraction | None = None) -> Fraction | None:
        """Return the time of a frame in seconds of the recording, or None for the same frame drawn again.

        Args:
            time: Time of the frame in the source, in seconds.
            epoch: Epoch of the frame.
            rate: Frame rate of the source. Its period is used after a gap.
        """
        last, after_pause = self._last, self._after_pause
        if last is not None and last == (time, epoch):
            return None
        self._last, self._after_pause = (time, epoch), False
        if last is None:
            return self.position
        step = time - last[0]
        is_continuous = epoch == last[1] and 0 < step <= LONGEST_GAP and not after_pause
        self.position += step if is_continuous else (1 / rate if rate else _USUAL_STEP)
        return self.position

    def pause(self) -> None:
        """Leave out the time between the last frame and the next."""
        self._after_pause = True
