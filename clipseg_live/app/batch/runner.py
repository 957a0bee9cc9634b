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

from clipseg_live.app.batch.manifest import Manifest, ManifestEntry, decide, entry_of, existing_outputs, is_interrupted
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

PROGRESS_INTERVAL = 0.1
"""Shortest time between two progress reports of a process."""


class Ending(Enum):
    """Outcome of an input. PARTLY: some photos of a set could not be read, or were left unchanged."""

    DONE = "done"
    PARTLY = "done in part"
    FINISHED_BEFORE = "already finished"
    FAILED = "failed"
    STOPPED = "stopped"
    NOT_STARTED = "not started"


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

    def stage(self, text: str) -> None:
        """Take a message about the current stage."""

    def begun(self, number: int) -> None:
        """Take note that an export has started."""

    def progressed(self, number: int, progress: Progress) -> None:
        """Take the progress of an export."""

    def ended(self, number: int, outcome: Outcome) -> None:
        """Take the outcome of an export."""


def run_batch(batch: BatchRequest, listener: BatchWatch) -> BatchReport:
    """Run all unfinished exports of a batch. A failed export does not stop the others.

    Ctrl-C (KeyboardInterrupt) abandons running exports, or keeps their finished part if their settings say so. The
    report says what is left.

    Args:
        batch: Requested batch.
        listener: Listener for the batch.

    Raises:
        UsageError: The model cannot be used. No export has started.
        Failure: The model cannot be used. No export has started.
    """
    return _Batch(batch, listener).run()


class _Batch:
    def __init__(self, batch: BatchRequest, listener: BatchWatch) -> None:
        self._batch, self._listener = batch, listener
        self._exports = list(batch.exports)
        self._manifest = Manifest(batch.into)
        self._entries: dict[int, ManifestEntry] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._photos: dict[int, PhotoPlan] = {}
        self._started_numbers: set[int] = set()
        self._notices: dict[str, None] = dict.fromkeys(batch.notices)
        self._start_time = time.monotonic()

    def run(self) -> BatchReport:
        is_stopped = False
        try:
            self._manifest.load()
            self._notices.update(dict.fromkeys(self._manifest.notices))
            settings = self._batch.exports[0].settings.engine
            try:
                files = loading.find_model_files(settings.model, download=False)
            except ModelError:
                files = find_model(settings)
            pending = self._skip_finished(files.digest())
            if pending and min(self._batch.jobs, len(pending)) > 1:
                self._run_in_parallel(pending)
            elif pending:
                self._run_serially(pending)
        except KeyboardInterrupt:
            is_stopped = True
        except EngineLoadError as error:
            raise error.reason from error
        outcomes = tuple(self._outcome(number) for number in range(len(self._batch.exports)))
        return BatchReport(
            self._batch.exports, outcomes, time.monotonic() - self._start_time, is_stopped, tuple(self._notices)
        )

    def _skip_finished(self, model_digest: str) -> list[int]:
        """Return the indices of the exports to run. The others get their outcome."""
        pending = []
        for number, request in enumerate(self._exports):
            if request.photos:
                if self._plan_photos(number, model_digest):
                    pending.append(number)
                continue
            try:
                entry = entry_of(request, model_digest)
            except (OSError, SourceError):
                pending.append(number)  # the export itself reports the error
                continue
            self._entries[number] = entry
            previous = self._manifest.entries.get(request.result.name)
            finished, message = decide(request, entry, previous)
            if finished is None:
                pending.append(number)
                if previous is not None and is_interrupted(request, previous):
                    settings = request.settings.model_copy(update={"overwrite": True})
                    self._exports[number] = replace(request, settings=settings)
                continue
            if previous is not None and previous.is_unfinished and finished:
                self._store(request, entry.finished(request))
            self._end(number, Outcome(Ending.FINISHED_BEFORE if finished else Ending.FAILED, message))
        return pending

    def _plan_photos(self, number: int, model_digest: str) -> bool:
        """Reduce a set of photos to its remaining parts, and return whether there are any. If not, set its outcome."""
        plan = plan_photos(self._exports[number], model_digest, self._manifest.entries)
        self._store_all(plan.recovered_entries())
        if plan.request is None:
            ending = Ending.FAILED if plan.problems else Ending.FINISHED_BEFORE
            self._end(number, Outcome(ending, " ".join(plan.problems[:1]), notices=plan.problems[1:]))
            return False
        self._photos[number], self._exports[number] = plan, plan.request
        return True

    def _run_serially(self, pending: Sequence[int]) -> None:
        engine = _LazyEngine(self._exports[pending[0]], self._listener.stage)
        for number in pending:
            self.begun(number)
            outcome = run_export_safely(self._exports[number], engine, partial(self._listener.progressed, number))
            self._notices.update(dict.fromkeys(engine.notices))
            self._finish(number, outcome)
            if outcome.ending is Ending.STOPPED:
                raise KeyboardInterrupt

    def _run_in_parallel(self, pending: Sequence[int]) -> None:
        self._listener.stage("Loading the model in each process")
        exports = [self._exports[number] for number in pending]
        jobs = [
            (request.source, request.output, request.masks, request.data, request.photos, request.settings.overwrite)
            for request in exports
        ]
        try:
            process_pool.run_jobs(self._batch.jobs, prepare_process, exports[0], jobs, _PoolProgress(self, pending))
        except ClipsegLiveError as error:
            if not self._started_numbers:
                raise
            self._notices[str(error)] = None

    def begun(self, number: int) -> None:
        """Note that an export has started.

        If no file exists under its name, a later file there belongs to it, because results are renamed into place when
        they are complete.
        """
        request, entry = self._exports[number], self._entries.get(number)
        self._started_numbers.add(number)
        if number in self._photos:
            self._store_all(self._photos[number].started_entries())
        previous = self._manifest.entries.get(request.result.name)
        free = not existing_outputs(request) or (previous is not None and is_interrupted(request, previous))
        if entry is not None and free:
            self._store(request, entry.started(request))
        self._listener.begun(number)

    def progressed(self, number: int, progress: Progress) -> None:
        self._listener.progressed(number, progress)

    def ended(self, number: int, outcome: Outcome, engine_notices: Sequence[str]) -> None:
        self._notices.update(dict.fromkeys(engine_notices))
        self._finish(number, outcome)

    def lost(self, number: int, reason: str) -> None:
        request = self._exports[number]
        message = f"The export of {Path(request.source).name} failed: {reason}."
        self._finish(number, Outcome(Ending.FAILED, message))

    def _finish(self, number: int, outcome: Outcome) -> None:
        request, entry = self._exports[number], self._entries.get(number)
        previous = self._manifest.entries.get(request.result.name)
        if number in self._photos:
            plan = self._photos[number]
            self._store_all(plan.entries_after_run(outcome.result is not None))
            if outcome.ending is Ending.DONE and plan.problems:
                outcome = replace(outcome, ending=Ending.PARTLY)
            outcome = replace(outcome, notices=(*outcome.notices, *plan.problems))
        elif outcome.ending is Ending.DONE and entry is not None:
            self._store(request, entry.finished(request))
        elif previous is not None and previous.is_unfinished and not existing_outputs(request):
            self._store(request, None)
        self._end(number, outcome)

    def _end(self, number: int, outcome: Outcome) -> None:
        self._outcomes[number] = outcome
        self._listener.ended(number, outcome)

    def _store(self, request: ExportRequest, entry: ManifestEntry | None) -> None:
        self._store_all({request.result.name: entry})

    def _store_all(self, changes: Mapping[str, ManifestEntry | None]) -> None:
        try:
            self._manifest.store(changes)
        except Failure as error:
            self._notices[str(error)] = None

    def _outcome(self, number: int) -> Outcome:
        if number in self._outcomes:
            return self._outcomes[number]
        ending = Ending.STOPPED if number in self._started_numbers else Ending.NOT_STARTED
        return Outcome(ending)


