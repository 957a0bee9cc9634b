"""In and out points of a file."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class PlaybackRange:
    """Part of a file between its in and out points.

    Attributes:
        first: time of the first frame in seconds; None for the beginning of the file.
        last: time of the last frame in seconds; None for the end of the file.
    """

    first: Fraction | None = None
    last: Fraction | None = None

    @property
    def is_whole(self) -> bool:
        """Return whether there is neither an in nor an out point."""
        return self.first is None and self.last is None

    def with_first(self, time: Fraction) -> "PlaybackRange":
        """Return the range with another in point. An out point before it is removed."""
        return PlaybackRange(time, self.last if self.last is None or self.last >= time else None)

    def with_last(self, time: Fraction) -> "PlaybackRange":
        """Return the range with another out point. An in point after it is removed."""
        return PlaybackRange(self.first if self.first is None or self.first <= time else None, time)

    def end(self, rate: Fraction | None) -> Fraction | None:
        """Return the time before which an export of the range ends; None for the end of the file.

        It is half a frame after the last frame, because times of frames are rounded in some containers.

        Args:
            rate: frames per second; None if unknown.
        """
        return None if self.last is None else self.last + 1 / (2 * rate if rate else Fraction(100))


WHOLE_FILE = PlaybackRange()
