"""Theme of the window: a dark, neutral palette, one accent colour, and distances in steps of eight pixels.

Colours are "#rrggbb". Widgets ask for a variant with ``set_kind``: a QPushButton "primary", "danger" or "choice", a
QToolButton "plain", a QLabel "muted", "heading", "figure" or "problem", a QFrame "panel", "bar" or "card".
"""

import sys
from functools import cache

from PySide6.QtCore import QBuffer, QSize
from PySide6.QtGui import QColor, QFont, QFontDatabase, QIcon, QPalette
from PySide6.QtWidgets import QApplication, QWidget

from clipseg_live.gui.widgets import icons, resources

BACKGROUND_COLOUR = "#0f1012"
"""Background of the frame."""
SURFACE = "#17181b"
"""Bars and panels."""
RAISED = "#202226"
"""Cards, fields and buttons on a surface."""
HOVER = "#2a2d32"
PRESSED = "#33373d"
LINE_COLOUR = "#2b2e33"
"""Lines between surfaces."""
EDGE = "#7b818b"
"""Borders of fields and buttons; contrast of at least 3:1 on every surface."""
TEXT = "#eceef0"
MUTED = "#a4abb4"
"""Secondary text; contrast of 7:1 on SURFACE."""
FAINT = "#8c949e"
"""Disabled text and marks; contrast of at least 4.5:1 on RAISED, so that it is readable."""
ACCENT = "#6cb2ff"
ACCENT_SOFT = "#22364d"
"""Background of the selection."""
ON_ACCENT = "#08131f"
DANGER = "#ff5c6c"
WARNING = "#ffbd4a"
GOOD = "#4fd29a"

TEXT_CONTRAST, MARK_CONTRAST = 4.5, 3.0
"""Lowest contrast of text, and of borders and icons, that WCAG 2.2 allows at level AA."""

UNIT = 8
"""One step of distance, in pixels."""
RADIUS = 6
CONTROL = 32
"""Height of a button or field, in pixels."""
ICON = 18
TEXT_SIZE = 13
SMALL_SIZE = 12
"""Size of small text, in pixels."""


def icon(name: str, colour: str = TEXT, checked: str = ACCENT) -> QIcon:
    """Return an icon of the theme.

    Args:
        name: one of ``icons.NAMES``.
        colour: "#rrggbb".
        checked: colour while its button is checked, "#rrggbb".
    """
    return icons.make_icon(name, colour, FAINT, checked)


def set_kind(widget: QWidget, kind: str) -> None:
    """Set the style variant of a widget and restyle it. It may be called again."""
    if widget.property("kind") == kind:
        return
    widget.setProperty("kind", kind)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def qcolour(colour: str, opacity: float = 1.0) -> QColor:
    """Return the QColor of "#rrggbb" with an opacity of 0 to 1."""
    result = QColor(colour)
    result.setAlphaF(opacity)
    return result


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours as WCAG defines it, 1 to 21."""
    low, high = sorted((_luminance(QColor(first)), _luminance(QColor(second))))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: QColor) -> float:
    parts = (part / 255 for part in (colour.red(), colour.green(), colour.blue()))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def icon_size() -> QSize:
    """Return the size of the icons of buttons."""
    return QSize(ICON, ICON)


def apply_theme(app: QApplication) -> None:
    """Set the Fusion style with the palette, the font and the style sheet of the theme."""
    app.setStyle("Fusion")
    app.setPalette(palette())
    app.setFont(text_font())
    app.setStyleSheet(style_sheet(_marks()))


def text_font() -> QFont:
    """Return the platform's interface font in the window's text size."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)
    if sys.platform.startswith("linux"):
        font.setFamilies(["Inter", "Noto Sans", "Cantarell", "Ubuntu", "DejaVu Sans", font.family()])
    font.setPixelSize(TEXT_SIZE)
    return font


def figure_font(size: int = SMALL_SIZE) -> QFont:
    """Return a font with digits of equal width, for changing numbers."""
    font = text_font()
    font.setPixelSize(size)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def palette() -> QPalette:
    """Return the Qt palette of the theme."""
    role = QPalette.ColorRole
    colours = {
        role.Window: SURFACE,
        role.WindowText: TEXT,
        role.Base: RAISED,
        role.AlternateBase: SURFACE,
        role.Text: TEXT,
        role.PlaceholderText: MUTED,
        role.Button: RAISED,
        role.ButtonText: TEXT,
        role.BrightText: TEXT,
        role.ToolTipBase: HOVER,
        role.ToolTipText: TEXT,
        role.Highlight: ACCENT,
        role.HighlightedText: ON_ACCENT,
        role.Accent: ACCENT,
        role.Link: ACCENT,
        role.LinkVisited: ACCENT,
        role.Light: EDGE,
        role.Midlight: HOVER,
        role.Mid: LINE_COLOUR,
        role.Dark: BACKGROUND_COLOUR,
        role.Shadow: "#000000",
    }
    result = QPalette()
    for entry, colour in colours.items():
        result.setColor(entry, QColor(colour))
    for entry in (role.WindowText, role.Text, role.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, entry, QColor(FAINT))
    return result


