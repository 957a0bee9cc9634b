"""One variant of a comparison: its image and its figures."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from clipseg_live.core.analysis.comparison import VariantView
from clipseg_live.gui.canvas.painting import paint_card, rgb_image
from clipseg_live.gui.widgets import theme

_MOST_LINES = 5
"""Maximum number of prompts whose figures are shown."""
_NAME_WIDTH = 130
_FIGURES_SHARE = 0.35
"""Largest share of the height of a tile that the figures cover."""


class VariantTile(QAbstractButton):
    """Button that shows a variant. Pressing it makes the variant active.

    Args:
        letter: name of the variant.
        parent: parent widget.
    """

    def __init__(self, letter: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._letter = letter
        self._view: VariantView | None = None
        self._image: QImage | None = None
        self.setCheckable(True)
        self.setAutoExclusive(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(self.tr("Variant {}").format(letter))
        self._hint = self.tr("Edit variant {0} (key {1})").format(letter, "ABCD".index(letter) + 1)
        self.setToolTip(self._hint)

    def show_view(self, view: VariantView | None) -> None:
        """Show a view; None for none."""
        self._view = view
        if view is None:
            self._image = None
        else:
            width = max(1, round(self.width() * self.devicePixelRatioF()))
            step = max(1, view.image.shape[1] // width)  # converting pixels that are not shown takes time
            self._image = rgb_image(view.image[::step, ::step])
        lines = self.lines()
        self.setAccessibleDescription("; ".join(lines))
        self.setToolTip("\n".join([self._hint, *lines]))
        self.update()

    def lines(self) -> list[str]:
        """Return the figures as text."""
        if self._view is None:
            return []
        lines = [
            self.tr("{0}: area {1:.1f} %, presence {2:.2f}").format(each.name, 100 * each.area, each.presence)
            for each in self._view.prompts
        ]
        if self._view.iou is not None:
            lines.append(self.tr("IoU to A {:.2f}").format(self._view.iou))
        return lines

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the image, the letter, the figures and the mark of the active variant."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.BACKGROUND_COLOUR))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        bounds = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        if self._image is not None:
            size = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
            target = QRectF(0, 0, size.width(), size.height())
            target.moveCenter(bounds.center())
            painter.drawImage(target, self._image)
        else:
            painter.setPen(QColor(theme.MUTED))
            painter.setFont(theme.text_font())
            painter.drawText(bounds, Qt.AlignmentFlag.AlignCenter, self.tr("No masks yet"))
        self._paint_letter(painter, bounds)
        if self._view is not None:
            self._paint_figures(painter, bounds, self._view)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        active, focused = self.isChecked(), self.hasFocus()
        colour = theme.ACCENT if active else theme.TEXT if focused else theme.LINE_COLOUR
        painter.setPen(QPen(QColor(colour), 3 if active or focused else 1))
        painter.drawRect(bounds)
        painter.end()

    def _paint_letter(self, painter: QPainter, bounds: QRectF) -> None:
        font = theme.text_font()
        font.setBold(True)
        painter.setFont(font)
        card = QRectF(bounds.left() + theme.UNIT, bounds.top() + theme.UNIT, 26, 26)
        paint_card(painter, card, theme.RADIUS)
        if self.isChecked():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.ACCENT))
            painter.drawRoundedRect(card, theme.RADIUS, theme.RADIUS)
        painter.setPen(QColor(theme.ON_ACCENT if self.isChecked() else theme.TEXT))
        painter.drawText(card, Qt.AlignmentFlag.AlignCenter, self._letter)

    def _paint_figures(self, painter: QPainter, bounds: QRectF, view: VariantView) -> None:
        painter.setFont(theme.figure_font())
        metrics = painter.fontMetrics()
        rows = [
            (
                QColor(*each.colour),
                metrics.elidedText(each.name, Qt.TextElideMode.ElideRight, _NAME_WIDTH),
                f"{100 * each.area:.1f} %   {each.presence:.2f}",
            )
            for each in view.prompts[:_MOST_LINES]
        ]
        hidden = len(view.prompts) - len(rows)
        if hidden > 0:
            rows.append((QColor(0, 0, 0, 0), self.tr("{} more").format(hidden), ""))
        line = metrics.height() + 4
        room = max(1, int(bounds.height() * _FIGURES_SHARE / line))
        if view.iou is not None:
            rows = [*rows[: room - 1], (QColor(0, 0, 0, 0), self.tr("IoU to A"), f"{view.iou:.2f}")]
        rows = rows[:room]  # all are in the tool tip
        if not rows:
            return
        names = max(metrics.horizontalAdvance(name) for _, name, _ in rows)
        values = max(metrics.horizontalAdvance(value) for _, _, value in rows)
        width, height = names + values + (52 if values else 40), line * len(rows) + 12
        card = QRectF(bounds.left() + theme.UNIT, bounds.bottom() - theme.UNIT - height, width, height)
        paint_card(painter, card)
        for number, (colour, name, value) in enumerate(rows):
            top = card.top() + 6 + number * line
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawEllipse(QPointF(card.left() + 14, top + line / 2), 4, 4)
            painter.setPen(QColor(theme.TEXT))
            painter.drawText(QRectF(card.left() + 26, top, names + 2, line), Qt.AlignmentFlag.AlignVCenter, name)
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(card.left(), top, width - 12, line), right, value)
