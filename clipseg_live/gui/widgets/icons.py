"""Line icons, rendered from SVG paths at any scale and in any colour."""

from functools import cache

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

_SIZES = (18, 27, 36)

_CLOCK = '<circle cx="12" cy="12" r="8.5"/><path d="M12 7v5.2l3.5 2"/>'
_ROUND = '<path d="M19.5 12a7.5 7.5 0 1 1-2.4-5.5L20 9M20 4v5h-5"/>'

_SHAPES = {
    "play": '<path d="M7 4.5v15l12-7.5z" fill="C"/>',
    "pause": '<path d="M8 5v14M16 5v14" stroke-width="3.2"/>',
    "step-back": '<path d="M18 5.5v13L8 12z" fill="C"/><path d="M5.5 5.5v13"/>',
    "step-forward": '<path d="M6 5.5v13L16 12z" fill="C"/><path d="M18.5 5.5v13"/>',
    "loop": '<path d="M17 2.5L20.5 6 17 9.5M3.5 11.5V9a3 3 0 0 1 3-3h14'
    'M7 21.5L3.5 18 7 14.5M20.5 12.5V15a3 3 0 0 1-3 3h-14"/>',
    "record": '<circle cx="12" cy="12" r="6.5" fill="C"/>',
    "stop": '<rect x="6.5" y="6.5" width="11" height="11" rx="1.5" fill="C"/>',
    "snapshot": '<path d="M4 8.5A1.5 1.5 0 0 1 5.5 7H8l1.5-2.5h5L16 7h2.5A1.5 1.5 0 0 1 20 8.5v9'
    'a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 17.5z"/><circle cx="12" cy="13" r="3.4"/>',
    "copy": '<rect x="8.5" y="8.5" width="12" height="12" rx="2"/>'
    '<path d="M15.5 5.5a2 2 0 0 0-2-2h-8a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2"/>',
    "clipboard": '<rect x="5" y="4.5" width="14" height="16" rx="2"/><path d="M9 4.5V3h6v3H9zM9 11h6M9 15h4"/>',
    "video": '<rect x="3" y="6" width="12.5" height="12" rx="2"/><path d="M15.5 10.5l5.5-3v9l-5.5-3z"/>',
    "file": '<path d="M6 3h8l5 5v13H6zM13.5 3v5.5H19"/>',
    "folder": '<path d="M3.5 6.5A1.5 1.5 0 0 1 5 5h4.5l2 2.5H19A1.5 1.5 0 0 1 20.5 9v8.5A1.5 1.5 0 0 1 19 19H5'
    'a1.5 1.5 0 0 1-1.5-1.5z"/>',
    "save": '<path d="M12 3.5v11M7.5 10.5L12 15l4.5-4.5M4.5 16.5V20h15v-3.5"/>',
    "link": '<path d="M10 14a4 4 0 0 0 5.7 0l3.1-3.1a4 4 0 0 0-5.7-5.7l-1.3 1.3'
    'M14 10a4 4 0 0 0-5.7 0l-3.1 3.1a4 4 0 0 0 5.7 5.7l1.3-1.3"/>',
    "screen": '<rect x="3" y="4.5" width="18" height="12" rx="2"/><path d="M8.5 20h7M12 16.5V20"/>',
    "demo": '<circle cx="8" cy="8.5" r="4.5"/><path d="M13 20.5h8l-4-8z"/><path d="M4 15.5h5v5H4z"/>',
    "recent": _CLOCK,
    "history": _CLOCK,
    "sliders": '<path d="M4 7h9M17.5 7H20M4 17h3M11.5 17H20"/><circle cx="15.2" cy="7" r="2.2"/>'
    '<circle cx="9.2" cy="17" r="2.2"/>',
    "mirror": '<path d="M12 3v18" stroke-dasharray="2.5 2.5"/><path d="M9 7v10H3z"/><path d="M15 7v10h6z" fill="C"/>',
    "turn": _ROUND,
    "refresh": _ROUND,
    "crop": '<path d="M7 2.5V17h14.5M2.5 7H17v14.5"/>',
    "box": '<rect x="4" y="5" width="16" height="14" rx="1" stroke-dasharray="3 2.6"/>',
    "image": '<rect x="3.5" y="4.5" width="17" height="15" rx="2"/><circle cx="8.5" cy="9.5" r="1.6"/>'
    '<path d="M4 17l5-4.5 3.5 3 3.5-4 4.5 4.5"/>',
    "eye": '<path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z"/>'
    '<circle cx="12" cy="12" r="3"/>',
    "eye-off": '<path d="M4 4l16 16M9.5 5.9a9 9 0 0 1 2.5-.4c6 0 9.5 6.5 9.5 6.5a16 16 0 0 1-2.7 3.5'
    'M6.3 7.5A16 16 0 0 0 2.5 12S6 18.5 12 18.5a9 9 0 0 0 4-1"/>',
    "solo": '<circle cx="12" cy="12" r="8"/><circle cx="12" cy="12" r="2.8" fill="C"/>',
    "delete": '<path d="M4.5 6.5h15M9 6.5V4h6v2.5M6.5 6.5L7.3 20h9.4l.8-13.5M10.3 10.5v6M13.7 10.5v6"/>',
    "plus": '<path d="M12 5v14M5 12h14"/>',
    "minus": '<path d="M5 12h14"/>',
    "close": '<path d="M6 6l12 12M18 6L6 18"/>',
    "check": '<path d="M5 12.5l4.5 4.5L19 7.5"/>',
    "grip": '<g fill="C" stroke="none"><circle cx="9" cy="6" r="1.5"/><circle cx="15" cy="6" r="1.5"/>'
    '<circle cx="9" cy="12" r="1.5"/><circle cx="15" cy="12" r="1.5"/><circle cx="9" cy="18" r="1.5"/>'
    '<circle cx="15" cy="18" r="1.5"/></g>',
    "more": '<g fill="C" stroke="none"><circle cx="5.5" cy="12" r="1.7"/><circle cx="12" cy="12" r="1.7"/>'
    '<circle cx="18.5" cy="12" r="1.7"/></g>',
    "undo": '<path d="M8 4.5L3.5 9 8 13.5M4 9h10a5.5 5.5 0 0 1 0 11h-4"/>',
    "redo": '<path d="M16 4.5L20.5 9 16 13.5M20 9H10a5.5 5.5 0 0 0 0 11h4"/>',
    "down": '<path d="M6.5 9.5L12 15l5.5-5.5"/>',
    "up": '<path d="M6.5 14.5L12 9l5.5 5.5"/>',
    "right": '<path d="M9.5 6.5L15 12l-5.5 5.5"/>',
    "info": '<circle cx="12" cy="12" r="8.5"/><path d="M12 11.5V16M12 8v.2"/>',
    "warning": '<path d="M12 4L2.8 20h18.4zM12 10.5V15M12 17.4v.2"/>',
    "error": '<circle cx="12" cy="12" r="8.5"/><path d="M9 9l6 6M15 9l-6 6"/>',
    "keyboard": '<rect x="2.5" y="6" width="19" height="12" rx="2"/>'
    '<path d="M6.5 10v.1M10.2 10v.1M13.9 10v.1M17.5 10v.1M8 14h8"/>',
    "fullscreen": '<path d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"/>',
    "chart": '<path d="M3.5 20h17M5 16l4.5-6 4 3.5L19.5 5"/>',
    "grid": '<path d="M4 4h6.5v6.5H4zM13.5 4H20v6.5h-6.5zM4 13.5h6.5V20H4zM13.5 13.5H20V20h-6.5z"/>',
    "split": '<rect x="3" y="5" width="18" height="14" rx="2"/><path d="M12 5v14"/>',
    "histogram": '<path d="M3.5 20h17M6 20v-5M10 20V9M14 20V5M18 20v-8"/>',
    "menu": '<path d="M4 7h16M4 12h16M4 17h16"/>',
    "palette": '<path d="M12 3.5a8.5 8.5 0 1 0 0 17c1.5 0 2-1 1.5-2.2-.6-1.5.2-2.8 2-2.8h2.2c1.8 0 2.8-1.5 2.8-3.5'
    'C20.5 7 16.7 3.5 12 3.5z"/><path d="M7.8 12v.1M10 8v.1M14.5 8v.1"/>',
    "broadcast": '<rect x="2.5" y="8" width="9.5" height="8.5" rx="1.8"/><path d="M12 11l3.2-1.9v6.3L12 13.5"/>'
    '<path d="M18 8.2a6.5 6.5 0 0 1 0 8M20.6 6a10 10 0 0 1 0 12.4"/>',
    "mark-in": '<path d="M11 4.5H6.5v15H11"/><path d="M12 8l5 4-5 4z" fill="C"/>',
    "mark-out": '<path d="M13 4.5h4.5v15H13"/><path d="M12 8l-5 4 5 4z" fill="C"/>',
    "panel": '<rect x="3" y="5" width="18" height="14" rx="2"/><path d="M15 5v14"/>',
}

