"""Selection of a region of the screen as the source."""

import sys

from PySide6.QtCore import QObject, QPoint, QPointF, QRectF, QSizeF, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QScreen
from PySide6.QtWidgets import QWidget

from clipseg_live.gui.canvas.box_tool import ARROWS, nudge_box
from clipseg_live.gui.canvas.painting import paint_line
from clipseg_live.gui.widgets import theme

SMALLEST = 16
"""Smallest width and height of a region, in pixels of the screen."""
_STEP = 16.0

PickedArea = tuple[int, int, int, int]


def region_of(box: QRectF, origin: QPoint, ratio: float) -> PickedArea:
    """Convert a box on a screen to pixels of the desktop.

    Args:
        box: the box in logical pixels of the screen.
        origin: origin of the screen on the desktop, in pixels of the desktop, as Qt reports it.
        ratio: pixels of the screen per logical pixel.

    Returns:
        Left, top, width and height in pixels of the desktop.
    """
    left, top = round(box.left() * ratio), round(box.top() * ratio)
    right, bottom = round(box.right() * ratio), round(box.bottom() * ratio)
    return origin.x() + left, origin.y() + top, right - left, bottom - top


class ScreenPicker(QObject):
    """Covers every screen until the user has drawn a region or cancelled, then deletes itself.

    Attributes:
        picked: signal with left, top, width and height in pixels of the desktop.
        ended: signal, emitted after a region or a cancellation.
    """

    picked = Signal(int, int, int, int)
    ended = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.covers = [_Cover(screen, parent) for screen in QGuiApplication.screens()]
        for cover in self.covers:
            cover.drawn.connect(self._take)
            cover.cancelled.connect(self._end)
            cover.started.connect(self._begin)

    def show(self) -> None:
        """Cover the screens."""
        for cover in self.covers:
            cover.show_on_its_screen()
        self.covers[0].activateWindow()
        self.covers[0].setFocus()

    def _begin(self, active_cover: "_Cover") -> None:
        """Clear the boxes on the other screens."""
        for cover in self.covers:
            if cover is not active_cover:
                cover.clear()

    def _take(self, region: PickedArea) -> None:
        self._end()
        self.picked.emit(*region)

    def _end(self) -> None:
        for cover in self.covers:
            cover.hide()
            cover.deleteLater()
        self.covers = []
        self.ended.emit()
        self.deleteLater()


class _Cover(QWidget):
    """Window over one screen that shows the dimmed content from the time when it opened."""

    drawn = Signal(tuple)
    cancelled = Signal()
    started = Signal(object)

    def __init__(self, screen: QScreen, parent: QWidget) -> None:
        flags = Qt.WindowType.Window | Qt.WindowType.FramelessWindowHint | Qt.WindowType.WindowStaysOnTopHint
        super().__init__(parent, flags)
        self.setAccessibleName(self.tr("Screen region"))
        self._screen = screen
        self._screenshot = screen.grabWindow(0)
        if self._screenshot.isNull():  # capturing is not permitted: make the cover translucent
            self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self._corner: QPointF | None = None
        self.box: QRectF | None = None

    def show_on_its_screen(self) -> None:
        self.setScreen(self._screen)
        self.setGeometry(self._screen.geometry())
        self.showFullScreen()

    def clear(self) -> None:
        self.box = self._corner = None
        self.update()

    @property
    def ratio(self) -> float:
        """Pixels of the captured screen per logical pixel; 1 on macOS, which captures in logical pixels."""
        return 1.0 if sys.platform == "darwin" else self.devicePixelRatioF()

    def region(self) -> PickedArea | None:
        """Return the drawn region; None if there is none or it is too small."""
        if self.box is None:
            return None
        region = region_of(self.box, self._screen.geometry().topLeft(), self.ratio)
        return region if min(region[2:]) >= SMALLEST else None

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        bounds = QRectF(self.rect())
        if not self._screenshot.isNull():
            painter.drawPixmap(self.rect(), self._screenshot)
        painter.fillRect(self.rect(), QColor(0, 0, 0, 120))
        if self.box is not None:
            self._paint_box(painter, self.box)
        paint_line(painter, bounds, self._hint(), theme.ACCENT)
        painter.end()

    def _paint_box(self, painter: QPainter, box: QRectF) -> None:
        if self._screenshot.isNull():
            painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Clear)
            painter.fillRect(box, Qt.GlobalColor.transparent)
            painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceOver)
        else:
            ratio = self._screenshot.width() / max(self.width(), 1)
            painter.drawPixmap(box, self._screenshot, QRectF(box.topLeft() * ratio, box.size() * ratio))
        painter.setPen(QPen(QColor(theme.ACCENT), 1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(box)
        _, _, width, height = region_of(box, QPoint(), self.ratio)
        self._paint_size(painter, box, f"{width} × {height}")

    def _paint_size(self, painter: QPainter, box: QRectF, text: str) -> None:
        painter.setFont(theme.figure_font())
        metrics = painter.fontMetrics()
        size = QSizeF(metrics.horizontalAdvance(text) + 16, metrics.height() + 8)
        below = box.bottom() + 8
        top = below if below + size.height() < self.height() else box.bottom() - size.height() - 8
        left = min(max(box.right() - size.width(), 0), self.width() - size.width())
        label = QRectF(QPointF(left, top), size)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(17, 18, 20, 232))
        painter.drawRoundedRect(label, 6, 6)
        painter.setPen(QColor(theme.TEXT))
        painter.drawText(label, Qt.AlignmentFlag.AlignCenter, text)

    def _hint(self) -> str:
        if self.box is not None and self._corner is None:
            return self.tr("Arrow keys move the region, Shift+arrow keys resize it. Enter to confirm, Esc to cancel.")
        return self.tr("Drag over the region to capture. Esc to cancel.")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            self.cancelled.emit()
            return
        self.started.emit(self)
        self._corner = self._inside(event.position())
        self.box = None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._corner is not None:
            self.box = QRectF(self._corner, self._inside(event.position())).normalized()
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._corner is None:
            return
        self._corner = None
        region = self.region()
        if region is None:
            self.clear()  # a click is not a region: let the user try again
        else:
            self.drawn.emit(region)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        arrow = ARROWS.get(Qt.Key(event.key()))
        if event.key() == Qt.Key.Key_Escape:
            self.cancelled.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and (region := self.region()) is not None:
            self.drawn.emit(region)
        elif arrow is not None:
            self.started.emit(self)
            self._nudge(arrow * _STEP, bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
        else:
            super().keyPressEvent(event)

    def _nudge(self, step: QPointF, resize: bool) -> None:
        """Create a box in the centre, or move or resize the existing one."""
        area = QRectF(self.rect())
        if self.box is None:
            self.box = QRectF(0, 0, area.width() / 2, area.height() / 2)
            self.box.moveCenter(area.center())
        else:
            self.box = nudge_box(self.box, step, area, SMALLEST, resize=resize)
        self.update()

    def _inside(self, point: QPointF) -> QPointF:
        return QPointF(min(max(point.x(), 0.0), float(self.width())), min(max(point.y(), 0.0), float(self.height())))
