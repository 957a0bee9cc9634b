"""Creation of the QApplication, with a clear error if there is no usable display."""

import ctypes
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QLibraryInfo, QMessageLogContext, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

_NAMES = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
_ALTERNATIVES = (
    "use clipseg-live watch SOURCE -p TEXT for data, or clipseg-live export INPUT -p TEXT -o OUT.mp4 for a video."
)

MessageHandler = Callable[[QtMsgType, QMessageLogContext, str], None]


def make_application(arguments: Sequence[str]) -> QApplication:
    """Create the QApplication, or exit with a one-sentence error and exit code 1.

    Qt aborts the process if no platform plugin can be used. The abort cannot be caught, but Qt reports it to the
    message handler first. Nothing else has been started at that time.
    """
    variables = ", ".join(f"{name}={os.environ[name]}" for name in _NAMES if os.environ.get(name))
    _drop_impossible_wayland()

    def handle(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
        if previous is not None:
            previous(kind, context, text)
        if kind == QtMsgType.QtFatalMsg:
            print(f"clipseg-live: {_reason(variables)}, or {_ALTERNATIVES}", file=sys.stderr, flush=True)  # noqa: T201
            logging.shutdown()
            os._exit(1)

    previous: MessageHandler | None = qInstallMessageHandler(handle)
    try:
        return QApplication(list(arguments))
    finally:
        qInstallMessageHandler(previous)


def _drop_impossible_wayland() -> None:
    """Make Qt use X11 directly if the Wayland socket has no folder.

    Otherwise the Wayland library prints an error on the terminal.
    """
    if not os.environ.get("XDG_RUNTIME_DIR") and not os.environ.get("WAYLAND_DISPLAY", "").startswith("/"):
        os.environ.pop("WAYLAND_DISPLAY", None)


def _reason(variables: str) -> str:
    missing = _missing_library()
    if missing:
        return f"Cannot open a window because the system library {missing} is missing. Install it"
    return f"Cannot open a window on the display ({variables or 'none is set'}). Check that it can be reached"


def _missing_library() -> str:
    """Return the library that prevents Qt's X11 plugin from loading; "" for none."""
    plugin = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath)) / "platforms" / "libqxcb.so"
    if os.environ.get("QT_QPA_PLATFORM", "xcb").split(":")[0] != "xcb" or not plugin.exists():
        return ""
    try:
        ctypes.CDLL(str(plugin))
    except OSError as error:
        return str(error).partition(":")[0]
    return ""
