"""Icons in the window's colours, by their Material Design names."""

from functools import lru_cache

import qtawesome
from PySide6.QtGui import QIcon

from clipseg_live.gui import theme


@lru_cache(maxsize=128)
def icon(name: str, colour: str = theme.TEXT) -> QIcon:
    """The icon ``name`` ("play", "eye-outline", ...); greyed where its control is disabled."""
    found: QIcon = qtawesome.icon(f"mdi6.{name}", color=colour, color_disabled="#5b6270")
    return found
