"""Table of all actions and their shortcuts, which the window and its help use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from clipseg_live.gui.widgets import theme

_CONTEXT = "Shortcuts"
_LEFT_GROUPS = 3


def QT_TRANSLATE_NOOP(context: str, text: str) -> str:
    """Mark a text for Qt's translation tools, which look for this name."""
    return text


@dataclass(frozen=True, slots=True)
class Shortcut:
    """One action of the window.

    Attributes:
        name: key of the handler.
        keys: shortcuts, as QKeySequence reads them.
        text: description shown to the user.
        group: heading in the help.
        icon: name of an icon, "" for none.
        on_picture: active only while the canvas has the focus, because the key has another meaning elsewhere.
    """

    name: str
    keys: tuple[str, ...]
    text: str
    group: str
    icon: str = ""
    on_picture: bool = False


_SOURCE = QT_TRANSLATE_NOOP("Shortcuts", "Source")
_PROMPTS = QT_TRANSLATE_NOOP("Shortcuts", "Prompts and sessions")
_PLAY = QT_TRANSLATE_NOOP("Shortcuts", "Playback")
_OUTPUT = QT_TRANSLATE_NOOP("Shortcuts", "Record and export")
_VIEW = QT_TRANSLATE_NOOP("Shortcuts", "View")

