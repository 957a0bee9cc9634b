"""A slider in a field, with its name and its figure."""

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
from clipseg_live.gui.widgets.buttons import FIELD

_STEPS = 100
_INSET = 7
_BAR = 3
_GLYPH = 12


class SliderField(QSlider):
    """A value from ``low`` to ``top`` in hundredths: a field with its name and figure, filled as far as it goes.

    short, or glyph ("half", or the name of an icon): in place of the name where there is no room for it.
    bare: the name is written beside the field.
    edited: the person has changed the value; released: the person is done with this change.
    Click or drag anywhere in it; arrow and page keys, Home and End; double-click, Backspace or Delete: the default.
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
        self._labels, self._glyph, self._write = () if bare else (label, short), glyph, write
        self._label = label
        self._default = round(default * _STEPS)
        self._share: float | None = None
        self._colour = theme.ACCENT
        self._hovered = False
        self.setRange(round(low * _STEPS), round(top * _STEPS))
        self.setSingleStep(1)
        self.setPageStep(10)
        self.setFixedHeight(FIELD)
        self.setMinimumWidth(44)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(label)
        self.valueChanged.connect(lambda value: self.edited.emit(value / _STEPS))

    def show_value(self, value: float) -> None:
        """Show a value without telling anybody."""
        self.blockSignals(True)
        self.setValue(round(value * _STEPS))
        self.blockSignals(False)
        self.update()

    def value_text(self) -> str:
        """Return the value as it is written, for screen readers as well."""
        return self._write(self.value() / _STEPS)

    def show_share(self, share: float | None, colour: str) -> None:
        """Draw a bar along the bottom that is ``share`` (0..1) of the width long; None: no bar."""
        if (share, colour) != (self._share, self._colour):
            self._share, self._colour = share, colour
            self.update()

    @property
    def share(self) -> float | None:
        return self._share

    def value_at(self, x: float) -> int:
        """The step under a horizontal position in the widget."""
        part = (x - _INSET) / max(1, self.width() - 2 * _INSET)
        return round(self.minimum() + min(max(part, 0.0), 1.0) * (self.maximum() - self.minimum()))

    def place_of(self, value: float) -> int:
        """Where a value is in the widget, horizontally."""
        return round(_INSET + self._part(value * _STEPS) * (self.width() - 2 * _INSET))

    def _part(self, step: float) -> float:
        return (step - self.minimum()) / (self.maximum() - self.minimum())

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self._label) + 60, FIELD)

    def minimumSizeHint(self) -> QSize:
        return QSize(44, FIELD)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        self.setSliderDown(True)
        self.setValue(self.value_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self.isSliderDown():
            self.setValue(self.value_at(event.position().x()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self.isSliderDown() and event.button() == Qt.MouseButton.LeftButton:
            self.setSliderDown(False)
            self.released.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._reset()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete) and not event.modifiers():
            self._reset()
        elif event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            event.ignore()  # Alt with an arrow moves the row
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scrolls the list rather than changing a value that happens to pass under the pointer."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.released.emit()

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self._hovered = True
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._hovered = False
        self.update()

    def _reset(self) -> None:
        self.setValue(self._default)
        self.released.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
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
        part = self._part(self.value())
        x = _INSET + part * (self.width() - 2 * _INSET) if 0 < part < 1 else part * self.width()
        strong = self.isEnabled() and (self.hasFocus() or self._hovered or self.isSliderDown())
        fill = theme.PRESSED if self.isEnabled() else theme.HOVER
        # from where nothing is changed: the left end, or zero
        begin = _INSET + self._part(0) * (self.width() - 2 * _INSET) if self.minimum() < 0 else 0.0
        painter.fillRect(QRectF(min(begin, x), 0, abs(x - begin), self.height()), theme.qcolour(fill))
        if 0 < part < 1:
            edge, width = (theme.qcolour(theme.ACCENT), 2) if strong else (theme.qcolour(theme.FAINT), 1)
            painter.fillRect(QRectF(x - width, 0, width, self.height()), edge)
        if self._share is not None:
            top = self.height() - _BAR
            painter.fillRect(QRectF(0, top, self.width(), _BAR), theme.qcolour(self._colour, 0.2))
            painter.fillRect(QRectF(0, top, self._share * self.width(), _BAR), theme.qcolour(self._colour))

    def _paint_text(self, painter: QPainter) -> None:
        room = QRectF(_INSET, 0, self.width() - 2 * _INSET, self.height())
        painter.setFont(theme.figure_font(theme.SMALL_SIZE))
        metrics = painter.fontMetrics()
        figure = self.value_text()
        left = room.width() - metrics.horizontalAdvance(figure) - 4
        label = next((each for each in self._labels if each and metrics.horizontalAdvance(each) <= left), "")
        painter.setPen(theme.qcolour(theme.MUTED if self.isEnabled() else theme.FAINT))
        if label:
            painter.drawText(room, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, label)
        elif self._glyph and left >= _GLYPH:
            self._paint_glyph(painter, QRectF(room.x() - 1, (self.height() - _GLYPH) / 2, _GLYPH, _GLYPH))
        painter.setPen(theme.qcolour(theme.TEXT if self.isEnabled() else theme.FAINT))
        painter.drawText(room, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, figure)

    def _paint_glyph(self, painter: QPainter, place: QRectF) -> None:
        colour = theme.MUTED if self.isEnabled() else theme.FAINT
        if self._glyph == "half":
            circle = place.adjusted(1, 1, -1, -1)
            painter.drawEllipse(circle)
            painter.setBrush(theme.qcolour(colour))
            painter.drawChord(circle, 90 * 16, 180 * 16)
            painter.setBrush(Qt.BrushStyle.NoBrush)
        else:
            icon = icons.pixmap(self._glyph, colour, _GLYPH, self.devicePixelRatioF())
            painter.drawPixmap(place.topLeft(), icon)
