"""A recording as the job of a session without a window."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from clipseg_live.cli.export_run import clock
from clipseg_live.cli.headless import run_session

if TYPE_CHECKING:
    from clipseg_live.core.live import LiveSettings, Message, SessionStatus, SourceSpec
    from clipseg_live.core.recording import RecordingSettings
    from clipseg_live.pipeline.session import Session


def run_recording(
    settings: "LiveSettings", spec: "SourceSpec", folder: Path, wanted: "RecordingSettings", seconds: float | None
) -> None:
    """Record from the first picture that has its masks until Ctrl-C, SIGTERM, the end of a file, or so many seconds.

    Raises Failure where nothing could be recorded, or not to the end.
    """
    from clipseg_live.core.errors import Failure

    job = _Recording(folder, wanted, seconds)
    run_session(settings, spec, job)
    if job.problem:
        raise Failure(job.problem)
    if job.result:
        print(job.result, flush=True)  # noqa: T201


class _Recording:
    """result: the sentence about a recording that was finished; problem: why one was not, "" for none."""

    def __init__(self, folder: Path, wanted: "RecordingSettings", seconds: float | None) -> None:
        self._folder, self._wanted, self._seconds = folder, wanted, seconds
        self._begun = self._just_begun = self._rewinds = False
        self.result = self.problem = ""

    def begin(self, session: "Session") -> None: ...

    def look(self, session: "Session", status: "SessionStatus") -> bool:
        from clipseg_live.core.live import SourceState

        if not self._begun:
            picture = session.picture()
            if picture is not None and picture.mattes is not None and picture.mattes.each:
                self._start(session, status)
            return True
        recording = status.recording
        if self._just_begun:  # the status is from before
            self._just_begun = False
            return True
        if self._seconds is not None and recording.seconds >= self._seconds:
            return False
        ended = status.source.state is SourceState.ENDED
        self._rewinds &= ended  # a file that had ended may still be on its way to its beginning
        return recording.active and (not ended or self._rewinds)

    def _start(self, session: "Session", status: "SessionStatus") -> None:
        """A file is recorded from its beginning, whatever was played while the model was loading."""
        from clipseg_live.core.live import SourceState

        if status.source.seekable and status.source.state is SourceState.RUNNING:
            session.pause()
            return
        session.start_recording(self._folder, self._wanted)
        self._begun = self._just_begun = True
        self._rewinds = status.source.seekable
        if status.source.seekable:
            session.seek(Fraction(0))
            session.play()

    def hear(self, message: "Message") -> bool:
        if message.topic == "recording" and message.level == "error":
            self.problem = message.text
            return False
        if message.topic == "recording" and message.level == "info":
            self.result = message.text
            return False
        return True

    def describe(self, status: "SessionStatus") -> str:
        from clipseg_live.core.live import WorkerState

        recording = status.recording
        if recording.active or self._just_begun:
            lost = f", {recording.dropped} frames lost" if recording.dropped else ""
            return f"Recording {clock(recording.seconds)}, {recording.size / 1e6:.0f} MB{lost}"
        if self._begun:
            return "The recording is finished"
        loading = status.worker.state is not WorkerState.READY
        return status.worker.progress or "The model loads" if loading else "The first picture is on its way"
