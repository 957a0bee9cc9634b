"""Run of one export as a process, and the queue of all runs."""

import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QProcess, QTimer, Signal

from clipseg_live.gui.export.job import ExportJob

logger = logging.getLogger(__name__)

PROGRAM: tuple[str, ...] = (sys.executable, "-m", "clipseg_live")
_STOP_MILLISECONDS = 15_000
"""Longest time for an export to stop by itself, before it is killed."""
_EXIT_MILLISECONDS = 1500
_NICENESS = 10
_DONE = ("done", "finished_before")
_LONGEST_ERROR = 4096


class RunState(StrEnum):
    """State of a run. FAILED: at least one result is missing."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Present status of a run.

    Attributes:
        state: state of the run.
        stage: what is being done before the first input.
        inputs: number of inputs, 0 until it is known.
        finished: number of inputs that have ended.
        progress: finished part of the run, 0 to 1.
        seconds_left: expected remaining seconds of the running inputs; None while unknown.
        results: number of inputs with a result, which may lack some photos.
        problems: one sentence for each input that failed, and for what went wrong as a whole.
        notices: other sentences for the user.
    """

    state: RunState = RunState.WAITING
    stage: str = ""
    inputs: int = 0
    finished: int = 0
    progress: float = 0.0
    seconds_left: float | None = None
    results: int = 0
    problems: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


