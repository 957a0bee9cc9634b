"""``clipseg-live bench``: measure the speed of the engine, compared with transformers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from clipseg_live.cli.commands import MODEL, option, with_options
from clipseg_live.cli.shared_options import RuntimeOptions

if TYPE_CHECKING:
    from clipseg_live.model.benchmark import BenchmarkRow
    from clipseg_live.model.segmenter import Segmenter

COUNTS = (1, 4, 8, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """Options of ``bench`` alone."""

    random_weights: Annotated[
        bool,
        option(
            MODEL, None, "Use random weights in the published architecture, without a download.", "--random-weights"
        ),
    ] = False
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Number of repetitions; medians are printed.")] = 3
    json_output: Annotated[bool, typer.Option("--json", help="Print a list of rows as JSON.")] = False


@with_options(model="the published CLIPSeg")
def bench(engine: RuntimeOptions, own: BenchOptions) -> None:
    """Measure the speed of the engines and of transformers on this machine, for 1, 4, 8 and 16 prompts."""
    import json
    import sys
    import tempfile
    from dataclasses import asdict
    from pathlib import Path

    from rich.console import Console
    from rich.progress import Progress

    from clipseg_live.core.settings.base import DEFAULT_MODEL
    from clipseg_live.model.benchmark import benchmark_all
    from clipseg_live.model.engines import available_engines
    from clipseg_live.model.segmenter import Segmenter

    with tempfile.TemporaryDirectory(prefix="clipseg-live-") as folder:
        model = engine.model or DEFAULT_MODEL
        if own.random_weights:
            from clipseg_live.model.random_weights import write_random_model

            model = str(write_random_model(Path(folder) / "random-weights"))
        device, dtype = engine.device or "auto", engine.dtype or "auto"
        names = (engine.engine,) if engine.engine else available_engines(device, dtype)
        segmenters = [
            Segmenter.load(model, device=device, dtype=dtype, size=engine.size, engine=name) for name in names
        ]
        errors = Console(stderr=True)
        with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
            measured = benchmark_all(segmenters, COUNTS, rounds=own.rounds)
            rows = list(progress.track(measured, total=len(COUNTS) * len(segmenters)))
    if own.json_output:
        json.dump([asdict(row) for row in rows], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        for segmenter in segmenters:
            own_rows = [row for row in rows if row.engine == segmenter.engine]
            _print_table(segmenter, own_rows, "random weights" if own.random_weights else model)


def _print_table(segmenter: "Segmenter", rows: "list[BenchmarkRow]", name: str) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    console = Console()
    first = rows[0]
    title = f"{name}, {first.size}², {first.engine}, {first.device}, {first.dtype}, {first.threads} threads"
    speed = Table(title=title, title_justify="left", box=SIMPLE)
    for column in ("prompts", "transformers ms", "fps", "ours ms", "fps", "ratio", "difference"):
        speed.add_column(column, justify="right", no_wrap=True)
    stages = Table(title="Stages of our engine by the number of prompts, ms", title_justify="left", box=SIMPLE)
    for column in ("count", *first.stages):
        stages.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        speed.add_row(
            str(row.prompts),
            _milliseconds(row.reference_ms),
            f"{1000 / row.reference_ms:.2f}",
            _milliseconds(row.ours_ms),
            f"{1000 / row.ours_ms:.2f}",
            f"{row.ratio:.1f}",
            f"{row.max_difference:.1e}",
        )
        stages.add_row(str(row.prompts), *(_milliseconds(value) for value in row.stages.values()))
    console.print(speed)
    console.print(stages)
    console.print("difference: largest difference of a probability from transformers.")
    last = rows[-1]
    console.print(f"{last.prompts} prompts take {last.ours_ms / first.ours_ms:.2f} times as long as one.")
    if first.matrix_share is not None:
        console.print(
            f"The linear layers take {first.matrix_share:.0%} of the encoder's time ({first.gigaflops:.0f} GFLOP/s)."
        )
    for notice in segmenter.notices:
        console.print(notice)


def _milliseconds(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