class EngineLoadError(Exception):
    """Raised when the engine of all exports cannot be loaded. ``reason`` is the error for the user."""

    def __init__(self, reason: ClipsegLiveError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _LazyEngine:
    """Loads the engine of an export on the first call, with its prompts encoded."""

    def __init__(self, request: ExportRequest, on_stage: Callable[[str], None] = lambda text: None) -> None:
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
        details = " ".join(str(error).split())[:200]
        message = (
            f"The export of {Path(request.source).name} failed unexpectedly ({type(error).__name__}: {details}). "
            "See the log for details."
        )
        return Outcome(Ending.FAILED, message)
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

    def work(job: tuple[Any, ...], send_progress: process_pool.SendProgress, stop: StopSwitch) -> Any:
        source, output, masks, data, photos, overwrite = job
        settings = template.settings.model_copy(update={"overwrite": overwrite})
        request = replace(
            template, source=source, output=output, masks=masks, data=data, photos=photos, settings=settings
        )
        outcome = run_export_safely(request, engine, _ThrottledProgress(send_progress), stop)
        return outcome, engine.notices

    return work


class _ThrottledProgress:
    def __init__(self, send_progress: process_pool.SendProgress) -> None:
        self._send_progress, self._last = send_progress, 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last >= PROGRESS_INTERVAL:
            self._last = now
            self._send_progress(progress)


class _PoolProgress:
    """Listener of the pool for a batch. ``numbers`` are the exports of the pool's jobs."""

    def __init__(self, batch: _Batch, numbers: Sequence[int]) -> None:
        self._batch, self._numbers = batch, numbers

    def on_start(self, number: int) -> None:
        self._batch.begun(self._numbers[number])

    def on_progress(self, number: int, progress: Any) -> None:
        self._batch.progressed(self._numbers[number], progress)

    def on_done(self, number: int, outcome: Any) -> None:
        export_outcome, engine_notices = outcome
        self._batch.ended(self._numbers[number], export_outcome, engine_notices)

    def on_lost(self, number: int, reason: str) -> None:
        self._batch.lost(self._numbers[number], reason)
