"""Evaluation of models and prompts against ground truth, with the concrete engines."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clipseg_live.app.engine import find_model, load_engine, loading_message
from clipseg_live.core.errors import UsageError
from clipseg_live.core.protocols import Engine
from clipseg_live.core.settings.base import DEFAULT_MODEL, EngineSettings, validated
from clipseg_live.evaluation.dataset import TrueSet
from clipseg_live.evaluation.prompt_table import ClassWords, PromptVariant, prompt_sets, read_table
from clipseg_live.evaluation.readers.registry import read_data_set
from clipseg_live.evaluation.reports.pictures import draw_worst
from clipseg_live.evaluation.runner import ScoringRules, score_images
from clipseg_live.evaluation.scores import threshold_index
from clipseg_live.evaluation.summary import Evaluation, RunName, RunResult, RunScores, summarise
from clipseg_live.evaluation.sums_file import SumsFile
from clipseg_live.evaluation.truths import without_absent
from clipseg_live.media.images.reader import read_image

if TYPE_CHECKING:
    from clipseg_live.model.driver import DriverSegmenter

logger = logging.getLogger(__name__)

EvaluationProtocol = Literal["app", "paper"]
_PROTOCOLS: tuple[EvaluationProtocol, ...] = get_args(EvaluationProtocol)
_THRESHOLDS: Mapping[EvaluationProtocol, float] = {"app": 0.5, "paper": 0.3}
LISTED_TARGETS = 24
"""Number of worst targets that a result lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """A requested evaluation.

    Attributes:
        path: Folder or annotation file of the data set.
        layout: Layout of the data set; None to recognise it.
        images: Folder of its images, if they are elsewhere.
        listing: List of its images, for layouts that have lists.
        chosen: Classes to score, each as ``CLASS`` or ``CLASS=TEXT``; empty for all.
        tables: Tables of prompts, one variant each, by name or as files.
        templates: Templates of the texts.
        by_example: Add a variant in which each class is prompted by another image with its mask.
        present_only: Score a class only in images that have it.
        engines: Models and precisions to compare.
        protocol: "app" resizes images as the program does. "paper" resizes and compares as the published evaluation.
        threshold: One of the 49 thresholds; None for 0.5 with "app" and 0.3 with "paper".
        sums: File in which the sums of each image are kept, to continue from.
        pictures: Number of worst targets that are drawn.
    """

    path: Path
    layout: str | None = None
    images: Path | None = None
    listing: Path | None = None
    chosen: tuple[str, ...] = ()
    tables: tuple[tuple[str, Mapping[str, ClassWords]] | Path, ...] = ()
    templates: tuple[str, ...] = ()
    by_example: bool = False
    present_only: bool = False
    engines: tuple[EngineSettings, ...] = field(default_factory=lambda: (EngineSettings(),))
    protocol: EvaluationProtocol = "app"
    threshold: float | None = None
    sums: Path | None = None
    pictures: int = 0


