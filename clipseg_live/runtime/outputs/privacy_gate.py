"""The choice between a rendered frame and the safe image for a virtual camera."""

from clipseg_live.core.privacy import may_leave
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.core.status import SourceState, WorkerState

_SHOWING = (SourceState.RUNNING, SourceState.PAUSED, SourceState.ENDED)


def may_publish(
    rendered: RenderedFrame, settings: LiveSettings, version: int, worker: WorkerState, source: SourceState
) -> bool:
    """Return whether a rendered frame may be shown to others at this moment.

    It may not while the worker gives no predictions or the source gives no frames, nor against the privacy policy
    (``core.privacy.may_leave``).

    Args:
        rendered: Rendered frame.
        settings: Current settings of the session.
        version: Version of the current prompts.
        worker: State of the worker.
        source: State of the source.
    """
    return worker is WorkerState.READY and source in _SHOWING and may_leave(rendered, settings, version)
