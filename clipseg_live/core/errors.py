"""Errors a person can cause: each is one sentence that names the thing and the way out.

The command line prints the sentence and ends with ``exit_code``; it never shows a traceback for these.
"""

from pathlib import Path

from clipseg_live.core.addresses import redact


class ClipsegLiveError(Exception):
    """Base of every error whose text is meant for the person who caused it. Credentials in the text are masked."""

    exit_code = 1

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(redact(each) if isinstance(each, str) else each for each in arguments))


class UsageError(ClipsegLiveError, ValueError):
    """What was asked for cannot be right (a threshold of 2, an unknown codec): exit code 2."""

    exit_code = 2


class Failure(ClipsegLiveError):
    """What was asked for is right, but it could not be done (a missing file, a full disk): exit code 1."""


class SourceError(Failure):
    """A source could not be opened, or broke while it was read."""


class PhotoError(SourceError):
    """One photo of a set cannot be read; the others can.

    Attributes:
        number: The photo's number in its set, from 0.
        file: The photo's file.
    """

    def __init__(self, message: str, number: int, file: Path) -> None:
        super().__init__(message)
        self.number, self.file = number, file


class SourceBroken(SourceError):
    """A source ends early, because it is damaged or cut short; the frames before that point are whole."""


class SinkError(Failure):
    """A result could not be written.

    kept: where the whole result is, if only moving it to its place failed.
    """

    def __init__(self, sentence: str, kept: Path | None = None) -> None:
        super().__init__(sentence)
        self.kept = kept


class ModelError(Failure):
    """A model could not be found, loaded or run."""


class NoPrediction(ModelError):
    """The model's output is not finite (NaN or infinity), so there are no probability maps for this frame.

    Privacy effects must hide the whole frame then.
    """
