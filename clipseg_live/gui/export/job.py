"""Exports that the window has requested: their values, and the command line that does each of them."""

import math
import shlex
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from clipseg_live.core.settings.export_choices import ExportChoices


@dataclass(frozen=True, slots=True)
class ExportJob:
    """One requested export, which ``clipseg-live export`` runs with these arguments.

    Attributes:
        title: name shown to the user.
        inputs: files, folders and demo scenes. Paths are absolute.
        folder: folder of the results.
        session: session file with the prompts, effects and settings.
        choices: options.
        start: time in seconds of the first frame; None for the beginning.
        end: time in seconds before which the export ends; None for the end.
        reading: further arguments about the source.
    """

    title: str
    inputs: tuple[str, ...]
    folder: Path
    session: Path
    choices: ExportChoices
    start: Fraction | None = None
    end: Fraction | None = None
    reading: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Return the arguments of the command."""
        times = [] if self.start is None else ["--from", _microseconds(self.start)]
        times += [] if self.end is None else ["--to", _microseconds(self.end)]
        return [
            "export",
            *self.inputs,
            "--session",
            str(self.session),
            "--trust-session",  # the window has written it
            *self.reading,
            *times,
            *self.choices.arguments(),
            "--into",
            str(self.folder),
        ]

    def command(self) -> str:
        """Return the command for a shell."""
        return shlex.join(["clipseg-live", *self.arguments()])


def _microseconds(time: Fraction) -> str:
    """Return seconds with six decimals, rounded down, so that a frame at this time is not before it."""
    return f"{math.floor(time * 1_000_000) / 1_000_000:.6f}"
