"""One line that says what the control under the pointer, or with the focus, does."""

from PySide6.QtWidgets import QLabel, QWidget

from clipseg_live.gui.widgets import theme

_LINES = 2


class HelpLine(QLabel):
    """Shows ``statusTip`` texts: of what the pointer is on, else of what has the focus, else how to get help at all."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.set_kind(self, "muted")
        self.setAccessibleName(self.tr("Help"))
        self.setWordWrap(True)
        self.setContentsMargins(14, 8, 12, 8)
        self.setFixedHeight(_LINES * self.fontMetrics().lineSpacing() + 18)
        self._pointed = self._focused = ""
        self._show()

    def point(self, text: str) -> None:
        """What the pointer is on; empty for nothing."""
        self._pointed = text
        self._show()

    def focus(self, widget: QWidget | None) -> None:
        """What has the focus, None while that is no control of the window."""
        while widget is not None and not widget.statusTip():
            widget = widget.parentWidget()
        self._focused = widget.statusTip() if widget is not None else ""
        self._show()

    def _show(self) -> None:
        self.setText(
            self._pointed or self._focused or self.tr("Point at a control to read what it does. F1: all keys.")
        )