TABLE: tuple[Shortcut, ...] = (
    Shortcut("source", ("Alt+S",), QT_TRANSLATE_NOOP("Shortcuts", "Choose source"), _SOURCE, "video"),
    Shortcut("open_file", ("Ctrl+O",), QT_TRANSLATE_NOOP("Shortcuts", "Open file"), _SOURCE, "file"),
    Shortcut("open_address", ("Ctrl+L",), QT_TRANSLATE_NOOP("Shortcuts", "Open address"), _SOURCE, "link"),
    Shortcut("demo", ("Ctrl+D",), QT_TRANSLATE_NOOP("Shortcuts", "Show demo scene"), _SOURCE, "demo"),
    Shortcut("previous_file", ("PgUp",), QT_TRANSLATE_NOOP("Shortcuts", "Previous file"), _SOURCE, "", True),
    Shortcut("next_file", ("PgDown",), QT_TRANSLATE_NOOP("Shortcuts", "Next file"), _SOURCE, "", True),
    Shortcut("files", ("F5",), QT_TRANSLATE_NOOP("Shortcuts", "Show or hide file list"), _SOURCE),
    Shortcut("camera", ("Ctrl+K",), QT_TRANSLATE_NOOP("Shortcuts", "Camera options"), _SOURCE, "sliders"),
    Shortcut("mirror", ("Ctrl+M",), QT_TRANSLATE_NOOP("Shortcuts", "Mirror"), _SOURCE, "mirror"),
    Shortcut("turn", ("Ctrl+T",), QT_TRANSLATE_NOOP("Shortcuts", "Rotate 90°"), _SOURCE, "turn"),
    Shortcut("crop", ("Ctrl+E",), QT_TRANSLATE_NOOP("Shortcuts", "Crop"), _SOURCE, "crop"),
    Shortcut("uncrop", ("Ctrl+Shift+E",), QT_TRANSLATE_NOOP("Shortcuts", "Remove crop"), _SOURCE),
    Shortcut("new_prompt", ("Ctrl+N",), QT_TRANSLATE_NOOP("Shortcuts", "Add prompt"), _PROMPTS, "plus"),
    Shortcut("box_prompt", ("Ctrl+B",), QT_TRANSLATE_NOOP("Shortcuts", "Add prompt from box"), _PROMPTS, "box"),
    Shortcut("histograms", ("F3",), QT_TRANSLATE_NOOP("Shortcuts", "Show histograms"), _PROMPTS, "histogram"),
    Shortcut("compare", ("F7",), QT_TRANSLATE_NOOP("Shortcuts", "Compare variants"), _PROMPTS, "split"),
    Shortcut("undo", ("Ctrl+Z",), QT_TRANSLATE_NOOP("Shortcuts", "Undo"), _PROMPTS, "undo"),
    Shortcut("redo", ("Ctrl+Shift+Z", "Ctrl+Y"), QT_TRANSLATE_NOOP("Shortcuts", "Redo"), _PROMPTS, "redo"),
    Shortcut("open_session", ("Ctrl+Shift+O",), QT_TRANSLATE_NOOP("Shortcuts", "Open session…"), _PROMPTS, "folder"),
    Shortcut("save_session", ("Ctrl+Shift+S",), QT_TRANSLATE_NOOP("Shortcuts", "Save session as…"), _PROMPTS, "save"),
    Shortcut("play", ("Space",), QT_TRANSLATE_NOOP("Shortcuts", "Play or pause"), _PLAY, "play", True),
    Shortcut("play_anywhere", ("Ctrl+Space",), QT_TRANSLATE_NOOP("Shortcuts", "Play or pause (any control)"), _PLAY),
    Shortcut("back", (",",), QT_TRANSLATE_NOOP("Shortcuts", "Previous frame"), _PLAY, "step-back", True),
    Shortcut("on", (".",), QT_TRANSLATE_NOOP("Shortcuts", "Next frame"), _PLAY, "step-forward", True),
    Shortcut("skip_back", ("Left",), QT_TRANSLATE_NOOP("Shortcuts", "Back 5 seconds"), _PLAY, "", True),
    Shortcut("skip_on", ("Right",), QT_TRANSLATE_NOOP("Shortcuts", "Forward 5 seconds"), _PLAY, "", True),
    Shortcut("loop", ("L",), QT_TRANSLATE_NOOP("Shortcuts", "Loop"), _PLAY, "loop", True),
    Shortcut("set_first", ("I",), QT_TRANSLATE_NOOP("Shortcuts", "Set in point"), _PLAY, "mark-in", True),
    Shortcut("set_last", ("O",), QT_TRANSLATE_NOOP("Shortcuts", "Set out point"), _PLAY, "mark-out", True),
    Shortcut("clear_range", ("X",), QT_TRANSLATE_NOOP("Shortcuts", "Clear in and out points"), _PLAY, "", True),
    Shortcut("slower", ("[",), QT_TRANSLATE_NOOP("Shortcuts", "Slower"), _PLAY, "", True),
    Shortcut("faster", ("]",), QT_TRANSLATE_NOOP("Shortcuts", "Faster"), _PLAY, "", True),
    Shortcut("record", ("Ctrl+R",), QT_TRANSLATE_NOOP("Shortcuts", "Start or stop recording"), _OUTPUT, "record"),
    Shortcut(
        "pause_recording",
        ("Ctrl+Shift+R",),
        QT_TRANSLATE_NOOP("Shortcuts", "Pause or resume recording"),
        _OUTPUT,
        "pause",
    ),
    Shortcut(
        "recording_options", ("Ctrl+Alt+R",), QT_TRANSLATE_NOOP("Shortcuts", "Recording options"), _OUTPUT, "sliders"
    ),
    Shortcut("replay", ("F10",), QT_TRANSLATE_NOOP("Shortcuts", "Save replay"), _OUTPUT, "history"),
    Shortcut(
        "virtual_camera",
        ("Ctrl+G",),
        QT_TRANSLATE_NOOP("Shortcuts", "Start or stop virtual camera"),
        _OUTPUT,
        "broadcast",
    ),
    Shortcut(
        "virtual_camera_options", ("Ctrl+Alt+G",), QT_TRANSLATE_NOOP("Shortcuts", "Virtual camera options"), _OUTPUT
    ),
    Shortcut("export", ("Ctrl+Shift+X",), QT_TRANSLATE_NOOP("Shortcuts", "Export…"), _OUTPUT, "save"),
    Shortcut("snapshot", ("Ctrl+S",), QT_TRANSLATE_NOOP("Shortcuts", "Save frame and masks"), _OUTPUT, "snapshot"),
    Shortcut("copy", ("Ctrl+Shift+C",), QT_TRANSLATE_NOOP("Shortcuts", "Copy frame"), _OUTPUT, "copy"),
    Shortcut("folder", (), QT_TRANSLATE_NOOP("Shortcuts", "Choose output folder…"), _OUTPUT, "folder"),
    Shortcut("show_folder", (), QT_TRANSLATE_NOOP("Shortcuts", "Open output folder"), _OUTPUT),
    Shortcut("picture", ("F6",), QT_TRANSLATE_NOOP("Shortcuts", "Focus frame"), _VIEW),
    Shortcut("prompts", ("Ctrl+1",), QT_TRANSLATE_NOOP("Shortcuts", "Focus prompts"), _VIEW),
    Shortcut("look", ("Ctrl+2",), QT_TRANSLATE_NOOP("Shortcuts", "Focus settings"), _VIEW),
    Shortcut("panels", ("F9",), QT_TRANSLATE_NOOP("Shortcuts", "Show or hide side panel"), _VIEW, "panel"),
    Shortcut("maps", ("F4",), QT_TRANSLATE_NOOP("Shortcuts", "Probability maps of all prompts"), _VIEW, "grid"),
    Shortcut("full_screen", ("F11",), QT_TRANSLATE_NOOP("Shortcuts", "Full screen"), _VIEW, "fullscreen"),
    Shortcut("zoom_in", ("Ctrl++", "Ctrl+="), QT_TRANSLATE_NOOP("Shortcuts", "Zoom in"), _VIEW),
    Shortcut("zoom_out", ("Ctrl+-",), QT_TRANSLATE_NOOP("Shortcuts", "Zoom out"), _VIEW),
    Shortcut("fit", ("Ctrl+0",), QT_TRANSLATE_NOOP("Shortcuts", "Fit frame to window"), _VIEW),
    Shortcut("statistics", ("F8",), QT_TRANSLATE_NOOP("Shortcuts", "Statistics"), _VIEW, "chart"),
    Shortcut("diagnostics", (), QT_TRANSLATE_NOOP("Shortcuts", "Copy diagnostics"), _VIEW, "clipboard"),
    Shortcut("log_folder", (), QT_TRANSLATE_NOOP("Shortcuts", "Open log folder"), _VIEW, "folder"),
    Shortcut("restart", (), QT_TRANSLATE_NOOP("Shortcuts", "Restart model"), _VIEW, "refresh"),
    Shortcut("help", ("F1",), QT_TRANSLATE_NOOP("Shortcuts", "Keyboard shortcuts"), _VIEW, "keyboard"),
    Shortcut("quit", ("Ctrl+Q",), QT_TRANSLATE_NOOP("Shortcuts", "Quit"), _VIEW),
)

