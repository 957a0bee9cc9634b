"""Help text of the control under the pointer or with the focus."""

from PySide6.QtWidgets import QLabel, QWidget

from clipseg_live.gui.widgets import theme

_LINES = 2


class HelpLine(QLabel):
    """Label with the ``statusTip`` of the control under the pointer, else of the focused control.

    Without either it says how to get help.
    """

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
        """Show the help of the control under the pointer; "" for none."""
        self._pointed = text
        self._show()

    def focus(self, widget: QWidget | None) -> None:
        """Show the help of the focused control, or of its nearest parent with a help text; None for none."""
        while widget is not None and not widget.statusTip():
            widget = widget.parentWidget()
        self._focused = widget.statusTip() if widget is not None else ""
        self._show()

    def _show(self) -> None:
        self.setText(
            self._pointed or self._focused or self.tr("Hover over a control for help. F1: keyboard shortcuts.")
        )
