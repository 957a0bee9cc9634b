"""Errors for users: each is one sentence with the cause and the way out.

The command line prints the sentence, without a traceback, and exits with ``exit_code``.
"""

from pathlib import Path

from clipseg_live.core.addresses import redact


class ClipsegLiveError(Exception):
    """Base class of the errors that are shown to users. Credentials in the text are masked."""

    exit_code = 1

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(redact(each) if isinstance(each, str) else each for each in arguments))


class UsageError(ClipsegLiveError, ValueError):
    """An invalid request, such as a threshold of 2 or an unknown codec: exit code 2."""

    exit_code = 2


class Failure(ClipsegLiveError):
    """A valid request that failed, such as a missing file or a full disk: exit code 1."""


class SourceError(Failure):
    """A source that could not be opened or that failed while it was read."""


class PhotoError(SourceError):
    """One photo of a set that cannot be read; the others can.

    Attributes:
        number: Number of the photo in its set, from 0.
        file: File of the photo.
    """

    def __init__(self, message: str, number: int, file: Path) -> None:
        super().__init__(message)
        self.number, self.file = number, file


class SourceBroken(SourceError):
    """A source that is damaged or truncated. The frames before that point are complete."""


class SinkError(Failure):
    """An output that could not be written.

    Attributes:
        kept: Path of the complete file, if only moving it to its final path failed.
    """

    def __init__(self, sentence: str, kept: Path | None = None) -> None:
        super().__init__(sentence)
        self.kept = kept


class ModelError(Failure):
    """A model that could not be found, loaded or run."""


class NoPrediction(ModelError):
    """A model output that is not finite (NaN or infinity), so the frame has no probability maps.

    Privacy effects must hide the whole frame then.
    """
