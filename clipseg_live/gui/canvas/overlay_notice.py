"""Notices on the canvas for each state of the source."""

from PySide6.QtCore import QCoreApplication

from clipseg_live.core.status import HiddenReason, SourceState, SourceStatus
from clipseg_live.gui.canvas.painting import Notice
from clipseg_live.gui.widgets import theme

RETRY, DEMO_ACTION, OPEN_FILE = "retry", "demo", "open_file"


def _tr(text: str) -> str:
    return QCoreApplication.translate("Notices", text)


def source_notice(status: SourceStatus, title: str, *, has_frame: bool, is_demo: bool) -> Notice | None:
    """Return the notice for the state of the source; None if there is nothing to say.

    Args:
        status: status of the source.
        title: name of the source shown to the user.
        has_frame: whether the canvas still shows the last frame.
        is_demo: whether the source is the demo scene.
    """
    state = status.state
    demo = () if is_demo else ((DEMO_ACTION, _tr("Show demo scene")),)
    if state is SourceState.CLOSED:
        text = _tr("Open a camera, video or stream, or drop a file here.")
        return Notice(_tr("No source is open"), text, (*demo, (OPEN_FILE, _tr("Open file…"))))
    if state is SourceState.OPENING:
        return Notice(_tr("Opening {0}…").format(title), quiet=has_frame)
    if state is SourceState.RECONNECTING:
        if has_frame:
            return Notice(_tr("Reconnecting to {0}").format(title), status.problem, quiet=True, colour=theme.WARNING)
        return Notice(_tr("Reconnecting to {0}").format(title), status.problem, demo)
    if state is SourceState.FAILED:
        actions = (*demo, (RETRY, _tr("Try again")), (OPEN_FILE, _tr("Open file…")))
        return Notice(_tr("Cannot open {0}").format(title), status.problem, actions)
    if status.photos and status.problem:
        return Notice(_tr("Cannot show {0}").format(status.file), status.problem)
    if state is SourceState.ENDED and not status.seekable and not has_frame:
        return Notice(_tr("{0} has ended").format(title), "", ((RETRY, _tr("Open again")), *demo))
    return None


def hidden_notice(reason: HiddenReason | None) -> Notice | None:
    """Return the notice for a frame that is hidden until the user acts; None if it is not."""
    texts = {
        HiddenReason.NOTHING: _tr("Enter what to hide in every visible prompt."),
        HiddenReason.EDITING: _tr("The changed prompt takes effect when it is detected, or after a few seconds."),
    }
    text = texts.get(reason) if reason is not None else None
    return None if text is None else Notice(_tr("The whole frame is hidden"), text, quiet=True, colour=theme.WARNING)
