"""Batch export on a terminal: a bar for the batch and one for each running export, and a report at the end.

Without a terminal, lines are printed in place of bars.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from clipseg_live.cli.export.events import JsonEvents
from clipseg_live.core.system.times import format_time

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from clipseg_live.app.batch.plan import BatchRequest
    from clipseg_live.app.batch.runner import BatchReport, BatchWatch, Outcome
    from clipseg_live.app.export import ExportRequest
    from clipseg_live.core.settings.base import DataFormat
    from clipseg_live.runtime.export import Progress

MASKS = ("jsonl", "png")
STOPPED = "clipseg-live: The export was stopped. The same command continues it."


def run_many(
    inputs: Sequence[str],
    into: Path,
    template: "ExportRequest",
    *,
    suffix: str | None,
    masks: Path | None,
    data: "Sequence[DataFormat]",
    jobs: int,
    json_output: bool = False,
) -> None:
    """Export all inputs into a folder, and report on each one. The exit code is 1 if a result is missing.

    Args:
        inputs: Files, folders, patterns and demo scenes.
        into: Folder of the results.
        template: Export whose source and output are replaced.
        suffix: Suffix of the results, or None for the default.
        masks: "jsonl" or "png" for masks next to each result, or None.
        data: Formats of data next to each result.
        jobs: Number of exports that run at the same time.
        json_output: Print events as JSON lines in place of bars and a report.

    Raises:
        ClipsegLiveError: No export can start.
    """
    from clipseg_live.app.batch.plan import plan_batch
    from clipseg_live.app.batch.runner import run_batch
    from clipseg_live.core.errors import UsageError

    kind = None if masks is None else str(masks)
    if kind is not None and kind not in MASKS:
        raise UsageError(
            f"With --into, masks are written next to each result: give --masks jsonl or --masks png, not {kind}."
        )
    batch = plan_batch(inputs, into, template, suffix=suffix, masks=kind, data=data, jobs=jobs)  # type: ignore[arg-type]
    if json_output:
        events = JsonEvents(batch)
        report = run_batch(batch, events)
        events.finished(report)
        if not report.is_whole:
            raise typer.Exit(1)
        return
    with _display(batch) as watch:
        report = run_batch(batch, watch)
    for notice in report.notices:
        print(notice, file=sys.stderr)  # noqa: T201
    for line in report_lines(report):
        print(line)  # noqa: T201
    if report.stopped:
        print(STOPPED, file=sys.stderr)  # noqa: T201
    if not report.is_whole:
        raise typer.Exit(1)


def report_lines(report: "BatchReport") -> list[str]:
    """Return a line for each input with its notices, and a line with the totals."""
    from clipseg_live.app.batch.runner import Ending

    lines = []
    for request, outcome in zip(report.exports, report.outcomes, strict=True):
        lines.append(_told(request, outcome))
        lines += [f"  {notice}" for notice in outcome.notices]
    counts = [(report.count(ending), ending.value) for ending in Ending]
    inputs = "1 input" if len(report.outcomes) == 1 else f"{len(report.outcomes)} inputs"
    what = ", ".join(f"{count} {words}" for count, words in counts if count)
    return [*lines, f"{inputs}: {what}; {_counted(report.frames, 'frame')} in {format_time(report.seconds)}"]


def _told(request: "ExportRequest", outcome: "Outcome") -> str:
    from clipseg_live.app.batch.runner import Ending

    if outcome.result is not None:
        seconds = outcome.result.seconds
        rate = outcome.result.frames / seconds if seconds > 0 else 0.0
        what = "photo" if request.photos else "frame"
        count = _counted(outcome.result.frames, what)
        return f"{request.result}: {outcome.ending.value}, {count} in {seconds:.1f} s ({rate:.1f} {what}s a second)"
    where = request.result if outcome.ending is Ending.FINISHED_BEFORE else request.source
    return f"{where}: {outcome.ending.value}" + (f": {outcome.sentence}" if outcome.sentence else "")


def _counted(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count} {what}s"


@contextmanager
def _display(batch: "BatchRequest") -> "Iterator[BatchWatch]":
    from rich import progress as bars
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(batch)
        return
    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.TextColumn("{task.fields[count]}", markup=False),
        bars.TextColumn("{task.fields[left]}", markup=False),
    )
    with bars.Progress(*columns, console=console, transient=True) as shown:
        yield _Bars(batch, shown)


class _Lines:
    """Prints one line for each finished input, for pipes and logs."""

    def __init__(self, batch: "BatchRequest") -> None:
        self._exports, self._ended = batch.exports, 0

    def stage(self, words: str) -> None:
        """Do nothing."""

    def begun(self, number: int) -> None:
        """Do nothing."""

    def progressed(self, number: int, progress: "Progress") -> None:
        """Do nothing."""

    def ended(self, number: int, outcome: "Outcome") -> None:
        """Print the outcome of an export."""
        self._ended += 1
        place = f"{self._ended} of {len(self._exports)}"
        print(f"{place}: {_told(self._exports[number], outcome)}", file=sys.stderr, flush=True)  # noqa: T201


class _Bars:
    """A bar for the batch, and below it one for each running export."""

    def __init__(self, batch: "BatchRequest", bars: "Bars") -> None:
        self._exports, self._bars = batch.exports, bars
        self._parts: dict[int, float] = {}
        self._tasks: dict[int, TaskID] = {}
        self._ended = self._skipped = 0
        self._started = time.monotonic()
        self._all = bars.add_task("Starting", total=1.0, count="", left="")

    def stage(self, words: str) -> None:
        """Show the present stage."""
        self._started = time.monotonic()
        self._bars.update(self._all, description=words)

    def begun(self, number: int) -> None:
        """Add a bar."""
        self._parts[number] = 0.0
        name = Path(self._exports[number].source).name or self._exports[number].source
        self._tasks[number] = self._bars.add_task(name, total=None, count="", left="")
        self._bars.update(self._all, description="All")

    def progressed(self, number: int, progress: "Progress") -> None:
        """Update a bar."""
        task, total = self._tasks[number], progress.total
        left = "" if progress.seconds_left is None else f"{format_time(progress.seconds_left)} left"
        of = "" if total is None else f" of {total}"
        count = f"{progress.frames}{of} frames, {progress.rate:.1f} a second" if progress.frames else ""
        self._bars.update(task, total=total, completed=progress.frames, count=count, left=left)
        if total:
            self._parts[number] = min(progress.frames / total, 1.0)
        self._show()

    def ended(self, number: int, outcome: "Outcome") -> None:
        """Remove a bar, and print a failure."""
        self._ended += 1
        self._skipped += self._parts.pop(number, None) is None
        task = self._tasks.pop(number, None)
        if task is not None:
            self._bars.remove_task(task)
        if outcome.sentence:
            self._bars.console.print(_told(self._exports[number], outcome), markup=False, highlight=False)
        self._show()

    def _show(self) -> None:
        every = len(self._exports)
        done = self._ended + sum(self._parts.values())
        worked, whole = done - self._skipped, every - self._skipped
        elapsed = time.monotonic() - self._started
        left = f"{format_time(elapsed / worked * (whole - worked))} left" if worked > 0.02 else ""
        self._bars.update(self._all, completed=done / every, count=f"{self._ended} of {every} files", left=left)