def run_evaluation(
    request: EvaluationRequest,
    *,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Read the data set, run every model over it, and return the scores.

    Args:
        request: The requested evaluation.
        on_stage: Called with a message for each stage.
        on_progress: Called with the number of finished images and of all images of the present model.

    Raises:
        UsageError: The request is invalid.
        Failure: A file cannot be read, or a model cannot be used.
    """
    threshold = _check_request(request)
    data = read_data_set(request.path, request.layout, images=request.images, listing=request.listing)
    if request.present_only:
        data = without_absent(data)
    sets = _sets_of(request, data)
    sums = SumsFile(request.sums)
    runs: list[RunResult] = []
    first: tuple[list[tuple[int, str]], NDArray[np.float64]] | None = None
    for settings in request.engines:
        files = find_model(settings)
        on_stage(loading_message(files, settings))
        engine = load_engine(files, settings)
        if request.protocol == "paper":
            engine.preprocessing = replace(engine.preprocessing, resampling="bilinear-corners")
        _settle_precision(engine, data, sets)
        side = engine.size if request.protocol == "paper" else None
        runtime = (engine.engine, engine.device, engine.dtype, engine.size, engine.fit, engine.detail)
        rules = ScoringRules(threshold, side, repr((request.protocol, files.identity(), *runtime)))
        on_stage(f"Evaluating {files.name} on {data.name}")
        results = score_images(engine, data, sets, rules, sums, lambda done: on_progress(done, len(data.images)))
        for prompts, found in zip(sets, results, strict=True):
            targets = [each for each in found if each.sums.share > 0] if request.present_only else found
            if not targets:
                raise UsageError(f"{data.name} has no image for the chosen classes.")
            scores = RunScores.of(data, targets)
            name = RunName(files.name, engine.dtype, f"{engine.engine}, {engine.device}", prompts.name)
            pairs = [(each.number, each.category) for each in targets]
            base = first[1] if first is not None and first[0] == pairs else None  # differences need the same targets
            run, resampled = summarise(
                name, scores, threshold, first=base, worst=LISTED_TARGETS, notices=engine.notices
            )  # fmt: skip
            first = first or (pairs, resampled)
            runs.append(_with_pictures(run, engine, data, prompts, rules, request.pictures))
    return Evaluation(data.name, data.layout, request.protocol, tuple(runs), data.notices)


def _settle_precision(engine: "DriverSegmenter", data: TrueSet, sets: Sequence[PromptVariant]) -> None:
    """Segment some images first if the engine may still change its precision, so that all scores have the same.

    An engine compares its precision with float32 on some of its first frames.
    """
    if engine.dtype == "float32":
        return
    from clipseg_live.model.precision import COMPARED_FRAMES

    prompts = [next(iter(sets[0].by_class.values())).prompt]
    for image in islice(cycle(data.images), max(COMPARED_FRAMES)):
        engine.segment(read_image(image.file), prompts)


def _with_pictures(
    run: RunResult, engine: Engine, data: TrueSet, prompts: PromptVariant, rules: ScoringRules, count: int
) -> RunResult:
    if not count:
        return run
    drawn = tuple(draw_worst(engine, data, prompts, rules, target) for target in run.worst[:count])
    return replace(run, worst=(*drawn, *run.worst[count:]))


def _check_request(request: EvaluationRequest) -> float:
    """Return the threshold.

    Raises:
        UsageError: The request is invalid.
    """
    if request.protocol not in _PROTOCOLS:
        raise UsageError(f"{request.protocol!r} is not a protocol: use {' or '.join(_PROTOCOLS)}.")
    threshold = _THRESHOLDS[request.protocol] if request.threshold is None else request.threshold
    if threshold_index(threshold) is None:
        raise UsageError(f"A threshold of {threshold} cannot be scored: use 0.02, 0.04 and so on up to 0.98.")
    for settings in request.engines:
        if request.protocol == "paper" and (settings.resize_mode != "stretch" or settings.detail != "off"):
            raise UsageError("The protocol paper stretches whole images: leave out the resize mode and the detail.")
    return threshold


def _sets_of(request: EvaluationRequest, data: TrueSet) -> tuple[PromptVariant, ...]:
    tables = [(each.stem, read_table(each)) if isinstance(each, Path) else each for each in request.tables]
    sets = prompt_sets(data.words, request.chosen, tables, request.templates)
    if not request.by_example:
        return sets
    texts = (replace(each, name=each.name or "texts") for each in sets)
    return (*texts, replace(sets[0], name="examples", by_example=True))


def evaluate(
    dataset: str | Path,
    prompts: str | Iterable[str] | Mapping[str, str | Sequence[str]] = (),
    *,
    models: str | Sequence[str] | None = None,
    protocol: EvaluationProtocol = "app",
    threshold: float | None = None,
    settings: EngineSettings | None = None,
    by_example: bool = False,
    sums: str | Path | None = None,
    layout: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Score models and prompts against ground truth, as ``clipseg-live evaluate`` does.

    Args:
        dataset: Folder of the data set, or annotation file of COCO.
        prompts: Classes to score, each as ``CLASS`` or ``CLASS=TEXT``; or a text or several by class, of which the
            embeddings are averaged. Empty for all classes with their own names.
        models: One or several models, in place of that of ``settings``.
        protocol: "app" resizes images as the program does. "paper" resizes and compares as the published evaluation.
        threshold: One of the thresholds 0.02, 0.04, ... 0.98. None: 0.5 with "app" and 0.3 with "paper".
        settings: Settings of the engine.
        by_example: Also prompt each class by another image with its mask.
        sums: File in which the sums of each image are kept; an interrupted evaluation continues from it.
        layout: Layout of the data set; None to recognise it.
        on_progress: Called with the number of finished images and of all images of the present model.

    Returns:
        The result: ``runs`` with their ``figures()``, and ``to_dict()`` for JSON.

    Raises:
        UsageError: An argument is invalid.
        Failure: A file cannot be read, or a model cannot be used.
    """
    for value in (dataset, sums or ""):
        if not isinstance(value, (str, PathLike)):
            raise UsageError(f"{value!r} is not the name of a file or folder.")
    base = settings or EngineSettings()
    names = [base.model] if models is None else [models] if isinstance(models, str) else list(models)
    chosen: tuple[str, ...] = ()
    tables: tuple[tuple[str, Mapping[str, ClassWords]], ...] = ()
    if isinstance(prompts, Mapping):
        tables = (("", {name: validated(ClassWords, words=words) for name, words in prompts.items()}),)
    else:
        chosen = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    request = EvaluationRequest(
        path=Path(dataset), layout=layout, chosen=chosen, tables=tables, by_example=by_example, protocol=protocol,
        engines=tuple(validated(EngineSettings, **{**dict(base), "model": name}) for name in names or [DEFAULT_MODEL]),
        threshold=threshold, sums=None if sums is None else Path(sums),
    )  # fmt: skip
    return run_evaluation(request, on_progress=on_progress)
