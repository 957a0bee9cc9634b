"""Recording as the job of a session without a window."""

import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from clipseg_live.cli.headless.session import has_masks, run_session
from clipseg_live.core.system.times import format_time

if TYPE_CHECKING:
    from clipseg_live.core.settings.live import LiveSettings, SourceSpec
    from clipseg_live.core.settings.recording import RecordingSettings
    from clipseg_live.core.status import Message, SessionStatus
    from clipseg_live.runtime.session import Session

_REWIND_SECONDS = 30.0
"""Longest wait for a file at its end to start again."""


def run_recording(
    settings: "LiveSettings", spec: "SourceSpec", folder: Path, wanted: "RecordingSettings", seconds: float | None
) -> None:
    """Record from the first frame with masks until Ctrl-C, SIGTERM, the end of a file, or a duration.

    Args:
        settings: Settings of the session.
        spec: Source.
        folder: Folder for the files.
        wanted: Settings of the recording.
        seconds: Longest duration, or None.

    Raises:
        Failure: Nothing was recorded, or the recording is incomplete because the source, the worker or a file failed.
            The message names the files that were kept.
    """
    from clipseg_live.core.errors import Failure, SourceError

    job = _Recording(folder, wanted, seconds)
    try:
        run_session(settings, spec, job)
    except Failure as error:
        if not job.begun:
            raise
        raise Failure(job.ended_by(str(error))) from error
    if not job.begun:
        raise Failure("Nothing was recorded: it was interrupted before the first frame with masks.")
    if job.broken:
        raise SourceError(job.ended_by(job.broken))
    if job.problem:
        raise Failure(job.problem)
    if job.result:
        print(job.result, flush=True)  # noqa: T201


class _Recording:
    """The job of a session that records.

    Attributes:
        begun: The recording was started.
        result: Message about a finished recording.
        problem: Why a recording was not finished.
        broken: Why the source ended early.
    """

    def __init__(self, folder: Path, wanted: "RecordingSettings", seconds: float | None) -> None:
        self._folder, self._wanted, self._seconds = folder, wanted, seconds
        self._just_begun = False
        self._rewinds_until: float | None = None
        self._epoch = 0
        self.begun = False
        self.result = self.problem = self.broken = ""

    def begin(self, session: "Session") -> None:
        """Do nothing; ``look`` starts the recording."""

    def look(self, session: "Session", status: "SessionStatus") -> bool:
        """Start the recording at the first frame with masks. Return False when it has ended."""
        from clipseg_live.core.errors import SourceError
        from clipseg_live.core.status import SourceState

        if not self.begun:
            if has_masks(session):
                self._start(session, status)
            return True
        recording, source = status.recording, status.source
        if self._just_begun:  # the status is from before
            self._just_begun = False
            return True
        if self._seconds is not None and recording.seconds >= self._seconds:
            return False
        if source.state is not SourceState.ENDED or self._epoch_of(session) != self._epoch:
            self._rewinds_until = None
        if source.state is not SourceState.ENDED:
            return recording.active
        if self._rewinds_until is None:
            self.broken = source.problem
            return False
        if time.monotonic() > self._rewinds_until:
            raise SourceError(source.problem or f"{source.name} cannot be rewound to its beginning.")
        return recording.active

    def _start(self, session: "Session", status: "SessionStatus") -> None:
        """Start the recording. A file is recorded from its beginning, even if some of it was played before."""
        from clipseg_live.core.status import SourceState

        if status.source.seekable and status.source.state is SourceState.RUNNING:
            session.pause()
            return
        session.start_recording(self._folder, self._wanted)
        self.begun = self._just_begun = True
        if status.source.seekable:
            self._rewinds_until, self._epoch = time.monotonic() + _REWIND_SECONDS, self._epoch_of(session)
            session.seek(Fraction(0))
            session.play()

    @staticmethod
    def _epoch_of(session: "Session") -> int:
        """Return the epoch of the newest frame, which grows when the file is played from its beginning."""
        picture = session.picture()
        return picture.epoch if picture is not None else 0

    def ended_by(self, reason: str) -> str:
        """Return a reason together with the names of the files that were kept."""
        if self.problem:
            return f"{reason} {self.problem}"
        kept = f"the recording before that is kept in {self.result.removeprefix('Recorded ')}" if self.result else ""
        return f"{reason.rstrip('.')}; {kept or 'nothing was kept.'}"

    def hear(self, message: "Message") -> bool:
        """Keep messages about the recording for the end. Return whether to print the message now."""
        if message.topic == "recording" and message.level == "error":
            self.problem = message.text
            return False
        if message.topic == "recording" and message.level == "info":
            self.result = message.text
            return False
        return True

    def describe(self, status: "SessionStatus") -> str:
        """Return the present state in one line."""
        from clipseg_live.core.status import WorkerState

        recording = status.recording
        if recording.active or self._just_begun:
            lost = f", {recording.dropped} frames dropped" if recording.dropped else ""
            return f"Recording {format_time(recording.seconds)}, {recording.size / 1e6:.0f} MB{lost}"
        if self.begun:
            return "Recording finished"
        loading = status.worker.state is not WorkerState.READY
        return status.worker.progress or "Loading the model" if loading else "Waiting for the first frame"
