"""The canvas: paints the newest picture, and lets a person zoom, read, draw boxes and drop files."""

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDropEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QWheelEvent,
)
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from clipseg_live.core.live import LiveSettings, Picture
from clipseg_live.gui import theme

MOST_ZOOM = 16.0
_SMALLEST_BOX = 6.0


@dataclass(frozen=True, slots=True)
class Notice:
    """What stands over the picture: a title, a sentence, and the text of a button ("" for none)."""

    title: str
    text: str = ""
    action: str = ""


class Canvas(QWidget):
    """Shows a ``Picture``, fitted; wheel zooms about the pointer, a drag moves, a double click asks for full screen.

    box_drawn: purpose and QRectF in shares (0 to 1) of the picture, after ``begin_box``. dropped: list of Path.
    action: the button of the notice was pressed.
    """

    box_drawn = Signal(str, QRectF)
    box_cancelled = Signal()
    dropped = Signal(list)
    full_screen_asked = Signal()
    action = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Picture"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAcceptDrops(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(320, 200)
        self._picture: Picture | None = None
        self._image: QImage | None = None
        self._settings = LiveSettings()
        self._zoom = 1.0
        self._centre = QPointF(0.5, 0.5)
        self._pointer: QPointF | None = None
        self._drag: tuple[QPointF, QPointF] | None = None
        self._purpose = ""
        self._box: tuple[QPointF, QPointF] | None = None
        self._notice: Notice | None = None
        self._button = QPushButton(self)
        self._button.setProperty("role", "primary")
        self._button.setCursor(Qt.CursorShape.PointingHandCursor)
        self._button.clicked.connect(self.action)
        self._button.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)

    def sizeHint(self) -> QSize:
        return QSize(960, 540)

    @property
    def zoom(self) -> float:
        return self._zoom

    @property
    def purpose(self) -> str:
        """What a box is being drawn for; "" when none is."""
        return self._purpose

    def show_picture(self, picture: Picture | None) -> None:
        """Paint this one from now on; its pixels are used where they lie."""
        if picture is None:
            self._picture = self._image = None
        elif picture is not self._picture:
            height, width = picture.composed.shape[:2]
            image = QImage(picture.composed.data, width, height, 3 * width, QImage.Format.Format_RGB888)
            if self._image is not None and self._image.size() != image.size():
                self.reset_view()
            self._picture, self._image = picture, image
        self.update()

    def show_settings(self, settings: LiveSettings) -> None:
        """Texts and colours for the read-out under the pointer."""
        self._settings = settings
        self.update()

    def show_notice(self, notice: Notice | None) -> None:
        if notice == self._notice:
            return
        self._notice = notice
        self._button.setVisible(notice is not None and bool(notice.action))
        if notice is not None:
            self._button.setText(notice.action)
            self._button.adjustSize()
            self._place_button()
        self.update()

    def reset_view(self) -> None:
        """Fit the whole picture."""
        self._zoom, self._centre = 1.0, QPointF(0.5, 0.5)
        self.update()

    def zoom_by(self, factor: float, about: QPointF | None = None) -> None:
        """Zoom about a point of the widget, by default its middle; the point stays where it is."""
        if self._image is None:
            return
        point = about or QPointF(self.width() / 2, self.height() / 2)
        before = self._to_share(point)
        self._zoom = min(max(self._zoom * factor, 1.0), MOST_ZOOM)
        after = self._to_share(point)
        self._centre += before - after
        self._keep_inside()
        self.update()

    def move_by(self, x: float, y: float) -> None:
        """Move the view by widget pixels."""
        area = self._target()
        if area.width() > 0 and area.height() > 0:
            self._centre -= QPointF(x / area.width(), y / area.height())
            self._keep_inside()
            self.update()

    def begin_box(self, purpose: str) -> None:
        """Let the person draw a box; Esc or the right button gives up."""
        self._purpose, self._box = purpose, None
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setFocus()
        self.update()

    def cancel_box(self) -> None:
        if self._purpose:
            self._end_box()
            self.box_cancelled.emit()

    def picture_rect(self) -> QRectF:
        """Where the picture lies in the widget."""
        return self._target()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.BACKGROUND))
        if self._image is not None:
            target = self._target()
            shrinks = target.width() * self.devicePixelRatioF() < self._image.width()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, shrinks or self._zoom < 4)
            painter.drawImage(target, self._image)
            if self._pointer is not None and not self._purpose and not self._drag:
                self._paint_reading(painter, self._pointer)
        if self._purpose:
            self._paint_box(painter)
        if self._notice is not None:
            self._paint_notice(painter, self._notice)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._purpose:
            if event.button() == Qt.MouseButton.LeftButton:
                self._box = event.position(), event.position()
            else:
                self.cancel_box()
        elif event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            self._drag = event.position(), QPointF(self._centre)
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._pointer = event.position()
        if self._purpose and self._box is not None:
            self._box = self._box[0], event.position()
        elif self._drag is not None:
            start, centre = self._drag
            moved, area = event.position() - start, self._target()
            if area.width() > 0 and area.height() > 0:
                self._centre = centre - QPointF(moved.x() / area.width(), moved.y() / area.height())
                self._keep_inside()
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._drag = None
        if self._purpose and self._box is not None:
            box = QRectF(*self._box).normalized()
            if max(box.width(), box.height()) < _SMALLEST_BOX:
                self._box = None  # a click: the person tries again
            else:
                self._finish_box(box)
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if not self._purpose and event.button() == Qt.MouseButton.LeftButton:
            self.full_screen_asked.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        self.zoom_by(1.0015 ** event.angleDelta().y(), event.position())
        event.accept()

    def leaveEvent(self, event: QEvent) -> None:
        self._pointer = None
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._purpose:
            self.cancel_box()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QEvent) -> None:
        self._place_button()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _paths(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = _paths(event)
        if paths:
            event.acceptProposedAction()
            self.dropped.emit(paths)

    def probabilities_at(self, point: QPointF) -> list[tuple[int, float]]:
        """Row ids with the probability under a point of the widget; empty outside the picture."""
        picture, share = self._picture, self._to_share(point)
        if picture is None or not (0 <= share.x() < 1 and 0 <= share.y() < 1) or not len(picture.ids):
            return []
        rows, columns = picture.maps.shape[1:]
        found = picture.maps[:, int(share.y() * rows), int(share.x() * columns)]
        return [(row_id, float(value)) for row_id, value in zip(picture.ids, found, strict=True)]

    def _target(self) -> QRectF:
        if self._image is None:
            return QRectF(self.rect())
        width, height = self._image.width(), self._image.height()
        scale = min(self.width() / width, self.height() / height) * self._zoom
        size = QPointF(width * scale, height * scale)
        return QRectF(
            self.width() / 2 - self._centre.x() * size.x(),
            self.height() / 2 - self._centre.y() * size.y(),
            size.x(),
            size.y(),
        )

    def _to_share(self, point: QPointF) -> QPointF:
        area = self._target()
        return QPointF(
            (point.x() - area.x()) / max(area.width(), 1.0), (point.y() - area.y()) / max(area.height(), 1.0)
        )

    def _keep_inside(self) -> None:
        area = self._target()
        reach_x = min(0.5, self.width() / 2 / max(area.width(), 1.0))
        reach_y = min(0.5, self.height() / 2 / max(area.height(), 1.0))
        self._centre = QPointF(
            min(max(self._centre.x(), reach_x), 1 - reach_x), min(max(self._centre.y(), reach_y), 1 - reach_y)
        )

    def _finish_box(self, box: QRectF) -> None:
        first, last = self._to_share(box.topLeft()), self._to_share(box.bottomRight())
        inside = QRectF(first, last).intersected(QRectF(0, 0, 1, 1))
        purpose = self._purpose
        self._end_box()
        if inside.isEmpty():
            self.box_cancelled.emit()
        else:
            self.box_drawn.emit(purpose, inside)

    def _end_box(self) -> None:
        self._purpose, self._box = "", None
        self.unsetCursor()
        self.update()

    def _place_button(self) -> None:
        self._button.move((self.width() - self._button.width()) // 2, self.height() // 2 + 44)

    def _paint_reading(self, painter: QPainter, point: QPointF) -> None:
        """What each prompt says of the pixel under the pointer."""
        rows = {row.id: row for row in self._settings.rows}
        lines = [(rows[number], value) for number, value in self.probabilities_at(point) if number in rows]
        if not lines:
            return
        metrics = painter.fontMetrics()
        names = [row.text or self.tr("picture") for row, _ in lines]
        texts = [metrics.elidedText(name, Qt.TextElideMode.ElideRight, 180) for name in names]
        line, wide = metrics.height() + 4, max(metrics.horizontalAdvance(text) for text in texts)
        width, height = wide + 84, line * len(lines) + 12
        x = point.x() + 18 if point.x() + 18 + width < self.width() else point.x() - 18 - width
        y = min(max(point.y() + 18, 8), self.height() - height - 8)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(16, 18, 22, 225))
        painter.drawRoundedRect(QRectF(x, y, width, height), 8, 8)
        for number, ((row, value), text) in enumerate(zip(lines, texts, strict=True)):
            top = y + 6 + number * line
            painter.setBrush(QColor(*row.style.colour))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawEllipse(QPointF(x + 14, top + line / 2), 4, 4)
            passes = value >= row.style.threshold
            painter.setPen(QColor(theme.TEXT if passes else theme.MUTED))
            painter.drawText(QRectF(x + 26, top, wide + 4, line), Qt.AlignmentFlag.AlignVCenter, text)
            painter.drawText(
                QRectF(x + width - 58, top, 48, line),
                Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
                f"{value:.2f}",
            )

    def _paint_box(self, painter: QPainter) -> None:
        painter.fillRect(self.rect(), QColor(0, 0, 0, 90))
        if self._box is not None:
            box = QRectF(*self._box).normalized().intersected(self._target())
            if self._image is not None and not box.isEmpty():
                painter.save()
                painter.setClipRect(box)
                painter.drawImage(self._target(), self._image)
                painter.restore()
            painter.setPen(QPen(QColor(theme.ACCENT), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(box)
        hint = self.tr("Draw a box. Esc gives up.")
        self._paint_pill(painter, hint, 20)

    def _paint_pill(self, painter: QPainter, text: str, top: float) -> None:
        metrics = painter.fontMetrics()
        width = metrics.horizontalAdvance(text) + 28
        rect = QRectF((self.width() - width) / 2, top, width, metrics.height() + 12)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(16, 18, 22, 220))
        painter.drawRoundedRect(rect, rect.height() / 2, rect.height() / 2)
        painter.setPen(QColor(theme.TEXT))
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_notice(self, painter: QPainter, notice: Notice) -> None:
        if self._image is not None and not notice.action:
            self._paint_pill(painter, f"{notice.title}  {notice.text}".strip(), self.height() - 52)
            return
        if self._image is not None:
            painter.fillRect(self.rect(), QColor(10, 11, 14, 170))
        font = painter.font()
        font.setPixelSize(20)
        painter.setFont(font)
        painter.setPen(QColor(theme.TEXT))
        middle = self.height() / 2
        wide = QRectF(24, middle - 52, self.width() - 48, 32)
        painter.drawText(wide, Qt.AlignmentFlag.AlignCenter, notice.title)
        font.setPixelSize(13)
        painter.setFont(font)
        painter.setPen(QColor(theme.MUTED))
        below = QRectF(48, middle - 14, self.width() - 96, 48)
        painter.drawText(
            below, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap, notice.text
        )


def _paths(event: QDropEvent) -> list[Path]:
    urls = event.mimeData().urls() if event.mimeData().hasUrls() else []
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
