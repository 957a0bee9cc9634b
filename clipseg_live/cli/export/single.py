"""Single export on a terminal: its progress bar, and the report at the end."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from clipseg_live.core.system.times import format_time

if TYPE_CHECKING:
    from clipseg_live.app.export import ExportRequest
    from clipseg_live.runtime.export import Progress


def run_one(request: "ExportRequest", inputs: Sequence[str], suffix: str | None) -> None:
    """Run one export, and report on it. The exit code is 1 if a photo could not be read.

    Args:
        request: Requested export.
        inputs: One input, or several that are one set of photos.
        suffix: Suffix for the results of photos, or None for their own.

    Raises:
        ClipsegLiveError: The export failed.
    """
    from clipseg_live.app.batch.photo_sets import with_photos
    from clipseg_live.app.export import run_export

    request = with_photos(request, inputs, suffix)

    with progress_display() as (on_stage, on_progress):
        finished = run_export(request, on_stage=on_stage, on_progress=on_progress)
    for notice in finished.notices:
        print(notice, file=sys.stderr)  # noqa: T201
    result = finished.result
    rate = result.frames / result.seconds if result.seconds > 0 else 0.0
    what = "photo" if request.photos else "frame"
    count = f"1 {what}" if result.frames == 1 else f"{result.frames} {what}s"
    print(f"{request.result}: {count} in {result.seconds:.1f} s ({rate:.1f} {what}s a second)")  # noqa: T201
    if request.masks is not None:
        print(f"{request.masks}: masks")  # noqa: T201
    for form, path in request.data:
        if path.exists():  # if there were no data to write, a notice has said so
            print(f"{path}: {form}")  # noqa: T201
    if result.problems:
        photos = "1 photo" if len(result.problems) == 1 else f"{len(result.problems)} photos"
        print(f"{photos} could not be read:", *result.problems, sep="\n  ", file=sys.stderr)  # noqa: T201
        raise typer.Exit(1)


@contextmanager
def progress_display() -> "Iterator[tuple[Callable[[str], None], Callable[[Progress], None]]]":
    """Show a progress bar on a terminal, from the first stage on. Yield its functions for stages and progress."""
    from rich import progress as bars
    from rich.console import Console

    console = Console(stderr=True)
    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[rate]}"),
        bars.TextColumn("{task.fields[left]}"),
    )
    bar = bars.Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task("Starting", total=None, rate="", left="")

    def on_stage(stage: str) -> None:
        bar.start()
        bar.update(task, description=stage)

    def on_progress(progress: "Progress") -> None:
        left = "" if progress.seconds_left is None else f"{format_time(progress.seconds_left)} left"
        bar.update(
            task,
            completed=progress.frames,
            total=progress.total,
            rate=f"{progress.rate:.1f} frames/s" if progress.frames else "",
            left=left,
        )

    try:
        yield on_stage, on_progress
    finally:
        bar.stop()
