"""The choice between a picture and the safe picture for a virtual camera."""

from clipseg_live.core.privacy import may_leave
from clipseg_live.core.settings.live import LiveSettings, SourceState, ViewFrame, WorkerState

_SHOWING = (SourceState.RUNNING, SourceState.PAUSED, SourceState.ENDED)


def may_publish(
    picture: ViewFrame, settings: LiveSettings, version: int, worker: WorkerState, source: SourceState
) -> bool:
    """Return whether a composed picture may be shown to others at this moment.

    It may not while the worker gives no predictions or the source gives no frames, nor against the privacy policy
    (``core.privacy.may_leave``).

    Args:
        picture: a rendered picture.
        settings: the session's present settings.
        version: of the present prompts.
        worker: state of the worker.
        source: state of the source.
    """
    return worker is WorkerState.READY and source in _SHOWING and may_leave(picture, settings, version)
