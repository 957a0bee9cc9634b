"""Button of the virtual camera with its status and options."""

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QWidget

from clipseg_live.core.protocols import LiveSession
from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings, VirtualCameraStatus
from clipseg_live.gui.output.virtual_camera_options import VirtualCameraOptions, details
from clipseg_live.gui.state.services import Services
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import position_below
from clipseg_live.gui.widgets.controls import tool_button

TEXT_FROM_WIDTH = 900
"""Smallest width of the window at which the button has text next to its icon, in pixels."""


class VirtualCameraBar(QWidget):
    """Button that starts and stops the virtual camera, with its status.

    Args:
        session: the session.
        services: functions of the application.
        settings: returns the settings of the virtual camera.
        parent: parent widget.

    Attributes:
        changed: signal with new VirtualCameraSettings.
        options: the open panel; None while it is closed.
    """

    changed = Signal(object)

    def __init__(
        self,
        session: LiveSession,
        services: Services,
        settings: Callable[[], VirtualCameraSettings],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._services = services
        self._settings = settings
        self._status = VirtualCameraStatus()
        self._has_text_room = True
        self.options: VirtualCameraOptions | None = None
        self.button = tool_button("broadcast", self.tr("Virtual camera"), checkable=True)
        self.button.setIconSize(QSize(theme.ICON + 2, theme.ICON + 2))
        self.button.clicked.connect(self.toggle)
        self.options_button = tool_button("down", self.tr("Virtual camera options"))
        self.options_button.clicked.connect(self.open_options)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.button)
        row.addWidget(self.options_button)
        self._show()

    def toggle(self) -> None:
        """Start or stop the virtual camera."""
        if self._status.active:
            self._session.stop_camera()
        else:
            self._session.start_camera(self._settings())
        self.show_status(self._session.status().camera)

    def open_options(self) -> VirtualCameraOptions:
        """Open the panel with the options of the virtual camera."""
        options = self.options = VirtualCameraOptions(self._settings(), self._services.list_virtual_cameras, self)
        options.changed.connect(self.changed)
        options.toggled.connect(self.toggle)
        options.placeholder_requested.connect(self.ask_placeholder)
        options.destroyed.connect(self._uncheck_options)
        options.show_status(self._status)
        options.move(position_below(self.options_button, options.width()))
        options.show()
        return options

    def ask_placeholder(self) -> None:
        """Let the user choose the image to send while there is no frame to show."""
        dialog = QFileDialog(self.window(), self.tr("Choose placeholder image"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        pictures = "*.png *.jpg *.jpeg *.webp *.bmp *.tif *.tiff *.avif"
        dialog.setNameFilters([f"{self.tr('Images')} ({pictures})", f"{self.tr('All files')} (*)"])
        dialog.fileSelected.connect(
            lambda path: self.changed.emit(self._settings().model_copy(update={"placeholder": path}))
        )
        dialog.open()

    def show_status(self, status: VirtualCameraStatus) -> None:
        """Show whether the virtual camera is on, what it sends, and its problems."""
        has_room = self.window().width() >= TEXT_FROM_WIDTH
        if (status, has_room) != (self._status, self._has_text_room):
            self._status = status
            self._has_text_room = has_room
            self._show()
        if self.options is not None:
            self.options.show_status(status)
        self.button.setChecked(status.active)

    def _show(self) -> None:
        status = self._status
        text, colour = self._state_text()
        self.button.setIcon(theme.icon("broadcast", colour, colour))
        style = Qt.ToolButtonStyle
        has_words = bool(text) and self._has_text_room
        self.button.setText(f" {text}" if has_words else "")
        self.button.setToolButtonStyle(style.ToolButtonTextBesideIcon if has_words else style.ToolButtonIconOnly)
        name = self.tr("Stop virtual camera") if status.active else self.tr("Start virtual camera")
        self.button.setAccessibleName(name)
        self.button.setAccessibleDescription(text or self.tr("Off"))
        help_text = self.tr("Sends the video with effects to video calls and OBS.")
        lines = [line for line in (status.problem or details(self, status), self._placeholder_reason()) if line]
        self.button.setToolTip("\n".join([name, *lines]))
        self.button.setStatusTip(lines[0] if lines else help_text)

    def _state_text(self) -> tuple[str, str]:
        status = self._status
        if not status.active:
            return "", theme.TEXT
        if status.problem:
            return self.tr("Unavailable"), theme.DANGER
        if not status.device:
            return self.tr("Opening"), theme.ACCENT
        return (self.tr("Placeholder"), theme.WARNING) if status.shows_placeholder else (self.tr("On"), theme.GOOD)

    def _placeholder_reason(self) -> str:
        status = self._status
        return self.tr("The placeholder image is sent until a frame is ready.") if status.shows_placeholder else ""

    def _uncheck_options(self) -> None:
        self.options = None
