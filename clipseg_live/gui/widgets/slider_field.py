"""A slider drawn as a field with its name and value."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QEnterEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QSlider, QWidget

from clipseg_live.gui.widgets import icons, theme
from clipseg_live.gui.widgets.accessible import report_values
from clipseg_live.gui.widgets.buttons import FIELD_HEIGHT

_STEPS = 100
_INSET = 7
_BAR = 3
_GLYPH = 12


class SliderField(QSlider):
    """Slider for a value from ``low`` to ``top`` in steps of 0.01, drawn as a field with its name and value.

    The field is filled up to the value. Click or drag anywhere in it, or use the arrow keys, the page keys, Home and
    End. A double-click, Backspace or Delete restores the default.

    Args:
        label: name, also for screen readers.
        short: shown if the name does not fit.
        glyph: drawn if no text fits: "half" or the name of an icon.
        bare: draw no name, because it is written next to the field.
        default: value that a reset restores.
        low: smallest value.
        top: largest value.
        write: formats the value.
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
        *,
        short: str = "",
        glyph: str = "",
        bare: bool = False,
        default: float = 0.5,
        low: float = 0.0,
        top: float = 1.0,
        write: Callable[[float], str] = "{:.2f}".format,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        report_values()
        self._labels = () if bare else (label, short)
        self._glyph = glyph
        self._write = write
        self._label = label
        self._default = round(default * _STEPS)
        self._bar: float | None = None
        self._colour = theme.ACCENT
        self._hovered = False
        self.setRange(round(low * _STEPS), round(top * _STEPS))
        self.setSingleStep(1)
        self.setPageStep(10)
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
        return self._write(self.value() / _STEPS)

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
        return round(self.minimum() + min(max(part, 0.0), 1.0) * (self.maximum() - self.minimum()))

    def position_of(self, value: float) -> int:
        """Return the horizontal position of a value in the widget."""
        return round(_INSET + self._fraction(value * _STEPS) * (self.width() - 2 * _INSET))

    def _fraction(self, step: float) -> float:
        return (step - self.minimum()) / (self.maximum() - self.minimum())

    def sizeHint(self) -> QSize:
        """Return room for the name and the value."""
        return QSize(self.fontMetrics().horizontalAdvance(self._label) + 60, FIELD_HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Return room for the value."""
        return QSize(44, FIELD_HEIGHT)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Jump to the pointer and begin a drag."""
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        self.setSliderDown(True)
        self.setValue(self.value_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the pointer."""
        if self.isSliderDown():
            self.setValue(self.value_at(event.position().x()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Finish the drag."""
        if self.isSliderDown() and event.button() == Qt.MouseButton.LeftButton:
            self.setSliderDown(False)
            self.released.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Restore the default."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._reset()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Restore the default on Backspace and Delete. Leave keys with modifiers to the parent."""
        if event.key() in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete) and not event.modifiers():
            self._reset()
        elif event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            event.ignore()  # Alt with an arrow moves the row
        else:
            super().keyPressEvent(event)

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

    def _reset(self) -> None:
        self.setValue(self._default)
        self.released.emit()

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
