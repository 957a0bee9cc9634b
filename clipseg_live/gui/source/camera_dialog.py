"""Dialog with the capture format and the controls of a camera."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QDialog, QFormLayout, QHBoxLayout, QLabel, QPushButton, QWidget

from clipseg_live.core.settings.live import SourceSpec
from clipseg_live.core.status import SourceStatus
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.number_range import NumberRange
from clipseg_live.gui.widgets.slider_field import SliderField

REQUESTED_SIZES = ((640, 480), (800, 600), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))
REQUESTED_RATES = (10.0, 15.0, 24.0, 25.0, 30.0, 50.0, 60.0)
FORMATS = ("MJPG", "YUYV", "NV12", "H264")
_SPANS = {"focus": 255, "gain": 255, "exposure": 2047}
"""Smallest top of the range of a control. Cameras report no ranges."""
_LOGARITHMIC = -13
"""Lowest exposure on systems that measure it in powers of two."""


class CameraDialog(QDialog):
    """Modeless dialog with the capture format and the controls of a camera.

    Attributes:
        source_changed: signal with a SourceSpec with other options.
        control_changed: signal with the name of a control and its new value.
    """

    source_changed = Signal(object)
    control_changed = Signal(str, float)

    def __init__(self, spec: SourceSpec, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Camera options"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumWidth(360)
        self._spec = spec
        self.sliders: dict[str, SliderField] = {}
        self._form = QFormLayout(self)
        self._form.setContentsMargins(*[2 * theme.UNIT] * 4)
        self._form.setSpacing(theme.UNIT)
        self.size_box = self._box(
            self.tr("Resolution"), [(f"{width} × {height}", (width, height)) for width, height in REQUESTED_SIZES]
        )
        self.rate_box = self._box(self.tr("Frame rate"), [(f"{rate:g} fps", rate) for rate in REQUESTED_RATES])
        self.format_box = self._box(self.tr("Format"), [(name, name) for name in FORMATS])
        self.note = QLabel(self.tr("This camera has no exposure, focus or gain controls."))
        theme.set_kind(self.note, "muted")
        self._form.addRow(self.note)
        close = QPushButton(self.tr("Close"))
        close.clicked.connect(self.close)
        self._close_row = QHBoxLayout()
        self._close_row.addStretch(1)
        self._close_row.addWidget(close)
        self._form.addRow(self._close_row)
        requested_size = (spec.width, spec.height) if spec.width and spec.height else None
        for box, value in ((self.size_box, requested_size), (self.rate_box, spec.rate), (self.format_box, spec.fourcc)):
            self._select(box, value)
            box.currentIndexChanged.connect(self._change_format)

    def show_status(self, status: SourceStatus) -> None:
        """Show the controls of the open camera and their values."""
        for name, value in status.controls:
            if name not in self.sliders:
                self._add_slider(name, value)
            slider = self.sliders[name]
            if not slider.isSliderDown() and not slider.hasFocus() and slider.editor is None:
                slider.show_value(value)
        self.note.setVisible(not self.sliders)

    def _box(self, name: str, choices: list[tuple[str, object]]) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(name)
        box.addItem(self.tr("Camera default"), None)
        for text, value in choices:
            box.addItem(text, value)
        self._form.addRow(name, box)
        return box

    def _select(self, box: QComboBox, value: object) -> None:
        for index in range(box.count()):
            if box.itemData(index) == value:
                box.setCurrentIndex(index)
                return
        box.addItem(f"{value[0]} × {value[1]}" if isinstance(value, tuple) else f"{value}", value)
        box.setCurrentIndex(box.count() - 1)

    def _change_format(self) -> None:
        size = self.size_box.currentData() or (None, None)
        self._spec = self._spec.model_copy(
            update={
                "width": size[0],
                "height": size[1],
                "rate": self.rate_box.currentData(),
                "fourcc": self.format_box.currentData(),
            }
        )
        self.source_changed.emit(self._spec)

    def _add_slider(self, name: str, value: float) -> None:
        if name == "exposure" and value < 0:
            low, top = min(_LOGARITHMIC, round(value)), 0
        else:
            low, top = 0, max(_SPANS.get(name, 255), round(2 * value))
        title = {"exposure": self.tr("Exposure"), "focus": self.tr("Focus"), "gain": self.tr("Gain")}.get(name, name)
        numbers = NumberRange(low, top, default=value, step=1, decimals=0)
        slider = SliderField(title, numbers, bare=True, parent=self)
        slider.setFixedHeight(theme.CONTROL)
        slider.edited.connect(lambda new: self._move(name, new))
        self.sliders[name] = slider
        self._form.insertRow(self._form.rowCount() - 1, title, slider)

    def _move(self, name: str, value: float) -> None:
        self._spec = self._spec.model_copy(
            update={
                "controls": (*(control for control in self._spec.controls if control[0] != name), (name, float(value)))
            }
        )
        self.control_changed.emit(name, float(value))
