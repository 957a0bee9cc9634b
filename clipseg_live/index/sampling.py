"""Selection of the frames that are indexed."""

import re
from dataclasses import dataclass
from fractions import Fraction

from clipseg_live.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Sampling:
    """Rule that selects frames.

    Attributes:
        seconds: Select the first frame at or after each multiple of this time; None for a rule by number.
        number: Without ``seconds``, select every frame whose number is a multiple of this.
    """

    seconds: Fraction | None = Fraction(1)
    number: int = 1

    @staticmethod
    def parse(text: str) -> "Sampling":
        """Return the rule of a text: "1s" or "0.5s", "10" for every tenth frame, "each" for all frames.

        Raises:
            UsageError: The text is not a rule.
        """
        words = text.strip().lower()
        if words == "each":
            return Sampling(None, 1)
        if re.fullmatch(r"\d{1,9}", words) and int(words):
            return Sampling(None, int(words))
        if re.fullmatch(r"(\d{1,6}(\.\d{0,6})?|\.\d{1,6})s", words) and (seconds := Fraction(words[:-1])):
            return Sampling(seconds)
        raise UsageError(
            f"{text!r} does not say which frames to index: give a time such as 1s or 0.5s, a number such as 10 for "
            "every tenth frame, or each."
        )

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{float(self.seconds):g}s"
        return "each" if self.number == 1 else str(self.number)

    @property
    def by_time(self) -> bool:
        """Return whether the selection does not depend on the numbers of frames, so that it can start anywhere."""
        return self.seconds is not None or self.number == 1

    def expected(self, frames: int | None, duration: Fraction | None) -> int | None:
        """Return the expected number of selected frames of a source; None if it is unknown.

        Args:
            frames: Number of frames of the source.
            duration: Duration of the source in seconds.
        """
        if self.seconds is None:
            return None if frames is None else -(-frames // self.number)
        if duration is None:
            return None
        selected = max(-(-duration // self.seconds), 1)
        return selected if frames is None else min(selected, frames)


class FrameSelector:
    """Applies a rule to the frames of a source, in order."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._due: Fraction | None = None
        self._count = 0

    def selects(self, time: Fraction) -> bool:
        """Return whether the next frame is selected.

        Args:
            time: Time of the frame in seconds, later than that of the frame before.
        """
        seconds, count = self._sampling.seconds, self._count
        self._count += 1
        if seconds is None:
            return count % self._sampling.number == 0
        if self._due is not None and time < self._due:
            return False
        self._due = (time // seconds + 1) * seconds
        return True
