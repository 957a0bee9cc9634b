"""Small parts that the bars of the window are made of."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QToolButton, QWidget

from clipseg_live.gui.widgets import theme


def tool_button(icon: str, name: str, *, checkable: bool = False, text: str = "") -> QToolButton:
    """A flat button. name: its tool tip and accessible name; text: beside the icon, "" for the icon alone."""
    button = QToolButton()
    theme.set_kind(button, "plain")
    button.setIcon(theme.icon(icon))
    button.setIconSize(theme.icon_size())
    button.setToolTip(name)
    button.setStatusTip(name)
    button.setAccessibleName(name)
    button.setCheckable(checkable)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    if text:
        button.setText(text)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    return button


class ElidedLabel(QLabel):
    """One line of plain text that is shortened in its middle where there is no room; the tool tip has all of it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._whole = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def show_text(self, text: str) -> None:
        self._whole = text
        self.setToolTip(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setText(self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideMiddle, self.width()))


def line(vertical: bool = False) -> QFrame:
    """A hairline between two parts."""
    made = QFrame()
    theme.set_kind(made, "line")
    if vertical:
        made.setFixedWidth(1)
    else:
        made.setFixedHeight(1)
    return made
