"""Colour button that opens a small palette and, from it, the platform's colour dialog."""

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent
from PySide6.QtWidgets import QColorDialog, QFrame, QGridLayout, QPushButton, QVBoxLayout, QWidget

from clipseg_live.core.settings.base import PALETTE, RGB
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import ColourButton, panel_style_sheet, to_hex

_COLUMNS = 8


class ColourPopup(QFrame):
    """Popup with sixteen colours and "More colours…". It closes after a choice or on Escape.

    The arrow keys move between the colours.

    Attributes:
        chosen: signal with the RGB value.
        dialog_requested: signal, the user wants the colour dialog.
    """

    chosen = Signal(object)
    dialog_requested = Signal()

    def __init__(self, current: RGB, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setStyleSheet(panel_style_sheet())
        self.setAccessibleName(self.tr("Colours"))
        theme.set_kind(self, "card")
        self._current = current
        grid = QGridLayout()
        grid.setSpacing(2)
        self.buttons: list[ColourButton] = []
        for index, colour in enumerate(PALETTE):
            button = ColourButton(self.tr("Colour {}").format(to_hex(colour)), 28, self)
            button.show_colour(colour, chosen=colour == current)
            button.clicked.connect(lambda _checked=False, colour=colour: self._choose(colour))
            grid.addWidget(button, index // _COLUMNS, index % _COLUMNS)
            self.buttons.append(button)
        self.more = QPushButton(self.tr("More colours…"), self)
        theme.set_kind(self.more, "plain")
        self.more.clicked.connect(self._ask)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 6)
        column.setSpacing(4)
        column.addLayout(grid)
        column.addWidget(self.more)

    def open_below(self, widget: QWidget) -> None:
        """Show the popup below a widget, within the screen."""
        self.adjustSize()
        corner = widget.mapToGlobal(QPoint(0, widget.height() + 4))
        screen_area = widget.screen().availableGeometry()
        x = max(screen_area.left(), min(corner.x(), screen_area.right() - self.width()))
        above = widget.mapToGlobal(QPoint(0, -4)).y() - self.height()
        y = corner.y() if corner.y() + self.height() <= screen_area.bottom() else max(screen_area.top(), above)
        self.move(x, y)
        self.show()
        current_button = next(
            (button for button in self.buttons if button.colour == to_hex(self._current)), self.buttons[0]
        )
        current_button.setFocus(Qt.FocusReason.PopupFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move between the colours with the arrow keys and close on Escape."""
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -_COLUMNS, Qt.Key.Key_Down: _COLUMNS}
        step = steps.get(Qt.Key(event.key()))
        index = next((index for index, button in enumerate(self.buttons) if button.hasFocus()), None)
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        elif step is not None and index is None:
            self.buttons[-1].setFocus(Qt.FocusReason.TabFocusReason)
        elif step is not None and index is not None:
            target = index + step
            if 0 <= target < len(self.buttons):
                self.buttons[target].setFocus(Qt.FocusReason.TabFocusReason)
            elif target >= len(self.buttons):
                self.more.setFocus(Qt.FocusReason.TabFocusReason)
        else:
            super().keyPressEvent(event)

    def _choose(self, colour: RGB) -> None:
        self.chosen.emit(colour)
        self.close()

    def _ask(self) -> None:
        self.dialog_requested.emit()
        self.close()


class ColourChooser(ColourButton):
    """Colour button that lets the user choose another colour.

    Attributes:
        picked: signal with the chosen RGB value.
    """

    picked = Signal(object)

    def __init__(self, name: str, side: int = 22, parent: QWidget | None = None) -> None:
        super().__init__(name, side, parent)
        self.clicked.connect(self._open)

    def _open(self) -> None:
        colour = QColor(self.colour)
        popup = ColourPopup((colour.red(), colour.green(), colour.blue()), self)
        popup.chosen.connect(self.picked)
        popup.dialog_requested.connect(self._ask)
        popup.open_below(self)

    def _ask(self) -> None:
        dialog = QColorDialog(QColor(self.colour), self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(self.tr("Colour"))
        dialog.colorSelected.connect(self._take)
        dialog.open()

    def _take(self, colour: QColor) -> None:
        self.picked.emit((colour.red(), colour.green(), colour.blue()))
