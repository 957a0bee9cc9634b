"""Virtual camera as the job of a session without a window."""

import time
from typing import TYPE_CHECKING

from clipseg_live.cli.headless.session import run_session
from clipseg_live.core.system.times import format_time

if TYPE_CHECKING:
    from clipseg_live.core.settings.live import LiveSettings, SourceSpec
    from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings
    from clipseg_live.core.status import Message, SessionStatus
    from clipseg_live.runtime.session import Session


def run_camera(settings: "LiveSettings", spec: "SourceSpec", wanted: "VirtualCameraSettings") -> None:
    """Run until Ctrl-C or SIGTERM. Files start again at their end.

    Args:
        settings: Settings of the session.
        spec: Source.
        wanted: Settings of the virtual camera.

    Raises:
        Failure: The source, the model or the virtual camera cannot be used, a file breaks, the worker failed too often,
            or a thread did not end.
    """
    begun = time.monotonic()
    sent = run_session(settings, spec, _VirtualCamera(wanted), loop=True).camera.sent
    print(f"{sent} frames sent in {format_time(time.monotonic() - begun)}.", flush=True)  # noqa: T201


class _VirtualCamera:
    """The job of a session that runs a virtual camera."""

    def __init__(self, wanted: "VirtualCameraSettings") -> None:
        self._wanted = wanted

    def begin(self, session: "Session") -> None:
        """Start the virtual camera."""
        session.start_camera(self._wanted)

    def look(self, session: "Session", status: "SessionStatus") -> bool:
        """Continue until an error."""
        from clipseg_live.core.errors import Failure, SourceError
        from clipseg_live.core.status import SourceState

        if status.camera.problem and not status.camera.sent:
            raise Failure(status.camera.problem)
        if status.source.state is SourceState.ENDED and status.source.problem:
            raise SourceError(status.source.problem)
        return True

    def hear(self, message: "Message") -> bool:
        """Let every message be printed."""
        return True

    def describe(self, status: "SessionStatus") -> str:
        """Return the present state in one line."""
        return describe_camera(status)


def describe_camera(status: "SessionStatus") -> str:
    """Return the state of the virtual camera and the reason for it, in one line."""
    camera = status.camera
    if not camera.device:
        return "Opening the virtual camera" if not camera.problem else "The virtual camera is not available"
    where = f"{camera.device}, {camera.width}×{camera.height}, {camera.rate:g} frames per second"
    return f"{where}: placeholder image ({why_safe(status)})" if camera.shows_placeholder else f"{where}: on"


def why_safe(status: "SessionStatus") -> str:
    """Return why the safe image is shown."""
    from clipseg_live.core.status import HiddenReason, SourceState, WorkerState

    source = {
        SourceState.OPENING: "opening the source", SourceState.RECONNECTING: "reconnecting to the source",
        SourceState.FAILED: "the source is not available", SourceState.CLOSED: "there is no source",
    }.get(status.source.state)  # fmt: skip
    worker = {
        WorkerState.STOPPED: "the model is not loaded", WorkerState.STARTING: "loading the model",
        WorkerState.LOADING: "loading the model", WorkerState.RESTARTING: "restarting the model",
        WorkerState.WAITING: "the model has stopped",
    }.get(status.worker.state)  # fmt: skip
    hidden = {
        HiddenReason.NOTHING: "no prompt says what to hide",
        HiddenReason.EDITING: "a changed prompt has no mask yet",
        HiddenReason.WAITING: "the frame has no masks yet",
    }
    waiting = "waiting for the first frame" if status.hidden is None else hidden[status.hidden]
    return source or worker or waiting
