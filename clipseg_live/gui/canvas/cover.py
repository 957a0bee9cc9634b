"""Base of widgets that cover the canvas with another view of the frame."""

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent, QPalette
from PySide6.QtWidgets import QWidget

from clipseg_live.gui.canvas.canvas import Canvas
from clipseg_live.gui.widgets import theme


class CanvasCover(QWidget):
    """Widget over the canvas, which keeps the focus and all keys that the cover does not use.

    It makes room for notices with buttons and for boxes that are drawn. Subclasses override ``is_wanted``, and
    ``press_key`` and ``covered_height`` if they need them.

    Args:
        canvas: the canvas.
    """

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self.canvas = canvas
        canvas.installEventFilter(self)
        self.hide()

    def is_wanted(self) -> bool:
        """Return whether the view should be shown now."""
        raise NotImplementedError

    def press_key(self, event: QKeyEvent) -> bool:
        """Handle a key of the canvas without modifiers, and return whether it was used."""
        return False

    def covered_height(self) -> int:
        """Return the height of the part of the canvas to cover, from its top."""
        return self.canvas.height()

    def update_cover(self) -> None:
        """Show or hide the view, and fit it to the canvas."""
        notice = self.canvas.notice
        is_blocked = (notice is not None and not notice.quiet) or self.canvas.box_tool.active
        self.setVisible(self.is_wanted() and not is_blocked)
        self.setGeometry(0, 0, self.canvas.width(), self.covered_height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the size of the canvas, and handle its keys while the view is shown."""
        if watched is not self.canvas:
            return False
        if event.type() == QEvent.Type.Resize:
            self.setGeometry(0, 0, self.canvas.width(), self.covered_height())
        elif event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and self.isVisible():
            has_modifiers = bool(event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier)
            return not has_modifiers and self.press_key(event)
        return False


def fill_background(widget: QWidget) -> None:
    """Fill a widget with the background of frames, so that the canvas below it is not seen."""
    colours = widget.palette()
    colours.setColor(QPalette.ColorRole.Window, theme.qcolour(theme.BACKGROUND_COLOUR))
    widget.setPalette(colours)
    widget.setAutoFillBackground(True)
