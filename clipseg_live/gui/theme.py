"""The look of the window: one dark, calm palette, and the style sheet made of it."""

from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

BACKGROUND = "#101216"
"""Around the picture."""
SURFACE = "#16191f"
"""Bars and panels."""
RAISED = "#20242c"
"""Fields and buttons."""
HOVER = "#2a2f39"
BORDER = "#2c313b"
TEXT = "#e7e9ee"
MUTED = "#98a0ae"
ACCENT = "#4c8dff"
DANGER = "#ff5a5f"
WARNING = "#f2b84b"
GOOD = "#3ecf8e"

UNIT = 8
"""Pixels at 100 %: margins and gaps are multiples of it, or half of it."""

STYLE = f"""
* {{ font-size: 13px; }}
QWidget {{ color: {TEXT}; }}
QMainWindow, QDialog {{ background: {SURFACE}; }}
QToolTip {{ background: {RAISED}; color: {TEXT}; border: 1px solid {BORDER}; padding: 4px 6px; }}
QLabel[role="muted"] {{ color: {MUTED}; }}
QLabel[role="small"] {{ color: {MUTED}; font-size: 11px; }}
QLabel[role="heading"] {{ color: {MUTED}; font-size: 11px; font-weight: 600; letter-spacing: 1px; }}
QLabel[role="value"] {{ color: {MUTED}; font-size: 12px; }}
QFrame#bar, QWidget#bar {{ background: {SURFACE}; border: none; }}
QFrame#line {{ background: {BORDER}; border: none; }}
QPushButton, QToolButton {{
  background: transparent; border: 1px solid transparent; border-radius: 6px; padding: 5px 9px; color: {TEXT};
}}
QPushButton {{ background: {RAISED}; border-color: {BORDER}; }}
QPushButton:hover, QToolButton:hover {{ background: {HOVER}; }}
QPushButton:pressed, QToolButton:pressed {{ background: {BORDER}; }}
QPushButton:disabled, QToolButton:disabled {{ color: #5b6270; }}
QToolButton:checked {{ background: {HOVER}; }}
QToolButton::menu-indicator {{ image: none; width: 0; }}
QPushButton[role="primary"] {{ background: {ACCENT}; border-color: {ACCENT}; color: white; font-weight: 600; }}
QPushButton[role="primary"]:hover {{ background: #6a9fff; }}
QPushButton[role="flat"] {{ background: transparent; border-color: transparent; }}
QPushButton:focus, QToolButton:focus, QComboBox:focus, QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus {{
  border: 1px solid {ACCENT};
}}
QLineEdit, QComboBox, QSpinBox, QDoubleSpinBox, QPlainTextEdit {{
  background: {RAISED}; border: 1px solid {BORDER}; border-radius: 6px; padding: 5px 8px;
  selection-background-color: {ACCENT}; selection-color: white;
}}
QLineEdit:hover, QComboBox:hover {{ border-color: #3a404c; }}
QComboBox::drop-down {{ border: none; width: 20px; }}
QComboBox QAbstractItemView, QMenu, QCompleter, QListView {{
  background: {RAISED}; border: 1px solid {BORDER}; color: {TEXT}; selection-background-color: {ACCENT};
  selection-color: white; outline: none;
}}
QMenu {{ padding: 4px; }}
QMenu::item {{ padding: 6px 24px 6px 12px; border-radius: 4px; }}
QMenu::item:selected {{ background: {ACCENT}; color: white; }}
QMenu::item:disabled {{ color: {MUTED}; background: transparent; }}
QMenu::separator {{ height: 1px; background: {BORDER}; margin: 4px 6px; }}
QSlider {{ min-height: 18px; }}
QSlider::groove:horizontal {{ height: 4px; border-radius: 2px; background: {BORDER}; }}
QSlider::sub-page:horizontal {{ height: 4px; border-radius: 2px; background: #5a6373; }}
QSlider::handle:horizontal {{
  width: 12px; height: 12px; margin: -4px 0; border-radius: 6px; background: {TEXT}; border: none;
}}
QSlider::handle:horizontal:hover, QSlider::handle:horizontal:focus {{ background: white; }}
QSlider:focus::sub-page:horizontal {{ background: {ACCENT}; }}
QScrollArea {{ background: transparent; border: none; }}
QScrollBar:vertical {{ background: transparent; width: 8px; margin: 0; }}
QScrollBar::handle:vertical {{ background: {BORDER}; border-radius: 4px; min-height: 24px; }}
QScrollBar::handle:vertical:hover {{ background: #3d4450; }}
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{ background: none; height: 0; }}
QCheckBox::indicator {{
  width: 15px; height: 15px; border-radius: 4px; border: 1px solid #4a5160; background: {RAISED};
}}
QCheckBox::indicator:checked {{ background: {ACCENT}; border-color: {ACCENT}; }}
QCheckBox:focus {{ color: white; }}
QProgressBar {{ background: {BORDER}; border: none; border-radius: 2px; height: 4px; }}
QProgressBar::chunk {{ background: {ACCENT}; border-radius: 2px; }}
QSplitter::handle {{ background: {BORDER}; }}
"""


def apply_theme(application: QApplication) -> None:
    """Fusion as the base everywhere, so that the window looks the same on every system."""
    application.setStyle(QStyleFactory.create("Fusion"))
    palette = QPalette()
    for role, colour in (
        (QPalette.ColorRole.Window, SURFACE),
        (QPalette.ColorRole.WindowText, TEXT),
        (QPalette.ColorRole.Base, RAISED),
        (QPalette.ColorRole.AlternateBase, SURFACE),
        (QPalette.ColorRole.Text, TEXT),
        (QPalette.ColorRole.PlaceholderText, "#6f7786"),
        (QPalette.ColorRole.Button, RAISED),
        (QPalette.ColorRole.ButtonText, TEXT),
        (QPalette.ColorRole.Highlight, ACCENT),
        (QPalette.ColorRole.HighlightedText, "#ffffff"),
        (QPalette.ColorRole.ToolTipBase, RAISED),
        (QPalette.ColorRole.ToolTipText, TEXT),
        (QPalette.ColorRole.Link, ACCENT),
    ):
        palette.setColor(role, QColor(colour))
    application.setPalette(palette)
    application.setStyleSheet(STYLE)
