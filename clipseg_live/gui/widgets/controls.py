"""Small widgets of the bars of the window."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QToolButton, QWidget

from clipseg_live.gui.widgets import theme


def tool_button(icon: str, name: str, *, checkable: bool = False, text: str = "") -> QToolButton:
    """Return a flat button with an icon.

    Args:
        icon: name of the icon.
        name: tool tip, help text and accessible name.
        checkable: whether it stays pressed.
        text: text next to the icon, "" for the icon alone.
    """
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
    """Label with one line of plain text, shortened in the middle to fit. The tool tip has the full text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._full_text = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def show_text(self, text: str) -> None:
        """Show a text."""
        self._full_text = text
        self.setToolTip(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the text to the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setText(self.fontMetrics().elidedText(self._full_text, Qt.TextElideMode.ElideMiddle, self.width()))


def line(vertical: bool = False) -> QFrame:
    """Return a hairline that separates two parts."""
    hairline = QFrame()
    theme.set_kind(hairline, "line")
    if vertical:
        hairline.setFixedWidth(1)
    else:
        hairline.setFixedHeight(1)
    return hairline
