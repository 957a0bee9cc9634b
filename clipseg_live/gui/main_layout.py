"""Layout of the main window: canvas, bars and panels."""

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSplitter, QTabWidget, QToolButton, QVBoxLayout, QWidget

from clipseg_live.core.protocols import LiveSession
from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.gui.canvas.canvas import Canvas
from clipseg_live.gui.canvas.toasts import Toasts
from clipseg_live.gui.compare.map_sheet import MapSheet
from clipseg_live.gui.compare.view import CompareView
from clipseg_live.gui.files.model import FileModel
from clipseg_live.gui.files.panel import FilePanel
from clipseg_live.gui.output.recording_bar import RecordingBar
from clipseg_live.gui.output.virtual_camera_bar import VirtualCameraBar
from clipseg_live.gui.source.menu import FramingMenu, SourceMenu
from clipseg_live.gui.source.playback_bar import PlaybackBar
from clipseg_live.gui.state.models import Models
from clipseg_live.gui.state.services import Services
from clipseg_live.gui.state.session_files import SessionFiles
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.status.help_line import HelpLine
from clipseg_live.gui.status.stats_panel import StatsPanel
from clipseg_live.gui.status.status_bar import StatusLine
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.controls import line, tool_button

PANEL_WIDTH = 352

MakePanels = Callable[[Store, Models], tuple[Any, QWidget]]
"""Creates the prompt panel (the part of ``PromptPanel`` that the window calls) and the settings panel."""


class WindowBody(QWidget):
    """Creates the widgets of the main window and lays them out. The main window connects them."""

    def __init__(
        self,
        session: LiveSession,
        store: Store,
        models: Models,
        services: Services,
        panels: MakePanels,
        recent: Callable[[], Sequence[SourceSpec]],
        files: SessionFiles,
    ) -> None:
        super().__init__()
        self.canvas = Canvas()
        self.compare_view = CompareView(self.canvas, store)
        self.map_sheet = MapSheet(self.canvas, store)
        self.toasts = Toasts()
        self.playback_bar = PlaybackBar(session)
        self.file_model = FileModel(self)
        self.file_panel = FilePanel(self.file_model)
        self.stats_panel = StatsPanel()
        self.stats_panel.hide()
        self.status_line = StatusLine()
        self.source_menu = SourceMenu(services, recent, self)
        self.framing_menu = FramingMenu(store, self)
        self.recording_bar = RecordingBar(
            session, self.canvas, services, lambda: store.settings, lambda: files.folder, lambda: files.recording, self
        )
        self.camera_bar = VirtualCameraBar(session, services, lambda: files.camera, self)
        self.export_button = tool_button("save", self.tr("Export files"))
        self.panel_button = tool_button("panel", self.tr("Show or hide side panel"))
        self.menu_button = tool_button("menu", self.tr("Menu"))
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.prompts, self.settings_panel = panels(store, models)
        self.tabs = self._tabs()
        self.help_line = HelpLine()
        self.panel = self._panel()
        self.splitter = self._splitter()
        self._bars = [self._top_bar(), line(), line(), self.status_line]
        column = _column(self)
        for widget in (*self._bars[:2], self.splitter, self._bars[2], self.stats_panel, self.status_line):
            column.addWidget(widget, 1 if widget is self.splitter else 0)
        self._panel_visible = True

    def show_export(self, progress: str) -> None:
        """Show the progress of the running export beside the icon of its button, "" for none."""
        with_text, icon_only = Qt.ToolButtonStyle.ToolButtonTextBesideIcon, Qt.ToolButtonStyle.ToolButtonIconOnly
        self.export_button.setText(progress)
        self.export_button.setToolButtonStyle(with_text if progress else icon_only)

    def show_tab(self, tab: int) -> None:
        """Show a panel (0: prompts, 1: settings) and focus it."""
        self._panel_visible = True
        self.panel.show()
        self.tabs.setCurrentIndex(tab)
        if tab == 0:
            self.prompts.focus_first_row()
        else:
            self.tabs.tabBar().setFocus()

    def toggle_panel(self) -> None:
        """Show or hide the panel."""
        self._panel_visible = not self._panel_visible
        self.panel.setVisible(self._panel_visible)

    def show_canvas_only(self, canvas_only: bool) -> None:
        """Show only the canvas (True), or restore the other widgets (False)."""
        for widget in self._bars:
            widget.setVisible(not canvas_only)
        self.stats_panel.setVisible(not canvas_only and self.status_line.details_button.isChecked())
        self.panel.setVisible(not canvas_only and self._panel_visible)

    def _tabs(self) -> QTabWidget:
        tabs = QTabWidget()
        tabs.setAccessibleName(self.tr("Prompts and settings"))
        tabs.setDocumentMode(True)
        tabs.tabBar().setDrawBase(False)
        tabs.addTab(self.prompts, self.tr("Prompts"))
        tabs.addTab(self.settings_panel, self.tr("Settings"))
        return tabs

    def _panel(self) -> QWidget:
        panel = QWidget()
        panel.setMinimumWidth(PANEL_WIDTH - 4 * theme.UNIT)
        column = _column(panel)
        column.addWidget(self.tabs, 1)
        column.addWidget(line())
        column.addWidget(self.help_line)
        return panel

    def _splitter(self) -> QSplitter:
        left = QWidget()
        row = QHBoxLayout(left)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.file_panel)
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addWidget(self.canvas, 1)
        column.addWidget(self.toasts)
        column.addWidget(self.playback_bar)
        row.addLayout(column, 1)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setHandleWidth(1)
        for number, widget in enumerate((left, self.panel)):
            splitter.addWidget(widget)
            splitter.setCollapsible(number, False)
            splitter.setStretchFactor(number, 1 - number)
        splitter.setSizes([10_000, PANEL_WIDTH])
        return splitter

    def _top_bar(self) -> QFrame:
        bar = QFrame()
        theme.set_kind(bar, "bar")
        row = QHBoxLayout(bar)
        row.setContentsMargins(*[theme.UNIT] * 4)
        row.setSpacing(theme.UNIT // 2)
        row.addWidget(self.source_menu)
        row.addWidget(self.framing_menu)
        row.addStretch(1)
        row.addWidget(self.camera_bar)
        row.addWidget(self.recording_bar)
        row.addWidget(self.export_button)
        row.addWidget(self.panel_button)
        row.addWidget(self.menu_button)
        return bar


def _column(widget: QWidget) -> QVBoxLayout:
    column = QVBoxLayout(widget)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    return column
