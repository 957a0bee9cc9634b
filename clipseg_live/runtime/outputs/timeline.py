"""When each frame of a session is in a recording: the frames' own distances, without the gaps that nobody wants."""

from fractions import Fraction

LONGEST_GAP = Fraction(2)
"""Seconds without a frame that are kept; a longer gap, a seek or another source follows on at once."""
_USUAL_STEP = Fraction(1, 30)


class RecordingTimeline:
    """Places frames in a recording, from 0 at the first; places always grow."""

    def __init__(self) -> None:
        self._last: tuple[Fraction, int] | None = None
        self._breaks = False
        self.at = Fraction(0)

    def place(self, time: Fraction, epoch: int, rate: Fraction | None = None) -> Fraction | None:
        """Seconds from the recording's beginning; None for the very same frame, drawn again.

        time, epoch: the frame's own. rate: of the source; its period is the distance where the frame's own is none.
        """
        last, breaks = self._last, self._breaks
        if last is not None and last == (time, epoch):
            return None
        self._last, self._breaks = (time, epoch), False
        if last is None:
            return self.at
        step = time - last[0]
        real = epoch == last[1] and 0 < step <= LONGEST_GAP and not breaks
        self.at += step if real else (1 / rate if rate else _USUAL_STEP)
        return self.at

    def pause(self) -> None:
        """What comes between the last frame and the next is left out."""
        self._breaks = True
