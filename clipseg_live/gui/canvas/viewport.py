"""Position of the frame on the canvas: fitted, zoomed and panned."""

from PySide6.QtCore import QObject, QPointF, QRectF, QSize, Signal
from PySide6.QtWidgets import QWidget

MOST_ZOOM = 16.0
_CENTRE = QPointF(0.5, 0.5)


class Viewport(QObject):
    """Converts between pixels of the canvas and shares (0 to 1) of the frame.

    Args:
        canvas: the widget that shows the frame.

    Attributes:
        changed: signal, the frame has moved or was zoomed.
    """

    changed = Signal()

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._frame_size: QSize | None = None
        self._zoom = 1.0
        self._centre = _CENTRE

    @property
    def zoom(self) -> float:
        """The zoom factor, 1 to ``MOST_ZOOM``; 1 fits the frame."""
        return self._zoom

    @property
    def centre(self) -> QPointF:
        """The point of the frame in the centre of the canvas, in shares of the frame."""
        return QPointF(self._centre)

    @property
    def has_frame(self) -> bool:
        """Return True if the canvas shows a frame."""
        return self._frame_size is not None

    def show_size(self, size: QSize | None) -> None:
        """Use a new frame size; None without a frame. A frame of another size is fitted."""
        if size is not None and self._frame_size is not None and size != self._frame_size:
            self.reset()
        self._frame_size = size

    def reset(self) -> None:
        """Fit the whole frame."""
        self._zoom = 1.0
        self._centre = _CENTRE
        self.changed.emit()

    def zoom_by(self, factor: float, anchor: QPointF | None = None) -> None:
        """Zoom around a point of the canvas that does not move, by default the centre."""
        if self._frame_size is None:
            return
        point = anchor or QPointF(self._canvas.width() / 2, self._canvas.height() / 2)
        share = self.to_share(point)
        self._zoom = min(max(self._zoom * factor, 1.0), MOST_ZOOM)
        self._centre = self._centre + share - self.to_share(point)
        self.keep_inside()

    def move_by(self, x: float, y: float, start: QPointF | None = None) -> None:
        """Move the frame by pixels of the canvas.

        Args:
            x: distance to the right.
            y: distance downwards.
            start: ``centre`` to move from; None for the current one.
        """
        area = self.frame_rect()
        self._centre = (start or self._centre) - QPointF(x / max(area.width(), 1.0), y / max(area.height(), 1.0))
        self.keep_inside()

    def keep_inside(self) -> None:
        """Move the frame so that it fills as much of the canvas as it can."""
        area = self.frame_rect()
        reach_x = min(0.5, self._canvas.width() / 2 / max(area.width(), 1.0))
        reach_y = min(0.5, self._canvas.height() / 2 / max(area.height(), 1.0))
        x = min(max(self._centre.x(), reach_x), 1 - reach_x)
        y = min(max(self._centre.y(), reach_y), 1 - reach_y)
        self._centre = QPointF(x, y)
        self.changed.emit()

    def frame_rect(self) -> QRectF:
        """Return the rectangle of the whole frame in pixels of the canvas, larger than the canvas when zoomed."""
        if self._frame_size is None:
            return QRectF(self._canvas.rect())
        canvas_width, canvas_height = self._canvas.width(), self._canvas.height()
        frame_width, frame_height = self._frame_size.width(), self._frame_size.height()
        scale = min(canvas_width / frame_width, canvas_height / frame_height) * self._zoom
        width, height = frame_width * scale, frame_height * scale
        left = canvas_width / 2 - self._centre.x() * width
        top = canvas_height / 2 - self._centre.y() * height
        return QRectF(left, top, width, height)

    def to_share(self, point: QPointF) -> QPointF:
        """Convert a point of the canvas to shares of the frame, 0 to 1 inside it."""
        area = self.frame_rect()
        return QPointF(
            (point.x() - area.x()) / max(area.width(), 1.0), (point.y() - area.y()) / max(area.height(), 1.0)
        )

    def to_share_inside(self, point: QPointF) -> QPointF:
        """Convert a point of the canvas to the nearest shares of the frame, 0 to 1."""
        share = self.to_share(point)
        return QPointF(min(max(share.x(), 0.0), 1.0), min(max(share.y(), 0.0), 1.0))

    def to_canvas(self, box: QRectF) -> QRectF:
        """Convert a box in shares of the frame to pixels of the canvas."""
        area = self.frame_rect()
        return QRectF(
            area.x() + box.x() * area.width(),
            area.y() + box.y() * area.height(),
            box.width() * area.width(),
            box.height() * area.height(),
        )
