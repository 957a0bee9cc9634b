"""Progress of a batch as JSON lines, for programs that run ``export --into``.

Each line is an object with ``event`` and its values. ``number`` is the index in ``sources``.

- ``planned``: ``sources``, each with ``source`` and the files of its ``photos``.
- ``stage``: ``text``.
- ``begun``: ``number``.
- ``progress``: ``number``, ``frames``, ``total``, ``seconds_left`` (in seconds; null while unknown).
- ``ended``: ``number``, ``ending``, ``sentence``, ``frames``, ``problems`` (of single photos), ``notices``.
- ``finished``: ``stopped``, ``seconds``, ``notices``.
"""

import json
import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clipseg_live.app.batch.plan import BatchRequest
    from clipseg_live.app.batch.runner import BatchReport, Outcome
    from clipseg_live.runtime.export import Progress

PROGRESS_SECONDS = 0.2
"""Shortest time between two lines about the progress of an input."""


class JsonEvents:
    """Listener of a batch that prints each event as a line of JSON."""

    def __init__(self, batch: "BatchRequest") -> None:
        self._last_times: dict[int, float] = {}
        sources = [
            {"source": each.source, "photos": [os.path.abspath(photo.file) for photo in each.photos]}
            for each in batch.exports
        ]
        _print("planned", sources=sources)

    def stage(self, text: str) -> None:
        """Print the present stage."""
        _print("stage", text=text)

    def begun(self, number: int) -> None:
        """Print that an export has started."""
        _print("begun", number=number)

    def progressed(self, number: int, progress: "Progress") -> None:
        """Print the progress of an export, but not more often than every 0.2 s."""
        now = time.monotonic()
        if now - self._last_times.get(number, -PROGRESS_SECONDS) >= PROGRESS_SECONDS:
            self._last_times[number] = now
            _print(
                "progress",
                number=number,
                frames=progress.frames,
                total=progress.total,
                seconds_left=progress.seconds_left,
            )

    def ended(self, number: int, outcome: "Outcome") -> None:
        """Print the outcome of an export."""
        frames, problems = (0, ()) if outcome.result is None else (outcome.result.frames, outcome.result.problems)
        _print(
            "ended",
            number=number,
            ending=outcome.ending.name.lower(),
            sentence=outcome.sentence,
            frames=frames,
            problems=list(problems),
            notices=[notice for notice in outcome.notices if notice not in problems],
        )

    def finished(self, report: "BatchReport") -> None:
        """Print the end of the batch."""
        _print("finished", stopped=report.stopped, seconds=round(report.seconds, 3), notices=list(report.notices))


def _print(event: str, **values: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()
