"""Buttons of a notice on the canvas."""

from PySide6.QtCore import QObject, QRectF, Qt, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QPushButton, QWidget

from clipseg_live.gui.canvas import painting
from clipseg_live.gui.canvas.painting import Notice
from clipseg_live.gui.widgets import theme

_HIGHEST_TEXT = 400


class NoticeButtons(QObject):
    """Shows a button for each action of a notice, in a row below its text.

    Args:
        canvas: the widget that paints the notice.

    Attributes:
        pressed: signal with the name of an action.
    """

    pressed = Signal(str)

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._text = ""
        self._buttons: list[QPushButton] = []

    def show_notice(self, notice: Notice | None) -> None:
        """Replace the buttons by those of a notice; None for none."""
        if self._canvas.window().focusWidget() in self._buttons:
            self._canvas.setFocus()  # Qt would give it to the next control, such as the button of a message
        for button in self._buttons:
            button.hide()
            button.deleteLater()
        self._buttons = []
        self._text = notice.text if notice else ""
        for index, (name, text) in enumerate(notice.actions if notice else ()):
            button = QPushButton(text, self._canvas)
            button.setAccessibleName(text)
            theme.set_kind(button, "primary" if index == 0 else "")
            button.clicked.connect(lambda _=False, name=name: self.pressed.emit(name))
            button.show()
            self._buttons.append(button)
        self.update_positions()

    def update_positions(self) -> None:
        """Centre the row on the canvas."""
        if not self._buttons:
            return
        bounds = QRectF(self._canvas.rect())
        metrics = QFontMetrics(theme.text_font())
        text_area = QRectF(0, 0, painting.text_width(bounds), _HIGHEST_TEXT).toRect()
        text_height = (
            metrics.boundingRect(text_area, Qt.TextFlag.TextWordWrap, self._text).height() if self._text else 0
        )
        top = int(painting.buttons_top(bounds, text_height))
        for button in self._buttons:
            button.adjustSize()
        width = sum(button.width() + theme.UNIT for button in self._buttons) - theme.UNIT
        left = (self._canvas.width() - width) // 2
        for button in self._buttons:
            button.move(left, top)
            left += button.width() + theme.UNIT
