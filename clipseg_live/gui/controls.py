"""Small parts that the bars of the window are made of."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QToolButton

from clipseg_live.gui import theme


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


def line(vertical: bool = False) -> QFrame:
    """A hairline between two parts."""
    made = QFrame()
    theme.set_kind(made, "line")
    if vertical:
        made.setFixedWidth(1)
    else:
        made.setFixedHeight(1)
    return made
