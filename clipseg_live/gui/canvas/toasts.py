"""Messages: cards below the frame that never take the focus and never cover the frame."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from clipseg_live.core.status import Message
from clipseg_live.gui.widgets import icons, theme
from clipseg_live.gui.widgets.controls import tool_button

logger = logging.getLogger(__name__)

FRAME_TOPIC = "frame"
"""Topic of messages that there is no frame yet."""
INFO_SECONDS = 6.0
_ACTION_FACTOR = 2
"""Times as long that a message with an action stays."""
_ICONS = {"info": ("info", theme.ACCENT), "warning": ("warning", theme.WARNING), "error": ("error", theme.DANGER)}
_MOST = 3
_LARGEST_SHARE = 0.45
"""Largest share of the height of the parent that all messages may take."""
_NARROW = 620
"""Width of a card below which its buttons are below its text."""


@dataclass(frozen=True, slots=True)
class MessageAction:
    """Action that a message offers.

    Attributes:
        text: text of the button.
        run: called when the button is pressed. The message is removed first.
    """

    text: str
    run: Callable[[], object]


class Toasts(QWidget):
    """Stack of message cards, newest at the bottom.

    There is one card for each topic. A newer message replaces the older one, an empty text removes it. Info messages
    disappear after ``INFO_SECONDS``, or twice that with an action. Others stay until they are closed or removed. If
    there are more than three cards, or the cards leave too little room, the oldest are removed.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Messages"))
        self._cards: dict[str, _MessageCard] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(*[theme.UNIT] * 4)
        self._layout.setSpacing(theme.UNIT // 2)
        self.hide()

    def texts(self) -> list[str]:
        """Return the texts that are shown, oldest first."""
        return [card.text for card in self._cards.values()]

    def show_message(self, message: Message, actions: Sequence[MessageAction] = ()) -> None:
        """Show a message.

        Args:
            message: the message; an empty text removes the card of its topic.
            actions: what the user can do about it, the main action first.
        """
        self.remove(message.topic)
        if not message.text:
            return
        logger.info("Shown: %s message about %s", message.level, message.topic)
        logger.debug("Its text: %s", message.text)
        card = _MessageCard(message, actions, self)
        card.closed.connect(lambda: self.remove(message.topic))
        self._cards[message.topic] = card
        self._layout.addWidget(card)
        card.show()
        self.show()
        while len(self._cards) > 1 and (len(self._cards) > _MOST or not self._fit()):
            self.remove(next(iter(self._cards)))
        self._fit()

    def remove(self, topic: str) -> None:
        """Remove the message of a topic, if there is one."""
        card = self._cards.pop(topic, None)
        if card is None:
            return
        self._layout.removeWidget(card)
        card.timer.stop()
        card.hide()
        card.deleteLater()
        self.setVisible(bool(self._cards))
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the height to the new width."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit()

    def _fit(self) -> bool:
        """Set the height of the cards, and return whether they leave enough room."""
        margins, parent = self._layout.contentsMargins(), self.parentWidget()
        width = self.width() - margins.left() - margins.right()
        heights = [card.fit(width) for card in self._cards.values()]
        spaces = self._layout.spacing() * max(len(heights) - 1, 0)
        self.setFixedHeight(sum(heights) + spaces + margins.top() + margins.bottom())
        return parent is None or self.height() <= _LARGEST_SHARE * parent.height()


class _MessageCard(QFrame):
    closed = Signal()

    def __init__(self, message: Message, actions: Sequence[MessageAction], parent: QWidget) -> None:
        super().__init__(parent)
        self.text = message.text
        name, colour = _ICONS[message.level]
        self.setObjectName("message")
        self.setStyleSheet(
            f"#message {{ background: {theme.RAISED}; border: 1px solid {theme.EDGE}; "
            f"border-radius: {theme.RADIUS}px; }}"
        )
        sign = QLabel()
        sign.setPixmap(icons.pixmap(name, colour, theme.ICON, self.devicePixelRatioF()))
        label = QLabel(message.text)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        label.setAccessibleName(message.text)
        label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        close_button = tool_button("close", self.tr("Close message"))
        close_button.clicked.connect(self.closed)
        said = QHBoxLayout()
        said.setSpacing(theme.UNIT)
        said.addWidget(sign)
        said.addWidget(label, 1)
        row = QHBoxLayout()
        row.setSpacing(theme.UNIT)
        row.addStretch(1)
        for action in actions:
            button = QPushButton(action.text)
            button.setAccessibleName(action.text)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda _=False, run=action.run: self._act(run))
            row.addWidget(button)
        row.addWidget(close_button)
        self._whole = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._whole.setContentsMargins(12, 4, 4, 4)
        self._whole.setSpacing(theme.UNIT // 2)
        self._whole.addLayout(said, 1)
        self._whole.addLayout(row)
        self._has_actions = bool(actions)
        self.timer = QTimer(self)
        self.timer.setSingleShot(True)
        self.timer.timeout.connect(self.closed)
        if message.level == "info":
            self.timer.start(int(INFO_SECONDS * 1000) * (_ACTION_FACTOR if actions else 1))

    def fit(self, width: int) -> int:
        """Fit the card to a width in pixels, and return its height. In a narrow card, buttons are below the text."""
        direction = QBoxLayout.Direction
        is_narrow = self._has_actions and width < _NARROW
        self._whole.setDirection(direction.TopToBottom if is_narrow else direction.LeftToRight)
        self.setFixedHeight(self._whole.totalHeightForWidth(width))
        return self.height()

    def _act(self, run: Callable[[], object]) -> None:
        self.closed.emit()
        run()
