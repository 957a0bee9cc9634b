"""Canvas that paints the newest frame and handles zoom, read-out, boxes and dropped files."""

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QFocusEvent,
    QFontMetrics,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QPushButton, QWidget

from clipseg_live.core.privacy import was_drawn_hiding
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.effects import Wipe, is_private
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.gui.canvas import painting
from clipseg_live.gui.canvas.box_tool import ARROWS, nudged
from clipseg_live.gui.canvas.drops import dropped_paths
from clipseg_live.gui.canvas.painting import Notice, Reading
from clipseg_live.gui.widgets import theme

MOST_ZOOM = 16.0
_SMALLEST_BOX = 6.0
_NUDGE = 0.02
_GRASP = 7.0
"""Distance from the line of the wipe at which it can be dragged, in pixels of the widget."""
_WHOLE = QRectF(0, 0, 1, 1)


class Canvas(QWidget):
    """Widget that shows a ``RenderedFrame`` fitted to its size.

    The wheel zooms around the pointer, a drag moves the frame, a double-click requests full screen. While B is held,
    the original frame is shown, unless an effect hides something. The line of a wipe can be dragged.

    A box is drawn with a drag, or with the arrow keys (with Shift they resize it) and Enter. Esc or another mouse
    button cancels it.

    Attributes:
        box_drawn: signal with the purpose and the box, a QRectF in shares (0 to 1) of the frame.
        box_cancelled: signal with the purpose.
        dropped: signal with a list of Path.
        full_screen_asked: signal, the user wants to enter or leave full screen.
        action: signal with the name of the pressed button of the notice.
        wipe_moved: signal with the requested position of the wipe, as a share (0 to 1) of the width.
        wipe_released: signal, the drag of the wipe has ended.
    """

    box_drawn = Signal(object, QRectF)
    box_cancelled = Signal(object)
    dropped = Signal(list)
    full_screen_asked = Signal()
    action = Signal(str)
    wipe_moved = Signal(float)
    wipe_released = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Frame"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAcceptDrops(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(320, 200)
        self._picture: RenderedFrame | None = None
        self._image: QImage | None = None
        self._settings = LiveSettings()
        self._zoom = 1.0
        self._centre = QPointF(0.5, 0.5)
        self._pointer: QPointF | None = None
        self._drag: tuple[QPointF, QPointF] | None = None
        self._purpose: object = None
        self._corner: QPointF | None = None
        self._box: QRectF | None = None
        self._notice: Notice | None = None
        self._buttons: list[QPushButton] = []
        self._before = False
        self._wiping = False

    def sizeHint(self) -> QSize:
        """Return the default size."""
        return QSize(960, 540)

    @property
    def picture(self) -> RenderedFrame | None:
        """The frame that is shown; None without one."""
        return self._picture

    @property
    def zoom(self) -> float:
        """The zoom factor, 1 to ``MOST_ZOOM``; 1 fits the frame."""
        return self._zoom

    @property
    def purpose(self) -> object:
        """The purpose of the box that is being drawn; None without one."""
        return self._purpose

    @property
    def notice(self) -> Notice | None:
        """The notice over the frame; None without one."""
        return self._notice

    def show_picture(self, picture: RenderedFrame | None) -> None:
        """Show a frame; None for none."""
        if picture is None:
            self._picture = self._image = None
        elif picture is not self._picture:
            image = painting.rgb_image(picture.original if self.comparing else picture.composed)
            if self._image is not None and self._image.size() != image.size():
                self._zoom, self._centre = 1.0, QPointF(0.5, 0.5)
            self._picture, self._image = picture, image
        self.update()

    @property
    def comparing(self) -> bool:
        """Return True while the original frame is shown."""
        return self._before and not is_private(self._settings.effects)

    def compare(self, before: bool) -> None:
        """Show the original frame (True) or the rendered frame."""
        if before != self._before:
            self._before = before
            self._draw_again()

    def show_settings(self, settings: LiveSettings) -> None:
        """Use new settings for the read-out, the wipe and the privacy check.

        A frame that was rendered before an effect began to hide something is dropped: it is no longer shown, saved or
        copied.
        """
        compared, self._settings = self.comparing, settings
        picture = self._picture
        if picture is not None and picture.settings is not None and not was_drawn_hiding(picture, settings):
            self.show_picture(None)
        if compared != self.comparing:
            self._draw_again()
        self.update()

    def _draw_again(self) -> None:
        picture, self._picture = self._picture, None
        if picture is not None:
            self.show_picture(picture)
        self.update()

    def show_notice(self, notice: Notice | None) -> None:
        """Show a notice over the frame; None for none."""
        if notice == self._notice:
            return
        self._notice = notice
        for button in self._buttons:
            button.hide()
            button.deleteLater()
        self._buttons = []
        for number, (name, text) in enumerate(notice.actions if notice else ()):
            button = QPushButton(text, self)
            button.setAccessibleName(text)
            theme.set_kind(button, "primary" if number == 0 else "")
            button.clicked.connect(lambda _=False, name=name: self.action.emit(name))
            button.show()
            self._buttons.append(button)
        self._place_buttons()
        self.update()

    def image(self) -> QImage | None:
        """Return a copy of the shown image at the frame's size; None without one."""
        return self._image.copy() if self._image is not None else None

    def reset_view(self) -> None:
        """Fit the whole frame."""
        self._zoom, self._centre = 1.0, QPointF(0.5, 0.5)
        self.update()

    def zoom_by(self, factor: float, about: QPointF | None = None) -> None:
        """Zoom around a point of the widget that does not move, by default the centre."""
        if self._image is None:
            return
        point = about or QPointF(self.width() / 2, self.height() / 2)
        before = self.to_share(point)
        self._zoom = min(max(self._zoom * factor, 1.0), MOST_ZOOM)
        self._centre += before - self.to_share(point)
        self._keep_inside()
        self.update()

    def move_by(self, x: float, y: float) -> None:
        """Move the frame by pixels of the widget."""
        area = self.picture_rect()
        self._centre -= QPointF(x / max(area.width(), 1.0), y / max(area.height(), 1.0))
        self._keep_inside()
        self.update()

    def begin_box(self, purpose: object) -> None:
        """Let the user draw a box; the signals pass on the purpose. Nothing happens without a frame."""
        if self._image is None or purpose is None:
            return
        self._purpose, self._corner, self._box = purpose, None, None
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setFocus()
        self.update()

    def cancel_box(self) -> None:
        """Cancel the box that is being drawn, if any."""
        if self._purpose is not None:
            purpose = self._end_box()
            self.box_cancelled.emit(purpose)

    def picture_rect(self) -> QRectF:
        """Return the rectangle of the whole frame in pixels of the widget, larger than the widget when zoomed."""
        if self._image is None:
            return QRectF(self.rect())
        width, height = self._image.width(), self._image.height()
        scale = min(self.width() / width, self.height() / height) * self._zoom
        scaled_width, scaled_height = width * scale, height * scale
        x, y = self.width() / 2 - self._centre.x() * scaled_width, self.height() / 2 - self._centre.y() * scaled_height
        return QRectF(x, y, scaled_width, scaled_height)

    def to_share(self, point: QPointF) -> QPointF:
        """Convert a point of the widget to shares of the frame, 0 to 1 inside it."""
        area = self.picture_rect()
        return QPointF(
            (point.x() - area.x()) / max(area.width(), 1.0), (point.y() - area.y()) / max(area.height(), 1.0)
        )

    def readings(self, point: QPointF) -> list[Reading]:
        """Return the probability of each prompt at a point; empty outside the frame or without a prediction."""
        picture, share = self._picture, self.to_share(point)
        if picture is None or not (0 <= share.x() < 1 and 0 <= share.y() < 1) or not len(picture.ids):
            return []
        map_height, map_width = picture.maps.shape[1:]
        values = picture.maps[:, int(share.y() * map_height), int(share.x() * map_width)]
        rows = {row.id: row for row in self._settings.rows}
        return [
            Reading(row.text or self.tr("image"), row.style.colour, float(value), value >= row.style.threshold)
            for row_id, value in zip(picture.ids, values, strict=True)
            if (row := rows.get(row_id)) is not None
        ]

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the frame and the overlays."""
        painter = QPainter(self)
        bounds = QRectF(self.rect())
        painter.fillRect(self.rect(), QColor(theme.BACKGROUND_COLOUR))
        notice = self._notice
        if self._image is not None:
            target = self.picture_rect()
            smooth = target.width() * self.devicePixelRatioF() < 4 * self._image.width()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
            painter.drawImage(target, self._image)
        if self._purpose is not None:
            painting.paint_box(painter, bounds, self.picture_rect(), self._image, self._box_on_widget())
            painting.paint_line(painter, bounds, self._hint(), theme.ACCENT)
        elif notice is not None and not notice.quiet:
            painting.paint_notice(painter, bounds, notice, dimmed=self._image is not None)
        else:
            if notice is not None:
                text = f"{notice.title}   {notice.text}".strip()
                painting.paint_line(painter, bounds, text, notice.colour)
            self._paint_compared(painter, bounds)
            if self._pointer is not None and self._drag is None and (readings := self.readings(self._pointer)):
                painting.paint_readings(painter, self._pointer, bounds, readings)
        if self.hasFocus() and self.window().isActiveWindow() and not self.window().isFullScreen():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            painter.setPen(QColor(theme.EDGE))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _paint_compared(self, painter: QPainter, bounds: QRectF) -> None:
        line = self._wipe_line()
        if line is not None and bounds.left() <= line <= bounds.right():
            middle = self.picture_rect().intersected(bounds).center().y()
            painting.paint_grip(painter, QPointF(line, middle), self._wiping or self._on_wipe(self._pointer))
        if self._before and self._image is not None:
            text = self.tr("Original") if self.comparing else self.tr("Privacy effects stay on")
            painting.paint_line(painter, bounds, text, theme.ACCENT if self.comparing else theme.WARNING)

    def _wipe_line(self) -> float | None:
        """Return the horizontal position of the first wipe in pixels of the widget; None without one."""
        position = next((effect.at for effect in self._settings.effects if isinstance(effect, Wipe)), None)
        if position is None or self._image is None or self.comparing:
            return None
        area = self.picture_rect()
        return area.x() + position * area.width()

    def _on_wipe(self, point: QPointF | None) -> bool:
        line = self._wipe_line()
        if point is None or line is None or not self.picture_rect().contains(QPointF(line, point.y())):
            return False
        return abs(point.x() - line) <= _GRASP

    def _show_grasp(self, there: bool) -> None:
        if there != (self.cursor().shape() == Qt.CursorShape.SplitHCursor):
            if there:
                self.setCursor(Qt.CursorShape.SplitHCursor)
            else:
                self.unsetCursor()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a box, a drag of the wipe or a drag of the frame."""
        left = event.button() == Qt.MouseButton.LeftButton
        if self._purpose is not None:
            if left:
                self._corner = self._inside(event.position())
                self._box = QRectF(self._corner, self._corner)
            else:
                self.cancel_box()
        elif left and self._on_wipe(event.position()):
            self._wiping = True
        elif left or event.button() == Qt.MouseButton.MiddleButton:
            self._drag = event.position(), QPointF(self._centre)
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Continue the drag and update the read-out."""
        self._pointer = event.position()
        if self._purpose is not None and self._corner is not None:
            self._box = QRectF(self._corner, self._inside(event.position())).normalized()
        elif self._wiping:
            self.wipe_moved.emit(self._inside(event.position()).x())
        elif self._drag is not None:
            start, centre = self._drag
            self._centre = QPointF(centre)
            moved = event.position() - start
            self.move_by(moved.x(), moved.y())
        elif self._purpose is None:
            self._show_grasp(self._on_wipe(event.position()))
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Finish the drag."""
        self._drag = None
        if self._wiping:
            self._wiping = False
            self.wipe_released.emit()
        if self._purpose is not None and self._corner is not None:
            self._corner = None
            box = self._box_on_widget()
            if box is None or min(box.width(), box.height()) < _SMALLEST_BOX:
                self._box = None  # a click or a line is not a box: let the user try again
            else:
                self._finish_box()
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Request full screen."""
        if self._purpose is None and event.button() == Qt.MouseButton.LeftButton:
            self._drag = None
            self.full_screen_asked.emit()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Accept the event: the right button only cancels a box."""
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom around the pointer."""
        self.zoom_by(1.0015 ** event.angleDelta().y(), event.position())
        event.accept()

    def leaveEvent(self, event: QEvent) -> None:
        """Hide the read-out."""
        self._pointer = None
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Draw a box, move the frame or compare with the original."""
        arrow = ARROWS.get(Qt.Key(event.key()))
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if self._purpose is not None:
            if event.key() == Qt.Key.Key_Escape:
                self.cancel_box()
            elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._box is not None:
                self._finish_box()
            elif arrow is not None:
                self._nudge_box(arrow, shift)
            self.update()
        elif arrow is not None and shift:
            self.move_by(-40 * arrow.x(), -40 * arrow.y())
        elif event.key() == Qt.Key.Key_B and not event.modifiers():
            if not event.isAutoRepeat():
                self.compare(True)
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Stop comparing."""
        if event.key() == Qt.Key.Key_B and self._before and not event.isAutoRepeat():
            self.compare(False)
        else:
            super().keyReleaseEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Repaint with the outline of the focus."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Stop comparing and repaint without the outline."""
        super().focusOutEvent(event)
        self.compare(False)
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the frame visible and the buttons in place."""
        self._keep_inside()
        self._place_buttons()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept local files."""
        if dropped_paths(event):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Accept local files."""
        if dropped_paths(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Emit the dropped files."""
        paths = dropped_paths(event)
        if paths:
            event.acceptProposedAction()
            self.dropped.emit(paths)

    def _hint(self) -> str:
        if self._box is not None and self._corner is None:
            return self.tr("Arrow keys move the box, Shift+arrow keys resize it. Enter to confirm, Esc to cancel.")
        return self.tr("Drag to draw a box. Esc to cancel.")

    def _inside(self, point: QPointF) -> QPointF:
        share = self.to_share(point)
        return QPointF(min(max(share.x(), 0.0), 1.0), min(max(share.y(), 0.0), 1.0))

    def _box_on_widget(self) -> QRectF | None:
        if self._box is None:
            return None
        area, box = self.picture_rect(), self._box
        return QRectF(
            area.x() + box.x() * area.width(),
            area.y() + box.y() * area.height(),
            box.width() * area.width(),
            box.height() * area.height(),
        )

    def _nudge_box(self, arrow: QPointF, resize: bool) -> None:
        """Create a box in the centre, or move or resize the existing one."""
        if self._box is None:
            self._box = QRectF(0.3, 0.3, 0.4, 0.4)
            return
        self._box = nudged(self._box, arrow * _NUDGE, _WHOLE, _NUDGE, resize=resize)

    def _finish_box(self) -> None:
        box = self._box
        purpose = self._end_box()
        if box is not None:
            self.box_drawn.emit(purpose, box)

    def _end_box(self) -> object:
        purpose = self._purpose
        self._purpose = self._corner = self._box = None
        self.unsetCursor()
        self.update()
        return purpose

    def _keep_inside(self) -> None:
        area = self.picture_rect()
        reach_x = min(0.5, self.width() / 2 / max(area.width(), 1.0))
        reach_y = min(0.5, self.height() / 2 / max(area.height(), 1.0))
        self._centre = QPointF(
            min(max(self._centre.x(), reach_x), 1 - reach_x), min(max(self._centre.y(), reach_y), 1 - reach_y)
        )

    def _place_buttons(self) -> None:
        notice = self._notice
        if notice is None or not self._buttons:
            return
        bounds = QRectF(self.rect())
        metrics = QFontMetrics(theme.text_font())
        room = QRectF(0, 0, painting.text_width(bounds), 400).toRect()
        height = metrics.boundingRect(room, Qt.TextFlag.TextWordWrap, notice.text).height() if notice.text else 0
        for button in self._buttons:
            button.adjustSize()
        gap = theme.UNIT
        left = (self.width() - sum(button.width() + gap for button in self._buttons) + gap) // 2
        for button in self._buttons:
            button.move(left, int(painting.buttons_top(bounds, height)))
            left += button.width() + gap