@cache
def _marks() -> str:
    """Return a resource folder with down.png, up.png and check.png for the style sheet."""
    files = {}
    for name, icon_name, colour in (("down", "down", MUTED), ("up", "up", MUTED), ("check", "check", ON_ACCENT)):
        for suffix, ratio in (("", 1), ("@2x", 2)):
            buffer = QBuffer()
            icons.pixmap(icon_name, colour, 14, ratio).save(buffer, "PNG")
            files[f"{name}{suffix}.png"] = bytes(buffer.data().data())
    return resources.register("marks", files)


def style_sheet(marks: str) -> str:
    """Return the style sheet of the window.

    Args:
        marks: the folder with down.png, up.png and check.png.
    """
    sheet = _SHEET.replace("@MARKS", marks)
    values = {name: value for name, value in globals().items() if name.isupper() and isinstance(value, str | int)}
    for name in sorted(values, key=len, reverse=True):
        sheet = sheet.replace(f"@{name}", str(values[name]))
    return sheet


_SHEET = """
QMainWindow, QDialog { background: @SURFACE; }
QToolTip { background: @HOVER; color: @TEXT; border: 1px solid @EDGE; padding: 4px 8px; }
QFrame[kind="panel"] { background: @SURFACE; border: none; }
QFrame[kind="bar"] { background: @SURFACE; border: none; }
QFrame[kind="card"] { background: @RAISED; border: 1px solid @LINE_COLOUR; border-radius: @RADIUSpx; }
QFrame[kind="line"] { background: @LINE_COLOUR; border: none; }

QLabel { background: transparent; }
QLabel[kind="muted"] { color: @MUTED; font-size: @SMALL_SIZEpx; }
QLabel[kind="figure"] { color: @MUTED; font-size: @SMALL_SIZEpx; }
QLabel[kind="absent"] { color: @FAINT; font-size: @SMALL_SIZEpx; }
QLabel[kind="heading"] { color: @TEXT; font-weight: 600; }
QLabel[kind="problem"] { color: @WARNING; font-size: @SMALL_SIZEpx; }

QPushButton, QToolButton {
    background: @RAISED; color: @TEXT; border: 1px solid @EDGE; border-radius: @RADIUSpx;
    padding: 0 12px; min-height: 30px;
}
QToolButton { padding: 0 6px; min-width: 18px; }
QPushButton:hover, QToolButton:hover { background: @HOVER; }
QPushButton:pressed, QToolButton:pressed { background: @PRESSED; }
QPushButton:focus, QToolButton:focus { border-color: @ACCENT; }
QPushButton:disabled, QToolButton:disabled { color: @FAINT; border-color: @LINE_COLOUR; background: @SURFACE; }
QPushButton:checked, QToolButton:checked { background: @ACCENT_SOFT; border-color: @ACCENT; }
QToolButton::menu-indicator, QPushButton::menu-indicator { image: none; width: 0; }
QPushButton[kind="primary"] {
    background: @ACCENT; color: @ON_ACCENT; border-color: @ACCENT; font-weight: 600; padding: 0 16px;
}
QPushButton[kind="primary"]:hover { background: #86c0ff; }
QPushButton[kind="primary"]:focus { border-color: @TEXT; }
QPushButton[kind="primary"]:disabled { background: @RAISED; color: @FAINT; border-color: @LINE_COLOUR; }
QPushButton[kind="danger"] { background: #40202a; border-color: @DANGER; color: #ffd9dd; }
QPushButton[kind="danger"]:hover { background: #552833; }
QPushButton[kind="choice"] { text-align: left; padding: 0 8px; image: url(@MARKS/down.png); image-position: right; }
QPushButton[kind="plain"], QToolButton[kind="plain"] { background: transparent; border-color: transparent; }
QPushButton[kind="plain"]:hover, QToolButton[kind="plain"]:hover { background: @HOVER; }
QPushButton[kind="plain"]:pressed, QToolButton[kind="plain"]:pressed { background: @PRESSED; }
QPushButton[kind="plain"]:focus, QToolButton[kind="plain"]:focus { border-color: @ACCENT; }
QPushButton[kind="plain"]:checked, QToolButton[kind="plain"]:checked { background: @ACCENT_SOFT; }

QLineEdit, QPlainTextEdit, QSpinBox, QDoubleSpinBox, QComboBox {
    background: @RAISED; color: @TEXT; border: 1px solid @EDGE; border-radius: @RADIUSpx;
    padding: 0 8px; min-height: 30px; selection-background-color: @ACCENT; selection-color: @ON_ACCENT;
}
QPlainTextEdit { padding: 8px; }
QLineEdit, QPlainTextEdit { placeholder-text-color: @MUTED; }
QLineEdit:disabled, QPlainTextEdit:disabled { placeholder-text-color: @FAINT; }
QLineEdit:hover, QSpinBox:hover, QDoubleSpinBox:hover, QComboBox:hover { border-color: @FAINT; }
QLineEdit:focus, QPlainTextEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {
    border-color: @ACCENT;
}
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled {
    color: @FAINT; border-color: @LINE_COLOUR; background: @SURFACE;
}
QComboBox::drop-down { border: none; width: 26px; }
QComboBox::down-arrow { image: url(@MARKS/down.png); }
QSpinBox::up-button, QDoubleSpinBox::up-button { border: none; width: 22px; }
QSpinBox::down-button, QDoubleSpinBox::down-button { border: none; width: 22px; }
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow { image: url(@MARKS/up.png); width: 10px; height: 10px; }
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow { image: url(@MARKS/down.png); width: 10px; height: 10px; }
QCheckBox { spacing: 8px; }
QCheckBox::indicator {
    width: 16px; height: 16px; border: 1px solid @EDGE; border-radius: 4px; background: @RAISED;
}
QCheckBox::indicator:hover, QCheckBox:focus::indicator { border-color: @ACCENT; }
QCheckBox::indicator:checked { background: @ACCENT; border-color: @ACCENT; image: url(@MARKS/check.png); }
QCheckBox::indicator:checked:disabled { background: @FAINT; border-color: @FAINT; }
QCheckBox:disabled { color: @FAINT; }
QComboBox QAbstractItemView, QAbstractItemView {
    background: @RAISED; color: @TEXT; border: 1px solid @EDGE; outline: 0;
    selection-background-color: @ACCENT_SOFT; selection-color: @TEXT;
}
QComboBox QAbstractItemView::item { min-height: 28px; padding: 0 8px; }

QMenu { background: @RAISED; color: @TEXT; border: 1px solid @EDGE; padding: 6px; }
QMenu::item { padding: 6px 27px 6px 9px; border: 1px solid transparent; border-radius: 4px; }
QMenu::item:selected { background: @ACCENT_SOFT; border-color: @ACCENT; }
QMenu::item:disabled { color: @FAINT; }
QMenu::separator { height: 1px; background: @LINE_COLOUR; margin: 6px 8px; }
QMenu::icon { padding-left: 8px; }

QSlider { min-height: 22px; background: transparent; }
QSlider::groove:horizontal { height: 4px; border-radius: 2px; background: @EDGE; }
QSlider::sub-page:horizontal { height: 4px; border-radius: 2px; background: @ACCENT; }
QSlider::handle:horizontal {
    width: 14px; height: 14px; margin: -5px 0; border-radius: 7px; background: @TEXT; border: none;
}
QSlider::handle:horizontal:hover { background: #ffffff; }
QSlider::handle:horizontal:focus { background: @ACCENT; }
QSlider::sub-page:horizontal:disabled { background: @FAINT; }
QSlider::handle:horizontal:disabled { background: @FAINT; }

QScrollArea { background: transparent; border: none; }
QScrollArea > QWidget > QWidget { background: transparent; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle { background: @EDGE; border-radius: 3px; margin: 2px; min-height: 32px; min-width: 32px; }
QScrollBar::handle:hover { background: @FAINT; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }

QSplitter::handle { background: @LINE_COLOUR; }
QSplitter::handle:hover { background: @ACCENT; }
QTabWidget::pane { border: none; }
QTabBar { background: transparent; }
QTabBar::tab {
    background: transparent; color: @MUTED; padding: 8px 14px; border: none; border-bottom: 2px solid transparent;
}
QTabBar::tab:hover { color: @TEXT; }
QTabBar::tab:selected { color: @TEXT; border-bottom-color: @ACCENT; }
QTabBar::tab:focus { color: @ACCENT; }
QProgressBar { background: @PRESSED; border: none; border-radius: 2px; max-height: 4px; }
QProgressBar::chunk { background: @ACCENT; border-radius: 2px; }
"""
