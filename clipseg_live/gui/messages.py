"""Messages: one calm line for each topic over the foot of the picture; they never take the focus."""

from PySide6.QtCore import QEvent, QObject, QSize, Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from clipseg_live.core.live import Message
from clipseg_live.gui import theme
from clipseg_live.gui.icons import icon

INFO_SECONDS = 6.0
_ICONS = {
    "info": ("information-outline", theme.ACCENT),
    "warning": ("alert-outline", theme.WARNING),
    "error": ("alert-circle-outline", theme.DANGER),
}


class Messages(QWidget):
    """A stack of messages in a corner of ``over``. A newer one of a topic replaces the older, an empty text takes it
    back; what only informs goes by itself, the rest stays until it is closed or taken back."""

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self.setAccessibleName(self.tr("Messages"))
        self._shown: dict[str, _Line] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addStretch(1)
        over.installEventFilter(self)
        self.hide()

    def texts(self) -> list[str]:
        """What stands there now, oldest first."""
        return [line.text for line in self._shown.values()]

    def show_message(self, message: Message) -> None:
        self.take_back(message.topic)
        if not message.text:
            return
        line = _Line(message, self)
        line.close_button.clicked.connect(lambda: self.take_back(message.topic))
        if message.level == "info":
            line.timer.timeout.connect(lambda: self.take_back(message.topic))
            line.timer.start(int(INFO_SECONDS * 1000))
        self._shown[message.topic] = line
        layout = self.layout()
        assert layout is not None
        layout.addWidget(line)
        self.show()
        self._place()

    def take_back(self, topic: str) -> None:
        line = self._shown.pop(topic, None)
        if line is not None:
            line.timer.stop()
            line.hide()
            line.setParent(None)
            line.deleteLater()
        if not self._shown:
            self.hide()
        self._place()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _place(self) -> None:
        over = self.parentWidget()
        if over is None or not self._shown:
            return
        width = min(520, over.width() - 32)
        self.setFixedWidth(width)
        height = sum(line.heightForWidth(width) + 6 for line in self._shown.values())
        self.setGeometry(16, max(16, over.height() - height - 16), width, height)
        self.raise_()


class _Line(QFrame):
    def __init__(self, message: Message, parent: QWidget) -> None:
        super().__init__(parent)
        self.text = message.text
        name, colour = _ICONS[message.level]
        self.setObjectName("message")
        self.setStyleSheet(
            f"QFrame#message {{ background: {theme.RAISED}; border: 1px solid {theme.BORDER}; "
            f"border-left: 3px solid {colour}; border-radius: 6px; }}"
        )
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        picture = QLabel()
        picture.setPixmap(icon(name, colour).pixmap(QSize(18, 18)))
        self._label = QLabel(message.text)
        self._label.setWordWrap(True)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._label.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.close_button = QToolButton()
        self.close_button.setIcon(icon("close", theme.MUTED))
        self.close_button.setAccessibleName(self.tr("Close message"))
        self.close_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.setSpacing(10)
        layout.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self._label, 1)
        layout.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignTop)
        self.timer = QTimer(self)
        self.timer.setSingleShot(True)

    def heightForWidth(self, width: int) -> int:
        return max(44, self._label.heightForWidth(width - 90) + 20)
