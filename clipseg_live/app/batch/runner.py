"""Run of a batch: exports of many inputs into one folder, one after the other or in parallel.

A failed input does not stop the batch.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from clipseg_live.app.batch.manifest import Manifest, ManifestEntry, entry_of, is_left_over, judged, standing
from clipseg_live.app.batch.photos import PhotoPlan, plan_photos
from clipseg_live.app.batch.plan import BatchRequest
from clipseg_live.app.engine import ReadyEngine, find_model, load_engine, loading_message
from clipseg_live.app.export import ExportRequest, run_export
from clipseg_live.core.errors import ClipsegLiveError, Failure, ModelError, SourceError
from clipseg_live.model.store import loading
from clipseg_live.runtime import process_pool
from clipseg_live.runtime.export import ExportResult, ExportStopped, Progress
from clipseg_live.runtime.threads import StopSwitch

logger = logging.getLogger(__name__)

TOLD_SECONDS = 0.1
"""Shortest time between two progress reports of a process."""


class Ending(Enum):
    """Outcome of an input. PARTLY: some photos of a set could not be read, or were left unchanged."""

    DONE = "done"
    PARTLY = "done in part"
    FINISHED_BEFORE = "finished before"
    FAILED = "failed"
    STOPPED = "stopped"
    NOT_BEGUN = "not begun"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of an export.

    Attributes:
        ending: Kind of the outcome.
        sentence: Why the export failed, or its progress when it was stopped.
        result: Result of a finished export.
        notices: Messages for the user.
    """

    ending: Ending
    sentence: str = ""
    result: ExportResult | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchReport:
    """Report of a batch.

    Attributes:
        exports: Exports of the batch.
        outcomes: Outcome of each export, in the same order.
        seconds: Duration of the batch.
        stopped: Whether the user stopped it.
        notices: Messages for the user.
    """

    exports: tuple[ExportRequest, ...]
    outcomes: tuple[Outcome, ...]
    seconds: float
    stopped: bool
    notices: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Return the number of frames of all results."""
        return sum(outcome.result.frames for outcome in self.outcomes if outcome.result is not None)

    def count(self, ending: Ending) -> int:
        """Return the number of exports with this outcome."""
        return sum(outcome.ending is ending for outcome in self.outcomes)

    @property
    def is_whole(self) -> bool:
        """Return whether every result is complete."""
        return all(outcome.ending in (Ending.DONE, Ending.FINISHED_BEFORE) for outcome in self.outcomes)


class BatchWatch(Protocol):
    """Listener for a batch, called in the thread of ``run_batch``. ``number`` is the index of the export."""

    def stage(self, words: str) -> None:
        """Take a message about the present stage."""

    def begun(self, number: int) -> None:
        """Take note that an export has started."""

    def progressed(self, number: int, progress: Progress) -> None:
        """Take the progress of an export."""

    def ended(self, number: int, outcome: Outcome) -> None:
        """Take the outcome of an export."""


def run_batch(batch: BatchRequest, watch: BatchWatch) -> BatchReport:
    """Run all unfinished exports of a batch. A failed export does not stop the others.

    Ctrl-C (KeyboardInterrupt) abandons running exports, or keeps their finished part if their settings say so. The
    report says what is left.

    Args:
        batch: Requested batch.
        watch: Listener for the batch.

    Raises:
        UsageError: The model cannot be used. No export has started.
        Failure: The model cannot be used. No export has started.
    """
    return _Batch(batch, watch).run()


class _Batch:
    def __init__(self, batch: BatchRequest, watch: BatchWatch) -> None:
        self._batch, self._watch = batch, watch
        self._exports = list(batch.exports)
        self._record = Manifest(batch.into)
        self._entries: dict[int, ManifestEntry] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._photos: dict[int, PhotoPlan] = {}
        self._begun: set[int] = set()
        self._notices: dict[str, None] = dict.fromkeys(batch.notices)
        self._started = time.monotonic()

    def run(self) -> BatchReport:
        stopped = False
        try:
            self._record.load()
            self._notices.update(dict.fromkeys(self._record.notices))
            settings = self._batch.exports[0].settings.engine
            try:
                files = loading.find_model_files(settings.model, download=False)
            except ModelError:
                files = find_model(settings)
            waiting = self._sort_out(files.digest())
            if waiting and min(self._batch.jobs, len(waiting)) > 1:
                self._run_beside(waiting)
            elif waiting:
                self._run_here(waiting)
        except KeyboardInterrupt:
            stopped = True
        except EngineLoadError as error:
            raise error.reason from error
        outcomes = tuple(self._outcome(number) for number in range(len(self._batch.exports)))
        return BatchReport(
            self._batch.exports, outcomes, time.monotonic() - self._started, stopped, tuple(self._notices)
        )

    def _sort_out(self, model_digest: str) -> list[int]:
        """Return the indices of the exports to run. The others get their outcome."""
        waiting = []
        for number, request in enumerate(self._exports):
            if request.photos:
                if self._plan_photos(number, model_digest):
                    waiting.append(number)
                continue
            try:
                entry = entry_of(request, model_digest)
            except (OSError, SourceError):
                waiting.append(number)  # the export itself reports the error
                continue
            self._entries[number] = entry
            held = self._record.entries.get(request.result.name)
            finished, sentence = judged(request, entry, held)
            if finished is None:
                waiting.append(number)
                if held is not None and is_left_over(request, held):
                    settings = request.settings.model_copy(update={"overwrite": True})
                    self._exports[number] = replace(request, settings=settings)
                continue
            if held is not None and held.is_begun and finished:
                self._remember(request, entry.finished(request))
            self._end(number, Outcome(Ending.FINISHED_BEFORE if finished else Ending.FAILED, sentence))
        return waiting

    def _plan_photos(self, number: int, model_digest: str) -> bool:
        """Reduce a set of photos to its remaining parts, and return whether there are any. If not, set its outcome."""
        plan = plan_photos(self._exports[number], model_digest, self._record.entries)
        self._note(plan.finished_before())
        if plan.request is None:
            ending = Ending.FAILED if plan.problems else Ending.FINISHED_BEFORE
            self._end(number, Outcome(ending, " ".join(plan.problems[:1]), notices=plan.problems[1:]))
            return False
        self._photos[number], self._exports[number] = plan, plan.request
        return True

    def _run_here(self, waiting: Sequence[int]) -> None:
        engine = _LazyEngine(self._exports[waiting[0]], self._watch.stage)
        for number in waiting:
            self.begun(number)
            outcome = run_export_safely(self._exports[number], engine, partial(self._watch.progressed, number))
            self._notices.update(dict.fromkeys(engine.notices))
            self._finish(number, outcome)
            if outcome.ending is Ending.STOPPED:
                raise KeyboardInterrupt

    def _run_beside(self, waiting: Sequence[int]) -> None:
        self._watch.stage("Loading the model in each process")
        exports = [self._exports[number] for number in waiting]
        places = [
            (request.source, request.output, request.masks, request.data, request.photos, request.settings.overwrite)
            for request in exports
        ]
        try:
            process_pool.run_jobs(self._batch.jobs, prepare_process, exports[0], places, _PoolProgress(self, waiting))
        except ClipsegLiveError as error:
            if not self._begun:
                raise
            self._notices[str(error)] = None

    def begun(self, number: int) -> None:
        """Note that an export has started.

        If no file exists under its name, a later file there belongs to it, because results are renamed into place when
        they are complete.
        """
        request, entry = self._exports[number], self._entries.get(number)
        self._begun.add(number)
        if number in self._photos:
            self._note(self._photos[number].begun())
        held = self._record.entries.get(request.result.name)
        free = not standing(request) or (held is not None and is_left_over(request, held))
        if entry is not None and free:
            self._remember(request, entry.begun(request))
        self._watch.begun(number)

    def progressed(self, number: int, progress: Progress) -> None:
        self._watch.progressed(number, progress)

    def ended(self, number: int, outcome: Outcome, engine_notices: Sequence[str]) -> None:
        self._notices.update(dict.fromkeys(engine_notices))
        self._finish(number, outcome)

    def lost(self, number: int, reason: str) -> None:
        request = self._exports[number]
        sentence = f"The process that exported {Path(request.source).name} is gone: {reason}."
        self._finish(number, Outcome(Ending.FAILED, sentence))

    def _finish(self, number: int, outcome: Outcome) -> None:
        request, entry = self._exports[number], self._entries.get(number)
        held = self._record.entries.get(request.result.name)
        if number in self._photos:
            plan = self._photos[number]
            self._note(plan.ended(outcome.result is not None))
            if outcome.ending is Ending.DONE and plan.problems:
                outcome = replace(outcome, ending=Ending.PARTLY)
            outcome = replace(outcome, notices=(*outcome.notices, *plan.problems))
        elif outcome.ending is Ending.DONE and entry is not None:
            self._remember(request, entry.finished(request))
        elif held is not None and held.is_begun and not standing(request):
            self._remember(request, None)
        self._end(number, outcome)

    def _end(self, number: int, outcome: Outcome) -> None:
        self._outcomes[number] = outcome
        self._watch.ended(number, outcome)

    def _remember(self, request: ExportRequest, entry: ManifestEntry | None) -> None:
        self._note({request.result.name: entry})

    def _note(self, changes: Mapping[str, ManifestEntry | None]) -> None:
        try:
            self._record.remember_all(changes)
        except Failure as error:
            self._notices[str(error)] = None

    def _outcome(self, number: int) -> Outcome:
        if number in self._outcomes:
            return self._outcomes[number]
        ending = Ending.STOPPED if number in self._begun else Ending.NOT_BEGUN
        return Outcome(ending)


class EngineLoadError(Exception):
    """Raised when the engine of all exports cannot be loaded. ``reason`` is the error for the user."""

    def __init__(self, reason: ClipsegLiveError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _LazyEngine:
    """Loads the engine of an export on the first call, with its prompts encoded."""

    def __init__(self, request: ExportRequest, on_stage: Callable[[str], None] = lambda words: None) -> None:
        self._request, self._on_stage = request, on_stage
        self._engine: ReadyEngine | None = None

    @property
    def notices(self) -> tuple[str, ...]:
        return () if self._engine is None else self._engine.notices

    def __call__(self) -> ReadyEngine:
        """Return the engine.

        Raises:
            EngineLoadError: The engine cannot be loaded.
        """
        if self._engine is None:
            settings = self._request.settings.engine
            try:
                files = find_model(settings)
                self._on_stage(loading_message(files, settings))
                self._engine = load_engine(files, settings, self._request.prompts)
            except ClipsegLiveError as error:
                raise EngineLoadError(error) from error
            self._on_stage("Exporting")
        return self._engine


def run_export_safely(
    request: ExportRequest,
    engine: "_LazyEngine",
    on_progress: Callable[[Progress], None],
    stop: StopSwitch | None = None,
) -> Outcome:
    """Run one export, and return its outcome also if it fails.

    Args:
        request: Requested export.
        engine: Loads the engine on the first call.
        on_progress: Called with the progress.
        stop: Stops the export.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed before the first frame.
        EngineLoadError: The engine of all exports cannot be loaded.
    """
    try:
        finished = run_export(request, engine=engine, stop=stop, on_progress=on_progress)
    except EngineLoadError:
        raise
    except ExportStopped as error:
        return Outcome(Ending.STOPPED, str(error))
    except ClipsegLiveError as error:
        logger.warning("An export failed", exc_info=True)
        return Outcome(Ending.FAILED, str(error))
    except Exception as error:
        logger.exception("An export failed unexpectedly")
        words = " ".join(str(error).split())[:200]
        sentence = (
            f"Something unexpected went wrong with {Path(request.source).name} ({type(error).__name__}: {words}). "
            "The log has the details."
        )
        return Outcome(Ending.FAILED, sentence)
    notices = tuple(notice for notice in finished.notices if notice not in engine.notices)
    problems = finished.result.problems
    ending = Ending.PARTLY if problems else Ending.DONE
    return Outcome(ending, result=finished.result, notices=(*notices, *problems))


def prepare_process(template: ExportRequest, size: int) -> process_pool.Work:
    """Prepare a process of the pool: load the model and encode the prompts once.

    Args:
        template: Export whose files and photos are replaced for each job.
        size: Number of processes.
    """
    from clipseg_live.model.threads import share_cores

    share_cores(size)
    engine = _LazyEngine(template)
    try:
        engine()
    except EngineLoadError as error:
        raise error.reason from error

    def work(places: tuple[Any, ...], tell: process_pool.SendProgress, stop: StopSwitch) -> Any:
        source, output, masks, data, photos, overwrite = places
        settings = template.settings.model_copy(update={"overwrite": overwrite})
        request = replace(
            template, source=source, output=output, masks=masks, data=data, photos=photos, settings=settings
        )
        outcome = run_export_safely(request, engine, _ThrottledProgress(tell), stop)
        return outcome, engine.notices

    return work


class _ThrottledProgress:
    def __init__(self, tell: process_pool.SendProgress) -> None:
        self._tell, self._last = tell, 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last >= TOLD_SECONDS:
            self._last = now
            self._tell(progress)


class _PoolProgress:
    """Listener of the pool for a batch. ``numbers`` are the exports of the pool's jobs."""

    def __init__(self, batch: _Batch, numbers: Sequence[int]) -> None:
        self._batch, self._numbers = batch, numbers

    def begun(self, number: int) -> None:
        self._batch.begun(self._numbers[number])

    def word(self, number: int, word: Any) -> None:
        self._batch.progressed(self._numbers[number], word)

    def done(self, number: int, outcome: Any) -> None:
        export_outcome, engine_notices = outcome
        self._batch.ended(self._numbers[number], export_outcome, engine_notices)

    def lost(self, number: int, reason: str) -> None:
        self._batch.lost(self._numbers[number], reason)
