"""Parts of a prompt row: thumbnail, and a frame that accepts dropped images."""

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QImage,
    QKeyEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
)
from PySide6.QtWidgets import QAbstractButton, QFrame, QWidget

from clipseg_live.core.settings.live import PromptImage
from clipseg_live.gui.prompts.thumbnails import holds_image, preview_html, square_thumbnail
from clipseg_live.gui.widgets import theme


class ImageDropFrame(QFrame):
    """Frame that accepts dropped images and image files.

    Attributes:
        image_dropped: signal with the QMimeData.
    """

    image_dropped = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAcceptDrops(True)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept images and mark the frame."""
        if holds_image(event.mimeData()):
            event.acceptProposedAction()
            self._set_target(True)
        else:
            event.ignore()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Remove the mark."""
        self._set_target(False)

    def dropEvent(self, event: QDropEvent) -> None:
        """Emit the dropped data."""
        self._set_target(False)
        event.acceptProposedAction()
        self.image_dropped.emit(event.mimeData())

    def _set_target(self, target: bool) -> None:
        self.setProperty("target", target)
        self.style().polish(self)


class PromptThumbnail(QAbstractButton):
    """Button with a thumbnail of the image of a prompt. Its tool tip shows a larger preview."""

    _SIDE = 24

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedSize(QSize(self._SIDE + 2, self._SIDE + 2))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(name)
        self._picture: PromptImage | None = None
        self._thumbnail = QImage()

    def show_image(self, picture: PromptImage | None) -> None:
        """Show an image; None for none."""
        if picture is self._picture:
            return
        self._picture = picture
        self._thumbnail = QImage() if picture is None else square_thumbnail(picture, 3 * self._SIDE)
        self.setToolTip("" if picture is None else preview_html(picture))
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Click on Enter."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            self.click()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the thumbnail and the outline."""
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        shape = QPainterPath()
        shape.addRoundedRect(frame, 4, 4)
        painter.setClipPath(shape)
        painter.drawImage(frame, self._thumbnail)
        painter.setClipping(False)
        painter.setPen(theme.qcolour(theme.ACCENT if self.hasFocus() else theme.EDGE))
        painter.drawPath(shape)
        painter.end()
