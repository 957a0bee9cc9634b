"""Panel with the list of files: thumbnails, names, problems, and the number of the file that is shown."""

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPixmap
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from clipseg_live.gui.files.model import NOTE_ROLE, PROBLEM_ROLE, FileModel, ModelIndex
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.controls import tool_button

FILE_PANEL_WIDTH, COMPACT_WIDTH = 216, 112
"""Widths in pixels, with names and with thumbnails alone."""
ROW_HEIGHT = 64
_PICTURE = QSize(72, 48)


class FilePanel(QFrame):
    """The list of files. It shows the choices of the controller and requests others.

    Attributes:
        chosen: signal with the row that the user chose.
        step_requested: signal with the number of rows to go forward, negative for back.
    """

    chosen = Signal(int)
    step_requested = Signal(int)

    def __init__(self, model: FileModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.set_kind(self, "bar")
        self.setFixedWidth(FILE_PANEL_WIDTH)
        self._model = model
        self.position = QLabel()
        theme.set_kind(self.position, "figure")
        self.position.setFont(theme.figure_font())
        self.position.setAccessibleName(self.tr("File number"))
        self.previous_button = tool_button("up", self.tr("Previous file"))
        self.next_button = tool_button("down", self.tr("Next file"))
        self.previous_button.clicked.connect(lambda: self.step_requested.emit(-1))
        self.next_button.clicked.connect(lambda: self.step_requested.emit(1))
        self.view = _View()
        self.view.setModel(model)
        self.view.setItemDelegate(_Delegate(self.view))
        self.view.setUniformItemSizes(True)
        self.view.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
        self.view.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setAccessibleName(self.tr("Files"))
        self.view.setStyleSheet("QListView { border: none; background: transparent; }")
        self.view.chosen.connect(self.chosen)
        model.all_changed.connect(self.view.viewport().update)
        model.row_changed.connect(lambda row: self.view.update(model.index(row)))
        header = QHBoxLayout()
        header.setContentsMargins(2 * theme.UNIT, theme.UNIT // 2, theme.UNIT // 2, theme.UNIT // 2)
        header.setSpacing(theme.UNIT // 2)
        header.addWidget(self.position, 1)
        header.addWidget(self.previous_button)
        header.addWidget(self.next_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(header)
        column.addWidget(self.view, 1)

    def set_compact(self, compact: bool) -> None:
        """Show only thumbnails, for narrow windows. Names are in the tool tips."""
        self.setFixedWidth(COMPACT_WIDTH if compact else FILE_PANEL_WIDTH)
        self.previous_button.setVisible(not compact)
        self.next_button.setVisible(not compact)

    def show_row(self, row: int) -> None:
        """Mark a row as the file that is shown."""
        count = self._model.rowCount()
        self.position.setText(self.tr("{0} of {1}").format(row + 1, count))
        self.previous_button.setEnabled(row > 0)
        self.next_button.setEnabled(row < count - 1)
        if row != self.view.currentIndex().row():
            self.view.show_row(row)


class _View(QListView):
    """List view that tells choices of the user from rows that the program shows."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._is_shown_by_program = False

    def show_row(self, row: int) -> None:
        """Select a row and scroll to it."""
        self._is_shown_by_program = True
        try:
            self.setCurrentIndex(self.model().index(row, 0))
        finally:
            self._is_shown_by_program = False

    def currentChanged(self, current: ModelIndex, previous: ModelIndex) -> None:
        """Report the choice of the user."""
        super().currentChanged(current, previous)
        if not self._is_shown_by_program and current.isValid() and previous.isValid():
            self.chosen.emit(current.row())


class _Delegate(QStyledItemDelegate):
    """Paints one file: thumbnail, name, and its problem or note."""

    def sizeHint(self, option: QStyleOptionViewItem, index: ModelIndex) -> QSize:
        """Return the size of every row."""
        return QSize(_PICTURE.width(), ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: ModelIndex) -> None:
        """Paint a row."""
        rect: QRect = option.rect
        state: QStyle.StateFlag = option.state
        selected = bool(state & QStyle.StateFlag.State_Selected)
        painter.save()
        if selected:
            painter.fillRect(rect, theme.qcolour(theme.ACCENT_SOFT))
            painter.fillRect(QRect(rect.left(), rect.top(), 3, rect.height()), theme.qcolour(theme.ACCENT))
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, theme.qcolour(theme.HOVER))
        top = rect.top() + (rect.height() - _PICTURE.height()) // 2
        frame = QRect(rect.left() + 2 * theme.UNIT, top, _PICTURE.width(), _PICTURE.height())
        self._paint_picture(painter, frame, index)
        if rect.width() > COMPACT_WIDTH:
            left = frame.right() - rect.left() + theme.UNIT
            self._paint_texts(painter, rect.adjusted(left, 0, -theme.UNIT, 0), index)
        painter.restore()

    def _paint_picture(self, painter: QPainter, frame: QRect, index: ModelIndex) -> None:
        painter.fillRect(frame, theme.qcolour(theme.BACKGROUND_COLOUR))
        picture = index.data(Qt.ItemDataRole.DecorationRole)
        if isinstance(picture, QPixmap):
            size = picture.size().scaled(frame.size(), Qt.AspectRatioMode.KeepAspectRatio)
            corner = frame.center() - QRect(0, 0, size.width(), size.height()).center()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawPixmap(QRect(corner, size), picture)
            return
        name, colour = ("warning", theme.WARNING) if index.data(PROBLEM_ROLE) else ("image", theme.FAINT)
        area = QRect(0, 0, theme.ICON, theme.ICON)
        area.moveCenter(frame.center())
        theme.icon(name, colour).paint(painter, area)

    def _paint_texts(self, painter: QPainter, area: QRect, index: ModelIndex) -> None:
        problem, note = str(index.data(PROBLEM_ROLE) or ""), str(index.data(NOTE_ROLE) or "")
        second = _without_name(problem, index.data()) or note
        painter.setFont(theme.text_font())
        painter.setPen(theme.qcolour(theme.TEXT))
        metrics = painter.fontMetrics()
        name = metrics.elidedText(index.data(), Qt.TextElideMode.ElideMiddle, area.width())
        line = metrics.height()
        first_top = area.center().y() - (line if second else line // 2)
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextSingleLine
        painter.drawText(QRect(area.left(), first_top, area.width(), line), flags, name)
        if second:
            painter.setFont(theme.figure_font())
            painter.setPen(theme.qcolour(theme.WARNING if problem else theme.MUTED))
            text = painter.fontMetrics().elidedText(second, Qt.TextElideMode.ElideRight, area.width())
            painter.drawText(QRect(area.left(), first_top + line, area.width(), line), flags, text)


def _without_name(problem: str, name: str) -> str:
    """Return a sentence without the name of its file at the beginning."""
    rest = problem.removeprefix(f"{name} ")
    return rest[:1].upper() + rest[1:]
