"""Panel with effects, mask settings, display mode and model."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from clipseg_live.core.settings.base import DETAILS, DTYPES, RESIZE_MODES, REUSES
from clipseg_live.core.settings.effects import is_private
from clipseg_live.core.settings.live import DISPLAY_MODES, LiveSettings
from clipseg_live.gui.model.picker import ModelButton
from clipseg_live.gui.settings.effect_list import EffectList
from clipseg_live.gui.settings.mask_settings import LABEL_WIDTH, MaskSettings
from clipseg_live.gui.state.models import Models
from clipseg_live.gui.state.settings_store import Store
from clipseg_live.gui.state.user_presets import UserPresets
from clipseg_live.gui.widgets import theme
from clipseg_live.gui.widgets.buttons import ChoiceBox, IconButton, SegmentedControl, hint_label, panel_style_sheet

MODEL_SIZES: tuple[int | None, ...] = (None, 224, 288, 352, 480, 640)
"""Sizes of the model's input, in pixels, multiples of its 16-pixel patch; None for the default of the model."""


class SettingsPanel(QScrollArea):
    """Panel with effects, mask settings, display mode and inference options. Changes apply at once.

    Args:
        store: the settings.
        models: the models.
        devices: names of the devices, "auto" first.
        engines: names of the engines, "auto" first.
        presets: presets of the user; None keeps them in memory.
        parent: parent widget.
    """

    def __init__(
        self,
        store: Store,
        *,
        models: Models,
        devices: Sequence[str],
        engines: Sequence[str],
        presets: UserPresets | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._store = store
        self._models = models
        self._devices = tuple(devices)
        self._engines = tuple(engines)
        self._presets = presets or UserPresets(None)
        self.setStyleSheet(panel_style_sheet())
        self.setMinimumWidth(300)
        self.setAccessibleName(self.tr("Settings"))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._body = QWidget()
        self._make_rendering()
        self._make_display()
        self._make_engine()
        self._add_help()
        self._lay_out()
        self._connect()
        self.setWidget(self._body)
        store.changed.connect(self._show)
        self._show()

    # ---- construction

    def _make_rendering(self) -> None:
        self.effects = EffectList(self._store, self._presets, self._body)
        self.masks = MaskSettings(self._store, self._body)
        self.reset_effects = self._reset_button(self.tr("Reset effects"), self._reset_effects)
        self.reset_masks = self._reset_button(self.tr("Reset mask settings"), self.masks.reset)

    def _reset_button(self, name: str, action: Callable[[], None]) -> IconButton:
        button = IconButton("undo", name, parent=self._body)
        button.clicked.connect(action)
        return button

    def _reset_effects(self) -> None:
        self._store.update(effects=LiveSettings().effects, disabled_effects=())

    def _make_display(self) -> None:
        names = {"smooth": self.tr("Smooth"), "locked": self.tr("Locked")}
        self.mode = SegmentedControl(self.tr("Display"), [(mode, names[mode]) for mode in DISPLAY_MODES], self._body)
        self.mode_hint = hint_label("", self._body)

    def _make_engine(self) -> None:
        self.model = ModelButton(self._models, self._body)
        self.device = ChoiceBox(self.tr("Device"), self._body)
        self.engine = ChoiceBox(self.tr("Engine"), self._body)
        self.precision = ChoiceBox(self.tr("Precision"), self._body)
        self.reuse = ChoiceBox(self.tr("Reuse of earlier frames"), self._body)
        reuses = {"auto": self.tr("Automatic"), "on": self.tr("On"), "off": self.tr("Off")}
        self.reuse.set_choices([(reuse, reuses.get(reuse, reuse)) for reuse in REUSES])
        self.input_size = ChoiceBox(self.tr("Inference size"), self._body)
        names = {
            "stretch": self.tr("Stretch"),
            "letterbox": self.tr("Letterbox"),
            "aspect": self.tr("Keep aspect"),
        }
        self.resize_mode = ChoiceBox(self.tr("Fit"), self._body)
        self.resize_mode.set_choices([(fit, names.get(fit, fit)) for fit in RESIZE_MODES])
        self.fit_hint = hint_label("", self._body)
        details = {"off": self.tr("Off"), "zoom": self.tr("Zoom in on small objects"), "tiles": self.tr("Tiles (slow)")}
        self.detail = ChoiceBox(self.tr("Detail"), self._body)
        self.detail.set_choices([(detail, details.get(detail, detail)) for detail in DETAILS])
        self.detail.setToolTip(
            self.tr("Zoom adds up to one extra pass per frame. Tiles are meant for exports of large frames.")
        )

    def _lay_out(self) -> None:
        column = QVBoxLayout(self._body)
        column.setContentsMargins(12, 10, 12, 14)
        column.setSpacing(8)
        self._section(column, self.tr("Effects"), self.reset_effects)
        column.addWidget(self.effects)
        column.addSpacing(10)
        self._section(column, self.tr("Mask quality"), self.reset_masks)
        column.addWidget(self.masks)
        column.addSpacing(10)
        display = self._section(column, self.tr("Display"))
        display.addWidget(self._label(self.tr("Frames"), self.mode), 0, 0)
        display.addWidget(self.mode, 0, 1)
        display.addWidget(self.mode_hint, 1, 1)
        column.addSpacing(10)
        engine = self._section(column, self.tr("Model"))
        rows: tuple[tuple[str, QWidget], ...] = (
            (self.tr("Model"), self.model), (self.tr("Device"), self.device),
            (self.tr("Engine"), self.engine), (self.tr("Precision"), self.precision),
            (self.tr("Size"), self.input_size), (self.tr("Detail"), self.detail),
            (self.tr("Reuse"), self.reuse), (self.tr("Fit"), self.resize_mode),
        )  # fmt: skip
        for row, (text, control) in enumerate(rows):
            engine.addWidget(self._label(text, control), row, 0)
            engine.addWidget(control, row, 1)
        engine.addWidget(self.fit_hint, len(rows), 1)
        column.addStretch(1)

    def _section(self, column: QVBoxLayout, title: str, button: QWidget | None = None) -> QGridLayout:
        heading = QLabel(title, self._body)
        theme.set_kind(heading, "heading")
        line = QHBoxLayout()
        line.addWidget(heading)
        line.addStretch(1)
        if button is not None:
            line.addWidget(button)
        column.addLayout(line)
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(8)
        grid.setColumnMinimumWidth(0, LABEL_WIDTH)
        grid.setColumnStretch(1, 1)
        column.addLayout(grid)
        return grid

    def _label(self, text: str, control: QWidget) -> QLabel:
        label = QLabel(text, self._body)
        theme.set_kind(label, "muted")
        label.setBuddy(control)
        return label

    def _connect(self) -> None:
        self.mode.picked.connect(lambda mode: self._store.update(mode=mode))
        self.device.picked.connect(lambda device: self._edit_engine(device=device))
        self.engine.picked.connect(lambda engine: self._edit_engine(engine=engine))
        self.precision.picked.connect(lambda dtype: self._edit_engine(dtype=dtype))
        self.input_size.picked.connect(lambda size: self._edit_engine(size=size))
        self.resize_mode.picked.connect(lambda mode: self._edit_engine(resize_mode=mode))
        self.reuse.picked.connect(lambda reuse: self._edit_engine(reuse=reuse))
        self.detail.picked.connect(lambda detail: self._edit_engine(detail=detail))

    # ---- showing the Store

    def _show(self) -> None:
        settings = self._store.settings
        is_changed = settings.effects != LiveSettings().effects or bool(settings.disabled_effects)
        self.reset_effects.setEnabled(is_changed)
        self.reset_masks.setEnabled(settings.matte != LiveSettings().matte)
        fixed = settings.display != settings.mode or is_private(settings.effects)
        self.mode.show_value(settings.display)
        self.mode.setEnabled(not fixed)
        if fixed:
            hint = self.tr("With privacy effects, only frames with their own masks are shown.")
        elif settings.mode == "smooth":
            hint = self.tr("Full frame rate. Masks are tracked between predictions.")
        else:
            hint = self.tr("In sync: each frame waits for its own mask.")
        self.mode_hint.setText(hint)
        self._show_engine(settings)

    def _show_engine(self, settings: LiveSettings) -> None:
        engine = settings.engine
        names = {"auto": self.tr("Automatic"), "cpu": "CPU", "cuda": "CUDA", "mps": "MPS"}
        _offer(self.device, self._devices, engine.device, names)
        names = {"auto": self.tr("Automatic"), "torch": "PyTorch", "openvino": "OpenVINO"}
        _offer(self.engine, self._engines, engine.engine, names)
        _offer(self.precision, DTYPES, engine.dtype, names)
        sizes = [*MODEL_SIZES, *([engine.size] if engine.size not in MODEL_SIZES else [])]
        self.input_size.set_choices([(size, self._size_text(size)) for size in sizes])
        self.input_size.show_value(engine.size)
        self.resize_mode.show_value(engine.resize_mode)
        self.detail.show_value(engine.detail)
        self.reuse.show_value(engine.reuse)
        hints = {
            "stretch": self.tr("Stretches the frame to the model’s square input."),
            "letterbox": self.tr("Keeps the aspect ratio and adds bars."),
            "aspect": self.tr("Gives the model’s input the aspect ratio of the frame."),
        }
        self.fit_hint.setText(hints.get(engine.resize_mode, ""))

    def _size_text(self, size: int | None) -> str:
        return self.tr("Model default") if size is None else self.tr("{} pixels").format(size)

    # ---- edits

    def _add_help(self) -> None:
        texts: tuple[tuple[QWidget, str], ...] = (
            (self.reset_effects, self.tr("Restores the default effects: tint and outline.")),
            (self.reset_masks, self.tr("Restores the default mask settings.")),
            (self.mode, self.tr("Smooth: full frame rate. Locked: each frame waits for its own mask.")),
            (self.device, self.tr("Device that runs the model.")),
            (self.engine, self.tr("Library that runs the model. OpenVINO runs on the CPU.")),
            (self.precision, self.tr("A lower precision is faster. It is used only if the masks stay the same.")),
            (self.input_size, self.tr("A larger input finds smaller objects but is slower.")),
            (self.resize_mode, self.tr("How the frame is fitted to the model's input.")),
            (self.detail, self.tr("Extra passes over small objects or over tiles of the frame.")),
            (self.reuse, self.tr("With OpenVINO, only what changed since the last frame is computed in smooth mode.")),
        )
        for control, text in texts:
            control.setStatusTip(text)

    def _edit_engine(self, **values: object) -> None:
        self._store.update(engine=self._store.settings.engine.model_copy(update=values))


def _offer(box: ChoiceBox, values: Sequence[str], chosen: str, names: dict[str, str]) -> None:
    """Offer values by their names, and the chosen one, and show the chosen one."""
    offered = [*values, *([chosen] if chosen not in values else [])]
    box.set_choices([(value, names.get(value, value)) for value in offered])
    box.show_value(chosen)
