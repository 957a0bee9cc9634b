"""Contrast by WCAG 2.2, level AA: computed from the theme's colours, and measured on rendered widgets."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QImage, QPalette
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QLabel,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot

from clipseg_live import gui
from clipseg_live.core.settings.base import PALETTE
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import (
    ChoiceBox,
    ColourButton,
    IconButton,
    SegmentedControl,
    panel_style_sheet,
    to_hex,
)
from clipseg_live.gui.widgets.slider_field import SliderField
from tests.gui.widgets.test_theme import contrast

SURFACES = (theme.BACKGROUND_COLOUR, theme.SURFACE, theme.RAISED, theme.HOVER, theme.PRESSED, theme.ACCENT_SOFT)
TEXT, MARK = 4.5, 3.0


# --- the theme's colours --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behind", SURFACES)
def test_texts_and_borders_have_contrast_on_every_surface(behind: str) -> None:
    for colour in (theme.TEXT, theme.MUTED, theme.ACCENT):
        assert contrast(colour, behind) >= TEXT
    for colour in (theme.EDGE, theme.FAINT, theme.ACCENT, theme.DANGER, theme.WARNING, theme.GOOD):
        assert contrast(colour, behind) >= MARK


@pytest.mark.parametrize("behind", [theme.BACKGROUND_COLOUR, theme.SURFACE, theme.RAISED])
def test_coloured_and_disabled_texts_have_contrast(behind: str) -> None:
    for colour in (theme.DANGER, theme.WARNING, theme.GOOD, theme.FAINT):
        assert contrast(colour, behind) >= TEXT


def test_ranks_of_text_have_different_contrast() -> None:
    shades = [contrast(colour, theme.RAISED) for colour in (theme.TEXT, theme.MUTED, theme.FAINT, theme.EDGE)]
    assert shades == sorted(shades, reverse=True) and shades[0] > 1.5 * shades[1] > 1.8 * shades[2]


def test_the_qt_palette_has_contrast(qapp: QApplication) -> None:
    role, palette = QPalette.ColorRole, theme.palette()
    pairs = {
        role.WindowText: role.Window, role.Text: role.Base, role.PlaceholderText: role.Base,
        role.ButtonText: role.Button,
        role.ToolTipText: role.ToolTipBase, role.HighlightedText: role.Highlight, role.Link: role.Window,
        role.LinkVisited: role.Window, role.BrightText: role.Window,
    }  # fmt: skip
    for above, below in pairs.items():
        assert contrast(palette.color(above).name(), palette.color(below).name()) >= TEXT, above


@pytest.mark.parametrize("colour", ["#000000", "#202226", "#ffffff", "#3a3e45", *(to_hex(entry) for entry in PALETTE)])
def test_contrast_is_computed_by_wcag(colour: str) -> None:
    assert theme.contrast(colour, theme.RAISED) == pytest.approx(contrast(colour, theme.RAISED), rel=1e-9)
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert theme.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # a known value


# --- rendered widgets -----------------------------------------------------------------------------------------------

MARGIN = 12


class Stage(QFrame):
    """A surface with one widget, and the pixels of both."""

    def __init__(self, widget: QWidget, kind: str) -> None:
        super().__init__()
        self.setStyleSheet(panel_style_sheet())
        theme.set_kind(self, kind)
        self.widget = widget
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.addWidget(widget)
        self.resize(240, max(60, widget.sizeHint().height() + 2 * MARGIN))

    def image(self) -> QImage:
        return self.grab().toImage()


def stage(qtbot: QtBot, widget: QWidget, kind: str) -> Stage:
    stage = Stage(widget, kind)
    qtbot.addWidget(stage)
    stage.show()
    qtbot.waitExposed(stage)
    stage.setFocus()
    return stage


def with_text(widget: QWidget, text: str = "Hair and MUG") -> QWidget:
    widget.setText(text)  # type: ignore[attr-defined]
    return widget


def combo() -> QComboBox:
    widget = ChoiceBox("Size")
    widget.set_choices([(1, "Hair and MUG")])
    return widget


def line(text: str = "", placeholder: str = "", kind: str = "") -> QLineEdit:
    widget = QLineEdit(text)
    widget.setPlaceholderText(placeholder)
    if kind:
        theme.set_kind(widget, kind)
    return widget


def label(kind: str) -> QLabel:
    widget = QLabel("Hair and MUG")
    theme.set_kind(widget, kind)
    return widget


def button(kind: str = "", checked: bool = False) -> QPushButton:
    widget = QPushButton("Hair and MUG")
    widget.setCheckable(checked)
    widget.setChecked(checked)
    if kind:
        theme.set_kind(widget, kind)
    return widget


def segments() -> QWidget:
    widget = SegmentedControl("Detail", [(1, "Hair"), (2, "MUG")])
    widget.show_value(1)
    return widget


FIELDS: dict[str, Callable[[], QWidget]] = {
    "line": lambda: line("text"),
    "editor": QPlainTextEdit,
    "number": QSpinBox,
    "decimal": QDoubleSpinBox,
    "choice": combo,
    "slider": lambda: SliderField("Threshold"),
    "button": button,
    "checked button": lambda: button(checked=True),
    "main button": lambda: button("primary"),
    "danger": lambda: button("danger"),
    "segments": segments,
}
TEXTS: dict[str, Callable[[], QWidget]] = {
    **{
        f"label {kind}": lambda kind=kind: label(kind)
        for kind in ("", "muted", "figure", "heading", "problem", "absent")
    },
    "line": lambda: line("Hair and MUG"),
    "placeholder": lambda: line(placeholder="Hair and MUG"),
    "flat": lambda: line("Hair and MUG", kind="flat"),
    "flat placeholder": lambda: line(placeholder="Hair and MUG", kind="flat"),
    "choice": combo,
    "slider": lambda: SliderField("Threshold"),
    "button": button,
    "plain button": lambda: button("plain"),
    "checked button": lambda: button(checked=True),
    "main button": lambda: button("primary"),
    "danger": lambda: button("danger"),
    "check box": lambda: QCheckBox("Hair and MUG"),
    "icon": lambda: IconButton("more", "More"),
    "icon in use": lambda: IconButton("eye-off", "Show", checked_icon="eye"),
    "tool": lambda: with_text(QToolButton()),
    "segments": segments,
}


def pixels(image: QImage, area: QRect) -> Counter[str]:
    ratio = image.devicePixelRatio()
    return Counter(
        image.pixelColor(round(x * ratio), round(y * ratio)).name()
        for x in range(area.left(), area.right() + 1)
        for y in range(area.top(), area.bottom() + 1)
    )


def strongest_contrast(image: QImage, area: QRect) -> float:
    """Return the contrast between the most common colour of an area and the most different one."""
    found = pixels(image, area)
    behind = found.most_common(1)[0][0]
    return max(contrast(colour, behind) for colour in found)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("kind", ["panel", "card"])
def test_text_of_rendered_widgets_has_contrast(qtbot: QtBot, kind: str, name: str) -> None:
    shown = stage(qtbot, TEXTS[name](), kind)
    inner = shown.widget.geometry().adjusted(3, 3, -3, -3)  # without the border
    assert strongest_contrast(shown.image(), inner) >= TEXT
    shown.widget.setEnabled(False)
    assert strongest_contrast(shown.image(), inner) >= MARK  # exempt, but readable


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("kind", ["panel", "card", "row"])
@pytest.mark.parametrize("state", ["plain", "hovered", "focused"])
def test_borders_of_rendered_fields_have_contrast(qtbot: QtBot, kind: str, name: str, state: str) -> None:
    shown = stage(qtbot, FIELDS[name](), kind)
    if state == "focused":
        shown.activateWindow()
        shown.widget.setFocus(Qt.FocusReason.TabFocusReason)
    if state == "hovered":
        shown.widget.setAttribute(Qt.WidgetAttribute.WA_UnderMouse)
        shown.widget.update()
    image, place = shown.image(), shown.widget.geometry()
    middle = place.center().y()
    edge = [image.pixelColor(x, middle).name() for x in range(place.left() - 1, place.left() + 3)]
    outside = image.pixelColor(place.left() - 4, middle).name()
    assert max(contrast(colour, outside) for colour in edge) >= MARK, edge


def test_a_check_box_is_visible_in_both_states(qtbot: QtBot) -> None:
    shown = stage(qtbot, QCheckBox("x"), "panel")
    box = QRect(shown.widget.geometry().topLeft(), shown.widget.geometry().topLeft() + QPoint(18, 40))
    assert strongest_contrast(shown.image(), box) >= MARK
    shown.widget.setChecked(True)
    found = pixels(shown.image(), box.adjusted(2, 8, -4, -12))
    assert theme.ACCENT in found and max(contrast(colour, theme.ACCENT) for colour in found) >= MARK


def test_progress_is_visible(qtbot: QtBot) -> None:
    bar = QProgressBar()
    bar.setTextVisible(False)
    bar.setRange(0, 2)
    bar.setValue(1)
    shown = stage(qtbot, bar, "bar")
    place, image = bar.geometry(), shown.image()
    done, left = (image.pixelColor(round(place.left() + part * place.width()), place.center().y()).name()
                  for part in (0.25, 0.75))  # fmt: skip
    assert contrast(done, left) >= MARK


@pytest.mark.parametrize("colour", [(0, 0, 0), (32, 34, 38), (255, 255, 255), *PALETTE])
def test_a_swatch_of_any_colour_is_visible(qtbot: QtBot, colour: tuple[int, int, int]) -> None:
    swatch = ColourButton("Colour")
    swatch.show_colour(colour)
    shown = stage(qtbot, swatch, "row")
    assert strongest_contrast(shown.image(), QRect(QPoint(4, 4), shown.rect().bottomRight() - QPoint(4, 4))) >= MARK


def test_the_selected_menu_entry_is_visible(qtbot: QtBot) -> None:
    menu = QMenu()
    qtbot.addWidget(menu)
    first, second = menu.addAction("Hair"), menu.addAction("MUG")
    menu.popup(QPoint(0, 0))
    menu.setActiveAction(second)
    image = menu.grab().toImage()
    chosen, other = menu.actionGeometry(second), menu.actionGeometry(first)
    assert contrast_of_frame(image, chosen) >= MARK > contrast_of_frame(image, other)
    menu.close()


def contrast_of_frame(image: QImage, area: QRect) -> float:
    """Return the contrast of an entry's upper edge with the menu."""
    colours = [image.pixelColor(area.center().x(), area.top() + step).name() for step in range(3)]
    return max(contrast(colour, theme.RAISED) for colour in colours)


@pytest.mark.parametrize("source", sorted(Path(gui.__file__).parent.rglob("*.py")), ids=lambda path: path.name)
def test_colours_come_from_the_theme(source: Path) -> None:
    """These tests do not cover texts in other colours."""
    allowed = {"theme.py", "buttons.py", "colour_picker.py"}
    has_own = any(f"color: {start}" in source.read_text(encoding="utf-8") for start in ("#", "rgb"))
    assert source.name in allowed or not has_own
