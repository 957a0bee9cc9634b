"""Small widgets shared by the panels, and their style sheet."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QEnterEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from clipseg_live.core.settings.base import RGB
from clipseg_live.gui.widgets import theme

FIELD_HEIGHT = 26
"""Height of the small controls in a row, in pixels."""

_ARROWS = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down)


def panel_style_sheet() -> str:
    """Return the panels' additions to the window's style sheet."""
    return f"""
    QFrame[kind="row"] {{ background: {theme.RAISED}; border: 1px solid {theme.LINE_COLOUR}; border-radius: 8px; }}
    QFrame[kind="row"][highlighted="true"] {{ border-color: {theme.EDGE}; }}
    QFrame[kind="row"][lifted="true"] {{ background: {theme.SURFACE}; border: 1px dashed {theme.ACCENT}; }}
    QToolButton[kind="mini"] {{
        background: transparent; border: 1px solid transparent; border-radius: 5px;
        padding: 0; min-width: {FIELD_HEIGHT - 2}px; max-width: {FIELD_HEIGHT - 2}px; min-height: {FIELD_HEIGHT - 2}px;
    }}
    QToolButton[kind="mini"]:hover {{ background: {theme.PRESSED}; }}
    QToolButton[kind="mini"]:pressed {{ background: {theme.LINE_COLOUR}; }}
    QToolButton[kind="mini"]:checked {{ background: transparent; }}
    QToolButton[kind="mini"]:checked:hover {{ background: {theme.PRESSED}; }}
    QToolButton[kind="mini"]:focus {{ border-color: {theme.ACCENT}; }}
    QPushButton[kind="mini-text"] {{
        background: transparent; border: 1px solid {theme.EDGE}; border-radius: 5px; padding: 0 6px;
        min-height: {FIELD_HEIGHT - 2}px; max-height: {FIELD_HEIGHT - 2}px; min-width: 62px;
        font-size: {theme.SMALL_SIZE}px; color: {theme.TEXT};
    }}
    QPushButton[kind="mini-text"]:hover {{ background: {theme.PRESSED}; }}
    QPushButton[kind="mini-text"]:focus {{ border-color: {theme.ACCENT}; }}
    QPushButton[kind="mini-text"]:disabled {{ color: {theme.FAINT}; border-color: {theme.LINE_COLOUR}; }}
    QFrame[kind="new-row"] {{ background: transparent; border: 1px dashed {theme.EDGE}; border-radius: 8px; }}
    QFrame[kind="new-row"]:hover {{ border-color: {theme.FAINT}; }}
    QFrame[kind="row"][target="true"], QFrame[kind="new-row"][target="true"] {{ border-color: {theme.ACCENT}; }}
    QLineEdit[kind="flat"] {{
        background: transparent; border: 1px solid transparent; border-radius: 5px; padding: 0 5px; min-height: 24px;
        placeholder-text-color: {theme.MUTED};
    }}
    QLineEdit[kind="flat"]:hover {{ border-color: {theme.EDGE}; }}
    QLineEdit[kind="flat"]:focus {{ background: {theme.BACKGROUND_COLOUR}; border-color: {theme.ACCENT}; }}
    QLineEdit[kind="flat"]:disabled {{ placeholder-text-color: {theme.FAINT}; border-color: transparent; }}
    QLineEdit[kind="flat"][quiet="true"] {{ color: {theme.MUTED}; }}
    QPushButton[kind="segment"] {{
        background: {theme.RAISED}; border: 1px solid {theme.EDGE}; border-radius: 0; padding: 0 8px;
        color: {theme.MUTED};
    }}
    QPushButton[kind="segment"][end="first"] {{
        border-top-left-radius: {theme.RADIUS}px; border-bottom-left-radius: {theme.RADIUS}px; border-right: none;
    }}
    QPushButton[kind="segment"][end="last"] {{
        border-top-right-radius: {theme.RADIUS}px; border-bottom-right-radius: {theme.RADIUS}px;
    }}
    QPushButton[kind="segment"]:hover {{ background: {theme.HOVER}; }}
    QPushButton[kind="segment"]:checked {{
        background: {theme.ACCENT_SOFT}; color: {theme.TEXT}; border: 1px solid {theme.ACCENT};
    }}
    QPushButton[kind="segment"]:focus {{ border: 1px solid {theme.ACCENT}; }}
    """


def to_hex(colour: RGB) -> str:
    """Return a colour as "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