NAMES = tuple(_SHAPES)


def _svg(name: str, colour: str) -> QByteArray:
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="C" stroke-width="1.7" '
        'stroke-linecap="round" stroke-linejoin="round">'
    )
    return QByteArray((head + _SHAPES[name] + "</svg>").replace('"C"', f'"{colour}"').encode())


def pixmap(name: str, colour: str, size: int, ratio: float = 1.0) -> QPixmap:
    """Render an icon.

    Args:
        name: one of ``NAMES``.
        colour: "#rrggbb".
        size: width and height, logical pixels.
        ratio: pixel ratio of the screen.

    Raises:
        KeyError: if the name is not in ``NAMES``.
    """
    picture = QPixmap(round(size * ratio), round(size * ratio))
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    QSvgRenderer(_svg(name, colour)).render(painter, QRectF(picture.rect()))
    painter.end()
    picture.setDevicePixelRatio(ratio)
    return picture


@cache
def make_icon(name: str, colour: str, disabled: str, checked: str) -> QIcon:
    """Return an icon in all usual sizes.

    Args:
        name: one of ``NAMES``.
        colour: "#rrggbb".
        disabled: colour of a disabled button, "#rrggbb".
        checked: colour of a checked button, "#rrggbb".

    Raises:
        KeyError: if the name is not in ``NAMES``.
    """
    icon = QIcon()
    for size in _SIZES:
        normal = pixmap(name, colour, size)
        icon.addPixmap(normal, QIcon.Mode.Normal, QIcon.State.Off)
        icon.addPixmap(pixmap(name, checked, size) if checked != colour else normal, state=QIcon.State.On)
        icon.addPixmap(pixmap(name, disabled, size), QIcon.Mode.Disabled)
    return icon
