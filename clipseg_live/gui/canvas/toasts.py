"""Toasts: message cards over the lower part of the canvas that never take the focus."""

import logging

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from clipseg_live.core.status import Message
from clipseg_live.gui.widgets import icons, theme

logger = logging.getLogger(__name__)

INFO_SECONDS = 6.0
_ICONS = {"info": ("info", theme.ACCENT), "warning": ("warning", theme.WARNING), "error": ("error", theme.DANGER)}
_MARGIN = 2 * theme.UNIT
_WIDEST = 460
_MOST = 4


class Toasts(QWidget):
    """Stack of message cards in the lower left corner of ``canvas``, newest at the bottom.

    There is one card for each topic. A newer message replaces the older one, an empty text removes it. Info messages
    disappear after ``INFO_SECONDS``, others stay until they are closed or removed. If there are more than four cards,
    the oldest is removed.

    Attributes:
        action: signal with the topic of the message whose button was pressed.
    """

    action = Signal(str)

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.setAccessibleName(self.tr("Messages"))
        self._cards: dict[str, _MessageCard] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(theme.UNIT)
        canvas.installEventFilter(self)
        self.hide()

    def texts(self) -> list[str]:
        """Return the texts that are shown, oldest first."""
        return [card.text for card in self._cards.values()]

    def show_message(self, message: Message, action: str = "") -> None:
        """Show a message.

        Args:
            message: the message; an empty text removes the card of its topic.
            action: text of a button, "" for none. A message with a button does not disappear by itself.
        """
        self.remove(message.topic)
        if not message.text:
            return
        logger.info("Shown: %s message about %s", message.level, message.topic)
        logger.debug("Its text: %s", message.text)
        card = _MessageCard(message, action, self)
        card.closed.connect(lambda: self.remove(message.topic))
        card.action_pressed.connect(lambda: self.action.emit(message.topic))
        self._cards[message.topic] = card
        self._layout.addWidget(card)
        if len(self._cards) > _MOST:
            self.remove(next(iter(self._cards)))
        self.show()
        self._update_geometry()

    def remove(self, topic: str) -> None:
        """Remove the message of a topic, if there is one."""
        card = self._cards.pop(topic, None)
        if card is None:
            return
        self._layout.removeWidget(card)
        card.timer.stop()
        card.hide()
        card.deleteLater()
        if not self._cards:
            self.hide()
        self._update_geometry()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the size of the widget below."""
        if event.type() == QEvent.Type.Resize:
            self._update_geometry()
        return False

    def _update_geometry(self) -> None:
        canvas = self._canvas
        if not self._cards:
            return
        width = min(_WIDEST, canvas.width() - 2 * _MARGIN)
        for card in self._cards.values():
            card.setFixedWidth(width)
        height = sum(card.heightForWidth(width) for card in self._cards.values())
        height += theme.UNIT * (len(self._cards) - 1)
        self.setGeometry(_MARGIN, max(_MARGIN, canvas.height() - height - _MARGIN), width, height)
        self.raise_()


class _MessageCard(QFrame):
    closed = Signal()
    action_pressed = Signal()

    def __init__(self, message: Message, action: str, parent: QWidget) -> None:
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
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 8, 8)
        row.setSpacing(theme.UNIT)
        row.addWidget(sign)
        row.addWidget(label, 1)
        if action:
            self.button = QPushButton(action)
            self.button.setAccessibleName(action)
            self.button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            self.button.clicked.connect(self.action_pressed)
            row.addWidget(self.button)
        self.close_button = QToolButton()
        theme.set_kind(self.close_button, "plain")
        self.close_button.setIcon(theme.icon("close", theme.MUTED))
        self.close_button.setIconSize(theme.icon_size())
        self.close_button.setAccessibleName(self.tr("Close message"))
        self.close_button.setToolTip(self.tr("Close"))
        self.close_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.close_button.clicked.connect(self.closed)
        row.addWidget(self.close_button)
        self.timer = QTimer(self)
        self.timer.setSingleShot(True)
        self.timer.timeout.connect(self.closed)
        if message.level == "info" and not action:
            self.timer.start(int(INFO_SECONDS * 1000))
