"""When a picture may leave for a virtual camera, and when the safe picture is shown in its place."""

from clipseg_live.core.effects import is_private
from clipseg_live.core.live import LiveSettings, Picture, SourceState, WorkerState

_SHOWING = (SourceState.RUNNING, SourceState.PAUSED, SourceState.ENDED)


def may_be_shown(
    picture: Picture, settings: LiveSettings, version: int, worker: WorkerState, source: SourceState
) -> bool:
    """Whether a composed picture may be shown to others at this moment.

    settings, version: of the session and of the prompts that are asked for now; the picture tells its own. Never while
    the worker has no answers to give or the source has no pictures. With a privacy effect only a picture that was drawn
    with one, from its own answer to the present prompts, for the rows that are drawn now.
    """
    if worker is not WorkerState.READY or source not in _SHOWING:
        return False
    if not is_private(settings.effects):
        return True
    drawn = picture.settings
    return (
        drawn is not None
        and is_private(drawn.effects)
        and picture.own
        and picture.mattes is not None
        and picture.mattes.own
        and picture.version >= version
        and _drawn_rows(drawn) == _drawn_rows(settings)
    )


def _drawn_rows(settings: LiveSettings) -> tuple[tuple[int, str], ...]:
    return tuple((row.id, row.style.role) for row in settings.shown())