CANVAS_CONTROLS: tuple[tuple[str, str], ...] = (
    (QT_TRANSLATE_NOOP("Shortcuts", "Wheel"), QT_TRANSLATE_NOOP("Shortcuts", "Zoom at the pointer")),
    (QT_TRANSLATE_NOOP("Shortcuts", "Drag or Shift+arrow keys"), QT_TRANSLATE_NOOP("Shortcuts", "Pan")),
    (QT_TRANSLATE_NOOP("Shortcuts", "Hold B"), QT_TRANSLATE_NOOP("Shortcuts", "Show original frame")),
    (QT_TRANSLATE_NOOP("Shortcuts", "Hold Alt"), QT_TRANSLATE_NOOP("Shortcuts", "Which words fit this pixel?")),
    (QT_TRANSLATE_NOOP("Shortcuts", "1 to 4, D, K"), QT_TRANSLATE_NOOP("Shortcuts", "Edit, view or keep a variant")),
    (QT_TRANSLATE_NOOP("Shortcuts", "Double-click"), QT_TRANSLATE_NOOP("Shortcuts", "Full screen")),
    (QT_TRANSLATE_NOOP("Shortcuts", "Esc"), QT_TRANSLATE_NOOP("Shortcuts", "Leave full screen or cancel a box")),
)
"""Controls that the canvas handles itself: (mouse action or key, effect)."""


def translate(text: str) -> str:
    """Return the translation of a text of the table."""
    return QCoreApplication.translate(_CONTEXT, text)


def make_actions(window: QWidget, picture: QWidget, handlers: Mapping[str, Callable[[], object]]) -> dict[str, QAction]:
    """Create the action of each row of the table.

    Args:
        window: widget of the actions.
        picture: widget of the actions with ``on_picture``.
        handlers: what to call, by name of the action.

    Returns:
        The actions by name.

    Raises:
        KeyError: if an action has no handler.
    """
    actions: dict[str, QAction] = {}
    for row in TABLE:
        action = QAction(translate(row.text), window)
        action.setShortcuts([QKeySequence(key) for key in row.keys])
        if row.icon:
            action.setIcon(theme.icon(row.icon))
        handler = handlers[row.name]
        action.triggered.connect(lambda _=False, handler=handler: handler())
        if row.on_picture:
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        (picture if row.on_picture else window).addAction(action)
        actions[row.name] = action
    return actions


class ShortcutsDialog(QDialog):
    """Dialog that shows the table of shortcuts."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Keyboard shortcuts"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        content = QWidget()
        columns = QHBoxLayout(content)
        columns.setContentsMargins(3 * theme.UNIT, theme.UNIT, 3 * theme.UNIT, 2 * theme.UNIT)
        columns.setSpacing(5 * theme.UNIT)
        groups = list(dict.fromkeys(row.group for row in TABLE))
        left, right = self._column(groups[:_LEFT_GROUPS]), self._column(groups[_LEFT_GROUPS:])
        for keys, text in CANVAS_CONTROLS:
            self._line(right, translate(keys), translate(text))
        columns.addLayout(left, 1)
        columns.addLayout(right, 1)
        for column in (left, right):
            column.setRowStretch(column.rowCount(), 1)
        area = QScrollArea()
        area.setWidget(content)
        area.setWidgetResizable(True)
        area.setAccessibleName(self.tr("Keyboard shortcuts"))
        close = QPushButton(self.tr("Close"))
        close.clicked.connect(self.close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 2 * theme.UNIT)
        layout.addWidget(area)
        layout.addWidget(close, 0, Qt.AlignmentFlag.AlignHCenter)
        width = content.sizeHint().width() + 2 * theme.UNIT  # room for the scroll bar
        self.resize(width, min(640, max(360, parent.height() - 40)))

    def _column(self, groups: list[str]) -> QGridLayout:
        grid = QGridLayout()
        grid.setVerticalSpacing(theme.UNIT // 2)
        for group in groups:
            heading = QLabel(translate(group))
            theme.set_kind(heading, "heading")
            heading.setContentsMargins(0, theme.UNIT, 0, theme.UNIT // 2)
            grid.addWidget(heading, grid.rowCount(), 0, 1, 2)
            for row in TABLE:
                if row.group == group and row.keys:
                    keys = [QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText) for key in row.keys]
                    self._line(grid, self.tr(" or ").join(keys), translate(row.text).rstrip("…"))
        return grid

    def _line(self, grid: QGridLayout, keys: str, text: str) -> None:
        line = grid.rowCount()
        pressed = QLabel(keys)
        theme.set_kind(pressed, "muted")
        grid.addWidget(QLabel(text), line, 0)
        grid.addWidget(pressed, line, 1, Qt.AlignmentFlag.AlignRight)
