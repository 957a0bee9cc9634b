"""Sheet of the probability maps of all prompts, over the canvas."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QGridLayout, QSizePolicy, QWidget

from clipseg_live.core.protocols import Maps
from clipseg_live.core.rendered_frame import RenderedFrame
from clipseg_live.core.settings.effects import is_private
from clipseg_live.core.settings.live import PromptRow
from clipseg_live.core.status import Message
from clipseg_live.gui.canvas.canvas import Canvas
from clipseg_live.gui.canvas.cover import CanvasCover, fill_background
from clipseg_live.gui.canvas.painting import paint_card
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.widgets import theme

_NAME_WIDTH = 150


@dataclass(frozen=True, slots=True, eq=False)
class ShownMap:
    """A probability map of the sheet.

    Attributes:
        row: the prompt.
        probabilities: float32 (h, w), 0 to 1.
        size: size of the frame in pixels.
    """

    row: PromptRow
    probabilities: Maps
    size: QSize


class MapTile(QAbstractButton):
    """Button that shows a map, dark for 0 and bright for 1. Pressing it shows only this prompt, or all again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._map: ShownMap | None = None
        self._image = QImage()
        self._pointer: QPointF | None = None
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    @property
    def row_id(self) -> int | None:
        """Id of the row of the prompt; None without one."""
        return None if self._map is None else self._map.row.id

    def show_map(self, shown: ShownMap) -> None:
        """Show a map."""
        self._map = shown
        levels = np.ascontiguousarray((shown.probabilities * np.float32(255)).astype(np.uint8))
        height, width = levels.shape
        indexed = QImage(levels.data, width, height, width, QImage.Format.Format_Indexed8)
        indexed.setColorTable(_colours())
        self._image = indexed.convertToFormat(QImage.Format.Format_RGB32)  # copies the pixels
        name = self.name()
        self.setAccessibleName(self.tr("Probability map of {}").format(name))
        self.setToolTip(self.tr("Show only {}").format(name) if not shown.row.solo else self.tr("Show all prompts"))
        self.update()

    def name(self) -> str:
        """Return the text of the prompt."""
        return "" if self._map is None else self._map.row.text.strip() or self.tr("image")

    def probability_at(self, point: QPointF) -> float | None:
        """Return the probability at a point of the tile; None outside the map."""
        target = self._target()
        if self._map is None or not target.contains(point):
            return None
        height, width = self._map.probabilities.shape
        x, y = (point.x() - target.x()) / target.width(), (point.y() - target.y()) / target.height()
        return float(self._map.probabilities[min(int(y * height), height - 1), min(int(x * width), width - 1)])

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Show the probability under the pointer."""
        super().mouseMoveEvent(event)
        self._pointer = event.position()
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Show the highest probability again."""
        self._pointer = None
        self.update()

    def figure(self) -> str:
        """Return the probability under the pointer, or else the highest one, as text."""
        if self._map is None:
            return ""
        at_pointer = None if self._pointer is None else self.probability_at(self._pointer)
        if at_pointer is not None:
            return f"{at_pointer:.2f}"
        return self.tr("max {:.2f}").format(float(self._map.probabilities.max(initial=0)))

    def _target(self) -> QRectF:
        """Return where the map is drawn: fitted to the tile, in the proportions of the frame."""
        if self._map is None:
            return QRectF()
        size = self._map.size.scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        target = QRectF(0, 0, size.width(), size.height())
        target.moveCenter(QRectF(self.rect()).center())
        return target

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the map and its caption."""
        if self._map is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        target = self._target()
        painter.drawImage(target, self._image)
        painter.setFont(theme.figure_font())
        metrics = painter.fontMetrics()
        figure = self.figure()
        room = max(20, min(_NAME_WIDTH, self.width() - 2 * theme.UNIT - 50 - metrics.horizontalAdvance("max 0.00")))
        name = metrics.elidedText(self.name(), Qt.TextElideMode.ElideRight, room)
        width = metrics.horizontalAdvance(name) + metrics.horizontalAdvance("max 0.00") + 50
        height = metrics.height() + 12
        card = QRectF(target.left() + theme.UNIT, target.bottom() - theme.UNIT - height, width, height)
        paint_card(painter, card)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(*self._map.row.style.colour))
        painter.drawEllipse(QPointF(card.left() + 14, card.center().y()), 4, 4)
        painter.setPen(QColor(theme.TEXT))
        painter.drawText(card.adjusted(26, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, name)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(card.adjusted(0, 0, -12, 0), right, figure)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(theme.ACCENT), 2))
            painter.drawRect(target.adjusted(1, 1, -1, -1))
        painter.end()


class MapSheet(CanvasCover):
    """Shows the newest probability map of each prompt on its own tile.

    Maps are those of the model, before tracking, smoothing and edges. Nothing runs the model again. A privacy effect
    closes the sheet, because maps show where hidden things are.

    Attributes:
        message: signal with a Message for the user.
    """

    message = Signal(object)

    def __init__(self, canvas: Canvas, store: Store) -> None:
        super().__init__(canvas)
        self._store = store
        self._is_open = False
        self._frame: RenderedFrame | None = None
        self.setAccessibleName(self.tr("Probability maps"))
        fill_background(self)
        self.tiles: list[MapTile] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(2)
        store.changed.connect(self._follow_settings)

    def is_wanted(self) -> bool:
        """Return whether the sheet is open and there are maps."""
        return self._is_open and any(tile.row_id is not None for tile in self.tiles)

    def toggle(self) -> None:
        """Open or close the sheet."""
        if not self._is_open and is_private(self._store.settings.effects):
            text = self.tr("Maps would show what the privacy effects hide. Remove Pixelate and Black out first.")
            self.message.emit(Message("maps", text, "warning"))
            return
        self._is_open = not self._is_open
        self.show_frame(self._frame)

    def show_frame(self, frame: RenderedFrame | None) -> None:
        """Show the maps of a frame."""
        self._frame = frame
        shown = self._maps() if self._is_open else []
        if len(shown) != len(self.tiles):
            self._make_tiles(len(shown))
        for tile, each in zip(self.tiles, shown, strict=True):
            tile.show_map(each)
        self.update_cover()

    def press_key(self, event: QKeyEvent) -> bool:
        """Close the sheet on Escape."""
        if event.key() != Qt.Key.Key_Escape or self.window().isFullScreen():
            return False
        self.toggle()
        return True

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Arrange the tiles for the new size."""
        super().resizeEvent(event)
        self._arrange()

    def _maps(self) -> list[ShownMap]:
        """Return the maps of the frame in the order of the rows."""
        frame = self._frame
        if frame is None:
            return []
        places = {row_id: place for place, row_id in enumerate(frame.ids)}
        size = QSize(frame.width, frame.height)
        return [
            ShownMap(row, frame.maps[places[row.id]], size) for row in self._store.settings.rows if row.id in places
        ]

    def _make_tiles(self, count: int) -> None:
        for tile in self.tiles:
            self._grid.removeWidget(tile)
            tile.hide()
            tile.deleteLater()
        self.tiles = [MapTile(self) for _ in range(count)]
        for tile in self.tiles:
            tile.clicked.connect(lambda _checked=False, tile=tile: self._toggle_solo(tile))
            tile.show()
        self._arrange()

    def _arrange(self) -> None:
        """Choose the number of columns that gives the largest maps."""
        count, frame = len(self.tiles), self._frame
        if not count or frame is None:
            return

        def scale(columns: int) -> float:
            rows = math.ceil(count / columns)
            return min(self.width() / columns / frame.width, self.height() / rows / frame.height)

        columns = max(range(1, count + 1), key=scale)
        for place in range(count):
            self._grid.setRowStretch(place, 1 if place < math.ceil(count / columns) else 0)
            self._grid.setColumnStretch(place, 1 if place < columns else 0)
        for place, tile in enumerate(self.tiles):
            self._grid.addWidget(tile, place // columns, place % columns)

    def _toggle_solo(self, tile: MapTile) -> None:
        row = next((row for row in self._store.settings.rows if row.id == tile.row_id), None)
        if row is not None:
            self._store.edit_row(row.model_copy(update={"solo": not row.solo}))

    def _follow_settings(self) -> None:
        if self._is_open:
            self._is_open = not is_private(self._store.settings.effects)
            self.show_frame(self._frame)


@cache
def _colours() -> list[int]:
    """Return the colours of the heat map effect as Qt's 0xffRRGGBB, for 256 probabilities."""
    from clipseg_live.rendering.inspection import heat_colours  # imports OpenCV, which the session has loaded by now

    return [0xFF000000 | red << 16 | green << 8 | blue for red, green, blue in heat_colours().tolist()]
