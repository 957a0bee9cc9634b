"""Canvas that shows the newest frame, with tools for zoom, comparison, boxes and dropped files."""

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from clipseg_live.core.analysis.word_maps import WordMaps
from clipseg_live.core.privacy import was_drawn_hiding
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.effects import Wipe, is_private
from clipseg_live.core.settings.live import LiveSettings
from clipseg_live.gui.canvas import painting
from clipseg_live.gui.canvas.box_tool import ARROWS, BoxTool
from clipseg_live.gui.canvas.drops import FileDropTarget
from clipseg_live.gui.canvas.mouse_tools import MouseTool, PanTool
from clipseg_live.gui.canvas.notice_buttons import NoticeButtons
from clipseg_live.gui.canvas.painting import Notice
from clipseg_live.gui.canvas.readings import paint_readings, paint_words, readings_at
from clipseg_live.gui.canvas.viewport import Viewport
from clipseg_live.gui.canvas.wipe_tool import WipeTool
from clipseg_live.gui.widgets import theme

_KEY_STEP = 40
"""Distance by which an arrow key moves the frame, in pixels of the canvas."""


class Canvas(FileDropTarget):
    """Widget that shows a ``RenderedFrame`` fitted to its size.

    The wheel zooms around the pointer, a drag moves the frame, a double-click requests full screen. While B is held,
    the original frame is shown, unless an effect hides something.

    Attributes:
        viewport: position and zoom of the frame.
        box_tool: draws a box.
        wipe_tool: drags the line of a wipe.
        full_screen_requested: signal, the user wants to enter or leave full screen.
        notice_action: signal with the name of the pressed button of the notice.
    """

    full_screen_requested = Signal()
    notice_action = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Frame"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)  # the right button cancels a box
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(320, 120)
        self.viewport = Viewport(self)
        self.viewport.changed.connect(self.update)
        self.box_tool = BoxTool(self, self.viewport)
        self.box_tool.changed.connect(lambda: self._show_comparison(not self.comparing))
        self.wipe_tool = WipeTool(self, self.viewport)
        self._pan_tool = PanTool(self.viewport)
        self._tools: tuple[MouseTool, ...] = (self.box_tool, self.wipe_tool, self._pan_tool)
        self._notice_buttons = NoticeButtons(self)
        self._notice_buttons.pressed.connect(self.notice_action)
        self._frame: RenderedFrame | None = None
        self._image: QImage | None = None
        self._settings = LiveSettings()
        self._pointer: QPointF | None = None
        self._notice: Notice | None = None
        self._wants_original = False
        self._asks_words = False
        self._words = WordMaps()

    def sizeHint(self) -> QSize:
        """Return the default size."""
        return QSize(960, 540)

    @property
    def frame(self) -> RenderedFrame | None:
        """The frame that is shown; None without one."""
        return self._frame

    @property
    def notice(self) -> Notice | None:
        """The notice over the frame; None without one."""
        return self._notice

    @property
    def comparing(self) -> bool:
        """Return True while the original frame is shown."""
        wanted = self._wants_original or self.box_tool.shows_original
        return wanted and not is_private(self._settings.effects)

    @property
    def asks_words(self) -> bool:
        """True if Alt is held over the frame, to ask for the words that fit the pixel under the pointer."""
        return self._asks_words and self._pointer is not None and self._frame is not None

    def show_words(self, words: WordMaps) -> None:
        """Show the words that fit the pixel under the pointer while the user asks for them."""
        self._words = words
        if self._asks_words:
            self.update()

    def image(self) -> QImage | None:
        """Return a copy of the shown image at the frame's size; None without one."""
        return self._image.copy() if self._image is not None else None

    def show_frame(self, frame: RenderedFrame | None) -> None:
        """Show a frame; None for none."""
        if frame is None:
            self._frame = self._image = None
            self.viewport.show_size(None)
        elif frame is not self._frame:
            self._frame = frame
            self._image = painting.rgb_image(frame.original if self.comparing else frame.composed)
            self.viewport.show_size(self._image.size())
        self.update()

    def show_notice(self, notice: Notice | None) -> None:
        """Show a notice over the frame; None for none."""
        if notice != self._notice:
            self._notice = notice
            self._notice_buttons.show_notice(notice)
            self.update()

    def show_settings(self, settings: LiveSettings) -> None:
        """Use new settings for the read-out, the wipe and the privacy check.

        A frame that was rendered before an effect began to hide something is dropped: it is no longer shown, saved or
        copied.
        """
        compared = self.comparing
        self._settings = settings
        frame = self._frame
        if frame is not None and frame.settings is not None and not was_drawn_hiding(frame, settings):
            self.show_frame(None)
        self._show_comparison(compared)

    def compare(self, original: bool) -> None:
        """Show the original frame (True) or the rendered frame."""
        compared = self.comparing
        self._wants_original = original
        self._show_comparison(compared)

    def _show_comparison(self, compared: bool) -> None:
        """Update the shown image and the wipe.

        Args:
            compared: the previous value of ``comparing``.
        """
        wipe = next((effect for effect in self._settings.effects if isinstance(effect, Wipe)), None)
        self.wipe_tool.show_position(None if wipe is None or self.comparing else wipe.at)
        frame = self._frame
        if frame is not None and compared != self.comparing:
            self._frame = None
            self.show_frame(frame)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the frame and the overlays."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.BACKGROUND_COLOUR))
        if self._image is not None:
            target = self.viewport.frame_rect()
            smooth = target.width() * self.devicePixelRatioF() < 4 * self._image.width()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
            painter.drawImage(target, self._image)
        self._paint_overlays(painter, QRectF(self.rect()))
        if self.hasFocus() and self.window().isActiveWindow() and not self.window().isFullScreen():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            painter.setPen(QColor(theme.EDGE))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _paint_overlays(self, painter: QPainter, bounds: QRectF) -> None:
        notice = self._notice
        if self.box_tool.active:
            self.box_tool.paint(painter, bounds, self._image)
            return
        if notice is not None and not notice.quiet:
            painting.paint_notice(painter, bounds, notice, dimmed=self._image is not None)
            return
        if notice is not None:
            painting.paint_line(painter, bounds, f"{notice.title}   {notice.text}".strip(), notice.colour)
        self.wipe_tool.paint(painter, bounds, self._pointer)
        if self._wants_original and self._image is not None:
            text = self.tr("Original") if self.comparing else self.tr("Privacy effects stay on")
            painting.paint_line(painter, bounds, text, theme.ACCENT if self.comparing else theme.WARNING)
        if self._pointer is not None and self.asks_words:
            paint_words(painter, self._pointer, bounds, self._words, self.viewport.to_share(self._pointer))
        elif self._pointer is not None and not self._pan_tool.dragging:
            readings = readings_at(self._frame, self.viewport.to_share(self._pointer), self._settings.rows)
            if readings:
                paint_readings(painter, self._pointer, bounds, readings)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a box, a drag of the wipe or a drag of the frame."""
        any(tool.press(event) for tool in self._tools)  # the first tool that uses the event
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Continue the drag and update the read-out."""
        self._pointer = event.position()
        self._asks_words = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        tool = next((tool for tool in self._tools if tool.dragging), None)
        if tool is not None:
            tool.move(event.position())
        elif not self.box_tool.active:
            self.wipe_tool.hover(event.position())
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Finish the drag."""
        for tool in self._tools:
            tool.release()
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Request full screen."""
        if not self.box_tool.active and event.button() == Qt.MouseButton.LeftButton:
            self._pan_tool.release()
            self.full_screen_requested.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom around the pointer."""
        self.viewport.zoom_by(1.0015 ** event.angleDelta().y(), event.position())
        event.accept()

    def leaveEvent(self, event: QEvent) -> None:
        """Hide the read-out."""
        self._pointer = None
        self._asks_words = False
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Draw a box, move the frame, compare with the original or ask for words."""
        arrow = ARROWS.get(Qt.Key(event.key()))
        if self.box_tool.press_key(event):
            return
        if arrow is not None and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.viewport.move_by(-_KEY_STEP * arrow.x(), -_KEY_STEP * arrow.y())
        elif event.key() == Qt.Key.Key_B and not event.modifiers():
            if not event.isAutoRepeat():
                self.compare(True)
        elif event.key() == Qt.Key.Key_Alt:
            self._asks_words = True
            self.update()
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Stop comparing or asking."""
        if event.key() == Qt.Key.Key_Alt:
            self._asks_words = False
            self.update()
        elif event.key() == Qt.Key.Key_B and self._wants_original and not event.isAutoRepeat():
            self.compare(False)
        else:
            super().keyReleaseEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Repaint with the outline of the focus."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Stop comparing and asking, and repaint without the outline."""
        super().focusOutEvent(event)
        self._asks_words = False
        self.compare(False)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the frame visible and the buttons in place."""
        self.viewport.keep_inside()
        self._notice_buttons.update_positions()
