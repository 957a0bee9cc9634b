"""A slider drawn as a field with its name and value."""

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QEnterEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QMenu, QSizePolicy, QSlider, QWidget

from clipseg_live.gui.widgets import icons, theme
from clipseg_live.gui.widgets.accessible import report_values
from clipseg_live.gui.widgets.buttons import FIELD_HEIGHT
from clipseg_live.gui.widgets.number_editor import NumberEditor
from clipseg_live.gui.widgets.number_range import NumberRange

_STEPS = 100
"""Steps of the slider in one unit of the value."""
_ARROWS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Down: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: 1}
_TYPED = "0123456789.,-−"
_INSET = 7
_BAR = 3
_GLYPH = 12


class SliderField(QSlider):
    """Slider for a number with at most two decimals, drawn as a field with its name and value.

    The field is filled up to the value. A click selects the number to type another one (``NumberEditor``), as do Enter,
    F2 and the first digit. A drag moves the value. Arrow keys move it by one step, with Shift by ten; the page keys,
    Home and End work too. A double-click, Backspace, Delete and the menu restore the default.

    Args:
        label: name, also for screen readers.
        numbers: range of the number, and its text.
        short: shown if the name does not fit.
        glyph: drawn if no text fits: "half" or the name of an icon.
        bare: draw no name, because it is written next to the field.
        parent: parent widget.

    Attributes:
        edited: signal with the value, the user has changed it.
        released: signal, the user has finished the change.
    """

    edited = Signal(float)
    released = Signal()

    def __init__(
        self,
        label: str,
        numbers: NumberRange = NumberRange(),  # noqa: B008
        *,
        short: str = "",
        glyph: str = "",
        bare: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        report_values()
        self._labels = () if bare else (label, short)
        self._glyph = glyph
        self._numbers = numbers
        self._label = label
        self._pressed: QPointF | None = None
        self.editor: NumberEditor | None = None
        self._bar: float | None = None
        self._colour = theme.ACCENT
        self._hovered = False
        self.setRange(round(numbers.smallest * _STEPS), round(numbers.largest * _STEPS))
        self.setSingleStep(round(numbers.step * _STEPS))
        self.setPageStep(10 * self.singleStep())
        self.setFixedHeight(FIELD_HEIGHT)
        self.setMinimumWidth(44)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(label)
        self.valueChanged.connect(lambda value: self.edited.emit(value / _STEPS))

    def show_value(self, value: float) -> None:
        """Show a value without emitting ``edited``."""
        self.blockSignals(True)
        self.setValue(round(value * _STEPS))
        self.blockSignals(False)
        self.update()

    def value_text(self) -> str:
        """Return the formatted value, also for screen readers."""
        return self._numbers.text(self.value() / _STEPS)

    def show_bar(self, bar: float | None, colour: str) -> None:
        """Draw a bar along the bottom of the field.

        Args:
            bar: length of the bar as a share of the width, 0 to 1; None for no bar.
            colour: "#rrggbb".
        """
        if (bar, colour) != (self._bar, self._colour):
            self._bar = bar
            self._colour = colour
            self.update()

    @property
    def bar(self) -> float | None:
        """Length of the bar as a share of the width, 0 to 1; None without a bar."""
        return self._bar

    def value_at(self, x: float) -> int:
        """Return the slider step at a horizontal position in the widget."""
        part = (x - _INSET) / max(1, self.width() - 2 * _INSET)
        low, top = self._numbers.low * _STEPS, self._numbers.top * _STEPS
        return round(low + min(max(part, 0.0), 1.0) * (top - low))

    def position_of(self, value: float) -> int:
        """Return the horizontal position of a value in the widget."""
        return round(_INSET + self._fraction(value * _STEPS) * (self.width() - 2 * _INSET))

    def _fraction(self, step: float) -> float:
        """Return the place of a step between the ends, 0 to 1. Typed values may be beyond them."""
        low, top = self._numbers.low * _STEPS, self._numbers.top * _STEPS
        return min(max((step - low) / (top - low), 0.0), 1.0)

    def sizeHint(self) -> QSize:
        """Return room for the name and the value."""
        return QSize(self.fontMetrics().horizontalAdvance(self._label) + 60, FIELD_HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Return room for the value."""
        return QSize(44, FIELD_HEIGHT)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a click or a drag."""
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        self._pressed = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the pointer once it has left the pressed place."""
        if self._pressed is None:
            return
        away = abs(event.position().x() - self._pressed.x())
        if self.isSliderDown() or away >= QApplication.startDragDistance() // 2:
            self.setSliderDown(True)
            self.setValue(self.value_at(event.position().x()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Finish the drag, or select the number after a click."""
        if self._pressed is None or event.button() != Qt.MouseButton.LeftButton:
            return
        self._pressed = None
        if self.isSliderDown():
            self.setSliderDown(False)
            self.released.emit()
        else:
            self.edit_number()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Restore the default."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed = None
            self.restore_default()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Handle keys that move, type or reset the value. Leave other keys with modifiers to the parent."""
        key, modifiers = Qt.Key(event.key()), event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if key in _ARROWS and modifiers == Qt.KeyboardModifier.ShiftModifier:
            self._step(10 * _ARROWS[key])
        elif modifiers:
            event.ignore()  # Alt with an arrow moves the row
        elif key in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete):
            self.restore_default()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F2):
            self.edit_number()
        elif event.text() and event.text() in _TYPED:
            self.edit_number(event.text())
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Open the menu."""
        menu = self.menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    def menu(self) -> QMenu:
        """Return the menu that types or resets the value."""
        menu = QMenu(self)
        menu.addAction(self.tr("Enter a number…\tReturn"), self.edit_number)
        default = self._numbers.text(self._numbers.default)
        reset = menu.addAction(self.tr("Reset to {0}\tBackspace").format(default), self.restore_default)
        reset.setEnabled(self.value() != round(self._numbers.default * _STEPS))
        return menu

    def edit_number(self, first_key: str = "") -> None:
        """Let the user type the number.

        Args:
            first_key: replaces the number; "" selects it.
        """
        if self.editor is None and self.isEnabled():
            self.editor = NumberEditor(self._numbers.digits(self.value() / _STEPS), self._apply_text, self)
            self.editor.stepped.connect(self._step)
            self.editor.reset.connect(self.restore_default)
            self.editor.closed.connect(self._forget_editor)
            self.editor.begin(first_key)

    def _apply_text(self, text: str) -> str:
        """Apply a typed number, and return why it is wrong; "" if it is not."""
        if text == self._numbers.digits(self.value() / _STEPS):
            return ""  # a more precise value of a session stays
        value = self._numbers.parse(text)
        if value is None:
            return self.tr("Enter a number: {0}.").format(self._numbers.bounds())
        self.released.emit()
        self.setValue(round(value * _STEPS))
        self.released.emit()
        return ""

    def _step(self, steps: int) -> None:
        self.setValue(self.value() + steps * self.singleStep())
        if self.editor is not None:
            self.editor.show_number(self._numbers.digits(self.value() / _STEPS))

    def _forget_editor(self) -> None:
        self.editor = None

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Change the value only with the focus, so that scrolling a list changes no value."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Finish the change."""
        super().focusOutEvent(event)
        self.released.emit()

    def enterEvent(self, event: QEnterEvent) -> None:
        """Highlight the field."""
        super().enterEvent(event)
        self._hovered = True
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Remove the highlight."""
        super().leaveEvent(event)
        self._hovered = False
        self.update()

    def restore_default(self) -> None:
        """Restore the default."""
        self.setValue(round(self._numbers.default * _STEPS))
        self.released.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the field of the typed number."""
        super().resizeEvent(event)
        if self.editor is not None:
            self.editor.setGeometry(self.rect())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the field, its value and its text."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        outline = QPainterPath()
        outline.addRoundedRect(frame, 5, 5)
        painter.fillPath(outline, theme.qcolour(theme.BACKGROUND_COLOUR))
        painter.save()
        painter.setClipPath(outline)
        self._paint_value(painter)
        painter.restore()
        active = self.isEnabled() and (self.hasFocus() or self.isSliderDown())
        edge = theme.LINE_COLOUR if not self.isEnabled() else theme.FAINT if self._hovered else theme.EDGE
        edge = theme.ACCENT if active else edge
        painter.setPen(theme.qcolour(edge))
        painter.drawPath(outline)
        self._paint_text(painter)
        painter.end()

    def _paint_value(self, painter: QPainter) -> None:
        part = self._fraction(self.value())
        x = _INSET + part * (self.width() - 2 * _INSET) if 0 < part < 1 else part * self.width()
        strong = self.isEnabled() and (self.hasFocus() or self._hovered or self.isSliderDown())
        fill = theme.PRESSED if self.isEnabled() else theme.HOVER
        # fill from the neutral value: zero, or the left end if the range has no negative values
        begin = _INSET + self._fraction(0) * (self.width() - 2 * _INSET) if self.minimum() < 0 else 0.0
        painter.fillRect(QRectF(min(begin, x), 0, abs(x - begin), self.height()), theme.qcolour(fill))
        if 0 < part < 1:
            edge, width = (theme.qcolour(theme.ACCENT), 2) if strong else (theme.qcolour(theme.FAINT), 1)
            painter.fillRect(QRectF(x - width, 0, width, self.height()), edge)
        if self._bar is not None:
            top = self.height() - _BAR
            painter.fillRect(QRectF(0, top, self.width(), _BAR), theme.qcolour(self._colour, 0.2))
            painter.fillRect(QRectF(0, top, self._bar * self.width(), _BAR), theme.qcolour(self._colour))

    def _paint_text(self, painter: QPainter) -> None:
        text_area = QRectF(_INSET, 0, self.width() - 2 * _INSET, self.height())
        painter.setFont(theme.figure_font(theme.SMALL_SIZE))
        metrics = painter.fontMetrics()
        figure = self.value_text()
        left = text_area.width() - metrics.horizontalAdvance(figure) - 4
        label = next((text for text in self._labels if text and metrics.horizontalAdvance(text) <= left), "")
        painter.setPen(theme.qcolour(theme.MUTED if self.isEnabled() else theme.FAINT))
        if label:
            painter.drawText(text_area, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, label)
        elif self._glyph and left >= _GLYPH:
            self._paint_glyph(painter, QRectF(text_area.x() - 1, (self.height() - _GLYPH) / 2, _GLYPH, _GLYPH))
        painter.setPen(theme.qcolour(theme.TEXT if self.isEnabled() else theme.FAINT))
        painter.drawText(text_area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, figure)

    def _paint_glyph(self, painter: QPainter, area: QRectF) -> None:
        colour = theme.MUTED if self.isEnabled() else theme.FAINT
        if self._glyph == "half":
            circle = area.adjusted(1, 1, -1, -1)
            painter.drawEllipse(circle)
            painter.setBrush(theme.qcolour(colour))
            painter.drawChord(circle, 90 * 16, 180 * 16)
            painter.setBrush(Qt.BrushStyle.NoBrush)
        else:
            icon = icons.pixmap(self._glyph, colour, _GLYPH, self.devicePixelRatioF())
            painter.drawPixmap(area.topLeft(), icon)
