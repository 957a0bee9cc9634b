"""``clipseg-live evaluate``: score models and prompts against ground truth."""

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clipseg_live.cli.commands import INPUT, MODEL, PROMPTS, RESULT, option, with_options
from clipseg_live.cli.shared_options import DetailName, DeviceName, InputSide, LibraryName, ResizeModeName, given

if TYPE_CHECKING:
    from clipseg_live.core.settings.base import EngineSettings
    from clipseg_live.evaluation.summary import Evaluation, RunResult

logger = logging.getLogger(__name__)

PRINTED = (
    "mIoU", "IoU_FG", "IoU_BIN", "AP", "precision", "recall", "boundary_F", "best_threshold", "best_mIoU",
)  # fmt: skip
"""Figures that are printed, without those of videos."""
DRAWN_TARGETS = 12
"""Number of worst targets with pictures on the page."""

DataSet = Annotated[
    Path,
    typer.Argument(
        metavar="DATASET",
        help="Folder with images/NAME.* and masks/PROMPT/NAME.png, or a data set of another layout; see "
        "docs/evaluate.md.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetOptions:
    """Options of reading the data set."""

    layout: Annotated[
        str | None,
        option(
            INPUT, "NAME", "Layout of the data set: folder, one-shot, coco, yolo, masks, voc, davis or phrasecut.",
            default="recognised",
        ),
    ] = None  # fmt: skip
    images: Annotated[
        Path | None, option(INPUT, "FOLDER", "Folder of the images, if they are not in the data set.")
    ] = None
    listing: Annotated[
        Path | None, option(INPUT, "FILE", "List of images or videos, for voc, davis and phrasecut.", "--list")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedOptions:
    """Prompts, models and precisions that are compared."""

    prompt: Annotated[
        list[str] | None,
        option(
            PROMPTS, "CLASS", "Class to score, or CLASS=TEXT for another text; repeat for more. Several texts of one "
            "class are compared.", "--prompt", "-p", default="all classes",
        ),
    ] = None  # fmt: skip
    prompt_table: Annotated[
        list[Path] | None,
        option(
            PROMPTS, "FILE", "Table of classes with words, templates and negatives (.csv or .json); several are "
            "compared.",
        ),
    ] = None  # fmt: skip
    template: Annotated[
        list[str] | None,
        option(
            PROMPTS, "TEXT", 'Template for all texts, such as "a photo of a {}"; embeddings of several are averaged.'
        ),
    ] = None
    examples: Annotated[
        bool, option(PROMPTS, None, "Also prompt each class by another image of it, with its mask.", "--examples")
    ] = False
    present_only: Annotated[
        bool, option(PROMPTS, None, "Score a class only in images that have it.", "--present-only")
    ] = False
    model: Annotated[
        list[str] | None,
        option(MODEL, "NAME", "Name or folder of a model; repeat to compare.", default="the published CLIPSeg"),
    ] = None
    dtype: Annotated[
        list[str] | None,
        option(
            MODEL, "NAME", "Precision of the models: auto, float32, bfloat16, float16 or int8; repeat to compare.",
            default="auto",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleEngineOptions:
    """Fields of ``EngineSettings`` that hold for all models."""

    device: DeviceName = None
    engine: LibraryName = None
    size: InputSide = None
    resize_mode: ResizeModeName = None
    detail: DetailName = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """Options of the scores and their files."""

    protocol: Annotated[
        str,
        option(
            RESULT,
            "NAME",
            "app: resize images as the program does; paper: resize and compare as was published.",
        ),
    ] = "app"
    threshold: Annotated[
        float | None,
        option(RESULT, "0.02..0.98", "Threshold of the scores, in steps of 0.02.", default="0.5; 0.3 with paper"),
    ] = None
    json_output: Annotated[bool, option(RESULT, None, "Print all results as JSON.", "--json")] = False
    csv_file: Annotated[Path | None, option(RESULT, "FILE", "Write the scores as a table.", "--csv")] = None
    html_file: Annotated[
        Path | None, option(RESULT, "FILE", "Write one page with plots and the worst images.", "--html")
    ] = None
    sums: Annotated[
        Path | None,
        option(RESULT, "FILE", "Keep the sums of each image in this file (.json), and continue from it.", "--sums"),
    ] = None
    overwrite: Annotated[bool, option(RESULT, None, "Replace existing results.", "--overwrite")] = False


@with_options()
def evaluate(
    dataset: DataSet,
    reading: DataSetOptions,
    compared: ComparedOptions,
    runtime: SingleEngineOptions,
    own: ScoreOptions,
) -> None:
    """Score models and prompts against ground truth: mIoU, IoU, average precision and more.

    An interrupted evaluation with --sums continues where it stopped.
    """
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    from clipseg_live.app.evaluate import EvaluationRequest, run_evaluation
    from clipseg_live.core.system import console

    outputs = [path for path in (own.csv_file, own.html_file) if path is not None]
    _check_outputs([*outputs, *([] if own.sums is None else [own.sums])], outputs, own.overwrite)
    request = EvaluationRequest(
        path=dataset, layout=reading.layout, images=reading.images, listing=reading.listing,
        chosen=tuple(compared.prompt or ()), tables=tuple(compared.prompt_table or ()),
        templates=tuple(compared.template or ()), by_example=compared.examples,
        present_only=compared.present_only, engines=_engines(compared, runtime),
        protocol=own.protocol, threshold=own.threshold, sums=own.sums,  # type: ignore[arg-type]
        pictures=0 if own.html_file is None else DRAWN_TARGETS,
    )  # fmt: skip
    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("", total=None)
        result = run_evaluation(
            request,
            on_stage=lambda stage: progress.update(task, description=escape(stage), completed=0),
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    _write_files(result, own)
    if own.json_output:
        json.dump(result.to_dict(), sys.stdout, indent=2, ensure_ascii=console.ascii_only(sys.stdout))
        sys.stdout.write("\n")
    else:
        _print_result(result)
    for notice in dict.fromkeys((*result.notices, *(each for run in result.runs for each in run.notices))):
        print(notice, file=sys.stderr)  # noqa: T201


def _engines(compared: ComparedOptions, runtime: SingleEngineOptions) -> "tuple[EngineSettings, ...]":
    from clipseg_live.core.settings.base import DEFAULT_MODEL, EngineSettings, validated

    return tuple(
        validated(EngineSettings, **{**given(runtime), "model": model, "dtype": dtype})
        for model in compared.model or [DEFAULT_MODEL]
        for dtype in compared.dtype or ["auto"]
    )


def _check_outputs(paths: list[Path], replaced: list[Path], overwrite: bool) -> None:
    """Check the paths of results before anything is computed.

    Raises:
        UsageError: A path cannot be written, exists without ``--overwrite``, or is named twice.
    """
    from clipseg_live.core.errors import UsageError
    from clipseg_live.core.system.paths import check_replaceable

    for path in paths:
        check_replaceable(path)
        if path.is_dir() or not path.absolute().parent.is_dir() or not os.access(path.absolute().parent, os.W_OK):
            raise UsageError(f"{path} cannot be written: name a file in a folder that exists and can be written.")
        if path in replaced and path.exists() and not overwrite:
            raise UsageError(f"{path} exists already: choose another name, or replace it with --overwrite.")
    if len({path.absolute() for path in paths}) < len(paths):
        raise UsageError("Two results have the same name: give each its own.")


def _write_files(result: "Evaluation", own: ScoreOptions) -> None:
    from clipseg_live.core.errors import SinkError
    from clipseg_live.core.system.files import replace_file
    from clipseg_live.evaluation.reports.page import to_html
    from clipseg_live.evaluation.reports.table import to_csv

    for path, make in ((own.csv_file, to_csv), (own.html_file, to_html)):
        if path is not None:
            try:
                replace_file(path, make(result))
            except OSError as error:
                logger.warning("A result cannot be written", exc_info=True)
                raise SinkError(f"{path} could not be written: {error.strerror or error}.") from error


def _print_result(result: "Evaluation") -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    first = result.runs[0]
    heading = f"{result.data} ({result.layout}): {first.images} images, {first.whole.targets} targets, protocol "
    console.print(Text(f"{heading}{result.protocol}, threshold {first.whole.scores.threshold:.2f}; percent"))
    table = Table(box=SIMPLE)
    table.add_column("")
    for number, run in enumerate(result.runs, start=1):
        console.print(Text(f"{number}: {run.name}"))
        table.add_column(str(number), justify="right")
    figures = [run.figures() for run in result.runs]
    for name in (*PRINTED, *(name for name in ("flicker", "delay") if any(each[name] is not None for each in figures))):
        table.add_row(name, *(_cell(name, each, run) for each, run in zip(figures, result.runs, strict=True)))
    console.print(table)
    worst = Table(title="Worst classes of the first run", title_justify="left", box=SIMPLE)
    for column in ("class", "targets", "IoU_FG", "precision", "recall"):
        worst.add_column(column, justify="left" if column == "class" else "right")
    for group in first.by_class[:10]:
        shares = (group.scores.foreground_iou, group.scores.precision, group.scores.recall)
        worst.add_row(Text(group.name), str(group.targets), *(f"{100 * share:.2f}" for share in shares))
    console.print(worst)
    console.print("Ranges are 95 % confidence intervals of resampled images.")


def _cell(name: str, figures: "Mapping[str, Any]", run: "RunResult") -> str:
    value, interval = figures[name], run.intervals.get(name)
    text = "–" if value is None else f"{value:.2f}"
    return text if interval is None else f"{text}\n{100 * interval.low:.1f}–{100 * interval.high:.1f}"
