"""The theme is readable and complete."""

import re

import pytest
from PySide6.QtCore import QDir, QFile
from PySide6.QtGui import QColor, QPixmap
from PySide6.QtWidgets import QApplication, QPushButton

from clipseg_live.gui.widgets import icons, resources, theme


def luminance(colour: str) -> float:
    """Return the relative luminance by WCAG."""
    parts = [part / 255 for part in QColor(colour).getRgb()[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("behind", [theme.BACKGROUND_COLOUR, theme.SURFACE, theme.RAISED, theme.HOVER])
def test_texts_are_readable(behind: str) -> None:
    assert contrast(theme.TEXT, behind) >= 10
    assert contrast(theme.MUTED, behind) >= 5.5
    for colour in (theme.ACCENT, theme.DANGER, theme.WARNING, theme.GOOD):
        assert contrast(colour, behind) >= 4.5


def test_a_primary_button_is_readable() -> None:
    assert contrast(theme.ON_ACCENT, theme.ACCENT) >= 7


def test_every_name_of_the_style_sheet_has_a_value(qapp: QApplication) -> None:
    assert "@" not in qapp.styleSheet().replace("@2x", "")


@pytest.mark.parametrize("name", icons.NAMES)
def test_every_icon_is_drawn_in_its_colour_and_within_its_square(name: str) -> None:
    image = icons.pixmap(name, "#ff0000", 24, 2.0).toImage()
    assert (image.width(), image.height(), image.devicePixelRatio()) == (48, 48, 2.0)
    drawn = [image.pixelColor(x, y) for x in range(48) for y in range(48) if image.pixelColor(x, y).alpha() > 200]
    assert len(drawn) > 40
    assert all(colour.red() > 200 and colour.green() < 40 for colour in drawn)


def test_a_disabled_icon_is_faint() -> None:
    icon = theme.icon("play")
    normal, disabled = (
        icon.pixmap(theme.icon_size(), mode).toImage().pixelColor(9, 9).name()
        for mode in (icon.Mode.Normal, icon.Mode.Disabled)
    )
    assert (normal, disabled) == (theme.TEXT, theme.FAINT)


def test_a_kind_changes_the_style(qtbot: object) -> None:
    button = QPushButton("Open")
    button.resize(80, 32)
    plain = button.grab().toImage().pixelColor(6, 16).name()
    theme.set_kind(button, "primary")
    assert button.grab().toImage().pixelColor(6, 16).name() == theme.ACCENT != plain


def test_images_of_the_style_sheet_are_in_memory(qapp: QApplication) -> None:
    urls = re.findall(r"url\((.*?)\)", qapp.styleSheet())
    assert urls and all(url.startswith(":/") for url in urls)
    assert all(not QPixmap(url).isNull() for url in urls)
    assert QPixmap(urls[0].replace(".png", "@2x.png")).width() == 2 * QPixmap(urls[0]).width()


def test_resources_contain_any_file() -> None:
    files = {f"é{number}{'x' * number}.bin": bytes(range(number)) for number in range(40)}
    folder = resources.register("test-of-resources", files)
    assert sorted(QDir(folder).entryList()) == sorted(files)
    for name, content in files.items():
        file = QFile(f"{folder}/{name}")
        assert file.open(QFile.OpenModeFlag.ReadOnly) and bytes(file.readAll().data()) == content
