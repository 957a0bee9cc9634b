"""Actions of messages, and removal of messages whose cause is gone."""

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import QCoreApplication

from clipseg_live.core.status import Message
from clipseg_live.gui.canvas.toasts import MessageAction, Toasts

_MODEL_ACTIONS = ("retry", "models")
_ACTIONS: Mapping[tuple[str, str], Sequence[str]] = {
    ("model", "warning"): _MODEL_ACTIONS,
    ("worker", "warning"): _MODEL_ACTIONS,
    ("recording", "info"): ("show_folder",),
    ("recording", "error"): ("folder",),
    ("replay", "warning"): ("recording_options",),
    ("snapshot", "info"): ("show_folder",),
    ("demo", "info"): ("demo_model",),
    ("export", "info"): ("show_exported", "exports"),
    ("export", "error"): ("exports",),
    ("snapshot", "error"): ("folder",),
    ("render", "error"): ("log_folder",),
    ("unexpected", "error"): ("log_folder",),
}
"""Names of the actions of a message, by its topic and level."""


def _tr(text: str) -> str:
    return QCoreApplication.translate("Messages", text)


def _titles() -> Mapping[str, str]:
    return {
        "retry": _tr("Retry"),
        "demo_model": _tr("Use demo model"),
        "models": _tr("Models…"),
        "show_folder": _tr("Open folder"),
        "folder": _tr("Choose folder…"),
        "show_exported": _tr("Open folder"),
        "exports": _tr("Exports…"),
        "recording_options": _tr("Options…"),
        "log_folder": _tr("Open log folder"),
    }


class MessageController:
    """Shows messages with the actions of their topics.

    Args:
        toasts: shows the messages.
        handlers: function of each action by its name.
        is_waiting: returns whether the worker waits for the user; else a problem with it is being solved.
    """

    def __init__(
        self, toasts: Toasts, handlers: Mapping[str, Callable[[], object]], is_waiting: Callable[[], bool]
    ) -> None:
        self._toasts = toasts
        self._handlers = handlers
        self._is_waiting = is_waiting

    def show(self, message: Message) -> None:
        """Show a message with its actions, or remove that of its topic if the text is empty."""
        names = _ACTIONS.get((message.topic, message.level), ())
        if message.topic == "worker" and not self._is_waiting():
            names = ()
        titles = _titles()
        self._toasts.show_message(message, [MessageAction(titles[name], self._handlers[name]) for name in names])

    def settle(self, topic: str) -> None:
        """Remove the message of a topic, because its cause is gone."""
        self._toasts.remove(topic)
