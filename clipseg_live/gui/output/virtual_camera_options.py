"""Panel with the options of the virtual camera."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QWidget

from clipseg_live.core.settings.virtual_camera import VirtualCameraSettings, VirtualCameraStatus
from clipseg_live.gui.state.thread_bridge import BackgroundTask
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import ChoiceBox, IconButton, SegmentedControl, hint_label, panel_style_sheet

CAMERA_PANEL_WIDTH = 400
CAMERA_SIZES = ((640, 360), (640, 480), (960, 540), (1280, 720), (1920, 1080))
CAMERA_RATES = (15.0, 24.0, 25.0, 30.0, 50.0, 60.0)
ListCameras = Callable[[], Sequence[tuple[str, str]]]


class VirtualCameraOptions(QFrame):
    """Popup with the options of the virtual camera. It closes on Escape and on a click elsewhere.

    Attributes:
        changed: signal with new VirtualCameraSettings.
        placeholder_requested: signal, the user wants to choose a safe picture.
        toggled: signal, the user wants to start or stop the virtual camera.
    """

    changed = Signal(object)
    placeholder_requested = Signal()
    toggled = Signal()

    def __init__(self, settings: VirtualCameraSettings, list_cameras: ListCameras, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._settings = settings
        self._cameras: Sequence[tuple[str, str]] = ()
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        theme.set_kind(self, "card")
        self.setStyleSheet(panel_style_sheet() + "QPushButton[kind='value'] { text-align: left; padding: 0 8px; }")
        self.setAccessibleName(self.tr("Virtual camera"))
        self.setFixedWidth(CAMERA_PANEL_WIDTH)
        self._make_controls()
        self._lay_out()
        self._task = BackgroundTask(list_cameras, self)
        self._task.succeeded.connect(self._offer_cameras)
        self._task.failed.connect(lambda _: None)  # the first available camera is still offered
        self._task.start()
        self._show()
        self.start_button.setFocus()

    def show_status(self, status: VirtualCameraStatus) -> None:
        """Show whether the virtual camera is on, what it sends, and its problems."""
        theme.set_kind(self.start_button, "" if status.active else "primary")
        stop, start = self.tr("Stop virtual camera"), self.tr("Start virtual camera")
        self.start_button.setText(stop if status.active else start)
        text = details(self, status)
        if status.active and status.device and status.shows_placeholder:
            text = self.tr("Sending the placeholder image until a frame is ready.") + "\n" + text
        theme.set_kind(self.status_label, "problem" if status.problem else "muted")
        self.status_label.setText(status.problem.replace("; ", ";\n") or text)  # one line per step
        self.status_label.setVisible(bool(self.status_label.text()))
        self.setFixedHeight(self._grid.totalHeightForWidth(CAMERA_PANEL_WIDTH))

    # ---- construction

    def _make_controls(self) -> None:
        self.device = ChoiceBox(self.tr("Camera"), self)
        self.device.picked.connect(lambda value: self._edit(device=value))
        self.size_choice = ChoiceBox(self.tr("Size"), self)
        self.size_choice.setToolTip(self.tr("Automatic: as the receiving program requests, otherwise as the source."))
        self.size_choice.picked.connect(lambda value: self._edit(width=value[0], height=value[1]))
        self.rate = ChoiceBox(self.tr("Frame rate"), self)
        self.rate.setToolTip(self.size_choice.toolTip())
        self.rate.picked.connect(lambda value: self._edit(rate=value))
        fits = [("letterbox", self.tr("Letterbox")), ("fill", self.tr("Crop to fill"))]
        self.fit = SegmentedControl(self.tr("Aspect mismatch"), fits, self)
        self.fit.setToolTip(self.tr("Used when the aspect ratios of the frame and the virtual camera differ."))
        self.fit.picked.connect(lambda value: self._edit(fit=value))
        self.placeholder = QPushButton(self)
        theme.set_kind(self.placeholder, "value")
        self.placeholder.setIcon(theme.icon("image", theme.MUTED))
        self.placeholder.setIconSize(theme.icon_size())
        self.placeholder.clicked.connect(self._request_placeholder)
        self.default_button = IconButton("close", self.tr("Use default image"), parent=self)
        self.default_button.clicked.connect(lambda: self._edit(placeholder=""))
        self.note = hint_label(
            self.tr(
                "The placeholder image is sent while the model or the source is unavailable. "
                "With a privacy effect on, unmasked frames are never sent."
            ),
            self,
        )
        self.status_label = hint_label("", self)
        self.status_label.setAccessibleName(self.tr("Virtual camera status"))
        self.status_label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.start_button = QPushButton(self)
        self.start_button.clicked.connect(self.toggled)

    def _lay_out(self) -> None:
        grid = self._grid = QGridLayout(self)
        grid.setContentsMargins(14, 14, 14, 14)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(8)
        grid.setColumnMinimumWidth(0, 92)
        grid.setColumnStretch(1, 1)
        placeholder = QHBoxLayout()
        placeholder.setSpacing(6)
        placeholder.addWidget(self.placeholder, 1)
        placeholder.addWidget(self.default_button)
        for row, (control, name) in enumerate(
            (
                (self.device, self.tr("Camera")), (self.size_choice, self.tr("Size")),
                (self.rate, self.tr("Frame rate")),
                (self.fit, self.tr("Aspect mismatch")), (self.placeholder, self.tr("Placeholder image")),
            )
        ):  # fmt: skip
            label = QLabel(name, self)
            theme.set_kind(label, "muted")
            label.setBuddy(control)
            grid.addWidget(label, row, 0)
            if control is self.placeholder:
                grid.addLayout(placeholder, row, 1)
            else:
                grid.addWidget(control, row, 1)
        for row, widget in enumerate((self.note, self.status_label, self.start_button), start=grid.rowCount()):
            grid.addWidget(widget, row, 0, 1, 2)

    # ---- showing the settings

    def _show(self) -> None:
        settings = self._settings
        cameras = [("", self.tr("First available"))]
        cameras += [(name, label if name == label else f"{label} ({name})") for name, label in self._cameras]
        if settings.device not in [name for name, _ in cameras]:
            cameras.append((settings.device, self.tr("{0} (unavailable)").format(settings.device)))
        self.device.set_choices(cameras)
        self.device.show_value(settings.device)
        automatic = self.tr("Automatic")
        sizes: list[tuple[object, str]] = [
            ((None, None), automatic),
            *((size, _format_size(*size)) for size in CAMERA_SIZES),
        ]
        size = settings.width, settings.height
        if size not in [value for value, _ in sizes]:
            sizes.append((size, _format_size(settings.width or 0, settings.height or 0)))
        self.size_choice.set_choices(sizes)
        self.size_choice.show_value(size)
        rates: list[tuple[object, str]] = [(None, automatic), *((rate, self._rate(rate)) for rate in CAMERA_RATES)]
        if settings.rate is not None and settings.rate not in CAMERA_RATES:
            rates.append((settings.rate, self._rate(settings.rate)))
        self.rate.set_choices(rates)
        self.rate.show_value(settings.rate)
        self.fit.show_value(settings.fit)
        name = Path(settings.placeholder).name if settings.placeholder else self.tr("Default (“One moment…”)")
        self.placeholder.setText(" " + self.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, 190))
        self.placeholder.setAccessibleName(self.tr("Placeholder image: {0}").format(name))
        self.placeholder.setToolTip(settings.placeholder or self.tr("Choose image"))
        self.default_button.setVisible(bool(settings.placeholder))

    def _rate(self, rate: float) -> str:
        return self.tr("{0} fps").format(f"{rate:g}")

    def _offer_cameras(self, cameras: Sequence[tuple[str, str]]) -> None:
        self._cameras = cameras
        self._show()

    # ---- edits

    def _request_placeholder(self) -> None:
        self.close()
        self.placeholder_requested.emit()

    def _edit(self, **values: object) -> None:
        try:
            self._settings = VirtualCameraSettings.model_validate({**self._settings.model_dump(), **values})
        except ValidationError:  # the choices are valid, so this does not happen
            return
        self.changed.emit(self._settings)
        self._show()


def details(widget: QWidget, status: VirtualCameraStatus) -> str:
    """Return the device, size, rate and late frames of the virtual camera; "" without a device."""
    if not status.device:
        return ""
    size, rate = _format_size(status.width, status.height), f"{status.rate:g}"
    text = widget.tr("{0}, {1}, {2} fps").format(status.device, size, rate)
    return text + (widget.tr(" · {0} frames late").format(status.late) if status.late else "")


def _format_size(width: int, height: int) -> str:
    return f"{width} × {height}"