class ExportRun(QObject):
    """One export as a process of its own, so that the window stays responsive and a crash does not affect it.

    Attributes:
        changed: signal, the status has changed.
        file_ended: signal with an input, or a photo of a set, and the reason why its result is missing, "" if it is
            complete.
        ended: signal, the process has ended.
    """

    changed = Signal()
    file_ended = Signal(str, str)
    ended = Signal()

    def __init__(self, job: ExportJob, program: Sequence[str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.job = job
        self.status = RunStatus()
        self._program = program
        self._process: QProcess | None = None
        self._sources: list[dict[str, Any]] = []
        self._parts: dict[int, float] = {}
        self._errors = b""
        self._is_stop_requested = False

    @property
    def is_active(self) -> bool:
        """Return whether the process is running."""
        return self._process is not None

    def start(self) -> None:
        """Start the process, or start it again. Results that are finished are kept."""
        if self._process is not None:
            return
        self._sources, self._parts, self._errors = [], {}, b""
        self._is_stop_requested = False
        self._set(RunStatus(RunState.RUNNING))
        process = self._process = QProcess(self)
        process.readyReadStandardOutput.connect(self._read_events)
        process.readyReadStandardError.connect(self._read_errors)
        process.started.connect(self._lower_priority)
        process.finished.connect(self._finish)
        process.errorOccurred.connect(self._fail_to_start)
        program, *first = self._program
        process.start(program, [*first, *self.job.arguments(), "--json"])

    def wait_again(self) -> None:
        """Put the run back into the queue."""
        if self._process is None:
            self._set(RunStatus())

    def stop(self) -> None:
        """Stop the process. It removes what it has not finished."""
        if self._process is None:
            self._set(replace(self.status, state=RunState.STOPPED))
        elif not self._is_stop_requested:
            self._is_stop_requested = True
            self._process.terminate()
            QTimer.singleShot(_STOP_MILLISECONDS, self._process, self._process.kill)

    def end_now(self) -> None:
        """End the process at once, because the window closes."""
        process = self._process
        if process is not None:
            self._is_stop_requested = True
            process.terminate()
            if not process.waitForFinished(_EXIT_MILLISECONDS):
                process.kill()
                process.waitForFinished(_EXIT_MILLISECONDS)

    def _lower_priority(self) -> None:
        """Leave the processor to the live view first, where the system allows it."""
        if self._process is not None and hasattr(os, "setpriority"):
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.processId(), _NICENESS)

    def _read_events(self) -> None:
        while self._process is not None and self._process.canReadLine():
            line = bytes(self._process.readLine().data())
            try:
                event = json.loads(line)
                self._take(event)
            except (ValueError, KeyError, TypeError, IndexError):
                logger.warning("A line of an export is no event", exc_info=True)

    def _read_errors(self) -> None:
        if self._process is not None:
            self._errors = (self._errors + bytes(self._process.readAllStandardError().data()))[-_LONGEST_ERROR:]

    def _take(self, event: dict[str, Any]) -> None:
        """Take one line of ``clipseg_live.cli.export.events``."""
        kind, status = event["event"], self.status
        if kind == "planned":
            self._sources = list(event["sources"])
            self._set(replace(status, inputs=len(self._sources)))
        elif kind == "stage":
            self._set(replace(status, stage=str(event["text"])))
        elif kind == "progress":
            frames, total = int(event["frames"]), event["total"]
            self._parts[int(event["number"])] = min(frames / total, 1.0) if total else 0.0
            self._set(self._with_progress(replace(status, stage="", seconds_left=event["seconds_left"])))
        elif kind == "ended":
            self._take_outcome(event)
        elif kind == "finished":
            self._set(replace(status, notices=(*status.notices, *event["notices"])))

    def _take_outcome(self, event: dict[str, Any]) -> None:
        number, ending = int(event["number"]), event["ending"]
        source, sentence = str(self._sources[number]["source"]), str(event["sentence"])
        status = self.status
        self._parts[number] = 1.0
        problems = [str(problem) for problem in event["problems"]]
        if ending not in (*_DONE, "partly", "stopped"):
            problems.append(sentence or f"{Path(source).name} was not exported.")
        self._set(
            self._with_progress(
                replace(
                    status,
                    finished=status.finished + 1,
                    results=status.results + (ending in (*_DONE, "partly")),
                    problems=(*status.problems, *problems),
                    notices=(*status.notices, *map(str, event["notices"])),
                )
            )
        )
        photos = [str(photo) for photo in self._sources[number]["photos"]]
        if ending in (*_DONE, "partly"):
            for file in photos or [source]:
                self.file_ended.emit(file, _problem_of(file, problems))
        elif ending != "stopped" and not photos:
            self.file_ended.emit(source, problems[-1])

    def _with_progress(self, status: RunStatus) -> RunStatus:
        return replace(status, progress=sum(self._parts.values()) / max(status.inputs, 1))

    def _fail_to_start(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart and self._process is not None:
            reason = self._process.errorString()
            logger.warning("An export could not be started: %s", reason)
            self._end(RunState.FAILED, f"The export could not be started: {reason}.")

    def _finish(self, code: int, how: QProcess.ExitStatus) -> None:
        self._read_events()
        self._read_errors()
        problem = ""
        if self._is_stop_requested:
            state = RunState.STOPPED
        elif code == 0 and how is QProcess.ExitStatus.NormalExit:
            state = RunState.DONE
        else:
            state = RunState.FAILED
            if not self.status.problems:
                lines = self._errors.decode(errors="replace").strip().splitlines()
                problem = (lines[-1] if lines else "").removeprefix("clipseg-live: ")
                problem = problem or f"The export ended unexpectedly (code {code})."
                logger.warning("An export failed with code %d: %s", code, problem)
        self._end(state, problem)

    def _end(self, state: RunState, problem: str) -> None:
        if self._process is not None:
            self._process.deleteLater()
            self._process = None
        problems = (*self.status.problems, problem) if problem else self.status.problems
        self._set(replace(self.status, state=state, stage="", seconds_left=None, problems=problems))
        self.ended.emit()

    def _set(self, status: RunStatus) -> None:
        if status != self.status:
            self.status = status
            self.changed.emit()


def _problem_of(file: str, problems: Sequence[str]) -> str:
    """Return the sentence that names a photo of a set, "" if there is none."""
    name = Path(file).name
    return next((problem for problem in problems if name in problem), "")


class ExportQueue(QObject):
    """Runs exports one after the other, in the order in which they were added.

    Args:
        program: the program and its first arguments.
        parent: parent object.

    Attributes:
        added: signal with a new ExportRun.
        changed: signal, a run has started or ended.
    """

    added = Signal(object)
    changed = Signal()

    def __init__(self, program: Sequence[str] = PROGRAM, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.program = program
        self.runs: list[ExportRun] = []

    @property
    def is_active(self) -> bool:
        """Return whether an export is running."""
        return any(run.is_active for run in self.runs)

    def add(self, job: ExportJob) -> ExportRun:
        """Add an export. It starts when those before it have ended."""
        run = ExportRun(job, self.program, self)
        self.runs.append(run)
        run.ended.connect(self._start_next)
        self.added.emit(run)
        self._start_next()
        return run

    def resume(self, run: ExportRun) -> None:
        """Run an export again that was stopped or failed. Finished results are kept."""
        run.wait_again()
        self._start_next()

    def stop(self, run: ExportRun) -> None:
        """Stop an export, or take it out of the queue."""
        run.stop()

    def remove(self, run: ExportRun) -> None:
        """Remove an export that is not running from the list."""
        if not run.is_active and run in self.runs:
            self.runs.remove(run)
            run.deleteLater()

    def end_now(self) -> None:
        """End the running export, and start no other one."""
        for run in self.runs:
            run.blockSignals(True)
            run.end_now()

    def _start_next(self) -> None:
        if not self.is_active:
            waiting = (run for run in self.runs if run.status.state is RunState.WAITING)
            run = next(waiting, None)
            if run is not None:
                run.start()
        self.changed.emit()
