"""Split view of the variants of a comparison, over the canvas."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from clipseg_live.core.analysis.comparison import BOTH, ONLY_FIRST, ONLY_OTHER, VariantView
from clipseg_live.core.settings.live import MOST_COMPARED, ComparisonView
from clipseg_live.gui.canvas.canvas import Canvas
from clipseg_live.gui.canvas.cover import CanvasCover, fill_background
from clipseg_live.gui.compare import edits
from clipseg_live.gui.compare.tile import VariantTile
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import IconButton, SegmentedControl, panel_style_sheet, to_hex

_VIEWS = tuple(ComparisonView)


class CompareView(CanvasCover):
    """Shows two to four variants of the settings on the running video, each with its figures.

    It covers the canvas while there is a comparison. The panels edit the active variant. Keys of the canvas: 1 to 4
    choose the active variant, N adds one, Delete removes the active one, D changes the view, K keeps the active one.

    Args:
        canvas: the canvas, which keeps the focus.
        store: the settings.
    """

    def __init__(self, canvas: Canvas, store: Store) -> None:
        super().__init__(canvas)
        self._store = store
        self.setAccessibleName(self.tr("Comparison"))
        self.setStyleSheet(panel_style_sheet())
        self._make_bar()
        self._tiles_area = QWidget(self)
        fill_background(self._tiles_area)
        self._grid = QGridLayout(self._tiles_area)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(2)
        self.tiles = [VariantTile(letter, self._tiles_area) for letter in edits.LETTERS]
        for number, tile in enumerate(self.tiles):
            tile.clicked.connect(lambda _checked=False, number=number: self._select(number))
            tile.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.bar)
        column.addWidget(self._tiles_area, 1)
        column.addStretch(0)
        store.changed.connect(self._show_settings)
        self._show_settings()

    def _make_bar(self) -> None:
        self.bar = QFrame(self)
        theme.set_kind(self.bar, "bar")
        views = [
            (ComparisonView.RESULT, self.tr("Result")),
            (ComparisonView.MAPS, self.tr("Maps")),
            (ComparisonView.DIFFERENCE, self.tr("Difference")),
        ]
        self.views = SegmentedControl(self.tr("View"), views, self.bar)
        self.views.button(ComparisonView.DIFFERENCE).setToolTip(
            self.tr("Orange: only A has a mask. Blue: only this variant has one. White: both have one.")
        )
        self.views.picked.connect(lambda view: self._store.edit(edits.with_view(self._store.settings, view)))
        self.hint = QLabel(self.bar)
        theme.set_kind(self.hint, "problem")
        self.hint.setText(self.tr("A privacy effect is on: variants are not shown."))
        self.legend = QLabel(self.bar)
        theme.set_kind(self.legend, "muted")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setText(
            "&nbsp;&nbsp; ".join(
                f'<span style="color: {to_hex(colour)}">●</span> {text}'
                for colour, text in (
                    (ONLY_FIRST, self.tr("only A")), (ONLY_OTHER, self.tr("only this")), (BOTH, self.tr("both")),
                )
            )
        )  # fmt: skip
        self.legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.legend.setContentsMargins(theme.UNIT, 0, 0, 0)
        self.add_button = IconButton("plus", self.tr("Add a copy of the active variant (N)"), parent=self.bar)
        self.add_button.clicked.connect(self.add)
        self.delete_button = IconButton("delete", self.tr("Remove the active variant (Delete)"), parent=self.bar)
        self.delete_button.clicked.connect(self.remove)
        self.keep_button = QPushButton(self.tr("Keep"), self.bar)
        theme.set_kind(self.keep_button, "primary")
        self.keep_button.setToolTip(self.tr("Keep the active variant and end the comparison (K)"))
        self.keep_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.keep_button.clicked.connect(self.keep)
        row = QHBoxLayout(self.bar)
        row.setContentsMargins(theme.UNIT, theme.UNIT // 2, theme.UNIT, theme.UNIT // 2)
        row.setSpacing(theme.UNIT // 2)
        row.addWidget(self.views)
        row.addWidget(self.hint)
        row.addWidget(self.legend, 4)
        row.addStretch(1)
        for widget in (self.add_button, self.delete_button, self.keep_button):
            row.addWidget(widget)

    def toggle(self) -> None:
        """Begin a comparison, or keep the active variant and end it."""
        self.keep() if self._store.settings.comparison is not None else self.add()
        self.canvas.setFocus()

    def add(self) -> None:
        """Add a copy of the active variant, which becomes the active one."""
        self._store.edit(edits.with_variant(self._store.settings))

    def remove(self) -> None:
        """Remove the active variant."""
        self._store.edit(edits.without_active(self._store.settings))

    def keep(self) -> None:
        """Keep the active variant and end the comparison."""
        self._store.edit(edits.with_kept(self._store.settings))

    def show_views(self, views: Sequence[VariantView]) -> None:
        """Show the newest views of the variants."""
        self.update_cover()
        comparison = self._store.settings.comparison
        if not self.isVisible() or comparison is None:
            return
        for number, tile in enumerate(self.tiles[: edits.variant_count(self._store.settings)]):
            tile.show_view(views[number] if number < len(views) else None)

    def _select(self, number: int) -> None:
        self._store.edit(edits.with_active(self._store.settings, number))
        self._show_settings()  # the pressed tile may already be the active one

    def _show_settings(self) -> None:
        settings = self._store.settings
        comparison = settings.comparison
        self.update_cover()
        if comparison is None:
            for tile in self.tiles:
                tile.show_view(None)
            return
        count, shown = edits.variant_count(settings), bool(settings.compared())
        for number, tile in enumerate(self.tiles):
            tile.setVisible(number < count)
            tile.setChecked(number == comparison.active)
            self._grid.addWidget(tile, number // 2, number % 2, 1, 2 if count == 3 and number == 2 else 1)
        self._grid.setRowStretch(0, 1)
        self._grid.setRowStretch(1, 1 if count > 2 else 0)
        self._tiles_area.setVisible(shown)
        self.hint.setVisible(not shown)
        self.views.setVisible(shown)
        self.views.show_value(comparison.view)
        self._show_legend()
        self.add_button.setEnabled(count < MOST_COMPARED)
        self.keep_button.setText(self.tr("Keep {}").format(edits.LETTERS[comparison.active]))
        self.update_cover()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Hide the legend where it does not fit."""
        super().resizeEvent(event)
        self._show_legend()

    def _show_legend(self) -> None:
        settings = self._store.settings
        comparison = settings.comparison
        is_needed = comparison is not None and comparison.view is ComparisonView.DIFFERENCE
        controls = (self.views, self.add_button, self.delete_button, self.keep_button)
        room = self.canvas.width() - sum(each.sizeHint().width() + theme.UNIT for each in controls)
        self.legend.setVisible(is_needed and bool(settings.compared()) and room > self.legend.sizeHint().width())

    def is_wanted(self) -> bool:
        """Return whether there is a comparison."""
        return self._store.settings.comparison is not None

    def covered_height(self) -> int:
        """Return the height of the canvas, or of the bar if the variants must not be shown."""
        return self.canvas.height() if self._store.settings.compared() else self.bar.sizeHint().height()

    def press_key(self, event: QKeyEvent) -> bool:
        """Handle a key, and return whether it was used."""
        comparison = self._store.settings.comparison
        key = event.key()
        if comparison is None:
            return False
        if Qt.Key.Key_1 <= key < Qt.Key.Key_1 + len(self.tiles):
            self._select(key - Qt.Key.Key_1)
        elif key == Qt.Key.Key_N:
            self.add()
        elif key == Qt.Key.Key_Delete:
            self.remove()
        elif key == Qt.Key.Key_D:
            following = _VIEWS[(_VIEWS.index(comparison.view) + 1) % len(_VIEWS)]
            self._store.edit(edits.with_view(self._store.settings, following))
        elif key == Qt.Key.Key_K:
            self.keep()
        else:
            return False
        return True