class IconButton(QToolButton):
    """Small flat button with an icon and a name.

    A button that stays pressed needs ``checked_icon``. A click does not move the focus, so a text field keeps it.
    The Tab key does.
    """

    def __init__(
        self,
        icon: str,
        name: str,
        *,
        checked_icon: str = "",
        checked_colour: str = theme.ACCENT,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._icon = icon
        self._checked_icon = checked_icon
        self._checked_colour = checked_colour
        self.setCheckable(bool(checked_icon))
        self.setFixedSize(FIELD_HEIGHT, FIELD_HEIGHT)
        self.setIconSize(QSize(16, 16))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        theme.set_kind(self, "mini")
        self.set_name(name)
        self._draw()
        self.toggled.connect(self._draw)

    def set_name(self, name: str, hint: str = "") -> None:
        """Set the accessible name, and the tool tip and help text (``hint``, else ``name``)."""
        self.setAccessibleName(name)
        self.setToolTip(hint or name)
        self.setStatusTip(hint or name)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Click the button on Enter."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            self.click()
        else:
            super().keyPressEvent(event)

    def _draw(self) -> None:
        if self.isCheckable() and self.isChecked():
            self.setIcon(theme.icon(self._checked_icon, self._checked_colour, self._checked_colour))
        else:
            self.setIcon(theme.icon(self._icon, theme.MUTED))


class ColourButton(QAbstractButton):
    """Button that shows a colour. Pressing it lets the user choose another.

    A hollow button means that nothing is drawn in this colour at the moment.
    """

    def __init__(self, name: str, side: int = 22, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colour = "#000000"
        self._hollow = False
        self._chosen = False
        self.setFixedSize(side, side)
        self.setAccessibleName(name)
        self.setToolTip(name)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    @property
    def colour(self) -> str:
        """The colour as "#rrggbb"."""
        return self._colour

    def show_colour(self, colour: RGB, *, hollow: bool = False, chosen: bool = False) -> None:
        """Show a colour.

        Args:
            colour: the colour.
            hollow: draw the outline only.
            chosen: add the mark of the current colour of a palette.
        """
        self._colour = to_hex(colour)
        self._hollow = hollow
        self._chosen = chosen
        self.setAccessibleDescription(self._colour)
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Click on Enter. Leave the arrow keys to the parent."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            self.click()
        elif event.key() in _ARROWS:
            event.ignore()  # the palette moves the focus by rows and columns
        else:
            super().keyPressEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        """Repaint with the outline."""
        super().enterEvent(event)
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Repaint without the outline."""
        super().leaveEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the colour, the outline and the mark."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = theme.qcolour(self._colour)
        if self.hasFocus() or self.underMouse():
            painter.setPen(theme.qcolour(theme.ACCENT if self.hasFocus() else theme.FAINT))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        patch = QRectF(self.rect()).adjusted(3.5, 3.5, -3.5, -3.5)
        can_be_seen = theme.contrast(self._colour, theme.RAISED) >= theme.MARK_CONTRAST
        painter.setPen(colour if can_be_seen else theme.qcolour(theme.EDGE))
        if not self._hollow:
            painter.setBrush(colour)
        painter.drawRoundedRect(patch, 4, 4)
        if self._chosen:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.qcolour("#ffffff" if colour.lightnessF() < 0.6 else "#000000"))
            painter.drawEllipse(QPointF(patch.center()), 2.5, 2.5)
        painter.end()


class ChoiceBox(QComboBox):
    """Combo box for one of several values.

    Attributes:
        picked: signal with the value that the user has chosen, even if it is the current one.
    """

    picked = Signal(object)

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setMinimumWidth(80)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMaxVisibleItems(20)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.activated.connect(lambda index: self.picked.emit(self.itemData(index)))

    def set_choices(self, choices: Sequence[tuple[object, str]]) -> None:
        """Replace the choices. Nothing changes if they are the same as before.

        Args:
            choices: (value, text shown to the user) of each choice.
        """
        if [(self.itemData(index), self.itemText(index)) for index in range(self.count())] == list(choices):
            return
        self.clear()
        for value, text in choices:
            self.addItem(text, value)

    def show_value(self, value: object) -> None:
        """Select a value without emitting ``picked``. Unknown values are ignored."""
        indices = [index for index in range(self.count()) if self.itemData(index) == value]
        if indices and indices[0] != self.currentIndex():
            self.setCurrentIndex(indices[0])

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the panel, so that scrolling changes no value under the pointer."""
        event.ignore()


class SegmentedControl(QWidget):
    """Row of buttons for one of a few values.

    Attributes:
        picked: signal with the value that the user has chosen.
    """

    picked = Signal(object)

    def __init__(self, name: str, choices: Sequence[tuple[object, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self._buttons: dict[object, QPushButton] = {}
        self._group = QButtonGroup(self)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(0)
        for index, (value, text) in enumerate(choices):
            button = QPushButton(text, self)
            button.setCheckable(True)
            button.setAccessibleName(f"{name}: {text}")
            button.setProperty("end", "first" if index == 0 else "last" if index == len(choices) - 1 else "")
            theme.set_kind(button, "segment")
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.setMinimumWidth(0)
            button.clicked.connect(lambda _checked=False, value=value: self.picked.emit(value))
            line.addWidget(button, 1)
            self._group.addButton(button)
            self._buttons[value] = button

    def button(self, value: object) -> QPushButton:
        """Return the button of a value."""
        return self._buttons[value]

    def show_value(self, value: object) -> None:
        """Check the button of a value without emitting ``picked``. Unknown values are ignored."""
        button = self._buttons.get(value)
        if button is not None:
            button.setChecked(True)


def open_menu_below(menu: QMenu, button: QWidget) -> None:
    """Open a menu below a button, aligned with ``position_below``. It is deleted when it closes."""
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    menu.popup(position_below(button, menu.sizeHint().width()))


def position_below(button: QWidget, width: int) -> QPoint:
    """Return the position of a popup below a button, in screen coordinates.

    The popup is aligned with the edge of the button that leaves it more room in the window.

    Args:
        button: the button.
        width: width of the popup, pixels.
    """
    corner = button.mapToGlobal(QPoint(0, button.height() + 2))
    window = button.window()
    if button.mapTo(window, QPoint(button.width() // 2, 0)).x() > window.width() // 2:
        corner.setX(corner.x() + button.width() - width)
    return corner


def hint_label(text: str, parent: QWidget | None = None) -> QLabel:
    """Return a muted label with word wrap."""
    label = QLabel(text, parent)
    label.setWordWrap(True)
    theme.set_kind(label, "muted")
    return label


def problem_label(parent: QWidget | None = None) -> QLabel:
    """Return a hidden label for one sentence about a problem (``show_problem``)."""
    label = hint_label("", parent)
    theme.set_kind(label, "problem")
    label.setContentsMargins(4, 2, 4, 0)
    label.hide()
    return label


def show_problem(label: QLabel, text: str) -> None:
    """Show a sentence in a problem label; hide the label for ""."""
    label.setText(text)
    label.setVisible(bool(text))
