"""Helpers for tests of panels: a panel with rows, and mouse actions."""

import numpy as np
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QAction, QDragEnterEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QWidget
from shiboken6 import isValid

from clipseg_live.core.settings.live import LiveSettings, PromptImage
from clipseg_live.gui.prompts.panel import PromptPanel
from clipseg_live.gui.prompts.row import PromptRowWidget
from clipseg_live.gui.state.prompt_history import PromptHistory
from clipseg_live.gui.state.settings_store import Store

LEFT = Qt.MouseButton.LeftButton


def settings_with(*texts: str) -> LiveSettings:
    settings = LiveSettings()
    for text in texts:
        settings = settings.model_copy(update={"rows": (*settings.rows, settings.new_row(text))})
    return settings


def make_panel(qtbot, *texts: str, history: PromptHistory | None = None, size=(340, 560)) -> PromptPanel:
    """Return a visible panel in an active window. ``panel.store`` is its Store."""
    store = Store(settings_with(*texts))
    panel = PromptPanel(store, history or PromptHistory(None))
    panel.store = store
    show(qtbot, panel, size)
    return panel


def show(qtbot, widget: QWidget, size=(340, 560)) -> None:
    qtbot.addWidget(widget)
    widget.resize(*size)
    widget.show()
    qtbot.waitExposed(widget)
    widget.activateWindow()
    qtbot.waitUntil(widget.isActiveWindow)
    # away from all rows; an earlier test may have left it anywhere
    QTest.mouseMove(widget, QPoint(5, widget.height() - 5))


def card(panel: PromptPanel, index: int) -> PromptRowWidget:
    return panel.list.rows[index]


def texts(panel: PromptPanel) -> list[str]:
    return [row.text for row in panel.store.settings.rows]


def click(qtbot, widget: QWidget) -> None:
    qtbot.mouseClick(widget, LEFT)


def drag(widget: QWidget, start: QPoint, *ends: QPoint, release: bool = True) -> None:
    """Press at ``start``, move through ``ends``, and release at the last one, in pixels of the widget."""
    QTest.mousePress(widget, LEFT, Qt.KeyboardModifier.NoModifier, start)
    for end in ends:
        QTest.mouseMove(widget, end)
    if release:
        QTest.mouseRelease(widget, LEFT, Qt.KeyboardModifier.NoModifier, ends[-1])


def drag_row(panel: PromptPanel, index: int, y: int, release: bool = True) -> None:
    """Drag a row by its grip to a height in the list's content."""
    grip = card(panel, index).drag_handle
    start = grip.rect().center()
    target = grip.mapFromGlobal(panel.list.widget().mapToGlobal(QPointF(20, y))).toPoint()
    drag(grip, start, start + QPoint(0, 20), target, release=release)


def item(menu: QMenu, text: str) -> QAction:
    """Return the action of a menu whose text starts with ``text``."""
    return next(action for action in menu.actions() if action.text().startswith(text))


def open_menu(qtbot) -> QMenu:
    """Return the visible menu."""
    qtbot.waitUntil(lambda: isinstance(QApplication.activePopupWidget(), QMenu))
    return QApplication.activePopupWidget()


def choose(qtbot, text: str) -> None:
    """Choose an action of the visible menu with the mouse."""
    menu = open_menu(qtbot)
    QTest.mouseClick(menu, LEFT, Qt.KeyboardModifier.NoModifier, menu.actionGeometry(item(menu, text)).center())


def top_level(qtbot, kind: type) -> QWidget:
    """Return the visible window of this class."""

    def result() -> list[QWidget]:
        return [entry for entry in QApplication.topLevelWidgets() if isinstance(entry, kind) and entry.isVisible()]

    qtbot.waitUntil(lambda: bool(result()))
    return result()[0]


def drag_enter(index: QPoint, content: QMimeData) -> QDragEnterEvent:
    """Return the event of a drag into a widget."""
    rest = (Qt.DropAction.CopyAction, content, LEFT, Qt.KeyboardModifier.NoModifier)
    try:
        return QDragEnterEvent(QPointF(index), *rest)
    except TypeError:  # Qt before 6.12
        return QDragEnterEvent(index, *rest)


def wait_closed(qtbot, widget: QWidget) -> None:
    """Wait until a window is closed and deleted."""
    qtbot.waitUntil(lambda: not isValid(widget))


def sample_image(colour=(200, 30, 60), width=8, height=6) -> PromptImage:
    return PromptImage.of(np.full((height, width, 3), colour, np.uint8))
